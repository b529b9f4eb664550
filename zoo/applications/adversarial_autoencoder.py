"""Adversarial autoencoder: codes that follow any distribution one can draw from, with all labels, with few, or with none.

Paper: Makhzani, Shlens, Jaitly, Goodfellow, Frey 2015, "Adversarial Autoencoders", arXiv 1511.05644. An autoencoder, and a discriminator
that tells its codes from draws of the prior; the encoder learns to deceive it (section 2). `form` is one of

- `"unsupervised"`: codes follow the prior (section 2);
- `"supervised"`: labels choose the part of the prior (section 2.3), or go to the decoder, so that codes hold style alone (section 4);
- `"semi_supervised"`: the encoder gives a class and a style, each with a discriminator; few samples have labels (section 5);
- `"clustering"`: the same without any label (section 6).

With `cluster_heads` the last two reduce the dimension (section 7). F. Huszar's review of the paper asks for kernels in place of the
discriminator, whose expectations under a mixture of Gaussians are exact: `regularizer="mmd"` (`zoo.losses.mixture_mean_discrepancy`).

Shapes: images `(batch, *image_shape)`, in [0, 1] with the sigmoid -> a dict of codes `z` `(batch, latent_dim)` and, where the encoder
classifies, `logits` `(batch, num_classes)`.

Differences from the paper:
1. One backward pass updates all networks at the same point, where the paper takes turns. Each network has its own gradient: neither player
   sends any to the other, and one Adam over all weights equals one for each network.
2. Adam (rate 3e-4, beta 1 of 0.5) and Glorot's start, where the paper has gradient descent with momentum (rates of 0.01 for reconstruction,
   0.1 for the players) and weights of deviation 0.01, for thousands of epochs. The mean of half the squared error over the first 100
   updates of MNIST was 28 with Adam and Glorot's start, 34 with Adam and the paper's start, 40 and 44 with descent at 0.01 for all and
   either start (one seed); with MMD that descent diverged.
3. Two layers of 1000 units, the paper's for few labels and for pictures; its likelihoods and clusters come from 3000.
4. The paper does not say what its ten Gaussians and its swiss roll are: `zoo.layers.star_prior`, `zoo.layers.SwissRollPrior`.
5. The noise of the universal approximator goes beside the pixels, not onto them.
6. Where labels lack in the supervised form, the decoder gets zeros; the paper has all labels there.
"""

import keras
import numpy as np
from keras import layers, ops
from scipy import stats

from zoo import arguments, autodiff
from zoo.arguments import Count, Flag, Index, Inputs, Numbers, checked
from zoo.families.half_labelled import HalfLabelledModel
from zoo.families.latent_generator import Latent
from zoo.layers.priors import MixturePrior, Prior, SwissRollPrior, gaussian_prior, star_prior
from zoo.losses.maximum_mean_discrepancy import maximum_mean_discrepancy, mixture_mean_discrepancy
from zoo.model import Field

# rows of the verbs' batches
ROWS = 500
# form -> the paper's standard deviation of the prior, of noise at the pixels, and rate of dropout there
FORMS = {
    "unsupervised": (5.0, 0.0, 0.0),
    "supervised": (5.0, 0.0, 0.0),
    "semi_supervised": (1.0, 0.3, 0.0),
    "clustering": (1.0, 0.0, 0.2),
}
POSTERIORS = ("deterministic", "gaussian", "universal")
PRIORS = ("gaussian", "star", "swiss_roll")
# regularizer -> its weight
WEIGHTS = {"adversarial": 1.0, "mmd": 300.0}
# bandwidths in units of the mean squared distance of two draws of the prior, and for probabilities of classes
BANDWIDTHS, OF_CLASSES = (0.125, 0.25, 0.5, 1.0, 2.0), (0.25, 0.5, 1.0)


