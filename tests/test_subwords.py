"""Words in parts: there and back, and the parts against byte-pair encoding by hand."""

from collections import Counter

import numpy as np
import pytest
from keras import ops

from zoo.text import Subwords, learn_vocabulary, tokenize, word_vectorization

TEXTS = ["low low low low low lower lower newest newest newest newest newest newest widest widest widest"]


def check_merges(words, merges):
    """Each merge joins a most frequent pair of the parts so far (the paper's algorithm 1)."""
    lines = Counter({(word[0], *("ˍ" + letter for letter in word[1:])): n for word, n in Counter(words).items()})
    for merge in merges:
        pairs = Counter()
        for line, n in lines.items():
            for pair in zip(line, line[1:]):
                pairs[pair] += n
        assert pairs[merge] == max(pairs.values())
        lines = Counter({joined(line, merge): n for line, n in lines.items()})


def joined(line, merge):
    parts, i = [], 0
    while i < len(line):
        both = line[i : i + 2] == merge
        parts.append(line[i] + line[i + 1].removeprefix("ˍ") if both else line[i])
        i += 1 + both
    return tuple(parts)


def test_merges_are_those_of_the_algorithm():
    merges = Subwords.learn(TEXTS, 24).merges
    assert len(merges) > 4
    check_merges(TEXTS[0].split(), merges)


def test_text_comes_back():
    texts = ["Der Hund läuft über die Straße!", "zwei Hunde laufen", ""]
    parts = Subwords.learn(texts, 60)
    split = parts.split(texts)
    assert parts.join(split) == [" ".join(line) for line in tokenize(texts)]
    again = Subwords(parts.symbols, parts.merges)
    assert again.split(["ein Läufer läuft"]) == parts.split(["ein Läufer läuft"])


def test_letters_that_were_never_seen_stay():
    parts = Subwords.learn(TEXTS, 20)
    assert parts.join(parts.split(["zlowq × low"])) == ["zlowq × low"]


def test_methods_read_parts_as_words():
    parts = Subwords.learn(TEXTS, 24)
    split = parts.split(["lowest newest"])
    ids = ops.convert_to_numpy(word_vectorization(learn_vocabulary(split), 12)(split))
    assert "ˍ" in split[0] and np.count_nonzero(ids[0]) == len(split[0].split()) and not np.any(ids == 1)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="size"):
        Subwords.learn(TEXTS, 0)
    with pytest.raises(ValueError, match="texts"):
        Subwords.learn("low", 5)
