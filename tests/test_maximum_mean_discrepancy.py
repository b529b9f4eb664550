"""Maximum mean discrepancy against double loops, closed forms of Gaussians, finite differences and the full matrix."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.spatial.distance import cdist, pdist

from zoo import autodiff, losses

RNG = np.random.default_rng(0)


def samples(n, m, size=4):
    return RNG.normal(size=(n, size)).astype("float32"), (RNG.normal(size=(m, size)) + 0.5).astype("float32")


def mmd(*args, **kwargs):
    return float(losses.maximum_mean_discrepancy(*args, **kwargs))


def by_matrix(x, y, bandwidths, weight=None, unbiased=False):
    """From whole matrices in float64, the pairs as Gretton et al. 2012 sum them."""
    x, y = np.float64(x), np.float64(y)
    kxx, kyy, kxy = (sum(np.exp(-cdist(u, v, "sqeuclidean") / (2 * s)) for s in bandwidths) for u, v in ((x, x), (y, y), (x, y)))
    a = np.ones(len(x)) if weight is None else np.float64(weight)
    a, b = a / a.sum(), np.full(len(y), 1 / len(y))
    within = [np.outer(w, w) for w in (a, b)]
    if unbiased:
        for pairs in within:
            np.fill_diagonal(pairs, 0)
            pairs /= pairs.sum()
    return (within[0] * kxx).sum() + (within[1] * kyy).sum() - 2 * a @ kxy @ b


def test_one_kernel_against_double_loops():
    x, y = samples(5, 7)

    def kernel(u, v):
        return np.exp(-sum((float(a) - float(b)) ** 2 for a, b in zip(u, v)) / (2 * 3.0))

    biased = (
        sum(kernel(u, v) for u in x for v in x) / 25
        + sum(kernel(u, v) for u in y for v in y) / 49
        - 2 * sum(kernel(u, v) for u in x for v in y) / 35
    )
    assert mmd(x, y, (3.0,)) == pytest.approx(biased, rel=1e-4)
    apart = [sum(kernel(u, v) for i, u in enumerate(s) for j, v in enumerate(s) if i != j) / (len(s) * (len(s) - 1)) for s in (x, y)]
    unbiased = sum(apart) - 2 * sum(kernel(u, v) for u in x for v in y) / 35
    assert mmd(x, y, (3.0,), unbiased=True) == pytest.approx(unbiased, rel=1e-4)


@pytest.mark.parametrize("block", [1, 16, 64, 1000])
def test_blocks_give_what_the_full_matrix_gives(block):
    x, y = samples(50, 37)
    bandwidths, weight = (0.5, 2, 5), RNG.uniform(0, 2, 50).astype("float32")
    for more in ({}, {"x_weight": weight}):
        for unbiased in (False, True):
            expected = by_matrix(x, y, bandwidths, more.get("x_weight"), unbiased)
            found = mmd(x, y, bandwidths, unbiased=unbiased, block=block, **more)
            assert found == pytest.approx(expected, rel=1e-4, abs=2e-6)
    root = mmd(x, y, bandwidths, square_root=True, block=block)
    assert root == pytest.approx(by_matrix(x, y, bandwidths) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("how", [{}, {"square_root": True}, {"unbiased": True}, {"square_root": True, "x_weight": True}])
def test_gradients_against_finite_differences(how):
    x, y = samples(21, 18)
    how = {**how, **({"x_weight": RNG.uniform(0, 2, 21).astype("float32")} if "x_weight" in how else {})}
    bandwidths = (1.0, 6.0)

    def value(x, y):
        squared = by_matrix(x, y, bandwidths, how.get("x_weight"), how.get("unbiased", False))
        return squared**0.5 if how.get("square_root") else squared

    found = autodiff.grad(lambda v: losses.maximum_mean_discrepancy(*v, bandwidths, block=8, **how), [x, y])
    for k in range(2):
        direction = RNG.normal(size=(x, y)[k].shape)
        ahead, behind = ([np.float64(v) + (sign * 1e-5 * direction if i == k else 0) for i, v in enumerate((x, y))] for sign in (1, -1))
        slope = (value(*ahead) - value(*behind)) / 2e-5
        assert np.sum(ops.convert_to_numpy(found[k]) * direction) == pytest.approx(slope, rel=2e-3, abs=1e-6)


def test_gradients_against_automatic_differentiation_of_the_full_matrix():
    x, y = samples(300, 280, 20)
    bandwidths = (2, 5, 10)

    def kernels(u, v):
        distances = ops.sum(ops.square(u), 1)[:, None] - 2 * ops.matmul(u, ops.transpose(v)) + ops.sum(ops.square(v), 1)
        return sum(ops.mean(ops.exp(-distances / (2 * s))) for s in bandwidths)

    full = autodiff.grad(lambda v: ops.sqrt(kernels(v[0], v[0]) + kernels(v[1], v[1]) - 2 * kernels(*v)), [x, y])
    found = autodiff.grad(lambda v: losses.maximum_mean_discrepancy(*v, bandwidths, square_root=True, block=64), [x, y])
    for a, b in zip(full, found):
        a, b = ops.convert_to_numpy(a), ops.convert_to_numpy(b)
        np.testing.assert_allclose(b, a, rtol=1e-2, atol=1e-4 * np.abs(a).max())


def test_gaussians_have_a_closed_form():
    """E k(x, y) of N(m, s I) and N(m', s' I) is `(h / (h + s + s'))^(d / 2) exp(-|m - m'|^2 / (2 (h + s + s')))` for the bandwidth h."""
    d, shift, h, variances = 3, np.array([1.0, -0.5, 0.2]), 2.0, (1.0, 0.5)

    def mean_kernel(s, t, apart):
        width = h + s + t
        return (h / width) ** (d / 2) * np.exp(-np.sum(np.square(apart)) / (2 * width))

    s, t = variances
    expected = mean_kernel(s, s, 0 * shift) + mean_kernel(t, t, 0 * shift) - 2 * mean_kernel(s, t, shift)
    x = RNG.normal(0, s**0.5, (4000, d)).astype("float32")
    y = (shift + RNG.normal(0, t**0.5, (4000, d))).astype("float32")
    assert mmd(x, y, (h,), unbiased=True) == pytest.approx(expected, abs=0.01)
    # without bias: the mean over many small samples; the biased one is too large by what a sample has with itself
    few = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 1600, 8)]
    assert np.mean([mmd(a, b, (h,), unbiased=True) for a, b in few]) == pytest.approx(expected, abs=0.03)
    assert np.mean([mmd(a, b, (h,)) for a, b in few]) > expected + 0.08


def test_images_dtypes_and_offsets():
    x, y = RNG.uniform(size=(6, 2, 3, 1)).astype("float16"), RNG.uniform(size=(5, 2, 3, 1)).astype("float16")
    expected = by_matrix(x.reshape(6, 6), y.reshape(5, 6), (2,))
    assert mmd(x, y, (2,)) == pytest.approx(expected, rel=1e-3)
    assert ops.dtype(losses.maximum_mean_discrepancy(x, y, (2,))) == "float32"
    # far from zero, where squares would lose all digits of a distance
    far = 1000 + RNG.normal(size=(2, 40, 3)).astype("float32")
    assert mmd(*far, (2,)) == pytest.approx(by_matrix(*far, (2,)), rel=1e-2)


def test_the_same_sets_are_at_zero_and_at_rest():
    x, _ = samples(20, 20)
    assert mmd(x, x, (2,)) == pytest.approx(0, abs=1e-6)
    slope = autodiff.grad(lambda v: losses.maximum_mean_discrepancy(x, v, (2,), square_root=True), ops.convert_to_tensor(x))
    assert np.all(np.isfinite(ops.convert_to_numpy(slope)))
    assert np.isfinite(mmd(x, x[::-1].copy(), (2,), square_root=True, unbiased=True))


@pytest.mark.parametrize("n", [6, 7])
def test_median_of_squared_distances(n):
    x, y = samples(n, 5)
    expected = np.median(np.square(pdist(np.concatenate([x, y]))))
    assert float(losses.median_bandwidth(x, y)) == pytest.approx(expected, rel=1e-4)
    assert float(losses.median_bandwidth(x)) == pytest.approx(np.median(np.square(pdist(x))), rel=1e-4)
    assert mmd(x, y, "median") == pytest.approx(by_matrix(x, y, (expected,)), rel=1e-3)


def test_as_the_loss_of_any_network():
    """Batches of a size that is not known beforehand, with and without XLA."""

    class Matching(keras.Model):
        def __init__(self):
            super().__init__()
            self.network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])

        def call(self, x):
            return self.network(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return losses.maximum_mean_discrepancy(y, y_pred, "median", square_root=True, block=8)

    z, x = RNG.normal(size=(50, 2)).astype("float32"), RNG.normal(3, 1, (50, 3)).astype("float32")
    for jit in (False, True):
        model = Matching()
        model.compile(keras.optimizers.Adam(0.1), jit_compile=jit)
        history = model.fit(z, x, batch_size=20, epochs=8, verbose=0).history["loss"]
        assert history[-1] < 0.7 * history[0]


def test_refusals():
    x, y = samples(4, 3)
    for arguments, name in (
        ({"x": x[:, :2]}, "x"),
        ({"bandwidths": ()}, "bandwidths"),
        ({"bandwidths": (1, -2)}, "bandwidths"),
        ({"bandwidths": 3.0}, "bandwidths"),
        ({"bandwidths": "mean"}, "bandwidths"),
        ({"block": 0}, "block"),
        ({"x": x[:1], "unbiased": True}, "x"),
        ({"x": x[:0]}, "x"),
        ({"y": y[:0]}, "y"),
        ({"x": None}, "x"),
        ({"y": np.array([["a", "b", "c"]])}, "y"),
        ({"x": np.full((4, 3), np.nan)}, "x"),
        ({"x_weight": np.ones(3)}, "x_weight"),
        ({"x_weight": -np.ones(len(x))}, "x_weight"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            losses.maximum_mean_discrepancy(**{"x": x, "y": y, **arguments})
