"""What is special to GradNet: each component at both ends of its blend, and the plain network that is left."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import GradNet
from zoo.layers.grad_layer import grad_layers

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 8, 7, 2)).astype("float32"), RNG.integers(0, 3, 8)


def small(**arguments):
    keras.utils.set_random_seed(0)
    return GradNet(**{**GradNet.example_config(), **arguments})


def weights(model):
    """Kernels and biases, by name of the layer."""
    found = {layer.name: [ops.convert_to_numpy(v) for v in layer.weights] for layer in model.network.layers if hasattr(layer, "kernel")}
    return [found[f"{n}"] for n in ("block0_layer0", "block0_layer1", "block1_layer0", "hidden0", "hidden1", "logits")]


def convolve(x, kernel, bias):
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    return bias + sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))


def pooled(x, how):
    n, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2].reshape(n, height // 2, 2, width // 2, 2, channels)
    return getattr(x, how)(axis=(2, 4))


def by_hand(model, activation, norm, pool, skip):
    """The network in NumPy, without batch normalisation's statistics but their first values (epsilon 1e-3)."""

    def layer(x, linear, kernel, bias):
        h = activation(linear(x, kernel, bias) / (1.001**0.5 if norm else 1))
        return x if skip and h.shape == x.shape else h

    dense = lambda x, kernel, bias: x @ kernel + bias  # noqa: E731
    first, second, third, hidden0, hidden1, logits = weights(model)
    x = pooled(layer(layer(X, convolve, *first), convolve, *second), pool)
    x = pooled(layer(x, convolve, *third), pool).reshape(len(X), -1)
    x = dense(layer(layer(x, dense, *hidden0), dense, *hidden1), *logits)
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


ENDS = {
    "relu": {"activation": lambda x: x},
    "leaky_relu": {"activation": lambda x: np.where(x < 0, x / 3, x)},
    "normalization": {"norm": True},
    "pooling": {"pool": "mean"},
    "skip": {"skip": True},
    "dropout": {},
}
PLAIN = {"activation": lambda x: np.maximum(x, 0), "norm": False, "pool": "max", "skip": False}


@pytest.mark.parametrize("component", ENDS)
def test_each_component_at_both_ends(component):
    model = small(components=[component], schedule="linear")
    np.testing.assert_allclose(model.predict(X, verbose=0), by_hand(model, **{**PLAIN, **ENDS[component]}), atol=1e-5)
    for layer in grad_layers(model):
        layer.blend.assign(1.0)
    assert len(grad_layers(model)) == {"pooling": 2, "skip": 2, "dropout": 4}.get(component, 5)
    np.testing.assert_allclose(model.predict(X, verbose=0), by_hand(model, **PLAIN), atol=1e-5)


def test_finalize(tmp_path):
    """After the blend, a smaller network with the same outputs, which trains on and can be saved as a preset."""
    model = small(blend_epochs=1, schedule="cosine")
    with pytest.raises(ValueError, match="blended completely"):
        model.finalize()
    history = model.fit(X, Y, batch_size=4, verbose=0)
    assert history.history["blend"] == [1.0]
    plain = model.finalize()
    np.testing.assert_allclose(plain.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-6)
    assert not grad_layers(plain) and plain.count_params() < model.count_params()
    assert len(plain.network.layers) < len(model.network.layers) and plain.default_callbacks() == []
    plain.save_pretrained(tmp_path / "preset")
    loaded = GradNet.from_pretrained(tmp_path / "preset")
    np.testing.assert_allclose(loaded.predict(X, verbose=0), plain.predict(X, verbose=0), atol=1e-6)
    assert np.isfinite(loaded.fit(X, Y, verbose=0).history["loss"][0])


def test_a_linear_start_keeps_the_variance():
    """Glorot's kernels carry a deep linear network; a plain network starts from He's."""
    x = RNG.normal(size=(100, 8, 7, 2)).astype("float32")
    for components, initializer in ((["relu"], "GlorotUniform"), ([], "HeNormal")):
        model = small(blocks=[], units=[200] * 12, components=components, dropout=0.0)
        layer = model.network.get_layer("hidden11")
        assert type(layer.kernel_initializer).__name__ == initializer
        variance = ops.convert_to_numpy(keras.Model(model.network.input, layer.output)(x)).var()
        assert 0.05 < variance < 5


def test_refusals():
    for bad in (
        {"components": ["gelu"]},
        {"components": ["relu", "leaky_relu"]},
        {"components": ["dropout"], "dropout": 0.0},
        {"schedule": "square"},
        {"num_classes": 1},
    ):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            small(**bad)
    with pytest.raises(ValueError, match="`blend_epochs` positive"):
        small(blend_epochs=0)
