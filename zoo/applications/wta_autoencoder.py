"""Winner-take-all autoencoders: features without labels from codes that are sparse because few activations win.

Paper: Makhzani, Frey 2015, "Winner-Take-All Autoencoders", arXiv 1409.2752. An encoder of ReLUs, in training a competition among its
activations, and a shallow linear decoder. In the dense form each unit stays active for a share of the batch (lifetime sparsity), in the
convolutional form the largest activation of each feature map stays (spatial sparsity), and that for a share of the batch. A restricted
Boltzmann machine learns with the same competition among its hidden probabilities. Codes are no longer cut after training.

Shapes: images `(batch, height, width, channels)` -> reconstructions of the same shape; `encode` gives `(n, features)`.

Differences from the paper:
1. The paper's optimizer is not taken over: here are Adam at 0.003, for the RBM gradient steps with momentum, and batches of 100.
2. Baselines are `sparsity="none"`, and `"k_sparse"` with the same number of winners in a batch. The k-sparse autoencoder's own paper has
   linear units, and keeps its largest ones after training as well; here it has ReLUs that all pass then: only the competition differs.
3. Features of the convolutional form are maxima over regions of 6 x 6 with a stride of 4, which border regions cross ("same" padding).
4. Gradients of the RBM take the probabilities that won, of which hidden states are drawn for the reconstruction (contrastive divergence,
   one step). Its visible units are probabilities.
5. Decoders start from zero: they then first learn what their units win for, and pull these up. From random weights the first errors push
   some units down at random, and those that fall silent for all images never come back: 9 % of 2000 instead of none after 200 updates of
   Adam at 0.001 on MNIST.
6. A stack is made by `below`: each autoencoder learns from the features of the one below, which has learned before and stays as it is.
"""

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Inputs, checked
from zoo.layers import KSparse, LifetimeSparsity, SpatialSparsity
from zoo.model import Field, Model

FORMS = ("dense", "convolutional", "rbm")
SPARSITIES = ("winner_take_all", "k_sparse", "none")
# by form: units, layers of the encoder, share of the batch
DEFAULTS = {"dense": (2000, 1, 0.05), "convolutional": (64, 2, 1.0), "rbm": (2000, 1, 0.3)}


