"""Sparsity by competition: only the largest activations pass, and only they receive a gradient.

Papers: Makhzani, Frey 2015, "Winner-Take-All Autoencoders", arXiv 1409.2752; 2013, "k-Sparse Autoencoders", arXiv 1312.5663.

The competition takes place in training alone; afterwards everything passes. Of equal activations the first wins, so that there are never
more winners than said: the blank parts of an image are all equal to a convolution.
"""

import keras
import numpy as np
from keras import ops

from zoo import arguments

# what each bit of an int32 adds to the smallest: the sign, then the others
_STEPS = np.array([-(2**31), *(1 << bit for bit in range(30, -1, -1))], "int32")


class _Competition(keras.Layer):
    """What the layers share: all passes at test, the winners in training."""

    def call(self, inputs, training=False):
        """Activations of the same shape; in training those that do not win are 0."""
        return inputs * ops.cast(self.winners(inputs), inputs.dtype) if training else inputs

    def compute_output_shape(self, input_shape):
        """That of the inputs."""
        return input_shape


@keras.saving.register_keras_serializable("zoo")
class LifetimeSparsity(_Competition):
    """Each unit stays active for a share of the batch, the samples to which it responds most (section 2).

    A feature map `(batch, ..., channels)` is one unit that responds by its largest activation.

    Args:
        rate: the share, above 0 and at most 1; one sample at least.
        **kwargs: of `keras.Layer`.

    Raises:
        ValueError: if the rate is out of range.
    """

    def __init__(self, rate=0.05, **kwargs):
        super().__init__(**kwargs)
        self.rate = arguments.number("rate", rate, above=0, high=1)

    def winners(self, inputs):
        """Bool `(batch, ..., channels)`, with axes of size 1 between the two: whether a unit stays active for a sample."""
        between = tuple(range(1, len(inputs.shape) - 1))
        response = ops.max(inputs, axis=between) if between else inputs
        mask = largest(response, _share(self.rate, ops.shape(inputs)[0]), axis=0)
        return ops.expand_dims(mask, between) if between else mask

    def get_config(self):
        """The constructor's argument."""
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("zoo")
class SpatialSparsity(_Competition):
    """The largest activation of each feature map `(batch, height, width, channels)` stays (section 3.1)."""

    def winners(self, inputs):
        """Bool array of the inputs' shape: whether an activation is the largest of its map.

        Raises:
            ValueError: if inputs have other axes.
        """
        if len(inputs.shape) != 4:
            raise ValueError(f"`inputs` must have shape (batch, height, width, channels). Received: {tuple(inputs.shape)}")
        _, height, width, _ = ops.shape(inputs)
        flat = ops.reshape(inputs, (-1, height * width, inputs.shape[-1]))
        places = ops.arange(height * width, dtype="int32")[None, :, None]
        is_first = ops.equal(places, ops.cast(ops.argmax(flat, axis=1, keepdims=True), "int32"))
        return ops.reshape(is_first, ops.shape(inputs))


@keras.saving.register_keras_serializable("zoo")
class KSparse(_Competition):
    """The `k` largest activations of each sample stay: population sparsity, where `LifetimeSparsity` looks along the batch.

    Args:
        k: how many.
        **kwargs: of `keras.Layer`.

    Raises:
        ValueError: if `k` is no whole number of at least 1.
    """

    def __init__(self, k, **kwargs):
        super().__init__(**kwargs)
        self.k = arguments.count("k", k)

    def winners(self, inputs):
        """Bool array of the inputs' shape: whether an activation is among the largest of its sample."""
        flat = ops.reshape(inputs, (ops.shape(inputs)[0], -1))
        return ops.reshape(largest(flat, self.k, axis=1), ops.shape(inputs))

    def get_config(self):
        """The constructor's argument."""
        return {**super().get_config(), "k": self.k}


def largest(x, k, axis=-1):
    """Which `k` values along an axis are the largest; of equal ones the first.

    The k-th largest is found bit by bit, in 32 passes: XLA's `top_k` sorts, which takes four times as long on a processor.

    Args:
        x: float tensor.
        k: at least 1; all are among the largest where the axis is not longer.
        axis: along which to look.

    Returns:
        Bool tensor of the shape of `x`.
    """
    x = _in_order(x)

    def narrower(i, least):
        raised = least + ops.take(_STEPS, i)
        enough = ops.sum(ops.cast(x >= raised, "int32"), axis=axis, keepdims=True) >= k
        return ops.where(enough, raised, least)

    # sign first: from the smallest number to 0, or not
    least = ops.zeros_like(ops.max(x, axis=axis, keepdims=True)) + np.int32(-(2**31))
    least = ops.fori_loop(0, len(_STEPS), narrower, least)
    above, level = x > least, ops.equal(x, least)
    room = k - ops.sum(ops.cast(above, "int32"), axis=axis, keepdims=True)
    return above | (level & (ops.cumsum(ops.cast(level, "int32"), axis=axis) <= room))


def _in_order(x):
    """Floats as int32 numbers of the same order; the bits of negative floats run the other way."""
    # 0 added: -0.0 and 0.0 are one number; TensorFlow wants to know the length of the last axis of what it views
    rows = ops.reshape(ops.cast(ops.stop_gradient(x), "float32") + 0.0, (-1, 1))
    bits = ops.reshape(ops.view(rows, "int32"), ops.shape(x))
    return ops.where(bits < 0, ops.bitwise_xor(bits, np.int32(2**31 - 1)), bits)


def _share(rate, n):
    """`rate` of n samples, rounded, at least one; n may be a tensor."""
    if isinstance(n, int):
        return max(1, round(rate * n))
    return ops.maximum(1, ops.cast(ops.round(rate * ops.cast(n, "float32")), "int32"))
