"""The objective of deep LDA against scipy's generalised eigenproblem, finite differences, and the two public implementations in NumPy."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import linalg

from zoo import autodiff
from zoo.losses import DeepLDALoss, deep_lda_loss, lda_eigen, lda_statistics


def labelled(n=60, d=7, classes=5, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), np.arange(classes), rng.integers(0, classes, n - 2 * classes)])
    return (spread * rng.normal(size=(classes, d))[y] + rng.normal(size=(n, d))), y.astype("int32")


def scatters(x, y):
    within = np.mean([np.cov(x[y == c].T) for c in np.unique(y)], axis=0)
    return within, np.cov(x.T), np.cov(x.T) - within


def expected(x, y, regularization=1e-3, epsilon=1.0):
    """The authors' objective in float64."""
    within, _, between = scatters(x, y)
    values = linalg.eigh(between, within + regularization * np.eye(x.shape[1]), eigvals_only=True)[-(len(np.unique(y)) - 1) :]
    return -values[values <= values.min() + epsilon].mean()


def numeric(function, x, step=1e-5):
    gradient = np.zeros(x.shape)
    for i in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (function(up) - function(down)) / (2 * step)
    return gradient


@pytest.mark.parametrize(("classes", "d"), [(5, 7), (5, 3), (2, 4), (6, 6)])
@pytest.mark.parametrize("epsilon", [0.0, 1.0, 1e9])
def test_value_and_gradient(classes, d, epsilon):
    """Also with fewer features than components; the selected set does not change within the step of the differences."""
    x, y = labelled(d=d, classes=classes)
    value, gradient = autodiff.value_and_grad(lambda f: deep_lda_loss(f, y, classes, epsilon=epsilon), x.astype("float32"))
    np.testing.assert_allclose(float(value), expected(x, y, epsilon=epsilon), rtol=1e-4)
    slope = numeric(lambda a: expected(a, y, epsilon=epsilon), x)
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), slope, atol=2e-4 * np.abs(slope).max())


def test_gradient_of_the_largest_and_of_every_eigenvalue():
    """Not only of those that the loss selects."""
    x, y = labelled()
    for weights in (np.eye(7)[-1], np.arange(1.0, 8.0)):

        def weighted(f, weights=weights):
            _, within, between, _ = lda_statistics(f, y, 5)
            return ops.sum(ops.cast(weights, "float32") * lda_eigen(within, between)[0])

        def oracle(a, weights=weights):
            within, _, between = scatters(a, y)
            return weights @ linalg.eigh(between, within + 1e-3 * np.eye(7), eigvals_only=True)

        slope = numeric(oracle, x)
        gradient = ops.convert_to_numpy(autodiff.grad(weighted, x.astype("float32")))
        np.testing.assert_allclose(gradient, slope, atol=1e-3 * np.abs(slope).max())


def test_eigenvectors_are_normed_by_the_within_scatter():
    x, y = labelled()
    _, within, between, counts = (ops.convert_to_numpy(a) for a in lda_statistics(x.astype("float32"), y, 5))
    np.testing.assert_array_equal(counts, np.bincount(y))
    np.testing.assert_allclose(within, scatters(x, y)[0], atol=1e-5)
    np.testing.assert_allclose(between, scatters(x, y)[2], atol=1e-5)
    values, vectors = (ops.convert_to_numpy(a) for a in lda_eigen(ops.convert_to_tensor(within), ops.convert_to_tensor(between), 1e-2))
    regular = within + 1e-2 * np.eye(7)
    np.testing.assert_allclose(vectors.T @ regular @ vectors, np.eye(7), atol=1e-4)
    np.testing.assert_allclose(between @ vectors, regular @ vectors * values, atol=1e-4)


def test_equal_eigenvalues_have_finite_gradients():
    """Three classes in a symmetric triangle: both components are equal; and constant features: all are."""
    corners = np.array([[np.cos(a), np.sin(a)] for a in 2 * np.pi * np.arange(3) / 3])
    square = 0.1 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    x = (4 * corners[:, None] + square).reshape(-1, 2).astype("float32")
    y = np.repeat(np.arange(3), 4).astype("int32")
    _, within, between, _ = lda_statistics(x, y, 3)
    values = ops.convert_to_numpy(lda_eigen(within, between)[0])
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4)
    for features in (x, np.ones_like(x)):
        gradient = ops.convert_to_numpy(autodiff.grad(lambda f: deep_lda_loss(f, y, 3), features))
        assert np.all(np.isfinite(gradient))
    assert np.abs(ops.convert_to_numpy(autodiff.grad(lambda f: deep_lda_loss(f, y, 3), x))).max() > 0.1


