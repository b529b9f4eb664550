"""Words: one tokenizer, TensorFlow's string operations, for Python, for both backends and inside exported models.

Ids follow `keras.layers.TextVectorization`: 0 is padding, 1 an unknown word, word i of a vocabulary has the id i + 2.
"""

from collections import Counter

import keras
import numpy as np
from keras import ops

PADDING, UNKNOWN = 0, 1


@keras.saving.register_keras_serializable("zoo")
def separate_words(text):
    """Lower-case `text`, a string tensor, with spaces around everything that is no letter, digit or apostrophe."""
    import tensorflow as tf

    return tf.strings.regex_replace(tf.strings.lower(text, encoding="utf-8"), r"([^\pL\pN\pM\s'])", r" \1 ")


def tokenize(texts):
    """Words of texts.

    Args:
        texts: list of strings.

    Returns:
        List of lists of words in lower case; punctuation marks are words.
    """
    import tensorflow as tf

    words = tf.strings.split(separate_words(tf.constant(checked_texts(texts)))).to_list()
    return [[word.decode("utf-8") for word in line] for line in words]


def split_words(texts, length):
    """Words of texts, a string tensor `(batch,)`, as one `(batch, length)`, cut or filled up with `""`."""
    import tensorflow as tf

    return tf.strings.split(separate_words(texts)).to_tensor("", shape=(None, length))


def learn_vocabulary(texts, max_words=None, min_count=1):
    """The words of texts, the most frequent first, equally frequent ones by alphabet.

    Args:
        texts: list of strings, or of lists of words.
        max_words: keep at most so many.
        min_count: drop words that occur less often.

    Returns:
        List of words, in lower case.
    """
    lines = tokenize(texts) if isinstance(texts[0], str) else texts
    counts = Counter(word.lower() for line in lines for word in line)
    ordered = sorted((word for word, n in counts.items() if n >= min_count), key=lambda word: (-counts[word], word))
    return ordered[:max_words]


def with_ngrams(lines, n):
    """Each line followed by its runs of two to `n` words, joined by spaces: all of two, then all of three, and so on.

    Args:
        lines: list of lists of words.
        n: longest run; 1 gives the lines.

    Returns:
        List of lists of strings.
    """
    return [line + [" ".join(run) for k in range(2, n + 1) for run in zip(*(line[i:] for i in range(k)))] for line in lines]


def behind_end(ids, end):
    """What a writer reads while it writes `ids` `(batch, length)` and their end: the end, then the words; `(batch, length + 1)`."""
    return ops.pad(ids, ((0, 0), (1, 0)), constant_values=end)


def with_end(ids, end):
    """Ids `(texts, length + 1)` of ids `(texts, length)`, padded on the right, with the id `end` behind the last word of each text."""
    words = ops.sum(ops.cast(ids != PADDING, "int32"), axis=1, keepdims=True)
    wide = ops.pad(ids, ((0, 0), (0, 1)))
    return ops.where(ops.arange(ops.shape(wide)[1], dtype="int32") == words, ops.cast(end, wide.dtype), wide)


def trimmed(ids):
    """Ids `(texts, length)`, an array, without the last places that no text needs; training costs as much as it has places."""
    return ids[:, : max(1, np.count_nonzero(np.any(ids != PADDING, axis=0)))]


def word_vectorization(vocabulary, length, ngrams=1):
    """A `keras.layers.TextVectorization` from strings to ids `(batch, length)`, cut or padded on the right.

    Args:
        vocabulary: list of words in lower case, without padding and unknown.
        length: words of a text; `None` pads to the longest of the batch. With `ngrams` it counts them as well, and a text is cut behind the
            last word that still has all of its n-grams in it.
        ngrams: longest run of words that counts as a word, in the order of `with_ngrams`.

    Raises:
        ValueError: if the vocabulary is no list of different words in lower case.
    """
    check_vocabulary(vocabulary, lower=True)
    layer = keras.layers.TextVectorization(
        standardize=separate_words if ngrams == 1 or length is None else FirstWords(_words_of(length, ngrams)),
        vocabulary=list(vocabulary),
        output_sequence_length=length,
        ngrams=None if ngrams == 1 else ngrams,
        name="vectorization",
    )
    return runs_before_the_graph(layer)


def _words_of(length, ngrams):
    """The most words that have no more than `length` runs of up to `ngrams` words."""
    words = 1
    while sum(max(0, words + 1 - k) for k in range(ngrams)) <= length:
        words += 1
    return words


@keras.saving.register_keras_serializable("zoo")
class FirstWords:
    """`separate_words`, of which no more than `number` words stay."""

    def __init__(self, number):
        self.number = number

    def __call__(self, text):
        """The first words of `text`, a string tensor, with spaces between them."""
        import tensorflow as tf

        return tf.strings.reduce_join(tf.strings.split(separate_words(text))[..., : self.number], axis=-1, separator=" ")

    def get_config(self):
        """The constructor's argument."""
        return {"number": self.number}

    @classmethod
    def from_config(cls, config):
        """As a layer."""
        return cls(**config)


def runs_before_the_graph(layer):
    """`layer`, which makes the inputs of a model outside of the compiled graph: a model that holds it may still be compiled with XLA."""
    for part in layer._flatten_layers():
        part.supports_jit = True
    return layer


def flat_ids(texts, vocabulary, ngrams=1):
    """Ids of texts of any lengths, without padding.

    Args:
        texts: list of strings, or of lists of words.
        vocabulary: list of words, without padding and unknown.
        ngrams: longest run of words that counts as a word, in the order of `with_ngrams`.

    Returns:
        Ids of all texts one after the other `(total,)` int32, and the lengths of the texts `(texts,)` int64.
    """
    import tensorflow as tf

    if isinstance(texts, str) or not len(texts) or not all(isinstance(text, (str, list, tuple)) for text in texts):
        raise ValueError(f"`texts` must be a list of strings, or of lists of words. Received: {str(texts)[:100]}")
    if all(isinstance(text, str) for text in texts):
        words = tf.strings.split(separate_words(tf.constant(checked_texts(texts))))
    else:
        flat = [word.lower() for line in texts for word in line]
        words = tf.RaggedTensor.from_row_lengths(tf.constant(flat, tf.string), [len(line) for line in texts])
    runs = tf.concat([words, *(tf.strings.ngrams(words, n) for n in range(2, ngrams + 1))], axis=1)
    numbers = tf.range(2, len(vocabulary) + 2, dtype=tf.int64)
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(tf.constant(list(vocabulary)), numbers), UNKNOWN)
    return table.lookup(runs.flat_values).numpy().astype("int32"), runs.row_lengths().numpy()


def check_vocabulary(vocabulary, lower=False):
    """Raise a `ValueError` unless `vocabulary` is a list of different words, in lower case if `lower` says that they are looked up so."""
    if isinstance(vocabulary, str) or len(vocabulary) < 1 or len(set(vocabulary)) != len(vocabulary):
        raise ValueError(f"`vocabulary` must be a list of different words. Received: {str(vocabulary)[:100]}")
    capitals = [word for word in vocabulary if word != word.lower()] if lower else []
    if capitals:
        raise ValueError(
            f"`vocabulary` must be in lower case, as texts are when they are looked up; `zoo.text.learn_vocabulary` gives that. Received: "
            f"{capitals[:5]}"
        )


def checked_texts(texts):
    """`texts` as a list of strings; raises a `ValueError` for anything else, or an empty list."""
    if isinstance(texts, str) or not len(texts) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"`texts` must be a list of strings. Received: {str(texts)[:100]}")
    return [str(text) for text in texts]
