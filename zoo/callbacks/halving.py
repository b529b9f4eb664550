"""A learning rate that is halved after every so many updates, whatever an epoch of `fit` is."""

import keras
from keras import ops


class Halving(keras.callbacks.Callback):
    """Halves the learning rate after every `every` updates, `times` times.

    Updates are those that the optimizer has made (`iterations`), over all its calls of `fit`.

    Args:
        every: updates from one halving to the next.
        times: halvings in all.
    """

    def __init__(self, every, times=10):
        super().__init__()
        if every < 1 or times < 0:
            raise ValueError(f"`every` must be at least 1, and `times` not negative. Received: {every}, {times}")
        self.every, self.times = every, times

    def on_epoch_begin(self, epoch, logs=None):
        """Look how many updates there were."""
        assert self.model is not None
        self._start = int(ops.convert_to_numpy(self.model.optimizer.iterations))
        self._halvings = self._due(self._start)

    def on_train_batch_end(self, batch, logs=None):
        """Halve the rate if it is time."""
        due = self._due(self._start + batch + 1)
        if due > self._halvings:
            # on JAX, reading `self.model` brings the values of the running epoch into the variables, and new ones back
            assert self.model is not None
            rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
            self.model.optimizer.learning_rate = rate / 2 ** (due - self._halvings)
            self._halvings = due

    def _due(self, updates):
        return min(updates // self.every, self.times)
