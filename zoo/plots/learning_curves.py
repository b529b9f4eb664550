"""Learning curves of several methods: the mean over seeds and each seed faintly behind it."""

import numpy as np

from zoo.plots.figure import new_figure


def learning_curves(panels, titles=None, x_label="steps", y_label="return", log=False, threshold=None):
    """Draw curves of methods side by side.

    Args:
        panels: list of dicts, method -> list of curves, one a seed, each a pair (x, y) of sequences; seeds may stop at different x.
        titles: one text a panel.
        x_label: text, or one a panel.
        y_label: text, or one a panel.
        log: whether both axes are logarithmic, or one bool a panel.
        threshold: y of a dashed line in the last panel.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    n = len(panels)
    titles, x_labels, y_labels, logs = (v if isinstance(v, (list, tuple)) else [v] * n for v in (titles, x_label, y_label, log))
    figure = new_figure(5 * n, 3.6)
    for axis, curves, title, x, y, logarithmic in zip(figure.subplots(1, n, squeeze=False)[0], panels, titles, x_labels, y_labels, logs):
        for i, (method, seeds) in enumerate(curves.items()):
            _draw(axis, method, seeds, f"C{i}")
        axis.set(title=title, xlabel=x, ylabel=y)
        if logarithmic:
            axis.set(xscale="log", yscale="log")
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    if threshold is not None:
        axis.axhline(threshold, color="grey", linestyle="--", linewidth=1)
    return figure


def _draw(axis, method, seeds, colour):
    """Faint seeds, and their mean where all of them have values; a seed that stopped early keeps its last one."""
    for x, y in seeds:
        axis.plot(x, y, color=colour, alpha=0.25, linewidth=1)
    grid = np.unique(np.concatenate([np.asarray(x, "float64") for x, _ in seeds]))
    axis.plot(grid, np.mean([np.interp(grid, x, y) for x, y in seeds], axis=0), color=colour, label=method)
