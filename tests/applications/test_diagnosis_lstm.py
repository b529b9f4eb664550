"""DiagnosisLSTM: its loss against NumPy, padding that does not matter, and what can be known at an hour."""

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.metrics import roc_auc_score

from zoo.applications import DiagnosisLSTM

RNG = np.random.default_rng(0)
X = {"series": RNG.uniform(size=(6, 5, 3)).astype("float32"), "steps": np.array([5, 3, 1, 4, 5, 2], "int32")}
Y = RNG.integers(0, 2, (6, 3))


def small(**arguments):
    keras.utils.set_random_seed(0)
    return DiagnosisLSTM(**{**DiagnosisLSTM.example_config(), "l2": 0.0, **arguments})


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_loss_is_a_mean_of_last_and_all_steps(alpha):
    model = small(alpha=alpha)
    p = model.predict(X, verbose=0)["monitored"].astype("float64")
    losses = -np.mean(Y[:, None] * np.log(p) + (1 - Y[:, None]) * np.log(1 - p), axis=-1)
    rows = [alpha * row[:n].mean() + (1 - alpha) * row[n - 1] for row, n in zip(losses, X["steps"])]
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0, return_dict=True)["loss"], np.mean(rows), rtol=1e-5)


def test_padding_and_the_future_change_nothing():
    model = small()
    other = X["series"].copy()
    for row, n in enumerate(X["steps"]):
        other[row, n:] = 9.0
    found = [model.predict({**X, "series": series}, verbose=0) for series in (X["series"], other)]
    np.testing.assert_allclose(found[0]["probabilities"], found[1]["probabilities"], rtol=1e-5)
    whole, early = model.monitor(X["series"]), model.monitor(X["series"], np.full(6, 2))
    np.testing.assert_allclose(whole[:, :2], early[:, :2], rtol=1e-5)
    np.testing.assert_array_equal(early[:, 1:], np.repeat(early[:, 1:2], 4, axis=1))


def test_without_replication_only_the_last_step_teaches():
    model = small(alpha=0.0, dropout=0.0)
    x = {"series": X["series"], "steps": np.full(6, 5, "int32")}
    before = model.predict(x, verbose=0)["monitored"]
    targets = np.concatenate([Y[:, :2], 1 - Y[:, 2:]], axis=1)
    losses = [model.evaluate(x, targets, verbose=0, return_dict=True)[key] for key in ("loss", "last_step")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    p = before[:, -1].astype("float64")
    np.testing.assert_allclose(losses[0], -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p)), rtol=1e-5)


def test_metrics_are_weighted():
    model = small()
    weights = np.array([0.0, 1.0, 3.0, 0.5, 2.0, 0.0], "float32")
    model.auc = None
    model.auc = keras.metrics.AUC(name="micro_auc", num_thresholds=20_000)
    found = model.evaluate(X, Y, sample_weight=weights, batch_size=3, verbose=0, return_dict=True)["micro_auc"]
    p = model.predict(X, verbose=0)["probabilities"]
    expected = roc_auc_score(Y[:, :2].ravel(), p.ravel(), sample_weight=np.repeat(weights, 2))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_defaults_leave_chance():
    """The label is whether the first variable is high at the end."""
    keras.utils.set_random_seed(0)
    model = DiagnosisLSTM(num_features=3, num_labels=1, length=8)
    series = RNG.normal(size=(512, 8, 3)).astype("float32")
    x = {"series": series, "steps": np.full(512, 8, "int32")}
    assert model.fit(x, (series[:, -3:, 0].mean(1) > 0)[:, None].astype("int32"), epochs=6, verbose=0).history["micro_auc"][-1] > 0.85


def test_diagnoses_have_names_and_order():
    model = small()
    found = model.diagnose(X["series"], X["steps"], top=2)
    p = model.predict(X, verbose=0)["probabilities"]
    for row, chances in zip(found, p):
        assert [name for name, _ in row] == [["fever", "shock"][i] for i in np.argsort(-chances)]
        np.testing.assert_allclose([chance for _, chance in row], np.sort(chances)[::-1], rtol=1e-5)


def test_adapt_scales_by_the_real_steps():
    plain, adapted = small(), small()
    adapted.adapt(X["series"], X["steps"])
    real = np.concatenate([row[:n] for row, n in zip(X["series"], X["steps"])])
    scaled = {**X, "series": (X["series"] - real.mean(0)) / real.std(0)}
    found, expected = (model.predict(x, verbose=0)["probabilities"] for model, x in ((adapted, X), (plain, scaled)))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("wrong", [{"alpha": 1.5}, {"units": [0]}, {"num_labels": 0}, {"label_names": ["one"]}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        small(**wrong)


def test_the_papers_size():
    model = DiagnosisLSTM()
    layers = 4 * 128 * (13 + 128 + 1) + 4 * 128 * (128 + 128 + 1)
    assert model.count_params() == layers + 129 * 128 + 2 * 13 and ops.shape(model.network.outputs[0])[1:] == (48, 128)
