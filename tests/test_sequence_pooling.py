"""Pooling over time against loops over each map."""

import numpy as np
import pytest
from keras import ops

from zoo.layers import SequencePooling

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 7, 3)).astype("float32")
COUNT = [7, 5, 2, 1]


def brute_force(mode, steps, size):
    if mode == "max":
        return [max(steps)]
    if mode == "average":
        return [sum(steps) / len(steps)]
    if mode == "k_max":
        kept = sorted(sorted(range(len(steps)), key=lambda i: -steps[i])[:size])
        return [steps[i] for i in kept] + [0] * (size - len(kept))
    regions = [steps[i : i + size] for i in range(0, 7, size)]
    return [max(region) if region else 0 for region in regions]


@pytest.mark.parametrize("mode, size", [("max", None), ("average", None), ("k_max", 3), ("k_max", 1), ("local_max", 3), ("local_max", 2)])
def test_every_map(mode, size):
    found = ops.convert_to_numpy(SequencePooling(mode, size)(X, np.array(COUNT)))
    # whatever lies behind the end does not matter
    spoiled = X.copy()
    for row, count in enumerate(COUNT):
        spoiled[row, count:] = 100
    np.testing.assert_array_equal(found, ops.convert_to_numpy(SequencePooling(mode, size)(spoiled, np.array(COUNT))))
    assert found.shape == SequencePooling(mode, size).compute_output_shape(X.shape, (4,))
    for row, count in enumerate(COUNT):
        columns = [brute_force(mode, list(X[row, :count, m]), size) for m in range(3)]
        by_map = mode == "k_max"
        expected = np.array(columns if by_map else np.transpose(columns)).ravel()
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match="`mode`"):
        SequencePooling("mean")
    with pytest.raises(ValueError, match="`size`"):
        SequencePooling("k_max")
