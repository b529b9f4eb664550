"""The linear-quadratic problem: linear stochastic dynamics, quadratic costs, and everything about it in closed form.

    s' = A s + B a + D xi,   r = -(s'Q s + a'R a),   xi ~ N(0, I),   T steps

For linear policies with noise, a = K s + diag(std) eta, the expected return, its gradient in K and std, and the best K are exact matrix
recursions, which makes it the yardstick of estimators of policy gradients.
"""

import keras
import numpy as np
from keras import ops

try:
    import gymnasium
except ImportError as error:
    raise ImportError("Environments need gymnasium: pip install 'zoo-keras[rl]'") from error


class LinearQuadratic(gymnasium.Env):
    """The problem. Without matrices it is a mass on a line, of which position and velocity are seen and which is pushed: a noisy double
    integrator. Episodes start at s ~ N(0, I) and are truncated after `horizon` steps.

    Args:
        a: A `(states, states)`; `None` means the double integrator.
        b: B `(states, actions)`.
        q: Q `(states, states)`, positive semi-definite; `None` means the identity.
        r: R `(actions, actions)`, positive definite; `None` means a tenth of the identity.
        noise: D `(states, noises)`, or a number that stands for that multiple of the identity.
        horizon: T.
    """

    def __init__(self, a=None, b=None, q=None, r=None, noise=0.1, horizon=20):
        self.a = np.array([[1.0, 0.2], [0.0, 1.0]] if a is None else a, "float64")
        states = len(self.a)
        if (a is None) != (b is None) or self.a.shape != (states, states):
            raise ValueError(f"`a` must be a square matrix that comes with `b`. Received: a={a}, b={b}")
        self.b = np.array([[0.0], [0.5]] if b is None else b, "float64")
        if self.b.ndim != 2 or len(self.b) != states:
            raise ValueError(f"`b` must have shape ({states}, actions). Received: {self.b.shape}")
        if horizon < 1:
            raise ValueError(f"`horizon` must be at least 1. Received: {horizon}")
        actions = self.b.shape[1]
        self.q = np.eye(states) if q is None else np.array(q, "float64")
        self.r = 0.1 * np.eye(actions) if r is None else np.array(r, "float64")
        for name, matrix, size in (("q", self.q, states), ("r", self.r, actions)):
            if matrix.shape != (size, size) or not np.allclose(matrix, matrix.T):
                raise ValueError(f"`{name}` must be a symmetric matrix ({size}, {size}). Received: {matrix.tolist()}")
        self.noise = noise * np.eye(states) if np.ndim(noise) == 0 else np.array(noise, "float64")
        self.horizon = horizon
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (states,), np.float32)
        self.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (actions,), np.float32)
        self.state, self.time = np.zeros(states), 0

    def reset(self, *, seed=None, options=None):
        """Start at a state of N(0, I)."""
        super().reset(seed=seed)
        self.state, self.time = self.np_random.normal(size=len(self.a)), 0
        return self.state.astype("float32"), {}

    def step(self, action):
        """Move; truncated at the horizon."""
        reward, self.state = self.transition(self.state, np.asarray(action, "float64"), self.np_random)
        self.time += 1
        return self.state.astype("float32"), float(reward), False, self.time >= self.horizon, {}

    def transition(self, states, actions, rng):
        """Rewards `(...)` and next states `(..., states)` of states `(..., states)` and actions `(..., actions)`, noise from `rng`."""
        costs = sum(np.einsum("...i,ij,...j", x, matrix, x) for x, matrix in ((states, self.q), (actions, self.r)))
        noise = rng.normal(size=(*np.shape(states)[:-1], self.noise.shape[1]))
        return -costs, states @ self.a.T + actions @ self.b.T + noise @ self.noise.T

    # --- in closed form ---

    def value(self, gain, std=0.0, gamma=1.0):
        """Expected discounted return of the policy a = gain s + std eta from s ~ N(0, I).

        Args:
            gain: K `(actions, states)`.
            std: of the actions, a number or `(actions,)`.
            gamma: discount factor.
        """
        p, spread = self._values(gain, std, gamma)
        return float(np.trace(p[0]) + spread[0])

    def gradient(self, gain, std=0.0, gamma=1.0):
        """The gradient of `value` in K and in std, `(actions, states)` and `(actions,)`."""
        std = np.broadcast_to(std, len(self.r))
        p, _ = self._values(gain, std, gamma)
        closed = self.a + self.b @ gain
        covariance = np.eye(len(self.a))
        of_gain, of_std = np.zeros(np.shape(gain)), np.zeros(len(std))
        for t in range(self.horizon):
            inner = -self.r + gamma * self.b.T @ p[t + 1] @ self.b
            of_gain += 2 * gamma**t * (-self.r @ gain + gamma * self.b.T @ p[t + 1] @ closed) @ covariance
            of_std += 2 * gamma**t * np.diag(inner) * std
            covariance = closed @ covariance @ closed.T + self.b @ np.diag(std**2) @ self.b.T + self.noise @ self.noise.T
        return of_gain, of_std

    def best_gain(self, gamma=1.0):
        """K `(actions, states)` of the best stationary policy of an endless problem, by the Riccati recursion."""
        p = -self.q
        for _ in range(10_000):
            gain = np.linalg.solve(self.r - gamma * self.b.T @ p @ self.b, gamma * self.b.T @ p @ self.a)
            closed = self.a + self.b @ gain
            p, before = -self.q - gain.T @ self.r @ gain + gamma * closed.T @ p @ closed, p
            if np.allclose(p, before, rtol=1e-12, atol=1e-12):
                break
        return gain

    def _values(self, gain, std, gamma):
        """V_t(s) = s'P_t s + c_t for t = 0..T, backwards from 0 at the end."""
        std = np.broadcast_to(std, len(self.r))
        closed = self.a + self.b @ gain
        p, spread = [np.zeros_like(self.a)], [0.0]
        for _ in range(self.horizon):
            pushed = self.b @ np.diag(std**2) @ self.b.T + self.noise @ self.noise.T
            spread.append(-np.sum(np.diag(self.r) * std**2) + gamma * (np.trace(p[-1] @ pushed) + spread[-1]))
            p.append(-self.q - gain.T @ self.r @ gain + gamma * closed.T @ p[-1] @ closed)
        return p[::-1], spread[::-1]


@keras.saving.register_keras_serializable("zoo")
class QuadraticReward(keras.layers.Layer):
    """r(s, a, s') = -(s'Q s + a'R a) as tensors, for methods that differentiate rewards.

    Args:
        q: Q `(states, states)`, nested lists or an array.
        r: R `(actions, actions)`.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, q, r, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.q, self.r = np.asarray(q, "float32").tolist(), np.asarray(r, "float32").tolist()

    def call(self, observation, action, next_observation):
        """Rewards `(batch,)`."""
        costs = [ops.sum(ops.matmul(x, ops.convert_to_tensor(m, "float32")) * x, -1) for x, m in ((observation, self.q), (action, self.r))]
        return -costs[0] - costs[1]

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "q": self.q, "r": self.r}
