"""Prioritized DQN: a (Double) deep Q-network that replays transitions the more often, the more they surprised it.

Paper: Schaul, Quan, Antonoglou, Silver 2015, "Prioritized Experience Replay", arXiv 1511.05952, on Double DQN (van Hasselt, Guez, Silver
2015, arXiv 1509.06461). Observations are `(batch, *observation_shape)`, action values `(batch, num_actions)`.

Differences from the paper:
1. Importance weights are divided by the largest weight of the batch, not of the whole memory.
2. Rank-based replay keeps the exact order of all transitions where the paper's heap approximates it; each draw comes from a range of ranks
   of exactly equal probability. A new transition gets rank 1 there, as the paper's gets the largest priority.
3. The loss is the mean over the batch, where DQN takes the sum; RMSProp's constant is divided by the squared batch size to match.
4. The constant added to proportional priorities, which the paper does not give, is 1e-6.
5. A transition cut short by a time limit (truncation) still bootstraps from its next state.
6. Memory keeps each frame of the Atari network's observations once, whoever holds it, where DQN's has a ring of frames.
7. The paper starts from the tuned Double DQN, whose action values share one bias in the last layer; here each has its own, as in DQN.
"""

from functools import cached_property
from typing import Annotated

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Described, File, Share, checked
from zoo.environments.replay_buffers import ProportionalReplay, RankReplay, UniformReplay
from zoo.families.agent import Agent, frame_axis, pixels
from zoo.metrics.last_batch import LastBatch
from zoo.model import Field

# (alpha, beta0) of each variant, table 3 of the paper
EXPONENTS = {"proportional": (0.6, 0.4), "rank": (0.7, 0.5), "uniform": (0.0, 1.0)}
MEMORY = ("observation", "action", "reward", "next_observation", "terminated")


Transitions = Annotated[dict, Described("transition_fields", ("reward", "next_observation", "terminated"))]


