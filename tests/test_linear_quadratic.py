"""The linear-quadratic problem: its closed forms against simulation and finite differences, its rewards as tensors."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.environments.linear_quadratic import LinearQuadratic, QuadraticReward
from zoo.environments.pendulum import PendulumReward

GAIN, STD, GAMMA = np.array([[-0.5, -0.7]]), 0.3, 0.9


def problem(**arguments):
    return LinearQuadratic(**{"noise": np.array([[0.1, 0.0], [0.05, 0.2]]), "horizon": 12, "q": [[1.0, 0.3], [0.3, 0.5]], **arguments})


def simulated(env, episodes, seed=0):
    """Mean return of episodes, all at once."""
    rng = np.random.default_rng(seed)
    state, total = rng.normal(size=(episodes, 2)), np.zeros(episodes)
    for t in range(env.horizon):
        action = state @ GAIN.T + STD * rng.normal(size=(episodes, 1))
        costs = np.einsum("bi,ij,bj->b", state, env.q, state) + np.einsum("bi,ij,bj->b", action, env.r, action)
        total -= GAMMA**t * costs
        state = state @ env.a.T + action @ env.b.T + rng.normal(size=(episodes, 2)) @ env.noise.T
    return total.mean(), total.std() / episodes**0.5


def test_value_is_the_mean_return():
    env = problem()
    mean, error = simulated(env, 200_000)
    assert error < 0.02 and abs(env.value(GAIN, STD, GAMMA) - mean) < 4 * error


def test_gradient_is_that_of_the_value():
    env, step = problem(), 1e-5
    of_gain, of_std = env.gradient(GAIN, STD, GAMMA)
    for i in range(2):
        change = np.zeros_like(GAIN)
        change[0, i] = step
        slope = (env.value(GAIN + change, STD, GAMMA) - env.value(GAIN - change, STD, GAMMA)) / (2 * step)
        np.testing.assert_allclose(of_gain[0, i], slope, rtol=1e-6)
    slope = (env.value(GAIN, STD + step, GAMMA) - env.value(GAIN, STD - step, GAMMA)) / (2 * step)
    np.testing.assert_allclose(of_std, [slope], rtol=1e-6)


def test_best_gain_is_scipys():
    from scipy.linalg import solve_discrete_are

    env = problem()
    a, b = GAMMA**0.5 * env.a, GAMMA**0.5 * env.b
    p = solve_discrete_are(a, b, env.q, env.r)
    np.testing.assert_allclose(env.best_gain(GAMMA), -np.linalg.solve(env.r + b.T @ p @ b, b.T @ p @ a), rtol=1e-6)
    long = problem(horizon=300)
    assert long.value(env.best_gain(GAMMA), 0.0, GAMMA) > long.value(env.best_gain(GAMMA) + 0.05, 0.0, GAMMA)


def test_rewards_as_tensors_are_those_of_the_environments():
    import gymnasium

    linear = problem()
    reward = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(QuadraticReward(linear.q, linear.r)))
    pendulum = gymnasium.make("Pendulum-v1")
    for env, function in ((linear, reward), (pendulum, PendulumReward())):
        rng, (state, _) = np.random.default_rng(0), env.reset(seed=0)
        for _ in range(10):
            action = rng.normal(0, 1.5, env.action_space.shape).astype("float32")
            following, expected, *_ = env.step(action)
            found = function(*(ops.convert_to_tensor(x[None]) for x in (state, action, following)))
            np.testing.assert_allclose(ops.convert_to_numpy(found), [expected], rtol=1e-4, atol=1e-5)
            state = following


def test_episodes_and_bad_arguments():
    env = problem(horizon=2, noise=0.0)
    state, _ = env.reset(seed=1)
    following, reward, terminated, truncated, _ = env.step([2.0])
    np.testing.assert_allclose(following, env.a @ state + env.b[:, 0] * 2, rtol=1e-6)
    np.testing.assert_allclose(reward, -(state @ env.q @ state + 0.4), rtol=1e-6)
    assert not terminated and not truncated and env.step([0.0])[3]
    for name, value in (("a", np.eye(3)), ("b", np.eye(3)), ("q", np.eye(3)), ("r", [[1, 2], [0, 1]]), ("horizon", 0)):
        with pytest.raises(ValueError, match=name):
            LinearQuadratic(**{"a": np.eye(2), "b": np.eye(2), name: value} if name != "a" else {"a": value})
