"""GMMN and GMMN+AE: a network that draws images in one pass, trained by matching moments instead of against an adversary.

Paper: Li, Swersky, Zemel 2015, "Generative Moment Matching Networks", arXiv 1502.02761. Images are `(batch, *data_shape)` in [0, 1]; latent
vectors `z` are `(batch, latent_dim)`, uniform in [-1, 1].

A generator maps `z` to samples, and the square root of the maximum mean discrepancy between a batch of them and a batch of data is its loss
(`zoo.losses.maximum_mean_discrepancy`). With an auto-encoder (GMMN+AE, the default) it is trained first, and the generator then matches
its codes; images come from the decoder. The discrepancy is taken of the codes: so says section 4.2, and so does the authors' code, which
encodes each batch and compares it with what the generator gives. A summary that goes around has it backpropagated through the decoder,
which would compare images; `match_images=True` does that.

Sizes and bandwidths are those of the authors' code for MNIST, which was at hand; the paper's sections and equations are cited from memory.

Differences from the paper:
1. The generator learns by Adam, and codes are matched under six bandwidths, as in the authors' script for faces and as section 4.3 advises.
   Their script for MNIST has SGD at rate 2 with momentum 0.9, lowered after 10,000 of 40,000 updates, and the one bandwidth 1. On codes
   of MNIST that leads to 115 nats after 600 updates (Parzen log-density of validation images), Adam and six bandwidths to 219. It is
   the SGD that is slow: Adam and the one bandwidth do better than Adam and six in the recipe, and a search is worth its while.
2. Weights of ReLU layers begin as He's. The authors draw all weights with deviation 0.1, which is about the same for these sizes (207
   nats) but fits no others. Under Glorot's the samples begin almost as one point, and 200 updates lead to 58 nats in place of 178.
3. Momentum is constant while the auto-encoder learns: 0.5 for layers one by one, 0.9 for all. The authors let it grow over 200 updates.
   Its initial weights are Glorot's.
"""

from typing import Annotated, Any

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Amount, Callbacks, Count, Described, Index, Inputs, Numbers, Share, Verbose, checked
from zoo.families.latent_generator import Latent, LatentGenerator
from zoo.losses.maximum_mean_discrepancy import maximum_mean_discrepancy
from zoo.model import Field, Model, is_stream

# of a compiled call of a verb
ROWS = 1000
IMAGE_BANDWIDTHS, CODE_BANDWIDTHS = (2, 5, 10, 20, 40, 80), (1, 2, 5, 10, 20, 40)
# of the auto-encoder: largest norm of a gradient, momentum while its layers learn one by one
CLIP, LAYERWISE_MOMENTUM = 10.0, 0.5

Code = Annotated[Any, Described("code_fields", "code")]


