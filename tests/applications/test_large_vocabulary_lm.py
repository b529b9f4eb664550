"""Strategies for large vocabularies: probabilities that add up to one, losses by hand, starts, searches against what they search."""

import itertools
import json

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff, layers
from zoo.applications import LargeVocabularyLM
from zoo.applications.large_vocabulary_lm import STRATEGIES
from zoo.layers.word_softmax import log_shares
from zoo.text import LengthBuckets, frequency_classes, random_classes, vector_classes

RNG = np.random.default_rng(0)
SYMBOLS, UNITS = 11, 6
TEXTS = ["the cat sat on a mat", "a mat", "the cat ,"]


def outputs():
    """One layer of each kind."""
    counts = [0, 2, 9, 7, 5, 4, 3, 2, 1, 1, 8]
    return {
        "softmax": layers.WordSoftmax(SYMBOLS, UNITS),
        "target_sampling": layers.TargetSampling(SYMBOLS, UNITS, samples=3),
        "nce": layers.NoiseContrastive(SYMBOLS, UNITS, samples=4, noise=2),
        "infrequent_normalization": layers.InfrequentNormalization(SYMBOLS, UNITS, share=0.5, strength=0.3),
        "differentiated": layers.DifferentiatedSoftmax(SYMBOLS, UNITS, bands=[[0.4, 0.5], [0.6, 0.5]]),
        "classes": layers.ClassSoftmax(SYMBOLS, UNITS, frequency_classes(counts, 3).tolist()),
        "huffman": layers.TreeSoftmax(SYMBOLS, UNITS, counts),
    }


@pytest.fixture(scope="module")
def kinds():
    found = outputs()
    for layer in found.values():
        for weight in layer.weights:
            if "float" in weight.dtype:
                weight.assign(np.random.default_rng(1).normal(size=weight.shape).astype("float32"))
    return found


@pytest.mark.parametrize("name", outputs())
def test_probabilities_add_up_to_one_and_losses_are_theirs(kinds, name):
    layer, inputs = kinds[name], RNG.normal(size=(2, 4, UNITS)).astype("float32")
    targets = np.array([[3, 10, 1, 0], [9, 2, 0, 0]], "int32")
    chances = ops.convert_to_numpy(ops.softmax(layer.logits(inputs.reshape(-1, UNITS)))).reshape(2, 4, SYMBOLS)
    wanted = -np.log(np.take_along_axis(chances, targets[..., None], axis=-1)[..., 0]) * (targets > 0)
    np.testing.assert_allclose(layer(inputs, targets), wanted, rtol=1e-4, atol=1e-5)
    if name in ("classes", "huffman"):
        # these are log-probabilities as they come
        total = np.exp(ops.convert_to_numpy(layer.logits(inputs.reshape(-1, UNITS)))).sum(axis=-1)
        np.testing.assert_allclose(total, 1, rtol=1e-4)


@pytest.mark.parametrize("name", outputs())
def test_the_first_prediction_is_the_shares_of_the_words(name):
    """But of the tree, which has no biases. What has learned stays."""
    layer, ids = outputs()[name], RNG.integers(0, SYMBOLS - 1, (5, 7))
    counts = np.bincount(ids.ravel(), minlength=SYMBOLS)
    counts[0], counts[-1] = 0, 5
    np.testing.assert_allclose(np.exp(log_shares(ids, SYMBOLS)), (counts + 1) / (counts + 1).sum(), rtol=1e-5)
    layer.start_from(ids)
    found = ops.convert_to_numpy(ops.softmax(layer.logits(np.zeros((1, UNITS), "float32"))))[0]
    if name != "huffman":
        np.testing.assert_allclose(found, (counts + 1) / (counts + 1).sum(), rtol=1e-4)
    layer.start_from(np.full((5, 7), 3))
    np.testing.assert_allclose(ops.softmax(layer.logits(np.zeros((1, UNITS), "float32")))[0], found, rtol=1e-5)


