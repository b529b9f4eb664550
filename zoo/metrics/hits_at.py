"""Share of rows whose ranking has a right one among the first."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class HitsAt(keras.metrics.Mean):
    """Share of rows that have a right candidate among the `k` with the highest scores; equal scores, and none, count against it.

    Args:
        k: places that count.
        name: of the metric; `hits_at_<k>` by default.
        **kwargs: of `keras.metrics.Mean`.
    """

    def __init__(self, k=1, name=None, **kwargs):
        super().__init__(name=name or f"hits_at_{k}", **kwargs)
        self.k = k

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take `y_true`, numbers of right candidates `(batch, replies)`, -1 for none, and `y_pred`, scores `(batch, candidates)`."""
        scores = ops.cast(y_pred, "float32")
        right = ops.take_along_axis(scores, ops.maximum(ops.cast(y_true, "int32"), 0), axis=1)
        best = ops.max(ops.where(y_true >= 0, right, -float("inf")), axis=1, keepdims=True)
        # right ones do not stand in the way of each other: the best one is ahead of them
        ahead = ops.sum(ops.cast(ops.logical_not(scores < best), "int32"), axis=1) - 1
        hits = ops.logical_and(ahead < self.k, ops.any(y_true >= 0, axis=1))
        super().update_state(ops.cast(hits, "float32"), sample_weight)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "k": self.k}
