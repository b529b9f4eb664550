"""Points of several classes in the plane: features, codes, components of LDA."""

import numpy as np

from zoo.plots.figure import new_figure


def embedding(panels, names=None, size=6):
    """Draw labelled points, one panel beside the other.

    Args:
        panels: dict, title -> (points `(n, 2)` or more columns of which the first two are drawn, labels `(n,)`).
        names: text of each label; by default the labels themselves.
        size: of the points.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if points have fewer than two columns, or not one label each.
    """
    figure = new_figure(4.2 * len(panels), 4.0)
    for axis, (title, (points, labels)) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
        points, labels = np.asarray(points), np.asarray(labels)
        if points.ndim != 2 or points.shape[1] < 2 or labels.shape != points.shape[:1]:
            raise ValueError(f"`panels` must hold points (n, 2 or more) and labels (n,). Received: {points.shape}, {labels.shape}")
        for i, label in enumerate(np.unique(labels)):
            chosen = points[labels == label]
            axis.scatter(*chosen[:, :2].T, s=size, alpha=0.6, linewidths=0, color=f"C{i % 10}")
            centre = np.median(chosen[:, :2], axis=0)
            text = str(label if names is None else names[label])
            box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.8, "edgecolor": f"C{i % 10}"}
            axis.text(*centre, text, ha="center", va="center", fontsize=9, bbox=box)
        axis.set(title=title, xticks=[], yticks=[])
    return figure
