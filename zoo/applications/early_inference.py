"""Early inference in energy-based models: a network that settles at low energy, and whose first moves after a nudge carry errors back.

Paper: Bengio, Fischer 2015, "Early Inference in Energy-Based Models Approximates Back-Propagation", arXiv 1510.02777. Units have real
states s, fire at rates rho(s), and lower the energy

    E(s) = sum s^2 / 2 - sum_k rho(s_k) W_k rho(s_k+1) - sum b rho(s)

by leaky integration, ds/dt = R(s) - s with R_k = rho'(s_k) (b_k + rho(s_k-1) W_k-1 + W_k rho(s_k+1)); connections are symmetric. At a fixed
point s = R(s). If the outputs are then pushed towards their targets, the first change of the layer below is proportional to the error that
back-propagation would bring it, the next layer's follows a step later, and so on. Learning is that of the two phases which grew out of it
(Scellier, Bengio 2016, "Equilibrium Propagation", arXiv 1602.05179): correlations of rates in the nudged state less those in the free one.

Shapes: inputs `(batch, *input_shape)` in [0, 1] -> states of the output units `(batch, num_classes)`.

Differences from the paper:
1. The paper is theory, with Langevin noise and any connections; here are layers, no noise, and inputs that are held.
2. Learning is by the later paper's two phases, with its settings for MNIST, and one rate for all layers.
3. Training starts each batch from states of zero, where the later paper's code keeps the states of every image.
4. What `early_inference` gives is the change under the nudge less the change without it, so that a state which has not quite settled does
   not count. It is carried from step to step as a number of its own: as a difference of states, float32 would lose it.
5. The paper's rule for one synapse, the rate before it times the change of the state behind it, is not among what learns here.
"""

from typing import Annotated

import keras
import numpy as np
from keras import ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Described, Inputs, Number, Positive, Targets, checked
from zoo.model import Field, Model

RATES = ("hard_sigmoid", "sigmoid", "tanh")
# samples that a verb holds at a time
ROWS = 500

States = Annotated[dict, Described("state_fields")]


