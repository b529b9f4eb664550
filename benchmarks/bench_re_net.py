"""ReNet against a convolutional network with as many parameters: training and inference on MNIST's 28 x 28 pixels."""

import keras
import numpy as np
from harness import Benchmark
from keras import layers

from zoo.applications import ReNet

RNG = np.random.default_rng(0)
SIZES = {"2 x 2 patches": (2, 2), "4 x 4 patches": (4, 1), "7 x 7 patches": (7, 1), "patches of 28 x 2": ((28, 2), (1, 2))}


def matched_cnn(parameters, dense=64):
    """Two stages of two 3 x 3 convolutions and pooling, then one dense layer; the width that comes nearest to `parameters`."""

    def build(width):
        x = image = keras.Input((28, 28, 1))
        for filters in (width, 2 * width):
            for _ in range(2):
                x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = layers.MaxPooling2D()(x)
        x = layers.Dense(dense, "relu")(layers.Flatten()(x))
        model = keras.Model(image, layers.Dense(10, "softmax")(x))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return min((build(width) for width in range(4, 48)), key=lambda model: abs(model.count_params() - parameters))


def main():
    """Run all cases."""
    x, y = RNG.uniform(size=(512, 28, 28, 1)).astype("float32"), RNG.integers(0, 10, 512).astype("int32")
    benchmark = Benchmark("re_net", peer="a CNN with as many parameters")
    for cell, compiled in (("gru", False), ("gru", True), ("lstm", False)):
        for name, patches in SIZES.items() if cell == "gru" and not compiled else [("2 x 2 patches", (2, 2))]:
            ours = ReNet(units=(24, 24), patch_size=patches, dense_units=(64,), cell=cell, shift=0, dropout=0.0, input_dropout=0.0)
            ours.compile(jit_compile=compiled)
            peer = matched_cnn(ours.count_params())
            sizes = f"{ours.count_params():,} parameters, {peer.count_params():,} in the CNN"
            title = f"{cell.upper()}{', XLA' if compiled else ''}, {name}, {sizes}"
            for work, arguments in (("fit", (x, y)), ("predict", (x,))):
                benchmark.case(
                    f"{work}, {title}",
                    lambda m=ours, w=work, a=arguments: getattr(m, w)(*a, batch_size=64, verbose=0),
                    lambda m=peer, w=work, a=arguments: getattr(m, w)(*a, batch_size=64, verbose=0),
                    512,
                    "images",
                    repeats=5,
                )
    benchmark.report()


if __name__ == "__main__":
    main()
