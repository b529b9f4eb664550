"""A convolution over one-hot vectors that never makes them."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class OneHotConvolution(keras.layers.Layer):
    """What `keras.layers.Conv1D` without padding gives for the one-hot vectors of ids, by looking weights up: `(batch, steps)` int32 to
    `(batch, steps - size + 1, filters)`. Id 0 is the zero vector.

    Args:
        symbols: number of ids.
        filters: number of filters.
        size: their width.
        activation: name or function.
        kernel_initializer: name or initializer, of a kernel `(size, symbols, filters)`.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, symbols, filters, size, activation=None, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        if min(symbols, filters, size) < 1:
            raise ValueError(f"`symbols`, `filters` and `size` must be at least 1. Received: {symbols}, {filters}, {size}")
        self.symbols, self.filters, self.size, self.activation = symbols, filters, size, keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        # the weights that a symbol has at all places of a filter lie side by side
        self.kernel = self.add_weight((symbols, size * filters), self._kernel, name="kernel")
        self.bias = self.add_weight((filters,), "zeros", name="bias")
        self.built = True

    def _kernel(self, shape, dtype=None):
        kernel = self.kernel_initializer((self.size, self.symbols, self.filters), dtype=dtype)
        return ops.reshape(ops.transpose(kernel, (1, 0, 2)), shape)

    def call(self, ids):
        """Feature maps of ids."""
        kernel = ops.cast(self.kernel, self.compute_dtype)
        weights = ops.take(kernel, ids, axis=0) * ops.cast(ops.not_equal(ids, 0), kernel.dtype)[..., None]
        steps = ids.shape[1] - self.size + 1
        parts = [weights[:, k : k + steps, k * self.filters : (k + 1) * self.filters] for k in range(self.size)]
        return self.activation(sum(parts) + ops.cast(self.bias, kernel.dtype))

    def compute_output_shape(self, input_shape):
        """Shape of the maps."""
        return (input_shape[0], input_shape[1] - self.size + 1, self.filters)

    def get_config(self):
        """The constructor's arguments."""
        names = ("symbols", "filters", "size")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
