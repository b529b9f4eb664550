"""Mean-field inference of a dense CRF as a recurrent layer.

Paper: Zheng, Jayasumana, Romera-Paredes, Vineet, Su, Du, Huang, Torr 2015, "Conditional Random Fields as Recurrent Neural Networks",
arXiv 1502.03240, algorithm 1 and sections 4 and 5. The filters are in `zoo.layers.permutohedral`.
"""

from functools import partial

import keras
import numpy as np
from keras import ops

from zoo.layers.permutohedral import PermutohedralLattice, exact_kernel, spatial_filter

TINY = 1e-20


@keras.saving.register_keras_serializable("zoo")
class MeanFieldCRF(keras.Layer):
    """Sharpens the logits of any segmentation network along the edges of the image.

    `MeanFieldCRF()([logits, image])`. Each iteration filters the present distribution with a bilateral and a spatial Gaussian (message
    passing), weights both for each class, mixes classes by the compatibility matrix, subtracts the result from the logits and takes the
    softmax; all iterations share their weights. Time and memory are linear in pixels and in classes.

    Args:
        theta_alpha: place part of the bilateral Gaussian, in pixels. All defaults are the paper's, for images of about 500 pixels; scale
            `theta_alpha` and `theta_gamma` with the size of smaller ones.
        theta_beta: colour part of the bilateral Gaussian, in steps of 1 / 255 of the image's range.
        theta_gamma: spatial Gaussian, in pixels.
        iterations: mean-field iterations while training.
        inference_iterations: mean-field iterations otherwise.
        bilateral_weight: start of the bilateral kernel's weight, the same for all classes.
        spatial_weight: start of the spatial kernel's weight.
        normalization: `"symmetric"` (`D^-1/2 K D^-1/2`, as in Krähenbühl and Koltun's code) or `"after"` (`D^-1 K`).
        exact_pixels: images of at most so many pixels get the exact bilateral sum, quadratic in pixels, larger ones the permutohedral
            lattice. 0 takes the lattice always.
        **kwargs: of `keras.Layer`. The layer computes in float32 unless `dtype` says otherwise.
    """

    def __init__(
        self,
        theta_alpha=160.0,
        theta_beta=3.0,
        theta_gamma=3.0,
        iterations=5,
        inference_iterations=10,
        bilateral_weight=5.0,
        spatial_weight=3.0,
        normalization="symmetric",
        exact_pixels=1024,
        **kwargs,
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        for name, theta in (("theta_alpha", theta_alpha), ("theta_beta", theta_beta), ("theta_gamma", theta_gamma)):
            if not theta > 0:
                raise ValueError(f"`{name}` must be positive. Received: {theta}")
        for name, value in (("iterations", iterations), ("inference_iterations", inference_iterations)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a whole number of at least 1. Received: {value}")
        if normalization not in ("symmetric", "after"):
            raise ValueError(f"`normalization` must be 'symmetric' or 'after'. Received: {normalization!r}")
        self.theta_alpha, self.theta_beta, self.theta_gamma = theta_alpha, theta_beta, theta_gamma
        self.iterations, self.inference_iterations = iterations, inference_iterations
        self.bilateral_weight, self.spatial_weight = bilateral_weight, spatial_weight
        self.normalization, self.exact_pixels = normalization, exact_pixels

    def build(self, input_shape):
        """Weights for the classes of the logits; `input_shape` is the pair of shapes of logits and image."""
        classes = input_shape[0][-1]
        constant = keras.initializers.Constant
        self.bilateral_weights = self.add_weight(shape=(classes,), initializer=constant(self.bilateral_weight), name="bilateral_weights")
        self.spatial_weights = self.add_weight(shape=(classes,), initializer=constant(self.spatial_weight), name="spatial_weights")
        self.compatibility = self.add_weight(shape=(classes, classes), initializer=_potts, name="compatibility")

    def call(self, inputs, training=False):
        """Refine.

        Args:
            inputs: logits `(batch, height, width, classes)`, and the image they belong to `(batch, height, width, channels)` in [0, 1].
            training: whether to run `iterations` or `inference_iterations`.

        Returns:
            Refined logits `(batch, height, width, classes)`. No gradient goes to the image.
        """
        logits, image = (ops.cast(x, "float32") for x in inputs)
        pixels = ops.shape(logits)[1] * ops.shape(logits)[2]
        steps = self.iterations if training else self.inference_iterations
        refined = _if(
            pixels <= self.exact_pixels,
            lambda: self._infer(logits, image, steps, is_exact=True),
            lambda: self._infer(logits, image, steps, is_exact=False),
        )
        return ops.cast(ops.reshape(refined, ops.shape(logits)), self.compute_dtype)

    def _infer(self, logits, image, steps, is_exact):
        """Algorithm 1; the loop is unrolled, as it is short."""
        bilateral = self._normalized(_bilateral(image, self.theta_alpha, self.theta_beta, is_exact), image)
        spatial = self._normalized(lambda x: spatial_filter(x, self.theta_gamma), image)
        refined = logits
        for _ in range(steps):
            beliefs = ops.softmax(refined, axis=-1)
            messages = self.bilateral_weights * bilateral(beliefs) + self.spatial_weights * spatial(beliefs)
            refined = logits - ops.matmul(messages, self.compatibility)
        return refined

    def _normalized(self, filtered, image):
        norm = filtered(ops.ones_like(image[..., :1])) + TINY
        if self.normalization == "after":
            return lambda x: filtered(x) / norm
        scale = ops.rsqrt(norm)
        return lambda x: scale * filtered(scale * x)

    def compute_output_shape(self, input_shape):
        """The shape of the logits."""
        return tuple(input_shape[0])

    def get_config(self):
        """The constructor's arguments."""
        names = ("theta_alpha", "theta_beta", "theta_gamma", "iterations", "inference_iterations", "bilateral_weight", "spatial_weight")
        return {**super().get_config(), **{name: getattr(self, name) for name in (*names, "normalization", "exact_pixels")}}


def bilateral_features(image, theta_alpha, theta_beta):
    """Place (across, down) and colour of every pixel in standard deviations of the bilateral Gaussian.

    Args:
        image: `(batch, height, width, channels)` in [0, 1].
        theta_alpha: in pixels.
        theta_beta: in steps of 1 / 255.

    Returns:
        `(batch, height * width, channels + 2)`.
    """
    batch, height, width, channels = ops.shape(image)
    colour = image * (255 / theta_beta)
    row = ops.reshape(ops.cast(ops.arange(height), "float32"), (1, -1, 1, 1)) / theta_alpha
    column = ops.reshape(ops.cast(ops.arange(width), "float32"), (1, 1, -1, 1)) / theta_alpha
    blank = ops.zeros_like(colour[..., :1])
    return ops.reshape(ops.concatenate([column + blank, row + blank, colour], axis=-1), (batch, height * width, channels + 2))


def _bilateral(image, theta_alpha, theta_beta, is_exact):
    """The unnormalised bilateral filter of one batch of images, for values `(batch, height, width, channels)`."""
    features = bilateral_features(image, theta_alpha, theta_beta)
    if is_exact:
        filtered = partial(ops.matmul, exact_kernel(features))
    else:
        filtered = PermutohedralLattice(features).filter

    def over_pixels(x):
        shape = ops.shape(x)
        return ops.reshape(filtered(ops.reshape(x, (shape[0], shape[1] * shape[2], shape[3]))), shape)

    return over_pixels


def _potts(shape, dtype=None):
    """Different classes are penalised by 1."""
    return 1 - ops.eye(shape[0], dtype=dtype)


def _if(condition, then, otherwise):
    """Decided now if the size is known, else in the graph."""
    if isinstance(condition, (bool, np.bool_)):
        return then() if condition else otherwise()
    return ops.cond(condition, then, otherwise)
