"""Mean-field inference by the permutohedral lattice against brute force: time by pixels, and by classes.

No published dense CRF installs here (pydensecrf does not build on present Pythons; its results are golden arrays of the tests), so the peer
is what a user would write without one: the exact Gaussian sums over all pairs of pixels, as a matrix, made once and used by all iterations.
"""

import keras
import numpy as np
from harness import Benchmark
from scipy import ndimage

from zoo import autodiff
from zoo.layers import MeanFieldCRF

RNG = np.random.default_rng(0)
ITERATIONS = 5


def scene(side, classes):
    """A smooth colour image and noisy logits."""
    image = ndimage.gaussian_filter(RNG.uniform(size=(1, side, side, 3)), (0, side / 12, side / 12, 0))
    image = (image - image.min()) / np.ptp(image)
    return RNG.normal(size=(1, side, side, classes)).astype("float32"), image.astype("float32")


def inference(side, classes, exact_pixels):
    """A function without arguments that refines one scene."""
    layer = MeanFieldCRF(side / 3, 10.0, 2.0, ITERATIONS, ITERATIONS, exact_pixels=exact_pixels)
    logits, image = scene(side, classes)
    layer.build([logits.shape, image.shape])
    run = autodiff.compiled(lambda a, b: layer([a, b]), layer)
    logits, image = keras.ops.convert_to_tensor(logits), keras.ops.convert_to_tensor(image)
    return lambda: keras.ops.convert_to_numpy(run(logits, image))


def main():
    """Run all cases."""
    benchmark = Benchmark("crf_as_rnn", peer="brute force")
    sizes = [(side, 11) for side in (32, 48, 64, 96, 128)] + [(64, classes) for classes in (2, 22, 44, 88)]
    for side, classes in sizes:
        benchmark.case(
            f"{side} x {side} pixels, {classes} classes, {ITERATIONS} iterations",
            inference(side, classes, 0),
            inference(side, classes, 10**9),
            side * side,
            "pixels",
            repeats=5,
        )
    benchmark.report()


if __name__ == "__main__":
    main()
