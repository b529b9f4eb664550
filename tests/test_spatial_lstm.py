"""The spatial LSTM against a loop over pixels, and the mixture against integrals and draws."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from zoo import autodiff
from zoo.layers import MCGSM, SpatialLSTM
from zoo.layers.spatial_lstm import skewed, straightened

RNG = np.random.default_rng(0)


def pixel_by_pixel(x, kernel, recurrent_kernel, bias, units, extended):
    batch, height, width, _ = x.shape
    h, c = np.zeros((2, batch, height + 1, width + 1, units))
    for i in range(height):
        for j in range(width):
            seen = [h[:, i + 1, j], h[:, i, j + 1]] + ([c[:, i + 1, j], c[:, i, j + 1]] if extended else [])
            g, *gates = np.split(x[:, i, j] @ kernel + np.concatenate(seen, 1) @ recurrent_kernel + bias, 5, axis=1)
            o, enter, left, above = (1 / (1 + np.exp(-gate)) for gate in gates)
            c[:, i + 1, j + 1] = np.tanh(g) * enter + c[:, i + 1, j] * left + c[:, i, j + 1] * above
            h[:, i + 1, j + 1] = np.tanh(c[:, i + 1, j + 1] * o)
    return h[:, 1:, 1:]


@pytest.mark.parametrize("batch, size", [(2, (4, 6)), (3, (5, 2)), (5, (1, 3)), (6, (3, 1)), (8, (3, 4))])
@pytest.mark.parametrize("extended", [False, True])
def test_against_a_loop_over_pixels(batch, size, extended):
    layer, x = SpatialLSTM(3, extended), RNG.normal(size=(batch, *size, 4)).astype("float32")
    layer.build(x.shape)
    weights = [RNG.normal(size=w.shape).astype("float32") for w in layer.get_weights()]
    layer.set_weights(weights)
    np.testing.assert_allclose(layer(x), pixel_by_pixel(x, *weights, 3, extended), rtol=1e-4, atol=1e-5)


def test_large_images_have_finite_states_and_gradients():
    layer = SpatialLSTM(8)
    layer.build((None, None, None, 4))
    layer.bias.assign(layer.bias + 1.0)
    x = RNG.normal(size=(1, 60, 50, 4)).astype("float32")
    value, gradients = autodiff.value_and_weight_grad(lambda: ops.mean(layer(x)[:, :8, :8]), layer.trainable_variables)
    assert np.isfinite(value) and all(np.isfinite(ops.convert_to_numpy(g)).all() for g in gradients)


def test_rows_are_shifted_and_back():
    x = RNG.normal(size=(2, 3, 5, 2)).astype("float32")
    shifted = ops.convert_to_numpy(skewed(ops.convert_to_tensor(x)))
    for i in range(3):
        np.testing.assert_array_equal(shifted[:, i, i : i + 5], x[:, i])
    np.testing.assert_array_equal(straightened(ops.convert_to_tensor(shifted), 5), x)


def mixture(outputs):
    layer = MCGSM(outputs, components=3, scales=2, features=4)
    layer.build((None, 5))
    layer.set_weights([RNG.normal(size=w.shape).astype("float32") * 0.6 for w in layer.get_weights()])
    return layer


def test_densities_integrate_to_one():
    grid, x = np.linspace(-40, 40, 8001, dtype="float32"), RNG.normal(size=(3, 5)).astype("float32")
    found = np.exp(ops.convert_to_numpy(mixture(1)(np.repeat(x, len(grid), 0), np.tile(grid, 3)[:, None])))
    np.testing.assert_allclose(np.trapezoid(found.reshape(3, -1), grid, axis=1), 1, atol=1e-3)
    grid = np.linspace(-40, 40, 801, dtype="float32")
    places = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    found = np.exp(ops.convert_to_numpy(mixture(2)(np.repeat(x[:1], len(places), 0), places)))
    np.testing.assert_allclose(np.trapezoid(np.trapezoid(found.reshape(801, 801), grid), grid), 1, atol=1e-3)


def test_density_by_components():
    layer, x, y = mixture(2), RNG.normal(size=5), RNG.normal(size=2)
    eta, alpha, beta, b, w, a, u, factor = (v.astype("float64") for v in layer.get_weights())
    gate, density = np.zeros((2, 3, 2))
    for c in range(3):
        lower = np.tril(factor[c], -1) + np.diag(np.exp(np.diag(factor[c])))
        for s in range(2):
            energy = sum(beta[n, c] ** 2 * (b[:, n] @ x) ** 2 for n in range(4))
            gate[c, s] = np.exp(eta[c, s] - np.exp(alpha[c, s]) / 2 * energy + np.exp(alpha[c, s]) * w[:, c] @ x)
            covariance = np.exp(-alpha[c, s]) * np.linalg.inv(lower @ lower.T)
            mean = a.reshape(5, 3, 2)[:, c].T @ x + u[c]
            density[c, s] = stats.multivariate_normal(mean, covariance).pdf(y)
    expected = np.log(np.sum(gate * density) / np.sum(gate))
    np.testing.assert_allclose(layer(x[None].astype("float32"), y[None].astype("float32"))[0], expected, rtol=1e-4)


def test_draws_follow_the_density():
    layer, x = mixture(1), RNG.normal(size=(1, 5)).astype("float32")
    n = 20000
    run = autodiff.compiled(layer.draw, layer)
    drawn = ops.convert_to_numpy(run(np.repeat(x, n, 0), RNG.random(n, "float32"), RNG.normal(size=(n, 1)).astype("float32")))[:, 0]
    grid = np.linspace(-60, 60, 24001, dtype="float32")
    density = np.exp(ops.convert_to_numpy(layer(np.repeat(x, len(grid), 0), grid[:, None])))
    cumulative = np.cumsum(density) * (grid[1] - grid[0])
    assert stats.kstest(drawn, lambda v: np.interp(v, grid, cumulative)).pvalue > 1e-3


def test_draws_of_several_outputs_have_their_covariance():
    keras.utils.set_random_seed(1)
    layer = MCGSM(2, components=1, scales=1, features=1)
    layer.build((None, 1))
    factor = np.array([[[0.3, 0.0], [1.2, -0.4]]], "float32")
    layer.factor.assign(factor)
    layer.alpha.assign([[0.7]])
    lower = np.tril(factor[0], -1) + np.diag(np.exp(np.diag(factor[0])))
    n = 50000
    x, uniform, normal = np.zeros((n, 1), "float32"), np.zeros(n, "float32"), RNG.normal(size=(n, 2)).astype("float32")
    drawn = ops.convert_to_numpy(layer.draw(x, uniform, normal))
    np.testing.assert_allclose(np.cov(drawn.T), np.exp(-0.7) * np.linalg.inv(lower @ lower.T), atol=0.02)
