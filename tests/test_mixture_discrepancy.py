"""The discrepancy from a mixture of Gaussians in closed form against large samples and quadrature; priors against SciPy."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import integrate, stats

from zoo import autodiff, layers
from zoo.losses import maximum_mean_discrepancy, mixture_mean_discrepancy
from zoo.metrics import cluster_labels, wasserstein_distance

RNG = np.random.default_rng(0)
MEANS = np.array([[0.0, 1.0], [3.0, -1.0], [-2.0, 0.5]])
FACTORS = np.array([[[1.0, 0.0], [0.8, 0.3]], [[0.5, 0.2], [0.0, 1.5]], [[0.1, 0.0], [0.0, 0.2]]])
COVARIANCES = FACTORS @ FACTORS.swapaxes(1, 2)
WEIGHTS = np.array([0.5, 0.3, 0.2])
SIGMAS = (0.5, 3.0)
X = RNG.normal(0.5, 2, (40, 2)).astype("float32")


def drawn(n, rng):
    parts = rng.choice(3, n, p=WEIGHTS)
    return (MEANS[parts] + np.einsum("nij,nj->ni", FACTORS[parts], rng.normal(size=(n, 2)))).astype("float32")


@pytest.mark.parametrize("unbiased", [False, True])
def test_it_is_that_of_large_samples(unbiased):
    found = float(mixture_mean_discrepancy(X, MEANS, COVARIANCES, WEIGHTS, SIGMAS, unbiased=unbiased))
    rng, many = np.random.default_rng(1), []
    for _ in range(6):
        y = drawn(2500, rng)
        # of the mixture with itself both estimates are unbiased only without the pairs of a draw with itself
        squared = float(maximum_mean_discrepancy(X, y, SIGMAS, unbiased=True))
        many.append(squared + (0 if unbiased else self_pairs(X)))
    error = np.std(many) / np.sqrt(len(many))
    np.testing.assert_allclose(found, np.mean(many), atol=4 * error)
    assert error < 0.05 * found


def self_pairs(x):
    """By how much the mean over all pairs exceeds that over different ones."""
    squares = np.square(x[:, None] - x).sum(-1)
    kernel = sum(np.exp(-squares / (2 * sigma)) for sigma in SIGMAS)
    n = len(x)
    return kernel.mean() - (kernel.sum() - np.trace(kernel)) / (n * (n - 1))


def test_expectations_by_quadrature():
    """One coordinate: both expectations as integrals."""
    x, sigma = np.array([[0.3], [-1.0]], "float32"), 0.7
    mixture = [(0.4, 0.5, 0.2), (0.6, -1.0, 1.5)]

    def density(y):
        return sum(w * stats.norm.pdf(y, m, v**0.5) for w, m, v in mixture)

    def mean_kernel(a):
        return integrate.quad(lambda y: density(y) * np.exp(-((a - y) ** 2) / (2 * sigma)), -12, 12)[0]

    both = integrate.quad(lambda a: density(a) * mean_kernel(a), -12, 12)[0]
    within = (2 + 2 * np.exp(-(1.3**2) / (2 * sigma))) / 4
    expected = within - 2 * np.mean([mean_kernel(float(a)) for a in x[:, 0]]) + both
    arguments = [[m] for _, m, _ in mixture], [[[v]] for *_, v in mixture], [w for w, *_ in mixture]
    assert float(mixture_mean_discrepancy(x, *arguments, bandwidths=(sigma,))) == pytest.approx(expected, abs=1e-5)
    root = float(mixture_mean_discrepancy(x, *arguments, bandwidths=(sigma,), square_root=True))
    assert root == pytest.approx(expected**0.5, rel=1e-4)


def test_without_covariance_it_is_that_of_weighted_points():
    found = float(mixture_mean_discrepancy(X, MEANS, np.zeros((3, 2, 2)), [2, 1, 1], SIGMAS))
    repeated = MEANS[[0, 0, 1, 2]]
    assert found == pytest.approx(float(maximum_mean_discrepancy(X, repeated, SIGMAS)), rel=1e-4)
    twice = np.concatenate([X, X[:5]])
    weight = np.where(np.arange(len(X)) < 5, 2, 1)
    a = float(mixture_mean_discrepancy(X, MEANS, COVARIANCES, bandwidths=SIGMAS, x_weight=weight))
    assert a == pytest.approx(float(mixture_mean_discrepancy(twice, MEANS, COVARIANCES, bandwidths=SIGMAS)), rel=1e-4)


def test_gradient_by_differences():
    def loss(x):
        return mixture_mean_discrepancy(x, MEANS, COVARIANCES, WEIGHTS, SIGMAS)

    x, step = X[:6], 1e-2
    found = ops.convert_to_numpy(autodiff.grad(loss, ops.convert_to_tensor(x)))
    for i, j in ((0, 0), (3, 1), (5, 0)):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[i, j] += sign * step
            ends.append(float(loss(moved)))
        assert found[i, j] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-4)
    # far fewer codes than one mixture holds: the samples of the mixture itself are nearer than these
    assert float(loss(drawn(500, np.random.default_rng(2)))) < 0.1 * float(loss(X))


def test_refusals():
    for arguments, name in (
        ({"means": [0.0, 1.0]}, "means"),
        ({"covariances": COVARIANCES[:2]}, "covariances"),
        ({"covariances": -COVARIANCES}, "covariances"),
        ({"covariances": np.array([[[1.0, 0.5], [0.0, 1.0]]] * 3)}, "covariances"),
        ({"weights": [1, 1]}, "weights"),
        ({"weights": [1, -1, 1]}, "weights"),
        ({"bandwidths": "median"}, "bandwidths"),
        ({"bandwidths": (0.0,)}, "bandwidths"),
        ({"x": X[:, :1]}, "x"),
        ({"x": X[:1], "unbiased": True}, "x"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            mixture_mean_discrepancy(**{"x": X, "means": MEANS, "covariances": COVARIANCES, **arguments})


# --- priors ---


def draws(prior, n=20000, label=None):
    return ops.convert_to_numpy(prior.draw(n, keras.random.SeedGenerator(3), label))


def test_mixtures_have_their_moments():
    prior = layers.MixturePrior(MEANS, COVARIANCES)
    for part in range(3):
        found = draws(prior, label=np.full(20000, part, "int32"))
        np.testing.assert_allclose(found.mean(0), MEANS[part], atol=0.05)
        np.testing.assert_allclose(np.cov(found.T), COVARIANCES[part], atol=0.08)
    expected = sum(COVARIANCES) / 3 + np.cov(MEANS.T, bias=True)
    np.testing.assert_allclose(np.cov(draws(prior).T), expected, rtol=0.05, atol=0.08)
    np.testing.assert_allclose(np.cov(draws(prior, label=np.full(20000, -1, "int32")).T), expected, rtol=0.05, atol=0.08)
    assert stats.kstest(draws(layers.gaussian_prior(2, 3.0), 2000)[:, 1], "norm", (0, 3)).pvalue > 1e-3


def test_the_star_points_outwards():
    means, covariances = layers.star_prior(2.0, 10).components()
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), 2.8)
    for mean, covariance in zip(means, covariances):
        values, axes = np.linalg.eigh(covariance)
        np.testing.assert_allclose(values, [0.2, 2.0], rtol=1e-6)
        assert abs(axes[:, 1] @ mean) == pytest.approx(2.8)


def test_the_roll_is_equally_dense_along_itself():
    prior = layers.SwissRollPrior(4.0, 5)
    found = draws(prior)
    radius = np.linalg.norm(found, axis=1)
    # the angle grows with the radius, so that equal shares of length are nearly those of squared radius
    assert stats.kstest((radius[:2000] / 4) ** 2, "uniform").pvalue > 1e-3
    np.testing.assert_allclose(np.cos(np.pi * radius) * radius, found[:, 0], atol=1e-3)
    part = np.linalg.norm(draws(prior, 500, np.full(500, 4, "int32")), axis=1)
    assert part.min() >= 4 * 0.8**0.5 - 1e-4


def test_priors_are_saved_and_refuse():
    for prior in (layers.MixturePrior(MEANS, COVARIANCES), layers.SwissRollPrior(2.0, 3)):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(prior))
        np.testing.assert_array_equal(draws(again, 10), draws(prior, 10))
    for make, name in (
        (lambda: layers.MixturePrior(MEANS, COVARIANCES[:2]), "covariances"),
        (lambda: layers.MixturePrior(MEANS, -COVARIANCES), "covariances"),
        (lambda: layers.MixturePrior("x", COVARIANCES), "means"),
        (lambda: layers.SwissRollPrior(0.0), "radius"),
        (lambda: layers.SwissRollPrior(parts=0), "parts"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            make()


# --- distance between samples ---


def test_wasserstein_is_scipys_linear_program():
    a, b = RNG.normal(size=(12, 3)), RNG.normal(1, 2, size=(12, 3))
    assert wasserstein_distance(a, b) == pytest.approx(stats.wasserstein_distance_nd(a, b), rel=1e-6)
    assert wasserstein_distance(a, a[::-1]) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="`y`.*Received"):
        wasserstein_distance(a, b[:5])


def test_a_cluster_has_the_label_of_its_surest_member():
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    np.testing.assert_array_equal(cluster_labels(p, [4, 5, 6, 7]), [4, 6])
    with pytest.raises(ValueError, match="`labels`.*Received"):
        cluster_labels(p, [1, 2])
