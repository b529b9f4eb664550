"""Monte Carlo dropout and pooling with remembered positions against what a user would write or pick instead.

Sampling: a Python loop of `model(x, training=True)` compiled by `tf.function`, whose passes are kept and averaged by NumPy, on a network
without batch normalisation, where both compute the same. Pooling: `tf.nn.max_pool_with_argmax` and `tf.scatter_nd`.
"""

import keras
import numpy as np
import tensorflow as tf
from harness import Benchmark
from keras import layers

from zoo.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D, MonteCarloDropout

RNG = np.random.default_rng(0)


def sampling(benchmark):
    """Fifty passes of eight images."""
    model = keras.Sequential([keras.Input((96, 96, 3))])
    for filters in (16, 16):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.Dropout(0.5))
    model.add(layers.Conv2D(11, 1, activation="softmax"))
    x = RNG.normal(size=(8, 96, 96, 3)).astype("float32")
    sampler, one_pass = MonteCarloDropout(model), tf.function(lambda x: model(x, training=True))

    def peer():
        passes = np.stack([one_pass(x).numpy() for _ in range(50)])
        return passes.mean(0), passes.var(0)

    benchmark.case("mean and variance of 50 passes, 96 x 96", lambda: sampler.predict(x, samples=50), peer, 8, "images", repeats=3)


def pooling(benchmark):
    """Pool, unpool, and the gradient of both."""
    x = tf.constant(RNG.normal(size=(8, 96, 96, 32)).astype("float32"))
    pool, unpool = MaxPoolingWithArgmax2D(), MaxUnpooling2D()

    def remembered(x):
        return unpool(*pool(x), x)

    def scattered(x):
        best, where = tf.nn.max_pool_with_argmax(x, 2, 2, "SAME", include_batch_in_index=True)
        flat = tf.scatter_nd(tf.reshape(where, (-1, 1)), tf.reshape(best, (-1,)), [tf.size(x, tf.int64)])
        return tf.reshape(flat, tf.shape(x))

    def gradient(function):
        @tf.function
        def run(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(tf.square(function(x)))
            return tape.gradient(y, x)

        return lambda: run(x).numpy()

    assert np.allclose(gradient(remembered)(), gradient(scattered)())
    benchmark.case("pool, unpool and gradient, 8 x 96 x 96 x 32", gradient(remembered), gradient(scattered), 8, "images")


def main():
    """Run all cases."""
    benchmark = Benchmark("bayesian_seg_net", peer="TensorFlow and a loop of passes")
    sampling(benchmark)
    pooling(benchmark)
    benchmark.report()


if __name__ == "__main__":
    main()
