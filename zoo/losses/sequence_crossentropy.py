"""Cross-entropy of the symbols of sequences of different lengths."""

import keras
from keras import ops


def sequence_crossentropy(ids, logits):
    """Cross-entropy of each symbol, nothing where the sequence has ended.

    Args:
        ids: the right symbols `(batch, length)` int32, 0 for padding.
        logits: `(batch, length, symbols)`.

    Returns:
        `(batch, length)` float32, nats.
    """
    losses = keras.losses.sparse_categorical_crossentropy(ids, ops.cast(logits, "float32"), from_logits=True)
    return losses * ops.cast(ops.not_equal(ids, 0), "float32")
