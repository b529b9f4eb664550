"""Blind Cliffwalk: a chain where one action goes on and the other ends the episode, with a reward for the whole chain alone.

Paper: Schaul et al. 2015, "Prioritized Experience Replay", arXiv 1511.05952, section 3.1, figure 1 and appendix B.1. Random actions see the
only reward once in 2^n episodes, so that nearly all of their experience is the same few failures.
"""

import numpy as np

try:
    import gymnasium
except ImportError as error:
    raise ImportError("Environments need gymnasium: pip install 'zoo-keras[rl]'") from error


class BlindCliffwalk(gymnasium.Env):
    """The chain of `n` states. Observations are one-hot states; the right action alternates from state to state: 0, 1, 0, ...

    The right action leads to the next state and, from the last one, to the end with reward 1. The wrong one ends with reward 0.

    Args:
        n: number of states.
    """

    def __init__(self, n=8):
        if n < 1:
            raise ValueError(f"`n` must be at least 1. Received: {n}")
        self.n = n
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (n,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.state = 0

    @property
    def discount(self):
        """The paper's discount factor, 1 - 1/n."""
        return 1 - 1 / self.n

    def reset(self, *, seed=None, options=None):
        """Start at state 0."""
        super().reset(seed=seed)
        self.state = 0
        return self._one_hot(self.state), {}

    def step(self, action):
        """Go on if `action` is `state % 2`, else fall; the next observation of a last step is zero."""
        right = int(action) == self.state % 2
        self.state = self.state + 1 if right else self.n
        finished = self.state == self.n
        return self._one_hot(self.state), float(right and finished), finished, False, {}

    def optimal_values(self):
        """The true action values `(n, 2)`: `discount ** (n - 1 - state)` for the right action, 0 for the wrong one."""
        states = np.arange(self.n)
        values = np.zeros((self.n, 2))
        values[states, states % 2] = self.discount ** (self.n - 1.0 - states)
        return values

    def all_episodes(self, seed=None):
        """What the 2^n action sequences see, in random order: the paper's memory of 2^(n+1) - 2 transitions, one of them rewarded.

        Args:
            seed: of the order.

        Returns:
            Dict of arrays `observation`, `action`, `reward`, `next_observation`, `terminated`, one row a transition.
        """
        # half of the sequences fall at the first state, a quarter at the second, ...; one never falls
        falls = np.append(np.repeat(np.arange(self.n), 2 ** np.arange(self.n)[::-1]), self.n)
        falls = np.random.default_rng(seed).permutation(falls)
        lengths = np.minimum(falls + 1, self.n)
        state = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        right = state < np.repeat(falls, lengths)
        terminated = ~right | (state == self.n - 1)
        return {
            "observation": self._one_hot(state),
            "action": np.where(right, state % 2, 1 - state % 2).astype("int32"),
            "reward": (right & terminated).astype("float32"),
            "next_observation": self._one_hot(np.where(terminated, self.n, state + 1)),
            "terminated": terminated.astype("float32"),
        }

    def _one_hot(self, state):
        return (np.arange(self.n) == np.expand_dims(state, -1)).astype("float32")
