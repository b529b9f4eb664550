"""Stochastic value gradients: a policy for continuous actions learns by differentiating the value through a learned model of its world.

Paper: Heess, Wayne, Silver, Lillicrap, Tassa, Erez 2015, "Learning Continuous Control Policies by Stochastic Value Gradients", arXiv
1510.09142. Policy and model are functions of noise, a = mu(s) + sigma(s) eta and s' = f(s, a) + sigma_f(s, a) xi, so that they can be
differentiated; the noise is inferred from what really happened, so that the model gives derivatives alone and never predicts.
`"svg_inf"` carries the gradient of the value back along whole trajectories, `"svg1"` over one step of the model to a value function V, and
`"svg0"` has no model but action values Q. Observations are `(batch, n)`, actions `(batch, m)`.

Differences from the paper:
1. A reward may depend on the next observation too, r(s, a, s'), where the paper has r(s, a); without `reward` it is learned from s and a.
2. SVG(inf) gets the Jacobians of all steps of all trajectories in one pass, runs the recursion of algorithm 1 over them, and differentiates
   the policy once: the same v_theta, with no loop that is differentiated.
3. Trajectories longer than `horizon` are cut into pieces, each of which ends as an episode does.
4. Sizes that the paper does not give for all its problems (rates, batches, memory, clipping of weights) have defaults of our own, and steps
   are Adam's.
5. The paper keeps policies near each other by a penalty in some experiments; `kl_weight` weighs the divergence from those that acted.
6. The networks run in float32 under any dtype policy.
7. The standard deviation of actions is a number a dimension that is learned; the paper's, an output of the policy (`std="state"`), made the
   policy worse on the pendulum: it widens where the policy has just been, and importance weights fall to nothing.
"""

from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Described, File, Flag, Numbers, checked
from zoo.distributions import DiagonalGaussian

# Keras has to know it before it loads an agent that was saved with it
from zoo.environments.pendulum import PendulumReward as PendulumReward
from zoo.environments.replay_buffers import UniformReplay
from zoo.families.agent import Agent
from zoo.model import Field

VARIANTS = ("svg0", "svg1", "svg_inf")
# what `Rollout` tells of a step that is kept
STEP = ("observation", "action", "reward", "next_observation", "terminated")


Transitions = Annotated[dict, Described("transition_fields", ("observation", "action", "reward", "next_observation"))]
# with what the policy that acted gave
Acted = Annotated[dict, Described("transition_fields", ("observation", "action", "mean", "std"))]
Trajectories = Annotated[dict, Described("trajectory_fields", ("observation", "action", "reward", "next_observation", "mask"))]
Observations = Annotated[Any, Described("transition_fields", "observation")]
Actions = Annotated[Any, Described("transition_fields", "action")]
NextObservations = Annotated[Any, Described("transition_fields", "next_observation")]


