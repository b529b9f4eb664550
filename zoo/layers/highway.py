"""Highway layers (Srivastava, Greff, Schmidhuber 2015, "Highway Networks", arXiv 1505.00387)."""

import keras


@keras.saving.register_keras_serializable("zoo")
class Highway(keras.layers.Layer):
    """A dense layer that learns which of its inputs to carry through: y = t h + (1 - t) x, with the gate t = sigmoid(W x + b).

    Args:
        activation: of h, a dense layer of as many units as x has features.
        gate_bias: b at the start; a negative one carries x through at first.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, activation="relu", gate_bias=-2.0, **kwargs):
        super().__init__(**kwargs)
        self.activation, self.gate_bias = keras.activations.get(activation), gate_bias

    def build(self, input_shape):
        """Make both dense layers."""
        size = input_shape[-1]
        self.transform = keras.layers.Dense(size, self.activation, name="transform", dtype=self.dtype_policy)
        bias = keras.initializers.Constant(self.gate_bias)
        self.gate = keras.layers.Dense(size, "sigmoid", bias_initializer=bias, name="gate", dtype=self.dtype_policy)
        self.transform.build(input_shape)
        self.gate.build(input_shape)

    def call(self, x):
        """`(..., features)`, and the same shape back."""
        gate = self.gate(x)
        return gate * self.transform(x) + (1 - gate) * x

    def compute_output_shape(self, input_shape):
        """That of the input."""
        return input_shape

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "activation": keras.activations.serialize(self.activation), "gate_bias": self.gate_bias}
