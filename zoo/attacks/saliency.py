"""Attacks along the forward derivative (Papernot et al. 2015, arXiv 1511.07528): few numbers of a sample, changed by much."""

from typing import NamedTuple

import numpy as np
from keras import ops

from zoo import autodiff
from zoo.attacks.labels import as_numbers

# less than every derivative, and than every product that counts; fits float16
NONE = -6e4


def budget(features, gamma, pairs=True):
    """Rounds in which at most a share `gamma` of the features changes, each one or two of them."""
    # 200 * 0.29 is 57.99... in floats: products are a few units of the last place off
    return int(features * gamma / (2 if pairs else 1) * (1 + 1e-12))


class Attacked(NamedTuple):
    """What `jacobian_saliency` gives: the samples `(batch, ...)`, whether each reached its target, and how many numbers it changed."""

    samples: object
    success: object
    changed: object


def forward_derivatives(function, x, target):
    """Derivatives of the target's output, and of the sum of all others, `(batch, ...)` each, and the outputs `(batch, classes)`."""
    values, target = function(x), as_numbers(target)
    classes = values.shape[-1]
    # both by one backward pass over two copies
    chosen = ops.one_hot(target, classes, dtype=values.dtype)
    choice = ops.concatenate([chosen, 1.0 - chosen], axis=0)
    slopes = autodiff.grad(lambda points: ops.sum(function(points) * choice), ops.concatenate([x, x], axis=0))
    alpha, beta = ops.split(slopes, 2, axis=0)
    return alpha, beta, values


def saliency_map(alpha, beta, increase=True):
    """How much each feature helps alone (equation 8, or 9 where numbers fall): 0 unless a > 0 > b (a < 0 < b), else |a b|."""
    sign = 1.0 if increase else -1.0
    return ops.maximum(sign * alpha, 0.0) * ops.maximum(-sign * beta, 0.0)


def best_features(alpha, beta, open_features, increase=True):
    """The feature with the largest saliency in each sample (algorithm 1); arguments and results as of `best_pairs`, one index twice."""
    alpha, beta = _scaled(alpha), _scaled(beta)
    score = ops.where(open_features, saliency_map(alpha, beta, increase), 0.0)
    best = ops.cast(ops.argmax(score, axis=-1), "int32")
    return best, best, ops.max(score, axis=-1) > 0


