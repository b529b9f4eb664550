"""Bayesian SegNet: a segmentation together with the uncertainty of the model at each pixel.

Paper: Kendall, Badrinarayanan, Cipolla 2015, "Bayesian SegNet: Model Uncertainty in Deep Convolutional Encoder-Decoder Architectures for
Scene Understanding", arXiv 1511.02680; the network is SegNet's, arXiv 1511.00561. The encoder's poolings remember where each maximum was,
the decoder puts values back there. Dropout in some of the units stays on at test time: the mean over random passes is the segmentation,
the variance the model's uncertainty (section 3). `zoo.layers.MonteCarloDropout` does the same for any model.

Shapes: image `(batch, height, width, channels)` of any size -> probabilities `(batch, height, width, classes)`.

Differences from the paper:
1. Weights from ImageNet only with `trunk="vgg16"`, whose biases go into the batch normalisation; no local normalisation of the image: give
   images a fixed scale.
2. Convolutions before batch normalisation have no bias, which would have no effect.
3. Ignored pixels are not counted in the average of the loss.
4. The rate of "vgg16" is 0.1, as SegNet's own paper has it and the authors' solver of "basic"; this paper's 0.001 is for an encoder that
   starts from ImageNet, and from random weights learns next to nothing in the time in which 0.1 does.
"""

import keras
import numpy as np
from keras import layers, ops

from zoo import autodiff, trunks
from zoo.arguments import Count, Inputs, checked
from zoo.families.segmentation import Segmentation
from zoo.layers.max_unpooling import MaxPoolingWithArgmax2D, MaxUnpooling2D
from zoo.layers.monte_carlo_dropout import dropout_moments, in_batches
from zoo.losses.class_weighted_crossentropy import ClassWeightedCrossentropy

# convolutions of each unit
ARCHITECTURES = {"vgg16": (2, 2, 3, 3, 3), "basic": (1, 1, 1, 1)}
PLACEMENTS = ("encoder", "decoder", "encoder_decoder", "central", "center", "classifier", "none")


