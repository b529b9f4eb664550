"""Ranking metrics for recommenders, one value a user, with the definitions of the `lightfm` package.

All take `scores`, a function from user ids `(n,)` to scores of all items `(n, num_items)`, and scipy sparse matrices `(users, items)`.
Users are scored in chunks, so that memory does not grow with their number. Scores are compared in the precision that they come in: those
of a Keras model are float32 on either backend, where 1 and 1 + 1e-9 are a tie.

    precision_at_k(model.scores, test, train, k=10).mean()
"""

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

# scores held at a time
CHUNK = 2**22


def predicted_ranks(scores, test, train=None):
    """Rank (from 0, ties count against) of every test interaction among the items that are not in the user's training interactions.

    Args:
        scores: function from user ids `(n,)` to `(n, num_items)`.
        test: sparse `(users, items)`; the stored entries are the known positives.
        train: sparse `(users, items)`; its stored entries are left out of the ranking.

    Returns:
        CSR matrix of the shape and pattern of `test`, float32.

    Raises:
        ValueError: if an interaction is in both, which would make the ranks of the test optimistic.
    """
    test = _pattern(test)
    train = sparse.csr_matrix(test.shape, dtype="float32") if train is None else _pattern(train)
    if train.shape != test.shape:
        raise ValueError(f"`train` must have the shape of `test`, {test.shape}. Received: {train.shape}")
    shared = test.multiply(train).nnz
    if shared:
        raise ValueError(f"`test` and `train` must have no interaction in common. Received: {shared} in both")
    users, size = np.flatnonzero(np.diff(test.indptr)), max(1, CHUNK // test.shape[1])
    for start in range(0, len(users), size):
        chunk = users[start : start + size]
        table = np.array(scores(chunk))
        # float64 stays, whole numbers become it, half precision is widened
        table = table.astype(np.result_type(table.dtype, "float32"), copy=False)
        table[train[chunk].nonzero()] = -np.inf
        ranks = rankdata(-table, method="max", axis=1)
        test.data[test.indptr[chunk[0]] : test.indptr[chunk[-1] + 1]] = ranks[test[chunk].nonzero()] - 1
    return test


def precision_at_k(scores, test, train=None, k=10, preserve_rows=False):
    """Share of the first `k` ranked items that are test positives.

    Args:
        scores: function from user ids `(n,)` to `(n, num_items)`.
        test: sparse `(users, items)` of known positives.
        train: sparse `(users, items)`, left out of the ranking.
        k: length of the list.
        preserve_rows: one value for every user (0 without test interactions), rather than for those with test interactions.

    Returns:
        Array `(users,)`.
    """
    hits = _hits(predicted_ranks(scores, test, train), k)
    return _rows(hits / k, test, preserve_rows)


def recall_at_k(scores, test, train=None, k=10, preserve_rows=False):
    """Share of a user's test positives that are among the first `k` ranked items; arguments as in `precision_at_k`."""
    hits, counts = _hits(predicted_ranks(scores, test, train), k), np.diff(_pattern(test).indptr)
    return _rows(hits / np.maximum(counts, 1), test, preserve_rows)


def auc_score(scores, test, train=None, preserve_rows=False):
    """Probability that a test positive scores higher than an item with neither test nor training interaction.

    Arguments as in `precision_at_k`; users without test interactions, or without such items, get 0.5.
    """
    ranks = predicted_ranks(scores, test, train)
    counts = np.diff(ranks.indptr)
    negatives = ranks.shape[1] - counts - (0 if train is None else np.diff(_pattern(train).indptr))
    users = np.repeat(np.arange(ranks.shape[0]), counts)
    data = ranks.data[np.lexsort((ranks.data, users))]
    # the positives ranked before a positive are no errors
    errors = np.maximum(data - (np.arange(len(data)) - ranks.indptr[users]), 0)
    one_class = (counts == 0) | (negatives == 0)
    auc = 1 - np.bincount(users, errors, len(counts)) / np.where(one_class, 1, counts * negatives)
    return _rows(np.where(one_class, 0.5, auc), test, preserve_rows)


def reciprocal_rank(scores, test, train=None, preserve_rows=False):
    """One over the rank (from 1) of the best ranked test positive; arguments as in `precision_at_k`."""
    ranks = predicted_ranks(scores, test, train)
    ranks.data = 1 / (ranks.data + 1)
    return _rows(ranks.max(axis=1).toarray().ravel(), test, preserve_rows)


def _hits(ranks, k):
    users = np.repeat(np.arange(ranks.shape[0]), np.diff(ranks.indptr))
    return np.bincount(users, ranks.data < k, ranks.shape[0])


def _rows(values, test, preserve_rows):
    return values if preserve_rows else values[np.diff(_pattern(test).indptr) > 0]


def _pattern(matrix):
    """A sorted copy in CSR with a one for every stored entry."""
    matrix = sparse.csr_matrix(matrix, dtype="float32", copy=True)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
