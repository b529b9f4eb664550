"""Output layers over many words whose training cost does not grow with their number: negative sampling and hierarchical softmax.

Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their Compositionality", arXiv 1310.4546, sections 2.1 and 2.2.

Inputs and target words come in rows; every input of a row may be paired with every target, as `weights` says. What a row uses several
times is then fetched once and multiplied as a matrix: a document and its words are a row, and so are neighbouring words and their windows.
"""

import keras
import numpy as np
from keras import ops

from zoo.layers.rows import gather_rows, moderate
from zoo.text.frequencies import alias_table
from zoo.text.huffman import huffman_codes


@keras.saving.register_keras_serializable("zoo")
class NegativeSampling(keras.layers.Layer):
    """Tells target words from words drawn at random: `-log s(x u_w) - sum_k log s(-x u_k)`, with `negative` draws from `counts^power`.

    A draw that is the target itself is passed over, not drawn again.

    Args:
        counts: how often each word occurs.
        dim: length of the inputs.
        negative: draws (the paper: 5 to 20 for small, 2 to 5 for large data).
        power: of the counts.
        shared: whether the targets of a row share their draws; else each has its own. (The inputs paired with a target always do.)
        most_uses: updates of one row by a batch, see `zoo.layers.rows.moderate`; `None` for no limit.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, counts, dim, negative=5, power=0.75, shared=False, most_uses=None, **kwargs):
        super().__init__(**kwargs)
        _check(counts, dim)
        if negative < 1:
            raise ValueError(f"`negative` must be at least 1. Received: {negative}")
        self.counts, self.dim, self.negative, self.power = counts, dim, negative, power
        self.shared, self.most_uses = shared, most_uses
        self.sampler = UnigramSampler(counts, power)
        self.seed_generator = keras.random.SeedGenerator()
        self.table = self.add_weight((len(counts), dim), "zeros", name="table", autocast=False)
        self.built = True

    def call(self, inputs, targets, weights, draws=None):
        """Weighted losses of targets, summed over the inputs.

        Args:
            inputs: `(rows, inputs, dim)` float32.
            targets: numbers of words `(rows, targets)` int32.
            weights: of the pairs `(rows, targets, inputs)` float32; 0 where there is no pair.
            draws: words `(any,)` for all rows in place of random ones; their losses are scaled to `negative` draws.

        Returns:
            `(rows, targets)` float32.
        """
        rows, length, uses = ops.shape(targets)[0], targets.shape[1], ops.sum(weights, axis=-1)
        shared = self.shared or draws is not None
        if draws is None:
            draws = self.sampler((rows, self.negative * (1 if shared else length)), self.seed_generator)
        else:
            draws = ops.broadcast_to(draws, (rows, draws.shape[0]))
        number = draws.shape[1]
        share = self.negative / number if shared else 1.0
        # how often a draw is used: by all targets of the row, or by its own
        drawn_uses = ops.sum(uses, axis=1, keepdims=True) * share if shared else ops.repeat(uses, self.negative, axis=1)
        drawn_uses = ops.broadcast_to(drawn_uses, (rows, number))
        words = ops.concatenate([targets, draws], axis=1)
        vectors = self._fetch(words, ops.concatenate([uses, drawn_uses], axis=1))
        scores = ops.matmul(vectors, ops.transpose(inputs, (0, 2, 1)))
        near, far = ops.softplus(-scores[:, :length]), ops.softplus(scores[:, length:])
        if shared:
            other = ops.cast(ops.not_equal(draws[:, None], targets[:, :, None]), "float32") * share
            far = ops.matmul(other, far)
        else:
            other = ops.not_equal(ops.reshape(draws, (rows, length, self.negative)), targets[:, :, None])
            far = ops.reshape(far, (rows, length, self.negative, inputs.shape[1])) * ops.cast(other, "float32")[..., None]
            far = ops.sum(far, axis=2)
        return ops.sum((near + far) * weights, axis=-1)

    def _fetch(self, ids, uses):
        return moderate(gather_rows(self.table, ids), ids, uses, self.table.shape[0], self.most_uses)

    def get_config(self):
        """The constructor's arguments."""
        names = ("counts", "dim", "negative", "power", "shared", "most_uses")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("zoo")
