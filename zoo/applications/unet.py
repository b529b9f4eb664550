"""U-Net: each pixel's class from few annotated images, by a contracting path for context and an expanding path for place.

Paper: Ronneberger, Fischer, Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation", arXiv 1505.04597.

Shapes: image `(batch, height, width, channels)` -> probabilities `(batch, height_out, width_out, classes)`. With `padding="valid"` the
output is smaller by `12 * 2**(depth - 1) - 8` pixels (572 -> 388 at depth 5); with `"same"` it has the size of the image.

Differences from the paper:
1. `padding="same"` is offered beside the paper's unpadded convolutions.
2. The loss is a mean over pixels instead of a sum, which only scales the learning rate; the paper does not give one, the default is 1e-3.
3. "Drop-out layers at the end of the contracting path": after the two deepest levels, at a rate of 0.5, which the paper does not give.
4. Averaging over orientations takes all eight (identity and the seven rotations and flips).
5. `trunk` puts a network with weights from ImageNet, whose maps are normalised by batch, in the place of the contracting path; the paper
   trains from nothing.
"""

import dataclasses
import itertools

import keras
import numpy as np
from keras import layers, ops

from zoo import autodiff, trunks
from zoo.arguments import Count, Flag, Sample, Verbose, checked
from zoo.fields import SizedField
from zoo.layers.elastic_deformation import mirrored
from zoo.losses.weighted_crossentropy import WeightedCrossentropy
from zoo.model import Field, Model


