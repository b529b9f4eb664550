"""Fields with a rule that shape, type and range cannot say. They are checked by `predict`, and by the server that has only the export."""

from dataclasses import dataclass

import numpy as np

from zoo.model import Field


@dataclass(frozen=True)
class SizedField(Field):
    """A field whose free axes cannot have any length: images for networks that pool.

    Args:
        least: smallest length.
        step: longer ones differ from it by a multiple of this.
    """

    least: int = 1
    step: int = 1

    def check(self, array):
        """Also refuses other lengths; the message names the nearest that fit."""
        super().check(array)
        lengths = [m for n, m in zip(self.shape, array.shape[1:]) if n is None]
        if all(m >= self.least and (m - self.least) % self.step == 0 for m in lengths):
            return
        form = f"{self.least} or more" if self.step == 1 else f"the form {self.least} + {self.step} k"
        received, nearest = (" x ".join(map(str, found)) for found in (lengths, map(self._nearest, lengths)))
        raise ValueError(f"`{self.name}` must have sides of {form}. Received: {received}; the nearest sizes that fit: {nearest}")

    def _nearest(self, length):
        below = self.least + max(0, length - self.least) // self.step * self.step
        return str(below) if length <= below else f"{below} or {below + self.step}"


@dataclass(frozen=True)
class PaddedField(Field):
    """A field of ids `(length,)` where rows hold one id or more, and then padding (0)."""

    def check(self, array):
        """Also refuses rows that are empty, or have padding before an id."""
        super().check(array)
        real = np.asarray(array) != 0
        if not real[:, 0].all() or (real[:, 1:] & ~real[:, :-1]).any():
            raise ValueError(f"`{self.name}` must hold one or more ids a row, and padding (0) on the right only. Received: other rows")

    def sample(self, batch_size, rng):
        """Random ids, padded to random lengths."""
        ids = super().sample(batch_size, rng)
        ids[:, 0] = np.maximum(ids[:, 0], 1)
        return np.take_along_axis(ids, np.argsort(ids == 0, axis=1, kind="stable"), axis=1)


@dataclass(frozen=True)
class SharedField(Field):
    """A field of one number for a row, which is the same in all rows of a batch."""

    def check(self, array):
        """Also refuses rows of different numbers."""
        super().check(array)
        if np.any(np.asarray(array) != np.asarray(array)[0]):
            raise ValueError(f"`{self.name}` must be the same in all rows. Received: {np.unique(array)[:5].tolist()}")

    def sample(self, batch_size, rng):
        """A random number, for all rows."""
        return np.repeat(super().sample(1, rng), batch_size, axis=0)


KINDS = {kind.__name__: kind for kind in (Field, SizedField, PaddedField, SharedField)}
