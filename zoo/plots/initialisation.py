"""Figures of initialisations: the variance of each layer's output."""


def layer_variances(reports, title="Variance of the layers' outputs"):
    """Variances by depth, on a logarithmic scale.

    Args:
        reports: name -> list of `zoo.initializers.LayerRecord`, as `zoo.initializers.lsuv` returns them.
        title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Figures need matplotlib: pip install 'zoo-keras[plots]'") from error

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axis = figure.subplots()
    for name, report in reports.items():
        axis.semilogy(range(1, len(report) + 1), [max(r.variance_after, 1e-30) for r in report], ".-", label=name)
    axis.axhline(1, color="black", linewidth=0.5)
    axis.set(title=title, xlabel="layer, in order of execution", ylabel="variance")
    axis.legend()
    return figure
