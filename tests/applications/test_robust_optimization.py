"""RobustOptimization against closed forms of linear classifiers, against plain training on moved samples, and in its verbs."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo import attacks
from zoo.applications import RobustOptimization

RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 0.8, (12, 5)).astype("float32")
Y = (np.arange(12) % 2).astype("int32")
DUAL = {"l1": np.inf, "l2": 2, "linf": 1}


def linear(units=1, activation=None):
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input((5,)), layers.Dense(units, activation=activation, bias_initializer="random_normal")])


def logistic(model, x, y, shift):
    """Loss of logistic regression whose margin the adversary lowers by `shift`."""
    weights, bias = (np.asarray(v, "float64") for v in model.get_weights())
    margin = (2 * y - 1) * (x @ weights + bias)[:, 0] - shift
    return np.log1p(np.exp(-margin))


@pytest.mark.parametrize("norm", attacks.NORMS)
@pytest.mark.parametrize("num_steps", [1, 9])
def test_loss_of_logistic_regression_is_that_at_a_smaller_margin(norm, num_steps):
    """The worst loss in a ball is known: the margin falls by epsilon times the dual norm of the weights."""
    classifier = linear()
    model = RobustOptimization(classifier, 0.1, norm, num_steps=num_steps, low=None, high=None, from_logits=True)
    shift = 0.1 * np.linalg.norm(classifier.get_weights()[0][:, 0], DUAL[norm])
    expected = logistic(classifier, X, Y, shift)
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["loss"] == pytest.approx(expected.mean(), rel=1e-4)
    weight = RNG.uniform(0, 2, 12)
    found = model.evaluate(X, Y, sample_weight=weight, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx((weight * expected).mean(), rel=1e-4)
    right = np.average(expected < np.log(2), weights=weight)
    assert found["attacked_accuracy"] == pytest.approx(right, abs=1e-5)
    assert model.robust_accuracy(X, Y) == pytest.approx(np.mean(expected < np.log(2)))


@pytest.mark.parametrize("from_logits", [True, False])
def test_a_step_is_plain_training_on_the_moved_samples(from_logits):
    activation = None if from_logits else "softmax"
    classifier, plain = linear(3, activation), linear(3, activation)
    model = RobustOptimization(classifier, 0.2, "l2", from_logits=from_logits)
    moved = model.perturb(X, Y)
    np.testing.assert_allclose(np.linalg.norm(moved - X, axis=1), 0.2, rtol=1e-4)
    model.compile(keras.optimizers.SGD(0.5))
    plain.compile(keras.optimizers.SGD(0.5), keras.losses.SparseCategoricalCrossentropy(from_logits))
    for each, x in ((model, X), (plain, moved)):
        each.fit(x, Y, batch_size=12, verbose=0)
    for a, b in zip(classifier.get_weights(), plain.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("units", [1, 3])
def test_a_saturated_softmax_hides_no_gradient(units):
    """Probabilities that are 0 or 1 in float32 have no derivatives; the logits behind them have."""
    activation = "sigmoid" if units == 1 else "softmax"
    classifier, bare = linear(units, activation), linear(units)
    kernel, bias = classifier.get_weights()
    for each in (classifier, bare):
        each.set_weights([1e4 * kernel, bias])
    model, expected = RobustOptimization(classifier, 0.1, "l2"), RobustOptimization(bare, 0.1, "l2", from_logits=True)
    y = 1 - (bare.predict(X, verbose=0)[:, 0] > 0) if units == 1 else bare.predict(X, verbose=0).argmin(1)
    moved = model.perturb(X, y)
    np.testing.assert_allclose(moved, expected.perturb(X, y), atol=1e-6)
    # the loss of samples that are wrong beyond doubt
    np.testing.assert_allclose(model.evaluate(X, y, verbose=0)[0], expected.evaluate(X, y, verbose=0)[0], rtol=1e-4)
    assert model.evaluate(X, y, verbose=0)[0] > 1000
    for each in (model, expected):
        each.compile(keras.optimizers.SGD(1.0))
        each.fit(X, y, batch_size=12, verbose=0)
    np.testing.assert_allclose(classifier.get_weights()[0], bare.get_weights()[0], rtol=1e-5)
    assert np.abs(classifier.get_weights()[0] - 1e4 * kernel).max() > 1e-2


def test_rows_with_one_1_are_classes():
    model, rows = RobustOptimization(linear(3), 0.3, "l2", from_logits=True), np.eye(3)[Y]
    np.testing.assert_array_equal(model.perturb(X, rows), model.perturb(X, Y))
    assert model.robust_accuracy(X, rows, random_start=False) == model.robust_accuracy(X, Y, random_start=False)
    found, expected = (model.evaluate(X, y, verbose=0, return_dict=True) for y in (rows, Y))
    assert found == pytest.approx(expected)
    model.fit(X, rows, validation_data=(X, rows), verbose=0)
    with pytest.raises(ValueError, match="`label`.*one 1"):
        model.perturb(X, np.ones((12, 3)))


def test_limits_and_random_starts():
    model = RobustOptimization(linear(), 0.5, "linf", from_logits=True)
    moved = model.perturb(X, Y)
    assert moved.min() == 0 and moved.max() == 1
    first, second = (model.perturb(X, Y, num_steps=1, step_size=0.01, random_start=True) for _ in range(2))
    assert np.any(first != second) and np.abs(first - X).max() <= 0.5 + 1e-6
    # another ball than the model's
    assert np.abs(model.perturb(X, Y, epsilon=0.05) - X).max() == pytest.approx(0.05, rel=1e-4)
    np.testing.assert_allclose(np.abs(model.perturb(X, Y, 0.1, "l1", 3) - X).sum(1), 0.1, rtol=1e-3)
    assert model.robust_accuracy(X, Y, epsilon=0.0) == pytest.approx(np.mean((model.predict(X, verbose=0)[:, 0] > 0) == Y))


def test_extra_passes_move_no_seeds_and_no_statistics_in_evaluation():
    model = RobustOptimization(**{**RobustOptimization.example_config(), "num_steps": 3})
    x, y = model.example_inputs(8), np.arange(8, dtype="int32") % 3
    before = [ops.convert_to_numpy(v) for v in model.classifier.variables]
    model.evaluate(x, y, verbose=0)
    model.perturb(x, y)
    for old, new in zip(before, model.classifier.variables):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(new))


def test_training_resists():
    """What the paper claims, in a corner where it can be seen at once: a strong feature with small steps, a weak one with large steps."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 400).astype("int32")
    sign = 2 * y[:, None] - 1
    x = np.concatenate([sign + 0.6 * rng.normal(size=(400, 1)), 0.1 * sign + 0.01 * rng.normal(size=(400, 8))], 1).astype("float32")
    found = {}
    for epsilon in (0.0, 0.2):
        keras.utils.set_random_seed(0)
        model = RobustOptimization(keras.Sequential([keras.Input((9,)), layers.Dense(1)]), epsilon, low=None, high=None, from_logits=True)
        model.compile(keras.optimizers.Adam(0.1))
        model.fit(x, y, batch_size=100, epochs=20, verbose=0)
        found[epsilon] = model.robust_accuracy(x, y, epsilon=0.2, num_steps=3)
    assert found[0.2] > found[0.0] + 0.1


def test_refusals():
    for bad in ({"norm": "l3"}, {"epsilon": -1.0}, {"num_steps": 0}, {"step_size": 0.0}, {"low": 2.0}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            RobustOptimization(linear(), from_logits=True, **bad)
    with pytest.raises(ValueError, match="`input`"):
        RobustOptimization(linear(), from_logits=True).perturb(X + 1, Y)
    with pytest.raises(ValueError, match="`label`"):
        RobustOptimization(linear(), from_logits=True).perturb(X, Y + 1)
