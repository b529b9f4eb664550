"""Weights of features that rank lists best, against a grid; BLEU from statistics; retrieval."""

import itertools

import numpy as np
import pytest

from zoo.decoding import rank_weights
from zoo.metrics import bleu, bleu_of, bleu_statistics
from zoo.text import Retrieval

RNG = np.random.default_rng(0)


def test_weights_are_as_good_as_the_best_of_a_grid():
    features = [RNG.normal(size=(RNG.integers(2, 6), 3)) for _ in range(12)]
    scores = [RNG.random(len(some)) for some in features]

    def reached(weights):
        return sum(row[np.argmax(some @ weights)] for some, row in zip(features, scores))

    found = rank_weights(features, scores, [1.0, 0.0, 0.0], bound=3.0)
    grid = max(reached(np.array([1.0, a, b])) for a, b in itertools.product(np.linspace(-3, 3, 61), repeat=2))
    assert found[0] == 1 and np.abs(found).max() <= 3
    # a jagged function of two weights, of which the search sees a part
    start = reached(np.array([1.0, 0, 0]))
    assert reached(found) - start > 0.9 * (grid - start) > 0


def test_what_cannot_be_ranked():
    np.testing.assert_array_equal(rank_weights([], [], [1.0, 0.5]), np.float32([1.0, 0.5]))
    np.testing.assert_array_equal(rank_weights([np.zeros((0, 2))], [np.zeros(0)], [1.0, 0.5]), np.float32([1.0, 0.5]))
    with pytest.raises(ValueError, match="`features`"):
        rank_weights([np.zeros((2, 3))], [np.zeros(2)], [1.0, 0.5])


def test_bleu_is_that_of_its_statistics():
    pytest.importorskip("sacrebleu")
    texts = ["the cat sat on the mat", "a dog ran home", "no"]
    references = [["the cat sat on a mat", "cat on the mat"], ["a dog ran to its home today"], ["yes"]]
    rows = np.array(bleu_statistics(texts, references))
    assert rows.shape == (3, 10)
    for chosen in ([0, 1, 2], [0], [1, 0]):
        expected = bleu([texts[i] for i in chosen], [references[i] for i in chosen])
        assert bleu_of(rows[chosen].sum(axis=0)) == pytest.approx(expected, abs=1e-6)


def test_retrieval():
    pytest.importorskip("bm25s")
    known = Retrieval(["how are you ?", "what is it ?", "home", ""], ["fine", "a dog", "now", "empty"])
    found = known.nearest(["is it a cat", "HOME", "zzz", ""], 2)
    assert [row[0][0] for row in found[:2]] == ["a dog", "now"] and found[2:] == [[], []]
    assert found[0][0][1] > 0 and len(Retrieval(["a b", "a"]).nearest(["a"], 9)[0]) == 2
    with pytest.raises(ValueError, match="`values`"):
        Retrieval(["a"], [])
