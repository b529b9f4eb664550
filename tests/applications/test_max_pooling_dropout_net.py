"""What is special to MaxPoolingDropoutNet: the paper's networks, and one set of weights for all ways to pool after training."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import MaxPoolingDropoutNet
from zoo.layers import MaxPoolingDropout2D, StochasticPooling2D

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 9, 8, 2)).astype("float32")


def small(**arguments):
    keras.utils.set_random_seed(0)
    return MaxPoolingDropoutNet(**{**MaxPoolingDropoutNet.example_config(), **arguments})


def pools(model):
    return [layer for layer in model.network.layers if "pool" in layer.name]


def test_the_papers_networks():
    mnist = MaxPoolingDropoutNet()
    expected = 25 * 20 + 20 + 25 * 20 * 40 + 40 + 4 * 4 * 40 * 1000 + 1000 + 1000 * 10 + 10
    assert sum(int(np.prod(v.shape)) for v in mnist.trainable_variables) == expected
    assert [p.output.shape[1:] for p in pools(mnist)] == [(12, 12, 20), (4, 4, 40)]
    cifar = MaxPoolingDropoutNet((32, 32, 3), blocks="cifar", units=(2, 2))
    assert [p.output.shape[1:] for p in pools(cifar)] == [(16, 16, 96), (8, 8, 128), (4, 4, 256)]
    assert all((p.pool_size, p.strides) == ((3, 3), (2, 2)) for p in pools(cifar))


@pytest.mark.parametrize("pooling, kind", [("max", keras.layers.MaxPooling2D), ("stochastic", StochasticPooling2D)])
def test_baselines(pooling, kind):
    model = small(pooling=pooling)
    assert all(type(p) is kind for p in pools(model))
    assert np.all(np.isfinite(model.predict(X, verbose=0)))


def test_weights_fit_every_inference(tmp_path):
    model = small()
    model.save_pretrained(tmp_path / "preset")
    outputs = {}
    for inference in ("weighted", "max", "scaled_max"):
        loaded = MaxPoolingDropoutNet.from_pretrained(tmp_path / "preset", inference=inference)
        assert all(type(p) is MaxPoolingDropout2D and (p.inference, p.rate) == (inference, 0.3) for p in pools(loaded))
        outputs[inference] = loaded.predict(X, verbose=0)
    np.testing.assert_allclose(outputs["weighted"], model.predict(X, verbose=0), atol=1e-6)
    assert np.abs(outputs["weighted"] - outputs["max"]).max() > 1e-4 < np.abs(outputs["weighted"] - outputs["scaled_max"]).max()
    plain = small(pooling="max")
    plain.set_weights([ops.convert_to_numpy(v) for v in model.weights if "seed" not in v.path] + plain.get_weights()[8:])
    np.testing.assert_allclose(plain.predict(X, verbose=0), outputs["max"], atol=1e-6)


def test_weighted_pooling_is_near_the_average_of_many_dropped_networks():
    """With one block and no hidden layer the logits are linear in the pooled units, so that the mean is exact."""
    model = small(blocks=[[4, 3, 3, 2]], units=[], head_dropout=0.0)
    logits = keras.Model(model.network.input, model.network.get_layer("logits").output)
    draws = [ops.convert_to_numpy(logits(np.repeat(X[:1], 5000, 0), training=True)).mean(0) for _ in range(4)]
    error = np.std(draws, axis=0).max()
    np.testing.assert_allclose(np.mean(draws, 0), ops.convert_to_numpy(logits(X[:1]))[0], atol=5 * error)
    for inference in ("max", "scaled_max"):
        other = small(blocks=[[4, 3, 3, 2]], units=[], head_dropout=0.0, inference=inference)
        found = keras.Model(other.network.input, other.network.get_layer("logits").output)(X[:1])
        assert np.abs(ops.convert_to_numpy(found)[0] - np.mean(draws, 0)).max() > 20 * error


def test_refusals():
    for bad in ({"pooling": "mean"}, {"inference": "mean"}, {"padding": "full"}, {"blocks": "svhn"}, {"rate": 1.0}, {"num_classes": 1}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            small(**bad)
