"""Early inference: dynamics against the energy's derivatives and NumPy, learning against numerical derivatives of the settled cost."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff, datasets
from zoo.applications import EarlyInference

RNG = np.random.default_rng(0)
X, Y = RNG.uniform(size=(6, 7)).astype("float32"), np.array([0, 1, 2, 2, 1, 0])
RATES = {
    "hard_sigmoid": (lambda s: np.clip(s, 0, 1), lambda s: ((s >= 0) & (s <= 1)) * 1.0),
    "sigmoid": (lambda s: 1 / (1 + np.exp(-s)), lambda s: np.exp(-s) / (1 + np.exp(-s)) ** 2),
    "tanh": (np.tanh, lambda s: 1 - np.tanh(s) ** 2),
}


def network(activation="tanh", **config):
    keras.utils.set_random_seed(0)
    sizes = {"input_shape": (7,), "num_classes": 3, "hidden_units": (5, 4), "activation": activation}
    model = EarlyInference(**{**sizes, "free_steps": 300, "nudged_steps": 200, "nudge": 0.02, **config})
    for v in model.biases:
        v.assign(np.random.default_rng(1).normal(scale=0.3, size=v.shape))
    return model


def settled(model, steps, kernels=None, states=None, step_size=None, nudge=0.0, targets=None):
    """States after leaky integration, in NumPy, layer by layer."""
    rho, slope = RATES[model.activation]
    kernels = [np.asarray(k, "float64") for k in (kernels or map(ops.convert_to_numpy, model.kernels))]
    biases = [ops.convert_to_numpy(b) for b in model.biases]
    states = states or [np.zeros((len(X), len(b))) for b in biases]
    for _ in range(steps):
        rates, new = [X, *map(rho, states)], []
        for k, s in enumerate(states):
            above = rates[k + 2] @ kernels[k + 1].T if k + 1 < len(states) else 0
            move = slope(s) * (rates[k] @ kernels[k] + biases[k] + above) - s
            if k + 1 == len(states) and targets is not None:
                move -= nudge * (s - targets)
            s = s + (step_size or model.step_size) * move
            new.append(np.clip(s, 0, 1) if model.activation == "hard_sigmoid" else s)
        states = new
    return states


@pytest.fixture(scope="module", params=RATES)
def model(request):
    return network(request.param)


def test_inference_against_numpy(model):
    for name, expected in zip(model.layer_names, settled(model, 7)):
        np.testing.assert_allclose(model.relax(X, steps=7)[name], expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(X, verbose=0), settled(model, 300)[-1], atol=1e-5)
    assert model.classify(X).tolist() == settled(model, 300)[-1].argmax(1).tolist()


def test_units_move_down_the_slope_of_the_energy(model):
    states = {f.name: RNG.uniform(0.1, 0.9, (6, *f.shape)).astype("float32") for f in model.state_fields()}
    found = model.speed(X, states)
    for name in model.layer_names:

        def energy(s, name=name):
            return ops.sum(model._energy(ops.convert_to_tensor(X), list({**states, name: s}.values())))

        np.testing.assert_allclose(found[name], -ops.convert_to_numpy(autodiff.grad(energy, states[name])), atol=1e-5)


def test_energy_falls_until_the_state_is_a_fixed_point(model):
    energies = [model.energy(X, model.relax(X, steps=n)) for n in (1, 3, 10, 300)]
    assert all((later <= earlier + 1e-5).all() for earlier, later in zip(energies, energies[1:]))
    np.testing.assert_allclose(model.energy(X), energies[-1], atol=1e-6)
    if model.activation != "hard_sigmoid":
        assert max(np.abs(v).max() for v in model.speed(X).values()) < 1e-4


def test_first_changes_are_back_propagated_errors(model):
    """One step moves the outputs alone; after as many steps as layers, what moved is proportional to the errors."""
    first = model.early_inference(X, Y, steps=1)
    assert all(np.abs(first[name]).max() < 1e-6 for name in model.layer_names[:-1])
    if model.activation != "hard_sigmoid":
        np.testing.assert_allclose(first["output"], 0.1 * 0.1 * (np.eye(3)[Y] - model.relax(X)["output"]), atol=1e-5)
    for cosines in model.alignment(X, Y, nudge=0.5, step_size=0.05).values():
        assert np.nanmin(cosines, initial=1) > 0.98


@pytest.mark.parametrize(("nudge", "step_size", "steps"), [(0.8, 0.5, 9), (1e-3, 0.01, 4)])
def test_early_changes_against_numpy(model, nudge, step_size, steps):
    """Against differences in double precision, also where single precision would leave nothing of them."""
    start = settled(model, 200)
    free = settled(model, steps, None, start, step_size)
    pulled = settled(model, steps, None, start, step_size, nudge, np.eye(3)[Y])
    found = model.early_inference(X, Y, nudge=nudge, steps=steps, step_size=step_size)
    for name, before, after in zip(model.layer_names, free, pulled):
        np.testing.assert_allclose(found[name], after - before, rtol=1e-3, atol=1e-3 * np.abs(after - before).max() + 1e-30)


def test_errors_are_the_chain_rule_through_the_fixed_point_equation():
    """Each layer's error is the derivative of half the squared error of R of the layer above, by numerical differences."""
    model = network("tanh")
    states, errors = model.relax(X, steps=200), model.back_propagated(X, Y)
    hidden, kernel, bias = states["hidden_1"].astype("float64"), *(ops.convert_to_numpy(v[-1]) for v in (model.kernels, model.biases))
    output, step = states["output"], 1e-5

    def cost(h):
        # R of the outputs, whose own states hold their slope
        return 0.5 * np.sum(((1 - np.tanh(output) ** 2) * (bias + np.tanh(h) @ kernel) - np.eye(3)[Y]) ** 2, axis=1)

    for unit in range(4):
        h = step * np.eye(4)[unit]
        np.testing.assert_allclose(errors["hidden_1"][:, unit], -(cost(hidden + h) - cost(hidden - h)) / (2 * step), atol=1e-3)


