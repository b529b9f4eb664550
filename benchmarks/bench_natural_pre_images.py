"""NaturalPreImages against tf-keras-vis: activation maximisation of classes of EfficientNet-Lite0, many at once.

Both have the same network, images of 96 x 96, total variation, a norm and jitter. tf-keras-vis is a package for tf.keras that runs with
Keras 3 as well: `pip install --no-deps tf-keras-vis deprecated wrapt imageio`. It runs its steps eagerly.
"""

from importlib.metadata import version

import numpy as np
import tensorflow as tf
from harness import Benchmark
from tf_keras_vis.activation_maximization import ActivationMaximization
from tf_keras_vis.activation_maximization.input_modifiers import Jitter
from tf_keras_vis.activation_maximization.regularizers import Norm, TotalVariation2D
from tf_keras_vis.utils.scores import CategoricalScore

from zoo import trunks
from zoo.applications import NaturalPreImages

SIDE, STEPS = 96, 10


def main():
    """Time the steps of either, for one image and for eight."""
    classifier = trunks.classifier()
    model, peer = NaturalPreImages(classifier), ActivationMaximization(classifier)
    benchmark = Benchmark("natural_pre_images", peer=f"tf-keras-vis {version('tf-keras-vis')}")
    for number in (1, 8):
        classes = list(range(number))
        start = np.random.default_rng(0).random((number, SIDE, SIDE, 3)).astype("float32")

        def theirs(classes=classes, start=start):
            peer(
                CategoricalScore(classes),
                seed_input=tf.constant(start),
                input_range=(0.0, 1.0),
                input_modifiers=[Jitter(jitter=8)],
                regularizers=[TotalVariation2D(weight=10.0), Norm(weight=10.0, p=6)],
                steps=STEPS,
            )

        benchmark.case(
            f"EfficientNet-Lite0, {SIDE} x {SIDE}, {number} classes" if number > 1 else f"EfficientNet-Lite0, {SIDE} x {SIDE}, one class",
            ours=lambda classes=classes, start=start: model.maximize(classes, size=(SIDE, SIDE), init=start, steps=STEPS, verbose=0),
            peer=theirs,
            work=STEPS * number,
            unit="steps of an image",
            repeats=3,
        )
    benchmark.report()


if __name__ == "__main__":
    main()
