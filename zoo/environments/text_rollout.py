"""Steps through games of text, one or several copies at once, as batches of transitions of ids."""

import numpy as np


class TextRollout:
    """Plays games of text on and on, as `zoo.environments.rollout.Rollout` plays others.

    `states` and `actions` are the texts in front of the player, `observations` their ids, `reached` the texts where the last step led to.

    Args:
        env: a game, or a list of games that are played side by side. `reset(seed=...)` gives `(text, info)` and `step(number)` gives
            `(text, reward, terminated, truncated, info)`; `info["actions"]` lists the texts of the actions, none once the game is over.
        encode: from a list of texts and a list of lists of texts of actions to a dict of arrays `state` and `actions`.
        seed: of the first reset; each game gets its own.

    Raises:
        ValueError: if `env` is no such game.
    """

    def __init__(self, env, encode, seed=None):
        self.games = list(env) if isinstance(env, (list, tuple)) else [env]
        if not self.games or not all(hasattr(game, "reset") and hasattr(game, "step") for game in self.games):
            raise ValueError(f"`env` must be a game of text, or a list of them. Received: {str(env)[:100]}")
        self.envs, self._encode = len(self.games), encode
        seeds = [None] * self.envs if seed is None else np.random.default_rng(seed).integers(2**31, size=self.envs).tolist()
        self.states, self.actions = map(list, zip(*(_offer(game.reset(seed=number)) for game, number in zip(self.games, seeds))))
        self.reached, self.observations = list(self.states), encode(self.states, self.actions)
        self._returns, self._lengths = np.zeros(self.envs), np.zeros(self.envs, "int64")

    def step(self, actions):
        """Take a step in every game.

        Args:
            actions: numbers of the texts in `self.actions`, `(envs,)`.

        Returns:
            `transitions, episodes`: dict of `state`, `actions`, `action`, `reward`, `next_state`, `next_actions`, `terminated`, `truncated`
            and `env`, one row a game; list of (game, return, length) of the episodes that ended.
        """
        played = [game.step(int(action)) for game, action in zip(self.games, actions)]
        self.states, self.actions = map(list, zip(*(_offer((text, info)) for text, *_, info in played)))
        reward, terminated, truncated = (np.array([turn[i] for turn in played], "float32") for i in (1, 2, 3))
        self.reached, reached = list(self.states), self._encode(self.states, self.actions)
        transitions = {
            **self.observations,
            "action": np.asarray(actions, "int32"),
            "reward": reward,
            **{f"next_{name}": array for name, array in reached.items()},
            "terminated": terminated,
            "truncated": truncated,
            "env": np.arange(self.envs),
        }
        self._returns += reward
        self._lengths += 1
        ended = np.flatnonzero(terminated + truncated)
        episodes = list(zip(ended.tolist(), self._returns[ended].tolist(), self._lengths[ended].tolist()))
        self._returns[ended] = self._lengths[ended] = 0
        for i in ended:
            self.states[i], self.actions[i] = _offer(self.games[i].reset())
        self.observations = self._encode(self.states, self.actions) if len(ended) else reached
        return transitions, episodes


def _offer(turn):
    """Text of a state and texts of its actions, from `(text, info)`."""
    text, info = turn
    if not isinstance(text, str) or "actions" not in info:
        raise ValueError(f"`env` must give a text, and `actions` in its info. Received: {str(text)[:100]!r} and {sorted(info)}")
    return text, list(info["actions"])
