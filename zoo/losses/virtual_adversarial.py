"""Local distributional smoothness (Miyato et al. 2015, arXiv 1507.00677): how far a small step can move a predicted distribution.

Works with any function from inputs to log probabilities, so that it serves in custom losses as well; `zoo.applications.VAT` wraps it.
"""

from keras import ops

from zoo import autodiff


def kl_divergence(log_p, log_q):
    """KL[p || q] of two batches of categorical distributions given by log probabilities `(batch, classes)`; returns `(batch,)`."""
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def virtual_adversarial_perturbation(log_probabilities, x, clean, start, epsilon, xi, num_power_iterations=1):
    """The perturbation of length `epsilon` that changes the prediction most, to second order (section 3.2).

    Near `x`, KL[p(x) || p(x + r)] is r'Hr / 2, so the answer is the dominant eigenvector of H. Power iteration finds it with one gradient a
    step: H d is the gradient of the divergence at `r = xi * d`, divided by `xi`.

    Args:
        log_probabilities: function from `(batch, ...)` to log probabilities `(batch, classes)`; runs once a step.
        x: inputs `(batch, ...)`.
        clean: `log_probabilities(x)`.
        start: random start of the iteration, of the shape of `x`.
        epsilon: length (L2 norm) of the perturbation.
        xi: finite-difference step.
        num_power_iterations: steps of the power iteration.

    Returns:
        Tensor of the shape of `x`, without a gradient. Where the divergence has no slope at all, the start gives the direction.
    """
    x, clean = ops.stop_gradient(x), ops.stop_gradient(clean)
    direction = _unit(start, start)
    for _ in range(num_power_iterations):
        point = xi * direction
        slope = autodiff.grad(lambda r: ops.sum(kl_divergence(clean, log_probabilities(x + r))), point)
        direction = _unit(slope, direction)
    return ops.stop_gradient(epsilon * direction)


def local_distributional_smoothness(log_probabilities, x, clean, perturbation):
    """LDS: minus KL[p(x) || p(x + perturbation)], with p(x) held fixed (equations 1 to 3).

    Args:
        log_probabilities: function from `(batch, ...)` to log probabilities `(batch, classes)`.
        x: inputs `(batch, ...)`.
        clean: `log_probabilities(x)`; no gradient flows into it.
        perturbation: of the shape of `x`.

    Returns:
        Tensor `(batch,)`, at most 0; larger is smoother. Gradients flow through the perturbed prediction only.
    """
    return -kl_divergence(ops.stop_gradient(clean), log_probabilities(x + perturbation))


def _unit(vector, fallback):
    """`vector` of each row scaled to length 1, tiny ones as well; `fallback` where it is zero."""
    axes = tuple(range(1, len(vector.shape)))
    largest = ops.max(ops.abs(vector), axis=axes, keepdims=True)
    scaled = vector / ops.where(largest > 0, largest, 1.0)
    length = ops.sqrt(ops.sum(ops.square(scaled), axis=axes, keepdims=True))
    return ops.where(largest > 0, scaled / ops.where(largest > 0, length, 1.0), fallback)
