"""MADE on binarised MNIST: against mixtures and a small RBM, one mask against many, products against mixtures, missing pixels.

    python applications/made/train.py

All arms are the default network; they differ in their masks alone, and have the same steps of the same optimizer. A second set, small, is the
UCI digits in black and white. Log-likelihoods are exact, of all models.
"""

import keras
import numpy as np
from scipy import special
from sklearn.neural_network import BernoulliRBM

from zoo import datasets, evidence, plots
from zoo.applications import MADE
from zoo.evidence import Choice, Claim

EPOCHS, RATE, TEST, FEW = 4, 0.03, 2000, 500
# epochs and rate of the small set
SMALL_EPOCHS, SMALL_RATE = 40, 0.03
COMPONENTS, SMALL_COMPONENTS, ITERATIONS = 500, 50, 12
HIDDEN, RBM_RATE = 14, 0.03
# of the pixels, at random in each image
MISSING, MASKS_FOR_MISSING = 0.5, 4
# rows at once
BLOCK = 5000
ARMS = {
    "default": {},
    "one mask": {"masks": 1},
    "fresh masks": {"masks": None},
    "one ordering": {"masks": 8, "ordering": "random"},
}


class MixtureOfBernoullis:
    """Mixture of products of Bernoullis, fitted by EM from random training rows.

    Args:
        components: how many.
        iterations: of EM.
        smoothing: counts of ones and of zeros that each pixel of each component has beforehand.
        seed: of the start.
    """

    def __init__(self, components, iterations=ITERATIONS, smoothing=0.1, seed=0):
        self.components, self.iterations, self.smoothing, self.seed = components, iterations, smoothing, seed

    def fit(self, x):
        """Fit to rows `(n, dimensions)` of 0 and 1."""
        rng = np.random.default_rng(self.seed)
        self.means = 0.25 + 0.5 * x[rng.choice(len(x), self.components, replace=False)]
        self.weights = np.full(self.components, 1 / self.components)
        for _ in range(self.iterations):
            counts, sums = np.full(self.components, 1e-6), np.zeros_like(self.means)
            for i in range(0, len(x), BLOCK):
                shares = special.softmax(self._joint(x[i : i + BLOCK]), axis=1)
                counts += shares.sum(0)
                sums += shares.T @ x[i : i + BLOCK]
            self.means = ((sums + self.smoothing) / (counts + 2 * self.smoothing)[:, None]).astype("float32")
            self.weights = counts / counts.sum()
        return self

    def log_likelihood(self, x):
        """Nats of each row."""
        return np.concatenate([special.logsumexp(self._joint(x[i : i + BLOCK]), axis=1) for i in range(0, len(x), BLOCK)])

    def _joint(self, x):
        off = np.log1p(-self.means).sum(1) + np.log(self.weights)
        return x @ special.logit(self.means).T + off.astype("float32")


class SmallRBM:
    """Scikit-learn's RBM (persistent contrastive divergence), with its exact log-likelihood by a sum over all hidden states.

    Args:
        units: hidden units; the sum has two to their power terms.
        rate: of learning.
        epochs: over the rows, in batches of 100.
        seed: of weights and chains.
    """

    def __init__(self, units=HIDDEN, rate=RBM_RATE, epochs=EPOCHS, seed=0):
        self.units = units
        self.model = BernoulliRBM(units, learning_rate=rate, batch_size=100, n_iter=epochs, random_state=seed)

    def fit(self, x):
        """Fit to rows of 0 and 1."""
        self.model.fit(x)
        return self

    def log_partition(self):
        """Log of the sum over all states, in nats."""
        weights, hidden, visible = self.model.components_, self.model.intercept_hidden_, self.model.intercept_visible_
        parts = []
        for i in range(0, 2**self.units, BLOCK):
            h = (np.arange(i, min(i + BLOCK, 2**self.units))[:, None] >> np.arange(self.units)) & 1
            parts.append(h @ hidden + np.logaddexp(0, h @ weights + visible).sum(1))
        return special.logsumexp(np.concatenate(parts))

    def log_likelihood(self, x):
        """Nats of each row, exact."""
        weights, hidden, visible = self.model.components_, self.model.intercept_hidden_, self.model.intercept_visible_
        return x @ visible + np.logaddexp(0, x @ weights.T + hidden).sum(1) - self.log_partition()


def learnt(x, arm, seed, epochs, rate, **sizes):
    """A model after training."""
    keras.utils.set_random_seed(seed)
    model = MADE(**sizes, **ARMS[arm])
    optimizer = model.default_optimizer()
    optimizer.learning_rate = rate
    # XLA takes a fifth of the time on a processor
    model.compile(optimizer, jit_compile=True)
    model.fit(x, epochs=epochs, verbose=0)
    return model


def nats(log_likelihood):
    """Mean of the negative."""
    return float(-np.mean(log_likelihood))
