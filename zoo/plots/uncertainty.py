"""Figure of a segmentation by samples: what more samples bring, what uncertainty tells, and some images."""

import numpy as np

from zoo.plots.figure import new_figure
from zoo.plots.segmentation import class_maps


def sampled_segmentation(curves, averaged, rejections, rows, classes, void=None, metric="mean IoU in percent"):
    """Two graphs above a table of images.

    Args:
        curves: metric after 1, 2, ... samples, one list a seed.
        averaged: metric of weight averaging, one number a seed.
        rejections: accuracy of the pixels that are left when the least certain are set aside, `(seeds, points)`; the points are evenly
            spaced shares set aside, from 0 on.
        rows: of `class_maps`.
        classes: names of the classes.
        void: label without a class.
        metric: name of the metric.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    columns = max(len(row) for row in rows)
    height, width = np.asarray(next(iter(rows[0].values()))).shape[:2]
    table = 2.6 * len(rows) * height / width + 1.0
    figure = new_figure(2.6 * columns, table + 3)
    upper, lower = figure.subfigures(2, 1, height_ratios=(3, table))
    left, right = upper.subplots(1, 2)
    samples = np.arange(1, len(curves[0]) + 1)
    gain = np.asarray(curves) - np.asarray(averaged)[:, None]
    left.plot(samples, gain.T, color="C0", alpha=0.25, linewidth=1)
    left.plot(samples, gain.mean(0), color="C0", label="mean of samples")
    left.axhline(0, color="grey", linestyle="--", linewidth=1, label="weight averaging")
    left.set(xlabel="samples", ylabel=f"gain in {metric}", title="Sampling against weight averaging")
    left.legend(frameon=False)
    shares = np.linspace(0, 100, np.shape(rejections)[1], endpoint=False)
    right.plot(shares, np.transpose(rejections), color="C1", alpha=0.25, linewidth=1)
    right.plot(shares, np.mean(rejections, 0), color="C1")
    right.set(xlabel="least certain pixels set aside, %", ylabel="accuracy of the rest, %", title="Uncertainty finds errors")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    class_maps(rows, classes, void, figure=lower)
    return figure
