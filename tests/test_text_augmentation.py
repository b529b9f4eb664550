"""Characters, synonyms, misspellings and dropped symbols: what comes out, and how often."""

import numpy as np
import pytest
from keras import ops

from zoo import text
from zoo.layers import SymbolDropout

THESAURUS = {"film": ["movie", "picture", "flick"], "good": ["fine"], "it's": ["it is"], "none": []}


def test_alphabet_and_ids():
    assert len(text.ALPHABET) == len(set(text.ALPHABET)) == 69 and all(c in text.ALPHABET for c in "az09-\n{}\\\"'")
    found = ops.convert_to_numpy(text.char_vectorization("abé", 5)(["Ab É!b", ""]))
    np.testing.assert_array_equal(found, [[2, 3, 1, 4, 1], [0] * 5])


def test_synonyms_by_the_papers_distributions():
    lines = ["Film: good film, it's none."] * 20000
    found = text.replace_synonyms(lines, THESAURUS, rng=0)
    counts = np.array([sum(a != b for a, b in zip(line.split(), lines[0].split())) if "it is" not in line else np.nan for line in found])
    # four words can be replaced: 0 of them with probability 16/31, and each is as likely as another
    assert np.mean(np.array(found) == lines[0]) == pytest.approx(16 / 31, abs=0.01)
    mean = (8 * 1 + 4 * 2 + 2 * 3 + 1 * 4) / 31
    for piece in ("fine", "it is"):
        assert np.mean([piece in line for line in found]) == pytest.approx(mean / 4, abs=0.01)
    first = [next((s for s in ("Movie", "Picture", "Flick") if line.startswith(s)), None) for line in found]
    shares = np.array([first.count(s) for s in ("Movie", "Picture", "Flick")]) / (len(first) - first.count(None))
    np.testing.assert_allclose(shares, np.array([4, 2, 1]) / 7, atol=0.02)
    assert np.nanmax(counts) <= 3 and all(line.endswith("none.") for line in found)
    assert text.replace_synonyms(lines[:3], THESAURUS, p=0) == lines[:3] and text.replace_synonyms(["x"], THESAURUS) == ["x"]


def test_misspell():
    line = "abcdefghij " * 2000
    (found,) = text.misspell([line], 0.2, rng=0)
    assert text.misspell([line], 0, rng=0) == [line] and len(found) == pytest.approx(len(line), rel=0.01)
    whole = np.mean([word == "abcdefghij" for word in found.split()])
    assert whole == pytest.approx(0.8**10, abs=0.03)
    with pytest.raises(ValueError, match="`rate`"):
        text.misspell(["a"], 2)


def test_transformed_texts():
    lines, labels = [f"film {i}" for i in range(10)], np.arange(10)
    data = text.TransformedTexts(
        lines, labels, list, lambda texts, rng: text.replace_synonyms(texts, THESAURUS, p=0.9, rng=rng), batch_size=4
    )

    def epoch():
        batches = [data[i] for i in range(len(data))]
        return [t for x, _ in batches for t in x], np.concatenate([y for _, y in batches])

    (first, y), (again, _) = epoch(), epoch()
    assert first == again and [len(data[i][1]) for i in range(3)] == [4, 4, 2]
    assert [int(t.split()[1]) for t in first] == y.tolist() and sorted(y) == labels.tolist() and not set(first) <= set(lines)
    data.on_epoch_end()
    assert epoch()[0] != first


def test_symbol_dropout():
    ids = np.array([[2, 3, 4, 0]] * 5000)
    layer = SymbolDropout(0.3, drop_id=9, seed=1)
    found = ops.convert_to_numpy(layer(ids, training=True))
    assert np.all(found[:, 3] == 0) and set(np.unique(found)) == {0, 2, 3, 4, 9}
    assert np.mean(found[:, :3] == 9) == pytest.approx(0.3, abs=0.012)
    np.testing.assert_array_equal(found, SymbolDropout(0.3, drop_id=9, seed=1)(ids, training=True))
    np.testing.assert_array_equal(layer(ids), ids)
    assert SymbolDropout.from_config(layer.get_config()).rate == 0.3


def test_refusals():
    for bad in ({"p": 1.0}, {"q": -0.1}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            text.replace_synonyms(["a"], THESAURUS, **bad)
    with pytest.raises(ValueError, match="`texts`"):
        text.replace_synonyms("a", THESAURUS)
    with pytest.raises(ValueError, match="`vocabulary`"):
        text.char_vectorization("aa", 3)
