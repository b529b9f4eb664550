"""Softmaxes over words as decisions: which class and which of its words, or turn by turn down a tree.

Goodman 2001, cs/0108006; Morin, Bengio 2005; compared by Chen, Grangier, Auli 2015, arXiv 1512.04906, section 3.1.
"""

import keras
import numpy as np
from keras import ops

from zoo import arguments
from zoo.layers.rows import gather_rows
from zoo.layers.word_prediction import HierarchicalSoftmax
from zoo.text.words import PADDING

# the logit of a place where there is no word
_NEVER = -1e9


@keras.saving.register_keras_serializable("zoo")
class ClassSoftmax(keras.layers.Layer):
    """The probability of a word is that of its class, times that of the word among those of its class: with the square root of the words
    for the number of classes, an update costs that much.

    Args:
        symbols: number of ids; 0 is padding.
        units: length of the inputs.
        classes: the class of each id, `symbols` whole numbers from 0, see `frequency_classes` and its kind. An update costs as much as the
            largest class has words.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(self, symbols, units, classes, **kwargs):
        super().__init__(**kwargs)
        arguments.count("symbols", symbols)
        arguments.count("units", units)
        found = arguments.numbers("classes", classes, rank=1).astype("int32")
        if len(found) != symbols or not 0 <= found.min() <= found.max() < symbols:
            arguments.refuse("classes", f"{symbols} whole numbers from 0, one for each symbol", classes)
        self.symbols, self.units, self.classes = symbols, units, classes
        sizes = np.bincount(found)
        starts = np.cumsum(sizes) - sizes
        # rows of the kernel stand in the order of classes
        place = np.empty(symbols, "int32")
        place[np.argsort(found, kind="stable")] = np.arange(symbols)
        self._class, self._place, self._starts, self._sizes = found, place, starts.astype("int32"), sizes.astype("int32")
        self.class_kernel = self.add_weight((len(sizes), units), "glorot_uniform", name="class_kernel", autocast=False)
        self.class_bias = self.add_weight((len(sizes),), "zeros", name="class_bias", autocast=False)
        self.kernel = self.add_weight((symbols, units), "glorot_uniform", name="kernel", autocast=False)
        self.bias = self.add_weight((symbols, 1), "zeros", name="bias", autocast=False)
        self.built = True

    def call(self, inputs, targets, training=False):
        """Losses `(batch, length)` float32 of `targets` `(batch, length)`, 0 for padding; inputs are `(batch, length, units)`."""
        inputs = ops.cast(inputs, "float32")
        owner, place = (ops.take(ops.convert_to_tensor(table), targets) for table in (self._class, self._place))
        start, size = (ops.take(ops.convert_to_tensor(table), owner) for table in (self._starts, self._sizes))
        slots = ops.arange(int(self._sizes.max()), dtype="int32")
        rows = ops.minimum(start[..., None] + slots, self.symbols - 1)
        logits = ops.einsum("btu,btsu->bts", inputs, gather_rows(self.kernel, rows)) + gather_rows(self.bias, rows)[..., 0]
        logits = ops.where(slots < size[..., None], logits, _NEVER)
        losses = keras.losses.sparse_categorical_crossentropy(place - start, logits, from_logits=True)
        losses += keras.losses.sparse_categorical_crossentropy(owner, self._class_logits(inputs), from_logits=True)
        return losses * ops.cast(targets != PADDING, "float32")

    def _class_logits(self, inputs):
        return ops.matmul(inputs, ops.transpose(self.class_kernel)) + self.class_bias

    def logits(self, inputs):
        """Log-probabilities `(n, symbols)` float32 of all symbols, for inputs `(n, units)`."""
        inputs, classes = ops.cast(inputs, "float32"), len(self._sizes)
        scores = ops.matmul(inputs, ops.transpose(self.kernel)) + self.bias[:, 0]
        owner = np.sort(self._class)
        most = ops.transpose(ops.segment_max(ops.transpose(scores), owner, classes))
        scores = scores - ops.take(most, owner, axis=1)
        total = ops.log(ops.transpose(ops.segment_sum(ops.transpose(ops.exp(scores)), owner, classes)))
        within = scores - ops.take(total, owner, axis=1)
        found = ops.take(keras.activations.log_softmax(self._class_logits(inputs)), owner, axis=1) + within
        return ops.take(found, self._place, axis=1)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), **{name: getattr(self, name) for name in ("symbols", "units", "classes")}}


@keras.saving.register_keras_serializable("zoo")
class TreeSoftmax(keras.layers.Layer):
    """Cross-entropy of words as decisions down a Huffman tree, with the interface of `WordSoftmax`; see `HierarchicalSoftmax`.

    Args:
        symbols: number of ids; 0 is padding.
        units: length of the inputs.
        counts: how often each id occurs.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, symbols, units, counts, **kwargs):
        super().__init__(**kwargs)
        self.symbols, self.units, self.counts = symbols, units, counts
        self.tree = HierarchicalSoftmax(counts, units, name="tree")
        self.built = True

    def call(self, inputs, targets, training=False):
        """Losses `(batch, length)` float32 of `targets` `(batch, length)`, 0 for padding; inputs are `(batch, length, units)`."""
        rows, words = ops.reshape(ops.cast(inputs, "float32"), (-1, 1, self.units)), ops.reshape(targets, (-1, 1))
        losses = self.tree(rows, words, ops.cast(words != PADDING, "float32")[..., None])
        return ops.reshape(losses, ops.shape(targets))

    def logits(self, inputs):
        """Log-probabilities `(n, symbols)` float32 of all symbols, for inputs `(n, units)`."""
        return self.tree.log_probabilities(ops.cast(inputs, "float32"))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), **{name: getattr(self, name) for name in ("symbols", "units", "counts")}}
