"""Accuracy over the pixels that have a class."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class PixelAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """Share of pixels whose most probable class is right; pixels of `ignore_class` do not count.

    Args:
        ignore_class: label of the pixels that do not count, or `None`.
        name: of `keras.metrics.Metric`.
        dtype: of `keras.metrics.Metric`.
    """

    def __init__(self, ignore_class=None, name="accuracy", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.ignore_class = ignore_class

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count a batch.

        Args:
            y_true: class of each pixel, `(batch, height, width)`.
            y_pred: scores of the classes, `(batch, height, width, classes)`.
            sample_weight: weights `(batch, height, width)`, or one an image `(batch,)`.
        """
        if self.ignore_class is None:
            return super().update_state(y_true, y_pred, sample_weight)
        counted = ops.cast(ops.not_equal(y_true, self.ignore_class), "float32")
        if sample_weight is not None:
            sample_weight = ops.cast(sample_weight, "float32")
            if len(sample_weight.shape) == 1:
                sample_weight = ops.reshape(sample_weight, (-1, *[1] * (len(counted.shape) - 1)))
            counted = counted * sample_weight
        return super().update_state(ops.where(ops.equal(y_true, self.ignore_class), 0, y_true), y_pred, counted)

    def get_config(self):
        """The constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype, "ignore_class": self.ignore_class}
