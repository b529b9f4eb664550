"""Deep dense face detector: a classifier of windows, run as one convolution over an image pyramid; one model for all orientations.

Paper: Farfade, Saberian, Li 2015, "Multi-view Face Detection Using Deep Convolutional Neural Networks", arXiv 1502.02766.

Shapes: image `(batch, height, width, channels)` in [0, 1] -> heat map `(batch, rows, columns)`, the probability of a face in the window
that starts at pixel `(stride * row, stride * column)`. A window of `window` pixels gives one row and one column.

Differences from the paper:
1. Trained from scratch unless there is a `trunk`: the paper fine-tunes AlexNet's weights for ImageNet, which are not to be had under a free
   licence. A trunk takes the place of AlexNet's convolutions.
2. Images are centred by subtracting 0.5 instead of ImageNet's mean image.
3. `padding="valid"` is offered beside AlexNet's zero padding. Without padding the heat map equals the classifier at every window exactly;
   with it, the map sees pixels around a window where the classifier sees zeros.
4. The paper does not give the rates of its optimiser; those of AlexNet are taken (SGD, momentum 0.9) with a rate of 0.001.
"""

from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import autodiff, trunks
from zoo.arguments import Count, Positive, Sample, Share, checked
from zoo.decoding.boxes import nms_avg, nms_max
from zoo.fields import SizedField
from zoo.model import Field, Model


