"""Sentences of film reviews with the valence that people gave them."""

import lzma
import re
from pathlib import Path

import numpy as np

_FILE = Path(__file__).parent / "files" / "movie_snippets.tsv.xz"


# what a film review may speak of
MOVIE_TARGETS = (
    "acting action actors cast character characters comedy dialogue direction director documentary drama ending film "
    "humor jokes movie music performance performances picture plot premise romance screenplay script story tale thriller"
).split()
_TARGET = re.compile(rf"\b({'|'.join(MOVIE_TARGETS)})\b")


def movie_snippets(test_size=0.2, neutral=0.5, seed=0):
    """Sentences of film reviews, positive or negative (Hutto and Gilbert 2014, MIT); shipped with zoo.

    Twenty people or so rated each sentence from -4 to 4; the class is the sign of their mean.

    Args:
        test_size: share held out.
        neutral: sentences whose mean valence is not farther from 0 than this are left out; 10,041 of 10,603 stay with 0.5.
        seed: of the split; `None` keeps the order of the file and holds out its end.

    Returns:
        `(texts, labels), (texts, labels)` for training and test: lists of strings, arrays `(n,)` int32, 1 for positive.

    Raises:
        ValueError: if `test_size` leaves nothing on a side.
    """
    rows = [line.split("\t") for line in lzma.decompress(_FILE.read_bytes()).decode("utf-8").splitlines()]
    rows = [(text, float(valence)) for valence, text in rows if abs(float(valence)) > neutral]
    split = len(rows) - round(test_size * len(rows))
    if not 0 < split < len(rows):
        raise ValueError(f"`test_size` must leave sentences for training and test. Received: {test_size}")
    order = np.arange(len(rows)) if seed is None else np.random.default_rng(seed).permutation(len(rows))

    def part(indices):
        return [rows[i][0] for i in indices], np.array([rows[i][1] > 0 for i in indices], "int32")

    return part(order[:split]), part(order[split:])


def movie_targets(rounds=2, test_size=0.2, neutral=0.5, seed=0):
    """Texts of two sentences of `movie_snippets` with a target in each: what does the text say about this thing?

    Every sentence with one of `MOVIE_TARGETS` is joined to a random other one that does not speak of the same; each of the two places
    is an example, whose class is that of its own sentence.

    Args:
        rounds: how often a training sentence is joined to another one; held-out ones are joined once.
        test_size: share of the sentences held out.
        neutral: as in `movie_snippets`.
        seed: of split and pairs.

    Returns:
        `(texts, targets, labels), (texts, targets, labels)` for training and test: lists of strings, lists of (start, end) in characters,
        arrays `(n,)` int32, 1 for positive.
    """
    train, test = movie_snippets(test_size, neutral, seed)
    rng = np.random.default_rng(seed)
    return _joined(*train, rounds, rng), _joined(*test, 1, rng)


def _joined(sentences, labels, rounds, rng):
    found = [(sentence, place, label) for sentence, label in zip(sentences, labels) if (place := _TARGET.search(sentence))]
    texts, targets, classes = [], [], []
    for _ in range(rounds):
        order = rng.permutation(len(found))
        for first, second in zip(order[::2], order[1::2]):
            (a, here, one), (b, there, other) = found[first], found[second]
            if re.search(rf"\b{here[0]}\b", b) or re.search(rf"\b{there[0]}\b", a):
                continue
            behind = len(a) + 1
            texts += [f"{a} {b}"] * 2
            targets += [here.span(), (there.start() + behind, there.end() + behind)]
            classes += [one, other]
    return texts, targets, np.array(classes, "int32")
