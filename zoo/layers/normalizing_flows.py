"""Normalizing flows: invertible steps that bend a simple density into a rich one, with exact log-determinants.

Papers: Rezende, Mohamed 2015, "Variational Inference with Normalizing Flows", arXiv 1505.05770 (planar and radial flows, section 4.1 and
appendix A); Dinh, Krueger, Bengio 2014, "NICE: Non-linear Independent Components Estimation", arXiv 1410.8516 (additive coupling).

All flows have one interface: `flow(z) -> (z', log_det)` and `flow.inverse(z') -> (z, log_det)`, each with the log-determinant of its own
Jacobian. If `z` has the density `q`, then `log q'(z') = log q(z) - log_det` (equation 13).

Shapes: points `(..., dim)`, log-determinants `(...)`. A flow has its own weights, or, with `amortised=True`, takes the parameters of each
point as a second argument, `(..., parameter_count(dim))`, any numbers; their axes before the last broadcast against those of the points:
`(batch, 1, parameters)` serve `(batch, samples, dim)`.

Differences from the papers:
1. Where w vanishes, the reparametrisation of a planar step divides by 1e-6 in place of |w|^2.
2. The function of an additive coupling is a small network of one hidden layer of ReLUs, whose weights an encoder can give as well.
"""

import math

import keras
import numpy as np
from keras import ops

from zoo import arguments, autodiff

# of |w|^2
TINY = 1e-6
# halvings of an interval until float32 cannot tell its ends
HALVINGS = 40
MIXINGS = ("orthogonal", "permutation")


