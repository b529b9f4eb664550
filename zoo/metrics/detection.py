"""How good detections and proposals are: average precision, average recall. NumPy; boxes and masks come as matrices of overlaps."""

import numpy as np


def greedy_matches(overlaps, thresholds):
    """Which detections find an object: best detection first, each takes the object not yet found that it overlaps most.

    Args:
        overlaps: intersection over union `(detections, objects)`, detections best first.
        thresholds: `(t,)`, least overlap of a match.

    Returns:
        `(t, detections)`, bool.
    """
    overlaps, thresholds = np.asarray(overlaps, "float64"), np.atleast_1d(thresholds)
    if overlaps.ndim != 2:
        raise ValueError(f"`overlaps` must have shape (detections, objects). Received: shape {overlaps.shape}")
    matched, rows = np.zeros((len(thresholds), len(overlaps)), bool), np.arange(len(thresholds))
    if not overlaps.size:
        return matched
    free = np.ones((len(thresholds), overlaps.shape[1]), bool)
    # a detection can only take what earlier ones left: one turn a detection, over all thresholds at once
    for i, overlap in enumerate(overlaps):
        open_overlap = np.where(free, overlap, -1)
        best = open_overlap.argmax(1)
        matched[:, i] = open_overlap[rows, best] >= thresholds
        free[rows[matched[:, i]], best[matched[:, i]]] = False
    return matched


def average_precision(overlaps, scores, threshold=0.5):
    """Area under the precision-recall curve over all images (without interpolation); objects never found count as recall that is missed.

    Args:
        overlaps: one matrix `(detections, objects)` of intersection over union an image.
        scores: one array `(detections,)` an image.
        threshold: least overlap of a match.

    Returns:
        A float in [0, 1]; 0 without detections, NaN without objects.
    """
    pairs = [_ranked(o, s) for o, s in zip(overlaps, scores)]
    total = sum(o.shape[1] for o, _ in pairs)
    if not total:
        return float("nan")
    hits = np.concatenate([greedy_matches(o, [threshold])[0] for o, _ in pairs])
    ranks = np.concatenate([s for _, s in pairs])
    # of equal scores, the precision is that after the last of them
    order = np.argsort(-ranks, kind="stable")
    hits, ranks = hits[order], ranks[order]
    last = np.searchsorted(-ranks, -ranks, side="right") - 1
    precision = np.cumsum(hits)[last] / (last + 1) if len(hits) else np.zeros(0)
    return float(precision[hits].sum() / total)


def average_recall(overlaps, number, thresholds=None):
    """Average recall of the first `number` proposals of each image, over thresholds from 0.5 to 0.95 (Hosang et al. 2015; COCO's AR).

    Args:
        overlaps: one matrix `(proposals, objects)` of intersection over union an image, proposals best first.
        number: of proposals that count in each image; `None` for all.
        thresholds: of the overlap; 0.5, 0.55 ... 0.95 unless given.

    Returns:
        A float in [0, 1]; NaN without objects.
    """
    thresholds = np.linspace(0.5, 0.95, 10) if thresholds is None else np.atleast_1d(thresholds)
    overlaps = [np.asarray(o, "float64") for o in overlaps]
    total = sum(o.shape[1] for o in overlaps)
    found = sum(greedy_matches(o[:number], thresholds).sum() for o in overlaps)
    return float(found / (total * len(thresholds))) if total else float("nan")


def mask_iou(first, second):
    """Intersection over union of every pair of masks.

    Args:
        first: `(n, height, width)`, bool.
        second: `(m, height, width)`, bool.

    Returns:
        `(n, m)`, float64 in [0, 1]; 0 where both are empty.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 3 or second.ndim != 3 or first.shape[1:] != second.shape[1:]:
        raise ValueError(f"`first` and `second` must have shapes (n, height, width) of one size. Received: {first.shape}, {second.shape}")
    # counts stay exact in float32 up to 2**24 pixels
    first, second = (array.reshape(len(array), array[0].size if len(array) else 0).astype("float32") for array in (first, second))
    if not len(first) or not len(second):
        return np.zeros((len(first), len(second)))
    shared = (first @ second.T).astype("float64")
    union = first.sum(1)[:, None] + second.sum(1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _ranked(overlaps, scores):
    """Overlaps and scores of an image, best first."""
    overlaps, scores = np.asarray(overlaps, "float64"), np.asarray(scores, "float64")
    if overlaps.ndim != 2 or scores.shape != overlaps.shape[:1]:
        raise ValueError(f"`scores` must have one number a row of `overlaps` {overlaps.shape}. Received: shape {scores.shape}")
    order = np.argsort(-scores, kind="stable")
    return overlaps[order], scores[order]
