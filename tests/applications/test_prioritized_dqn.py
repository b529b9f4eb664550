"""Prioritized DQN against NumPy: targets, the weighted update, priorities, schedules, and play."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications.prioritized_dqn import PrioritizedDQN
from zoo.environments.cliffwalk import BlindCliffwalk


def agent(**arguments):
    keras.utils.set_random_seed(0)
    return PrioritizedDQN(**{**PrioritizedDQN.example_config(), **arguments})


def dense(layers, x):
    for i, (kernel, bias) in enumerate(layers):
        x = x @ kernel + bias
        x = np.maximum(x, 0) if i < len(layers) - 1 else x
    return x


def layers_of(network):
    weights = [ops.convert_to_numpy(w) for w in network.weights]
    return list(zip(weights[::2], weights[1::2]))


def transitions(n, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "observation": rng.normal(size=(n, 3)).astype("float32"),
        "action": rng.integers(2, size=n).astype("int32"),
        "reward": rng.normal(0, 2, n).astype("float32"),
        "next_observation": rng.normal(size=(n, 3)).astype("float32"),
        "terminated": (rng.random(n) < 0.3).astype("float32"),
    }


def expected_errors(model, data, double):
    """TD errors, clipped, in NumPy."""
    online, target = layers_of(model.online), layers_of(model.target)
    following = dense(target, data["next_observation"])
    best = np.argmax(dense(online if double else target, data["next_observation"]), 1)
    rows = np.arange(len(best))
    value = np.clip(data["reward"], -1, 1) + model.gamma * (1 - data["terminated"]) * following[rows, best]
    return np.clip(value - dense(online, data["observation"])[rows, data["action"]], -1, 1)


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("replay", ["proportional", "rank", "uniform"])
def test_one_update(double, replay):
    model = agent(hidden=(6,), double=double, replay=replay, gamma=0.8, beta0=0.6, batch_size=16, buffer_size=40)
    for w in model.target.weights:
        w.assign(w + np.random.default_rng(1).normal(0, 1, w.shape))
    model.compile(optimizer=keras.optimizers.SGD(0.5))
    model.remember(**transitions(40))
    drawn = []
    sample = model.memory.sample
    model.memory.sample = lambda *arguments: drawn.append(sample(*arguments)) or drawn[-1]
    before = layers_of(model.online)
    model.memory.update(np.arange(40), np.linspace(0.1, 2, 40))
    all_errors = expected_errors(model, transitions(40), double)
    _, size = model.learn()
    batch = drawn[0]
    errors = all_errors[batch.indices]
    np.testing.assert_allclose(size, np.abs(errors).mean(), rtol=1e-5)
    # the bias of the last layer moves by the mean of weight * clipped error, a step of SGD
    kernel, bias = layers_of(model.online)[-1]
    step = [np.sum((batch.weights * errors)[batch.transitions["action"] == a]) / 16 for a in (0, 1)]
    np.testing.assert_allclose(bias - before[-1][1], 0.5 * np.array(step), atol=1e-6)
    hidden = np.maximum(batch.transitions["observation"] @ before[0][0] + before[0][1], 0)
    one_hot = np.eye(2)[batch.transitions["action"]]
    np.testing.assert_allclose(kernel - before[-1][0], 0.5 * hidden.T @ (one_hot * (batch.weights * errors)[:, None]) / 16, atol=1e-6)
    if replay == "proportional":
        np.testing.assert_allclose(model.memory.tree[batch.indices], (np.abs(errors) + 1e-6) ** 0.6, rtol=1e-4)
    if replay == "rank":
        np.testing.assert_allclose(model.memory.order[batch.indices], np.abs(errors), rtol=1e-4, atol=1e-6)


def test_clipping_can_be_left_out():
    model = agent(hidden=(), reward_clip=None, td_clip=None, batch_size=8, replay="uniform")
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    data = {**transitions(8), "reward": np.full(8, 50.0, "float32"), "terminated": np.ones(8, "float32")}
    model.remember(**data)
    assert model.learn()[1] > 40


def test_variants_have_the_papers_exponents():
    for replay, alpha, beta in (("proportional", 0.6, 0.4), ("rank", 0.7, 0.5)):
        model = agent(replay=replay)
        model.remember(**transitions(1))
        assert (model.memory.alpha, model.beta) == (alpha, beta)
    assert agent(replay="uniform").beta == 1.0
    rates = [float(ops.convert_to_numpy(agent(replay=r).optimizer.learning_rate)) for r in ("uniform", "rank")]
    np.testing.assert_allclose(rates, [0.00025, 0.00025 / 4])


def test_schedules_and_resuming():
    model = agent(beta0=0.5, beta_steps=100, epsilon_start=0.9, epsilon_end=0.1, epsilon_steps=50)
    assert (model.beta, model.epsilon) == (0.5, 0.9)
    env = BlindCliffwalk(3)
    model.fit(env, 25, verbose=0)
    np.testing.assert_allclose([model.beta, model.epsilon], [0.625, 0.5])
    memory = model.memory
    assert int(model.optimizer.iterations) == 25 // 2 - 8 // 2
    model.fit(env, 25, verbose=0)
    assert model.memory is memory and len(memory) == 50
    assert int(model.optimizer.iterations) == 50 // 2 - 8 // 2
    np.testing.assert_allclose([model.beta, model.epsilon], [0.75, 0.1])
    model.fit(env, 80, verbose=0)
    assert (model.beta, model.epsilon) == (1.0, pytest.approx(0.1))


def test_a_saved_agent_goes_on_where_it_stopped(tmp_path):
    model = agent()
    model.fit(BlindCliffwalk(3), 40, verbose=0)
    model.save(tmp_path / "agent.keras")
    model.memory.save(tmp_path / "memory.npz")
    loaded = keras.saving.load_model(tmp_path / "agent.keras")
    assert loaded.epsilon == model.epsilon and loaded.beta == model.beta and int(loaded.steps) == 40
    loaded.restore_memory(tmp_path / "memory.npz")
    np.testing.assert_array_equal(loaded.memory.sample(8).indices, model.memory.sample(8).indices)
    loaded.fit(BlindCliffwalk(3), 10, verbose=0)


def test_target_network_follows_in_jumps():
    model = agent(target_update=20, learning_starts=0, replay_period=1)
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    start = layers_of(model.target)[0][0]
    model.fit(BlindCliffwalk(3), 19, verbose=0)
    np.testing.assert_array_equal(layers_of(model.target)[0][0], start)
    assert np.any(layers_of(model.online)[0][0] != start)
    model.fit(BlindCliffwalk(3), 1, verbose=0)
    np.testing.assert_array_equal(layers_of(model.target)[0][0], layers_of(model.online)[0][0])


def test_learns_the_values_of_blind_cliffwalk():
    env = BlindCliffwalk(4)
    model = agent(observation_shape=(4,), hidden=(), replay="proportional", double=False, gamma=env.discount, td_clip=None, batch_size=16)
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    model.remember(**env.all_episodes(seed=0))
    for _ in range(300):
        model.learn()
        model.update_target()
    np.testing.assert_allclose(model.predict(np.eye(4, dtype="float32"), verbose=0), env.optimal_values(), atol=0.05)
    assert model.evaluate(env, episodes=2) == {"mean_return": 1.0, "std_return": 0.0, "mean_length": 4.0, "episodes": 2}
    assert [model.act(np.eye(4)[s]) for s in range(4)] == [0, 1, 0, 1]


def test_act():
    model = agent()
    x = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    best = np.argmax(dense(layers_of(model.online), x), 1)
    np.testing.assert_array_equal(model.act(x), best)
    assert model.act(x[0]) == best[0] and isinstance(model.act(x[0]), int)
    assert model.act(1) == model.act(np.eye(3)[1])
    drawn = model.act(np.repeat(x[:1], 4000, 0), epsilon=0.5)
    assert 0.2 < np.mean(drawn != best[0]) < 0.3
    with pytest.raises(ValueError, match="observation"):
        model.act(np.zeros(4))
    with pytest.raises(ValueError, match="observation"):
        model.act([np.nan, 0, 0])


def test_environments():
    import gymnasium

    lake = gymnasium.make("FrozenLake-v1")
    model = agent(observation_shape=(16,), num_actions=4)
    assert model.fit(lake, 30, verbose=0).history["steps"] == [30]
    assert model.act(lake.reset()[0]) in range(4)
    vector = gymnasium.make_vec("CartPole-v1", num_envs=3)
    model = agent(observation_shape=(4,))
    history = model.fit(vector, 60, verbose=0, log_every=30).history
    assert history["steps"] == [30, 60] and 50 <= len(model.memory) <= 60
    assert int(model.optimizer.iterations) == 60 // 2 - 8 // 2
    assert model.evaluate(vector, episodes=4)["episodes"] == 6
    for env in (gymnasium.make("Pendulum-v1"), gymnasium.make("MountainCar-v0"), None):
        with pytest.raises(ValueError, match="env"):
            model.fit(env, 10)


def test_callbacks_can_stop_and_progress_is_shown(capfd):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = logs["steps"] >= 20

    model = agent()
    history = model.fit(BlindCliffwalk(3), 100, log_every=10, callbacks=Stop(), verbose=1)
    assert history.history["steps"] == [10, 20] and history.epoch == [0, 1]
    assert "episode_return" in capfd.readouterr().out


@pytest.mark.parametrize("shape", [(36, 40, 2), (2, 36, 40)])
def test_atari_network(shape):
    model = agent(observation_shape=shape, num_actions=3, network="atari", batch_size=2, buffer_size=8)
    assert [layer.filters for layer in model.online.layers if hasattr(layer, "filters")] == [32, 64, 64]
    pixels = np.random.default_rng(0).integers(0, 256, (4, *shape)).astype("uint8")
    others = {"action": [0, 1, 2, 0], "reward": np.ones(4), "terminated": np.zeros(4)}
    model.remember(observation=pixels, next_observation=pixels, **others)
    assert model.memory.arrays["observation"].dtype == "uint8"
    assert np.all(np.isfinite(model.learn()))
    assert model.act(pixels[0]) in range(3)


def test_the_network_follows_the_observation(tmp_path):
    model = agent(observation_shape=(36, 36, 2), network=None, batch_size=2, buffer_size=8)
    assert "Conv2D" in [type(layer).__name__ for layer in model.online.layers] and model.input_fields()[0].high == 255
    assert agent(network=None).input_fields()[0].high is None
    pixels = np.random.default_rng(0).integers(0, 256, (4, 36, 36, 2)).astype("uint8")
    model.remember(observation=pixels, next_observation=pixels, action=[0, 1, 1, 0], reward=np.ones(4), terminated=np.zeros(4))
    model.memory.save(tmp_path / "memory.npz")
    other = agent(observation_shape=(36, 36, 2), network=None, batch_size=2, buffer_size=8)
    other.restore_memory(tmp_path / "memory.npz")
    np.testing.assert_array_equal(other.memory.sample(8).transitions["observation"], model.memory.sample(8).transitions["observation"])


def test_the_default_is_the_papers_network_and_fits():
    model = PrioritizedDQN()
    assert [layer.filters for layer in model.online.layers if hasattr(layer, "filters")] == [32, 64, 64]
    frames = np.random.default_rng(0).integers(0, 256, (2, 84, 84, 4)).astype("uint8")
    model.remember(observation=frames, next_observation=frames, action=[0, 1], reward=[1, 0], terminated=[0, 0])
    assert model.memory.frames.nbytes < 2**26 and model.memory.capacity == 1_000_000


def test_bad_arguments():
    for name, value in (("replay", "greedy"), ("network", "cnn"), ("gamma", 1.5), ("alpha", -1), ("batch_size", 0), ("target_update", 0)):
        with pytest.raises(ValueError, match=name):
            agent(**{name: value})
    with pytest.raises(ValueError, match="observation_shape"):
        agent(network="atari", observation_shape=(20, 20, 4))
    model = agent()
    for verb, arguments in (
        ("learn", {}),
        ("steps", {"env": BlindCliffwalk(3), "steps": 0}),
        ("episodes", {"env": BlindCliffwalk(3), "episodes": 0}),
    ):
        with pytest.raises(ValueError, match=verb):
            {"learn": model.learn, "steps": model.fit, "episodes": model.evaluate}[verb](**arguments)
    for bad in ({"action": np.array([0, 2])}, {"observation": np.zeros((2, 4))}, {"action": np.zeros(3, "int32")}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            model.remember(**{**transitions(2), **bad})
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="loss"):
        model.fit(BlindCliffwalk(3), 10)


def test_figure():
    from zoo.plots.learning_curves import learning_curves

    curves = {"a": [([1, 2], [3, 4]), ([1, 3], [3, 5])], "b": [([1, 2], [1, 1])]}
    figure = learning_curves([curves] * 2, ["x", "y"], log=[True, False], threshold=2)
    assert len(figure.axes) == 2 and len(figure.axes[0].lines) == 5
