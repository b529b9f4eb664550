"""Grids of images: samples, interpolations, neighbours."""

import numpy as np

from zoo.plots.figure import new_figure


def image_grid(images, row_titles=None, low=-1.0, high=1.0, title=None, cell=0.8, column_titles=None):
    """Draw rows of images.

    Args:
        images: `(rows, columns, height, width, channels)` with 1 or 3 channels, or `(n, height, width, channels)`, laid out in a square.
        row_titles: one text a row.
        low: pixel value drawn black.
        high: pixel value drawn white.
        title: of the figure.
        cell: side of an image in inches.
        column_titles: one text a column.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    images = _in_rows(np.asarray(images))
    rows, columns = images.shape[:2]
    above = (0.4 if title else 0) + (0.2 if column_titles else 0)
    figure = new_figure(cell * columns + (1.2 if row_titles else 0), cell * rows + above)
    axes = figure.subplots(rows, columns, squeeze=False)
    for i in range(rows):
        for j in range(columns):
            axis = axes[i, j]
            axis.imshow(np.clip((images[i, j] - low) / (high - low), 0, 1).squeeze(), cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        if row_titles:
            axes[i, 0].set_ylabel(row_titles[i], rotation=0, ha="right", va="center")
    for axis, text in zip(axes[0], column_titles or []):
        axis.set_title(text, fontsize=8)
    if title:
        figure.suptitle(title)
    return figure


def _in_rows(images):
    if images.ndim == 5:
        return images
    columns = int(np.ceil(len(images) ** 0.5))
    blank = np.full((-len(images) % columns, *images.shape[1:]), np.inf, images.dtype)
    return np.concatenate([images, blank]).reshape(-1, columns, *images.shape[1:])
