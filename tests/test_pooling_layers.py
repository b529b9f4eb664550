"""Max-pooling dropout and stochastic pooling against enumeration, sampling and Keras."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from zoo.layers import MaxPoolingDropout2D, StochasticPooling2D
from zoo.layers.max_pooling_dropout import descending

RNG = np.random.default_rng(0)
SHAPES = [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((2, 3), (1, 2)), ((2, 2), (3, 3)), ((5, 1), (2, 3)), ((1, 1), (1, 1))]


def image(signed, *shape):
    x = RNG.normal(size=shape).astype("float32")
    return x if signed else np.maximum(x, 0)


def regions(x, size, strides, padding):
    """Brute force: index -> the units of each region, a 1-D array."""
    (kh, kw), (sh, sw) = size, strides
    n, height, width, channels = x.shape
    if padding == "same":
        out = -(-height // sh), -(-width // sw)
        top, left = (max((o - 1) * s + k - m, 0) // 2 for o, s, k, m in zip(out, strides, size, (height, width)))
    else:
        out, top, left = ((height - kh) // sh + 1, (width - kw) // sw + 1), 0, 0
    for b, r, c, ch in itertools.product(range(n), range(out[0]), range(out[1]), range(channels)):
        rows = [i for i in range(r * sh - top, r * sh - top + kh) if 0 <= i < height]
        columns = [j for j in range(c * sw - left, c * sw - left + kw) if 0 <= j < width]
        yield (b, r, c, ch), x[b][np.ix_(rows, columns)][..., ch].ravel()


def mean_by_enumeration(units, rate):
    """The maximum for every way to drop units, weighted by its probability."""
    total = 0
    for kept in itertools.product((0, 1), repeat=len(units)):
        probability = (1 - rate) ** sum(kept) * rate ** (len(units) - sum(kept))
        total += probability * max(float(u) if k else 0 for u, k in zip(units, kept))
    return total


@pytest.mark.parametrize("size, strides", SHAPES)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("signed", [False, True])
def test_weighted_pooling_is_the_mean_over_all_ways_to_drop(size, strides, padding, signed):
    x = image(signed, 2, 7, 8, 2) - (0.8 if signed else 0)
    found = ops.convert_to_numpy(MaxPoolingDropout2D(size, strides, padding, rate=0.3)(x))
    expected = np.full(found.shape, np.nan)
    for index, units in regions(x, size, strides, padding):
        expected[index] = mean_by_enumeration(units, 0.3)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    if signed:
        assert np.any(expected < 0) or max(size) > 2


def test_the_papers_formula():
    """p_i = p q^(n-i) for units sorted upwards, p_0 = q^n for none."""
    units, q = np.sort(image(False, 4) + 0.1), 0.4
    p = [q**4] + [(1 - q) * q ** (4 - i) for i in (1, 2, 3, 4)]
    found = MaxPoolingDropout2D(rate=q)(RNG.permutation(units).reshape(1, 2, 2, 1))
    np.testing.assert_allclose(sum(p), 1)
    np.testing.assert_allclose(float(ops.squeeze(found)), np.dot(p[1:], units), rtol=1e-6)


@pytest.mark.parametrize("size, strides", [((2, 2), None), ((3, 3), (2, 2))])
def test_training_is_a_multinomial_draw(size, strides):
    """Frequencies of the picked units against the probabilities of the sorted ones; several overlapping regions."""
    one = RNG.permutation(np.arange(1.0, 36)).reshape(1, 5, 7, 1).astype("float32")
    layer = MaxPoolingDropout2D(size, strides, rate=0.4, seed=1)
    draws = ops.convert_to_numpy(layer(np.repeat(one, 20_000, 0), training=True))
    for (_, r, c, _), units in regions(one, size, strides or size, "valid"):
        n = len(units)
        expected = [0.6 * 0.4**i for i in range(n)] + [0.4**n]
        found = [np.mean(draws[:, r, c, 0] == u) for u in [*np.sort(units)[::-1], 0]]
        np.testing.assert_allclose(found, expected, atol=0.02)


def test_inference_modes():
    x = image(True, 2, 9, 9, 3)
    largest = ops.convert_to_numpy(keras.layers.MaxPooling2D(3, 2)(x))
    modes = {m: ops.convert_to_numpy(MaxPoolingDropout2D(3, 2, rate=0.25, inference=m)(x)) for m in ("max", "scaled_max", "weighted")}
    np.testing.assert_array_equal(modes["max"], largest)
    np.testing.assert_allclose(modes["scaled_max"], 0.75 * largest, rtol=1e-6)
    assert np.all(modes["weighted"] <= np.maximum(largest, 0) + 1e-6)
    for training in (True, False):
        np.testing.assert_array_equal(ops.convert_to_numpy(MaxPoolingDropout2D(3, 2, rate=0.0)(x, training=training)), largest)


@pytest.mark.parametrize("n", range(1, 26))
def test_descending_sorts(n):
    arrays = RNG.integers(0, 9, (n, 200)).astype("float32")
    found = np.stack([ops.convert_to_numpy(a) for a in descending(list(arrays))])
    np.testing.assert_array_equal(found, -np.sort(-arrays, axis=0))


@pytest.mark.parametrize("size, strides", SHAPES)
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_stochastic_pooling_after_training(size, strides, padding):
    x = image(False, 2, 7, 8, 2)
    found = ops.convert_to_numpy(StochasticPooling2D(size, strides, padding)(x))
    for index, units in regions(x, size, strides, padding):
        expected = np.sum(units**2) / np.sum(units) if units.any() else 0
        np.testing.assert_allclose(found[index], expected, atol=1e-6)


def test_stochastic_pooling_in_training():
    units = np.array([[3.0, 0.0], [1.0, 6.0]], "float32")
    layer = StochasticPooling2D(2, seed=1)
    draws = ops.convert_to_numpy(layer(np.repeat(units.reshape(1, 2, 2, 1), 20_000, 0), training=True))
    np.testing.assert_allclose([np.mean(draws == u) for u in (3, 0, 1, 6)], [0.3, 0, 0.1, 0.6], atol=0.015)
    assert not np.any(ops.convert_to_numpy(layer(np.zeros((1, 4, 4, 1)), training=True)))


@pytest.mark.parametrize("layer", [MaxPoolingDropout2D(3, 2, "same", 0.3, seed=0), StochasticPooling2D((2, 3), seed=0)])
def test_images_of_any_size_in_a_network(layer):
    network = keras.Sequential([keras.Input((None, None, 2)), layer.from_config(layer.get_config())])
    for height, width in ((7, 8), (4, 9)):
        x = image(False, 2, height, width, 2)
        assert network(x).shape == layer.compute_output_shape(x.shape)
        np.testing.assert_allclose(network.predict(x, verbose=0), ops.convert_to_numpy(layer(x)), atol=1e-6)
    assert network.output_shape == (None, None, None, 2)


def test_half_precision():
    x = image(False, 2, 6, 6, 2)
    for layer in (MaxPoolingDropout2D(3, 2, dtype="mixed_float16"), StochasticPooling2D(dtype="mixed_float16")):
        found = layer(x)
        assert keras.backend.standardize_dtype(found.dtype) == "float16"
        exact = type(layer).from_config({**layer.get_config(), "dtype": "float32"})(x)
        np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(exact), atol=5e-3)
        assert np.all(np.isfinite(ops.convert_to_numpy(layer(x, training=True))))


def test_refusals():
    for arguments, name in (
        ({"rate": 1.0}, "rate"),
        ({"rate": -0.1}, "rate"),
        ({"inference": "mean"}, "inference"),
        ({"padding": "full"}, "padding"),
        ({"pool_size": 0}, "pool_size"),
        ({"strides": (1, 2, 3)}, "strides"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            MaxPoolingDropout2D(**arguments)
    with pytest.raises(ValueError, match="`inputs` must not be smaller"):
        MaxPoolingDropout2D(3)(keras.Input((2, 5, 1)))
