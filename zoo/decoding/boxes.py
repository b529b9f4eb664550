"""Boxes of detections: overlap, and the two ways to merge windows that found the same object.

Boxes are rows `(left, top, right, bottom)` in pixels; the right and bottom sides lie outside the box, so that `right - left` is its width.
"""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph


def box_iou(first, second):
    """Intersection over union of every pair of boxes.

    Args:
        first: `(n, 4)`.
        second: `(m, 4)`.

    Returns:
        `(n, m)`, float64 in [0, 1]; 0 where both boxes are empty.
    """
    first, second = _boxes(first, "first"), _boxes(second, "second")
    low, high = np.maximum(first[:, None, :2], second[None, :, :2]), np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    union = _area(first)[:, None] + _area(second) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def nms_max(boxes, scores, overlap=0.3):
    """Greedy non-maximum suppression: the best box stays, all that overlap it by more than `overlap` go, and so on.

    Args:
        boxes: `(n, 4)`.
        scores: `(n,)`.
        overlap: largest intersection over union of two boxes that both stay.

    Returns:
        Indices of the boxes that stay, best first, int64.
    """
    boxes, scores = _scored(boxes, scores)
    order, kept = np.argsort(-scores, kind="stable"), []
    # each turn keeps a box, so there are as many turns as boxes that stay
    while order.size:
        kept.append(order[0])
        order = order[1:][box_iou(boxes[order[:1]], boxes[order[1:]])[0] <= overlap]
    return np.array(kept, "int64")


def nms_avg(boxes, scores, tolerance=0.2, least_score=0.2, share=0.9):
    """Average the windows of each cluster (Farfade et al. 2015, section 2; clusters are those of OpenCV's `groupRectangles`).

    Windows below `least_score` go first, then clusters inside larger ones (see `nested`). Within a cluster those with at least `share` of
    its best score are averaged, and the best score is that of the average.

    Args:
        boxes: `(n, 4)`.
        scores: `(n,)`.
        tolerance: how far the sides of two similar boxes may lie apart, as a share of their mean width and height.
        least_score: windows below are dropped.
        share: of the cluster's best score that a window needs to be averaged.

    Returns:
        Boxes `(k, 4)` and scores `(k,)`, float64, best first.
    """
    boxes, scores = _scored(boxes, scores)
    boxes, scores = boxes[scores >= least_score], scores[scores >= least_score]
    if not len(boxes):
        return boxes, scores
    label = clusters(boxes, tolerance)
    best = np.full(label.max() + 1, -np.inf)
    np.maximum.at(best, label, scores)
    averaged = scores >= share * best[label]
    count = np.bincount(label[averaged], minlength=len(best))
    mean = np.stack([np.bincount(label[averaged], side[averaged], len(best)) for side in boxes.T], 1) / count[:, None]
    order = np.argsort(-best, kind="stable")
    order = order[~nested(boxes, label, tolerance)[order]]
    return mean[order], best[order]


def clusters(boxes, tolerance=0.2):
    """Number of the cluster of each box: those of OpenCV's `groupRectangles`, connected by similar pairs.

    Two boxes are similar if each side lies within `tolerance * (smaller width + smaller height) / 2` of the other's.

    Args:
        boxes: `(n, 4)`.
        tolerance: OpenCV's `eps`.

    Returns:
        `(n,)`, int32, from 0.
    """
    boxes = _boxes(boxes, "boxes")
    size = boxes[:, 2:] - boxes[:, :2]
    delta = tolerance * np.minimum(size[:, None], size[None]).sum(-1) / 2
    similar = (np.abs(boxes[:, None] - boxes[None]) <= delta[..., None]).all(-1)
    return csgraph.connected_components(sparse.csr_matrix(similar), directed=False)[1]


def nested(boxes, label, tolerance=0.2):
    """Which clusters OpenCV's `groupRectangles` drops: those inside a cluster with more windows, so that a part of a face is no face.

    The mean box must lie within the other's, enlarged by `tolerance`, and the other have more windows (at least four), or this one only
    one or two.

    Args:
        boxes: `(n, 4)`.
        label: number of the cluster of each box, `(n,)`, as `clusters` gives it.
        tolerance: OpenCV's `eps`.

    Returns:
        `(k,)`, bool, for each of the `k` clusters.
    """
    boxes, count = _boxes(boxes, "boxes"), np.bincount(label)
    mean = np.stack([np.bincount(label, side) for side in boxes.T], 1) / count[:, None]
    margin = tolerance * (mean[:, 2:] - mean[:, :2])
    inside = (mean[:, None, :2] >= (mean[:, :2] - margin)[None]).all(-1) & (mean[:, None, 2:] <= (mean[:, 2:] + margin)[None]).all(-1)
    fewer = (count[None] > np.maximum(3, count[:, None])) | (count[:, None] < 3)
    return (inside & fewer & ~np.eye(len(count), dtype=bool)).any(1)


def _area(boxes):
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1)


def _boxes(boxes, name):
    array = np.asarray(boxes, "float64")
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"`{name}` must have shape (n, 4). Received: shape {array.shape}")
    return array


def _scored(boxes, scores):
    boxes, scores = _boxes(boxes, "boxes"), np.asarray(scores, "float64")
    if scores.shape != boxes.shape[:1]:
        raise ValueError(f"`scores` must have one number for each of the {len(boxes)} boxes. Received: shape {scores.shape}")
    return boxes, scores
