"""Words in classes of about equal cost, for a softmax in two steps."""

import numpy as np

from zoo import arguments


def random_classes(symbols, number=None, seed=0):
    """Each id in a random class; classes are of equal size.

    Args:
        symbols: number of ids.
        number: of classes; `None` for the square root of the ids.
        seed: of the draws.

    Returns:
        int32 `(symbols,)`.
    """
    number = _number(symbols, number)
    return np.random.default_rng(seed).permutation(np.arange(symbols) % number).astype("int32")


def frequency_classes(counts, number=None):
    """Ids of about one frequency together, in classes of equal size.

    With equal sums of counts the last class would hold a tenth of all words, and an update would cost as much.

    Args:
        counts: how often each id occurs.
        number: of classes; `None` for the square root of the ids.

    Returns:
        int32 `(symbols,)`, class 0 for the most frequent.
    """
    counts = arguments.numbers("counts", counts, rank=1)
    number = _number(len(counts), number)
    classes = np.empty(len(counts), "int32")
    classes[np.argsort(-counts, kind="stable")] = np.arange(len(counts)) * number // len(counts)
    return classes


def vector_classes(vectors, number=None, seed=0):
    """Ids whose vectors are near one another together, by bisecting k-means (scikit-learn), which always splits the largest class.

    Args:
        vectors: of the ids, `(symbols, dim)`, such as `zoo.text.cooccurrence_vectors` gives.
        number: of classes; `None` for the square root of the ids.
        seed: of the clustering.

    Returns:
        int32 `(symbols,)`.
    """
    from sklearn.cluster import BisectingKMeans

    vectors = arguments.numbers("vectors", vectors, rank=2)
    found = BisectingKMeans(_number(len(vectors), number), bisecting_strategy="largest_cluster", random_state=seed)
    return found.fit_predict(vectors).astype("int32")


def _number(symbols, number):
    """Of classes, checked."""
    return arguments.count("number", round(symbols**0.5) if number is None else number, high=symbols)
