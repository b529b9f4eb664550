"""Derivatives against closed forms, eagerly and inside `fit`, with layers that have state."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff

A = np.array([[2.0, 1.0], [1.0, 3.0]], "float32")
X = np.array([1.0, 2.0], "float32")
V = np.array([1.0, -1.0], "float32")


def f(x):
    """x'Ax / 2 + sum x^3, with gradient Ax + 3x^2 and Hessian A + 6 diag(x)."""
    return 0.5 * ops.sum(x * ops.sum(A * x, axis=1)) + ops.sum(x**3)


def test_closed_forms():
    value, gradient = autodiff.value_and_grad(f, X)
    np.testing.assert_allclose(value, 0.5 * X @ A @ X + np.sum(X**3))
    np.testing.assert_allclose(gradient, A @ X + 3 * X**2)
    np.testing.assert_allclose(autodiff.hvp(f, X, V), A @ V + 6 * X * V)
    np.testing.assert_allclose(autodiff.jvp(f, X, V)[1], (A @ X + 3 * X**2) @ V, rtol=1e-6)
    np.testing.assert_allclose(autodiff.vjp(lambda x: x**2, X, V)[1], 2 * X * V)


def test_several_inputs_and_unused_ones():
    gradients = autodiff.grad(lambda x: ops.sum(x[0] * x[0]), [X, V])
    np.testing.assert_allclose(gradients[0], 2 * X)
    np.testing.assert_allclose(gradients[1], 0 * V)


def product(x):
    """x0^2 x1, whose derivatives by its two places differ where both hold one tensor."""
    return ops.sum(x[0] ** 2 * x[1])


@pytest.mark.parametrize("compiled", [False, True])
def test_one_tensor_at_two_places_has_a_derivative_at_each(compiled):
    layer = keras.layers.Identity()
    x, u = ops.convert_to_tensor(X), ops.convert_to_tensor(V)

    def found(function):
        return autodiff.compiled(function, layer)(x, u) if compiled else function(x, u)

    slopes = found(lambda x, u: autodiff.grad(product, [x, x]))
    np.testing.assert_allclose(slopes, [2 * X**2, X**2])
    value, slopes = found(lambda x, u: autodiff.value_and_grad(product, (x, x)))
    np.testing.assert_allclose(value, np.sum(X**3))
    np.testing.assert_allclose(slopes, [2 * X**2, X**2])
    np.testing.assert_allclose(found(lambda x, u: autodiff.vjp(lambda v: v[0] ** 2 * v[1], [x, x], u)[1]), [2 * X**2 * V, X**2 * V])
    np.testing.assert_allclose(found(lambda x, u: autodiff.jvp(product, [x, x], [u, 2 * u])[1]), np.sum(2 * X**2 * V + 2 * X**2 * V))
    np.testing.assert_allclose(found(lambda x, u: autodiff.hvp(product, [x, x], [u, 2 * u])), [2 * X * V + 4 * X * V, 2 * X * V])
    rows = found(lambda x, u: autodiff.jacobian(lambda v: v[0] ** 2 * v[1], [x[None], x[None]], 2))
    np.testing.assert_allclose(rows, [[np.diag(2 * X**2)], [np.diag(X**2)]])


class Penalised(keras.Model):
    """Gradient penalty, frozen pass and dropout in one loss."""

    def __init__(self):
        super().__init__()
        self.dense, self.dropout, self.norm = keras.layers.Dense(1), keras.layers.Dropout(0.5), keras.layers.BatchNormalization()
        self.dense.build((None, 2))
        self.norm.build((None, 2))
        self.built = True

    def call(self, x, training=False):
        return self.dense(self.dropout(self.norm(x, training=training), training=training))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        gradient = autodiff.grad(lambda z: ops.sum(self(z, training=True) ** 2), x)
        with autodiff.frozen(self.dense.trainable_variables):
            constant = ops.mean(self.dense(self.norm(x)) ** 2)
        return ops.mean((y_pred - y) ** 2) + ops.mean(gradient**2) + constant


@pytest.mark.parametrize("jit_compile", [False, True])
def test_inside_fit(jit_compile):
    keras.utils.set_random_seed(0)
    model = Penalised()
    model.compile("sgd", jit_compile=jit_compile)
    history = model.fit(np.eye(2).repeat(4, 0), np.ones((8, 1)), epochs=2, verbose=0)
    assert np.all(np.isfinite(history.history["loss"]))


