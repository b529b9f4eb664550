"""TRPO: policy gradients whose every step is the longest that keeps the new policy within a Kullback-Leibler divergence of the old one.

Paper: Schulman, Levine, Moritz, Jordan, Abbeel 2015, "Trust Region Policy Optimization", arXiv 1502.05477. Observations are
`(batch, *observation_shape)`; the policy puts out logits `(batch, num_actions)`, or mean and standard deviation `(batch, *action_shape)` of
independent normal variables whose deviations are free weights.

An update raises the surrogate objective `E[pi(a|s) / q(a|s) * Q(s, a)]` (section 5, equation 14) subject to a mean divergence of at most
`delta`: conjugate gradient gives the direction, from products with the Fisher matrix that is never formed (appendix C); its length follows
from the quadratic model of the divergence; backtracking makes it hold. All of that is one compiled graph. The experience comes from whole
paths ("single path", section 5.1), or from several short rollouts of different actions out of the same states ("vine", section 5.2).

Differences from the paper:
1. Damping of the Fisher matrix and the number of backtracking steps, which the paper does not give, are 0.1 and 10, halving the step.
2. An update of "single path" takes paths until there are `batch_steps` steps and every path has ended; the last ones exceed the number.
3. The value network as a baseline, generalized advantage estimation (`lam`), and values for paths cut by a time limit are later practice
   (Schulman et al. 2016, arXiv 1506.02438), off by default. It is fitted by Gauss-Newton steps with the same conjugate gradient.
4. The states of a vine are drawn from all states of its paths with equal probability. Divergence and Fisher matrix are means over them.
5. The Fisher matrix is estimated from every tenth state (`fisher_share`), where the paper takes a random tenth.
6. The Atari network has the paper's two convolutions of 16 filters with stride 2 and 20 units; the filters are 4 x 4 and the units tanh
   here. Actions are one choice out of `num_actions`.
7. A short `fit` has smaller batches than the paper's, see `batch_steps`.
"""

from functools import cached_property
from math import prod
from typing import Annotated, Any

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Described, Flag, Numbers, checked
from zoo.distributions import Categorical, DiagonalGaussian
from zoo.environments.branches import Branches, Forks
from zoo.environments.paths import Paths, discounted_sums
from zoo.families.agent import Agent, pixels
from zoo.layers.free_log_std import FreeLogStd
from zoo.model import Field
from zoo.optimizers.trust_region import conjugate_gradient, flatten, line_search, unflatten

UPDATES = ("trust_region", "natural", "vanilla")
PAPER_STEPS = 50_000


Observations = Annotated[Any, Described("input_fields", "observation")]


