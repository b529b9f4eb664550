"""Gram matrices and the losses that compare features and their correlations.

Paper: Gatys, Ecker, Bethge 2015, "A Neural Algorithm of Artistic Style", arXiv 1508.06576, equations 1, 3 and 4.
"""

from keras import ops


def gram_matrix(features):
    """Correlations of the channels over all positions (equation 3), as a mean, so that images of different sizes compare.

    The paper's matrix is the sum, `M` times this one for `M = height * width` positions.

    Args:
        features: `(batch, height, width, channels)` of any float dtype.

    Returns:
        `(batch, channels, channels)`, float32.
    """
    features = ops.cast(features, "float32")
    channels = features.shape[-1]
    flat = ops.reshape(features, (ops.shape(features)[0], -1, channels))
    positions = ops.cast(ops.shape(flat)[1], "float32")
    return ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / positions


def style_loss(gram, target):
    """One layer's part of the style loss (equation 4): `1 / (4 N^2) sum (G - A)^2` with Gram matrices that are means over positions.

    This is the paper's `1 / (4 N^2 M^2)` with Gram matrices that are sums, where both images have `M` positions.

    Args:
        gram: `(batch, channels, channels)` of the image, from `gram_matrix`.
        target: the same of the style image.

    Returns:
        `(batch,)`, float32.
    """
    channels = gram.shape[-1]
    return ops.sum(ops.square(ops.cast(gram, "float32") - ops.cast(target, "float32")), axis=(1, 2)) / (4 * channels**2)


def content_loss(features, target):
    """Half the squared distance of features (equation 1).

    Args:
        features: `(batch, height, width, channels)` of the image.
        target: the same of the content image.

    Returns:
        `(batch,)`, float32.
    """
    return ops.sum(ops.square(ops.cast(features, "float32") - ops.cast(target, "float32")), axis=(1, 2, 3)) / 2
