"""Hard attention: the patches that a network chose, drawn on its images."""

import numpy as np

from zoo.plots.figure import new_figure


def attended_patches(images, corners, side, saliency=None, titles=None):
    """Images with frames around the attended patches, and below them how salient each place is.

    Args:
        images: `(n, height, width, channels)` with 1 or 3 channels.
        corners: row and column of each patch's first pixel `(n, patches, 2)`, as `DynamicCapacityNet.attend` gives.
        side: of a patch in pixels.
        saliency: `(n, map height, map width)`, or `None` for the images alone.
        titles: one text an image.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    images = np.asarray(images)
    count, (height, width) = len(images), images.shape[1:3]
    rows = 1 if saliency is None else 2
    figure = new_figure(2 * count, 2.1 * rows * height / width)
    from matplotlib import patches

    axes = figure.subplots(rows, count, squeeze=False)
    for i, axis in enumerate(axes[0]):
        axis.imshow(images[i].squeeze(), cmap="gray")
        for row, column in np.asarray(corners[i]):
            axis.add_patch(patches.Rectangle((column - 0.5, row - 0.5), side, side, fill=False, color="tab:orange", alpha=0.8))
        axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        axis.set_title(titles[i] if titles is not None else "")
    if saliency is not None:
        for axis, found in zip(axes[1], saliency):
            axis.imshow(found, cmap="magma")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    return figure
