"""Training windows of a detector: squares that hold an object, and squares that do not (Farfade et al. 2015, section 2)."""

import numpy as np

from zoo.datasets.crops import accepted, crop, padded


def training_windows(images, boxes, positives, negatives, size, rng, overlap=0.5, rotation=0.0, flip=True):
    """Draw windows: positives are random squares with an intersection over union above `overlap` with a box, negatives are others.

    Half of the negatives lie near an object (so that the detector learns where it ends), half anywhere.

    Args:
        images: `(n, height, width)` or `(n, height, width, channels)`.
        boxes: list of `n` arrays `(objects, 4)`, `(left, top, right, bottom)` in pixels.
        positives: number of windows with an object.
        negatives: number of windows without.
        size: side of the windows in pixels.
        rng: a `numpy.random.Generator`.
        overlap: what a positive exceeds and a negative does not.
        rotation: largest rotation of a window in its plane, in radians, to both sides.
        flip: whether to mirror half of the windows.

    Returns:
        Windows `(positives + negatives, size, size[, channels])` float32, labels int32 (1 first), both in that order.

    Raises:
        ValueError: if there is no box, or no square as asked for is found.
    """
    count = np.array([len(b) for b in boxes])
    if len(boxes) != len(images) or not count.sum():
        raise ValueError(
            f"`boxes` must have one array for each of {len(images)} images, and a box. Received: {len(boxes)}, {count.sum()} boxes"
        )
    every, owner = np.concatenate([np.reshape(b, (-1, 4)) for b in boxes]).astype("float64"), np.repeat(np.arange(len(boxes)), count)
    boxes = padded(boxes, 4)

    def near(number, spread):
        pick = rng.integers(len(every), size=number)
        side = (every[pick, 2:] - every[pick, :2]).mean(1, keepdims=True)
        centre = (every[pick, :2] + every[pick, 2:]) / 2 + rng.uniform(-spread, spread, (number, 2)) * side
        side = side * np.exp(rng.uniform(-spread, spread, (number, 1)))
        return owner[pick], np.concatenate([centre - side / 2, centre + side / 2], 1)

    def anywhere(number):
        height, width = images.shape[1:3]
        least = max(size / 2, 1.0)
        side = np.exp(rng.uniform(np.log(min(least, height, width)), np.log(min(height, width)), (number, 1)))
        corner = rng.uniform(0, 1, (number, 2)) * (np.array([width, height]) - side)
        return rng.integers(len(images), size=number), np.concatenate([corner, corner + side], 1)

    found = [
        _accepted(lambda n: near(n, 0.35), positives, lambda iou: iou > overlap, boxes),
        _accepted(lambda n: near(n, 1.2), negatives // 2, lambda iou: iou <= overlap, boxes),
        _accepted(anywhere, negatives - negatives // 2, lambda iou: iou <= overlap, boxes),
    ]
    index, squares = np.concatenate([i for i, _ in found]), np.concatenate([b for _, b in found])
    angles, flips = rng.uniform(-rotation, rotation, len(index)), rng.integers(2, size=len(index)) * int(flip) == 1
    return crop(images, index, squares, size, angles, flips), (np.arange(len(index)) < positives).astype("int32")


def _accepted(draw, number, accept, boxes):
    """The first `number` squares whose best overlap with the boxes of their image is accepted, and their images."""

    def good(tries):
        index, squares = draw(tries)
        kept = accept(_best_iou(squares, boxes[index]))
        return index[kept], squares[kept]

    index, squares = accepted(good, number)
    if len(index) < number:
        raise ValueError(f"`boxes` must leave room for {number} windows. Received: boxes that allow {len(index)}")
    return index, squares


def _best_iou(squares, boxes):
    """Largest intersection over union of each square with its own boxes: `(k, 4)` and `(k, most, 4)` -> `(k,)`."""
    squares = squares[:, None]
    low, high = np.maximum(squares[..., :2], boxes[..., :2]), np.minimum(squares[..., 2:], boxes[..., 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    union = (squares[..., 2:] - squares[..., :2]).prod(-1) + (boxes[..., 2:] - boxes[..., :2]).prod(-1) - shared
    return (shared / union).max(1)
