"""Finite Markov decision processes that are known in full: an environment to learn in, and the exact value of every policy."""

import numpy as np

try:
    import gymnasium
except ImportError as error:
    raise ImportError("Environments need gymnasium: pip install 'zoo-keras[rl]'") from error


class TabularMDP(gymnasium.Env):
    """States and actions are numbers; an episode ends in a terminal state, which gives nothing any more.

    Args:
        transitions: probabilities `(states, actions, states)` of the next state.
        rewards: what an action in a state gives, `(states, actions)`.
        start: probabilities of the first state, `(states,)`.
        discount: the discount factor of `returns` and `values`, below 1.
        terminal: numbers of the terminal states.
    """

    def __init__(self, transitions, rewards, start, discount=0.99, terminal=()):
        self.transitions, self.rewards, self.start = (np.asarray(a, "float64") for a in (transitions, rewards, start))
        n, actions = self.rewards.shape if self.rewards.ndim == 2 else (0, 0)
        if n == 0 or self.transitions.shape != (n, actions, n) or self.start.shape != (n,):
            raise ValueError(
                "`transitions`, `rewards` and `start` must have shapes (states, actions, states), (states, actions) and (states,). "
                f"Received: {self.transitions.shape}, {self.rewards.shape}, {self.start.shape}"
            )
        for name, p in (("transitions", self.transitions), ("start", self.start)):
            if np.any(p < 0) or not np.allclose(p.sum(-1), 1):
                raise ValueError(
                    f"`{name}` must be probabilities that add up to 1. Received: sums from {p.sum(-1).min()} to {p.sum(-1).max()}"
                )
        if not 0 <= discount < 1:
            raise ValueError(f"`discount` must be at least 0 and below 1. Received: {discount}")
        self.discount, self.terminal = discount, tuple(terminal)
        self.observation_space, self.action_space = gymnasium.spaces.Discrete(n), gymnasium.spaces.Discrete(actions)
        self._cumulative = np.cumsum(self.transitions, -1)
        self.state = 0

    def reset(self, *, seed=None, options=None):
        """Draw the first state."""
        super().reset(seed=seed)
        self.state = self._draw(np.cumsum(self.start))
        return self.state, {}

    def step(self, action):
        """Draw the next state."""
        reward = self.rewards[self.state, action]
        self.state = self._draw(self._cumulative[self.state, action])
        return self.state, float(reward), self.state in self.terminal, False, {}

    def _draw(self, cumulative):
        # rounding may leave the last sum below 1
        return int(min(np.searchsorted(cumulative, self.np_random.random(), side="right"), len(cumulative) - 1))

    def values(self, policy):
        """Exact discounted values of the states under a policy, by solving Bellman's equation.

        Args:
            policy: probabilities `(states, actions)`.

        Returns:
            Array `(states,)`; 0 in terminal states.
        """
        going_on = np.ones(len(self.start))
        going_on[list(self.terminal)] = 0
        rewards = np.sum(policy * self.rewards, 1) * going_on
        moves = np.einsum("sa,sat->st", policy, self.transitions) * going_on[:, None]
        return np.linalg.solve(np.eye(len(rewards)) - self.discount * moves, rewards)

    def expected_return(self, policy):
        """The exact expected discounted return of a policy `(states, actions)` from the start."""
        return float(self.start @ self.values(policy))

    def advantages(self, policy):
        """Exact action values less state values, `(states, actions)`; 0 in terminal states."""
        values = self.values(policy)
        advantages = self.rewards + self.discount * self.transitions @ values - values[:, None]
        advantages[list(self.terminal)] = 0
        return advantages

    def optimal_return(self):
        """The expected discounted return of the best policy, by policy iteration."""
        best = np.zeros(len(self.start), "int64")
        while True:
            policy = np.eye(self.rewards.shape[1])[best]
            gains = self.advantages(policy)
            if gains.max() < 1e-9:
                return self.expected_return(policy)
            best = np.where(gains.max(1) > 1e-9, gains.argmax(1), best)
