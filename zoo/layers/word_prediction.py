"""Output layers over many words whose training cost does not grow with their number: negative sampling and hierarchical softmax.

Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their Compositionality", arXiv 1310.4546, sections 2.1 and 2.2.

Inputs and target words come in rows; every input of a row may be paired with every target, as `weights` says. What a row uses several
times is then fetched once and multiplied as a matrix: a document and its words are a row, and so are neighbouring words and their windows.
What many rows use is multiplied with all of them at once: draws that a batch shares, and the decisions next to the root of a tree.
"""

import keras
import numpy as np
from keras import ops

from zoo.layers.rows import fetch_rows, gather_rows, limited, total_uses
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
        shared: 0, or so many draws that all targets of a batch share, each weighted by `negative / shared`: the same mean, and one matrix
            product. Otherwise each target has its own draws. (The inputs paired with a target always share them.)
        most_uses: updates of one row by a batch, see `zoo.layers.rows.moderate`; `None` for no limit.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, counts, dim, negative=5, power=0.75, shared=0, most_uses=None, **kwargs):
        super().__init__(**kwargs)
        _check(counts, dim)
        if negative < 1 or isinstance(shared, bool) or shared < 0:
            raise ValueError(f"`negative` must be at least 1, `shared` a number of draws or 0. Received: {negative}, {shared}")
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
            draws: words `(any,)` that all targets share in place of random ones; their losses are scaled to `negative` draws.

        Returns:
            `(rows, targets)` float32.
        """
        uses = ops.sum(weights, axis=-1)
        if draws is None and self.shared:
            draws = self.sampler((self.shared,), self.seed_generator)
        if draws is None:
            losses = self._with_own_draws(inputs, targets, uses)
        else:
            losses = self._with_shared_draws(inputs, targets, uses, draws)
        return ops.sum(losses * weights, axis=-1)

    def _with_own_draws(self, inputs, targets, uses):
        """Losses of all pairs `(rows, targets, inputs)`."""
        (rows, number), length = ops.shape(inputs)[:2], targets.shape[1]
        draws = self.sampler((rows, self.negative * length), self.seed_generator)
        words = ops.concatenate([targets, draws], axis=1)
        uses = ops.concatenate([uses, ops.repeat(uses, self.negative, axis=1)], axis=1)
        vectors = fetch_rows(self.table, words, uses, self.most_uses)
        near, far = ops.split(ops.einsum("rwd,rid->rwi", vectors, inputs), [length], axis=1)
        far = ops.reshape(ops.softplus(far), (rows, length, self.negative, number))
        other = ops.not_equal(ops.reshape(draws, (rows, length, self.negative)), targets[:, :, None])
        return ops.softplus(-near) + ops.sum(far * ops.cast(other, "float32")[..., None], axis=2)

    def _with_shared_draws(self, inputs, targets, uses, draws):
        """Losses of all pairs `(rows, targets, inputs)`; `draws` `(any,)`."""
        share, words = self.negative / draws.shape[0], ops.reshape(targets, (-1,))
        near, far = gather_rows(self.table, targets), gather_rows(self.table, draws)
        if self.most_uses is not None:
            drawn = ops.broadcast_to(ops.sum(uses) * share, draws.shape)
            ids, counts = ops.concatenate([words, draws], axis=0), ops.concatenate([ops.reshape(uses, (-1,)), drawn], axis=0)
            total = total_uses(ids, counts, len(self.counts))
            near, far = (limited(rows, ops.take(total, ids, axis=0), self.most_uses) for rows, ids in ((near, targets), (far, draws)))
        scores = ops.einsum("rtd,rid->rti", near, inputs)
        others = ops.softplus(ops.matmul(ops.reshape(inputs, (-1, self.dim)), ops.transpose(far)))
        others = ops.reshape(ops.sum(others, axis=1), (-1, 1, inputs.shape[1]))
        # the sum holds the target as often as it was drawn
        hits = ops.take(total_uses(draws, ops.ones(draws.shape), len(self.counts)), targets, axis=0)
        losses = ops.softplus(-scores)
        return losses + share * (others - hits[..., None] * (losses + scores))

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
        top: decisions nearest to the root, through which most paths go, that are made for every input, as one matrix product; those
            further down are fetched for each target. Changes time and not values.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, counts, dim, most_uses=None, top=64, **kwargs):
        super().__init__(**kwargs)
        _check(counts, dim)
        if top < 1:
            raise ValueError(f"`top` must be at least 1. Received: {top}")
        self.counts, self.dim, self.most_uses, self.top = counts, dim, most_uses, top
        codes, nodes, mask = huffman_codes(counts)
        # -1 for branch 1, +1 for branch 0, and 0 behind the word
        signs, nodes = (1 - 2 * codes) * mask.astype("int32"), nodes * mask.astype("int32")
        self._first = max(0, len(counts) - 1 - top)
        # nodes are numbered from the rarest to the root, so that every path ends with those that are not of the top
        below = np.sum((mask > 0) & (nodes < self._first), axis=1)
        above = mask.sum(1).astype("int64") - below
        self._above, self._below = _part(nodes - self._first, signs, 0, above), _part(nodes, signs, above, below)
        self.table = self.add_weight((len(counts) - 1, dim), "zeros", name="table", autocast=False)
        self.built = True

    def call(self, inputs, targets, weights):
        """Weighted losses of targets, summed over the inputs; shapes as in `NegativeSampling.call`."""
        uses = ops.sum(weights, axis=-1)
        losses = self._decide(inputs, targets, uses, self._above, self._scores_of_all)
        if self._first:
            losses += self._decide(inputs, targets, uses, self._below, self._scores)
        return ops.sum(losses * weights, axis=-1)

    def _decide(self, inputs, targets, uses, part, scores):
        """Losses `(rows, targets, inputs)` of a part of the decisions."""
        nodes, signs = (ops.take(table, targets, axis=0) for table in part)
        signs = ops.cast(signs, "float32")
        found = scores(inputs, nodes, uses[..., None] * ops.abs(signs))
        found = ops.reshape(found, (*ops.shape(nodes), inputs.shape[1]))
        return ops.sum(_losses(signs[..., None], found), axis=2)

    def _scores(self, inputs, nodes, uses):
        """Of the nodes of each target `(rows, targets, depth)`, fetched one by one."""
        rows = ops.shape(nodes)[0]
        nodes, uses = ops.reshape(nodes, (rows, -1)), ops.reshape(uses, (rows, -1))
        vectors = fetch_rows(self.table, nodes, uses, self.most_uses)
        return ops.einsum("rvd,rid->rvi", vectors, inputs)

    def _scores_of_all(self, inputs, nodes, uses):
        """The same, picked from the scores of all nodes of the top."""
        rows, (number, size) = ops.shape(inputs)[0], (inputs.shape[1], self.table.shape[0] - self._first)
        vectors = gather_rows(self.table, ops.arange(self._first, self.table.shape[0]))
        if self.most_uses is not None:
            vectors = limited(vectors, total_uses(nodes, uses, size), self.most_uses)
        scores = ops.matmul(ops.reshape(inputs, (-1, self.dim)), ops.transpose(vectors))
        scores = ops.reshape(ops.transpose(ops.reshape(scores, (rows, number, size)), (0, 2, 1)), (-1, number))
        return ops.take(scores, nodes + size * ops.arange(rows)[:, None, None], axis=0)

    def log_probabilities(self, inputs):
        """Log of the probabilities of all words, `(..., words)`, for inputs `(..., dim)`."""
        scores = ops.matmul(inputs, ops.transpose(self.table))
        (above, above_signs), (below, below_signs) = self._above, self._below
        nodes = ops.concatenate([above + self._first, below], axis=1)
        signs = ops.cast(ops.concatenate([above_signs, below_signs], axis=1), "float32")
        return -ops.sum(_losses(signs, ops.take(scores, nodes, axis=-1)), axis=-1)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), **{name: getattr(self, name) for name in ("counts", "dim", "most_uses", "top")}}


def _losses(signs, scores):
    """Of decisions; 0 where the sign is."""
    return ops.softplus(-signs * scores) * ops.abs(signs)


def _part(nodes, signs, start, length):
    """Decisions `start` to `start + length` of every path, as tables of nodes and signs `(words, longest)`; 0 behind the last."""
    order = np.arange(max(1, np.max(length)))
    inside = order < length[:, None]
    places = np.where(inside, order + np.reshape(start, (-1, 1)), 0)
    nodes, signs = (np.where(inside, np.take_along_axis(table, places, axis=1), 0) for table in (nodes, signs))
    return ops.convert_to_tensor(nodes, "int32"), ops.convert_to_tensor(signs, "int8")


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
