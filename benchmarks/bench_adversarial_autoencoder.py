"""Training of the adversarial autoencoder in zoo against the loop that one writes in TensorFlow: the same networks, losses and batches."""

import numpy as np
import tensorflow as tf
from harness import Benchmark

from zoo.applications import AdversarialAutoencoder

UPDATES, BATCH, RATE, STD = 40, 100, 3e-4, 5.0


class Peer:
    """The three networks as arrays and products, Adam written out, and one update with a tape for each player."""

    def __init__(self, model):
        networks = (model.encoder, model.decoder, model.discriminator)
        self.encoder, self.decoder, self.discriminator = ([tf.Variable(w) for w in network.get_weights()] for network in networks)
        self.players = ([*self.encoder, *self.decoder], self.discriminator)
        self.moments = [[(tf.Variable(tf.zeros_like(w)), tf.Variable(tf.zeros_like(w))) for w in player] for player in self.players]
        self.steps = tf.Variable(0.0)

    def through(self, weights, x):
        """Dense layers with ReLU between them."""
        for i in range(0, len(weights), 2):
            x = tf.matmul(x, weights[i]) + weights[i + 1]
            x = tf.nn.relu(x) if i < len(weights) - 2 else x
        return x

    def reconstruction(self, x):
        """Codes, and half the squared error of an image."""
        z = self.through(self.encoder, x)
        return z, 0.5 * tf.reduce_mean(tf.reduce_sum((x - tf.sigmoid(self.through(self.decoder, z))) ** 2, axis=1))

    @tf.function
    def update(self, x):
        """One update of all networks, at the same point."""
        with tf.GradientTape(persistent=True) as tape:
            z, loss = self.reconstruction(x)
            on_drawn = self.through(self.discriminator, STD * tf.random.normal((len(x), 8)))
            on_codes = self.through(self.discriminator, tf.stop_gradient(z))
            d_loss = tf.reduce_mean(tf.nn.softplus(-on_drawn)) + tf.reduce_mean(tf.nn.softplus(on_codes))
            loss = loss + tf.reduce_mean(tf.nn.softplus(-self.through(self.discriminator, z)))
        gradients = [tape.gradient(of, player) for of, player in zip((loss, d_loss), self.players)]
        self.steps.assign_add(1.0)
        rate = RATE * tf.sqrt(1 - 0.999**self.steps) / (1 - 0.5**self.steps)
        for player, moments, found in zip(self.players, self.moments, gradients):
            for weight, (first, second), gradient in zip(player, moments, found):
                first.assign(0.5 * first + 0.5 * gradient)
                second.assign(0.999 * second + 0.001 * gradient**2)
                weight.assign_sub(rate * first / (tf.sqrt(second) + 1e-7))

    @tf.function
    def codes(self, x):
        """Of images."""
        return self.through(self.encoder, x)


def main():
    """Compare reconstructions, then time updates and codes."""
    x = np.random.default_rng(0).random((BATCH * UPDATES, 28, 28, 1), "float32")
    model = AdversarialAutoencoder()
    peer, flat = Peer(model), tf.constant(x.reshape(len(x), -1))
    z, loss = peer.reconstruction(flat[:BATCH])
    np.testing.assert_allclose(model.encode(x[:BATCH]), z.numpy(), rtol=1e-3, atol=1e-4)
    found = model.evaluate(x[:BATCH], batch_size=BATCH, verbose=0, return_dict=True)["reconstruction"]
    np.testing.assert_allclose(found, loss.numpy(), rtol=1e-4)

    def peer_epoch():
        for i in range(0, len(flat), BATCH):
            peer.update(flat[i : i + BATCH])

    benchmark = Benchmark("adversarial_autoencoder", peer=f"a loop in TensorFlow {tf.__version__}")
    benchmark.case(
        f"{UPDATES} updates in batches of {BATCH}", lambda: model.fit(x, epochs=1, verbose=0), peer_epoch, UPDATES, "updates", repeats=5
    )
    benchmark.case(f"codes of {len(x)} images", lambda: model.encode(x), lambda: peer.codes(flat).numpy(), len(x), "images", repeats=5)
    benchmark.report()


if __name__ == "__main__":
    main()
