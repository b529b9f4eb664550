"""Scores of samples against scikit-learn, closed forms and brute force."""

import keras
import numpy as np
import pytest
from scipy import linalg, stats
from scipy.spatial import distance
from sklearn.neighbors import KernelDensity

from zoo import datasets, metrics

RNG = np.random.default_rng(0)


def test_parzen_is_scikit_learns_kernel_density(monkeypatch):
    samples, x = RNG.normal(size=(50, 3, 2)), RNG.normal(size=(31, 3, 2))
    expected = KernelDensity(bandwidth=0.4).fit(samples.reshape(50, 6)).score_samples(x.reshape(31, 6))
    np.testing.assert_allclose(metrics.parzen_log_likelihood(samples, x, 0.4), expected, rtol=1e-6)
    monkeypatch.setattr("zoo.metrics.generative.BLOCK", 120)
    np.testing.assert_allclose(metrics.parzen_log_likelihood(samples, x, 0.4), expected, rtol=1e-6)


def test_parzen_bandwidth_is_the_best_on_a_grid():
    samples, x = RNG.normal(size=(400, 2)), RNG.normal(size=(400, 2))
    sigmas = [0.01, 0.3, 5.0]
    assert metrics.parzen_bandwidth(samples, x, sigmas) == 0.3
    with pytest.raises(ValueError, match="`sigma`"):
        metrics.parzen_log_likelihood(samples, x, 0)
    with pytest.raises(ValueError, match="`samples` and `x`"):
        metrics.parzen_log_likelihood(samples, x[:, :1], 1)


def _smoothed(means):
    """Samples that depend on the means: the image of these, and what is one step to the right of it."""
    image = np.repeat(np.repeat(means, 2, 1), 2, 2)
    return np.stack([image + 0.3 * np.sin(image * [[[1.0], [2.0]] * means.shape[2]]), np.roll(image, 1, 2)], axis=1)


def test_parzen_windows_of_each_scale_are_a_density_of_orthonormal_coordinates():
    """By hand for images of 4 x 4 pixels: a matrix of Haar's wavelets, and scipy's Gaussians around samples."""
    x, coarse, sigmas = RNG.normal(size=(5, 4, 4, 1)), RNG.normal(size=(6, 1, 1, 1)), (0.5, 0.7, 0.9)
    block = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2
    # rows: a block of four pixels each, in the order of the pixels of the next scale
    places = [[4 * (2 * i + a) + 2 * j + b for a in (0, 1) for b in (0, 1)] for i in (0, 1) for j in (0, 1)]
    fine = np.zeros((16, 16))
    for i, place in enumerate(places):
        for j in range(4):
            fine[4 * j + i, place] = block[j]
    whole = np.eye(16)
    whole[:4, :4] = block
    basis = whole @ fine
    np.testing.assert_allclose(basis @ basis.T, np.eye(16), atol=1e-12)
    expected = []
    for image in x.reshape(5, 16):
        mean, middle = image.reshape(1, -1).mean(1).reshape(1, 1, 1, 1), (fine @ image)[:4].reshape(1, 2, 2, 1) / 2
        own, parts = basis @ image, []
        # in orthonormal coordinates windows are as much wider as means are larger: by two a halving
        centres = {0: 4 * coarse.reshape(-1, 1), 1: 2 * (block @ _smoothed(mean)[0].reshape(-1, 4).T).T[:, 1:]}
        centres[2] = (fine @ _smoothed(middle)[0].reshape(-1, 16).T).T[:, 4:]
        for scale, rows in enumerate((slice(0, 1), slice(1, 4), slice(4, 16))):
            wide = (2 ** (2 - scale) * sigmas[scale]) ** 2
            parts.append(np.log(np.mean([stats.multivariate_normal(c, wide).pdf(own[rows]) for c in centres[scale]])))
        expected.append(sum(parts))
    found = metrics.multiscale_parzen_log_likelihood(x, coarse, _smoothed, sigmas)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_parzen_windows_of_each_scale_integrate_to_one():
    proposal = stats.multivariate_normal(np.zeros(4), 4)
    x = proposal.rvs(40000, random_state=0)
    density = np.exp(metrics.multiscale_parzen_log_likelihood(x.reshape(-1, 2, 2, 1), RNG.normal(size=(9, 1, 1, 1)), _smoothed, (0.5, 0.7)))
    ratio = density / proposal.pdf(x)
    assert ratio.mean() == pytest.approx(1, abs=4 * ratio.std() / 200) and ratio.std() / 200 < 0.02


