"""How often words occur, and what follows from it: which to keep, and which to draw (Mikolov et al. 2013, arXiv 1310.4546, section 2)."""

from collections import Counter

import numpy as np

from zoo.text.words import tokenize


def count_words(texts, vocabulary):
    """How often each word of a vocabulary occurs.

    Args:
        texts: list of strings, or of lists of words.
        vocabulary: list of words in lower case.

    Returns:
        List of whole numbers, one a word.
    """
    counts = Counter(word.lower() for line in (tokenize(texts) if isinstance(texts[0], str) else texts) for word in line)
    return [counts[word] for word in vocabulary]


def keep_probabilities(counts, sample):
    """Chance that an occurrence of a word survives the sub-sampling of frequent words: `min(1, sqrt(t / f) + t / f)`.

    Args:
        counts: how often each word occurs.
        sample: relative frequency t above which words are thinned out; 0 keeps everything.

    Returns:
        Array `(words,)` float32.
    """
    counts = np.maximum(np.asarray(counts, "float64"), 1)
    if not sample:
        return np.ones(len(counts), "float32")
    ratio = sample * counts.sum() / counts
    return np.minimum(1, np.sqrt(ratio) + ratio).astype("float32")


def alias_table(weights):
    """Tables to draw from a discrete distribution in constant time (Walker 1977; Vose 1991).

    Take a column `i` at random and a number `u` in [0, 1): the draw is `i` if `u < threshold[i]`, else `other[i]`.

    Args:
        weights: not negative, one each outcome; need not sum to one.

    Returns:
        `threshold` `(n,)` float32 and `other` `(n,)` int32.
    """
    weights = np.asarray(weights, "float64")
    if weights.ndim != 1 or not len(weights) or weights.min() < 0 or not weights.sum() > 0:
        raise ValueError(f"`weights` must be numbers, none negative and not all 0. Received: {str(weights.tolist())[:100]}")
    threshold, other = weights * len(weights) / weights.sum(), np.arange(len(weights), dtype="int32")
    small, large = (list(np.flatnonzero(chosen)) for chosen in (threshold < 1, threshold >= 1))
    while small and large:
        low, high = small.pop(), large[-1]
        other[low] = high
        threshold[high] -= 1 - threshold[low]
        if threshold[high] < 1:
            small.append(large.pop())
    # what rounding leaves over is a full column
    threshold[small + large] = 1
    return threshold.astype("float32"), other