class GMMN(LatentGenerator):
    """Generative moment matching network, with an auto-encoder (GMMN+AE) or without; `fit(images)` needs no targets.

    `fit` trains the auto-encoder first, unless `pretrain` has done so. `call` and `predict` give what is matched: the code of an image, or
    its pixels in a row where images are matched. The exported `serve` takes `z` and gives images.

    Args:
        data_shape: shape of an image, or of any other array in [0, 1].
        latent_dim: length of `z`.
        hidden_units: sizes of the generator's ReLU layers.
        encoder_units: sizes of the encoder's sigmoid layers, the code last; the decoder mirrors them. `()` is a GMMN without auto-encoder.
        encoder_dropout: rate on the input of each of these layers, while the auto-encoder learns.
        match_images: with an auto-encoder, match decoded images to images instead of codes to codes.
        bandwidths: of the Gaussian kernels that are summed, in units of squared distances; `None` means (1, 2, 5, 10, 20, 40) for codes
            and (2, 5, 10, 20, 40, 80) for images; `"median"` is the median of each batch's squared distances.
        square_root: whether the root of the squared discrepancy is the loss (section 4.3).
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    output_name = "features"
    # section 5.1
    default_batch_size = 1000

    def __init__(
        self,
        data_shape=(28, 28, 1),
        latent_dim=10,
        hidden_units=(64, 256, 256, 1024),
        encoder_units=(1024, 32),
        encoder_dropout=(0.2, 0.5),
        match_images=False,
        bandwidths=None,
        square_root=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.data_shape = arguments.counts("data_shape", data_shape)
        self.latent_dim = arguments.count("latent_dim", latent_dim)
        self.hidden_units = arguments.counts("hidden_units", hidden_units, empty=True)
        self.encoder_units = arguments.counts("encoder_units", encoder_units, empty=True)
        self.encoder_dropout = _dropout(encoder_dropout, self.encoder_units)
        self.match_images = arguments.flag("match_images", match_images)
        self.bandwidths = _bandwidths(bandwidths)
        self.square_root = arguments.flag("square_root", square_root)
        size = int(np.prod(self.data_shape))
        self.generator = _generator(self.latent_dim, self.hidden_units, self.encoder_units[-1] if self.encoder_units else size)
        self.encoder, self.decoder, self.pretrained = None, None, None
        if self.encoder_units:
            self.encoder = _encoder(size, self.encoder_units, self.encoder_dropout)
            self.decoder = _decoder(size, self.encoder_units)
            # what `fit` trains is the generator; `pretrain` lifts this for a while
            self.encoder.trainable = self.decoder.trainable = False
            self.pretrained = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="float32", name="pretrained")
        self.seed_generator = keras.random.SeedGenerator()
        self.compile()

    @property
    def matches_codes(self):
        """Whether the discrepancy is taken of codes."""
        return self.encoder is not None and not self.match_images

    def call(self, x, training=False):
        """What is matched, `(batch, features)`: codes, or the pixels of images in a row."""
        flat = ops.reshape(x, (-1, int(np.prod(self.data_shape))))
        return self.encoder(flat, training=False) if self.matches_codes else flat

    def input_fields(self):
        """Images in [0, 1]."""
        return [Field("image", tuple(self.data_shape), low=0.0, high=1.0)]

    def latent_fields(self):
        """The latent vector, in [-1, 1]."""
        return [Field("z", (self.latent_dim,), low=-1.0, high=1.0)]

    def code_fields(self):
        """The code of the auto-encoder, in [0, 1]."""
        return [Field("code", (self.encoder_units[-1] if self.encoder_units else 1,), low=0.0, high=1.0)]

    @classmethod
    def example_config(cls):
        """A small GMMN+AE for 4 x 3 colour images."""
        return {
            "data_shape": (4, 3, 3),
            "latent_dim": 5,
            "hidden_units": (9, 8),
            "encoder_units": (7, 6),
            "encoder_dropout": (0.1, 0.3),
            "match_images": True,
            "bandwidths": (0.5, 3.0),
            "square_root": False,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        z, images = self.latent(3, seed=0), self.example_inputs()
        code = np.full((2, *self.code_fields()[0].shape), 0.5, "float32")
        with_encoder = {
            "pretrain": {"images": images, "layerwise_epochs": 1, "epochs": 1, "batch_size": 2, "learning_rate": 0.1, "verbose": 0},
            "encode": {"images": images},
            "decode": {"code": code},
            "reconstruct": {"images": images},
        }
        own = {
            "latent": {"n": 2, "seed": 0},
            "generate": {"z": z},
            "sample": {"n": 2, "seed": 0},
            "interpolate": {"z0": z[0], "z1": z[1], "steps": 3},
            "features": {"images": images},
        }
        return {**super().example_calls(), **own, **(with_encoder if self.encoder else dict.fromkeys(with_encoder))}

    @classmethod
    def search_space(cls, hp):
        """Sizes of noise and code, dropout of the encoder, and learning rate: what the paper's Bayesian optimisation looked for."""
        return {
            "latent_dim": hp.Int("latent_dim", 5, 40, step=5),
            "encoder_units": (hp.Choice("encoder", [256, 512, 1024]), hp.Choice("code", [16, 32, 64])),
            "encoder_dropout": (hp.Float("dropout_pixels", 0.0, 0.5, step=0.1), hp.Float("dropout_hidden", 0.0, 0.5, step=0.1)),
            "learning_rate": hp.Float("learning_rate", 3e-4, 1e-2, sampling="log"),
        }

    def default_optimizer(self):
        """Adam at 3e-3; the authors' is `SGD(2.0, momentum=0.9)`, for one bandwidth."""
        return keras.optimizers.Adam(3e-3)

    # --- learning ---

    def fit(self, x=None, y=None, *args, **kwargs):
        """`zoo.Model.fit`, and `pretrain` before it where the auto-encoder has not learned yet.

        Raises:
            ValueError: if that is so and `x` is no array.
        """
        given = arguments.check_call(Model.fit, self, x, y, *args, **kwargs)
        if self.encoder is not None and not float(ops.convert_to_numpy(self.pretrained)):
            if is_stream(x):
                raise ValueError(f"`x` must be an array, or call `pretrain` first. Received: {arguments.shown(x)}")
            images = self.prepared(x)[0]
            kept = int(len(images) * (1 - given.get("validation_split", 0.0)))
            self.pretrain(images[:kept], verbose=given.get("verbose", "auto"))
        return super().fit(x, y, *args, **kwargs)

    @checked
    def pretrain(
        self,
        images: Inputs,
        layerwise_epochs: Index = 5,
        epochs: Count = 5,
        batch_size: Count = 100,
        learning_rate: Amount = 0.1,
        momentum: Share = 0.9,
        callbacks: Callbacks | None = None,
        verbose: Verbose = "auto",
    ) -> keras.callbacks.History:
        """Train the auto-encoder: its layers one by one, each to reconstruct what the ones below give, then all together (section 5.1).

        Args:
            images: array `(n, *data_shape)` in [0, 1].
            layerwise_epochs: passes for each layer, with momentum 0.5; 0 leaves this part out.
            epochs: passes of the fine-tuning.
            batch_size: images in a batch.
            learning_rate: of SGD, in both parts; gradients are cut to length 10.
            momentum: of the fine-tuning.
            callbacks: of `keras.Model.fit`, in the fine-tuning.
            verbose: of `keras.Model.fit`.

        Returns:
            The `History` of the fine-tuning; `loss` is the cross-entropy of an image in nats, under dropout.

        Raises:
            ValueError: if there is no auto-encoder, or an argument is none of these.
        """
        self._need_encoder()
        down, up = _steps(self.encoder), _steps(self.decoder)
        pairs = [(down[i : i + 2], up[len(up) - 1 - i // 2 :][:1]) for i in range(0, len(down), 2)]

        def train(below, encoder, decoder, epochs, momentum, callbacks=None):
            stage = _Stage(below, encoder, decoder)
            optimizer = keras.optimizers.SGD(learning_rate, momentum=momentum, global_clipnorm=CLIP)
            stage.compile(optimizer, jit_compile=False)
            return stage.fit(images, batch_size=batch_size, epochs=epochs, callbacks=callbacks, verbose=verbose)

        self.encoder.trainable = self.decoder.trainable = True
        try:
            for i, (encoder, decoder) in enumerate(pairs if layerwise_epochs else []):
                train(down[: 2 * i], encoder, decoder, layerwise_epochs, LAYERWISE_MOMENTUM)
            history = train([], down, up, epochs, momentum, callbacks)
        finally:
            self.encoder.trainable = self.decoder.trainable = False
        self.pretrained.assign(1.0)
        return history

    def objective(self, x, y, y_pred, sample_weight, training):
        """The discrepancy between the features of the batch and those of as many samples (equation 3); its root by default."""
        z = self._latent(ops.shape(y_pred)[0], self.seed_generator)
        drawn = self.generator(z, training=training)
        if self.encoder is not None and not self.matches_codes:
            drawn = self.decoder(drawn, training=False)
        bandwidths = self.bandwidths or (CODE_BANDWIDTHS if self.matches_codes else IMAGE_BANDWIDTHS)
        return maximum_mean_discrepancy(y_pred, drawn, bandwidths, self.square_root, x_weight=sample_weight)

    # --- verbs ---

    @checked
    def generate(self, z: Latent) -> np.ndarray:
        """Images of latent vectors.

        Args:
            z: array `(n, latent_dim)`.

        Returns:
            Array `(n, *data_shape)` in [0, 1].

        Raises:
            ValueError: if `z` has another shape or leaves [-1, 1].
        """
        return self._run("generate", self._drawn, z)

    @checked
    def interpolate(self, z0: Numbers, z1: Numbers, steps: Count = 9) -> np.ndarray:
        """Images along the straight line between two latent vectors, ends included (section 5, figure 4).

        Args:
            z0: array `(latent_dim,)`.
            z1: array `(latent_dim,)`.
            steps: number of images, at least 2.

        Returns:
            Array `(steps, *data_shape)`.
        """
        return self.generate(self._line(z0, z1, steps))

    @checked
    def encode(self, images: Inputs) -> np.ndarray:
        """Codes `(n, encoder_units[-1])` in [0, 1] of images `(n, *data_shape)`.

        Raises:
            ValueError: if there is no auto-encoder, or the images do not fit.
        """
        self._need_encoder()
        return self._run("encode", self._code, images)

    @checked
    def decode(self, code: Code) -> np.ndarray:
        """Images `(n, *data_shape)` in [0, 1] of codes `(n, encoder_units[-1])`.

        Raises:
            ValueError: if there is no auto-encoder, or the codes do not fit.
        """
        self._need_encoder()
        return self._run("decode", self._decoded, code)

    @checked
    def reconstruct(self, images: Inputs) -> np.ndarray:
        """Images through encoder and decoder: what the generator cannot surpass. Returns `(n, *data_shape)` in [0, 1]."""
        return self.decode(self.encode(images))

    @checked
    def features(self, images: Inputs) -> np.ndarray:
        """What is matched, `(n, features)` for images `(n, *data_shape)`: their codes, or their pixels in a row."""
        return self._run("features", lambda x: self(x, training=False), images)

    def signatures(self):
        """`serve` draws images of `z`; with an auto-encoder `encode` and `decode` lead to codes and back."""
        found = {"serve": (lambda z: {"image": self._drawn(z)}, self.latent_fields())}
        if self.encoder is not None:
            found["encode"] = (lambda image: {"code": self._code(image)}, self.input_fields())
            found["decode"] = (lambda code: {"image": self._decoded(code)}, self.code_fields())
        return found

    def _drawn(self, z):
        found = self.generator(z, training=False)
        return self._shaped(found) if self.encoder is None else self._decoded(found)

    def _code(self, image):
        return self.encoder(ops.reshape(image, (-1, int(np.prod(self.data_shape)))), training=False)

    def _decoded(self, code):
        return self._shaped(self.decoder(code, training=False))

    def _shaped(self, flat):
        return ops.reshape(flat, (-1, *self.data_shape))

    def _need_encoder(self):
        if self.encoder is None:
            raise ValueError(f"`encoder_units` must name an auto-encoder for this. Received: {self.encoder_units}")

    def _run(self, key, function, rows):
        """The results of a verb's compiled `function` for an array of rows."""
        return autodiff.in_batches(self._graph(key, function), [np.asarray(ops.convert_to_numpy(rows), "float32")], ROWS)[0]


class _Stage(keras.Model):
    """Part of an auto-encoder in training: layers `encoder` and `decoder` reconstruct what the fixed layers `below` give."""

    def __init__(self, below, encoder, decoder):
        super().__init__(name="stage")
        self.below, self.encoder, self.decoder = below, encoder, decoder
        self.built = True

    @property
    def trainable_variables(self):
        """Those of the part."""
        return [v for layer in (*self.encoder, *self.decoder) for v in layer.trainable_variables]

    def call(self, x, training=False):
        """The reconstruction."""
        x = self.target(x)
        for layer in (*self.encoder, *self.decoder):
            x = layer(x, training=training) if isinstance(layer, layers.Dropout) else layer(x)
        return x

    def target(self, x):
        """What is reconstructed, in [0, 1]."""
        x = ops.reshape(x, (ops.shape(x)[0], int(np.prod(x.shape[1:]))))
        for layer in self.below:
            x = layer(x, training=False) if isinstance(layer, layers.Dropout) else layer(x)
        return ops.stop_gradient(ops.cast(x, "float32"))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Cross-entropy, summed over units."""
        losses = keras.losses.binary_crossentropy(self.target(x), ops.cast(y_pred, "float32")) * y_pred.shape[-1]
        return autodiff.per_replica(ops.mean(losses))


def _dropout(rates, units):
    """The rates, one for each layer of the encoder if there is one."""
    found = tuple(arguments.number("encoder_dropout", rate, 0) for rate in arguments.listed("encoder_dropout", rates, "rates", empty=True))
    if units and (len(found) != len(units) or max(found) >= 1):
        arguments.refuse("encoder_dropout", f"a rate in [0, 1) for each of the {len(units)} `encoder_units`", rates)
    return found


def _bandwidths(given):
    """Positive numbers; `"median"` and `None` stay."""
    if given is None or (isinstance(given, str) and given == "median"):
        return given
    return tuple(arguments.number("bandwidths", b, above=0) for b in arguments.listed("bandwidths", given, "numbers, 'median' or None"))


def _generator(latent_dim, hidden_units, size):
    """ReLU layers and a sigmoid (figure 1)."""
    x = z = keras.Input((latent_dim,), name="z")
    for i, units in enumerate(hidden_units):
        x = layers.Dense(units, "relu", kernel_initializer="he_normal", name=f"generator_dense_{i}")(x)
    return keras.Model(z, layers.Dense(size, "sigmoid", dtype="float32", name="generator_output")(x), name="generator")


def _encoder(size, units, rates):
    """Sigmoid layers behind dropout."""
    x = flat = keras.Input((size,), name="flat")
    for i, (n, rate) in enumerate(zip(units, rates)):
        x = layers.Dropout(rate, name=f"encoder_dropout_{i}")(x)
        x = layers.Dense(n, "sigmoid", dtype=_last(i, units), name=f"encoder_dense_{i}")(x)
    return keras.Model(flat, x, name="encoder")


def _decoder(size, units):
    """Sigmoid layers from the code to the data."""
    x = code = keras.Input((units[-1],), name="code")
    sizes = [*units[-2::-1], size]
    for i, n in enumerate(sizes):
        x = layers.Dense(n, "sigmoid", dtype=_last(i, sizes), name=f"decoder_dense_{i}")(x)
    return keras.Model(code, x, name="decoder")


def _last(i, sizes):
    """The dtype of a layer: what leaves a network is float32."""
    return "float32" if i == len(sizes) - 1 else None


def _steps(network):
    """The layers of a network behind its input."""
    return [layer for layer in network.layers if not isinstance(layer, layers.InputLayer)]