class NormalizingFlow(keras.layers.Layer):
    """A chain of `length` steps of one kind; the base of the flows below.

    Args:
        length: number of steps.
        amortised: whether each point brings its parameters, the output of an encoder, in place of weights of the layer.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if `length` is not positive.
    """

    # coordinates that points must have
    least_dim = 1

    def __init__(self, length=1, amortised=False, **kwargs):
        super().__init__(**kwargs)
        self.length, self.amortised = arguments.count("length", length), arguments.flag("amortised", amortised)

    def build(self, z_shape, parameters_shape=None):
        """Make the weights, `(parameter_count(dim),)`, unless the flow is amortised."""
        if self.built:
            return
        if z_shape[-1] < self.least_dim:
            raise ValueError(f"`z` must have at least {self.least_dim} coordinates. Received: {z_shape[-1]}")
        if not self.amortised:
            shape = (self.parameter_count(z_shape[-1]),)
            self.parameters = self.add_weight(name="parameters", shape=shape, initializer=self.initial_parameters)

    def call(self, z, parameters=None):
        """Bend points.

        Args:
            z: points `(..., dim)`.
            parameters: `(..., parameter_count(dim))`, of an amortised flow.

        Returns:
            The new points `(..., dim)`, and the log-determinant of the Jacobian `(...)`.

        Raises:
            ValueError: if parameters are missing, have another size, or are not wanted, or if points have other coordinates than when the
                flow was built.
        """
        z, steps = self._steps(z, parameters)
        return self._forward(z, steps)

    def inverse(self, z, parameters=None):
        """Take points back.

        Args:
            z: points `(..., dim)` that `call` could give.
            parameters: as `call` had them.

        Returns:
            The points before `(..., dim)`, and the log-determinant of the Jacobian of the inverse `(...)`. Both can be differentiated once.
        """
        z = ops.convert_to_tensor(z, self.compute_dtype)
        self.build((None, z.shape[-1]))
        z, steps = self._steps(z, parameters)
        z, _ = autodiff.scan(self._step_back, z, [ops.flip(part, 0) for part in steps])
        return z, -self._forward(z, steps)[1]

    def parameter_count(self, dim):
        """Numbers that all steps take for points of `dim` coordinates."""
        return self.length * sum(self._sizes(dim))

    def initial_parameters(self, shape, dtype=None):
        """An initializer of parameters, `(parameter_count(dim),)`: random steps that leave points where they are, but for a mixing.

        It is that of the layer's own weights, and serves the bias of the layer of an encoder that gives parameters.
        """
        return ops.reshape(self._initial((self.length, shape[0] // self.length), dtype), shape)

    def compute_output_shape(self, z_shape, parameters_shape=None):
        """Those of points and log-determinants."""
        return tuple(z_shape), tuple(z_shape[:-1])

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "length": self.length, "amortised": self.amortised}

    def _steps(self, z, parameters):
        """Points with all axes that the parameters have, and the parts of the parameters, `(length, ..., size)` each."""
        if (parameters is None) == self.amortised:
            expected = "given to an amortised flow" if self.amortised else "None: the flow has weights of its own"
            raise ValueError(f"`parameters` must be {expected}. Received: {parameters}")
        z = ops.convert_to_tensor(z, self.compute_dtype)
        dim, parameters = z.shape[-1], ops.convert_to_tensor(parameters) if self.amortised else self.parameters
        size = self.parameter_count(dim)
        if not self.amortised and parameters.shape[0] != size:
            raise ValueError(f"`z` must have as many coordinates as when the flow was built. Received: {dim}")
        axes = [[n or 1 for n in a.shape[:-1]][::-1] for a in (z, parameters)]
        if parameters.shape[-1] != size or any(1 not in pair and pair[0] != pair[1] for pair in zip(*axes)):
            expected = f"shape (..., {size}), whose first axes go with those of points {tuple(z.shape)}"
            raise ValueError(f"`parameters` must have {expected}. Received: {tuple(parameters.shape)}")
        parameters = ops.reshape(parameters, (*ops.shape(parameters)[:-1], self.length, size // self.length))
        bounds = np.cumsum(self._sizes(dim))[:-1].tolist()
        parameters = ops.moveaxis(ops.cast(parameters, z.dtype), -2, 0)
        parts = self._constrained(*ops.split(parameters, bounds, axis=-1))
        return z + ops.zeros_like(parts[0][0, ..., :1]), [*parts, *self._constants(dim)]

    def _constrained(self, *parts):
        """What makes any numbers the parameters of invertible steps."""
        return parts

    def _constants(self, dim):
        """Further parts of each step that are not trained."""
        return []

    def _sizes(self, dim):
        """Sizes of the parts of a step's parameters."""
        raise NotImplementedError

    def _initial(self, shape, dtype=None):
        """The first weights, `(length, parameters of a step)`."""
        raise NotImplementedError

    def _forward(self, z, steps):
        """New points and log-determinant of all steps."""
        raise NotImplementedError

    def _step_back(self, z, step):
        """The points before a step, twice."""
        raise NotImplementedError


@keras.saving.register_keras_serializable("zoo")
class PlanarFlow(NormalizingFlow):
    """Steps that stretch or squeeze space across a plane: f(z) = z + u tanh(w z + b) (equation 10).

    The parameters of a step are u and w, `dim` numbers each, and b. Appendix A.1 moves u along w until w u > -1, which makes the step
    invertible.

    Args:
        length: number of steps.
        amortised: whether parameters come with the points.
        **kwargs: of `keras.layers.Layer`.
    """

    def _sizes(self, dim):
        return dim, dim, 1

    def _initial(self, shape, dtype=None):
        dim = shape[-1] // 2
        w = keras.random.normal((shape[0], dim), stddev=dim**-0.5, dtype=dtype)
        # what the reparametrisation makes 0: w u is where softplus is 1
        u = math.log(math.e - 1) * w / ops.maximum(ops.sum(w * w, axis=-1, keepdims=True), TINY)
        return ops.concatenate([u, w, ops.zeros_like(w[:, :1])], axis=-1)

    def _constrained(self, u, w, b):
        wu = ops.sum(w * u, axis=-1, keepdims=True)
        square = ops.maximum(ops.sum(w * w, axis=-1, keepdims=True), TINY)
        u = u + (ops.softplus(wu) - 1 - wu) / square * w
        return u, w, b, ops.sum(w * u, axis=-1, keepdims=True)

    def _forward(self, z, steps):
        def bend(z, step):
            u, w, b, wu = step
            h = ops.tanh(_dot(w, z) + b)
            return z + u * h, (1 - h * h) * wu

        z, slopes = autodiff.scan(bend, z, steps)
        return z, ops.sum(ops.log1p(slopes), axis=(0, -1))

    def _step_back(self, z, step):
        # a + (w u) tanh(a + b) = w z_after rises with a = w z_before
        u, w, b, wu = step
        after = _dot(w, z)

        def excess(a):
            return a + wu * ops.tanh(a + b) - after

        a = ops.stop_gradient(_root(excess, after, ops.abs(wu)))
        # bisection has no derivative: it is that of the implicit function, which a step of Newton's has
        h = ops.tanh(a + b)
        newton = (after - a - wu * h) / ops.maximum(ops.stop_gradient(1 + wu * (1 - h * h)), TINY)
        a = a + newton - ops.stop_gradient(newton)
        z = z - u * ops.tanh(a + b)
        return z, z


@keras.saving.register_keras_serializable("zoo")
class RadialFlow(NormalizingFlow):
    """Steps that pull points towards a centre or push them away: f(z) = z + beta (z - c) / (alpha + |z - c|) (equation 14).

    The parameters of a step are the centre c, `dim` numbers, and two that become alpha > 0 and, by appendix A.2, beta > -alpha. A step
    whose two last parameters are equal leaves points where they are.

    Args:
        length: number of steps.
        amortised: whether parameters come with the points.
        **kwargs: of `keras.layers.Layer`.
    """

    def _sizes(self, dim):
        return dim, 1, 1

    def _initial(self, shape, dtype=None):
        centres = keras.random.normal((shape[0], shape[1] - 2), dtype=dtype)
        return ops.concatenate([centres, ops.zeros((shape[0], 2), dtype)], axis=-1)

    def _constrained(self, centre, alpha, beta):
        alpha = ops.softplus(alpha)
        return centre, alpha, ops.softplus(beta) - alpha

    def _forward(self, z, steps):
        dim = z.shape[-1]

        def bend(z, step):
            centre, alpha, beta = step
            away = z - centre
            h = 1 / (alpha + _norm(away))
            return z + beta * h * away, h

        z, h = autodiff.scan(bend, z, steps)
        _, alpha, beta = steps
        alpha, beta = (_with_axes(part, len(h.shape)) for part in (alpha, beta))
        logs = (dim - 1) * ops.log1p(beta * h) + ops.log1p(alpha * beta * h * h)
        return z, ops.sum(logs, axis=(0, -1))

    def _step_back(self, z, step):
        # r + beta r / (alpha + r) = R for the distances r before and R after: a quadratic equation, its positive root
        centre, alpha, beta = step
        away = z - centre
        after = _norm(away)
        half = 0.5 * (alpha + beta - after)
        root = ops.sqrt(half * half + after * alpha)
        # of two equal forms the one without cancellation
        before = ops.where(half > 0, after * alpha / (ops.abs(half) + root), root - half)
        z = centre + away * (before / ops.maximum(after, TINY))
        return z, z


@keras.saving.register_keras_serializable("zoo")
class Coupling(NormalizingFlow):
    """Steps that keep volume (NICE): coordinates are mixed, and then half of them is shifted by a function of the other half.

    The function is a network with one hidden layer of ReLUs; its weights are the parameters of the step. The mixing is a random matrix or
    permutation that is never trained.

    Args:
        length: number of steps.
        amortised: whether parameters come with the points.
        units: of the hidden layer.
        mixing: `"orthogonal"` or `"permutation"`, how coordinates are mixed before each shift.
        seed: of the mixing.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is none of these, or points have fewer than two coordinates.
    """

    # which couple
    least_dim = 2

    def __init__(self, length=1, amortised=False, units=2, mixing="orthogonal", seed=0, **kwargs):
        super().__init__(length, amortised, **kwargs)
        self.mixing = arguments.one_of("mixing", mixing, MIXINGS)
        self.units, self.seed = arguments.count("units", units), arguments.count("seed", seed, low=0)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units, "mixing": self.mixing, "seed": self.seed}

    def _sizes(self, dim):
        kept = dim // 2
        return kept * self.units, self.units, self.units * (dim - kept), dim - kept

    def _initial(self, shape, dtype=None):
        # steps keep points where they are at first, apart from the mixing
        weights = keras.random.normal(shape, stddev=shape[-1] ** -0.5, dtype=dtype)
        return ops.concatenate([weights[:, : shape[-1] // 2], ops.zeros_like(weights[:, shape[-1] // 2 :])], axis=-1)

    def _constants(self, dim):
        return [ops.convert_to_tensor(self.mixing_matrices(dim), self.compute_dtype)]

    def _forward(self, z, steps):
        kept = z.shape[-1] // 2

        def couple(z, step):
            *network, matrix = step
            z = ops.matmul(z, matrix)
            a, b = z[..., :kept], z[..., kept:]
            return ops.concatenate([a, b + self._shift(a, network)], axis=-1), ops.zeros(())

        z, _ = autodiff.scan(couple, z, steps)
        return z, ops.zeros_like(z[..., 0])

    def _step_back(self, z, step):
        *network, matrix = step
        kept = z.shape[-1] // 2
        a, b = z[..., :kept], z[..., kept:]
        z = ops.concatenate([a, b - self._shift(a, network)], axis=-1)
        z = ops.matmul(z, ops.transpose(matrix))
        return z, z

    def _shift(self, a, step):
        """The network's output for the half that is kept."""
        first, first_bias, second, second_bias = step
        hidden = ops.relu(_times(a, first, self.units) + first_bias)
        return _times(hidden, second, second_bias.shape[-1]) + second_bias

    def mixing_matrices(self, dim):
        """The orthogonal matrices that points `(..., dim)` are multiplied by from the right, `(length, dim, dim)`, NumPy."""
        rng = np.random.default_rng(self.seed)
        if self.mixing == "permutation":
            return np.stack([np.eye(dim)[rng.permutation(dim)] for _ in range(self.length)])
        q, r = np.linalg.qr(rng.normal(size=(self.length, dim, dim)))
        # without the signs, not all rotations would be equally likely
        return q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]


def _times(x, matrix, columns):
    """`x` `(..., rows)` times matrices that are given as rows of numbers `(..., rows * columns)`."""
    matrix = ops.reshape(matrix, (*ops.shape(matrix)[:-1], x.shape[-1], columns))
    return ops.matmul(x, matrix) if len(matrix.shape) == 2 else ops.squeeze(ops.matmul(x[..., None, :], matrix), -2)


def _dot(w, z):
    """w z for points `(..., dim)` and their own vectors, or one for all `(dim,)`, which is faster; the last axis stays."""
    return ops.matmul(z, w[:, None]) if len(w.shape) == 1 else ops.sum(w * z, axis=-1, keepdims=True)


def _with_axes(part, axes):
    """Parts `(length, ..., size)` with as many axes as the points of all steps have."""
    return ops.reshape(part, (part.shape[0], *[1] * (axes - len(part.shape)), *ops.shape(part)[1:]))


def _norm(x):
    """Length of vectors, with a derivative of 0 where they vanish."""
    square = ops.sum(x * x, axis=-1, keepdims=True)
    return ops.where(square > 0, ops.sqrt(ops.where(square > 0, square, 1.0)), 0.0)


def _root(function, middle, radius):
    """Where rising functions vanish, between `middle - radius` and `middle + radius`, by bisection."""

    def halve(_, bounds):
        low, high = bounds
        centre = 0.5 * (low + high)
        is_below = function(centre) < 0
        return ops.where(is_below, centre, low), ops.where(is_below, high, centre)

    low, high = ops.fori_loop(0, HALVINGS, halve, (middle - radius, middle + radius + ops.zeros_like(middle)))
    return 0.5 * (low + high)
