"""Position encoding of short sentences (Sukhbaatar et al. 2015, "End-To-End Memory Networks", arXiv:1503.08895, section 4.1)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class PositionEncoding(keras.layers.Layer):
    """Weights that let a sum of word vectors keep the order of the words.

    Component k of d of word j of a sentence of J words is weighted with l_kj = (1 - j / J) - (k / d) (1 - 2 j / J), all counted from 1.
    A sentence is then `ops.sum(weights * vectors, axis=-2)`. The layer has no weights of its own to train.

    Args:
        size: number of components d of a word vector.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, mask):
        """The weights of every word.

        Args:
            mask: `(..., words)`, true where there is a word. J counts these; the others are skipped.

        Returns:
            Weights `(..., words, size)`, 0 where there is no word.
        """
        present = ops.cast(mask, "float32")
        count = ops.maximum(ops.sum(present, axis=-1, keepdims=True), 1.0)
        place = (ops.cumsum(present, axis=-1) / count)[..., None]
        component = ops.arange(1, self.size + 1, dtype="float32") / self.size
        weights = ((1.0 - place) - component * (1.0 - 2.0 * place)) * present[..., None]
        return ops.cast(weights, self.compute_dtype)

    def compute_output_shape(self, mask_shape):
        """Shape of the weights: that of the mask and one axis of `size`."""
        return (*mask_shape, self.size)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "size": self.size}
