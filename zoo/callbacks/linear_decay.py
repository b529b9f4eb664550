"""The learning rate of word2vec: a straight line down over the whole training."""

import keras


class LinearDecay(keras.callbacks.Callback):
    """Lowers the learning rate to `end`, a little before each batch, over all epochs of a `fit`, and puts it back afterwards.

    Args:
        end: after the last batch.
        start: before the first; by default the rate that the optimizer has when training begins.
    """

    def __init__(self, end=1e-4, start=None):
        super().__init__()
        if end < 0 or (start is not None and start < end):
            raise ValueError(f"`start` must be at least `end`, and `end` not negative. Received: {start}, {end}")
        self.end, self.start = end, start

    def on_train_begin(self, logs=None):
        """Remember the rate."""
        assert self.model is not None
        self._before = float(self.model.optimizer.learning_rate)
        self._first = self._before if self.start is None else self.start

    def on_epoch_begin(self, epoch, logs=None):
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        """Set the rate; where the number of batches is not known, once an epoch."""
        assert self.model is not None
        done = (self._epoch + batch / (self.params.get("steps") or 1e9)) / self.params["epochs"]
        # on JAX, reading `self.model` brings the values of the running epoch into the variables, and new ones back
        self.model.optimizer.learning_rate = self._first + (min(self.end, self._first) - self._first) * min(done, 1.0)

    def on_train_end(self, logs=None):
        """Put the rate back, so that the next `fit` starts as this one did."""
        assert self.model is not None
        self.model.optimizer.learning_rate = self._before
