"""Overlaps, merging of boxes and the metrics on them, against loops, OpenCV, scikit-learn and pycocotools."""

import numpy as np
import pytest

from zoo.decoding import box_iou, clusters, nested, nms_avg, nms_max
from zoo.metrics import average_precision, average_recall, greedy_matches, mask_iou

RNG = np.random.default_rng(0)


def random_boxes(n, rng=RNG, side=60):
    corner, size = rng.integers(0, side, (n, 2)), rng.integers(8, 30, (n, 2))
    return np.concatenate([corner, corner + size], 1)


def crowded(n, groups, rng):
    """Boxes that jitter about a few places, as detections do."""
    return np.rint(random_boxes(groups, rng, 300)[rng.integers(groups, size=n)] + rng.normal(0, 1.5, (n, 4))).astype(int)


def painted(boxes, side=100):
    canvas = np.zeros((len(boxes), side, side), bool)
    for one, (left, top, right, bottom) in zip(canvas, boxes):
        one[top:bottom, left:right] = True
    return canvas


def test_overlaps_are_those_of_painted_pixels():
    a, b = random_boxes(20), random_boxes(15)
    canvas_a, canvas_b = painted(a), painted(b)
    expected = np.array([[(p & q).sum() / (p | q).sum() for q in canvas_b] for p in canvas_a])
    np.testing.assert_allclose(box_iou(a, b), expected, rtol=1e-12)
    np.testing.assert_allclose(mask_iou(canvas_a, canvas_b), expected, rtol=1e-12)
    assert box_iou([[3, 3, 3, 3]], [[3, 3, 3, 3]]) == 0 and box_iou(np.zeros((0, 4)), a).shape == (0, 20)
    assert mask_iou(canvas_a, canvas_b[:0]).shape == (20, 0)
    with pytest.raises(ValueError, match="`second` must have shape"):
        box_iou(a, [1, 2, 3, 4])
    with pytest.raises(ValueError, match="one size"):
        mask_iou(canvas_a, canvas_b[:, :5])


def test_nms_max_is_the_greedy_loop():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        boxes, scores, overlap = crowded(80, 9, rng), rng.uniform(size=80), rng.uniform(0.1, 0.9)
        iou, order, kept = box_iou(boxes, boxes), np.argsort(-scores), []
        for i in order:
            if all(iou[i, j] <= overlap for j in kept):
                kept.append(i)
        np.testing.assert_array_equal(nms_max(boxes, scores, overlap), kept)
    assert nms_max(np.zeros((0, 4)), np.zeros(0)).shape == (0,)
    with pytest.raises(ValueError, match="`scores` must have one number for each of the 80"):
        nms_max(boxes, scores[:3])


def test_nms_max_is_that_of_opencv():
    cv2 = pytest.importorskip("cv2")
    boxes, scores = crowded(100, 12, np.random.default_rng(1)), RNG.uniform(0.1, 1, 100)
    theirs = cv2.dnn.NMSBoxes([[x, y, r - x, b - y] for x, y, r, b in boxes.tolist()], scores.tolist(), 0.0, 0.3)
    np.testing.assert_array_equal(nms_max(boxes, scores, 0.3), np.ravel(theirs))


def test_clusters_are_those_of_opencv():
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "groupRectangles"):
        pytest.skip("OpenCV 5 has no groupRectangles")
    dropped = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        boxes = np.concatenate([crowded(40, 8, rng), crowded(40, 8, rng) + [0, 0, 60, 60]])
        # with a threshold of one OpenCV drops single boxes, so each is given twice; it rounds, so they are large
        boxes = 16 * np.repeat(boxes, 2, 0)
        theirs, counts = cv2.groupRectangles(np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).tolist(), 1, 0.2)
        label = clusters(boxes, 0.2)
        inner = nested(boxes, label, 0.2)
        ours = np.array([boxes[label == i].mean(0) for i in np.flatnonzero(~inner)])
        theirs = np.concatenate([theirs[:, :2], theirs[:, :2] + theirs[:, 2:]], 1)
        assert sorted(np.bincount(label)[~inner]) == sorted(np.ravel(counts))
        assert np.abs(theirs[:, None] - ours[None]).max(-1).min(1).max() <= 1  # OpenCV rounds
        dropped += inner.sum()
    assert dropped > 5


