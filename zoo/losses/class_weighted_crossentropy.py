"""Cross-entropy with a weight for each class and pixels that do not count, and the weights of median frequency balancing.

Papers: Eigen, Fergus 2014, arXiv 1411.4734, section 6.3.2 (the weights); Kendall et al. 2015, "Bayesian SegNet", arXiv 1511.02680.
"""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class ClassWeightedCrossentropy(keras.Loss):
    """Cross-entropy of each pixel's probabilities, times its class's weight, averaged over the pixels that have a class.

    Args:
        class_weights: one float a class, or `None` for ones; see `median_frequency_weights`.
        ignore_class: label of the pixels that do not count, or `None`.
        reduction: of `keras.Loss`; with `"none"` ignored pixels have a loss of 0.
        name: of `keras.Loss`.
        **kwargs: of `keras.Loss`.
    """

    def __init__(
        self, class_weights=None, ignore_class=None, reduction="sum_over_batch_size", name="class_weighted_crossentropy", **kwargs
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)
        self.class_weights = None if class_weights is None else [float(w) for w in class_weights]
        self.ignore_class = ignore_class

    def call(self, y_true, y_pred):
        """Weighted cross-entropy in nats a pixel.

        Args:
            y_true: class of each pixel, `(batch, height, width)`, or any shape.
            y_pred: probabilities, `(*shape of y_true, classes)`.

        Returns:
            The shape of `y_true`. Averages over all pixels are averages over those that count.
        """
        y_true, y_pred = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
        classes = y_pred.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(f"`class_weights` must have one entry for each of {classes} classes. Received: {len(self.class_weights)}")
        counted = None if self.ignore_class is None else ops.cast(y_true != self.ignore_class, "float32")
        one_hot = ops.one_hot(y_true if counted is None else ops.where(counted > 0, y_true, 0), classes, dtype="float32")
        loss = -ops.log(ops.maximum(ops.sum(one_hot * y_pred, axis=-1), 1e-30))
        if self.class_weights is not None:
            loss = loss * ops.sum(one_hot * ops.convert_to_tensor(self.class_weights, "float32"), axis=-1)
        if counted is None:
            return loss
        share = ops.maximum(ops.mean(counted), 1e-12) if self.reduction in ("sum_over_batch_size", "mean") else 1.0
        return loss * counted / share

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "class_weights": self.class_weights, "ignore_class": self.ignore_class}


def median_frequency_weights(labels, num_classes, ignore_class=None):
    """Weights by which rare classes count as much as the median class.

    `weight(c) = median(frequency) / frequency(c)`, with `frequency(c)` the pixels of class `c`, divided by all pixels of the images in
    which `c` occurs.

    Args:
        labels: class of each pixel, `(images, height, width)`.
        num_classes: number of classes.
        ignore_class: label that does not count, neither as a class nor as pixels; or `None`.

    Returns:
        `(num_classes,)` float64; 0 for a class that never occurs.

    Raises:
        ValueError: if a label is neither a class nor `ignore_class`, or no pixel has a class.
    """
    labels = np.asarray(labels)
    flat = labels.reshape(len(labels), -1)
    counted = np.ones(flat.shape, bool) if ignore_class is None else flat != ignore_class
    if labels.dtype.kind not in "iu" or not counted.any() or flat[counted].min() < 0 or flat[counted].max() >= num_classes:
        raise ValueError(
            f"`labels` must be whole numbers below {num_classes} (or ignore_class={ignore_class}), not all ignored. Received: "
            f"{labels.dtype} with values {np.unique(flat)[:20]}"
        )
    counts = np.stack([np.bincount(row[kept], minlength=num_classes) for row, kept in zip(flat, counted)])
    pixels = counted.sum(1)[:, None] * (counts > 0)
    frequency = counts.sum(0) / np.maximum(pixels.sum(0), 1)
    present = frequency > 0
    return np.where(present, np.median(frequency[present]) / np.where(present, frequency, 1), 0.0)
