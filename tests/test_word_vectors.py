"""One interface of word vectors for all methods that have them, and a text's words in lower case wherever they come from."""

import numpy as np
import pytest
from keras import ops

from zoo import applications, text

METHODS = ("BLSTMTagger", "SALSTM", "SentenceCNN", "SentenceVAE", "SkipThoughts", "TDLSTM")


class Vectors:
    """As gensim's `KeyedVectors`: words in a list, vectors by name."""

    def __init__(self, words, vectors):
        self.index_to_key, self._vectors = list(words), dict(zip(words, vectors))

    def __getitem__(self, word):
        return self._vectors[word]


@pytest.mark.parametrize("form", [lambda w, v: (w, v), lambda w, v: (dict(zip(w, v)),), lambda w, v: (Vectors(w, v),)])
@pytest.mark.parametrize("name", METHODS)
def test_methods_take_word_vectors(name, form):
    cls = getattr(applications, name)
    model = cls(**cls.example_config())
    words, vectors = ["sat", "unheard-of", "cat"], np.random.default_rng(0).normal(size=(3, model.embedding_size))
    before = [ops.convert_to_numpy(table) for table in model._word_tables()]
    assert model.load_word_vectors(*form(words, vectors)) == pytest.approx(2 / len(model.vocabulary))
    assert before
    for table, old in zip(model._word_tables(), before):
        found = ops.convert_to_numpy(table)
        for word, vector in zip(words, vectors):
            if word in model.vocabulary:
                np.testing.assert_allclose(found[model.vocabulary.index(word) + 2], vector, rtol=1e-6)
        # symbols behind the words are no words
        np.testing.assert_array_equal(found[len(model.vocabulary) + 2 :], old[len(model.vocabulary) + 2 :])
    with pytest.raises(ValueError, match="`vectors`"):
        model.load_word_vectors(words, vectors[:, :-1])
    with pytest.raises(ValueError, match="`words`"):
        model.load_word_vectors(["unheard-of"], vectors[:1])


@pytest.mark.parametrize(
    "bad",
    [(["a", "b"], np.zeros((3, 2))), (["a"], np.zeros(2)), (["a"], [[np.nan, 0]]), (["a", "b"], [[1, 2], [3]]), (["a", "b"],)],
    ids=str,
)
def test_word_vectors_that_are_none(bad):
    with pytest.raises(ValueError, match="`vectors`"):
        text.word_vectors(*bad)


def test_word_vectors_of_no_words():
    for bad in (({},), ([], np.zeros((0, 2))), ("ab", np.zeros((2, 2)))):
        with pytest.raises(ValueError, match="`words`"):
            text.word_vectors(*bad)


def test_of_two_vectors_of_a_word_the_first_counts():
    table, coverage = text.vector_table(["a", "b"], ["a", "c", "a"], [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(table[2], [1, 2])
    assert coverage == 0.5 and table.shape == (4, 2)


def test_vocabularies_are_in_lower_case():
    lists = [["The", "Cat"], ["the"]]
    assert text.learn_vocabulary(lists) == text.learn_vocabulary([" ".join(line) for line in lists]) == ["the", "cat"]
    assert text.count_words(lists, ["the", "cat"]) == [2, 1]
    np.testing.assert_array_equal(text.flat_ids(lists, ["the", "cat"])[0], [2, 3, 2])
    for make in (text.word_lookup, lambda words: text.word_vectorization(words, 3)):
        with pytest.raises(ValueError, match="`vocabulary` must be in lower case"):
            make(["The", "cat"])
