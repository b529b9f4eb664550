"""Heat maps of relevance beside the images that they explain."""

import numpy as np

from zoo.plots.figure import new_figure


def heatmaps(images, maps, titles=None, low=0.0, high=1.0, colours="seismic"):
    """Draw one row an image: the image, then its heat map by each method.

    Args:
        images: `(n, height, width, channels)` with 1 or 3 channels, or `(n, height, width)`.
        maps: dict, method -> `(n, height, width)`; each map has its own scale, symmetric about zero, so that zero is the middle colour.
        titles: one text an image.
        low: pixel value drawn black.
        high: pixel value drawn white.
        colours: a diverging colour map of matplotlib.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    images = np.asarray(images)
    for name, values in maps.items():
        if np.shape(values) != images.shape[:3]:
            raise ValueError(f"`maps` must hold arrays of shape {images.shape[:3]}. Received: {np.shape(values)} for {name!r}")
    figure = new_figure(1.2 * (1 + len(maps)), 1.2 * len(images) + 0.4)
    axes = figure.subplots(len(images), 1 + len(maps), squeeze=False)
    draw_heatmaps(axes, images, maps, titles, low, high, colours)
    return figure


def draw_heatmaps(axes, images, maps, titles=None, low=0.0, high=1.0, colours="seismic"):
    """Draw on given axes `(n, 1 + methods)`; arguments as in `heatmaps`."""
    images = np.asarray(images)
    for i, row in enumerate(axes):
        row[0].imshow(np.clip((images[i] - low) / (high - low), 0, 1).squeeze(), cmap="gray", vmin=0, vmax=1)
        for axis, values in zip(row[1:], maps.values()):
            limit = np.abs(values[i]).max() or 1.0
            axis.imshow(values[i], cmap=colours, vmin=-limit, vmax=limit)
        for axis, name in zip(row, ["", *maps]):
            axis.set(xticks=[], yticks=[])
            if i == 0:
                axis.set_title(name, fontsize=8)
        if titles:
            row[0].set_ylabel(titles[i], rotation=0, ha="right", va="center")