class BayesianSegNet(Segmentation):
    """SegNet with dropout, on images of any size.

    `predict` scales by the dropout rate ("weight averaging"), `predict_with_uncertainty` draws samples.

    Args:
        num_classes: number of classes.
        in_channels: channels of the images.
        architecture: `"vgg16"` (13 convolutions of 3 x 3 in five units, 64 to 512 channels) or `"basic"` (four of 7 x 7, 64 channels,
            no ReLU in the decoder).
        filters: channels of the first unit.
        kernel_size: side of the convolutions; by default 3 for `"vgg16"` and 7 for `"basic"`.
        dropout: rate.
        placement: of the dropout, as in the paper's table 1: after every `"encoder"` unit, every `"decoder"` unit, both
            (`"encoder_decoder"`), those of the deeper half (`"central"`), the deepest encoder (`"center"`), the last decoder
            (`"classifier"`), or `"none"`, which is SegNet.
        class_weights: one float a class for the loss, see `zoo.losses.median_frequency_weights`; `None` means ones.
        ignore_class: label of the pixels without a class; they count neither in the loss nor in the metrics.
        trunk: `"vgg16"` starts the encoder from VGG16's 13 convolutions, as the paper does, on images in [0, 1], grey or red, green and
            blue; it needs the paper's architecture, since the decoder undoes the encoder's poolings. `None` starts from random weights.
        trunk_weights: `"imagenet"`, the path of a weights file, or `None`; see `zoo.trunks.trunk`.
        trunk_trainable: `False` freezes the encoder.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        num_classes=11,
        in_channels=3,
        architecture="vgg16",
        filters=64,
        kernel_size=None,
        dropout=0.5,
        placement="central",
        class_weights=None,
        ignore_class=None,
        trunk=None,
        trunk_weights="imagenet",
        trunk_trainable=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if architecture not in ARCHITECTURES:
            raise ValueError(f"`architecture` must be one of {list(ARCHITECTURES)}. Received: {architecture!r}")
        if placement not in PLACEMENTS:
            raise ValueError(f"`placement` must be one of {PLACEMENTS}. Received: {placement!r}")
        if class_weights is not None and len(class_weights) != num_classes:
            raise ValueError(f"`class_weights` must have one entry for each of {num_classes} classes. Received: {len(class_weights)}")
        self.num_classes, self.in_channels, self.architecture = num_classes, in_channels, architecture
        self.filters, self.kernel_size, self.dropout, self.placement = filters, kernel_size, dropout, placement
        self.class_weights = None if class_weights is None else [float(w) for w in class_weights]
        self.ignore_class = ignore_class
        self.trunk, self.trunk_weights, self.trunk_trainable = trunk, trunk_weights, trunk_trainable
        if trunk is not None:
            self._check_trunk()
        self.network = self._build_network()
        if trunk is not None:
            self._start_from_trunk()
        self._sample = autodiff.compiled(lambda image, samples: dropout_moments(self.network, image, samples), self)
        self.compile()

    def _check_trunk(self):
        trunks.check(self.trunk, self.trunk_weights, self.in_channels, "trunk")
        if self.trunk != "vgg16":
            raise ValueError(f"`trunk` must be None or 'vgg16', whose poolings the decoder undoes. Received: {self.trunk!r}")
        if (self.architecture, self.filters, self.kernel_size or 3) != ("vgg16", 64, 3):
            raise ValueError(
                "`architecture`, `filters` and `kernel_size` must be 'vgg16', 64 and 3 (the defaults) with a trunk. "
                f"Received: {self.architecture!r}, {self.filters}, {self.kernel_size}"
            )

    def _start_from_trunk(self):
        """Weights of the encoder, and whether they learn."""
        encoder = [layer for layer in self.network.layers if layer.name.startswith("encoder")]
        convolutions = [layer for layer in encoder if isinstance(layer, layers.Conv2D)]
        norms = [layer for layer in encoder if isinstance(layer, layers.BatchNormalization)]
        if trunks.wanted(self.trunk_weights) is not None:
            trunks.copy_convolutions(trunks.trunk(self.trunk, self.trunk_weights), convolutions, norms, "trunk")
        for layer in (*convolutions, *norms):
            layer.trainable = self.trunk_trainable

    def _build_network(self):
        """Figure 2."""
        counts = ARCHITECTURES[self.architecture]
        widths = [self.filters * (min(2**i, 8) if self.architecture == "vgg16" else 1) for i in range(len(counts))]
        image = keras.Input((None, None, self.in_channels), name="image")
        x = image if self.trunk is None else trunks.prepared(self.trunk, image)
        pooled = []
        for level, (count, width) in enumerate(zip(counts, widths)):
            for i in range(count):
                x = self._convolve(x, width, f"encoder{level}_conv{i}", relu=True)
            before = x
            x, positions = MaxPoolingWithArgmax2D(name=f"encoder{level}_pool")(x)
            pooled.append((positions, before))
            x = self._dropped(x, "encoder", level)
        for level in reversed(range(len(counts))):
            x = MaxUnpooling2D(name=f"decoder{level}_unpool")(x, *pooled[level])
            # VGG's last convolution of a level has the width of the level above; at the top it is the classifier
            widening = [widths[level]] * (counts[level] - 1) + [widths[max(level - 1, 0)]]
            if self.architecture == "vgg16" and level == 0:
                widening = widening[:-1]
            for i, width in enumerate(widening):
                x = self._convolve(x, width, f"decoder{level}_conv{i}", relu=self.architecture == "vgg16")
            x = self._dropped(x, "decoder", level)
        kernel = 3 if self.architecture == "vgg16" else 1
        x = layers.Conv2D(self.num_classes, kernel, padding="same", kernel_initializer="he_normal", name="classifier")(x)
        return keras.Model(image, layers.Activation("softmax", dtype="float32", name="probabilities")(x))

    def _convolve(self, x, filters, name, relu):
        kernel = self.kernel_size or (3 if self.architecture == "vgg16" else 7)
        x = layers.Conv2D(filters, kernel, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x) if relu else x

    def _dropped(self, x, path, level):
        """Dropout if `placement` wants it after this unit (table 1)."""
        units = len(ARCHITECTURES[self.architecture])
        wanted = {
            "encoder": path == "encoder",
            "decoder": path == "decoder",
            "encoder_decoder": True,
            "central": level >= units // 2,
            "center": path == "encoder" and level == units - 1,
            "classifier": path == "decoder" and level == 0,
            "none": False,
        }[self.placement]
        return layers.Dropout(self.dropout, name=f"{path}{level}_dropout")(x) if wanted else x

    def call(self, x, training=False):
        """Probabilities `(batch, height, width, classes)` of images `(batch, height, width, channels)`."""
        return self.network(x, training=training)

    # --- uncertainty ---

    @checked
    def predict_with_uncertainty(self, images: Inputs, samples: Count = 50, batch_size: Count = 8) -> tuple[np.ndarray, np.ndarray]:
        """Segment by averaging over dropout masks, in one compiled function (section 3).

        Args:
            images: `(n, height, width, channels)`.
            samples: number of random passes, T in the paper.
            batch_size: images in one run; memory is that of one pass, however many samples.

        Returns:
            `mean, variance`, each `(n, height, width, classes)` float32: the probabilities, and the variance of each. The mean of the
            latter over classes is the paper's measure of a pixel's uncertainty.

        Raises:
            ValueError: if the images are not what the model takes, or the network has no dropout.
        """
        return in_batches(self._sample, np.asarray(images, "float32"), samples, batch_size)

    def _uncertainty(self, image):
        """Always the same 50 masks, so that the served answer can be repeated."""
        mean, variance = dropout_moments(self.network, image, 50, seed=0)
        return {"mean": mean, "variance": variance, "labels": ops.argmax(mean, axis=-1), "uncertainty": ops.mean(variance, axis=-1)}

    def signatures(self):
        """`serve` (weight averaging), and where there is dropout `uncertainty`: moments of 50 samples, classes, uncertainty maps."""
        if self.placement == "none" or not self.dropout:
            return super().signatures()
        return {**super().signatures(), "uncertainty": (self._uncertainty, self.input_fields())}

    # --- learning ---

    def default_optimizer(self):
        """SGD at 0.1 with momentum 0.9, as SegNet (see difference 4)."""
        return keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=5e-4)

    def default_loss(self):
        """Cross-entropy, weighted by class."""
        return ClassWeightedCrossentropy(self.class_weights, self.ignore_class)

    @classmethod
    def example_config(cls):
        """Small arguments for tests."""
        return {
            "num_classes": 3,
            "in_channels": 2,
            "architecture": "basic",
            "filters": 4,
            "kernel_size": 3,
            "dropout": 0.25,
            "placement": "encoder",
            "class_weights": [1.0, 2.0, 0.5],
            "ignore_class": 255,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        sample = {"images": self.example_inputs(), "samples": 2, "batch_size": 1}
        return {**super().example_calls(), "predict_with_uncertainty": sample if self.dropout and self.placement != "none" else None}

    @classmethod
    def search_space(cls, hp):
        """Width, dropout and its placement, learning rate."""
        return {
            "filters": hp.Choice("filters", [8, 16, 32]),
            "dropout": hp.Float("dropout", 0.1, 0.6, step=0.1),
            "placement": hp.Choice("placement", ["central", "encoder", "decoder", "center"]),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-1, sampling="log"),
        }
