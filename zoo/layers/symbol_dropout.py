"""Dropout of whole symbols: words, characters or bytes."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class SymbolDropout(keras.layers.Layer):
    """In training each symbol becomes `drop_id` with probability `rate`; padding stays.

    Args:
        rate: probability, 0 to less than 1.
        drop_id: what a dropped symbol becomes, the unknown symbol for example.
        pad_id: id of the padding.
        seed: of the draws.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if `rate` is out of range.
    """

    def __init__(self, rate, drop_id=1, pad_id=0, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must be at least 0 and less than 1. Received: {rate}")
        self.rate, self.drop_id, self.pad_id, self.seed = rate, drop_id, pad_id, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, ids, training=False):
        """Ids of any shape, and the same shape back."""
        if not training or not self.rate:
            return ids
        dropped = (keras.random.uniform(ops.shape(ids), seed=self.seed_generator) < self.rate) & (ids != self.pad_id)
        return ops.where(dropped, ops.cast(self.drop_id, ids.dtype), ids)

    def compute_output_shape(self, input_shape):
        """That of the ids."""
        return input_shape

    def compute_output_spec(self, ids, training=False):
        """Ids, whatever the layer's own dtype."""
        return keras.KerasTensor(ids.shape, ids.dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "drop_id": self.drop_id, "pad_id": self.pad_id, "seed": self.seed}
