"""LAPGAN: images drawn from coarse to fine, by an adversarial pair for each level of a Laplacian pyramid.

Paper: Denton, Chintala, Szlam, Fergus 2015, "Deep Generative Image Models using a Laplacian Pyramid of Adversarial Networks", arXiv
1506.05751. The coarsest generator draws a small image. Each finer one gets that image, doubled, and noise, and draws the details that are
missing, which are added. All levels learn at once and independently: a finer pair sees the true image of the level below.

Images are `(batch, height, width, channels)` in [-1, 1]. Latent vectors `z` are `(batch, latent_size)`, uniform in [-1, 1]: the coarsest
level's numbers first. The class-conditional form takes `{"image": ..., "label": ...}`, labels `(batch,)` of whole numbers.

Two proposals are options, both of a review by F. Huszar: noise that does not grow with the number of pixels (`noise`), since details given
the coarse image are ever more certain; and a loss of super-resolution beside the adversarial one (`super_resolution`), since nothing else
keeps a finer level to what it was given.

Differences from the paper:
1. Images keep their size, 8 -> 16 -> 32 pixels for CIFAR-10, as in the authors' code; the text has crops, 8 -> 14 -> 28.
2. Pixels lie in [-1, 1]; the authors' code normalises them by mean and deviation.
3. The default is Adam at 0.001 with beta 1 of 0.5. The paper's SGD begins at 0.02 with momentum 0.5, which grows to 0.8 over 375 epochs;
   `keras.optimizers.SGD(0.02, momentum=0.5)`, as in the authors' code, takes many epochs: after 200 and after 800 updates of the coarsest
   pair the Frechet distance of 8 x 8 pixels of CIFAR-10 was 48 and 46, of Adam 48 and 19.
4. The generators' loss is the non-saturating one of the authors' code, not that of equation 2. One backward pass updates all players at
   the same point, on the same generated batch; none sees another's gradient, so that one optimizer equals one for each.
5. The coarsest generator's hidden layers are ReLUs, as in the text; the code has a sigmoid. Weights start as in the code: the coarsest
   generator's from N(0, 0.05^2), its discriminator's from N(0, 0.005^2), those of convolutions and of the finer logits from Torch's uniform
   distribution of variance 1 / (3 inputs). From Glorot's the coarsest discriminator wins, and all samples look alike.
6. A batch of 64 images is the code's of 128, of which one half is generated.
7. What is drawn is cut to [-1, 1] in the end.
"""

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Index, Inputs, Numbers, checked
from zoo.families.latent_generator import Latent, LatentGenerator
from zoo.layers import LaplacianPyramid
from zoo.model import Field

NOISES = ("plane", "low_rank", "hash")
# pixels that the finer discriminators' convolutions need
SMALLEST = 9
# images of one compiled call of a verb
ROWS = 128


