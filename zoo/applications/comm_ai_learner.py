"""A recurrent learner for CommAI: it hears a symbol and a reward in each step, says one, and learns from what its symbols bring.

Paper: Mikolov, Joulin & Baroni 2015, "A Roadmap towards Machine Intelligence", arXiv 1511.08130, section 2: an ecosystem of learner,
teacher and world, `zoo.environments.commai`, whose learner shall maximise its average reward. The paper names no learner. This one is a GRU
that learns by REINFORCE (Williams 1992) with a learned baseline, or by Q-learning from stretches of its past (Hausknecht & Stone 2015,
arXiv 1507.06527).

Shapes: symbols heard `(batch, window)`, sounds said before `(batch, window)`, rewards that came with what was heard `(batch, window)` and
the state of the GRU at the first of them `(batch, units)` -> `logits` `(batch, window, sounds)` and `values` `(batch, window)`, or
`q_values` `(batch, window, sounds)`. Sounds are what the learner can say: the symbols of the channel, or the letters of an alphabet.

What the paper leaves open:
1. Sessions never end. They are cut into windows; gradients go back to the start of a window, at which the state is that of the time when
   it was played. What follows a window counts by its value.
2. Rewards to come are discounted, which stands for the paper's average reward over time: a reward that comes sooner is worth more.
3. Where an environment has ends, the rewards behind an end do not count, and behind a time limit the value of where it came counts in their
   place; the learner is not told of it otherwise and keeps its state. A step in which a vectorised environment only resets is one of the
   session.
4. In Q-learning the last step of each window is not learned, whose next values are in the next one.
5. The learner has a fixed size; the paper wants one that grows, and a long-term memory.
"""

from functools import cached_property

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Count, File, Flag, Index, Number, Numbers, checked
from zoo.environments.paths import discounted_sums
from zoo.environments.replay_buffers import UniformReplay
from zoo.families.agent import Agent
from zoo.model import Field

SYMBOLS = {"bit": 2, "byte": 256}
HEARD = ("heard", "said", "reward", "state")


