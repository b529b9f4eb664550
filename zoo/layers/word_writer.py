"""A language model that a method has beside its own network."""

import keras
from keras import layers, ops

from zoo import text
from zoo.layers.recurrent_decoder import RecurrentDecoder
from zoo.layers.word_softmax import WordSoftmax


@keras.saving.register_keras_serializable("zoo")
class WordWriter(layers.Layer):
    """A recurrent language model as a part of a method: an LSTM over words, and its softmax.

    Args:
        symbols: number of ids: padding, unknown, the words, and the end of a text.
        embedding_size: length of a word vector.
        units: cells.
        dropout: rate on word vectors and on features, in training.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, symbols, embedding_size, units, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.symbols, self.embedding_size, self.units, self.dropout = symbols, embedding_size, units, dropout
        self.writer = RecurrentDecoder(symbols, embedding_size, units, readout=None, dropout=dropout, name="writer")
        self.word_softmax = WordSoftmax(symbols, units, name="word_softmax")
        self.built = True

    def nats(self, ids, end, training=False):
        """Minus the log-probabilities of the words and the end `(batch, length + 1)`."""
        ids = ops.cast(ids, "int32")
        before = text.behind_end(ids, end)
        return self.word_softmax(self.writer(before, training=training)[0], text.with_end(ids, end), training=training)

    def step(self, ids, state):
        """Logits of the next word, and the state."""
        features, state = self.writer.stepper()(ids, state)
        return self.word_softmax.logits(features), state

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), **{name: getattr(self, name) for name in ("symbols", "embedding_size", "units", "dropout")}}
