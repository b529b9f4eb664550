"""Max-pooling dropout, and probabilistic weighted pooling for the time after training.

Paper: Wu, Gu 2015, "Max-Pooling Dropout for Regularization of Convolutional Neural Networks", arXiv 1512.01400.
"""

import keras
from keras import ops

INFERENCE = ("weighted", "max", "scaled_max")


class _Pooling2D(keras.Layer):
    """Arguments and shapes that pooling layers share; channels come last."""

    def __init__(self, pool_size=2, strides=None, padding="valid", **kwargs):
        super().__init__(**kwargs)
        self.pool_size = _pair("pool_size", pool_size)
        self.strides = self.pool_size if strides is None else _pair("strides", strides)
        if padding not in ("valid", "same"):
            raise ValueError(f"`padding` must be 'valid' or 'same'. Received: {padding!r}")
        self.padding = padding
        self.input_spec = keras.InputSpec(ndim=4)
        self.built = True

    def compute_output_shape(self, input_shape):
        """`(batch, height_out, width_out, channels)`, as `keras.layers.MaxPooling2D`.

        Raises:
            ValueError: if the input is smaller than a pooling region.
        """
        size = [_length(n, k, s, self.padding) for n, k, s in zip(input_shape[1:3], self.pool_size, self.strides)]
        if any(n is not None and n < 1 for n in size):
            raise ValueError(f"`inputs` must not be smaller than a region of {self.pool_size}. Received: {tuple(input_shape)}")
        return (input_shape[0], *size, input_shape[3])

    def windows(self, x, fill):
        """The elements of all pooling regions: `pool_height * pool_width` arrays of the output's shape.

        Cut without strided slices, which are an order of magnitude slower on TensorFlow: the image is split into the phases of
        the stride, and each element of the regions is a shifted phase.

        Args:
            x: `(batch, height, width, channels)`.
            fill: value of the elements that "same" padding adds.
        """
        sizes, padding = [], [(0, 0)]
        for n, k, s in zip(ops.shape(x)[1:3], self.pool_size, self.strides):
            length = _length(n, k, s, self.padding)
            before = _larger((length - 1) * s + k - n, 0) // 2 if self.padding == "same" else 0
            whole = _larger(length + (k - 1) // s, -(-(n + before) // s))
            sizes.append((length, whole))
            padding.append((before, whole * s - n - before))
        padding.append((0, 0))
        (height, rows), (width, columns) = sizes
        (down, across), channels = self.strides, x.shape[3]
        if not all(isinstance(n, int) and n == 0 for pair in padding for n in pair):
            x = ops.pad(x, padding, constant_values=fill)
        x = ops.reshape(x, (-1, rows, down, columns, across * channels))
        phases = [ops.split(ops.squeeze(row, 2), across, axis=-1) for row in ops.split(x, down, axis=2)]
        return [
            phases[i % down][j % across][:, i // down : i // down + height, j // across : j // across + width]
            for i in range(self.pool_size[0])
            for j in range(self.pool_size[1])
        ]

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "pool_size": self.pool_size, "strides": self.strides, "padding": self.padding}


@keras.saving.register_keras_serializable("zoo")
class MaxPoolingDropout2D(_Pooling2D):
    """In training, drops units and then takes the maximum of each region; afterwards gives the mean of that by default.

    For nonnegative inputs (after a ReLU), the units of a region sorted from the largest `a_0` to the smallest `a_{n-1}` are picked
    in training with the probabilities `p q^i`, and none (0) with `q^n`, where `q = rate` and `p = 1 - q`: a draw from a multinomial
    distribution. Units are dropped once for all the regions that share them. The inference modes are

    - `"weighted"`: probabilistic weighted pooling, `sum_i p q^i a_i`, the mean over all ways to drop.
    - `"max"`: the maximum, which is larger than what the next layer has seen in training.
    - `"scaled_max"`: `p` times the maximum, as dropout scales units elsewhere.

    A dropped unit counts as 0 and hides negative ones: with negative inputs a region of n units gives a negative output only if all
    of them are negative and none is dropped. `"weighted"` is the exact mean for such inputs as well.

    Args:
        pool_size: height and width of a region, or one number for both.
        strides: rows and columns between regions; `pool_size` by default. Smaller ones make regions overlap.
        padding: `"valid"` or `"same"`; padded places belong to no region.
        rate: probability q of dropping a unit, from 0 (plain max-pooling) to less than 1.
        inference: `"weighted"`, `"max"` or `"scaled_max"`.
        seed: of the random draws.
        **kwargs: of `keras.Layer`.
    """

    def __init__(self, pool_size=2, strides=None, padding="valid", rate=0.5, inference="weighted", seed=None, **kwargs):
        super().__init__(pool_size, strides, padding, **kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must be at least 0 and less than 1. Received: {rate}")
        if inference not in INFERENCE:
            raise ValueError(f"`inference` must be one of {INFERENCE}. Received: {inference!r}")
        self.rate, self.inference, self.seed = rate, inference, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        """Pool.

        Args:
            inputs: `(batch, height, width, channels)`.
            training: whether to drop units.

        Returns:
            `(batch, height_out, width_out, channels)`.
        """
        if training and self.rate:
            kept = keras.random.uniform(ops.shape(inputs), seed=self.generator) >= self.rate
            return self._max(ops.where(kept, inputs, ops.zeros_like(inputs)))
        if self.inference == "weighted" and self.rate:
            return self.weighted(inputs)
        found = self._max(inputs)
        return (1 - self.rate) * found if self.inference == "scaled_max" else found

    def weighted(self, inputs):
        """Probabilistic weighted pooling, whatever `inference` is."""
        ranked = descending(self.windows(inputs, float("-inf")))
        result = sum((1 - self.rate) * self.rate**i * ops.relu(a) for i, a in enumerate(ranked))
        # a region that is negative throughout: its maximum is seen if nothing is dropped
        present = sum(self.windows(ops.ones_like(inputs[:1, :, :, :1]), 0.0))
        return result + (1 - self.rate) ** present * ops.minimum(ranked[0], 0)

    def _max(self, x):
        return ops.max_pool(x, self.pool_size, self.strides, self.padding)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "inference": self.inference, "seed": self.seed}


def descending(arrays):
    """Sort arrays elementwise, largest first, by Batcher's odd-even merges.

    Some twenty times faster than `ops.sort` along an axis, for the few arrays of a pooling region.

    Args:
        arrays: list of n tensors of one shape.

    Returns:
        List of n tensors of that shape.
    """
    arrays = list(arrays)
    for a, b in _comparisons(len(arrays)):
        arrays[a], arrays[b] = ops.maximum(arrays[a], arrays[b]), ops.minimum(arrays[a], arrays[b])
    return arrays


def _comparisons(n):
    """The pairs that Batcher's network compares to sort n items, in order (Knuth, The Art of Computer Programming 3, 5.2.2)."""
    block = 1
    while block < n:
        distance = block
        while distance:
            for start in range(distance % block, n - distance, 2 * distance):
                for i in range(start, min(start + distance, n - distance)):
                    if i // (2 * block) == (i + distance) // (2 * block):
                        yield i, i + distance
            distance //= 2
        block *= 2


def _length(n, size, stride, padding):
    """Number of regions along an axis of n places."""
    if n is None:
        return None
    return -(-n // stride) if padding == "same" else (n - size) // stride + 1


def _larger(a, b):
    """The larger of two sizes; a tensor only where one is not known before the run."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else ops.maximum(a, b)


def _pair(name, value):
    pair = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    if len(pair) != 2 or not all(isinstance(n, int) and n >= 1 for n in pair):
        raise ValueError(f"`{name}` must be one or two whole numbers of at least 1. Received: {value}")
    return pair
