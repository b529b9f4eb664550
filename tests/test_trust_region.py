"""Conjugate gradient and line search against linear algebra and closed forms, eagerly and compiled."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff
from zoo.optimizers.trust_region import conjugate_gradient, flatten, line_search, unflatten


def system(n, seed):
    """A random positive definite matrix and a vector."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, n + 5)).astype("float32")
    return a @ a.T / n + np.eye(n, dtype="float32"), rng.normal(size=n).astype("float32")


def solve(a, b, compile, **how):
    def function(vector):
        return conjugate_gradient(lambda v: ops.matmul(a, v), vector, **how)

    function = autodiff.compiled(function, keras.layers.Layer()) if compile else function
    return [ops.convert_to_numpy(t) for t in function(ops.convert_to_tensor(b))]


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("n", [1, 7, 30])
def test_conjugate_gradient_solves(n, compile):
    a, b = system(n, seed=n)
    x, residual = solve(a, b, compile, iterations=60, damping=0.3)
    expected = np.linalg.solve(a + 0.3 * np.eye(n), b)
    np.testing.assert_allclose(x, expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(residual, b - (a + 0.3 * np.eye(n)) @ x, atol=1e-4)


def test_an_iteration_is_the_best_step_in_the_krylov_space():
    a, b = system(12, seed=0)
    for k in (1, 3, 5):
        x, residual = solve(a, b, True, iterations=k)
        krylov = np.linalg.qr(np.stack([np.linalg.matrix_power(a, i) @ b for i in range(k)], 1).astype("float64"))[0]
        best = krylov @ np.linalg.solve(krylov.T @ a @ krylov, krylov.T @ b)
        np.testing.assert_allclose(x, best, atol=1e-4)
        np.testing.assert_allclose(residual, b - a @ x, atol=1e-4)


def test_conjugate_gradient_ends_early():
    calls = []
    a, b = np.eye(4, dtype="float32"), np.ones(4, "float32")
    if keras.backend.backend() == "tensorflow":
        conjugate_gradient(lambda v: calls.append(1) or v, ops.convert_to_tensor(b), iterations=9)
        assert len(calls) == 1
    x, _ = solve(a, 0 * b, True)
    np.testing.assert_array_equal(x, 0 * b)
    # a loose tolerance ends before the solution is exact
    loose, tight = (solve(*system(20, 1), True, iterations=50, tolerance=t)[1] for t in (1e-1, 1e-10))
    assert np.sum(loose**2) > 100 * np.sum(tight**2)


def search(evaluate, step, **how):
    def function(x, step):
        return line_search(evaluate, x, step, **how)

    function = autodiff.compiled(function, keras.layers.Layer())
    x, fraction = function(ops.zeros(2), ops.convert_to_tensor(np.asarray(step, "float32")))
    return ops.convert_to_numpy(x), float(fraction)


def test_line_search():
    # value x0 - x0^2: better than 0 below 1; cost x1^2
    def evaluate(x):
        return x[0] - x[0] ** 2, x[1] ** 2

    assert search(evaluate, [0.5, 0.0], start=0.0, limit=1.0)[1] == 1.0
    assert search(evaluate, [3.0, 0.0], start=0.0, limit=1.0)[1] == 0.25
    assert search(evaluate, [0.5, 3.0], start=0.0, limit=0.2)[1] == 0.125
    assert search(evaluate, [3.0, 0.0], start=0.0, limit=1.0, shrink=0.1)[1] == pytest.approx(0.1)
    x, fraction = search(evaluate, [-1.0, 0.0], start=0.0, limit=1.0)
    assert fraction == 0 and not x.any()
    assert search(evaluate, [3.0, 0.0], start=0.0, limit=1.0, backtracks=2)[1] == 0
    x, fraction = search(lambda x: (ops.log(0.5 - x[0]) - ops.log(0.5) + 4 * x[0], x[1]), [1.0, 0.0], start=0.0, limit=1.0)
    assert fraction == 0.25 and x[0] == 0.25


def test_flatten():
    shapes = [(2, 3), (), (4,)]
    tensors = [np.random.default_rng(i).normal(size=s).astype("float32") for i, s in enumerate(shapes)]
    vector = flatten([ops.convert_to_tensor(t) for t in tensors])
    assert vector.shape == (11,)
    for a, b in zip(tensors, unflatten(vector, shapes)):
        np.testing.assert_array_equal(a, ops.convert_to_numpy(b))
