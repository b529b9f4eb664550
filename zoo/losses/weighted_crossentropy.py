"""Pixel-weighted softmax cross-entropy, and the weight map that makes a network separate touching objects.

Paper: Ronneberger et al. 2015, "U-Net", arXiv 1505.04597, section 3, equations 1 and 2. The map needs no Keras.
"""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class WeightedCrossentropy(keras.Loss):
    """Cross-entropy of each pixel's probabilities, weighted by the `sample_weight` map of `fit` (equation 1), averaged over pixels.

    Unlike `keras.losses.SparseCategoricalCrossentropy` it keeps the gradient of pixels that are confidently wrong on every backend.

    Args:
        reduction: of `keras.Loss`.
        name: of `keras.Loss`.
        **kwargs: of `keras.Loss`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="weighted_crossentropy", **kwargs):
        super().__init__(reduction=reduction, name=name, **kwargs)

    def call(self, y_true, y_pred):
        """Cross-entropy in nats a pixel.

        Args:
            y_true: class of each pixel, `(batch, height, width)`.
            y_pred: probabilities, `(batch, height, width, classes)`.

        Returns:
            `(batch, height, width)`.
        """
        y_pred = ops.cast(y_pred, "float32")
        chosen = ops.sum(ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1]) * y_pred, axis=-1)
        return -ops.log(ops.maximum(chosen, 1e-30))


def separate(instances):
    """Cut touching objects apart: pixels with another object among their eight neighbours become background.

    Args:
        instances: `(..., height, width)`, 0 for background, another whole number for each object.

    Returns:
        Instances of the same shape and dtype.
    """
    from scipy import ndimage

    labels = np.asarray(instances).astype("int64")
    size = (1,) * (labels.ndim - 2) + (3, 3)
    largest = ndimage.maximum_filter(labels, size=size)
    smallest = ndimage.minimum_filter(np.where(labels == 0, labels.max() + 1, labels), size=size)
    return np.where(largest == smallest, instances, 0).astype(np.asarray(instances).dtype)


def weight_map(instances, w0=10.0, sigma=5.0, class_weights="balanced"):
    """The weight of every pixel: its class's weight, plus much for background squeezed between two objects (equation 2).

    `w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))` with the distances `d1`, `d2` to the nearest and second nearest object.
    The second term is given to background alone, and is cut to zero where it is below `2e-8 w0`, so that the cost is linear in pixels.

    Args:
        instances: `(height, width)` or `(batch, height, width)`, 0 for background, another whole number for each object.
            Touching objects need background between them; see `separate`.
        w0: height of the second term.
        sigma: its width in pixels.
        class_weights: `"balanced"` gives background and objects the same total weight (mean 1), a pair of floats sets both weights,
            `None` means ones.

    Returns:
        Weights of the same shape, float32, for `sample_weight` of `fit`.

    Raises:
        ValueError: if `instances` is not an array of whole numbers with two or three axes, or `sigma` is not positive.
    """
    instances = np.asarray(instances)
    if instances.ndim not in (2, 3) or instances.dtype.kind not in "iub":
        raise ValueError(
            "`instances` must be whole numbers of shape (height, width) or (batch, height, width). "
            f"Received: {instances.dtype}, shape {instances.shape}"
        )
    if sigma <= 0:
        raise ValueError(f"`sigma` must be positive. Received: {sigma}")
    if instances.ndim == 3:
        return np.stack([weight_map(one, w0, sigma, class_weights) for one in instances])
    first, second = _two_distances(instances, reach=6 * sigma)
    squeezed = w0 * np.exp(-((first + second) ** 2) / (2 * sigma**2))
    return (_class_map(instances != 0, class_weights) + np.where(instances == 0, squeezed, 0)).astype("float32")


def _class_map(foreground, class_weights):
    if class_weights is None:
        return np.ones(foreground.shape)
    if isinstance(class_weights, str):
        if class_weights != "balanced":
            raise ValueError(f"`class_weights` must be 'balanced', a pair of floats or None. Received: {class_weights!r}")
        counts = np.bincount(foreground.ravel(), minlength=2)
        class_weights = foreground.size / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.asarray(class_weights, "float64")[foreground.astype(int)]


def _two_distances(instances, reach):
    """Distances to the nearest and second nearest object, exact up to `reach` and infinite beyond.

    Each object is transformed within its own window, its bounding box grown by `reach`.
    """
    from scipy import ndimage

    names, labels = np.unique(instances, return_inverse=True)
    labels = labels.reshape(instances.shape) + 1
    first, second = (np.full(instances.shape, np.inf) for _ in range(2))
    grow = int(np.ceil(reach))
    for label, (name, box) in enumerate(zip(names, ndimage.find_objects(labels)), start=1):
        if name == 0:
            continue
        window = tuple(slice(max(side.start - grow, 0), side.stop + grow) for side in box)
        distance = ndimage.distance_transform_edt(labels[window] != label)
        distance[distance > reach] = np.inf
        second[window] = np.minimum(second[window], np.maximum(first[window], distance))
        first[window] = np.minimum(first[window], distance)
    return first, second
