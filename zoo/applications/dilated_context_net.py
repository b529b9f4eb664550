"""Dilated context module: segmentation that sees far without losing resolution, behind a front end that pools less than a classifier.

Paper: Yu, Koltun 2015, "Multi-Scale Context Aggregation by Dilated Convolutions", arXiv 1511.07122. The front end is VGG-16 without its
last two poolings; the convolutions behind them are dilated by 2 and 4 instead, so that they see what they saw before (section 4). Its
class scores, one for each square of 8 x 8 pixels, go through the context module (`zoo.layers.DilatedContext`, section 3).

Shapes: image `(batch, height, width, channels)` of any size -> probabilities `(batch, height, width, classes)`.

Differences from the paper:
1. The scores are interpolated to the image's size before softmax and loss; the authors train on every eighth label unless told `--up`,
   and interpolate probabilities when they test.
2. Weights from ImageNet only with a `trunk` (`"vgg16"` is the paper's, without its fully connected layers); else convolutions start from
   He's normal distribution. The last one of the front end starts from N(0, 0.001) as theirs.
3. `padding="same"` (zeros at every convolution) is offered beside the mirrored image and unpadded convolutions of the paper, whose wide
   margin costs much on small images.
"""

import keras
import numpy as np
from keras import layers, ops

from zoo import autodiff, trunks
from zoo.arguments import Sample, checked
from zoo.families.segmentation import Segmentation
from zoo.layers.dilated_context import DILATIONS, DilatedContext
from zoo.layers.elastic_deformation import mirrored


