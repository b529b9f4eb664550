"""JSMA: maps and distances against a Jacobian in NumPy, hardness against attacks from scratch, all kinds of outputs, and refusals."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo import attacks
from zoo.applications import JSMA, RobustOptimization

RNG = np.random.default_rng(0)
X = RNG.uniform(0.1, 0.9, (9, 14)).astype("float32")


def network(units=4, activation=None):
    keras.utils.set_random_seed(3)
    head = layers.Dense(units, activation, kernel_initializer=keras.initializers.RandomNormal(stddev=0.7))
    return keras.Sequential([keras.Input((14,)), layers.Dense(10, "tanh"), head])


def jacobian(classifier, softmax=False):
    """Derivatives `(batch, outputs, features)` in float64."""
    w, b, v, c = (np.asarray(a, "float64") for a in classifier.get_weights())
    hidden = np.tanh(X @ w + b)
    slopes = np.einsum("ih,bh,ho->boi", w, 1 - hidden**2, v)
    if softmax:
        p = np.exp(hidden @ v + c)
        p /= p.sum(1, keepdims=True)
        slopes = p[..., None] * (slopes - np.einsum("bo,boi->bi", p, slopes)[:, None])
    return slopes


@pytest.mark.parametrize("theta", [1.0, -1.0])
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_maps_and_distances_are_the_equations(theta, outputs):
    classifier = network()
    model = JSMA(classifier, theta=theta, outputs=outputs, from_logits=True)
    slopes = jacobian(classifier, outputs == "probabilities")
    distances = np.empty((len(X), 4))
    for target in range(4):
        alpha, beta = slopes[:, target], slopes.sum(1) - slopes[:, target]
        helps = (alpha > 0) & (beta < 0) if theta > 0 else (alpha < 0) & (beta > 0)
        np.testing.assert_allclose(model.saliency(X, target), np.where(helps, np.abs(alpha * beta), 0), atol=1e-5)
        distances[:, target] = 1 - helps.mean(1)
        np.testing.assert_allclose(model.adversarial_distance(X, np.full(len(X), target), batch_size=4), distances[:, target], atol=1e-6)
    predicted = classifier.predict(X, verbose=0).argmax(1)
    others = distances[np.arange(4) != predicted[:, None]]
    assert model.robustness(X) == pytest.approx(others.min())


def test_hardness_is_the_trapezoidal_rule_over_separate_attacks():
    classifier, y, shares = network(), np.arange(9) % 3, (0.15, 0.3, 0.6, 0.9)
    model = JSMA(classifier, from_logits=True)
    found = model.hardness(X, y, shares, batch_size=5)
    for source in range(4):
        for target in range(4):
            if source == target or source == 3:
                assert np.isnan(found[source, target])
                continue
            part = X[y == source]
            runs = [attacks.jacobian_saliency(classifier, part, np.full(len(part), target, "int32"), 1.0, gamma) for gamma in shares]
            rates = [np.mean(ops.convert_to_numpy(run.success)) for run in runs]
            sizes = [np.mean(ops.convert_to_numpy(run.samples) != part) for run in runs]
            assert found[source, target] == pytest.approx(np.trapezoid(sizes, rates), abs=1e-6)
    assert np.nanmax(found) > 0


@pytest.mark.parametrize("pairs", [True, False])
def test_all_targets_in_one_call(pairs):
    classifier = network()
    model = JSMA(classifier, gamma=0.6, pairs=pairs, from_logits=True)
    found = model.attack_all(X, batch_size=7)
    for target in range(4):
        expected = attacks.jacobian_saliency(classifier, X, np.full(9, target, "int32"), gamma=0.6, pairs=pairs)
        one = model.attack(X, target)
        for part, other, each in zip(found, expected, one):
            np.testing.assert_allclose(part[:, target], other, atol=1e-6)
            np.testing.assert_allclose(part[:, target], each, atol=1e-6)
    predicted = classifier.predict(X, verbose=0).argmax(1)
    assert found.success[np.arange(9), predicted].all() and not found.changed[np.arange(9), predicted].any()
    assert found.changed.max() <= 0.6 * 14 and found.success.mean() > 0.5
    alone = model.attack(X[:1], 1)
    np.testing.assert_allclose(alone.samples, found.samples[:1, 1], atol=1e-6)
    none = model.attack(X, 0, gamma=0.0)
    np.testing.assert_array_equal(none.samples, X)


def test_one_unit_is_two_classes():
    """A sigmoid is a softmax over logits of opposite signs, halved."""
    one = network(1, "sigmoid")
    two = network(2)
    w, b, v, c = one.get_weights()
    two.set_weights([w, b, np.concatenate([-v, v], 1) / 2, np.concatenate([-c, c]) / 2])
    bare = network(1)
    bare.set_weights([w, b, v, c])
    for outputs in ("logits", "probabilities"):
        expected = JSMA(two, gamma=0.6, outputs=outputs, from_logits=True).attack_all(X)
        for classifier, from_logits in ((one, False), (bare, True)):
            model = JSMA(classifier, gamma=0.6, outputs=outputs, from_logits=from_logits)
            np.testing.assert_allclose(model.attack_all(X).samples, expected.samples, atol=1e-5)
            assert model.attack_all(X).success.mean() > 0.5
    model.fit(X, np.arange(9) % 2, verbose=0)


def endings():
    """The network with its softmax in every place where one is put."""
    logits = network()

    def copied(model):
        model.set_weights(logits.get_weights())
        return model

    body = lambda: [keras.Input((14,)), layers.Dense(10, "tanh")]  # noqa: E731
    x = keras.Input((14,))
    inner = copied(keras.Sequential([*body(), layers.Dense(4, "softmax")]))
    yield "dense", inner
    yield "layer", copied(keras.Sequential([*body(), layers.Dense(4), layers.Softmax()]))
    yield "activation", copied(keras.Sequential([*body(), layers.Dense(4), layers.Activation("softmax", dtype="float32")]))
    yield "operation", keras.Model(x, ops.softmax(logits(x)))
    yield "functional", copied(keras.Model(x, layers.Dense(4, activation="softmax")(layers.Dense(10, "tanh")(x))))
    yield "nested", keras.Sequential([x, keras.Model(x, inner(x)), layers.Dropout(0.5), layers.Activation("linear")])
    yield "behind a nested model", keras.Sequential([x, logits, layers.Softmax()])
    yield "wrapped", RobustOptimization(inner)
    yield "softmax in call", Ended(logits)


class Ended(keras.Model):
    """A model whose `call` puts a softmax on a network."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.other = keras.models.clone_model(network)
        self.build((None, 14))

    def build(self, shape):
        self.built = True

    def get_build_config(self):
        return {"input_shape": (None, 14)}

    def call(self, x):
        return ops.softmax(self.network(x))


