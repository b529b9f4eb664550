"""Square crops of images and how they are drawn: what samplers of training windows share."""

import numpy as np


def crop(images, index, boxes, size, angles=None, flips=None, order=1):
    """Squares of images, resampled to `size` pixels; beyond the border the nearest pixel is repeated.

    Args:
        images: `(n, height, width)` or `(n, height, width, channels)`.
        index: image of each crop, `(k,)`.
        boxes: squares `(left, top, right, bottom)` in pixels, `(k, 4)`.
        size: side of the crops in pixels.
        angles: rotation of each square about its centre, in radians, `(k,)`.
        flips: whether to mirror each square left to right, `(k,)`.
        order: 1 interpolates bilinearly, 0 takes the nearest pixel (labels).

    Returns:
        `(k, size, size[, channels])`, of the images' dtype for order 0, else float32.
    """
    images, boxes, index = np.asarray(images), np.asarray(boxes, "float64"), np.asarray(index)
    (row, column), (height, width) = _places(boxes, size, angles, flips), images.shape[1:3]
    row, column, n = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1), index[:, None, None]
    if order == 0:
        return images[n, np.rint(row).astype(int), np.rint(column).astype(int)]
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = ((a - b).astype("float32").reshape(a.shape + (1,) * (images.ndim - 3)) for a, b in ((row, top), (column, left)))
    upper = images[n, top, left] * (1 - across) + images[n, top, right] * across
    lower = images[n, bottom, left] * (1 - across) + images[n, bottom, right] * across
    return (upper * (1 - down) + lower * down).astype("float32")


def accepted(draw, number):
    """Draw squares until `number` of them are accepted, or patience ends.

    Args:
        draw: a function of a number of squares to try; gives the image `(k,)` and the square `(k, 4)` of those that it accepts.
        number: wanted.

    Returns:
        Images `(n,)` and squares `(n, 4)`; fewer than `number` only if fifty draws of four times as many did not suffice.
    """
    index, squares = np.zeros(0, int), np.zeros((0, 4))
    for _ in range(50):
        if len(index) >= number:
            break
        i, square = draw(4 * number)
        index, squares = np.concatenate([index, i]), np.concatenate([squares, square])
    return index[:number], squares[:number]


def padded(rows, width):
    """A list of `n` arrays `(some, width)` as one, `(n, most, width)`; what is missing is 0."""
    result = np.zeros((len(rows), max(map(len, rows)), width))
    for i, array in enumerate(rows):
        result[i, : len(array)] = np.reshape(array, (-1, width))
    return result


def _places(boxes, size, angles, flips):
    """Row and column in the image of each pixel of the crops, `(k, size, size)` each."""
    # centres of pixels, from -1/2 to 1/2 over the crop
    grid = (np.arange(size) + 0.5) / size - 0.5
    down, across = np.broadcast_arrays(grid[:, None], grid[None, :])
    across = across * (1 if flips is None else np.where(flips, -1, 1)[:, None, None])
    angle = np.zeros(len(boxes)) if angles is None else np.asarray(angles, "float64")
    cosine, sine = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    side, centre = (boxes[:, 2] - boxes[:, 0])[:, None, None], (boxes[:, :2] + boxes[:, 2:])[:, :, None, None] / 2
    return centre[:, 1] + side * (sine * across + cosine * down) - 0.5, centre[:, 0] + side * (cosine * across - sine * down) - 0.5
