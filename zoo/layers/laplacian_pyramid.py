"""The Laplacian pyramid of images (Burt, Adelson 1983), as LAPGAN takes it (Denton et al. 2015, arXiv 1506.05751, section 2.2).

An image is halved again and again; each band is what is lost on the way: `h_k = I_k - u(I_{k+1})` with `I_{k+1} = d(I_k)` (equation 3).
Here d is the mean of each block of 2 x 2 pixels and u is bilinear. Whatever the two are, the bands give the image back exactly.
"""

import keras
from keras import ops

from zoo import arguments


@keras.saving.register_keras_serializable("zoo")
class LaplacianPyramid(keras.layers.Layer):
    """Takes images apart into bands, and puts bands together.

    Args:
        levels: how many arrays an image becomes: `levels - 1` bands of details and one small image.
        **kwargs: of `keras.Layer`.

    Raises:
        ValueError: if `levels` is not a whole number from 1.
    """

    def __init__(self, levels=3, **kwargs):
        super().__init__(**kwargs)
        self.levels = arguments.count("levels", levels)

    def call(self, images):
        """Bands of images, finest first.

        Args:
            images: `(batch, height, width, channels)`; sides divisible by `2 ** (levels - 1)`.

        Returns:
            A list of `levels` tensors: details `h_0` of the size of the images, `h_1` of half of it, ..., and last the smallest image.
        """
        images = self.reductions(images)
        return [image - self.up(smaller) for image, smaller in zip(images, images[1:])] + images[-1:]

    def collapse(self, bands):
        """The images that `call` took apart: from the smallest on, doubled and the details added.

        Args:
            bands: as `call` gives them.
        """
        image = bands[-1]
        for band in bands[-2::-1]:
            image = self.up(image) + band
        return image

    def reductions(self, images):
        """The Gaussian pyramid: the images `I_0`, each next one half as large."""
        self._check(images.shape)
        found = [ops.convert_to_tensor(images)]
        for _ in range(self.levels - 1):
            found.append(self.down(found[-1]))
        return found

    @staticmethod
    def down(images):
        """Half the size: means of blocks of 2 x 2 pixels."""
        return ops.average_pool(images, 2, 2, data_format="channels_last")

    @staticmethod
    def up(images):
        """Twice the size, bilinear between the centres of pixels; what lies beyond the border repeats it."""
        for axis in (1, 2):
            images = _doubled(images, axis)
        return images

    def compute_output_shape(self, input_shape):
        """Those of the bands."""
        self._check(input_shape)
        batch, height, width, channels = input_shape
        return [(batch, height >> k, width >> k, channels) for k in range(self.levels)]

    def get_config(self):
        """The constructor's argument."""
        return {**super().get_config(), "levels": self.levels}

    def _check(self, shape):
        sides = shape[1:3]
        if len(shape) != 4 or any(side is None or side % 2 ** (self.levels - 1) for side in sides):
            expected = f"(batch, height, width, channels) with sides divisible by {2 ** (self.levels - 1)}"
            raise ValueError(f"`images` must be {expected}. Received: shape {tuple(shape)}")


def _doubled(x, axis):
    """Along one axis: three quarters of the nearer pixel and a quarter of the next, `ops.image.resize` without its general machinery."""
    first, last = (ops.take(x, [place], axis=axis) for place in (0, x.shape[axis] - 1))
    inner = [slice(None)] * len(x.shape)
    inner[axis] = slice(0, -1)
    before = ops.concatenate([first, x[tuple(inner)]], axis)
    inner[axis] = slice(1, None)
    after = ops.concatenate([x[tuple(inner)], last], axis)
    pairs = ops.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
    shape = [ops.shape(x)[0], *x.shape[1:]]
    shape[axis] = 2 * x.shape[axis]
    return ops.reshape(pairs, shape)
