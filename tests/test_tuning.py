"""Searches with keras-tuner: every tuner, resume, fixed arguments, agents, several processes."""

import json
import os
import pickle
import runpy
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from toy import Toy

import zoo
from zoo import tuning
from zoo.tuning.hypermodel import set_learning_rate
from zoo.tuning.identity import describe

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
SETTINGS = {"max_trials": 2, "epochs": 1, "verbose": 0}


def test_hypermodel():
    model = tuning.hypermodel(Toy, num_classes=3)
    hp = keras_tuner.HyperParameters()
    built = model.build(hp)
    assert (built.units, built.num_classes) == (hp.get("units"), 3)
    assert float(built.optimizer.learning_rate) == pytest.approx(hp.get("learning_rate"))
    hp.values.update(units=7, learning_rate=0.05)
    built = model.build(hp)
    assert built.units == 7 and float(built.optimizer.learning_rate) == pytest.approx(0.05)


def test_a_fixed_argument_leaves_the_search():
    hp = keras_tuner.HyperParameters()
    assert tuning.hypermodel(Toy, units=17).build(hp).units == 17
    assert [type(p).__name__ for p in hp.space if p.name == "units"] == ["Fixed"]


def test_learning_rates():
    def model(optimizer):
        toy = Toy()
        toy.compile(optimizer=optimizer)
        return toy

    parts = [keras.optimizers.Adam(1.0), keras.optimizers.SGD(2.0)]
    two = model(keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(parts[0], {".*head/.*": parts[1]})))
    set_learning_rate(two, 0.25)
    assert [float(part.learning_rate) for part in parts] == [0.25, 0.25]
    schedule = model(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(1.0, 10, 0.5)))
    set_learning_rate(schedule, 0.25)
    assert (
        float(schedule.optimizer.learning_rate) == 0.25 and schedule.optimizer.get_config()["learning_rate"]["config"]["decay_rate"] == 0.5
    )
    steps = model(keras.optimizers.SGD(keras.optimizers.schedules.PiecewiseConstantDecay([1], [1.0, 0.1])))
    with pytest.raises(ValueError, match="PiecewiseConstantDecay"):
        set_learning_rate(steps, 0.25)


def test_search_best_and_resume(tmp_path):
    data = {"x": X, "y": Y, "batch_size": 8}
    result = tuning.search(Toy, data, directory=tmp_path / "s", **SETTINGS)
    assert len(result.trials) == 2 and result.trials[0]["score"] == result.best_score <= result.trials[1]["score"]
    best = json.loads((tmp_path / "s" / "best.json").read_text())
    assert Toy(**best).units == result.best_config["units"] == result.trials[0]["units"]
    record = json.loads((tmp_path / "s" / "trials.json").read_text())
    assert record["learning_rate"] == result.best_learning_rate and len(record["trials"]) == 2
    # the weights are those that scored: the held-out part is the last fifth
    held_out = {"x": X[32:], "y": Y[32:]}
    assert result.best_model.evaluate(**held_out, verbose=0) == pytest.approx(result.best_score, rel=1e-4)
    more = tuning.search(Toy, data, directory=tmp_path / "s", **{**SETTINGS, "max_trials": 3})
    assert len(more.trials) == 3 and {row["score"] for row in result.trials} < {row["score"] for row in more.trials}
    with pytest.raises(ValueError, match="holds another search: units: 3, there none"):
        tuning.search(Toy, data, directory=tmp_path / "s", units=3, **SETTINGS)
    anew = tuning.search(Toy, data, directory=tmp_path / "s", overwrite=True, units=3, **{**SETTINGS, "max_trials": 1})
    assert len(anew.trials) == 1 and anew.best_config["units"] == 3
    again = tuning.search(Toy, data, directory=tmp_path / "s", units=3, **{**SETTINGS, "max_trials": 1})
    assert again.trials == anew.trials


