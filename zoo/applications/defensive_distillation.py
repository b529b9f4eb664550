"""Defensive distillation: a classifier learns from the soft labels of its twin, so that its gradients vanish; they can be found again.

Paper: Papernot, McDaniel, Wu, Jha, Swami 2015, "Distillation as a Defense to Adversarial Perturbations against Deep Neural Networks",
arXiv 1511.04508. A teacher is trained on the classes with a softmax at temperature T, a student of the same architecture on the teacher's
probabilities, at T too. The student is used at temperature 1: its logits, about T times as large as usual, saturate the softmax, and
attacks that follow the derivatives of the probabilities, or of the loss, find nothing to follow.

This stops such attacks and no others. Carlini and Wagner (arXiv 1607.04311, 1608.04644) showed that the logits divided by T have all the
derivatives that an attack needs, and that attacks on the logits succeed as often as without the defence.
`zoo.attacks.carlini_wagner` is theirs, `at_temperature` the way around the softmax, and the card of the preset shows both.

Shapes: input as the classifiers take it -> probabilities `(batch, classes)` of the student: at temperature T while it trains, at 1 after.

Differences from the paper:
1. `hard_weight` gives the true classes a share of the student's loss; the paper's student sees the soft labels only.
2. Robustness counts a sample that no target was reached for with the whole budget of the attack, which makes it a lower bound.
"""

from contextlib import nullcontext
from functools import partial

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, attacks, autodiff, relevance
from zoo.arguments import Count, Inputs, Positive, Share, checked
from zoo.families.wrapped_classifier import LabelledModel, TeacherStaysMixin, log_probabilities, num_outputs, sample_shape, thawed
from zoo.model import Field, Model