class DDFD(Model):
    """A face (or other object) detector from windows with and without faces. The defaults are AlexNet.

    `fit(windows, faces)` takes windows `(n, window, window, channels)` and 1 for a face, 0 for none;
    `zoo.datasets.training_windows` draws both from images with boxes, 32 positives and 96 negatives a batch in the paper.

    Args:
        window: side of the windows in pixels.
        in_channels: channels of the images.
        filters: channels of each convolution.
        kernels: side of each convolution's kernel.
        first_stride: stride of the first convolution.
        pools: numbers of the convolutions (from 0) that a 3 x 3 max-pooling of stride 2 follows.
        normalized: numbers of the convolutions whose output AlexNet normalises across channels.
        groups: number of groups that AlexNet's second, fourth and fifth convolution divide their channels into; 1 divides none.
        dense: units of the dense layers before the last, which are written as convolutions.
        dropout: rate after each of them.
        padding: `"same"` (AlexNet's; the first convolution has none) or `"valid"`.
        trunk: name of a network (`zoo.trunks.names()`) that takes the place of the convolutions, for images that are grey or red, green and
            blue, with windows of whole strides; `first_stride` and `pools` then only set its stride, 32 by default. `None` is AlexNet with
            random weights.
        trunk_weights: `"imagenet"`, the path of a weights file, or `None`; see `zoo.trunks.trunk`.
        trunk_trainable: `False` freezes the trunk.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    output_name = "heat_map"

    def __init__(
        self,
        window=227,
        in_channels=3,
        filters=(96, 256, 384, 384, 256),
        kernels=(11, 5, 3, 3, 3),
        first_stride=4,
        pools=(0, 1, 4),
        normalized=(0, 1),
        groups=2,
        dense=(4096, 4096),
        dropout=0.5,
        padding="same",
        trunk=None,
        trunk_weights="imagenet",
        trunk_trainable=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if padding not in ("valid", "same"):
            raise ValueError(f"`padding` must be 'valid' or 'same'. Received: {padding!r}")
        if not filters or len(filters) != len(kernels) or min(*filters, *kernels, *dense, first_stride, groups, in_channels) < 1:
            raise ValueError(f"`filters` and `kernels` must have one positive number a convolution. Received: {filters}, {kernels}")
        for name, numbers in (("pools", pools), ("normalized", normalized)):
            if any(i not in range(len(filters)) for i in numbers):
                raise ValueError(f"`{name}` must hold numbers of convolutions, 0 to {len(filters) - 1}. Received: {numbers}")
        self.window, self.in_channels, self.filters, self.kernels = window, in_channels, filters, kernels
        self.first_stride, self.pools, self.normalized, self.groups = first_stride, pools, normalized, groups
        self.dense, self.dropout, self.padding = dense, dropout, padding
        self.trunk, self.trunk_weights, self.trunk_trainable = trunk, trunk_weights, trunk_trainable
        if trunk is not None and (padding != "same" or window % self.stride):
            raise ValueError(
                f"`window` must be a multiple of the stride {self.stride}, `padding` 'same' with a trunk. Received: {window}, {padding!r}"
            )
        self.network = self._build_network()
        self._run = autodiff.compiled(self._probabilities, self)
        self.compile()

    def _build_network(self):
        """AlexNet with two classes; `dense` layers are convolutions over all that a window leaves."""
        side = self._feature_side()
        image = keras.Input((None, None, self.in_channels), name="image")
        x = self._features(image)
        for i, units in enumerate(self.dense, start=len(self.filters) + 1):
            x = layers.Conv2D(units, side, activation="relu", kernel_initializer="he_normal", name=f"dense{i}")(x)
            x, side = layers.Dropout(self.dropout, name=f"dropout{i}")(x), 1
        return keras.Model(image, layers.Conv2D(2, side, dtype="float32", name="logits")(x))

    def _features(self, image):
        if self.trunk is not None:
            whole = trunks.Whole(self.stride, name="whole")(image)
            return trunks.pyramid(self.trunk, self.trunk_weights, self.trunk_trainable, whole, [self.stride])[self.stride]
        x = layers.Rescaling(1.0, -0.5, name="centre")(image)
        for i, filters in enumerate(self.filters):
            x = self._convolve(x, i, filters)
            if i in self.normalized:
                x = _ChannelNormalization(name=f"norm{i + 1}")(x)
            if i in self.pools:
                x = layers.MaxPooling2D(3, 2, name=f"pool{i + 1}")(x)
        return x

    def _convolve(self, x, i, filters):
        groups = self.groups if i in (1, 3, 4) else 1
        if filters % groups or x.shape[-1] % groups:
            raise ValueError(f"`groups` must divide the channels {x.shape[-1]} and {filters}. Received: {groups}")
        width, options = x.shape[-1] // groups, {"activation": "relu", "kernel_initializer": "he_normal"}
        if i == 0:
            options["strides"] = self.first_stride
        padding = "valid" if i == 0 else self.padding
        # TensorFlow has no grouped convolution on CPUs, so each group is a convolution of its own
        parts = [
            layers.Conv2D(
                filters // groups, self.kernels[i], padding=padding, name=f"conv{i + 1}_{g}" if groups > 1 else f"conv{i + 1}", **options
            )(x[..., g * width : (g + 1) * width] if groups > 1 else x)
            for g in range(groups)
        ]
        return layers.Concatenate(name=f"conv{i + 1}")(parts) if groups > 1 else parts[0]

    def _feature_side(self):
        """Side of what the convolutions and poolings leave of a window."""
        if self.trunk is not None:
            return self.window // self.stride
        side = (self.window - self.kernels[0]) // self.first_stride + 1
        for i, kernel in enumerate(self.kernels):
            if i > 0 and self.padding == "valid":
                side = side - kernel + 1
            side = (side - 3) // 2 + 1 if i in self.pools else side
            if side < 1:
                raise ValueError(f"`window` must be larger: nothing is left after convolution {i + 1}. Received: {self.window}")
        return side

    @property
    def stride(self):
        """Pixels between neighbouring windows of the heat map: 32 in the paper."""
        return self.first_stride * 2 ** len(self.pools)

    def call(self, x, training=False):
        """Heat maps `(batch, rows, columns)` of images `(batch, height, width, channels)`, float32."""
        return self._probabilities(x, training)

    def _probabilities(self, x, training=False):
        logits = self.network(x, training=training)
        # where the pooling does not use the last pixels of a window, there are cells whose window ends beyond the image
        rows, columns = ((n - self.window) // self.stride + 1 for n in ops.shape(x)[1:3])
        # the softmax of two classes
        return ops.sigmoid(logits[..., 1] - logits[..., 0])[:, :rows, :columns]

    # --- learning ---

    def input_fields(self):
        """Images of the window's size or larger."""
        return [SizedField("image", (None, None, self.in_channels), "float32", 0, 1, (self.window, self.window), least=self.window)]

    def target_fields(self):
        """Whether the window holds a face."""
        return [Field("face", (), "int32", 0, 1)]

    def check(self, x, y=None):
        """Also refuses in training all images that are not windows."""
        super().check(x, y)
        if hasattr(x, "shape") and y is not None and tuple(x.shape[1:3]) != (self.window, self.window):
            raise ValueError(f"`image` must have sides of {self.window} pixels (or more, without targets). Received: {tuple(x.shape[1:3])}")

    def default_optimizer(self):
        """Stochastic gradient descent with momentum, as AlexNet."""
        return keras.optimizers.SGD(1e-3, momentum=0.9)

    def default_loss(self):
        """Cross-entropy of the two classes."""
        return keras.losses.BinaryCrossentropy()

    def default_metrics(self):
        """Accuracy."""
        return [keras.metrics.BinaryAccuracy("accuracy")]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of windows, each of which has a map of one cell."""
        return super().compute_loss(x, y[:, None], ops.reshape(y_pred, (-1, 1)), sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The metrics of windows."""
        return super().compute_metrics(x, y[:, None], ops.reshape(y_pred, (-1, 1)), sample_weight)

    # --- detection ---

    @checked
    def heat_map(self, image: Sample) -> np.ndarray:
        """Probability of a face at every window of one image (figure 1), by a single run of the convolutional network.

        Args:
            image: `(height, width, channels)` in [0, 1], or `(height, width)` for one channel; sides of at least `window`.

        Returns:
            `(rows, columns)`, float32; cell `(i, j)` is the window that starts at pixel `(stride * i, stride * j)`.

        Raises:
            ValueError: if the image has another shape or range, or is smaller than a window.
        """
        image = image.astype("float32")
        self.check(image[None])
        return ops.convert_to_numpy(self._run(ops.convert_to_tensor(image[None])))[0]

    @checked
    def detect(
        self,
        image: Sample,
        smallest: Positive | None = None,
        scales_per_octave: Count = 3,
        threshold: Share = 0.5,
        nms: Literal["avg", "max"] = "avg",
        overlap: Share | None = None,
    ):
        """Find faces of all sizes: heat maps over a pyramid of the image, then windows that found the same face are merged.

        Args:
            image: `(height, width, channels)` in [0, 1], or `(height, width)` for one channel.
            smallest: side of the smallest faces looked for, in pixels; `window` unless given. Smaller ones need the image enlarged.
            scales_per_octave: steps of the pyramid from one size to its half; 3 in the paper.
            threshold: least probability of a window; 0.2 in the paper, for recall at the price of false alarms.
            nms: `"avg"` (clusters are averaged, the paper's choice) or `"max"` (the best window of those that overlap).
            overlap: of the merging; the paper's best for each: 0.2 for `"avg"` (OpenCV's tolerance), 0.3 for `"max"` (overlap).

        Returns:
            Boxes `(n, 4)`, `(left, top, right, bottom)` in pixels, and their probabilities `(n,)`, float64, best first.

        Raises:
            ValueError: if the image is not as above, or an argument is out of range.
        """
        boxes, scores = self.windows(image, smallest, scales_per_octave, threshold)
        if nms == "avg":
            return nms_avg(boxes, scores, 0.2 if overlap is None else overlap, least_score=threshold)
        kept = nms_max(boxes, scores, 0.3 if overlap is None else overlap)
        return boxes[kept], scores[kept]

    @checked
    def windows(self, image: Sample, smallest: Positive | None = None, scales_per_octave: Count = 3, threshold: Share = 0.5):
        """The windows of the pyramid with a probability of at least `threshold`, before any merging; arguments are those of `detect`.

        Returns:
            Boxes `(n, 4)` and probabilities `(n,)`, float64.
        """
        image, smallest = image.astype("float32"), self.window if smallest is None else smallest
        boxes, scores = [np.zeros((0, 4))], [np.zeros(0)]
        scale = self.window / smallest
        # half a pixel of tolerance: the image that is exactly a window belongs to the pyramid
        while min(image.shape[:2]) * scale >= self.window - 0.5:
            size = [max(self.window, round(n * scale)) for n in image.shape[:2]]
            found = ops.convert_to_numpy(self._run(self._resized(image, size)))[0]
            # cells that lie on the padding of `_resized` are none of the image's
            found = found[tuple(slice((n - self.window) // self.stride + 1) for n in size)]
            row, column = np.nonzero(found >= threshold)
            corner = np.stack([column, row], 1) * self.stride
            factor = np.array([image.shape[1] / size[1], image.shape[0] / size[0]] * 2)
            boxes.append(np.concatenate([corner, corner + self.window], 1) * factor)
            scores.append(found[row, column].astype("float64"))
            scale *= 0.5 ** (1 / scales_per_octave)
        return np.concatenate(boxes), np.concatenate(scores)

    def _resized(self, image, size):
        """The image in `size`, padded below and to the right in steps of eight windows' strides, so that few graphs are compiled."""
        small = ops.image.resize(ops.convert_to_tensor(image[None]), size, antialias=True)
        step = 8 * self.stride
        rows, columns = (-(n - self.window) % step for n in size)
        return ops.pad(small, [[0, 0], [0, rows], [0, columns], [0, 0]])

    # --- serving and search ---

    def signatures(self):
        """`serve` for windows and images alike gives the `heat_map`; a second name says what it is."""
        return {**super().signatures(), "heat_map": (self._serve, self.input_fields())}

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        return {
            "window": 35,
            "in_channels": 1,
            "filters": [4, 6, 4],
            "kernels": [5, 3, 3],
            "first_stride": 1,
            "pools": [0, 1],
            "normalized": [0],
            "groups": 1,
            "dense": [8],
            "dropout": 0.25,
            "padding": "valid",
        }

    def example_calls(self):
        """A small valid call of every verb."""
        image = self.example_inputs()[0]
        windows = {"image": image, "smallest": float(self.window), "scales_per_octave": 2, "threshold": 0.4}
        own = {"heat_map": {"image": image}, "windows": windows, "detect": {**windows, "nms": "max", "overlap": 0.3}}
        return {**super().example_calls(), **own}

    @classmethod
    def search_space(cls, hp):
        """Width of one dense layer, dropout and learning rate."""
        return {
            "dense": (hp.Choice("dense", [32, 64, 128]),),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-1, sampling="log"),
        }


class _ChannelNormalization(keras.Layer):
    """AlexNet's local response normalisation: `x / (1 + 1e-4 / 5 * sum of squares of 5 neighbouring channels) ** 0.75`."""

    def call(self, x):
        """Of the shape of `x`."""
        place = ops.arange(x.shape[-1])
        near = ops.cast(ops.abs(place[:, None] - place[None, :]) <= 2, "float32")
        # a product with a band of ones and two square roots: many times faster, with gradients, than shifted sums and a power
        root = ops.rsqrt(1 + 1e-4 / 5 * ops.matmul(ops.square(ops.cast(x, "float32")), near))
        return x * ops.cast(root * ops.sqrt(root), x.dtype)
