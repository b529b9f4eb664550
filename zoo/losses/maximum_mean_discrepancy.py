"""Maximum mean discrepancy: how far two sets of samples are apart, by a mixture of Gaussian kernels.

Papers: Gretton et al. 2012, "A Kernel Two-Sample Test" (JMLR 13), equations 3 and 5; Li, Swersky, Zemel 2015, "Generative Moment Matching
Networks", arXiv 1502.02761, equation 3 and section 4.3, whose kernel this is: `k(x, y) = sum over q of exp(-|x - y|^2 / (2 sigma_q))`. A
bandwidth `sigma` has the unit of a squared distance: it is what others call sigma squared.

The kernel matrix is never held as a whole. Rows go through in blocks, and the same pass gives the sums and their gradients in closed form,
so that memory grows with the number of samples, not with its square.
"""

import numpy as np
from keras import ops

from zoo.arguments import is_traced, numbers, refuse

# rows of the kernel matrix that are held at a time, for each bandwidth
BLOCK = 256
# points of each set that the median is taken over
MEDIAN_POINTS = 500
# what rounding leaves of a discrepancy of zero; its root has no slope
LEAST = 1e-10


def maximum_mean_discrepancy(x, y, bandwidths=(2, 5, 10, 20, 40, 80), square_root=False, unbiased=False, x_weight=None, block=BLOCK):
    """Squared maximum mean discrepancy of two sets of samples, or its root.

    It can be differentiated once, with respect to both sets.

    Args:
        x: samples `(n, ...)`, any float dtype.
        y: samples `(m, ...)` of the same shape behind the first axis.
        bandwidths: of the kernels that are summed, in units of squared distances; or `"median"`, see `median_bandwidth`.
        square_root: whether to take the root, whose gradient does not vanish as the sets come together. Below 1e-10 it has none.
        unbiased: leave out the pairs of a sample with itself. The result may then be negative, and its root is taken of 0 at least.
        x_weight: `(n,)`, how often each sample of `x` counts; `None` means once. No gradient flows into it.
        block: rows of the kernel matrix that are held at a time.

    Returns:
        A scalar, float32.

    Raises:
        ValueError: if shapes differ, a set is empty or no numbers, a bandwidth or `block` is not positive, a weight is negative, or
            `unbiased` has a set of a single sample.
    """
    x, y = _rows("x", x), _rows("y", y)
    _check(x, y, bandwidths, unbiased, block)
    bandwidths = median_bandwidth(x, y)[None] if isinstance(bandwidths, str) else ops.convert_to_tensor(bandwidths, "float32")
    # distances do not change, but lose less to rounding
    centre = ops.stop_gradient(ops.mean(x, axis=0))
    x, y = x - centre, y - centre
    a = _shares(x, x_weight)
    b = _shares(y, None)
    within_x, within_y = _within(x, a, bandwidths, block), _within(y, b, bandwidths, block)
    if unbiased:
        within_x, within_y = (_without_self(s, w, ops.shape(bandwidths)[0]) for s, w in ((within_x, a), (within_y, b)))
    squared = within_x + within_y - 2 * _between(y, x, b, a, bandwidths, block)
    return ops.sqrt(ops.maximum(squared, LEAST)) if square_root else squared


def mixture_mean_discrepancy(
    x, means, covariances, weights=None, bandwidths=(2, 5, 10, 20, 40, 80), square_root=False, unbiased=False, x_weight=None, block=BLOCK
):
    """Squared maximum mean discrepancy of samples from a mixture of Gaussians, whose expectations are exact: nothing is drawn from it.

    Under `N(m, S)` the mean of `k(x, .)` is `det(I + S / sigma)^(-1/2) exp(-(x - m)' (sigma I + S)^(-1) (x - m) / 2)`. Covariances of zero
    make it the discrepancy from points that are known with their weights, such as one-hot vectors.

    Args:
        x: samples `(n, d)`, any float dtype.
        means: of the components, array `(k, d)`.
        covariances: array `(k, d, d)`, symmetric, without negative eigenvalues.
        weights: of the components, `(k,)`, which need not sum to one; `None` means equal ones.
        bandwidths: of the kernels that are summed, in units of squared distances.
        square_root: whether to take the root; below 1e-10 it has no gradient.
        unbiased: leave out the pairs of a sample with itself.
        x_weight: `(n,)`, how often each sample counts; no gradient flows into it.
        block: rows of the kernel matrix that are held at a time.

    Returns:
        A scalar, float32, that can be differentiated with respect to `x`.

    Raises:
        ValueError: if shapes differ, a covariance or a weight is none, or a bandwidth is not positive.
    """
    x = _rows("x", x)
    if isinstance(bandwidths, str):
        refuse("bandwidths", "positive numbers", bandwidths)
    means, covariances, weights = _mixture(means, covariances, weights)
    _check(x, means, bandwidths, False, block)
    if unbiased and x.shape[0] == 1:
        raise ValueError("`x` must have at least two samples for the unbiased estimate. Received: 1")
    bandwidths = np.asarray(bandwidths, "float64")
    shares = _shares(x, x_weight)
    centred = x - ops.stop_gradient(ops.mean(x, axis=0))
    within = _within(centred, shares, ops.convert_to_tensor(bandwidths, "float32"), block)
    within = _without_self(within, shares, len(bandwidths)) if unbiased else within
    between = ops.sum(shares * _mean_kernel(x, means, covariances, weights, bandwidths))
    squared = within - 2 * between + _kernel_of_mixture(means, covariances, weights, bandwidths)
    return ops.sqrt(ops.maximum(squared, LEAST)) if square_root else squared


