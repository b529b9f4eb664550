"""Sentences of film reviews: sizes, classes, splits."""

import numpy as np
import pytest

from zoo import datasets


def test_movie_snippets():
    (texts, labels), (held_out, held_out_labels) = datasets.movie_snippets(seed=3)
    assert (len(texts), len(held_out)) == (8033, 2008) and len(labels) == 8033 and labels.dtype == np.int32
    assert not set(texts) & set(held_out)
    assert abs(held_out_labels.mean() - 0.5) < 0.03
    everything = dict(zip(texts + held_out, np.concatenate([labels, held_out_labels])))
    assert everything["Effective but too tepid biopic"] == 0
    assert texts == datasets.movie_snippets(seed=3)[0][0] != datasets.movie_snippets(seed=4)[0][0]
    assert len(datasets.movie_snippets(0.5, neutral=0, seed=None)[0][0]) + 5000 < 10603
    with pytest.raises(ValueError, match="`test_size`"):
        datasets.movie_snippets(test_size=0)


def test_languages():
    (texts, labels), (held_out, held_out_labels), names = datasets.languages(seed=1)
    assert len(names) == 24 and set(labels) == set(held_out_labels) == set(range(24))
    assert all(len(text.split()) == 4 for text in texts + held_out) and len(texts) == len(labels) > len(held_out) > 2000
    assert len(set(texts) & set(held_out)) < 0.05 * len(set(held_out))
    fewer = datasets.languages(train_articles=3, seed=1)
    assert set(fewer[0][0]) < set(texts) and fewer[1][0] == held_out
    more = datasets.languages(overlap=True, seed=1)
    assert set(texts) < set(more[0][0]) and len(more[0][0]) > 3 * len(texts) and more[1][0] == held_out
    sentences, numbers = datasets.languages(words=None)[0]
    assert any("dignity" in s for s, n in zip(sentences, numbers) if names[n] == "English")
    with pytest.raises(ValueError, match="`train_articles`"):
        datasets.languages(train_articles=25)


def test_targets_lie_in_their_own_sentences():
    train, test = datasets.movie_targets(seed=1)
    own = dict(zip(*datasets.movie_snippets(seed=1)[0]))
    for (text, (start, end), label), place in zip(list(zip(*train))[:200], [0, 1] * 100):
        assert text[start:end] in datasets.MOVIE_TARGETS
        first = next(text[:i] for i in range(len(text)) if text[:i] in own and text[i + 1 :] in own)
        assert own[first if place == 0 else text[len(first) + 1 :]] == label and (end <= len(first)) == (place == 0)
    assert len(test[0]) == len(test[1]) == len(test[2]) > 700