class CommAILearner(Agent):
    """Recurrent agent over a channel of symbols; `fit(env, steps)` plays and learns, `player()` plays, and may go on learning.

    The learning rate is the optimizer's.

    Args:
        channel: `"bit"`, two symbols, or `"byte"`, 256.
        alphabet: text of the letters that the learner can say, in the `"byte"` channel; it hears all. `None` is all symbols: then it first
            has to find out what 256 bytes are good for.
        learning: `"reinforce"`: symbols are drawn from a policy, which follows the gradient of the reward to come beyond a learned
            baseline; `"q"`: the symbol of the highest value, and a share of random ones, and values are learned from a memory.
        units: of the GRU.
        window: steps through which gradients go back, and of a stretch in memory.
        gamma: discount of a reward by a step.
        lam: how far advantages look beyond the baseline's own guess, from 0 (one step) to 1 (all steps) (`"reinforce"`).
        entropy: weight of the policy's entropy, which keeps it trying (`"reinforce"`).
        value_weight: of half the baseline's squared error (`"reinforce"`).
        epsilon_start: share of random symbols at the start (`"q"`).
        epsilon_end: and in the end.
        epsilon_steps: steps over which it falls, along a line.
        double: whether the online network chooses the symbol that the target network values (`"q"`).
        buffer_size: windows in memory (`"q"`).
        batch_size: windows in an update (`"q"`).
        updates: after each window of all copies of the environment (`"q"`).
        target_update: updates between copies to the target network (`"q"`).
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(
        self,
        channel="bit",
        alphabet=None,
        learning="reinforce",
        units=64,
        window=32,
        gamma=0.97,
        lam=0.95,
        entropy=0.03,
        value_weight=0.5,
        epsilon_start=1.0,
        epsilon_end=0.02,
        epsilon_steps=100_000,
        double=True,
        buffer_size=5_000,
        batch_size=32,
        updates=4,
        target_update=100,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("channel", channel, SYMBOLS)
        arguments.one_of("learning", learning, ("reinforce", "q"))
        counts = {"units": units, "epsilon_steps": epsilon_steps, "buffer_size": buffer_size, "batch_size": batch_size}
        for name, count in {**counts, "updates": updates, "target_update": target_update}.items():
            setattr(self, name, arguments.count(name, count))
        self.window, self.double = arguments.count("window", window, 2), arguments.flag("double", double)
        for name, share in (("gamma", gamma), ("lam", lam), ("epsilon_start", epsilon_start), ("epsilon_end", epsilon_end)):
            arguments.number(name, share, 0, 1)
        for name, weight in (("entropy", entropy), ("value_weight", value_weight)):
            arguments.number(name, weight, 0)
        self._set_spaces((SYMBOLS[channel],), SYMBOLS[channel])
        self._set_sounds(channel, alphabet)
        self.channel, self.alphabet, self.learning, self.gamma = channel, alphabet, learning, gamma
        self.lam, self.entropy, self.value_weight = lam, entropy, value_weight
        self.epsilon_start, self.epsilon_end = epsilon_start, epsilon_end
        self._draws = learning == "reinforce"
        # what symbols are chosen by
        self._preferences = "logits" if self._draws else "q_values"
        self.update_logs = ("loss", "reward", "entropy" if self._draws else "td_error")
        self.network, self.target = self._build_network(), None
        if not self._draws:
            self.target = keras.models.clone_model(self.network)
            self.target.trainable = False
            self.update_target()
        self.memory = self._streams = None
        self.second_log = keras.metrics.Mean(name=self.update_logs[2])
        self.compile()

    def _set_sounds(self, channel, alphabet):
        """The symbols that can be said; the network knows them by their number."""
        if alphabet is None:
            self._spoken = np.arange(SYMBOLS[channel])
        else:
            letters = alphabet.encode() if isinstance(alphabet, str) and alphabet.isascii() else b""
            if channel != "byte" or len(letters) < 2 or len(set(letters)) < len(letters):
                arguments.refuse("alphabet", "a text of two or more different letters of ASCII, for the channel 'byte'", alphabet)
            self._spoken = np.array(list(letters))
        self.sounds = len(self._spoken)

    # --- the network ---

    def _build_network(self):
        """From any number of steps and the state at the first one to what is learned at each step, and the state after the last one."""
        heard, said = (keras.Input((None,), dtype="int32", name=name) for name in ("heard", "said"))
        reward, state = keras.Input((None,), name="reward"), keras.Input((self.units,), name="state")
        # what was said is 0 where nothing was, else the sound plus one
        x = ops.concatenate([ops.one_hot(heard, self.num_actions), ops.one_hot(said, self.sounds + 1), reward[..., None]], axis=-1)
        h, last = layers.GRU(self.units, return_sequences=True, return_state=True, name="gru")(x, initial_state=state)
        head = layers.Dense(self.sounds, dtype="float32", name=self._preferences)(h)
        outputs = {self._preferences: head, "state": last}
        if self._draws:
            outputs["values"] = layers.Dense(1, dtype="float32", name="values")(h)[..., 0]
        return keras.Model({"heard": heard, "said": said, "reward": reward, "state": state}, outputs, name="network")

    def call(self, x, training=False):
        """Dict of `logits` and `values`, or of `q_values`, for each step of the windows."""
        return {name: value for name, value in self.network(x, training=training).items() if name != "state"}

    # --- what the method takes ---

    def input_fields(self):
        """A window of what was heard, said before each step (0 is nothing, sound i is i + 1) and brought, and the state at its start."""
        return [
            Field("heard", (self.window,), "int32", 0, self.num_actions - 1),
            Field("said", (self.window,), "int32", 0, self.sounds),
            Field("reward", (self.window,)),
            Field("state", (self.units,), low=-1, high=1),
        ]

    def target_fields(self):
        """What was said in answer, and what it was worth; for Q-learning what it brought in the next step."""
        said = Field("action", (self.window,), "int32", 0, self.sounds - 1)
        if self._draws:
            return [said, Field("advantage", (self.window,)), Field("value", (self.window,))]
        return [said, Field("brought", (self.window,)), Field("terminated", (self.window,), low=0, high=1)]

    @classmethod
    def example_config(cls):
        """A small learner by Q-learning."""
        return {
            "learning": "q",
            "units": 5,
            "window": 4,
            "gamma": 0.8,
            "lam": 0.9,
            "entropy": 0.02,
            "value_weight": 0.4,
            "epsilon_start": 0.9,
            "epsilon_end": 0.1,
            "epsilon_steps": 50,
            "double": False,
            "buffer_size": 20,
            "batch_size": 3,
            "updates": 1,
            "target_update": 4,
        }

    def example_data(self, batch_size=2):
        """Nano tasks, broken off by a time limit, and a number of steps; the batch size is the constructor's."""
        import gymnasium

        from zoo.environments.commai import CommAI

        return {"env": gymnasium.wrappers.TimeLimit(CommAI("nano", self.channel), 16), "steps": 64}

    def example_calls(self):
        """A small valid call of every verb."""
        calls = super().example_calls()
        own = {
            "evaluate": {"env": calls["fit"]["env"], "steps": 20, "seed": 0, "explore": True},
            "act": {"heard": 1, "said": 0, "reward": 1.0, "state": np.zeros(self.units, "float32"), "explore": True},
            "player": {"learns": True, "explore": True},
            "update_target": {} if self.target else None,
            "restore_memory": None,
        }
        return {**calls, **own}

    @classmethod
    def search_space(cls, hp):
        """Units, window, discount and learning rate."""
        return {
            "units": hp.Choice("units", [32, 64, 128]),
            "window": hp.Choice("window", [16, 32, 64]),
            "gamma": hp.Choice("gamma", [0.9, 0.95, 0.97, 0.99]),
            "learning_rate": hp.Float("learning_rate", 3e-4, 1e-2, sampling="log"),
        }

    # --- learning ---

    def default_optimizer(self):
        """Adam with clipped gradients."""
        return keras.optimizers.Adam(5e-3 if self._draws else 3e-3, global_clipnorm=1.0)

    def objective(self, x, y, y_pred, sample_weight, training):
        """REINFORCE with a baseline, or the squared TD error."""
        losses = self._policy_losses(y, y_pred) if self._draws else self._td_losses(x, y, y_pred)
        losses = ops.mean(losses, axis=1)
        return ops.mean(losses if sample_weight is None else ops.cast(sample_weight, losses.dtype) * losses)

    def _policy_losses(self, y, y_pred):
        """Minus the gain of what was said, minus entropy, and the baseline's error, `(batch, window)`."""
        log_probabilities = ops.log_softmax(y_pred["logits"], axis=-1)
        chosen = ops.take_along_axis(log_probabilities, y["action"][..., None], axis=-1)[..., 0]
        entropy = -ops.sum(ops.exp(log_probabilities) * log_probabilities, axis=-1)
        self.second_log.update_state(entropy)
        errors = ops.square(y["value"] - y_pred["values"])
        return 0.5 * self.value_weight * errors - y["advantage"] * chosen - self.entropy * entropy

    def _td_losses(self, x, y, y_pred):
        """Squared errors of all steps but the last one, whose next values the window does not hold, `(batch, window - 1)`."""
        values = y_pred["q_values"]
        following = self.target(x, training=False)["q_values"][:, 1:]
        judge = values[:, 1:] if self.double else following
        best = ops.take_along_axis(following, ops.argmax(judge, axis=-1)[..., None], axis=-1)[..., 0]
        goal = y["brought"][:, :-1] + self.gamma * (1.0 - y["terminated"][:, :-1]) * best
        chosen = ops.take_along_axis(values, y["action"][..., None], axis=-1)[:, :-1, 0]
        errors = ops.stop_gradient(goal) - chosen
        self.second_log.update_state(ops.abs(errors))
        return ops.square(errors)

    def _begin(self, rollout, steps):
        self._streams = _Streams(self, rollout.envs, learns=True, explore=True)
        self._brought = np.zeros((3, rollout.envs), "float32")

    def _explore(self, observations):
        return self._streams.answer(observations.argmax(axis=-1), *self._brought)

    def _experience(self, transitions, envs):
        """What the symbols brought is learned from once a window is full, when the next symbol is heard."""
        self._brought[:] = 0.0
        rewards, cut, played = transitions["reward"], transitions["truncated"] > 0, transitions["env"]
        worth = rewards
        if cut.any():
            # what would have followed behind a time limit
            heard, before = np.zeros(envs, "int64"), np.zeros(envs, "float32")
            heard[played], before[played] = transitions["next_observation"].argmax(axis=-1), rewards
            worth = rewards + self.gamma * cut * self._streams.worth(heard, before)[played]
        self._brought[:, played] = rewards, worth, np.maximum(transitions["terminated"], cut)
        return self._streams.take_logs()

    def _learn_from(self, window, values):
        """Updates from a window of all streams, whose next step has the values `(streams,)`; gives their logs."""
        brought = window["brought"]
        x = {name: window[name] for name in HEARD}
        if self._draws:
            following = np.concatenate([window["values"][:, 1:], values[:, None]], axis=1)
            errors = brought + self.gamma * (1 - window["terminated"]) * following - window["values"]
            last = window["terminated"] > 0
            last[:, -1] = True
            advantage = discounted_sums(errors.ravel(), last.ravel(), self.gamma * self.lam).reshape(errors.shape).astype("float32")
            batches = [(x, {"action": window["action"], "advantage": advantage, "value": advantage + window["values"]})]
        else:
            self.memory = self._new_memory() if self.memory is None else self.memory
            self.memory.add(**{name: window[name] for name in self.memory.fields})
            batches = (self._remembered() for _ in range(self.updates))
        return [self._update(*batch, float(brought.mean())) for batch in batches]

    def _update(self, x, y, reward):
        logs = self.train_on_batch(x, y, return_dict=True)
        if self.target and int(self.optimizer.iterations) % self.target_update == 0:
            self.update_target()
        return {"loss": float(logs["loss"]), "reward": reward, self.second_log.name: float(logs[self.second_log.name])}

    def _remembered(self):
        """`x` and `y` of windows from the memory."""
        rows = dict(self.memory.sample(self.batch_size).transitions)
        x = {name: rows.pop(name) for name in HEARD}
        return x, rows

    def _schedule_logs(self):
        return {} if self._draws else {"epsilon": self.epsilon}

    @property
    def epsilon(self):
        """The share of random symbols now."""
        share = min(int(self.steps) / self.epsilon_steps, 1.0)
        return self.epsilon_start + (self.epsilon_end - self.epsilon_start) * share

    def update_target(self):
        """Copy the online network to the target network, as Q-learning does by itself.

        Raises:
            ValueError: unless the agent learns by Q-learning.
        """
        self._require_q("update_target")
        for target, online in zip(self.target.variables, self.network.variables):
            # a sum is a new array: JAX must not be given one buffer twice
            target.assign(online + 0)

    @checked
    def restore_memory(self, file: File):
        """Read a memory that `memory.save(file)` wrote, so that a loaded agent goes on where it stopped.

        Raises:
            ValueError: unless the agent learns by Q-learning.
        """
        self._require_q("restore_memory")
        memory = self._new_memory()
        memory.restore(file)
        self.memory = memory

    def _require_q(self, verb):
        if self._draws:
            raise ValueError(f"`{verb}` needs an agent with learning='q'. Received: learning={self.learning!r}")

    def _new_memory(self):
        fields = {field.name: (field.shape, field.dtype) for field in (*self.input_fields(), *self.target_fields())}
        return UniformReplay(self.buffer_size, fields, seed=int(self._rng.integers(2**31)))

    # --- playing ---

    @checked
    def act(  # type: ignore[override]
        self, heard: Index, said: Index | None = None, reward: Number = 0.0, state: Numbers | None = None, explore: Flag = False
    ) -> tuple[int, np.ndarray]:
        """The symbol to say, when the agent does not learn.

        Args:
            heard: a symbol.
            said: the symbol that was said before; `None` at the start, and what is none of the learner's sounds is nothing.
            reward: that came with what was heard.
            state: what `act` gave before; `None` at the start.
            explore: as in `player`.

        Returns:
            The symbol, and the state `(units,)`.

        Raises:
            ValueError: if a symbol is none of the channel's, or `state` has another shape.
        """
        for name, symbol in (("heard", heard), ("said", said or 0)):
            arguments.count(name, symbol, 0, self.num_actions - 1)
        streams = _Streams(self, 1, learns=False, explore=explore)
        if said is not None:
            streams.said[:] = np.flatnonzero(self._spoken == said) + 1 if said in self._spoken else 0
        if state is not None:
            Field("state", (self.units,), low=-1, high=1).check(np.asarray(state)[None])
            streams.state = np.asarray(state, "float32")[None]
        symbol = streams.answer(np.array([heard]), np.array([reward], "float32"))[0]
        return int(symbol), streams.state[0]

    @checked
    def player(self, learns: Flag = False, explore: Flag = False):
        """A learner as `zoo.environments.commai.evaluate` and other loops take it: it remembers what it has heard and said.

        Args:
            learns: whether it goes on learning. Then it explores as well, and its steps count, by which the share of random symbols falls.
            explore: whether symbols are drawn from the policy, or a share of them at random; else they are the best ones.

        Returns:
            An object with `act(observation, reward)`, which gives a symbol.
        """
        return _Player(_Streams(self, 1, learns, explore or learns))

    @checked
    def evaluate(  # type: ignore[override]
        self, env=None, steps: Count = 2000, seed: Index | None = None, explore: Flag = False
    ) -> dict[str, float]:
        """Play without learning. `zoo.environments.commai.evaluate` tells besides how many attempts a task takes.

        Args:
            env: as in `fit`.
            steps: symbols to say, over all copies of a vectorised environment.
            seed: of the first reset.
            explore: as in `player`.

        Returns:
            Dict of `reward`, the mean of a step, and `steps`.

        Raises:
            ValueError: if `env` does not fit the agent.
        """
        rollout = self._rollout(env, seed)
        streams = _Streams(self, rollout.envs, learns=False, explore=explore)
        brought, total, played = np.zeros(rollout.envs, "float32"), 0.0, 0
        while played < steps:
            transitions, _ = rollout.step(streams.answer(rollout.observations.argmax(axis=-1), brought))
            brought[:] = 0.0
            brought[transitions["env"]] = transitions["reward"]
            total += float(brought.sum())
            played += len(transitions["env"])
        return {"reward": total / played, "steps": played}

    def _rollout(self, env, seed):
        rollout = super()._rollout(env, seed)
        if not rollout._states:
            arguments.refuse("env", "an environment whose observations are Discrete, as symbols are", env)
        return rollout

    def signatures(self):
        """`serve` takes windows; `act` takes a step of each stream and gives the best `symbol` and `state`, for the next step as `said`.

        `said` is the symbol that was said before, -1 for none.
        """
        symbols = [Field("heard", (), "int32", 0, self.num_actions - 1), Field("said", (), "int32", -1, self.num_actions - 1)]
        return {**super().signatures(), "act": (self._serve_step, [*symbols, Field("reward"), self.input_fields()[3]])}

    def _serve_step(self, x):
        numbers = np.zeros(self.num_actions + 1, "int32")
        numbers[self._spoken + 1] = np.arange(self.sounds) + 1
        said = ops.take(numbers, x["said"] + 1)
        inputs = {"heard": x["heard"][:, None], "said": said[:, None], "reward": x["reward"][:, None], "state": x["state"]}
        found = self.network(inputs, training=False)
        best = ops.argmax(found[self._preferences][:, 0], axis=-1)
        return {"symbol": ops.take(self._spoken.astype("int32"), best), "state": ops.cast(found["state"], "float32")}

    @cached_property
    def _step(self):
        """Preferences `(streams, sounds)`, values `(streams,)` and states of one step."""

        def step(heard, said, reward, state):
            found = self.network({"heard": heard, "said": said, "reward": reward, "state": state}, training=False)
            preferences = found[self._preferences][:, 0]
            values = found["values"][:, 0] if self._draws else ops.max(preferences, axis=-1)
            return preferences, values, ops.cast(found["state"], "float32")

        return autodiff.compiled(step, self.network)

    def _choose(self, preferences, explore):
        """Sounds `(streams,)`: drawn by their probability, or the best and a share of random ones; without `explore` the best."""
        if not explore:
            return preferences.argmax(axis=-1)
        if self._draws:
            return (preferences + self._rng.gumbel(size=preferences.shape)).argmax(axis=-1)
        random = self._rng.random(len(preferences)) < self.epsilon
        return np.where(random, self._rng.integers(self.sounds, size=len(preferences)), preferences.argmax(axis=-1))


