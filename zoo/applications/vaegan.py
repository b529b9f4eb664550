"""VAE/GAN: an autoencoder that compares images by what a discriminator sees in them, not pixel by pixel.

Paper: Larsen, Sonderby, Larochelle, Winther 2015, "Autoencoding beyond pixels using a learned similarity metric", arXiv 1512.09300.
Encoder and decoder are a variational autoencoder; its decoder is also the generator of an adversarial pair. Reconstructions are compared
at a layer of the discriminator, under a Gaussian with unit variance (section 3.1, equations 7 to 9). `form` is one of

- `"vae_gan"`: the method (algorithm 1);
- `"vae"`: the same Gaussian over pixels, no discriminator;
- `"vae_dis"`: the layer of a discriminator that a GAN has trained before, and that stays as it is (`take_discriminator`);
- `"gan"`: decoder and discriminator alone.

With `attributes` all networks are told of what is in the image (section 4.2).

Shapes: images `(batch, height, width, channels)` in [-1, 1]; codes `z` `(batch, latent_dim)`, standard normal; attributes
`(batch, attributes)`, any numbers, most often 0 and 1.

Differences from the paper:
1. One backward pass gives each network the gradient of its own loss of algorithm 1, all at the same point; RMSProp, which scales each
   weight by itself, then moves each as an optimizer of its own would.
2. The layer is compared as the convolution gives it, before batch normalisation and ReLU, as in the authors' code. `gamma` is 1e-3, with
   which the decoder learns within hundreds of updates. Their code for faces has 1e-5 (and 1 - gamma for the game) and 37,500 updates.
3. Their code also stops the player who is far ahead, and lets weights decay by 1e-5; the paper does not speak of it, nor does this class.
4. Batch normalisation keeps moving averages (momentum 0.9) for inference. Those of the discriminator follow real images alone; in training
   real, decoded and drawn images are normalised as batches of their own.
5. Means and log-variances start at 0, the prior. With weights of Glorot's start, the first steps of RMSProp threw those of the default
   encoder so far that the KL divergence grew to 1e5 and more within three updates (to 1e14 with the whole default model).
6. Attributes join the code of the decoder, and the last maps of the encoder and the discriminator before their dense layer. The compared
   layer lies before, so that the distance of two images does not depend on attributes.
"""

from typing import Annotated, Any

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Described, Index, Inputs, Number, Numbers, checked
from zoo.families.latent_generator import Latent, LatentGenerator
from zoo.model import Field

# images of one compiled call of a verb
ROWS = 64
FORMS = ("vae_gan", "vae", "vae_dis", "gan")

Images = Annotated[Any, Described("image_fields", "image")]


