"""How related two texts are, from the vectors of both (Tai, Socher, Manning 2015, arXiv 1503.00075, section 4.2)."""

import numpy as np


def pair_features(u, v):
    """`|u - v|` and `u * v` side by side, the features of pairs.

    Args:
        u: vectors `(pairs, dim)`.
        v: vectors `(pairs, dim)`.

    Returns:
        `(pairs, 2 * dim)` float32.

    Raises:
        ValueError: if the shapes differ.
    """
    u, v = np.asarray(u, "float32"), np.asarray(v, "float32")
    if u.ndim != 2 or u.shape != v.shape:
        raise ValueError(f"`u` and `v` must have one shape (pairs, dim). Received: {u.shape}, {v.shape}")
    return np.concatenate([np.abs(u - v), u * v], axis=1)


def score_distribution(scores, classes=5):
    """Scores as distributions over 1 to `classes` whose mean is the score and which lie on the two whole numbers around it.

    Args:
        scores: `(pairs,)` from 1 to `classes`.
        classes: highest score.

    Returns:
        `(pairs, classes)` float64.

    Raises:
        ValueError: if a score is not in that range.
    """
    scores = np.asarray(scores, "float64")
    if scores.ndim != 1 or not len(scores) or not (scores.min() >= 1 and scores.max() <= classes):
        raise ValueError(f"`scores` must lie from 1 to {classes}. Received: {str(scores)[:100]}")
    return np.maximum(1 - np.abs(scores[:, None] - np.arange(1, classes + 1)), 0)


class Relatedness:
    """Predicts scores of pairs: logistic regression on their features, whose targets are distributions over whole scores.

    Args:
        classes: highest score; the lowest is 1.
        regularisation: `C` of `sklearn.linear_model.LogisticRegression`.
    """

    def __init__(self, classes=5, regularisation=1.0):
        self.classes, self.regularisation = classes, regularisation

    def fit(self, u, v, scores):
        """Learn from vectors `(pairs, dim)` of both texts and scores `(pairs,)` from 1 to `classes`; returns itself."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        weights, features = score_distribution(scores, self.classes), pair_features(u, v)
        if len(weights) != len(features):
            raise ValueError(f"`scores` must be one a pair, {len(features)}. Received: {len(weights)}")
        # a target that is a distribution is each of its classes, weighted
        pairs, classes = np.nonzero(weights)
        self._model = make_pipeline(StandardScaler(), LogisticRegression(C=self.regularisation, max_iter=1000))
        self._model.fit(features[pairs], classes + 1, logisticregression__sample_weight=weights[pairs, classes])
        return self

    def predict(self, u, v):
        """Expected scores `(pairs,)` of pairs of vectors `(pairs, dim)`."""
        return self._model.predict_proba(pair_features(u, v)) @ self._model[-1].classes_
