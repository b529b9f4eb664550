"""CRF as RNN: mean-field inference of a dense CRF behind a fully convolutional network, both trained together.

Paper: Zheng, Jayasumana, Romera-Paredes, Vineet, Su, Du, Huang, Torr 2015, "Conditional Random Fields as Recurrent Neural Networks",
arXiv 1502.03240. The network gives logits, whose borders are blurred by its strides; the layer `zoo.layers.MeanFieldCRF` moves them to the
edges of the image, and its gradient tells the network what it need not care about.

Shapes: image `(batch, height, width, channels)` in [0, 1] -> logits `(batch, height, width, classes)`, any size.

Differences from the paper:
1. Weights start anew unless there is a `trunk`, which batch normalisation, the default here, makes practicable. The paper starts from a
   trained FCN-8s without it, whose convolutions come from VGG16: `trunk="vgg16"` does that, with a new head; `batch_normalization=False`.
2. Upsampling is bilinear and fixed (FCN learns it from a bilinear start); convolutions pad themselves instead of a border of 100 pixels.
3. The loss is a mean over pixels instead of a sum, which only scales the learning rate: the paper's 1e-13 is 2.5e-8 for 500 x 500 pixels,
   for a network that is trained. The default is 1e-3, for one that is not.
4. The spatial Gaussian is summed exactly by rows and columns; the paper uses the lattice for it as well.
5. As in the authors' code, a pixel's message to itself is not taken out of the sum. The weights that the kernels start with are not in the
   paper; they are arguments.
"""

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, trunks
from zoo.arguments import Flag, Inputs, Sample, Targets, checked
from zoo.layers.mean_field import MeanFieldCRF
from zoo.model import Field, Model, is_stream


