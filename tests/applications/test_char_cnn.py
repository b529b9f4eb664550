"""What is special to CharCNN: the papers' sizes, the quantisation, and the network against loops."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import CharCNN
from zoo.applications.char_cnn import Quantization

TEXTS = ["The BAD cat, a hat", "é", "", "tea " * 9]


def small(**arguments):
    keras.utils.set_random_seed(0)
    return CharCNN(**{**CharCNN.example_config(), **arguments})


def one_hot(text, alphabet, length, backward):
    """The paper's section 2.2: the first `length` characters, the last of them first."""
    array = np.zeros((length, len(alphabet)))
    read = text.lower()[:length]
    for place, character in enumerate(read[::-1] if backward else read):
        if character in alphabet:
            array[place, alphabet.index(character)] = 1
    return array


@pytest.mark.parametrize("backward", [False, True])
def test_quantization(backward):
    model = small()
    found = ops.convert_to_numpy(Quantization(9, backward)(model.encode(TEXTS)))
    np.testing.assert_array_equal(found, [one_hot(t, model.alphabet, 20, backward) for t in TEXTS])


def brute_force(model, text):
    x = one_hot(text, model.alphabet, model.length, model.backward)
    parts = {layer.name: [ops.convert_to_numpy(v) for v in layer.weights] for layer in model.network.layers}
    for i, (size, pool) in enumerate(model.convolutions):
        kernel, bias = parts[f"conv{i}"]
        x = np.array([np.maximum(np.einsum("tc,tcf->f", x[t : t + size], kernel) + bias, 0) for t in range(len(x) - size + 1)])
        x = np.array([x[t : t + pool].max(0) for t in range(0, len(x) - pool + 1, pool)])
    x = x.ravel()
    for name in ("hidden0", "hidden1", "logits"):
        kernel, bias = parts[name]
        x = x @ kernel + bias if name == "logits" else np.maximum(x @ kernel + bias, 0)
    return np.exp(x) / np.exp(x).sum()


@pytest.mark.parametrize("backward", [False, True])
def test_against_loops(backward):
    model = small(backward=backward)
    found = model.predict(model.encode(TEXTS), verbose=0)
    np.testing.assert_allclose(found, [brute_force(model, t) for t in TEXTS], atol=1e-5)


def test_the_papers_networks():
    for size, features, units, stddev in (("small", 256, 1024, 0.05), ("large", 1024, 2048, 0.02)):
        model = CharCNN(4, size=size)
        n = len(model.alphabet)
        expected = [(7, n, features), (7, features, features), *[(3, features, features)] * 4]
        expected += [(34 * features, units), (units, units), (units, 4)]
        kernels = [v for v in model.trainable_variables if len(v.shape) > 1]
        assert [tuple(v.shape) for v in kernels] == expected
        assert float(ops.std(kernels[1])) == pytest.approx(stddev, rel=0.01)
    assert n == 69 and small(size="small", features=None, convolutions=[[7, 3]]).network.get_layer("conv0").filters == 256
    assert isinstance(model.optimizer, keras.optimizers.Adam) and float(model.optimizer.learning_rate) == pytest.approx(0.001)


def test_length():
    assert CharCNN(length=123, features=2, units=2).network.get_layer("flatten").output.shape == (None, 2)
    with pytest.raises(ValueError, match="`length` must be at least 123"):
        CharCNN(length=122)


def test_learning_rate_is_halved_after_updates():
    # after 15,000 of them, however few texts an epoch of `fit` has; a second `fit` goes on counting
    model = small()
    data = model.example_data(4)
    for _ in range(2):
        model.fit(**data, epochs=20, batch_size=4, verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)
    assert int(model.optimizer.iterations) == 40
    model.optimizer.iterations.assign(14_999)
    model.fit(**data, verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0005)
    model.fit(**data, verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0005)


def test_reads_backward_by_default():
    assert CharCNN().network.get_layer("quantization").backward
    # of a longer text the beginning, the last of its characters first
    model = small(backward=True)
    found = ops.convert_to_numpy(model.network.get_layer("quantization")(model.encode(["abc" * 20])))
    np.testing.assert_array_equal(found[0], one_hot("abc" * 20, model.alphabet, model.length, True))


def test_characters_are_dropped_in_training_only():
    blank = small(symbol_dropout=0.99, dropout=0.0)
    plain = small(symbol_dropout=0.0, dropout=0.0)
    blank.set_weights([*plain.get_weights(), *blank.get_weights()[len(plain.get_weights()) :]])
    x = blank.encode(TEXTS[:1])
    np.testing.assert_allclose(blank(x, training=False), plain(x, training=False), atol=1e-6)
    empty = ops.convert_to_numpy(plain(plain.encode([""])))
    means = np.mean([ops.convert_to_numpy(blank(x, training=True)) for _ in range(20)], axis=0)
    assert np.abs(means - empty).max() < np.abs(ops.convert_to_numpy(plain(x)) - empty).max()


def test_export_takes_strings(tmp_path):
    import tensorflow as tf

    model = small()
    model.export(tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model/1"))
    found = loaded.signatures["serving_default"](text=tf.constant(TEXTS))["probabilities"]
    np.testing.assert_allclose(found, model.predict(model.encode(TEXTS), verbose=0), atol=1e-6)
    assert [name for name, _ in model.classify(TEXTS)] == ["xyz"[i] for i in np.argmax(found, axis=1)]


def test_refusals():
    for bad in (
        {"size": "medium"},
        {"convolutions": []},
        {"convolutions": [[3]]},
        {"alphabet": "aa"},
        {"alphabet": "aB"},
        {"alphabet": ["ab"]},
        {"num_classes": 1},
        {"symbol_dropout": 1.0, "word": "rate"},
    ):
        word = bad.pop("word", next(iter(bad)))
        with pytest.raises(ValueError, match=f"`{word}`"):
            small(**bad)
