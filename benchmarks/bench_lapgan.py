"""LAPGAN's step over all levels against what the authors' scripts do: a training for each level, its players in turn, by hand in Keras."""

import keras
import numpy as np
import tensorflow as tf
from harness import Benchmark

from zoo.applications import LAPGAN

SIZES = {"generator_units": 400, "discriminator_units": 200, "generator_filters": 16, "discriminator_filters": 16}
BATCH, STEPS = 64, 10


class Level(keras.Model):
    """The adversarial pair of one level; a discriminator's step, then a generator's, each on samples of its own."""

    def __init__(self, generator, discriminator, is_coarsest):
        super().__init__()
        self.generator, self.discriminator, self.is_coarsest = generator, discriminator, is_coarsest
        self.optimizers = [keras.optimizers.SGD(0.02, momentum=0.5) for _ in range(2)]

    def drawn(self, low):
        """Samples of this level, for doubled images."""
        z = tf.random.uniform((tf.shape(low)[0], self.generator.inputs[-1].shape[1]), -1.0, 1.0)
        return self.generator([z]) if self.is_coarsest else low + self.generator([low, z])

    def train_step(self, data):
        """One update of each player."""
        x, low = data[0]
        with tf.GradientTape() as tape:
            real, fake = self.discriminator(x, training=True), self.discriminator(self.drawn(low), training=True)
            loss = (tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))) / 2
        weights = self.discriminator.trainable_variables
        self.optimizers[0].apply_gradients(zip(tape.gradient(loss, weights), weights))
        with tf.GradientTape() as tape:
            fooled = tf.reduce_mean(tf.nn.softplus(-self.discriminator(self.drawn(low), training=True)))
        weights = self.generator.trainable_variables
        self.optimizers[1].apply_gradients(zip(tape.gradient(fooled, weights), weights))
        return {"d_loss": loss, "g_loss": fooled}


def main():
    """Time updates of all levels, and samples."""
    benchmark = Benchmark("lapgan", peer=f"a training by hand for each level, Keras {keras.__version__}")
    x = np.random.default_rng(0).uniform(-1, 1, (STEPS * BATCH, 32, 32, 3)).astype("float32")
    ours, networks = LAPGAN(**SIZES), LAPGAN(**SIZES)
    images = [x]
    for _ in range(2):
        images.append(images[-1].reshape(len(x), images[-1].shape[1] // 2, 2, -1, 2, 3).mean((2, 4)))
    double = keras.layers.UpSampling2D(2, interpolation="bilinear")
    data = [(images[2], images[2]), *((images[k], np.array(double(images[k + 1]))) for k in (1, 0))]
    levels = [Level(g, d, k == 0) for k, (g, d) in enumerate(zip(networks.generators, networks.discriminators))]
    for level in levels:
        level.compile()

    def by_hand():
        for level, arrays in zip(levels, data):
            level.fit(arrays, batch_size=BATCH, verbose=0)

    benchmark.case(f"{STEPS} updates of all levels", lambda: ours.fit(x, verbose=0), by_hand, work=STEPS, unit="updates", repeats=5)

    def drawn():
        image = levels[0].generator([tf.random.uniform((128, 100), -1.0, 1.0)], training=False)
        for level in levels[1:]:
            low = double(image)
            z = tf.random.uniform((128, level.generator.inputs[-1].shape[1]), -1.0, 1.0)
            image = low + level.generator([low, z], training=False)
        return image.numpy()

    benchmark.case("128 samples", lambda: ours.sample(128), drawn, work=128, unit="samples", repeats=9)
    benchmark.report()


if __name__ == "__main__":
    main()
