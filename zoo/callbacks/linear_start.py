"""Linear start of memory networks (Sukhbaatar et al. 2015, "End-To-End Memory Networks", arXiv:1503.08895, section 4.2)."""

import keras
import numpy as np


class LinearStart(keras.callbacks.Callback):
    """Trains without the softmax of the memory until the validation loss stops falling, then puts it back.

    The model has a variable `softmax_gate`, which is 1 with the softmax and 0 without. The gate is closed when training begins and open
    when it ends.

    Args:
        patience: epochs without a lower `monitor` after which the softmax comes back.
        max_epochs: linear epochs at most; the authors' code has 20.
        monitor: logged quantity that should fall; without it (no validation data) `max_epochs` decides alone.
    """

    def __init__(self, patience=1, max_epochs=20, monitor="val_loss"):
        super().__init__()
        if patience < 1 or max_epochs < 1:
            raise ValueError(f"`patience` and `max_epochs` must be at least 1. Received: {patience}, {max_epochs}")
        self.patience, self.max_epochs, self.monitor = patience, max_epochs, monitor

    def on_train_begin(self, logs=None):
        """Remove the softmax.

        Raises:
            ValueError: if the model has no `softmax_gate`.
        """
        if not hasattr(self.model, "softmax_gate"):
            raise ValueError(f"`model` must have a variable `softmax_gate`. Received: {type(self.model).__name__}")
        self.linear, self.epochs, self.waited, self.best = True, 0, 0, np.inf
        self.model.softmax_gate.assign(0.0)

    def on_epoch_end(self, epoch, logs=None):
        """Put the softmax back if the monitored value has stopped falling."""
        if not self.linear:
            return
        self.epochs += 1
        value = (logs or {}).get(self.monitor)
        if value is not None:
            self.waited = 0 if value < self.best else self.waited + 1
            self.best = min(self.best, value)
        if self.waited >= self.patience or self.epochs >= self.max_epochs:
            self.on_train_end()

    def on_train_end(self, logs=None):
        """Leave the model with its softmax."""
        self.linear = False
        self.model.softmax_gate.assign(1.0)
