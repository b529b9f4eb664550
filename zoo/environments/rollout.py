"""Steps through a gymnasium environment, single or vectorised, as batches of transitions with honest ends."""

import numpy as np


class Rollout:
    """Plays a gymnasium environment on and on.

    A transition says `terminated` only where the environment's own end was reached; a truncated one (a time limit) is an ordinary
    transition, whose next state still has a value. Discrete observations come one-hot. Continuous actions are cut to the limits of the
    environment on their way there; the transition keeps them as they were chosen.

    Args:
        env: a `gymnasium.Env` or `gymnasium.vector.VectorEnv` with `Discrete` or `Box` actions. A vectorised one may reset in any of
            gymnasium's ways: at the step after an end (the default), at the same step, or when it is told to.
        seed: of the first reset.

    Raises:
        ValueError: if `env` is no environment, or its actions or observations are of another kind.
    """

    def __init__(self, env, seed=None):
        self.env, self.envs = env, getattr(env, "num_envs", 1)
        self.is_vector = hasattr(env, "num_envs")
        actions = env.single_action_space if self.is_vector else getattr(env, "action_space", None)
        self.num_actions, self.action_shape = _actions(env, actions)
        self._limits = None if self.num_actions else (actions.low, actions.high)
        self.observation_shape, self._states = _observations(env.single_observation_space if self.is_vector else env.observation_space)
        mode = (getattr(env, "metadata", None) or {}).get("autoreset_mode")
        self._mode = getattr(mode, "value", "NextStep") if self.is_vector else "Disabled"
        self.observations = self._batch(env.reset(seed=seed)[0])
        self._returns, self._lengths = np.zeros(self.envs), np.zeros(self.envs, "int64")
        self._resetting = np.zeros(self.envs, bool)

    def step(self, actions):
        """Take a step in every environment.

        Args:
            actions: whole numbers `(envs,)`, or floats `(envs, *action_shape)`.

        Returns:
            `transitions, episodes`: dict of `observation`, `action`, `reward`, `next_observation`, `terminated`, `truncated` and `env`
            (which of the environments), one row an environment that took a step (and did not just reset); list of (environment, return,
            length) of the episodes that ended.
        """
        actions = np.asarray(actions, "int32" if self.num_actions else "float32")
        sent = self.sent(actions)
        following, reward, terminated, truncated, info = self.env.step(sent if self.is_vector else sent[0])
        reward, terminated, truncated = (np.reshape(a, self.envs) for a in (reward, terminated, truncated))
        played = ~self._resetting
        ended = (terminated.astype(bool) | truncated.astype(bool)) & played
        reached = following = self._batch(following)
        if self._mode == "SameStep" and ended.any():
            reached = following.copy()
            reached[ended] = self.rows(np.stack([info["final_obs"][i] for i in np.flatnonzero(ended)]))
        transitions = {
            "observation": self.observations[played],
            "action": actions[played],
            "reward": reward[played].astype("float32"),
            "next_observation": reached[played],
            "terminated": terminated[played].astype("float32"),
            "truncated": truncated[played].astype("float32"),
            "env": np.flatnonzero(played),
        }
        self._returns += reward * played
        self._lengths += played
        episodes = list(zip(np.flatnonzero(ended).tolist(), self._returns[ended].tolist(), self._lengths[ended].tolist()))
        self._returns[ended] = self._lengths[ended] = 0
        if self._mode == "NextStep":
            self._resetting = ended
        self.observations = self._reset(ended) if self._mode == "Disabled" and ended.any() else following
        return transitions, episodes

    def restart(self):
        """Break off the episodes that some environment is in the midst of, by a reset of all; they are not reported."""
        if self._lengths.any():
            self.observations = self._batch(self.env.reset()[0])
            self._returns[:] = self._lengths[:] = 0
            self._resetting[:] = False

    def sent(self, actions):
        """A batch of actions as the environment takes them, or a list of them for one that is not vectorised: cut to its limits."""
        if not self.num_actions:
            return np.clip(actions, *self._limits)
        return actions if self.is_vector else actions.tolist()

    def rows(self, batch):
        """A batch of the environment's observations as transitions hold them: discrete ones one-hot."""
        if self._states:
            return (np.arange(self._states) == batch[:, None]).astype("float32")
        return batch.astype("float32") if batch.dtype.kind == "f" else batch.copy()

    def _reset(self, ended):
        options = {"options": {"reset_mask": ended}} if self.is_vector else {}
        return self._batch(self.env.reset(**options)[0])

    def _batch(self, observations):
        return self.rows(np.asarray(observations) if self.is_vector else np.asarray(observations)[None])


def _actions(env, space):
    """Number of discrete actions or `None`, and shape of a continuous one or `None`."""
    if not hasattr(env, "step") or space is None:
        raise ValueError(f"`env` must be a gymnasium environment. Received: {env!r}")
    if type(space).__name__ == "Discrete" and space.start == 0:
        return int(space.n), None
    if type(space).__name__ == "Box" and space.dtype.kind == "f":
        return None, tuple(space.shape)
    raise ValueError(f"`env` must have Discrete actions that count from 0, or a Box of floats. Received: {space}")


def _observations(space):
    """Shape of an observation, and number of states of a discrete one (0 of a box)."""
    if type(space).__name__ == "Discrete" and space.start == 0:
        return (int(space.n),), int(space.n)
    if type(space).__name__ != "Box":
        raise ValueError(
            "`env` must have Box observations or Discrete ones that count from 0; gymnasium's FlattenObservation makes a Box of others. "
            f"Received: {space}"
        )
    return tuple(space.shape), 0
