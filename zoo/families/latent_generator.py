"""What generators share that turn latent vectors into samples."""

from dataclasses import replace
from typing import Annotated, Any

import keras
import numpy as np
from keras import ops

from zoo import arguments
from zoo.arguments import Count, Described, Index, checked
from zoo.model import Model

Latent = Annotated[Any, Described("latent_fields", "z")]


class LatentGenerator(Model):
    """A method with a verb `generate(z)`; it sets `seed_generator`, and `latent_fields()` describes `z`."""

    def _latent(self, n, seed):
        """Latent vectors `(n, latent_dim)`: a tensor, uniform in [-1, 1]. `n` may be a tensor."""
        return keras.random.uniform((n, *self.latent_fields()[0].shape), -1.0, 1.0, seed=seed)

    def _line(self, z0, z1, steps):
        """So many latent vectors on the straight line between two, which are checked; ends included."""
        arguments.count("steps", steps, low=2)
        field = self.latent_fields()[0]
        ends = [replace(field, name=name).convert(z[None])[0] for name, z in (("z0", z0), ("z1", z1))]
        return np.linspace(ends[0], ends[1], steps, dtype="float32")

    @checked
    def latent(self, n: Count, seed: Index | None = None) -> np.ndarray:
        """Random latent vectors.

        Args:
            n: how many.
            seed: an int gives the same vectors each time.

        Returns:
            Array `(n, latent_dim)`, float32, distributed as in training.
        """
        return ops.convert_to_numpy(self._latent(n, self.seed_generator if seed is None else seed))

    @checked
    def sample(self, n: Count, seed: Index | None = None) -> np.ndarray:
        """Draw `n` samples, as `generate` gives them; an int `seed` gives the same ones each time. Returns `(n, ...)`."""
        return self.generate(self.latent(n, seed))