OTHER_SEARCHES = {
    "units: 4, there 3": {"units": 4},
    "num_classes: 2, there none": {"num_classes": 2},
    "x: float32 (40, 3), ": {"data": {"x": X + 1, "y": Y, "batch_size": 8}},
    "y: int32 (40,), ": {"data": {"x": X, "y": 1 - Y, "batch_size": 8}},
    "batch_size: 4, there 8": {"data": {"x": X, "y": Y, "batch_size": 4}},
    "validation_split: none, there 0.2": {"validation_data": (X, Y)},
    "epochs: 2, there 1": {"epochs": 2},
    "seed: 1, there 0": {"seed": 1},
    "tuner: bayesian, there random": {"tuner": "bayesian"},
    "objective: loss (min), there val_loss (min)": {"objective": "loss"},
    'callbacks: ["TerminateOnNaN"], there []': {"callbacks": [keras.callbacks.TerminateOnNaN()]},
}


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """The folder of a search, with what it was called with."""
    folder = tmp_path_factory.mktemp("used")
    first = {"data": {"x": X, "y": Y, "batch_size": 8}, "directory": folder, "units": 3, **SETTINGS, "max_trials": 1}
    tuning.search(Toy, **first)
    return first


@pytest.mark.parametrize("text, change", OTHER_SEARCHES.items())
def test_another_search_is_refused(used, text, change):
    """It would return the trials of the first one under its own arguments."""
    before = {file: file.read_bytes() for file in used["directory"].rglob("*.json")}
    with pytest.raises(ValueError) as error:
        tuning.search(Toy, **{**used, **change})
    assert "`directory` must be new" in str(error.value) and text in str(error.value)
    assert {file: file.read_bytes() for file in used["directory"].rglob("*.json")} == before


@pytest.mark.parametrize("record", ['{"class": "Toy", "tuner": "random", "objective": "val_loss", "config": ["units"]}', "[]", "{", None])
def test_trials_without_a_full_record_are_refused(used, tmp_path, record):
    """Folders of earlier versions, which kept the names of fixed arguments alone, and of other programs."""
    folder = tmp_path / "s"
    shutil.copytree(used["directory"], folder)
    (folder / "search.json").unlink()
    if record is not None:
        (folder / "search.json").write_text(record)
    with pytest.raises(ValueError, match="earlier version|no record"):
        tuning.search(Toy, **{**used, "directory": folder})


def test_what_is_equal_in_any_process():
    """Names that Keras numbers do not count; weights, settings and order of layers do."""

    def network(units=2, bias=0.0):
        first, last = keras.layers.Dense(units, bias_initializer=keras.initializers.Constant(bias)), keras.layers.Dense(1)
        x = keras.Input((3,))
        model = keras.Model(x, last(first(x)))
        for v in model.weights:
            v.assign(keras.ops.ones(v.shape) * (0.5 + bias))
        return model

    assert describe(network()) == describe(network())
    assert len({json.dumps(describe(n)) for n in (network(), network(units=3), network(bias=1.0))}) == 3
    assert describe(keras.initializers.HeNormal(seed=3)) == describe(keras.initializers.HeNormal(seed=3))
    assert describe(keras.initializers.HeNormal(seed=3)) != describe(keras.initializers.HeNormal(seed=4))
    texts = np.array(["a", "b"], object)
    assert describe(texts) == describe(texts.copy()) != describe(texts[::-1])
    assert describe(keras.ops.convert_to_tensor(X)) == describe(X) == describe(np.asfortranarray(X)) != describe(X.astype("float64"))
    assert describe(list(range(30))) != describe(list(range(1, 31))) and describe((1, 2)) == [1, 2]
    assert describe(np.float32(0.5)) == 0.5 and describe(len) == "builtins.len"
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    assert describe(dataset) == describe(tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)) != describe(dataset.unbatch())
    assert describe(dataset.repeat())["class"].startswith("tensorflow.")
    json.dumps(describe({"a": [dataset, b"x", iter(())]}))


