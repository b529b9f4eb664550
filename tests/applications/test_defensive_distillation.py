"""Defensive distillation: losses, steps of descent and derivatives at a temperature against NumPy, and what it measures and refuses."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo import attacks
from zoo.applications import DefensiveDistillation

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(20, 5)).astype("float32")
Y = (np.arange(20) % 3).astype("int32")


def linear(units=3, seed=0, scale=1.0, activation=None):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(units, activation)])
    model.set_weights([scale * w for w in model.get_weights()])
    return model


def softmax(z):
    p = np.exp(z - z.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def logits(model, x=X):
    w, b = (np.asarray(a, "float64") for a in model.get_weights())
    return x @ w + b


def test_the_temperature_is_there_in_training_alone():
    model = DefensiveDistillation(linear(), linear(seed=1), temperature=4.0)
    z = logits(model.student)
    np.testing.assert_allclose(model(X, training=True), softmax(z / 4), atol=1e-6)
    np.testing.assert_allclose(model.predict(X, verbose=0), softmax(z), atol=1e-6)
    np.testing.assert_allclose(model.at_temperature(2.5)(X), softmax(z / 2.5), atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_loss_is_the_papers(training):
    teacher, student = linear(scale=9.0), linear(seed=1, scale=9.0)
    model = DefensiveDistillation(teacher, student, temperature=3.0, hard_weight=0.3)
    log_p, soft = np.log(softmax(logits(student) / 3)), softmax(logits(teacher) / 3)
    weight = RNG.uniform(size=20)
    expected = np.mean(weight * (-0.7 * np.sum(soft * log_p, 1) - 0.3 * log_p[np.arange(20), Y]))
    found = model.objective(ops.convert_to_tensor(X), Y, model(X, training=training), weight, training)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_both_descend_at_the_temperature_the_teacher_first():
    """One step of gradient descent each, by hand; the student learns from the teacher after its step."""
    teacher, student, rate, t = linear(scale=3.0), linear(seed=1, scale=3.0), 5.0, 4.0
    model = DefensiveDistillation(teacher, student, temperature=t)
    model.compile(keras.optimizers.SGD(rate))

    def stepped(classifier, x_label):
        w, b = (np.asarray(a, "float64") for a in classifier.get_weights())
        error = (softmax(logits(classifier) / t) - x_label) / t / len(X)
        return w - rate * X.T @ error, b - rate * error.sum(0)

    w, b = stepped(teacher, np.eye(3)[Y])
    v, c = stepped(student, softmax((X @ w + b) / t))
    history = model.fit(X, Y, batch_size=20, verbose=0).history
    for found, expected in zip((*teacher.get_weights(), *student.get_weights()), (w, b, v, c)):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert {"loss", "accuracy", "teacher_loss", "teacher_accuracy"} <= set(history)


def test_derivatives_vanish_as_the_closed_form_does():
    """The Jacobian of section IV: p_i / T times (dz_i less the mean dz under p)."""
    model = DefensiveDistillation(linear(), linear(seed=1, scale=30.0))
    w = np.asarray(model.student.get_weights()[0], "float64")
    z, sizes = logits(model.student), []
    for t in (1.0, 20.0):
        p = softmax(z / t)
        expected = p[:, :, None] / t * (w.T[None] - (p @ w.T)[:, None])
        _, found = attacks.jacobian(model.at_temperature(t), ops.convert_to_tensor(X))
        np.testing.assert_allclose(found, expected, atol=1e-5)
        sizes.append(model.gradient_amplitude(X, t, batch_size=7))
        # weights of 30 leave rounding errors of some 1e-6 where p is near 0 or 1
        np.testing.assert_allclose(sizes[-1], np.abs(expected).mean((1, 2)), rtol=1e-3, atol=2e-6)
    assert np.median(sizes[0]) < 1e-2 * np.median(sizes[1])


def test_robustness_is_the_least_of_the_saliency_attacks():
    model = DefensiveDistillation(linear(), linear(seed=1, scale=3.0), temperature=2.0)
    own, gamma = model.predict(X, verbose=0).argmax(1), 0.85
    least = np.full(20, gamma)
    for target in range(3):
        found = attacks.jacobian_saliency(model.at_temperature(1.0), X, np.full(20, target, "int32"), gamma=gamma)
        success, changed = (ops.convert_to_numpy(part) for part in (found.success, found.changed))
        least = np.where((own != target) & success, np.minimum(least, changed / 5), least)
    assert model.robustness(X, gamma, batch_size=8) == pytest.approx(least.mean(), rel=1e-5)
    assert least.min() < gamma


def test_saturated_probabilities_stop_the_saliency_attack_and_the_temperature_undoes_it():
    model = DefensiveDistillation(linear(), linear(seed=1, scale=1e4))
    target = ((model.predict(X, verbose=0).argmax(1) + 1) % 3).astype("int32")
    for temperature, arrives in ((1.0, False), (1e4, True)):
        found = attacks.jacobian_saliency(model.at_temperature(temperature), X, target, gamma=1.0)
        assert np.any(ops.convert_to_numpy(found.changed)) == arrives
    wagner = attacks.carlini_wagner(model.logits, X, model.predict(X, verbose=0).argmax(1), steps=100, rate=0.05)
    assert np.all(ops.convert_to_numpy(wagner.success))


def test_the_student_is_the_teachers_architecture_anew():
    teacher = keras.Sequential([keras.Input((5,)), layers.Dense(4, "relu"), layers.Dropout(0.5), layers.Dense(3)])
    teacher.trainable = False
    model = DefensiveDistillation(teacher)
    assert [w.shape for w in model.student.weights] == [w.shape for w in teacher.weights]
    assert np.any(model.student.get_weights()[0] != teacher.get_weights()[0])
    assert len(model.trainable_variables) == 4 and not {id(w) for w in model.student.weights} & {id(w) for w in teacher.weights}


def test_what_was_frozen_in_the_teacher_stays_and_the_student_learns_all():
    teacher = keras.Sequential([keras.Input((5,)), layers.Dense(4, "relu"), layers.Dense(3)])
    teacher.layers[0].trainable = False
    first, second = (ops.convert_to_numpy(layer.kernel) for layer in teacher.layers)
    model = DefensiveDistillation(teacher)
    assert len(model.student.trainable_variables) == 4
    model.fit(X, Y, verbose=0)
    assert np.all(teacher.layers[0].kernel == first) and np.any(teacher.layers[1].kernel != second)


def flags(model):
    return [part.trainable for part in model._flatten_layers()], [variable.trainable for variable in model.variables]


@pytest.mark.parametrize("frozen", ["nothing", "a layer", "a weight", "all"])
def test_the_teacher_is_given_back_as_it_was(frozen):
    """After construction, after training, and after a training that fails; in the meantime it is not trained with the student."""
    body = [layers.Dense(4, "relu"), layers.BatchNormalization(), layers.Dense(3)]
    teacher = keras.Sequential([keras.Input((5,)), *body])
    if frozen == "a layer":
        body[0].trainable = False
    elif frozen == "a weight":
        body[2].bias.trainable = False
    elif frozen == "all":
        teacher.trainable = False
    before = flags(teacher)
    model = DefensiveDistillation(teacher)
    assert flags(teacher) == before and not {id(v) for v in model.trainable_variables} & {id(v) for v in teacher.variables}
    assert len(model.trainable_variables) == 6 and len(model.variables) == len(model.trainable_variables + model.non_trainable_variables)
    kernel = ops.convert_to_numpy(body[2].kernel)
    model.fit(X, Y, verbose=0)
    assert flags(teacher) == before and np.any(ops.convert_to_numpy(body[2].kernel) != kernel)

    class Fails(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        model.fit(X, Y, callbacks=[Fails()], verbose=0)
    assert flags(teacher) == before
    broken = Y.astype("float32") * 1.0
    with pytest.raises(Exception):  # noqa: B017
        model._fit_teacher(X, broken[:3], verbose=0)
    assert flags(teacher) == before


def test_a_softmax_at_the_end_is_left_out():
    """Of the teacher, the student and the student's copy of the teacher: all is as with the logits."""
    bare, ended = linear(scale=3.0), linear(scale=3.0, activation="softmax")
    expected = DefensiveDistillation(bare, linear(seed=1), temperature=4.0)
    model = DefensiveDistillation(ended, linear(seed=1, activation="softmax"), temperature=4.0)
    for each in (expected, model):
        each.compile(keras.optimizers.SGD(5.0))
        each.fit(X, Y, batch_size=20, verbose=0)
    for one, other in ((bare, ended), (expected.student, model.student)):
        for weights, others in zip(one.get_weights(), other.get_weights()):
            np.testing.assert_allclose(weights, others, atol=1e-5)
    np.testing.assert_allclose(model.logits(X), expected.logits(X), atol=1e-4)
    copied = DefensiveDistillation(ended).student
    np.testing.assert_allclose(ops.sum(copied(X), axis=1), 1.0, atol=1e-5)


