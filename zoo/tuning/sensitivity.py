"""Which settings matter: one factor at a time is varied around a baseline, with replications."""

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import keras

from zoo.tuning import data as data_forms
from zoo.tuning.hypermodel import HyperModel, set_learning_rate


def sensitivity(
    cls,
    data,
    factors,
    validation_data=None,
    objective="val_accuracy",
    replications=3,
    folds=5,
    epochs=5,
    callbacks=None,
    seed=0,
    prepare=None,
    verbose=1,
    **config,
):
    """Vary the arguments of a method one at a time (the study of Zhang and Wallace 2015, arXiv 1510.03820).

    Each replication draws folds and initial weights anew, the same ones for every setting. Its score is the mean over the folds of the
    objective after the last epoch; mean, smallest and largest score over the replications say what a setting does, and what chance does.

    Args:
        cls: subclass of `zoo.Model`.
        data: `(x, y)` or a dict of arguments of `fit`, with arrays.
        factors: name of an argument (or `"learning_rate"`) -> list of values. The baseline's own value need not be among them.
        validation_data: `(x, y)` on which every model is judged; without it `data` is split in folds.
        objective: a metric that `fit` logs.
        replications: how often each setting is tried; the paper took 10 or more.
        folds: of the cross-validation; 1 holds out one fifth, another one in each replication.
        epochs: of each training.
        callbacks: function without arguments that gives a list of callbacks for one training.
        seed: of the first replication; the others follow it.
        prepare: function that gets each new model and the arguments of its `fit`, to load word vectors for example.
        verbose: 1 shows a progress bar.
        **config: the baseline, constructor arguments that are not the default.

    Returns:
        A `SensitivityResult`.

    Raises:
        ValueError: if an argument cannot be.
    """
    _check(cls, config, factors, {"replications": replications, "folds": folds, "epochs": epochs})
    arguments = data_forms.fit_arguments(cls, data)
    if arguments.get("y") is None:
        raise ValueError(f"`data` must be (x, y) or arguments of fit with both. Received: {sorted(arguments)}")
    defaults = {name: p.default for name, p in inspect.signature(cls.__init__).parameters.items()}
    baseline = {name: config.get(name, defaults.get(name)) for name in factors}
    settings = [{}] + [{f: v} for f, values in factors.items() for v in values if not _equal(v, baseline[f])]
    scores: list = [[] for _ in settings]

    def score(setting, replication):
        found = []
        for part in _parts(arguments, validation_data, folds, seed + replication):
            keras.utils.set_random_seed(seed + replication)
            model = _build(cls, {**config, **setting})
            if prepare is not None:
                prepare(model, part)
            history = model.fit(**part, epochs=epochs, callbacks=callbacks() if callbacks else None, verbose=0).history
            if objective not in history:
                raise ValueError(f"`objective` must be one of {sorted(history)}. Received: {objective!r}")
            found.append(float(history[objective][-1]))
        return fmean(found)

    for number, replication in _track([(n, r) for r in range(replications) for n in range(len(settings))], cls, verbose):
        scores[number].append(score(settings[number], replication))
    return SensitivityResult(cls.__name__, objective, scores[0], list(_rows(factors, baseline, settings, scores)))


@dataclass
class SensitivityResult:
    """What a sensitivity study found.

    Args:
        name: of the method.
        objective: the metric.
        baseline: the baseline's score in each replication.
        rows: one dict a setting, with factor, value, is_baseline and scores, in the order of the factors.
    """

    name: str
    objective: str
    baseline: list
    rows: list

    @property
    def table(self):
        """One dict a setting: factor, value, is_baseline, mean, min, max. `pandas.DataFrame` takes it as it is."""
        return [
            {
                **{key: row[key] for key in ("factor", "value", "is_baseline")},
                "mean": fmean(row["scores"]),
                "min": min(row["scores"]),
                "max": max(row["scores"]),
            }
            for row in self.rows
        ]

    def effect(self, factor):
        """How far a factor moves the score: the largest less the smallest score of its settings, in each replication.

        Raises:
            ValueError: if the factor was not varied.
        """
        scores = [row["scores"] for row in self.rows if row["factor"] == factor]
        if not scores:
            raise ValueError(f"`factor` must be one of {sorted({row['factor'] for row in self.rows})}. Received: {factor!r}")
        return [max(column) - min(column) for column in zip(*scores)]

    def figure(self):
        """The table as a `matplotlib.figure.Figure`."""
        from zoo import plots

        return plots.sensitivity(self.table, self.objective)

    def write(self, file):
        """Write name, objective and rows as JSON."""
        record = {"name": self.name, "objective": self.objective, "baseline": self.baseline, "rows": self.rows}
        Path(file).write_text(json.dumps(record, indent=1) + "\n")

    def show(self):
        """Print the settings as a table."""
        from rich.console import Console
        from rich.table import Table

        table = Table(
            "factor", "value", "mean", "min", "max", title=f"{self.name}: {self.objective} over {len(self.baseline)} replications"
        )
        for row in self.table:
            style = "bold" if row["is_baseline"] else ""
            table.add_row(row["factor"], str(row["value"]), *(f"{row[key]:.4f}" for key in ("mean", "min", "max")), style=style)
        Console().print(table)


def _check(cls, config, factors, counts):
    # refuses names that are no arguments
    HyperModel(cls, {**config, **dict.fromkeys(set(factors) - {"learning_rate"})})
    for name, value in counts.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` must be a positive whole number. Received: {value!r}")


def _rows(factors, baseline, settings, scores):
    """The settings factor by factor, each with the baseline among them."""
    for factor, values in factors.items():
        known = any(_equal(value, baseline[factor]) for value in values)
        for value in values if known else [baseline[factor], *values]:
            is_baseline = _equal(value, baseline[factor])
            number = 0 if is_baseline else next(i for i, s in enumerate(settings) if factor in s and _equal(s[factor], value))
            yield {"factor": factor, "value": _plain(value), "is_baseline": is_baseline, "scores": scores[number]}


def _build(cls, arguments):
    arguments = dict(arguments)
    rate = arguments.pop("learning_rate", None)
    # layers among the arguments are copied, so that each model trains its own
    model = cls(**{name: make() for name, make in HyperModel(cls, arguments).makers.items()})
    if rate is not None:
        set_learning_rate(model, rate)
    return model


def _parts(arguments, validation_data, folds, seed):
    """Arguments of `fit` for each fold, with the rest held out."""
    if validation_data is not None:
        yield {**arguments, "validation_data": validation_data}
        return
    from sklearn.model_selection import KFold

    arrays = {name: arguments[name] for name in ("x", "y", "sample_weight") if arguments.get(name) is not None}
    number = len(keras.tree.flatten(arrays["y"])[0])
    splits = list(KFold(max(folds, 5) if folds == 1 else folds, shuffle=True, random_state=seed).split(range(number)))
    for train, test in splits[:folds]:

        def take(indices):
            return keras.tree.map_structure(lambda array: array[indices], arrays)

        yield {**arguments, **take(train), "validation_data": tuple(take(test).values())}


def _track(runs, cls, verbose):
    if not verbose:
        return runs
    from rich.progress import track

    return track(runs, f"{cls.__name__}: one factor at a time")


def _equal(a, b):
    return _plain(a) == _plain(b)


def _plain(value):
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
