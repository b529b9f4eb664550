"""Trainings that `test_resume.py` kills and takes up again.

python resumable.py KIND FOLDER EPOCH     kills itself as EPOCH begins
python resumable.py KIND FOLDER           trains to the end, and writes weights and history to FOLDER.json
"""

import json
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np

import zoo
from zoo.environments.cliffwalk import BlindCliffwalk
from zoo.families.agent import Agent


class Net(zoo.Model):
    """A small convolutional network with all that is random or remembered in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        layers = [
            keras.layers.GaussianNoise(0.1),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            zoo.layers.StochasticPooling2D(),
            keras.layers.SpatialDropout2D(0.3),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3),
        ]
        self.network = keras.Sequential([keras.Input((8, 8, 1)), *layers])
        self.compile()

    def call(self, x, training=False):
        """Logits."""
        return self.network(x, training=training)

    def input_fields(self):
        """Images."""
        return [zoo.Field("image", (8, 8, 1))]

    def target_fields(self):
        """Labels."""
        return [zoo.Field("label", (), "int32", 0, 2)]

    def default_optimizer(self):
        """Gradient noise has a seed too."""
        return zoo.optimizers.GradientNoise(keras.optimizers.Adam(0.01))

    def default_loss(self):
        """Of logits."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def default_callbacks(self):
        """A rate that falls."""
        return [zoo.callbacks.LinearDecay(1e-4)]


def small(cls, **changes):
    """A model with its example arguments."""
    return cls(**{**cls.example_config(), **changes})


def cartpole():
    """An environment with episodes longer than an epoch."""
    import gymnasium

    return gymnasium.make("CartPole-v1")


def make(kind):
    """A model and the arguments of its `fit`, as long as four epochs."""
    if kind in ("dqn", "uniform_dqn"):
        changes = {"replay": "rank" if kind == "dqn" else "uniform", "observation_shape": (4,), "learning_starts": 20, "target_update": 30}
        return small(zoo.applications.PrioritizedDQN, **changes), {"env": cartpole(), "steps": 200, "log_every": 50}
    if kind == "cliffwalk":
        return small(zoo.applications.PrioritizedDQN), {"env": BlindCliffwalk(3), "steps": 160, "log_every": 40}
    model = Net() if kind == "cnn" else small(getattr(zoo.applications, kind))
    if isinstance(model, Agent):
        data = model.example_data()
        return model, {**data, "steps": 4 * data["steps"], "log_every": data["steps"]}
    data = model.example_data(6 if kind == "ParagraphVectors" else 32)
    if kind == "cnn":
        # patience runs out in the last epoch, counted from before the kill
        data["callbacks"] = [keras.callbacks.EarlyStopping("val_loss", patience=3, min_delta=100.0)]
        data["validation_split"] = 0.25
    return model, {**data, "epochs": 6 if kind == "cnn" else 4, "batch_size": 8}


class Interrupt(keras.callbacks.Callback):
    """Ends the process, or raises, as an epoch begins."""

    def __init__(self, epoch, kills):
        super().__init__()
        self.epoch, self.kills = epoch, kills

    def on_epoch_begin(self, epoch, logs=None):
        """Interrupt."""
        if epoch == self.epoch and self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if epoch == self.epoch:
            raise KeyboardInterrupt


def train(kind, folder=None, interrupt=None, kills=False):
    """Train; gives the weights and the history.

    Args:
        kind: what `make` knows.
        folder: of the backup, if there is one.
        interrupt: epoch whose beginning is the end.
        kills: whether the whole process ends then.
    """
    keras.utils.set_random_seed(7)
    model, arguments = make(kind)
    callbacks = [Interrupt(interrupt, kills), *arguments.pop("callbacks", [])]
    if folder is not None:
        # before the others, which is the order that Keras's own pages show
        callbacks = [keras.callbacks.BackupAndRestore(str(folder)), *callbacks]
    history = model.fit(**arguments, callbacks=callbacks, verbose=0).history
    return [np.array(keras.ops.convert_to_numpy(v)) for v in model.weights], history


if __name__ == "__main__":
    kind, place, *epoch = sys.argv[1:]
    if epoch:
        train(kind, place, int(epoch[0]), kills=True)
    weights, history = train(kind, place)
    Path(f"{place}.json").write_text(json.dumps([[w.tolist() for w in weights], history], default=float))