class VAEGAN(LatentGenerator):
    """Variational autoencoder with a learned similarity; `fit(images)`, or with attributes `fit({"image": ..., "attributes": ...})`.

    `call` and `predict` give a dict of the code's `mean` and `log_variance`; without an encoder the discriminator's `logit`.

    Args:
        image_shape: (height, width, channels); each network halves or doubles it evenly.
        latent_dim: length of the code.
        encoder_filters: of the encoder's convolutions, each of which halves the image.
        encoder_units: of its dense layer.
        decoder_filters: of the smallest map, which a dense layer makes, and of the convolutions that double it; one more gives the image.
        discriminator_filters: of its convolutions; all but the first halve the image.
        discriminator_units: of its dense layer.
        kernel_size: side of every convolution.
        similarity_layer: how often images are halved where they are compared; 0 is the first convolution.
        gamma: weight of the similarity in the decoder's loss, beside the game's (section 3.2).
        attributes: how many numbers describe an image; 0 for the form without conditions.
        form: `"vae_gan"`, `"vae"`, `"vae_dis"` or `"gan"`.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these, or images do not halve evenly.
    """

    # section 4
    default_batch_size = 64

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=128,
        encoder_filters=(64, 128, 256),
        encoder_units=2048,
        decoder_filters=(256, 256, 128, 32),
        discriminator_filters=(32, 128, 256, 256),
        discriminator_units=512,
        kernel_size=5,
        similarity_layer=3,
        gamma=1e-3,
        attributes=0,
        form="vae_gan",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.form = arguments.one_of("form", form, FORMS)
        self.image_shape = arguments.counts("image_shape", image_shape)
        self.latent_dim = arguments.count("latent_dim", latent_dim)
        self.encoder_filters = arguments.counts("encoder_filters", encoder_filters)
        self.encoder_units = arguments.count("encoder_units", encoder_units)
        self.decoder_filters = arguments.counts("decoder_filters", decoder_filters)
        self.discriminator_filters = arguments.counts("discriminator_filters", discriminator_filters)
        self.discriminator_units = arguments.count("discriminator_units", discriminator_units)
        self.kernel_size = arguments.count("kernel_size", kernel_size)
        self.similarity_layer = arguments.count("similarity_layer", similarity_layer, low=0)
        self.gamma = arguments.number("gamma", gamma, low=0)
        self.attributes = arguments.count("attributes", attributes, low=0)
        self._check_sizes()
        self.encoder = None if form == "gan" else self._build_encoder()
        self.decoder = self._build_decoder()
        self.discriminator, self.similarity = (None, None) if form == "vae" else self._build_discriminator()
        if form == "vae_dis":
            self.discriminator.trainable = False
            self.taken = self.add_weight(name="taken", shape=(), initializer="zeros", dtype="int32", trainable=False)
        self.seed_generator = keras.random.SeedGenerator()
        names = {"vae_gan": ("kl", "reconstruction", "d_loss"), "gan": ("d_loss",)}.get(form, ("kl", "reconstruction"))
        self.means = {name: keras.metrics.Mean(name) for name in names}
        self.compile()

    # --- the networks ---

    def _check_sizes(self):
        if len(self.image_shape) != 3:
            arguments.refuse("image_shape", "(height, width, channels)", self.image_shape)
        halvings = {"encoder_filters": 0, "decoder_filters": 1, "discriminator_filters": 1}
        for name, beside in halvings.items():
            filters = getattr(self, name)
            if any(side % 2 ** (len(filters) - beside) for side in self.image_shape[:2]):
                raise ValueError(f"`image_shape` must halve evenly as often as `{name}` says. Received: {self.image_shape} and {filters}")
        if self.similarity_layer >= len(self.discriminator_filters):
            most = len(self.discriminator_filters) - 1
            raise ValueError(f"`similarity_layer` must be at most {most}, the discriminator's last. Received: {self.similarity_layer}")

    def _build_encoder(self):
        """Images, and attributes -> means and log-variances of codes (table 1)."""
        inputs = self._inputs(keras.Input(self.image_shape, name="image"))
        x = inputs["image"]
        for i, filters in enumerate(self.encoder_filters):
            x = _block(self._convolution(filters, 2, f"encoder_conv_{i}")(x), f"encoder_{i}")
        x = self._joined(layers.Flatten(name="encoder_flat")(x), inputs, "encoder_joined")
        x = _block(layers.Dense(self.encoder_units, use_bias=False, name="encoder_dense")(x), "encoder_dense")
        # all posteriors start as the prior; wide encoders diverge from others
        heads = {
            name: layers.Dense(self.latent_dim, kernel_initializer="zeros", dtype="float32", name=name) for name in ("mean", "log_variance")
        }
        outputs = {name: head(x) for name, head in heads.items()}
        return keras.Model(inputs, outputs, name="encoder")

    def _build_decoder(self):
        """Codes, and attributes beside them -> images (table 1)."""
        height, width, channels = self.image_shape
        first, *others = self.decoder_filters
        base = (height >> len(others), width >> len(others), first)
        code = keras.Input((self.latent_dim + self.attributes,), name="code")
        x = layers.Dense(int(np.prod(base)), use_bias=False, name="decoder_dense")(code)
        x = layers.Reshape(base, name="decoder_maps")(_block(x, "decoder_dense"))
        for i, filters in enumerate(others):
            up = layers.Conv2DTranspose(filters, self.kernel_size, 2, "same", use_bias=False, name=f"decoder_conv_{i}")
            x = _block(up(x), f"decoder_{i}")
        x = layers.Conv2D(channels, self.kernel_size, padding="same", name="decoder_pixels")(x)
        return keras.Model(code, layers.Activation("tanh", dtype="float32", name="decoder_tanh")(x), name="decoder")

    def _build_discriminator(self):
        """Images, and attributes -> the compared layer, and the logit of "this image is real" (table 1); the layer alone as well."""
        inputs = self._inputs(keras.Input(self.image_shape, name="image"))
        first, *others = self.discriminator_filters
        x = layers.Conv2D(first, self.kernel_size, padding="same", name="discriminator_conv_0")(inputs["image"])
        maps, x = [x], layers.ReLU(name="discriminator_relu_0")(x)
        for i, filters in enumerate(others, 1):
            maps.append(self._convolution(filters, 2, f"discriminator_conv_{i}")(x))
            x = _block(maps[-1], f"discriminator_{i}")
        x = self._joined(layers.Flatten(name="discriminator_flat")(x), inputs, "discriminator_joined")
        x = _block(layers.Dense(self.discriminator_units, use_bias=False, name="discriminator_dense")(x), "discriminator_dense")
        logit = layers.Dense(1, dtype="float32", name="discriminator_logit")(x)
        features = layers.Flatten(dtype="float32", name="features")(maps[self.similarity_layer])
        similarity = keras.Model(inputs["image"], features, name="similarity")
        return keras.Model(inputs, {"features": features, "logit": logit}, name="discriminator"), similarity

    def _inputs(self, image):
        return {"image": image, **({"attributes": keras.Input((self.attributes,), name="attributes")} if self.attributes else {})}

    def _joined(self, x, inputs, name):
        return layers.Concatenate(name=name)([x, inputs["attributes"]]) if self.attributes else x

    def _convolution(self, filters, strides, name):
        return layers.Conv2D(filters, self.kernel_size, strides, "same", use_bias=False, name=name)

    def call(self, x, training=False):
        """The code's `mean` and `log_variance`, `(batch, latent_dim)` each; without an encoder the `logit` `(batch, 1)` of "real"."""
        if self.encoder is None:
            return {"logit": self.discriminator(self._named(x), training=training)["logit"]}
        return self.encoder(self._named(x), training=training)

    def _named(self, x):
        """Inputs of a network: a dict, also of images alone."""
        return {"image": x["image"], "attributes": x["attributes"]} if self.attributes else {"image": x}

    def _decode(self, z, given=None, training=False):
        return self.decoder(z if given is None else ops.concatenate([z, ops.cast(given, z.dtype)], axis=-1), training=training)

    # --- what goes in ---

    def image_fields(self):
        """Images in [-1, 1]."""
        return [Field("image", self.image_shape, low=-1.0, high=1.0)]

    def attribute_fields(self):
        """What is told of an image; no field for the form without conditions."""
        return [Field("attributes", (self.attributes,))] if self.attributes else []

    def input_fields(self):
        """Images in [-1, 1], and their attributes if the model has such."""
        return self.image_fields() + self.attribute_fields()

    def latent_fields(self):
        """A code."""
        return [Field("z", (self.latent_dim,))]

    @classmethod
    def example_config(cls):
        """A small conditional model of 8 x 16 images."""
        return {
            "image_shape": (8, 16, 3),
            "latent_dim": 5,
            "encoder_filters": (4, 6),
            "encoder_units": 9,
            "decoder_filters": (7, 6, 4),
            "discriminator_filters": (3, 4, 6),
            "discriminator_units": 8,
            "kernel_size": 3,
            "similarity_layer": 1,
            "gamma": 0.1,
            "attributes": 2,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        x, z = self.example_inputs(4), self.latent(4, seed=0)
        told = {"attributes": x["attributes"]} if self.attributes else {}
        image = x["image"] if self.attributes else x
        marks = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
        has_encoder, has_discriminator = self.encoder is not None, self.discriminator is not None
        own = {
            "latent": {"n": 2, "seed": 0},
            "generate": {"z": z, **told},
            "sample": {"n": 4, "seed": 0, **told},
            "interpolate": {"z0": z[0], "z1": z[1], "steps": 4, **told},
            "encode": {"x": x} if has_encoder else None,
            "reconstruct": {"x": x} if has_encoder else None,
            "attribute_vectors": {"x": x, "marks": marks} if has_encoder else None,
            "edit": {"x": x, "vector": z[0], "strength": 0.5} if has_encoder else None,
            "distance": {"image": image, "other": image[::-1]} if has_discriminator else None,
            "take_discriminator": {"gan": self._gan()} if self.form == "vae_dis" else None,
        }
        return {**super().example_calls(), **own}

    def _gan(self):
        """A GAN whose discriminator this model can take."""
        config = {name: value for name, value in self.get_config().items() if name not in ("name", "dtype")}
        return VAEGAN(**{**config, "form": "gan"})

    @classmethod
    def search_space(cls, hp):
        """Widths, the code, the decoder's weight and the learning rate."""
        width = hp.Choice("width", [16, 32, 64])
        return {
            "encoder_filters": (width, 2 * width, 4 * width),
            "decoder_filters": (4 * width, 4 * width, 2 * width, width // 2),
            "discriminator_filters": (width // 2, 2 * width, 4 * width, 4 * width),
            "latent_dim": hp.Int("latent_dim", 32, 256, step=32),
            "gamma": hp.Float("gamma", 1e-6, 1e-2, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 5e-5, 2e-3, sampling="log"),
        }

    # --- learning ---

    def default_optimizer(self):
        """RMSProp at 3e-4 (section 4)."""
        return keras.optimizers.RMSprop(3e-4)

    def objective(self, x, y, y_pred, sample_weight, training):
        """A scalar whose gradient is, for each network, that of its own loss of algorithm 1; the sum of all losses."""
        x = self._named(x)
        image, given = ops.cast(x["image"], "float32"), x.get("attributes")
        rows = ops.shape(image)[0]
        weight = ops.ones((rows,)) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        prior = self._latent(rows, self.seed_generator)
        if self.form == "gan":
            return self._game(y_pred["logit"], [prior], [ops.ones_like(weight)], given, weight, training)
        mean, log_variance = y_pred["mean"], y_pred["log_variance"]
        z = mean + ops.exp(0.5 * log_variance) * self._latent(rows, self.seed_generator)
        kl = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - 1 - log_variance, axis=-1)
        loss = self._report("kl", ops.mean(weight * kl), rows)
        if self.form == "vae":
            return loss + self._error(image, self._decode(z, given, training), weight)
        if self.form == "vae_dis":
            return loss + self._error(self.similarity(image), self.similarity(self._decode(z, given, training)), weight)
        real = self.discriminator(x, training=training)
        # the encoder gets the whole gradient of the similarity, the decoder's weights gamma of it, the discriminator none
        with autodiff.weighted(self.decoder.trainable_variables, self.gamma):
            decoded = self._decode(z, given, training)
        with autodiff.frozen(self.discriminator.trainable_variables):
            seen = self.similarity(decoded, training=training)
        loss = loss + self._error(ops.stop_gradient(real["features"]), seen, weight)
        codes, weights = [ops.stop_gradient(z), prior], [weight, ops.ones_like(weight)]
        return loss + self._game(real["logit"], codes, weights, given, weight, training)

    def _error(self, target, found, weight):
        """Negative log-likelihood under a Gaussian with unit variance, less its constant (equation 7)."""
        squares = ops.reshape(ops.square(target - found), (ops.shape(weight)[0], -1))
        return self._report("reconstruction", 0.5 * ops.mean(weight * ops.sum(squares, axis=-1)), ops.shape(weight)[0])

    def _game(self, real, codes, weights, given, weight, training):
        """The discriminator's loss on real images and on those of all codes; its gradient reaches the decoder with the other sign."""
        loss = ops.mean(weight * ops.softplus(-real[:, 0]))
        for z, of_row in zip(codes, weights):
            fake = self._decode(z, given, training)
            # the value of `fake`, and minus its gradient
            turned = {"image": 2 * ops.stop_gradient(fake) - fake, **({} if given is None else {"attributes": given})}
            # the scope keeps the moving statistics as the real images left them
            with autodiff.Scope():
                logit = self.discriminator(turned, training=training)["logit"]
            loss = loss + ops.mean(of_row * ops.softplus(logit[:, 0]))
        return self._report("d_loss", loss, ops.shape(real)[0])

    def _report(self, name, value, rows):
        """`value`, a mean over so many rows, which the logs show as the mean over all."""
        self.means[name].update_state(value, sample_weight=rows)
        return value

    def _latent(self, n, seed):
        return keras.random.normal((n, self.latent_dim), seed=seed)

    def _for_training(self, x, y, sample_weight=None):
        if self.form == "vae_dis" and not int(self.taken):
            raise ValueError("`form` 'vae_dis' needs a trained distance: call take_discriminator(gan) first. Received: none was taken")
        return super()._for_training(x, y, sample_weight)

    # --- verbs ---

    @checked
    def generate(self, z: Latent, attributes: Numbers | None = None) -> np.ndarray:
        """Images of codes.

        Args:
            z: codes `(n, latent_dim)`.
            attributes: `(n, attributes)`, or one row for all; in the conditional form alone.

        Returns:
            Array `(n, height, width, channels)` in [-1, 1].

        Raises:
            ValueError: if attributes lack in the conditional form, or come without it.
        """
        z = self.latent_fields()[0].convert(z).astype("float32")
        return autodiff.in_batches(self._graph("generate", self._decode), [z, *self._told(attributes, len(z))], ROWS)[0]

    @checked
    def sample(self, n: Count, seed: Index | None = None, attributes: Numbers | None = None) -> np.ndarray:
        """Draw `n` images of codes from the prior; `attributes` as in `generate`. Returns `(n, height, width, channels)` in [-1, 1]."""
        return self.generate(self.latent(n, seed), attributes)

    @checked
    def interpolate(self, z0: Numbers, z1: Numbers, steps: Count = 9, attributes: Numbers | None = None) -> np.ndarray:
        """Images along the straight line between two codes `(latent_dim,)`, ends included: `(steps, height, width, channels)`."""
        return self.generate(self._line(z0, z1, steps), attributes)

    @checked
    def encode(self, x: Inputs) -> np.ndarray:
        """Codes of images: the means of their posteriors.

        Args:
            x: images `(n, height, width, channels)`, or a dict of `image` and `attributes`.

        Returns:
            Array `(n, latent_dim)`.

        Raises:
            ValueError: if there is no encoder.
        """
        if self.encoder is None:
            raise ValueError(f"`form` must be one with an encoder. Received: {self.form!r}")
        rows = [np.asarray(part, "float32") for part in self._named(x).values()]
        return autodiff.in_batches(self._graph("encode", self._encode), rows, ROWS)[0]

    @checked
    def reconstruct(self, x: Inputs) -> np.ndarray:
        """Images of the codes of images `x`, as `encode` takes them: `(n, height, width, channels)` in [-1, 1]."""
        return self.generate(self.encode(x), x["attributes"] if self.attributes else None)

    @checked
    def attribute_vectors(self, x: Inputs, marks: Numbers) -> np.ndarray:
        """Directions of the code for visual attributes: mean code of the images that have one, less that of the others (section 4.1.1).

        Args:
            x: images, as `encode` takes them.
            marks: `(n, k)`, 1 where an image has an attribute and 0 where not; any attributes, also such as the model was not told of.

        Returns:
            Array `(k, latent_dim)`, for `edit`.

        Raises:
            ValueError: if an attribute is in all images or in none.
        """
        z = self.encode(x)
        marks = Field("marks", (None,), low=0, high=1).convert(marks).astype("float32")
        if len(marks) != len(z):
            raise ValueError(f"`marks` must have a row for each of {len(z)} images. Received: {len(marks)}")
        having = marks.sum(0)
        if not np.isin(marks, (0, 1)).all() or not ((having > 0) & (having < len(marks))).all():
            raise ValueError(f"`marks` must be 0 and 1, both for each attribute. Received: {having} images of {len(marks)} with a 1")
        return marks.T @ z / having[:, None] - (1 - marks).T @ z / (len(marks) - having)[:, None]

    @checked
    def edit(self, x: Inputs, vector: Numbers, strength: Number = 1.0) -> np.ndarray:
        """Images whose codes are moved along a direction (figure 5).

        Args:
            x: images, as `encode` takes them.
            vector: `(latent_dim,)`, one of `attribute_vectors`, or their sum.
            strength: how far; negative takes the attribute away.

        Returns:
            Array `(n, height, width, channels)` in [-1, 1].
        """
        shift = strength * Field("vector", (self.latent_dim,)).convert(np.asarray(vector)[None]).astype("float32")
        return self.generate(self.encode(x) + shift, x["attributes"] if self.attributes else None)

    @checked
    def distance(self, image: Images, other: Numbers) -> np.ndarray:
        """The learned distance of pairs of images: half the squared distance of their features, which the autoencoder minimises.

        Args:
            image: `(n, height, width, channels)` in [-1, 1].
            other: as many others.

        Returns:
            Array `(n,)`.

        Raises:
            ValueError: if there is no discriminator.
        """
        if self.discriminator is None:
            raise ValueError(f"`form` must be one with a discriminator. Received: {self.form!r}")
        image, other = np.asarray(image, "float32"), Field("other", self.image_shape, low=-1.0, high=1.0).convert(other).astype("float32")
        if len(image) != len(other):
            raise ValueError(f"`other` must have as many images as `image`, {len(image)}. Received: {len(other)}")
        return autodiff.in_batches(self._graph("distance", self._distance), [image, other], ROWS)[0]

    def take_discriminator(self, gan) -> None:
        """Take the distance that a GAN has learned: the discriminator of a trained model of the form `"gan"` and the same sizes.

        Args:
            gan: a `VAEGAN(form="gan")` or `VAEGAN()`; its weights are copied.

        Raises:
            ValueError: if this model's form is not `"vae_dis"`, or `gan` has no such discriminator.
        """
        if self.form != "vae_dis":
            raise ValueError(f"`form` must be 'vae_dis' to take a discriminator. Received: {self.form!r}")
        found = gan.discriminator.get_weights() if isinstance(gan, VAEGAN) and gan.discriminator is not None else []
        if [w.shape for w in found] != [w.shape for w in self.discriminator.get_weights()]:
            arguments.refuse("gan", "a VAEGAN whose discriminator has the same sizes", gan)
        self.discriminator.set_weights(found)
        self.taken.assign(1)

    def signatures(self):
        """`serve` gives codes and reconstructions, `decode` images of codes; without an encoder `serve` decodes."""
        of_codes = (self._serve_decoder, self.latent_fields() + self.attribute_fields())
        return {"serve": of_codes} if self.encoder is None else {"serve": (self._serve, self.input_fields()), "decode": of_codes}

    def _serve(self, x):
        z = self.encoder(self._named(x), training=False)["mean"]
        return {"z": z, "image": self._decode(z, x["attributes"] if self.attributes else None)}

    def _serve_decoder(self, x):
        return {"image": self._decode(x["z"], x["attributes"]) if self.attributes else self._decode(x)}

    def _encode(self, *rows):
        return self.encoder(dict(zip(("image", "attributes"), rows)), training=False)["mean"]

    def _distance(self, image, other):
        return 0.5 * ops.sum(ops.square(self.similarity(image, training=False) - self.similarity(other, training=False)), axis=-1)

    def _told(self, given, n):
        """Attributes of `n` images, in a list that is empty for the form without conditions."""
        if not self.attributes:
            if given is not None:
                raise ValueError("`attributes` must be None, since the model was built without. Received: an array")
            return []
        if given is None:
            raise ValueError("`attributes` must be given, since the model was built with them. Received: None")
        given = np.asarray(given)
        found = self.attribute_fields()[0].convert(given[None] if given.ndim == 1 else given).astype("float32")
        if len(found) not in (1, n):
            raise ValueError(f"`attributes` must have one row, or one for each of {n} images. Received: {len(found)}")
        return [np.broadcast_to(found, (n, self.attributes))]


# --- parts ---


def _block(x, name):
    """Batch normalisation and ReLU."""
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-6, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
