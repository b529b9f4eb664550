"""Dense layers with masks on their weights, and masks that make a network autoregressive.

Paper: Germain, Gregor, Murray, Larochelle 2015, "MADE: Masked Autoencoder for Distribution Estimation",
arXiv 1502.03509, its section on masked autoencoders.

Each unit of a network has a degree: an input its place in the ordering, 1 to D, a hidden unit the number of the first inputs that it may
see, 1 to D - 1. `draw_degrees` draws them, `degree_mask` makes the mask between two layers of them.
"""

import keras
from keras import ops

from zoo import arguments


@keras.saving.register_keras_serializable("zoo")
class MaskedDense(keras.layers.Layer):
    """A dense layer of which a mask, given with each call, cuts connections: `activation(x (W * M) + b)`.

    The mask is an input like any other: it may change from call to call without a new graph.

    Args:
        units: number of outputs.
        activation: name or function.
        use_bias: whether to add `b`.
        conditioning: a second kernel `U` under the same mask, for inputs that are all one, tells units which connections they have:
            `activation(x (W * M) + 1 (U * M) + b)` (connectivity-agnostic training).
        kernel_initializer: name or initializer, of both kernels, before the mask.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if `units` is below 1.
    """

    def __init__(self, units, activation=None, use_bias=True, conditioning=False, kernel_initializer="orthogonal", **kwargs):
        super().__init__(**kwargs)
        self.units = arguments.count("units", units)
        self.use_bias, self.conditioning = arguments.flag("use_bias", use_bias), arguments.flag("conditioning", conditioning)
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        """Make the weights for inputs `(..., features)`."""
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")
        self.bias = self.add_weight((self.units,), "zeros", name="bias") if self.use_bias else None
        # a clone: an initializer with a seed gives the same numbers each time
        initializer = self.kernel_initializer.clone() if self.conditioning else None
        self.conditioning_kernel = self.add_weight(shape, initializer, name="conditioning_kernel") if self.conditioning else None

    def call(self, x, mask_of_weights):
        """Transform.

        Args:
            x: `(..., features)`.
            mask_of_weights: `(features, units)`, 1 where there is a connection, else 0.

        Returns:
            `(..., units)`.
        """
        kernel, bias = self.masked(mask_of_weights)
        y = ops.matmul(x, ops.cast(kernel, self.compute_dtype))
        return self.activation(y if bias is None else y + ops.cast(bias, self.compute_dtype))

    def masked(self, mask_of_weights):
        """The kernel and the bias that a mask leaves of this layer; the bias includes the conditioning, and is `None` without both."""
        mask_of_weights = ops.cast(mask_of_weights, self.variable_dtype)
        bias = self.bias
        if self.conditioning:
            signal = ops.sum(self.conditioning_kernel * mask_of_weights, axis=0)
            bias = signal if bias is None else bias + signal
        return self.kernel * mask_of_weights, bias

    def compute_output_shape(self, input_shape, mask_of_weights_shape=None):
        """`(..., units)`."""
        return (*input_shape[:-1], self.units)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "conditioning": self.conditioning,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def degree_mask(before, after, strict=False):
    """Mask between two layers: a connection is there if its unit sees no more inputs than the unit it leads to.

    Args:
        before: degrees `(features,)`.
        after: degrees `(units,)`.
        strict: whether it must see fewer, as outputs need: `after` are then the places of the variables that they predict.

    Returns:
        Bool tensor `(features, units)`.
    """
    before, after = before[:, None], after[None, :]
    return before < after if strict else before <= after


def draw_degrees(noise, dimensions, units, ordering=None):
    """Degrees of all layers from uniform noise (algorithm 1); runs in a compiled graph, so that each batch can have masks of its own.

    Args:
        noise: `(dimensions + sum(units),)` in [0, 1).
        dimensions: number of inputs D, at least 2.
        units: sizes of the hidden layers.
        ordering: places `(dimensions,)`, 1 to D, in place of random ones.

    Returns:
        List of int32 tensors: places of the inputs, a permutation of 1 to D, then the degrees of each hidden layer, between the smallest
        one of the layer before and D - 1, so that no unit is without inputs.
    """
    # the order in which independent draws lie is a random permutation
    places = ops.cast(ops.argsort(noise[:dimensions]) + 1, "int32") if ordering is None else ops.cast(ordering, "int32")
    found, start, low = [places], dimensions, ops.ones((), "int32")
    for size in units:
        span = ops.cast(dimensions - low, "float32")
        steps = ops.cast(ops.floor(noise[start : start + size] * span), "int32")
        # noise just below 1 may round up
        found.append(ops.minimum(low + steps, dimensions - 1))
        start, low = start + size, ops.min(found[-1])
    return found
