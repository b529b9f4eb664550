"""What agents share: playing a gymnasium environment while they learn, playing it without, and acting on single observations."""

import io
import itertools
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import layers

from zoo import arguments
from zoo.arguments import Callbacks, Count, Index, Verbose, checked
from zoo.environments.rollout import Rollout
from zoo.model import Field, Model


class Agent(Model):
    """Observation `(batch, *observation_shape)` -> what the method decides by.

    A method calls `_set_spaces` in its constructor, names in `update_logs` what its updates report, and overrides `_choose` (actions
    without learning), `_explore` (actions while learning) and `_experience` (what it makes of a step).
    """

    update_logs: tuple[str, ...] = ("loss",)

    def _set_spaces(self, observation_shape, num_actions=None, action_shape=None):
        if (num_actions is None) == (action_shape is None):
            raise ValueError(
                "One of `num_actions` (discrete) and `action_shape` (continuous) must be given. "
                f"Received: num_actions={num_actions}, action_shape={action_shape}"
            )
        if num_actions is not None:
            arguments.count("num_actions", num_actions)
        self.observation_shape, self.num_actions, self.action_shape = observation_shape, num_actions, action_shape
        self.steps = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="steps")
        self._rng = np.random.default_rng(np.random.randint(2**31))

    def input_fields(self):
        """Observations."""
        return [Field("observation", tuple(self.observation_shape))]

    def example_calls(self):
        """A small valid call of every verb."""
        data, play = self.example_data(), {"episodes": 2, "seed": 0}
        own = {
            "fit": {**data, "verbose": 0, "seed": 0},
            "evaluate": {"env": data["env"], **play},
            "act": {"observation": self.example_inputs()},
        }
        return {**super().example_calls(), **own}

    # --- what a method overrides ---

    def _choose(self, observations):
        """Actions `(batch, ...)`, NumPy, for play; keyword arguments are what `act` and `evaluate` take besides."""
        raise NotImplementedError

    def _explore(self, observations):
        """Actions for learning."""
        raise NotImplementedError

    def _experience(self, transitions, envs):
        """Keep what `Rollout.step` gave after a step of `envs` environments, and learn when it is time.

        `steps` is counted already.

        Returns:
            A list with a dict by `update_logs` for each update that was made.
        """
        raise NotImplementedError

    def _begin(self, rollout, steps):
        """Called by `fit` with what it plays and for how many steps, before the first of them."""

    def _is_gathering(self):
        """Whether the agent is in the midst of gathering experience for an update; no epoch ends there, nor does `fit`."""
        return False

    def _epoch_steps(self):
        """Steps in an epoch unless `fit` is told otherwise."""
        return 1000

    def _schedule_logs(self):
        """What else the history shows at the end of an epoch."""
        return {}

    # --- learning and playing ---

    @checked
    def fit(  # type: ignore[override]
        self,
        env=None,
        steps: Count = 10_000,
        callbacks: Callbacks | None = None,
        verbose: Verbose = "auto",
        log_every: Count | None = None,
        seed: Index | None = None,
    ) -> keras.callbacks.History:
        """Play `env` and learn. A second call goes on where the first one ended: memory, schedules, optimizer.

        Args:
            env: a gymnasium environment, single or vectorised, with the agent's observations and actions.
            steps: steps to play, over all copies of a vectorised environment.
            callbacks: Keras callbacks; an epoch is `log_every` steps, a batch one step of `env`. With a `BackupAndRestore` every epoch
                begins with new episodes, so that a run that was interrupted goes on as it would have gone.
            verbose: 0 is silent, 1 a progress bar, 2 a line an epoch.
            log_every: steps in an epoch, at least; `None` is the method's own choice, 1000 or an update.
            seed: of the environment's first reset.

        Returns:
            A Keras `History` with the means of what updates report (`loss` and others), `episode_return` and `episode_length` (means over
            the episodes that ended in the epoch), all of them NaN where nothing happened; the schedules, and `steps`.

        Raises:
            ValueError: if `env` does not fit the agent, `steps` is below 1, or another loss was compiled.
        """
        if not self._auto_loss:
            raise ValueError("`loss` must be 'auto': an agent's objective is the method itself. Received: another loss in `compile`")
        rollout = self._rollout(env, seed)
        self._begin(rollout, steps)
        length = max((log_every or self._epoch_steps()) // rollout.envs, 1)
        given = [type(callback).__name__ for callback in callbacks or []]
        tracker = keras.callbacks.CallbackList(
            self._resumable([*self._callbacks, *(callbacks or [])]),
            add_history=True,
            add_progbar=verbose != 0,
            model=self,
            verbose=1 if verbose == "auto" else verbose,
            epochs=-(-steps // (length * rollout.envs)),
            steps=length,
        )
        with self.fits.entry(self, steps=steps, environments=rollout.envs, callbacks=given):
            self._play(rollout, env, steps, length, tracker)
        return self.history

    def _play(self, rollout, env, steps, length, tracker):
        """Epochs of `length` steps of all copies of the environment, until so many `steps` more are played."""
        end = int(self.steps) + steps
        self.stop_training, logs, state = False, {}, self._training_state
        tracker.on_train_begin()
        for epoch in itertools.count(0 if state is None else state.epoch):
            # a restored run may have had its last step already
            if self.stop_training or int(self.steps) >= end:
                break
            tracker.on_epoch_begin(epoch)
            if state is not None:
                state.epoch = epoch + 1
                if epoch:
                    # an environment in the midst of an episode cannot be saved
                    rollout = self._rollout(env, None)
                    self._begin(rollout, steps)
            logs = self._epoch(rollout, min(end, int(self.steps) + length * rollout.envs), tracker)
            tracker.on_epoch_end(epoch, logs)
        tracker.on_train_end(logs)

    def _epoch(self, rollout, end, tracker):
        means = _Means(*self.update_logs, "episode_return", "episode_length")
        for i in itertools.count():
            tracker.on_train_batch_begin(i)
            transitions, ended = rollout.step(self._explore(rollout.observations))
            for _, total, length in ended:
                means.add(episode_return=total, episode_length=length)
            self.steps.assign(int(self.steps) + rollout.envs)
            for update in self._experience(transitions, rollout.envs):
                means.add(**update)
            tracker.on_train_batch_end(i, means.now())
            if int(self.steps) >= end and not self._is_gathering():
                break
        return {**means.now(), **self._schedule_logs(), "steps": int(self.steps)}

    def _backup(self):
        """The memory of an agent that has one."""
        if getattr(self, "memory", None) is None:
            return {}
        stream = io.BytesIO()
        self.memory.save(stream)
        return {"memory": np.frombuffer(stream.getvalue(), "uint8")}

    def _restore_backup(self, arrays):
        if "memory" in arrays:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "memory.npz"
                file.write_bytes(arrays["memory"].tobytes())
                self.restore_memory(file)

    def act(self, observation, **how):
        """The action of the agent when it does not learn.

        Args:
            observation: array `observation_shape`, the number of a discrete one, or a batch of arrays.
            **how: keyword arguments of the method's own way to choose.

        Returns:
            An int or an array `action_shape`; an array with a batch axis for a batch.

        Raises:
            ValueError: if `observation` has another shape.
        """
        x = arguments.numbers("observation", observation)
        if x.ndim == 0 and x.dtype.kind in "iu":
            arguments.count("observation", x, 0, self.observation_shape[0] - 1)
            x = np.arange(self.observation_shape[0]) == x
        single = x.ndim == len(self.observation_shape)
        x = (x[None] if single else x).astype("float32")
        self.check(x)
        actions = self._choose(x, **how)
        if not single:
            return actions
        return int(actions[0]) if self.action_shape is None else actions[0]

    @checked
    def evaluate(self, env=None, episodes: Count = 10, seed: Index | None = None, **how) -> dict:  # type: ignore[override]
        """Play without learning.

        Args:
            env: as in `fit`; each copy of a vectorised one plays the same number of episodes.
            episodes: at least so many.
            seed: of the first reset.
            **how: as in `act`.

        Returns:
            Dict of `mean_return`, `std_return`, `mean_length` and `episodes`.

        Raises:
            ValueError: if `env` does not fit the agent, or `episodes` is below 1.
        """
        rollout = self._rollout(env, seed)
        each = -(-episodes // rollout.envs)
        played, counts = [], np.zeros(rollout.envs, "int64")
        while counts.min() < each:
            _, ended = rollout.step(self._choose(rollout.observations, **how))
            for episode in ended:
                counts[episode[0]] += 1
                if counts[episode[0]] <= each:
                    played.append(episode)
        _, returns, lengths = np.array(played).T
        statistics = {"mean_return": returns.mean(), "std_return": returns.std(), "mean_length": lengths.mean()}
        return {**{name: float(value) for name, value in statistics.items()}, "episodes": len(played)}

    def _rollout(self, env, seed):
        """What is played: `envs`, `observations`, and `step(actions)` as in `Rollout`."""
        rollout = Rollout(env, int(self._rng.integers(2**31)) if seed is None else seed)
        ours = (tuple(self.observation_shape), self.num_actions, self.action_shape and tuple(self.action_shape))
        theirs = (rollout.observation_shape, rollout.num_actions, rollout.action_shape)
        if ours != theirs:
            raise ValueError(
                "`env` must have the agent's observation shape, number of actions and shape of an action, "
                f"{', '.join(map(str, ours))}. Received: {', '.join(map(str, theirs))}"
            )
        return rollout

    def _due(self, envs, period, start=0):
        """How many multiples of `period` beyond `start` the last step of `envs` environments took `steps` past."""
        steps = int(self.steps)
        return max(steps // period - max(steps - envs, start) // period, 0)


def pixels(shape):
    """Input of a convolutional network that takes pixels 0..255 with the frames first or last.

    Returns:
        `inputs, x`: the `keras.Input`, and pixels 0..1 with the frames last.
    """
    if len(shape) != 3 or min(shape[1], max(shape[0], shape[2])) < 36:
        raise ValueError(
            f"`observation_shape` must be (height, width, frames) or (frames, height, width), from 36 pixels. Received: {shape}"
        )
    x = inputs = keras.Input(shape, name="observation")
    if frame_axis(shape) == 0:
        x = layers.Permute((2, 3, 1))(x)
    return inputs, layers.Rescaling(1 / 255)(x)


def frame_axis(shape):
    """Where the frames of `(height, width, frames)` or `(frames, height, width)` are: 2 or 0."""
    return 0 if shape[0] < shape[2] else 2


class _Means:
    """Running means by name, NaN before the first value."""

    def __init__(self, *names):
        self.sums, self.counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)

    def add(self, **values):
        for name, value in values.items():
            self.sums[name] += value
            self.counts[name] += 1

    def now(self):
        return {name: total / self.counts[name] if self.counts[name] else float("nan") for name, total in self.sums.items()}
