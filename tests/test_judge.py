"""The judge of digits: what it sees, its seed, its cache; all on random digits instead of MNIST."""

import keras
import numpy as np
import pytest

from zoo import datasets, evidence
from zoo.evidence import judge

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(240, 28, 28, 1)).astype("float32")
Y = RNG.integers(0, 10, 240).astype("int32")


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """A small MNIST, and a cache of its own."""
    monkeypatch.setattr(datasets, "mnist", lambda: ((X, Y), None))
    monkeypatch.setattr(judge, "TRAINING", 200)
    monkeypatch.setattr(judge, "EPOCHS", 1)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


def test_what_it_sees():
    found = evidence.mnist_judge()
    features, probabilities = found.look(X[:7])
    assert features.shape == (7, 84) and features.min() >= 0 and features.max() > 0
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    # probabilities are a softmax of a linear map of the features
    kernel, bias = found.network.get_weights()[-2:]
    logits = features @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-3)
    np.testing.assert_allclose(found.look(X[:7].reshape(7, 784))[0], features, rtol=1e-5)
    assert found.accuracy == np.mean(found.look(X[200:])[1].argmax(1) == Y[200:])


def test_a_seed_gives_the_same_judge_and_leaves_keras_alone(tmp_path):
    keras.utils.set_random_seed(1)
    expected = keras.random.uniform((2,), seed=None)
    keras.utils.set_random_seed(1)
    weights = evidence.mnist_judge(3).network.get_weights()
    np.testing.assert_array_equal(keras.random.uniform((2,), seed=None), expected)
    cached = evidence.mnist_judge(3)
    for file in tmp_path.rglob("*.npz"):
        file.unlink()
    again = evidence.mnist_judge(3)
    for a, b, c in zip(weights, cached.network.get_weights(), again.network.get_weights()):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, atol=1e-5)
    assert cached.accuracy == again.accuracy
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(weights, evidence.mnist_judge(4).network.get_weights()))


def test_refusals():
    for bad in (X[:2, :5], 255 * X[:2], np.full((2, 784), np.nan), X[:0]):
        with pytest.raises(ValueError, match="`images`.*Received"):
            evidence.Judge().look(bad)
