"""A density that is fitted to an energy: a Gaussian bent by a normalizing flow, moved towards exp(-energy) by the reverse divergence.

Paper: Rezende, Mohamed 2015, "Variational Inference with Normalizing Flows", arXiv 1505.05770, section 6.1, whose four energies of two
coordinates (table 1) are `ENERGIES`.

Differences from the paper:
1. Outside -4 < z_1 < 4, where the paper's figures end, a wall is added to the energies 2 to 4, which have no finite integral otherwise.
2. The Gaussian is trained with the flow. Adam and the numbers of steps are ours.
"""

import math

import keras
import numpy as np
from keras import ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Index, Number, Numbers, Verbose, checked
from zoo.layers.normalizing_flows import NormalizingFlow

LOG_2_PI = math.log(2 * math.pi)
# points of a verb at a time
ROWS = 10000


@keras.saving.register_keras_serializable("zoo")
class FlowDensity(keras.layers.Layer):
    """A Gaussian with a diagonal covariance behind a normalizing flow; `layer(noise)` gives points and their log-densities.

        density = FlowDensity(PlanarFlow(length=16))
        density.fit(energy)
        z, log_q = density.sample(1000)

    Args:
        flow: a flow of `zoo.layers` with weights of its own, such as `PlanarFlow(length=16)`; `None` for the Gaussian alone.
        dim: coordinates of a point.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if `flow` is no flow or amortised, or `dim` is not positive.
    """

    def __init__(self, flow=None, dim=2, **kwargs):
        super().__init__(**kwargs)
        self.dim = arguments.count("dim", dim)
        if flow is not None and (not isinstance(flow, NormalizingFlow) or flow.amortised):
            raise ValueError(f"`flow` must be a flow of `zoo.layers` with weights of its own, or None. Received: {flow!r}")
        self.flow = flow
        self.mean = self.add_weight(name="mean", shape=(self.dim,), initializer="zeros")
        self.log_scale = self.add_weight(name="log_scale", shape=(self.dim,), initializer="zeros")
        if flow is not None:
            flow.build((None, self.dim))
            if flow.parameters.shape[0] != flow.parameter_count(self.dim):
                raise ValueError(f"`flow` must not have been built for points of other than {self.dim} coordinates. Received: {flow!r}")
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(self, noise):
        """Points `(..., dim)` and their log-densities `(...)` from standard normal noise `(..., dim)` (equation 13)."""
        z = self.mean + ops.exp(self.log_scale) * noise
        log_q = -0.5 * ops.sum(noise * noise + LOG_2_PI, axis=-1) - ops.sum(self.log_scale)
        if self.flow is None:
            return z, log_q
        z, log_det = self.flow(z)
        return z, log_q - log_det

    @checked
    def fit(
        self,
        energy,
        steps: Count = 5000,
        batch_size: Count = 256,
        optimizer=None,
        annealing_steps: Index | None = None,
        verbose: Verbose = 1,
    ):
        """Lower the reverse divergence, KL(q || exp(-energy) / Z), up to the constant log Z.

        Args:
            energy: function from points, a tensor `(batch, dim)`, to energies `(batch,)`, written in `keras.ops`.
            steps: updates.
            batch_size: points drawn for each.
            optimizer: a Keras optimizer, which is used up, or the name of one; `None` is Adam with a rate that falls from 0.01 to 0 as a
                cosine.
            annealing_steps: updates until the energy counts in full: its weight is min(1, 0.01 + t / `annealing_steps`) (equation 20).
                0 for no annealing, which may lose modes; `None` for half of `steps`.
            verbose: 1 shows a progress bar.

        Returns:
            Array `(steps,)`: E[log q + weight * energy] of each batch.

        Raises:
            ValueError: if `energy` is no function, or does not give a number for each point, or `optimizer` is none.
        """
        _check_energy(energy)
        found = energy(ops.zeros((3, self.dim)))
        if not ops.is_tensor(found) or tuple(found.shape) != (3,):
            expected = f"a tensor of shape (batch,) for points (batch, {self.dim})"
            raise ValueError(f"`energy` must give {expected}. Received: {arguments.shown(found)} for 3 points")
        optimizer = self._optimizer(optimizer, steps)
        annealing_steps = steps // 2 if annealing_steps is None else annealing_steps

        def step(beta):
            noise = keras.random.normal((batch_size, self.dim), seed=self.seed_generator)

            def loss():
                z, log_q = self(noise)
                return ops.mean(log_q + beta * energy(z))

            value, gradients = autodiff.value_and_weight_grad(loss, self.trainable_variables)
            optimizer.apply(gradients, self.trainable_variables)
            return value

        run, losses = autodiff.compiled(step, self, optimizer=optimizer), []
        bar = keras.utils.Progbar(steps, verbose=1 if verbose else 0, stateless_metrics=[])
        for t in range(steps):
            beta = min(1.0, 0.01 + t / annealing_steps) if annealing_steps else 1.0
            losses.append(run(np.float32(beta)))
            if verbose:
                bar.update(t + 1, [("loss", float(losses[-1]))])
        return ops.convert_to_numpy(ops.stack(losses))

    def _optimizer(self, given, steps):
        """What `fit` updates with, built."""
        try:
            rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
            found = keras.optimizers.Adam(rate) if given is None else keras.optimizers.get(given)
        except (ValueError, TypeError):
            arguments.refuse("optimizer", "a Keras optimizer, or the name of one", given)
        found.build(self.trainable_variables)
        return found

    @checked
    def sample(self, n: Count, seed: Index | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Draw `n` points: `(n, dim)`, and their log-densities `(n,)`; an int `seed` gives the same ones each time."""
        seed = ops.convert_to_numpy(self.seed_generator.next()) if seed is None else seed
        noise = np.random.default_rng(seed).standard_normal((n, self.dim), "float32")
        return self._in_rows("sample", self, noise)

    @checked
    def log_prob(self, z: Numbers) -> np.ndarray:
        """The log-density of points, by the inverse of the flow.

        Args:
            z: `(n, dim)`.

        Returns:
            Array `(n,)`, nats.

        Raises:
            ValueError: if `z` has another shape.
        """
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise ValueError(f"`z` must have shape (n, {self.dim}). Received: {z.shape}")
        return self._in_rows("log_prob", self._log_prob, z.astype("float32"))[0]

    @checked
    def divergence(self, energy, samples: Count = 100000, seed: Index = 0, low: Number = -6.0, high: Number = 6.0) -> float:
        """KL(q || exp(-energy) / Z) in nats for two coordinates: the mean over draws, and log Z by numerical integration.

        Args:
            energy: as in `fit`.
            samples: draws.
            seed: of the draws.
            low: lower end of both coordinates for the integral, beyond which exp(-energy) must vanish.
            high: upper end.

        Returns:
            A float.

        Raises:
            ValueError: if `dim` is not 2, `energy` is no function, or `low` is not less than `high`.
        """
        _check_energy(energy)
        if low >= high:
            raise ValueError(f"`low` must be less than `high`. Received: {low}, {high}")
        if self.dim != 2:
            raise ValueError(f"`dim` must be 2 for an integral on a grid. Received: {self.dim}")
        z, log_q = self.sample(samples, seed)
        drawn = ops.convert_to_numpy(energy(ops.convert_to_tensor(z)))
        return float(np.mean(log_q + drawn, dtype="float64") + log_normalizer(energy, low, high))

    def get_config(self):
        """The constructor's arguments."""
        flow = None if self.flow is None else keras.saving.serialize_keras_object(self.flow)
        return {**super().get_config(), "flow": flow, "dim": self.dim}

    @classmethod
    def from_config(cls, config):
        """Rebuild the flow as well."""
        return cls(**{**config, "flow": config["flow"] and keras.saving.deserialize_keras_object(config["flow"])})

    def _log_prob(self, z):
        log_det = 0.0
        if self.flow is not None:
            z, log_det = self.flow.inverse(z)
        noise = (z - self.mean) * ops.exp(-self.log_scale)
        return [-0.5 * ops.sum(noise * noise + LOG_2_PI, axis=-1) - ops.sum(self.log_scale) + log_det]

    def _in_rows(self, name, function, x):
        return tuple(autodiff.in_batches(autodiff.compiled_once(self, name, function), [x], ROWS))


# --- the paper's four energies (table 1) ---


def ring_energy(z):
    """Two opposite arcs of a ring: energy 1 of points `(n, 2)`."""
    radius = ops.sqrt(ops.sum(z * z, axis=-1) + 1e-12)
    arcs = ops.logaddexp(-0.5 * ((z[:, 0] - 2) / 0.6) ** 2, -0.5 * ((z[:, 0] + 2) / 0.6) ** 2)
    return 0.5 * ((radius - 2) / 0.4) ** 2 - arcs


def wave_energy(z):
    """A band along a sine: energy 2 of points `(n, 2)`."""
    return 0.5 * (_above_wave(z) / 0.4) ** 2 + _wall(z)


def split_wave_energy(z):
    """A band that parts into two and joins again: energy 3 of points `(n, 2)`."""
    bump = 3 * ops.exp(-0.5 * ((z[:, 0] - 1) / 0.6) ** 2)
    return _two_bands(_above_wave(z) / 0.35, (_above_wave(z) + bump) / 0.35) + _wall(z)


def forked_wave_energy(z):
    """A band that forks into two: energy 4 of points `(n, 2)`."""
    step = 3 * ops.sigmoid((z[:, 0] - 1) / 0.3)
    return _two_bands(_above_wave(z) / 0.4, (_above_wave(z) + step) / 0.35) + _wall(z)


ENERGIES = (ring_energy, wave_energy, split_wave_energy, forked_wave_energy)


def log_normalizer(energy, low=-6.0, high=6.0, points=600):
    """log of the integral of exp(-energy) over a square, by the midpoint rule on `points` x `points` squares; a float."""
    width = (high - low) / points
    middle = low + width * (np.arange(points, dtype="float32") + 0.5)
    z = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
    values = ops.convert_to_numpy(ops.logsumexp(-energy(ops.convert_to_tensor(z))))
    return float(values) + 2 * math.log(width)


def _check_energy(energy):
    if not callable(energy):
        arguments.refuse("energy", "a function of points", energy)


def _above_wave(z):
    return z[:, 1] - ops.sin(2 * math.pi * z[:, 0] / 4)


def _two_bands(first, second):
    return -ops.logaddexp(-0.5 * first**2, -0.5 * second**2)


def _wall(z):
    """0 inside the paper's figures; 1 / 5 beyond them already costs half a nat."""
    return 0.5 * (ops.relu(ops.abs(z[:, 0]) - 4) / 0.2) ** 2
