"""One prediction from a general classifier and specialists for groups of classes that it confuses.

Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531, section 5. A specialist knows its own classes
and has one more, the last, for all others (the dustbin).
"""

import numpy as np


def confusion_clusters(probabilities, clusters, seed=0):
    """Groups of classes that a classifier tends to give high probabilities to together (section 5.3).

    The columns of the covariance of its predictions are clustered by k-means.

    Args:
        probabilities: predictions `(n, classes)`, of training or other samples; labels are not needed.
        clusters: number of groups.
        seed: of k-means.

    Returns:
        List of lists of class numbers, the largest group first; each class is in one.

    Raises:
        ValueError: if there are fewer classes than clusters.
    """
    from sklearn.cluster import KMeans

    probabilities = np.asarray(probabilities, "float64")
    if probabilities.ndim != 2 or not 1 <= clusters <= probabilities.shape[1]:
        raise ValueError(
            f"`probabilities` must be (n, classes) with at least {clusters} classes, as many as `clusters`. Received: {probabilities.shape}"
        )
    group = KMeans(clusters, n_init=10, random_state=seed).fit_predict(np.cov(probabilities.T))
    return sorted((np.flatnonzero(group == i).tolist() for i in range(clusters)), key=lambda classes: (-len(classes), classes))


def collapse(probabilities, classes):
    """Probabilities of some classes, and of all others together, `(n, len(classes) + 1)`, from `(n, all classes)`."""
    own = np.asarray(probabilities)[:, list(classes)]
    return np.concatenate([own, 1 - own.sum(axis=1, keepdims=True)], axis=1)


def combine_specialists(general, specialists, classes, top=1, iterations=100):
    """The distribution q that fits the general prediction and those of the specialists in charge (equation 5).

    It minimises KL(general, q) + sum of KL(specialist, q) over the specialists that know one of the `top` classes of the general
    prediction; for a specialist q of the classes that it does not know is added up. The paper descends the gradient over logits; here q is
    found by expectation and maximisation, which needs no rate and reaches the same, only minimum.

    Args:
        general: `(n, classes)`.
        specialists: list of `(n, own classes + 1)`, the dustbin last.
        classes: list of lists, the classes of each specialist in the order of its outputs.
        top: classes of the general prediction that call a specialist.
        iterations: of the search.

    Returns:
        `(n, classes)` float64.

    Raises:
        ValueError: if a specialist has another number of outputs than its classes say.
    """
    general = np.asarray(general, "float64")
    for given, own in zip(specialists, classes):
        if np.shape(given) != (len(general), len(own) + 1):
            raise ValueError(
                f"`specialists` must be (n, own classes + 1), here {(len(general), len(own) + 1)}. Received: {np.shape(given)}"
            )
    best = np.argsort(-general, axis=1)[:, :top]
    called = np.stack([np.isin(best, own).any(axis=1) for own in classes], axis=1).astype("float64")
    q = general.copy()
    for _ in range(iterations):
        total = general.copy()
        for given, own, weight in zip(specialists, classes, called.T):
            other = np.setdiff1d(np.arange(general.shape[1]), own)
            expected = np.zeros_like(q)
            expected[:, own] = given[:, :-1]
            # the dustbin's probability goes to the others as q has them
            expected[:, other] = given[:, -1:] * q[:, other] / np.maximum(q[:, other].sum(axis=1, keepdims=True), 1e-30)
            total += weight[:, None] * expected
        q = total / (1 + called.sum(axis=1, keepdims=True))
    return q
