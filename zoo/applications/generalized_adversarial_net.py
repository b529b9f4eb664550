"""Generalised adversarial training: a generator that minimises JS_pi, from maximum likelihood (pi near 0) to KL[Q||P] (pi near 1).

Paper: Huszar 2015, "How (not) to Train your Generative Model: Scheduled Sampling, Likelihood, Adversary?", arXiv 1511.05101. With P the
distribution of the data, Q that of the generator, and M = pi P + (1 - pi) Q,

    JS_pi[P||Q] = pi KL[P||M] + (1 - pi) KL[Q||M],

the information that a sample of M carries about whether it is real. JS_pi / pi tends to KL[P||Q] for pi to 0, JS_pi / (1 - pi) to KL[Q||P]
for pi to 1. A discriminator that sees real samples with prior probability pi and is optimal, D = pi P / M, loses H(pi) - JS_pi nats; what
of it depends on Q is (1 - pi) E_Q log(1 - D), and its gradient with D held fixed is that of JS_pi. This is the generator's loss here.

Samples are `(batch, ...)` of any shape; latent vectors `z` are `(batch, latent_dim)`. The other half of the paper, scheduled sampling, is
`zoo.layers.ScheduledSampling` with `zoo.callbacks.ScheduledSamplingDecay`.

Differences from the paper:
1. The paper's figure fits a Gaussian to points of a plane and names no discriminator. The default generator is such a Gaussian, with any
   covariance; the dense discriminator, the optimizer and the batch of 100 are ours. Everything else comes in by arguments.
2. One backward pass updates both players at the same point, on the same generated batch, where the algorithm that the paper changes
   (Goodfellow et al. 2014) alternates. Each player has its own gradient, so one Adam over all weights equals one Adam a player.
3. Each kind counts by its own mean, `pi` and `1 - pi`, also where `mixing` is `"batches"`: with whole numbers of samples this is the mean
   over the mixed batch, and where these are rounded the prior is still `pi`.
4. Noise on what the discriminator sees (`noise`, none by default) is from later work of the author (Sonderby et al. 2016, arXiv
   1610.04490): where P and Q hardly overlap, an optimal discriminator teaches nothing, and JS_pi is the entropy of its prior, whatever Q.
5. `generator_loss="non_saturating"` is ours: -(1 - pi) E_Q log D, the usual way around a generator that learns nothing from a
   discriminator that wins. At the optimal discriminator its gradient is that of KL[M||P], not of JS_pi: KL[M||P] / (1 - pi) tends to
   KL[Q||P] for pi to 0 and to (1 - pi) / 2 times the chi-square divergence of Q from P for pi to 1, so that `pi` no longer leads from
   covering to seeking modes.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Index, Inputs, checked
from zoo.families.latent_generator import Latent, LatentGenerator
from zoo.model import Field

MIXINGS, LOSSES, LATENTS = ("weights", "batches"), ("exact", "non_saturating"), ("normal", "uniform")
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
# generated samples for each real one that `mixing="batches"` may ask for
MOST = 100
# rows of a compiled pass
ROWS = 500


class GeneralizedAdversarialNet(LatentGenerator):
    """Any generator and discriminator, trained to minimise JS_pi; `fit(samples)` needs no targets.

    `call` and `predict` give the discriminator's logit of "this sample is real", where real ones have the prior probability `pi`.

    Args:
        pi: prior probability of real samples for the discriminator, between 0 and 1: small values cover the data, large ones leave out
            what the generator cannot draw well; 0.5 is a plain adversarial net.
        mixing: how the discriminator gets its prior, both ways of the paper: `"weights"`, as many samples of both kinds, weighted; or
            `"batches"`, for which the generator draws (1 - pi) / pi samples for each real one, at most 100.
        generator_loss: `"exact"`, whose gradient is that of JS_pi, or `"non_saturating"`, which is not (fifth difference).
        noise: standard deviation of Gaussian noise on all that the discriminator sees in training, in units of the samples; the divergence
            is then that of P and Q with this noise. 0 for none.
        generator: built Keras model from `z` `(batch, latent_dim)` to samples; by default dense layers.
        discriminator: built Keras model from samples to one logit `(batch, 1)`; by default dense layers.
        latent_distribution: of `z`: `"normal"`, or `"uniform"` in [-1, 1].
        sample_shape: of a sample; like the following arguments, of the default networks. A given network says it by itself.
        latent_dim: length of `z`, of the default generator.
        generator_units: of its hidden layers (ReLU); none by default, which makes Q the paper's Gaussian.
        discriminator_units: of the hidden layers (leaky ReLU) of the default discriminator.
        output_activation: of the default generator: `"linear"`, `"sigmoid"` for samples in [0, 1], or `"tanh"` for [-1, 1].
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Attributes:
        generator_network: what draws, given or default.
        discriminator_network: what judges.

    Raises:
        ValueError: if an argument is none of these, or the networks do not fit each other.
    """

    output_name = "logit"
    default_batch_size = 100

    def __init__(
        self,
        pi=0.5,
        mixing="weights",
        generator_loss="exact",
        noise=0.0,
        generator=None,
        discriminator=None,
        latent_distribution="normal",
        sample_shape=(2,),
        latent_dim=2,
        generator_units=(),
        discriminator_units=(64, 64),
        output_activation="linear",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.pi = arguments.number("pi", pi)
        if not 0 < self.pi < 1:
            raise ValueError(f"`pi` must be more than 0 and less than 1. Received: {pi}")
        arguments.one_of("mixing", mixing, MIXINGS)
        arguments.one_of("generator_loss", generator_loss, LOSSES)
        self.noise = arguments.number("noise", noise, low=0)
        arguments.one_of("latent_distribution", latent_distribution, LATENTS)
        arguments.one_of("output_activation", output_activation, (*RANGES, "linear"))
        if mixing == "batches" and (1 - pi) / pi > MOST:
            raise ValueError(f"`pi` must be at least 1 / {MOST + 1} where `mixing` is 'batches'; take 'weights'. Received: {pi}")
        self.sample_shape, self.latent_dim = arguments.counts("sample_shape", sample_shape), arguments.count("latent_dim", latent_dim)
        self.generator_units = arguments.counts("generator_units", generator_units, empty=True)
        self.discriminator_units = arguments.counts("discriminator_units", discriminator_units, empty=True)
        self.mixing, self.generator_loss, self.latent_distribution = mixing, generator_loss, latent_distribution
        self.generator, self.discriminator, self.output_activation = generator, discriminator, output_activation
        self._make_players()
        self.seed_generator = keras.random.SeedGenerator()
        self.d_loss = keras.metrics.Mean("d_loss")
        self.g_loss = keras.metrics.Mean("g_loss")
        self.js = keras.metrics.Mean("js")
        self.compile()

    def _make_players(self):
        """Both networks, those that are given and default ones for the others, which fit them."""
        shape, size = self.sample_shape, self.latent_dim
        if self.generator is not None:
            (size,), shape = _shapes("generator", self.generator, "z `(batch, latent_dim)`", 1)
        if self.discriminator is not None:
            judged, outputs = _shapes("discriminator", self.discriminator, "samples")
            if outputs != (1,):
                raise ValueError(f"`discriminator` must give one logit (batch, 1). Received: {(None, *outputs)}")
            if getattr(self.discriminator.layers[-1], "activation", None) is keras.activations.sigmoid:
                raise ValueError(
                    "`discriminator` must give a logit, which the loss makes a probability. Received: one that ends in a sigmoid"
                )
            if self.generator is not None and judged != shape:
                raise ValueError(f"`discriminator` must take what the generator gives, {shape}. Received: one that takes {judged}")
            shape = judged
        self.generator_network = self.generator or _dense_generator(size, self.generator_units, shape, self.output_activation)
        self.discriminator_network = self.discriminator or _dense_discriminator(shape, self.discriminator_units)

    def call(self, x, training=False):
        """The discriminator's logits `(batch, 1)` for samples `x`: positive means real. In training it sees them with noise."""
        return self._judge(self._noisy(x) if training else x, training)

    def _noisy(self, x):
        """Samples as the discriminator sees them in training."""
        if not self.noise:
            return x
        x = ops.cast(x, "float32")
        return x + self.noise * keras.random.normal(ops.shape(x), seed=self.seed_generator)

    def _judge(self, x, training=False):
        return ops.cast(self.discriminator_network(x, training=training), "float32")

    # --- what goes in ---

    def input_fields(self):
        """Samples; in the range of the default generator's outputs."""
        low, high = (None, None) if self.generator is not None else RANGES.get(self.output_activation, (None, None))
        return [Field("sample", tuple(self.generator_network.output_shape[1:]), low=low, high=high)]

    def latent_fields(self):
        """What the generator takes."""
        low, high = (-1.0, 1.0) if self.latent_distribution == "uniform" else (None, None)
        return [Field("z", tuple(self.generator_network.input_shape[1:]), low=low, high=high)]

    @classmethod
    def example_config(cls):
        """A generator of one's own with batch normalisation, and a default discriminator that fits it."""
        z = keras.Input((3,))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(6)(z)))
        return {
            "pi": 0.2,
            "mixing": "batches",
            "generator_loss": "non_saturating",
            "noise": 0.1,
            "generator": keras.Model(z, layers.Dense(4, dtype="float32")(x)),
            "latent_distribution": "uniform",
            "discriminator_units": (6, 5),
        }

    def example_calls(self):
        """A small valid call of every verb."""
        x = self.example_inputs()
        own = {
            "latent": {"n": 2, "seed": 0},
            "generate": {"z": self.latent(3, seed=0)},
            "sample": {"n": 2, "seed": 0},
            "log_density_ratio": {"x": x},
            "divergence": {"x": x, "samples": 3, "seed": 0},
        }
        return {**super().example_calls(), **own}

    @classmethod
    def search_space(cls, hp):
        """The prior, the generator's loss, the default networks, and the learning rate."""
        width = hp.Choice("width", [32, 64, 128])
        return {
            "pi": hp.Float("pi", 0.05, 0.95),
            "generator_loss": hp.Choice("generator_loss", list(LOSSES)),
            "generator_units": (width,) * hp.Int("generator_layers", 0, 2),
            "discriminator_units": (width, width),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }

    # --- learning ---

    def default_optimizer(self):
        """Adam with a learning rate of 0.002 and, as DCGAN has it, beta 1 of 0.5; the paper trains no networks."""
        return keras.optimizers.Adam(2e-3, beta_1=0.5)

    def objective(self, x, y, y_pred, sample_weight, training):
        """The discriminator's cross-entropy under the prior `pi`, and the generator's loss; neither sends gradients to the other player."""
        if not training:
            y_pred = self._judge(self._noisy(x))
        z = self._latent(self._draws(ops.shape(y_pred)[0]), self.seed_generator)
        # noise is drawn here: what the scopes below draw would come again in the next step
        fake = self._noisy(self.generator_network(z, training=training))
        # both scopes keep statistics of layers as the real samples left them
        with autodiff.Scope():
            on_fake = self._judge(ops.stop_gradient(fake), training)
        with autodiff.frozen(self.discriminator_network.trainable_variables):
            for_generator = self._judge(fake, training)
        on_real = ops.softplus(-y_pred[:, 0])
        if sample_weight is not None:
            on_real = on_real * ops.cast(ops.reshape(sample_weight, (-1,)), on_real.dtype)
        d_loss = self.pi * ops.mean(on_real) + (1 - self.pi) * ops.mean(ops.softplus(on_fake))
        g_loss = (1 - self.pi) * ops.mean(self._generator_loss(for_generator))
        rows = ops.shape(y_pred)[0]
        self.d_loss.update_state(d_loss, sample_weight=rows)
        self.g_loss.update_state(g_loss, sample_weight=rows)
        self.js.update_state(self._entropy - d_loss, sample_weight=rows)
        return d_loss + g_loss

    def _generator_loss(self, logits):
        """log(1 - D), or -log D."""
        return -ops.softplus(logits) if self.generator_loss == "exact" else ops.softplus(-logits)

    def _draws(self, real):
        """How many samples the generator draws beside so many real ones; a whole number, or a tensor for a tensor."""
        if self.mixing == "weights":
            return real
        ratio = (1 - self.pi) / self.pi
        if isinstance(real, int):
            return max(1, round(real * ratio))
        return ops.maximum(1, ops.cast(ops.round(ops.cast(real, "float32") * ratio), "int32"))

    @property
    def _entropy(self):
        """Of the coin that chooses between real and generated samples, nats."""
        return -self.pi * math.log(self.pi) - (1 - self.pi) * math.log(1 - self.pi)

    def _latent(self, n, seed):
        """Latent vectors `(n, latent_dim)`."""
        if self.latent_distribution == "normal":
            return keras.random.normal((n, *self.latent_fields()[0].shape), seed=seed)
        return super()._latent(n, seed)

    # --- verbs ---

    @checked
    def generate(self, z: Latent) -> np.ndarray:
        """Samples of latent vectors.

        Args:
            z: array `(n, latent_dim)`.

        Returns:
            Array `(n, ...)`, float32.

        Raises:
            ValueError: if `z` has another shape, or leaves [-1, 1] where `latent_distribution` is `"uniform"`.
        """
        z = self.latent_fields()[0].convert(z).astype("float32")
        run = self._graph("generate", lambda z: ops.cast(self.generator_network(z, training=False), "float32"))
        return autodiff.in_batches(run, [z], ROWS)[0]

    @checked
    def log_density_ratio(self, x: Inputs) -> np.ndarray:
        """What the discriminator says of log p(x) / q(x): its logit less that of its prior.

        Args:
            x: samples `(n, ...)`.

        Returns:
            Array `(n,)`, nats, float32; right for the optimal discriminator alone.
        """
        return self._logits(x) - np.float32(math.log(self.pi / (1 - self.pi)))

    @checked
    def divergence(self, x: Inputs, samples: Count | None = None, seed: Index | None = None) -> float:
        """The discriminator's lower bound of JS_pi[P||Q]: the entropy of its prior less its cross-entropy (section 3).

        Args:
            x: real samples `(n, ...)`, held out.
            samples: how many the generator draws; as many as `x` by default.
            seed: of these.

        Returns:
            Nats, at most the entropy of the prior, on average at most JS_pi. A discriminator that is worse than none gives less than 0.
        """
        rng = np.random.default_rng(seed)
        real, fake = (self._logits(self._noisy_array(a, rng)) for a in (np.asarray(x, "float32"), self.sample(samples or len(x), seed)))
        crossentropy = self.pi * np.logaddexp(0, -real).mean() + (1 - self.pi) * np.logaddexp(0, fake).mean()
        return float(self._entropy - crossentropy)

    def _noisy_array(self, x, rng):
        return x + self.noise * rng.normal(size=x.shape).astype("float32") if self.noise else x

    def _logits(self, x):
        run = self._graph("logits", lambda x: self._judge(x)[:, 0])
        return autodiff.in_batches(run, [np.asarray(x, "float32")], ROWS)[0]

    def signatures(self):
        """`serve` draws samples of `z`; `discriminate` gives the probability of being real under the prior."""
        return {
            "serve": (lambda z: {"sample": ops.cast(self.generator_network(z, training=False), "float32")}, self.latent_fields()),
            "discriminate": (lambda sample: {"real": ops.sigmoid(self(sample, training=False))}, self.input_fields()),
        }