class AdversarialAutoencoder(HalfLabelledModel):
    """Autoencoder whose codes follow a prior; `fit(images)`, or `fit(images, labels)` with -1 for a label that is not known.

    Args:
        image_shape: of a sample, any rank.
        latent_dim: length of the code; 2 for pictures of it.
        units: of the hidden layers of the encoder and the discriminators, and backwards of the decoder.
        form: `"unsupervised"`, `"supervised"`, `"semi_supervised"` or `"clustering"`.
        posterior: `"deterministic"`, `"gaussian"`, or `"universal"`: the encoder takes noise beside the image.
        noise_dim: length of that noise.
        prior: `"gaussian"`; in the plane `"star"` or `"swiss_roll"`; or a `zoo.layers.Prior`, which may be a class of your own.
        prior_scale: standard deviation of the Gaussian, unit of the others; `None` for the paper's, 5 or, where the encoder classifies, 1.
        num_classes: classes, or clusters.
        label_to: in the supervised form `"discriminator"`, `"decoder"` or `"both"`.
        cluster_heads: the decoder takes the sum of the code and of a point that its class has (section 7), not code and class.
        head_distance: two of these points that are closer push each other apart.
        regularizer: `"adversarial"` or `"mmd"`, which is exact in a Gaussian or a mixture of them; where labels choose the part of the
            prior, and for other priors, it compares codes with as many draws.
        regularizer_weight: of the regulariser beside the reconstruction, half the squared error of an image; `None`: 1, or 300 for MMD.
        label_weight: of the cross-entropy of known labels.
        bandwidths: of MMD's kernels, in units of the mean squared distance of two draws of the prior.
        input_noise: standard deviation of noise at the pixels in training, at most 1; `None` for the paper's, 0.3 with few labels, else 0.
        input_dropout: rate of dropout there; `None` for the paper's, 0.2 for clusters, else 0.
        output_activation: `"sigmoid"` for images in [0, 1], or `"linear"`.
        labelled_per_batch: labelled samples of the batches that `fit` draws from arrays in the semi-supervised form.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these, or a prior's class is not registered with Keras, so that it could not be saved.
    """

    default_batch_size = 100

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=8,
        units=(1000, 1000),
        form="unsupervised",
        posterior="deterministic",
        noise_dim=16,
        prior="gaussian",
        prior_scale=None,
        num_classes=10,
        label_to="discriminator",
        cluster_heads=False,
        head_distance=4.0,
        regularizer="adversarial",
        regularizer_weight=None,
        label_weight=10.0,
        bandwidths=BANDWIDTHS,
        input_noise=None,
        input_dropout=None,
        output_activation="sigmoid",
        labelled_per_batch=100,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.form = arguments.one_of("form", form, tuple(FORMS))
        self.posterior = arguments.one_of("posterior", posterior, POSTERIORS)
        self.label_to = arguments.one_of("label_to", label_to, ("discriminator", "decoder", "both"))
        self.regularizer = arguments.one_of("regularizer", regularizer, tuple(WEIGHTS))
        self.output_activation = arguments.one_of("output_activation", output_activation, ("sigmoid", "linear"))
        self.image_shape, self.units = arguments.counts("image_shape", image_shape), arguments.counts("units", units)
        self.latent_dim, self.noise_dim = arguments.count("latent_dim", latent_dim), arguments.count("noise_dim", noise_dim)
        self.num_classes = arguments.count("num_classes", num_classes, low=2)
        self.labelled_per_batch = arguments.count("labelled_per_batch", labelled_per_batch)
        self.cluster_heads = arguments.flag("cluster_heads", cluster_heads)
        self.head_distance = arguments.number("head_distance", head_distance, above=0)
        self.label_weight = arguments.number("label_weight", label_weight, low=0)
        self.bandwidths = bandwidths
        self.prior, self.prior_scale, self.regularizer_weight = prior, prior_scale, regularizer_weight
        self.input_noise, self.input_dropout = input_noise, input_dropout
        scale, noise, dropout = FORMS[form]
        scale = scale if prior_scale is None else arguments.number("prior_scale", prior_scale, above=0)
        noise = noise if input_noise is None else arguments.number("input_noise", input_noise, low=0, high=1)
        dropout = dropout if input_dropout is None else arguments.number("input_dropout", input_dropout, low=0, high=0.99)
        weight = WEIGHTS[regularizer] if regularizer_weight is None else regularizer_weight
        self._weight = arguments.number("regularizer_weight", weight, low=0)
        self.codes = _prior(prior, self.latent_dim, scale, self.num_classes)
        self._check_combination()
        self._bandwidths = _scaled(bandwidths, self.codes)
        self._build_networks(noise, dropout)
        self.seed_generator = keras.random.SeedGenerator()
        self._make_metrics()
        self.compile()

    # --- the networks ---

    @property
    def classifies(self):
        """Whether the encoder gives classes or clusters beside the code."""
        return self.form in ("semi_supervised", "clustering")

    @property
    def _mixes_labels(self):
        return self.form == "semi_supervised"

    @property
    def _label_to_decoder(self):
        return self.form == "supervised" and self.label_to != "discriminator"

    @property
    def _label_to_prior(self):
        return self.form == "supervised" and self.label_to != "decoder"

    def _check_combination(self):
        if self.cluster_heads and not self.classifies:
            raise ValueError(f"`cluster_heads` must be False unless the encoder classifies. Received: True with form={self.form!r}")
        if self._label_to_prior and self.codes.parts not in (0, self.num_classes):
            raise ValueError(f"`num_classes` must be the number of the prior's parts, {self.codes.parts}. Received: {self.num_classes}")

    def _build_networks(self, noise, dropout):
        self.encoder = self._build_encoder(noise, dropout)
        self.decoder = self._build_decoder()
        adversarial = self.regularizer == "adversarial"
        # one more label: "not known"
        labels = self.num_classes + 1 if self._label_to_prior else 0
        self.discriminator = self._build_discriminator(self.latent_dim + labels, "discriminator") if adversarial else None
        of_classes = adversarial and self.classifies
        self.label_discriminator = self._build_discriminator(self.num_classes, "label_discriminator") if of_classes else None
        self.heads = None
        if self.cluster_heads:
            start = keras.initializers.RandomNormal(stddev=self.head_distance)
            self.heads = self.add_weight(name="heads", shape=(self.num_classes, self.latent_dim), initializer=start, autocast=False)

    def _build_encoder(self, noise, dropout):
        """Images, and the noise of a universal posterior -> means, log-variances of a Gaussian, logits of classes."""
        image = keras.Input(self.image_shape, name="image")
        x = layers.Flatten(name="pixels")(image)
        x = layers.GaussianNoise(noise, name="input_noise")(x) if noise else x
        x = layers.Dropout(dropout, name="input_dropout")(x) if dropout else x
        inputs = {"image": image}
        if self.posterior == "universal":
            inputs["noise"] = keras.Input((self.noise_dim,), name="noise")
            x = layers.Concatenate(name="with_noise")([x, inputs["noise"]])
        x = _hidden(x, self.units, "encoder")
        heads = {"mean": self.latent_dim}
        heads |= {"log_variance": self.latent_dim} if self.posterior == "gaussian" else {}
        heads |= {"logits": self.num_classes} if self.classifies else {}
        outputs = {name: layers.Dense(size, dtype="float32", name=name)(x) for name, size in heads.items()}
        return keras.Model(inputs, outputs, name="encoder")

    def _build_decoder(self):
        """Codes, with classes where it takes them -> images."""
        with_class = self._label_to_decoder or (self.classifies and not self.cluster_heads)
        code = keras.Input((self.latent_dim + (self.num_classes if with_class else 0),), name="code")
        x = _hidden(code, self.units[::-1], "decoder")
        pixels = layers.Dense(int(np.prod(self.image_shape)), name="pixels")(x)
        pixels = layers.Activation(self.output_activation, dtype="float32", name="image")(pixels)
        return keras.Model(code, layers.Reshape(self.image_shape, dtype="float32", name="in_shape")(pixels), name="decoder")

    def _build_discriminator(self, size, name):
        """Codes or probabilities of classes -> the logit of "this was drawn from the prior"."""
        code = keras.Input((size,), name="code")
        x = _hidden(code, self.units, name)
        logit = layers.Dense(1, dtype="float32", name=f"{name}_logit")(x)
        return keras.Model(code, logit, name=name)

    def _make_metrics(self):
        names = ["reconstruction"]
        for part in ["", "label_"] if self.classifies else [""]:
            names += [f"{part}d_loss", f"{part}g_loss"] if self.regularizer == "adversarial" else [f"{part}mmd"]
        names += ["cross_entropy", "accuracy"] if self.form == "semi_supervised" else []
        self.means = {name: keras.metrics.Mean(name) for name in names}

    def call(self, x, training=False):
        """Codes of images, and logits of classes where the encoder gives them.

        Args:
            x: images `(batch, *image_shape)`.
            training: whether to draw from the posterior; else its mean, or for a universal posterior what no noise gives.

        Returns:
            Dict of `z` `(batch, latent_dim)` and perhaps `logits` `(batch, num_classes)`, float32.
        """
        return self._encode(x, self._noise(x) if training else None, training)

    @property
    def _noise_size(self):
        return {"deterministic": 0, "gaussian": self.latent_dim, "universal": self.noise_dim}[self.posterior]

    def _noise(self, x):
        """What draws of the posterior of a batch are made of."""
        return keras.random.normal((ops.shape(x)[0], self._noise_size), seed=self.seed_generator) if self._noise_size else None

    def _encode(self, x, noise=None, training=False):
        """`call`, with standard normal noise `(batch, _noise_size)`, or `None` for none."""
        inputs = {"image": x}
        if self.posterior == "universal":
            inputs["noise"] = ops.zeros((ops.shape(x)[0], self.noise_dim)) if noise is None else noise
        found = dict(self.encoder(inputs, training=training))
        z, log_variance = found.pop("mean"), found.pop("log_variance", None)
        if noise is not None and log_variance is not None:
            z = z + ops.exp(0.5 * log_variance) * noise
        return {"z": z, **found}

    def _decode(self, z, label=None):
        """Images of codes and of one-hot labels or probabilities of classes."""
        if label is None:
            return self.decoder(z)
        return self.decoder(z + ops.matmul(label, self.heads) if self.cluster_heads else ops.concatenate([z, label], axis=-1))

    # --- what goes in ---

    def input_fields(self):
        """Images, in [0, 1] if the decoder ends with the sigmoid."""
        low, high = (0.0, 1.0) if self.output_activation == "sigmoid" else (None, None)
        return [Field("image", self.image_shape, low=low, high=high)]

    def target_fields(self):
        """A class, or -1 where it is not known; none for the forms without labels."""
        labelled = self.form in ("supervised", "semi_supervised")
        return [Field("label", (), "int32", low=-1, high=self.num_classes - 1)] if labelled else []

    def latent_fields(self):
        """A code."""
        return [Field("z", (self.latent_dim,))]

    def label_fields(self):
        """A class that is known."""
        return [Field("label", (), "int32", low=0, high=self.num_classes - 1)]

    @classmethod
    def example_config(cls):
        """A small semi-supervised model of the plane with all that it may have."""
        return {
            "image_shape": (4, 3, 1),
            "latent_dim": 2,
            "units": (7, 6),
            "form": "semi_supervised",
            "posterior": "gaussian",
            "noise_dim": 3,
            "prior": "star",
            "prior_scale": 1.5,
            "num_classes": 3,
            "cluster_heads": True,
            "head_distance": 3.0,
            "regularizer_weight": 0.7,
            "label_weight": 2.0,
            "bandwidths": (0.5, 1.0),
            "input_noise": 0.1,
            "input_dropout": 0.05,
            "labelled_per_batch": 2,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        x, z = self.example_inputs(3), self.draw_prior(3, seed=0)
        label = {"label": np.arange(3) % self.num_classes} if self._decoder_takes_label else {}
        own = {
            "draw_prior": {"n": 3, "seed": 0},
            "encode": {"x": x, "draw": True, "seed": 1},
            "decode": {"z": z, **label},
            "reconstruct": {"x": x, **({} if self.classifies else label)},
            "sample": {"n": 3, "seed": 1, **label},
            "classify": {"x": x} if self.classifies else None,
            "probabilities": {"x": x} if self.classifies else None,
            "manifold": {"steps": 3, **({"label": 1} if label else {})} if self.latent_dim == 2 else None,
        }
        return {**super().example_calls(), **own}

    @classmethod
    def search_space(cls, hp):
        """Sizes, the regulariser and the learning rate."""
        units = hp.Choice("units", [200, 500, 1000])
        return {
            "units": (units, units),
            "latent_dim": hp.Int("latent_dim", 2, 16),
            "regularizer": hp.Choice("regularizer", list(WEIGHTS)),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }

    # --- learning ---

    def default_optimizer(self):
        """Adam at 3e-4, beta 1 of 0.5, in place of the paper's gradient descent; the module's second difference says why."""
        return keras.optimizers.Adam(3e-4, beta_1=0.5)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Reconstruction, regularisation of the codes and of the classes, and cross-entropy, each with its weight (sections 2 to 7)."""
        if not training and self.posterior != "deterministic":
            # means follow another distribution than draws
            y_pred = self._encode(x, self._noise(x))
        x, z = ops.cast(x, "float32"), y_pred["z"]
        weight = ops.ones(ops.shape(z)[:1]) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        label = None if y is None or not self.target_fields() else ops.cast(ops.reshape(y, (-1,)), "int32")
        if label is None and self.target_fields():
            raise ValueError("`label` must be given; -1 marks a label that is not known. Received: None")
        others = slice(self._apart if training else 0, None)
        logits = y_pred.get("logits")
        known = label if self.form == "supervised" else None
        loss = self._unlabelled_loss(x[others], z[others], None if logits is None else logits[others], known, weight[others])
        if self.form == "semi_supervised":
            loss = loss + self.label_weight * self._cross_entropy(label, logits, weight)
        return loss

    def _unlabelled_loss(self, x, z, logits, label, weight):
        """All that needs no label; in the supervised form labels take part."""
        classes = None if logits is None else ops.softmax(logits)
        if self._label_to_decoder:
            classes = ops.one_hot(label, self.num_classes, dtype="float32")
        errors = ops.reshape(ops.square(x - self._decode(z, classes)), (-1, int(np.prod(self.image_shape))))
        reconstruction = 0.5 * ops.mean(weight * ops.sum(errors, axis=-1))
        self._report("reconstruction", reconstruction, ops.shape(z)[0])
        loss = reconstruction + self._weight * self._regularization(z, label if self._label_to_prior else None, weight)
        if self.classifies:
            loss = loss + self._weight * self._class_regularization(classes, weight)
        return loss + self._head_penalty() if self.cluster_heads else loss

    def _regularization(self, z, label, weight):
        """How far codes are from the prior, or from the part of their labels; of the discriminator as well."""
        n = ops.shape(z)[0]
        if label is not None:
            parts = label if self.codes.parts else None
            drawn = self.codes.draw(n, self.seed_generator, parts)
            # -1 is the label behind the last
            one_hot = ops.one_hot(ops.where(label < 0, self.num_classes, label), self.num_classes + 1, dtype="float32")
            # with labels so far apart that kernels see one label alone
            far = 1.0 if self.regularizer == "adversarial" else 6 * max(self._bandwidths) ** 0.5
            z, drawn = (ops.concatenate([code, far * one_hot], axis=-1) for code in (z, drawn))
        elif self.regularizer == "mmd" and isinstance(self.codes, MixturePrior):
            mmd = mixture_mean_discrepancy(z, *self.codes.components(), bandwidths=self._bandwidths, x_weight=weight)
            return self._report("mmd", mmd, n)
        else:
            drawn = self.codes.draw(n, self.seed_generator)
        if self.regularizer == "mmd":
            return self._report("mmd", maximum_mean_discrepancy(z, drawn, self._bandwidths, x_weight=weight), n)
        return self._game(self.discriminator, z, drawn, weight, "")

    def _class_regularization(self, classes, weight):
        """How far probabilities of classes are from one-hot vectors of equal shares."""
        corners = np.eye(self.num_classes)
        if self.regularizer == "mmd":
            flat = np.zeros((self.num_classes, self.num_classes, self.num_classes))
            mmd = mixture_mean_discrepancy(classes, corners, flat, bandwidths=OF_CLASSES, x_weight=weight)
            return self._report("label_mmd", mmd, ops.shape(classes)[0])
        drawn = keras.random.randint((ops.shape(classes)[0],), 0, self.num_classes, dtype="int32", seed=self.seed_generator)
        return self._game(self.label_discriminator, classes, ops.one_hot(drawn, self.num_classes, dtype="float32"), weight, "label_")

    def _game(self, discriminator, codes, drawn, weight, prefix):
        """Both players' losses; neither sends gradients to the other."""
        on_drawn, on_codes = discriminator(drawn)[:, 0], discriminator(ops.stop_gradient(codes))[:, 0]
        with autodiff.frozen(discriminator.trainable_variables):
            for_encoder = discriminator(codes)[:, 0]
        n = ops.shape(codes)[0]
        d_loss = ops.mean(ops.softplus(-on_drawn)) + ops.mean(weight * ops.softplus(on_codes))
        g_loss = ops.mean(weight * ops.softplus(-for_encoder))
        return self._report(f"{prefix}d_loss", d_loss, n) + self._report(f"{prefix}g_loss", g_loss, n)

    def _head_penalty(self):
        """By how much the points of classes are too close, summed over pairs (section 7)."""
        squares = ops.sum(ops.square(self.heads[:, None] - self.heads[None]), axis=-1)
        other = 1.0 - ops.eye(self.num_classes)
        # of a point to itself the root has no slope
        distances = ops.sqrt(squares + ops.eye(self.num_classes) + 1e-12)
        return 0.5 * ops.sum(other * ops.relu(self.head_distance - distances))

    def _cross_entropy(self, label, logits, weight):
        """Of the samples whose label is known."""
        known = ops.cast(label >= 0, "float32")
        chosen = ops.sum(ops.one_hot(label, self.num_classes, dtype="float32") * ops.log_softmax(logits), axis=-1)
        right = ops.cast(ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), label), "float32")
        self.means["accuracy"].update_state(right, sample_weight=known)
        loss = -ops.sum(weight * known * chosen) / ops.maximum(ops.sum(known), 1.0)
        return self._report("cross_entropy", loss, ops.sum(known))

    def _report(self, name, value, rows):
        """`value`, a mean over so many rows, which the logs show as the mean over all."""
        self.means[name].update_state(value, sample_weight=rows)
        return value

    # --- verbs ---

    @checked
    def draw_prior(self, n: Count, label: Index | Numbers | None = None, seed: Index | None = None) -> np.ndarray:
        """Codes from the prior.

        Args:
            n: how many.
            label: `(n,)`, the part of each code where labels choose it; `None`: of the whole.
            seed: an int gives the same codes each time.

        Returns:
            Array `(n, latent_dim)`, float32.
        """
        if label is not None and not self.codes.parts:
            raise ValueError("`label` must be None, since this prior has no parts. Received: labels")
        label = None if label is None else ops.convert_to_tensor(self._labels(label, n, self.codes.parts), "int32")
        return ops.convert_to_numpy(self.codes.draw(n, self._seed(seed), label))

    @checked
    def encode(self, x: Inputs, draw: Flag = False, seed: Index | None = None) -> np.ndarray:
        """Codes of images.

        Args:
            x: images `(n, *image_shape)`.
            draw: whether to draw from the posterior; else its mean, or for a universal posterior what no noise gives.
            seed: of the draws.

        Returns:
            Array `(n, latent_dim)`, float32.
        """
        x = np.asarray(x, "float32")
        if not draw or not self._noise_size:
            return autodiff.in_batches(self._graph("encode", lambda x: self._encode(x)["z"]), [x], ROWS)[0]
        noise = np.asarray(ops.convert_to_numpy(keras.random.normal((len(x), self._noise_size), seed=self._seed(seed))))
        return autodiff.in_batches(self._graph("draw", lambda x, noise: self._encode(x, noise)["z"]), [x, noise], ROWS)[0]

    @checked
    def decode(self, z: Latent, label: Index | Numbers | None = None) -> np.ndarray:
        """Images of codes.

        Args:
            z: codes `(n, latent_dim)`.
            label: a class, or `(n,)` of them, where the decoder takes one; else `None`.

        Returns:
            Array `(n, *image_shape)`, float32.
        """
        z = self.latent_fields()[0].convert(z).astype("float32")
        if not self._decoder_takes_label:
            if label is not None:
                raise ValueError("`label` must be None, since this decoder takes none. Received: labels")
            return autodiff.in_batches(self._graph("decode", self._decode), [z], ROWS)[0]
        if label is None:
            raise ValueError("`label` must be given, since this decoder takes it. Received: None")
        one_hot = np.eye(self.num_classes, dtype="float32")[self._labels(label, len(z))]
        return autodiff.in_batches(self._graph("decode", self._decode), [z, one_hot], ROWS)[0]

    @checked
    def reconstruct(self, x: Inputs, label: Index | Numbers | None = None) -> np.ndarray:
        """Images of the codes of images.

        Args:
            x: images `(n, *image_shape)`.
            label: a class, or `(n,)` of them, where the decoder takes one and the encoder does not give it.

        Returns:
            Array `(n, *image_shape)`, float32.
        """
        x = np.asarray(x, "float32")
        if not self.classifies:
            return self.decode(self.encode(x), label)
        if label is not None:
            raise ValueError("`label` must be None, since the encoder gives it. Received: labels")
        return autodiff.in_batches(self._graph("reconstruct", self._reconstruct), [x], ROWS)[0]

    def _reconstruct(self, x):
        found = self._encode(x)
        return self._decode(found["z"], ops.softmax(found["logits"]))

    @checked
    def sample(self, n: Count, label: Index | Numbers | None = None, seed: Index | None = None) -> np.ndarray:
        """Images of codes from the prior.

        Args:
            n: how many.
            label: a class, or `(n,)` of them, where the decoder takes one or the prior has a part for it; `None`: at random.
            seed: an int gives the same images each time.

        Returns:
            Array `(n, *image_shape)`, float32.
        """
        of_part = self._label_to_prior and self.codes.parts
        if label is not None and not (of_part or self._decoder_takes_label):
            raise ValueError("`label` must be None, since neither the prior nor the decoder takes it. Received: labels")
        if self._decoder_takes_label and label is None:
            label = self._random(seed).integers(0, self.num_classes, n)
        z = self.draw_prior(n, label if of_part else None, seed)
        return self.decode(z, label) if self._decoder_takes_label else self.decode(z)

    @checked
    def probabilities(self, x: Inputs) -> np.ndarray:
        """Probabilities of the classes or clusters of images `(n, *image_shape)`: float32 `(n, num_classes)`."""
        if not self.classifies:
            raise ValueError(f"`form` must be 'semi_supervised' or 'clustering' to classify. Received: {self.form!r}")
        run = self._graph("probabilities", lambda x: ops.softmax(self._encode(x)["logits"]))
        return autodiff.in_batches(run, [np.asarray(x, "float32")], ROWS)[0]

    @checked
    def classify(self, x: Inputs) -> np.ndarray:
        """The most probable class or cluster of images `(n, *image_shape)`: int `(n,)`."""
        return self.probabilities(x).argmax(axis=1)

    @checked
    def manifold(self, steps: Count = 20, label: Index | Numbers | None = None) -> np.ndarray:
        """Images of a grid of codes of the plane, for `zoo.plots.image_grid`.

        Args:
            steps: codes a side. Under a Gaussian they stand at equal steps of probability, else at equal distances over the prior's middle.
            label: a class, where the decoder takes one.

        Returns:
            Array `(steps, steps, *image_shape)`, float32; the first coordinate grows along a row, the second upwards.

        Raises:
            ValueError: if codes do not have two coordinates.
        """
        if self.latent_dim != 2:
            raise ValueError(f"`latent_dim` must be 2 for a picture of the codes. Received: {self.latent_dim}")
        if self.codes.parts == 0 and isinstance(self.codes, MixturePrior):
            means, covariances = self.codes.components()
            lines = stats.norm.ppf((np.arange(steps) + 0.5) / steps)[:, None] * np.sqrt(np.diag(covariances[0])) + means[0]
        else:
            low, high = np.quantile(_draws(self.codes), [0.02, 0.98], axis=0)
            lines = np.linspace(low, high, steps)
        z = np.stack(np.meshgrid(lines[:, 0], lines[::-1, 1]), axis=-1).reshape(-1, 2)
        return self.decode(z, label).reshape(steps, steps, *self.image_shape)

    def signatures(self):
        """`serve` gives codes of images, and probabilities where the encoder classifies; `decode` gives images of codes."""
        fields = self.latent_fields() + (self.label_fields() if self._decoder_takes_label else [])
        return {"serve": (self._serve, self.input_fields()), "decode": (self._serve_decoder, fields)}

    def _serve(self, x):
        found = self._encode(x)
        return {"z": found["z"], **({"probability": ops.softmax(found["logits"])} if self.classifies else {})}

    def _serve_decoder(self, x):
        if not self._decoder_takes_label:
            return {"image": self.decoder(x)}
        return {"image": self._decode(x["z"], ops.one_hot(x["label"], self.num_classes, dtype="float32"))}

    @property
    def _decoder_takes_label(self):
        return self._label_to_decoder or self.classifies

    def _labels(self, given, n, classes=None):
        """One class, or one for each of `n` rows, as int32 `(n,)`."""
        field = Field("label", (), "int32", low=0, high=(classes or self.num_classes) - 1)
        found = field.convert(np.full(n, given) if np.ndim(given) == 0 else given)
        if len(found) != n:
            raise ValueError(f"`label` must be a class, or one for each of {n} rows. Received: {len(found)}")
        return found.astype("int32")

    def _seed(self, seed):
        return self.seed_generator if seed is None else keras.random.SeedGenerator(seed)

    def _random(self, seed):
        return np.random.default_rng(ops.convert_to_numpy(self.seed_generator.next()) if seed is None else seed)


