"""Softmax over partitions by the paper's equations, searches against the enumeration of all translations, words put back."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special

from zoo import autodiff, text
from zoo.applications import LargeVocabularyTranslator
from zoo.layers import WordSoftmax
from zoo.layers.rows import RowEmbedding
from zoo.optimizers import RowAdadelta, RowAdagrad, RowAdam

SOURCES, TARGETS = ["the cat sat on a mat", "a mat", "cat , unheard of"], ["the cat sat", "a mat on", "the other cat"]
RNG, numpy = np.random.default_rng(0), ops.convert_to_numpy


def small(**arguments):
    keras.utils.set_random_seed(0)
    model = LargeVocabularyTranslator(**{**LargeVocabularyTranslator.example_config(), "dropout": 0.0, **arguments})
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32") * 0.7)
    return model


def gradients(model, x):
    """The loss of a batch in training, and its gradient."""

    def loss():
        return model.objective(x, None, model(x, training=True), None, True)

    value, found = autodiff.value_and_weight_grad(loss, model.trainable_variables)
    return float(value), [numpy(ops.convert_to_tensor(gradient)) for gradient in found]


# --- training ---


def test_the_softmax_of_everything_is_the_full_one():
    model = small(subset=99)
    x = model.encode(SOURCES, TARGETS)
    full, expected = gradients(model, x)
    # ids that come twice count once
    for subset in (np.arange(model.end + 1), np.repeat(np.arange(model.end + 1), [3, 1, 1, 2, *[1] * (model.end - 3)])):
        found, given = gradients(model, {**x, "subset": subset.astype("int32")})
        assert found == pytest.approx(full, rel=1e-5)
        for got, want in zip(given, expected):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_gradient_of_a_partition_by_equations_8_to_10():
    layer = WordSoftmax(9, 4)
    layer.kernel.assign(RNG.normal(size=(9, 4)))
    layer.bias.assign(RNG.normal(size=(9, 1)))
    inputs, targets, subset = RNG.normal(size=(1, 3, 4)).astype("float32"), np.array([[5, 8, 0]], "int32"), np.array([0, 2, 5, 8], "int32")

    def loss():
        return ops.sum(layer.within(inputs, targets, subset))

    found, gradient = autodiff.value_and_weight_grad(loss, [layer.kernel, layer.bias])
    kernel, bias = numpy(layer.kernel).astype("float64"), numpy(layer.bias)[:, 0]
    expected, total = [np.zeros((9, 4)), np.zeros((9, 1))], 0.0
    for phi, y in zip(inputs[0, :2], targets[0]):
        energies = kernel @ phi + bias
        # Q is the same for all words of the subset
        omega = np.exp(energies[subset] - np.log(1 / len(subset)))
        total -= energies[y] - np.log(np.exp(energies[subset]).sum())
        for k, share in zip(subset, omega / omega.sum()):
            expected[0][k] += share * phi
            expected[1][k] += share
        expected[0][y] -= phi
        expected[1][y] -= 1
    assert float(found) == pytest.approx(total, rel=1e-5)
    for got, want in zip(gradient, expected):
        np.testing.assert_allclose(numpy(ops.convert_to_tensor(got)), want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("order", ["corpus", "once", "epochs"])
def test_partitions_hold_every_text_once_and_few_words(order):
    words = RNG.zipf(1.3, size=(200, 6)) % 300 + 2
    words[np.arange(6) >= RNG.integers(1, 6, 200)[:, None]] = 0
    x = {"source": np.tile(np.arange(1, 201)[:, None], (1, 3)).astype("int32"), "target": words.astype("int32")}
    pairs = text.Partitions(x, 40, (1, 303), 8, order, seed=1)
    seen = []
    for _ in range(2):
        partitions, batches = [list(rows) for rows in pairs.partitions], [pairs[i] for i in range(len(pairs))]
        assert sorted(sum(partitions, [])) == list(range(200)) and len(partitions) > 5
        counts = np.zeros(201)
        for batch, _, weights in batches:
            subset = batch["subset"]
            assert batch["source"].shape == (8, 3) and batch["target"].shape == (8, 5) and subset.shape == (40,)
            assert set(batch["target"].ravel()) <= set(subset) and {0, 1, 303} <= set(subset) and np.all(np.diff(subset) >= 0)
            np.add.at(counts, batch["source"][:, 0], weights)
        # all but a few, where a later epoch has another number of batches
        assert (counts[1:] == 1).mean() > 0.85 and (seen or np.all(counts[1:] == 1))
        # the next batch would have been too much, before texts were shuffled within their partition
        for one, other in zip(partitions, partitions[1:]) if not seen or order != "once" else ():
            grown = {0, 1, 303, *words[one].ravel(), *words[other[:8]].ravel()}
            assert len(grown) > 40
        seen.append(sorted(map(sorted, partitions)))
        pairs.on_epoch_end()
    assert (seen[0] == seen[1]) == (order != "epochs")
    if order == "corpus":
        assert [*itertools.chain(*pairs.partitions)] == list(range(200))


def test_a_fit_of_arrays_is_one_of_partitions(monkeypatch):
    made = []
    monkeypatch.setattr(text, "Partitions", lambda *given, kind=text.Partitions: made.append(kind(*given)) or made[-1])
    model = small()
    x = model.encode(SOURCES * 4, TARGETS * 4)
    history = model.fit(x, epochs=2, batch_size=2, validation_split=0.25, sample_weight=np.ones(12), verbose=0).history
    assert len(made[0].sample_weight) == 9 and np.isfinite(history["val_loss"]).all()
    small(subset=99).fit(x, verbose=0)
    assert len(made) == 1
    # texts without weight teach nothing
    model.compile("sgd")
    before = [numpy(w) for w in model.trainable_weights]
    model.fit(x, sample_weight=np.zeros(12), verbose=0)
    for weight, value in zip(model.trainable_weights, before):
        np.testing.assert_array_equal(numpy(weight), value)


@pytest.mark.parametrize("kind", [RowAdagrad, RowAdadelta])
def test_rows_are_clipped_by_the_norm_of_the_whole_gradient(kind, monkeypatch):
    x = {**small().encode(SOURCES, TARGETS), "subset": np.arange(10, dtype="int32")}

    def step(most, limit):
        monkeypatch.setattr("zoo.optimizers.rows.SMALL", most)
        model = small()
        # so that the step of AdaGrad is nearly the gradient
        options = {"initial_accumulator_value": 1e4} if kind is RowAdagrad else {}
        model.compile(kind(100.0, global_clipnorm=limit, **options))
        _, found = gradients(model, x)
        before = [numpy(v) for v in model.trainable_variables]
        model.train_on_batch(x)
        return found, [old - numpy(v) for old, v in zip(before, model.trainable_variables)]

    gradient, moved = step(2**13, 0.01)
    by_rows = step(2, 0.01)[1]
    norm = np.sqrt(sum(np.square(part).sum() for part in gradient))
    for change, other, part in zip(moved, by_rows, gradient):
        np.testing.assert_allclose(other, change, rtol=1e-3, atol=1e-6)
        if kind is RowAdagrad:
            np.testing.assert_allclose(change, part * 0.01 / norm, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("most", [2, 2**13], ids=["long table", "short table"])
def test_adam_by_rows_is_adam_of_rows_that_are_used(most, monkeypatch):
    monkeypatch.setattr("zoo.optimizers.rows.SMALL", most)
    start, ids = RNG.normal(size=(6, 3)).astype("float32"), np.array([0, 1, 1, 2, 5, 0], "int32")
    wanted, found = [], []
    # no row is used twice for Keras's own, which squares each gradient of a row
    for kind, batch, results in ((keras.optimizers.Adam, np.unique(ids), wanted), (RowAdam, ids, found)):
        model = keras.Sequential([keras.Input((), dtype="int32"), RowEmbedding(6, 3)])
        model.layers[0].embeddings.assign(start)
        share = 1 / np.bincount(ids)[batch][:, None] if kind is RowAdam else np.ones((len(batch), 1))
        model.compile(kind(0.1), lambda y, p: ops.sum(y * p))
        for scale in (1.0, -0.5, 2.0):
            target = scale * share * np.array([[1.0, -2.0, 0.5]]) * (1 + batch[:, None])
            model.train_on_batch(batch, target.astype("float32"))
            results.append(numpy(model.layers[0].embeddings))
    for one, other in zip(found, wanted):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(one[3:5], start[3:5])
    assert np.all(found[2][[0, 1, 2, 5]] != start[[0, 1, 2, 5]])


# --- decoding ---


def test_candidates_are_frequent_words_and_those_of_the_dictionary():
    model = small()
    assert model.candidates(SOURCES) == [["cat", "mat", "sat", "hat", "a", "the"], ["mat", "hat", "a", "the"], ["cat", "a", "the"]]
    assert small(per_word=1).candidates(SOURCES[1:2]) == [["mat", "a", "the"]]
    assert small(dictionary=None).candidates(SOURCES[1:2]) == [["a", "the"]]


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_search_of_candidates_is_the_best_of_all_translations_by_them(power):
    """By a softmax over the candidates alone, written out."""
    model = small(target_length=3, subset=7)
    symbols = np.array(["", "<unknown>", *model.target_vocabulary, ""], object)
    found = model.translate(SOURCES[:2], 80, power, n_best=3, replace=False)
    for source, answers in zip(SOURCES, found):
        words = model.candidates([source])[0]
        # padding, unknown and end are in every list
        few = [0, 1, model.end, *(list(symbols).index(word) for word in words)]
        texts = [" ".join(line) for n in range(4) for line in itertools.product(words, repeat=n)]
        ids = np.zeros((len(texts), 3), "int32")
        for row, line in zip(ids, texts):
            row[: len(line.split())] = [list(symbols).index(word) for word in line.split()]
        before = np.pad(ids, ((0, 0), (1, 0)), constant_values=model.end)
        read = model._read(np.repeat(model.encode([source])["source"], len(ids), axis=0))
        logits = numpy(model.word_softmax.logits(model._features(before, read)[0]))[:, :, few]
        chances = special.log_softmax(logits, axis=-1)
        wanted = numpy(text.with_end(ids, model.end))
        scores = sum(np.where(wanted[:, i] > 0, chances[range(len(ids)), i, [few.index(w) for w in wanted[:, i]]], 0) for i in range(4))
        order = np.argsort(-scores / (wanted > 0).sum(axis=1) ** power)[:3]
        assert [answer for answer, _ in answers] == [texts[i] for i in order]
        np.testing.assert_allclose([score for _, score in answers], scores[order], rtol=1e-4)


def test_candidates_that_are_all_words_change_nothing():
    model = small(frequent=99)
    few, every = (model.translate(SOURCES, n_best=2, candidates=candidates) for candidates in (True, False))
    for one, other in zip(sum(few, []), sum(every, [])):
        assert one[0] == other[0] and one[1] == pytest.approx(other[1], rel=1e-4)


def test_unknown_words_become_those_that_are_looked_at():
    model = small()
    model.word_softmax.bias.assign(np.where(np.arange(model.end + 1)[:, None] == text.UNKNOWN, 3.0, 0.0))
    sources = [*SOURCES, "a café , on"]
    plain, replaced = model.translate(sources, unknown=True), model.translate(sources)
    assert any("<unknown>" in line for line in plain) and not any("<unknown>" in line for line in replaced)
    assert not any("<unknown>" in line for line in model.translate(sources, replace=False))
    first = {"cat": "cat", "mat": "mat", "sat": "sat"}
    ids = {word: i for i, word in enumerate(["", "<unknown>", *model.target_vocabulary])}
    for source, before, after in zip(sources, plain, replaced):
        written = np.array([[ids[word] for word in before.split()]], "int32")
        looked = numpy(model._nats({**model.encode([source]), "target": written})[1])[0].argmax(axis=1)
        words = [source.split()[place] for place in looked]
        expected = [first.get(seen, seen) if word == "<unknown>" else word for word, seen in zip(before.split(), words)]
        assert after == " ".join(expected)


def test_lists_of_the_best_are_replaced_as_well():
    model = small()
    model.word_softmax.bias.assign(np.where(np.arange(model.end + 1)[:, None] == text.UNKNOWN, 3.0, 0.0))
    lists = model.translate(SOURCES, n_best=3)
    assert [row[0][0] for row in lists] == model.translate(SOURCES)
    assert not any("<unknown>" in line for row in lists for line, _ in row)


@pytest.mark.skipif(autodiff.BACKEND != "tensorflow", reason="string operations")
def test_the_exported_model_replaces_as_translate_does():
    for arguments in ({}, {"dictionary": None}):
        model = small(**arguments)
        model.word_softmax.bias.assign(np.where(np.arange(model.end + 1)[:, None] == text.UNKNOWN, 3.0, 0.0))
        found = model.signatures()["serve"][0](ops.convert_to_tensor(SOURCES))["text"]
        assert [line.decode() for line in found.numpy()] == model.translate(SOURCES)


@pytest.mark.parametrize(
    "arguments, name",
    [
        ({"subset": 5}, "subset"),
        ({"frequent": 0}, "frequent"),
        ({"per_word": 0}, "per_word"),
        ({"dictionary": ["cat"]}, "dictionary"),
        ({"dictionary": {"cat": "tom"}}, "dictionary"),
        ({"dictionary": {"cat": [3]}}, "dictionary"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        small(**arguments)


class Fixed(keras.utils.PyDataset):
    """One batch."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return (self.x,)


def test_wrong_partitions_are_refused_by_name():
    model = small()
    x = model.encode(SOURCES, TARGETS)
    for given, name in (({"subset": 3}, "subset"), ({"order": "none"}, "order"), ({"batch_size": 0}, "batch_size")):
        with pytest.raises(ValueError, match=f"`{name}`"):
            text.Partitions(x, **{"subset": 9, **given})
    with pytest.raises(ValueError, match="`subset`"):
        model.fit(Fixed({**x, "subset": np.arange(3, dtype="int32")}), verbose=0)
    with pytest.raises(ValueError, match="`x`"):
        text.Partitions({**x, "target": x["target"][:1]}, 9)
    with pytest.raises(ValueError, match="`order`"):
        model.partitions(SOURCES, TARGETS, order="any")
    with pytest.raises(ValueError, match="`targets`"):
        model.partitions(SOURCES, TARGETS[:1])


def test_additive_attention_trains_under_xla():
    model = LargeVocabularyTranslator(**{**LargeVocabularyTranslator.example_config(), "attention": "additive"})
    model.compile(jit_compile=True)
    losses = model.fit(model.encode(["the cat sat", "a mat"], ["a cat", "the mat sat"]), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