class _Streams:
    """Channels side by side, on which the agent hears and answers; it learns from each window of them if it shall."""

    def __init__(self, agent, count, learns, explore):
        self.agent, self.learns, self.explore = agent, learns, explore
        self.state, self.said = np.zeros((count, agent.units), "float32"), np.zeros(count, "int32")
        self.rows, self.start, self.logs = [], self.state, []

    def answer(self, heard, reward, worth=None, ended=0.0):
        """The symbols `(count,)` that answer those that are heard.

        `reward` came with them; `worth` is that of the last answers, the same unless a time limit broke off; nothing counts behind `ended`.
        """
        heard, reward = np.asarray(heard, "int32"), np.array(reward, "float32")
        preferences, values, state = self._read(heard, reward)
        if self.rows:
            ended = np.broadcast_to(np.float32(ended), reward.shape).copy()
            self.rows[-1] |= {"brought": reward if worth is None else np.array(worth), "terminated": ended}
        if len(self.rows) == self.agent.window:
            self.logs = self.agent._learn_from(self._window(), values)
            self.rows, self.start = [], self.state
            preferences, values, state = self._read(heard, reward)
        action = self.agent._choose(preferences, self.explore).astype("int32")
        if self.learns:
            self.rows.append({"heard": heard, "said": self.said, "reward": reward, "action": action, "values": values})
        self.state, self.said = state, action + 1
        return self.agent._spoken[action]

    def take_logs(self):
        """Logs of the last updates, once."""
        taken, self.logs = self.logs, []
        return taken

    def worth(self, heard, reward):
        """Values `(count,)` of hearing symbols now."""
        return self._read(np.asarray(heard, "int32"), np.asarray(reward, "float32"))[1]

    def _read(self, heard, reward):
        outputs = self.agent._step(heard[:, None], self.said[:, None], reward[:, None], self.state)
        return [ops.convert_to_numpy(output) for output in outputs]

    def _window(self):
        """Arrays `(count, window)` by name, and the state at the start."""
        return {"state": self.start, **{name: np.stack([row[name] for row in self.rows], axis=1) for name in self.rows[0]}}


class _Player:
    """One stream, as a learner of CommAI."""

    def __init__(self, streams):
        self._streams, self.channel = streams, streams.agent.channel

    def act(self, observation, reward=0.0):
        """The symbol that answers `observation`."""
        agent = self._streams.agent
        observation = arguments.count("observation", observation, 0, agent.num_actions - 1)
        if self._streams.learns:
            agent.steps.assign(int(agent.steps) + 1)
        return int(self._streams.answer([observation], [arguments.number("reward", reward)])[0])
