"""Viterbi decoding: against all sequences, with forbidden moves and padding; span schemes against seqeval's reading."""

import itertools

import numpy as np
import pytest
from keras import ops

from zoo.decoding import FORBIDDEN, scheme_transitions, seen_transitions, viterbi

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("forbidden", [0.0, 0.4])
def test_equals_the_best_of_all_sequences(forbidden):
    batch, length, tags = 6, 5, 3
    scores = RNG.normal(size=(batch, length, tags)).astype("float32")
    transitions = np.where(RNG.random((tags, tags)) < forbidden, FORBIDDEN, RNG.normal(size=(tags, tags))).astype("float32")
    start = RNG.normal(size=tags).astype("float32")
    lengths = [5, 4, 3, 2, 1, 5]
    mask = np.arange(length) < np.array(lengths)[:, None]
    found = ops.convert_to_numpy(viterbi(scores, transitions, start, mask))
    for i, n in enumerate(lengths):

        def total(path, i=i, n=n):
            moves = sum(float(transitions[a, b]) for a, b in itertools.pairwise(path))
            return start[path[0]] + sum(float(scores[i, t, path[t]]) for t in range(n)) + moves

        best = max(itertools.product(range(tags), repeat=n), key=total)
        assert total(found[i, :n]) == pytest.approx(total(best), abs=1e-3)
        assert np.all(found[i, n:] == -1)


def test_one_word():
    scores = np.array([[[0.0, 2.0]], [[1.0, 0.0]]], "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(viterbi(scores, np.zeros((2, 2)), np.array([0, FORBIDDEN]))), [[0], [0]])


def test_moves_that_were_seen():
    transitions, start = seen_transitions(np.array([[0, 1, -1], [1, 1, 0]]), 3)
    assert {tuple(pair) for pair in np.argwhere(transitions == 0)} == {(0, 1), (1, 1), (1, 0)}
    np.testing.assert_array_equal(start == 0, [True, True, False])
    with pytest.raises(ValueError, match="labels"):
        seen_transitions(np.array([[3]]), 3)


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "iobes"])
def test_schemes_allow_what_seqeval_takes_for_well_formed(scheme):
    seqeval = pytest.importorskip("seqeval.scheme")
    tags = ["O", *(f"{prefix}-{kind}" for kind in "XY" for prefix in ("BIES" if scheme == "iobes" else "BI"))]
    transitions, start = scheme_transitions(tags, scheme)
    for path in itertools.product(range(len(tags)), repeat=3):
        allowed = start[path[0]] == 0 and all(transitions[a, b] == 0 for a, b in itertools.pairwise(path))
        names = [tags[i] for i in path]
        spans = {(e.start, e.end, e.tag) for e in seqeval.Entities([names], getattr(seqeval, scheme.upper())).entities[0]}
        inside = {t for start_, end, _ in spans for t in range(start_, end)}
        whole = inside == {t for t, name in enumerate(names) if name != "O"}
        if scheme == "iobes" and names[-1][0] in "BI":
            continue  # an open span at the end is no matter of moves
        if scheme == "iob1":
            # seqeval takes a B after O for a span as well
            assert whole or not allowed
        else:
            assert allowed == whole, names


def test_bad_schemes_are_refused():
    with pytest.raises(ValueError, match="scheme"):
        scheme_transitions(["O"], "bilou")
    with pytest.raises(ValueError, match="tags"):
        scheme_transitions(["O", "E-X"], "iob2")
