"""Smaller copies of images and their masks, without Keras."""

import numpy as np


def reduced(images, labels, factor):
    """Reduce images by averaging squares, and masks by taking the pixel in the middle of each.

    Args:
        images: `(n, height, width, channels)`.
        labels: class of each pixel, `(n, height, width)`.
        factor: side of the squares in pixels; both sides must be multiples of it.

    Returns:
        Images float32 and labels of their own dtype, `factor` times smaller.

    Raises:
        ValueError: if a side is not a multiple of `factor`, or the shapes do not match.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.ndim != 4 or images.shape[:3] != labels.shape or factor < 1 or any(n % factor for n in labels.shape[1:]):
        raise ValueError(
            "`images` (n, height, width, channels) and `labels` (n, height, width) must have sides that are multiples of "
            f"factor={factor}. Received: {images.shape} and {labels.shape}"
        )
    n, height, width, channels = images.shape
    squares = images.reshape(n, height // factor, factor, width // factor, factor, channels)
    middle = slice(factor // 2, None, factor)
    return squares.mean((2, 4)).astype("float32"), labels[:, middle, middle]
