"""Pairs of texts in partitions whose target words are few, for a softmax that runs over these alone (arXiv 1412.2007, section 3.2)."""

from typing import Literal, get_args

import keras
import numpy as np

from zoo import arguments
from zoo.text.words import PADDING, trimmed

Order = Literal["corpus", "once", "epochs"]


class Partitions(keras.utils.PyDataset):
    """Batches for `fit` of padded ids, each with all target ids of its partition; `LargeVocabularyTranslator.partitions` makes it.

    Texts are gone through one by one; a partition is full when the next text would bring it more than `subset` different target ids.
    It then keeps as many texts as make whole batches, if there is one, and the rest begins the next, so that hardly a batch has to be
    filled up. Within an epoch batches of all partitions come in random order, unless `fit` is told otherwise.

    A batch is a dict of `source` and `target` `(batch_size, length)`, cut to the longest text of all, and `subset` `(subset,)`, ids in
    ascending order, those always there among them, the first repeated to fill up; then no targets (zeros) and a weight for each text: 0
    for those that fill a batch up. All batches have one shape.

    Args:
        x: dict of ids `source` and `target` `(texts, length)` int32, 0 for padding on the right.
        subset: ids of a partition at most.
        always: ids that are in each of them; padding is, besides.
        batch_size: texts of a batch.
        order: `"corpus"` for partitions of the texts as they come, `"once"` for shuffled ones, `"epochs"` for texts that are shuffled and
            partitioned anew before each epoch. Texts are shuffled within a partition in any case, but for `"corpus"`.
        sample_weight: of the texts `(texts,)`, or `None`.
        seed: of all orders.

    Attributes:
        epoch: how often `on_epoch_end` was called.
        partitions: list of the numbers of the texts of each.

    Raises:
        ValueError: if `order` is none of these, arrays have not one row for each text, or one text has more ids than a partition may.
    """

    def __init__(self, x, subset, always=(), batch_size=80, order: Order = "epochs", sample_weight=None, seed=0):
        super().__init__()
        arguments.count("batch_size", batch_size)
        arguments.one_of("order", order, get_args(Order))
        rows = {name: len(ids) for name, ids in x.items()}
        if len(set(rows.values())) > 1:
            arguments.refuse("x", "ids with as many rows as one another", rows)
        self.x = {name: trimmed(np.asarray(ids)) for name, ids in x.items()}
        self.subset, self.batch_size, self.order = subset, batch_size, order
        self.sample_weight = np.ones(rows["target"], "float32") if sample_weight is None else np.asarray(sample_weight, "float32")
        self._always, self._rng, self.epoch = sorted({PADDING, *always}), np.random.default_rng(seed), 0
        self._words = [set(row) for row in self.x["target"].tolist()]
        most = max(len(words.union(self._always)) for words in self._words)
        if most > subset:
            arguments.refuse("subset", f"at least {most}, which a single text has", subset)
        self._cut(np.arange(len(self._words)) if order == "corpus" else self._rng.permutation(len(self._words)))

    def on_epoch_end(self):
        """Shuffle anew, or what of it `order` says."""
        self.epoch += 1
        if self.order == "epochs":
            self._cut(self._rng.permutation(len(self._words)))
        elif self.order == "once":
            self._lay_out([self._rng.permutation(rows) for rows in self.partitions])

    def _cut(self, rows):
        """Partition the texts in this order."""
        partitions, begin, at, seen = [], 0, 0, set(self._always)
        while at < len(rows):
            new = self._words[rows[at]] - seen
            if len(seen) + len(new) <= self.subset:
                seen |= new
                at += 1
                continue
            at = begin + ((at - begin) // self.batch_size * self.batch_size or at - begin)
            partitions.append(rows[begin:at])
            begin, seen = at, set(self._always)
        self._lay_out([*partitions, rows[begin:]])

    def _lay_out(self, partitions):
        """Batches of the partitions: pairs of a partition's number and where the batch starts in it."""
        self.partitions, self._subsets = partitions, [self._ids(rows) for rows in partitions]
        batches = [(i, start) for i, rows in enumerate(partitions) for start in range(0, len(rows), self.batch_size)]
        # Keras asks for their number once: of a later epoch that has more a few are left out, and if it has fewer a few come twice
        self._number = getattr(self, "_number", len(batches))
        self._batches = batches if self.order == "corpus" else [batches[i] for i in self._rng.permutation(len(batches))]

    def _ids(self, rows):
        found = np.unique([*self._always, *set().union(*(self._words[row] for row in rows))])
        return np.pad(found, (self.subset - len(found), 0), mode="edge").astype("int32")

    def __len__(self):
        return self._number

    def __getitem__(self, index):
        number, start = self._batches[index % len(self._batches)]
        rows = self.partitions[number][start : start + self.batch_size]
        # filled up with the last text, which then counts nothing
        weights = np.pad(self.sample_weight[rows], (0, self.batch_size - len(rows)))
        rows = np.pad(rows, (0, self.batch_size - len(rows)), mode="edge")
        x = {name: ids[rows] for name, ids in self.x.items()}
        return {**x, "subset": self._subsets[number]}, np.zeros(self.batch_size, "float32"), weights
