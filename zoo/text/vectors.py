"""Word vectors: from counts of words that occur together, and as the table of an embedding."""

import numpy as np

from zoo import arguments


def word_vectors(words, vectors=None):
    """Word vectors in one form, whatever they come in.

    Args:
        words: list of words, such as `zoo.text.read_word_vectors` and `zoo.text.cooccurrence_vectors` give beside their vectors; or both at
            once: a dict word -> vector, or gensim's `KeyedVectors`.
        vectors: `(words, size)`; `None` where `words` holds both.

    Returns:
        List of words, and their vectors as an array `(words, size)`.

    Raises:
        ValueError: if words and vectors do not fit together, or a number is not finite.
    """
    if vectors is None:
        if not hasattr(words, "keys") and not hasattr(words, "index_to_key"):
            raise ValueError(f"`vectors` must be given beside a list of `words`, or `words` be a dict. Received: {str(words)[:100]}")
        given = words
        words = list(getattr(given, "index_to_key", None) or given.keys())
        vectors = [given[word] for word in words]
    words = arguments.texts("words", words)
    try:
        vectors = np.asarray(vectors, "float32")
    except (TypeError, ValueError) as error:
        raise ValueError("`vectors` must be numbers, as many for each word. Received: vectors of several lengths, or no numbers") from error
    if vectors.ndim != 2 or len(vectors) != len(words):
        raise ValueError(f"`vectors` must have shape (words, size) for {len(words)} `words`. Received: {vectors.shape}")
    if not np.all(np.isfinite(vectors)):
        raise ValueError("`vectors` must be finite. Received: NaN or infinite values")
    return words, vectors


def vector_table(vocabulary, words, vectors=None, size=None, seed=0):
    """A table of embeddings from given word vectors; words without one are drawn from U(-a, a) with the variance of the given ones.

    (Kim 2014, "Convolutional Neural Networks for Sentence Classification", section 3.2.)

    Args:
        vocabulary: list of words, without padding and unknown.
        words: as in `word_vectors`.
        vectors: as in `word_vectors`.
        size: numbers that a vector must have; `None` takes any.
        seed: of the draws.

    Returns:
        float32 array `(len(vocabulary) + 2, size)` and the share of the vocabulary that has a vector.

    Raises:
        ValueError: if no word is known, or the vectors have another size.
    """
    words, vectors = word_vectors(words, vectors)
    if size is not None and vectors.shape[1] != size:
        raise ValueError(f"`vectors` must hold vectors of {size} numbers. Received: {vectors.shape[1]} numbers")
    # the first of two vectors of a word counts
    rows = {word: row for row, word in reversed(list(enumerate(words)))}
    places = [i for i, word in enumerate(vocabulary, start=2) if word in rows]
    if not places:
        raise ValueError(f"`words` must hold some words of the vocabulary. Received: {str(words)[:100]}")
    given = vectors[[rows[vocabulary[i - 2]] for i in places]]
    # the variance of U(-a, a) is a^2 / 3
    bound = float(np.sqrt(3 * given.var()))
    table = np.random.default_rng(seed).uniform(-bound, bound, (len(vocabulary) + 2, vectors.shape[1])).astype("float32")
    table[places] = given
    return table, len(places) / len(vocabulary)


def cooccurrence_vectors(lines, vocabulary, size, window=4, spread=0.15, seed=0):
    """Word vectors from plain text: the leading singular vectors of the positive pointwise mutual information of near words.

    (Levy, Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization", section 5, with the root of the singular values.)

    Args:
        lines: list of lists of words.
        vocabulary: list of words that get a vector.
        size: numbers of a vector.
        window: words of the vocabulary at most so far apart are near.
        spread: standard deviation of all numbers; the default is that of U(-0.25, 0.25), as networks start.
        seed: of the decomposition.

    Returns:
        The vocabulary, and a float32 array `(len(vocabulary), size)`: what `load_word_vectors` of a method takes.
    """
    from scipy import sparse
    from sklearn.decomposition import TruncatedSVD

    numbers = {word: i for i, word in enumerate(vocabulary)}
    rows, columns = [], []
    for line in lines:
        known = [numbers[word] for word in line if word in numbers]
        for distance in range(1, window + 1):
            rows += known[:-distance]
            columns += known[distance:]
    counts = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(vocabulary), len(vocabulary))).tocsr()
    counts = (counts + counts.T).tocoo()
    frequency = np.asarray(counts.sum(axis=1)).ravel()
    information = np.log(counts.data * frequency.sum() / (frequency[counts.row] * frequency[counts.col]))
    positive = sparse.csr_array((np.maximum(information, 0), (counts.row, counts.col)), shape=counts.shape)
    decomposition = TruncatedSVD(size, random_state=seed)
    vectors = decomposition.fit_transform(positive) / np.sqrt(decomposition.singular_values_)
    return list(vocabulary), (spread / vectors.std() * vectors).astype("float32")
