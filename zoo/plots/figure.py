"""The figure that every plot draws on: matplotlib's, without pyplot's global state."""


def new_figure(width, height, layout="constrained"):
    """An empty `matplotlib.figure.Figure`.

    Args:
        width: in inches.
        height: in inches.
        layout: of matplotlib.

    Raises:
        ImportError: with the pip command, if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Figures need matplotlib: pip install 'zoo-keras[plots]'") from error
    return Figure(figsize=(width, height), layout=layout)
