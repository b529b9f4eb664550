"""Steps through a gymnasium environment, single or vectorised, as batches of transitions with honest ends."""

import numpy as np


class Rollout:
    """Plays a gymnasium environment on and on.

    A transition says `terminated` only where the environment's own end was reached; a truncated one (a time limit) is an ordinary
    transition, whose next state still has a value. Discrete observations come one-hot.

    Args:
        env: a `gymnasium.Env` or `gymnasium.vector.VectorEnv` with discrete actions. A vectorised one must reset at the step after an end,
            gymnasium's default.
        seed: of the first reset.

    Raises:
        ValueError: if `env` is no environment, or its actions or observations are of another kind.
    """

    def __init__(self, env, seed=None):
        self.env, self.envs = env, getattr(env, "num_envs", 1)
        self.is_vector = hasattr(env, "num_envs")
        self.num_actions, self.observation_shape, self._states = _spaces(env, self.is_vector)
        mode = (getattr(env, "metadata", None) or {}).get("autoreset_mode")
        if self.is_vector and getattr(mode, "value", "NextStep") != "NextStep":
            raise ValueError(f"`env` must reset at the step after an end (AutoresetMode.NEXT_STEP). Received: {mode}")
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
        following, reward, terminated, truncated, _ = self.env.step(actions if self.is_vector else int(actions[0]))
        following = self._batch(following)
        reward, terminated, truncated = (np.reshape(a, self.envs) for a in (reward, terminated, truncated))
        played = ~self._resetting
        transitions = {
            "observation": self.observations[played],
            "action": np.asarray(actions, "int32")[played],
            "reward": reward[played].astype("float32"),
            "next_observation": following[played],
            "terminated": terminated[played].astype("float32"),
        }
        self._returns += reward * played
        self._lengths += played
        ended = (terminated | truncated) & played
        episodes = list(zip(np.flatnonzero(ended).tolist(), self._returns[ended].tolist(), self._lengths[ended].tolist()))
        self._returns[ended] = self._lengths[ended] = 0
        self._resetting = ended
        self.observations = following
        if ended.any() and not self.is_vector:
            self.observations, self._resetting = self._batch(self.env.reset()[0]), np.zeros(1, bool)
        return transitions, episodes

    def _batch(self, observations):
        batch = np.asarray(observations) if self.is_vector else np.asarray(observations)[None]
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
        raise ValueError(f"`env` must have Box observations or Discrete ones that count from 0. Received: {observations}")
    return int(actions.n), tuple(observations.shape), 0
