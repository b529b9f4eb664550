"""Regularisers of images: what keeps pixels in a range and neighbours alike.

Paper: Mahendran, Vedaldi 2015, "Visualizing Deep Convolutional Neural Networks Using Natural Pre-Images", arXiv 1512.02017, section 3.2.
"""

from keras import ops

# below this square, powers under 1 go on as a straight line, so that their derivative is finite at 0
TINY = 1e-6


def alpha_norm(x, alpha=6.0):
    """The mean over pixels of the length of their colour to the power `alpha`.

    A large `alpha` leaves colours free within a range and lets none far outside of it.

    Args:
        x: centred images `(batch, height, width, channels)`; grey is 0.
        alpha: at least 1.

    Returns:
        `(batch,)`, float32.
    """
    squares = ops.sum(ops.square(ops.cast(x, "float32")), axis=-1)
    return ops.mean(_power(squares, alpha / 2), axis=(1, 2))


def total_variation(x, beta=2.0):
    """The mean over pixels of `((right neighbour - pixel)^2 + (lower neighbour - pixel)^2)^(beta / 2)`, summed over channels.

    At the right and lower borders, differences to what lies outside are 0. With `beta` 1 it is the total variation, which allows edges and
    likes spots; a larger `beta` spreads changes over several pixels.

    Args:
        x: images `(batch, height, width, channels)`.
        beta: at least 1.

    Returns:
        `(batch,)`, float32.
    """
    x = ops.cast(x, "float32")
    right = ops.pad(ops.square(x[:, :, 1:] - x[:, :, :-1]), ((0, 0), (0, 0), (0, 1), (0, 0)))
    lower = ops.pad(ops.square(x[:, 1:] - x[:, :-1]), ((0, 0), (0, 1), (0, 0), (0, 0)))
    return ops.mean(ops.sum(_power(right + lower, beta / 2), axis=-1), axis=(1, 2))


def _power(squares, exponent):
    """`squares ** exponent`, whose derivative is finite everywhere."""
    if exponent >= 1:
        return squares if exponent == 1 else squares**exponent
    safe = ops.maximum(squares, TINY)
    return ops.where(squares > TINY, safe**exponent, squares * TINY ** (exponent - 1))
