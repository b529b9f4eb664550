"""Words: one tokenizer, TensorFlow's string operations, for Python, for both backends and inside exported models.

Ids follow `keras.layers.TextVectorization`: 0 is padding, 1 an unknown word, word i of a vocabulary has the id i + 2.
"""

from collections import Counter

import keras

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


def learn_vocabulary(texts, max_words=None, min_count=1):
    """The words of texts, the most frequent first, equally frequent ones by alphabet.

    Args:
        texts: list of strings, or of lists of words.
        max_words: keep at most so many.
        min_count: drop words that occur less often.

    Returns:
        List of words.
    """
    lines = tokenize(texts) if isinstance(texts[0], str) else texts
    counts = Counter(word for line in lines for word in line)
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


def word_vectorization(vocabulary, length, ngrams=1):
    """A `keras.layers.TextVectorization` from strings to ids `(batch, length)`, cut or padded on the right.

    Args:
        vocabulary: list of words, without padding and unknown.
        length: words of a text; `None` pads to the longest of the batch.
        ngrams: longest run of words that counts as a word, in the order of `with_ngrams`.
    """
    check_vocabulary(vocabulary)
    layer = keras.layers.TextVectorization(
        standardize=separate_words,
        vocabulary=list(vocabulary),
        output_sequence_length=length,
        ngrams=None if ngrams == 1 else ngrams,
        name="vectorization",
    )
    return runs_before_the_graph(layer)


def runs_before_the_graph(layer):
    """`layer`, which makes the inputs of a model outside of the compiled graph: a model that holds it may still be compiled with XLA."""
    for part in layer._flatten_layers():
        part.supports_jit = True
    return layer


def flat_ids(texts, vocabulary, ngrams=1):
    """Ids of texts of any lengths, without padding.

    Args:
        texts: list of strings, or of lists of words (which are looked up as they are).
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
        words = tf.RaggedTensor.from_row_lengths(tf.constant([w for line in texts for w in line], tf.string), [len(t) for t in texts])
    runs = tf.concat([words, *(tf.strings.ngrams(words, n) for n in range(2, ngrams + 1))], axis=1)
    numbers = tf.range(2, len(vocabulary) + 2, dtype=tf.int64)
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(tf.constant(list(vocabulary)), numbers), UNKNOWN)
    return table.lookup(runs.flat_values).numpy().astype("int32"), runs.row_lengths().numpy()


def check_vocabulary(vocabulary):
    """Raise a `ValueError` unless `vocabulary` is a list of different words."""
    if isinstance(vocabulary, str) or len(vocabulary) < 1 or len(set(vocabulary)) != len(vocabulary):
        raise ValueError(f"`vocabulary` must be a list of different words. Received: {str(vocabulary)[:100]}")


def checked_texts(texts):
    """`texts` as a list of strings; raises a `ValueError` for anything else, or an empty list."""
    if isinstance(texts, str) or not len(texts) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"`texts` must be a list of strings. Received: {str(texts)[:100]}")
    return [str(text) for text in texts]