@pytest.mark.parametrize("tuner", ["bayesian", "grid", "hyperband"])
def test_other_tuners(tmp_path, tuner):
    budget = {"epochs": 2} if tuner == "hyperband" else {"max_trials": 2, "epochs": 1}
    result = tuning.search(Toy, (X, Y), (X, Y), tuner=tuner, directory=tmp_path / "s", verbose=0, **budget)
    assert len(result.trials) >= 2 and np.isfinite(result.best_score)


def test_objectives(tmp_path):
    class Logged(Toy):
        def default_metrics(self):
            return ["accuracy"]

    for number, goal in enumerate(["val_accuracy", keras_tuner.Objective("accuracy", "max")]):
        result = tuning.search(Logged, (X, Y), (X, Y), objective=goal, directory=tmp_path / str(number), **SETTINGS)
        assert result.best_score == max(row["score"] for row in result.trials)
        assert result.tuner.oracle.objective.direction == "max"


def test_a_wrapped_model_starts_each_trial_with_its_weights():
    class Wrapper(zoo.Model):
        def __init__(self, network, rate=0.1, **kwargs):
            super().__init__(**kwargs)
            self.network, self.rate = network, rate
            self.compile(loss="mse")

    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    before = network.get_weights()
    model = tuning.hypermodel(Wrapper, network=network)
    first = model.build(keras_tuner.HyperParameters())
    first.network.set_weights([w + 1 for w in before])
    second = model.build(keras_tuner.HyperParameters())
    for weights in (network.get_weights(), second.network.get_weights()):
        for a, b in zip(before, weights):
            np.testing.assert_array_equal(a, b)


class Agent(Toy):
    """An agent in outline: its return is how near `units` is to five."""

    def fit(self, env, steps=10, callbacks=None, verbose="auto"):
        history = keras.callbacks.History()
        chain = keras.callbacks.CallbackList([*(callbacks or []), history], model=self)
        chain.on_train_begin()
        for epoch in range(4):
            chain.on_epoch_end(epoch, {"loss": 1.0, "episode_return": env - abs(self.units - 5) if epoch == 3 else 100.0})
        chain.on_train_end()
        return history


def test_agents(tmp_path):
    """The return late in training counts, not a lucky episode."""
    result = tuning.search(Agent, {"env": 10.0, "steps": 8}, tuner="grid", directory=tmp_path / "s", max_trials=3, verbose=0)
    assert result.best_score == max(10.0 - abs(row["units"] - 5) for row in result.trials)
    with pytest.raises(ValueError, match="`env`"):
        tuning.search(Agent, (X, Y), directory=tmp_path / "t")
    with pytest.raises(ValueError, match="has no epochs"):
        tuning.search(Agent, {"env": 1.0}, tuner="hyperband", directory=tmp_path / "t")


@pytest.mark.parametrize(
    "kwargs, word",
    [
        ({"tuner": "psychic"}, "random, bayesian, hyperband, grid"),
        ({"max_trials": 0}, "max_trials"),
        ({"max_trials": 2, "tuner": "hyperband"}, "max_trials"),
        ({"epochs": 0}, "epochs"),
        ({"objective": "beauty"}, "direction"),
        ({"objective": 3}, "objective"),
        ({"unitz": 3}, "unitz"),
        ({"data": (X, Y + 7)}, "label"),
        ({"data": ()}, "data"),
        ({"units": -1}, "units"),
        ({"cls": int}, "cls"),
    ],
)
def test_bad_arguments(tmp_path, kwargs, word):
    arguments = {"cls": Toy, "data": (X, Y), "directory": tmp_path / "s", "verbose": 0, **kwargs}
    with pytest.raises(ValueError, match=word):
        tuning.search(**arguments)


@pytest.mark.parametrize("trials", [1, 5])
def test_no_trial_succeeds(tmp_path, trials):
    class Broken(Toy):
        def fit(self, x=None, y=None, **kwargs):
            raise RuntimeError("the disk is full")

    with pytest.raises(ValueError, match="a trial of Broken succeed. Received: .*the disk is full"):
        tuning.search(Broken, (X, Y), directory=tmp_path / "s", max_trials=trials, verbose=0)