class CRFasRNN(Model):
    """A fully convolutional network and a dense CRF, trained end to end.

    The paper trains in two stages: `fit_unary(images, masks)` trains the network alone, `fit(images, masks)` both together.

    Args:
        num_classes: number of classes.
        in_channels: channels of the images.
        filters: channels of each level; levels end with a pooling by two. The default network is FCN-8s on the 16 layers of VGG.
        convolutions: number of convolutions of each level.
        head: channels of the two layers behind the last level.
        stride: of the finest score map; deeper ones are fused into it from level to level. 8 makes FCN-8s.
        batch_normalization: whether to normalise behind each convolution; the paper, which starts from trained weights, does not.
        dropout: rate behind the layers of the head.
        network: any Keras model from images to logits of the same size, in place of the arguments from `filters` on.
        trunk: name of a network (`zoo.trunks.names()`) whose maps take the place of the levels, for images that are grey or red, green and
            blue; `filters` then only counts the levels. `"vgg16"` is the paper's; `None` starts from random weights.
        trunk_weights: `"imagenet"`, the path of a weights file, or `None`; see `zoo.trunks.trunk`.
        trunk_trainable: `False` freezes the trunk.
        ignore_class: label of pixels that count neither in the loss nor in the metrics, or `None`.
        theta_alpha: place part of the bilateral Gaussian, in pixels. The defaults are for images of about 500 pixels; scale it and
            `theta_gamma` with the size of smaller ones.
        theta_beta: colour part of the bilateral Gaussian, in steps of 1 / 255.
        theta_gamma: spatial Gaussian, in pixels.
        iterations: mean-field iterations while training.
        inference_iterations: mean-field iterations otherwise.
        bilateral_weight: start of the bilateral kernel's weights.
        spatial_weight: start of the spatial kernel's weights.
        normalization: of the kernels, `"symmetric"` or `"after"`; see `zoo.layers.MeanFieldCRF`.
        exact_pixels: images of at most so many pixels get the exact bilateral sum instead of the lattice.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    output_name = "logits"

    def __init__(
        self,
        num_classes=21,
        in_channels=3,
        filters=(64, 128, 256, 512, 512),
        convolutions=(2, 2, 3, 3, 3),
        head=4096,
        stride=8,
        batch_normalization=True,
        dropout=0.5,
        network=None,
        trunk=None,
        trunk_weights="imagenet",
        trunk_trainable=True,
        ignore_class=None,
        theta_alpha=160.0,
        theta_beta=3.0,
        theta_gamma=3.0,
        iterations=5,
        inference_iterations=10,
        bilateral_weight=5.0,
        spatial_weight=3.0,
        normalization="symmetric",
        exact_pixels=1024,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, least in (("num_classes", num_classes, 2), ("in_channels", in_channels, 1), ("head", head, 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"`{name}` must be a whole number of at least {least}. Received: {value}")
        self.num_classes, self.in_channels, self.head, self.stride = num_classes, in_channels, head, stride
        self.filters, self.convolutions = tuple(filters), tuple(convolutions)
        self.batch_normalization, self.dropout = batch_normalization, dropout
        self.network, self.ignore_class = network, ignore_class
        self.trunk, self.trunk_weights, self.trunk_trainable = trunk, trunk_weights, trunk_trainable
        if trunk is not None and network is not None:
            raise ValueError(f"`trunk` must be None with a network of your own. Received: {trunk!r}")
        self.theta_alpha, self.theta_beta, self.theta_gamma = theta_alpha, theta_beta, theta_gamma
        self.iterations, self.inference_iterations = iterations, inference_iterations
        self.bilateral_weight, self.spatial_weight = bilateral_weight, spatial_weight
        self.normalization, self.exact_pixels = normalization, exact_pixels
        self.unary = self._build_unary() if network is None else _checked(network, num_classes, in_channels)
        self.crf = MeanFieldCRF(
            theta_alpha,
            theta_beta,
            theta_gamma,
            iterations,
            inference_iterations,
            bilateral_weight,
            spatial_weight,
            normalization,
            exact_pixels,
        )
        self.crf.build([(None, None, None, num_classes), (None, None, None, in_channels)])
        self._run = autodiff.compiled(self._probabilities, self)
        self._run_unary = autodiff.compiled(self._unary_probabilities, self)
        self.compile()

    def _build_unary(self):
        """FCN-8s in general form: levels of convolutions, a head, and scores fused from coarse to fine."""
        if len(self.filters) != len(self.convolutions):
            raise ValueError(f"`convolutions` must have one entry for each of `filters`. Received: {self.convolutions}, {self.filters}")
        if self.stride not in [2**n for n in range(1, len(self.filters) + 1)]:
            raise ValueError(f"`stride` must be a power of two, from 2 to {2 ** len(self.filters)}. Received: {self.stride}")
        image = keras.Input((None, None, self.in_channels), name="image")
        levels = self._levels(image) if self.trunk is None else self._trunk_levels(image)
        x = levels[-1]
        for i, size in enumerate((7, 1)):
            x = self._convolve(x, self.head, size, f"head_conv{i}")
            x = layers.Dropout(self.dropout, name=f"head_dropout{i}")(x)
        scores = layers.Conv2D(self.num_classes, 1, name="head_score")(x)
        for level in reversed(range(self.stride.bit_length() - 2, len(self.filters) - 1)):
            skip = layers.Conv2D(self.num_classes, 1, kernel_initializer="zeros", name=f"level{level}_score")(levels[level])
            scores = layers.Add(name=f"level{level}_fuse")([UpsampleLike(2, name=f"level{level}_up")([scores, skip]), skip])
        return keras.Model(image, UpsampleLike(self.stride, dtype="float32", name="logits")([scores, image]), name="unary")

    def _levels(self, image):
        x, levels = layers.Rescaling(2.0, -1.0, name="centred")(image), []
        for level, (filters, count) in enumerate(zip(self.filters, self.convolutions)):
            for i in range(count):
                x = self._convolve(x, filters, 3, f"level{level}_conv{i}")
            x = layers.MaxPooling2D(2, padding="same", name=f"level{level}_pool")(x)
            levels.append(x)
        return levels

    def _trunk_levels(self, image):
        """Levels of a trunk; FCN reads those of VGG behind the pooling."""
        strides = [2**level for level in range(1, len(self.filters) + 1)]
        taps = {2**level: f"block{level}_pool" for level in range(1, 6)} if self.trunk in trunks.VGG else None
        image = trunks.Whole(strides[-1], name="whole")(image)
        return list(trunks.pyramid(self.trunk, self.trunk_weights, self.trunk_trainable, image, strides, taps).values())

    def _convolve(self, x, filters, size, name):
        x = layers.Conv2D(filters, size, padding="same", kernel_initializer="he_normal", use_bias=not self.batch_normalization, name=name)(
            x
        )
        if self.batch_normalization:
            x = layers.BatchNormalization(name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    def call(self, x, training=False):
        """Refined logits `(batch, height, width, classes)` of images `(batch, height, width, channels)` in [0, 1]."""
        return self.crf([self.unary(x, training=training), x], training=training)

    # --- learning ---

    def input_fields(self):
        """An image in [0, 1]; of any size unless the given network fixes it."""
        shape = (None, None, self.in_channels) if self.network is None else tuple(self.network.input_shape[1:])
        return [Field("image", shape, low=0, high=1, example=(10, 13))]

    def target_fields(self):
        """The class of each pixel."""
        low, high = 0, self.num_classes - 1
        if self.ignore_class is not None:
            low, high = min(low, self.ignore_class), max(high, self.ignore_class)
        return [Field("mask", self.input_fields()[0].shape[:2], "int32", low, high, example=(10, 13))]

    def check(self, x, y=None):
        """Also refuses masks of another size than the images."""
        super().check(x, y)
        if hasattr(x, "shape") and hasattr(y, "shape") and tuple(x.shape[:3]) != tuple(y.shape[:3]):
            raise ValueError(f"`mask` must have the size of the images {tuple(x.shape[:3])}. Received: {tuple(y.shape[:3])}")

    def default_optimizer(self):
        """Momentum of 0.99 (section 7)."""
        return keras.optimizers.SGD(1e-3, momentum=0.99)

    def default_loss(self):
        """Softmax cross-entropy of the last iteration's logits."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=self.ignore_class)

    def default_metrics(self):
        """Mean intersection over union."""
        return [keras.metrics.MeanIoU(self.num_classes, name="iou", ignore_class=self.ignore_class, sparse_y_pred=False)]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss; weights of whole images count for all their pixels."""
        return super().compute_loss(x, y, y_pred, _per_pixel(sample_weight), training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The metrics, with weights as in the loss."""
        weights = None if sample_weight is None else ops.broadcast_to(_per_pixel(sample_weight), ops.shape(y))
        return super().compute_metrics(x, y, y_pred, weights)

    @checked
    def fit_unary(self, x: Inputs, y: Targets | None = None, optimizer="auto", sample_weight=None, **kwargs) -> keras.callbacks.History:
        """First stage of the paper: train the network alone, with the loss on its own logits.

        Args:
            x: images `(batch, height, width, channels)` in [0, 1], or a dataset.
            y: masks `(batch, height, width)`.
            optimizer: a Keras optimizer; `"auto"` is that of `default_optimizer`.
            sample_weight: for each image or each pixel.
            **kwargs: of `keras.Model.fit`.

        Returns:
            The History.
        """
        arguments.check_call(Model.fit, self, x, y, sample_weight=sample_weight, **kwargs)
        if y is None and not is_stream(x):
            arguments.refuse("y", "given", y)
        network = keras.Sequential([keras.Input(self.input_fields()[0].shape), self.unary])
        jit_compile = self._compile_arguments.get("jit_compile", "auto")
        optimizer = self.default_optimizer() if isinstance(optimizer, str) and optimizer == "auto" else optimizer
        network.compile(optimizer, self.default_loss(), metrics=self.default_metrics(), jit_compile=jit_compile)
        return network.fit(x, y, sample_weight=_per_pixel(sample_weight), **kwargs)

    # --- use ---

    @checked
    def segment(self, image: Sample, crf: Flag = True) -> np.ndarray:
        """Segment one image.

        Args:
            image: `(height, width, channels)` in [0, 1], or `(height, width)` for one channel.
            crf: `False` gives the network's own result.

        Returns:
            Probabilities `(height, width, classes)`, float32.

        Raises:
            ValueError: if the image has another shape, is empty, not finite or not in [0, 1].
        """
        run = self._run if crf else self._run_unary
        return ops.convert_to_numpy(run(ops.convert_to_tensor(image[None].astype("float32"))))[0]

    def _probabilities(self, image):
        return ops.softmax(ops.cast(self(image, training=False), "float32"), axis=-1)

    def _unary_probabilities(self, image):
        return ops.softmax(ops.cast(self.unary(image, training=False), "float32"), axis=-1)

    def signatures(self):
        """`serve`, and `segment` with probabilities and labels."""
        return {**super().signatures(), "segment": (self._segment_whole, self.input_fields())}

    def _segment_whole(self, image):
        found = self._probabilities(image)
        return {"probabilities": found, "labels": ops.argmax(found, axis=-1)}

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        small = {"num_classes": 4, "filters": (4, 6), "convolutions": (1, 2), "head": 8, "stride": 2, "dropout": 0.25, "ignore_class": 4}
        crf = {"theta_alpha": 8.0, "theta_beta": 30.0, "theta_gamma": 2.0, "iterations": 2, "inference_iterations": 3}
        return {**small, **crf, "bilateral_weight": 1.0, "spatial_weight": 0.5, "normalization": "after", "exact_pixels": 0}

    def example_calls(self):
        """A small valid call of every verb."""
        segment = {"image": self.example_inputs()[0], "crf": False}
        return {**super().example_calls(), "fit_unary": {**self.example_data(), "verbose": 0}, "segment": segment}

    @classmethod
    def search_space(cls, hp):
        """Widths and starting weights of the kernels, and the learning rate."""
        return {
            "theta_alpha": hp.Float("theta_alpha", 20.0, 160.0, sampling="log"),
            "theta_beta": hp.Float("theta_beta", 2.0, 20.0, sampling="log"),
            "bilateral_weight": hp.Float("bilateral_weight", 0.5, 10.0, sampling="log"),
            "spatial_weight": hp.Float("spatial_weight", 0.5, 10.0, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-5, 1e-2, sampling="log"),
        }


