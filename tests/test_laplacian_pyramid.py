"""The Laplacian pyramid: exact reconstruction, and its parts against SciPy and NumPy."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from zoo.layers import LaplacianPyramid

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 24, 16, 2)).astype("float32")


def numpy(values):
    return [ops.convert_to_numpy(v) for v in values]


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_bands_give_the_image_back(levels):
    layer = LaplacianPyramid(levels)
    bands = layer(X)
    assert [band.shape for band in bands] == [(3, 24 >> k, 16 >> k, 2) for k in range(levels)]
    # exact but for the rounding of one sum a level
    np.testing.assert_allclose(layer.collapse(bands), X, rtol=0, atol=4 * np.finfo("float32").eps * np.abs(X).max())
    assert [tuple(shape) for shape in layer.compute_output_shape(X.shape)] == [tuple(band.shape) for band in bands]


def test_halving_is_the_mean_of_blocks_and_doubling_is_bilinear():
    half = ops.convert_to_numpy(LaplacianPyramid.down(X))
    np.testing.assert_allclose(half, X.reshape(3, 12, 2, 8, 2, 2).mean((2, 4)), atol=1e-6)
    expected = ndimage.zoom(X, (1, 2, 2, 1), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(LaplacianPyramid.up(X), expected, atol=1e-5)
    single = np.ones((1, 1, 1, 3), "float32")
    np.testing.assert_allclose(LaplacianPyramid.up(single), np.ones((1, 2, 2, 3)), atol=1e-6)


def test_bands_of_a_flat_image_are_empty_but_for_the_last():
    bands = numpy(LaplacianPyramid(3)(np.full((1, 8, 8, 1), 0.7, "float32")))
    assert max(np.abs(band).max() for band in bands[:-1]) < 1e-6
    np.testing.assert_allclose(bands[-1], 0.7, rtol=1e-6)


def test_inside_a_model_with_a_free_batch(tmp_path):
    image = keras.Input((24, 16, 2))
    layer = LaplacianPyramid(3)
    model = keras.Model(image, layer(image))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(again.predict(X, verbose=0), numpy(layer(X))):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match="`levels`"):
        LaplacianPyramid(0)
    for shape in ((3, 24, 18, 2), (24, 16, 2)):
        with pytest.raises(ValueError, match="`images` must be .* divisible by 4"):
            LaplacianPyramid(3)(np.zeros(shape))