class HierarchicalSoftmax(keras.layers.Layer):
    """A softmax over words as decisions down a Huffman tree: about `log2(words)` products for a word instead of one for each word.

    Args:
        counts: how often each word occurs.
        dim: length of the inputs.
        most_uses: updates of one row by a batch, see `zoo.layers.rows.moderate`; `None` for no limit.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, counts, dim, most_uses=None, **kwargs):
        super().__init__(**kwargs)
        _check(counts, dim)
        self.counts, self.dim, self.most_uses = counts, dim, most_uses
        codes, nodes, mask = huffman_codes(counts)
        # -1 for branch 1, +1 for branch 0, and 0 behind the word
        self._signs = ops.convert_to_tensor((1 - 2 * codes) * mask, "float32")
        self._nodes = ops.convert_to_tensor(nodes * mask.astype("int32"))
        self.table = self.add_weight((len(counts) - 1, dim), "zeros", name="table", autocast=False)
        self.built = True

    def call(self, inputs, targets, weights):
        """Weighted losses of targets, summed over the inputs; shapes as in `NegativeSampling.call`."""
        rows, (length, depth) = ops.shape(targets)[0], (targets.shape[1], self._nodes.shape[1])
        signs = ops.reshape(ops.take(self._signs, targets, axis=0), (rows, length * depth))
        nodes = ops.reshape(ops.take(self._nodes, targets, axis=0), (rows, length * depth))
        uses = ops.repeat(ops.sum(weights, axis=-1), depth, axis=1) * ops.abs(signs)
        vectors = self._fetch(nodes, uses)
        scores = ops.matmul(vectors, ops.transpose(inputs, (0, 2, 1)))
        losses = ops.softplus(-signs[..., None] * scores) * ops.abs(signs)[..., None]
        losses = ops.sum(ops.reshape(losses, (rows, length, depth, inputs.shape[1])), axis=2)
        return ops.sum(losses * weights, axis=-1)

    def log_probabilities(self, inputs):
        """Log of the probabilities of all words, `(..., words)`, for inputs `(..., dim)`."""
        scores = ops.matmul(inputs, ops.transpose(self.table))
        scores = ops.take(scores, self._nodes, axis=-1)
        return -ops.sum(ops.softplus(-self._signs * scores) * ops.abs(self._signs), axis=-1)

    def _fetch(self, ids, uses):
        return moderate(gather_rows(self.table, ids), ids, uses, self.table.shape[0], self.most_uses)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "counts": self.counts, "dim": self.dim, "most_uses": self.most_uses}


class UnigramSampler:
    """Draws words in proportion to `counts^power`, in constant time each.

    Args:
        counts: how often each word occurs.
        power: of the counts; 0 draws uniformly.
    """

    def __init__(self, counts, power=0.75):
        self._table = threshold, other = alias_table(np.asarray(counts, "float64") ** power)
        self._threshold, self._other = ops.convert_to_tensor(threshold), ops.convert_to_tensor(other)

    def __call__(self, shape, seed):
        """Words of the given shape, int32.

        Args:
            shape: of the draws.
            seed: a `keras.random.SeedGenerator`, or a whole number, which gives the same words each time.
        """
        column = keras.random.randint(shape, 0, self._other.shape[0], seed=seed)
        chance = keras.random.uniform(shape, seed=seed + 1 if isinstance(seed, int) else seed)
        return ops.where(chance < ops.take(self._threshold, column, axis=0), column, ops.take(self._other, column, axis=0))

    def fixed(self, shape):
        """The same words at every call and on both backends, a NumPy array int32."""
        rng, (threshold, other) = np.random.default_rng(0), self._table
        column, chance = rng.integers(len(other), size=shape), rng.random(shape)
        return np.where(chance < threshold[column], column, other[column]).astype("int32")


def _check(counts, dim):
    if len(counts) < 2 or min(counts) < 0 or dim < 1:
        raise ValueError(f"`counts` must be two or more, none negative, and `dim` at least 1. Received: {str(counts)[:100]}, {dim}")
