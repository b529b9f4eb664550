"""Pooling over time that sees only the steps a sequence has."""

import keras
import numpy as np
from keras import ops

MODES = ("max", "k_max", "average", "local_max")


@keras.saving.register_keras_serializable("zoo")
class SequencePooling(keras.layers.Layer):
    """Pool the feature maps of sequences of different lengths to vectors of one length.

    The poolings of Zhang and Wallace 2015, arXiv 1510.03820, section 4.6. Padded steps neither win nor count.

    Args:
        mode: `"max"`: the largest value of each map. `"k_max"`: the `size` largest ones in the order in which they occur (Kalchbrenner et
            al. 2014), 0 where there are fewer steps. `"average"`: the mean. `"local_max"`: the largest value of each region of `size`
            steps, 0 for regions without steps.
        size: k, or the steps of a region.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if the mode is unknown, or needs a `size` that is not positive.
    """

    def __init__(self, mode="max", size=None, **kwargs):
        super().__init__(**kwargs)
        if mode not in MODES:
            raise ValueError(f"`mode` must be one of {MODES}. Received: {mode!r}")
        if mode in ("k_max", "local_max") and (not isinstance(size, int) or size < 1):
            raise ValueError(f"`size` must be a positive whole number for {mode!r}. Received: {size!r}")
        self.mode, self.size = mode, size

    def call(self, features, count):
        """Pool.

        Args:
            features: `(batch, steps, maps)`.
            count: `(batch,)`, steps of each sequence, at least 1; the steps after them are padding.

        Returns:
            `(batch, maps)`; `(batch, maps * size)` for `"k_max"`, `(batch, maps * ceil(steps / size))` for `"local_max"`.
        """
        steps, maps = features.shape[1:]
        present = (ops.arange(steps) < ops.cast(count, "int32")[:, None])[..., None]
        if self.mode == "average":
            kept = ops.where(present, features, ops.zeros_like(features))
            return ops.sum(kept, axis=1) / ops.cast(count, features.dtype)[:, None]
        masked = ops.where(present, features, ops.full_like(features, -np.inf))
        if self.mode == "max":
            return ops.max(masked, axis=1)
        if self.mode == "k_max":
            pooled = self._k_max(masked, maps)
        else:
            regions = -(-steps // self.size)
            padded = ops.pad(masked, ((0, 0), (0, regions * self.size - steps), (0, 0)), constant_values=-np.inf)
            pooled = ops.reshape(ops.max(ops.reshape(padded, (-1, regions, self.size, maps)), axis=2), (-1, regions * maps))
        return ops.where(ops.isfinite(pooled), pooled, ops.zeros_like(pooled))

    def _k_max(self, masked, maps):
        """The k largest steps of each map, in order. Padding is -inf and lies behind all steps, so that it stays behind them."""
        by_map = ops.transpose(masked, (0, 2, 1))
        places = ops.sort(ops.top_k(by_map, self.size)[1], axis=-1)
        return ops.reshape(ops.take_along_axis(by_map, places, axis=-1), (-1, maps * self.size))

    def compute_output_shape(self, features_shape, count_shape):
        """Shape of the pooled vectors."""
        steps, maps = features_shape[1:]
        width = {"k_max": self.size, "local_max": -(-steps // (self.size or 1))}.get(self.mode, 1)
        return (features_shape[0], maps * width)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "mode": self.mode, "size": self.size}


def at_last(values, count):
    """`values` `(batch, steps, ...)` at the last step that each sequence has, `(batch, ...)`; `count` `(batch,)` is at least 1."""
    place = ops.reshape(ops.cast(count, "int32") - 1, (-1, *[1] * (len(values.shape) - 1)))
    return ops.squeeze(ops.take_along_axis(values, place, axis=1), axis=1)
