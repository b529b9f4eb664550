"""Reduced images are means of squares, reduced masks their middles."""

import numpy as np
import pytest

from zoo import datasets


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_reduced_equals_a_loop(factor):
    rng = np.random.default_rng(0)
    images, labels = rng.uniform(size=(2, 6, 12, 3)), rng.integers(0, 5, (2, 6, 12), "int32")
    small, classes = datasets.reduced(images, labels, factor)
    assert small.shape == (2, 6 // factor, 12 // factor, 3) and small.dtype == "float32" and classes.dtype == "int32"
    for n, i, j in np.ndindex(classes.shape):
        square = slice(i * factor, (i + 1) * factor), slice(j * factor, (j + 1) * factor)
        np.testing.assert_allclose(small[n, i, j], images[(n, *square)].mean((0, 1)), rtol=1e-6)
        assert classes[n, i, j] == labels[(n, *square)][factor // 2, factor // 2]


def test_reduced_refuses():
    images, labels = np.zeros((1, 6, 8, 3)), np.zeros((1, 6, 8), int)
    for bad in ((images, labels, 4), (images, labels, 0), (images[0], labels, 2), (images, labels[:, :4], 2)):
        with pytest.raises(ValueError, match="multiples of"):
            datasets.reduced(*bad)
