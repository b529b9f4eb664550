"""Steps within a trust region: conjugate gradient for a matrix that is never formed, and backtracking along a direction.

Both are loops inside the graph, on one flat vector; `flatten` and `unflatten` go between it and a list of weights.
"""

import math

from keras import ops


def flatten(tensors):
    """A list of tensors as one vector."""
    return ops.concatenate([ops.reshape(t, (-1,)) for t in tensors])


def unflatten(vector, shapes):
    """The list of tensors of `shapes` that `flatten` made `vector` from."""
    tensors, start = [], 0
    for shape in shapes:
        end = start + math.prod(shape)
        tensors.append(ops.reshape(vector[start:end], shape))
        start = end
    return tensors


def conjugate_gradient(product, b, iterations=10, tolerance=1e-10, damping=0.0):
    """Solve `(A + damping * I) x = b` for a symmetric positive definite `A`, starting at zero.

    Args:
        product: a function, `A` times a vector.
        b: vector `(n,)`.
        iterations: at most so many products.
        tolerance: ends when the squared length of the residual falls below this share of that of `b`.
        damping: added to the diagonal.

    Returns:
        `x, residual`: the solution and `b - (A + damping * I) x`, `(n,)` each.
    """
    start = ops.sum(b * b)

    def going_on(i, x, residual, direction, squared):
        return ops.logical_and(i < iterations, squared > tolerance * start)

    def iterate(i, x, residual, direction, squared):
        image = product(direction) + damping * direction
        size = squared / ops.sum(direction * image)
        x, residual = x + size * direction, residual - size * image
        now = ops.sum(residual * residual)
        return i + 1, x, residual, residual + now / squared * direction, now

    state = (0, ops.zeros_like(b), b, b, start)
    _, x, residual, _, _ = ops.while_loop(going_on, iterate, state)
    return x, residual


def line_search(evaluate, x, step, start, limit, backtracks=10, shrink=0.5):
    """The longest of `step`, `shrink * step`, `shrink^2 * step`, ... from `x` that raises a value and keeps a cost below a limit.

    Args:
        evaluate: function of a vector, gives value and cost (scalars).
        x: vector `(n,)` where the search starts.
        step: vector `(n,)`.
        start: the value at `x`; a step must give more.
        limit: the largest cost allowed.
        backtracks: steps tried.
        shrink: the factor between them.

    Returns:
        `x, fraction`: where the search ends, and the share of `step` that leads there; `x` itself and 0 if no step will do.
    """

    def going_on(i, fraction, found):
        return ops.logical_and(i < backtracks, ops.logical_not(found))

    def attempt(i, fraction, found):
        fraction = ops.where(i == 0, fraction, fraction * shrink)
        value, cost = evaluate(x + fraction * step)
        # a value that is not a number is no success
        return i + 1, fraction, ops.logical_and(value > start, cost <= limit)

    one = ops.ones((), x.dtype)
    _, fraction, found = ops.while_loop(going_on, attempt, (0, one, ops.zeros((), "bool")))
    fraction = ops.where(found, fraction, ops.zeros_like(fraction))
    return x + fraction * step, fraction