class DefensiveDistillation(TeacherStaysMixin, LabelledModel):
    """Two classifiers of one architecture; `fit(x, label)` trains the teacher and then the student, who predicts.

    Args:
        teacher: any built Keras model from one float array to logits `(batch, classes)`, or to one logit `(batch, 1)` for two classes; a
            softmax or sigmoid at its end is left out. `fit` trains it, wholly if all of it is frozen; what is frozen stays so afterwards.
        student: another of the same input and classes; `None` builds the teacher's architecture anew, nothing of it frozen.
        temperature: T of both softmaxes in training; 20 as for most of the paper's experiments.
        hard_weight: share of the true classes in the student's loss, 0 to 1; the soft labels have the rest.
        train_teacher: whether `fit` trains the teacher first, for as many epochs; `False` if it has been, at this temperature.
        low: smallest legal number of the input, for `robustness`.
        high: largest legal number of the input.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if teacher and student do not fit together or do not give logits, or an argument is out of range.
    """

    output_name = "probabilities"

    def __init__(self, teacher, student=None, temperature=20.0, hard_weight=0.0, train_teacher=True, low=0.0, high=1.0, **kwargs):
        super().__init__(**kwargs)
        if not temperature > 0 or not 0 <= hard_weight <= 1:
            raise ValueError(f"`temperature` must be above 0, `hard_weight` between 0 and 1. Received: {temperature}, {hard_weight}")
        if not low < high:
            raise ValueError(f"`low` must be less than `high`. Received: {low}, {high}")
        self.sample_shape = sample_shape(teacher, "teacher")
        # functions: what they run shares the classifiers' weights, which are saved once
        units, self._teacher_logits = _logits_of(teacher, self.sample_shape, "teacher")
        self.num_classes = max(units, 2)
        if student is None:
            # it starts at random, so that no part of it may be frozen
            with thawed(teacher):
                student = type(teacher).from_config(teacher.get_config())
        shape = sample_shape(student, "student")
        found, self._student_logits = _logits_of(student, shape, "student")
        if shape != self.sample_shape or found != units:
            raise ValueError(
                f"`student` must take {self.sample_shape} and give {units} logits, as `teacher` does. Received: {shape}, {found}"
            )
        self.teacher, self.student, self.temperature, self.hard_weight = teacher, student, temperature, hard_weight
        self.train_teacher, self.low, self.high = train_teacher, low, high
        self.accuracy = keras.metrics.Mean("accuracy")
        self.compile()

    def call(self, x, training=False):
        """The student's probabilities `(batch, classes)`: at the temperature of training while it trains, at 1 after."""
        return ops.exp(self._log(self._student_logits(x, training=training), self.temperature if training else 1.0))

    def input_fields(self):
        """The classifiers' input, within the limits."""
        return [Field("input", self.sample_shape, low=self.low, high=self.high)]

    def target_fields(self):
        """A class index, which only a trained teacher can do without."""
        return [Field("label", (), "int32", 0, self.num_classes - 1, optional=True)]

    def default_optimizer(self):
        """The paper's for MNIST."""
        return keras.optimizers.SGD(0.1, momentum=0.5)

    @classmethod
    def example_config(cls):
        """Two small networks that differ."""
        inputs = keras.Input((6,))
        teacher = keras.Sequential([inputs, layers.Dense(8, "relu"), layers.Dense(3, dtype="float32")])
        student = keras.Sequential([inputs, layers.Dense(5, "tanh"), layers.BatchNormalization(), layers.Dense(3, dtype="float32")])
        return {"teacher": teacher, "student": student, "temperature": 3.0, "hard_weight": 0.2, "low": -1.0, "high": 2.0}

    def example_calls(self):
        """A small valid call of every verb."""
        x = self.example_inputs()
        return {
            **super().example_calls(),
            "at_temperature": {"temperature": 2.0},
            "logits": {"x": x},
            "gradient_amplitude": {"x": x, "temperature": 2.0},
            "robustness": {"x": x, "gamma": 0.5, "temperature": 2.0, "batch_size": 2},
        }

    @classmethod
    def search_space(cls, hp):
        """Temperature, share of the true classes, and the learning rate."""
        return {
            "temperature": hp.Float("temperature", 1.0, 100.0, sampling="log"),
            "hard_weight": hp.Float("hard_weight", 0.0, 0.9, step=0.1),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-1, sampling="log"),
        }

    # --- training ---

    def fit(self, x=None, y=None, *args, **kwargs):
        """Train the teacher on the classes, then the student on the teacher's soft labels (section III).

        Arguments are those of `keras.Model.fit`; both trainings use them, but callbacks and validation are the student's alone. The teacher
        has a new optimizer, with the settings of the student's.

        Returns:
            The student's History, with the teacher's as `teacher_loss` and `teacher_accuracy`.
        """
        arguments.check_call(Model.fit, self, x, y, *args, **kwargs)
        x, y = self.prepared(x, y) if self._auto_loss else (self.prepared(x)[0], y)
        if y is None and hasattr(x, "shape") and (self.train_teacher or self.hard_weight):
            raise ValueError("`label` must be given to train the teacher, or the student with `hard_weight`. Received: None")
        first = self._fit_teacher(x, y, *args, **kwargs) if self.train_teacher else {}
        history = super().fit(x, y, *args, **kwargs)
        history.history.update({f"teacher_{name}": values for name, values in first.items()})
        return history

    def _fit_teacher(self, x, y, *args, **kwargs):
        options = {k: v for k, v in kwargs.items() if k != "callbacks" and not k.startswith("validation_")}
        trainer = _AtTemperature(self.teacher, lambda x, training: self._log(self._teacher_logits(x, training=training), self.temperature))
        optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(self.optimizer))
        settings = {name: getattr(self, name) for name in ("jit_compile", "run_eagerly", "steps_per_execution")}
        # a teacher that is wholly frozen comes from another such model
        with nullcontext() if self.teacher.trainable_variables else thawed(self.teacher):
            trainer.compile(optimizer, self._teacher_loss, metrics=["accuracy"], **settings)
            return trainer.fit(x, y, *args, **options).history

    def _teacher_loss(self, y, log_p):
        # log-probabilities are logits of themselves
        return keras.losses.sparse_categorical_crossentropy(self._as_numbers(y), log_p, from_logits=True)

    def objective(self, x, y, y_pred, sample_weight, training):
        """Cross-entropy with the teacher's probabilities, both at temperature T, and with the classes by `hard_weight`."""
        if training:
            log_p = ops.log(ops.maximum(y_pred, 1e-30))
        else:
            # the probabilities at temperature 1 have lost what those at T tell
            log_p = self._log(self._student_logits(x), self.temperature)
        soft = ops.stop_gradient(ops.exp(self._log(self._teacher_logits(x), self.temperature)))
        loss = -(1.0 - self.hard_weight) * ops.sum(soft * log_p, axis=-1)
        weight = ops.ones_like(loss) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        if y is not None:
            label = ops.cast(ops.reshape(y, (-1,)), "int32")
            self.accuracy.update_state(ops.equal(ops.cast(ops.argmax(log_p, axis=-1), "int32"), label), sample_weight=weight)
            loss = loss - self.hard_weight * ops.sum(ops.one_hot(label, self.num_classes, dtype="float32") * log_p, axis=-1)
        return ops.mean(weight * loss)

    # --- verbs ---

    @checked
    def at_temperature(self, temperature: Positive):
        """The student's probabilities at some temperature, as a function for `zoo.attacks`; T undoes what hides the derivatives."""
        return lambda x: ops.exp(self._log_at(x, temperature))

    @checked
    def logits(self, x: Inputs):
        """The student's logits `(batch, classes)` in float32, a function for `zoo.attacks`."""
        with autodiff.Scope():
            outputs = ops.cast(self._student_logits(x), "float32")
        return ops.concatenate([ops.zeros_like(outputs), outputs], axis=-1) if outputs.shape[-1] == 1 else outputs

    @checked
    def gradient_amplitude(self, x: Inputs, temperature: Positive = 1.0, batch_size: Count = 256) -> np.ndarray:
        """Mean size of the derivatives of all probabilities by all input numbers, the sensitivity of section V; `(n,)`.

        Args:
            x: `(n, ...)`.
            temperature: of the softmax; the student is used at 1.
            batch_size: samples in one compiled call.
        """
        run = self._graph("amplitude", lambda x, t: attacks.amplitude(self.at_temperature(t), x))
        return autodiff.in_batches(run, [np.asarray(x, "float32")], batch_size, shared=[np.float32(temperature)])[0]

    @checked
    def robustness(self, x: Inputs, gamma: Share = 112 / 784, temperature: Positive = 1.0, batch_size: Count = 64) -> float:
        """Mean share of features that must change for another class to be seen, the robustness of sections III and V.

        The saliency map attack on the probabilities is run for every other class, and the least of its changes counts.

        Args:
            x: `(n, ...)`.
            gamma: largest share of features that an attack changes, which counts where no class is reached.
            temperature: of the probabilities that the attack follows; the student is used at 1.
            batch_size: samples in one compiled call, which attacks each for every class.

        Returns:
            A number between 0 and `gamma`.
        """
        arguments.number("gamma", gamma, high=1, above=0)
        run = self._graph(("robustness", gamma), partial(self._least_change, gamma))
        return float(np.mean(autodiff.in_batches(run, [np.asarray(x, "float32")], batch_size, shared=[np.float32(temperature)])[0]))

    def _least_change(self, gamma, x, temperature):
        classes = self.num_classes
        own = ops.argmax(self.logits(x), axis=-1)
        copies, target = ops.repeat(x, classes, axis=0), ops.tile(ops.arange(classes, dtype="int32"), ops.shape(x)[:1])
        theta = self.high - self.low
        found = attacks.jacobian_saliency(self.at_temperature(temperature), copies, target, theta, gamma, self.low, self.high)
        changed = ops.cast(found.changed, "float32") / float(np.prod(x.shape[1:]))
        changed = ops.reshape(ops.where(found.success, changed, gamma), (-1, classes))
        return ops.min(ops.where(ops.one_hot(own, classes) > 0, gamma, changed), axis=-1)

    # --- machinery ---

    def _log_at(self, x, temperature):
        with autodiff.Scope():
            return self._log(self._student_logits(x), temperature)

    def _log(self, logits, temperature):
        return log_probabilities(ops.cast(logits, "float32") / temperature, True)


class _AtTemperature(keras.Model):
    """A teacher while it is trained: its log-probabilities at the temperature."""

    def __init__(self, teacher, run):
        super().__init__(name="teacher_at_temperature")
        self.teacher, self.run = teacher, run
        self.built = True

    def call(self, x, training=False):
        return self.run(x, training)


def _logits_of(model, shape, name):
    """Number of logits of a classifier, and the function (x, training=False) that gives them."""
    found = relevance.find_logits(model, shape)
    if found is not None:
        return num_outputs(model, shape, False, name), found
    try:
        return num_outputs(model, shape, True, name), model
    except ValueError as error:
        if "from_logits" not in str(error):
            raise
        raise ValueError(
            f"`{name}` must give logits, or end with the softmax that hides them: temperatures cannot be seen in probabilities that are 0 "
            "or 1 in float32. Received: probabilities"
        ) from error
