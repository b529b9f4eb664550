"""`replace_unknown` as string operations, for exported models."""

import keras
import numpy as np
from keras import ops

from zoo.text.tokens import joined, name_lookup, word_lookup
from zoo.text.words import separate_words


class Replacement(keras.layers.Layer):
    """Puts words of the source, or what they become by a dictionary, in the place of unknown ones.

    Args:
        dictionary: dict of source word to target word, both in lower case; it may be empty.
        length: words of a source that places may be of.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, dictionary, length, **kwargs):
        super().__init__(**kwargs)
        self.length, self.keys = length, None
        if dictionary:
            numbers = {other: i for i, other in enumerate(dict.fromkeys(dictionary.values()), 1)}
            self.keys, self.names = word_lookup(list(dictionary)), name_lookup(numbers)
            # of padding, of words without an entry, and of those with one
            self.numbers = np.array([0, 0, *(numbers[other] for other in dictionary.values())], "int64")
        self.built = True

    def call(self, written, unknown, places, sources):
        """Texts `(batch,)`.

        Args:
            written: words, a string tensor `(batch, words)`; `""` is no word.
            unknown: which of them are to be replaced, `(batch, words)` bool.
            places: for each of the words a place in the source, `(batch, words)` int32.
            sources: texts, a string tensor `(batch,)`.
        """
        import tensorflow as tf

        read = tf.strings.split(separate_words(sources)).to_tensor("", shape=(None, self.length))
        if self.keys is not None:
            others = self.names(ops.take(ops.convert_to_tensor(self.numbers), self.keys(read), axis=0))
            read = tf.where(others == "", read, others)
        return joined(tf.where(unknown, tf.gather(read, places, batch_dims=1), written))
