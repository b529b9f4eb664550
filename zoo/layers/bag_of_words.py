"""A dense layer on bags of words that never makes the bags."""

import keras
from keras import ops

from zoo.text import UNKNOWN


@keras.saving.register_keras_serializable("zoo")
class BagOfWords(keras.layers.Layer):
    """`activation(counts @ kernel + bias)` for the counts of the words of a text, as a sum of rows of the kernel.

    Ids are those of `zoo.text.word_vectorization`: padding (0) and unknown words (1) do not count, word i of a vocabulary has the id i + 2.

    Args:
        num_words: words of the vocabulary.
        units: numbers of the output.
        activation: a Keras activation, or `None`.
        use_bias: whether a bias is added.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, num_words, units, activation=None, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.num_words, self.units, self.use_bias = num_words, units, use_bias
        self.activation = keras.activations.get(activation)
        self.kernel = self.add_weight((num_words, units), "glorot_uniform", name="kernel")
        self.bias = self.add_weight((units,), "zeros", name="bias") if use_bias else None
        self.built = True

    def call(self, ids):
        """Features `(..., units)` of texts as ids `(..., words)`."""
        known = ops.cast(ids > UNKNOWN, self.compute_dtype)
        rows = ops.take(self.kernel, ops.maximum(ids - UNKNOWN - 1, 0), axis=0)
        x = ops.cast(ops.sum(rows * known[..., None], axis=-2), self.compute_dtype)
        return self.activation(x if self.bias is None else x + self.bias)

    def compute_output_shape(self, ids_shape):
        """Shape of the ids, with units in place of words."""
        return (*ids_shape[:-1], self.units)

    def get_config(self):
        """The constructor's arguments."""
        activation = keras.activations.serialize(self.activation)
        return {
            **super().get_config(),
            "num_words": self.num_words,
            "units": self.units,
            "activation": activation,
            "use_bias": self.use_bias,
        }
