"""LRP against what it cannot be faster than: the gradient of the same score, one forward and one backward pass in one compiled function.

The inverse ratio is the price of a rule in passes: least for epsilon, which is a gradient with other denominators, and more for alpha-beta,
which sends positive and negative contributions apart. Three batch sizes tell whether the cost is linear.
"""

import keras
import numpy as np
import tensorflow as tf
from harness import Benchmark
from keras import layers

from zoo.applications import LRP

RNG = np.random.default_rng(0)


def network():
    """A small convolutional classifier of 32 x 32 images."""
    body = []
    for filters in (32, 64):
        body += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    return keras.Sequential([keras.Input((32, 32, 3)), *body, layers.Flatten(), layers.Dense(128, "relu"), layers.Dense(10)])


def main():
    """Each rule at two batch sizes."""
    benchmark = Benchmark("lrp", peer="tf.GradientTape")
    classifier = network()

    @tf.function(reduce_retracing=True)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_max(classifier(x, training=False), axis=-1)
        return tape.gradient(score, x)

    settings = {
        "epsilon": {"rule": "epsilon"},
        "alpha 1, beta 0": {"alpha": 1.0},
        "alpha 2, beta 1": {"alpha": 2.0},
        "sensitivity": {"method": "sensitivity"},
    }
    for name, arguments in settings.items():
        model = LRP(classifier, from_logits=True, **arguments)
        for batch in (32, 64, 128):
            x = RNG.normal(size=(batch, 32, 32, 3)).astype("float32")
            ours = lambda x=x, model=model, batch=batch: model.relevance(x, batch_size=batch)  # noqa: E731
            benchmark.case(f"{name}, batch of {batch}", ours, lambda x=x: gradient(tf.constant(x)).numpy(), batch, "images")
    benchmark.report()


if __name__ == "__main__":
    main()
