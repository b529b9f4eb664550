"""Steps and projections against SciPy's optimisers, attacks on a small network against the Adversarial Robustness Toolbox."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.optimize import linprog, minimize

from zoo import attacks, autodiff

RNG = np.random.default_rng(0)
G = RNG.normal(size=(6, 2, 4)).astype("float32")


def norm_of(x, norm):
    return np.linalg.norm(np.reshape(x, (len(x), -1)), {"l1": 1, "l2": 2, "linf": np.inf}[norm], axis=1)


def best_of_ball(gradient, epsilon, bounds):
    """<gradient, r> at its largest in the l1 ball within bounds: r = p - n, a linear programme."""
    n = len(gradient)
    found = linprog(np.concatenate([-gradient, gradient]), np.ones((1, 2 * n)), [epsilon], bounds=bounds)
    return -found.fun


@pytest.mark.parametrize("norm", attacks.NORMS)
def test_steepest_reaches_the_dual_norm(norm):
    r = ops.convert_to_numpy(attacks.steepest(G, 0.7, norm))
    dual = {"l1": "linf", "l2": "l2", "linf": "l1"}[norm]
    np.testing.assert_allclose(norm_of(r, norm), 0.7, rtol=1e-5)
    np.testing.assert_allclose((r * G).sum((1, 2)), 0.7 * norm_of(G, dual), rtol=1e-5)
    radii = np.arange(1, 7, dtype="float32")
    np.testing.assert_allclose(norm_of(attacks.steepest(1e-25 * G, radii, norm), norm), radii, rtol=1e-5)
    assert not np.any(ops.convert_to_numpy(attacks.steepest(0 * G, 0.7, norm)))


@pytest.mark.parametrize("epsilon", [0.1, 0.9, 3.0, 50.0])
def test_steepest_with_room_is_the_linear_programme(epsilon):
    room = RNG.uniform(0, 1, G.shape).astype("float32")
    r = ops.convert_to_numpy(attacks.steepest(G, epsilon, "l1", room))
    assert np.all(np.abs(r) <= room + 1e-6) and np.all(norm_of(r, "l1") <= epsilon + 1e-5)
    for g, step, limit in zip(G.reshape(6, -1), r.reshape(6, -1), room.reshape(6, -1)):
        assert g @ step == pytest.approx(best_of_ball(g, epsilon, [(0, v) for v in np.tile(limit, 2)]), rel=1e-4)


@pytest.mark.parametrize("norm", attacks.NORMS)
@pytest.mark.parametrize("epsilon", [0.0, 0.4, 2.0, 30.0])
def test_project_is_the_nearest_point(norm, epsilon):
    found = ops.convert_to_numpy(attacks.project(G, epsilon, norm))
    assert np.all(norm_of(found, norm) <= epsilon + 1e-5)
    if epsilon == 30.0:
        np.testing.assert_array_equal(found, G)
    for delta, point in zip(G[:2].reshape(2, -1).astype("float64"), found[:2].reshape(2, -1)):
        # p - n with p, n >= 0 makes the l1 ball smooth
        def distance(z, delta=delta):
            return np.sum((z[:8] - z[8:] - delta) ** 2)

        limit = {
            "l1": lambda z: epsilon - z.sum(),
            "l2": lambda z: epsilon**2 - np.sum((z[:8] - z[8:]) ** 2),
            "linf": lambda z: epsilon - z[:8] - z[8:],
        }[norm]
        best = minimize(distance, np.full(16, 1e-3), bounds=[(0, None)] * 16, constraints={"type": "ineq", "fun": limit}, tol=1e-10)
        assert np.sum((point - delta) ** 2) <= best.fun + 1e-3


@pytest.mark.parametrize("norm", attacks.NORMS)
def test_random_points_fill_the_ball(norm):
    points = ops.convert_to_numpy(attacks.random_in_ball((4000, 2, 1), 2.0, norm, keras.random.SeedGenerator(0)))
    size = norm_of(points, norm)
    assert size.max() <= 2.0 + 1e-5
    # the share inside a ball of half the radius is 1/4 in two dimensions
    assert np.mean(size < 1.0) == pytest.approx(0.25, abs=0.03) and np.abs(points.mean(0)).max() < 0.07


def test_norms_have_names():
    for function in (attacks.steepest, attacks.project):
        with pytest.raises(ValueError, match="`norm`"):
            function(G, 1.0, "l3")


# --- attacks ---


def network(units=4, inputs=(9,)):
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input(inputs), layers.Flatten(), layers.Dense(16, "tanh"), layers.Dense(units)])


X = RNG.uniform(0.05, 0.95, (20, 9)).astype("float32")
Y = RNG.integers(0, 4, 20).astype("int32")


def log_probabilities(model):
    return lambda x: ops.log_softmax(model(x))


def test_jacobian_is_the_product_of_the_weights():
    model = network()
    values, found = attacks.jacobian(model, ops.convert_to_tensor(X))
    w, b, v, _ = (np.asarray(a, "float64") for a in model.get_weights())
    slope = 1 - np.tanh(X @ w + b) ** 2
    np.testing.assert_allclose(found, np.einsum("ih,bh,ho->boi", w, slope, v), atol=1e-5)
    np.testing.assert_allclose(values, model(X), atol=1e-6)


@pytest.mark.parametrize("norm", attacks.NORMS)
def test_nearest_class_of_a_linear_classifier(norm):
    """A step of the returned length ends on the boundary, and no shorter one in a thousand directions crosses it."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4)])
    x = RNG.normal(size=(8, 3)).astype("float32")
    y = ops.convert_to_numpy(model(x)).argmax(1)
    slope, distance = attacks.nearest_class(model, y, norm)(ops.convert_to_tensor(x))
    step = attacks.steepest(slope, distance, norm)
    top = np.sort(ops.convert_to_numpy(model(x + step)), 1)
    np.testing.assert_allclose(top[:, -1], top[:, -2], atol=1e-4)
    directions = RNG.normal(size=(1000, 3))
    directions /= norm_of(directions, norm)[:, None]
    for point, label, limit in zip(x, y, ops.convert_to_numpy(distance)):
        assert np.all(ops.convert_to_numpy(model((point + 0.999 * limit * directions).astype("float32"))).argmax(1) == label)


