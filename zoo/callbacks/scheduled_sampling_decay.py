"""Moves the probability of `zoo.layers.ScheduledSampling` (Bengio et al. 2015, "Scheduled Sampling", arXiv 1506.03099, section 2.4)."""

import math

import keras

from zoo import arguments
from zoo.layers.scheduled_sampling import scheduled_sampling_layers

SHAPES = ("linear", "exponential", "inverse_sigmoid")


class ScheduledSamplingDecay(keras.callbacks.Callback):
    """Lowers the probability of true tokens a little before each batch, by the number i of updates that the optimizer has made.

    A second `fit`, or a loaded model, goes on where it was. The logs gain `true_probability`, that of the epoch's last batch.

    Args:
        shape: `"linear"`: max(end, k - slope i); `"exponential"`: max(end, k ** i); `"inverse_sigmoid"`: max(end, k / (k + exp(i / k))).
        k: with `"linear"` the probability at first, 1 by default; with `"exponential"` less than 1; with `"inverse_sigmoid"` at least 1:
            after k log k updates the probability is 1 / 2.
        slope: of `"linear"` alone: what an update takes.
        end: the least probability.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(self, shape="inverse_sigmoid", k=None, slope=None, end=0.0):
        super().__init__()
        self.shape = arguments.one_of("shape", shape, SHAPES)
        self.end = arguments.number("end", end, 0, 1)
        if shape == "linear":
            self.k = 1.0 if k is None else arguments.number("k", k, 0, 1)
            self.slope = arguments.number("slope", slope, above=0)
            return
        if slope is not None:
            raise ValueError(f"`slope` must be None unless `shape` is 'linear'. Received: {slope}")
        self.k = arguments.number("k", k, **({"above": 0} if shape == "exponential" else {"low": 1}))
        if shape == "exponential" and self.k >= 1:
            raise ValueError(f"`k` must be less than 1 where `shape` is 'exponential'. Received: {k}")

    def probability(self, i):
        """Of true tokens after i updates."""
        if self.shape == "linear":
            value = self.k - self.slope * i
        elif self.shape == "exponential":
            value = self.k**i
        else:
            # k / (k + exp(i / k)), without the overflow
            value = 1 / (1 + math.exp(min(i / self.k - math.log(self.k), 700.0)))
        return max(self.end, value)

    def on_train_begin(self, logs=None):
        """Find the layers.

        Raises:
            ValueError: if there are none.
        """
        self._layers = scheduled_sampling_layers(self.model)
        if not self._layers:
            raise ValueError(f"`model` must contain a ScheduledSampling layer. Received: {type(self.model).__name__} without one")

    def on_epoch_begin(self, epoch, logs=None):
        """Read how many updates there were: here, since a backup is restored after training has begun."""
        assert self.model is not None
        self._updates = int(self.model.optimizer.iterations)

    def on_train_batch_begin(self, batch, logs=None):
        """Set the probability."""
        # on JAX, reading `self.model` brings the values of the running epoch into the variables, and new ones back
        assert self.model is not None
        self._last = self.probability(self._updates + batch)
        for layer in self._layers:
            layer.true_probability.assign(self._last)

    def on_epoch_end(self, epoch, logs=None):
        """Log."""
        if logs is not None:
            logs["true_probability"] = self._last