def _shapes(name, network, takes, rank=None):
    """Shapes of an input and an output sample of a given network."""
    shapes = getattr(network, "input_shape", None), getattr(network, "output_shape", None)
    is_plain = isinstance(network, keras.Model) and all(isinstance(shape, tuple) and len(shape) > 1 for shape in shapes)
    if not is_plain or (rank and len(shapes[0]) != 1 + rank) or None in (*shapes[0][1:], *shapes[1][1:]):
        raise ValueError(f"`{name}` must be a built Keras model from {takes}, of a fixed shape, to one array. Received: {shapes}")
    return shapes[0][1:], shapes[1][1:]


def _dense_generator(latent_dim, units, shape, activation):
    x = z = keras.Input((latent_dim,), name="z")
    for i, size in enumerate(units):
        x = layers.Dense(size, "relu", name=f"generator_hidden_{i}")(x)
    x = layers.Dense(math.prod(shape), activation, dtype="float32", name="generator_output")(x)
    return keras.Model(z, layers.Reshape(shape, dtype="float32", name="generator_sample")(x), name="generator")


def _dense_discriminator(shape, units):
    sample = keras.Input(shape, name="sample")
    x = layers.Flatten(name="discriminator_flat")(sample)
    for i, size in enumerate(units):
        x = layers.LeakyReLU(0.2, name=f"discriminator_relu_{i}")(layers.Dense(size, name=f"discriminator_hidden_{i}")(x))
    return keras.Model(sample, layers.Dense(1, dtype="float32", name="discriminator_logit")(x), name="discriminator")