class DilatedContextNet(Segmentation):
    """Front end and context module, on images of any size.

    The paper trains the front end first (`front = DilatedContextNet(context=None)`) and then plugs in the module, which starts as the
    identity: `model.front_end.set_weights(front.front_end.get_weights())`.

    Args:
        num_classes: number of classes, 21 in Pascal VOC, 11 in CamVid.
        in_channels: channels of the images.
        filters: of the first block; doubled in each block up to eight times as many.
        convolutions: number of 3 x 3 convolutions of each block. All blocks but the last two end with a pooling.
        head_filters: channels of the last two layers, VGG's fully connected ones.
        head_kernel: side of the first of them, an odd number.
        dropout: rate after each of them.
        padding: `"reflect"` (the image is mirrored, convolutions are unpadded) or `"same"` (zeros at each convolution).
        context: `"basic"`, `"large"`, or `None` for the front end alone.
        dilations: of the context module, see `zoo.layers.DilatedContext`.
        context_initializer: `"identity"` or a Keras initializer of the context module.
        ignore_class: label of the pixels without a class, e.g. 255; they count neither in the loss nor in the metrics.
        trunk: `"vgg16"` (or `"vgg19"`) starts the blocks from VGG's convolutions. Any other name of `zoo.trunks.names()` takes the place of
            the blocks, with `padding="same"`; `convolutions` then only sets the stride, and `"efficientnet_lite0"` is dilated beyond it.
            Images are in [0, 1], grey or red, green and blue. `None` starts from random weights.
        trunk_weights: `"imagenet"`, the path of a weights file, or `None`; see `zoo.trunks.trunk`.
        trunk_trainable: `False` freezes the trunk.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        num_classes=21,
        in_channels=3,
        filters=64,
        convolutions=(2, 2, 3, 3, 3),
        head_filters=4096,
        head_kernel=7,
        dropout=0.5,
        padding="reflect",
        context="basic",
        dilations=DILATIONS,
        context_initializer="identity",
        ignore_class=None,
        trunk=None,
        trunk_weights="imagenet",
        trunk_trainable=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if padding not in ("reflect", "same"):
            raise ValueError(f"`padding` must be 'reflect' or 'same'. Received: {padding!r}")
        if len(convolutions) < 2:
            raise ValueError(f"`convolutions` must be given for at least two blocks. Received: {convolutions}")
        if head_kernel % 2 == 0:
            raise ValueError(f"`head_kernel` must be odd. Received: {head_kernel}")
        if context is None and (tuple(dilations) != DILATIONS or context_initializer != "identity"):
            raise ValueError(f"`dilations` and `context_initializer` need a `context`. Received: {dilations}, {context_initializer}")
        self.num_classes, self.in_channels, self.filters, self.convolutions = num_classes, in_channels, filters, tuple(convolutions)
        self.head_filters, self.head_kernel, self.dropout, self.padding = head_filters, head_kernel, dropout, padding
        self.context, self.dilations, self.context_initializer = context, tuple(dilations), context_initializer
        self.ignore_class = ignore_class
        self.trunk, self.trunk_weights, self.trunk_trainable = trunk, trunk_weights, trunk_trainable
        if trunk is not None:
            self._check_trunk()
        self.front_end = self._build_front_end()
        self.context_module = None
        if context is not None:
            self.context_module = DilatedContext(num_classes, context, dilations, context_initializer, name="context")
            self.context_module.build((None, None, None, num_classes))
        self._run = autodiff.compiled(lambda image: self(image, training=False), self)
        self.compile()

    def _check_trunk(self):
        trunks.check(self.trunk, self.trunk_weights, self.in_channels, "trunk")
        if self.trunk in trunks.VGG:
            counts = tuple(map(len, trunks.VGG[self.trunk]))
            if (self.filters, self.convolutions) != (64, counts):
                raise ValueError(
                    f"`filters` and `convolutions` must be 64 and {counts} with the trunk {self.trunk!r}. "
                    f"Received: {self.filters}, {self.convolutions}"
                )
        elif self.padding != "same":
            raise ValueError(f"`padding` must be 'same' with the trunk {self.trunk!r}. Received: {self.padding!r}")

    def _build_front_end(self):
        """Section 4: VGG without the last two poolings; the last block is dilated by 2, the head by 4."""
        image = keras.Input((None, None, self.in_channels), name="image")
        padding = "valid" if self.padding == "reflect" else "same"
        x = self._trunk_map(image) if self.trunk not in (None, *trunks.VGG) else self._build_blocks(image, padding)
        for i, (kernel, dilation) in enumerate(((self.head_kernel, 4), (1, 1))):
            arguments = {"activation": "relu", "kernel_initializer": "he_normal", "name": f"head{i}"}
            x = layers.Conv2D(self.head_filters, kernel, padding=padding, dilation_rate=dilation, **arguments)(x)
            x = layers.Dropout(self.dropout, name=f"head{i}_dropout")(x)
        start = keras.initializers.RandomNormal(stddev=1e-3)
        return keras.Model(image, layers.Conv2D(self.num_classes, 1, kernel_initializer=start, name="scores")(x), name="front_end")

    def _trunk_map(self, image):
        """The map of a trunk at the front end's stride."""
        whole = trunks.Whole(self.stride, name="whole")(image)
        maps = trunks.pyramid(self.trunk, self.trunk_weights, self.trunk_trainable, whole, [self.stride], dilated=True)
        return maps[self.stride]

    def _build_blocks(self, image, padding):
        """VGG's blocks, with its weights where it is the trunk."""
        x = image if self.trunk is None else trunks.prepared(self.trunk, image)
        convolutions = []
        for block, (count, dilation, _) in enumerate(self._blocks()):
            filters = self.filters * min(2**block, 8)
            for i in range(count):
                name = f"block{block}_conv{i}"
                layer = layers.Conv2D(filters, 3, 1, padding, None, dilation, 1, "relu", kernel_initializer="he_normal", name=name)
                convolutions.append(layer)
                x = layer(x)
            if block < len(self.convolutions) - 2:
                x = layers.MaxPooling2D(2, padding=padding, name=f"block{block}_pool")(x)
        if self.trunk is not None:
            if trunks.wanted(self.trunk_weights) is not None:
                trunks.copy_convolutions(trunks.trunk(self.trunk, self.trunk_weights), convolutions, argument="trunk")
            for layer in convolutions:
                layer.trainable = self.trunk_trainable
        return x

    def _blocks(self):
        """Convolutions, dilation and stride of each block."""
        last = len(self.convolutions) - 1
        return [(n, 2 if i == last else 1, 2 ** min(i, last - 1)) for i, n in enumerate(self.convolutions)]

    @property
    def stride(self):
        """Side of the square of pixels that has one score of the front end: 8 in the paper."""
        return 2 ** (len(self.convolutions) - 2)

    @property
    def margin(self):
        """Pixels that unpadded convolutions take from each side of the image: 186 in the paper."""
        lost = sum(2 * count * dilation * stride for count, dilation, stride in self._blocks())
        return (lost + 4 * (self.head_kernel - 1) * self.stride) // 2

    def receptive_field(self):
        """Side of the square of pixels on which one score depends (before interpolation): 380 for the paper's front end, 908 with context.

        The context module alone has `zoo.layers.DilatedContext.receptive_field`, 67 of the front end's scores.

        Raises:
            ValueError: if a trunk of another architecture takes the place of the blocks.
        """
        if self.trunk not in (None, *trunks.VGG):
            raise ValueError(f"`trunk` must be None, 'vgg16' or 'vgg19' for a receptive field. Received: {self.trunk!r}")
        poolings = self.stride - 1
        context = 0 if self.context_module is None else self.stride * (self.context_module.receptive_field() - 1)
        return 1 + 2 * self.margin + poolings + context

    def call(self, x, training=False):
        """Probabilities `(batch, height, width, classes)` of images `(batch, height, width, channels)`."""
        height, width = ops.shape(x)[1:3]
        scores = self.front_end(self._mirrored(x) if self.padding == "reflect" else x, training=training)
        if self.context_module is not None:
            scores = self.context_module(scores)
        rows, columns = (self._interpolation(n, m) for n, m in zip((height, width), ops.shape(scores)[1:3]))
        return ops.softmax(ops.einsum("yi,bijc,xj->byxc", rows, ops.cast(scores, "float32"), columns), axis=-1)

    def _interpolation(self, pixels, scores):
        """Bilinear weights `(pixels, scores)`: a score stands at the middle of its `stride` pixels, the outer ones reach to the border."""
        position = (ops.arange(pixels, dtype="float32") + 0.5) / self.stride - 0.5
        position = ops.clip(position, 0.0, ops.cast(scores - 1, "float32"))
        return ops.maximum(1 - ops.abs(position[:, None] - ops.arange(scores, dtype="float32")), 0.0)

    def _mirrored(self, image):
        """The image, filled up to whole strides, in a mirrored margin."""
        for axis, length in enumerate(ops.shape(image)[1:3], start=1):
            full = (length + self.stride - 1) // self.stride * self.stride
            image = ops.take(image, mirrored(ops.arange(full + 2 * self.margin, dtype="int32") - self.margin, length), axis=axis)
        return image

    # --- learning ---

    def default_optimizer(self):
        """Section 4; the weight decay is the authors' code's."""
        return keras.optimizers.SGD(1e-3, momentum=0.9, weight_decay=5e-4)

    # --- verbs, serving and search ---

    @checked
    def segment(self, image: Sample) -> np.ndarray:
        """Segment one image of any size; each new size is compiled once.

        Args:
            image: `(height, width, channels)`, or `(height, width)` for one channel.

        Returns:
            Probabilities `(height, width, classes)`, float32.

        Raises:
            ValueError: if the image has another shape, is empty, or not finite.
        """
        return ops.convert_to_numpy(self._run(ops.convert_to_tensor(image[None].astype("float32"))))[0]

    def signatures(self):
        """`serve` gives probabilities, `segment` also the most probable class of each pixel."""
        return {**super().signatures(), "segment": (self._segment, self.input_fields())}

    def _segment(self, image):
        probabilities = self(image, training=False)
        return {"probabilities": probabilities, "labels": ops.argmax(probabilities, axis=-1)}

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        return {
            "num_classes": 3,
            "in_channels": 2,
            "filters": 3,
            "convolutions": [1, 2, 1],
            "head_filters": 5,
            "head_kernel": 3,
            "dropout": 0.1,
            "context": "large",
            "dilations": [1, 2, 1, 1],
            "ignore_class": 255,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        return {**super().example_calls(), "receptive_field": {}, "segment": {"image": self.example_inputs()[0]}}

    @classmethod
    def search_space(cls, hp):
        """Width, context, dropout and learning rate."""
        return {
            "filters": hp.Choice("filters", [8, 16, 32]),
            "context": hp.Choice("context", ["basic", "large"]),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }
