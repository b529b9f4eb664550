"""DV-ngram: its tokens are those of scikit-learn's n-gram counter, its loss is PV-DBOW's over them, and order of words is learned."""

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from zoo.applications import DVNgram, ParagraphVectors

LINES = ["the cat sat on the mat", "a cat, a mat", "sat", "on the mat the cat sat"]


def ordered(n, seed):
    """Documents whose classes have the same words, in pairs of another order, and their classes."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 2
    pairs = [("not", "good"), ("very", "bad"), ("so", "nice"), ("too", "long")]
    chosen = rng.integers(0, len(pairs), (n, 20))
    return [" ".join(" ".join(pairs[i][:: 1 - 2 * c]) + " ." for i in row) for c, row in zip(classes, chosen)], classes


def test_tokens_are_those_of_scikit_learn():
    model = DVNgram.from_texts(LINES, dim=2, length=20)
    theirs = CountVectorizer(token_pattern=r"[\w']+|[^\w\s]", ngram_range=(1, 3))
    counts = theirs.fit_transform(LINES)
    assert sorted(model.vocabulary) == sorted(theirs.vocabulary_)
    assert model.counts == [counts[:, theirs.vocabulary_[token]].sum() for token in model.vocabulary]
    for ids, row in zip(model.encode(LINES), counts.toarray()):
        found = np.bincount(ids[ids > 0] - 2, minlength=len(model.vocabulary))
        np.testing.assert_array_equal(found, row[[theirs.vocabulary_[token] for token in model.vocabulary]])


def test_with_words_alone_it_is_pv_dbow():
    arguments = {"dim": 4, "length": 8, "run": 4}
    keras.utils.set_random_seed(0)
    ours = DVNgram.from_texts(LINES, ngrams=1, **arguments)
    other = ParagraphVectors.from_texts(LINES, train_words=False, sample=0, prediction="negative_sampling", **arguments)
    for model in (ours, other):
        model.predict_words.table.assign(np.random.default_rng(1).normal(size=model.predict_words.table.shape))
        assert len(model.trainable_variables) == 2
    other.documents.assign(ops.convert_to_numpy(ours.documents))
    ids = ours.encode(LINES)
    np.testing.assert_allclose(ours.predict(ids, verbose=0), other.predict(ids, verbose=0), atol=1e-6)
    assert ours.vocabulary == other.vocabulary


def test_ngrams_see_the_order_of_words():
    (train, y), (test, y_test) = ordered(120, 0), ordered(80, 1)
    accuracy = {}
    for ngrams in (1, 2):
        keras.utils.set_random_seed(0)
        model = DVNgram.from_texts(train, ngrams=ngrams, dim=8, sample=0, learning_rate=0.05)
        model.fit(train, epochs=20, batch_size=32, verbose=0)
        probe = LogisticRegression().fit(ops.convert_to_numpy(model.documents), y)
        accuracy[ngrams] = probe.score(model.infer(test), y_test)
    assert accuracy[1] < 0.7 and accuracy[2] > 0.95


def test_refusals():
    config = DVNgram.example_config()
    for name, bad in {"ngrams": 0, "negative": 0, "most_uses": 0, "counts": [1]}.items():
        with pytest.raises(ValueError, match=f"`{name}`"):
            DVNgram(**{**config, name: bad})
    with pytest.raises(ValueError, match="`words` have no vectors"):
        DVNgram(**config).vector("cat")


def test_defaults_are_those_of_the_authors_code():
    model = DVNgram(["a", "b"], [2, 1], 2)
    found = model.dim, model.learning_rate, model.negative, model.ngrams, model.sample
    assert found == (500, 0.025, 5, 3, 0)


def test_a_long_text_is_cut_behind_a_word_and_not_behind_a_kind_of_ngram():
    words = [f"w{i}" for i in range(40)]
    model = DVNgram.from_texts([" ".join(words)], dim=3, length=20, ngrams=3)
    model.predict_words.table.assign(np.random.default_rng(0).normal(size=model.predict_words.table.shape))
    # 7 words, 6 bigrams, 5 trigrams; an eighth word would make 21
    ids = model.encode([" ".join(words)])
    expected = [*words[:7], *(" ".join(words[i : i + 2]) for i in range(6)), *(" ".join(words[i : i + 3]) for i in range(5))]
    assert [model.vocabulary[i - 2] for i in ids[0] if i] == expected
    # what an export gives is what `infer` gives of these words
    np.testing.assert_allclose(model.predict(ids, verbose=0), model.infer([" ".join(words[:7])]), atol=1e-6)
    # 600 words with the default length lose nothing
    text = " ".join(words * 15)
    model = DVNgram.from_texts([text], dim=3)
    model.predict_words.table.assign(np.random.default_rng(0).normal(size=model.predict_words.table.shape))
    assert (model.encode([text]) > 0).sum() == 1797
    np.testing.assert_allclose(model.predict(model.encode([text]), verbose=0), model.infer([text]), atol=1e-5)
