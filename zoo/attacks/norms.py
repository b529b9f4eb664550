"""Balls of the l1, l2 and linf norm: the step that raises a linear function most, the nearest point, a random point.

Tensors are `(batch, ...)`; a sample's norm is that of all its numbers. A radius is a number, or a tensor `(batch,)`.
"""

import keras
import numpy as np
from keras import ops

NORMS = ("l1", "l2", "linf")
DUAL = {"l1": "linf", "l2": "l2", "linf": "l1"}


def check_norm(norm):
    """Raise a `ValueError` if `norm` is not one of `NORMS`."""
    if norm not in NORMS:
        raise ValueError(f"`norm` must be one of {NORMS}. Received: {norm!r}")


def length(x, norm):
    """The norm of each sample, `(batch,)`."""
    check_norm(norm)
    size = ops.abs(_flat(x))
    if norm == "l2":
        # scaled first: the squares of small gradients are too small for float32
        largest = ops.max(size, axis=-1)
        scaled = size / ops.where(largest > 0, largest, 1.0)[:, None]
        return largest * ops.sqrt(ops.sum(ops.square(scaled), axis=-1))
    return ops.sum(size, axis=-1) if norm == "l1" else ops.max(size, axis=-1)


def steepest(gradient, epsilon, norm, room=None):
    """The step r in a ball that raises the linear function <gradient, r> most; 0 where the gradient is.

    Args:
        gradient: `(batch, ...)`.
        epsilon: radius of the ball.
        norm: `"linf"`: `epsilon` times the sign; `"l2"`: along the gradient; `"l1"`: all on the largest number of the gradient.
        room: for `"l1"`, the largest step of each number, of the shape of `gradient`. The maximiser within it fills the numbers one after
            another, from the largest of the gradient down.

    Returns:
        Tensor of the shape of `gradient`.
    """
    check_norm(norm)
    epsilon = _radius(epsilon, gradient)
    if norm == "linf":
        return epsilon * ops.sign(gradient)
    if norm == "l2":
        size = ops.reshape(length(gradient, "l2"), ops.shape(_first(gradient)))
        return epsilon * gradient / ops.where(size > 0, size, 1.0)
    flat = _flat(gradient)
    radius = ops.reshape(epsilon, (-1, 1)) if len(ops.shape(epsilon)) else epsilon
    if room is None:
        chosen = ops.one_hot(ops.argmax(ops.abs(flat), axis=-1), flat.shape[-1], dtype=flat.dtype)
        return ops.reshape(radius * chosen * ops.sign(flat), ops.shape(gradient))
    order = ops.argsort(-ops.abs(flat), axis=-1)
    sizes = ops.take_along_axis(_flat(room), order, axis=-1)
    steps = ops.clip(radius - (ops.cumsum(sizes, axis=-1) - sizes), 0.0, sizes)
    steps = ops.take_along_axis(steps, ops.argsort(order, axis=-1), axis=-1)
    return ops.reshape(steps * ops.sign(flat), ops.shape(gradient))


def project(delta, epsilon, norm):
    """The nearest point (Euclidean) of a ball around 0.

    Args:
        delta: `(batch, ...)`.
        epsilon: radius of the ball.
        norm: `"linf"`, `"l2"` or `"l1"` (by sorting: Duchi et al. 2008).

    Returns:
        Tensor of the shape of `delta`.
    """
    check_norm(norm)
    epsilon = _radius(epsilon, delta)
    if norm == "linf":
        return ops.clip(delta, -epsilon, epsilon)
    if norm == "l2":
        size = ops.reshape(length(delta, "l2"), ops.shape(_first(delta)))
        return delta * ops.minimum(1.0, epsilon / ops.where(size > 0, size, 1.0))
    flat = _flat(delta)
    radius = ops.reshape(epsilon, (-1, 1)) if len(ops.shape(epsilon)) else epsilon
    size = ops.abs(flat)
    falling = -ops.sort(-size, axis=-1)
    excess = ops.cumsum(falling, axis=-1) - radius
    count = ops.arange(1, flat.shape[-1] + 1, dtype=flat.dtype)
    kept = ops.maximum(ops.sum(ops.cast(falling * count > excess, "int32"), axis=-1, keepdims=True), 1)
    threshold = ops.take_along_axis(excess, kept - 1, axis=-1) / ops.cast(kept, flat.dtype)
    shrunk = ops.maximum(size - ops.maximum(threshold, 0.0), 0.0)
    return ops.reshape(ops.sign(flat) * shrunk, ops.shape(delta))


def random_in_ball(shape, epsilon, norm, seed):
    """A point `(batch, ...)` drawn uniformly from a ball around 0 for each sample.

    Args:
        shape: with a batch axis, which may be a tensor.
        epsilon: radius of the ball.
        norm: of the ball.
        seed: a `keras.random.SeedGenerator`.
    """
    check_norm(norm)
    if norm == "linf":
        return epsilon * keras.random.uniform(shape, -1.0, 1.0, seed=seed)
    batch, numbers = shape[0], int(np.prod(shape[1:]))
    if norm == "l2":
        draws = keras.random.normal((batch, numbers), seed=seed)
        radius = keras.random.uniform((batch, 1), seed=seed) ** (1.0 / numbers)
        point = draws / ops.maximum(ops.norm(draws, axis=-1, keepdims=True), 1e-12) * radius
    else:
        # shares of exponential draws are uniform on the simplex; one share more than numbers leaves the inside
        shares = -ops.log(keras.random.uniform((batch, numbers + 1), 1e-12, 1.0, seed=seed))
        signs = ops.sign(keras.random.uniform((batch, numbers), -1.0, 1.0, seed=seed))
        point = signs * shares[:, :-1] / ops.sum(shares, axis=-1, keepdims=True)
    return ops.reshape(epsilon * point, shape)


def _flat(x):
    return ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))


def _first(x):
    """One number a sample, with all axes."""
    return x[(slice(None), *(slice(0, 1),) * (len(x.shape) - 1))]


def _radius(epsilon, x):
    """A radius that multiplies samples: `(batch, 1, ...)`, or a scalar."""
    epsilon = ops.cast(epsilon, x.dtype)
    return ops.reshape(epsilon, (-1, *(1,) * (len(x.shape) - 1))) if len(epsilon.shape) else epsilon