@pytest.mark.parametrize("kind", ["array", "buckets"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_fit_starts_from_the_texts(strategy, kind):
    config = {**LargeVocabularyLM.example_config(), "strategy": strategy, "dropout": 0.0, "classes": "frequency"}
    model = LargeVocabularyLM(**config)
    model.compile(optimizer=keras.optimizers.SGD(1e-9))
    ids = model.encode(TEXTS)
    model.fit(ids if kind == "array" else LengthBuckets(ids), verbose=0)
    found = ops.log_softmax(model.word_softmax.logits(np.zeros((1, 4), "float32")))[0]
    np.testing.assert_allclose(found, log_shares(ids, 10), atol=1e-4)


def test_classes_in_blocks_are_a_softmax_for_each_place():
    """Many places of few classes, of unequal size and one of them without words; and the gradients."""
    classes = RNG.permutation(np.repeat([0, 1, 2, 4], [21, 1, 7, 11]))
    layer = layers.ClassSoftmax(40, UNITS, classes)
    for weight in layer.weights:
        weight.assign(RNG.normal(size=weight.shape).astype("float32"))
    inputs, targets = RNG.normal(size=(6, 9, UNITS)).astype("float32"), RNG.integers(0, 40, (6, 9)).astype("int32")
    targets[:4, 2:] = np.minimum(targets[:4, 2:], 1)

    def loss():
        return ops.sum(layer(inputs, targets))

    def by_hand():
        words = targets.ravel()
        found = ops.take_along_axis(layer.logits(inputs.reshape(-1, UNITS)), words[:, None], axis=1)[:, 0]
        return -ops.sum(found * (words > 0))

    np.testing.assert_allclose(loss(), by_hand(), rtol=1e-4)
    for weights in zip(*(autodiff.value_and_weight_grad(function, layer.trainable_weights)[1] for function in (loss, by_hand))):
        np.testing.assert_allclose(*(ops.convert_to_numpy(ops.convert_to_tensor(value)) for value in weights), rtol=1e-3, atol=1e-4)
    chances = np.exp(ops.convert_to_numpy(layer.logits(inputs[0])))
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-4)
    assert not np.any(layer(inputs, np.zeros_like(targets)))


def scores(layer, inputs):
    """Of all symbols, in NumPy."""
    return inputs @ ops.convert_to_numpy(layer.kernel).T + ops.convert_to_numpy(layer.bias)[:, 0]


def test_target_sampling_counts_each_word_once(kinds):
    layer, inputs = kinds["target_sampling"], RNG.normal(size=(1, 3, UNITS)).astype("float32")
    targets, draws = np.array([[4, 4, 0]], "int32"), np.array([7, 4, 7, 2], "int32")
    logits = scores(layer, inputs)[0]
    wanted = [np.log(np.exp(row[[0, 2, 4, 7]]).sum()) - row[4] for row in logits[:2]]
    np.testing.assert_allclose(layer.among(inputs, targets, draws)[0], [*wanted, 0], rtol=1e-4)
    # drawing all words is the softmax
    everything = np.arange(1, SYMBOLS, dtype="int32")
    full = np.log(np.exp(logits[:2]).sum(axis=1)) - logits[:2, 4]
    np.testing.assert_allclose(layer.among(inputs, targets, everything)[0, :2], full, rtol=1e-4)


def test_infrequent_normalization_punishes_some_places(kinds):
    layer, inputs = kinds["infrequent_normalization"], RNG.normal(size=(2, 3, UNITS)).astype("float32")
    targets = np.array([[3, 4, 0], [5, 6, 7]], "int32")
    all_scores = scores(layer, inputs).reshape(6, SYMBOLS)
    penalty = 0.3 * 2 * np.log(np.exp(all_scores).sum(axis=1)) ** 2 * np.array([0, 1, 0, 1, 0, 1])
    wanted = (penalty - all_scores[np.arange(6), targets.ravel()]) * (targets.ravel() > 0)
    np.testing.assert_allclose(np.ravel(layer.normalized(inputs, targets, 2, 1)), wanted, rtol=1e-4)


def test_the_differentiated_softmax_is_a_softmax_with_blocks(kinds):
    layer, inputs = kinds["differentiated"], RNG.normal(size=(2, UNITS)).astype("float32")
    kernel = np.zeros((SYMBOLS, UNITS))
    first, second = (ops.convert_to_numpy(part) for part in layer.kernels)
    # the end of a text, the last id, and the first words see the first half of the features
    frequent = [10, 1, 2, 3]
    kernel[frequent, :3], kernel[[4, 5, 6, 7, 8, 9, 0], 3:] = first, second
    bias = np.empty(SYMBOLS)
    bias[[*frequent, 4, 5, 6, 7, 8, 9, 0]] = ops.convert_to_numpy(layer.bias)
    np.testing.assert_allclose(layer.logits(inputs), inputs @ kernel.T + bias, rtol=1e-4, atol=1e-5)


def test_classes():
    counts = np.sort(RNG.zipf(1.3, 400) % 10000)[::-1]
    found = frequency_classes(counts, 20)
    assert found.tolist() == np.repeat(np.arange(20), 20).tolist()
    assert frequency_classes([1, 9, 5], 2).tolist() == [1, 0, 0]
    assert np.bincount(random_classes(103, 10)).tolist() == [11] * 3 + [10] * 7
    centres = RNG.normal(size=(4, 3)) * 50
    vectors = np.repeat(centres, 8, axis=0) + RNG.normal(size=(32, 3))
    groups = vector_classes(vectors, 4).reshape(4, 8)
    assert all(len(set(row)) == 1 for row in groups) and len(set(groups[:, 0])) == 4


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_learns_and_writes(strategy):
    """The right words of three texts become probable; what is searched for is what is measured."""
    config = {**LargeVocabularyLM.example_config(), "strategy": strategy, "reader": "feed_forward", "dropout": 0.0, "units": 16}
    config.update(embedding_size=8, bands=[[0.3, 0.75], [0.7, 0.25]])
    model = LargeVocabularyLM(**config)
    model.compile(optimizer=keras.optimizers.Adam(0.03))
    model.fit(model.encode(TEXTS), epochs=120, verbose=0)
    assert np.exp(-model.log_likelihood(TEXTS).sum() / 14) < 2.2
    assert model.complete(TEXTS[1:2], beams=3)[0].startswith(TEXTS[1])
    assert model.complete(["the cat sat on"], beams=2, words=2)[0] == "the cat sat on a mat"


def test_a_search_finds_the_best_continuation():
    model = LargeVocabularyLM(**{**LargeVocabularyLM.example_config(), "vocabulary": ["a", "b", "c"], "length": 4, "classes": "huffman"})
    for weight in model.weights:
        if "float" in weight.dtype and weight.shape:
            weight.assign(np.random.default_rng(2).normal(size=weight.shape).astype("float32"))
    texts = [" ".join(("b", *rest)) for n in (0, 1, 2) for rest in itertools.product("abc", repeat=n)]
    nats = model.word_nats(texts)
    # texts that end before two words were added, and those of two words whatever comes
    total = [row.sum() if len(row) < 4 else row[:3].sum() for row in nats]
    assert model.complete(["b"], words=2, beams=30) == [texts[int(np.argmin(total))]]
    np.testing.assert_allclose([-row.sum() for row in nats], model.log_likelihood(texts), rtol=1e-5)


@pytest.mark.parametrize("reader", ["feed_forward", "gru", "lstm"])
def test_what_is_read_at_once_is_read_step_by_step(reader):
    model = LargeVocabularyLM(**{**LargeVocabularyLM.example_config(), "reader": reader, "dropout": 0.0})
    ids = model.encode(TEXTS)
    before = np.concatenate([np.full((3, 1), model.end), ids[:, :-1]], axis=1).astype("int32")
    step, state = model.writer.stepper(), model.writer.zero_state(3)
    for place, features in enumerate(np.moveaxis(ops.convert_to_numpy(model.writer(before)[0]), 1, 0)):
        found, state = step(before[:, place], state)
        np.testing.assert_allclose(found, features, atol=1e-5)


def test_random_texts():
    model = LargeVocabularyLM(**LargeVocabularyLM.example_config())
    assert model.sample(3, seed=1) == model.sample(3, seed=1) != model.sample(3, seed=2)
    texts = TEXTS[1:]
    added = model.complete(texts, words=2, temperature=0.5, seed=3)
    assert all(new.startswith(old) and len(new.split()) <= len(old.split()) + 2 for old, new in zip(texts, added))
    assert added == model.complete(texts, words=2, temperature=0.5, seed=3)


def test_classes_may_be_an_array():
    config = {**LargeVocabularyLM.example_config(), "classes": np.array([0, 1, 1, 0, 0, 1, 2])}
    model = LargeVocabularyLM(**config)
    assert json.loads(json.dumps(model.get_config()))["classes"] == [0, 1, 1, 0, 0, 1, 2]
    again = LargeVocabularyLM.from_config(model.get_config())
    assert again.word_softmax.classes == model.word_softmax.classes
    with pytest.raises(ValueError, match=r"7 whole numbers from 0 to 6.*\[0, 9, 1, 0, 0, 1, 2\]"):
        LargeVocabularyLM(**{**config, "classes": [0, 9, 1, 0, 0, 1, 2]})


@pytest.mark.parametrize(
    "config, name",
    [
        ({"strategy": "none"}, "strategy"),
        ({"reader": "cnn"}, "reader"),
        ({"classes": "best"}, "classes"),
        ({"classes": [0, 1]}, "classes"),
        ({"strategy": "differentiated", "bands": [[0.5, 0.5], [0.2, 0.5]]}, "bands"),
        ({"strategy": "differentiated", "bands": [[0.01, 0.5], [0.99, 0.5]]}, "bands"),
        ({"strategy": "nce", "samples": 0}, "samples"),
        ({"strategy": "nce", "noise": 0}, "noise"),
        ({"classes": [0, 1, 1, 0, 0.5, 1, 2]}, "classes"),
        ({"classes": [0, 1, 1, 0, -1, 1, 2]}, "classes"),
        ({"strategy": "softmax", "classes": [0, 1]}, "classes"),
        ({"strategy": "softmax", "bands": [[0.5, 0.5]]}, "bands"),
        ({"strategy": "softmax", "samples": 0}, "samples"),
        ({"strategy": "infrequent_normalization", "share": 0.0}, "share"),
        ({"strategy": "infrequent_normalization", "strength": -1.0}, "strength"),
        ({"window": 0, "reader": "feed_forward"}, "window"),
    ],
)
def test_refused(config, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        LargeVocabularyLM(**{**LargeVocabularyLM.example_config(), **config})
