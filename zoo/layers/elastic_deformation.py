"""Elastic deformation of images together with their masks and weight maps.

Paper: Ronneberger et al. 2015, "U-Net", arXiv 1505.04597, section 3.1: random displacement vectors on a coarse 3 x 3 grid, drawn from a
normal distribution of 10 pixels standard deviation; per-pixel displacements by bicubic interpolation.
"""

from typing import Any

import keras
from keras import ops

# Keras's base of layers that also run inside tf.data whatever the backend; it has no public name of its own
DataLayer: Any = keras.layers.Rescaling.__base__


@keras.saving.register_keras_serializable("zoo")
class ElasticDeformation(DataLayer):
    """Warps each image by its own smooth random displacement field; borders are mirrored.

    Works on a batch or on one example, eagerly, in a model, and in `tf.data` on both backends::

        dataset.batch(8).map(lambda *data: augment(data))

    Args:
        stddev: standard deviation of the displacements at the grid points, in pixels.
        grid: grid points along each axis, at least 2; the outer ones lie on the image's corners.
        seed: of the random draws.
        **kwargs: of `keras.Layer`. The layer computes in float32 unless `dtype` says otherwise.
    """

    def __init__(self, stddev=10.0, grid=3, seed=None, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        if not isinstance(grid, int) or grid < 2:
            raise ValueError(f"`grid` must be a whole number of at least 2. Received: {grid}")
        if stddev < 0:
            raise ValueError(f"`stddev` must not be negative. Received: {stddev}")
        self.stddev, self.grid, self.seed = stddev, grid, seed
        self.generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs, training=True):
        """Deform.

        Args:
            inputs: image `(batch, height, width, channels)`, or a tuple `(image, mask)` or `(image, mask, weight_map)` as `fit` takes
                them, mask and weight map `(batch, height, width)` with or without a channel axis. One example has no batch axis.
            training: `False` leaves the inputs as they are.

        Returns:
            The same structure: images and weight maps by bilinear interpolation, float32; masks by nearest neighbour, int32.
        """
        if not training:
            return inputs
        image = inputs[0] if isinstance(inputs, (list, tuple)) else inputs
        batched = len(image.shape) == 4
        shape = self.backend.shape(image)
        batch, height, width = shape[:3] if batched else (1, *shape[:2])
        seed = self._get_seed_generator(self.backend._backend)
        vectors = self.backend.random.normal((batch, self.grid, self.grid, 2), stddev=self.stddev, dtype="float32", seed=seed)
        field = self.displacements(vectors, height, width)
        if not isinstance(inputs, (list, tuple)):
            return self._warp_one(inputs, field, batched)
        nearest = [False, True, False][: len(inputs)]
        return tuple(self._warp_one(array, field, batched, near) for array, near in zip(inputs, nearest))

    def displacements(self, vectors, height, width):
        """Bicubic interpolation of grid vectors to every pixel.

        Args:
            vectors: `(batch, grid, grid, 2)`, down and right, in pixels.
            height: of the image.
            width: of the image.

        Returns:
            `(batch, height, width, 2)`, in pixels.
        """
        rows, columns = self._cubic_weights(height), self._cubic_weights(width)
        return self.backend.numpy.einsum("hi,bijd,wj->bhwd", rows, vectors, columns)

    def warp(self, images, field, nearest=False):
        """Sample `images` at every pixel's position plus its displacement, with mirrored borders.

        Args:
            images: `(batch, height, width, channels)`.
            field: `(batch, height, width, 2)`, down and right, in pixels.
            nearest: nearest neighbour instead of bilinear interpolation.

        Returns:
            Images of the same shape, float32.
        """
        np = self.backend.numpy
        shape = self.backend.shape(images)
        height, width = shape[1], shape[2]
        pixels = np.reshape(self.backend.cast(images, "float32"), (-1, shape[3]))
        first = np.reshape(np.arange(shape[0]), (-1, 1, 1)) * height
        y = self._positions(height)[:, None] + field[..., 0]
        x = self._positions(width)[None, :] + field[..., 1]

        def pick(row, column):
            row = mirrored(self.backend.cast(row, "int32"), height, np)
            column = mirrored(self.backend.cast(column, "int32"), width, np)
            return np.take(pixels, (first + row) * width + column, axis=0)

        if nearest:
            return pick(np.floor(y + 0.5), np.floor(x + 0.5))
        top, left = np.floor(y), np.floor(x)
        down, right = (y - top)[..., None], (x - left)[..., None]
        upper = (1 - right) * pick(top, left) + right * pick(top, left + 1)
        lower = (1 - right) * pick(top + 1, left) + right * pick(top + 1, left + 1)
        return (1 - down) * upper + down * lower

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "stddev": self.stddev, "grid": self.grid, "seed": self.seed}

    def _warp_one(self, array, field, batched, nearest=False):
        """`warp` for an array that may lack the batch and channel axes."""
        np = self.backend.numpy
        array = self.backend.convert_to_tensor(array)
        full = array if batched else array[None]
        flat = len(full.shape) == 3
        warped = self.warp(full[..., None] if flat else full, field, nearest)
        warped = np.squeeze(warped, -1) if flat else warped
        warped = warped if batched else np.squeeze(warped, 0)
        return self.backend.cast(warped, "int32" if nearest else self.compute_dtype)

    def _positions(self, length):
        return self.backend.cast(self.backend.numpy.arange(length), "float32")

    def _cubic_weights(self, length):
        """Weights `(length, grid)` of cubic convolution (Keys, a = -1/2) with the outer grid points repeated beyond the border."""
        np = self.backend.numpy
        spacing = self.backend.cast(self.grid - 1, "float32") / self.backend.cast(np.maximum(length - 1, 1), "float32")
        points = self.backend.cast(np.arange(-1, self.grid + 1), "float32")
        t = np.abs((self._positions(length) * spacing)[:, None] - points)
        near = (1.5 * t - 2.5) * t * t + 1
        far = ((2.5 - 0.5 * t) * t - 4) * t + 2
        weights = np.where(t < 1, near, np.where(t < 2, far, 0.0))
        first, last = weights[:, :1] + weights[:, 1:2], weights[:, -2:-1] + weights[:, -1:]
        return np.concatenate([first, weights[:, 2:-2], last], axis=1)


def mirrored(index, length, np=ops):
    """Indices beyond `0 .. length - 1` reflected at the outer pixels, which are not repeated.

    Args:
        index: whole numbers, any shape.
        length: of the axis.
        np: the NumPy of a backend.
    """
    period = np.maximum(2 * (length - 1), 1)
    index = np.mod(index, period)
    return np.minimum(index, period - index)
