"""Texts as UTF-8 bytes: ids, and windows that overlap and never cut a character.

Ids: 0 is padding, byte b has the id b + 1, and 257 stands for a byte that was dropped.
"""

import numpy as np
from keras import ops

DROPPED_BYTE = 257


def byte_ids(texts, length):
    """Ids of the first bytes of texts, cut behind a whole character, padded with 0 on the right.

    Args:
        texts: string tensor `(batch,)`, UTF-8.
        length: bytes to keep at most.

    Returns:
        Tensor `(batch, length)` int32.
    """
    import tensorflow as tf

    raw = tf.cast(tf.io.decode_raw(texts, tf.uint8, fixed_length=length + 1), tf.int32)
    size, place = tf.strings.length(texts)[:, None], tf.range(length + 1)
    ends = (place == size) | ((place < size) & (raw // 64 != 2))
    end = tf.reduce_max(tf.where(ends, place, 0), axis=1, keepdims=True)
    return tf.where(place < end, raw + 1, 0)[:, :length]


def character_borders(ids):
    """Where a character begins, or the text ends.

    Args:
        ids: `(batch, length)` of `byte_ids`.

    Returns:
        `(batch, length + 1)` bool.
    """
    real = ops.not_equal(ids, 0)
    begins = real & ops.not_equal((ids - 1) // 64, 2)
    end = ops.sum(ops.cast(real, "int32"), axis=1, keepdims=True)
    none = ops.zeros_like(begins[:, :1])
    return ops.concatenate([begins, none], axis=1) | (ops.arange(ids.shape[1] + 1, dtype="int32") == end)


def byte_windows(data, length, stride=None):
    """Windows over a text, from its begin to its end; none begins or ends inside a character.

    Every run of whole characters of at most `length - stride` bytes lies wholly in one of them.

    Args:
        data: the UTF-8 bytes of a text.
        length: bytes of a window at most, 4 or more.
        stride: bytes from one window to the next, less where that is inside a character; half of the length by default.

    Returns:
        List of pairs `(begin, end)`, in bytes.
    """
    stride = stride or length // 2
    windows, begin = [], 0
    while True:
        end = _back(data, min(begin + length, len(data)))
        windows.append((begin, end))
        if end == len(data):
            return windows
        after = begin + 1
        while data[after] // 64 == 2:
            after += 1
        begin = max(after, _back(data, begin + stride))


def character_places(data):
    """The byte at which each character of a text begins, and the number of bytes: `(characters + 1,)` int64."""
    values = np.frombuffer(data, "uint8")
    return np.append(np.flatnonzero(values // 64 != 2), len(data))


def _back(data, place):
    """The last border between characters at or before `place`."""
    while place < len(data) and data[place] // 64 == 2:
        place -= 1
    return place
