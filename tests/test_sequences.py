"""Beam search and sampling against the enumeration of all sequences."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff
from zoo.decoding import beam_search, fused, sample_sequences
from zoo.losses import sequence_crossentropy

SYMBOLS, LENGTH, END = 5, 4, 2
TABLE = np.random.default_rng(0).normal(size=(LENGTH, 2, SYMBOLS, SYMBOLS)).astype("float32") * 2


def step(ids, state):
    """Logits by place, by which of two texts, and by the symbol before."""
    place, text = state
    rows = ops.take(ops.reshape(TABLE, (-1, SYMBOLS)), (place * 2 + text) * SYMBOLS + ids, axis=0)
    return rows, [ops.minimum(place + 1, LENGTH - 1), text]


def start_state():
    return [ops.zeros((2,), "int32"), ops.arange(2, dtype="int32")]


def log_probability(text, symbols):
    """Of a sequence that ends with END or has all of its length."""
    total, before = 0.0, 1
    for place, symbol in enumerate(symbols):
        row = TABLE[place, text, before].astype("float64")
        total, before = total + row[symbol] - np.log(np.exp(row).sum()), symbol
    return total


def all_sequences():
    for n in range(1, LENGTH + 1):
        for symbols in itertools.product(range(1, SYMBOLS), repeat=n):
            if END not in symbols[:-1] and (n == LENGTH or symbols[-1] == END):
                yield symbols


def ranked(text, keep=lambda symbols: True):
    found = sorted(((log_probability(text, s), s) for s in all_sequences() if keep(s)), reverse=True)
    return [(p, (*s, *[0] * (LENGTH - len(s)))) for p, s in found]


def search(**kwargs):
    run = autodiff.compiled(lambda start: beam_search(step, start_state(), start, LENGTH, end=END, **kwargs), keras.layers.Dense(1))
    found, scores = run(ops.ones((2,), "int32"))
    return ops.convert_to_numpy(found), ops.convert_to_numpy(scores)


def test_a_wide_beam_finds_the_best_of_all_sequences():
    found, scores = search(beams=40)
    for text in range(2):
        best = ranked(text)[:5]
        assert [tuple(row) for row in found[text, :5]] == [symbols for _, symbols in best]
        np.testing.assert_allclose(scores[text, :5], [p for p, _ in best], rtol=1e-5)


def test_one_beam_is_greedy():
    found, _ = search()
    for text in range(2):
        before, expected = 1, []
        for place in range(LENGTH):
            before = 1 + int(TABLE[place, text, before, 1:].argmax())
            expected.append(before)
            if before == END:
                break
        assert list(found[text, 0]) == expected + [0] * (LENGTH - len(expected))


def test_known_symbols_stay_and_the_rest_is_the_best_around_them():
    given = np.array([[-1, 3, -1, -1], [4, -1, -1, END]], "int32")
    found, scores = search(beams=40, given=given)
    for text, known in enumerate(given):
        best = ranked(text, lambda s, known=known: len(s) > 1 and all(g in (-1, w) for g, w in zip(known, (*s, 0, 0, 0))))
        assert tuple(found[text, 0]) == best[0][1]
        np.testing.assert_allclose(scores[text, 0], best[0][0], rtol=1e-5)


def test_padding_that_is_given_counts_nothing():
    found, scores = search(given=np.array([[3, 0, 0, 0]] * 2, "int32"))
    assert found[0, 0].tolist() == [3, 0, 0, 0]
    np.testing.assert_allclose(scores[0, 0], log_probability(0, (3,)), rtol=1e-5)


def test_only_allowed_symbols():
    allowed = np.ones((LENGTH, SYMBOLS), bool)
    allowed[1] = np.arange(SYMBOLS) == 4
    found, _ = search(beams=40, allowed=allowed)
    best = ranked(0, lambda s: len(s) == 1 or s[1] == 4)
    assert tuple(found[0, 0]) == best[0][1]
    found, _ = search(beams=40, allowed=np.arange(SYMBOLS) != 3)
    assert tuple(found[0, 0]) == ranked(0, lambda s: 3 not in s)[0][1]


def test_length_power_ranks_by_the_mean_of_a_symbol():
    found, scores = search(beams=40, length_power=1.0)
    for text in range(2):
        best = sorted(((p / np.count_nonzero(s), s) for p, s in ranked(text)), reverse=True)[:5]
        assert [tuple(row) for row in found[text, :5]] == [s for _, s in best]
        np.testing.assert_allclose(scores[text, :5], [p * np.count_nonzero(s) for p, s in best], rtol=1e-5)


def test_closed_sequences_all_end():
    found, scores = search(beams=40, closed=True)
    for text in range(2):
        best = ranked(text, lambda s: s[-1] == END)[:5]
        assert [tuple(row) for row in found[text, :5]] == [s for _, s in best]
        np.testing.assert_allclose(scores[text, :5], [p for p, _ in best], rtol=1e-5)


def test_candidates_are_all_that_may_come():
    candidates = np.array([[0, 4, END], [0, END, 3]], "int32")

    def few(ids, state):
        logits, state = step(ids, state)
        rows = ops.repeat(ops.convert_to_tensor(candidates), 40, axis=0)
        return ops.take_along_axis(logits, rows, axis=1), state

    found, scores = beam_search(few, start_state(), ops.ones((2,), "int32"), LENGTH, 40, END, candidates=candidates)
    for text in range(2):
        total = {}
        for symbols in all_sequences():
            if set(symbols) <= set(candidates[text]):
                total[symbols], before = 0.0, 1
                for place, symbol in enumerate(symbols):
                    row = TABLE[place, text, before].astype("float64")
                    total[symbols] += row[symbol] - np.log(np.exp(row[candidates[text]]).sum())
                    before = symbol
        best = sorted(total, key=total.get, reverse=True)
        shown = [tuple(int(n) for n in row if n) for row in ops.convert_to_numpy(found[text, : len(best)])]
        assert shown == best
        np.testing.assert_allclose(scores[text, : len(best)], [total[s] for s in best], rtol=1e-5)


@pytest.mark.parametrize("mean", ["geometric", "arithmetic"])
def test_fused_models_score_by_both(mean):
    def other(ids, state):
        return ops.take(TABLE[0, 0], SYMBOLS - 1 - ids, axis=0), [state[0] + 1.0]

    both, state = fused([(step, start_state()), (other, [ops.zeros((2,))])], [0.7, 0.3], mean)
    found, scores = beam_search(both, state, ops.ones((2,), "int32"), LENGTH, 40, END, normalize=False)

    def score(symbols):
        total, before = 0.0, 1
        for place, symbol in enumerate(symbols):
            rows = [TABLE[place, 1, before].astype("float64"), TABLE[0, 0, SYMBOLS - 1 - before].astype("float64")]
            chances = np.array([row[symbol] - np.log(np.exp(row).sum()) for row in rows])
            total += chances @ [0.7, 0.3] if mean == "geometric" else np.log(np.exp(chances) @ [0.7, 0.3])
            before = symbol
        return total

    best = sorted(all_sequences(), key=score, reverse=True)[:5]
    assert [tuple(int(n) for n in row if n) for row in ops.convert_to_numpy(found[1, :5])] == best
    np.testing.assert_allclose(scores[1, :5], [score(s) for s in best], rtol=1e-5)


@pytest.mark.parametrize("options", [{"top_k": 2}, {"top_p": 0.6}, {"top_k": 3, "top_p": 0.8}])
def test_draws_are_cut_to_the_most_probable(options):
    n, row = 20000, TABLE[0, 0, 1, 1:].astype("float64")
    chance = np.exp(row) / np.exp(row).sum()
    order = np.argsort(-chance)[: options.get("top_k")]
    chance = np.where(np.isin(np.arange(len(row)), order), chance, 0) / chance[order].sum()
    nucleus = order[: 1 + np.searchsorted(np.cumsum(chance[order]), options.get("top_p", 2.0))]
    exact = np.where(np.isin(np.arange(len(row)), nucleus), chance, 0) / chance[nucleus].sum()
    text = ops.zeros((n,), "int32")
    found = ops.convert_to_numpy(sample_sequences(step, [text, text], ops.ones((n,), "int32"), 1, seed=1, **options))
    drawn = np.bincount(found[:, 0], minlength=SYMBOLS)[1:] / n
    assert not drawn[exact == 0].any()
    np.testing.assert_allclose(drawn, exact, atol=0.015)


@pytest.mark.parametrize("options, name", [({"top_k": 0}, "top_k"), ({"top_p": 0.0}, "top_p"), ({"top_p": 1.5}, "top_p")])
def test_wrong_cuts_are_refused(options, name):
    with pytest.raises(ValueError, match=name):
        sample_sequences(step, start_state(), ops.ones((2,), "int32"), LENGTH, seed=1, **options)


def test_samples_have_the_probabilities_of_the_sequences():
    n = 20000
    text = ops.zeros((n,), "int32")
    found = sample_sequences(step, [text, text], ops.ones((n,), "int32"), LENGTH, seed=1, end=END)
    drawn = {}
    for row in map(tuple, ops.convert_to_numpy(found)):
        drawn[row] = drawn.get(row, 0) + 1 / n
    # padding, which is never drawn, takes part of the enumeration's probability at each step
    exact = {}
    for symbols in all_sequences():
        total, before = 1.0, 1
        for place, symbol in enumerate(symbols):
            row = np.exp(TABLE[place, 0, before, 1:].astype("float64"))
            total, before = total * row[symbol - 1] / row.sum(), symbol
        exact[(*symbols, *[0] * (LENGTH - len(symbols)))] = total
    assert set(drawn) <= set(exact)
    for row, p in exact.items():
        assert abs(drawn.get(row, 0) - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-4


def test_a_low_temperature_is_greedy():
    found = sample_sequences(step, start_state(), ops.ones((2,), "int32"), LENGTH, seed=1, temperature=1e-3, end=END)
    np.testing.assert_array_equal(ops.convert_to_numpy(found), search()[0][:, 0])
    with pytest.raises(ValueError, match="temperature"):
        sample_sequences(step, start_state(), ops.ones((2,), "int32"), LENGTH, seed=1, temperature=0)


def test_sequence_crossentropy_leaves_padding_out():
    rng = np.random.default_rng(0)
    ids, logits = np.array([[3, 1, 0], [2, 0, 0]], "int32"), rng.normal(size=(2, 3, 4)).astype("float32")
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = [[-np.log(p[0, 0, 3]), -np.log(p[0, 1, 1]), 0], [-np.log(p[1, 0, 2]), 0, 0]]
    np.testing.assert_allclose(ops.convert_to_numpy(sequence_crossentropy(ids, logits)), expected, rtol=1e-5)


def test_draws_go_on_from_given_symbols():
    given = np.full((2, LENGTH), -1, "int32")
    given[:, 0], given[1, 1], given[0, -1] = 3, 2, 0
    options = {"temperature": 1e-3, "end": END, "given": given}
    found = ops.convert_to_numpy(sample_sequences(step, start_state(), ops.ones((2,), "int32"), LENGTH, seed=1, **options))
    # the most probable symbols behind the known ones, as a beam of one finds them
    expected = ops.convert_to_numpy(beam_search(step, start_state(), ops.ones((2,), "int32"), LENGTH, 1, END, given=given)[0])
    np.testing.assert_array_equal(found, expected[:, 0])
