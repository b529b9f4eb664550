"""A callback that shows how a generative model learns to draw."""

import os
from pathlib import Path

import keras
import numpy as np

from zoo import arguments


class SampleGrid(keras.callbacks.Callback):
    """Saves a grid of samples as `epoch_0005.png` each few epochs, always of the same latent vectors.

    Works with every model whose `sample(n, seed)` gives images `(n, height, width, channels)`. Needs Pillow:
    `pip install 'zoo-keras[image]'`.

    Args:
        folder: where the pictures go; made if missing.
        every: epochs between pictures.
        rows: of the grid.
        columns: of the grid.
        seed: of the latent vectors.
        low: pixel value drawn black.
        high: pixel value drawn white.

    Raises:
        ValueError: if an argument is none of these; in training, if samples are no images.
    """

    def __init__(self, folder, every=1, rows=8, columns=8, seed=0, low=-1.0, high=1.0):
        super().__init__()
        if not isinstance(folder, (str, os.PathLike)):
            arguments.refuse("folder", "the name of a folder", folder)
        self.folder, self.every = Path(folder), arguments.count("every", every)
        self.rows, self.columns = arguments.count("rows", rows), arguments.count("columns", columns)
        self.seed = arguments.count("seed", seed, low=0)
        self.low, self.high = arguments.number("low", low), arguments.number("high", high)
        if self.low >= self.high:
            raise ValueError(f"`low` must be less than `high`. Received: {low}, {high}")

    def on_epoch_end(self, epoch, logs=None):
        """Draw and save."""
        if (epoch + 1) % self.every:
            return
        images = self.model.sample(self.rows * self.columns, seed=self.seed)
        self.folder.mkdir(parents=True, exist_ok=True)
        grid = tile(np.clip((images - self.low) / (self.high - self.low), 0, 1), self.columns)
        keras.utils.save_img(self.folder / f"epoch_{epoch + 1:04d}.png", 255 * grid, scale=False)


def tile(images, columns):
    """Lay images out in rows of `columns`, row by row.

    Args:
        images: `(n, height, width, channels)`, n a multiple of `columns`.
        columns: images a row.

    Returns:
        Array `(n / columns * height, columns * width, channels)`.
    """
    if images.ndim != 4:
        raise ValueError(f"`images` must have shape (n, height, width, channels). Received: {images.shape}")
    n, height, width, channels = images.shape
    if n % columns:
        raise ValueError(f"`columns` must divide the number of images, {n}. Received: {columns}")
    return images.reshape(n // columns, columns, height, width, channels).swapaxes(1, 2).reshape(-1, columns * width, channels)