class LAPGAN(LatentGenerator):
    """A Laplacian pyramid of adversarial networks; `fit(images)` needs no targets.

    `call` and `predict` give the discriminators' logits of "this is real", one for each level; `sample`, `generate` and `chain` draw
    images, `refine` draws details for given coarse images. The exported `serve` takes `z` and gives images.

    Args:
        image_shape: (height, width, channels); height and width divisible by `2 ** (levels - 1)`.
        levels: of the pyramid. The paper's smallest images have 8 x 8 pixels.
        classes: number of classes of the class-conditional form; `None` is the plain one.
        latent_dim: numbers that the coarsest generator draws from.
        generator_units: of its two hidden layers.
        discriminator_units: of the two hidden layers of its discriminator.
        generator_filters: channels of the finer generators.
        discriminator_filters: channels of the finer discriminators.
        dropout: rate in the discriminators.
        noise: of the finer levels. `"plane"`: a number for each pixel (the paper). `"low_rank"`: `noise_dim` numbers, of which each pixel
            gets a fixed random mixture: a covariance of that rank. `"hash"`: each pixel gets one of them, with a sign.
        noise_dim: numbers a level for the latter two: one int, which keeps the entropy the same over the levels, or a tuple, one for each
            finer level, coarse first.
        super_resolution: weight of the mean squared distance between generated and true details in the finer generators' loss; 0 for the
            paper's.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Attributes:
        generators: networks, coarsest first, the finer ones from the doubled image and noise to details.
        discriminators: networks, coarsest first, each from an image of its level to a logit.
        latent_size: length of `z`, over all levels.

    Raises:
        ValueError: if an argument is out of range, or the sizes do not fit.
    """

    output_name = "logits"
    default_batch_size = 64

    def __init__(
        self,
        image_shape=(32, 32, 3),
        levels=3,
        classes=None,
        latent_dim=100,
        generator_units=1200,
        discriminator_units=600,
        generator_filters=64,
        discriminator_filters=64,
        dropout=0.5,
        noise="plane",
        noise_dim=100,
        super_resolution=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape = image_shape
        self.levels = levels
        self.classes = classes
        self.latent_dim = latent_dim
        self.generator_units, self.discriminator_units = generator_units, discriminator_units
        self.generator_filters, self.discriminator_filters = generator_filters, discriminator_filters
        self.dropout = dropout
        self.noise, self.noise_dim = noise, noise_dim
        self.super_resolution = super_resolution
        self._check_arguments()
        self.pyramid_layer = LaplacianPyramid(levels, name="pyramid")
        # coarsest first
        self._shapes = [(image_shape[0] >> k, image_shape[1] >> k, image_shape[2]) for k in range(levels)][::-1]
        self._noise_sizes = [latent_dim, *self._finer_noise()]
        self.latent_size = sum(self._noise_sizes)
        self.generators = [self._coarse_generator(), *(self._fine_generator(k) for k in range(1, levels))]
        self.discriminators = [self._coarse_discriminator(), *(self._fine_discriminator(k) for k in range(1, levels))]
        self.seed_generator = keras.random.SeedGenerator()
        self.d_losses = [keras.metrics.Mean(f"d_loss_{shape[0]}") for shape in self._shapes]
        self.g_losses = [keras.metrics.Mean(f"g_loss_{shape[0]}") for shape in self._shapes]
        self.detail_errors = [keras.metrics.Mean(f"detail_error_{shape[0]}") for shape in self._shapes[1:]]
        self.compile()

    def _check_arguments(self):
        for name in ("levels", "latent_dim", "generator_units", "discriminator_units", "generator_filters", "discriminator_filters"):
            arguments.count(name, getattr(self, name))
        sizes = arguments.counts("image_shape", self.image_shape)
        if len(sizes) != 3:
            raise ValueError(f"`image_shape` must be (height, width, channels). Received: {sizes}")
        if any(side % 2 ** (self.levels - 1) for side in sizes[:2]):
            raise ValueError(f"`image_shape` must halve evenly {self.levels - 1} times. Received: {sizes}")
        if self.levels > 1 and min(sizes[:2]) >> (self.levels - 2) < SMALLEST:
            raise ValueError(f"`levels` must leave {SMALLEST} pixels to the second coarsest. Received: {self.levels} for {sizes}")
        if self.classes is not None:
            arguments.count("classes", self.classes, low=2)
        arguments.number("dropout", self.dropout, low=0, high=0.99)
        arguments.number("super_resolution", self.super_resolution, low=0)
        arguments.one_of("noise", self.noise, NOISES)
        for size in self._dims():
            arguments.count("noise_dim", size)

    def _dims(self):
        """`noise_dim` as a list, one a finer level."""
        if not isinstance(self.noise_dim, (list, tuple)):
            return [self.noise_dim] * (self.levels - 1)
        if len(self.noise_dim) != self.levels - 1:
            raise ValueError(f"`noise_dim` must be an int, or have {self.levels - 1} entries. Received: {tuple(self.noise_dim)}")
        return list(self.noise_dim)

    def _finer_noise(self):
        if self.noise == "plane":
            return [height * width for height, width, _ in self._shapes[1:]]
        return self._dims()

    # --- the networks (section 3.1.1) ---

    def _inputs(self, *fields):
        """Inputs of a network, and that of the class where there are classes."""
        found = [keras.Input(shape, name=name) for name, shape in fields]
        return found + ([keras.Input((self.classes,), name="class")] if self.classes else [])

    def _coarse_generator(self):
        inputs = self._inputs(("z", (self.latent_dim,)))
        x = layers.Concatenate()(inputs) if self.classes else inputs[0]
        for i in range(2):
            x = layers.Dense(self.generator_units, "relu", kernel_initializer=_normal(0.05), name=f"generator_0_hidden_{i}")(x)
        pixels = layers.Dense(int(np.prod(self._shapes[0])), kernel_initializer=_normal(0.05), dtype="float32", name="generator_0_pixels")
        x = pixels(x)
        return keras.Model(inputs, layers.Reshape(self._shapes[0], dtype="float32")(x), name="generator_0")

    def _coarse_discriminator(self):
        inputs = self._inputs(("image", self._shapes[0]))
        x = layers.Flatten()(inputs[0])
        x = layers.Concatenate()([x, inputs[1]]) if self.classes else x
        for i in range(2):
            x = layers.Dense(self.discriminator_units, "relu", kernel_initializer=_normal(0.005), name=f"discriminator_0_hidden_{i}")(x)
            x = layers.Dropout(self.dropout, name=f"discriminator_0_dropout_{i}")(x)
        logit = layers.Dense(1, kernel_initializer=_normal(0.005), dtype="float32", name="discriminator_0_logit")(x)
        return keras.Model(inputs, logit, name="discriminator_0")

    def _fine_generator(self, k):
        height, width, channels = self._shapes[k]
        inputs = self._inputs(("low", self._shapes[k]), ("z", (self._noise_sizes[k],)))
        z = inputs[1]
        if self.noise != "plane":
            mixture = layers.Dense(height * width, use_bias=False, trainable=False, name=f"generator_{k}_noise")
            z = mixture(z)
            mixture.set_weights([_mixture(self.noise, self._noise_sizes[k], height * width, k)])
        x = layers.Concatenate()([inputs[0], layers.Reshape((height, width, 1))(z), *self._class_plane(inputs[2:], k, "generator")])
        for i in range(2):
            name = f"generator_{k}_conv_{i}"
            x = layers.Conv2D(self.generator_filters, 7, 1, "same", activation="relu", kernel_initializer=_uniform(), name=name)(x)
        details = layers.Conv2D(channels, 5, 1, "same", kernel_initializer=_uniform(), dtype="float32", name=f"generator_{k}_details")
        return keras.Model(inputs, details(x), name=f"generator_{k}")

    def _fine_discriminator(self, k):
        inputs = self._inputs(("image", self._shapes[k]))
        x, planes = inputs[0], self._class_plane(inputs[1:], k, "discriminator")
        x = layers.Concatenate()([x, *planes]) if planes else x
        for i in range(2):
            name = f"discriminator_{k}_conv_{i}"
            x = layers.Conv2D(self.discriminator_filters, 5, 1 + i, activation="relu", kernel_initializer=_uniform(), name=name)(x)
        x = layers.Dropout(self.dropout, name=f"discriminator_{k}_dropout")(layers.Flatten()(x))
        logit = layers.Dense(1, kernel_initializer=_uniform(), dtype="float32", name=f"discriminator_{k}_logit")
        return keras.Model(inputs, logit(x), name=f"discriminator_{k}")

    def _class_plane(self, condition, k, player):
        """The class through a linear layer, as one more plane."""
        height, width, _ = self._shapes[k]
        return [layers.Reshape((height, width, 1))(layers.Dense(height * width, name=f"{player}_{k}_class")(c)) for c in condition]

    # --- forward ---

    def call(self, x, training=False):
        """The discriminators' logits `(batch, levels)`, coarsest first, for images: positive means real."""
        image, condition = self._parts(x)
        images = self.pyramid_layer.reductions(image)[::-1]
        return ops.concatenate([d([i, *condition], training=training) for d, i in zip(self.discriminators, images)], axis=1)

    def _parts(self, x):
        """Images, and a list that holds their classes as vectors where there are classes."""
        if self.classes is None:
            return ops.cast(x, self.compute_dtype), []
        return ops.cast(x["image"], self.compute_dtype), [self._one_hot(x["label"])]

    def _one_hot(self, labels):
        return ops.one_hot(ops.cast(labels, "int32"), self.classes, dtype=self.compute_dtype)

    def _split(self, z):
        """The numbers of each level."""
        ends = np.cumsum(self._noise_sizes).tolist()
        return [z[:, start:end] for start, end in zip([0, *ends], ends)]

    def _finer(self, k, image, z, condition):
        """An image of level k for one of half the size: doubled, with details added."""
        low = self.pyramid_layer.up(ops.cast(image, "float32"))
        return low + self.generators[k]([low, z, *condition])

    def _drawn(self, z, condition):
        """Images of all levels for latent vectors, coarsest first; not cut."""
        parts = self._split(z)
        found = [self.generators[0]([parts[0], *condition])]
        for k in range(1, self.levels):
            found.append(self._finer(k, found[-1], parts[k], condition))
        return found

    # --- what goes in ---

    def input_fields(self):
        """Images in [-1, 1], and their classes where there are classes."""
        image = Field("image", tuple(self.image_shape), low=-1.0, high=1.0)
        return [image] if self.classes is None else [image, self._label_field()]

    def _label_field(self):
        return Field("label", (), "int32", 0, self.classes - 1)

    def latent_fields(self):
        """The latent vector of all levels, in [-1, 1]."""
        return [Field("z", (self.latent_size,), low=-1.0, high=1.0)]

    @classmethod
    def example_config(cls):
        """A small class-conditional pyramid of 20 x 24 colour images, with noise of low rank."""
        return {
            "image_shape": (20, 24, 3),
            "levels": 2,
            "classes": 3,
            "latent_dim": 4,
            "generator_units": 6,
            "discriminator_units": 64,
            "generator_filters": 4,
            "discriminator_filters": 3,
            "dropout": 0.2,
            "noise": "low_rank",
            "noise_dim": 7,
            "super_resolution": 0.5,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        z, x = self.latent(3, seed=0), self.example_inputs()
        image = x if self.classes is None else x["image"]
        labels = None if self.classes is None else [0, 1, 1]
        coarse = image[:, :: 2 ** (self.levels - 1), :: 2 ** (self.levels - 1)]
        own = {
            "latent": {"n": 2, "seed": 0},
            "generate": {"z": z, "labels": labels},
            "sample": {"n": 3, "seed": 0, "labels": labels},
            "chain": {"z": z, "labels": labels},
            "refine": {"images": coarse, "labels": None if labels is None else labels[:2], "seed": 0},
            "pyramid": {"images": image},
            "collapse": {"bands": self.pyramid(image)},
            "detail_error": {"x": x, "draws": 2, "seed": 0},
        }
        return {**super().example_calls(), **own}

    @classmethod
    def search_space(cls, hp):
        """Widths, the kind of noise, the weight of super-resolution and the learning rate."""
        units, filters = hp.Choice("units", [150, 300, 600]), hp.Choice("filters", [8, 16, 32])
        return {
            "generator_units": 2 * units,
            "discriminator_units": units,
            "generator_filters": filters,
            "discriminator_filters": filters,
            "noise": hp.Choice("noise", list(NOISES)),
            "super_resolution": hp.Choice("super_resolution", [0.0, 1.0, 10.0]),
            "learning_rate": hp.Float("learning_rate", 1e-4, 3e-3, sampling="log"),
        }

    # --- learning ---

    def default_optimizer(self):
        """Adam at 0.001 with beta 1 of 0.5; the paper's is `SGD(0.02, momentum=0.5)` (third difference)."""
        return keras.optimizers.Adam(1e-3, beta_1=0.5)

    def objective(self, x, y, y_pred, sample_weight, training):
        """The losses of all players, summed; none sends gradients to another. An image of weight 0 has no influence.

        Of each level the discriminator's is half the sum over true and drawn images, as the authors' batches of both kinds have it.
        """
        image, condition = self._parts(x)
        images, rows = self.pyramid_layer.reductions(image)[::-1], ops.shape(y_pred)[0]
        parts, total = self._split(self._latent(rows, self.seed_generator)), 0.0

        def mean(values):
            return ops.mean(values if sample_weight is None else values * ops.cast(ops.reshape(sample_weight, (-1,)), values.dtype))

        for k in range(self.levels):
            fake = self._finer(k, images[k - 1], parts[k], condition) if k else self.generators[0]([parts[0], *condition])
            on_fake, for_generator = self._judged(k, fake, condition, training)
            d_loss = mean(ops.softplus(-y_pred[:, k]) + ops.softplus(on_fake)) / 2
            g_loss = mean(ops.softplus(-for_generator))
            self.d_losses[k].update_state(d_loss, sample_weight=rows)
            self.g_losses[k].update_state(g_loss, sample_weight=rows)
            total = total + d_loss + g_loss
            if k:
                # what both have in common, the doubled image, leaves the distance of the details
                error = mean(ops.mean(ops.square(fake - ops.cast(images[k], "float32")), axis=(1, 2, 3)))
                self.detail_errors[k - 1].update_state(error, sample_weight=rows)
                total = total + self.super_resolution * error
        return total

    def _judged(self, k, fake, condition, training):
        """Logits `(batch,)` of drawn images: for the discriminator, which learns from them, and for the generator."""
        network = self.discriminators[k]
        on_fake = network([ops.stop_gradient(fake), *condition], training=training)
        with autodiff.frozen(network.trainable_variables):
            for_generator = network([fake, *condition], training=training)
        return on_fake[:, 0], for_generator[:, 0]

    # --- verbs ---

    @checked
    def generate(self, z: Latent, labels=None) -> np.ndarray:
        """Images of latent vectors.

        Args:
            z: array `(n, latent_size)`.
            labels: classes `(n,)` of the class-conditional form, which needs them.

        Returns:
            Array `(n, height, width, channels)` in [-1, 1].

        Raises:
            ValueError: if `z` has another shape or leaves [-1, 1], or `labels` do not fit.
        """
        return self.chain(z, labels)[-1]

    @checked
    def chain(self, z: Latent, labels=None) -> list:
        """Images of latent vectors on their way from coarse to fine (figure 1).

        Args:
            z: array `(n, latent_size)`.
            labels: as for `generate`.

        Returns:
            A list of `levels` arrays `(n, height, width, channels)` in [-1, 1], coarsest first.
        """
        z = self.latent_fields()[0].convert(z).astype("float32")
        arrays = [z, *self._labels(labels, len(z))]
        return autodiff.in_batches(self._graph("chain", self._drawn_and_cut), arrays, ROWS)

    def _drawn_and_cut(self, z, *labels):
        return [ops.clip(image, -1.0, 1.0) for image in self._drawn(z, [self._one_hot(label) for label in labels])]

    @checked
    def sample(self, n: Count, seed: Index | None = None, labels=None) -> np.ndarray:
        """Draw images.

        Args:
            n: how many.
            seed: an int gives the same ones each time.
            labels: classes `(n,)` of the class-conditional form; by default all classes in turn.

        Returns:
            Array `(n, height, width, channels)` in [-1, 1].
        """
        if labels is None and self.classes is not None:
            labels = np.arange(n) % self.classes
        return self.generate(self.latent(n, seed), labels)

    @checked
    def refine(self, images: Numbers, labels=None, steps: Count | None = None, seed: Index | None = None) -> np.ndarray:
        """Draw details for given images.

        Args:
            images: array `(n, height, width, channels)` in [-1, 1], of the size of any level but the finest.
            labels: classes `(n,)` of the class-conditional form, which needs them.
            steps: how many levels up; by default to the finest.
            seed: an int gives the same details each time.

        Returns:
            Array `(n, height, width, channels)` in [-1, 1], `2 ** steps` times as high and wide.

        Raises:
            ValueError: if images are of another size or leave [-1, 1], `steps` leads beyond the finest level, or `labels` do not fit.
        """
        images = arguments.numbers("images", images, rank=4).astype("float32")
        sizes = [tuple(shape) for shape in self._shapes[:-1]]
        if images.shape[1:] not in sizes:
            raise ValueError(f"`images` must be (n, height, width, channels) of a size in {sizes}. Received: shape {images.shape}")
        arguments.within("images", images, -1, 1)
        start = sizes.index(images.shape[1:]) + 1
        end = self.levels if steps is None else start + arguments.count("steps", steps, high=self.levels - start)
        z = ops.convert_to_numpy(self._latent(len(images), self.seed_generator if seed is None else seed))

        def run(image, z, *labels):
            condition, parts = [self._one_hot(label) for label in labels], self._split(z)
            for k in range(start, end):
                image = self._finer(k, image, parts[k], condition)
            return ops.clip(image, -1.0, 1.0)

        arrays = [images, z, *self._labels(labels, len(images))]
        return autodiff.in_batches(self._graph(("refine", start, end), run), arrays, ROWS)[0]

    @checked
    def pyramid(self, images: Numbers) -> list:
        """The Laplacian pyramid of images, finest band first (section 2.2).

        Args:
            images: array `(n, height, width, channels)` in [-1, 1], of the model's size.

        Returns:
            A list of `levels` arrays: details of the full size, of half of it, ..., and the coarsest images.
        """
        images = self.input_fields()[0].convert(images).astype("float32")
        return autodiff.in_batches(self._graph("pyramid", self.pyramid_layer), [images], ROWS)

    @checked
    def collapse(self, bands) -> np.ndarray:
        """The images of a pyramid, which may have been changed.

        Args:
            bands: as `pyramid` gives them.

        Returns:
            Array `(n, height, width, channels)`, not cut.

        Raises:
            ValueError: if the number of bands or their shapes do not fit.
        """
        bands = [arguments.numbers("bands", band, rank=4).astype("float32") for band in arguments.listed("bands", bands)]
        expected = [(len(bands[0]), *shape) for shape in self._shapes[::-1]]
        if [band.shape for band in bands] != expected:
            raise ValueError(f"`bands` must have the shapes {expected}. Received: {[band.shape for band in bands]}")
        return autodiff.in_batches(self._graph("collapse", lambda *bands: self.pyramid_layer.collapse(bands)), bands, ROWS)[0]

    @checked
    def detail_error(self, x: Inputs, draws: Count = 10, seed: Index | None = None) -> np.ndarray:
        """How far the true details of images are from the nearest of some that are drawn for them (the paper's heuristic, section 3.1).

        Args:
            x: images `(n, height, width, channels)`, or a dict with `image` and `label`.
            draws: of noise, for each image.
            seed: of these.

        Returns:
            Array `(n, levels - 1)`, coarse first: root of the summed squares, in units of pixels.
        """
        image, labels = (x, []) if self.classes is None else (x["image"], [np.asarray(x["label"], "int32")])
        image, rng = np.asarray(image, "float32"), np.random.default_rng(seed)
        found = np.full((len(image), self.levels - 1), np.inf, "float32")
        for _ in range(draws if self.levels > 1 else 0):
            z = rng.uniform(-1, 1, (len(image), self.latent_size)).astype("float32")
            found = np.minimum(found, autodiff.in_batches(self._graph("detail_error", self._distances), [image, z, *labels], ROWS)[0])
        return found

    def _distances(self, image, z, *labels):
        condition, parts = [self._one_hot(label) for label in labels], self._split(z)
        images = self.pyramid_layer.reductions(image)[::-1]
        drawn = [self._finer(k, images[k - 1], parts[k], condition) for k in range(1, self.levels)]
        # images that share the doubled one differ by their details
        return ops.stack([ops.sqrt(ops.sum(ops.square(a - b), (1, 2, 3))) for a, b in zip(drawn, images[1:])], axis=1)

    def signatures(self):
        """`serve` draws images of `z` (and `label`); `discriminate` gives the probability of being real at each level, coarsest first."""
        labels = [] if self.classes is None else [self._label_field()]

        def serve(x):
            z, label = (x["z"], [x["label"]]) if labels else (x, [])
            return {"image": self._drawn_and_cut(z, *label)[-1]}

        return {
            "serve": (serve, [*self.latent_fields(), *labels]),
            "discriminate": (lambda x: {"real": ops.sigmoid(self(x, training=False))}, self.input_fields()),
        }

    def _labels(self, labels, n):
        """A list with the classes of `n` images, or an empty one of the plain form."""
        if self.classes is None:
            if labels is not None:
                raise ValueError(f"`labels` must be None without classes. Received: {arguments.shown(labels)}")
            return []
        labels = Field("labels", (), "int32", 0, self.classes - 1).convert(labels)
        if len(labels) != n:
            raise ValueError(f"`labels` must have one class for each of {n} images. Received: {len(labels)}")
        return [labels.astype("int32")]


def _normal(deviation):
    return keras.initializers.RandomNormal(stddev=deviation)


def _uniform():
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def _mixture(kind, numbers, pixels, seed):
    """A fixed matrix `(numbers, pixels)` with columns of length 1, so that a pixel's noise has the variance that it has in a plane."""
    rng = np.random.default_rng(seed)
    if kind == "hash":
        places, signs = rng.integers(numbers, size=pixels), rng.choice([-1.0, 1.0], pixels)
        return (np.eye(numbers)[:, places] * signs).astype("float32")
    matrix = rng.normal(size=(numbers, pixels))
    return (matrix / np.linalg.norm(matrix, axis=0)).astype("float32")
