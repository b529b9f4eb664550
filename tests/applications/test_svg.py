"""Stochastic value gradients against closed forms, finite differences in float64, and SciPy."""

import gymnasium
import keras
import numpy as np
import pytest
from keras import ops
from scipy.stats import norm

from zoo.applications.svg import SVG
from zoo.environments.linear_quadratic import LinearQuadratic, QuadraticReward

GAIN, STD, NOISE, GAMMA = np.array([[-0.5, -0.7]]), 0.4, 0.2, 0.9


def agent(**arguments):
    keras.utils.set_random_seed(0)
    return SVG(**{**SVG.example_config(), "kl_weight": 0.0, **arguments})


def smooth(observation, action, following):
    """A reward that uses all it may, in NumPy as in tensors."""
    sines = np.sin if isinstance(observation, np.ndarray) else ops.sin
    return sines(observation[:, 0] * action[:, 0]) - action[:, 0] ** 2 + 0.5 * following[:, 1] * following[:, 0]


def numbers(layer):
    return [ops.convert_to_numpy(w).astype("float64") for w in layer.weights]


def dense(weights, x):
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2]):
        x = np.tanh(x @ kernel + bias)
    return x @ weights[-2] + weights[-1]


def policy(weights, limit, x):
    """In NumPy: a tanh layer, mean and `"learned"` std."""
    raw, *network = weights
    mean = dense(network, x)
    mean = mean if limit is None else limit * np.tanh(mean / limit)
    return mean, np.logaddexp(raw, 0) + 1e-3 + 0 * mean


def dynamics(weights, x, a):
    """In NumPy: a network for each dimension."""
    outputs = np.stack([dense([w[k] for w in weights], np.concatenate([x, a], 1)) for k in range(x.shape[1])], 1)
    return x + outputs[..., 0], np.logaddexp(outputs[..., 1], 0) + 1e-3


def policy_numbers(model):
    """Raw std first, then kernels and biases."""
    return [ops.convert_to_numpy(w).astype("float64") for w in policy_variables(model)]


def policy_variables(model):
    return [model.policy.raw, *(w for layer in [*model.policy.hidden, model.policy.mean] for w in layer.weights)]


def transitions(n, model=None, seed=0):
    rng = np.random.default_rng(seed)
    data = {
        "observation": rng.normal(size=(n, 2)),
        "action": rng.normal(0, 0.5, (n, 1)),
        "reward": rng.normal(size=n),
        "next_observation": rng.normal(size=(n, 2)),
        "terminated": rng.random(n) < 0.3,
        "mean": rng.normal(0, 0.1, (n, 1)),
        "std": rng.uniform(0.4, 0.8, (n, 1)),
    }
    return {name: array.astype("float32") for name, array in data.items()}


def slopes(function, weights, step=1e-6):
    """Central differences of `function(weights)` in every weight."""
    result = []
    for i, weight in enumerate(weights):
        slope = np.zeros_like(weight)
        for place in np.ndindex(weight.shape):
            values = []
            for sign in (1, -1):
                moved = [w.copy() for w in weights]
                moved[i][place] += sign * step
                values.append(function(moved))
            slope[place] = (values[0] - values[1]) / (2 * step)
        result.append(slope)
    return result


def gained(model, batch):
    """What one step of SGD with rate 1 on the policy changes: the estimated gradient of the value."""
    before = policy_numbers(model)
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    model._learn_policy(batch)
    return [after - old for after, old in zip(policy_numbers(model), before)]


def weights_of(model, batch, clip):
    mean, std = policy(policy_numbers(model), 2.0, batch["observation"])
    ratio = norm.pdf(batch["action"], mean, std) / norm.pdf(batch["action"], batch["mean"], batch["std"])
    return np.minimum(ratio.prod(1), clip)


