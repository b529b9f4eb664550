"""Distillation against NumPy, its limit of high temperatures, specialists against a general minimiser, and the repaired bias."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.optimize import minimize

from zoo import autodiff
from zoo.applications import Distillation
from zoo.decoding import collapse, combine_specialists, confusion_clusters

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 5)).astype("float32")


def linear(units, activation=None, seed=0, scale=1.0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(units, activation)])
    model.set_weights([scale * w for w in model.get_weights()])
    return model


def softmax(z):
    odds = np.exp(z - z.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def logits(model):
    kernel, bias = model.get_weights()
    return X @ kernel.astype("float64") + bias


def value(model, y, **kwargs):
    return float(model.objective(ops.convert_to_tensor(X), y, model(X), kwargs.get("sample_weight"), False))


def test_loss_is_the_papers():
    student, teacher = linear(4), linear(4, "softmax", seed=1)
    y = np.where(np.arange(64) % 3 == 0, -1, np.arange(64) % 4)
    model = Distillation(student, teacher, temperature=3.0, hard_weight=0.3, from_logits=True)
    z, v = logits(student), logits(teacher)
    soft = -9 * np.mean(np.sum(softmax(v / 3) * np.log(softmax(z / 3)), -1))
    hard = -np.mean(np.log(softmax(z))[np.arange(64), y][y >= 0])
    np.testing.assert_allclose(value(model, y), 0.7 * soft + 0.3 * hard, rtol=1e-5)
    np.testing.assert_allclose(value(model, None), 0.7 * soft, rtol=1e-5)


def test_matching_logits_is_the_limit_of_high_temperatures():
    def gradient(**options):
        # a teacher far away, so that the difference of the two losses is not their common limit of zero
        student, teacher = linear(4), linear(4, seed=1, scale=3.0)
        model = Distillation(student, teacher, hard_weight=0.0, from_logits=True, teacher_from_logits=True, **options)

        def loss(z):
            return ops.mean(model._soft(ops.log_softmax(z), ops.log_softmax(ops.convert_to_tensor(logits(teacher), "float32"))))

        return ops.convert_to_numpy(autodiff.grad(loss, ops.convert_to_tensor(logits(student), "float32")))

    limit = gradient(matching="logits")
    distance = [np.abs(gradient(temperature=t) - limit).max() / np.abs(limit).max() for t in (2.0, 20.0, 200.0)]
    assert distance[0] > 0.2 > distance[1] > 5 * distance[2]


def test_the_teacher_stays_and_the_student_learns():
    student, teacher = linear(3, "softmax"), linear(3, "softmax", seed=1, scale=3.0)
    before = [w.copy() for w in teacher.get_weights()]
    model = Distillation(student, teacher, temperature=2.0)
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(X, epochs=60, verbose=0)
    np.testing.assert_allclose(model.predict(X, verbose=0), teacher.predict(X, verbose=0), atol=0.05)
    for old, new in zip(before, teacher.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_the_teacher_keeps_its_flags_and_a_saturated_one_its_logits():
    """In float32 the smaller probabilities of this teacher are 0; by its logits they still tell classes apart."""
    teacher = linear(4, "softmax", seed=1, scale=200.0)
    model = Distillation(linear(4), teacher, temperature=100.0, hard_weight=0.0, from_logits=True)
    assert teacher.trainable and len(model.trainable_variables) == 2
    z, v = logits(model.student), logits(teacher)
    expected = -(100.0**2) * np.mean(np.sum(softmax(v / 100) * np.log(softmax(z / 100)), -1))
    np.testing.assert_allclose(value(model, None), expected, rtol=1e-4)
    before = teacher.get_weights()
    model.fit(X, np.eye(4)[np.arange(64) % 4], verbose=0)
    np.testing.assert_array_equal(before[0], teacher.get_weights()[0])


def test_ensembles():
    models = [linear(3, "softmax", seed) for seed in range(3)]
    found = [softmax(logits(model)) for model in models]
    np.testing.assert_allclose(Distillation.ensemble(models).predict(X, verbose=0), np.mean(found, 0), rtol=1e-4)
    geometric = np.exp(np.mean(np.log(found), 0))
    expected = geometric / geometric.sum(-1, keepdims=True)
    np.testing.assert_allclose(Distillation.ensemble(models, "geometric").predict(X, verbose=0), expected, rtol=1e-4)
    with pytest.raises(ValueError, match="mean"):
        Distillation.ensemble(models, "harmonic")


def test_specialists_learn_their_classes_and_a_dustbin():
    student, teacher = linear(3), linear(4, "softmax", seed=1)
    model = Distillation(student, teacher, temperature=1.0, hard_weight=0.5, classes=[3, 1], from_logits=True)
    y = np.arange(64) % 4
    own = np.array([2, 1, 2, 0])[y]
    log_p, targets = np.log(softmax(logits(student))), collapse(softmax(logits(teacher)), [3, 1])
    expected = -0.5 * np.mean(np.sum(targets * log_p, -1)) - 0.5 * np.mean(log_p[np.arange(64), own])
    np.testing.assert_allclose(value(model, y), expected, rtol=1e-5)


def test_combined_prediction_is_the_minimum():
    general = softmax(RNG.normal(size=(4, 6)))
    classes = [[0, 2], [2, 3, 5], [1]]
    specialists = [softmax(RNG.normal(size=(4, len(own) + 1))) for own in classes]
    found = combine_specialists(general, specialists, classes, top=2, iterations=2000)
    for row in range(4):
        best = np.argsort(-general[row])[:2]
        called = [i for i, own in enumerate(classes) if set(own) & set(best)]

        def divergence(z, row=row, called=called):
            q = softmax(z)
            parts = [(general[row], q)] + [(specialists[i][row], collapse(q[None], classes[i])[0]) for i in called]
            return sum(np.sum(p * np.log(p / other)) for p, other in parts)

        best = minimize(divergence, np.zeros(6), tol=1e-12)
        np.testing.assert_allclose(found[row], softmax(best.x), atol=1e-4)


def test_classes_that_are_confused_are_clustered():
    groups = np.array([0, 1, 0, 2, 1, 2, 2])
    true = RNG.integers(7, size=600)
    z = 3.0 * (groups[true][:, None] == groups) + RNG.normal(size=(600, 7))
    assert confusion_clusters(softmax(z), 3) == [[3, 5, 6], [0, 2], [1, 4]]
    with pytest.raises(ValueError, match="clusters"):
        confusion_clusters(softmax(z), 8)


@pytest.mark.parametrize("from_logits", [True, False])
def test_bias_is_repaired(from_logits):
    student = linear(3, None if from_logits else "softmax", scale=2.0)
    student.set_weights([student.get_weights()[0], np.array([0.0, -6.0, 0.0])])
    model = Distillation(student, linear(3, "softmax", seed=1), from_logits=from_logits)
    before = model.predict(X, verbose=0)
    shift = model.repair_bias(X, 1, share=0.4)
    after = model.predict(X, verbose=0)
    probabilities = softmax(after) if from_logits else after
    np.testing.assert_allclose(probabilities[:, 1].mean(), 0.4, atol=1e-4)
    others = np.log(before[:, [0, 2]]) if not from_logits else before[:, [0, 2]]
    changed = np.log(after[:, [0, 2]]) if not from_logits else after[:, [0, 2]]
    np.testing.assert_allclose(np.diff(changed), np.diff(others), atol=1e-3)
    assert shift > 0


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"hard_weight": 1.5}, "hard_weight"),
        ({"matching": "bits"}, "matching"),
        ({"classes": [0, 9]}, "classes"),
        ({"student": linear(5, "softmax")}, "student"),
        ({"teacher_from_logits": True}, "teacher"),
    ],
)
def test_wrong_arguments(wrong, match):
    with pytest.raises(ValueError, match=match):
        Distillation(**{"student": linear(4, "softmax"), "teacher": linear(4, "softmax"), **wrong})


@pytest.mark.parametrize("from_logits", [True, False])
def test_logits_are_those_of_the_output(from_logits):
    student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, None if from_logits else "softmax")])
    model = Distillation(student, keras.models.clone_model(student), from_logits=from_logits, teacher_from_logits=from_logits)
    model.bias.assign([1.0, -2.0, 0.5])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    found, expected = ops.convert_to_numpy(model.logits(x)), model.predict(x, verbose=0)
    np.testing.assert_allclose(found if from_logits else ops.convert_to_numpy(ops.softmax(found)), expected, rtol=1e-5)
