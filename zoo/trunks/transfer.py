"""Weights of one network for the convolutions of another."""

import numpy as np
from keras import layers


def copy_convolutions(source, targets, normalisations=None, argument="model"):
    """Give convolutions the weights of those of another model, in its order.

    Args:
        source: a Keras model, such as `trunk("vgg16")`, whose 2-D convolutions are taken in the order of its layers.
        targets: built `Conv2D` layers.
        normalisations: the `BatchNormalization` layers behind `targets`, needed where these have no bias. Their statistics are set such
            that, outside of training, convolution and normalisation together compute what the source's convolution does.
        argument: what the caller calls the source.

    Raises:
        ValueError: if the shapes of the kernels differ.
    """
    theirs = [layer for layer in source.layers if type(layer) is layers.Conv2D]
    shapes = [[tuple(layer.kernel.shape) for layer in convolutions] for convolutions in (targets, theirs)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"`{argument}` must have convolutions of the shapes {shapes[0]}. Received: {shapes[1]}")
    for i, (target, other) in enumerate(zip(targets, theirs)):
        kernel, *bias = other.get_weights()
        if target.use_bias:
            target.set_weights([kernel, bias[0] if bias else np.zeros(kernel.shape[-1])])
            continue
        target.set_weights([kernel])
        norm = normalisations[i]
        one, zero = np.ones(kernel.shape[-1]), np.zeros(kernel.shape[-1])
        norm.set_weights([one, zero, -bias[0] if bias else zero, one - norm.epsilon])