def test_noise_is_inferred_exactly():
    model, batch = agent(), transitions(50)
    eta, xi = model.infer_noise(batch["observation"], batch["action"], batch["next_observation"])
    mean, std = policy(policy_numbers(model), 2.0, batch["observation"])
    np.testing.assert_allclose(mean + std * eta, batch["action"], atol=1e-5)
    mean, std = dynamics(numbers(model.dynamics), batch["observation"], batch["action"])
    np.testing.assert_allclose(mean + std * xi, batch["next_observation"], atol=1e-5)
    # drawn noise comes back
    real = model.imagine(batch["observation"], 1)
    again = model.infer_noise(*(real[name][:, 0] for name in ("observation", "action", "next_observation")))
    assert 0.7 < np.std(again[0]) < 1.3 and 0.7 < np.std(again[1]) < 1.3


@pytest.mark.parametrize("clip", [None, 1.2])
def test_importance_weights_are_ratios_of_densities(clip):
    model, batch = agent(weight_clip=clip), transitions(50)
    expected = weights_of(model, batch, np.inf if clip is None else clip)
    np.testing.assert_allclose(model.importance_weights(batch), expected, rtol=1e-4)
    assert (clip is None) == bool(expected.max() > 1.2)


@pytest.mark.parametrize("reward", [smooth, None])
@pytest.mark.parametrize("variant", ["svg0", "svg1"])
def test_one_step_of_the_policy(variant, reward):
    model, batch = agent(variant=variant, reward=reward, weight_clip=1.2, kl_weight=0.3), transitions(20)
    s, a = batch["observation"].astype("float64"), batch["action"].astype("float64")
    theta, critic = policy_numbers(model), numbers(model.critic)
    mean, std = policy(theta, 2.0, s)
    eta, w = (a - mean) / std, weights_of(model, batch, 1.2)
    if variant == "svg1":
        f = numbers(model.dynamics)
        following, spread = dynamics(f, s, a)
        xi = (batch["next_observation"] - following) / spread

    def value(weights):
        mean, std = policy(weights, 2.0, s)
        action = mean + std * eta
        if variant == "svg0":
            values = dense(critic, np.concatenate([s, action], 1))[:, 0]
        else:
            following, spread = dynamics(f, s, action)
            following = following + spread * xi
            earned = smooth(s, action, following) if reward else dense(numbers(model.reward_network), np.concatenate([s, action], 1))[:, 0]
            values = earned + GAMMA * (1 - batch["terminated"]) * dense(critic, following)[:, 0]
        p, q = (batch["mean"], batch["std"]), (mean, std)
        divergence = np.log(q[1] / p[1]) + (p[1] ** 2 + (p[0] - q[0]) ** 2) / (2 * q[1] ** 2) - 0.5
        return np.mean(w * values) - 0.3 * np.mean(divergence.sum(1))

    for found, expected in zip(gained(model, batch), slopes(value, theta), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_one_step_of_the_critic():
    for variant in ("svg0", "svg1"):
        model, batch = agent(variant=variant, weight_clip=1.2, target_update=2), transitions(30)
        for weight in model.target.weights:
            weight.assign(weight + np.random.default_rng(1).normal(0, 0.3, weight.shape))
        target, before = numbers(model.target), numbers(model.critic)
        model.compile(optimizer=keras.optimizers.SGD(1.0))
        if variant == "svg1":
            following, inputs, w = batch["next_observation"], batch["observation"], weights_of(model, batch, 1.2)
        else:
            # without noise to speak of, so that what is drawn does not matter
            model.policy.raw.assign(-20.0 + 0 * model.policy.raw)
            mean, _ = policy(policy_numbers(model), 2.0, batch["next_observation"])
            following = np.concatenate([batch["next_observation"], mean], 1)
            inputs, w = np.concatenate([batch["observation"], batch["action"]], 1), 1.0
        y = batch["reward"] + GAMMA * (1 - batch["terminated"]) * dense(target, following)[:, 0]
        model._learn_model(batch)
        expected = slopes(lambda weights, y=y, w=w, x=inputs: -0.5 * np.mean(w * (y - dense(weights, x)[:, 0]) ** 2), before)
        for after, old, change in zip(numbers(model.critic), before, expected):
            np.testing.assert_allclose(after - old, change, atol=2e-3 if variant == "svg0" else 2e-5)


def test_one_step_of_the_model():
    model, batch = agent(), transitions(30)
    before, reward = numbers(model.dynamics), numbers(model.reward_network)
    inputs = np.concatenate([batch["observation"], batch["action"]], 1)
    model.compile(optimizer=keras.optimizers.SGD(1.0))

    def likelihood(weights):
        mean, std = dynamics(weights, batch["observation"].astype("float64"), batch["action"].astype("float64"))
        return np.mean(norm.logpdf(batch["next_observation"], mean, std).sum(1))

    changes = slopes(likelihood, before)
    losses = model._learn_model(batch)
    np.testing.assert_allclose(
        losses["model_loss"], np.mean((dense(reward, inputs)[:, 0] - batch["reward"]) ** 2) - likelihood(before), rtol=1e-5
    )
    for after, old, change in zip(numbers(model.dynamics), before, changes):
        np.testing.assert_allclose(after - old, change, rtol=1e-4, atol=1e-4)
    changes = slopes(lambda weights: -np.mean((dense(weights, inputs)[:, 0] - batch["reward"]) ** 2), reward)
    for after, old, change in zip(numbers(model.reward_network), reward, changes):
        np.testing.assert_allclose(after - old, change, rtol=1e-4, atol=1e-4)


def trajectories(count=3, length=5):
    """Chains of random states, the second one shorter than the others."""
    rng = np.random.default_rng(0)
    states = rng.normal(0, 0.7, (count, length + 1, 2)).astype("float32")
    batch = {"observation": states[:, :-1], "next_observation": states[:, 1:], "action": rng.normal(0, 0.5, (count, length, 1))}
    batch |= {"reward": rng.normal(size=(count, length)), "mean": batch["action"] + 0.1, "std": 0.5 + 0 * batch["action"]}
    batch["mask"] = np.ones((count, length))
    for array in batch.values():
        array[1, 3:] = 0.0
    return {name: np.asarray(array, "float32") for name, array in batch.items()}


def test_steps_read_weights_before_they_change_them():
    # TensorFlow's graph optimizer let the standard deviation be read after its update, now and then
    env, rng = LinearQuadratic(noise=NOISE, horizon=6), np.random.default_rng(0)
    batch = played(env, rng.normal(size=(200, 2)), STD, rng)
    changes = [gained(linear_agent(env, STD, NOISE), batch)[0] for _ in range(5)]
    np.testing.assert_allclose(changes, [changes[0]] * 5, rtol=1e-4)


def test_trajectory_gradients_are_those_of_the_unrolled_model():
    model, batch = agent(variant="svg_inf", reward=smooth), trajectories()
    theta, f = policy_numbers(model), numbers(model.dynamics)
    s, a, following = (batch[name].astype("float64") for name in ("observation", "action", "next_observation"))

    def value(weights, of, start, first=None):
        """Of trajectory `of` from step `start` on, in the model with the noise that was inferred."""
        x, total = s[of, start : start + 1] if first is None else first, 0.0
        for t in range(start, int(batch["mask"][of].sum())):
            mean, std = policy(theta, 2.0, s[of, t : t + 1])
            eta = (a[of, t] - mean) / std
            mean, std = dynamics(f, s[of, t : t + 1], a[of, t : t + 1])
            xi = (following[of, t] - mean) / std
            mean, std = policy(weights, 2.0, x)
            action = mean + std * eta
            mean, std = dynamics(f, x, action)
            x, before = mean + std * xi, x
            if first is None:
                np.testing.assert_allclose(x, following[of, t : t + 1], atol=0.01)
            total += GAMMA ** (t - start) * smooth(before, action, x)[0]
        return total

    v_s, _ = model.value_gradients(batch)
    for of, start in ((0, 0), (0, 3), (1, 1), (2, 4)):
        expected = slopes(lambda first, of=of, start=start: value(theta, of, start, first[0]), [s[of, start : start + 1]])
        np.testing.assert_allclose(v_s[of, start], expected[0][0], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(v_s[1, 3:], 0.0)
    expected = slopes(lambda weights: np.mean([value(weights, of, 0) for of in range(3)]), theta, 1e-7)
    for found, slope in zip(gained(model, batch), expected, strict=True):
        np.testing.assert_allclose(found, slope, rtol=1e-3, atol=2e-4)
    returns = np.sum(GAMMA ** np.arange(5) * batch["reward"] * batch["mask"], 1)
    np.testing.assert_allclose(model.trajectory_loss(batch), -returns.mean(), rtol=1e-5)


def linear_agent(env, std, noise, **arguments):
    """Linear policy, and the true model of a linear-quadratic problem."""
    model = agent(
        variant="svg_inf",
        reward=QuadraticReward(env.q, env.r),
        hidden=(),
        model_hidden=(),
        action_limit=None,
        horizon=env.horizon,
        initial_std=std,
        **arguments,
    )
    model.policy.mean.kernel.assign(GAIN.T)
    model.policy.raw.assign([np.log(np.expm1(std - 1e-3))])
    change = np.concatenate([env.a - np.eye(2), env.b], 1)
    kernel, bias = model.dynamics.networks[0].weights
    kernel.assign(np.stack([change, 0 * change], -1))
    bias.assign([[0.0, np.log(np.expm1(noise - 1e-3)) if noise > 1e-3 else -30.0]] * 2)
    return model


def played(env, starts, std, rng):
    """Real trajectories of the linear policy, all at once."""
    rows, state = [], starts
    for _ in range(env.horizon):
        action = state @ GAIN.T + std * rng.normal(size=(len(state), 1))
        costs = np.einsum("bi,ij,bj->b", state, env.q, state) + np.einsum("bi,ij,bj->b", action, env.r, action)
        following = state @ env.a.T + action @ env.b.T + rng.normal(size=state.shape) @ env.noise.T
        rows.append({"observation": state, "action": action, "reward": -costs, "next_observation": following, "mask": np.ones(len(state))})
        state = following
    return {name: np.stack([row[name] for row in rows], 1).astype("float32") for name in rows[0]}


def test_deterministic_gradient_is_the_closed_form():
    env = LinearQuadratic(noise=0.0, horizon=6, q=[[1.0, 0.2], [0.2, 0.5]])
    # four starts whose second moments are the identity
    batch = played(env, 2**0.5 * np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), 0.0, np.random.default_rng(0))
    _, kernel, bias = gained(linear_agent(env, 0.1, 0.0), batch)
    expected, _ = env.gradient(GAIN, 0.0, GAMMA)
    np.testing.assert_allclose(kernel.T, expected, rtol=1e-4)
    np.testing.assert_allclose(bias, 0.0, atol=1e-4)


def test_stochastic_gradient_is_the_closed_form_in_expectation():
    env, rng = LinearQuadratic(noise=NOISE, horizon=6), np.random.default_rng(0)
    of_gain, of_std = env.gradient(GAIN, STD, GAMMA)
    raw = np.log(np.expm1(STD - 1e-3))
    expected = np.array([*of_gain[0], of_std[0] / (1 + np.exp(-raw))])
    model, estimates = linear_agent(env, STD, NOISE), []
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    start = policy_numbers(model)
    for _ in range(40):
        for weight, value in zip(policy_variables(model), start):
            weight.assign(value)
        model._learn_policy(played(env, rng.normal(size=(200, 2)), STD, rng))
        of_raw, kernel, _ = (after - before for after, before in zip(policy_numbers(model), start))
        estimates.append([*kernel[:, 0], of_raw[0]])
    error = np.std(estimates, 0) / len(estimates) ** 0.5
    assert np.all(error < 0.05 * np.abs(expected))
    assert np.all(np.abs(np.mean(estimates, 0) - expected) < 4 * error)


def test_imagined_trajectories_follow_the_model():
    env = LinearQuadratic(noise=NOISE, horizon=6)
    model = linear_agent(env, STD, NOISE)
    batch = model.imagine(np.random.default_rng(0).normal(size=(4000, 2)))
    assert batch["action"].shape == (4000, 6, 1) and batch["mask"].min() == 1
    np.testing.assert_array_equal(batch["observation"][:, 1:], batch["next_observation"][:, :-1])
    xi = (batch["next_observation"] - batch["observation"] @ env.a.T - batch["action"] @ env.b.T) / NOISE
    eta = (batch["action"] - batch["observation"] @ GAIN.T) / STD
    np.testing.assert_allclose([xi.std(), eta.std()], 1.0, atol=0.02)
    returns = np.sum(GAMMA ** np.arange(6) * batch["reward"], 1)
    assert abs(returns.mean() - env.value(GAIN, STD, GAMMA)) < 4 * returns.std() / 4000**0.5


def test_planner_learns_from_what_its_model_imagines():
    model, seen = agent(variant="svg_inf", imagined=True, horizon=5, learning_starts=10**6), []
    model.fit(LinearQuadratic(horizon=5), 10, verbose=0)
    starts = [trajectory["observation"][0] for trajectory in model._finished]
    improve = model._learn_policy
    model.__dict__["_learn_policy"] = lambda batch: seen.append(batch) or improve(batch)
    model.learn()
    assert seen[0]["action"].shape == (2, 5, 1)
    np.testing.assert_array_equal(seen[0]["observation"][:, 0], starts)
    # every step is the model's: with the noise of a step it leads where the next one starts
    flat = {name: array.reshape(10, *array.shape[2:]) for name, array in seen[0].items()}
    mean, std = dynamics(numbers(model.dynamics), flat["observation"], flat["action"])
    assert np.all(np.abs((flat["next_observation"] - mean) / std) < 6)
    np.testing.assert_array_equal(seen[0]["observation"][:, 1:], seen[0]["next_observation"][:, :-1])


def test_long_gradients_of_the_policy_alone_are_shortened():
    model = agent(clip_norm=0.1)
    model.remember(**transitions(20))
    model.learn()
    clips = [part.global_clipnorm for part in model.optimizer.optimizers]
    assert sorted(clips, key=str) == [0.1, None, None]


@pytest.mark.parametrize("std", ["state", "learned", "fixed"])
def test_noise_of_the_policy(std):
    model, x = agent(std=std, initial_std=0.3, action_limit=0.5), np.random.default_rng(0).normal(size=(2000, 2)).astype("float32")
    outputs = {name: ops.convert_to_numpy(value) for name, value in model(20 * x).items()}
    assert np.abs(outputs["mean"]).max() <= 0.5
    if std != "state":
        np.testing.assert_allclose(outputs["std"], 0.3, atol=2e-3)
    zero = np.zeros((2000, 2), "float32")
    np.testing.assert_allclose(model.act(zero), 0.0, atol=1e-6)
    np.testing.assert_allclose(model.act(zero, noise=True).std(), 0.3, rtol=0.1)
    assert model.act(zero[0]).shape == (1,)
    names = [w.path for w in model.policy.trainable_variables]
    assert len(names) == {"state": 6, "learned": 5, "fixed": 4}[std]


def test_policy_learns_from_memory_or_from_the_latest_steps():
    seen = []
    for replay in (True, False):
        model = agent(replay=replay, batch_size=6, buffer_size=48)
        model.remember(**transitions(40))
        model.remember(**transitions(10, seed=1))
        improve = model._learn_policy
        model.__dict__["_learn_policy"] = lambda batch, improve=improve: seen.append(batch) or improve(batch)
        model.learn()
    latest = transitions(10, seed=1)["reward"][-6:]
    np.testing.assert_array_equal(seen[1]["reward"], latest)
    assert not np.array_equal(seen[0]["reward"], latest)


def test_trajectories_are_cut_at_ends_and_at_the_horizon():
    model = agent(variant="svg_inf", learning_starts=10**6, trajectories=12)
    vector = gymnasium.vector.SyncVectorEnv([lambda: LinearQuadratic(horizon=10)] * 3)
    model.fit(vector, 66, verbose=0)
    assert [int(trajectory["mask"].sum()) for trajectory in model._finished] == [8, 8, 8, 2, 2, 2, 8, 8, 8, 2, 2, 2]
    for trajectory in model._finished:
        length = int(trajectory["mask"].sum())
        np.testing.assert_array_equal(trajectory["observation"][1:length], trajectory["next_observation"][: length - 1])
        assert not trajectory["observation"][length:].any() and trajectory["std"][:length].all()


@pytest.mark.parametrize("variant", ["svg0", "svg1", "svg_inf"])
def test_fit_of_each_variant(variant):
    model = agent(variant=variant, kl_weight=0.1, learning_starts=20)
    history = model.fit(LinearQuadratic(horizon=10), 80, verbose=0, log_every=40).history
    names = {
        "svg0": ["value_loss", "importance_weight"],
        "svg1": ["value_loss", "model_loss", "importance_weight"],
        "svg_inf": ["model_loss"],
    }
    assert set(history) == {"loss", "episode_return", "episode_length", "steps", *names[variant]}
    assert np.all(np.isfinite([history[name] for name in history]))
    updates = (80 - 20) // 2 if variant != "svg_inf" else None
    parts = model.optimizer.optimizers
    if updates:
        assert sorted(int(part.iterations) for part in parts)[-1] == 2 * updates
    assert model.evaluate(LinearQuadratic(horizon=10), episodes=2)["episodes"] == 2


def test_target_network_follows_in_jumps():
    model = agent(model_updates=1, target_update=3)
    model.remember(**transitions(30))
    start = numbers(model.target)[0]
    for updates in range(1, 7):
        model.learn()
        np.testing.assert_array_equal(numbers(model.target)[0], start if updates % 3 else numbers(model.critic)[0])
        start = numbers(model.target)[0]


def test_a_saved_agent_goes_on_where_it_stopped(tmp_path):
    env = LinearQuadratic(horizon=10)
    model = agent(reward=QuadraticReward(env.q, env.r))
    model.fit(env, 30, verbose=0)
    model.save(tmp_path / "agent.keras")
    model.memory.save(tmp_path / "memory.npz")
    loaded = keras.saving.load_model(tmp_path / "agent.keras")
    loaded.restore_memory(tmp_path / "memory.npz")
    np.testing.assert_array_equal(loaded.reward.q, env.q)
    for ours, theirs in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs))
    assert int(loaded.steps) == 30 and len(loaded.memory) == 30
    one, other = model.learn(), loaded.learn()
    np.testing.assert_allclose([*one.values()], [*other.values()], rtol=1e-4)


