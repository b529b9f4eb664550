"""Softmaxes over words as decisions: which class and which of its words, or turn by turn down a tree.

Goodman 2001, cs/0108006; Morin, Bengio 2005; compared by Chen, Grangier, Auli 2015, arXiv 1512.04906, section 3.1.
"""

import keras
import numpy as np
from keras import ops

from zoo import arguments
from zoo.layers.rows import first_rows, gather_rows, has_row_reads
from zoo.layers.word_prediction import HierarchicalSoftmax
from zoo.layers.word_softmax import log_shares
from zoo.text.words import PADDING

# the logit of a place where there is no word
_NEVER = -1e9
# places of a block
_BLOCK = 8


@keras.saving.register_keras_serializable("zoo")
class ClassSoftmax(keras.layers.Layer):
    """The probability of a word is that of its class, times that of the word among those of its class: with the square root of the words
    for the number of classes, an update costs that much.

    The places of a batch are sorted by the classes of their words, and cut into blocks of a class, whose rows are fetched once for each.

    Args:
        symbols: number of ids; 0 is padding.
        units: length of the inputs.
        classes: the class of each id, `symbols` whole numbers from 0, see `frequency_classes` and its kind. A block costs as much as the
            largest class has words.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(self, symbols, units, classes, **kwargs):
        super().__init__(**kwargs)
        arguments.count("symbols", symbols)
        arguments.count("units", units)
        # a class without words would have a probability
        found = np.unique(checked_classes(classes, symbols), return_inverse=True)[1].astype("int32")
        self.symbols, self.units = symbols, units
        self.classes = classes.tolist() if isinstance(classes, np.ndarray) else classes
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
        # on TensorFlow there are as many blocks as a batch needs, which XLA would have to know before
        self.supports_jit = not has_row_reads(self.kernel)
        self.built = True

    def call(self, inputs, targets, training=False):
        """Losses `(batch, length)` float32 of `targets` `(batch, length)`, 0 for padding; inputs are `(batch, length, units)`."""
        rows, words = ops.reshape(ops.cast(inputs, "float32"), (-1, self.units)), ops.reshape(targets, (-1,))
        owner = ops.take(ops.convert_to_tensor(self._class), words)
        losses = keras.losses.sparse_categorical_crossentropy(owner, self._class_logits(rows), from_logits=True)
        losses += self._within(rows, words, owner)
        return ops.reshape(losses * ops.cast(words != PADDING, "float32"), ops.shape(targets))

    def _within(self, inputs, words, owner):
        """Losses of words `(n,)` among those of their classes, for inputs `(n, units)`; any number for padding."""
        number = len(self._sizes)
        # padding stands behind the last class, and has no block
        blocks = _Blocks(ops.where(words == PADDING, number, owner), number, self.kernel)
        starts, sizes = (ops.take(ops.convert_to_tensor(table), blocks.owner) for table in (self._starts, self._sizes))
        slots = ops.arange(int(self._sizes.max()), dtype="int32")
        rows = ops.minimum(starts[:, None] + slots, self.symbols - 1)
        logits = ops.matmul(ops.take(inputs, blocks.places, axis=0), ops.transpose(gather_rows(self.kernel, rows), (0, 2, 1)))
        logits = logits + gather_rows(self.bias, rows)[:, None, :, 0]
        logits = ops.where((slots < sizes[:, None])[:, None], logits, _NEVER)
        # a word of another class may fill a block up: any slot does
        own = ops.take(ops.take(ops.convert_to_tensor(self._place), words), blocks.places) - starts[:, None]
        own = ops.clip(own, 0, int(self._sizes.max()) - 1)
        losses = ops.logsumexp(logits, axis=-1) - ops.take_along_axis(logits, own[..., None], axis=-1)[..., 0]
        return ops.take(ops.reshape(losses, (-1,)), blocks.slots)

    def start_from(self, ids):
        """As `WordSoftmax.start_from`: the shares of the classes, and of the words within their classes."""
        if np.any(ops.convert_to_numpy(self.bias)) or np.any(ops.convert_to_numpy(self.class_bias)):
            return
        shares = log_shares(ids, self.symbols)
        classes = np.log(np.bincount(self._class, np.exp(shares.astype("float64"))))
        self.class_bias.assign(classes)
        self.bias.assign((shares - classes[self._class])[np.argsort(self._place)][:, None])

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

    It has no biases, and needs none to start from: before it has learned, a word's probability halves with each decision, which is about
    its share in the counts.

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

    def start_from(self, ids):
        """Nothing, as there are no biases."""

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


class _Blocks:
    """Places by class, in blocks of `_BLOCK` places of one class each; the last of a class is filled up with any places.

    Args:
        owner: class of each place `(n,)` int32; `number` for those that are in no block.
        number: of classes.
        table: a variable of the layer, which tells whether the number of blocks has to be known before, see `first_rows`.

    Attributes:
        owner: class of each block.
        places: of each block `(blocks, _BLOCK)`.
        slots: where each place stands, counted through all blocks, `(n,)`.
    """

    def __init__(self, owner, number, table):
        count = ops.shape(owner)[0]
        order = ops.argsort(owner)
        sizes = ops.segment_sum(ops.ones_like(owner), owner, number + 1)
        starts, blocks = ops.cumsum(sizes) - sizes, (sizes + _BLOCK - 1) // _BLOCK
        ends = ops.cumsum(blocks)
        # there can be one for each place, and one for each class beside the full ones; there is one though all be padding
        every = first_rows(ops.arange(count, dtype="int32")[: count // _BLOCK + number], ops.maximum(ends[-2], 1), table)
        self.owner = ops.minimum(ops.cast(ops.searchsorted(ends[:-1], every, side="right"), "int32"), number - 1)
        first = ops.take(starts, self.owner) + _BLOCK * (every - ops.take(ends - blocks, self.owner))
        self.places = ops.take(order, ops.minimum(first[:, None] + ops.arange(_BLOCK, dtype="int32"), count - 1))
        # the place that is n-th of its class, in the order of classes, and back in that of the batch
        mine = ops.take(owner, order)
        within = ops.arange(count, dtype="int32") - ops.take(starts, mine)
        slots = _BLOCK * ops.take(ends - blocks, mine) + within
        self.slots = ops.minimum(ops.take(slots, ops.argsort(order)), _BLOCK * ops.shape(every)[0] - 1)


def checked_classes(classes, words):
    """The class of each of `words` words, int32, or a `ValueError`."""
    found = arguments.numbers("classes", classes, rank=1)
    if len(found) != words or np.any(found != np.round(found)) or not 0 <= found.min() <= found.max() < words:
        arguments.refuse("classes", f"{words} whole numbers from 0 to {words - 1}, the class of each word", classes)
    return found.astype("int32")
