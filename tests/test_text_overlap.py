"""Overlap of words: against NLTK, by hand, and what is refused."""

import numpy as np
import pytest

from zoo.metrics import bleu, chrf, distinct_ngrams, rouge

TEXTS = ["the cat sat on the mat near the door", "a dog runs over the green grass today"]
REFERENCES = [["a cat sat on the mat by the door", "the cat was on the mat near a door"], ["the dog runs over the green grass now"]]


def test_bleu_is_that_of_nltk():
    from nltk.translate.bleu_score import corpus_bleu

    expected = 100 * corpus_bleu([[one.split() for one in row] for row in REFERENCES], [text.split() for text in TEXTS])
    assert bleu(TEXTS, REFERENCES, tokenize="none") == pytest.approx(expected, rel=1e-6)
    assert bleu(TEXTS, TEXTS) == pytest.approx(100)


def test_chrf_by_hand():
    # of "abc" and "abd": 2 of 3 letters, 1 of 2 pairs, 0 of 1 triples; longer runs there are none
    share = np.mean([2 / 3, 1 / 2, 0])
    assert chrf(["abc"], ["abd"]) == pytest.approx(100 * share, rel=1e-3)


def test_rouge_by_hand():
    found = rouge(["the cat sat"], ["the cat is here"])
    assert found["rouge1"] == pytest.approx({"precision": 2 / 3, "recall": 2 / 4, "f1": 4 / 7})
    assert found["rouge2"] == pytest.approx({"precision": 1 / 2, "recall": 1 / 3, "f1": 2 / 5})
    assert rouge(["the cat sat"], ["the cat is here"], limit=3)["rouge1"]["recall"] == pytest.approx(1 / 4)
    best = rouge(["the cat"], [["a dog", "the cat"]])
    assert best["rougeL"]["f1"] == 1


def test_distinct_runs_over_words():
    assert distinct_ngrams(["a b a", "a b"]) == 2 / 5
    assert distinct_ngrams(["a b a", "a b"], 2) == 2 / 5


@pytest.mark.parametrize("references", [["one"], [["one"], []], [["one"], [3]], "one"])
def test_references_that_do_not_fit_are_refused(references):
    for metric in (bleu, chrf, rouge):
        with pytest.raises(ValueError, match="references"):
            metric(TEXTS, references)