class SVG(Agent):
    """Stochastic value gradients; `fit(env, steps)` plays and learns, `act(observation)` plays.

    Any environment with a vector for observations and a vector of actions will do. An optimizer given to `compile` trains all networks;
    the paper's are three, with the rates below. Defaults learn the pendulum's swing in 8000 steps; problems with longer aims want a larger
    `gamma`, and actions of another size another `initial_std`.

    Args:
        observation_shape: `(n,)`.
        action_shape: `(m,)`.
        variant: `"svg1"`, `"svg0"` or `"svg_inf"`.
        replay: whether the policy learns from memory too (algorithm 2), or from the `batch_size` latest steps alone. The model and the
            critic always learn from memory; the policy of `"svg_inf"` never does.
        reward: `reward(observation, action, next_observation)` in `keras.ops`, gives `(batch,)`; a Keras layer, if the agent is to be
            saved. `None` learns it. `"svg0"` needs none.
        hidden: units of the tanh layers of the policy.
        critic_hidden: units of the tanh layers of V or Q.
        model_hidden: units of the tanh layers of the model, for each dimension of the observation (appendix D).
        std: standard deviation of actions: `"learned"` is one number a dimension, `"state"` a second output of the policy, `"fixed"` stays.
        initial_std: where it starts.
        action_limit: the mean goes through `action_limit * tanh(mean / action_limit)`; `None` leaves it.
        gamma: discount factor.
        horizon: steps of a trajectory (`"svg_inf"`).
        trajectories: trajectories in an update of the policy (`"svg_inf"`).
        imagined: whether the policy learns from trajectories that the model imagines from the starts of the real ones (`"svg_inf"`): the
            planner by backpropagation through time that the paper compares with.
        policy_rate: learning rate of the policy; `None` means 0.003, or 0.001 for `"svg_inf"`.
        clip_norm: a longer gradient of the policy is shortened to this; `None` leaves it.
        critic_rate: of the critic.
        model_rate: of the model and the learned reward.
        buffer_size: transitions in memory.
        batch_size: transitions in an update.
        learning_starts: steps before the first update.
        update_period: steps between updates of the policy (`"svg0"`, `"svg1"`).
        model_updates: updates of model and critic for each of the policy; `None` means one, and for `"svg_inf"` one for every
            `update_period` steps of its trajectories.
        target_update: updates of the critic between copies to the target network (algorithms 3 and 4).
        weight_clip: importance weights are cut to this; `None` leaves them.
        kl_weight: weight of the divergence of the policy from those that acted.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        observation_shape=(3,),
        action_shape=(1,),
        variant="svg1",
        replay=True,
        reward=None,
        hidden=(64,),
        critic_hidden=(64, 64),
        model_hidden=(20, 20),
        std="learned",
        initial_std=1.0,
        action_limit=None,
        gamma=0.95,
        horizon=50,
        trajectories=4,
        imagined=False,
        policy_rate=None,
        clip_norm=1.0,
        critic_rate=3e-3,
        model_rate=3e-3,
        buffer_size=100_000,
        batch_size=128,
        learning_starts=1000,
        update_period=4,
        model_updates=None,
        target_update=40,
        weight_clip=5.0,
        kl_weight=0.1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("variant", variant, VARIANTS)
        arguments.one_of("std", std, ("state", "learned", "fixed"))
        for name, shape in (("observation_shape", observation_shape), ("action_shape", action_shape)):
            if len(shape) != 1 or shape[0] < 1:
                raise ValueError(f"`{name}` must be the shape of a vector, (n,). Received: {shape}")
        if reward is not None and not callable(reward):
            raise ValueError(f"`reward` must be a function of observation, action and next observation, or None. Received: {reward!r}")
        counts = {"horizon": horizon, "trajectories": trajectories, "buffer_size": buffer_size, "batch_size": batch_size}
        counts |= {"update_period": update_period, "model_updates": model_updates, "target_update": target_update}
        for name, count in counts.items():
            if count is not None:
                arguments.count(name, count)
        for name, size in (
            ("initial_std", initial_std),
            ("action_limit", action_limit),
            ("weight_clip", weight_clip),
            ("clip_norm", clip_norm),
        ):
            if size is not None:
                arguments.number(name, size, above=0)
        arguments.number("gamma", gamma, 0, 1)
        arguments.number("kl_weight", kl_weight, 0)
        self._set_spaces(observation_shape, action_shape=action_shape)
        self.variant = variant
        self.replay = replay
        self.reward = reward
        self.hidden = hidden
        self.critic_hidden = critic_hidden
        self.model_hidden = model_hidden
        self.std = std
        self.initial_std = initial_std
        self.action_limit = action_limit
        self.gamma = gamma
        self.horizon = horizon
        self.trajectories = trajectories
        self.imagined = imagined
        self.policy_rate = policy_rate
        self.clip_norm = clip_norm
        self.critic_rate = critic_rate
        self.model_rate = model_rate
        self.buffer_size = buffer_size
        self.batch_size = batch_size
        self.learning_starts = learning_starts
        self.update_period = update_period
        self.model_updates = model_updates
        in_trajectories = max(horizon * trajectories // update_period, 1) if variant == "svg_inf" else 1
        self._model_updates = in_trajectories if model_updates is None else model_updates
        self.target_update = target_update
        self.weight_clip = weight_clip
        self.kl_weight = kl_weight
        states, actions = observation_shape[0], action_shape[0]
        self.policy = _Policy(states, actions, hidden, std, initial_std, action_limit, name="policy")
        self.dynamics = None if variant == "svg0" else _Dynamics(states, actions, model_hidden, name="dynamics")
        self.reward_network = None
        if reward is None and variant != "svg0":
            self.reward_network = _mlp(states + actions, critic_hidden, "reward")
        self.critic = self.target = None
        if variant != "svg_inf":
            inputs = states + (actions if variant == "svg0" else 0)
            self.critic, self.target = _mlp(inputs, critic_hidden, "critic"), _mlp(inputs, critic_hidden, "target")
            self.target.trainable = False
            self.update_target()
        logs = {"loss": True, "model_loss": self.dynamics, "value_loss": self.critic, "importance_weight": self.critic}
        self.update_logs = tuple(name for name, present in logs.items() if present)
        self.critic_steps = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="critic_steps")
        self.seed_generator = keras.random.SeedGenerator()
        self.memory = None
        self._open, self._finished, self._behaviour = None, [], None
        self.compile()

    def call(self, x, training=False):
        """`mean` and `std` of the actions, `(batch, m)` each, for observations `x`."""
        mean, std = self.policy(x)
        return {"mean": mean, "std": std}

    @classmethod
    def example_config(cls):
        """A small agent for the noisy double integrator."""
        return {
            "observation_shape": (2,),
            "hidden": (8,),
            "critic_hidden": (8,),
            "model_hidden": (4,),
            "std": "learned",
            "initial_std": 0.4,
            "action_limit": 2.0,
            "gamma": 0.9,
            "horizon": 8,
            "trajectories": 2,
            "buffer_size": 64,
            "batch_size": 8,
            "learning_starts": 10,
            "update_period": 2,
            "model_updates": 2,
            "target_update": 3,
            "clip_norm": 10.0,
            "kl_weight": 0.2,
        }

    def example_data(self, batch_size=2):
        """A noisy double integrator and a number of steps; the batch size is the constructor's."""
        from zoo.environments.linear_quadratic import LinearQuadratic

        return {"env": LinearQuadratic(horizon=10), "steps": 40}

    def example_calls(self):
        """A small valid call of every verb."""
        calls, rng = super().example_calls(), np.random.default_rng(0)
        batch = {field.name: field.sample(8, rng) for field in self.transition_fields()}
        paths = {field.name: field.sample(2, rng) for field in self.trajectory_fields()}
        pair, step = (
            {name: batch[name] for name in names} for names in (("observation", "action"), ("observation", "action", "next_observation"))
        )
        calls["act"]["noise"] = True
        own = {
            "model_loss": {"batch": batch} if self.dynamics else None,
            "targets": {"batch": batch} if self.variant != "svg_inf" else None,
            "value_loss": {"batch": batch, "targets": batch["reward"]} if self.variant != "svg_inf" else None,
            "q_values": pair if self.variant == "svg0" else None,
            "rewards": step if self.dynamics else None,
            "infer_noise": step,
            "importance_weights": {"batch": batch},
            "policy_loss": {"batch": batch} if self.variant != "svg_inf" else None,
            "trajectory_loss": {"batch": paths} if self.variant == "svg_inf" else None,
            "value_gradients": {"batch": paths} if self.variant == "svg_inf" else None,
            "remember": batch,
            "learn": {} if self.variant != "svg_inf" else None,
            "update_target": {"due": False} if self.variant != "svg_inf" else None,
            "imagine": {"observation": batch["observation"], "steps": 2} if self.dynamics else None,
            "restore_memory": None,
        }
        return {**calls, **own}

    @classmethod
    def search_space(cls, hp):
        """Noise of the actions, discount, frequency of updates and learning rate (of all networks)."""
        return {
            "initial_std": hp.Float("initial_std", 0.1, 1.0, sampling="log"),
            "gamma": hp.Choice("gamma", [0.9, 0.95, 0.98, 0.99]),
            "target_update": hp.Int("target_update", 10, 1000, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }

    # --- training machinery ---

    def default_optimizer(self):
        """Adam for each of policy, critic and model, with a rate of its own."""
        policy_rate = (1e-3 if self.variant == "svg_inf" else 3e-3) if self.policy_rate is None else self.policy_rate
        rates = {"policy": policy_rate, "critic": self.critic_rate, "model": self.model_rate}
        clips = {"policy": self.clip_norm}
        parts = {name: keras.optimizers.Adam(rate, global_clipnorm=clips.get(name)) for name, rate in rates.items()}
        policy, critic = ({id(v) for v in network.trainable_variables} for network in (self.policy, self.critic or self.policy))

        def part(variable):
            return parts["policy" if id(variable) in policy else "critic" if id(variable) in critic else "model"]

        return keras.optimizers.MultiOptimizer(part)

    def compile(self, *args, **kwargs):
        """As `zoo.Model.compile`; losses are not scaled, since the networks run in float32 under any dtype policy."""
        super().compile(*args, **{"auto_scale_loss": False, **kwargs})
        self.__dict__.pop("_learn_model", None)
        self.__dict__.pop("_learn_policy", None)

    @cached_property
    def _learn_model(self):
        return self._compiled(self._step_of_model)

    @cached_property
    def _learn_policy(self):
        return self._compiled(self._step_of_policy)

    def _compiled(self, step):
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return autodiff.compiled(step, self, jit_compile=self.jit_compile is True, optimizer=self.optimizer)

    def _apply(self, loss, variables):
        """One step of the optimizer on `variables`; gives the loss."""
        value, gradients = autodiff.value_and_weight_grad(loss, variables)
        groups = {}
        # the parts of a `MultiOptimizer` step for themselves: Keras's `apply` would want the gradients of all networks at once
        chooser = getattr(self.optimizer, "_optimizer_map", lambda variable: self.optimizer)
        for variable, gradient in zip(variables, gradients):
            part = chooser(variable)
            groups.setdefault(id(part), (part, [], []))
            groups[id(part)][1].append(gradient)
            groups[id(part)][2].append(variable)
        for part, gradients, variables in groups.values():
            part.apply(gradients, variables)
        return value

    def _step_of_model(self, batch):
        """One step of model and critic on a batch of transitions (lines 6 and 7 of algorithm 2)."""
        losses = {}
        if self.dynamics is not None:
            networks = [network for network in (self.dynamics, self.reward_network) if network is not None]
            losses["model_loss"] = self._apply(lambda: self.model_loss(batch), [v for n in networks for v in n.trainable_variables])
        if self.critic is not None:
            targets = self.targets(batch)
            losses["value_loss"] = self._apply(lambda: self.value_loss(batch, targets), self.critic.trainable_variables)
            self.critic_steps.assign(self.critic_steps.value + 1)
            self.update_target(self.critic_steps.value % self.target_update == 0)
        return losses

    def _step_of_policy(self, batch):
        """One step of the policy on a batch of transitions, or of trajectories (`"svg_inf"`)."""
        objective = self.trajectory_loss if self.variant == "svg_inf" else self.policy_loss
        # before the step, as the objective sees them
        logs = {} if self.variant == "svg_inf" else {"importance_weight": ops.mean(self.importance_weights(batch))}
        return {"loss": self._apply(lambda: objective(batch), self.policy.trainable_variables), **logs}

    # --- the method ---

    @checked
    def model_loss(self, batch: Transitions):
        """Negative log-likelihood of the next observations, and squared error of a learned reward; a scalar, the mean over the batch.

        Args:
            batch: dict of tensors `observation`, `action`, `reward`, `next_observation`, `terminated`, `mean`, `std`; the last two are what
                the policy that acted gave.
        """
        mean, std = self.dynamics(batch["observation"], batch["action"])
        loss = -ops.mean(_gaussian(mean, std).log_prob(batch["next_observation"]))
        if self.reward_network is not None:
            predicted = self.rewards(batch["observation"], batch["action"], batch["next_observation"])
            loss = loss + ops.mean((predicted - batch["reward"]) ** 2)
        return loss

    @checked
    def targets(self, batch: Transitions):
        """What V or Q should have been by the target network: r + gamma V(s') or r + gamma Q(s', a'), `(batch,)` (algorithms 4, 3)."""
        inputs = batch["next_observation"]
        if self.variant == "svg0":
            mean, std = self.policy(inputs)
            noise = keras.random.normal(mean.shape, seed=self.seed_generator)
            inputs = ops.concatenate([inputs, mean + std * noise], 1)
        return ops.stop_gradient(batch["reward"] + self.gamma * (1.0 - batch["terminated"]) * self.target(inputs)[:, 0])

    @checked
    def value_loss(self, batch: Transitions, targets: Numbers):
        """Half the squared error of the critic; V's is weighted, since the actions were those of older policies."""
        if self.variant == "svg0":
            return 0.5 * ops.mean((targets - self.q_values(batch["observation"], batch["action"])) ** 2)
        return 0.5 * ops.mean(self.importance_weights(batch) * (targets - self.critic(batch["observation"])[:, 0]) ** 2)

    @checked
    def q_values(self, observation: Observations, action: Actions):
        """Q `(batch,)` of `"svg0"`."""
        return self.critic(ops.concatenate([observation, action], 1))[:, 0]

    @checked
    def rewards(self, observation: Observations, action: Actions, next_observation: NextObservations):
        """The reward function, given or learned, `(batch,)`."""
        if self.reward is not None:
            return self.reward(observation, action, next_observation)
        return self.reward_network(ops.concatenate([observation, action], 1))[:, 0]

    @checked
    def infer_noise(self, observation: Observations, action: Actions, next_observation: NextObservations | None = None):
        """The noise that made the policy act and the model go as they did (section 4.2): eta `(batch, m)` and xi `(batch, n)` or `None`."""
        mean, std = self.policy(observation)
        eta = (action - mean) / std
        if next_observation is None or self.dynamics is None:
            return ops.stop_gradient(eta), None
        mean, std = self.dynamics(observation, action)
        return ops.stop_gradient(eta), ops.stop_gradient((next_observation - mean) / std)

    @checked
    def importance_weights(self, batch: Acted):
        """p(a | s) of the policy over p(a | s) of the policy that acted, cut at `weight_clip`, `(batch,)`."""
        now, then = _gaussian(*self.policy(batch["observation"])), _gaussian(batch["mean"], batch["std"])
        logs = now.log_prob(batch["action"]) - then.log_prob(batch["action"])
        # bounded before the exponential, which would overflow
        weights = ops.exp(ops.minimum(logs, 30.0 if self.weight_clip is None else float(np.log(self.weight_clip))))
        return ops.stop_gradient(weights)

    @checked
    def policy_loss(self, batch: Transitions):
        """Minus the weighted value of a batch of transitions, whose gradient is -v_theta of SVG(1) or SVG(0) (algorithm 2, line 12)."""
        observation = batch["observation"]
        eta, xi = self.infer_noise(observation, batch["action"], batch["next_observation"])
        mean, std = self.policy(observation)
        action = mean + std * eta
        if self.variant == "svg0":
            values = self.q_values(observation, action)
        else:
            following = self._next(observation, action, xi)
            values = self.rewards(observation, action, following)
            values = values + self.gamma * (1.0 - batch["terminated"]) * self.critic(following)[:, 0]
        loss = -ops.mean(self.importance_weights(batch) * values)
        if self.kl_weight:
            loss = loss + self.kl_weight * ops.mean(_gaussian(batch["mean"], batch["std"]).kl(_gaussian(mean, std)))
        return loss

    @checked
    def trajectory_loss(self, batch: Trajectories):
        """Minus the mean discounted return of trajectories, whose gradient is -v_theta of SVG(inf) (algorithm 1).

        Args:
            batch: dict of tensors `(trajectories, horizon, ...)` as for `model_loss`, and `mask` `(trajectories, horizon)`, 0 past the end.
        """
        discounts = self.gamma ** ops.arange(batch["mask"].shape[1], dtype="float32") * batch["mask"]
        slopes = ops.stop_gradient(self.value_gradients(batch)[1])
        flat = {name: _flat(batch[name]) for name in ("observation", "action")}
        mean, std = self.policy(flat["observation"])
        eta, _ = self.infer_noise(**flat)
        # this change is zero, its gradient is pi_theta
        change = ops.reshape(mean + std * eta - flat["action"], slopes.shape)
        returns = ops.sum(discounts * (batch["reward"] + ops.sum(slopes * change, -1)), 1)
        loss = -ops.mean(returns)
        if self.kl_weight:
            # past the end there was no policy; whatever stands there must not give NaN times zero
            acted_std = ops.where(batch["mask"][..., None] > 0, batch["std"], 1.0)
            apart = _gaussian(_flat(batch["mean"]), _flat(acted_std)).kl(_gaussian(mean, std))
            loss = loss + self.kl_weight * ops.sum(ops.reshape(batch["mask"], (-1,)) * apart) / ops.sum(batch["mask"])
        return loss

    @checked
    def value_gradients(self, batch: Trajectories):
        """The gradients of the value along trajectories (equation 11), in a recursion from their ends.

        Args:
            batch: as for `trajectory_loss`.

        Returns:
            v_s `(trajectories, horizon, n)`, and the gradient in the action, r_a + gamma v'_s f_a, `(trajectories, horizon, m)`.
        """
        (count, length), (states, actions) = batch["mask"].shape, (self.observation_shape[0], self.action_shape[0])
        observation, action, following = (_flat(batch[name]) for name in ("observation", "action", "next_observation"))
        eta, xi = self.infer_noise(observation, action, following)

        def reward(x):
            return ops.sum(self.rewards(x[0], x[1], self._next(x[0], x[1], xi)))

        def policy(x):
            mean, std = self.policy(x[0])
            return mean + std * x[1]

        r_s, r_a = autodiff.grad(reward, [observation, action])
        f_s, f_a, _ = autodiff.jacobian(lambda x: self._next(*x), [observation, action, xi], states)
        pi_s, _ = autodiff.jacobian(policy, [observation, eta], actions)
        mask = ops.reshape(batch["mask"], (-1, 1))
        closed_r = (r_s + _times(r_a, pi_s)) * mask
        closed_f = (f_s + ops.matmul(f_a, pi_s)) * mask[:, :, None]

        def back(v_next, step):
            return step[0] + self.gamma * _times(v_next, step[1]), v_next

        over_time = [_time_first(x, count, length) for x in (closed_r, closed_f)]
        first, v_next = ops.scan(back, ops.zeros((count, states)), over_time, reverse=True)
        v_next = ops.reshape(ops.transpose(v_next, (1, 0, 2)), (-1, states))
        slopes = (r_a + self.gamma * _times(v_next, f_a)) * mask
        v_next = ops.reshape(v_next, (count, length, states))
        v_s = ops.concatenate([first[:, None], v_next[:, :-1]], 1)
        return v_s, ops.reshape(slopes, (count, length, actions))

    def _next(self, observation, action, xi):
        mean, std = self.dynamics(observation, action)
        return mean + std * xi

    # --- learning ---

    def _experience(self, transitions, envs):
        """Remember the step, and do the updates that have come due."""
        mean, std = (x[transitions["env"]] for x in self._behaviour)
        step = {name: transitions[name] for name in STEP} | {"mean": mean, "std": std}
        self.remember(**step)
        if self.variant == "svg_inf":
            self._trace(step, transitions["env"], np.maximum(transitions["terminated"], transitions["truncated"]), envs)
            due = int(int(self.steps) > self.learning_starts and len(self._finished) >= self.trajectories)
        else:
            due = self._due(envs, self.update_period, self.learning_starts)
        return [self.learn() for _ in range(due)]

    def transition_fields(self):
        """The arrays of the memory, a row a transition."""
        states, actions = tuple(self.observation_shape), tuple(self.action_shape)
        own = [Field("observation", states), Field("action", actions), Field("reward"), Field("next_observation", states)]
        return [*own, Field("terminated", (), low=0, high=1), Field("mean", actions), Field("std", actions, low=0)]

    def trajectory_fields(self):
        """The arrays of trajectories, `(trajectories, horizon, ...)`."""
        found = [replace(field, shape=(None, *field.shape), example=(self.horizon,)) for field in self.transition_fields()]
        return [*found, Field("mask", (None,), low=0, high=1, example=(self.horizon,))]

    def remember(self, **transitions):
        """Put transitions into the memory, which `fit` does by itself.

        Args:
            **transitions: arrays `observation`, `action`, `reward`, `next_observation`, `terminated`, one row a transition; and `mean` and
                `std` of the policy that acted. Without these the agent's own policy is taken, so that importance weights start at 1.

        Raises:
            ValueError: if an array is missing or of another shape.
        """
        for field in self.transition_fields():
            # a step in which all environments only reset gives no rows
            if np.size(transitions.get(field.name, ())):
                transitions[field.name] = field.convert(transitions[field.name])
        if self.memory is None:
            self.memory = self._new_memory()
        if "mean" not in transitions and "observation" in transitions:
            outputs = self(np.asarray(transitions["observation"], "float32"))
            transitions |= {name: ops.convert_to_numpy(value) for name, value in outputs.items()}
        self.memory.add(**transitions)

    @checked
    def restore_memory(self, file: File):
        """Read a memory that `memory.save(file)` wrote, so that a loaded agent goes on where it stopped."""
        self.memory = self._new_memory()
        self.memory.restore(file)

    def learn(self):
        """`model_updates` steps of model and critic, and one of the policy.

        Returns:
            Dict of `loss` (minus the value of what the policy learned from) and `importance_weight` (mean), and of `model_loss` and
            `value_loss` where there are such networks.

        Raises:
            ValueError: if nothing was remembered yet, or no trajectories were finished (`"svg_inf"`).
        """
        if self.memory is None or (self.variant == "svg_inf" and len(self._finished) < self.trajectories):
            wanted = "transitions in memory" if self.variant != "svg_inf" else f"{self.trajectories} finished trajectories"
            raise ValueError(f"`learn` needs {wanted}. Received: {0 if self.memory is None else len(self._finished)} so far")
        losses = []
        for _ in range(self._model_updates):
            batch = self.memory.sample(self.batch_size).transitions
            losses.append(self._learn_model(batch))
        if self.variant == "svg_inf":
            # any older ones are dropped: the policy has changed since, or is about to
            taken, self._finished = self._finished[-self.trajectories :], []
            batch = {name: np.stack([trajectory[name] for trajectory in taken]) for name in taken[0]}
            if self.imagined:
                batch = self.imagine(batch["observation"][:, 0])
        elif not self.replay:
            batch = self._latest()
        logs = {**{name: ops.mean(ops.stack([loss[name] for loss in losses])) for name in losses[0]}, **self._learn_policy(batch)}
        return {name: float(value) for name, value in logs.items()}

    @checked
    def update_target(self, due: Flag = True):
        """Copy the critic to the target network, if it is `due`, a bool or a scalar tensor."""
        for target, online in zip(self.target.variables, self.critic.variables):
            # `where` makes a new array: JAX must not be given one buffer twice
            target.assign(ops.where(due, online.value, target.value))

    @checked
    def imagine(self, observation: Observations, steps: Count | None = None) -> dict:
        """Trajectories that the policy takes in the model, shaped as real ones are; what a planner would learn from.

        Args:
            observation: where they start, `(trajectories, n)`.
            steps: their length; `None` means `horizon`.

        Returns:
            Dict of arrays `(trajectories, steps, ...)` as `trajectory_loss` takes them.
        """
        count, steps = len(observation), self.horizon if steps is None else steps
        etas, xis = (self._rng.standard_normal((steps, count, *shape), "float32") for shape in (self.action_shape, self.observation_shape))
        rows = self._imagine(np.asarray(observation, "float32"), etas, xis)
        return {name: np.moveaxis(ops.convert_to_numpy(value), 0, 1) for name, value in rows.items()}

    @cached_property
    def _imagine(self):
        def act(observation, eta):
            mean, std = self.policy(observation)
            return mean + std * eta, mean, std

        def step(observation, noises):
            return self._next(observation, act(observation, noises[0])[0], noises[1]), observation

        def play(start, etas, xis):
            # the loop gives states alone; what belongs to them comes in one pass
            end, states = ops.scan(step, start, (etas, xis))
            observation, following = _flat(states), _flat(ops.concatenate([states[1:], end[None]], 0))
            action, mean, std = act(observation, _flat(etas))
            reward = self.rewards(observation, action, following)
            row = {"observation": observation, "action": action, "reward": reward, "next_observation": following}
            row |= {"terminated": 0.0 * reward, "mean": mean, "std": std, "mask": 0.0 * reward + 1.0}
            return {name: ops.reshape(value, (*etas.shape[:2], *value.shape[1:])) for name, value in row.items()}

        return autodiff.compiled(play, self)

    def _latest(self):
        """The latest transitions, the oldest of them again where there are too few."""
        count = min(self.batch_size, len(self.memory))
        places = np.arange(self.memory.added - count, self.memory.added) % self.memory.capacity
        places = np.resize(places, self.batch_size)
        return {name: array[places] for name, array in self.memory.arrays.items()}

    def _trace(self, step, env, ended, envs):
        """Write the steps of each environment in a row, and put aside the trajectories that are done."""
        if self._open is None or len(self._open["mask"]) != envs:
            self._open = {name: np.zeros((envs, self.horizon, *array.shape[1:]), "float32") for name, array in step.items()}
            self._open["mask"] = np.zeros((envs, self.horizon), "float32")
        place = self._open["mask"].sum(1).astype(int)[env]
        for name, array in {**step, "mask": 1.0}.items():
            self._open[name][env, place] = array
        for i in env[(place + 1 == self.horizon) | ended.astype(bool)]:
            self._finished.append({name: array[i].copy() for name, array in self._open.items()})
            for array in self._open.values():
                array[i] = 0.0

    def _backup(self):
        """The memory, and the trajectories that wait for an update."""
        waiting = {f"finished_{name}": np.stack([t[name] for t in self._finished]) for name in (self._finished or [{}])[0]}
        return {**super()._backup(), **waiting}

    def _restore_backup(self, arrays):
        super()._restore_backup(arrays)
        waiting = {name.removeprefix("finished_"): array for name, array in arrays.items() if name.startswith("finished_")}
        self._finished = [dict(zip(waiting, rows)) for rows in zip(*waiting.values())]

    def _rollout(self, env, seed):
        # a new start: what was begun elsewhere is no trajectory of this
        self._open = None
        return super()._rollout(env, seed)

    def _new_memory(self):
        fields = {field.name: (field.shape, "float32") for field in self.transition_fields()}
        return UniformReplay(self.buffer_size, fields, seed=int(self._rng.integers(2**31)))

    # --- playing ---

    def signatures(self):
        """`serve` gives `mean` and `std` of the actions, `act` the `action`, which is the mean."""
        act = (lambda observation: {"action": self.policy(observation)[0]}, self.input_fields())
        return {**super().signatures(), "act": act}

    @checked
    def _choose(self, observations, noise: Flag = False):
        """The mean, or with `noise` what the policy draws."""
        action, mean, _ = self._draw(observations)
        return ops.convert_to_numpy(action if noise else mean)

    def _explore(self, observations):
        action, *self._behaviour = (ops.convert_to_numpy(x) for x in self._draw(observations))
        return action

    @cached_property
    def _draw(self):
        def draw(observation):
            mean, std = self.policy(observation)
            return mean + std * keras.random.normal(ops.shape(mean), seed=self.seed_generator), mean, std

        return autodiff.compiled(draw, self)


class _Policy(layers.Layer):
    """Observations `(batch, n)` -> mean and standard deviation of actions, `(batch, m)` each."""

    def __init__(self, states, actions, hidden, std, initial_std, limit, name):
        super().__init__(name=name, dtype="float32")
        self.std, self.initial_std, self.limit = std, initial_std, limit
        self.hidden = [layers.Dense(units, "tanh", dtype="float32") for units in hidden]
        self.mean = layers.Dense(actions, dtype="float32")
        raw = float(np.log(np.expm1(initial_std)))
        if std == "state":
            self.raw = layers.Dense(actions, bias_initializer=keras.initializers.Constant(raw), dtype="float32")
        elif std == "learned":
            self.raw = self.add_weight(shape=(actions,), initializer=keras.initializers.Constant(raw), name="raw_std")
        width = _build(self.hidden, states)
        self.mean.build((None, width))
        if std == "state":
            self.raw.build((None, width))
        self.built = True

    def call(self, observation):
        x = ops.cast(observation, "float32")
        for layer in self.hidden:
            x = layer(x)
        mean = self.mean(x)
        if self.limit is not None:
            mean = self.limit * ops.tanh(mean / self.limit)
        if self.std == "fixed":
            return mean, ops.full_like(mean, self.initial_std)
        raw = self.raw(x) if self.std == "state" else self.raw + ops.zeros_like(mean)
        return mean, ops.softplus(raw) + 1e-3


class _Dynamics(layers.Layer):
    """Observations `(batch, n)` and actions `(batch, m)` -> mean and standard deviation of the next observation, a network a dimension."""

    def __init__(self, states, actions, hidden, name):
        super().__init__(name=name, dtype="float32")
        self.states = states
        widths = [states + actions, *hidden, 2]
        self.networks = [
            layers.EinsumDense(
                "bki,kio->bko",
                (states, width),
                activation="tanh" if i < len(hidden) else None,
                bias_axes="ko",
                dtype="float32",
            )
            for i, width in enumerate(widths[1:])
        ]
        for layer, width in zip(self.networks, widths):
            layer.build((None, states, width))
        self.built = True

    def call(self, observation, action):
        x = ops.concatenate([observation, action], 1)
        x = ops.repeat(x[:, None], self.states, axis=1)
        for layer in self.networks:
            x = layer(x)
        return observation + x[..., 0], ops.softplus(x[..., 1]) + 1e-3


def _mlp(inputs, hidden, name):
    """`(batch, inputs)` -> `(batch, 1)`."""
    network = keras.Sequential([layers.Dense(units, "tanh", dtype="float32") for units in hidden], name=name)
    network.add(layers.Dense(1, dtype="float32"))
    network.build((None, inputs))
    return network


def _build(hidden, width):
    for layer in hidden:
        layer.build((None, width))
        width = layer.units
    return width


def _gaussian(mean, std):
    return DiagonalGaussian(ops.concatenate([mean, ops.log(std)], -1))


def _times(vectors, matrices):
    """`(batch, k)` times `(batch, k, l)` is `(batch, l)`."""
    return ops.matmul(vectors[:, None], matrices)[:, 0]


def _flat(x):
    """Trajectories and time as one axis."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def _time_first(x, count, length):
    x = ops.reshape(x, (count, length, *x.shape[1:]))
    return ops.moveaxis(x, 1, 0)
