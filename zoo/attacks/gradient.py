"""Attacks along the gradient: one step (Goodfellow et al. 2014), projected ascent, and the way to the nearest other class.

A gradient is a function from `x (batch, ...)` to a tensor of the shape of `x`; the attacks raise what it is the gradient of.
"""

from keras import ops

from zoo import autodiff
from zoo.attacks.labels import as_numbers
from zoo.attacks.norms import DUAL, check_norm, length, project, steepest


def loss_gradient(log_probabilities, y, targeted=False):
    """The gradient of each sample's cross-entropy, as a function of `x`.

    Args:
        log_probabilities: function from `(batch, ...)` to `(batch, classes)`.
        y: classes `(batch,)`, or rows with one 1: the true ones, whose loss is to rise, or the targets, whose loss is to fall.
        targeted: which of the two.
    """

    y = as_numbers(y)

    def gradient(x):
        return autodiff.grad(lambda point: (1.0 if targeted else -1.0) * ops.sum(_of_class(log_probabilities(point), y)), x)

    return gradient


def nearest_class(log_probabilities, y, norm):
    """The way to the class that the linearised classifier would reach first (Huang et al. 2015, arXiv 1511.03034, section 2).

    Class j is reached after (f_y - f_j) / ||grad f_j - grad f_y||, in the dual norm.

    Args:
        log_probabilities: function from `(batch, ...)` to `(batch, classes)`; logits do as well.
        y: classes `(batch,)` to be left, or rows with one 1.
        norm: in which distances are measured.

    Returns:
        Function from `x` to (gradient of f_j - f_y of the shape of `x`, distance `(batch,)`).
    """
    check_norm(norm)
    y = as_numbers(y)

    def way(x):
        outputs, slopes = jacobian(log_probabilities, x)
        classes = outputs.shape[-1]
        shape = (-1, classes, *x.shape[1:])
        index = ops.reshape(y, (-1, *(1,) * (len(shape) - 1)))
        slopes = slopes - ops.take_along_axis(slopes, index, axis=1)
        margins = ops.abs(outputs - _of_class(outputs, y)[:, None])
        steepness = ops.reshape(length(ops.reshape(slopes, (-1, *x.shape[1:])), DUAL[norm]), (-1, classes))
        own = ops.one_hot(y, classes, dtype=outputs.dtype)
        distance = ops.where((own > 0) | (steepness <= 0), 1e30, margins / ops.where(steepness > 0, steepness, 1.0))
        nearest = ops.argmin(distance, axis=-1)
        found = ops.take_along_axis(slopes, ops.reshape(nearest, ops.shape(index)), axis=1)
        return ops.squeeze(found, axis=1), ops.min(distance, axis=-1)

    return way


def jacobian(function, x):
    """`function(x)` `(batch, outputs)`, and the derivatives of every output `(batch, outputs, ...)` by one pass over copies of `x`."""
    values = function(x)
    outputs = values.shape[-1]
    copies = ops.repeat(x, outputs, axis=0)
    choice = ops.tile(ops.eye(outputs, dtype=values.dtype), (ops.shape(x)[0], 1))
    slopes = autodiff.grad(lambda points: ops.sum(function(points) * choice), copies)
    return values, ops.reshape(slopes, (-1, outputs, *x.shape[1:]))


def amplitude(function, x):
    """Mean size of the derivatives of every output by every number of each sample, `(batch,)`."""
    slopes = ops.abs(jacobian(function, x)[1])
    return ops.mean(slopes, axis=tuple(range(1, len(slopes.shape))))


def one_step(gradient, x, epsilon, norm, low=None, high=None):
    """`x` after the step that raises a linearised function most, cut off at the limits of the box.

    For `"l1"` with both limits the step is the best in ball and box; otherwise, as in the papers, the best in the ball, cut off.

    Args:
        gradient: function from `x` to the gradient.
        x: `(batch, ...)`.
        epsilon: radius of the ball.
        norm: of the ball, one of `zoo.attacks.NORMS`.
        low: smallest legal number, or `None`.
        high: largest legal number, or `None`.

    Returns:
        Tensor of the shape of `x`, without a gradient.
    """
    x = ops.stop_gradient(x)
    slope = gradient(x)
    return ops.stop_gradient(_limit(x + steepest(slope, epsilon, norm, _room(slope, x, norm, low, high)), low, high))


def iterated(gradient, x, epsilon, norm, num_steps, step_size, start=None, low=None, high=None):
    """Projected gradient ascent in a ball around `x`: steps of `one_step`, each projected on the ball.

    Args:
        gradient: function from `x` to the gradient.
        x: `(batch, ...)`.
        epsilon: radius of the ball.
        norm: of the ball and of the steps.
        num_steps: number of steps.
        step_size: length of a step.
        start: a step to begin with, of the shape of `x` (see `random_in_ball`), or `None`.
        low: smallest legal number, or `None`.
        high: largest legal number, or `None`.

    Returns:
        Tensor of the shape of `x`, without a gradient; in the ball and, if `x` is, between the limits.
    """
    x = ops.stop_gradient(x)

    def step(_, point):
        # cut off first: a projection moves no number away from x
        return x + project(one_step(gradient, point, step_size, norm, low, high) - x, epsilon, norm)

    return ops.stop_gradient(ops.fori_loop(0, num_steps, step, x if start is None else _limit(x + start, low, high)))


def _of_class(values, y):
    """The value of class `y` of each sample, `(batch,)`."""
    return ops.squeeze(ops.take_along_axis(values, ops.cast(y, "int32")[:, None], axis=-1), axis=-1)


def _room(slope, x, norm, low, high):
    if norm != "l1" or low is None or high is None:
        return None
    return ops.maximum(ops.where(slope > 0, high - x, x - low), 0.0)


def _limit(x, low, high):
    x = x if low is None else ops.maximum(x, low)
    return x if high is None else ops.minimum(x, high)
