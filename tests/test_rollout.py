"""Steps through environments: ends, time limits, resets, spaces."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from zoo.environments.rollout import Rollout


class Counter(gymnasium.Env):
    """Counts up; ends at 3 (terminated), or 2 steps after a start at 5 (truncated)."""

    observation_space = gymnasium.spaces.Box(0, 9, (1,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, start=0):
        self.start = start

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.taken = self.start, 0
        return np.array([float(self.start)]), {}

    def step(self, action):
        self.count, self.taken = self.count + 1, self.taken + 1
        return np.array([float(self.count)]), 1.0, self.count == 3, self.taken == 2 and self.start == 5, {}


class Adder(Counter):
    """Its reward is the sum of the action that reached it."""

    action_space = gymnasium.spaces.Box(-1.0, 2.0, (3,), np.float32)

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float(np.sum(action)), *rest


class MultiBinary(Counter):
    action_space = gymnasium.spaces.MultiBinary(2)


def test_rollout_tells_ends_from_time_limits():
    def play(env, steps, envs):
        rollout, kept, episodes = Rollout(env, seed=0), [], []
        for _ in range(steps):
            transitions, ended = rollout.step(np.zeros(envs, "int64"))
            kept += zip(*(np.ravel(transitions[k]).tolist() for k in ("observation", "next_observation", "terminated", "truncated", "env")))
            episodes += ended
        return kept, episodes

    def limited(env):
        return [(5.0, 6.0, 0.0, 0.0, env), (6.0, 7.0, 0.0, 1.0, env)]

    counted = [(0.0, 1.0, 0.0, 0.0, 0), (1.0, 2.0, 0.0, 0.0, 0), (2.0, 3.0, 1.0, 0.0, 0)]
    assert play(Counter(0), 6, 1) == (counted * 2, [(0, 3.0, 3)] * 2)
    assert play(Counter(5), 4, 1) == (limited(0) * 2, [(0, 2.0, 2)] * 2)
    # a reset at the next step costs a step of its own
    for mode, first, second in (("NextStep", 3, 4), ("SameStep", 4, 6), ("Disabled", 4, 6)):
        env = SyncVectorEnv([lambda: Counter(0), lambda: Counter(5)], autoreset_mode=mode)
        kept, episodes = play(env, 12, 2)
        assert sorted(kept) == sorted(counted * first + limited(1) * second), mode
        assert sorted(episodes) == [(0, 3.0, 3)] * first + [(1, 2.0, 2)] * second, mode


def test_rollout_takes_discrete_observations_and_refuses_other_spaces():
    rollout = Rollout(gymnasium.make("FrozenLake-v1"), seed=0)
    assert rollout.observation_shape == (16,) and rollout.observations.tolist() == [[1.0] + [0.0] * 15]
    with pytest.raises(ValueError, match="env.*Discrete actions"):
        Rollout(MultiBinary())
    with pytest.raises(ValueError, match="env.*Box"):
        Rollout(gymnasium.make("Blackjack-v1"))
    with pytest.raises(ValueError, match="env"):
        Rollout("CartPole-v1")


@pytest.mark.parametrize("make", [Adder, lambda: SyncVectorEnv([Adder])])
def test_continuous_actions_are_cut_to_the_limits_on_their_way(make):
    rollout = Rollout(make(), seed=0)
    assert (rollout.num_actions, rollout.action_shape) == (None, (3,))
    transitions, _ = rollout.step(np.array([[0.5, 7.0, -7.0]]))
    np.testing.assert_array_equal(transitions["action"], np.array([[0.5, 7.0, -7.0]], "float32"))
    np.testing.assert_allclose(transitions["reward"], [0.5 + 2.0 - 1.0])
