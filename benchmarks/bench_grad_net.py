"""GradNet against the plain Keras network that it ends as: what the blend costs in training, and that nothing is left of it afterwards."""

import keras
import numpy as np
from harness import Benchmark
from keras import layers

from zoo.applications import GradNet

RNG = np.random.default_rng(0)
SHAPE = (28, 28, 1)
BLOCKS, UNITS = [[32, 32], [64, 64]], [128]


def plain_keras():
    """The network as the Keras examples write it."""
    model = keras.Sequential([keras.Input(SHAPE)])
    for block in BLOCKS:
        for filters in block:
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    for width in UNITS:
        model.add(layers.Dense(width, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main():
    """Run all cases."""
    benchmark = Benchmark("grad_net", peer="plain Keras")
    x, y = RNG.normal(size=(640, *SHAPE)).astype("float32"), RNG.integers(0, 10, 640)
    peer, arguments = plain_keras(), {"batch_size": 64, "verbose": 0}
    blended = GradNet(SHAPE, blocks=BLOCKS, units=UNITS, components=["relu", "normalization", "pooling"], blend_epochs=1000)
    benchmark.case(
        "training while three components blend", lambda: blended.fit(x, y, **arguments), lambda: peer.fit(x, y, **arguments), 640, "images"
    )
    done = GradNet(SHAPE, blocks=BLOCKS, units=UNITS, components=["relu", "normalization", "pooling"], blend_epochs=1)
    done.fit(x, y, **arguments)
    final = done.finalize()
    benchmark.case("prediction before finalize", lambda: done.predict(x, **arguments), lambda: peer.predict(x, **arguments), 640, "images")
    benchmark.case("prediction after finalize", lambda: final.predict(x, **arguments), lambda: peer.predict(x, **arguments), 640, "images")
    benchmark.report()


if __name__ == "__main__":
    main()
