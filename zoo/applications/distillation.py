"""Distillation: a small classifier learns from what a large one, or an ensemble, thinks of every class.

Paper: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531. The soft targets are the teacher's
probabilities at a raised temperature; their cross-entropy with the student's, at the same temperature, is weighted against that with the
true classes, where they are known (-1 marks a sample without). Logits are matched directly as an option, the limit of high temperatures.
Specialists for groups of classes: `classes` here, and `zoo.decoding.confusion_clusters` and `combine_specialists`.

Differences from the paper:
1. The weight of the true classes is 0.1 by default; the paper calls it considerably lower than the other.
2. The bias that makes up for classes missing in the transfer set is found from a share of predictions, `repair_bias`; the paper tunes it
   on the test set.
"""

from typing import Literal

import keras
import numpy as np
from keras import ops

from zoo import arguments, autodiff, relevance
from zoo.arguments import Flag, Index, Inputs, Rows, Share, checked
from zoo.families.wrapped_classifier import TeacherStaysMixin, WrappedClassifier, log_probabilities, num_outputs, sample_shape
from zoo.model import Field

MATCHINGS = ("soft", "logits")


class Distillation(TeacherStaysMixin, WrappedClassifier):
    """A student learns from a teacher (arXiv 1503.02531, section 2); `fit(x, label)`, with -1 or no labels for an unlabelled transfer set.

    `call` and `predict` are the student's own, plus the bias of `repair_bias`. The teacher is not trained, and left as it is.

    Args:
        student: any built Keras model from one float array to `(batch, classes)`.
        teacher: any built Keras model of the same input; `Distillation.ensemble` makes one of many.
        temperature: of both softmaxes in the soft loss, which is multiplied by its square so that its gradients keep their size.
        hard_weight: of the cross-entropy with the true classes, 0 to 1; the soft loss has the rest.
        matching: `"soft"`: cross-entropy with the teacher's softened probabilities. `"logits"`: half the mean squared difference of the
            logits, each less their mean: the soft loss's limit for high temperatures (section 2.1).
        classes: list of classes for a specialist, whose student has an output for each of them and a last one for all others, the dustbin
            (section 5.2); `None` for a student of all classes.
        from_logits: whether the student gives logits instead of probabilities.
        teacher_from_logits: whether the teacher does.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these, or student and teacher do not fit together.
    """

    def __init__(
        self,
        student,
        teacher,
        temperature=20.0,
        hard_weight=0.1,
        matching="soft",
        classes=None,
        from_logits=False,
        teacher_from_logits=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not temperature > 0 or not 0 <= hard_weight <= 1:
            raise ValueError(f"`temperature` must be above 0, `hard_weight` between 0 and 1. Received: {temperature}, {hard_weight}")
        if matching not in MATCHINGS:
            raise ValueError(f"`matching` must be one of {MATCHINGS}. Received: {matching!r}")
        self.sample_shape = sample_shape(student, "student")
        if sample_shape(teacher, "teacher") != self.sample_shape:
            raise ValueError(f"`teacher` must take what `student` takes, {self.sample_shape}. Received: {sample_shape(teacher, 'teacher')}")
        self.num_classes = num_outputs(teacher, self.sample_shape, teacher_from_logits, "teacher")
        found = num_outputs(student, self.sample_shape, from_logits, "student")
        if classes is not None and (
            len(set(classes)) != len(classes)
            or not 0 < len(classes) < self.num_classes
            or not all(0 <= number < self.num_classes for number in classes)
        ):
            raise ValueError(f"`classes` must be some of the classes 0 to {self.num_classes - 1}. Received: {classes}")
        expected = self.num_classes if classes is None else len(classes) + 1
        if found != expected or found < 2:
            raise ValueError(f"`student` must have {max(expected, 2)} outputs. Received: {found}")
        # a function: what it runs shares the teacher's weights, which are saved once
        self._teacher_logits = None if teacher_from_logits else relevance.find_logits(teacher, self.sample_shape)
        self.student, self.teacher, self.temperature, self.hard_weight = student, teacher, temperature, hard_weight
        self.matching, self.classes = matching, classes
        self.from_logits, self.teacher_from_logits = from_logits, teacher_from_logits
        self.bias = self.add_weight((found,), "zeros", trainable=False, name="bias", autocast=False)
        self.accuracy, self.soft, self.hard = (keras.metrics.Mean(name) for name in ("accuracy", "soft", "hard"))
        self.compile()

    @staticmethod
    @checked
    def ensemble(models: Rows, mean: Literal["arithmetic", "geometric"] = "arithmetic", from_logits: Flag = False) -> keras.Model:
        """A Keras model of the mean of several classifiers' probabilities (section 2).

        Args:
            models: list of built Keras models of one input and the same classes.
            mean: `"arithmetic"`, or `"geometric"`, normalised again.
            from_logits: whether the models give logits instead of probabilities.

        Raises:
            ValueError: if there are no models, or `mean` is unknown.
        """
        inputs = keras.Input(sample_shape(models[0], "models"))
        logs = [log_probabilities(model(inputs), from_logits) for model in models]
        together = sum(logs[1:], logs[0]) if mean == "geometric" else sum((ops.exp(log) for log in logs[1:]), ops.exp(logs[0]))
        together = together / len(models)
        return keras.Model(inputs, ops.softmax(together) if mean == "geometric" else together)

    def call(self, x, training=False):
        """The student's output `(batch, classes)`."""
        outputs = self.student(x, training=training)
        if self.from_logits:
            return outputs + ops.cast(self.bias, outputs.dtype)
        return ops.softmax(log_probabilities(outputs, False) + self.bias)

    @checked
    def logits(self, x: Inputs):
        """The student's logits `(batch, outputs)` in float32, bias included, a function for `zoo.attacks`."""
        with autodiff.Scope():
            outputs = self.student(x, training=False)
            return (ops.cast(outputs, "float32") if self.from_logits else log_probabilities(outputs, False)) + self.bias

    def target_fields(self):
        """A class index of the teacher's classes, or -1 for an unlabelled sample."""
        return [Field("label", (), "int32", -1, self.num_classes - 1, optional=True)]

    @classmethod
    def example_config(cls):
        """A small specialist that gives logits, and a teacher that gives probabilities."""
        layers = keras.layers
        student = keras.Sequential([keras.Input((5,)), layers.Dense(4, "tanh"), layers.Dense(3, dtype="float32")])
        teacher = keras.Sequential([keras.Input((5,)), layers.Dense(6, "relu"), layers.Dense(4, "softmax", dtype="float32")])
        return {"student": student, "teacher": teacher, "temperature": 3.0, "hard_weight": 0.4, "classes": [2, 0], "from_logits": True}

    def example_calls(self):
        """A small valid call of every verb."""
        models = [keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, activation="softmax")])] * 2
        repair = {"x": self.example_inputs(8), "label": 1, "share": 0.3}
        return {**super().example_calls(), "ensemble": {"models": models, "mean": "geometric", "from_logits": False}, "repair_bias": repair}

    @classmethod
    def search_space(cls, hp):
        """Temperature, weight of the true classes and learning rate."""
        return {
            "temperature": hp.Float("temperature", 1.0, 30.0, sampling="log"),
            "hard_weight": hp.Float("hard_weight", 0.0, 0.9, step=0.1),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }

    def objective(self, x, y, y_pred, sample_weight, training):
        """The weighted mean of soft and hard loss, or of the difference of logits and the hard loss."""
        student = self._log(y_pred)
        teacher = ops.stop_gradient(self._collapsed(self._teacher_log(x)))
        rows = ops.shape(student)[0]
        label = ops.full((rows,), -1, "int32") if y is None else self._own(ops.cast(ops.reshape(y, (-1,)), "int32"))
        labelled = ops.cast(label >= 0, "float32")
        weight = ops.ones_like(labelled) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        soft = self._soft(student, teacher)
        hard = -ops.sum(ops.one_hot(label, student.shape[-1], dtype="float32") * student, axis=-1)
        count = ops.sum(labelled)
        hard = ops.sum(weight * hard) / ops.maximum(count, 1.0)
        soft = ops.mean(weight * soft)
        right = ops.equal(ops.cast(ops.argmax(student, axis=-1), "int32"), label)
        self.accuracy.update_state(right, sample_weight=labelled)
        self.hard.update_state(hard, sample_weight=count)
        self.soft.update_state(soft, sample_weight=rows)
        return self.hard_weight * hard + (1 - self.hard_weight) * soft

    def _teacher_log(self, x):
        if self._teacher_logits is not None:
            return log_probabilities(self._teacher_logits(x), True)
        return log_probabilities(self.teacher(x, training=False), self.teacher_from_logits)

    def _soft(self, student, teacher):
        """Loss of each sample's log-probabilities, which are logits less a constant."""
        if self.matching == "logits":
            difference = student - teacher
            return 0.5 * ops.mean(ops.square(difference - ops.mean(difference, axis=-1, keepdims=True)), axis=-1)
        log_p = ops.log_softmax(student / self.temperature)
        return -(self.temperature**2) * ops.sum(ops.softmax(teacher / self.temperature) * log_p, axis=-1)

    def _collapsed(self, log_p):
        """The teacher's log-probabilities of a specialist's classes and of its dustbin."""
        if self.classes is None:
            return log_p
        others = [i for i in range(self.num_classes) if i not in self.classes]
        own, rest = (ops.take(log_p, np.array(part), axis=1) for part in (list(self.classes), others))
        return ops.concatenate([own, ops.logsumexp(rest, axis=1, keepdims=True)], axis=1)

    def _own(self, label):
        """Class indices as the student counts them."""
        if self.classes is None:
            return label
        table = np.full(self.num_classes, len(self.classes), "int32")
        table[list(self.classes)] = np.arange(len(self.classes))
        return ops.where(label < 0, label, ops.take(table, ops.maximum(label, 0)))

    @checked
    def repair_bias(self, x: Inputs, label: Index, share: Share | None = None) -> float:
        """Shift the student's logit of a class that the transfer set lacked until it is predicted as often as it should be (section 3).

        Args:
            x: samples with all classes in the proportions that are expected; labels are not needed.
            label: the class (the student's count).
            share: mean probability that it shall have; `None` for 1 of the classes.

        Returns:
            What was added to the logit.

        Raises:
            ValueError: if there is no such class, or `share` is not between 0 and 1.
        """
        classes = int(self.bias.shape[0])
        share = 1 / classes if share is None else share
        arguments.count("label", label, 0, classes - 1)
        arguments.number("share", share, above=0, high=1 - 1e-6)
        from scipy.optimize import brentq

        found = self.predict(x, batch_size=256, verbose=0)
        log_p = ops.convert_to_numpy(self._log(found)).astype("float64")
        others = np.log(-np.expm1(np.minimum(log_p[:, label], -1e-12)))

        def excess(shift):
            return np.mean(1 / (1 + np.exp(np.clip(others - log_p[:, label] - shift, -700, 700)))) - share

        shift = float(brentq(excess, -500, 500))
        bias = ops.convert_to_numpy(self.bias).copy()
        bias[label] += shift
        self.bias.assign(bias)
        return shift