class EarlyInference(Model):
    """A layered energy-based classifier; `fit(x, label)` learns by two phases of inference, without back-propagation.

    `call` and `predict` give the states of the output units at the free fixed point; the largest names the class.

    Args:
        input_shape: shape of an input in [0, 1].
        num_classes: number of classes.
        hidden_units: sizes of the hidden layers.
        activation: rate of a unit, `"hard_sigmoid"` (states then stay in [0, 1]), `"sigmoid"` or `"tanh"`.
        step_size: of the leaky integration, in units of its time constant; at most 1.
        free_steps: steps of the free phase, from states of zero.
        nudge: strength of the pull of the outputs towards the targets in the second phase (beta); its sign is drawn anew for each batch.
        nudged_steps: steps of that phase, at least as many as there are layers behind the input, or no error reaches the first.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is out of range.
    """

    output_name = "output"
    default_batch_size = 20

    def __init__(
        self,
        input_shape=(28, 28, 1),
        num_classes=10,
        hidden_units=(500,),
        activation="hard_sigmoid",
        step_size=0.5,
        free_steps=20,
        nudge=0.5,
        nudged_steps=4,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("activation", activation, RATES)
        arguments.number("step_size", step_size, above=0, high=1)
        arguments.number("nudge", nudge, above=0)
        for name, sizes in (("input_shape", input_shape), ("hidden_units", hidden_units)):
            for size in arguments.listed(name, sizes, "a list of sizes"):
                arguments.count(name, size)
        least = {"num_classes": (num_classes, 2), "free_steps": (free_steps, 1), "nudged_steps": (nudged_steps, len(hidden_units) + 1)}
        for name, (value, low) in least.items():
            arguments.count(name, value, low)
        self.input_shape, self.num_classes, self.hidden_units = input_shape, num_classes, hidden_units
        self.activation, self.step_size, self.free_steps = activation, step_size, free_steps
        self.nudge, self.nudged_steps = nudge, nudged_steps
        sizes = [int(np.prod(input_shape)), *hidden_units, num_classes]
        options = {"dtype": "float32", "autocast": False}
        self.kernels = [
            self.add_weight((below, above), "glorot_uniform", name=f"kernel_{k}", **options)
            for k, (below, above) in enumerate(zip(sizes, sizes[1:]))
        ]
        self.biases = [self.add_weight((size,), "zeros", name=f"bias_{k}", **options) for k, size in enumerate(sizes[1:])]
        self.seed_generator = keras.random.SeedGenerator()
        self.accuracy = keras.metrics.Mean("accuracy")
        self.compile()

    def input_fields(self):
        """An input in [0, 1]."""
        return [Field("input", tuple(self.input_shape), low=0.0, high=1.0)]

    def target_fields(self):
        """The class."""
        return [Field("label", (), "int32", 0, self.num_classes - 1)]

    def state_fields(self):
        """States of all units behind the input, layer by layer."""
        sizes = [*self.hidden_units, self.num_classes]
        return [Field(name, (size,)) for name, size in zip(self.layer_names, sizes)]

    @property
    def layer_names(self):
        """Names of the layers behind the input: `hidden_0`, ..., `output`."""
        return [*(f"hidden_{k}" for k in range(len(self.hidden_units))), "output"]

    @classmethod
    def example_config(cls):
        """A small network of two hidden layers."""
        sizes = {"input_shape": (3, 2), "num_classes": 3, "hidden_units": (5, 4), "activation": "sigmoid"}
        return {**sizes, "step_size": 0.4, "free_steps": 6, "nudge": 0.7, "nudged_steps": 3}

    def example_calls(self):
        """A small valid call of every verb."""
        x, y = self.example_inputs(2), np.arange(2) % self.num_classes
        states = {field.name: np.zeros((2, *field.shape), "float32") for field in self.state_fields()}
        push = {"x": x, "y": y, "nudge": 0.1, "steps": 2, "step_size": 0.3, "free_steps": 5}
        own = {
            "relax": {"x": x, "steps": 3},
            "energy": {"x": x, "states": states},
            "speed": {"x": x, "states": states},
            "early_inference": push,
            "back_propagated": {"x": x, "y": y, "free_steps": 5},
            "alignment": push,
            "classify": {"x": x},
        }
        return {**super().example_calls(), **own}

    @classmethod
    def search_space(cls, hp):
        """Width, strength of the nudge and learning rate."""
        return {
            "hidden_units": (hp.Choice("width", [100, 200, 500]),),
            "nudge": hp.Float("nudge", 0.1, 1.0),
            "learning_rate": hp.Float("learning_rate", 0.01, 1.0, sampling="log"),
        }

    def default_optimizer(self):
        """Plain gradient steps at rate 0.1."""
        return keras.optimizers.SGD(0.1)

    def compile(self, optimizer="auto", loss="auto", metrics="auto", **kwargs):
        """`zoo.Model.compile`; only the optimizer and its options are free, since learning is the contrast of two phases."""
        for name, value in (("loss", loss), ("metrics", metrics)):
            if value is not None and not (isinstance(value, str) and value == "auto"):
                raise ValueError(f'`{name}` must be "auto": learning follows no other. Received: {arguments.shown(value)}')
        super().compile(optimizer, loss, metrics, **kwargs)

    # --- dynamics ---

    def call(self, x, training=False):
        """States of the output units `(batch, num_classes)` after the free phase; in training a dict of the states of all layers."""
        states = self._settled(x, self.free_steps)
        return dict(zip(self.layer_names, states)) if training else states[-1]

    def _settled(self, x, steps):
        """States of all layers after `steps` of the free phase, from zero."""
        zeros = [ops.zeros((ops.shape(x)[0], size), "float32") for size in (*self.hidden_units, self.num_classes)]
        return self._run_on(x, zeros, steps, self.step_size)

    def _run_on(self, x, states, steps, step_size, nudge=0.0, targets=0.0):
        """States after further steps, the outputs pulled towards targets; without derivatives."""
        weights = self._held(x)

        def step(_, states):
            states = list(states)
            moves = self._speed(states, *weights)
            moves[-1] = moves[-1] - nudge * (states[-1] - targets)
            return tuple(self._within(s + step_size * move) for s, move in zip(states, moves))

        return list(ops.fori_loop(0, steps, step, tuple(ops.stop_gradient(s) for s in states)))

    def _changes(self, x, states, steps, step_size, nudge, targets):
        """By how much a pull on the outputs changes states in further steps, as differences that float32 does not round away."""
        drive, kernels, biases = self._held(x)

        def step(_, carry):
            states, changes = (list(part) for part in carry)
            rates, more = [self._rate(s) for s in states], [self._rate_change(s, d) for s, d in zip(states, changes)]
            totals = self._totals(rates, drive, kernels, biases)
            # inputs and biases do not change
            added = self._totals(more, 0.0, kernels, [0.0] * len(biases))
            after, changed = [], []
            for k, (s, d) in enumerate(zip(states, changes)):
                move = self._slope(s) * added[k] + self._slope_change(rates[k], more[k]) * (totals[k] + added[k]) - d
                if k + 1 == len(states):
                    move = move - nudge * (s + d - targets)
                free, d = s + step_size * (self._slope(s) * totals[k] - s), d + step_size * move
                after.append(self._within(free))
                is_open = ops.equal(after[-1], free) & ops.equal(self._within(free + d), free + d)
                changed.append(ops.where(is_open, d, self._within(free + d) - after[-1]))
            return tuple(after), tuple(changed)

        start = tuple(ops.stop_gradient(s) for s in states)
        return list(ops.fori_loop(0, steps, step, (start, tuple(ops.zeros_like(s) for s in start)))[1])

    def _rate_change(self, state, change):
        """rho(s + d) - rho(s), to the precision of d."""
        if self.activation == "hard_sigmoid":
            # of states in [0, 1], as they are
            return change
        half = 0.5 if self.activation == "sigmoid" else 1.0
        both = ops.tanh(half * state) * ops.tanh(half * (state + change))
        return half * ops.tanh(half * change) * (1 - both)

    def _slope_change(self, rate, change):
        """rho'(s + d) - rho'(s) by rates and their changes."""
        if self.activation == "hard_sigmoid":
            return ops.zeros_like(change)
        return change * (1 - 2 * rate - change) if self.activation == "sigmoid" else -change * (2 * rate + change)

    def _held(self, x):
        """What stays as it is in a run, without derivatives: the drive of the first layer by the inputs, and the weights."""
        kernels, biases = ([ops.stop_gradient(ops.convert_to_tensor(v)) for v in group] for group in (self.kernels, self.biases))
        return ops.matmul(self._flat(x), kernels[0]) + biases[0], kernels, biases

    def _speed(self, states, drive, kernels, biases):
        """R(s) - s, the slope of the energy downwards."""
        totals = self._totals([self._rate(s) for s in states], drive, kernels, biases)
        return [self._slope(state) * total - state for state, total in zip(states, totals)]

    def _totals(self, rates, drive, kernels, biases):
        """What each unit is given by its bias and its neighbours' rates."""
        totals = [drive]
        for k in range(1, len(rates)):
            totals.append(ops.matmul(rates[k - 1], kernels[k]) + biases[k])
            totals[k - 1] = totals[k - 1] + ops.matmul(rates[k], ops.transpose(kernels[k]))
        return totals

    def _rate(self, state):
        """rho(s)."""
        if self.activation == "hard_sigmoid":
            return ops.clip(state, 0.0, 1.0)
        return ops.sigmoid(state) if self.activation == "sigmoid" else ops.tanh(state)

    def _slope(self, state):
        """rho'(s)."""
        if self.activation == "hard_sigmoid":
            return ops.cast((state >= 0) & (state <= 1), state.dtype)
        rate = self._rate(state)
        return rate * (1 - rate) if self.activation == "sigmoid" else 1 - rate * rate

    def _passing(self, state):
        """The slope of units at a fixed point; those that are held at an end of the hard rate pass nothing on."""
        if self.activation == "hard_sigmoid":
            return ops.cast((state > 0) & (state < 1), state.dtype)
        return self._slope(state)

    def _within(self, state):
        """Where the hard rate ends, states end, since nothing would bring them back."""
        return ops.clip(state, 0.0, 1.0) if self.activation == "hard_sigmoid" else state

    def _energy(self, x, states):
        """E `(batch,)`; derivatives reach the weights."""
        rates = [self._flat(x), *(self._rate(s) for s in states)]
        energy = sum(0.5 * ops.sum(ops.square(s), axis=1) for s in states)
        for below, above, kernel, bias in zip(rates, rates[1:], self.kernels, self.biases):
            energy = energy - ops.sum((ops.matmul(below, kernel) + bias) * above, axis=1)
        return energy

    def _flat(self, x):
        return ops.reshape(ops.cast(x, "float32"), (ops.shape(x)[0], int(np.prod(self.input_shape))))

    # --- learning ---

    def objective(self, x, y, y_pred, sample_weight, training):
        """Half the squared error of the free outputs; its derivatives are the contrast of the two phases."""
        states = [y_pred[name] for name in self.layer_names] if training else [y_pred]
        label = ops.cast(ops.reshape(y, (-1,)), "int32")
        targets = ops.one_hot(label, self.num_classes, dtype="float32")
        weight = ops.ones_like(targets[:, 0]) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        self.accuracy.update_state(ops.equal(ops.cast(ops.argmax(states[-1], axis=1), "int32"), label))
        cost = ops.mean(weight * 0.5 * ops.sum(ops.square(states[-1] - targets), axis=1))
        if not training:
            return cost
        sign = ops.where(keras.random.uniform((), seed=self.seed_generator) < 0.5, -1.0, 1.0)
        nudged = self._run_on(x, states, self.nudged_steps, self.step_size, sign * self.nudge, targets)
        free, nudged = ([ops.stop_gradient(s) for s in phase] for phase in (states, nudged))
        contrast = ops.mean(weight * (self._energy(x, nudged) - self._energy(x, free))) / (sign * self.nudge)
        # the value of the one, the derivatives of the other
        return contrast + ops.stop_gradient(cost - contrast)

    # --- verbs ---

    @checked
    def relax(self, x: Inputs, steps: Count | None = None) -> dict[str, np.ndarray]:
        """Free inference.

        Args:
            x: array `(n, *input_shape)` in [0, 1].
            steps: how many; `free_steps` by default.

        Returns:
            Layer -> states `(n, units)`, see `layer_names`.
        """
        return self._by_layer("relax", lambda x, steps: self._settled(x, steps), [x], steps or self.free_steps)

    @checked
    def energy(self, x: Inputs, states: States | None = None) -> np.ndarray:
        """Energy `(n,)` of inputs `(n, *input_shape)` with states as `relax` gives them, which it does by default."""
        states = self._states(x, states)
        run = self._graph("energy", lambda x, *states: self._energy(x, states))
        return autodiff.in_batches(run, [x, *(states[name] for name in self.layer_names)], ROWS)[0]

    @checked
    def speed(self, x: Inputs, states: States | None = None) -> dict[str, np.ndarray]:
        """ds/dt = R(s) - s, per layer `(n, units)`, of states as `relax` gives them; zero at a fixed point."""
        states = self._states(x, states)

        def speed(x, *states):
            return self._speed(list(states), *self._held(x))

        return self._by_layer("speed", speed, [x, *(states[name] for name in self.layer_names)])

    @checked
    def early_inference(
        self,
        x: Inputs,
        y: Targets,
        nudge: Number = 0.1,
        steps: Count | None = None,
        step_size: Positive = 0.1,
        free_steps: Count = 200,
    ) -> dict[str, np.ndarray]:
        """How states change in the first steps after outputs at a fixed point are pulled towards their targets (section 3).

        Args:
            x: array `(n, *input_shape)` in [0, 1].
            y: classes `(n,)`.
            nudge: strength of the pull, not 0.
            steps: how many; by default as many as layers behind the input, the fewest after which the first has moved.
            step_size: of these steps, at most 1.
            free_steps: steps before them, of the model's own size, that lead to the fixed point.

        Returns:
            Layer -> change of its states `(n, units)`.
        """

        if nudge == 0:
            raise ValueError(f"`nudge` must not be 0. Received: {nudge}")
        arguments.number("step_size", step_size, above=0, high=1)

        def change(x, targets, steps, nudge, step_size, free_steps):
            return self._changes(x, self._settled(x, free_steps), steps, step_size, nudge, targets)

        numbers = (steps or len(self.layer_names), np.float32(nudge), np.float32(step_size), free_steps)
        return self._by_layer("early", change, [x, self._targets(y)], *numbers)

    @checked
    def back_propagated(self, x: Inputs, y: Targets, free_steps: Count = 200) -> dict[str, np.ndarray]:
        """Minus the derivative of half the squared error by states, back-propagated from layer to layer through R at the fixed point.

        Args:
            x: array `(n, *input_shape)` in [0, 1].
            y: classes `(n,)`.
            free_steps: steps that lead to the fixed point.

        Returns:
            Layer -> errors `(n, units)`.
        """

        def errors(x, targets, free_steps):
            states = self._settled(x, free_steps)
            found = [targets - states[-1]]
            for k in range(len(states) - 2, -1, -1):
                above = ops.matmul(self._passing(states[k + 1]) * found[0], ops.transpose(self.kernels[k + 1]))
                found.insert(0, self._passing(states[k]) * above)
            return found

        return self._by_layer("back", errors, [x, self._targets(y)], free_steps)

    @checked
    def alignment(
        self,
        x: Inputs,
        y: Targets,
        nudge: Number = 0.1,
        steps: Count | None = None,
        step_size: Positive = 0.1,
        free_steps: Count = 200,
    ) -> dict[str, np.ndarray]:
        """Cosines of what `early_inference` and `back_propagated` give, `(n,)` for each hidden layer; NaN where one of them is zero.

        Args:
            x: array `(n, *input_shape)` in [0, 1].
            y: classes `(n,)`.
            nudge: as in `early_inference`.
            steps: as in `early_inference`.
            step_size: as in `early_inference`.
            free_steps: as in `early_inference`.
        """
        early = self.early_inference(x, y, nudge, steps, step_size, free_steps)
        errors, cosines = self.back_propagated(x, y, free_steps), {}
        for name in self.layer_names[:-1]:
            a, b = (found[name].astype("float64") for found in (early, errors))
            lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            cosines[name] = np.divide((a * b).sum(1), lengths, out=np.full(len(a), np.nan), where=lengths > 0)
        return cosines

    @checked
    def classify(self, x: Inputs) -> np.ndarray:
        """Classes `(n,)`, int, of inputs `(n, *input_shape)` in [0, 1]: the output units of the highest state."""
        return self.relax(x)["output"].argmax(1)

    def signatures(self):
        """`serve` gives the states of the output units, `relax` those of all."""
        return {
            **super().signatures(),
            "relax": (lambda input: dict(zip(self.layer_names, self._settled(input, self.free_steps))), self.input_fields()),
        }

    def _states(self, x, states):
        """The given states, which must have a row for each input, or those of `relax`."""
        if states is None:
            return self.relax(x)
        rows = {len(states[name]) for name in self.layer_names}
        if rows != {len(x)}:
            raise ValueError(f"`states` must have {len(x)} rows, one for each of `x`. Received: {sorted(rows)}")
        return states

    def _targets(self, y):
        return np.eye(self.num_classes, dtype="float32")[np.asarray(y).reshape(-1)]

    def _by_layer(self, key, function, arrays, *numbers):
        """A compiled function's states of all layers, by name; numbers become arrays, so that others need no new graph."""
        numbers = [np.asarray(n, "int32" if isinstance(n, int) else "float32") for n in numbers]
        found = autodiff.in_batches(self._graph(key, function), [np.asarray(a) for a in arrays], ROWS, shared=numbers)
        return dict(zip(self.layer_names, found))
