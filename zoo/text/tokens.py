"""Words that are given, not found: ids and capitals of texts whose words spaces separate, for taggers."""

import keras

from zoo.text.words import check_vocabulary, runs_before_the_graph

# codes of how a word is written; 0 is padding
CAPITALS = ("lower", "upper", "initial", "mixed")


def word_lookup(vocabulary):
    """A `keras.layers.StringLookup` from words in lower case to ids: 0 for `""`, 1 for unknown words, then the vocabulary."""
    check_vocabulary(vocabulary, lower=True)
    return runs_before_the_graph(keras.layers.StringLookup(vocabulary=list(vocabulary), mask_token="", name="word_lookup"))


def name_lookup(names):
    """A `keras.layers.StringLookup` from 1, 2, ... to `names`, and from 0 to `""`."""
    return runs_before_the_graph(keras.layers.StringLookup(vocabulary=list(names), mask_token="", num_oov_indices=0, invert=True))


def joined(words, between=" "):
    """Words or characters, a string tensor `(batch, length)`, as texts `(batch,)` with `between` (a space, or nothing) between them; `""`
    is no word."""
    import tensorflow as tf

    if not between:
        return tf.strings.reduce_join(words, axis=-1)
    return tf.strings.strip(tf.strings.regex_replace(tf.strings.reduce_join(words, axis=-1, separator=" "), r"\s+", " "))


def word_features(texts, lookup, length=None):
    """Ids and capitals of the words of texts.

    Args:
        texts: string tensor `(batch,)`; spaces separate the words.
        lookup: of `word_lookup`.
        length: words to keep or to fill up to; `None` takes the longest text.

    Returns:
        Two tensors `(batch, length)`: ids, and 1 + the place in `CAPITALS`; 0 where there is no word.
    """
    import tensorflow as tf

    words = tf.strings.split(texts).to_tensor("", shape=(None, length))
    lower, upper = (change(words, encoding="utf-8") for change in (tf.strings.lower, tf.strings.upper))
    first = tf.strings.substr(words, 0, 1, unit="UTF8_CHAR")
    initial = tf.strings.lower(first, encoding="utf-8") != first
    code = tf.where(words == lower, 1, tf.where(words == upper, 2, tf.where(initial, 3, 4)))
    return lookup(lower), tf.where(words == "", 0, code)


def window_features(words):
    """Features of each word for a classifier that sees words: itself, its ending, how it is written, its neighbours.

    Args:
        words: list of words as written.

    Returns:
        List of dicts, one a word, as `sklearn.feature_extraction.DictVectorizer` takes them.
    """
    lower = ["", *(word.lower() for word in words), ""]
    return [
        {"word": word, "ending": word[-3:], "capital": written[0].isupper(), "before": before, "behind": behind}
        for written, before, word, behind in zip(words, lower, lower[1:], lower[2:])
    ]
