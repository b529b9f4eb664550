"""Deep reinforcement relevance network: plays games where a state is a text, and so is each of the actions that it offers.

Paper: He, Chen, He, Gao, Li, Deng, Ostendorf 2015, "Deep Reinforcement Learning with a Natural Language Action Space", arXiv 1511.04636.
One network reads the state, another one an action, both as bags of words; the value of the action is an interaction of what they found.

Shapes: word ids of states `(batch, state_length)` and of the actions offered there `(batch, max_actions, action_length)`, 0 for padding and
1 for an unknown word -> values `(batch, max_actions)`, -1e9 where there is no action.

Differences from the paper:
1. Words outside the vocabularies do not count.
2. The paper makes an update after each step of one game; here copies of a game may be played side by side, with `replay_period` steps of
   them between updates. The loss is the mean over the batch, and sizes of batch and memory, which the paper leaves open, are our own.
3. Weights start from Glorot's distribution, biases at 0.
4. `evaluate` and `act` take the best action; the paper goes on drawing from the softmax in tests, which is `alpha=agent.alpha` there.
5. The bilinear interaction is `state @ W @ action`; the nonlinear one, `"concat"`, is a hidden layer over both, then a linear unit.
6. A transition cut short by a limit of steps (truncation) still bootstraps from its next state.
"""

from dataclasses import replace
from functools import cached_property
from typing import Annotated, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, text
from zoo.arguments import Amount, Described, Index, Share, Text, TextLists, Texts, checked
from zoo.environments.replay_buffers import ProportionalReplay, RankReplay, UniformReplay
from zoo.environments.text_rollout import TextRollout
from zoo.families.agent import Agent
from zoo.layers.bag_of_words import BagOfWords
from zoo.metrics.last_batch import LastBatch
from zoo.model import Field

NETWORKS = ("drrn", "max_action_dqn", "per_action_dqn")
INTERACTIONS = ("inner", "bilinear", "concat")
MEMORIES = {"uniform": UniformReplay, "proportional": ProportionalReplay, "rank": RankReplay}
NO_ACTION = -1e9


class Turn(NamedTuple):
    """One step of an episode that `play` shows.

    Args:
        state: text.
        actions: texts; none after the last step.
        q_values: value of each action `(actions,)`.
        action: number of the one that was taken, or `None`.
        reward: that it brought.
    """

    state: str
    actions: list
    q_values: np.ndarray
    action: int | None = None
    reward: float = 0.0


Transitions = Annotated[dict, Described("transition_fields", ("reward", "next_state", "next_actions", "terminated"))]


