"""How well samples that may have several labels at once are told: areas under the curve, F1, precision of the first."""

import numpy as np
from scipy import sparse
from sklearn import metrics

from zoo.metrics.ranking import recall_at_k


def multilabel_scores(labels, probabilities, thresholds=0.5, k=10):
    """The scores of Lipton et al. 2015, arXiv 1511.03677, section 5; those of a label count only where it is not the same for all.

    Args:
        labels: 0 or 1, `(samples, labels)`.
        probabilities: `(samples, labels)`.
        thresholds: from which probability on a label is predicted; one, or one a label, see `f1_thresholds`.
        k: labels with the highest probabilities to look at.

    Returns:
        Dict of floats: `micro_auc` and `macro_auc`, `micro_f1` and `macro_f1`, `precision_at_k`.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    told = [i for i in range(labels.shape[1]) if 0 < labels[:, i].mean() < 1]
    predicted = probabilities >= thresholds
    best = np.argsort(-probabilities, axis=1)[:, :k]
    return {
        "micro_auc": float(metrics.roc_auc_score(labels.ravel(), probabilities.ravel())),
        "macro_auc": float(np.mean([metrics.roc_auc_score(labels[:, i], probabilities[:, i]) for i in told])),
        "micro_f1": float(metrics.f1_score(labels.ravel(), predicted.ravel(), zero_division=0)),
        "macro_f1": float(np.mean([metrics.f1_score(labels[:, i], predicted[:, i], zero_division=0) for i in told])),
        "precision_at_k": float(np.take_along_axis(labels, best, axis=1).mean()),
    }


def f1_thresholds(labels, probabilities):
    """For each label the threshold with the best F1 on these samples, to be used on others: `(labels,)`."""
    found = []
    for label, chance in zip(np.asarray(labels).T, np.asarray(probabilities).T):
        precision, recall, thresholds = metrics.precision_recall_curve(label, chance)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        found.append(thresholds[int(np.argmax(f1[:-1]))])
    return np.array(found)


def top_k_recall(labels, scores, k=30):
    """Share of a sample's labels that are among the `k` with the highest scores; ties count against.

    (Choi et al. 2015, arXiv 1511.05942, section 4.)

    Args:
        labels: 0 or 1, `(samples, labels)`.
        scores: `(samples, labels)`.
        k: labels to look at.

    Returns:
        Array with one value for each sample that has labels.
    """
    return recall_at_k(lambda samples: np.asarray(scores)[samples], sparse.csr_matrix(labels), k=k)
