"""Distributions of codes that can be drawn from and saved: mixtures of Gaussians, the swiss roll, and what a user derives from `Prior`.

Makhzani et al. 2015, "Adversarial Autoencoders", arXiv 1511.05644, draw codes from a Gaussian, from ten Gaussians that are arranged as a
star and from a swiss roll (figures 2 and 4). A prior that knows labels draws each code from its label's part.
"""

import math

import keras
import numpy as np
from keras import ops

from zoo import arguments


class Prior(keras.Layer):
    """Base class of a distribution of codes; it has no weights and is never called.

    To give a method a distribution of your own, derive from this class, override `draw`, register the class with
    `keras.saving.register_keras_serializable` and return its arguments from `get_config`, so that models with it can be saved.

    Args:
        **kwargs: of `keras.Layer`.
    """

    # how many labels have a part of their own; 0: draws do not depend on labels
    parts = 0

    def __init__(self, **kwargs):
        super().__init__(**{"trainable": False, "dtype": "float32", **kwargs})
        self.built = True

    def draw(self, n, seed, label=None):
        """Draw codes.

        Args:
            n: how many; a tensor in compiled graphs.
            seed: a `keras.random.SeedGenerator`; each use of it draws anew.
            label: `(n,)` int32, the part of each code, -1 for a code of the whole; `None`: all of the whole.

        Returns:
            A tensor `(n, dim)`, float32, of `keras.ops` and `keras.random` alone.
        """
        raise NotImplementedError


@keras.saving.register_keras_serializable("zoo")
class MixturePrior(Prior):
    """A mixture of Gaussians. Expectations of squared-exponential kernels under it are exact (`zoo.losses.mixture_mean_discrepancy`).

    Args:
        means: of the components, `(k, dim)`.
        covariances: `(k, dim, dim)`.
        **kwargs: of `keras.Layer`.

    Raises:
        ValueError: if shapes differ or a matrix is no covariance.
    """

    def __init__(self, means, covariances, **kwargs):
        super().__init__(**kwargs)
        self.means, self.covariances = _plain("means", means, 2), _plain("covariances", covariances, 3)
        means, covariances = self.components()
        k, dim = means.shape
        if covariances.shape != (k, dim, dim) or not np.allclose(covariances, covariances.swapaxes(1, 2)):
            raise ValueError(f"`covariances` must be symmetric, of shape {(k, dim, dim)}. Received: shape {covariances.shape}")
        variances, axes = np.linalg.eigh(covariances)
        if variances.min() < -1e-6 * max(variances.max(), 1e-30):
            raise ValueError(f"`covariances` must not have negative eigenvalues. Received: {variances.min():.3g}")
        # of one component there is nothing to choose by label
        self.parts = k if k > 1 else 0
        self._means = means.astype("float32")
        self._factors = (axes * np.sqrt(np.maximum(variances, 0))[:, None]).astype("float32")

    def components(self):
        """Means `(k, dim)` and covariances `(k, dim, dim)`, float64."""
        return np.asarray(self.means), np.asarray(self.covariances)

    def draw(self, n, seed, label=None):
        """Codes `(n, dim)`; a label is the number of a component. See `Prior.draw`."""
        noise = keras.random.normal((n, self._means.shape[1]), seed=seed)
        if not self.parts:
            return self._means[0] + ops.matmul(noise, self._factors[0].T)
        anyone = keras.random.randint((n,), 0, self.parts, dtype="int32", seed=seed)
        choice = anyone if label is None else ops.where(label < 0, anyone, label)
        factors = ops.take(self._factors, choice, axis=0)
        return ops.take(self._means, choice, axis=0) + ops.sum(factors * noise[:, None], axis=-1)

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), "means": self.means, "covariances": self.covariances}


@keras.saving.register_keras_serializable("zoo")
class SwissRollPrior(Prior):
    """Two turns of a spiral in the plane, equally dense all along; label 0 has its middle, the last label its end.

    Args:
        radius: of the end.
        parts: stretches of equal probability, one for each label.
        **kwargs: of `keras.Layer`.
    """

    def __init__(self, radius=10.0, parts=10, **kwargs):
        super().__init__(**kwargs)
        self.radius, self.parts = arguments.number("radius", radius, above=0), arguments.count("parts", parts)

    def draw(self, n, seed, label=None):
        """Codes `(n, 2)`; see `Prior.draw`."""
        place = keras.random.uniform((n,), seed=seed)
        if label is not None:
            place = ops.where(label < 0, place, (ops.cast(label, "float32") + place) / self.parts)
        # the length of the spiral grows with the square of the radius, but for its very middle
        root = ops.sqrt(place)
        return self.radius * ops.stack([root * ops.cos(4 * math.pi * root), root * ops.sin(4 * math.pi * root)], axis=-1)

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), "radius": self.radius, "parts": self.parts}


def gaussian_prior(dim, scale=1.0):
    """A Gaussian with independent coordinates of standard deviation `scale` around 0, a `MixturePrior` of one component."""
    return MixturePrior(np.zeros((1, dim)), scale**2 * np.eye(dim)[None])


def star_prior(scale=1.0, parts=10):
    """`parts` long Gaussians of the plane that point outwards from a circle, a `MixturePrior`.

    Centres lie `1.4 * scale` from 0; variances are `0.5 * scale**2` along the ray and `0.05 * scale**2` across.
    """
    angles = 2 * np.pi * np.arange(parts) / parts
    along = np.stack([np.cos(angles), np.sin(angles)], 1)
    across = np.stack([-np.sin(angles), np.cos(angles)], 1)
    covariances = 0.5 * along[:, :, None] * along[:, None] + 0.05 * across[:, :, None] * across[:, None]
    return MixturePrior(1.4 * scale * along, scale**2 * covariances)


def _plain(name, value, rank):
    return arguments.numbers(name, value, rank).astype("float64").tolist()
