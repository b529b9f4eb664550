"""The softmax over words: estimated, tied, and over candidates, against the full one by hand."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special

from zoo import autodiff
from zoo.layers import WordSoftmax

RNG = np.random.default_rng(0)


def test_sampled_softmax():
    layer = WordSoftmax(9, 4, samples=3)
    rng = np.random.default_rng(0)
    layer.kernel.assign(rng.normal(size=(9, 4)))
    # padding is never drawn, and never comes
    layer.bias.assign(np.concatenate([[[-20.0]], rng.normal(size=(8, 1))]))
    inputs, targets = rng.normal(size=(2, 3, 4)).astype("float32"), np.array([[2, 8, 1], [5, 3, 0]], "int32")
    kernel, bias = map(ops.convert_to_numpy, (layer.kernel, layer.bias))
    scores = inputs @ kernel.T + bias[:, 0]
    # by hand at fixed draws: those of the right word do not count
    draws = np.array([2, 7, 2], "int32")
    found = ops.convert_to_numpy(layer.estimate(inputs, targets, draws))
    for b, t in np.ndindex(2, 3):
        y = targets[b, t]
        total = np.exp(scores[b, t, y]) + sum(np.exp(scores[b, t, k]) / (3 * layer.shares[k]) for k in draws if k != y)
        assert found[b, t] == pytest.approx((np.log(total) - scores[b, t, y]) * (y > 0), rel=1e-4)
    # many draws give the full softmax, which is also that of inference
    many = layer.sampler((200_000,), seed=1)
    full = ops.convert_to_numpy(layer(inputs, targets))
    np.testing.assert_allclose(ops.convert_to_numpy(layer.estimate(inputs, targets, many)), full, atol=0.02)
    expected = [-np.log(special.softmax(scores[b, t])[targets[b, t]]) * (targets[b, t] > 0) for b, t in np.ndindex(2, 3)]
    np.testing.assert_allclose(full.ravel(), expected, rtol=1e-5)
    assert np.abs(ops.convert_to_numpy(layer(inputs, targets, training=True)) - full).max() > 0.02


def test_padding_is_never_drawn():
    layer = WordSoftmax(9, 4, samples=3)
    np.testing.assert_allclose(layer.shares * (layer.shares[1] ** -1), [0, 1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 7, 1], rtol=1e-5)
    draws = ops.convert_to_numpy(layer.sampler((100_000,), seed=1))
    np.testing.assert_allclose(np.bincount(draws, minlength=9) / 100_000, layer.shares, atol=0.01)
    assert draws.min() == 1
    # nor does a search write it
    assert ops.softmax(layer.logits(np.zeros((1, 4), "float32")))[0, 0] < 1e-8


def test_candidates_have_the_logits_of_the_full_softmax():
    layer = WordSoftmax(9, 4)
    layer.bias.assign(RNG.normal(size=(9, 1)))
    candidates, inputs = np.array([[0, 3, 8], [0, 2, 5]], "int32"), RNG.normal(size=(6, 4)).astype("float32")
    full = ops.convert_to_numpy(layer.logits(inputs))
    # three rows of each text
    expected = np.take_along_axis(full, np.repeat(candidates, 3, axis=0), axis=1)
    np.testing.assert_allclose(layer.candidate_logits(inputs, candidates), expected, rtol=1e-5, atol=1e-6)


def test_tied_rows_are_those_of_the_table():
    embedding, layer = keras.layers.Embedding(9, 4), WordSoftmax(9, 4, tied=True)
    embedding.build((None,))
    layer.tie(embedding.embeddings)
    inputs = RNG.normal(size=(2, 3, 4)).astype("float32")
    expected = inputs @ ops.convert_to_numpy(embedding.embeddings).T
    np.testing.assert_allclose(layer.logits(inputs), expected, rtol=1e-5, atol=1e-6)
    assert len(layer.weights) == 1

    def loss():
        return ops.sum(layer(inputs, np.array([[2, 8, 1], [5, 3, 0]], "int32")))

    assert np.any(ops.convert_to_numpy(ops.convert_to_tensor(autodiff.value_and_weight_grad(loss, [embedding.embeddings])[1][0])))
    with pytest.raises(ValueError, match="table"):
        WordSoftmax(9, 4).tie(embedding.embeddings)
