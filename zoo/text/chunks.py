"""Runs of words of documents as training examples, cut anew in every epoch."""

import keras
import numpy as np


class Chunks(keras.utils.PyDataset):
    """Batches of runs of consecutive words of one document, with the words around them.

    At the start of every epoch the frequent words are sub-sampled, what is left of each document closes up and is cut into runs, and the
    runs are shuffled. A batch holds `document` `(batch,)` and `words` `(batch, halo + length + halo)`, ids with 0 where the document has
    no word; a last run may be short. The last batch of an epoch is filled with empty runs, so that all batches have one shape; a few
    runs may be left out of an epoch in which sub-sampling spared more words than on average.

    Args:
        words: ids of the words of all documents, one after the other, `(total,)`.
        lengths: words of each document, `(documents,)`.
        length: words of a run.
        halo: words on either side that are shown but are not of the run.
        batch_size: runs of a batch.
        keep: chance of each id to be kept, `(ids,)`, or `None`.
        shuffle: whether to shuffle the runs.
        seed: of sub-sampling and shuffling.

    Attributes:
        epoch: how often the runs were cut anew.
    """

    def __init__(self, words, lengths, length=16, halo=0, batch_size=256, keep=None, shuffle=True, seed=0):
        super().__init__()
        self.words, self.lengths = np.asarray(words, "int32"), np.asarray(lengths, "int64")
        if self.words.ndim != 1 or self.lengths.sum() != len(self.words):
            raise ValueError(f"`lengths` must sum to the number of `words`, {self.words.shape}. Received: {self.lengths.sum()}")
        self.length, self.halo, self.batch_size, self.keep, self.shuffle = length, halo, batch_size, keep, shuffle
        self._rng, self.epoch = np.random.default_rng(seed), -1
        # how many runs an epoch has depends on the sub-sampling; the number of batches is that of the mean, and stays
        owners = np.repeat(np.arange(len(self.lengths)), self.lengths)
        survivors = np.bincount(owners, None if keep is None else keep[self.words], len(self.lengths))
        self._batches = max(1, int(-(-np.ceil(survivors / length).sum() // batch_size)))
        self.on_epoch_end()

    def __len__(self):
        return self._batches

    def on_epoch_end(self):
        """Sub-sample, cut and shuffle."""
        self.epoch += 1
        self._kept, lengths = self.words, self.lengths
        if self.keep is not None:
            chosen = self._rng.random(len(self.words), "float32") < self.keep[self.words]
            self._kept = self.words[chosen]
            lengths = np.bincount(np.repeat(np.arange(len(lengths)), lengths)[chosen], minlength=len(lengths))
        runs, ends = -(-lengths // self.length), np.cumsum(lengths)
        owners = np.repeat(np.arange(len(lengths)), runs)
        begins, ends = (ends - lengths)[owners], ends[owners]
        starts = begins + (np.arange(len(owners)) - np.repeat(np.cumsum(runs) - runs, runs)) * self.length
        order = self._rng.permutation(len(owners)) if self.shuffle else np.arange(len(owners))
        self._runs = np.stack([owners, begins, starts, ends])[:, order]

    def __getitem__(self, index):
        owners, begins, starts, ends = self._runs[:, index * self.batch_size : (index + 1) * self.batch_size]
        document, words = np.zeros(self.batch_size, "int32"), np.zeros((self.batch_size, self.length + 2 * self.halo), "int32")
        if len(owners):
            places = starts[:, None] + np.arange(-self.halo, self.length + self.halo)
            inside = (places >= begins[:, None]) & (places < ends[:, None])
            document[: len(owners)] = owners
            words[: len(owners)] = np.where(inside, self._kept[np.clip(places, 0, len(self._kept) - 1)], 0)
        return {"document": document, "words": words}
