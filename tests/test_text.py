"""Text to ids: against scikit-learn's analyser, inside a graph, and what is refused."""

import numpy as np
import pytest
from keras import ops
from sklearn.feature_extraction.text import CountVectorizer

from zoo import text
from zoo.model import Field

LINES = ["The cat didn't sit.", "Été à la plage, no?!", "", "x 3.14  naïve\ttab"]


def test_words_equal_those_of_scikit_learn():
    words = CountVectorizer(token_pattern=r"[\w']+|[^\w\s]").build_analyzer()
    assert text.tokenize(LINES) == [words(line) for line in LINES]


def test_vocabulary_by_count_then_alphabet():
    assert text.learn_vocabulary(["b a", "c a b", "d"]) == ["a", "b", "c", "d"]
    assert text.learn_vocabulary([["b", "a"], ["a"]], max_words=1) == ["a"]
    assert text.learn_vocabulary(["b a", "a"], min_count=2) == ["a"]


def test_ids_are_cut_and_padded():
    layer = text.word_vectorization(["the", "cat"], 3)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(["Cat the, dog the", ""])), [[3, 2, 1], [0, 0, 0]])


def test_bad_text_is_refused():
    for bad in ("one text", [], ["a", 3]):
        with pytest.raises(ValueError, match="texts"):
            text.tokenize(bad)
    for bad in ("abc", [], ["a", "a"]):
        with pytest.raises(ValueError, match="vocabulary"):
            text.word_vectorization(bad, 3)


def test_fields_of_strings():
    field = Field("text", (), "string")
    field.check(field.sample(3, np.random.default_rng(0)))
    with pytest.raises(ValueError, match="strings"):
        field.check(np.zeros(3))


def test_cooccurrence_vectors_are_the_singular_vectors_of_the_information():
    rng = np.random.default_rng(0)
    words = list("abcdefgh")
    lines = [[words[i] for i in rng.choice(8, rng.integers(1, 9), p=np.arange(1, 9) / 36)] for _ in range(60)]
    counts = np.zeros((8, 8))
    for line in lines:
        for i, one in enumerate(line):
            for j, other in enumerate(line):
                counts[words.index(one), words.index(other)] += 1 <= abs(i - j) <= 2
    information = np.log(np.maximum(counts, 1e-9) * counts.sum() / np.outer(counts.sum(0), counts.sum(1)))
    left, values, _ = np.linalg.svd(np.maximum(information, 0))
    known, found = text.cooccurrence_vectors(lines, words, 3, window=2)
    assert known == words
    expected = left[:, :3] * np.sqrt(values[:3])
    signs = np.sign((found * expected).sum(0))
    expected = expected * signs
    np.testing.assert_allclose(found, expected * 0.15 / expected.std(), atol=1e-4)
    assert found.dtype == np.float32


def test_window_features():
    first, second = text.window_features(["Cats", "sleep"])
    assert first == {"word": "cats", "ending": "ats", "capital": True, "before": "", "behind": "sleep"}
    assert second == {"word": "sleep", "ending": "eep", "capital": False, "before": "cats", "behind": ""}