SCRIPTS = sorted((Path(zoo.__file__).parent.parent / "tuning").glob("*.py"))


def test_every_task_has_a_script():
    tasks = {entry.task.replace(" ", "_").replace("-", "_") for entry in zoo.index.ENTRIES}
    assert tasks == {script.stem for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_scripts_import(script):
    assert callable(runpy.run_path(script)["main"])


def test_a_script_runs(tmp_path, monkeypatch, capsys):
    script = next(script for script in SCRIPTS if script.stem == "classification")
    monkeypatch.setattr(sys, "argv", [str(script), "--quick", "--out", str(tmp_path / "s")])
    runpy.run_path(str(script))["main"]()
    assert "val_accuracy" in capsys.readouterr().out and (tmp_path / "s" / "best.json").exists()


def test_read_npz(tmp_path):
    np.savez(tmp_path / "a.npz", **{"x/user": X, "x/item": X, "y": Y})
    data = tuning.read_npz(tmp_path / "a.npz")
    assert set(data["x"]) == {"user", "item"} and data["y"].shape == (40,)


def bad_npz(folder, kind):
    """A file that is not what `zoo tune --data` takes."""
    file = folder / f"{kind}.npz"
    if kind == "folder":
        file.mkdir()
    elif kind == "text":
        file.write_text("x,y\n1,2\n")
    elif kind == "pickle":
        file.write_bytes(pickle.dumps([1, 2]))
    elif kind == "array":
        with open(file, "wb") as stream:
            np.save(stream, X)
    elif kind == "empty":
        file.touch()
    elif kind in ("cut", "flipped"):
        np.savez(file, x=X, y=Y)
        content = bytearray(file.read_bytes())
        content[len(content) // 4] ^= 255
        file.write_bytes(content if kind == "flipped" else content[: len(content) // 2])
    elif kind != "missing":
        groups = {"no x": {"y": Y}, "names": {"z": X}, "both": {"x": X, "x/a": X}, "objects": {"x": np.array([X, "a"], object)}}
        np.savez(file, **groups[kind])
    return file


BAD_FILES = {
    "missing": "does not exist",
    "folder": "is a folder",
    "text": "numpy.savez",
    "pickle": "numpy.savez",
    "array": "numpy.savez",
    "empty": "numpy.savez",
    "cut": "cut short",
    "flipped": "damaged",
    "no x": "must hold an array x",
    "names": "named x, y",
    "both": "Received: both",
    "objects": "objects",
}


@pytest.mark.parametrize("kind, text", BAD_FILES.items())
def test_bad_npz(tmp_path, kind, text):
    file = bad_npz(tmp_path, kind)
    with pytest.raises(ValueError, match=text) as error:
        tuning.read_npz(file)
    assert str(file) in str(error.value) and "allow_pickle" not in str(error.value)


def test_no_pickle_runs(tmp_path):
    class Bad:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    np.savez(tmp_path / "bad.npz", x=np.array([Bad()], object))
    with pytest.raises(ValueError, match="objects"):
        tuning.read_npz(tmp_path / "bad.npz")
    assert not (tmp_path / "ran").exists()


def test_two_processes_share_one_search(tmp_path):
    """A chief and one worker on loopback, as docs/tuning.md says; the chief has the result."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        import numpy as np, toy
        from zoo import tuning
        x = np.ones((20, 3), "float32")
        result = tuning.search(toy.Toy, (x, x[:, 0]), max_trials=3, epochs=1, verbose=0, directory={str(tmp_path / "s")!r})
        print("result", result and len(result.trials))
    """
    base = {**os.environ, "KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    start = lambda role: subprocess.Popen(  # noqa: E731
        [sys.executable, "-c", textwrap.dedent(script)], env={**base, "KERASTUNER_TUNER_ID": role}, stdout=subprocess.PIPE, text=True
    )
    processes = [start("chief"), start("tuner0")]
    try:
        outputs = [process.communicate(timeout=150)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert outputs == ["result 3\n", "result None\n"] and (tmp_path / "s" / "best.json").exists()