def test_weighted_variables_get_a_share_of_their_gradient():
    dense = keras.layers.Dense(1, kernel_initializer="ones")
    dense.build((None, 2))

    def loss(both):
        x, kernel = both
        with autodiff.Scope([(dense.kernel, kernel)]), autodiff.weighted([dense.kernel], 0.25):
            return ops.sum(dense(x) ** 2)

    x, kernel = np.array([[1.0, 2.0]], "float32"), np.array([[3.0], [5.0]], "float32")
    value, (of_x, of_kernel) = autodiff.value_and_grad(loss, [x, kernel])
    np.testing.assert_allclose(value, 13**2)
    np.testing.assert_allclose(of_x, 2 * 13 * kernel.T)
    np.testing.assert_allclose(of_kernel, 0.25 * 2 * 13 * x.T)


def test_frozen_variables_get_no_gradient_and_keep_their_values():
    model = Penalised()
    x = ops.ones((3, 2))

    def loss(scale):
        with autodiff.Scope([(model.dense.kernel, model.dense.kernel.value * scale)]):
            outer = ops.sum(model(x))
            with autodiff.frozen(model.dense.trainable_variables):
                return outer + ops.sum(model(x))

    direct = autodiff.grad(lambda s: ops.sum(ops.matmul(model.norm(x), model.dense.kernel.value * s)), ops.ones(()))
    np.testing.assert_allclose(autodiff.grad(loss, ops.ones(())), direct, rtol=1e-5)
    np.testing.assert_allclose(autodiff.value_and_grad(loss, ops.ones(()))[0], 2 * ops.sum(model(x)), rtol=1e-5)


def test_inner_passes_leave_state_alone():
    model = Penalised()
    before = [ops.convert_to_numpy(v) for v in model.non_trainable_variables]
    autodiff.grad(lambda z: ops.sum(model(z, training=True)), ops.ones((3, 2)))
    for old, variable in zip(before, model.non_trainable_variables):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(variable))


def test_compiled_reads_new_weights_and_keeps_new_state():
    model = Penalised()
    verb = autodiff.compiled(lambda x: model(x, training=True), model)
    x = ops.ones((3, 2))
    first = ops.convert_to_numpy(verb(x))
    seeds = ops.convert_to_numpy(model.dropout.seed_generator.state)
    verb(x)
    assert np.any(seeds != ops.convert_to_numpy(model.dropout.seed_generator.state))
    model.dense.bias.assign([100.0])
    assert np.all(ops.convert_to_numpy(verb(x)) > first + 50)


def test_jacobian_of_rows():
    x, y = np.random.default_rng(0).normal(size=(2, 5, 2)).astype("float32")
    of_x, of_y = autodiff.jacobian(lambda v: ops.concatenate([v[0] * v[1], v[0][:, :1] ** 2], 1), [x, y], 3)
    for row in range(5):
        np.testing.assert_allclose(of_x[row], [[y[row, 0], 0], [0, y[row, 1]], [2 * x[row, 0], 0]], rtol=1e-6)
        np.testing.assert_allclose(of_y[row], [[x[row, 0], 0], [0, x[row, 1]], [0, 0]], rtol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_step_of_a_methods_own(jit_compile):
    keras.utils.set_random_seed(0)
    layer, optimizer = keras.layers.Dense(1, use_bias=False), keras.optimizers.SGD(0.1, momentum=0.9)
    layer.build((None, 2))
    optimizer.build(layer.trainable_variables)

    def step(x):
        loss, gradients = autodiff.value_and_weight_grad(lambda: ops.sum(layer(x) ** 2), layer.trainable_variables)
        optimizer.apply(gradients, layer.trainable_variables)
        return loss

    run, weights, velocity = autodiff.compiled(step, layer, jit_compile, optimizer), ops.convert_to_numpy(layer.kernel), 0.0
    for _ in range(3):
        np.testing.assert_allclose(run(X[None]), (X @ weights).item() ** 2, rtol=1e-5)
        velocity = 0.9 * velocity - 0.1 * 2 * X[:, None] * (X @ weights)
        weights = weights + velocity
        np.testing.assert_allclose(layer.kernel, weights, rtol=1e-4)
    assert int(optimizer.iterations) == 3


def test_rows_in_batches():
    x, traced = np.arange(14, dtype="float32").reshape(7, 2), []

    def function(x, y, scale):
        traced.append(x.shape[0])
        return ops.sum(x, axis=1) * scale + y, x + y[:, None]

    run = autodiff.compiled(function, keras.layers.Dense(1))
    for n, batch_size in ((7, 3), (7, 7), (1, 5), (3, 5)):
        found = autodiff.in_batches(run, (x[:n], x[:n, 0]), batch_size, shared=[np.float32(2)])
        np.testing.assert_allclose(found[0], 2 * x[:n].sum(1) + x[:n, 0])
        np.testing.assert_allclose(found[1], x[:n] + x[:n, :1])
    assert set(traced) <= {1, 3, 4, 7, None}