# --- parts ---


def _hidden(x, units, name):
    for i, size in enumerate(units):
        x = layers.Dense(size, activation="relu", name=f"{name}_{i}")(x)
    return x


def _prior(given, dim, scale, classes):
    """The distribution that the arguments describe, whose class can be saved."""
    if isinstance(given, str):
        arguments.one_of("prior", given, PRIORS)
        if given != "gaussian" and dim != 2:
            raise ValueError(f"`latent_dim` must be 2 for the prior {given!r}. Received: {dim}")
        return {
            "gaussian": lambda: gaussian_prior(dim, scale),
            "star": lambda: star_prior(scale, classes),
            "swiss_roll": lambda: SwissRollPrior(2 * scale, classes),
        }[given]()
    if not isinstance(given, Prior):
        arguments.refuse("prior", f"one of {', '.join(map(repr, PRIORS))}, or a zoo.layers.Prior", given)
    if keras.saving.get_registered_object(keras.saving.get_registered_name(type(given))) is not type(given):
        expected = "of a class registered by keras.saving.register_keras_serializable, so that the model can be saved"
        arguments.refuse("prior", expected, type(given).__name__)
    shape = _draws(given, 3).shape
    if shape != (3, dim):
        raise ValueError(f"`prior` must draw codes of shape (n, {dim}). Received: draws of shape {shape} for n=3")
    return given


def _draws(codes, n=2000):
    """Always the same ones."""
    return ops.convert_to_numpy(codes.draw(n, keras.random.SeedGenerator(0)))


def _scaled(bandwidths, codes):
    """Bandwidths in the units of `zoo.losses.maximum_mean_discrepancy`, squared distances."""
    found = arguments.numbers("bandwidths", bandwidths, rank=1)
    if found.min() <= 0:
        arguments.refuse("bandwidths", "positive numbers", bandwidths)
    # of two draws: twice the variance
    return tuple((found * 2 * _draws(codes).var(axis=0).sum()).tolist())
