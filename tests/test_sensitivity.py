"""One factor at a time: which models are trained on what, and the table and figure of it."""

import json

import numpy as np
import pytest
from toy import Toy

from zoo import tuning

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")


@pytest.fixture
def recorded(monkeypatch):
    """Toy, whose fit is replaced by a record of its arguments; the score is the number of units."""
    calls = []

    class History:
        def __init__(self, score):
            self.history = {"val_accuracy": [0.0, score]}

    def fit(self, x, y, batch_size=None, epochs=1, validation_data=None, callbacks=None, verbose=0):
        calls.append((self.units, float(self.optimizer.learning_rate), x, y, validation_data, epochs, batch_size))
        return History(self.units + len(calls) / 1000)

    monkeypatch.setattr(Toy, "fit", fit)
    return calls


def test_every_setting_sees_the_same_folds(recorded):
    seen = []
    result = tuning.sensitivity(
        Toy,
        {"x": X, "y": Y, "batch_size": 8},
        {"units": [5, 7, 9], "learning_rate": [0.5]},
        replications=2,
        folds=4,
        epochs=3,
        prepare=lambda model, arguments: seen.append(len(arguments["x"])),
        verbose=0,
        units=7,
    )
    assert len(recorded) == 2 * 4 * 4 and seen == [30] * 32
    assert all(call[5:] == (3, 8) for call in recorded)
    by_setting = [recorded[i : i + 4] for i in range(0, 32, 4)]
    assert [group[0][0] for group in by_setting] == [7, 5, 9, 7] * 2
    assert [group[0][1] == 0.5 for group in by_setting] == [False, False, False, True] * 2
    for group in by_setting:
        held_out = np.concatenate([call[4][0] for call in group])
        np.testing.assert_array_equal(np.sort(held_out, axis=0), np.sort(X, axis=0))
        assert all(np.array_equal((call[4][0][:, 0] > 0), call[4][1]) and len(call[2]) == len(call[3]) == 30 for call in group)
    first, second = by_setting[:4], by_setting[4:]
    assert all(np.array_equal(group[1][2], first[0][1][2]) for group in first)
    assert not np.array_equal(first[0][0][2], second[0][0][2])
    assert [(row["factor"], row["value"], row["is_baseline"]) for row in result.table] == [
        ("units", 5, False),
        ("units", 7, True),
        ("units", 9, False),
        ("learning_rate", None, True),
        ("learning_rate", 0.5, False),
    ]
    assert result.table[1]["mean"] == pytest.approx(np.mean(result.baseline)) and result.table[1]["min"] == min(result.baseline)
    np.testing.assert_allclose(result.effect("units"), [4.004, 4.004])


def test_one_fold_and_given_validation_data(recorded):
    tuning.sensitivity(Toy, (X, Y), {"units": [5]}, replications=2, folds=1, verbose=0)
    assert [len(call[2]) for call in recorded] == [32] * 4 and not np.array_equal(recorded[0][2], recorded[2][2])
    recorded.clear()
    tuning.sensitivity(Toy, (X, Y), {"units": [5]}, validation_data=(X[:3], Y[:3]), replications=1, verbose=0)
    assert all(len(call[2]) == 40 and len(call[4][0]) == 3 for call in recorded)


def test_trains_shows_and_writes(tmp_path, capsys):
    result = tuning.sensitivity(Toy, (X, Y), {"units": [5]}, replications=2, folds=2, epochs=1, verbose=0, objective="val_loss")
    result.show()
    assert "units" in capsys.readouterr().out
    result.write(tmp_path / "study.json")
    assert json.loads((tmp_path / "study.json").read_text())["rows"] == result.rows
    (axis,) = result.figure().axes
    assert [text.get_text() for text in axis.get_yticklabels()] == [f"units = {row['value']}" for row in result.table]


def test_refusals():
    for changes, word in (
        ({"factors": {"colour": [1]}}, "colour"),
        ({"replications": 0}, "replications"),
        ({"data": X}, "data"),
        ({"objective": "val_beauty"}, "objective"),
    ):
        arguments = {"data": (X, Y), "factors": {"units": [5]}, "epochs": 1, "folds": 1, "verbose": 0, **changes}
        with pytest.raises(ValueError, match=word):
            tuning.sensitivity(Toy, **arguments)
    with pytest.raises(ValueError, match="`factor`"):
        tuning.SensitivityResult("Toy", "accuracy", [1.0], []).effect("units")