@pytest.mark.parametrize("norm", attacks.NORMS)
def test_iterated_stays_in_ball_and_box_and_beats_one_step(norm):
    model = network()
    f, epsilon = log_probabilities(model), {"l1": 1.0, "l2": 0.5, "linf": 0.2}[norm]
    gradient = attacks.loss_gradient(f, Y)
    start = attacks.random_in_ball(X.shape, epsilon, norm, keras.random.SeedGenerator(0))

    def run(x, start):
        one = attacks.one_step(gradient, x, epsilon, norm, 0.0, 1.0)
        return one, attacks.iterated(gradient, x, epsilon, norm, 100, epsilon / 30, start, 0.0, 1.0)

    one, many = (ops.convert_to_numpy(a) for a in autodiff.compiled(run, model)(X, start))
    loss = [-np.take_along_axis(ops.convert_to_numpy(f(x)), Y[:, None], 1).mean() for x in (X, one, many)]
    assert loss[0] < loss[1] and loss[1] < loss[2] + 0.01  # steps in l1 zigzag
    for moved in (one, many):
        assert moved.min() >= 0 and moved.max() <= 1 and np.all(norm_of(moved - X, norm) <= epsilon + 1e-4)
    towards = ops.convert_to_numpy(attacks.one_step(attacks.loss_gradient(f, Y, targeted=True), X, epsilon, norm))
    assert -np.take_along_axis(ops.convert_to_numpy(f(towards)), Y[:, None], 1).mean() < loss[0]


def test_rows_with_one_1_are_classes():
    model, rows = network(), np.eye(4)[Y]
    f = log_probabilities(model)
    numbers, hot = (attacks.one_step(attacks.loss_gradient(f, y), X, 0.1, "l2") for y in (Y, rows))
    np.testing.assert_array_equal(numbers, hot)
    numbers, hot = (attacks.nearest_class(f, y, "l2")(ops.convert_to_tensor(X))[1] for y in (Y, rows))
    np.testing.assert_array_equal(numbers, hot)
    numbers, hot = (attacks.jacobian_saliency(model, X, y).samples for y in (Y, rows))
    np.testing.assert_array_equal(numbers, hot)
    numbers, hot = (attacks.carlini_wagner(model, X, y, steps=5, searches=2).samples for y in (Y, rows))
    np.testing.assert_array_equal(numbers, hot)


def art(model):
    """The network as the peer sees it; the peer runs on TensorFlow alone."""
    classifiers = pytest.importorskip("art.estimators.classification")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the peer differentiates by TensorFlow")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return classifiers.TensorFlowV2Classifier(lambda x, training=False: model(x), 4, (9,), loss_object=loss, clip_values=(0.0, 1.0))


@pytest.mark.parametrize("norm", attacks.NORMS)
def test_the_peer_finds_the_same_samples(norm):
    model = network()
    peer = art(model)
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent

    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
    gradient = attacks.loss_gradient(log_probabilities(model), Y)
    if norm != "l1":
        expected = FastGradientMethod(peer, norm=order, eps=0.3).generate(X, Y)
        np.testing.assert_allclose(attacks.one_step(gradient, X, 0.3, norm, 0.0, 1.0), expected, atol=1e-5)
        options = {"eps": 0.3, "eps_step": 0.07, "max_iter": 12, "verbose": False}
        expected = ProjectedGradientDescent(peer, norm=order, **options).generate(X, Y)
        found = attacks.iterated(gradient, X, 0.3, norm, 12, 0.07, None, 0.0, 1.0)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    else:
        expected = FastGradientMethod(peer, norm=order, eps=0.04).generate(X, Y)
        # without limits: the peer puts all on one number and cuts it off, we go on with the next; 0.04 meets no limit
        np.testing.assert_allclose(attacks.one_step(gradient, X, 0.04, norm), expected, atol=1e-5)
