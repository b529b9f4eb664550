"""DCGAN: a convolutional generator and discriminator that train stably, draw images and learn features without labels.

Paper: Radford, Metz, Chintala 2015, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
arXiv 1511.06434. Images are `(batch, height, width, channels)` in [-1, 1], the range of tanh; latent vectors `z` are
`(batch, latent_dim)`, uniform in [-1, 1].

Differences from the paper:
1. One backward pass updates both players at the same point, on the same generated batch; the paper's code alternates. Each player has its
   own gradient, so one Adam over all weights equals one Adam a player.
2. The discriminator's moving statistics follow real images alone, the images that `predict` and `features` are given. In training, real and
   generated images are normalised as separate batches, as in the paper's code, and neither player's pass over generated images moves them.
3. Batch normalisation starts with gamma = 1 and keeps moving averages (momentum 0.9) for inference, where the paper's code normalises
   by the batch.
4. Any image size that halves evenly once a level is allowed; feature maps that 4 does not divide are pooled by windows that overlap.
"""

from dataclasses import replace
from functools import cached_property

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Amount, Count, Index, Inputs, Numbers, Rows, checked
from zoo.families.latent_generator import Latent, LatentGenerator
from zoo.model import Field

# images of one compiled call of a verb
ROWS = 128


class DCGAN(LatentGenerator):
    """Deep convolutional generative adversarial network; `fit(images)` needs no targets.

    `call` and `predict` give the discriminator's logit of "this image is real"; `generate`, `sample`, `interpolate` and `arithmetic` draw
    images; `features` describes images for another task. The exported `serve` takes `z` and gives images.

    Args:
        image_shape: (height, width, channels); height and width divisible by `2 ** len(filters)`.
        latent_dim: length of `z`.
        filters: channels of the generator from its 2 ** -levels resolution upwards, one a level; the discriminator mirrors them.
        kernel_size: side of every convolution.
        negative_slope: of the discriminator's LeakyReLU.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    output_name = "logit"
    # section 4
    default_batch_size = 128

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=100,
        filters=(1024, 512, 256, 128),
        kernel_size=5,
        negative_slope=0.2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_sizes(image_shape, filters, latent_dim=latent_dim, kernel_size=kernel_size)
        self.image_shape = image_shape
        self.latent_dim = latent_dim
        self.filters = filters
        self.kernel_size = kernel_size
        self.negative_slope = negative_slope
        self.generator = _generator(image_shape, latent_dim, filters, kernel_size)
        self.discriminator, self.feature_network = _discriminator(image_shape, filters[::-1], kernel_size, negative_slope)
        self.seed_generator = keras.random.SeedGenerator()
        self.d_loss = keras.metrics.Mean("d_loss")
        self.g_loss = keras.metrics.Mean("g_loss")
        self.compile()

    def call(self, x, training=False):
        """The discriminator's logits `(batch, 1)` for images `x`: positive means real."""
        return self.discriminator(x, training=training)

    def input_fields(self):
        """Images in [-1, 1]."""
        return [Field("image", tuple(self.image_shape), low=-1.0, high=1.0)]

    def latent_fields(self):
        """`latent_field` as what the generator takes."""
        return [self.latent_field()]

    def latent_field(self):
        """The latent vector, in [-1, 1]."""
        return Field("z", (self.latent_dim,), low=-1.0, high=1.0)

    @classmethod
    def example_config(cls):
        """A small pair for 8 x 12 colour images."""
        return {"image_shape": (8, 12, 3), "latent_dim": 5, "filters": (6, 4), "kernel_size": 3, "negative_slope": 0.1}

    def example_calls(self):
        """A small valid call of every verb."""
        z, images = self.latent(3, seed=0), self.example_inputs()
        own = {
            "latent_field": {},
            "latent": {"n": 2, "seed": 0},
            "generate": {"z": z},
            "sample": {"n": 2, "seed": 0},
            "interpolate": {"z0": z[0], "z1": z[1], "steps": 3},
            "arithmetic": {"positive": [z[:2]], "negative": [z[2]], "variations": 2, "noise": 0.1, "seed": 0},
            "features": {"images": images},
        }
        return {**super().example_calls(), **own}

    @classmethod
    def search_space(cls, hp):
        """Width of the players, length of `z` and learning rate."""
        width = hp.Choice("width", [16, 32, 64])
        return {
            "filters": (2 * width, width),
            "latent_dim": hp.Int("latent_dim", 16, 128, step=16),
            "learning_rate": hp.Float("learning_rate", 5e-5, 1e-3, sampling="log"),
        }

    def default_optimizer(self):
        """Adam, learning rate 2e-4, beta 1 of 0.5 (section 4)."""
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Sum of the discriminator's loss and the generator's non-saturating loss; neither sends gradients to the other player."""
        batch_size = ops.shape(y_pred)[0]
        z = self._latent(batch_size, self.seed_generator)
        fake = self.generator(z, training=training)
        # both scopes keep the moving statistics as the real images left them
        with autodiff.Scope():
            on_fake = self.discriminator(ops.stop_gradient(fake), training=training)
        with autodiff.frozen(self.discriminator.trainable_variables):
            for_generator = self.discriminator(fake, training=training)
        on_real = ops.softplus(-y_pred[:, 0])
        if sample_weight is not None:
            on_real = on_real * ops.cast(ops.reshape(sample_weight, (-1,)), on_real.dtype)
        d_loss = ops.mean(on_real) + ops.mean(ops.softplus(on_fake))
        g_loss = ops.mean(ops.softplus(-for_generator))
        self.d_loss.update_state(d_loss, sample_weight=batch_size)
        self.g_loss.update_state(g_loss, sample_weight=batch_size)
        return d_loss + g_loss

    # --- verbs ---

    @checked
    def generate(self, z: Latent) -> np.ndarray:
        """Images of latent vectors.

        Args:
            z: array `(n, latent_dim)`.

        Returns:
            Array `(n, height, width, channels)` in [-1, 1].

        Raises:
            ValueError: if `z` has another shape or leaves [-1, 1].
        """
        z = np.asarray(z, "float32")
        self.latent_field().check(z)
        return autodiff.in_batches(self._generate, [z], ROWS)[0]

    @checked
    def interpolate(self, z0: Numbers, z1: Numbers, steps: Count = 9) -> np.ndarray:
        """Images along the straight line between two latent vectors, ends included (section 6.1, figure 4).

        Args:
            z0: array `(latent_dim,)`.
            z1: array `(latent_dim,)`.
            steps: number of images, at least 2.

        Returns:
            Array `(steps, height, width, channels)`.
        """
        return self.generate(self._line(z0, z1, steps))

    @checked
    def arithmetic(self, positive: Rows, negative=(), variations: Index = 8, noise: Amount = 0.25, seed: Index | None = None) -> np.ndarray:
        """Images of a sum of concepts, such as smiling woman - neutral woman + neutral man (section 6.3.2, figure 7).

        Args:
            positive: list of groups to add; a group is `(k, latent_dim)` (or one vector) and stands for its mean. The paper takes k = 3.
            negative: list of groups to subtract.
            variations: images of the result plus uniform noise, beside the result itself.
            noise: half width of that noise.
            seed: of the noise.

        Returns:
            Array `(1 + variations, height, width, channels)`, the result first. Vectors are cut to [-1, 1], the range the generator knows.
        """
        negative = arguments.listed("negative", negative, empty=True)
        total = sum(self._concept("positive", group) for group in positive) - sum(self._concept("negative", group) for group in negative)
        shifts = np.random.default_rng(seed).uniform(-noise, noise, (variations, self.latent_dim))
        return self.generate(np.clip(np.concatenate([total[None], total + shifts]), -1, 1))

    @checked
    def features(self, images: Inputs) -> np.ndarray:
        """What the discriminator sees: the activations of every convolution, max-pooled to 4 x 4, flattened, concatenated (section 5.1).

        Args:
            images: array `(n, height, width, channels)` in [-1, 1].

        Returns:
            Array `(n, features)`; 16 features a channel where maps are at least 4 x 4.
        """
        return autodiff.in_batches(self._features, [np.asarray(images, "float32")], ROWS)[0]

    def signatures(self):
        """`serve` draws images of `z`; `discriminate` gives the probability of being real; `features` describes images."""
        return {
            "serve": (lambda z: {"image": self.generator(z, training=False)}, [self.latent_field()]),
            "discriminate": (lambda image: {"real": ops.sigmoid(self(image, training=False))}, self.input_fields()),
            "features": (lambda image: {"features": self.feature_network(image, training=False)}, self.input_fields()),
        }

    def _concept(self, name, group):
        group = np.atleast_2d(arguments.numbers(name, group))
        return replace(self.latent_field(), name=name).convert(group).mean(0)

    @cached_property
    def _generate(self):
        return autodiff.compiled(lambda z: self.generator(z, training=False), self)

    @cached_property
    def _features(self):
        return autodiff.compiled(lambda x: self.feature_network(x, training=False), self)


def _check_sizes(image_shape, filters, **lengths):
    """Raise unless the sizes make a network."""
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise ValueError(f"`image_shape` must be (height, width, channels). Received: {tuple(image_shape)}")
    if not filters or min(filters) < 1:
        raise ValueError(f"`filters` must hold at least one positive number of channels. Received: {tuple(filters)}")
    if any(side % 2 ** len(filters) for side in image_shape[:2]):
        raise ValueError(f"`image_shape` must halve evenly for each of `filters`. Received: {tuple(image_shape)} and {tuple(filters)}")
    for name, value in lengths.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {value}")


def _generator(image_shape, latent_dim, filters, kernel_size):
    """`z` projected and reshaped, then doubled in size by fractionally strided convolutions (figure 1)."""
    height, width, channels = image_shape
    base = (height >> len(filters), width >> len(filters), filters[0])
    z = keras.Input((latent_dim,), name="z")
    x = layers.Dense(int(np.prod(base)), use_bias=False, kernel_initializer=_normal(), name="generator_project")(z)
    x = layers.Reshape(base, name="generator_reshape")(x)
    for i, units in enumerate([*filters[1:], channels]):
        x = layers.ReLU(name=f"generator_relu_{i}")(_batch_norm(f"generator_norm_{i}")(x))
        last = i == len(filters) - 1
        up = layers.Conv2DTranspose(units, kernel_size, 2, "same", use_bias=last, kernel_initializer=_normal(), name=f"generator_conv_{i}")
        x = up(x)
    return keras.Model(z, layers.Activation("tanh", dtype="float32", name="generator_tanh")(x), name="generator")


def _discriminator(image_shape, filters, kernel_size, negative_slope):
    """Strided convolutions and one logit; also the model of all pooled activations."""
    image = keras.Input(image_shape, name="image")
    x, pooled = image, []
    for i, units in enumerate(filters):
        x = layers.Conv2D(units, kernel_size, 2, "same", use_bias=i == 0, kernel_initializer=_normal(), name=f"discriminator_conv_{i}")(x)
        if i > 0:
            x = _batch_norm(f"discriminator_norm_{i}")(x)
        x = layers.LeakyReLU(negative_slope, name=f"discriminator_relu_{i}")(x)
        pooled.append(layers.Flatten(dtype="float32")(_max_pool_to_4(x)))
    flat = layers.Flatten(name="discriminator_flat")(x)
    logit = layers.Dense(1, kernel_initializer=_normal(), dtype="float32", name="discriminator_logit")(flat)
    features = layers.Concatenate(dtype="float32")(pooled) if len(pooled) > 1 else pooled[0]
    return keras.Model(image, logit, name="discriminator"), keras.Model(image, features, name="feature_network")


def _max_pool_to_4(x):
    """The maxima of a 4 x 4 grid of windows that cover the map; they overlap by a pixel where 4 does not divide it."""
    for axis in (1, 2):
        n = x.shape[axis]
        if n > 4:
            bounds = [(i * n // 4, -(-(i + 1) * n // 4)) for i in range(4)]
            x = ops.concatenate([ops.max(x[(slice(None),) * axis + (slice(a, b),)], axis, keepdims=True) for a, b in bounds], axis)
    return x


def _batch_norm(name):
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)


def _normal():
    return keras.initializers.RandomNormal(stddev=0.02)
