"""TRPO against NumPy: Fisher products, the step and its divergence, estimates of paths and vines, and play."""

import gymnasium
import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications.trpo import TRPO, _Flat
from zoo.environments.branches import Branches, Forks
from zoo.environments.cliffwalk import BlindCliffwalk
from zoo.environments.paths import Paths, discounted_sums
from zoo.environments.rollout import Rollout
from zoo.environments.tabular import TabularMDP


def agent(**arguments):
    keras.utils.set_random_seed(0)
    plain = {"baseline": None, "lam": 1.0}
    return TRPO(**{**TRPO.example_config(), **plain, **arguments})


def gaussian(**arguments):
    return agent(observation_shape=(3,), num_actions=None, action_shape=(2,), **arguments)


def batch_of(model, n=40, seed=0):
    """Observations, actions of the present policy, and what they were worth."""
    rng = np.random.default_rng(seed)
    observation = rng.normal(size=(n, 3)).astype("float32")
    action = model.act(observation, stochastic=True)
    return observation, action, rng.normal(size=n).astype("float32")


def parameters(model, observation):
    return ops.convert_to_numpy(model.policy(observation)).astype("float64")


def divergence(model, old, new):
    """Mean KL of the new policy from the old one, in NumPy."""
    if model.action_shape is None:
        p, q = (np.exp(x - x.max(1, keepdims=True)) for x in (old, new))
        p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
        return np.sum(p * np.log(p / q), 1).mean()
    (m, s), (n, t) = (np.split(x, 2, axis=1) for x in (old, new))
    return np.sum(t - s + (np.exp(2 * s) + (m - n) ** 2) / (2 * np.exp(2 * t)) - 0.5, 1).mean()


@pytest.mark.parametrize("make", [agent, gaussian])
def test_the_direction_solves_the_fisher_system(make):
    model = make(update="natural", fisher_share=1.0, damping=0.1, cg_iterations=200)
    observation, action, advantage = batch_of(model)
    before = parameters(model, observation)
    flat = _Flat(model.policy)
    start = ops.convert_to_numpy(flat.start)

    def outputs(weights):
        return ops.convert_to_numpy(flat(ops.convert_to_tensor(weights.astype("float32")), observation)).astype("float64")

    # Jacobians by central differences: the Fisher matrix is the mean of J' F J, and the gradient that of ratio times advantage
    size = 1e-2
    slopes = [(outputs(start + size * unit) - outputs(start - size * unit)) / (2 * size) for unit in np.eye(len(start))]
    jacobian = np.stack(slopes, -1)
    if model.action_shape is None:
        p = np.exp(before) / np.exp(before).sum(1, keepdims=True)
        inner = np.einsum("ni,ij->nij", p, np.eye(2)) - p[:, :, None] * p[:, None]
        score = np.eye(2)[action] - p
    else:
        mean, log_std = np.split(before, 2, axis=1)
        z = (action - mean) / np.exp(log_std)
        inner = np.stack([np.diag(np.concatenate([np.exp(-2 * s), np.full(2, 2.0)])) for s in log_std])
        score = np.concatenate([z / np.exp(log_std), z**2 - 1], 1)
    fisher = np.einsum("nip,nij,njq->pq", jacobian, inner, jacobian) / len(observation)
    gradient = np.einsum("n,ni,nip->p", advantage, score, jacobian) / len(observation)
    expected = np.linalg.solve(fisher + 0.1 * np.eye(len(start)), gradient)

    model.compile(optimizer=keras.optimizers.SGD(1.0))
    model.learn(observation, action, advantage)
    moved = ops.convert_to_numpy(_Flat(model.policy).start) - start
    np.testing.assert_allclose(moved, expected, atol=5e-3 * np.abs(expected).max())


@pytest.mark.parametrize("make", [agent, gaussian])
def test_an_update_keeps_the_divergence_and_improves(make):
    model = make(delta=0.02, fisher_share=1.0)
    for seed in range(3):
        observation, action, advantage = batch_of(model, seed=seed)
        before = parameters(model, observation)
        logs = model.learn(observation, action, advantage)
        np.testing.assert_allclose(logs["kl"], divergence(model, before, parameters(model, observation)), rtol=1e-3)
        assert 0.005 < logs["kl"] <= 0.02 and logs["improvement"] > 0 and logs["step"] > 0
        np.testing.assert_allclose(-logs["loss"] - advantage.mean(), logs["improvement"], rtol=1e-3, atol=1e-6)


