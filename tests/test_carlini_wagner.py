"""The attacks of Carlini and Wagner against distances to hyperplanes, SciPy's optimiser, and the Adversarial Robustness Toolbox."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.optimize import minimize

from zoo import attacks, autodiff

RNG = np.random.default_rng(0)
X = RNG.uniform(0.35, 0.65, (12, 6)).astype("float32")


def linear(units, inputs=6):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((inputs,)), layers.Dense(units, bias_initializer="random_normal")])
    return model


def attacked(model, x, y, *arguments, **options):
    def run(x, y):
        return tuple(attacks.carlini_wagner(model, x, y, *arguments, **options))

    return attacks.Nearest(*(ops.convert_to_numpy(part) for part in autodiff.compiled(run, model)(x, np.asarray(y, "int32"))))


def planes(model):
    """Margin of the predicted class of two, and the difference of the weights."""
    w, b = model.get_weights()
    z = X @ w + b
    return z.argmax(1), np.abs(z[:, 0] - z[:, 1]), w[:, 0] - w[:, 1]


@pytest.mark.parametrize(("norm", "slack"), [("l2", 0.02), ("linf", 0.12)])
def test_two_classes_are_as_far_apart_as_a_plane(norm, slack):
    model = linear(2)
    y, margin, normal = planes(model)
    distance = margin / (np.linalg.norm(normal) if norm == "l2" else np.abs(normal).sum())
    found = attacked(model, X, y, norm, steps=200, rate=0.01, searches=12 if norm == "l2" else 40)
    alone = attacked(model, X[:1], y[:1], norm, steps=200, rate=0.01, searches=12 if norm == "l2" else 40)
    np.testing.assert_allclose(alone.samples, found.samples[:1], atol=1e-3)
    assert found.success.all() and np.all(model.predict(found.samples, verbose=0).argmax(1) != y)
    order = 2 if norm == "l2" else np.inf
    np.testing.assert_allclose(np.linalg.norm(found.samples - X, order, axis=1), found.distance, rtol=1e-4)
    assert np.all(found.distance >= distance * (1 - 1e-4) - 1e-6) and np.all(found.distance <= distance * (1 + slack) + 2e-3)


def test_l0_takes_the_numbers_that_matter_most():
    model = linear(2, 20)
    x = RNG.uniform(0.2, 0.8, (40, 20)).astype("float32")
    w, b = model.get_weights()
    z = x @ w + b
    y = z.argmax(1)
    normal = (w[:, 0] - w[:, 1]) * np.where(y == 0, 1, -1)[:, None]
    # the most that each number can take off the margin
    gains = np.sort(np.where(normal > 0, normal * x, -normal * (1 - x)), axis=1)[:, ::-1]
    fewest = np.sum(np.cumsum(gains, axis=1) < np.abs(z[:, 0] - z[:, 1])[:, None], axis=1) + 1
    found = attacked(model, x, y, "l0", steps=200, rate=0.02, searches=30)
    assert found.success.all() and np.all(model.predict(found.samples, verbose=0).argmax(1) != y)
    np.testing.assert_array_equal(found.distance, np.sum(found.samples != x, axis=1))
    # numbers are given up one by one and never taken back, so that a few samples keep more than they must
    assert fewest.max() > 2 and np.all(found.distance >= fewest) and np.mean(found.distance <= fewest + 1) > 0.85


@pytest.mark.parametrize("confidence", [0.0, 0.5])
def test_targets_are_reached_by_the_shortest_way_in_the_box(confidence):
    """The nearest point of a polytope, which meets the box for samples near its corners."""
    model = linear(4)
    x = RNG.uniform(0.0, 0.3, (6, 6)).astype("float32")
    w, b = (np.asarray(a, "float64") for a in model.get_weights())
    y = (x @ w + b).argmin(1)
    found = attacked(model, x, y, targeted=True, confidence=confidence, steps=400, rate=0.02, searches=12)
    for point, target, sample, success, distance in zip(x, y, *found):
        others = [j for j in range(4) if j != target]
        limits = {"type": "ineq", "fun": lambda p, t=target, o=others: (p @ w + b)[t] - (p @ w + b)[o] - confidence}
        best = minimize(lambda p, q=point: np.sum((p - q) ** 2), point, bounds=[(0, 1)] * 6, constraints=limits)
        assert success == best.success
        if success:
            assert (sample @ w + b)[target] - np.delete(sample @ w + b, target).max() >= confidence - 1e-5
            assert np.sqrt(best.fun) - 1e-4 <= distance <= 1.03 * np.sqrt(best.fun) + 1e-3


def test_a_sample_that_cannot_be_moved_stays():
    model = linear(2)
    model.set_weights([np.zeros((6, 2)), np.array([1.0, 0.0])])
    for norm in ("l2", "linf", "l0"):
        found = attacked(model, X, np.zeros(12), norm, steps=5, searches=3)
        assert not found.success.any() and not found.distance.any()
        np.testing.assert_array_equal(found.samples, X)


def test_it_goes_less_far_than_the_peer():
    classifiers = pytest.importorskip("art.estimators.classification")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the peer differentiates by TensorFlow")
    from art.attacks.evasion import CarliniL2Method

    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(16, "tanh"), layers.Dense(4)])
    y = model.predict(X, verbose=0).argmax(1)
    loss = keras.losses.SparseCategoricalCrossentropy(True)
    peer = classifiers.TensorFlowV2Classifier(model, 4, (6,), loss, clip_values=(0.0, 1.0))
    theirs = CarliniL2Method(peer, binary_search_steps=5, max_iter=60, learning_rate=0.03, batch_size=12, verbose=False).generate(X, y)
    reached = model.predict(theirs, verbose=0).argmax(1) != y
    ours = attacked(model, X, y, searches=5, steps=60, rate=0.03)
    both = reached & ours.success
    assert ours.success.mean() >= reached.mean() and both.any()
    assert ours.distance[both].mean() <= 1.02 * np.linalg.norm(theirs - X, axis=1)[both].mean()


def test_refusals():
    for name, bad in (("norm", "l1"), ("steps", 0), ("searches", 0), ("rate", 0.0), ("constant", -1.0), ("confidence", -1.0), ("low", 2.0)):
        with pytest.raises(ValueError, match=f"`{name}`"):
            attacks.carlini_wagner(linear(2), X, np.zeros(12, "int32"), **{name: bad})
