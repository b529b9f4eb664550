"""DDFD's heat map against its own classifier at every window.

Dense evaluation is the method's point, so the peer is the same network with the same weights, given all windows in batches.
"""

import numpy as np
from harness import Benchmark

from zoo.applications import DDFD

RNG = np.random.default_rng(0)


def heat_map(benchmark, size):
    """One grey image, windows of 36 pixels with a stride of 4."""
    model = DDFD.from_pretrained("ddfd_faces")
    image = RNG.uniform(size=size).astype("float32")

    def sliding():
        windows = np.lib.stride_tricks.sliding_window_view(image, (model.window, model.window))[:: model.stride, :: model.stride]
        return model.predict(windows.reshape(-1, model.window, model.window, 1), batch_size=256, verbose=0)

    benchmark.case(f"heat map, {size[0]} x {size[1]}", lambda: model.heat_map(image), sliding, 1, "images")


def main():
    """Run all cases."""
    benchmark = Benchmark("ddfd", peer="the classifier at every window")
    heat_map(benchmark, (180, 240))
    heat_map(benchmark, (480, 640))
    benchmark.report()


if __name__ == "__main__":
    main()
