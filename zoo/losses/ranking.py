"""Losses that learn a ranking from interactions: logistic, BPR, WARP and k-OS WARP, as one step over a batch of interactions.

BPR: Rendle et al. 2009, arXiv 1205.2618. WARP: Weston, Bengio, Usunier 2011 (Wsabie). k-OS: Weston, Yee, Weiss 2013.
All functions take scores and give one loss an interaction; `zoo.applications.LightFM` draws the items that they compare.
"""

import keras
import numpy as np
from keras import ops

MAX_WEIGHT = 10.0


def logistic_loss(scores, interactions):
    """Negative log likelihood of `sigmoid(score)`.

    Args:
        scores: any shape.
        interactions: numbers of a shape that broadcasts; above 0 is a positive interaction, anything else a negative one.
    """
    return ops.softplus(ops.where(ops.greater(interactions, 0), -scores, scores))


def bpr_loss(positive, negative):
    """Bayesian personalised ranking: negative log probability that the positive item scores higher."""
    return ops.softplus(negative - positive)


def warp_weight(tries, num_items):
    """WARP's weight `log(rank)` of a violation found after `tries` draws, with the rank estimated as `(num_items - 1) // tries`.

    Clipped to at most 10, as the `lightfm` package does.
    """
    rank = ops.floor((num_items - 1) / ops.cast(tries, "float32"))
    return ops.minimum(ops.log(ops.maximum(rank, 1.0)), MAX_WEIGHT)


def warp_loss(positive, negative, tries, num_items):
    """WARP: the hinge `1 - positive + negative`, weighted by the estimated rank. `tries` of 0 means that no violation was found."""
    hinge = ops.relu(1.0 - positive + negative)
    weight = ops.where(tries > 0, warp_weight(ops.maximum(tries, 1), num_items), 0.0)
    return ops.cast(weight, hinge.dtype) * hinge


def first_violation(positive, negatives, allowed):
    """The first allowed draw that violates the margin of 1.

    Args:
        positive: scores of the positive items, `(batch,)`.
        negatives: scores of the drawn items in order, `(batch, draws)`.
        allowed: bool `(batch, draws)`; `False` where the drawn item is a positive one, which costs a try.

    Returns:
        Index of the draw `(batch,)`, and the number of tries `(batch,)`, 0 where no draw violates.
    """
    return first_true(ops.logical_and(negatives > positive[:, None] - 1.0, allowed))


def first_true(table):
    """Index and number, counted from 1, of the first true entry of each row of bools `(batch, n)`; 0 and 0 where all are false."""
    n = table.shape[1]
    index = ops.min(ops.where(table, ops.arange(n, dtype="int32"), n), axis=1)
    return index % n, (index + 1) % (n + 1)


def kth_positive(scores, counts, k):
    """k-OS: index of the positive with the `k`-th largest score among the first `counts` of each row.

    Args:
        scores: of positives drawn for each user, `(batch, n)`.
        counts: how many of them to use, at most `n`, `(batch,)`; rows with fewer than `k` give their smallest.
        k: order, from 1.
    """
    n = scores.shape[1]
    scores = ops.where(ops.arange(n)[None] < counts[:, None], scores, -np.inf)
    order = ops.argsort(-scores, axis=1)
    place = ops.clip(ops.minimum(counts, k) - 1, 0, n - 1)
    return ops.take_along_axis(order, place[:, None], axis=1)[:, 0]


class Positives:
    """The items that each user interacted with: static tables that compiled steps look up and draw from.

    Whether a pair is known is one gather in the smaller of two exact tables: a bit for each pair, or buckets. An interaction lies in bucket
    `(item + offset[user]) mod buckets`; with at least as many buckets as items, bucket and user tell the item, so that a slot needs the
    user alone, and no code `user * num_items + item` can overflow. Memory grows with the interactions.

    Args:
        matrix: scipy sparse `(users, items)`; entries above 0 are positive interactions.
    """

    def __init__(self, matrix):
        self.matrix = (matrix.tocsr() > 0).tocsr()
        self.matrix.sort_indices()
        users, items = self.matrix.nonzero()
        slots, offsets = _buckets(users, items, self.matrix.shape)
        self.words = -(-self.matrix.shape[1] // 32)
        self.bits = self.words * self.matrix.shape[0] <= slots.size
        if self.bits:
            slots = np.zeros((self.matrix.shape[0], self.words), "uint32")
            np.bitwise_or.at(slots, (users, items >> 5), np.left_shift(np.uint32(1), (items & 31).astype("uint32")))
            slots, offsets = slots.view("int32").ravel(), offsets[:0]
        self.slots, self.offsets = ops.convert_to_tensor(slots), ops.convert_to_tensor(offsets, "int32")
        self.starts, self.items = ops.convert_to_tensor(self.matrix.indptr, "int32"), ops.convert_to_tensor(items, "int32")

    def __len__(self):
        return self.matrix.nnz

    def contains(self, users, items):
        """Whether each of the items is among the user's positives; `users` `(batch,)`, `items` `(batch, any)`, both int32."""
        users = users[:, None]
        if self.bits:
            word = ops.take(self.slots, users * self.words + ops.right_shift(items, 5), axis=0)
            return ops.not_equal(ops.bitwise_and(ops.right_shift(word, ops.bitwise_and(items, 31)), 1), 0)
        buckets = ops.bitwise_and(items + ops.take(self.offsets, users, axis=0), self.slots.shape[0] - 1)
        return ops.any(ops.equal(ops.take(self.slots, buckets, axis=0), users[..., None]), axis=-1)

    def counts(self, users):
        """Number of positives of each user."""
        return ops.take(self.starts, users + 1, axis=0) - ops.take(self.starts, users, axis=0)

    def draw(self, users, n, seed):
        """`n` positives of each user, with replacement, `(batch, n)`; undefined for users without any."""
        counts = self.counts(users)[:, None]
        place = ops.cast(keras.random.uniform((ops.shape(users)[0], n), seed=seed) * ops.cast(counts, "float32"), "int32")
        place = ops.take(self.starts, users, axis=0)[:, None] + ops.minimum(place, counts - 1)
        return ops.take(self.items, ops.clip(place, 0, len(self) - 1), axis=0)

    def draw_popular(self, shape, seed):
        """Items of random positive interactions, so that an item comes up as often as it is popular."""
        return ops.take(self.items, keras.random.randint(shape, 0, len(self), seed=seed), axis=0)


def _buckets(users, items, shape):
    """Slots `(buckets, most in a bucket)` with a user or -1, and the offset of each user; the buckets are a power of two."""
    buckets = 1 << (max(len(items), shape[1], 2) - 1).bit_length()
    offsets = np.random.default_rng(0).integers(0, buckets, shape[0])
    places = (items + offsets[users]) & (buckets - 1)
    order, counts = np.argsort(places, kind="stable"), np.bincount(places, minlength=buckets)
    slots = np.full((buckets, max(counts.max(), 1)), -1, "int32")
    slots[places[order], np.arange(len(order)) - (np.cumsum(counts) - counts)[places[order]]] = users[order]
    return slots, offsets
