"""Batches of texts of about one length, so that little of them is padding."""

import keras
import numpy as np

from zoo import arguments


class LengthBuckets(keras.utils.PyDataset):
    """Batches for `fit` of padded ids, each cut to the length of its longest text, rounded up to a multiple of `step`.

    Every epoch texts are sorted by length, those of about one length at random, cut into batches, and the batches are shuffled. So few
    shapes occur, for each of which a step is compiled once: at most as many as multiples of `step` up to the longest text.

    Args:
        x: ids `(texts, length)`, 0 for padding on the right; or a dict of such arrays, all of which are cut to the longest of them;
            those with more axes stay whole.
        y: targets, an array with a row for each text, or `None`.
        batch_size: texts of a batch.
        step: lengths are multiples of it.
        seed: of the order.

    Raises:
        ValueError: if arrays do not have as many rows as one another.
    """

    def __init__(self, x, y=None, batch_size=32, step=8, seed=0):
        super().__init__()
        arguments.count("batch_size", batch_size)
        arguments.count("step", step)
        self.x, self.y = ({name: np.asarray(ids) for name, ids in x.items()} if isinstance(x, dict) else np.asarray(x)), y
        every = list(self.x.values()) if isinstance(x, dict) else [self.x]
        rows = {len(array) for array in [*every, *([] if y is None else [y])]}
        arrays = [array for array in every if array.ndim == 2]
        if len(rows) > 1 or not arrays or any(array.ndim < 2 for array in every):
            shapes = [array.shape for array in every] + ([] if y is None else [np.shape(y)])
            raise ValueError(f"`x` must be ids (texts, length) with as many rows as one another and as `y`. Received: {shapes}")
        self.batch_size, self.step = batch_size, step
        longest = np.max([np.count_nonzero(array, axis=1) for array in arrays], axis=0)
        self._buckets = np.maximum(1, -(-longest // step))
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()
        self._show_all_lengths()

    def __len__(self):
        return -(-len(self._buckets) // self.batch_size)

    def on_epoch_end(self):
        """Sort and shuffle anew."""
        order = np.lexsort((self._rng.random(len(self._buckets)), self._buckets))
        self._rows = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        self._rng.shuffle(self._rows)

    def _show_all_lengths(self):
        """Put a longest and a shortest batch in front: from the first two Keras infers which axes vary."""
        lengths = [int(self._buckets[rows].max()) for rows in self._rows]
        for place, extreme in ((0, max), (1, min)):
            if place < len(lengths):
                other = lengths.index(extreme(lengths[place:]), place)
                for listed in (self._rows, lengths):
                    listed[place], listed[other] = listed[other], listed[place]

    def __getitem__(self, index):
        rows = self._rows[index]
        length = self.step * int(self._buckets[rows].max())
        x = {name: _cut(ids[rows], length) for name, ids in self.x.items()} if isinstance(self.x, dict) else self.x[rows, :length]
        return (x,) if self.y is None else (x, self.y[rows])


def _cut(array, length):
    return array[:, :length] if array.ndim == 2 else array
