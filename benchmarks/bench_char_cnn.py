"""The character CNN, fed with integers, against the same network of Keras's layers, fed with one-hot vectors from the host."""

import keras
import numpy as np
from harness import Benchmark
from keras import layers

from zoo.applications import CharCNN
from zoo.applications.char_cnn import CONVOLUTIONS

RNG = np.random.default_rng(0)
LENGTH, FEATURES, UNITS, CHARACTERS = 420, 64, 128, 69


def peer():
    """Conv1D on dense input."""
    model = keras.Sequential([keras.Input((LENGTH, CHARACTERS))])
    for kernel, pool in CONVOLUTIONS:
        model.add(layers.Conv1D(FEATURES, kernel, activation="relu"))
        if pool > 1:
            model.add(layers.MaxPooling1D(pool))
    model.add(layers.Flatten())
    for _ in range(2):
        model.add(layers.Dense(UNITS, "relu"))
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(4, "softmax"))
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main():
    """Training and prediction; the peer's one-hot vectors are made in the clocked time, as its users must make them."""
    benchmark = Benchmark("char_cnn", peer="Keras layers on one-hot vectors")
    ours, theirs, n = CharCNN(4, length=LENGTH, features=FEATURES, units=UNITS), peer(), 512
    x, y = RNG.integers(0, CHARACTERS + 2, (n, LENGTH)), RNG.integers(0, 4, n)
    table = np.concatenate([np.zeros((2, CHARACTERS), "float32"), np.eye(CHARACTERS, dtype="float32")])
    options = {"batch_size": 128, "verbose": 0}
    benchmark.case("training", lambda: ours.fit(x, y, **options), lambda: theirs.fit(table[x], y, **options), n, "texts")
    benchmark.case("prediction", lambda: ours.predict(x, **options), lambda: theirs.predict(table[x], **options), n, "texts")
    benchmark.report()


if __name__ == "__main__":
    main()
