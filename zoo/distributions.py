"""Distributions of actions, as the parameters that a network puts out: densities, divergences, draws, and their Fisher information.

Both classes take one tensor of parameters whose last axis is the network's output; the axes before it are free. All of it is `keras.ops`,
so it runs in compiled graphs and can be differentiated.
"""

import math

import numpy as np
from keras import ops


class Categorical:
    """One of `n` choices.

    Args:
        parameters: logits `(..., n)`.
    """

    def __init__(self, parameters):
        self.logits = ops.log_softmax(parameters, axis=-1)

    def log_prob(self, action):
        """Logarithm of the probability of whole numbers `action` `(...)`."""
        return ops.take_along_axis(self.logits, ops.cast(action, "int32")[..., None], axis=-1)[..., 0]

    def entropy(self):
        """In nats, `(...)`."""
        return -ops.sum(ops.exp(self.logits) * self.logits, axis=-1)

    def kl(self, other):
        """The divergence of `other` from this one, `KL(self || other)`, in nats, `(...)`."""
        return ops.sum(ops.exp(self.logits) * (self.logits - other.logits), axis=-1)

    def fisher(self, tangent):
        """The Fisher information of the logits times `tangent` `(..., n)`: the Hessian of `kl(other)` where both are equal."""
        p = ops.exp(self.logits)
        return p * (tangent - ops.sum(p * tangent, axis=-1, keepdims=True))

    def mode(self):
        """The most probable choice, `(...)`."""
        return ops.argmax(self.logits, axis=-1)

    def sample(self, noise):
        """The choice that `noise` `(...)`, uniform from 0 to 1, stands for."""
        # in units of the sum, which rounding leaves beside 1: no draw leads to a choice that cannot be, or past the last one
        shares = ops.cumsum(ops.exp(self.logits), axis=-1)
        below = shares[..., :-1] <= noise[..., None] * shares[..., -1:]
        return ops.sum(ops.cast(below, "int32"), axis=-1)

    @staticmethod
    def noise(rng, shape, size):
        """What `sample` wants for draws of `shape`, from a `numpy.random.Generator`; `size` is not needed here."""
        return rng.random(shape, "float32")


class DiagonalGaussian:
    """A vector of independent normal variables.

    Args:
        parameters: means and logarithms of the standard deviations, one after the other, `(..., 2 * d)`.
    """

    def __init__(self, parameters):
        self.mean, self.log_std = ops.split(parameters, 2, axis=-1)

    def log_prob(self, action):
        """Logarithm of the density at `action` `(..., d)`, shape `(...)`."""
        z = (action - self.mean) * ops.exp(-self.log_std)
        return -0.5 * ops.sum(z * z + 2 * self.log_std + math.log(2 * math.pi), axis=-1)

    def entropy(self):
        """In nats, `(...)`."""
        return ops.sum(self.log_std + 0.5 * math.log(2 * math.pi * math.e), axis=-1)

    def kl(self, other):
        """The divergence of `other` from this one, `KL(self || other)`, in nats, `(...)`."""
        difference = self.log_std - other.log_std
        z = (self.mean - other.mean) * ops.exp(-other.log_std)
        return 0.5 * ops.sum(ops.exp(2 * difference) + z * z - 1 - 2 * difference, axis=-1)

    def fisher(self, tangent):
        """The Fisher information of the parameters times `tangent` `(..., 2 * d)`: the Hessian of `kl(other)` where both are equal."""
        mean, log_std = ops.split(tangent, 2, axis=-1)
        return ops.concatenate([mean * ops.exp(-2 * self.log_std), 2 * log_std], axis=-1)

    def mode(self):
        """The mean, `(..., d)`."""
        return self.mean

    def sample(self, noise):
        """The vector that `noise` `(..., d)`, standard normal, stands for."""
        return self.mean + ops.exp(self.log_std) * noise

    @staticmethod
    def noise(rng, shape, size):
        """What `sample` wants for draws of `shape` of vectors of length `size`, from a `numpy.random.Generator`."""
        return rng.standard_normal((*shape, size), np.float32)
