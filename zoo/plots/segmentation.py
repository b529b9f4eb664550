"""Figures of segmentations: a mask laid over its image, and images side by side."""

import numpy as np

from zoo.plots.figure import new_figure


def overlay(image, mask, alpha=0.45, title=None):
    """One image with its mask in colour on top.

    Args:
        image: `(height, width)` or `(height, width, channels)`, any range.
        mask: classes or instances `(height, width)`; 0 stays clear.
        alpha: opacity of the colours.
        title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure = new_figure(5, 5 * image.shape[0] / image.shape[1], "tight")
    axis = figure.subplots()
    _show(axis, image)
    coloured = np.ma.masked_equal(np.asarray(mask), 0)
    axis.imshow(coloured, cmap="autumn" if coloured.max() == 1 else "gist_rainbow", alpha=alpha, interpolation="nearest")
    if title:
        axis.set_title(title)
    return figure


def side_by_side(rows):
    """A table of images.

    Args:
        rows: list of rows, each a dict from heading to array: an image `(height, width[, channels])`, or whole-number labels
            `(height, width)`, which are coloured if there are more than two.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    columns = max(len(row) for row in rows)
    figure = new_figure(3 * columns, 3.3 * len(rows), "tight")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(axes, rows):
        for axis, (title, array) in zip(line, row.items()):
            _show(axis, array)
            axis.set_title(title)
        for axis in line[len(row) :]:
            axis.remove()
    return figure


def _show(axis, array):
    array = np.asarray(array)
    array = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    many = array.dtype.kind in "iu" and array.ndim == 2 and array.max() > 1
    axis.imshow(_shuffled(array) if many else array, cmap="nipy_spectral" if many else "gray", interpolation="nearest")
    axis.set_axis_off()


def _shuffled(labels):
    """Neighbouring numbers far apart, so that neighbouring objects differ in colour."""
    return np.where(labels == 0, 0, 40 + labels * 89 % 211)
