"""Copies of an environment in chosen states, played side by side to see what each of several actions leads to."""

import copy

import numpy as np


class Forks:
    """Keeps copies of an environment in some of the states it comes through, each of them with the same probability.

    Any environment will do that `copy.deepcopy` can copy, such as gymnasium's classic control and toy text, or one in plain Python.

    Args:
        rollout: a `Rollout` of a single environment.
        count: states to keep.
        rng: a `numpy.random.Generator`.
    """

    def __init__(self, rollout, count, rng):
        self.rollout, self.count, self.rng = rollout, count, rng
        self.envs, self.observations, self.visited = [], [], 0

    def visit(self):
        """Keep the present state, or not (reservoir sampling)."""
        place = self.visited if self.visited < self.count else int(self.rng.integers(self.visited + 1))
        self.visited += 1
        if place < self.count:
            self.envs[place : place + 1] = [copy.deepcopy(self.rollout.env)]
            self.observations[place : place + 1] = [self.rollout.observations[0].copy()]


class Branches:
    """Plays several copies of each environment that `Forks` kept, each until it ends.

    Args:
        forks: a `Forks`.
        copies: of each state. Copy `k` of state `n` is number `n * copies + k`.
        common_noise: whether all copies of a state draw the same random numbers, those that its environment would have drawn next (common
            random numbers); else each draws its own.
    """

    def __init__(self, forks, copies, common_noise=True):
        self.rollout = forks.rollout
        self.envs = [copy.deepcopy(env) for env in forks.envs for _ in range(copies)]
        if not common_noise:
            for env in self.envs:
                env.unwrapped.np_random = np.random.default_rng(forks.rng.integers(2**63))
        self.observations = np.repeat(np.stack(forks.observations), copies, axis=0)
        self.alive = np.ones(len(self.envs), bool)

    def step(self, actions):
        """Take a step in every copy that has not ended.

        Args:
            actions: one for each copy, `(copies of all, ...)`; those of copies that have ended do not matter.

        Returns:
            Rewards `(copies of all,)`, 0 for copies that had ended.
        """
        rewards, places = np.zeros(len(self.envs)), np.flatnonzero(self.alive)
        sent = self.rollout.sent(actions)
        reached = []
        for i in places:
            observation, rewards[i], terminated, truncated, _ = self.envs[i].step(sent[i])
            reached.append(observation)
            self.alive[i] = not (terminated or truncated)
        self.observations[places] = self.rollout.rows(np.asarray(reached))
        return rewards
