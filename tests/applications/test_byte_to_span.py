"""Byte-to-span: targets, decoding step by step, what may be written, windows joined, byte dropout, strings in the exported model."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import text
from zoo.applications import ByteToSpan

# characters of one to four bytes
CHARACTERS = list("ab .") + ["é", "ğ", "字", "😀"]
SMALL = {"labels": ["A", "B"], "segment_length": 12, "max_spans": 3, "embedding_size": 7, "units": 6, "num_layers": 2}


def small(seed=0, **arguments):
    keras.utils.set_random_seed(seed)
    model = ByteToSpan(**{**SMALL, **arguments})
    # far from even probabilities, so that wrong steps would show
    for variable in model.trainable_variables:
        variable.assign(4 * variable)
    return model


def random_case(rng, longest, characters=50):
    """A text and spans in it, in characters, none of more than `longest` bytes."""
    one = "".join(rng.choice(CHARACTERS, characters))
    spans, at = [], 0
    while at < characters:
        length = int(rng.integers(1, 6))
        if len(one[at : at + length].encode()) <= longest and at + length <= characters and rng.random() < 0.6:
            spans.append((at, length, str(rng.choice(["A", "B"]))))
        at += length
    return one, spans


def test_symbols_of_a_window_by_hand():
    model = small()
    # 0 padding, 1 STOP, 2-13 starts, 14-25 lengths, 26 A, 27 B; é has two bytes
    x = model.encode(["é cat"], [[(2, 3, "B"), (0, 1, "A")]])
    assert x["symbols"].tolist() == [[2 + 0, 14 + 1, 26, 2 + 3, 14 + 2, 27, 1, 0, 0, 0]]
    assert x["bytes"].tolist() == [[byte + 1 for byte in "é cat".encode()] + [0] * 6]
    assert model.read_spans(x["symbols"][0]) == ([(0, 2, "A"), (3, 3, "B")], True)
    assert model.read_spans([26, 2, 14, 26, 2, 1, 0, 0, 0, 0]) == ([(0, 1, "A")], False)
    assert not model.encode(["é cat"])["symbols"].any()


def test_spans_across_a_border_are_in_the_window_that_holds_them():
    model = small()
    words = "abcd efgh ijkl mnop"
    x = model.encode([words], [[(5, 4, "A"), (10, 4, "B")]])
    windows = model.windows([words])[0]
    assert windows == [(0, "abcd efgh ij"), (6, "fgh ijkl mno"), (12, "kl mnop")]
    assert [model.read_spans(row)[0] for row in x["symbols"]] == [[(5, 4, "A")], [(4, 4, "B")], []]
    # a span longer than half a window may lie in none
    assert not any(model.read_spans(row)[0] for row in model.encode([words], [[(4, 9, "A")]])["symbols"])


@pytest.mark.parametrize("unit", ["characters", "bytes"])
def test_a_perfect_writer_gives_back_the_spans(unit):
    rng = np.random.default_rng(0)
    model = small(segment_length=24, max_spans=24)
    cases = [random_case(rng, longest=12) for _ in range(60)]
    texts, spans = [one for one, _ in cases], [found for _, found in cases]
    found = model.join(texts, model.encode(texts, spans)["symbols"], unit)
    if unit == "bytes":
        spans = [[(len(one[:a].encode()), len(one[a : a + n].encode()), name) for a, n, name in row] for one, row in zip(texts, spans)]
    assert found == spans


def test_more_spans_than_fit_are_cut():
    model = small()
    (row,) = model.encode(["a a a a a"], [[(i, 1, "A") for i in range(0, 9, 2)]])["symbols"]
    assert [span[0] for span in model.read_spans(row)[0]] == [0, 2, 4]


@pytest.mark.parametrize(
    "options", [{}, {"attention": True, "bidirectional": True, "reverse_input": True}], ids=["the paper's", "all options"]
)
def test_free_decoding_is_the_best_next_symbol_of_the_whole_network(options):
    model = small(1, **options)
    ids = model.encode(["ab é a 字", "b", "a ab b. 😀"])["bytes"]
    found = model.decode(ids, constrained=False)
    # feed what was written to the network for training: the best next symbol of each place is what was written
    logits = model.predict({"bytes": ids, "symbols": found}, verbose=0)
    # padding, the symbol 0, is never written
    best = logits[..., 1:].argmax(-1) + 1
    np.testing.assert_array_equal(np.where(found > 0, best, 0), found)
    assert len(np.unique(found)) >= 3


def test_beam_search_finds_better_than_the_greedy_way():
    model = small(2)
    ids = model.encode(["ab é a 字", "b", "a ab b. 😀", "aaa bbb"])["bytes"]

    def log_probability(symbols):
        logits = model.predict({"bytes": ids, "symbols": symbols}, verbose=0)[..., 1:]
        shifted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        chosen = np.take_along_axis(shifted, np.maximum(symbols - 1, 0)[..., None], -1)[..., 0]
        return (chosen * (symbols > 0)).sum(-1)

    greedy, wide = (log_probability(model.decode(ids, beams, constrained=False)) for beams in (1, 20))
    # in the mean, as the beam may lose the greedy way
    assert wide.mean() > greedy.mean() + 1e-3


def test_constrained_decoding_writes_only_legal_triples():
    rng = np.random.default_rng(4)
    texts = [random_case(rng, 12, characters=int(rng.integers(1, 40)))[0] for _ in range(40)]
    malformed = 0
    for seed in range(3):
        model = small(seed)
        ids = model.encode(texts)["bytes"]
        for row, symbols in zip(ids, model.decode(ids, beams=seed + 1, stop_penalty=4.0)):
            data = bytes((row[row > 0] - 1).tolist())
            spans, well_formed = model.read_spans(symbols)
            assert well_formed
            last = 0
            for start, length, _ in spans:
                data[start : start + length].decode()
                assert last <= start and length > 0 and start + length <= len(data)
                last = start + length
        malformed += sum(not model.read_spans(symbols)[1] for symbols in model.decode(ids, constrained=False, stop_penalty=4.0))
        for one, spans in zip(texts, model.find(texts, constrained=False)):
            assert all(0 <= a and n > 0 and a + n <= len(one) for a, n, _ in spans)
            assert all(a + n <= b for (a, n, _), (b, _, _) in zip(spans, spans[1:]))
    assert malformed > 0


def test_a_penalty_for_stop_finds_more_spans():
    model = small(5)
    texts = ["ab é a 字", "b", "a ab b. 😀", "aaa bbb"]
    counts = [sum(map(len, model.find(texts, stop_penalty=penalty))) for penalty in (-30.0, 0.0, 30.0)]
    assert counts[0] == 0 and counts[0] <= counts[1] <= counts[2] and counts[2] > 4


def test_bytes_and_cells_drop_only_in_training():
    x = small().encode(["ab ab ab"], [[(0, 2, "A")]])

    def outputs(training, **rates):
        model = small(**rates)
        return [ops.convert_to_numpy(model(x, training=training)) for _ in range(2)]

    for rates in ({"dropout": 0.0, "byte_dropout": 0.5}, {"dropout": 0.5, "byte_dropout": 0.0}):
        np.testing.assert_array_equal(*outputs(False, **rates))
        assert np.abs(np.subtract(*outputs(True, **rates))).max() > 1e-3
    model, plain = small(), small(dropout=0.0, byte_dropout=0.0)
    plain.set_weights([v for v, w in zip(model.get_weights(), model.weights) if "seed" not in w.path])
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(x, training=training)) for m, training in ((model, False), (plain, True))))


def test_padding_is_skipped_in_both_orders():
    for reverse in (False, True):
        model, longer = small(reverse_input=reverse), small(reverse_input=reverse, segment_length=14)
        longer.reader.set_weights(model.reader.get_weights())
        states = [m.reader(m.encode(["ab é"])["bytes"]) for m in (model, longer)]
        for a, b in zip(*states):
            np.testing.assert_allclose(ops.convert_to_numpy(a), ops.convert_to_numpy(b), atol=1e-6)
    forward, backward = small(), small(reverse_input=True)
    backward.set_weights(forward.get_weights())
    same = [ops.convert_to_numpy(m.reader(m.encode([one])["bytes"])[0]) for m, one in ((forward, "abc"), (backward, "cba"))]
    np.testing.assert_allclose(*same, atol=1e-6)


def test_the_loss_is_the_cross_entropy_of_the_symbols():
    model = small()
    x = model.encode(["ab é", "b"], [[(0, 2, "A")], []])
    logits = model.predict(x, verbose=0)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = [[-log_p[i, t, s] for t, s in enumerate(row) if s] for i, row in enumerate(x["symbols"])]
    assert model.evaluate(x, verbose=0) == pytest.approx(np.mean(sum(losses, [])), rel=1e-5)
    assert [len(row) for row in losses] == [4, 1]
    weighted = model.compute_loss(x, None, ops.convert_to_tensor(logits), ops.convert_to_tensor([1.0, 0.0]), training=False)
    assert float(weighted) == pytest.approx(np.mean(losses[0]), rel=1e-5)


def test_weights_of_the_papers_size_by_the_formula():
    # an LSTM has 4 u (inputs + u + 1) weights
    model = ByteToSpan(["A"], embedding_size=32, units=32, num_layers=4)
    lstm = 4 * 32 * (32 + 32 + 1)
    symbols = 2 + 60 + 60 + 1
    assert model.count_params() == 8 * lstm + 258 * 32 + (symbols + 1) * 32 + symbols * 33


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="strings are TensorFlow's")
def test_serving_strings_equals_find():
    model = small(6)
    texts = ["ab é a", "", "字字字字字字", "b 😀 b"]
    found = {key: np.asarray(value) for key, value in model._serve_text(ops.convert_to_tensor(texts)).items()}
    for i, one in enumerate(texts):
        kept = text.byte_windows(one.encode(), 12)[0]
        (spans,) = model.find([one.encode()[: kept[1]].decode()])
        rows = zip(found["start"][i].tolist(), found["length"][i].tolist(), [label.decode() for label in found["label"][i]])
        assert [row for row in rows if row[1]] == spans


def test_bad_input_is_refused():
    model = small()
    for texts in ("ab", [], [3]):
        with pytest.raises(ValueError, match="texts"):
            model.find(texts)
    for spans in ([(0, 0, "A")], [(1, 2, "A")], [(0, 1, "C")], [(0, 2, "A"), (1, 1, "B")], [(-1, 1, "A")]):
        with pytest.raises(ValueError, match="spans"):
            model.encode(["ab"], [spans])
    with pytest.raises(ValueError, match="spans"):
        model.encode(["ab"], [])
    with pytest.raises(ValueError, match="stride"):
        model.encode(["ab"], stride=0)
    with pytest.raises(ValueError, match="unit"):
        model.find(["ab"], unit="words")
    with pytest.raises(ValueError, match="beams"):
        model.find(["ab"], beams=0)
    for bad in ({"labels": ["A", "A"]}, {"segment_length": 7}, {"units": 0}, {"units": 5, "bidirectional": True}, {"max_spans": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            ByteToSpan(**{**SMALL, **bad})
