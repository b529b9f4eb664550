"""Distributions of actions against SciPy, sampling and second derivatives."""

import numpy as np
import pytest
from keras import ops
from scipy import stats

from zoo import autodiff
from zoo.distributions import Categorical, DiagonalGaussian

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
GAUSS = np.random.default_rng(1).normal(size=(2, 3, 4)).astype("float32")
OTHER = np.random.default_rng(2).normal(size=(2, 3, 4)).astype("float32")


def number(tensor):
    return ops.convert_to_numpy(tensor)


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def test_categorical():
    p, q = softmax(LOGITS), softmax(OTHER)
    ours = Categorical(ops.convert_to_tensor(LOGITS))
    actions = np.random.default_rng(3).integers(4, size=(2, 3))
    np.testing.assert_allclose(number(ours.log_prob(actions)), np.log(np.take_along_axis(p, actions[..., None], -1))[..., 0], rtol=1e-5)
    np.testing.assert_allclose(number(ours.entropy()), stats.entropy(p, axis=-1), rtol=1e-5)
    np.testing.assert_allclose(number(ours.kl(Categorical(ops.convert_to_tensor(OTHER)))), stats.entropy(p, q, axis=-1), rtol=1e-4)
    np.testing.assert_array_equal(number(ours.mode()), LOGITS.argmax(-1))


def test_gaussian():
    mean, std = GAUSS[..., :2], np.exp(GAUSS[..., 2:])
    ours, other = (DiagonalGaussian(ops.convert_to_tensor(x)) for x in (GAUSS, OTHER))
    x = np.random.default_rng(3).normal(size=(2, 3, 2)).astype("float32")
    np.testing.assert_allclose(number(ours.log_prob(x)), stats.norm.logpdf(x, mean, std).sum(-1), rtol=1e-4)
    np.testing.assert_allclose(number(ours.entropy()), stats.norm.entropy(mean, std).sum(-1), rtol=1e-4)
    np.testing.assert_array_equal(number(ours.mode()), mean)
    # the divergence as an integral
    grid = np.linspace(-40, 40, 20001)
    for i in range(2):
        p = stats.norm.pdf(grid, mean[0, 0, i], std[0, 0, i])
        log_ratio = stats.norm.logpdf(grid, mean[0, 0, i], std[0, 0, i]) - stats.norm.logpdf(
            grid, OTHER[0, 0, i], np.exp(OTHER[0, 0, 2 + i])
        )
        single = [DiagonalGaussian(ops.convert_to_tensor(v[0, 0, i::2])) for v in (GAUSS, OTHER)]
        np.testing.assert_allclose(number(single[0].kl(single[1])), np.trapezoid(p * log_ratio, grid), rtol=1e-3)
    singles = sum(
        number(DiagonalGaussian(ops.convert_to_tensor(GAUSS[..., i::2])).kl(DiagonalGaussian(ops.convert_to_tensor(OTHER[..., i::2]))))
        for i in range(2)
    )
    np.testing.assert_allclose(number(ours.kl(other)), singles, rtol=1e-5)


@pytest.mark.parametrize("kind, parameters", [(Categorical, LOGITS), (DiagonalGaussian, GAUSS)])
def test_fisher_is_the_hessian_of_the_divergence_and_the_variance_of_the_score(kind, parameters):
    old, tangent = kind(ops.convert_to_tensor(parameters)), OTHER
    hessian = autodiff.hvp(lambda x: ops.sum(old.kl(kind(x))), parameters, tangent)
    np.testing.assert_allclose(number(old.fisher(tangent)), number(hessian), rtol=1e-3, atol=1e-5)
    one = parameters[0, 0]
    many = np.repeat(one[None], 200_000, 0)
    actions = kind(ops.convert_to_tensor(many)).sample(kind.noise(np.random.default_rng(0), (200_000,), 2))
    scores = number(autodiff.grad(lambda x: ops.sum(kind(x).log_prob(actions)), many))
    expected = np.stack([number(kind(ops.convert_to_tensor(one)).fisher(np.eye(4, dtype="float32")[i])) for i in range(4)])
    np.testing.assert_allclose(scores.T @ scores / len(scores), expected, atol=0.02 * max(np.abs(expected).max(), 1))


def test_draws():
    p, n = softmax(LOGITS[0, 0].astype("float64")), 50_000
    noise = Categorical.noise(np.random.default_rng(0), (n,), 4)
    drawn = number(Categorical(ops.convert_to_tensor(np.repeat(LOGITS[:1, 0], n, 0))).sample(noise))
    assert stats.chisquare(np.bincount(drawn, minlength=4), n * p).pvalue > 1e-3
    # the ends of the range, and a choice that cannot be
    edges = Categorical(ops.convert_to_tensor(np.array([[0.0, 0.0, -1e9]] * 3, "float32")))
    assert number(edges.sample(np.array([0.0, 0.5, np.nextafter(np.float32(1), np.float32(0))], "float32"))).tolist() == [0, 1, 1]
    normal = DiagonalGaussian.noise(np.random.default_rng(0), (n,), 2)
    drawn = number(DiagonalGaussian(ops.convert_to_tensor(np.repeat(GAUSS[:1, 0], n, 0))).sample(normal))
    for i in range(2):
        assert stats.kstest(drawn[:, i], "norm", (GAUSS[0, 0, i], np.exp(GAUSS[0, 0, 2 + i]))).pvalue > 1e-3
