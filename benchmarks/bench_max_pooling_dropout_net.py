"""Max-pooling dropout against what Keras users write: Dropout and MaxPooling2D; and its sorting network against sorting an axis.

Training: forward and backward pass of the layers. Inference: probabilistic weighted pooling against plain max-pooling, which does less,
and against the same sum by `ops.image.extract_patches` and `ops.sort`.
"""

import keras
import numpy as np
import tensorflow as tf
from harness import Benchmark
from keras import layers, ops

from zoo.applications import MaxPoolingDropoutNet
from zoo.layers import MaxPoolingDropout2D

RNG = np.random.default_rng(0)


def gradient(layer):
    """The gradient of a layer's output in training, as one compiled function."""

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(layer(x, training=True) ** 2)
        return tape.gradient(value, x)

    return run


def sorted_axis(size, strides, rate):
    """Weighted pooling by patches and a sort."""
    n = size * size
    weights = ops.reshape((1 - rate) * rate ** ops.arange(n - 1, -1, -1, dtype="float32"), (n, 1))

    @tf.function
    def run(x):
        patches = ops.image.extract_patches(x, size, strides)
        patches = ops.reshape(patches, (*patches.shape[:3], n, x.shape[-1]))
        return ops.sum(ops.sort(patches, axis=3) * weights, axis=3)

    return run


def pooling(benchmark, size, strides, shape):
    """The layers alone."""
    x = tf.constant(np.maximum(RNG.normal(size=shape), 0).astype("float32"))
    title = f"{size} x {size} regions, stride {strides}, {' x '.join(map(str, shape))}"
    ours = MaxPoolingDropout2D(size, strides)
    peer = keras.Sequential([layers.Dropout(0.5), layers.MaxPooling2D(size, strides)])
    train, train_peer = gradient(ours), gradient(peer)
    benchmark.case(f"training, {title}", lambda: train(x).numpy(), lambda: train_peer(x).numpy(), shape[0], "images")
    infer, infer_peer, slow = tf.function(ours), tf.function(peer), sorted_axis(size, strides, 0.5)
    np.testing.assert_allclose(infer(x), slow(x), atol=1e-5)
    benchmark.case(f"inference, {title}", lambda: infer(x).numpy(), lambda: infer_peer(x).numpy(), shape[0], "images")
    benchmark.case(f"inference against a sort, {title}", lambda: infer(x).numpy(), lambda: slow(x).numpy(), shape[0], "images")


def network(benchmark):
    """The paper's MNIST network, trained and asked."""
    ours = MaxPoolingDropoutNet()
    peer = keras.Sequential([keras.Input((28, 28, 1))])
    for filters in (20, 40):
        peer.add(layers.Conv2D(filters, 5, activation="relu"))
        peer.add(layers.Dropout(0.5))
        peer.add(layers.MaxPooling2D(2))
    for layer in (layers.Flatten(), layers.Dense(1000, "relu"), layers.Dense(10, "softmax")):
        peer.add(layer)
    peer.compile(keras.optimizers.SGD(0.01, momentum=0.95), "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = RNG.uniform(size=(1000, 28, 28, 1)).astype("float32"), RNG.integers(0, 10, 1000)
    arguments = {"batch_size": 100, "verbose": 0}
    benchmark.case("network, training", lambda: ours.fit(x, y, **arguments), lambda: peer.fit(x, y, **arguments), 1000, "images")
    benchmark.case("network, prediction", lambda: ours.predict(x, **arguments), lambda: peer.predict(x, **arguments), 1000, "images")


def main():
    """Run all cases."""
    benchmark = Benchmark("max_pooling_dropout_net", peer="Keras Dropout and MaxPooling2D")
    pooling(benchmark, 2, 2, (100, 24, 24, 20))
    pooling(benchmark, 3, 2, (32, 33, 33, 64))
    network(benchmark)
    benchmark.report()


if __name__ == "__main__":
    main()
