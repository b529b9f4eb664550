"""The CommAI learner against brute force: its steps, what symbols were worth, TD targets; players, letters, copies of the environment."""

import gymnasium
import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications.comm_ai_learner import CommAILearner
from zoo.environments import commai

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def reinforce():
    keras.utils.set_random_seed(0)
    return CommAILearner(units=6, window=5, gamma=0.8, lam=0.7)


@pytest.fixture(scope="module")
def q_learner():
    keras.utils.set_random_seed(0)
    return CommAILearner(**{**CommAILearner.example_config(), "double": True})


def windows(agent, rows=3):
    return {field.name: field.sample(rows, np.random.default_rng(1)) for field in agent.input_fields()}


@pytest.mark.parametrize("kind", ["reinforce", "q_learner"])
def test_steps_are_those_of_the_window(kind, request):
    agent = request.getfixturevalue(kind)
    x = windows(agent)
    whole = agent.predict(x, verbose=0)
    whole, state = whole["logits" if kind == "reinforce" else "q_values"], x["state"]
    for t in range(agent.window):
        step, _, state = agent._step(*(x[name][:, t : t + 1] for name in ("heard", "said", "reward")), state)
        np.testing.assert_allclose(step, whole[:, t], atol=1e-5)


def test_what_symbols_were_worth(reinforce, monkeypatch):
    """Advantages as sums of what came, term by term, up to an end or to the value behind the window."""
    rows, length = 4, reinforce.window
    window = windows(reinforce, rows)
    brought, values, behind = (RNG.normal(size=shape).astype("float32") for shape in ((rows, length), (rows, length), rows))
    terminated = np.zeros((rows, length), "float32")
    terminated[1, 2] = terminated[2, 4] = 1
    kept = []
    monkeypatch.setattr(reinforce, "_update", lambda x, y, reward: kept.append(y) or {})
    action = RNG.integers(2, size=(rows, length)).astype("int32")
    reinforce._learn_from({**window, "brought": brought, "values": values, "terminated": terminated, "action": action}, behind)
    expected = np.zeros((rows, length))
    for row in range(rows):
        for start in range(length):
            weight = 1.0
            for t in range(start, length):
                after = behind[row] if t + 1 == length else values[row, t + 1]
                expected[row, start] += weight * (brought[row, t] + 0.8 * (1 - terminated[row, t]) * after - values[row, t])
                if terminated[row, t]:
                    break
                weight *= 0.8 * 0.7
    np.testing.assert_allclose(kept[0]["advantage"], expected, atol=1e-5)
    np.testing.assert_allclose(kept[0]["value"], expected + values, atol=1e-5)


def test_loss_of_reinforce(reinforce):
    """By hand, from the logits."""
    x, rows = windows(reinforce), 3
    y = {
        "action": RNG.integers(2, size=(rows, 5)).astype("int32"),
        "advantage": RNG.normal(size=(rows, 5)).astype("float32"),
        "value": RNG.normal(size=(rows, 5)).astype("float32"),
    }
    out = {name: np.asarray(value, "float64") for name, value in reinforce.predict(x, verbose=0).items()}
    p = np.exp(out["logits"]) / np.exp(out["logits"]).sum(-1, keepdims=True)
    chosen = np.log(np.take_along_axis(p, y["action"][..., None], -1)[..., 0])
    entropy = -(p * np.log(p)).sum(-1)
    expected = (0.25 * (y["value"] - out["values"]) ** 2 - y["advantage"] * chosen - 0.03 * entropy).mean()
    logs = reinforce.test_on_batch(x, y, return_dict=True)
    assert logs["loss"] == pytest.approx(expected, abs=1e-5)
    assert logs["entropy"] == pytest.approx(entropy.mean(), abs=1e-5)