@keras.saving.register_keras_serializable("zoo")
class UpsampleLike(layers.Layer):
    """Bilinear upsampling of the first input by a whole factor, cropped to the height and width of the second.

    Args:
        factor: of the upsampling.
        **kwargs: of `keras.Layer`.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.built = True

    def call(self, inputs):
        """Upsample `inputs[0]` to the size of `inputs[1]`, both `(batch, height, width, channels)`."""
        x, like = inputs
        target = ops.shape(like)[1:3]
        return _upsample(_upsample(x, self.factor, 1), self.factor, 2)[:, : target[0], : target[1]]

    def compute_output_shape(self, input_shape):
        """Size of the second input, channels of the first."""
        return (*input_shape[1][:3], input_shape[0][-1])

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "factor": self.factor}


def _upsample(x, factor, axis):
    """Linear interpolation along an axis between pixel centres, for sizes that may be known only in the graph."""
    shape, length = list(ops.shape(x)), ops.shape(x)[axis]
    index = ops.arange(length, dtype="int32")
    before = ops.take(x, ops.maximum(index - 1, 0), axis=axis)
    after = ops.take(x, ops.minimum(index + 1, length - 1), axis=axis)
    offsets = (np.arange(factor) + 0.5) / factor - 0.5
    phases = [(1 - abs(t)) * x + abs(t) * (before if t < 0 else after) for t in map(float, offsets)]
    return ops.reshape(ops.stack(phases, axis=axis + 1), [*shape[:axis], length * factor, *shape[axis + 1 :]])


def _checked(network, num_classes, in_channels):
    """A network given by the user, if it fits."""
    shapes = getattr(network, "input_shape", None), getattr(network, "output_shape", None)
    if not all(isinstance(shape, tuple) and len(shape) == 4 for shape in shapes):
        raise ValueError(
            f"`network` must be a built Keras model from one image to logits (batch, height, width, classes). Received: {shapes}"
        )
    (_, height, width, channels), (*_, tall, wide, classes) = shapes
    if (height, width) != (tall, wide):
        raise ValueError(f"`network` must give logits of the size of the image. Received: {shapes[0]} -> {shapes[1]}")
    if (classes, channels) != (num_classes, in_channels):
        raise ValueError(
            f"`network` must take {in_channels} channels (`in_channels`) and give {num_classes} classes (`num_classes`). "
            f"Received: {channels}, {classes}"
        )
    return network


def _per_pixel(weights):
    """Weights of whole images gain two axes."""
    return weights[:, None, None] if weights is not None and len(weights.shape) == 1 else weights
