"""Steps through a gymnasium environment, single or vectorised, as batches of transitions with honest ends."""

import numpy as np


class Rollout:
    """Plays a gymnasium environment on and on.

    A transition says `terminated` only where the environment's own end was reached; a truncated one (a time limit) is an ordinary
    transition, whose next state still has a value. Discrete observations come one-hot.

    Args:
        env: a `gymnasium.Env` or `gymnasium.vector.VectorEnv` with discrete actions. A vectorised one may reset in any of gymnasium's ways:
            at the step after an end (the default), at the same step, or when it is told to.
        seed: of the first reset.

    Raises:
        ValueError: if `env` is no environment, or its actions or observations are of another kind.
    """

    def __init__(self, env, seed=None):
        self.env, self.envs = env, getattr(env, "num_envs", 1)
        self.is_vector = hasattr(env, "num_envs")
        self.num_actions, self.observation_shape, self._states = _spaces(env, self.is_vector)
        mode = (getattr(env, "metadata", None) or {}).get("autoreset_mode")
        self._mode = getattr(mode, "value", "NextStep") if self.is_vector else "Disabled"
        self.observations = self._batch(env.reset(seed=seed)[0])
        self._returns, self._lengths = np.zeros(self.envs), np.zeros(self.envs, "int64")
        self._resetting = np.zeros(self.envs, bool)

    def step(self, actions):
        """Take a step in every environment.

        Args:
            actions: whole numbers `(envs,)`.

        Returns:
            `transitions, episodes`: dict of `observation`, `action`, `reward`, `next_observation`, `terminated`, one row an environment
            that took a step (and did not just reset); list of (environment, return, length) of the episodes that ended.
        """
        following, reward, terminated, truncated, info = self.env.step(actions if self.is_vector else int(actions[0]))
        reward, terminated, truncated = (np.reshape(a, self.envs) for a in (reward, terminated, truncated))
        played = ~self._resetting
        ended = (terminated.astype(bool) | truncated.astype(bool)) & played
        reached = following = self._batch(following)
        if self._mode == "SameStep" and ended.any():
            reached = following.copy()
            reached[ended] = self._rows(np.stack([info["final_obs"][i] for i in np.flatnonzero(ended)]))
        transitions = {
            "observation": self.observations[played],
            "action": np.asarray(actions, "int32")[played],
            "reward": reward[played].astype("float32"),
            "next_observation": reached[played],
            "terminated": terminated[played].astype("float32"),
        }
        self._returns += reward * played
        self._lengths += played
        episodes = list(zip(np.flatnonzero(ended).tolist(), self._returns[ended].tolist(), self._lengths[ended].tolist()))
        self._returns[ended] = self._lengths[ended] = 0
        if self._mode == "NextStep":
            self._resetting = ended
        self.observations = self._reset(ended) if self._mode == "Disabled" and ended.any() else following
        return transitions, episodes

    def _reset(self, ended):
        options = {"options": {"reset_mask": ended}} if self.is_vector else {}
        return self._batch(self.env.reset(**options)[0])

    def _batch(self, observations):
        return self._rows(np.asarray(observations) if self.is_vector else np.asarray(observations)[None])

    def _rows(self, batch):
        if self._states:
            return (np.arange(self._states) == batch[:, None]).astype("float32")
        return batch.astype("float32") if batch.dtype.kind == "f" else batch.copy()


def _spaces(env, is_vector):
    """Number of actions, shape of an observation, and number of states of a discrete one (0 of a box)."""
    if not hasattr(env, "step") or not hasattr(env, "action_space"):
        raise ValueError(f"`env` must be a gymnasium environment. Received: {env!r}")
    actions = env.single_action_space if is_vector else env.action_space
    observations = env.single_observation_space if is_vector else env.observation_space
    if type(actions).__name__ != "Discrete" or actions.start != 0:
        raise ValueError(f"`env` must have discrete actions that count from 0. Received: {actions}")
    if type(observations).__name__ == "Discrete" and observations.start == 0:
        return int(actions.n), (int(observations.n),), int(observations.n)
    if type(observations).__name__ != "Box":
        raise ValueError(
            "`env` must have Box observations or Discrete ones that count from 0; gymnasium's FlattenObservation makes a Box of others. "
            f"Received: {observations}"
        )
    return int(actions.n), tuple(observations.shape), 0
