"""Moves the blends of `zoo.layers.GradLayer` (Almeida, Sauder 2015, "GradNets", arXiv 1511.06827)."""

import math

import keras
import numpy as np
from keras import ops

from zoo.layers.grad_layer import grad_layers

# shape -> blend as a function of progress, and its inverse
SHAPES = {
    "linear": (lambda t: t, lambda g: g),
    "cosine": (lambda t: (1 - math.cos(math.pi * t)) / 2, lambda g: math.acos(1 - 2 * g) / math.pi),
}
SHAPES["learned"] = SHAPES["linear"]


class GradSchedule(keras.callbacks.Callback):
    """Turns every `GradLayer` of the model from simple to complex within a number of epochs, a little after each batch.

    Progress is read from the layers when training begins, so that a second `fit`, or a loaded model, goes on where it was and a
    finished blend stays finished. The logs gain `blend`, the mean weight of the complex layers after the epoch.

    Args:
        epochs: epochs from 0 to 1 (tau in the paper); need not be whole.
        shape: `"linear"` (the paper's), `"cosine"` (slow at both ends), or `"learned"`: linear at least, and the layers, made with
            `learned=True`, may run ahead.
    """

    def __init__(self, epochs, shape="linear"):
        super().__init__()
        if not epochs > 0:
            raise ValueError(f"`epochs` must be positive. Received: {epochs}")
        if shape not in SHAPES:
            raise ValueError(f"`shape` must be one of {list(SHAPES)}. Received: {shape!r}")
        self.epochs, self.shape = epochs, shape

    def on_train_begin(self, logs=None):
        """Find the layers, and how far they are.

        Raises:
            ValueError: if there are none, or if the shape is "learned" and they are not.
        """
        layers = grad_layers(self.model)
        if not layers:
            raise ValueError(f"`model` must contain a GradLayer. Received: {type(self.model).__name__} without one")
        if self.shape == "learned" and not all(layer.learned for layer in layers):
            raise ValueError("`shape` 'learned' needs layers made with `learned=True`. Received: layers that are not")
        self._layers = layers
        self._reached = [SHAPES[self.shape][1](float(layer.blend)) for layer in layers]

    def on_train_batch_end(self, batch, logs=None):
        """Move by a batch's share."""
        steps = self.params.get("steps")
        if steps and min(self._reached) < 1:
            self._move((batch + 1) / steps)

    def on_epoch_end(self, epoch, logs=None):
        """Move to what an epoch gives, and log."""
        if min(self._reached) < 1:
            self._reached = self._move(1)
        if logs is not None:
            logs["blend"] = float(np.mean([ops.convert_to_numpy(layer.weight) for layer in self._layers]))

    def _move(self, part):
        # on JAX, reading `self.model` brings the values of the running epoch into the variables
        assert self.model is not None
        reached = [start + part / self.epochs for start in self._reached]
        # sums of rounded parts must not stop short of the end
        reached = [1.0 if progress > 1 - 1e-6 else progress for progress in reached]
        for layer, progress in zip(self._layers, reached):
            layer.blend.assign(SHAPES[self.shape][0](progress))
        return reached
