"""Max pooling that remembers where each maximum was, and unpooling that puts values back there.

Papers: Badrinarayanan, Kendall, Cipolla 2015, "SegNet", arXiv 1511.00561; Kendall et al. 2015, "Bayesian SegNet", arXiv 1511.02680.
Windows do not overlap, so a maximum is remembered by its position within its window, and no global scatter is needed.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class MaxPoolingWithArgmax2D(keras.Layer):
    """Maxima of windows that do not overlap, and the position of each maximum in its window.

    Sides that are not multiples of the window are taken as padded at the bottom and right by values that are never a maximum, as
    `padding="same"` of Keras does for a window of two. The first of equal values (in row order) is the maximum and receives the gradient.

    Args:
        pool_size: side of the windows.
        **kwargs: of `keras.Layer`.
    """

    def __init__(self, pool_size=2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = _window(pool_size)

    def call(self, inputs):
        """Pool.

        Args:
            inputs: `(batch, height, width, channels)`.

        Returns:
            Maxima `(batch, ceil(height / pool_size), ceil(width / pool_size), channels)`, and int32 positions of that shape:
            `row * pool_size + column` within the window.
        """
        size = self.pool_size
        rows, columns = ((n + size - 1) // size for n in ops.shape(inputs)[1:3])
        if any(n is None or n % size for n in inputs.shape[1:3]):
            lowest = float("-inf")
            inputs = ops.pad(inputs, [(0, 0), (0, size - 1), (0, size - 1), (0, 0)], constant_values=lowest)
        best = position = None
        for row in range(size):
            for column in range(size):
                seen = inputs[:, row : row + (rows - 1) * size + 1 : size, column : column + (columns - 1) * size + 1 : size]
                if best is None:
                    best, position = seen, ops.zeros_like(seen, dtype="int32")
                    continue
                larger = seen > best
                best = ops.where(larger, seen, best)
                position = ops.where(larger, row * size + column, position)
        return best, position

    def compute_output_spec(self, inputs):
        """Shapes and dtypes of maxima and positions."""
        batch, height, width, channels = inputs.shape
        shape = (batch, *(None if n is None else -(-n // self.pool_size) for n in (height, width)), channels)
        return keras.KerasTensor(shape, dtype=self.compute_dtype), keras.KerasTensor(shape, dtype="int32")

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "pool_size": self.pool_size}


@keras.saving.register_keras_serializable("zoo")
class MaxUnpooling2D(keras.Layer):
    """The reverse of `MaxPoolingWithArgmax2D`: each value goes to the remembered place of its window, the rest is zero.

    Args:
        pool_size: side of the windows.
        **kwargs: of `keras.Layer`.
    """

    def __init__(self, pool_size=2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = _window(pool_size)

    def call(self, inputs, positions, like):
        """Unpool.

        Args:
            inputs: values `(batch, rows, columns, channels)`.
            positions: of `MaxPoolingWithArgmax2D`, of the same shape.
            like: the tensor that was pooled; only its height and width count.

        Returns:
            `(batch, height, width, channels)`.
        """
        size = self.pool_size
        _, rows, columns, channels = ops.shape(inputs)
        zero = ops.zeros_like(inputs)
        lines = []
        for row in range(size):
            line = ops.stack([ops.where(positions == row * size + column, inputs, zero) for column in range(size)], axis=3)
            lines.append(ops.reshape(line, (-1, rows, columns * size, channels)))
        full = ops.reshape(ops.stack(lines, axis=2), (-1, rows * size, columns * size, channels))
        height, width = ops.shape(like)[1:3]
        return full[:, :height, :width]

    def compute_output_spec(self, inputs, positions, like):
        """Shape and dtype of the result."""
        return keras.KerasTensor((inputs.shape[0], *like.shape[1:3], inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "pool_size": self.pool_size}


def _window(pool_size):
    if not isinstance(pool_size, int) or pool_size < 1:
        raise ValueError(f"`pool_size` must be a whole number of at least 1. Received: {pool_size}")
    return pool_size