def test_without_halving_parzen_windows_of_each_scale_are_the_plain_ones():
    x, samples = RNG.normal(size=(7, 2, 3, 1)), RNG.normal(size=(4, 2, 3, 1))
    found = metrics.multiscale_parzen_log_likelihood(x, samples, None, (0.4,))
    np.testing.assert_allclose(found, metrics.parzen_log_likelihood(samples, x, 0.4))


def test_bandwidths_of_each_scale_are_the_best_on_a_grid():
    x, coarse, grid = RNG.normal(size=(30, 4, 2, 1)), RNG.normal(size=(50, 2, 1, 1)), (0.05, 0.6, 1.1, 7.0)
    found = metrics.multiscale_parzen_bandwidths(x, coarse, _smoothed, 1, grid)
    value = {(a, b): metrics.multiscale_parzen_log_likelihood(x, coarse, _smoothed, (a, b)).mean() for a in grid for b in grid}
    assert found == max(value, key=value.get)
    shared = metrics.multiscale_parzen_log_likelihood(x, coarse, lambda means: np.zeros((1, 3, 4, 2, 1)), (1, 1))
    tiled = metrics.multiscale_parzen_log_likelihood(x, coarse, lambda means: np.zeros((len(means), 3, 4, 2, 1)), (1, 1))
    np.testing.assert_allclose(shared, tiled)
    for bad, name in ((dict(sigmas=(1, 0)), "sigmas"), (dict(sigmas=()), "sigmas"), (dict(x=x[:, :3]), "x"), (dict(x=x[0]), "x")):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            metrics.multiscale_parzen_log_likelihood(**{"x": x, "coarse": coarse, "refine": _smoothed, "sigmas": (1, 1), **bad})
    with pytest.raises(ValueError, match="`refine`.*Received"):
        metrics.multiscale_parzen_log_likelihood(x, coarse, lambda means: means, (1, 1))


def test_frechet_distance():
    """Zero for a set and itself, the distance of means for a shift, the textbook's formula otherwise."""
    a, b = RNG.normal(size=(200, 4)), RNG.normal(size=(300, 4)) @ RNG.normal(size=(4, 4)) + 1
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert metrics.frechet_distance(a, a + [1, 2, 0, 0]) == pytest.approx(5)
    covariances = np.cov(a.T), np.cov(b.T)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(sum(covariances) - 2 * linalg.sqrtm(covariances[0] @ covariances[1]).real)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    dead = np.concatenate([a, np.zeros((200, 1))], axis=1)
    assert metrics.frechet_distance(dead, dead + 1) == pytest.approx(5, abs=1e-4)
    with pytest.raises(ValueError, match="two rows"):
        metrics.frechet_distance(a[:1], b)


def test_classifier_score():
    assert metrics.classifier_score(np.eye(5)) == pytest.approx(5)
    assert metrics.classifier_score(np.full((7, 5), 0.2)) == pytest.approx(1)
    p = RNG.dirichlet(np.ones(4), 30)
    expected = np.exp(np.mean([sum(row * np.log(row / p.mean(0))) for row in p]))
    assert metrics.classifier_score(p) == pytest.approx(expected)
    with pytest.raises(ValueError, match="sum to one"):
        metrics.classifier_score(2 * p)


def test_mode_coverage():
    centres = np.array([[0, 0], [10, 0], [0, 10], [10, 10]])
    samples = np.array([[0.1, 0], [0, 0.2], [10, 0.5], [5, 5]])
    assert metrics.mode_coverage(samples, centres, 1) == (0.5, 0.75)


