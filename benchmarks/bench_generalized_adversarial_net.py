"""The adversarial game of zoo against the train step that users write by hand: two tapes, two optimizers, a weight for each kind."""

import keras
import numpy as np
import tensorflow as tf
from harness import Benchmark
from keras import layers

from zoo.applications import GeneralizedAdversarialNet

PI, BATCH, STEPS = 0.2, 100, 200


class ByHand(keras.Model):
    """A discriminator's step, then a generator's, each on samples of its own, as in Keras's examples."""

    def __init__(self, generator, discriminator):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.optimizers = [keras.optimizers.Adam(2e-3, beta_1=0.5) for _ in range(2)]

    def train_step(self, x):
        """One update of each player."""
        shape = (tf.shape(x)[0], self.generator.input_shape[1])
        with tf.GradientTape() as tape:
            real, fake = self.discriminator(x), self.discriminator(self.generator(tf.random.normal(shape)))
            loss = PI * tf.reduce_mean(tf.nn.softplus(-real)) + (1 - PI) * tf.reduce_mean(tf.nn.softplus(fake))
        weights = self.discriminator.trainable_variables
        self.optimizers[0].apply_gradients(zip(tape.gradient(loss, weights), weights))
        with tf.GradientTape() as tape:
            fooled = -(1 - PI) * tf.reduce_mean(tf.nn.softplus(self.discriminator(self.generator(tf.random.normal(shape)))))
        weights = self.generator.trainable_variables
        self.optimizers[1].apply_gradients(zip(tape.gradient(fooled, weights), weights))
        return {"d_loss": loss, "g_loss": fooled}


def players(data, hidden, latent):
    """A dense pair."""
    z, x = keras.Input((latent,)), keras.Input((data,))
    drawn, seen = z, x
    for units in hidden:
        drawn, seen = layers.Dense(units, "relu")(drawn), layers.LeakyReLU(0.2)(layers.Dense(units)(seen))
    return keras.Model(z, layers.Dense(data)(drawn)), keras.Model(x, layers.Dense(1)(seen))


def main():
    """Time updates on points of the plane and on vectors of the size of MNIST."""
    benchmark = Benchmark("generalized_adversarial_net", peer=f"a train step by hand, Keras {keras.__version__}")
    rng = np.random.default_rng(0)
    for title, data, hidden, latent in (("points of the plane", 2, (64, 64), 2), ("vectors of 784 numbers", 784, (256, 256), 30)):
        x = rng.normal(size=(STEPS * BATCH, data)).astype("float32")
        generator, discriminator = players(data, hidden, latent)
        ours = GeneralizedAdversarialNet(PI, generator=generator, discriminator=discriminator)
        peer = ByHand(*players(data, hidden, latent))
        peer.compile()

        def train(model, x=x):
            model.fit(x, batch_size=BATCH, verbose=0)

        run = {"ours": lambda ours=ours, train=train: train(ours), "peer": lambda peer=peer, train=train: train(peer)}
        benchmark.case(f"{STEPS} updates on {title}", **run, work=STEPS, unit="updates", repeats=5)
    benchmark.report()


if __name__ == "__main__":
    main()