class UNet(Model):
    """U-Net of any depth and width, on images of any size.

    `fit(images, masks, sample_weight=weights)`: masks hold classes, as large as the image or as the output (larger ones are cropped to
    the centre); `zoo.losses.weight_map` computes the paper's weights from instance masks, `zoo.layers.ElasticDeformation` augments.

    Args:
        num_classes: number of classes, background included.
        in_channels: channels of the images.
        filters: channels of the first level; each deeper level has twice as many (64 .. 1024 in the paper).
        depth: number of levels.
        padding: `"valid"` (the paper's: only pixels whose whole context lies in the image) or `"same"`.
        dropout: rate after the two deepest levels of the contracting path.
        trunk: name of a network (`zoo.trunks.names()`) whose maps take the place of the contracting path below the first level, with
            `padding="same"` and images in [0, 1], grey or red, green and blue; `None` is the paper's path.
        trunk_weights: `"imagenet"`, the path of a weights file, or `None`; see `zoo.trunks.trunk`.
        trunk_trainable: `False` freezes the trunk.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    output_name = "probabilities"

    def __init__(
        self,
        num_classes=2,
        in_channels=1,
        filters=64,
        depth=5,
        padding="valid",
        dropout=0.5,
        trunk=None,
        trunk_weights="imagenet",
        trunk_trainable=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if padding not in ("valid", "same"):
            raise ValueError(f"`padding` must be 'valid' or 'same'. Received: {padding!r}")
        for name, value, least in (
            ("num_classes", num_classes, 2),
            ("in_channels", in_channels, 1),
            ("filters", filters, 1),
            ("depth", depth, 1),
        ):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"`{name}` must be a whole number of at least {least}. Received: {value}")
        self.num_classes, self.in_channels, self.filters, self.depth = num_classes, in_channels, filters, depth
        self.padding, self.dropout = padding, dropout
        self.trunk, self.trunk_weights, self.trunk_trainable = trunk, trunk_weights, trunk_trainable
        if trunk is not None and padding != "same":
            raise ValueError(f"`padding` must be 'same' with a trunk, whose convolutions are padded. Received: {padding!r}")
        self.network = self._build_network()
        self._run = autodiff.compiled(self._inside, self)
        self.compile()

    def _build_network(self):
        """Figure 1."""
        x = image = keras.Input((None, None, self.in_channels), name="image")
        skips, maps = [], {}
        if self.trunk is not None:
            strides = [2**level for level in range(self.depth)]
            maps = trunks.pyramid(self.trunk, self.trunk_weights, self.trunk_trainable, image, strides)
        for level in range(self.depth):
            if 2**level in maps:
                # a trunk's maps are linear, and of scales that a fresh decoder does not expect
                x = layers.BatchNormalization(name=f"down{level}_normalize")(maps[2**level])
            else:
                x = self._convolve(x, level, "down")
            if level >= self.depth - 2:
                x = layers.Dropout(self.dropout, name=f"down{level}_dropout")(x)
            if level < self.depth - 1:
                skips.append(x)
                # nothing is pooled where the trunk gives the next level
                x = x if 2 ** (level + 1) in maps else layers.MaxPooling2D(2, name=f"down{level}_pool")(x)
        crop = 4
        for level in reversed(range(self.depth - 1)):
            filters = self.filters * 2**level
            x = layers.Conv2DTranspose(filters, 2, 2, kernel_initializer=_he(x.shape[-1]), name=f"up{level}_upconv")(x)
            skip = layers.Cropping2D(crop, name=f"up{level}_crop")(skips[level]) if self.padding == "valid" else skips[level]
            x = layers.Concatenate(name=f"up{level}_concat")([skip, x])
            x = self._convolve(x, level, "up")
            crop = 2 * crop + 8
        x = layers.Conv2D(self.num_classes, 1, kernel_initializer=_he(x.shape[-1]), name="logits")(x)
        return keras.Model(image, layers.Activation("softmax", dtype="float32", name="probabilities")(x))

    def _convolve(self, x, level, path):
        for i in range(2):
            x = layers.Conv2D(
                self.filters * 2**level,
                3,
                padding=self.padding,
                activation="relu",
                kernel_initializer=_he(9 * x.shape[-1]),
                name=f"{path}{level}_conv{i}",
            )(x)
        return x

    def call(self, x, training=False):
        """Probabilities `(batch, height_out, width_out, classes)` of images `(batch, height, width, channels)`."""
        return self.network(x, training=training)

    # --- sizes ---

    @checked
    def output_size(self, height: Count, width: Count) -> tuple[int, int]:
        """Size of the output for an image.

        Returns:
            `(height, width)` in pixels.

        Raises:
            ValueError: if the image does not fit; the message names the nearest sizes that do.
        """
        fitting = self.valid_size(height, width)
        if fitting != (height, width):
            below = tuple(max(self._least_size, n - self._step) for n in fitting)
            raise ValueError(
                f"`image` must have sides of the form {self._least_size} + {self._step} k (padding {self.padding!r}, depth {self.depth}). "
                f"Received: {height} x {width}; the nearest sizes that fit: {below[0]} or {fitting[0]} x {below[1]} or {fitting[1]}. "
                "`segment` takes any size"
            )
        shrink = self._least_size - self._least_output
        return height - shrink, width - shrink

    @checked
    def valid_size(self, height: Count, width: Count) -> tuple[int, int]:
        """The smallest size that fits and is not below the given one, `(height, width)` in pixels.

        With `s = 2**(depth - 1)`, sides fit that are multiples of `s` (`"same"`) or have the form `s (k + 12) - 4` (`"valid"`), which
        gives an output of `s k + 4`.
        """
        least = self._least_size
        return tuple(least + _round_up(max(n - least, 0), self._step) for n in (height, width))

    @property
    def _step(self):
        return 2 ** (self.depth - 1)

    @property
    def _least_output(self):
        return self._step * -(3 // self._step) + 4 if self.padding == "valid" else self._step

    @property
    def _least_size(self):
        return self._least_output + (12 * self._step - 8 if self.padding == "valid" else 0)

    # --- learning ---

    def input_fields(self):
        """An image of any size that fits; in [0, 1] with a trunk."""
        side, (low, high) = self.valid_size(24, 24)[0], (None, None) if self.trunk is None else (0, 1)
        return [Field("image", (None, None, self.in_channels), low=low, high=high, example=(side, side + self._step))]

    def target_fields(self):
        """The class of each pixel."""
        side = self.valid_size(24, 24)[0]
        return [Field("mask", (None, None), "int32", 0, self.num_classes - 1, example=self.output_size(side, side + self._step))]

    def check(self, x, y=None):
        """Also refuses images whose size does not fit, and masks that have neither the image's size nor the output's."""
        super().check(x, y)
        if not hasattr(x, "shape"):
            return
        whole, output = tuple(x.shape[1:3]), self.output_size(*x.shape[1:3])
        if hasattr(y, "shape") and tuple(y.shape[1:3]) not in (whole, output):
            raise ValueError(f"`mask` must have the size of the image {whole} or of the output {output}. Received: {tuple(y.shape[1:3])}")

    def default_optimizer(self):
        """High momentum, so that many earlier images decide the present step (section 3)."""
        return keras.optimizers.SGD(1e-3, momentum=0.99)

    def default_loss(self):
        """Softmax cross-entropy, weighted by the `sample_weight` map (equation 1)."""
        return WeightedCrossentropy()

    def default_metrics(self):
        """Accuracy (one minus the pixel error) and mean intersection over union."""
        return [
            keras.metrics.SparseCategoricalAccuracy("accuracy"),
            keras.metrics.MeanIoU(self.num_classes, name="iou", sparse_y_pred=False),
        ]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss on the pixels that the output covers."""
        return super().compute_loss(x, _centre(y, y_pred), y_pred, _centre(sample_weight, y_pred), training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The metrics on the pixels that the output covers."""
        return super().compute_metrics(x, _centre(y, y_pred), y_pred, _centre(sample_weight, y_pred))

    # --- any size: overlap-tile ---

    @checked
    def segment(
        self, image: Sample, tile: Count = 256, test_time_augmentation: Flag = False, batch_size: Count = 4, verbose: Verbose = "auto"
    ):
        """Segment an image of any size by overlapping tiles with mirrored borders (figure 2); equals one pass over the whole image.

        A trunk sees farther than the margin of a tile, which is 6 of the deepest level's pixels: then results depend on `tile` a little.

        Args:
            image: `(height, width, channels)`, or `(height, width)` for one channel.
            tile: side of the part of the result that one tile gives, in pixels; memory grows with it, results do not change.
            test_time_augmentation: average over the eight rotations and flips.
            batch_size: tiles in one run of the compiled network.
            verbose: whether to show a progress bar; `"auto"` shows it from 32 tiles on.

        Returns:
            Probabilities `(height, width, classes)`, float32.

        Raises:
            ValueError: if the image has another shape, is empty, or not finite.
        """
        image = image.astype("float32")
        if not test_time_augmentation:
            return self._tiled(image, tile, batch_size, verbose)
        total = np.float32(0)
        for turns, flip in itertools.product(range(4), (False, True)):
            seen = np.rot90(image[:, ::-1] if flip else image, turns)
            back = np.rot90(self._tiled(seen, tile, batch_size, verbose), -turns)
            total = total + (back[:, ::-1] if flip else back)
        return total / 8

    def _tiled(self, image, tile, batch_size, verbose):
        """Tiles start at multiples of the pooling step, so that each sees the same pooling grid as the whole image."""
        size = image.shape[:2]
        side = [min(_round_up(tile, self._step), _round_up(n, self._step)) for n in size]
        full = [_round_up(n, s) for n, s in zip(size, side)]
        before, context = self._context
        padded = np.pad(image, [(before, f + context - before - n) for n, f in zip(size, full)] + [(0, 0)], "reflect")
        corners = list(itertools.product(range(0, full[0], side[0]), range(0, full[1], side[1])))
        batch_size = min(batch_size, len(corners))
        result = np.empty((*full, self.num_classes), "float32")
        shown = len(corners) >= 32 if verbose == "auto" else verbose
        bar = keras.utils.Progbar(len(corners), unit_name="tile", verbose=1 if shown else 0)
        for start in range(0, len(corners), batch_size):
            batch = corners[start : start + batch_size]
            # the last batch is filled up, so that the graph keeps its shape
            filled = batch + batch[-1:] * (batch_size - len(batch))
            tiles = np.stack([padded[r : r + side[0] + context, c : c + side[1] + context] for r, c in filled])
            for (r, c), found in zip(batch, ops.convert_to_numpy(self._run(tiles))):
                result[r : r + side[0], c : c + side[1]] = found
            bar.add(len(batch))
        return result[: size[0], : size[1]]

    @property
    def _context(self):
        """Pixels that a tile needs before itself, and in all beyond its own side: the receptive field in whole pooling steps."""
        spared = 4 if self.padding == "valid" else 0
        return 6 * self._step - spared, 12 * self._step - spared

    def _inside(self, tiles):
        """Probabilities of tiles without their context."""
        found = self.network(tiles, training=False)
        before, context = self._context
        skip = 0 if self.padding == "valid" else before
        height, width = (n - context for n in ops.shape(tiles)[1:3])
        return found[:, skip : skip + height, skip : skip + width]

    # --- serving and search ---

    def signatures(self):
        """`serve` for sizes that fit, and `segment` for any size: the input's size again, with mirrored borders."""
        fields = [dataclasses.replace(self.input_fields()[0], example=(19, 26))]
        fitting = SizedField(**vars(self.input_fields()[0]), least=self._least_size, step=self._step)
        return {"serve": (self._serve, [fitting]), "segment": (self._segment_whole, fields)}

    def _segment_whole(self, image):
        size, (before, context) = ops.shape(image)[1:3], self._context
        for axis, length in enumerate(size, start=1):
            index = ops.arange((length + self._step - 1) // self._step * self._step + context, dtype="int32") - before
            image = ops.take(image, mirrored(index, length), axis=axis)
        found = self._inside(image)[:, : size[0], : size[1]]
        return {"probabilities": found, "labels": ops.argmax(found, axis=-1)}

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        return {"num_classes": 3, "in_channels": 2, "filters": 4, "depth": 2, "dropout": 0.25}

    def example_calls(self):
        """A small valid call of every verb."""
        size = dict(zip(("height", "width"), self.valid_size(40, 41)))
        segment = {"image": np.zeros((9, 11, self.in_channels)), "tile": 8, "test_time_augmentation": True, "batch_size": 2, "verbose": 0}
        return {**super().example_calls(), "valid_size": size, "output_size": size, "segment": segment}

    @classmethod
    def search_space(cls, hp):
        """Width, depth, dropout and learning rate."""
        return {
            "filters": hp.Choice("filters", [8, 16, 32]),
            "depth": hp.Int("depth", 2, 4),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }


def _he(incoming):
    """Normal with standard deviation sqrt(2 / N), N the incoming nodes of one neuron (section 3)."""
    return keras.initializers.RandomNormal(stddev=(2 / incoming) ** 0.5)


def _round_up(value, step):
    return -(-value // step) * step


def _centre(array, output):
    """The centre of masks or weights that have the image's size, as large as `output`; weights of whole images gain two axes."""
    if array is None or len(array.shape) == 1:
        return array if array is None else array[:, None, None]
    (height, width), (tall, wide) = ops.shape(output)[1:3], ops.shape(array)[1:3]
    top, left = (tall - height) // 2, (wide - width) // 2
    return array[:, top : top + height, left : left + width]
