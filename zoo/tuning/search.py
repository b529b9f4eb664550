"""One call that searches: tuner, objective, progress, and what came of it."""

import contextlib
import functools
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import keras
import keras_tuner

from zoo.tuning import data as data_forms
from zoo.tuning.hypermodel import HyperModel
from zoo.tuning.identity import differences, identity

TUNERS = ("random", "bayesian", "hyperband", "grid")
_HIGHER = ("accuracy", "acc", "auc", "iou", "dice", "precision", "recall", "f1", "map", "ndcg", "return", "reward", "score", "psnr", "ssim")
_LOWER = ("loss", "error", "nll", "perplexity", "divergence", "distance", "mae", "mse", "rmse")


def search(
    cls,
    data,
    validation_data=None,
    max_trials=None,
    tuner="random",
    objective="auto",
    directory=None,
    epochs=5,
    callbacks=None,
    seed=0,
    overwrite=False,
    verbose=1,
    **config,
):
    """Search the hyperparameters that `cls.search_space` draws.

    A search that stopped goes on when it is called again with the same `directory`; a larger `max_trials` extends it. Another search (other
    fixed arguments, data, epochs, tuner, objective or seed) is refused there, since trials of both would be mixed. With the variables
    KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT set, several processes share one search (docs/tuning.md).

    Args:
        cls: subclass of `zoo.Model`.
        data: `x`, `(x, y)`, or a dict of arguments of `fit`, such as `{"x": x, "y": y, "batch_size": 8}` or `{"env": env, "steps": 1000}`.
        validation_data: `(x, y)`. Without it the last fifth of arrays with targets is held out.
        max_trials: number of trials (10; of a grid, all); Hyperband sets its own from `epochs`.
        tuner: `"random"`, `"bayesian"`, `"hyperband"` or `"grid"`.
        objective: name of a logged metric, a `keras_tuner.Objective`, or `"auto"`: the validation loss, the loss where nothing is held
            out, or the mean return late in training of an agent.
        directory: where trials, checkpoints, `best.json` and `trials.json` go (default: `runs/tuning/<class>`).
        epochs: of each trial, the most of Hyperband. Agents have none.
        callbacks: given to `fit`; copied for each trial.
        seed: of the search.
        overwrite: whether to start anew.
        verbose: 1 shows a progress bar.
        **config: constructor arguments that are fixed; they leave the search.

    Returns:
        A `SearchResult`. A worker of a distributed search gets `None`: the chief has the result.

    Raises:
        ValueError: if an argument cannot be, no trial succeeds, or `directory` holds another search.
    """
    _check_arguments(tuner, max_trials, epochs)
    model = HyperModel(cls, config)
    arguments = _fit_arguments(cls, data, validation_data, epochs)
    is_auto = isinstance(objective, str) and objective == "auto"
    uses_return = model.uses_return = is_auto and data_forms.takes_environment(cls)
    goal = _objective(objective, arguments, uses_return)
    if tuner == "hyperband" and "epochs" not in arguments:
        raise ValueError(f"`tuner` must be 'random', 'bayesian' or 'grid' for {cls.__name__}, which has no epochs. Received: 'hyperband'")
    folder = Path(directory or Path("runs/tuning") / cls.__name__)
    record = identity(cls, config, arguments, callbacks, tuner=tuner, objective=f"{goal.name} ({goal.direction})", seed=seed)
    if not overwrite:
        _require_same_search(folder, record)
    with _quiet_print():
        # removes the folder if it is to be overwritten, so that the record comes after it
        engine = _tuner(tuner, model, goal, folder, max_trials, epochs, seed, overwrite)
    _write_json(folder / "search.json", record)
    if tuner == "hyperband":
        # the tuner sets it for each trial
        del arguments["epochs"]
    try:
        with _progress(engine, cls, verbose):
            engine.search(callbacks=callbacks or [], verbose=0, **arguments)
    except RuntimeError as error:
        if "consecutive failures" not in str(error):
            raise
        raise ValueError(_no_success(cls, str(error))) from error
    role = os.environ.get("KERASTUNER_TUNER_ID", "chief") if "KERASTUNER_ORACLE_IP" in os.environ else "chief"
    if "chief" not in role:
        return None
    result = SearchResult(engine, cls, folder)
    if result.best_trial is None:
        raise ValueError(_no_success(cls, next((t.message for t in engine.oracle.trials.values() if t.message), "")))
    result.write()
    return result