def test_learning_follows_the_slope_of_the_cost_at_the_fixed_point():
    """The change of weights in a step against numerical derivatives of the free outputs' squared error, at some places of each kernel."""
    steps = 1500
    model = network("tanh", free_steps=steps, nudged_steps=steps, nudge=0.004)
    before = [ops.convert_to_numpy(k).astype("float64") for k in model.kernels]
    model.compile(keras.optimizers.SGD(1.0))
    loss = model.train_on_batch(X, Y, return_dict=True)["loss"]

    def cost(kernels):
        return 0.5 * np.mean(np.sum((settled(untrained, steps, kernels)[-1] - np.eye(3)[Y]) ** 2, axis=1))

    untrained = network("tanh")
    assert loss == pytest.approx(cost(before), rel=1e-4)
    for k, kernel in enumerate(before):
        found = before[k] - ops.convert_to_numpy(model.kernels[k])
        for place in list(np.ndindex(kernel.shape))[::4]:
            moved = [kernel.copy() for kernel in before]
            moved[k][place] += 1e-4
            assert found[place] == pytest.approx((cost(moved) - cost(before)) / 1e-4, abs=0.03 * np.abs(found).max())


def test_fit_learns_and_weights_count():
    keras.utils.set_random_seed(0)
    (x, y), _ = datasets.digits_8x8()
    model = EarlyInference((8, 8, 1), hidden_units=(40,))
    history = model.fit(x, y, epochs=5, verbose=0).history
    assert history["accuracy"][-1] > 0.8 and history["loss"][-1] < history["loss"][0] / 2
    assert all(v.min() >= 0 and v.max() <= 1 for v in model.relax(x[:50]).values())
    losses = [model.evaluate(x, y, sample_weight=np.full(len(x), w), verbose=0, return_dict=True)["loss"] for w in (0.5, 1.0)]
    assert losses[0] == pytest.approx(losses[1] / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"activation": "relu"}, "activation"),
        ({"hidden_units": ()}, "hidden_units"),
        ({"hidden_units": (10.5,)}, "hidden_units"),
        ({"hidden_units": 100}, "hidden_units"),
        ({"input_shape": (None, 3)}, "input_shape"),
        ({"hidden_units": (5, 5, 5, 5)}, "nudged_steps"),
        ({"step_size": 1.5}, "step_size"),
        ({"nudge": 0.0}, "nudge"),
        ({"num_classes": 1}, "num_classes"),
        ({"free_steps": 0}, "free_steps"),
    ],
)
def test_constructor_refuses(config, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        EarlyInference(**config)


def test_states_must_be_those_of_all_layers():
    with pytest.raises(ValueError, match="`states` must be a dict with hidden_0, hidden_1, output"):
        network().energy(X, {"output": np.zeros((6, 3))})
    model = network(free_steps=5)
    with pytest.raises(ValueError, match="`states` must have 1 rows"):
        model.speed(X[:1], model.relax(X))
    with pytest.raises(ValueError, match='`loss` must be "auto"'):
        model.compile(loss="mse")
    with pytest.raises(ValueError, match="`nudge` must not be 0"):
        model.early_inference(X, Y, nudge=0)