class TRPO(Agent):
    """Trust region policy optimization; `fit(env, steps)` plays and learns, `act(observation, stochastic=False)` plays.

    Defaults are the paper's for the swimmer (appendix E). The policy needs no optimizer. The special cases of section 7 that the paper
    compares with, `update="natural"` and `"vanilla"`, take the step of the optimizer in `compile` along the same direction or the gradient.

    Args:
        observation_shape: shape of an observation; `(n,)` for `n` discrete ones, which are taken one-hot.
        num_actions: number of discrete actions, or
        action_shape: shape of a continuous one.
        hidden: units of the tanh layers of the `"mlp"`; empty makes it linear.
        network: `"mlp"`, or `"atari"` for the paper's convolutions, which take pixels 0..255 with the frames first or last.
        initial_std: standard deviation of continuous actions at the start.
        procedure: `"single_path"` or `"vine"`.
        update: `"trust_region"`, `"natural"` or `"vanilla"`.
        delta: largest mean divergence of an update, nats.
        gamma: discount factor.
        baseline: `None` for plain sums of rewards as in the paper, or `"value"` for a network that is subtracted.
        lam: exponential weight of generalized advantage estimation; 1 sums up all rewards. Below 1 it needs the baseline.
        value_iterations: Gauss-Newton steps of the value network in an update.
        batch_steps: steps in an update of single paths, at least; `None` takes the paper's 50,000, or a twentieth of the `steps` of `fit`
            where that is less (but 500), so that short training has updates too.
        path_length: steps of a path at most; `None` for whole episodes.
        cg_iterations: iterations of conjugate gradient.
        damping: added to the diagonal of the Fisher matrix.
        fisher_share: share of the states that products with the Fisher matrix take.
        backtracks: steps that the line search tries, each half as long as the one before.
        vine_paths: paths from which the states of a vine are taken.
        vine_states: states to branch from.
        vine_actions: actions tried in each state, drawn and weighted by equation 16; `None` tries each discrete one (equation 15), or
            draws 4 continuous ones.
        vine_proposal: what they are drawn from, `"policy"` or `"uniform"` (discrete ones).
        vine_length: steps of a rollout from a state.
        common_noise: whether the rollouts from a state share their random numbers.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        observation_shape,
        num_actions=None,
        action_shape=None,
        hidden=(30,),
        network="mlp",
        initial_std=1.0,
        procedure="single_path",
        update="trust_region",
        delta=0.01,
        gamma=0.99,
        baseline=None,
        lam=1.0,
        value_iterations=3,
        batch_steps=None,
        path_length=None,
        cg_iterations=10,
        damping=0.1,
        fisher_share=0.1,
        backtracks=10,
        vine_paths=16,
        vine_states=125,
        vine_actions=None,
        vine_proposal="policy",
        vine_length=50,
        common_noise=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("network", network, ("mlp", "atari"))
        arguments.one_of("procedure", procedure, ("single_path", "vine"))
        arguments.one_of("update", update, UPDATES)
        arguments.one_of("vine_proposal", vine_proposal, ("policy", "uniform"))
        if baseline not in (None, "value"):
            raise ValueError(f"`baseline` must be None or 'value'. Received: {baseline!r}")
        for name, share in (("gamma", gamma), ("lam", lam), ("fisher_share", fisher_share)):
            arguments.number(name, share, 0, 1)
        counts = {"batch_steps": batch_steps, "path_length": path_length, "cg_iterations": cg_iterations, "backtracks": backtracks}
        counts |= {"vine_paths": vine_paths, "vine_states": vine_states, "vine_length": vine_length, "value_iterations": value_iterations}
        for name, count in counts.items():
            arguments.count(name, 1 if count is None else count)
        arguments.count("vine_actions", 2 if vine_actions is None else vine_actions, 2)
        arguments.number("damping", damping, 0)
        for name, size in (("delta", delta), ("initial_std", initial_std), ("fisher_share", fisher_share)):
            if not size > 0:
                raise ValueError(f"`{name}` must be above 0. Received: {size}")
        if procedure == "vine" and baseline is not None:
            raise ValueError(f"`baseline` must be None for the vine, which compares actions in one state. Received: {baseline!r}")
        if lam < 1 and baseline is None:
            raise ValueError(f"`lam` below 1 needs `baseline='value'`. Received: {lam}")
        if vine_proposal == "uniform" and num_actions is None:
            raise ValueError("`vine_proposal` must be 'policy' for continuous actions. Received: 'uniform'")
        self._set_spaces(observation_shape, num_actions, action_shape)
        self.hidden = hidden
        self.network = network
        self.initial_std = initial_std
        self.procedure = procedure
        self.update = update
        self.delta = delta
        self.gamma = gamma
        self.baseline = baseline
        self.lam = lam
        self.value_iterations = value_iterations
        self.batch_steps = batch_steps
        self._update_steps = batch_steps or PAPER_STEPS
        self.path_length = path_length
        self.cg_iterations = cg_iterations
        self.damping = damping
        self.fisher_share = fisher_share
        self.backtracks = backtracks
        self.vine_paths = vine_paths
        self.vine_states = vine_states
        self.vine_actions = vine_actions
        self.vine_proposal = vine_proposal
        self.vine_length = vine_length
        self.common_noise = common_noise
        self._kind = Categorical if action_shape is None else DiagonalGaussian
        self._size = num_actions if action_shape is None else prod(action_shape)
        self.policy = _network(self, "policy")
        self.value = _network(self, "value") if baseline else None
        self.update_logs = ("loss", "improvement", "kl", "entropy", "step", *(("value_loss",) if baseline else ()))
        self._paths = self._forks = None
        self.compile()

    def call(self, x, training=False):
        """Logits `(batch, num_actions)`, or a dict of `mean` and `std`, `(batch, *action_shape)` each."""
        parameters = self.policy(x, training=training)
        if self.action_shape is None:
            return parameters
        gaussian = DiagonalGaussian(parameters)
        shape = (-1, *self.action_shape)
        return {"mean": ops.reshape(gaussian.mean, shape), "std": ops.reshape(ops.exp(gaussian.log_std), shape)}

    output_name = "logits"

    def input_fields(self):
        """Observations; pixels 0..255 for the Atari network."""
        limits = {"low": 0.0, "high": 255.0} if self.network == "atari" else {}
        return [Field("observation", tuple(self.observation_shape), **limits)]

    @classmethod
    def example_config(cls):
        """A small agent with a value network for a short Blind Cliffwalk."""
        return {
            "observation_shape": (3,),
            "num_actions": 2,
            "hidden": (5,),
            "delta": 0.05,
            "gamma": 0.9,
            "baseline": "value",
            "lam": 0.9,
            "value_iterations": 2,
            "batch_steps": 40,
            "path_length": 10,
            "cg_iterations": 5,
            "damping": 0.05,
            "fisher_share": 0.5,
            "backtracks": 8,
        }

    def example_data(self, batch_size=2):
        """A Blind Cliffwalk and a number of steps; the batch size is the constructor's."""
        from zoo.environments.cliffwalk import BlindCliffwalk

        return {"env": BlindCliffwalk(self.observation_shape[0]), "steps": 2 * self._update_steps}

    def example_calls(self):
        """A small valid call of every verb."""
        calls, rng = super().example_calls(), np.random.default_rng(0)
        calls["act"]["stochastic"] = True
        shape = (6,) if self.procedure == "single_path" else (6, self.num_actions)
        action = rng.integers(self.num_actions, size=shape) if self.action_shape is None else rng.normal(size=(*shape, *self.action_shape))
        learn = {"observation": self.example_inputs(6), "action": action, "advantage": rng.normal(size=shape)}
        return {**calls, "learn": {**learn, "value_target": rng.normal(size=6)} if self.baseline else learn}

    @classmethod
    def search_space(cls, hp):
        """Size of the trust region, width, batch and discount."""
        return {
            "delta": hp.Float("delta", 1e-3, 1e-1, sampling="log"),
            "hidden": (hp.Choice("units", [8, 16, 32, 64]),),
            "batch_steps": hp.Choice("batch_steps", [500, 1000, 2000, 5000]),
            "gamma": hp.Choice("gamma", [0.95, 0.98, 0.99, 0.995]),
        }

    def default_optimizer(self):
        """`None`: the trust region says how far to go. Plain gradient steps for the other updates."""
        return None if self.update == "trust_region" else keras.optimizers.SGD(0.01)

    def compile(self, *args, **kwargs):
        """As `zoo.Model.compile`; the optimizer serves `update="natural"` and `"vanilla"` alone."""
        super().compile(*args, **kwargs)
        if self.optimizer is None and self.update != "trust_region":
            raise ValueError(f"`optimizer` must be given for update={self.update!r}. Received: None")
        for name in ("_update", "_measure"):
            self.__dict__.pop(name, None)

    # --- gathering ---

    def _begin(self, rollout, steps):
        if self.procedure == "vine" and rollout.is_vector:
            raise ValueError("`env` must be a single environment for the vine, which copies its states. Received: a vectorised one")
        self._update_steps = self.batch_steps or min(max(steps // 20, 500), PAPER_STEPS)
        enough = {"steps": self._update_steps} if self.procedure == "single_path" else {"paths": self.vine_paths}
        self._paths, self._forks = Paths(rollout, **enough, length=self.path_length), None

    def _is_gathering(self):
        return self._paths.gathered > 0

    def _epoch_steps(self):
        # no update takes fewer, so that each ends an epoch
        return self._update_steps if self.procedure == "single_path" else self.vine_states

    def _explore(self, observations):
        if self.procedure == "vine":
            self._forks = self._forks or Forks(self._paths.rollout, self.vine_states, self._rng)
            self._forks.visit()
        return self._choose(observations, stochastic=True)

    def _experience(self, transitions, envs):
        """Gather; update when there is enough."""
        if not self._paths.add(transitions):
            return []
        paths = self._paths.take()
        if self.procedure == "single_path":
            return [self.learn(paths["observation"], paths["action"], *self._estimates(paths))]
        forks, self._forks = self._forks, None
        return [self.learn(np.stack(forks.observations), *self._branch(forks))]

    def _estimates(self, paths):
        """What each action was worth: sums of rewards, or advantages and what the values should have been."""
        rewards, last = paths["reward"].astype("float64"), paths["last"]
        if not self.baseline:
            return (discounted_sums(rewards, last, self.gamma),)
        values, following = (self._values(paths[name]) for name in ("observation", "next_observation"))
        errors = rewards + self.gamma * (1 - paths["terminated"]) * following - values
        advantages = discounted_sums(errors, last, self.gamma * self.lam)
        return advantages, advantages + values

    def _branch(self, forks):
        """Play rollouts from the states of a vine; gives actions `(states, actions, ...)` and the sums of their rewards."""
        states, actions = len(forks.envs), self._vine_width
        branches = Branches(forks, actions, self.common_noise)
        if self._tries_all:
            first = np.tile(np.arange(actions, dtype="int32"), states)
        elif self.vine_proposal == "uniform":
            first = self._rng.integers(self.num_actions, size=states * actions).astype("int32")
        else:
            first = self._choose(branches.observations, stochastic=True)
        chosen, returns = first, np.zeros(states * actions)
        for t in range(self.vine_length):
            if t:
                draws = self._kind.noise(self._rng, (states,) if self.common_noise else (states * actions,), self._size)
                chosen = self._draw(branches.observations, np.repeat(draws, actions, axis=0) if self.common_noise else draws)
            self.steps.assign(int(self.steps) + int(branches.alive.sum()))
            returns += self.gamma**t * branches.step(chosen)
            if not branches.alive.any():
                break
        return first.reshape(states, actions, *first.shape[1:]), returns.reshape(states, actions)

    @property
    def _tries_all(self):
        return self.num_actions is not None and self.vine_actions is None

    @property
    def _vine_width(self):
        return self.num_actions if self._tries_all else self.vine_actions or 4

    # --- learning ---

    @checked
    def learn(
        self, observation: Observations, action: Numbers, advantage: Numbers, value_target: Numbers | None = None
    ) -> dict[str, float]:
        """One update, which `fit` does by itself.

        Args:
            observation: array `(states, *observation_shape)`.
            action: what the present policy did there, `(states,)` or `(states, *action_shape)`; for the vine with an axis of actions
                after the first one.
            advantage: what it was worth, of the shape of `action` without the axes of `action_shape`.
            value_target: what the value network should have said, `(states,)`.

        Returns:
            Dict of floats: `loss` (the negative surrogate objective after the update), `improvement` of the objective, `kl` (mean
            divergence of the new policy, nats), `entropy` (of the new policy), `step` (share of the longest step that the line search
            took; 0 where it found none), and `value_loss` (mean squared error before the update).

        Raises:
            ValueError: if the arrays have other shapes.
        """
        batch = self._batch(observation, action, advantage, value_target)
        result = self._update(batch)
        if self.update == "trust_region":
            _assign(self.policy, result["policy"])
        else:
            self.optimizer.build(self.trainable_variables)
            self.optimizer.apply([-direction for direction in result["policy"]], self.policy.trainable_variables)
            result["logs"] |= self._measure(batch, result["old"])
        if self.baseline:
            _assign(self.value, result["value"])
        return {name: float(result["logs"][name]) for name in self.update_logs}

    def _check_batch(self, observation, action, advantage, value_target):
        advantage = arguments.numbers("advantage", advantage, rank=1 if self.procedure == "single_path" else 2)
        if self.action_shape is None:
            Field("action", advantage.shape[1:], "int32", 0, self.num_actions - 1).check(action)
        else:
            Field("action", (*advantage.shape[1:], *self.action_shape)).check(action)
        if self.baseline and (value_target is None or np.shape(value_target) != advantage.shape[:1]):
            arguments.refuse("value_target", "given to a model with a baseline, one a state", value_target)

    def _batch(self, observation, action, advantage, value_target):
        """Tensors with an axis of actions, filled up with rows of no weight, so that few shapes occur."""
        self._check_batch(observation, action, advantage, value_target)
        action = np.asarray(action, "int32" if self.action_shape is None else "float32").reshape(*np.shape(advantage), -1)
        if self.procedure == "single_path":
            action, advantage = action[:, None], np.expand_dims(advantage, -1)
        arrays = {
            "observation": np.asarray(observation),
            "action": action[..., 0] if self.action_shape is None else action,
            "advantage": np.asarray(advantage, "float32"),
            "weight": np.full(len(observation), 1 / len(observation), "float32"),
        }
        if self.baseline:
            arrays["value_target"] = np.asarray(value_target, "float32")
        rows = {len(array) for array in arrays.values()}
        if len(rows) > 1 or np.ndim(advantage) != 2:
            raise ValueError(f"`observation`, `action`, `advantage` must have a row a state. Received: {sorted(rows)} rows")
        wanted = self.vine_states if self.procedure == "vine" else max(self._update_steps // 8, 1)
        return {name: ops.convert_to_tensor(_fill(array, wanted)) for name, array in arrays.items()}

    @cached_property
    def _update(self):
        return autodiff.compiled(self._updated, self, jit_compile=bool(self.jit_compile))

    @cached_property
    def _measure(self):
        return autodiff.compiled(self._measured, self, jit_compile=bool(self.jit_compile))

    def _updated(self, batch):
        """New weights of the policy (without a trust region: the way to go) and of the value network, and the logs, in one graph."""
        policy, observation = _Flat(self.policy), batch["observation"]
        old = self.policy(observation, training=False)
        objective, gradient = autodiff.value_and_grad(
            lambda weights: self._surrogate(policy(weights, observation), old, batch), policy.start
        )
        result = {"old": old, "logs": {}}
        if self.baseline:
            result["value"], result["logs"]["value_loss"] = self._fitted_value(batch)
        if self.update == "vanilla":
            return {**result, "policy": policy.tensors(gradient)}
        stride = max(round(1 / self.fisher_share), 1)
        few, shares = observation[::stride], batch["weight"][::stride]
        shares = (shares / ops.sum(shares))[:, None]

        def fisher_product(vector):
            parameters, tangent = autodiff.jvp(lambda weights: policy(weights, few), policy.start, vector)
            return autodiff.vjp(lambda weights: policy(weights, few), policy.start, shares * self._kind(parameters).fisher(tangent))[1]

        direction, residual = conjugate_gradient(fisher_product, gradient, self.cg_iterations, damping=self.damping)
        if self.update == "natural":
            return {**result, "policy": policy.tensors(direction)}
        # direction' A direction, without another product
        length = ops.sqrt(2 * self.delta / ops.maximum(ops.sum(direction * (gradient - residual)), 1e-20))

        def judge(weights):
            parameters = policy(weights, observation)
            return self._surrogate(parameters, old, batch), self._mean_kl(parameters, old, batch)

        weights, step = line_search(judge, policy.start, length * direction, objective, self.delta, self.backtracks)
        result["logs"] |= {**self._report(policy(weights, observation), old, batch), "step": step}
        return {**result, "policy": policy.tensors(weights)}

    def _surrogate(self, parameters, old, batch):
        """The estimate of the objective, equation 14, 15 or 16."""
        action, advantage = batch["action"], batch["advantage"]
        width = advantage.shape[1]
        log_p, log_q = (self._kind(ops.repeat(p[:, None], width, axis=1)).log_prob(action) for p in (parameters, old))
        if self.procedure == "single_path":
            each = ops.exp(log_p - log_q)[:, 0] * advantage[:, 0]
        elif self._tries_all:
            each = ops.sum(ops.exp(log_p) * advantage, axis=1)
        else:
            ratios = ops.exp(log_p if self.vine_proposal == "uniform" else log_p - log_q)
            each = ops.sum(ratios * advantage, axis=1) / ops.sum(ratios, axis=1)
        return ops.sum(batch["weight"] * each)

    def _mean_kl(self, parameters, old, batch):
        return ops.sum(batch["weight"] * self._kind(old).kl(self._kind(parameters)))

    def _report(self, parameters, old, batch):
        objective = self._surrogate(parameters, old, batch)
        return {
            "loss": -objective,
            "improvement": objective - self._surrogate(old, old, batch),
            "kl": self._mean_kl(parameters, old, batch),
            "entropy": ops.sum(batch["weight"] * self._kind(parameters).entropy()),
        }

    def _measured(self, batch, old):
        """The logs after a step of the optimizer."""
        return {**self._report(self.policy(batch["observation"], training=False), old, batch), "step": ops.ones(())}

    def _fitted_value(self, batch):
        """New weights of the value network by Gauss-Newton steps on the squared error, and the error before."""
        value = _Flat(self.value)

        def outputs(weights):
            return value(weights, batch["observation"])[:, 0]

        def negative_loss(weights):
            return -ops.sum(batch["weight"] * (batch["value_target"] - outputs(weights)) ** 2)

        def improve(_, weights):
            errors = batch["value_target"] - outputs(weights)
            gradient = autodiff.vjp(outputs, weights, batch["weight"] * errors)[1]

            def product(vector):
                return autodiff.vjp(outputs, weights, batch["weight"] * autodiff.jvp(outputs, weights, vector)[1])[1]

            direction, _ = conjugate_gradient(product, gradient, self.cg_iterations, damping=self.damping)
            step = line_search(lambda w: (negative_loss(w), 0.0), weights, direction, negative_loss(weights), 0.0, self.backtracks)
            return step[0]

        weights = ops.fori_loop(0, self.value_iterations, improve, value.start)
        return value.tensors(weights), -negative_loss(value.start)

    # --- playing ---

    def signatures(self):
        """`serve` gives `logits`, or `mean` and `std`; `act` the most probable action or the mean."""
        return {**super().signatures(), "act": (self._serve_action, self.input_fields())}

    def _serve_action(self, observation):
        outputs = self(observation, training=False)
        return {"action": ops.argmax(outputs, axis=1) if self.action_shape is None else outputs["mean"]}

    @checked
    def _choose(self, observations, stochastic: Flag = False):
        """The most probable actions or the means; with `stochastic` a draw from the policy."""
        if stochastic:
            return self._draw(observations, self._kind.noise(self._rng, (len(observations),), self._size))
        return self._shaped(self._best(observations))

    def _draw(self, observations, noise):
        return self._shaped(self._drawn(observations, noise))

    def _shaped(self, actions):
        actions = ops.convert_to_numpy(actions)
        return actions if self.action_shape is None else actions.reshape(-1, *self.action_shape)

    @cached_property
    def _best(self):
        return autodiff.compiled(lambda x: self._kind(self.policy(x, training=False)).mode(), self.policy)

    @cached_property
    def _drawn(self):
        return autodiff.compiled(lambda x, noise: self._kind(self.policy(x, training=False)).sample(noise), self.policy)

    def _values(self, observations):
        rows = len(observations)
        filled = _fill(observations, max(self._update_steps // 8, 1))
        return ops.convert_to_numpy(self._valued(filled))[:rows, 0].astype("float64")

    @cached_property
    def _valued(self):
        return autodiff.compiled(lambda x: self.value(x, training=False), self.value)


class _Flat:
    """A network as a function of all its weights in one vector."""

    def __init__(self, network):
        self.network, self.variables = network, network.trainable_variables
        self.shapes = [tuple(v.shape) for v in self.variables]
        self.start = flatten([ops.convert_to_tensor(v) for v in self.variables])

    def __call__(self, weights, x):
        with autodiff.Scope(zip(self.variables, self.tensors(weights))):
            return self.network(x, training=False)

    def tensors(self, weights):
        return unflatten(weights, self.shapes)


def _assign(network, values):
    for variable, value in zip(network.trainable_variables, values):
        variable.assign(value)


def _fill(array, multiple):
    """`array` with rows of zeros up to a multiple of `multiple` rows."""
    return np.pad(array, [(0, -len(array) % multiple), *[(0, 0)] * (array.ndim - 1)])


def _network(agent, role):
    """The policy, which puts out parameters of a distribution, or the value network of the same kind."""
    if agent.network == "atari":
        inputs, x = pixels(agent.observation_shape)
        for _ in range(2):
            x = layers.Conv2D(16, 4, 2, activation="tanh")(x)
        hidden = (20,)
    else:
        x = inputs = keras.Input(agent.observation_shape, name="observation")
        hidden = agent.hidden
    if len(x.shape) != 2:
        x = layers.Flatten()(x)
    for units in hidden:
        x = layers.Dense(units, activation="tanh")(x)
    if role == "value":
        return keras.Model(inputs, layers.Dense(1, dtype="float32", name="value")(x), name=role)
    x = layers.Dense(agent._size, dtype="float32", name="logits" if agent.action_shape is None else "mean")(x)
    if agent.action_shape is not None:
        x = FreeLogStd(float(np.log(agent.initial_std)), dtype="float32", name="log_std")(x)
    return keras.Model(inputs, x, name=role)