def test_rows_with_one_1_are_classes():
    def trained(y):
        model = DefensiveDistillation(linear(), linear(seed=1), hard_weight=0.5)
        history = model.fit(X, y, batch_size=20, validation_data=(X, y), verbose=0).history
        return history, model.student.get_weights()

    (expected, weights), (found, others) = trained(Y), trained(np.eye(3)[Y])
    assert all(found[name] == pytest.approx(value, rel=1e-5) for name, value in expected.items())
    for one, other in zip(weights, others):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_trained_teacher_stays_and_needs_no_labels():
    teacher = linear(scale=3.0)
    before = teacher.get_weights()
    model = DefensiveDistillation(teacher, temperature=2.0, train_teacher=False)
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(X, epochs=150, verbose=0)
    np.testing.assert_allclose(softmax(logits(model.student)), softmax(logits(teacher)), atol=0.1)
    for old, new in zip(before, teacher.get_weights()):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(ValueError, match="`label`"):
        DefensiveDistillation(linear()).fit(X)
    with pytest.raises(ValueError, match="`label`"):
        DefensiveDistillation(linear(), hard_weight=0.5, train_teacher=False).fit(X)


def test_one_logit_is_two_classes():
    model = DefensiveDistillation(linear(1), linear(1, seed=1), temperature=2.0)
    p = 1 / (1 + np.exp(-logits(model.student)))
    np.testing.assert_allclose(model.predict(X, verbose=0), np.concatenate([1 - p, p], 1), atol=1e-6)
    np.testing.assert_allclose(softmax(ops.convert_to_numpy(model.logits(X))), np.concatenate([1 - p, p], 1), atol=1e-6)
    history = model.fit(X, Y % 2, validation_data=(X, Y % 2), verbose=0).history
    assert np.isfinite(history["val_loss"][0])


def hidden_softmax():
    """Probabilities by arithmetic, which nothing can be cut off from."""
    inputs = keras.Input((5,))
    odds = ops.exp(layers.Dense(3)(inputs))
    return keras.Model(inputs, odds / ops.sum(odds, axis=-1, keepdims=True))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"hard_weight": 1.5}, "hard_weight"),
        ({"low": 1.0}, "low"),
        ({"teacher": hidden_softmax()}, "teacher.*logits"),
        ({"student": linear(4)}, "student"),
        ({"student": hidden_softmax()}, "student.*logits"),
        ({"teacher": "a teacher"}, "teacher"),
    ],
)
def test_refusals(wrong, match):
    with pytest.raises(ValueError, match=match):
        DefensiveDistillation(**{"teacher": linear(), **wrong})