def test_precision_and_recall_by_loops():
    real, generated = RNG.normal(size=(30, 3)), 0.4 + RNG.normal(size=(25, 3))

    def share(points, balls, k):
        distances = [sorted(np.linalg.norm(ball - other) for other in balls) for ball in balls]
        inside = [any(np.linalg.norm(point - ball) <= d[k] for ball, d in zip(balls, distances)) for point in points]
        return np.mean(inside)

    for k in (1, 3):
        expected = share(generated, real, k), share(real, generated, k)
        assert metrics.precision_recall(real, generated, k) == pytest.approx(expected)
    assert metrics.precision_recall(real, real) == (1.0, 1.0)
    assert metrics.precision_recall(real, real + 100) == (0.0, 0.0)
    with pytest.raises(ValueError, match="`neighbours`"):
        metrics.precision_recall(real, generated, 25)


def test_jensen_shannon_divergence():
    p, q = RNG.dirichlet(np.ones(6)), RNG.dirichlet(np.ones(6))
    assert metrics.jensen_shannon_divergence(p, q) == pytest.approx(distance.jensenshannon(p, q) ** 2)
    assert metrics.jensen_shannon_divergence(p, q, 1e-5) / 1e-5 == pytest.approx(stats.entropy(p, q), rel=1e-3)
    assert metrics.jensen_shannon_divergence(p, q, 1 - 1e-5) / 1e-5 == pytest.approx(stats.entropy(q, p), rel=1e-3)
    # the information that a sample carries about the coin
    joint = np.array([0.3 * p, 0.7 * q])
    information = stats.entropy(joint.sum(0)) + stats.entropy([0.3, 0.7]) - stats.entropy(joint.ravel())
    assert metrics.jensen_shannon_divergence(p, q, 0.3) == pytest.approx(information)
    assert metrics.jensen_shannon_divergence([1, 0], [0, 1], 0.3) == pytest.approx(stats.entropy([0.3, 0.7]))
    for arguments, words in (((p, q[:5]), "one shape"), ((p, 2 * q), "sum to one"), ((p, q, 0.0), "`pi`"), ((p, q, 1.0), "`pi`")):
        with pytest.raises(ValueError, match=words):
            metrics.jensen_shannon_divergence(*arguments)


def test_scores_take_tensors():
    samples = keras.ops.convert_to_tensor(RNG.normal(size=(9, 2)))
    assert metrics.mode_coverage(samples, samples, 0.1) == (1.0, 1.0)


def test_binarized_pixels():
    images = np.full((20000, 1), 0.3)
    drawn = datasets.binarized(images, seed=0)
    assert set(np.unique(drawn)) == {0, 1} and drawn.mean() == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(drawn, datasets.binarized(images, seed=0))
    assert datasets.binarized(np.array([0.0, 1.0])).tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        datasets.binarized(5 * images)


A, B, COINS = np.arange(24.0).reshape(8, 3) % 5, np.arange(21.0).reshape(7, 3) % 4, np.full(4, 0.25)
CALLS = (
    (metrics.parzen_log_likelihood, {"samples": A, "x": B, "sigma": 0.2}),
    (metrics.parzen_bandwidth, {"samples": A, "x": B, "sigmas": (0.1, 0.2)}),
    (metrics.frechet_distance, {"real": A, "generated": B}),
    (metrics.classifier_score, {"probabilities": np.full((5, 4), 0.25)}),
    (metrics.mode_coverage, {"samples": A, "centres": B, "radius": 0.2}),
    (metrics.wasserstein_distance, {"x": A[:7], "y": B}),
    (metrics.cluster_labels, {"probabilities": A, "labels": np.arange(8)}),
    (metrics.precision_recall, {"real": A, "generated": B, "neighbours": 3}),
    (metrics.jensen_shannon_divergence, {"p": COINS, "q": COINS, "pi": 0.5}),
)
WRONG = ("x", None, -1, (), (1, "a"), object(), np.nan, {}, np.full((8, 3), np.nan), np.zeros((0, 3)), np.array([["a"] * 3] * 8), True)


@pytest.mark.parametrize("metric, call", CALLS, ids=lambda value: getattr(value, "__name__", ""))
def test_wrong_arguments_are_refused_by_name(metric, call):
    metric(**call)
    for name in call:
        for value in WRONG:
            with pytest.raises(ValueError, match=f"`{name}`"):
                metric(**{**call, name: value})
