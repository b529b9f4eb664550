"""What is special to TDLSTM: the networks against loops over words, the ways to the target, and word vectors."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import TDLSTM

TEXTS, TARGETS = ["The cat sat on a mat, the cat!", "mat", "a dog sat on the mat"], ["sat on", "mat", (2, 5)]
VARIANTS = [
    ("lstm", False, "concat"),
    ("td-lstm", False, "sum"),
    ("tc-lstm", False, "concat"),
    ("td-lstm", True, "mean"),
    ("tc-lstm", True, "mean"),
]


def small(variant="tc-lstm", attention=False, **arguments):
    keras.utils.set_random_seed(0)
    return TDLSTM(**{**TDLSTM.example_config(), "variant": variant, "attention": attention, "length": 12, **arguments})


def weights(model, name):
    return [ops.convert_to_numpy(v) for v in model.network.get_layer(name).weights]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(model, name, vectors):
    """All states of Keras's order of gates: input, forget, cell, output."""
    kernel, recurrent, bias = weights(model, name)
    hidden = cell = np.zeros(model.units)
    states = []
    for x in vectors:
        i, f, c, o = np.split(x @ kernel + hidden @ recurrent + bias, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(c)
        hidden = sigmoid(o) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


def brute_force(model, left, target, right):
    """Probabilities of a text whose three parts are given as ids."""
    table = weights(model, "word_vectors")[0]
    mean = table[target].mean(0)
    ways = {"words": left + target + right} if model.variant == "lstm" else {"left": left + target, "right": (target + right)[::-1]}
    found = []
    for name, ids in ways.items():
        vectors = [np.concatenate([table[i], mean]) if model.variant == "tc-lstm" else table[i] for i in ids]
        states = lstm(model, f"{name}_lstm", vectors)
        if model.attention:
            (kernel, bias), (score,) = weights(model, f"{name}_attention"), weights(model, f"{name}_score")
            scores = np.tanh(np.concatenate([states, np.tile(mean, (len(states), 1))], 1) @ kernel + bias) @ score
            states = [(states * np.exp(scores) / np.exp(scores).sum()).sum(0)]
        found.append(states[-1])
    merged = {"concat": np.concatenate, "mean": lambda s: np.mean(s, 0), "sum": lambda s: np.sum(s, 0)}[model.merge](found)
    kernel, bias = weights(model, "classes")
    logits = merged @ kernel + bias
    return np.exp(logits) / np.exp(logits).sum()


@pytest.mark.parametrize("variant, attention, merge", VARIANTS)
def test_networks_are_the_papers(variant, attention, merge):
    model = small(variant, attention, merge=merge, initial_range=0.5)
    # the cat sat on a mat ,
    parts = [([2, 3], [4, 5], [6, 7, 8, 2, 3, 1]), ([], [7], []), ([6], [1], [4, 5, 2, 7])]
    expected = [brute_force(model, *part) for part in parts]
    found = model.predict(model.encode(TEXTS, TARGETS), verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert [label for label, _ in model.classify(TEXTS, TARGETS)] == ["xyz"[i] for i in np.argmax(expected, -1)]


def test_words_near_the_target_are_kept():
    model = small(length=3)
    x = model.encode(["the cat sat on a mat , the cat"], ["on a"])
    assert {name: ids[0].tolist() for name, ids in x.items()} == {"left": [4, 5, 6], "right": [7, 6, 5], "target": [5, 6]}


def test_the_answer_depends_on_the_target():
    model = small("td-lstm", initial_range=0.5)
    first, second = model.predict(model.encode(["the cat sat on a mat"] * 2, ["cat", "mat"]), verbose=0)
    assert np.abs(first - second).max() > 1e-3
    model = small("lstm", initial_range=0.5)
    first, second = model.predict(model.encode(["the cat sat on a mat"] * 2, ["cat", "mat"]), verbose=0)
    np.testing.assert_array_equal(first, second)


def test_word_vectors_are_loaded_and_may_stay():
    model = small(tune_vectors=False)
    assert model.load_word_vectors({"cat": np.ones(5), "unheard-of": np.zeros(5)}) == pytest.approx(1 / 7)
    model.fit(model.encode(TEXTS, TARGETS), np.array([0, 1, 2]), verbose=0)
    np.testing.assert_array_equal(weights(model, "word_vectors")[0][3], np.ones(5))
    with pytest.raises(ValueError, match="vectors of 5"):
        model.load_word_vectors({"cat": np.ones(4)})


@pytest.mark.parametrize("targets", [["dog", "mat", "a"], [(3, 3), "mat", "a"], [(0, 99), "mat", "a"], ["cat"], "cat"])
def test_targets_must_be_in_their_texts(targets):
    with pytest.raises(ValueError, match="targets"):
        small().encode(TEXTS, targets)


@pytest.mark.parametrize(
    "wrong", [{"variant": "bag"}, {"merge": "max"}, {"units": 0}, {"num_classes": 1}, {"variant": "lstm", "attention": True}]
)
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)) if "attention" not in wrong else "attention"):
        small(**wrong)


def test_defaults_learn():
    # with the paper's gradient descent at 0.01 this stays at chance for tens of epochs
    rng = np.random.default_rng(0)
    fillers, labels = [f"word{i}" for i in range(20)], np.arange(320) % 2
    texts = [
        f"{' '.join(rng.choice(fillers, 4))} {('bad', 'good')[y]} cat {('good', 'bad')[y]} {' '.join(rng.choice(fillers, 4))}"
        for y in labels
    ]
    keras.utils.set_random_seed(0)
    model = TDLSTM([*fillers, "cat", "good", "bad"], num_classes=2)
    x = model.encode(texts, ["cat"] * len(texts))
    model.fit(x, labels, batch_size=16, epochs=4, verbose=0)
    assert model.evaluate(x, labels, verbose=0, return_dict=True)["accuracy"] > 0.95
