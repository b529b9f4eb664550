"""Figures of segmentations: a mask laid over its image, images side by side, class maps with their legend."""

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


def class_maps(rows, classes, void=None, title=None, figure=None):
    """A table of images, class maps in fixed colours with one legend, and maps of a number such as the uncertainty.

    Args:
        rows: list of rows, each a dict from heading to array: an image `(height, width, 3)`, classes `(height, width)` of whole numbers,
            or numbers `(height, width)`, which get a colour scale from the smallest to the largest of their column.
        classes: names of the classes, in order; at most 20.
        void: label without a class, drawn white.
        title: of the figure.
        figure: where to draw, e.g. a subfigure; by default a new one.

    Returns:
        A `matplotlib.figure.Figure`, or the given figure.

    Raises:
        ValueError: if a map holds a number that is neither a class nor `void`.
    """
    columns = max(len(row) for row in rows)
    height, width = np.asarray(next(iter(rows[0].values()))).shape[:2]
    # first, since it says what to install where matplotlib is missing
    figure = new_figure(3 * columns, 3 * len(rows) * height / width + 0.6) if figure is None else figure
    from matplotlib import colormaps, colors, patches

    palette = colormaps["tab20"].colors[: len(classes)]
    axes = figure.subplots(len(rows), columns, squeeze=False)
    heat = _ranges(rows)
    for i, (line, row) in enumerate(zip(axes, rows)):
        for axis, (heading, array) in zip(line, row.items()):
            array = np.asarray(array)
            if array.ndim == 3:
                axis.imshow(array, interpolation="nearest")
            elif array.dtype.kind in "iu":
                axis.imshow(_coloured(array, palette, void), interpolation="nearest")
            else:
                axis.imshow(array, cmap="magma", norm=colors.Normalize(*heat[heading]), interpolation="nearest")
            if i == 0:
                axis.set_title(heading)
            axis.set_axis_off()
        for axis in line[len(row) :]:
            axis.remove()
    handles = [patches.Patch(color=colour, label=name) for colour, name in zip(palette, classes)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(classes), 2 * columns), frameon=False, fontsize="small")
    if title:
        figure.suptitle(title)
    return figure


def _ranges(rows):
    """Smallest and largest number of each column of numbers."""
    found = {}
    for row in rows:
        for heading, array in row.items():
            array = np.asarray(array)
            if array.ndim == 2 and array.dtype.kind == "f":
                low, high = found.get(heading, (np.inf, -np.inf))
                found[heading] = min(low, array.min()), max(high, array.max())
    return found


def _coloured(labels, palette, void):
    """Classes as colours, `void` as white."""
    known = labels != void if void is not None else np.ones(labels.shape, bool)
    if known.any() and (labels[known].min() < 0 or labels[known].max() >= len(palette)):
        raise ValueError(f"`rows` must hold classes below {len(palette)} (or void={void}). Received: {np.unique(labels)}")
    return np.where(known[..., None], np.asarray(palette)[np.where(known, labels, 0)], 1.0)
