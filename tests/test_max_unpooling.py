"""Pooling that remembers and unpooling, against brute force in NumPy and TensorFlow's own kernel."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff
from zoo.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D

RNG = np.random.default_rng(0)


def brute(x, size):
    """Maxima and flat positions `row * width + column` in the image, window by window."""
    batch, height, width, channels = x.shape
    shape = (batch, -(-height // size), -(-width // size), channels)
    best, where = np.empty(shape, x.dtype), np.empty(shape, int)
    for n, i, j, c in np.ndindex(shape):
        window = x[n, i * size : (i + 1) * size, j * size : (j + 1) * size, c]
        row, column = np.unravel_index(window.argmax(), window.shape)
        best[n, i, j, c], where[n, i, j, c] = window.max(), (i * size + row) * width + j * size + column
    return best, where


def flat(positions, size, width):
    """Positions within windows as positions within the image."""
    i, j = np.indices(positions.shape)[1:3]
    return (i * size + positions // size) * width + j * size + positions % size


@pytest.mark.parametrize(("shape", "size"), [((2, 8, 6, 3), 2), ((2, 7, 5, 3), 2), ((1, 1, 1, 2), 2), ((1, 7, 8, 2), 3), ((1, 4, 5, 1), 1)])
def test_pooling_and_unpooling_equal_brute_force(shape, size):
    x = RNG.integers(-9, -1, shape).astype("float32")  # negative, with ties
    best, positions = map(ops.convert_to_numpy, MaxPoolingWithArgmax2D(size)(x))
    expected, where = brute(x, size)
    np.testing.assert_array_equal(best, expected)
    np.testing.assert_array_equal(flat(positions, size, shape[2]), where)
    values = RNG.normal(size=expected.shape).astype("float32")
    full = np.zeros((shape[0], shape[1] * shape[2], shape[3]), "float32")
    for n, i, j, c in np.ndindex(values.shape):
        full[n, where[n, i, j, c], c] = values[n, i, j, c]
    found = ops.convert_to_numpy(MaxUnpooling2D(size)(values, positions, x))
    np.testing.assert_array_equal(found, full.reshape(shape))
    again, same = map(ops.convert_to_numpy, MaxPoolingWithArgmax2D(size)(ops.abs(found) * 1.0))
    np.testing.assert_array_equal(again, np.abs(values))
    np.testing.assert_array_equal(same, positions)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's kernel is the oracle")
@pytest.mark.parametrize("shape", [(3, 8, 6, 4), (2, 9, 7, 5)])
def test_pooling_equals_tensorflows_kernel(shape):
    import tensorflow as tf

    x = RNG.normal(size=shape).astype("float32")
    expected, where = tf.nn.max_pool_with_argmax(x, 2, 2, "SAME")
    best, positions = map(ops.convert_to_numpy, MaxPoolingWithArgmax2D()(x))
    np.testing.assert_array_equal(best, expected)
    np.testing.assert_array_equal(flat(positions, 2, shape[2]) * shape[3] + np.arange(shape[3]), where)


def test_gradient_goes_where_the_maximum_was():
    x = RNG.normal(size=(2, 5, 6, 3)).astype("float32")
    x[0, :2, :2, 0] = 1.0  # four equal values: the first gets all
    pool, unpool = MaxPoolingWithArgmax2D(), MaxUnpooling2D()
    weights = RNG.normal(size=x.shape).astype("float32")
    found = autodiff.grad(lambda x: ops.sum(weights * unpool(*pool(x), x)), ops.convert_to_tensor(x))
    mask = ops.convert_to_numpy(unpool(ops.ones((2, 3, 3, 3)), pool(x)[1], x))
    assert mask[0, :2, :2, 0].tolist() == [[1, 0], [0, 0]]
    np.testing.assert_allclose(ops.convert_to_numpy(found), weights * mask, atol=1e-6)


def test_free_sizes_policies_and_files(tmp_path):
    image = keras.Input((None, None, 2))
    best, positions = MaxPoolingWithArgmax2D(3, dtype="mixed_float16")(image)
    model = keras.Model(image, [best, positions, MaxUnpooling2D(3, dtype="mixed_float16")(best, positions, image)])
    assert [y.dtype for y in model.outputs] == ["float16", "int32", "float16"] and model.outputs[2].shape == (None, None, None, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for size in ((7, 8), (6, 9)):
        x = RNG.normal(size=(1, *size, 2)).astype("float32")
        for a, b in zip(model(x), loaded(x)):
            np.testing.assert_array_equal(a, b)
        assert model(x)[2].shape == x.shape
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        model.export(tmp_path / "model", verbose=False)
        found = tf.saved_model.load(str(tmp_path / "model"))
        for a, b in zip(model(x), found.serve(x)):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layer", [MaxPoolingWithArgmax2D, MaxUnpooling2D])
def test_refusals(layer):
    for bad in (0, 2.0, (2, 2)):
        with pytest.raises(ValueError, match="pool_size"):
            layer(bad)
