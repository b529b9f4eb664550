"""Lists of candidates that are ranked anew by weighted features, and the weights that rank best."""

import numpy as np

from zoo import arguments


def rank_weights(features, statistics, start, metric=np.sum, bound=10.0, seed=0):
    """Weights of features by which the first candidates of lists are the best, as in minimum error rate training (Och 2003).

    SciPy's differential evolution searches: what candidates come first changes by jumps, so that there is no gradient.

    Args:
        features: for each list an array `(candidates, features)`.
        statistics: for each list an array `(candidates,)` or `(candidates, any)`, what a candidate adds to the metric.
        start: weights so far `(features,)`, of which the first stays and gives the others their scale.
        metric: function of the sum of the statistics of the first candidates to a number, the higher the better.
        bound: largest size of the other weights.
        seed: of the search.

    Returns:
        Float32 array `(features,)`.

    Raises:
        ValueError: if there are not as many features as statistics, or as weights.
    """
    from scipy.optimize import differential_evolution

    start = np.asarray(arguments.numbers("start", start, rank=1), "float32")
    lists = [(np.asarray(some), np.asarray(found)) for some, found in zip(features, statistics, strict=True) if len(some)]
    if any(len(some) != len(found) or some.shape[1:] != start.shape for some, found in lists):
        arguments.refuse("features", f"arrays of {len(start)} columns, with a row for each row of `statistics`", features)
    if not lists or len(start) == 1:
        return start
    most = max(len(some) for some, _ in lists)
    padded = np.zeros((len(lists), most, len(start)))
    added = np.zeros((len(lists), most, *lists[0][1].shape[1:]))
    out = np.full((len(lists), most), -np.inf)
    for i, (some, found) in enumerate(lists):
        padded[i, : len(some)], added[i, : len(some)], out[i, : len(some)] = some, found, 0.0
    rows, base = np.arange(len(lists)), start[0] * padded[..., 0] + out

    def loss(weights):
        return -float(metric(added[rows, np.argmax(base + padded[..., 1:] @ weights, axis=1)].sum(axis=0)))

    limits, options = [(-bound, bound)] * (len(start) - 1), {"popsize": 20, "maxiter": 60, "tol": 0.0, "polish": False}
    found = differential_evolution(loss, limits, x0=np.clip(start[1:], -bound, bound), rng=np.random.default_rng(seed), **options)
    return np.array([start[0], *found.x], "float32")
