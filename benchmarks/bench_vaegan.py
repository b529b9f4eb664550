"""Training of the VAE/GAN in zoo against the loop that one writes in TensorFlow: the same networks and batches, three tapes."""

import keras
import numpy as np
import tensorflow as tf
from harness import Benchmark

from zoo.applications import VAEGAN

BATCH, UPDATES, GAMMA = 16, 8, 1e-2
SIZES = {
    "latent_dim": 64,
    "encoder_filters": (8, 16, 32),
    "encoder_units": 128,
    "decoder_filters": (32, 32, 16, 8),
    "discriminator_filters": (8, 16, 32, 32),
    "discriminator_units": 64,
    "gamma": GAMMA,
}


class Peer:
    """Algorithm 1 as it is printed: three losses, a persistent tape, an optimizer for each network."""

    def __init__(self, model):
        self.encoder, self.decoder, self.discriminator = (
            keras.models.clone_model(network) for network in (model.encoder, model.decoder, model.discriminator)
        )
        for own, network in ((self.encoder, model.encoder), (self.decoder, model.decoder), (self.discriminator, model.discriminator)):
            own.set_weights(network.get_weights())
        self.optimizers = [keras.optimizers.RMSprop(3e-4) for _ in range(3)]
        for optimizer, network in zip(self.optimizers, (self.encoder, self.decoder, self.discriminator)):
            optimizer.build(network.trainable_variables)

    def losses(self, x):
        """Those of the encoder, the decoder and the discriminator."""
        found = self.encoder({"image": x}, training=True)
        mean, log_variance = found["mean"], found["log_variance"]
        noise = tf.random.normal(tf.shape(mean))
        kl = 0.5 * tf.reduce_mean(tf.reduce_sum(mean**2 + tf.exp(log_variance) - 1 - log_variance, axis=1))
        decoded = self.decoder(mean + tf.exp(0.5 * log_variance) * noise, training=True)
        drawn = self.decoder(tf.random.normal(tf.shape(mean)), training=True)
        real, on_decoded, on_drawn = (self.discriminator({"image": i}, training=True) for i in (x, decoded, drawn))
        likelihood = 0.5 * tf.reduce_mean(tf.reduce_sum((real["features"] - on_decoded["features"]) ** 2, axis=1))
        game = sum(tf.reduce_mean(tf.nn.softplus(logit)) for logit in (-real["logit"], on_decoded["logit"], on_drawn["logit"]))
        return kl + likelihood, GAMMA * likelihood - game, game

    @tf.function
    def update(self, x):
        """One update of all networks, at the same point."""
        networks = (self.encoder, self.decoder, self.discriminator)
        with tf.GradientTape(persistent=True) as tape:
            losses = self.losses(x)
        gradients = [tape.gradient(loss, network.trainable_variables) for loss, network in zip(losses, networks)]
        for optimizer, found, network in zip(self.optimizers, gradients, networks):
            optimizer.apply(found, network.trainable_variables)


def main():
    """Compare codes, then time updates and reconstructions."""
    x = np.random.default_rng(0).uniform(-1, 1, (BATCH * UPDATES, 64, 64, 3)).astype("float32")
    model = VAEGAN(**SIZES)
    peer, batches = Peer(model), tf.constant(x.reshape(UPDATES, BATCH, 64, 64, 3))
    np.testing.assert_allclose(model.encode(x), peer.encoder({"image": x})["mean"], rtol=1e-3, atol=1e-4)

    def peer_epoch():
        for batch in batches:
            peer.update(batch)

    @tf.function
    def rebuilt(images):
        return peer.decoder(peer.encoder({"image": images})["mean"])

    benchmark = Benchmark("vaegan", peer=f"a loop in TensorFlow {tf.__version__}")
    benchmark.case(
        f"{UPDATES} updates in batches of {BATCH}",
        lambda: model.fit(x, batch_size=BATCH, epochs=1, verbose=0),
        peer_epoch,
        UPDATES,
        "updates",
        repeats=3,
    )
    benchmark.case(f"{len(x)} reconstructions", lambda: model.reconstruct(x), lambda: rebuilt(x).numpy(), len(x), "images", repeats=3)
    benchmark.report()


if __name__ == "__main__":
    main()
