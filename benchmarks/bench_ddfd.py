"""DDFD's heat map against its own classifier at every window, and merging of boxes against a loop over pairs.

Dense evaluation is the method's point, so the peer is the same network with the same weights, given all windows in batches. For merging the
peer is the loop over all boxes that detectors ship in Python.
"""

import numpy as np
from harness import Benchmark

from zoo.applications import DDFD
from zoo.decoding import box_iou, nms_max

RNG = np.random.default_rng(0)


def heat_map(benchmark, size):
    """One grey image, windows of 36 pixels with a stride of 4."""
    model = DDFD.from_pretrained("ddfd_faces")
    image = RNG.uniform(size=size).astype("float32")

    def sliding():
        windows = np.lib.stride_tricks.sliding_window_view(image, (model.window, model.window))[:: model.stride, :: model.stride]
        return model.predict(windows.reshape(-1, model.window, model.window, 1), batch_size=256, verbose=0)

    benchmark.case(f"heat map, {size[0]} x {size[1]}", lambda: model.heat_map(image), sliding, 1, "images")


def merging(benchmark):
    """Two thousand windows about forty faces."""
    corner = RNG.uniform(0, 600, (40, 2))[RNG.integers(40, size=2000)] + RNG.normal(0, 3, (2000, 2))
    boxes, scores = np.concatenate([corner, corner + 40 + RNG.normal(0, 3, (2000, 2))], 1), RNG.uniform(size=2000)

    def peer():
        kept = []
        for i in np.argsort(-scores):
            if all(box_iou(boxes[i : i + 1], boxes[j : j + 1])[0, 0] <= 0.3 for j in kept):
                kept.append(i)
        return kept

    assert nms_max(boxes, scores, 0.3).tolist() == peer()
    benchmark.case("NMS-max, 2000 boxes", lambda: nms_max(boxes, scores, 0.3), peer, 1, "calls", repeats=3)


def main():
    """Run all cases."""
    benchmark = Benchmark("ddfd", peer="the classifier at every window, and loops")
    heat_map(benchmark, (180, 240))
    heat_map(benchmark, (480, 640))
    merging(benchmark)
    benchmark.report()


if __name__ == "__main__":
    main()
