"""Mixture of conditional Gaussian scale mixtures: a conditional density of pixels given what predicts them.

Papers: Theis, Hosseini, Bethge 2012, "Mixtures of conditional Gaussian scale mixtures applied to multiscale image representations"; with
shared features, Theis, Bethge 2015, "Generative Image Modeling Using Spatial LSTMs", arXiv 1506.03478, section 2.2.
"""

import math

import keras
from keras import ops

LOG_2_PI = math.log(2.0 * math.pi)


@keras.saving.register_keras_serializable("zoo")
class MCGSM(keras.layers.Layer):
    """Factorised mixture of conditional Gaussian scale mixtures (equations 4 to 6); in float32 whatever the dtype policy.

    A component c and a scale s are chosen by a gate, then outputs y are Gaussian given inputs x:

        p(c, s | x) ~ exp(eta_cs - exp(alpha_cs) / 2 * sum_n beta_cn^2 (b_n' x)^2 + exp(alpha_cs) w_c' x)
        p(y | x, c, s) = N(y; A_c x + u_c, exp(-alpha_cs) (L_c L_c')^-1)

    `L_c` is 1 for one output, else lower triangular with a positive diagonal.

    Args:
        outputs: number of outputs.
        components: number of components.
        scales: scales of each component.
        features: number of quadratic features b_n that the components share.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if a number is below 1.
    """

    def __init__(self, outputs=1, components=32, scales=4, features=32, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        for name, value in {"outputs": outputs, "components": components, "scales": scales, "features": features}.items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}")
        self.outputs, self.components, self.scales, self.features = outputs, components, scales, features

    def build(self, input_shape):
        """Make the weights for inputs `(..., dimensions)`."""
        d, m, c, s, n = input_shape[-1], self.outputs, self.components, self.scales, self.features
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.eta = self.add_weight((c, s), "zeros", name="eta")
        self.alpha = self.add_weight((c, s), keras.initializers.RandomNormal(stddev=1.0), name="alpha")
        self.beta = self.add_weight((n, c), keras.initializers.RandomUniform(0.0, 0.1), name="beta")
        self.b = self.add_weight((d, n), keras.initializers.RandomNormal(stddev=1.0 / math.sqrt(d)), name="b")
        self.w = self.add_weight((d, c), small.clone(), name="w")
        self.a = self.add_weight((d, c * m), small.clone(), name="a")
        self.u = self.add_weight((c, m), "zeros", name="u")
        # diagonals are kept as logarithms
        self.factor = self.add_weight((c, m, m), "zeros", name="factor") if m > 1 else None

    def call(self, x, y):
        """Log-densities `(...)` in nats of outputs y `(..., outputs)` given inputs x `(..., dimensions)`."""
        gates, means = self.parameters(x)
        z = y[..., None, :] - means
        log_det = 0.0
        if self.factor is not None:
            lower, logs = self._lower()
            # L' (y - mean)
            z = ops.sum(z[..., :, None] * lower, axis=-2)
            log_det = ops.sum(logs, axis=-1)[:, None]
        distance = ops.sum(ops.square(z), axis=-1)[..., None]
        log_p = 0.5 * self.outputs * (self.alpha - LOG_2_PI) + log_det - 0.5 * ops.exp(self.alpha) * distance
        return ops.logsumexp(gates + log_p, axis=(-2, -1))

    def parameters(self, x):
        """Logarithms of the gate `(..., components, scales)`, and the components' means `(..., components, outputs)`."""
        energy = ops.matmul(ops.square(ops.matmul(x, self.b)), ops.square(self.beta))
        gates = self.eta + ops.exp(self.alpha) * (ops.matmul(x, self.w) - 0.5 * energy)[..., None]
        gates = gates - ops.logsumexp(gates, axis=(-2, -1), keepdims=True)
        means = ops.reshape(ops.matmul(x, self.a), (*ops.shape(x)[:-1], self.components, self.outputs)) + self.u
        return gates, means

    def draw(self, x, uniform, normal):
        """Draws of the outputs.

        Args:
            x: inputs `(rows, dimensions)`.
            uniform: `(rows,)`, in [0, 1), chooses component and scale.
            normal: `(rows, outputs)`, standard normal.

        Returns:
            `(rows, outputs)`.
        """
        gates, means = self.parameters(x)
        shares = ops.cumsum(ops.exp(ops.reshape(gates, (-1, self.components * self.scales))), axis=-1)
        chosen = ops.sum(ops.cast(shares[:, :-1] <= uniform[:, None] * shares[:, -1:], "int32"), axis=-1)
        component = chosen // self.scales
        deviation = normal
        if self.factor is not None:
            lower = ops.take(self._lower()[0], component, axis=0)
            deviation = ops.solve_triangular(ops.transpose(lower, (0, 2, 1)), normal[..., None], lower=False)[..., 0]
        mean = ops.take_along_axis(means, component[:, None, None], axis=1)[:, 0]
        return mean + ops.exp(-0.5 * ops.take(ops.reshape(self.alpha, (-1,)), chosen))[:, None] * deviation

    def _lower(self):
        """The factors L `(components, outputs, outputs)`, and the logarithms of their diagonals `(components, outputs)`."""
        logs = ops.diagonal(self.factor, axis1=-2, axis2=-1)
        eye = ops.eye(self.outputs)
        return ops.tril(self.factor, -1) + eye * ops.exp(logs)[..., None], logs

    def compute_output_shape(self, input_shape, y_shape=None):
        """`(...)`."""
        return input_shape[:-1]

    def get_config(self):
        """The constructor's arguments."""
        sizes = {"outputs": self.outputs, "components": self.components, "scales": self.scales, "features": self.features}
        return {**super().get_config(), **sizes}