class WTAAutoencoder(Model):
    """A winner-take-all autoencoder; `fit(images)` needs no labels, `encode(images)` gives features for a linear classifier.

    Args:
        form: `"dense"` (FC-WTA), `"convolutional"` (CONV-WTA) or `"rbm"` (WTA-RBM, images in [0, 1]).
        input_shape: of an image; `None` is `(28, 28, 1)`, or what `below` gives.
        units: hidden units, or feature maps; `None` is 2000, or 64 maps.
        depth: layers of the encoder, all of the same size; `None` is 1, or 2 convolutions. An RBM has one.
        sparsity: `"winner_take_all"`, or its baselines: `"k_sparse"` (the largest activations of each image) and `"none"`.
        rate: share of a batch for which a unit, or a map, stays active; `None` is 0.05 for the dense form, 1 for maps (spatial sparsity
            alone) and 0.3 for an RBM. With `"k_sparse"` the same share of the units stays in each image.
        tied: whether the decoder has the encoder's weights, transposed; for the dense form of one layer. An RBM's always are.
        kernel_size: of the encoder's convolutions.
        decoder_kernel_size: of the decoder's deconvolution.
        pool_size: of the regions over which `encode` takes maxima of feature maps.
        pool_strides: pixels between these regions.
        below: a trained `WTAAutoencoder` whose features this one learns from; it is frozen by this. Convolutions stand on convolutions, an
            RBM on an RBM.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is out of range, or does not suit the form.
    """

    output_name = "reconstruction"
    default_batch_size = 100

    def __init__(
        self,
        form="dense",
        input_shape=None,
        units=None,
        depth=None,
        sparsity="winner_take_all",
        rate=None,
        tied=False,
        kernel_size=5,
        decoder_kernel_size=11,
        pool_size=6,
        pool_strides=4,
        below=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.form, self.sparsity = arguments.one_of("form", form, FORMS), arguments.one_of("sparsity", sparsity, SPARSITIES)
        self.input_shape = None if input_shape is None else arguments.counts("input_shape", input_shape)
        self.units = None if units is None else arguments.count("units", units)
        self.depth = None if depth is None else arguments.count("depth", depth)
        self.rate = None if rate is None else arguments.number("rate", rate, above=0, high=1)
        self.tied, self.below = arguments.flag("tied", tied), below
        self.kernel_size = arguments.count("kernel_size", kernel_size)
        self.decoder_kernel_size = arguments.count("decoder_kernel_size", decoder_kernel_size)
        self.pool_size, self.pool_strides = arguments.count("pool_size", pool_size), arguments.count("pool_strides", pool_strides)
        self._check_combination()
        self.image_shape = self.input_shape or (below.image_shape if below is not None else (28, 28, 1))
        self.source_shape = self.image_shape if below is None else tuple(below.feature_shape)
        if below is not None:
            below.trainable = False
        if self.is_convolutional and len(self.source_shape) != 3:
            raise ValueError(f"`input_shape` must be (height, width, channels) for the convolutional form. Received: {input_shape}")
        self.seed_generator = keras.random.SeedGenerator()
        self._build_encoder()
        self._build_decoder()
        self.competition = self._competition()
        self.compile()

    def _check_combination(self):
        if self.form != "dense" and self.tied:
            raise ValueError(f"`tied` must be False for form={self.form!r}. Received: {self.tied}")
        if (self.tied or self.form == "rbm") and self.depth not in (None, 1):
            raise ValueError(f"`depth` must be 1 for tied weights. Received: {self.depth}")
        if self.below is not None:
            self._check_below(self.below)

    def _check_below(self, below):
        arguments.instance("below", below, WTAAutoencoder)
        if self.form != "dense" and below.form != self.form:
            raise ValueError(f"`below` must be of form {self.form!r}. Received: form {below.form!r}")
        if self.input_shape is not None and self.input_shape != below.image_shape:
            raise ValueError(f"`input_shape` must be that of `below`, {below.image_shape}, or None. Received: {self.input_shape}")

    @property
    def is_convolutional(self):
        """Whether codes are feature maps."""
        return self.form == "convolutional"

    @property
    def code_units(self):
        """Number of hidden units, or of feature maps."""
        return DEFAULTS[self.form][0] if self.units is None else self.units

    @property
    def feature_shape(self):
        """Shape of the features of one image, before `encode` makes rows of them."""
        if not self.is_convolutional:
            return (self.code_units,)
        return (*(-(-size // self.pool_strides) for size in self.source_shape[:2]), self.code_units)

    # --- parts ---

    def _build_encoder(self):
        depth = DEFAULTS[self.form][1] if self.depth is None else self.depth
        shape, self.encoder = (None, *self.source_shape) if self.is_convolutional else (None, int(np.prod(self.source_shape))), []
        for i in range(depth):
            if self.is_convolutional:
                layer = layers.Conv2D(self.code_units, self.kernel_size, padding="same", activation="relu", name=f"encoder_{i}")
            else:
                layer = layers.Dense(self.code_units, "sigmoid" if self.form == "rbm" else "relu", name=f"encoder_{i}")
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
            self.encoder.append(layer)

    def _build_decoder(self):
        self.decoder, self.visible_bias = None, None
        if self.is_convolutional:
            sizes = (self.source_shape[-1], self.decoder_kernel_size)
            self.decoder = layers.Conv2DTranspose(*sizes, padding="same", kernel_initializer="zeros", name="decoder")
            self.decoder.build((None, *self.source_shape[:-1], self.code_units))
        elif self.tied or self.form == "rbm":
            self.visible_bias = self.add_weight((int(np.prod(self.source_shape)),), "zeros", name="visible_bias")
        else:
            self.decoder = layers.Dense(int(np.prod(self.source_shape)), kernel_initializer="zeros", name="decoder")
            self.decoder.build((None, self.code_units))

    def _competition(self):
        """Layers that a code passes, of which those that compete do so in training alone."""
        rate = DEFAULTS[self.form][2] if self.rate is None else self.rate
        if self.sparsity == "none":
            return []
        if self.sparsity == "k_sparse":
            return [KSparse(max(1, round(rate * self.code_units)))]
        return [SpatialSparsity()] * self.is_convolutional + [LifetimeSparsity(rate)] * (rate < 1)

    # --- forward ---

    def call(self, x, training=False):
        """Reconstructions of images, or of the features below: `(batch, *source_shape)`."""
        return self._decoded(self._competed(self._code(self._source(x)), training))

    def _source(self, x):
        """What is to be reconstructed: images, or features of the frozen autoencoder below."""
        x = ops.cast(x, self.compute_dtype)
        return x if self.below is None else ops.stop_gradient(self.below._features(x))

    def _code(self, x):
        """Hidden units `(batch, units)` or maps `(batch, height, width, units)` of what is to be reconstructed."""
        x = x if self.is_convolutional else ops.reshape(x, (ops.shape(x)[0], int(np.prod(self.source_shape))))
        for layer in self.encoder:
            x = layer(x)
        return x

    def _competed(self, code, training):
        for layer in self.competition:
            code = layer(code, training=training)
        return code

    def _decoded(self, code):
        if self.visible_bias is None:
            x = self.decoder(code)
        else:
            kernel = ops.cast(ops.transpose(self.encoder[0].kernel), code.dtype)
            x = ops.matmul(code, kernel) + ops.cast(self.visible_bias, code.dtype)
        x = ops.sigmoid(x) if self.form == "rbm" else x
        return ops.reshape(x, (ops.shape(x)[0], *self.source_shape))

    def _features(self, x):
        """Features `(batch, *feature_shape)` of images; nothing is cut."""
        code = self._code(self._source(x))
        return ops.max_pool(code, self.pool_size, self.pool_strides, "same") if self.is_convolutional else code

    # --- learning ---

    def input_fields(self):
        """An image; of an RBM in [0, 1]."""
        limits = (0.0, 1.0) if self.form == "rbm" else (None, None)
        return [Field("image", self.image_shape, "float32", *limits)]

    def default_optimizer(self):
        """Adam at 0.003; for an RBM, gradient steps of 0.1 with momentum 0.5."""
        return keras.optimizers.SGD(0.1, momentum=0.5) if self.form == "rbm" else keras.optimizers.Adam(3e-3)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Squared error of the reconstruction, summed over pixels; an RBM's gradients are those of contrastive divergence."""
        source = self._source(x)
        if self.form == "rbm" and training:
            source = ops.reshape(source, (ops.shape(source)[0], -1))
            won, dreamt, hidden = self._dream(source)
            errors = _squares(dreamt - source)
            contrast = self._energy(source, won) - self._energy(dreamt, hidden)
            # the value of the one, the derivatives of the other
            errors = contrast + ops.stop_gradient(errors - contrast)
        else:
            errors = _squares(y_pred - source)
        return ops.mean(errors if sample_weight is None else errors * ops.cast(ops.reshape(sample_weight, (-1,)), errors.dtype))

    def _dream(self, visible):
        """One step of contrastive divergence: hidden probabilities that won, the visible ones they give, and the hidden ones of these."""
        won = self._competed(self._code(visible), True)
        drawn = ops.cast(keras.random.uniform(ops.shape(won), seed=self.seed_generator) < ops.cast(won, "float32"), won.dtype)
        dreamt = ops.reshape(self._decoded(drawn), ops.shape(visible))
        return [ops.stop_gradient(states) for states in (won, dreamt, self._code(dreamt))]

    def _energy(self, visible, hidden):
        """E(v, h) of each row, in float32."""
        bias, kernel = (ops.cast(v, visible.dtype) for v in (self.encoder[0].bias, self.encoder[0].kernel))
        hidden_part = ops.cast((ops.matmul(visible, kernel) + bias) * hidden, "float32")
        visible_part = ops.cast(visible, "float32") * ops.cast(self.visible_bias, "float32")
        return -ops.sum(hidden_part, axis=1) - ops.sum(visible_part, axis=1)

    # --- verbs ---

    @checked
    def encode(self, image: Inputs, batch_size: Count = 500) -> np.ndarray:
        """Features for a classifier: hidden units, or maxima of regions of the feature maps; nothing competes.

        Args:
            image: `(n, *input_shape)`.
            batch_size: images at once.

        Returns:
            `(n, features)` float32.

        Raises:
            ValueError: if the images do not fit.
        """
        return autodiff.in_batches(self._graph("encode", self._rows), [np.asarray(image)], batch_size)[0]

    def _rows(self, image):
        return ops.cast(ops.reshape(self._features(image), (ops.shape(image)[0], int(np.prod(self.feature_shape)))), "float32")

    @checked
    def winners(self, image: Inputs, batch_size: Count = 100) -> np.ndarray:
        """Which units, or maps, are active for which images when they compete as in training.

        Args:
            image: `(n, *input_shape)`.
            batch_size: images that compete at a time; a last batch of fewer is filled up with its last image.

        Returns:
            Bool `(n, units)`. A unit that has no `True` over the training images is dead: nothing teaches it any more.

        Raises:
            ValueError: if the images do not fit.
        """

        def active(image):
            code = self._competed(self._code(self._source(image)), True)
            return ops.max(code, axis=(1, 2)) > 0 if self.is_convolutional else code > 0

        return autodiff.in_batches(self._graph("winners", active), [np.asarray(image)], batch_size)[0]

    def filters(self):
        """What each unit draws: the decoder's weights.

        Returns:
            `(units, *input_shape)` float32, or `(units, height, width, channels)` of the deconvolution. In a stack of dense autoencoders
            they are carried down through the decoders below.

        Raises:
            ValueError: if the autoencoder stands on feature maps, whose pooling has no inverse.
        """
        if self.below is not None and self.below.is_convolutional:
            raise ValueError("`below` must be dense, or None, for filters that are images. Received: a convolutional autoencoder")
        if self.is_convolutional:
            return ops.convert_to_numpy(self.decoder.kernel).transpose(3, 0, 1, 2)
        kernel = ops.convert_to_numpy(ops.transpose(self.encoder[0].kernel) if self.decoder is None else self.decoder.kernel)
        if self.below is None:
            return kernel.reshape(-1, *self.image_shape)
        return np.tensordot(kernel, self.below.filters(), 1)

    def signatures(self):
        """`serve` reconstructs; `encode` gives features."""
        return {**super().signatures(), "encode": (lambda image: {"features": self._rows(image)}, self.input_fields())}

    # --- examples ---

    @classmethod
    def example_config(cls):
        """A small convolutional autoencoder."""
        sizes = {"input_shape": (7, 6, 2), "units": 3, "depth": 2, "kernel_size": 3, "decoder_kernel_size": 5}
        return {"form": "convolutional", **sizes, "rate": 0.5, "pool_size": 3, "pool_strides": 2}

    def example_calls(self):
        """A small valid call of every verb."""
        images = self.example_inputs()
        has_images = self.below is None or not self.below.is_convolutional
        own = {"encode": {"image": images}, "winners": {"image": images}, "filters": {} if has_images else None}
        return {**super().example_calls(), **own}

    @classmethod
    def search_space(cls, hp):
        """Hidden units, their rate and the learning rate of the dense form."""
        return {
            "units": hp.Choice("units", [500, 1000, 2000]),
            "rate": hp.Float("rate", 0.01, 0.2, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }


def _squares(difference):
    """Sum of squares of each row, in float32."""
    return ops.sum(ops.square(ops.cast(difference, "float32")), axis=tuple(range(1, len(difference.shape))))
