"""Cluttered digits: one whole digit to read among pieces of others."""

import numpy as np


def cluttered_digits(digits, labels, n, size=100, pieces=8, piece=8, seed=0):
    """The task of Mnih et al. 2014: a digit at a random place, and small pieces of other images at random places.

    Args:
        digits: images `(m, side, side, 1)` to draw from, in [0, 1].
        labels: `(m,)`.
        n: number of images to make.
        size: their side in pixels.
        pieces: number of pieces in each.
        piece: side of a piece in pixels.
        seed: of all draws.

    Returns:
        Images `(n, size, size, 1)` float32, labels `(n,)` int32, and the corner (row, column) of the whole digit `(n, 2)` int32.

    Raises:
        ValueError: if a digit does not fit into the image, or a piece into a digit.
    """
    digits, side = np.asarray(digits, "float32")[..., 0], digits.shape[1]
    if not piece <= side <= size:
        raise ValueError(f"`size` must be at least the digits' side, `piece` at most. Received: size={size}, side={side}, piece={piece}")
    rng = np.random.default_rng(seed)
    chosen, corners = rng.integers(len(digits), size=n), rng.integers(size - side + 1, size=(n, 2))
    canvas = np.zeros((n, size, size), "float32")
    _draw(canvas, np.arange(n), corners, digits[chosen])
    # an offset of at least one: pieces come from other images than the whole digit
    others = (np.repeat(chosen, pieces) + rng.integers(1, max(len(digits), 2), n * pieces)) % len(digits)
    cut = _window(rng.integers(side - piece + 1, size=(n * pieces, 2)), piece)
    scraps = digits[others[:, None, None], cut[0], cut[1]]
    _draw(canvas, np.repeat(np.arange(n), pieces), rng.integers(size - piece + 1, size=(n * pieces, 2)), scraps)
    return canvas[..., None], np.asarray(labels)[chosen].astype("int32"), corners.astype("int32")


def _draw(canvas, which, corners, stamps):
    """Lay square stamps `(k, side, side)` on images, the brighter pixel on top; stamps may overlap."""
    rows, columns = _window(corners, stamps.shape[1])
    np.maximum.at(canvas, (which[:, None, None], rows, columns), stamps)


def _window(corners, side):
    """Row and column indices `(k, side, 1)` and `(k, 1, side)` of squares."""
    reach = np.arange(side)
    return corners[:, 0, None, None] + reach[:, None], corners[:, 1, None, None] + reach
