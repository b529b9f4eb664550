"""Several CommAI environments side by side, for agents that learn from many sessions at once."""

import numpy as np

from zoo.environments.commai import checks
from zoo.environments.commai.environment import CommAI, gymnasium


class CommAIVector(gymnasium.vector.VectorEnv):
    """Copies of `CommAI`, each with chances of its own. `info` is left empty, since making it for every symbol takes longer than the tasks.

    Args:
        num_envs: number of copies.
        tasks: as in `CommAI`.
        seed: of the first copy; the others have those that follow.
        **kwargs: of `CommAI`.

    Raises:
        ValueError: if an argument is wrong.
    """

    metadata: dict = {"autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs=16, tasks="all", seed=None, **kwargs):
        self.num_envs = checks.count("num_envs", num_envs)
        self.envs = [CommAI(tasks, seed=one, **kwargs) for one in self._seeds(seed)]
        self.channel = self.envs[0].channel
        self.single_observation_space, self.single_action_space = self.envs[0].observation_space, self.envs[0].action_space
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        """Begin a session in each; returns their first symbols `(num_envs,)`, and an empty dict."""
        return np.array([env.reset(seed=one, options=options)[0] for env, one in zip(self.envs, self._seeds(seed))]), {}

    def step(self, actions):
        """Say a symbol in each; returns arrays `(num_envs,)` of symbols, rewards, ends (there are none), and an empty dict."""
        if len(actions) != self.num_envs:
            checks.refuse("actions", f"{self.num_envs} symbols", actions)
        observations, rewards, _ = zip(*(env.exchange(action) for env, action in zip(self.envs, actions)))
        never = np.zeros(self.num_envs, bool)
        return np.array(observations), np.array(rewards), never, never.copy(), {}

    def time_off(self, steps):
        """As `CommAI.time_off`, in each."""
        for env in self.envs:
            env.time_off(steps)

    def _seeds(self, seed):
        return [None if seed is None else checks.count("seed", seed, 0) + i for i in range(self.num_envs)]
