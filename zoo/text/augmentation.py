"""Texts that say the same, or are spelled worse: for training on more than there is, and for tests of robustness."""

import math
import re

import keras
import numpy as np

from zoo.text.words import checked_texts

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


def replace_synonyms(texts, thesaurus, p=0.5, q=0.5, rng=None):
    """Replace some words by synonyms (Zhang, Zhao and LeCun 2015, arXiv 1509.01626, section 2.4).

    Of the words that have synonyms r are replaced, with probability proportional to p^r, r = 0, 1, ...; each by its synonym number s, with
    probability proportional to q^s. A first letter in upper case stays so.

    Args:
        texts: list of strings.
        thesaurus: dict from a word in lower case to a list of its synonyms, the most frequent first.
        p: in [0, 1); 0 replaces nothing.
        q: in [0, 1); 0 takes the first synonym always.
        rng: a `numpy.random.Generator`, or a seed.

    Returns:
        List of strings.

    Raises:
        ValueError: if `p` or `q` is out of range, or `texts` no list of strings.
    """
    for name, value in (("p", p), ("q", q)):
        if not 0 <= value < 1:
            raise ValueError(f"`{name}` must be at least 0 and less than 1. Received: {value}")
    rng = np.random.default_rng(rng)
    return [_replace(text, thesaurus, p, q, rng) for text in checked_texts(texts)]


def _replace(text, thesaurus, p, q, rng):
    found = [match for match in _WORD.finditer(text) if thesaurus.get(match[0].lower())]
    if not found:
        return text
    number = _truncated_geometric(p, len(found) + 1, rng)
    for i in sorted(rng.choice(len(found), number, replace=False), reverse=True):
        synonyms = thesaurus[found[i][0].lower()]
        synonym = synonyms[_truncated_geometric(q, len(synonyms), rng)]
        if found[i][0][0].isupper():
            synonym = synonym[:1].upper() + synonym[1:]
        # from the end to the start, so that the places before stay where they are
        text = text[: found[i].start()] + synonym + text[found[i].end() :]
    return text


def _truncated_geometric(ratio, values, rng):
    """A number below `values`, number n with a probability proportional to ratio^n."""
    weights = ratio ** np.arange(values, dtype="float64")
    return int(rng.choice(values, p=weights / weights.sum()))


def misspell(texts, rate, rng=None):
    """Spell worse: in a share of the places one of these happens to a letter, all equally likely: it swaps with the next, is lost, is
    doubled, or becomes another letter from a to z.

    Args:
        texts: list of strings.
        rate: share of the letters, 0 to 1.
        rng: a `numpy.random.Generator`, or a seed.

    Returns:
        List of strings.

    Raises:
        ValueError: if `rate` is out of range, or `texts` no list of strings.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"`rate` must be from 0 to 1. Received: {rate}")
    rng = np.random.default_rng(rng)
    return [_misspell(text, rate, rng) for text in checked_texts(texts)]


def _misspell(text, rate, rng):
    letters, result, i = list(text), [], 0
    hit, kind = rng.random(len(letters)) < rate, rng.integers(0, 4, len(letters))
    other = rng.integers(ord("a"), ord("z") + 1, len(letters))
    while i < len(letters):
        letter = letters[i]
        if hit[i] and letter.isalpha():
            if kind[i] == 0 and i + 1 < len(letters):
                result += [letters[i + 1], letter]
                i += 1
            elif kind[i] == 2:
                result += [letter, letter]
            elif kind[i] == 3:
                result.append(chr(other[i]))
        else:
            result.append(letter)
        i += 1
    return "".join(result)


class TransformedTexts(keras.utils.PyDataset):
    """Batches of texts that are transformed anew each time they are seen, for `fit`.

    Args:
        texts: list of strings.
        labels: array, one a text.
        encode: from a list of strings to an array, a model's `encode`.
        transform: from (list of strings, `numpy.random.Generator`) to a list of strings, such as
            `lambda texts, rng: replace_synonyms(texts, thesaurus, rng=rng)`.
        batch_size: texts of a batch.
        seed: of order and transformations.
        **kwargs: of `keras.utils.PyDataset`.
    """

    def __init__(self, texts, labels, encode, transform, batch_size=128, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.texts, self.labels = np.array(checked_texts(texts), object), np.asarray(labels)
        self.encode, self.transform, self.batch_size, self.seed = encode, transform, batch_size, seed
        self.epoch = 0
        self._shuffle()

    def __len__(self):
        """Number of batches."""
        return math.ceil(len(self.texts) / self.batch_size)

    def __getitem__(self, index):
        """A batch `(x, y)`; drawn from the seed, the epoch and the index, so that workers may run in any order."""
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        rng = np.random.default_rng([self.seed, self.epoch, index])
        return self.encode(self.transform(self.texts[rows].tolist(), rng)), self.labels[rows]

    def on_epoch_end(self):
        """Another order, and other transformations."""
        self.epoch += 1
        self._shuffle()

    def _shuffle(self):
        self.order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.texts))
