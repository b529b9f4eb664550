"""Densities of two coordinates as pictures."""

import numpy as np

from zoo.plots.figure import new_figure


def densities(rows, titles=None, low=-4.0, high=4.0, points=120):
    """Draw one row of pictures for each list of densities.

    Args:
        rows: dict, name of a row -> list of functions from points `(n, 2)`, float32, to log-densities `(n,)`, up to a constant.
        titles: one text a column.
        low: lower end of both coordinates.
        high: upper end.
        points: pixels a side.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if rows are empty or of unequal length.
    """
    lengths = {len(row) for row in rows.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"`rows` must hold lists of one length, not empty. Received: lengths {sorted(lengths)}")
    columns = lengths.pop()
    figure = new_figure(1.6 * columns + 0.6, 1.6 * len(rows) + 0.3)
    draw_densities(figure.subplots(len(rows), columns, squeeze=False), rows, titles, low, high, points)
    return figure


def draw_densities(axes, rows, titles=None, low=-4.0, high=4.0, points=120):
    """Draw on given axes `(rows, columns)`; arguments as in `densities`."""
    ticks = np.linspace(low, high, points, dtype="float32")
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    for row, (name, functions) in zip(axes, rows.items()):
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for axis, function in zip(row, functions):
            logs = np.asarray(function(grid), "float64").reshape(points, points)
            axis.imshow(np.exp(logs - logs.max()), origin="lower", extent=(low, high, low, high), cmap="viridis")
            axis.set(xticks=[], yticks=[])
    for axis, title in zip(axes[0], titles or []):
        axis.set_title(title, fontsize=9)