def test_no_step_is_taken_where_nothing_can_be_gained():
    model = agent(delta=0.02)
    observation, action, _ = batch_of(model)
    before = parameters(model, observation)
    logs = model.learn(observation, action, np.zeros(40, "float32"))
    np.testing.assert_array_equal(parameters(model, observation), before)
    assert logs["step"] == 0 and logs["kl"] == 0


def test_vine_estimates():
    """Equations 15 and 16 at the old policy, and the probabilities of the new one in their gradients."""
    rng = np.random.default_rng(0)
    observation, values = rng.normal(size=(6, 3)).astype("float32"), rng.normal(size=(6, 2)).astype("float32")
    action = np.tile([0, 1], (6, 1))
    for options in ({}, {"vine_actions": 2}, {"vine_actions": 2, "vine_proposal": "uniform"}):
        model = agent(procedure="vine", vine_states=6, update="vanilla", **options)
        p = np.exp(parameters(model, observation))
        p /= p.sum(1, keepdims=True)
        model.compile(optimizer=keras.optimizers.SGD(0.0))
        logs = model.learn(observation, action, values)
        weights = p if not options or "vine_proposal" in options else np.full((6, 2), 0.5)
        np.testing.assert_allclose(-logs["loss"], np.sum(weights * values, 1).mean(), rtol=1e-4)


@pytest.mark.parametrize("lam", [1.0, 0.8])
def test_advantages_are_sums_of_td_errors(lam):
    model = agent(baseline="value", lam=lam, gamma=0.9)
    rng = np.random.default_rng(0)
    paths = {
        "observation": rng.normal(size=(7, 3)).astype("float32"),
        "next_observation": rng.normal(size=(7, 3)).astype("float32"),
        "reward": rng.normal(size=7).astype("float32"),
        "terminated": np.array([0, 0, 1, 0, 0, 0, 0], "float32"),
        "last": np.array([0, 0, 1, 0, 0, 0, 1], bool),
    }
    v, following = (ops.convert_to_numpy(model.value(paths[name]))[:, 0] for name in ("observation", "next_observation"))
    errors = paths["reward"] + 0.9 * (1 - paths["terminated"]) * following - v
    expected = np.zeros(7)
    for first, end in ((0, 3), (3, 7)):
        for t in range(first, end):
            expected[t] = sum((0.9 * lam) ** (k - t) * errors[k] for k in range(t, end))
    advantages, targets = model._estimates(paths)
    np.testing.assert_allclose(advantages, expected, atol=1e-5)
    np.testing.assert_allclose(targets, expected + v, atol=1e-5)


def test_the_value_network_fits_a_linear_function():
    model = agent(baseline="value", hidden=(), value_iterations=30, damping=1e-4)
    observation, action, advantage = batch_of(model)
    target = observation @ [1.0, -2.0, 0.5] + 3.0
    first, second = (model.learn(observation, action, advantage, target)["value_loss"] for _ in range(2))
    assert second < 1e-4 < first


def test_learns_blind_cliffwalk():
    model = agent(hidden=(), batch_steps=200, delta=0.1, gamma=0.9)
    history = model.fit(BlindCliffwalk(3), 4000, verbose=0, seed=0).history
    assert model.evaluate(BlindCliffwalk(3), 5)["mean_return"] == 1.0
    assert np.nanmax(history["kl"]) <= 0.1
    vine = agent(hidden=(), procedure="vine", vine_paths=20, vine_states=20, vine_length=4, delta=0.1, path_length=None)
    vine.fit(BlindCliffwalk(3), 4000, verbose=0, seed=0)
    assert vine.evaluate(BlindCliffwalk(3), 5)["mean_return"] == 1.0
    with pytest.raises(ValueError, match="env.*vine"):
        vine.fit(gymnasium.vector.SyncVectorEnv([lambda: BlindCliffwalk(3)] * 2), 10)


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
def test_paths_are_whole_and_in_order(mode):
    env = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 3, autoreset_mode=mode)
    rollout = Rollout(env, seed=0)
    paths, rng = Paths(rollout, steps=60, length=15), np.random.default_rng(0)
    for _ in range(2):
        while not paths.add(rollout.step(rng.integers(2, size=3))[0]):
            pass
        rows = paths.take()
        assert len(rows["reward"]) >= 60 and rows["last"][-1]
        inside = ~rows["last"][:-1]
        np.testing.assert_array_equal(rows["next_observation"][:-1][inside], rows["observation"][1:][inside])
        lengths = np.diff(np.flatnonzero(np.append(True, rows["last"])))
        assert lengths.max() <= 15
        ended = (rows["terminated"] + rows["truncated"]) > 0
        assert np.all(ended[rows["last"]] | (lengths == 15))
        # behind the end of an episode a new one starts
        starts = rows["observation"][np.append(0, np.flatnonzero(ended)[:-1] + 1)]
        assert np.abs(starts).max() <= 0.05


