"""Features of many images: of an array, of a list of files, or of a folder."""

import os
from pathlib import Path

import keras
import numpy as np
from keras import layers

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


def features(model, images, batch_size=32, size=None, pool=False, workers=1, verbose="auto"):
    """Run a network over images in batches, by one compiled function and with a progress bar.

    Args:
        model: a trunk, a classifier, or any Keras model of images in [0, 1].
        images: array `(n, height, width, channels)`, floats in [0, 1] or bytes; or a folder, whose images are read in the order of their
            names; or a list of files.
        batch_size: images in one run.
        size: `(height, width)` to which files are scaled; needed unless the model has one. Arrays are taken as they are.
        pool: average each map over its places, which gives vectors.
        workers: threads that read files.
        verbose: as of `keras.Model.predict`.

    Returns:
        What the model gives for all images, NumPy arrays `(n, ...)` in float32, in a dict if the model gives one.

    Raises:
        ValueError: if images are of another shape or range, or there are none.
        ImportError: if files are given and Pillow is not installed.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
    batches = _Batches(images, model.input_shape[1:], batch_size, size, workers)
    if pool:
        pooled = keras.tree.map_structure(lambda y: layers.GlobalAveragePooling2D()(y) if len(y.shape) == 4 else y, model.output)
        model = keras.Model(model.input, pooled)
    found = model.predict(batches, verbose=verbose)
    # the last batch was filled up
    return keras.tree.map_structure(lambda y: np.asarray(y[: batches.count], "float32"), found)


class _Batches(keras.utils.PyDataset):
    """Batches of one shape; the last one is filled up with its last image, so that one graph serves all."""

    def __init__(self, images, shape, batch_size, size, workers):
        super().__init__(workers=workers, use_multiprocessing=False)
        self.channels = shape[-1]
        if isinstance(images, (str, os.PathLike)):
            images = sorted(file for file in Path(images).iterdir() if file.suffix.lower() in SUFFIXES)
        self.files = isinstance(images, (list, tuple)) and len(images) > 0 and isinstance(images[0], (str, os.PathLike))
        self.images = images if self.files else np.asarray(images)
        self.count = len(self.images)
        self.batch_size = min(batch_size, self.count)
        self.size = shape[:2] if size is None else size
        if self.count == 0:
            raise ValueError("`images` must hold at least one image. Received: none")
        if self.files and None in self.size:
            raise ValueError("`size` must be given for files, unless the model has one size. Received: None")
        if not self.files:
            self._check(shape)

    def _check(self, shape):
        given = self.images.shape
        if len(given) != 4 or any(n not in (None, m) for n, m in zip(shape, given[1:])):
            raise ValueError(f"`images` must have shape (n, {', '.join('any' if n is None else str(n) for n in shape)}). Received: {given}")
        if self.images.dtype != np.uint8 and self.images.dtype.kind != "f":
            raise ValueError(f"`images` must be floats in [0, 1] or bytes. Received: dtype {self.images.dtype}")

    def __len__(self):
        return -(-self.count // self.batch_size)

    def __getitem__(self, index):
        places = np.minimum(np.arange(index * self.batch_size, (index + 1) * self.batch_size), self.count - 1)
        if self.files:
            return np.stack([self._read(self.images[i]) for i in places])
        batch = self.images[places]
        if batch.dtype == np.uint8:
            return batch.astype("float32") / 255
        if not (batch.min() >= 0 and batch.max() <= 1):
            raise ValueError(f"`images` must be in [0, 1]. Received: from {batch.min()} to {batch.max()}")
        return batch.astype("float32")

    def _read(self, file):
        from PIL import Image

        with Image.open(file) as image:
            image = image.convert("RGB" if self.channels == 3 else "L").resize(self.size[::-1], Image.Resampling.BICUBIC)
            return np.asarray(image, "float32").reshape(*self.size, self.channels) / 255
