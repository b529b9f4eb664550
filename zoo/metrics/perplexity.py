"""Perplexity of a language model, from its predictions or from nats."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class Perplexity(keras.metrics.MeanMetricWrapper):
    """The exponential of the mean cross-entropy (nats) of the words that came.

    Args:
        from_logits: whether predictions are logits rather than probabilities.
        name: of the metric.
        dtype: of its state.
    """

    def __init__(self, from_logits=True, name="perplexity", dtype=None):
        super().__init__(keras.losses.sparse_categorical_crossentropy, name=name, dtype=dtype, from_logits=from_logits)
        self.from_logits = from_logits
        self._direction = "down"

    def result(self):
        """The perplexity so far."""
        return ops.exp(super().result())

    def get_config(self):
        """The constructor's arguments."""
        return {"from_logits": self.from_logits, "name": self.name, "dtype": self.dtype}


class MeanPerplexity(keras.metrics.Mean):
    """The perplexity of mean nats of a word, weighted by words: for methods whose predictions are no probabilities of words."""

    def result(self):
        """The exponential of the mean so far."""
        return ops.exp(super().result())
