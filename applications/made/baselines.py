"""Density models beside MADE: a mixture of Bernoullis by EM, and an RBM small enough for its exact likelihood."""

import numpy as np
from scipy import special
from sklearn.neural_network import BernoulliRBM

# rows at once
BLOCK = 5000


class MixtureOfBernoullis:
    """Mixture of products of Bernoullis, fitted by EM.

    Args:
        components: how many.
        iterations: of EM.
        smoothing: counts of ones and of zeros that each pixel of each component has beforehand.
        seed: of the start, at random training rows.
    """

    def __init__(self, components, iterations=20, smoothing=0.1, seed=0):
        self.components, self.iterations, self.smoothing, self.seed = components, iterations, smoothing, seed

    def fit(self, x):
        """Fit to rows `(n, dimensions)` of 0 and 1."""
        rng = np.random.default_rng(self.seed)
        starts = x[rng.choice(len(x), self.components, replace=False)]
        self.means = 0.25 + 0.5 * starts
        self.weights = np.full(self.components, 1 / self.components)
        for _ in range(self.iterations):
            counts, sums = np.zeros(self.components), np.zeros_like(self.means)
            for i in range(0, len(x), BLOCK):
                shares = special.softmax(self._joint(x[i : i + BLOCK]), axis=1)
                counts += shares.sum(0)
                sums += shares.T @ x[i : i + BLOCK]
            self.means = ((sums + self.smoothing) / (counts + 2 * self.smoothing)[:, None]).astype("float32")
            self.weights = (counts + self.smoothing) / (counts + self.smoothing).sum()
        return self

    def log_likelihood(self, x):
        """Nats of each row."""
        return np.concatenate([special.logsumexp(self._joint(x[i : i + BLOCK]), axis=1) for i in range(0, len(x), BLOCK)])

    def _joint(self, x):
        logits, off = special.logit(self.means), np.log1p(-self.means).sum(1)
        return x @ logits.T.astype("float32") + (off + np.log(self.weights)).astype("float32")


class SmallRBM:
    """Scikit-learn's RBM (persistent contrastive divergence), with its exact log-likelihood by a sum over all hidden states.

    Args:
        units: hidden units; the sum has two to their power terms.
        rate: of learning.
        epochs: over the rows, in batches of 100.
        seed: of weights and chains.
    """

    def __init__(self, units=14, rate=0.05, epochs=4, seed=0):
        self.units = units
        self.model = BernoulliRBM(units, learning_rate=rate, batch_size=100, n_iter=epochs, random_state=seed)

    def fit(self, x):
        """Fit to rows of 0 and 1."""
        self.model.fit(x)
        return self

    def log_partition(self):
        """Log of the sum over all states, in nats."""
        weights, a, b = self.model.components_, self.model.intercept_hidden_, self.model.intercept_visible_
        parts = []
        for i in range(0, 2**self.units, BLOCK):
            h = (np.arange(i, min(i + BLOCK, 2**self.units))[:, None] >> np.arange(self.units)) & 1
            parts.append(h @ a + np.logaddexp(0, h @ weights + b).sum(1))
        return special.logsumexp(np.concatenate(parts))

    def log_likelihood(self, x):
        """Nats of each row, exact."""
        weights, a, b = self.model.components_, self.model.intercept_hidden_, self.model.intercept_visible_
        return x @ b + np.logaddexp(0, x @ weights.T + a).sum(1) - self.log_partition()
