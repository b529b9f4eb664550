"""The layers of competition against sorting in NumPy, with ties, and their gradients."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo import autodiff
from zoo.layers import KSparse, LifetimeSparsity, SpatialSparsity
from zoo.layers.winner_take_all import largest

RNG = np.random.default_rng(0)
ROWS = {
    "any": RNG.normal(size=(7, 33)),
    "ties": RNG.integers(-2, 3, (7, 33)),
    "rectified": np.maximum(RNG.normal(size=(7, 33)), 0),
    "equal": np.full((7, 33), -2.5),
    "two zeros": np.where(RNG.random((7, 33)) < 0.5, -0.0, 0.0),
    "large": RNG.normal(size=(7, 33)) * 1e37,
}


def first_largest(x, k, axis):
    """Brute force: a stable sort, so that of equal values the first comes first."""
    order = np.argsort(-x, axis=axis, kind="stable")
    found = np.zeros(x.shape, bool)
    np.put_along_axis(found, np.take(order, range(k), axis=axis), True, axis=axis)
    return found


def in_training(layer, x):
    return ops.convert_to_numpy(layer(ops.convert_to_tensor(x), training=True))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("axis", [0, 1])
def test_largest_against_a_stable_sort(rows, axis):
    x = ROWS[rows].astype("float32")
    for k in (1, 2, 5, x.shape[axis]):
        np.testing.assert_array_equal(ops.convert_to_numpy(largest(x, k, axis)), first_largest(x, k, axis))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_largest_of_short_floats(dtype):
    x = ops.cast(RNG.normal(size=(3, 40)).astype("float32"), dtype)
    expected = first_largest(ops.convert_to_numpy(ops.cast(x, "float32")), 4, 1)
    np.testing.assert_array_equal(ops.convert_to_numpy(largest(x, 4, 1)), expected)


@pytest.mark.parametrize("rate, winners", [(0.05, 1), (0.1, 2), (0.5, 10), (1.0, 20), (0.001, 1)])
def test_lifetime_sparsity_of_units(rate, winners):
    x = RNG.normal(size=(20, 6)).astype("float32")
    found = in_training(LifetimeSparsity(rate), x)
    np.testing.assert_array_equal(found, np.where(first_largest(x, winners, 0), x, 0))
    assert ((found != 0).sum(0) == winners).all()


def test_lifetime_sparsity_of_maps_compares_their_largest_activations():
    x = np.maximum(RNG.normal(size=(10, 4, 3, 5)), 0).astype("float32")
    kept = first_largest(x.max((1, 2)), 2, 0)
    np.testing.assert_array_equal(in_training(LifetimeSparsity(0.2), x), x * kept[:, None, None])


def test_spatial_sparsity_keeps_one_activation_of_each_map():
    x = RNG.integers(0, 4, (6, 5, 4, 3)).astype("float32")
    x[0, :, :, 0] = 1.0  # a blank part: all positions are equal
    found = in_training(SpatialSparsity(), x)
    expected = np.zeros_like(x)
    for b in range(6):
        for c in range(3):
            place = np.unravel_index(x[b, :, :, c].argmax(), (5, 4))
            expected[(b, *place, c)] = x[(b, *place, c)]
    np.testing.assert_array_equal(found, expected)
    assert (found != 0).sum((1, 2)).max() == 1


@pytest.mark.parametrize("k", [1, 4, 100])
def test_k_sparse_keeps_the_largest_of_each_sample(k):
    x = RNG.normal(size=(5, 3, 2, 4)).astype("float32")
    flat = x.reshape(5, -1)
    expected = np.where(first_largest(flat, min(k, 24), 1), flat, 0).reshape(x.shape)
    np.testing.assert_array_equal(in_training(KSparse(k), x), expected)


@pytest.mark.parametrize("layer", [LifetimeSparsity(0.3), SpatialSparsity(), KSparse(3)], ids=lambda layer: layer.name)
def test_only_winners_receive_a_gradient(layer):
    x = RNG.normal(size=(6, 4, 4, 2)).astype("float32")
    found = ops.convert_to_numpy(autodiff.grad(lambda x: ops.sum(3 * layer(x, training=True)), x))
    np.testing.assert_array_equal(found, 3.0 * (in_training(layer, x) != 0))


@pytest.mark.parametrize("layer", [LifetimeSparsity(0.3), SpatialSparsity(), KSparse(3)], ids=lambda layer: layer.name)
def test_everything_passes_after_training(layer):
    x = RNG.normal(size=(6, 4, 4, 2)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(x)), x)
    again = type(layer).from_config(layer.get_config())
    np.testing.assert_array_equal(in_training(again, x), in_training(layer, x))


def test_a_graph_with_any_batch_size():
    inputs = keras.Input((4, 4, 2))
    graph = keras.Model(inputs, LifetimeSparsity(0.5)(SpatialSparsity()(inputs)))
    x = RNG.normal(size=(6, 4, 4, 2)).astype("float32")
    assert graph.output_shape == (None, 4, 4, 2)
    for n in (2, 6):
        assert (ops.convert_to_numpy(graph(x[:n], training=True)) != 0).sum() == n // 2 * 2


@pytest.mark.parametrize("layer", [LifetimeSparsity(0.5), KSparse(3)], ids=lambda layer: layer.name)
def test_training_where_neither_batch_nor_image_has_a_known_size(layer):
    """The last batch of `fit` is smaller than the others, so that TensorFlow compiles for any size."""
    image = keras.Input((None, None, 2))
    network = keras.Model(image, layers.Conv2D(2, 3, padding="same")(layer(layers.Conv2D(4, 3, padding="same")(image))))
    network.compile("adam", "mse")
    x = RNG.normal(size=(5, 4, 3, 2)).astype("float32")
    assert np.isfinite(network.fit(x, x, batch_size=2, verbose=0).history["loss"][0])


@pytest.mark.parametrize("layer, name", [(LifetimeSparsity, "rate"), (KSparse, "k")])
@pytest.mark.parametrize("value", [0, -1, "x", None, (1,), float("nan"), float("inf"), {}])
def test_wrong_arguments(layer, name, value):
    with pytest.raises(ValueError, match=f"`{name}` must"):
        layer(value)


def test_other_wrong_arguments():
    with pytest.raises(ValueError, match="`rate` must"):
        LifetimeSparsity(2)
    with pytest.raises(ValueError, match="`k` must"):
        KSparse(1.5)
    with pytest.raises(ValueError, match="`inputs` must"):
        SpatialSparsity()(np.zeros((2, 3, 4), "float32"), training=True)
    assert KSparse(2.0).k == 2