@pytest.mark.parametrize("double", [True, False])
def test_td_errors(q_learner, double, monkeypatch):
    """By hand, from the values of both networks; an end has no value behind it."""
    monkeypatch.setattr(q_learner, "double", double)
    for weight in q_learner.target.weights:
        weight.assign(weight + np.random.default_rng(1).normal(0, 0.3, weight.shape))
    x = windows(q_learner)
    y = {
        "action": RNG.integers(2, size=(3, 4)).astype("int32"),
        "brought": RNG.normal(size=(3, 4)).astype("float32"),
        "terminated": np.eye(3, 4, dtype="float32"),
    }
    online, target = (ops.convert_to_numpy(network(x)["q_values"]) for network in (q_learner.network, q_learner.target))
    judge = online if double else target
    errors = []
    for row in range(3):
        for t in range(3):
            after = target[row, t + 1, judge[row, t + 1].argmax()]
            goal = y["brought"][row, t] + q_learner.gamma * (1 - y["terminated"][row, t]) * after
            errors.append(goal - online[row, t, y["action"][row, t]])
    q_learner.compile()
    logs = q_learner.test_on_batch(x, y, return_dict=True)
    assert logs["loss"] == pytest.approx(np.square(errors).mean(), abs=1e-5)
    assert logs["td_error"] == pytest.approx(np.abs(errors).mean(), abs=1e-5)


def test_windows_hold_what_happened():
    """Windows in memory, one after the other, are the session: played again with the same symbols it says and pays the same."""
    agent = CommAILearner(**{**CommAILearner.example_config(), "epsilon_start": 1.0, "epsilon_end": 1.0})
    agent.fit(commai.CommAI("nano", seed=0, max_reward_per_task=None), steps=41, verbose=0, seed=0)
    kept = {name: array[: len(agent.memory)].reshape(-1) for name, array in agent.memory.arrays.items() if name != "state"}
    assert len(kept["heard"]) == 40
    np.testing.assert_array_equal(kept["said"][1:], kept["action"][:-1] + 1)
    np.testing.assert_array_equal(kept["reward"][1:], kept["brought"][:-1])
    again = commai.CommAI("nano", max_reward_per_task=None)
    heard = [again.reset(seed=0)[0]]
    rewards = []
    for action in kept["action"]:
        symbol, reward, *_ = again.step(action)
        heard.append(symbol)
        rewards.append(reward)
    np.testing.assert_array_equal(kept["heard"], heard[:-1])
    np.testing.assert_array_equal(kept["brought"], rewards)


def test_learning_prefers_what_pays():
    """Who is paid for ones says ones."""

    class Ones:
        observation_space = action_space = commai.CommAI().action_space

        def reset(self, *, seed=None, options=None):
            return 0, {}

        def step(self, action):
            return 0, float(action == 1), False, False, {}

    keras.utils.set_random_seed(0)
    agent = CommAILearner(units=8, window=8, gamma=0.5)
    agent.optimizer.learning_rate = 0.05
    before = agent.evaluate(Ones(), steps=50, explore=True)["reward"]
    history = agent.fit(Ones(), steps=240, verbose=0, seed=0).history
    assert agent.evaluate(Ones(), steps=50, explore=True)["reward"] > max(before, 0.9)
    assert set(history) >= {"loss", "reward", "entropy", "steps"}


def test_players(reinforce):
    """A player that does not learn answers like `act` step by step, and changes nothing; one that learns does."""
    weights = [ops.convert_to_numpy(w) + 0 for w in reinforce.trainable_weights]
    player, state, said = reinforce.player(), None, None
    for heard, reward in ((0, 0.0), (1, 0.0), (1, 1.0), (0, -1.0)):
        symbol, state = reinforce.act(heard, said, reward, state)
        assert player.act(heard, reward) == symbol
        said = symbol
    results = commai.evaluate(reinforce.player(), "nano_1", attempts=3)
    assert results["nano_1"].steps > 3
    assert all(np.array_equal(a, b) for a, b in zip(weights, map(ops.convert_to_numpy, reinforce.trainable_weights)))
    commai.evaluate(reinforce.player(learns=True), "nano_1", attempts=3)
    assert not all(np.array_equal(a, b) for a, b in zip(weights, map(ops.convert_to_numpy, reinforce.trainable_weights)))


