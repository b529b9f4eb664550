"""StrongAdversary: hidden layers against NumPy and brute force, ways to the nearest class against hyperplanes, and its options."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo import attacks
from zoo.applications import StrongAdversary

RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 0.8, (12, 5)).astype("float32")
Y = (np.arange(12) % 3).astype("int32")


def network(activation="tanh"):
    keras.utils.set_random_seed(3)
    hidden = layers.Dense(7, activation, name="hidden", bias_initializer="random_normal")
    return keras.Sequential([keras.Input((5,)), hidden, layers.Dense(3, name="head")])


def losses(logits, y):
    logits = logits - logits.max(1, keepdims=True)
    return np.log(np.exp(logits).sum(1)) - np.take_along_axis(logits, y[:, None], 1)[:, 0]


def halves(classifier, x):
    w, b, v, c = (np.asarray(a, "float64") for a in classifier.get_weights())
    return np.tanh(x @ w + b), v, c


@pytest.mark.parametrize("norm", attacks.NORMS)
def test_a_hidden_layer_moves_by_the_closed_form(norm):
    classifier = network()
    model = StrongAdversary(classifier, 0.3, norm, layer="hidden", from_logits=True)
    hidden, v, c = halves(classifier, X)
    p = np.exp(hidden @ v + c)
    gradient = (p / p.sum(1, keepdims=True) - np.eye(3)[Y]) @ v.T
    step = {
        "linf": 0.3 * np.sign(gradient),
        "l2": 0.3 * gradient / np.linalg.norm(gradient, axis=1, keepdims=True),
        "l1": 0.3 * np.sign(gradient) * np.eye(7)[np.abs(gradient).argmax(1)],
    }[norm]
    found, moved = model.perturb_representation(X, Y)
    np.testing.assert_allclose(found, hidden, atol=1e-5)
    np.testing.assert_allclose(moved - found, step, atol=1e-5)
    loss = model.evaluate(X, Y, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(losses((hidden + step) @ v + c, Y).mean(), rel=1e-4)


def test_iterated_comes_near_the_worst_of_ten_thousand_perturbations():
    classifier = network()
    model = StrongAdversary(classifier, 0.5, "l2", layer="hidden", num_steps=20, from_logits=True)
    _, moved = model.perturb_representation(X, Y)
    hidden, v, c = halves(classifier, X)
    steps = RNG.normal(size=(10000, 7))
    steps *= 0.5 / np.linalg.norm(steps, axis=1, keepdims=True)
    for h, m, y in zip(hidden, moved, Y):
        brute = losses((h + steps) @ v + c, np.full(10000, y)).max()
        assert losses((m @ v + c)[None], np.array([y]))[0] > brute - 1e-4


def test_clean_weight_mixes_the_two_losses():
    values = [
        StrongAdversary(network(), 0.5, clean_weight=w, from_logits=True).evaluate(X, Y, verbose=0, return_dict=True)["loss"]
        for w in (0.0, 0.25)
    ]
    clean = StrongAdversary(network(), 0.0, from_logits=True).evaluate(X, Y, verbose=0, return_dict=True)["loss"]
    assert clean == pytest.approx(losses(ops.convert_to_numpy(network()(X)), Y).mean(), rel=1e-5)
    assert values[0] > clean and values[1] == pytest.approx(0.75 * values[0] + 0.25 * clean, rel=1e-5)


def test_the_input_adversary_of_outputs_moves_at_right_angles_to_the_nearest_boundary():
    keras.utils.set_random_seed(1)
    classifier = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    y = ops.convert_to_numpy(classifier(X)).argmax(1).astype("int32")
    model = StrongAdversary(classifier, 0.1, adversary="outputs", low=None, high=None, from_logits=True)
    w, b = (np.asarray(v, "float64") for v in classifier.get_weights())
    for x, label, moved in zip(X, y, model.perturb(X, y)):
        margins, normals = (x @ w + b)[label] - (x @ w + b), w - w[:, [label]]
        distance = [m / np.linalg.norm(n) if j != label else np.inf for j, (m, n) in enumerate(zip(margins, normals.T))]
        normal = normals[:, int(np.argmin(distance))]
        np.testing.assert_allclose(moved - x, 0.1 * normal / np.linalg.norm(normal), atol=1e-5)


@pytest.mark.parametrize("norm", attacks.NORMS)
def test_smallest_perturbation_leaves_the_class_and_is_short(norm):
    classifier = network()
    y = ops.convert_to_numpy(classifier(X)).argmax(1).astype("int32")
    model = StrongAdversary(classifier, from_logits=True)
    moved = model.smallest_perturbation(X, y, norm, num_steps=20)
    assert np.all(ops.convert_to_numpy(classifier(moved)).argmax(1) != y)
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
    for x, label, step in zip(X, y, moved - X):
        # random perturbations of 0.8 times the length stay in the class
        others = RNG.normal(size=(2000, 5))
        others *= 0.8 * np.linalg.norm(step, order) / np.linalg.norm(others, order, axis=1, keepdims=True)
        assert np.mean(ops.convert_to_numpy(classifier((x + others).astype("float32"))).argmax(1) == label) > 0.99
    np.testing.assert_array_equal(model.smallest_perturbation(X, (y + 1) % 3, norm), X)


def test_functional_models_are_split_where_all_paths_meet():
    image = keras.Input((6, 6, 1))
    x = layers.Conv2D(3, 3, activation="relu", name="convolution")(image)
    short = layers.Flatten(name="flat")(x)
    y = layers.Dense(4, name="side")(short)
    joined = layers.Concatenate(name="joined")([short, y])
    classifier = keras.Model(image, layers.Dense(3, activation="softmax")(joined))
    x = RNG.uniform(size=(4, 6, 6, 1)).astype("float32")
    for layer, shape in (("convolution", (4, 4, 3)), ("joined", (52,))):
        model = StrongAdversary(classifier, 0.1, layer=layer)
        before = len(model.weights)
        hidden, moved = model.perturb_representation(x, Y[:4])
        assert hidden.shape[1:] == shape and np.any(hidden != moved)
        model.fit(x, Y[:4], verbose=0)
        assert len(model.weights) == before
    with pytest.raises(ValueError, match="`layer`.*side"):
        StrongAdversary(classifier, layer="side")


def test_gradients_reach_both_halves_through_the_moved_layer():
    """One step of descent by hand: finite differences of the loss at a fixed perturbation."""
    classifier = network()
    model = StrongAdversary(classifier, 0.4, layer="hidden", from_logits=True)
    hidden, moved = model.perturb_representation(X, Y)
    weights = [np.asarray(a, "float64") for a in classifier.get_weights()]

    def loss(w):
        return losses((np.tanh(X @ w[0] + w[1]) + moved - hidden) @ w[2] + w[3], Y).mean()

    model.compile(keras.optimizers.SGD(1.0))
    model.fit(X, Y, batch_size=12, verbose=0)
    for i, new in enumerate(classifier.get_weights()):
        index = (0,) * weights[i].ndim
        up = [w.copy() for w in weights]
        up[i][index] += 1e-5
        assert weights[i][index] - new[index] == pytest.approx((loss(up) - loss(weights)) / 1e-5, abs=2e-4)


@pytest.mark.parametrize("layer", ["hidden", "flat"])
def test_a_head_that_ends_with_a_softmax_has_its_logits(layer):
    def build(activation):
        keras.utils.set_random_seed(3)
        body = [layers.Dense(7, "tanh", name="hidden"), layers.Flatten(name="flat"), layers.Dense(3, activation, name="head")]
        model = keras.Sequential([keras.Input((5,)), *body])
        model.layers[-1].kernel.assign(1e3 * model.layers[-1].kernel)
        return model

    y = build(None).predict(X, verbose=0).argmin(1)
    models = [StrongAdversary(build(a), 0.3, layer=layer, from_logits=a is None) for a in (None, "softmax")]
    (_, expected), (hidden, moved) = (model.perturb_representation(X, y) for model in models)
    assert np.all(np.any(hidden != moved, axis=1))
    np.testing.assert_allclose(moved, expected, atol=1e-5)
    np.testing.assert_array_equal(models[1].perturb_representation(X, np.eye(3)[y])[1], moved)
    losses = [model.evaluate(X, y, verbose=0, return_dict=True)["loss"] for model in models]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and losses[0] > 100
    np.testing.assert_array_equal(models[1].smallest_perturbation(X, np.eye(3)[y]), models[1].smallest_perturbation(X, y))


def test_refusals():
    for bad in ({"adversary": "evil"}, {"clean_weight": 1.0}, {"layer": "no such layer"}, {"norm": "l0"}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            StrongAdversary(network(), from_logits=True, **bad)
    with pytest.raises(ValueError, match="`layer`"):
        StrongAdversary(network(), from_logits=True).perturb_representation(X, Y)
