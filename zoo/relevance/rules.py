"""Rules of layer-wise relevance propagation for any linear map z = product(x, kernel) + bias (Samek et al. 2015, arXiv 1509.06321).

`"z_b"` comes from deep Taylor decomposition (Montavon et al., arXiv 1512.02479); `"flat"` shares equally among the inputs of a unit. A bias
takes its share, which no input gets.
"""

from keras import ops

from zoo import autodiff

RULES = ("epsilon", "alpha_beta", "flat", "z_b")
# below it float32 quotients overflow; relevance there is nothing
TINY = 1e-30


def propagate(product, weights, x, z, relevance, rule, positive=False):
    """Relevance of the inputs of a linear map, given that of its outputs (section II, equations of the epsilon and alpha-beta rules).

    Args:
        product: function (x, kernel) -> z without bias, linear in each.
        weights: pair of kernel and bias (or `None`).
        x: inputs `(batch, ...)`.
        z: outputs with bias.
        relevance: of the outputs.
        rule: pair of name and parameter: `("epsilon", epsilon)`, `("alpha_beta", alpha)`, `("flat", None)`, `("z_b", (low, high))`.
        positive: whether `x` is known to have no negative values, which halves the work of alpha-beta.

    Returns:
        Tensor of the shape of `x`.
    """
    name, parameter = rule
    kernel, bias = weights

    def back(kernel, ratio):
        return autodiff.vjp(lambda v: product(v, kernel), x, ratio)[1]

    if name == "epsilon":
        return x * back(kernel, divide(relevance, z, parameter))
    if name == "flat":
        ones = ops.ones_like(kernel)
        return back(ones, divide(relevance, product(ops.ones_like(x), ones)))
    rising, falling = ops.maximum(kernel, 0.0), ops.minimum(kernel, 0.0)
    if name == "z_b":
        low, high = (value * ops.ones_like(x) for value in parameter)
        ratio = divide(relevance, product(x, kernel) - product(low, rising) - product(high, falling))
        return x * back(kernel, ratio) - low * back(rising, ratio) - high * back(falling, ratio)
    return _alpha_beta(product, rising, falling, bias, x, relevance, parameter, positive, back)


def _alpha_beta(product, rising, falling, bias, x, relevance, alpha, positive, back):
    """Positive contributions share `alpha` times the relevance, negative ones lose `alpha - 1` times; one kind alone takes all.

    With `alpha` 1 negative ones take nothing, even alone.
    """
    up, down = (x, None) if positive else (ops.maximum(x, 0.0), ops.minimum(x, 0.0))

    def total(same, other, limit):
        z = product(up, same)
        z = z if down is None else z + product(down, other)
        return z if bias is None else z + limit(bias, 0.0)

    def share(same, other, ratio):
        return up * back(same, ratio) + (0.0 if down is None else down * back(other, ratio))

    gains = total(rising, falling, ops.maximum)
    if alpha == 1:
        return share(rising, falling, divide(relevance, gains))
    losses = total(falling, rising, ops.minimum)
    gain = ops.where(ops.abs(losses) < TINY, 1.0, alpha) * relevance
    loss = ops.where(ops.abs(gains) < TINY, 1.0, 1.0 - alpha) * relevance
    return share(rising, falling, divide(gain, gains)) + share(falling, rising, divide(loss, losses))


def divide(relevance, z, epsilon=0.0):
    """`relevance / z` with `z` moved away from zero by `epsilon`; 0 where nothing contributed."""
    z = z + ops.where(z >= 0, epsilon, -epsilon) if epsilon else z
    empty = ops.abs(z) < TINY
    return ops.where(empty, 0.0, relevance / ops.where(empty, 1.0, z))
