"""A training that is killed and taken up again with `keras.callbacks.BackupAndRestore` ends where the uninterrupted one ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import resumable

from zoo.training_state import TrainingState

X, Y = np.linspace(-1, 1, 60, dtype="float32").reshape(20, 3), np.arange(20) % 2


def require_equal(whole, again, interrupted):
    for (weights, history), name in ((whole, "whole"), (again, "again")):
        assert weights and history, name
    for a, b in zip(whole[0], again[0], strict=True):
        # sums of floats may run in another order in another process
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for key, values in again[1].items():
        assert len(values) == len(whole[1][key]) - interrupted, key
        np.testing.assert_allclose(whole[1][key][interrupted:], values, rtol=1e-5, atol=1e-6, err_msg=key)


def test_a_policy_gradient_is_killed_and_taken_up_again(tmp_path):
    """Conjugate gradients double a difference in the last digit at each step: all runs are processes with one thread, whose sums agree."""
    pytest.importorskip("gymnasium")
    alone = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

    def run(folder, *epoch):
        command = [sys.executable, str(Path(resumable.__file__)), "TRPO", str(tmp_path / folder), *epoch]
        return subprocess.run(command, capture_output=True, text=True, env=alone)

    assert run("backup", "2").returncode == -9
    for folder in ("backup", "whole"):
        done = run(folder)
        assert done.returncode == 0, done.stderr
    whole, again = (json.loads((tmp_path / f"{folder}.json").read_text()) for folder in ("whole", "backup"))
    require_equal(whole, again, 2)


@pytest.mark.parametrize("kind", ["cnn", "DCGAN", "dqn"])
def test_killed_and_taken_up_again(tmp_path, kind):
    """SIGKILL as the third epoch begins; the agent in the midst of an episode."""
    if kind == "dqn":
        pytest.importorskip("gymnasium")
    command = [sys.executable, str(Path(resumable.__file__)), kind, str(tmp_path / "backup"), "2"]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    again = resumable.train(kind, tmp_path / "backup")
    whole = resumable.train(kind, tmp_path / "whole") if kind == "dqn" else resumable.train(kind)
    require_equal(whole, again, 2)
    assert not (tmp_path / "backup").exists(), "Keras removes the backup of a training that is done"


@pytest.mark.parametrize("kind", ["GradNet", "MemN2N", "ParagraphVectors", "DRRN"])
def test_broken_off_and_taken_up_again(tmp_path, kind):
    """What callbacks count, what a dataset draws, what an agent remembers."""
    with pytest.raises(KeyboardInterrupt):
        resumable.train(kind, tmp_path / "backup", 2)
    require_equal(resumable.train(kind, tmp_path / "whole"), resumable.train(kind, tmp_path / "backup"), 2)


def test_other_files_hold_no_state(toy, tmp_path):
    """Neither what is saved outside of a backed-up training, nor a preset of a model whose training was broken off."""
    model = toy()
    with pytest.raises(KeyboardInterrupt):
        callbacks = [keras.callbacks.BackupAndRestore(tmp_path / "backup"), resumable.Interrupt(2, kills=False)]
        model.fit(X, Y, epochs=3, callbacks=callbacks, verbose=0)
    model.save_pretrained(tmp_path / "preset")
    model.fit(X, Y, verbose=0)
    model.save_weights(tmp_path / "plain.weights.h5")

    def names(file):
        found = []
        with h5py.File(file) as content:
            content.visit(found.append)
        return found

    backup = tmp_path / "backup" / "latest.weights.h5"
    assert "vars/training_state" in names(backup)
    for file in (tmp_path / "preset" / "model.weights.h5", tmp_path / "plain.weights.h5"):
        assert not any("training_state" in name for name in names(file))
    # a backup is a weights file like any other
    other = toy()
    state = np.random.get_state()[1].tolist()
    other.load_weights(backup)
    assert np.random.get_state()[1].tolist() == state


def test_a_done_training_can_be_repeated(toy, tmp_path):
    model = toy()
    for _ in range(2):
        history = model.fit(X, Y, epochs=2, callbacks=keras.callbacks.BackupAndRestore(tmp_path / "backup"), verbose=0)
        assert len(history.history["loss"]) == 2


def test_the_backup_of_another_model(toy):
    class Noisy(toy):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.generator = keras.random.SeedGenerator(1)

    with pytest.raises(ValueError, match="1 seeds, not 0"):
        TrainingState(toy(), []).restore(TrainingState(Noisy(), []).collect())


def test_arguments_of_callbacks_are_not_restored(toy):
    """Who takes a training up may want another patience."""
    old, new = keras.callbacks.EarlyStopping("loss", patience=2), keras.callbacks.EarlyStopping("loss", patience=5)
    before, after = TrainingState(toy(), [old]), TrainingState(toy(), [new])
    old.wait, old.best, old.patience = 1, np.float32(0.5), 3
    after.restore(before.collect())
    assert (new.wait, new.best, new.patience) == (1, 0.5, 5)
