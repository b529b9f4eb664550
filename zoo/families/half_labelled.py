"""What methods share that learn from labelled samples and others at once: batches of two parts."""

import keras
import numpy as np

from zoo import arguments
from zoo.model import Model, is_stream


class HalfLabelledModel(Model):
    """A method whose batches begin with labelled samples where labels lack.

    A method sets `labelled_per_batch`, has one field of targets, in which -1 stands for a label that is not known, and reads `_apart`, the
    labelled samples that begin the batches of this training, 0 where batches are in any order.
    """

    # samples of such a batch
    mixed_batch_size = 200
    _apart = 0

    def fit(self, x=None, y=None, *args, **kwargs):
        """`zoo.Model.fit`; arrays in which some labels lack are drawn in batches of labelled and other samples (`HalfLabelled`).

        Args:
            x: array `(n, ...)`; a `HalfLabelled`; or another dataset, whose batches pass as one.
            y: labels `(n,)`, -1 for an unlabelled sample.
            *args: further ones of `zoo.Model.fit`, in its order. Where labels lack, at most half of a batch are labelled, `batch_size` is
                by default the method's, and `validation_split` is refused.
            **kwargs: the same by name.

        Returns:
            A `keras.callbacks.History`.
        """
        given = arguments.check_call(Model.fit, self, x, y, *args, **kwargs)
        del given["self"]
        if y is not None and not is_stream(x) and self._auto_loss and self._mixes_labels:
            given = self._mixed(**given)
        x = given["x"]
        apart = x.labelled if isinstance(x, HalfLabelled) else 0
        if apart != self._apart:
            # a compiled step has the old number in it
            self._apart, self.train_function = apart, None
        return super().fit(**given)

    def _mixed(self, x, y, batch_size=None, validation_split=0.0, sample_weight=None, **others):
        """Arguments of `fit` for arrays, with a `HalfLabelled` in their place if some of the labels lack."""
        x, y = self._for_training(x, y, sample_weight)
        if not (np.any(y < 0) and np.any(y >= 0)):
            own = {"batch_size": batch_size, "validation_split": validation_split, "sample_weight": sample_weight}
            return {"x": x, "y": y, **own, **others}
        if validation_split:
            raise ValueError(f"`validation_split` must be 0 where labels lack; give `validation_data`. Received: {validation_split}")
        size = self.mixed_batch_size if batch_size is None else arguments.count("batch_size", batch_size, low=2)
        labelled = min(self.labelled_per_batch, size // 2)
        return {"x": HalfLabelled(x, y, labelled, size - labelled, sample_weight=sample_weight), **others}

    @property
    def _mixes_labels(self):
        """Whether `fit` makes such batches of arrays."""
        return bool(self.labelled_per_batch)


class HalfLabelled(keras.utils.PyDataset):
    """Random batches: labelled samples first, then samples of all kinds without their label (-1). An epoch shows as many as there are.

    Args:
        x: array `(n, ...)`.
        y: labels `(n,)`, -1 for an unlabelled sample.
        labelled: labelled samples of a batch, fewer where there are fewer.
        others: other samples of a batch.
        steps: batches of an epoch; by default as many as `others` need to number `n`.
        sample_weight: array `(n,)`.
        seed: of the draws.
        **kwargs: of `keras.utils.PyDataset`.

    Raises:
        ValueError: if no sample is labelled, or lengths differ.
    """

    def __init__(self, x, y, labelled=100, others=250, steps=None, sample_weight=None, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y, self.sample_weight = x, np.asarray(y, "int32"), sample_weight
        if len(self.y) != len(x) or (sample_weight is not None and len(sample_weight) != len(x)):
            raise ValueError(f"`x`, `y` and `sample_weight` must have the same length. Received: {len(x)}, {len(self.y)}")
        self.known = np.flatnonzero(self.y >= 0)
        if not len(self.known):
            raise ValueError("`y` must hold labelled samples. Received: -1 alone")
        self.labelled, self.others = min(labelled, len(self.known)), min(others, len(x))
        self.steps = steps or -(-len(x) // self.others)
        self.seed, self.epoch = seed, 0

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        rng = np.random.default_rng([self.seed, self.epoch, index])
        known = rng.choice(self.known, self.labelled, replace=False)
        rows = np.concatenate([known, rng.choice(len(self.x), self.others, replace=False)])
        y = np.concatenate([self.y[known], np.full(self.others, -1, "int32")])
        return (self.x[rows], y) if self.sample_weight is None else (self.x[rows], y, np.asarray(self.sample_weight)[rows])

    def on_epoch_end(self):
        """The next epoch has other draws."""
        self.epoch += 1