def test_discounted_sums():
    found = discounted_sums([1.0, 2.0, 3.0, 4.0], [False, True, False, True], 0.5)
    np.testing.assert_allclose(found, [2.0, 2.0, 5.0, 4.0])


def test_branches_go_on_from_their_states():
    rollout = Rollout(gymnasium.make("CartPole-v1"), seed=0)
    forks = Forks(rollout, 4, np.random.default_rng(0))
    for i in range(6):
        forks.visit()
        rollout.step(np.array([i % 2]))
    branches = Branches(forks, 2)
    np.testing.assert_array_equal(branches.observations[::2], np.stack(forks.observations))
    rewards = branches.step(np.array([0, 1] * 4))
    assert rewards.tolist() == [1.0] * 8
    # pushed to the left and to the right
    assert np.all(branches.observations[::2, 1] < branches.observations[1::2, 1])


def test_tabular_values_are_what_play_gives():
    rng = np.random.default_rng(0)
    transitions = rng.dirichlet(np.ones(4), size=(4, 2))
    env = TabularMDP(transitions, rng.normal(size=(4, 2)), np.full(4, 0.25), discount=0.7, terminal=(3,))
    policy = rng.dirichlet(np.ones(2), size=4)
    total, episodes = [], 4000
    env.reset(seed=0)
    for _ in range(episodes):
        state, value, factor, ended = env.reset()[0], 0.0, 1.0, False
        while not ended and factor > 1e-4 and state != 3:
            action = rng.choice(2, p=policy[state])
            state, reward, ended, _, _ = env.step(action)
            value, factor = value + factor * reward, 0.7 * factor
        total.append(value)
    error = np.std(total) / episodes**0.5
    assert abs(np.mean(total) - env.expected_return(policy)) < 4 * error
    best = max(env.expected_return(np.eye(2)[list(np.ndindex(2, 2, 2, 2))[i],]) for i in range(16))
    np.testing.assert_allclose(env.optimal_return(), best)


def test_act_and_export_agree():
    model = gaussian()
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    found = model.signatures()["act"][0](x)["action"]
    np.testing.assert_allclose(ops.convert_to_numpy(found), model.act(x), atol=1e-6)
    draws = np.stack([model.act(x, stochastic=True) for _ in range(300)])
    np.testing.assert_allclose(draws.mean(0), model.act(x), atol=0.3)
    np.testing.assert_allclose(draws.std(0), np.ones((5, 2)), atol=0.2)


def test_short_training_has_smaller_batches():
    model = agent(batch_steps=None, path_length=5)
    history = model.fit(BlindCliffwalk(3), 1200, verbose=0)
    assert 2 <= len(history.epoch) <= 3 and int(model.steps) < 1800
    model._begin(Rollout(BlindCliffwalk(3), 0), 10_000_000)
    assert model._epoch_steps() == 50_000


def test_bad_arguments():
    for message, arguments in (
        ("lam", {"lam": 0.5}),
        ("baseline", {"baseline": "value", "procedure": "vine"}),
        ("update", {"update": "adam"}),
        ("delta", {"delta": 0.0}),
        ("num_actions", {"num_actions": None}),
        ("vine_proposal", {"num_actions": None, "action_shape": (1,), "vine_proposal": "uniform"}),
    ):
        with pytest.raises(ValueError, match=f"`{message}`"):
            agent(**arguments)
