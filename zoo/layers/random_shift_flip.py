"""The augmentation of ReNet (Visin et al. 2015, arXiv 1505.00393, section 4.2): images flipped, and shifted by a few pixels into zeros."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class RandomShiftFlip(keras.layers.Layer):
    """Flips and shifts each image of a batch by itself, in training only.

    A quarter of the images is flipped left to right, a quarter upside down. Then a quarter is shifted left by `shift` pixels, a quarter
    right, half not at all; and the same again up and down. What leaves the image is lost, zeros come in.

    Args:
        shift: in pixels; 0 leaves the images in place.
        flip: whether to flip.
        seed: of the draws.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, shift=2, flip=False, seed=None, **kwargs):
        super().__init__(**kwargs)
        if shift < 0:
            raise ValueError(f"`shift` must be at least 0. Received: {shift}")
        self.shift, self.flip, self.seed = shift, flip, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        """Images `(batch, height, width, channels)`, changed if `training`."""
        if not training:
            return images
        if self.flip:
            draw = self._draw(images)
            images = ops.where(draw == 0, ops.flip(images, axis=2), ops.where(draw == 1, ops.flip(images, axis=1), images))
        for axis in (2, 1) if self.shift else ():
            draw = self._draw(images)
            images = ops.where(draw == 0, self._shifted(images, axis, -1), ops.where(draw == 1, self._shifted(images, axis, 1), images))
        return images

    def _draw(self, images):
        """0, 1, 2 or 3 for each image."""
        return keras.random.randint((ops.shape(images)[0], 1, 1, 1), 0, 4, dtype="int32", seed=self.generator)

    def _shifted(self, images, axis, sign):
        size = ops.shape(images)[axis]
        place = ops.arange(size) - sign * self.shift
        moved = ops.take(images, ops.clip(place, 0, size - 1), axis=axis)
        inside = ops.cast(ops.logical_and(place >= 0, place < size), images.dtype)
        return moved * ops.reshape(inside, (1, -1, 1, 1) if axis == 1 else (1, 1, -1, 1))

    def compute_output_shape(self, input_shape):
        """The shape of the images."""
        return input_shape

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "shift": self.shift, "flip": self.flip, "seed": self.seed}
