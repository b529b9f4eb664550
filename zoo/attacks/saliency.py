"""Attacks along the forward derivative (Papernot et al. 2015, arXiv 1511.07528): few numbers of a sample, changed by much."""

from typing import NamedTuple

import numpy as np
from keras import ops

from zoo import autodiff

# smaller than every product of derivatives that can win; fits float16
NONE = -1e4


class Attacked(NamedTuple):
    """What `jacobian_saliency` gives: the samples `(batch, ...)`, whether each reached its target, and how many numbers it changed."""

    samples: object
    success: object
    changed: object


def forward_derivatives(function, x, target):
    """Derivatives of the target's output, and of the sum of all others, `(batch, ...)` each, and the outputs `(batch, classes)`."""
    values = function(x)
    classes = values.shape[-1]
    # both by one backward pass over two copies
    chosen = ops.one_hot(target, classes, dtype=values.dtype)
    choice = ops.concatenate([chosen, 1.0 - chosen], axis=0)
    slopes = autodiff.grad(lambda points: ops.sum(function(points) * choice), ops.concatenate([x, x], axis=0))
    alpha, beta = ops.split(slopes, 2, axis=0)
    return alpha, beta, values


def best_pairs(alpha, beta, open_features, increase=True, chunk=64):
    """The pair of features with the largest saliency in each sample (equations 8 and 9 for pairs, algorithm 3).

    With a, b the sums of a pair's derivatives, a pair counts if a > 0 > b where numbers grow, or a < 0 < b where they fall; its saliency is
    -a * b.

    Args:
        alpha: derivatives of the target's output `(batch, features)`.
        beta: derivatives of the sum of the other outputs `(batch, features)`.
        open_features: bool `(batch, features)`, the search domain.
        increase: whether numbers grow or fall.
        chunk: first features of the pairs that are looked at at once; memory is `batch * chunk * features`.

    Returns:
        First and second feature, int32 `(batch,)`, and whether any pair counts, bool `(batch,)`.
    """
    features = alpha.shape[-1]
    chunk = min(chunk, features)
    chunks = -(-features // chunk)
    sign = 1.0 if increase else -1.0
    second = ops.arange(features)
    padding = ((0, 0), (0, chunks * chunk - features))
    first_alpha, first_beta = ops.pad(sign * alpha, padding), ops.pad(sign * beta, padding)
    first_open = ops.pad(ops.cast(open_features, "int32"), padding)

    def look(i, best):
        start = i * chunk
        size = (ops.shape(alpha)[0], chunk)
        a = ops.slice(first_alpha, (0, start), size)[:, :, None] + sign * alpha[:, None, :]
        b = ops.slice(first_beta, (0, start), size)[:, :, None] + sign * beta[:, None, :]
        legal = ops.slice(first_open, (0, start), size)[:, :, None] * ops.cast(open_features, "int32")[:, None, :]
        legal = (legal > 0) & ((start + ops.arange(chunk))[:, None] < second[None, :]) & (a > 0) & (b < 0)
        score = ops.reshape(ops.where(legal, -a * b, NONE), (-1, chunk * features))
        top = ops.cast(ops.argmax(score, axis=-1), "int32")
        value = ops.max(score, axis=-1)
        better = value > best[0]
        p, q = start + top // features, top % features
        return ops.where(better, value, best[0]), ops.where(better, p, best[1]), ops.where(better, q, best[2])

    nothing = ops.zeros_like(alpha[:, 0], dtype="int32")
    value, p, q = ops.fori_loop(0, chunks, look, (ops.full_like(alpha[:, 0], NONE), nothing, nothing))
    return p, q, value > NONE


def jacobian_saliency(function, x, target, theta=1.0, gamma=0.145, low=0.0, high=1.0, chunk=64):
    """Change pairs of features by `theta` until the class is `target` (algorithms 1 and 2), for a whole batch in one loop.

    Each round changes the pair of largest saliency in every sample that has not arrived. Features that reach a limit leave the search.

    Args:
        function: from `(batch, ...)` to outputs `(batch, classes)`: logits, as in the paper's experiments, or probabilities.
        x: `(batch, ...)` between the limits.
        target: int32 `(batch,)`.
        theta: change of a feature; below 0 they fall.
        gamma: largest share of features that may change. With `theta` as large as the box, each changes once.
        low: smallest legal number.
        high: largest legal number.
        chunk: see `best_pairs`.

    Returns:
        `Attacked`.
    """
    shape = (-1, *x.shape[1:])
    features = int(np.prod(x.shape[1:]))
    flat = ops.reshape(ops.stop_gradient(x), (-1, features))
    rounds = int(features * gamma // 2)
    limit = high if theta > 0 else low

    def classes(values):
        return ops.cast(ops.argmax(values, axis=-1), "int32")

    def outputs(points):
        return ops.cast(function(ops.reshape(points, shape)), "float32")

    def going(i, points, domain, active):
        return (i < rounds) & ops.any(active)

    def round_(i, points, domain, active):
        alpha, beta, _ = forward_derivatives(outputs, points, target)
        p, q, found = best_pairs(alpha, beta, domain, theta > 0, chunk)
        active = active & found
        pair = (ops.one_hot(p, features) + ops.one_hot(q, features)) * ops.cast(active, "float32")[:, None]
        points = ops.clip(points + theta * pair, low, high)
        domain = domain & ops.not_equal(points, limit)
        return i + 1, points, domain, active & ops.not_equal(classes(outputs(points)), target)

    start = (ops.convert_to_tensor(0), flat, ops.not_equal(flat, limit), ops.not_equal(classes(outputs(flat)), target))
    _, points, _, _ = ops.while_loop(going, round_, start)
    changed = ops.sum(ops.cast(ops.not_equal(points, flat), "int32"), axis=-1)
    return Attacked(ops.reshape(points, ops.shape(x)), ops.equal(classes(outputs(points)), target), changed)