def test_nms_avg_by_hand():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 1, 10, 12], [50, 50, 60, 60], [51, 50, 61, 60], [90, 90, 99, 99]])
    scores = np.array([0.6, 0.56, 0.3, 0.9, 0.95, 0.1])
    found, best = nms_avg(boxes, scores)
    np.testing.assert_allclose(found, [[50.5, 50, 60.5, 60], [0.5, 0, 10.5, 10]])  # 0.3 is below 90 % of 0.6, and 0.1 below 0.2
    np.testing.assert_allclose(best, [0.95, 0.6])
    inner = nms_avg([[0, 0, 10, 10], [2, 2, 7, 7]], [0.5, 0.9])
    # one of two windows lies inside the other: only the outer one is a face
    np.testing.assert_allclose(inner[0], [[0, 0, 10, 10]])
    empty = nms_avg(boxes, np.zeros(6))
    assert empty[0].shape == (0, 4) and empty[1].shape == (0,)


def test_greedy_matches_against_a_loop():
    overlaps, thresholds = RNG.uniform(size=(30, 12)), [0.5, 0.75, 0.9]
    found = greedy_matches(overlaps, thresholds)
    for row, threshold in zip(found, thresholds):
        free = set(range(12))
        for i in range(30):
            best = max(free, key=lambda j: overlaps[i, j], default=None)
            hit = best is not None and overlaps[i, best] >= threshold
            free -= {best} if hit else set()
            assert row[i] == hit
    assert greedy_matches(np.zeros((3, 0)), 0.5).tolist() == [[False] * 3]


def test_average_precision_is_that_of_scikit_learn_times_the_recall():
    from sklearn.metrics import average_precision_score

    overlaps = [RNG.uniform(size=(20, 4)) ** 3, RNG.uniform(size=(30, 6)) ** 3, np.zeros((5, 0)), np.zeros((0, 3))]
    scores = [np.round(RNG.uniform(size=len(o)), 1) for o in overlaps]  # rounded, so that some are equal
    hits, ranks = [], []
    for overlap, score in zip(overlaps, scores):
        order = np.argsort(-score, kind="stable")
        hits.extend(greedy_matches(overlap[order], 0.5)[0])
        ranks.extend(score[order])
    expected = average_precision_score(hits, ranks) * sum(hits) / 13
    np.testing.assert_allclose(average_precision(overlaps, scores), expected, rtol=1e-12)
    assert average_precision([np.eye(3)], [[3, 2, 1]]) == 1 and average_precision([np.zeros((0, 3))], [[]]) == 0
    assert np.isnan(average_precision([np.zeros((2, 0))], [[1, 2]]))
    with pytest.raises(ValueError, match="one number a row"):
        average_precision([np.eye(3)], [[1]])


def test_average_recall_is_that_of_coco():
    mask = pytest.importorskip("pycocotools.mask")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    assert mask is not None
    truth, found, overlaps = [], [], []
    for image in range(3):
        rng = np.random.default_rng(image)
        objects = random_boxes(8, rng, 200)
        proposals = np.concatenate([objects + rng.integers(-4, 5, objects.shape) for _ in range(4)])
        rng.shuffle(proposals)
        overlaps.append(box_iou(proposals, objects))
        for name, boxes in (("truth", objects), ("found", proposals)):
            for i, (left, top, right, bottom) in enumerate(boxes.tolist()):
                entry = {"image_id": image, "category_id": 1, "bbox": [left, top, right - left, bottom - top]}
                extra = {"iscrowd": 0, "area": (right - left) * (bottom - top), "id": len(truth) + 1}
                (truth if name == "truth" else found).append(entry | (extra if name == "truth" else {"score": 1 - i / 100}))
    coco = COCO()
    coco.dataset = {"images": [{"id": i} for i in range(3)], "annotations": truth, "categories": [{"id": 1}]}
    coco.createIndex()
    judge = COCOeval(coco, coco.loadRes(found), "bbox")
    judge.params.maxDets = [1, 10, 100]
    judge.evaluate()
    judge.accumulate()
    recall = judge.eval["recall"][:, 0, 0].mean(0)  # over thresholds, for each number of detections
    np.testing.assert_allclose([average_recall(overlaps, n) for n in (1, 10, 100)], recall, rtol=1e-9)


def test_average_recall_by_hand():
    assert average_recall([[[0.74, 0.0], [0.0, 0.5]]], 2) == (5 + 1) / 20
    assert average_recall([[[0.74, 0.0], [0.0, 0.5]]], 1) == 5 / 20
    assert average_recall([[[0.9]], np.zeros((0, 1))], 10, [0.5]) == 0.5
