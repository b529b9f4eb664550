"""Noise-contrastive estimation by hand, and where its loss has its minimum."""

import numpy as np
from keras import ops
from scipy.optimize import minimize

from zoo import layers

RNG = np.random.default_rng(0)


def test_words_are_told_from_noise():
    layer, inputs = layers.NoiseContrastive(11, 6, samples=4, noise=2), RNG.normal(size=(1, 2, 6)).astype("float32")
    layer.kernel.assign(RNG.normal(size=(11, 6)))
    targets, draws = np.array([[3, 0]], "int32"), np.array([5, 2, 5, 9], "int32")
    kernel, bias = map(ops.convert_to_numpy, (layer.kernel, layer.bias))
    row, noise = inputs[0, 0] @ kernel.T + bias[:, 0], 2 * layer.shares
    chance = np.exp(row) / (np.exp(row) + noise)
    # the mean of four draws stands for two
    wanted = -np.log(chance[3]) - 2 * np.mean(np.log(1 - chance[draws]))
    np.testing.assert_allclose(layer.against(inputs, targets, draws)[0], [wanted, 0], rtol=1e-4)


def test_padding_has_no_share_and_a_finite_bias():
    layer = layers.NoiseContrastive(11, 6, samples=4)
    bias = ops.convert_to_numpy(layer.bias)[:, 0]
    assert layer.shares[0] == 0 and bias[0] == bias.min() and np.all(np.isfinite(bias))
    np.testing.assert_allclose(np.exp(bias[1:]), layer.shares[1:], rtol=1e-5)


def test_the_best_scores_are_the_probabilities():
    """With noise by its shares, the loss has its minimum where the scores are the logarithms of the data's shares."""
    layer = layers.NoiseContrastive(5, 1, samples=600)
    targets, inputs = np.repeat([1, 2, 3, 4], [4, 3, 2, 1]).astype("int32")[None], np.zeros((1, 10, 1), "float32")
    draws = np.repeat(np.arange(5), np.round(600 * layer.shares).astype(int)).astype("int32")

    def loss(bias):
        layer.bias.assign(np.concatenate([[-20.0], bias])[:, None])
        return float(ops.mean(layer.against(inputs, targets, draws)))

    found = minimize(loss, np.full(4, -1.0), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-6, "maxiter": 600}).x
    np.testing.assert_allclose(np.exp(found), [0.4, 0.3, 0.2, 0.1], rtol=0.05)