def best_pairs(alpha, beta, open_features, increase=True, chunk=32):
    """The pair of features with the largest saliency in each sample (equations 8 and 9 for pairs, algorithm 3).

    With a, b the sums of a pair's derivatives, a pair counts if a > 0 > b where numbers grow, or a < 0 < b where they fall; its saliency is
    -a * b. Since that rises with both a and -b, no feature of the best pair is surpassed in both by two others: only the few features that
    at most one other surpasses are paired, and the answer is that of all pairs.

    Args:
        alpha: derivatives of the target's output `(batch, features)`.
        beta: derivatives of the sum of the other outputs `(batch, features)`.
        open_features: bool `(batch, features)`, the search domain.
        increase: whether numbers grow or fall.
        chunk: features that are paired with as many others at once.

    Returns:
        The two features, int32 `(batch,)`, and whether any pair counts, bool `(batch,)`.
    """
    features = alpha.shape[-1]
    chunk = min(chunk, features)
    sign = 1.0 if increase else -1.0
    # both are to be large; scaled, because products of small derivatives are 0 in float32
    a, b = (ops.where(open_features, s * _scaled(slopes), NONE) for s, slopes in ((sign, alpha), (-sign, beta)))
    order = ops.argsort(-a, axis=-1)
    a, b = ops.take_along_axis(a, order, axis=-1), ops.take_along_axis(b, order, axis=-1)
    _, second = ops.associative_scan(_two_largest, (b, ops.full_like(b, NONE)), axis=1)
    # among the features before this one, which have larger a, at most one has larger b
    kept = b > ops.pad(ops.reshape(second, ops.shape(a))[:, :-1], ((0, 0), (1, 0)), constant_values=NONE)
    # the kept ones first; a whole number of chunks
    first = ops.argsort(ops.where(kept, 0, features) + ops.arange(features), axis=-1)
    padding = ((0, 0), (0, -features % chunk))
    a, b = (ops.pad(ops.take_along_axis(ops.where(kept, v, NONE), first, axis=-1), padding, constant_values=NONE) for v in (a, b))
    order = ops.pad(ops.cast(ops.take_along_axis(order, first, axis=-1), "int32"), padding)
    chunks = (ops.max(ops.sum(ops.cast(kept, "int32"), axis=-1)) + chunk - 1) // chunk
    place = ops.arange(chunk)

    def look(k, best, p, q):
        rows, columns = k // chunks * chunk, k % chunks * chunk
        size = (ops.shape(a)[0], chunk)
        sum_a, sum_b = (ops.slice(v, (0, rows), size)[:, :, None] + ops.slice(v, (0, columns), size)[:, None, :] for v in (a, b))
        legal = (rows + place[:, None] < columns + place[None, :]) & (sum_a > 0) & (sum_b > 0)
        score = ops.reshape(ops.where(legal, sum_a * sum_b, 0.0), (-1, chunk * chunk))
        top = ops.cast(ops.argmax(score, axis=-1), "int32")
        value = ops.max(score, axis=-1)
        better = value > best
        return k + 1, ops.where(better, value, best), ops.where(better, rows + top // chunk, p), ops.where(better, columns + top % chunk, q)

    nothing = ops.zeros_like(order[:, 0])
    start = (ops.convert_to_tensor(0), ops.zeros_like(a[:, 0]), nothing, nothing)
    _, value, p, q = ops.while_loop(lambda k, *_: k < chunks * chunks, look, start)
    p, q = (ops.squeeze(ops.take_along_axis(order, place[:, None], axis=-1), axis=-1) for place in (p, q))
    return p, q, value > 0


def jacobian_saliency(function, x, target, theta=1.0, gamma=0.145, low=0.0, high=1.0, pairs=True, rounds=None, chunk=32):
    """Change pairs of features by `theta` until the class is `target` (algorithms 1 and 2), for a whole batch in one loop.

    Each round changes the pair of largest saliency in every sample that has not arrived. Features that reach a limit leave the search.

    Args:
        function: from `(batch, ...)` to outputs `(batch, classes)`: logits, as in the paper's experiments, or probabilities.
        x: `(batch, ...)` between the limits.
        target: classes `(batch,)`, or rows with one 1.
        theta: change of a feature; below 0 they fall.
        gamma: largest share of features that may change. With `theta` as large as the box, each changes once.
        low: smallest legal number.
        high: largest legal number.
        pairs: two features a round; `False` for one, as in algorithm 1.
        rounds: largest number of rounds instead of what follows from `gamma`; may be a tensor.
        chunk: see `best_pairs`.

    Returns:
        `Attacked`.
    """
    shape = (-1, *x.shape[1:])
    features = int(np.prod(x.shape[1:]))
    flat = ops.reshape(ops.stop_gradient(x), (-1, features))
    rounds = budget(features, gamma, pairs) if rounds is None else rounds
    limit = high if theta > 0 else low
    target = as_numbers(target)

    def classes(values):
        return ops.cast(ops.argmax(values, axis=-1), "int32")

    def outputs(points):
        return ops.cast(function(ops.reshape(points, shape)), "float32")

    def going(i, points, domain, active):
        return (i < rounds) & ops.any(active)

    def round_(i, points, domain, active):
        alpha, beta, _ = forward_derivatives(outputs, points, target)
        p, q, found = best_pairs(alpha, beta, domain, theta > 0, chunk) if pairs else best_features(alpha, beta, domain, theta > 0)
        active = active & found
        chosen = ops.maximum(ops.one_hot(p, features), ops.one_hot(q, features)) * ops.cast(active, "float32")[:, None]
        points = ops.clip(points + theta * chosen, low, high)
        domain = domain & ops.not_equal(points, limit)
        return i + 1, points, domain, active & ops.not_equal(classes(outputs(points)), target)

    start = (ops.convert_to_tensor(0), flat, ops.not_equal(flat, limit), ops.not_equal(classes(outputs(flat)), target))
    _, points, _, _ = ops.while_loop(going, round_, start)
    changed = ops.sum(ops.cast(ops.not_equal(points, flat), "int32"), axis=-1)
    return Attacked(ops.reshape(points, ops.shape(x)), ops.equal(classes(outputs(points)), target), changed)


def _scaled(slopes):
    """Each sample's derivatives in units of the largest; which one wins stays the same."""
    largest = ops.max(ops.abs(slopes), axis=-1, keepdims=True)
    return slopes / ops.where(largest > 0, largest, 1.0)


def _two_largest(one, other):
    """Largest and second largest of two such pairs together."""
    return ops.maximum(one[0], other[0]), ops.maximum(ops.minimum(one[0], other[0]), ops.maximum(one[1], other[1]))