class DRRN(Agent):
    """Q-learning over texts (arXiv 1511.04636); `fit(env, steps)` plays and learns, `act(state, actions)` plays, `play(env)` shows.

    The learning rate is the optimizer's. What the paper compares with is here too: `network` and empty `hidden` layers.

    Args:
        state_vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts)` gives.
        action_vocabulary: list of words.
        hidden: list of the units of the hidden layers; the paper has one or two of 20, 50 or 100. Empty makes a DQN linear.
        interaction: what makes a value of the two representations: `"inner"` product, `"bilinear"`, `"concat"` (a hidden layer over both).
        network: `"drrn"`; `"max_action_dqn"`: one network takes the state and all actions, in their places, and gives all values;
            `"per_action_dqn"`: one network takes the state and one action (section 3.2).
        activation: of hidden layers, a name that Keras knows.
        max_actions: most actions of a state.
        state_length: words read of a state.
        action_length: words read of an action.
        gamma: discount factor.
        exploration: `"softmax"`: actions are drawn in proportion to exp(alpha Q) while it learns; `"epsilon"`: best ones and a share of
            random ones.
        alpha: how much values count in the softmax; the paper has 0.2 for Saving John and 1 for Machine of Death.
        epsilon: share of random actions.
        replay: `"uniform"`, as in the paper, or `"proportional"` or `"rank"`, see `zoo.environments.replay_buffers`.
        buffer_size: transitions in memory.
        batch_size: transitions in an update.
        learning_starts: steps before the first update.
        replay_period: steps between updates.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    update_logs = ("loss", "td_error")

    def __init__(
        self,
        state_vocabulary,
        action_vocabulary,
        hidden=(100, 100),
        interaction="inner",
        network="drrn",
        activation="tanh",
        max_actions=8,
        state_length=200,
        action_length=24,
        gamma=0.9,
        exploration="softmax",
        alpha=0.2,
        epsilon=0.1,
        replay="uniform",
        buffer_size=10_000,
        batch_size=32,
        learning_starts=32,
        replay_period=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("network", network, NETWORKS)
        arguments.one_of("interaction", interaction, INTERACTIONS)
        arguments.one_of("exploration", exploration, ("softmax", "epsilon"))
        arguments.one_of("replay", replay, MEMORIES)
        for name, count in (("state_length", state_length), ("action_length", action_length), ("batch_size", batch_size)):
            arguments.count(name, count)
        arguments.count("replay_period", replay_period)
        for name, share in (("gamma", gamma), ("epsilon", epsilon)):
            arguments.number(name, share, 0, 1)
        arguments.number("alpha", alpha, 0)
        if network == "drrn" and not hidden:
            raise ValueError("`hidden` must have at least one layer, unless `network` is a DQN. Received: none")
        self._set_spaces(None, max_actions)
        self.state_vocabulary, self.action_vocabulary, self.hidden = state_vocabulary, action_vocabulary, hidden
        self.interaction, self.network, self.activation, self.max_actions = interaction, network, activation, max_actions
        self.state_length, self.action_length, self.gamma = state_length, action_length, gamma
        self.exploration, self.alpha, self.epsilon, self.replay = exploration, alpha, epsilon, replay
        self.buffer_size, self.batch_size = buffer_size, batch_size
        self.learning_starts, self.replay_period = learning_starts, replay_period
        self._state_words = text.word_vectorization(state_vocabulary, state_length)
        self._action_words = text.word_vectorization(action_vocabulary, action_length)
        self._state_ids, self._action_ids = text.CachedIds(self._state_words), text.CachedIds(self._action_words)
        self.q_network = self._build_network()
        self.memory = None
        self.td_errors = LastBatch(batch_size, name="td_errors")
        self.compile()

    # --- the network ---

    def _build_network(self):
        state = keras.Input((self.state_length,), dtype="int32", name="state")
        actions = keras.Input((self.max_actions, self.action_length), dtype="int32", name="actions")
        build = {"drrn": self._relevance, "max_action_dqn": self._max_action, "per_action_dqn": self._per_action}[self.network]
        offered = ops.any(ops.not_equal(actions, text.PADDING), axis=-1)
        values = ops.where(offered, ops.cast(build(state, actions), "float32"), NO_ACTION)
        return keras.Model({"state": state, "actions": actions}, values, name="q_network")

    def _relevance(self, state, actions):
        """Two networks and their interaction (section 3.3)."""
        h_state = self._activated(self._bag(self.state_vocabulary, "state")(state), "state")
        h_actions = self._activated(self._bag(self.action_vocabulary, "action")(actions), "action")
        if self.interaction == "concat":
            repeated = ops.repeat(h_state[:, None], self.max_actions, axis=1)
            h = layers.Dense(self.hidden[-1], self.activation, name="interaction")(ops.concatenate([repeated, h_actions], axis=-1))
            return layers.Dense(1, name="value")(h)[..., 0]
        if self.interaction == "bilinear":
            h_state = layers.Dense(self.hidden[-1], use_bias=False, name="interaction")(h_state)
        return ops.sum(ops.cast(h_state, "float32")[:, None] * ops.cast(h_actions, "float32"), axis=-1)

    def _max_action(self, state, actions):
        """One network over the bags of the state and of each place for an action, side by side; one output a place."""
        units, size = (*self.hidden, self.max_actions)[0], len(self.action_vocabulary)
        # each place has words of its own
        shifted = actions + size * ops.cast(actions > text.UNKNOWN, "int32") * ops.arange(self.max_actions, dtype="int32")[:, None]
        flat = ops.reshape(shifted, (-1, self.max_actions * self.action_length))
        bag = BagOfWords(size * self.max_actions, units, use_bias=False, name="action_words")
        x = self._bag(self.state_vocabulary, "state", units)(state) + bag(flat)
        return layers.Dense(self.max_actions, name="values")(self._activated(x, "joint")) if self.hidden else x

    def _per_action(self, state, actions):
        """One network over the bags of the state and of one action."""
        units = (*self.hidden, 1)[0]
        bag = self._bag(self.action_vocabulary, "action", units, use_bias=False)
        x = self._bag(self.state_vocabulary, "state", units)(state)[:, None] + bag(actions)
        return layers.Dense(1, name="value")(self._activated(x, "joint"))[..., 0] if self.hidden else x[..., 0]

    def _bag(self, vocabulary, name, units=None, use_bias=True):
        return BagOfWords(len(vocabulary), units or self.hidden[0], use_bias=use_bias, name=f"{name}_words")

    def _activated(self, x, name):
        """The rest of the first hidden layer, whose linear part is `x`, and the further ones."""
        x = layers.Activation(self.activation, name=f"{name}_activation")(x)
        for i, units in enumerate(self.hidden[1:], start=2):
            x = layers.Dense(units, self.activation, name=f"{name}_hidden_{i}")(x)
        return x

    def call(self, x, training=False):
        """Values `(batch, max_actions)`."""
        return self.q_network(x, training=training)

    # --- what the method takes ---

    def input_fields(self):
        """Ids of states and actions; `encode` makes them."""
        return [
            Field("state", (self.state_length,), "int32", 0, len(self.state_vocabulary) + 1),
            Field("actions", (self.max_actions, self.action_length), "int32", 0, len(self.action_vocabulary) + 1),
        ]

    @classmethod
    def example_config(cls):
        """A few words of a game, a bilinear interaction, prioritized replay."""
        return {
            "state_vocabulary": ["the", "lamp", "storm", ".", "mara", "oil", "door"],
            "action_vocabulary": ["the", "lamp", "oil", "bell", "up", "."],
            "hidden": (6, 5),
            "interaction": "bilinear",
            "activation": "sigmoid",
            "max_actions": 4,
            "state_length": 50,
            "action_length": 10,
            "gamma": 0.8,
            "alpha": 0.5,
            "epsilon": 0.2,
            "replay": "rank",
            "buffer_size": 64,
            "batch_size": 4,
            "learning_starts": 8,
            "replay_period": 2,
        }

    def example_data(self, batch_size=2):
        """A game and a number of steps; the batch size is the constructor's."""
        from zoo.environments.text_games import TextGame

        return {"env": TextGame("gull_rock"), "steps": 64}

    def example_calls(self):
        """A small valid call of every verb."""
        calls, rng = super().example_calls(), np.random.default_rng(0)
        how = {"alpha": 1.0, "epsilon": 0.5}
        own = {
            "encode": {"states": ["a room", "a door"], "actions": [["go", "stay"], ["open"]]},
            "act": {"state": "a room", "actions": ["go", "stay"], **how},
            "play": {"env": calls["fit"]["env"], "seed": 0, **how},
            "transcript": {"env": calls["fit"]["env"], "seed": 0, **how},
            "restore_memory": None,
            "targets": {"transitions": {field.name: field.sample(2, rng) for field in self.transition_fields()}},
        }
        return {**calls, **own}

    @classmethod
    def search_space(cls, hp):
        """Layers, interaction, temperature and learning rate."""
        return {
            "hidden": (hp.Choice("units", [20, 50, 100]),) * hp.Int("layers", 1, 3),
            "interaction": hp.Choice("interaction", INTERACTIONS),
            "alpha": hp.Float("alpha", 0.05, 2.0, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-1, sampling="log"),
        }

    @checked
    def encode(self, states: Texts, actions: TextLists) -> dict[str, np.ndarray]:
        """What `predict` takes.

        Args:
            states: list of texts.
            actions: for each of them the list of the texts of its actions.

        Returns:
            Dict of int32 arrays, see `input_fields`.

        Raises:
            ValueError: if these are no texts, or a state has no action or more than `max_actions`.
        """
        actions = arguments.text_lists("actions", actions)
        if len(actions) != len(states):
            raise ValueError(f"`actions` must be {len(states)} lists of texts, one a state. Received: {str(actions)[:100]}")
        return self._ids(states, actions)

    def _ids(self, states, actions):
        """As `encode`; a state may have no actions, since its game is over."""
        for offered in actions:
            if isinstance(offered, str) or not all(isinstance(action, str) and action.strip() for action in offered):
                raise ValueError(f"`actions` must be lists of texts. Received: {str(offered)[:100]}")
        most = max(map(len, actions))
        if most > self.max_actions:
            raise ValueError(f"`actions` must be at most `max_actions` = {self.max_actions} in a state. Received: {most}")
        padded = [[*offered, *[""] * (self.max_actions - len(offered))] for offered in actions]
        ids = self._action_ids([action for offered in padded for action in offered])
        return {"state": self._state_ids(states), "actions": ids.reshape(len(states), self.max_actions, self.action_length)}

    # --- learning ---

    def default_optimizer(self):
        """Gradient descent at the paper's rate for Saving John (section 5.1; a tenth of it for Machine of Death)."""
        return keras.optimizers.SGD(0.001)

    def objective(self, x, y, y_pred, sample_weight, training):
        """The mean squared TD error (algorithm 1), weighted where replay is prioritized."""
        chosen = ops.take_along_axis(y_pred, y["action"][:, None], axis=1)[:, 0]
        errors = ops.stop_gradient(self.targets(y)) - chosen
        self.td_errors.update_state(errors)
        return ops.mean(ops.cast(sample_weight, errors.dtype) * ops.square(errors))

    def transition_fields(self):
        """The arrays of the memory, a row a transition."""
        now = self.input_fields()
        after = [replace(field, name=f"next_{field.name}") for field in now]
        return [
            *now,
            *after,
            Field("action", (), "int32", 0, self.max_actions - 1),
            Field("reward"),
            Field("terminated", (), low=0, high=1),
        ]

    @checked
    def targets(self, transitions: Transitions):
        """What the values of actions should have been: the reward, and `gamma` times the best value of the next state unless it is an end.

        Args:
            transitions: dict of tensors `reward`, `next_state`, `next_actions`, `terminated`.

        Returns:
            Tensor `(batch,)`.
        """
        following = {"state": transitions["next_state"], "actions": transitions["next_actions"]}
        best = ops.max(self.q_network(following, training=False), axis=1)
        return transitions["reward"] + ops.where(transitions["terminated"] > 0, 0.0, self.gamma * best)

    def _experience(self, transitions, envs):
        """Remember the step, and do the updates that have come due."""
        if self.memory is None:
            self.memory = self._new_memory()
        self.memory.add(**{name: transitions[name] for name in self.memory.fields})
        return [self._learn() for _ in range(self._due(envs, self.replay_period, self.learning_starts))]

    def _learn(self):
        """One update from the memory."""
        batch = self.memory.sample(self.batch_size)
        y = dict(batch.transitions)
        x = {"state": y.pop("state"), "actions": y.pop("actions")}
        logs = self.train_on_batch(x, y, batch.weights, return_dict=True)
        self.memory.update(batch.indices, logs["td_errors"])
        return {"loss": float(logs["loss"]), "td_error": float(np.abs(logs["td_errors"]).mean())}

    def restore_memory(self, file):
        """Read a memory that `memory.save(file)` wrote, so that a loaded agent goes on where it stopped."""
        self.memory = self._new_memory()
        self.memory.restore(file)

    def _new_memory(self):
        return MEMORIES[self.replay](self.buffer_size, self._memory_fields(), seed=int(self._rng.integers(2**31)))

    def _memory_fields(self):
        texts = {"state": ((self.state_length,), "int32"), "actions": ((self.max_actions, self.action_length), "int32")}
        others = {"action": ((), "int32"), "reward": ((), "float32"), "terminated": ((), "float32")}
        return {**texts, **{f"next_{name}": spec for name, spec in texts.items()}, **others}

    # --- playing ---

    @checked
    def act(self, state: Text, actions: Texts, alpha: Amount | None = None, epsilon: Share = 0.0) -> int:  # type: ignore[override]
        """The number of the action to take.

        Args:
            state: a text.
            actions: list of texts.
            alpha: draws in proportion to exp(alpha Q); `None` takes the best.
            epsilon: share of random actions.

        Returns:
            An int.

        Raises:
            ValueError: if these are no texts, or there are more actions than `max_actions`.
        """
        return int(self._choose(self.encode([state], [actions]), alpha, epsilon)[0])

    @checked
    def play(self, env, alpha: Amount | None = None, epsilon: Share = 0.0, seed: Index | None = None):
        """Play an episode.

        Args:
            env: a game as in `fit`, a single one.
            alpha: as in `act`.
            epsilon: as in `act`.
            seed: of the game.

        Returns:
            List of `Turn`s; the last one is where the game ended. `transcript` makes a text of them.
        """
        rollout = self._rollout([env], seed)
        turns: list[Turn] = []
        ended: list = []
        while not ended:
            x, state, actions = rollout.observations, rollout.states[0], rollout.actions[0]
            action = int(self._choose(x, alpha, epsilon)[0])
            values = ops.convert_to_numpy(self._values(x))[0, : len(actions)]
            transitions, ended = rollout.step([action])
            turns.append(Turn(state, actions, values, action, float(transitions["reward"][0])))
        return [*turns, Turn(rollout.reached[0], [], np.zeros(0))]

    def transcript(self, env, **how):
        """An episode as a text: states, and their actions with values, the one that was taken marked.

        Args:
            env: a game, a single one.
            **how: as in `play`.
        """
        lines = []
        for turn in self.play(env, **how):
            lines.append(turn.state)
            for i, (action, value) in enumerate(zip(turn.actions, turn.q_values)):
                lines.append(f"  {'>' if i == turn.action else ' '} {value:8.2f}  {action}")
            lines.append("" if turn.action is None else f"    reward {turn.reward:g}\n")
        return "\n".join(lines)

    def signatures(self):
        """`serve` takes texts, `""` where a state has fewer actions, and gives `q_values` and the best `action`; `serve_ids` takes ids."""
        texts = [Field("state", (), "string"), Field("actions", (self.max_actions,), "string")]
        return {"serve": (self._serve_texts, texts), "serve_ids": (self._serve, self.input_fields())}

    def _serve_texts(self, x):
        ids = self._action_words(ops.reshape(x["actions"], (-1,)))
        return self._serve(
            {"state": self._state_words(x["state"]), "actions": ops.reshape(ids, (-1, self.max_actions, self.action_length))}
        )

    def _serve(self, x):
        values = self(x, training=False)
        return {"q_values": values, "action": ops.argmax(values, axis=1)}

    def _explore(self, observations):
        how = {"alpha": self.alpha} if self.exploration == "softmax" else {"epsilon": self.epsilon}
        return self._choose(observations, **how)

    @checked
    def _choose(self, observations, alpha: Amount | None = None, epsilon: Share = 0.0):
        """The best actions, or draws from the softmax; a share of `epsilon` at random."""
        values = ops.convert_to_numpy(self._values(observations))
        # the largest of scores with Gumbel noise is a draw from their softmax
        noise = self._rng.gumbel(size=values.shape)
        scores = values if alpha is None else np.where(values > NO_ACTION, alpha * values, -np.inf) + noise
        if epsilon > 0:
            random = self._rng.random(len(values)) < epsilon
            scores = np.where(random[:, None], np.where(values > NO_ACTION, noise, -np.inf), scores)
        return scores.argmax(1)

    @cached_property
    def _values(self):
        return autodiff.compiled(lambda x: self.q_network(x, training=False), self.q_network)

    def _rollout(self, env, seed):
        return TextRollout(env, self._ids, int(self._rng.integers(2**31)) if seed is None else seed)