def test_plays_gymnasium():
    from zoo.environments.pendulum import PendulumReward

    env = gymnasium.make_vec("Pendulum-v1", num_envs=2)
    model = agent(observation_shape=(3,), reward=PendulumReward(), action_limit=None)
    model.fit(env, 40, verbose=0)
    assert len(model.memory) == 40 and np.abs(model.memory.arrays["action"]).max() > 0
    for bad in (gymnasium.make("CartPole-v1"), LinearQuadratic(), None):
        with pytest.raises(ValueError, match="env"):
            model.fit(bad, 10)


def test_bad_arguments():
    for name, value in (
        ("variant", "svg2"),
        ("std", "none"),
        ("gamma", 1.5),
        ("horizon", 0),
        ("batch_size", 0),
        ("weight_clip", 0.0),
        ("clip_norm", 0.0),
    ):
        with pytest.raises(ValueError, match=name):
            agent(**{name: value})
    for name, value in (("observation_shape", (2, 2)), ("action_shape", ()), ("reward", 3.0), ("kl_weight", -1.0), ("initial_std", 0.0)):
        with pytest.raises(ValueError, match=name):
            agent(**{name: value})
    for variant in ("svg1", "svg_inf"):
        with pytest.raises(ValueError, match="learn"):
            agent(variant=variant).learn()
    with pytest.raises(ValueError, match="action"):
        agent().remember(**{**transitions(2), "action": np.zeros((2, 3))})
    model = agent()
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="loss"):
        model.fit(LinearQuadratic(), 10)


def test_updates_and_rates_follow_the_variant():
    model = SVG(variant="svg_inf", horizon=20, trajectories=3, update_period=5)
    assert model._model_updates == 12 and SVG()._model_updates == 1 and SVG(model_updates=7)._model_updates == 7
    for variant, rate in (("svg1", 3e-3), ("svg_inf", 1e-3)):
        model = SVG(variant=variant)
        part = model.optimizer._optimizer_map(model.policy.trainable_variables[0])
        np.testing.assert_allclose(float(ops.convert_to_numpy(part.learning_rate)), rate, rtol=1e-6)
