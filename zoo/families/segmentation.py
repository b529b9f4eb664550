"""What methods of semantic segmentation share: images of any size, masks of the same size, pixels that have no class."""

import keras
import numpy as np
from keras import ops

from zoo.losses.class_weighted_crossentropy import ClassWeightedCrossentropy
from zoo.metrics.pixel_accuracy import PixelAccuracy
from zoo.model import Field, Model


class Segmentation(Model):
    """Image `(batch, height, width, channels)` -> probabilities `(batch, height, width, classes)`.

    A method sets `num_classes`, `in_channels`, `ignore_class` (the label of pixels that count neither in the loss nor in the metrics) and
    `trunk` (the name of a network of `zoo.trunks`, or `None`).
    """

    output_name = "probabilities"

    def input_fields(self):
        """An image of any size; in [0, 1] with a trunk."""
        low, high = (None, None) if self.trunk is None else (0, 1)
        return [Field("image", (None, None, self.in_channels), low=low, high=high, example=(17, 22))]

    def target_fields(self):
        """The class of each pixel; pixels may also have the label `ignore_class`."""
        return [Field("mask", (None, None), "int32", 0, self.num_classes - 1, example=(17, 22))]

    def check(self, x, y=None):
        """Ignored pixels are no error, masks of another size than the images are."""
        labels = y
        if self.ignore_class is not None and hasattr(y, "dtype"):
            labels = ops.convert_to_numpy(y)
            labels = np.where(labels == self.ignore_class, 0, labels) if labels.dtype.kind in "iuf" else labels
        super().check(x, labels)
        if hasattr(x, "shape") and hasattr(y, "shape") and tuple(x.shape[:3]) != tuple(y.shape):
            raise ValueError(f"`mask` must have the size of the images, {tuple(x.shape[:3])}. Received: {tuple(y.shape)}")

    def default_loss(self):
        """Cross-entropy over the pixels that have a class."""
        return ClassWeightedCrossentropy(ignore_class=self.ignore_class)

    def default_metrics(self):
        """Accuracy and mean intersection over union, over the pixels that have a class."""
        return [
            PixelAccuracy(self.ignore_class),
            keras.metrics.MeanIoU(self.num_classes, name="iou", ignore_class=self.ignore_class, sparse_y_pred=False),
        ]