def test_absent_classes_single_examples_and_strange_labels():
    x, y = labelled(classes=3)
    named = np.array([1, 4, 7], "int32")[y]
    whole = float(deep_lda_loss(x.astype("float32"), named, 9))
    np.testing.assert_allclose(whole, expected(x, y), rtol=1e-4)
    more = np.concatenate([x, 100 * np.ones((2, 7))]).astype("float32")
    np.testing.assert_allclose(float(deep_lda_loss(more, np.append(named, [-1, 9]).astype("int32"), 9)), whole, rtol=1e-5)
    # a class of one example has no covariance, but a mean
    alone = np.append(y, 3).astype("int32")
    within = ops.convert_to_numpy(lda_statistics(more[:-1], alone, 4)[1])
    np.testing.assert_allclose(within, scatters(x, y)[0], atol=1e-5)
    # one class cannot be separated
    value, gradient = autodiff.value_and_grad(lambda f: deep_lda_loss(f, np.zeros(60, "int32"), 9), x.astype("float32"))
    assert float(value) == 0 and not np.any(ops.convert_to_numpy(gradient))


def test_sample_weights_count_examples():
    x, y = labelled()
    weights = np.random.default_rng(1).integers(0, 4, len(y))
    weights[:10] = 2
    repeated, labels = np.repeat(x, weights, axis=0), np.repeat(y, weights)
    found = deep_lda_loss(x.astype("float32"), y, 5, sample_weight=weights)
    np.testing.assert_allclose(float(found), expected(repeated, labels), rtol=1e-4)


def test_loss_class_in_a_model():
    """`compile` takes it, XLA as well, and the features become separable."""
    x, y = labelled(n=200, spread=0.7)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((7,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(4)])
    model.compile(keras.optimizers.Adam(0.01), DeepLDALoss(5, epsilon=2.0), jit_compile=True)
    history = model.fit(x, y, batch_size=200, epochs=30, verbose=0).history["loss"]
    np.testing.assert_allclose(
        model.evaluate(x, y, batch_size=200, verbose=0), expected(model.predict(x, verbose=0), y, epsilon=2.0), rtol=1e-3
    )
    assert history[-1] < 2 * history[0] < 0
    copy = keras.losses.deserialize(keras.losses.serialize(model.loss))
    assert copy.get_config() == model.loss.get_config() and copy.epsilon == 2.0


def test_who_is_right():
    """The authors' cost is the paper's; the Keras port's two versions are other functions, which saturate where classes are far apart."""
    x, y = labelled(n=200, d=4, classes=4, spread=6.0)
    within, complete, between = scatters(x, y)
    true = linalg.eigh(between, within, eigvals_only=True)
    port = linalg.eigh(between, complete, eigvals_only=True)  # the port's earlier version
    np.testing.assert_allclose(port, true / (1 + true), rtol=1e-6)
    assert true[-3:].max() - true[-3:].min() > 1 > port[-3:].max() - port[-3:].min()  # a margin of 1 selects, and does not
    trace = np.trace(np.linalg.inv(complete) @ between)  # what its present version returns
    np.testing.assert_allclose(trace, port.sum(), rtol=1e-6)

    def slope(objective):
        """How much the objective rises when class 0 moves away from the others."""
        far, near = x.copy(), x.copy()
        direction = x[y == 0].mean(0) - x.mean(0)
        far[y == 0] += 1e-4 * direction
        near[y == 0] -= 1e-4 * direction
        return (objective(far) - objective(near)) / 2e-4

    def trace_of(a):
        _, complete, between = scatters(a, y)
        return np.trace(np.linalg.inv(complete) @ between)

    assert abs(slope(trace_of)) < 0.1 < slope(lambda a: -expected(a, y, 1e-9, 1e9))