def _mixture(means, covariances, weights):
    """The components as float64 arrays, with weights that sum to one."""
    means, covariances = np.asarray(means, "float64"), np.asarray(covariances, "float64")
    if means.ndim != 2 or not means.size or not np.isfinite(means).all():
        refuse("means", "an array (components, d) of finite numbers", means)
    k, d = means.shape
    symmetric = covariances.shape == (k, d, d) and np.allclose(covariances, covariances.swapaxes(1, 2))
    if not symmetric or np.linalg.eigvalsh(covariances).min() < -1e-6 * max(np.abs(covariances).max(), 1e-30):
        refuse("covariances", f"covariance matrices {(k, d, d)}", covariances)
    weights = np.ones(k) if weights is None else np.asarray(weights, "float64")
    if weights.shape != (k,) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
        refuse("weights", f"{k} numbers, at least 0 and not all 0", weights)
    return means, covariances, weights / weights.sum()


def _mean_kernel(x, means, covariances, weights, bandwidths):
    """The mean of `k(x_i, y)` over `y` of the mixture, `(n,)`."""
    variances, axes = np.linalg.eigh(covariances)
    variances = np.maximum(variances, 0)
    # in the axes of each component, where its covariance is diagonal: (n, k, d)
    turned = ops.einsum("nd,kde->nke", x, axes.astype("float32")) - np.einsum("kd,kde->ke", means, axes).astype("float32")
    squares, total = ops.square(turned), 0.0
    for sigma in bandwidths:
        wide = sigma + variances
        factors = weights * np.exp(0.5 * np.log(sigma / wide).sum(1))
        exponents = -0.5 * ops.sum(squares / wide.astype("float32"), axis=-1)
        total = total + ops.sum(factors.astype("float32") * ops.exp(exponents), axis=-1)
    return total


def _kernel_of_mixture(means, covariances, weights, bandwidths):
    """The mean of `k(y, y')` over independent draws of the mixture, a number."""
    between = means[:, None] - means
    both = covariances[:, None] + covariances
    pairs, total, identity = weights[:, None] * weights, 0.0, np.eye(means.shape[1])
    for sigma in bandwidths:
        wide = sigma * identity + both
        exponents = -0.5 * np.einsum("kld,kld->kl", between, np.linalg.solve(wide, between[..., None])[..., 0])
        total += (pairs * np.exp(exponents - 0.5 * np.linalg.slogdet(wide / sigma)[1])).sum()
    return float(total)


