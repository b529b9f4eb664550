"""A callback that saves the image that a method optimises, as it develops."""

from pathlib import Path

import keras
import numpy as np


class Snapshots(keras.callbacks.Callback):
    """Saves `model.image` as `step_00050.png` each few steps, and when the search ends.

    Works with every model whose `image` is an array `(height, width, channels)` in [0, 1]. Needs Pillow: `pip install 'zoo-keras[image]'`.

    Args:
        folder: where the pictures go; made if missing.
        every: steps between pictures.
    """

    def __init__(self, folder, every=50):
        super().__init__()
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"`every` must be a whole number of at least 1. Received: {every!r}")
        self.folder, self.every, self.step = Path(folder), every, 0

    def on_train_begin(self, logs=None):
        """Count from the start."""
        self.step = 0

    def on_train_batch_end(self, batch, logs=None):
        """Save if it is time."""
        self.step += 1
        if self.step % self.every == 0:
            self._save()

    def on_train_end(self, logs=None):
        """Save the last image, unless it has just been saved."""
        if self.step % self.every:
            self._save()

    def _save(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(self.folder / f"step_{self.step:05d}.png", np.round(255 * self.model.image), scale=False)