NAMES = [
    *("dense", "layer", "activation", "operation", "functional", "nested", "behind a nested model", "wrapped", "softmax in call"),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_behind_a_softmax_are_attacked(name):
    """The same samples as with the network that gives logits, where attacks on log-probabilities make others."""
    bare = JSMA(network(), gamma=0.3, from_logits=True)
    expected = bare.attack_all(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = JSMA(dict(endings())[name], gamma=0.3)
    found = model.attack_all(X)
    np.testing.assert_array_equal(found.success, expected.success)
    np.testing.assert_allclose(found.samples, expected.samples, atol=1e-6)
    np.testing.assert_allclose(model.saliency(X, 1), bare.saliency(X, 1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.logits(X), bare.logits(X), atol=1e-5)


def test_where_no_logits_are_found_a_warning_says_so():
    x = keras.Input((14,))
    odds = ops.exp(network()(x))
    with pytest.warns(UserWarning, match="logits are not found"):
        model = JSMA(keras.Model(x, odds / ops.sum(odds, axis=-1, keepdims=True)))
    expected = ops.log_softmax(network()(X))
    np.testing.assert_allclose(model.logits(X), expected, atol=1e-5)


def test_logits_that_look_like_probabilities():
    constant = network(3)
    constant.set_weights([*constant.get_weights()[:2], np.zeros((10, 3)), np.array([1.0, 0.0, 0.0])])
    model = JSMA(constant, from_logits=True)
    np.testing.assert_array_equal(model.attack(X, 1).samples, X)
    with pytest.raises(ValueError, match="`from_logits`"):
        JSMA(network(3, "softmax"), from_logits=True)
    for wrong in ({"units": 1, "activation": "sigmoid"}, {"units": 3, "activation": "sigmoid"}):
        with pytest.raises(ValueError, match="`from_logits`"):
            JSMA(network(**wrong), from_logits=True)
    with pytest.raises(ValueError, match="`from_logits`"):
        JSMA(network(1))


def test_rows_with_one_1_are_classes():
    model = JSMA(network(), gamma=0.6, from_logits=True)
    target, rows = np.arange(9) % 4, np.eye(4)[np.arange(9) % 4]
    np.testing.assert_array_equal(model.attack(X, rows).samples, model.attack(X, target).samples)
    np.testing.assert_array_equal(model.hardness(X, rows, (0.3, 0.6)), model.hardness(X, target, (0.3, 0.6)))
    expected = model.evaluate(X, target, verbose=0)
    np.testing.assert_allclose(model.evaluate(X, rows, verbose=0), expected, rtol=1e-5)
    assert {"accuracy", "val_accuracy"} <= set(model.fit(X, rows, validation_data=(X, target), verbose=0).history)
    for wrong in (rows * 2, rows + np.eye(4)[(np.arange(9) + 1) % 4], rows * 0.5):
        with pytest.raises(ValueError, match="`label`.*one 1"):
            model.fit(X, wrong, verbose=0)
        with pytest.raises(ValueError, match="`target`.*one 1"):
            model.attack(X, wrong)


def test_probabilities_of_a_softmax_are_differentiated_as_they_are():
    from_logits, softmax = network(), network(activation="softmax")
    expected = JSMA(from_logits, outputs="probabilities", from_logits=True).saliency(X, 2)
    np.testing.assert_allclose(JSMA(softmax, outputs="probabilities").saliency(X, 2), expected, atol=1e-6)


def test_distances_see_derivatives_whose_product_is_nothing():
    classifier = network()
    small = keras.Sequential([keras.Input((14,)), classifier, layers.Rescaling(1e-25)])
    expected = JSMA(classifier, from_logits=True).adversarial_distance(X, 1)
    model = JSMA(small, from_logits=True)
    np.testing.assert_allclose(model.adversarial_distance(X, 1), expected, atol=1e-6)
    np.testing.assert_array_equal(model.attack(X, 1, 0.6).samples, JSMA(classifier, from_logits=True).attack(X, 1, 0.6).samples)
    assert expected.max() < 1 and not model.saliency(X, 1).any()


def test_refusals():
    model = JSMA(network(), from_logits=True)
    for match, bad in (("theta", {"theta": 0.0}), ("gamma", {"gamma": 2.0}), ("outputs", {"outputs": "loss"}), ("low", {"low": 1.0})):
        with pytest.raises(ValueError, match=f"`{match}`"):
            JSMA(network(), from_logits=True, **bad)
    with pytest.raises(ValueError, match="`target`"):
        model.attack(X, 4)
    with pytest.raises(ValueError, match="`target`"):
        model.saliency(X, [0, 1])
    with pytest.raises(ValueError, match="`distortions`"):
        model.hardness(X, np.zeros(9, int), (0.5, 0.1))
    free = keras.Sequential([keras.Input((None, 3)), layers.GlobalAveragePooling1D(), layers.Dense(2)])
    with pytest.raises(ValueError, match="`classifier`"):
        JSMA(free, from_logits=True)