def test_letters():
    agent = CommAILearner("byte", " ab", "q", units=4, window=4, epsilon_steps=10)
    agent.fit(commai.CommAI("micro_repeat", "byte", seed=0), steps=30, verbose=0)
    said = {agent.player(explore=True).act(ord("x")) for _ in range(30)}
    assert said <= set(b" ab")
    assert agent.predict(windows(agent), verbose=0)["q_values"].shape == (3, 4, 3)
    for alphabet, channel in (("a", "byte"), ("aa", "byte"), (" a", "bit"), (3, "byte")):
        with pytest.raises(ValueError, match="alphabet"):
            CommAILearner(channel, alphabet)


def test_copies_are_single_environments():
    env, actions = commai.CommAIVector(3, "nano", seed=4), RNG.integers(2, size=(200, 3))
    singles = [commai.CommAI("nano", seed=4 + i) for i in range(3)]
    heard = [env.reset()[0]] + [env.step(row)[:2] for row in actions]
    for i, single in enumerate(singles):
        assert heard[0][i] == single.reset()[0]
        for row, (symbols, rewards) in zip(actions, heard[1:]):
            symbol, reward, *_ = single.step(row[i])
            assert (symbols[i], rewards[i]) == (symbol, reward)
    with pytest.raises(ValueError, match="num_envs"):
        commai.CommAIVector(0)


def test_other_channels_are_refused(reinforce):
    with pytest.raises(ValueError, match="env"):
        reinforce.fit(commai.CommAI("nano", "byte"), steps=8)
    with pytest.raises(ValueError, match="heard"):
        reinforce.act(2)


def test_a_time_limit_ends_what_counts():
    """Rewards behind a limit do not reach back over it; the value of where it came does."""

    class Late(gymnasium.Env):
        observation_space = action_space = gymnasium.spaces.Discrete(2)
        episodes = 0

        def reset(self, *, seed=None, options=None):
            self.time, self.episodes = 0, self.episodes + 1
            return 0, {}

        def step(self, action):
            self.time += 1
            return 0, 1000.0 * (self.episodes > 1), False, self.time == 4, {}

    keras.utils.set_random_seed(0)
    agent = CommAILearner(units=4, window=8, gamma=0.9, lam=1.0)
    agent.optimizer.learning_rate, kept, update = 0.0, [], agent._update
    agent._update = lambda x, y, reward: kept.append(y) or update(x, y, reward)
    agent.fit(Late(), steps=9, verbose=0)
    advantage = kept[0]["advantage"][0]
    assert np.abs(advantage[:4]).max() < 10 and advantage[4] > 900


def test_a_learning_player_moves_the_schedule():
    agent = CommAILearner(**{**CommAILearner.example_config(), "epsilon_steps": 40})
    commai.evaluate(agent.player(learns=True), "nano_1", attempts=10)
    assert int(agent.steps) > 40 and agent.epsilon == pytest.approx(0.1)


@pytest.mark.parametrize("how", [{}, {"channel": "byte", "alphabet": " ab"}])
def test_the_signature_acts_as_the_agent(how):
    agent = CommAILearner(units=4, window=4, **how)
    function, _ = agent.signatures()["act"]
    state, said = None, None
    exported = {"state": np.zeros((1, 4), "float32"), "said": np.array([-1], "int32")}
    for heard in (1, 0, 1, 1):
        given = {"heard": np.array([heard], "int32"), "reward": np.array([0.5], "float32"), **exported}
        found = function({name: ops.convert_to_tensor(value) for name, value in given.items()})
        symbol, state = agent.act(heard, said, 0.5, state)
        assert int(found["symbol"][0]) == symbol
        np.testing.assert_allclose(found["state"][0], state, atol=1e-6)
        exported, said = {"state": found["state"], "said": found["symbol"]}, symbol


def test_wrong_calls_are_refused_by_name():
    agent = CommAILearner(units=4, window=4)
    player = agent.player()
    for call, name in (
        (lambda: player.act(5), "observation"),
        (lambda: player.act(0, None), "reward"),
        (lambda: commai.evaluate(player, "nano", channel="byte"), "channel"),
        (agent.update_target, "update_target"),
        (lambda: CommAILearner("byte", "é"), "alphabet"),
        (lambda: CommAILearner(units=64.5), "units"),
        (lambda: CommAILearner(double="no"), "double"),
        (lambda: commai.CommAIVector(2, "nano", "a"), "seed"),
    ):
        with pytest.raises(ValueError, match=name):
            call()