class PrioritizedDQN(Agent):
    """Q-learning from a prioritized memory; `fit(env, steps)` plays and learns, `act(observation, epsilon=0.0)` plays.

    Defaults are those of the paper for Atari; small problems want a smaller memory, faster schedules and a larger learning rate, which is
    the optimizer's: 0.00025 / 4, or 0.00025 with uniform replay.

    Args:
        observation_shape: shape of an observation; `(n,)` for `n` discrete ones, which are taken one-hot.
        num_actions: number of actions.
        hidden: units of the hidden layers of the `"mlp"`; empty makes it linear.
        network: `"atari"` for the convolutions of DQN, which take pixels 0..255 with the frames first or last, or `"mlp"`; `None` means
            `"atari"` for observations with three axes.
        replay: `"proportional"`, `"rank"` or `"uniform"`.
        alpha: exponent of the priorities; `None` means the paper's, 0.6 (proportional) or 0.7 (rank).
        beta0: exponent of the importance weights at the start; `None` means the paper's, 0.4 (proportional) or 0.5 (rank).
        beta_steps: steps of the environment over which beta goes to 1.
        double: whether the online network chooses the action that the target network values.
        gamma: discount factor.
        buffer_size: transitions in memory.
        batch_size: transitions in an update.
        learning_starts: steps before the first update.
        replay_period: steps between updates.
        target_update: steps between copies to the target network.
        epsilon_start: share of random actions at the start.
        epsilon_end: and in the end.
        epsilon_steps: steps over which it falls, along a line.
        reward_clip: rewards are cut to +- this; `None` leaves them.
        td_clip: TD errors are cut to +- this, in updates and priorities; `None` leaves them.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    output_name = "q_values"
    update_logs = ("loss", "td_error")

    def __init__(
        self,
        observation_shape=(84, 84, 4),
        num_actions=4,
        hidden=(512,),
        network=None,
        replay="proportional",
        alpha=None,
        beta0=None,
        beta_steps=50_000_000,
        double=True,
        gamma=0.99,
        buffer_size=1_000_000,
        batch_size=32,
        learning_starts=50_000,
        replay_period=4,
        target_update=30_000,
        epsilon_start=1.0,
        epsilon_end=0.01,
        epsilon_steps=1_000_000,
        reward_clip=1.0,
        td_clip=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("replay", replay, EXPONENTS)
        if network is not None:
            arguments.one_of("network", network, ("mlp", "atari"))
        for name, count in (("batch_size", batch_size), ("replay_period", replay_period)):
            if count is not None:
                arguments.count(name, count)
        for name, share in (("gamma", gamma), ("beta0", beta0), ("epsilon_start", epsilon_start), ("epsilon_end", epsilon_end)):
            if share is not None:
                arguments.number(name, share, 0, 1)
        for name, span in (("target_update", target_update), ("beta_steps", beta_steps), ("epsilon_steps", epsilon_steps)):
            if span is not None:
                arguments.count(name, span)
        if alpha is not None:
            arguments.number("alpha", alpha, 0)
        self._set_spaces(observation_shape, num_actions)
        self.hidden = hidden
        self.network = network
        self.replay = replay
        self.alpha = alpha
        self.beta0 = beta0
        self.beta_steps = beta_steps
        self.double = double
        self.gamma = gamma
        self.buffer_size = buffer_size
        self.batch_size = batch_size
        self.learning_starts = learning_starts
        self.replay_period = replay_period
        self.target_update = target_update
        self.epsilon_start = epsilon_start
        self.epsilon_end = epsilon_end
        self.epsilon_steps = epsilon_steps
        self.reward_clip = reward_clip
        self.td_clip = td_clip
        self._sees_pixels = network == "atari" or (network is None and len(observation_shape) == 3)
        self.online = _atari(observation_shape, num_actions) if self._sees_pixels else _mlp(observation_shape, hidden, num_actions)
        self.target = keras.models.clone_model(self.online)
        self.target.trainable = False
        self.update_target()
        self.memory = None
        self.td_errors = LastBatch(batch_size, name="td_errors")
        self.compile()

    def call(self, x, training=False):
        """Action values `(batch, num_actions)` of observations `x`."""
        return self.online(x, training=training)

    def input_fields(self):
        """Observations; pixels 0..255 for the Atari network."""
        limits = {"low": 0.0, "high": 255.0} if self._sees_pixels else {}
        return [Field("observation", tuple(self.observation_shape), **limits)]

    @classmethod
    def example_config(cls):
        """A small agent for a short Blind Cliffwalk."""
        return {
            "observation_shape": (3,),
            "num_actions": 2,
            "hidden": (8,),
            "replay": "rank",
            "beta_steps": 100,
            "gamma": 0.9,
            "buffer_size": 64,
            "batch_size": 4,
            "learning_starts": 8,
            "replay_period": 2,
            "target_update": 10,
            "epsilon_end": 0.5,
            "epsilon_steps": 50,
        }

    def example_data(self, batch_size=2):
        """A Blind Cliffwalk and a number of steps; the batch size is the constructor's."""
        from zoo.environments.cliffwalk import BlindCliffwalk

        return {"env": BlindCliffwalk(self.observation_shape[0]), "steps": 64}

    def example_calls(self):
        """A small valid call of every verb."""
        calls, rng = super().example_calls(), np.random.default_rng(0)
        transitions = {field.name: field.sample(8, rng) for field in self.transition_fields()}
        calls["act"]["epsilon"] = 0.5
        return {
            **calls,
            "targets": {"transitions": transitions},
            "remember": transitions,
            "learn": {},
            "update_target": {},
            "restore_memory": None,
        }

    @classmethod
    def search_space(cls, hp):
        """Width, priorities, target updates and learning rate."""
        return {
            "hidden": (hp.Choice("units", [32, 64, 128, 256]),) * 2,
            "alpha": hp.Float("alpha", 0.0, 1.0),
            "target_update": hp.Int("target_update", 100, 10_000, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-5, 1e-2, sampling="log"),
        }

    def default_optimizer(self):
        """DQN's centred RMSProp; its step size divided by four for prioritized replay (section 4)."""
        rate = 0.00025 if self.replay == "uniform" else 0.00025 / 4
        return keras.optimizers.RMSprop(rate, rho=0.95, epsilon=0.01 / self.batch_size**2, centered=True)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Weighted Huber loss, whose gradient is the clipped TD error (algorithm 1, lines 11 to 13)."""
        chosen = ops.take_along_axis(y_pred, y["action"][:, None], axis=1)[:, 0]
        errors = ops.stop_gradient(self.targets(y)) - chosen
        clipped = errors if self.td_clip is None else ops.clip(errors, -self.td_clip, self.td_clip)
        self.td_errors.update_state(clipped)
        return ops.mean(ops.cast(sample_weight, errors.dtype) * clipped * (errors - 0.5 * clipped))

    @checked
    def targets(self, transitions: Transitions):
        """What the action values should have been: `reward + gamma * Q_target(next, argmax Q(next))`.

        Args:
            transitions: dict of tensors `reward`, `next_observation`, `terminated`.

        Returns:
            Tensor `(batch,)`.
        """
        values = self.target(transitions["next_observation"], training=False)
        judge = self.online(transitions["next_observation"], training=False) if self.double else values
        best = ops.take_along_axis(values, ops.argmax(judge, axis=1)[:, None], axis=1)[:, 0]
        reward = transitions["reward"]
        reward = reward if self.reward_clip is None else ops.clip(reward, -self.reward_clip, self.reward_clip)
        return reward + self.gamma * (1.0 - transitions["terminated"]) * best

    # --- learning ---

    def _explore(self, observations):
        return self._choose(observations, self.epsilon)

    def _experience(self, transitions, envs):
        """Remember the step, and do the updates that have come due."""
        self.remember(**{name: transitions[name] for name in MEMORY})
        due = self._due(envs, self.replay_period, self.learning_starts)
        results = [dict(zip(self.update_logs, self.learn())) for _ in range(due)]
        if self._due(envs, self.target_update):
            self.update_target()
        return results

    def _schedule_logs(self):
        return {"epsilon": self.epsilon, "beta": self.beta}

    def transition_fields(self):
        """The arrays of the memory, a row a transition."""
        observation = tuple(self.observation_shape)
        return [
            Field("observation", observation),
            Field("action", (), "int32", 0, self.num_actions - 1),
            Field("reward"),
            Field("next_observation", observation),
            Field("terminated", (), low=0, high=1),
        ]

    def remember(self, **transitions):
        """Put transitions into the memory, which `fit` does by itself; demonstrations of others are welcome too.

        Args:
            **transitions: arrays `observation`, `action`, `reward`, `next_observation`, `terminated`, one row a transition.

        Raises:
            ValueError: if an array is missing or of another shape, or an action is none of the agent's.
        """
        for field in self.transition_fields():
            # a step in which all environments only reset gives no rows
            if np.size(transitions.get(field.name, ())):
                transitions[field.name] = field.convert(transitions[field.name])
        if self.memory is None:
            dtype = np.asarray(transitions.get("observation", 0.0)).dtype
            self.memory = self._new_memory("float32" if dtype.kind == "f" else dtype)
        self.memory.add(**transitions)

    @checked
    def restore_memory(self, file: File):
        """Read a memory that `memory.save(file)` wrote, so that a loaded agent goes on where it stopped."""
        with np.load(file, allow_pickle=False) as saved:
            dtype = saved["frames" if self._sees_pixels else "field/observation"].dtype
        self.memory = self._new_memory(dtype)
        self.memory.restore(file)

    def learn(self):
        """One update from the memory: draw a batch, step the optimizer, set the new priorities.

        Returns:
            The loss and the mean size of the TD errors.

        Raises:
            ValueError: if nothing was remembered yet.
        """
        if self.memory is None:
            raise ValueError("`learn` needs transitions in memory. Received: none so far")
        batch = self.memory.sample(self.batch_size, self.beta)
        y = dict(batch.transitions)
        logs = self.train_on_batch(y.pop("observation"), y, batch.weights, return_dict=True)
        self.memory.update(batch.indices, logs["td_errors"])
        return float(logs["loss"]), float(np.abs(logs["td_errors"]).mean())

    def update_target(self):
        """Copy the online network to the target network."""
        for target, online in zip(self.target.variables, self.online.variables):
            # a sum is a new array: JAX must not be given one buffer twice
            target.assign(online + 0)

    @property
    def beta(self):
        """The exponent of the importance weights now."""
        start = EXPONENTS[self.replay][1] if self.beta0 is None else self.beta0
        return start + (1.0 - start) * min(int(self.steps) / self.beta_steps, 1.0)

    @property
    def epsilon(self):
        """The share of random actions now."""
        share = min(int(self.steps) / self.epsilon_steps, 1.0)
        return self.epsilon_start + (self.epsilon_end - self.epsilon_start) * share

    # --- playing ---

    def signatures(self):
        """`serve` gives action values; `act` the best action."""
        act = (lambda observation: {"action": ops.argmax(self(observation, training=False), axis=1)}, self.input_fields())
        return {**super().signatures(), "act": act}

    @checked
    def _choose(self, observations, epsilon: Share = 0.0):
        """The best actions; a share of `epsilon` at random."""
        random = self._rng.random(len(observations)) < epsilon
        actions = self._rng.integers(self.num_actions, size=len(observations))
        return actions if random.all() else np.where(random, actions, ops.convert_to_numpy(self._best(observations)))

    @cached_property
    def _best(self):
        return autodiff.compiled(lambda x: ops.argmax(self.online(x, training=False), axis=1), self.online)

    def _new_memory(self, dtype):
        fields = {
            "observation": (self.observation_shape, dtype),
            "action": ((), "int32"),
            "reward": ((), "float32"),
            "next_observation": (self.observation_shape, dtype),
            "terminated": ((), "float32"),
        }
        options = {"seed": int(self._rng.integers(2**31))}
        if self._sees_pixels:
            options["stacks"] = dict.fromkeys(("observation", "next_observation"), frame_axis(self.observation_shape))
        if self.replay == "uniform":
            return UniformReplay(self.buffer_size, fields, **options)
        alpha = EXPONENTS[self.replay][0] if self.alpha is None else self.alpha
        return {"proportional": ProportionalReplay, "rank": RankReplay}[self.replay](self.buffer_size, fields, alpha=alpha, **options)


def _mlp(shape, hidden, num_actions):
    x = inputs = keras.Input(shape, name="observation")
    if len(shape) != 1:
        x = layers.Flatten()(x)
    for units in hidden:
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(num_actions, dtype="float32", name="q_values")(x))


def _atari(shape, num_actions):
    """The network of DQN (Mnih et al. 2015)."""
    inputs, x = pixels(shape)
    for filters, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
        x = layers.Conv2D(filters, kernel, stride, activation="relu")(x)
    x = layers.Dense(512, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(num_actions, dtype="float32", name="q_values")(x))
