"""Errors of segmentations, on NumPy arrays: intersection over union, pixel error, Rand error, warping error.

The last three are the ones by which the ISBI 2012 challenge ranked membrane segmentations (Arganda-Carreras et al. 2015). No Keras inside.
"""

import numpy as np


def iou(truth, prediction, num_classes=2):
    """Intersection over union of each class.

    Args:
        truth: classes, whole numbers of any shape.
        prediction: classes of the same shape.
        num_classes: number of classes.

    Returns:
        `(num_classes,)` float64; NaN for a class that neither array holds.
    """
    truth, prediction = _pair(truth, prediction)
    counts = np.bincount(truth * num_classes + prediction, minlength=num_classes**2).reshape(num_classes, num_classes)
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    return np.divide(counts.diagonal(), union, out=np.full(num_classes, np.nan), where=union > 0)


def pixel_error(truth, prediction):
    """Share of pixels whose class is wrong."""
    truth, prediction = _pair(truth, prediction)
    return float(np.mean(truth != prediction))


def cells(mask):
    """Number the connected regions (four neighbours) of a mask.

    Args:
        mask: `(height, width)`; nonzero is foreground.

    Returns:
        int32 `(height, width)`, 0 for background.
    """
    from scipy import ndimage

    return ndimage.label(np.asarray(mask) != 0)[0].astype("int32")


def rand_error(truth, prediction):
    """Rand error of ISBI 2012: one minus the F-score of the pairs of pixels that lie in one object, over the true foreground.

    Args:
        truth: instances, 0 for background (not counted).
        prediction: instances of the same shape; 0 is an object like any other.

    Returns:
        A float in [0, 1]; 0 is perfect.
    """
    from scipy import sparse

    truth, prediction = _pair(truth, prediction)
    kept = truth != 0
    if not kept.any():
        return 0.0
    rows, columns = (np.unique(labels[kept], return_inverse=True)[1] for labels in (truth, prediction))
    table = sparse.coo_matrix((np.ones(rows.size), (rows, columns))).tocsr()
    both, per_truth, per_prediction = ((n * (n - 1)).sum() for n in (table.data, np.asarray(table.sum(1)), np.asarray(table.sum(0))))
    return float(1 - 2 * both / (per_truth + per_prediction)) if per_truth + per_prediction else 0.0


def warping_error(truth, prediction):
    """Warping error (Jain et al. 2010): share of pixels that still differ after the truth was warped onto the prediction.

    The truth may move its borders as long as no region appears, vanishes, splits or merges (foreground by four neighbours, background by
    eight), so small shifts of a border cost nothing and each topological mistake costs the pixels of its repair.
    How far a border may move is not limited.

    Args:
        truth: mask `(height, width)`; nonzero is foreground.
        prediction: mask of the same shape.

    Returns:
        A float in [0, 1].
    """
    truth, prediction = (np.asarray(mask) != 0 for mask in (truth, prediction))
    _pair(truth, prediction)
    return float(np.mean(_warped(truth, prediction) != prediction))


def challenge_errors(probability, membrane, thresholds=10):
    """The three errors of ISBI 2012, each the smallest over thresholds of a membrane probability map.

    Args:
        probability: of membrane, `(height, width)`.
        membrane: true mask, 1 on membranes.
        thresholds: number of levels, evenly spaced inside (0, 1).

    Returns:
        `{"rand": ..., "warping": ..., "pixel": ...}`.
    """
    truth = np.asarray(membrane) == 0
    levels = [np.asarray(probability) < t for t in np.arange(1, thresholds + 1) / (thresholds + 1)]
    return {
        "rand": min(rand_error(cells(truth), cells(level)) for level in levels),
        "warping": min(warping_error(truth, level) for level in levels),
        "pixel": min(pixel_error(truth, level) for level in levels),
    }


def _pair(truth, prediction):
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape:
        raise ValueError(f"`prediction` must have the shape of `truth`, {truth.shape}. Received: {prediction.shape}")
    return truth.ravel().astype("int64"), prediction.ravel().astype("int64")


def _warped(mask, target):
    """`mask` with simple points flipped toward `target` until none is left."""
    padded = np.pad(mask, 1)
    changed = True
    while changed:
        changed = False
        # pixels of one parity class never touch, so all of them flip at once
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            inside = padded[1:-1, 1:-1][row::2, column::2]
            flips = (inside != target[row::2, column::2]) & _simple(padded)[row::2, column::2]
            inside ^= flips
            changed |= bool(flips.any())
    return padded[1:-1, 1:-1]


def _simple(padded):
    """Pixels whose flip keeps the topology: exactly one foreground region among the neighbours (connectivity number one)."""
    height, width = padded.shape
    ring = [(1, 2), (0, 2), (0, 1), (0, 0), (1, 0), (2, 0), (2, 1), (2, 2)]
    n = [padded[i : height - 2 + i, j : width - 2 + j] for i, j in ring]
    return sum((n[k] & ~(n[k + 1] & n[(k + 2) % 8])).astype("int8") for k in (0, 2, 4, 6)) == 1
