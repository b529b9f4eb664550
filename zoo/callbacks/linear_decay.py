"""The learning rate of word2vec: a straight line down over the whole training."""

import keras


class LinearDecay(keras.callbacks.Callback):
    """Lowers the learning rate from `start` to `end`, a little before each batch, over all epochs of a `fit`.

    Args:
        start: before the first batch.
        end: after the last.
    """

    def __init__(self, start=0.025, end=1e-4):
        super().__init__()
        if not start >= end >= 0:
            raise ValueError(f"`start` must be at least `end`, and both not negative. Received: {start}, {end}")
        self.start, self.end = start, end

    def on_epoch_begin(self, epoch, logs=None):
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        """Set the rate; where the number of batches is not known, once an epoch."""
        assert self.model is not None
        done = (self._epoch + batch / (self.params.get("steps") or 1e9)) / self.params["epochs"]
        # on JAX, reading `self.model` brings the values of the running epoch into the variables, and new ones back
        self.model.optimizer.learning_rate = self.start + (self.end - self.start) * min(done, 1.0)