@dataclass
class SearchResult:
    """What a search found.

    Args:
        tuner: the `keras_tuner.Tuner`.
        cls: the method.
        directory: the folder of the search.
    """

    tuner: keras_tuner.Tuner
    cls: type
    directory: Path

    @property
    def best_trial(self):
        """The `keras_tuner` trial with the best score, or `None`."""
        return _best(self.tuner)

    @property
    def best_config(self):
        """Constructor arguments of the best trial: `cls(**result.best_config)`."""
        return self.tuner.hypermodel.arguments(self.best_trial.hyperparameters.copy())[0]

    @property
    def best_learning_rate(self):
        """Learning rate of the best trial, or `None` if it was not searched."""
        return self.tuner.hypermodel.arguments(self.best_trial.hyperparameters.copy())[1]

    @property
    def best_score(self):
        """The best value of the objective."""
        return self.best_trial.score

    @functools.cached_property
    def best_model(self):
        """The model of the best trial with the weights of its best epoch, compiled."""
        with _quiet_print():
            return self.tuner.get_best_models(1)[0]

    @property
    def trials(self):
        """One dict a trial, best first: trial, status, score, epoch, and the hyperparameters. `pandas.DataFrame` takes it as it is."""
        goal = self.tuner.oracle.objective
        rows = [
            {"trial": t.trial_id, "status": t.status, "score": t.score, "epoch": t.best_step, **t.hyperparameters.values}
            for t in self.tuner.oracle.trials.values()
        ]
        sign = -1 if goal.direction == "max" else 1
        return sorted(rows, key=lambda row: (row["score"] is None, sign * (row["score"] or 0)))

    def write(self):
        """Write `best.json` (arguments that `cls(**best)` takes) and `trials.json` to the folder of the search."""
        best = {name: _plain(value) for name, value in self.best_config.items()}
        _write_json(self.directory / "best.json", best)
        record = {"objective": self.tuner.oracle.objective.name, "best_score": self.best_score, "learning_rate": self.best_learning_rate}
        _write_json(self.directory / "trials.json", {**record, "trials": self.trials})

    def show(self):
        """Print the trials as a table."""
        from rich.console import Console
        from rich.table import Table

        fixed = {"trial", "status", "score", "epoch", *self.tuner.hypermodel.config}
        names = sorted({name for row in self.trials for name in row} - fixed)
        goal = self.tuner.oracle.objective
        table = Table("trial", f"{goal.name} ({goal.direction})", *names, title=f"{self.cls.__name__}: {len(self.trials)} trials")
        for row in self.trials[:20]:
            score = row["status"].lower() if row["score"] is None else f"{row['score']:.5g}"
            table.add_row(row["trial"], score, *(_short(row.get(name, "")) for name in names))
        console = Console()
        console.print(table)
        console.print(f"[dim]best arguments: {self.directory / 'best.json'}[/]")


def _check_arguments(tuner, max_trials, epochs):
    if tuner not in TUNERS:
        raise ValueError(f"`tuner` must be one of {', '.join(TUNERS)}. Received: {tuner!r}")
    if max_trials is not None and (not isinstance(max_trials, int) or max_trials < 1):
        raise ValueError(f"`max_trials` must be a positive whole number. Received: {max_trials!r}")
    if max_trials is not None and tuner == "hyperband":
        raise ValueError(f"`max_trials` must be None for Hyperband, which derives it from `epochs`. Received: {max_trials}")
    if not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"`epochs` must be a positive whole number. Received: {epochs!r}")