def median_bandwidth(x, y=None):
    """The median heuristic: the median of the squared distances between different samples, of at most 500 from each set.

    Args:
        x: samples `(n, ...)`.
        y: more samples `(m, ...)`, or `None`.

    Returns:
        A scalar, float32, without a gradient; at least 1e-6.
    """
    sets = [_rows(name, v)[:MEDIAN_POINTS] for name, v in (("x", x), ("y", y)) if name == "x" or v is not None]
    points = ops.stop_gradient(ops.concatenate(sets) if len(sets) > 1 else sets[0])
    centred = points - ops.mean(points, axis=0)
    distances = _square_distances(centred, centred)
    n = ops.shape(points)[0]
    # those of points with themselves come first, as zeros do
    ordered = ops.sort(ops.reshape(distances * (1 - ops.eye(n, dtype="float32")) - ops.eye(n, dtype="float32"), (-1,)))[n:]
    pairs = n * n - n
    return ops.maximum(0.5 * (ordered[(pairs - 1) // 2] + ordered[pairs // 2]), 1e-6)


def _check(x, y, bandwidths, unbiased, block):
    """Raise unless the arguments fit."""
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"`x` and `y` must have samples of one shape. Received: {x.shape[1]} and {y.shape[1]} numbers a sample")
    if isinstance(bandwidths, str):
        if bandwidths != "median":
            refuse("bandwidths", "positive numbers, or 'median'", bandwidths)
    elif not ops.is_tensor(bandwidths):
        found = np.asarray(bandwidths)
        if found.ndim != 1 or found.dtype.kind not in "fiu" or not found.size or not (np.isfinite(found).all() and found.min() > 0):
            refuse("bandwidths", "positive numbers, or 'median'", bandwidths)
    if not isinstance(block, int) or block < 1:
        refuse("block", "a whole number, at least 1", block)
    for name, samples in (("x", x), ("y", y)):
        if unbiased and samples.shape[0] == 1:
            raise ValueError(f"`{name}` must have at least two samples for the unbiased estimate. Received: 1")


def _rows(name, x):
    """As float32 `(n, d)`; what is no tensor is checked."""
    x = ops.cast(numbers(name, x) if isinstance(x, np.ndarray) or not hasattr(x, "dtype") else x, "float32")
    if not len(x.shape) or x.shape[0] == 0:
        refuse(name, "samples (n, ...), at least one", x)
    return ops.reshape(x, (-1, int(np.prod(x.shape[1:])))) if len(x.shape) != 2 else x


def _shares(x, weight):
    """The share of each sample in the mean."""
    n = ops.shape(x)[0]
    if weight is None:
        return ops.ones((n,), "float32") / ops.cast(n, "float32")
    if not is_traced(weight):
        found = numbers("x_weight", weight)
        if found.size != n or found.min() < 0:
            refuse("x_weight", f"a number for each of {n} samples, at least 0", weight)
    weight = ops.stop_gradient(ops.reshape(ops.cast(weight, "float32"), (-1,)))
    return weight / ops.maximum(ops.sum(weight), 1e-12)


def _without_self(within, shares, kernels):
    """The mean over pairs of different samples; of a sample with itself each kernel is 1."""
    own = ops.sum(ops.square(shares))
    return (within - own * ops.cast(kernels, "float32")) / ops.maximum(1 - own, 1e-12)


def _within(x, a, bandwidths, block):
    """`sum_ij a_i a_j k(x_i, x_j)`."""

    @ops.custom_gradient
    def summed(x):
        sums, slopes = _pass(x, x, a, bandwidths, block)

        def backward(*args, upstream=None):
            return (args[0] if upstream is None else upstream) * 2 * a[:, None] * slopes

        return ops.sum(a * sums), backward

    return summed(x)


def _between(x, y, a, b, bandwidths, block):
    """`sum_ij a_i b_j k(x_i, y_j)`. The first set's gradient comes with the sum, the other's costs a pass of its own if it is asked for."""

    @ops.custom_gradient
    def summed(x, y):
        sums, slopes = _pass(x, y, b, bandwidths, block)

        def backward(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            return upstream * a[:, None] * slopes, upstream * b[:, None] * _pass(y, x, a, bandwidths, block)[1]

        return ops.sum(a * sums), backward

    return summed(x, y)


def _pass(x, y, b, bandwidths, block):
    """`sum_j b_j k(x_i, y_j)` of each `i`, `(n,)`, and its gradient with respect to `x_i`, `(n, d)`."""
    n, size = ops.shape(x)[0], x.shape[1]
    blocks = ops.reshape(ops.pad(x, ((0, -n % block), (0, 0))), (-1, block, size))

    def rows(part):
        halves = -0.5 * _square_distances(part, y)
        kernel, slope = 0.0, 0.0
        for q in range(bandwidths.shape[0]):
            value = ops.exp(halves / bandwidths[q])
            kernel, slope = kernel + value, slope + value / bandwidths[q]
        slope = slope * b
        return ops.matmul(kernel, b[:, None])[:, 0], ops.matmul(slope, y) - ops.sum(slope, axis=1, keepdims=True) * part

    sums, slopes = ops.map(rows, blocks)
    return ops.reshape(sums, (-1,))[:n], ops.reshape(slopes, (-1, size))[:n]


def _square_distances(x, y):
    products = ops.matmul(x, ops.transpose(y))
    return ops.maximum(ops.sum(ops.square(x), axis=1)[:, None] - 2 * products + ops.sum(ops.square(y), axis=1), 0.0)
