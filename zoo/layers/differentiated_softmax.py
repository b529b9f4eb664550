"""A softmax that gives frequent words more features than rare ones (Chen, Grangier, Auli 2015, arXiv 1512.04906, section 3.2)."""

import keras
import numpy as np
from keras import ops

from zoo import arguments
from zoo.layers.word_softmax import log_shares


@keras.saving.register_keras_serializable("zoo")
class DifferentiatedSoftmax(keras.layers.Layer):
    """Cross-entropy of words in bands of frequency, each of which sees features of its own, so many that a word is worth.

    Args:
        symbols: number of ids: padding, unknown, the words from the most frequent to the rarest, and the end of a text, which is of the
            first band.
        units: length of the inputs.
        bands: pairs of a share of the symbols and a share of the features, the most frequent first; both add up to 1.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is none of these, or a band has no word or no feature.
    """

    def __init__(self, symbols, units, bands=((0.1, 0.6), (0.2, 0.25), (0.7, 0.15)), **kwargs):
        super().__init__(**kwargs)
        arguments.count("symbols", symbols)
        arguments.count("units", units)
        self.symbols, self.units, self.bands = symbols, units, bands
        self._words, self._features = _borders(bands, symbols, units)
        # the end of a text comes first, padding last
        order = np.concatenate([[symbols - 1], np.arange(1, symbols - 1), [0]])
        self._order, self._place = order, np.argsort(order).astype("int32")
        sizes = zip(np.diff(self._words), np.diff(self._features))
        self.kernels = [self.add_weight(size, "glorot_uniform", name=f"kernel_{i}", autocast=False) for i, size in enumerate(sizes)]
        self.bias = self.add_weight((symbols,), "zeros", name="bias", autocast=False)
        self.built = True

    def start_from(self, ids):
        """As `WordSoftmax.start_from`."""
        if not np.any(ops.convert_to_numpy(self.bias)):
            self.bias.assign(log_shares(ids, self.symbols)[self._order])

    def _logits(self, inputs):
        """By place in the order of frequency."""
        parts = ops.split(ops.cast(inputs, "float32"), self._features[1:-1], axis=-1)
        found = [ops.matmul(part, ops.transpose(kernel)) for part, kernel in zip(parts, self.kernels)]
        return ops.concatenate(found, axis=-1) + self.bias

    def logits(self, inputs):
        """Logits `(..., symbols)` float32 by id."""
        return ops.take(self._logits(inputs), self._place, axis=-1)

    def call(self, inputs, targets, training=False):
        """Losses `(batch, length)` float32 of `targets` `(batch, length)`, 0 for padding; inputs are `(batch, length, units)`."""
        places = ops.take(ops.convert_to_tensor(self._place), targets)
        logits = self._logits(inputs)
        losses = keras.losses.sparse_categorical_crossentropy(places, logits, from_logits=True)
        return losses * ops.cast(targets != 0, "float32")

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), **{name: getattr(self, name) for name in ("symbols", "units", "bands")}}


def band_shares(bands):
    """Bands as an array `(bands, 2)`, checked."""
    shares = arguments.numbers("bands", bands, rank=2)
    if shares.shape[1] != 2 or not np.allclose(shares.sum(axis=0), 1) or shares.min() <= 0:
        arguments.refuse("bands", "pairs of shares above 0 that add up to 1", bands)
    return shares


def _borders(bands, symbols, units):
    """Where bands begin and end, among the symbols and among the features, lists of ints that start with 0."""
    shares = band_shares(bands)
    borders = [[0, *np.round(np.cumsum(column) * size).astype(int).tolist()] for column, size in zip(shares.T, (symbols, units))]
    if any(np.diff(column).min() < 1 for column in borders):
        arguments.refuse("bands", f"bands of a word and a feature at least, of {symbols} and {units}", bands)
    return borders
