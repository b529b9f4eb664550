"""Word vectors: from counts of words that occur together, and as the table of an embedding."""

import numpy as np


def vector_table(vocabulary, vectors, size, seed=0):
    """A table of embeddings from given word vectors; words without one are drawn from U(-a, a) with the variance of the given ones.

    (Kim 2014, "Convolutional Neural Networks for Sentence Classification", section 3.2.)

    Args:
        vocabulary: list of words, without padding and unknown.
        vectors: word -> vector of `size` numbers: a dict, or gensim's `KeyedVectors`.
        size: numbers of a vector.
        seed: of the draws.

    Returns:
        float32 array `(len(vocabulary) + 2, size)` and the share of the vocabulary that has a vector.

    Raises:
        ValueError: if no word is known, or the vectors have another size.
    """
    known = {i: np.asarray(vectors[word], "float32") for i, word in enumerate(vocabulary, start=2) if word in vectors}
    shapes = {vector.shape for vector in known.values()}
    if shapes != {(size,)}:
        raise ValueError(f"`vectors` must hold vectors of {size} numbers for words of the vocabulary. Received: {shapes}")
    given = np.stack(list(known.values()))
    # the variance of U(-a, a) is a^2 / 3
    bound = float(np.sqrt(3 * given.var()))
    table = np.random.default_rng(seed).uniform(-bound, bound, (len(vocabulary) + 2, size)).astype("float32")
    table[list(known)] = given
    return table, len(known) / len(vocabulary)


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
        float32 array `(len(vocabulary), size)`.
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
    return (spread / vectors.std() * vectors).astype("float32")