def _fit_arguments(cls, data, validation_data, epochs):
    arguments = data_forms.fit_arguments(cls, data)
    if data_forms.takes_environment(cls) and "env" not in arguments:
        raise ValueError(f"`data` must be arguments of {cls.__name__}.fit with an `env`. Received: {sorted(arguments)}")
    if validation_data is not None:
        arguments["validation_data"] = validation_data
    elif "y" in arguments and arguments["y"] is not None and "validation_data" not in arguments:
        arguments.setdefault("validation_split", 0.2)
    if data_forms.takes_epochs(cls):
        arguments.setdefault("epochs", epochs)
    return arguments


def _objective(objective, arguments, uses_return):
    if isinstance(objective, keras_tuner.Objective):
        return objective
    if not isinstance(objective, str):
        raise ValueError(f"`objective` must be a metric's name, a keras_tuner.Objective, or 'auto'. Received: {objective!r}")
    if uses_return:
        return keras_tuner.Objective("return", "max")
    if objective == "auto":
        held_out = arguments.get("validation_data") is not None or arguments.get("validation_split")
        return keras_tuner.Objective("val_loss" if held_out else "loss", "min")
    words = objective.lower().split("_")
    # the last word decides: accuracy_loss is a loss
    for word in reversed(words):
        if word in _LOWER or word in _HIGHER:
            return keras_tuner.Objective(objective, "min" if word in _LOWER else "max")
    raise ValueError(f"`objective` must say its direction: keras_tuner.Objective({objective!r}, 'max' or 'min'). Received: {objective!r}")


def _tuner(name, model, goal, folder, max_trials, epochs, seed, overwrite):
    common = {
        "hypermodel": model,
        "objective": goal,
        "seed": seed,
        "directory": str(folder.parent),
        "project_name": folder.name,
        "overwrite": overwrite,
    }
    if name == "hyperband":
        return keras_tuner.Hyperband(max_epochs=epochs, **common)
    if name == "grid":
        return keras_tuner.GridSearch(max_trials=max_trials, **common)
    kind = keras_tuner.BayesianOptimization if name == "bayesian" else keras_tuner.RandomSearch
    return kind(max_trials=max_trials or 10, **common)


def _require_same_search(folder, record):
    """A folder holds one search: resuming another one's trials would mix two spaces."""
    file = folder / "search.json"
    if not file.exists() and not (folder / "oracle.json").exists():
        return
    found = differences(record, _read_json(file)) if file.exists() else ["its trials have no record in search.json"]
    if found:
        raise ValueError(
            "`directory` must be new, hold the same search, or be replaced with overwrite=True. "
            f"Received: {folder}, which holds another search: {'; '.join(found)}"
        )


def _read_json(file):
    try:
        record = json.loads(file.read_text())
    except ValueError:
        record = None
    return record if isinstance(record, dict) else {}


@contextlib.contextmanager
def _progress(engine, cls, verbose):
    if not verbose:
        yield
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    total, goal = engine.oracle.max_trials, engine.oracle.objective
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(f"searching {cls.__name__}", total=total, completed=len(engine.oracle.trials))
        inner = engine.on_trial_end

        def on_trial_end(trial):
            inner(trial)
            best = _best(engine)
            text = f", best {goal.name} {best.score:.4g}" if best else ""
            progress.update(task, advance=1, description=f"searching {cls.__name__}{text}")

        engine.on_trial_end = on_trial_end
        yield


def _best(engine):
    """The best trial that succeeded, or `None`; keras-tuner itself falls back to failed ones."""
    return next((trial for trial in engine.oracle.get_best_trials(1) if trial.score is not None), None)


def _quiet_print():
    """keras-tuner prints when it reloads."""
    return contextlib.redirect_stdout(io.StringIO())


def _no_success(cls, message):
    lines = [line for line in message.strip().splitlines() if line.strip()]
    return f"`data` and `config` must let a trial of {cls.__name__} succeed. Received: {lines[-1] if lines else 'no message'}"


def _plain(value):
    if isinstance(value, (keras.Layer, keras.optimizers.Optimizer, keras.Loss, keras.Initializer)):
        return keras.saving.serialize_keras_object(value)
    return value


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write_json(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(part, file)
