"""Batches of several tasks, one task a batch, in a ratio."""

import keras
import numpy as np

from zoo import arguments


class TaskMixture(keras.utils.PyDataset):
    """Batches for `fit`, each of one task, drawn by ratios (Luong et al. 2015, arXiv 1511.06114); `MultiTaskSeq2Seq.mixed` makes it.

    Every task goes through its own rows in random order, again and again. An epoch has as many batches as the first task needs, on average,
    for one passing of its rows.

    Args:
        data: list of pairs of a dict of arrays and its weight in the draw, positive; all dicts have the same names and shapes of rows.
        batch_size: rows of a batch.
        seed: of tasks and orders.

    Attributes:
        drawn: how often each of the tasks was drawn for the epochs so far, `(tasks,)`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(self, data, batch_size=128, seed=0):
        super().__init__()
        self.parts, ratios = zip(*arguments.listed("data", data, "a list of pairs of arrays and ratio"))
        weights = np.array([arguments.number("data", ratio, above=0) for ratio in ratios])
        self.batch_size, self._chances = arguments.count("batch_size", batch_size), weights / weights.sum()
        self._sizes, self._rng = [len(next(iter(part.values()))) for part in self.parts], np.random.default_rng(seed)
        self._orders, self._number = (
            [np.empty(0, "int64") for _ in self.parts],
            max(1, round(self._sizes[0] / batch_size / self._chances[0])),
        )
        self.drawn = np.zeros(len(weights), "int64")
        self.on_epoch_end()

    def __len__(self):
        return self._number

    def on_epoch_end(self):
        """Draw the tasks of the next epoch, and their rows."""
        tasks = self._rng.choice(len(self.parts), self._number, p=self._chances)
        self.drawn += np.bincount(tasks, minlength=len(self.parts))
        self._batches = [(task, self._take(task)) for task in tasks]

    def _take(self, task):
        """The next rows of a task; a new order begins where the last one ends."""
        while len(self._orders[task]) < self.batch_size:
            self._orders[task] = np.concatenate([self._orders[task], self._rng.permutation(self._sizes[task])])
        rows, self._orders[task] = np.split(self._orders[task], [self.batch_size])
        return rows

    def __getitem__(self, index):
        task, rows = self._batches[index]
        return ({name: array[rows] for name, array in self.parts[task].items()},)
