"""What adversarial training shares: a loss at the worst point of a ball around each sample, and what it was good for."""

from functools import cached_property, partial
from typing import Literal

import keras
import numpy as np
from keras import ops

from zoo import attacks, autodiff
from zoo.arguments import Amount, Count, Flag, Inputs, Positive, Targets, checked
from zoo.families.wrapped_classifier import WrappedClassifier
from zoo.model import Field


class AdversarialTraining(WrappedClassifier):
    """A classifier that learns from samples which an adversary has moved against it: min over weights, max over moves.

    A method sets `clean_weight` or leaves it at 0, calls `_arm` in its constructor, and may override `_worst`.
    """

    clean_weight = 0.0

    def _arm(self, classifier, from_logits, epsilon, norm, num_steps, step_size, low, high):
        self._wrap(classifier, from_logits)
        attacks.norms.check_norm(norm)
        if epsilon < 0 or num_steps < 1 or (step_size is not None and step_size <= 0):
            raise ValueError(
                "`epsilon` must not be negative, `num_steps` must be at least 1, `step_size` must be positive or None. "
                f"Received: {epsilon}, {num_steps}, {step_size}"
            )
        if low is not None and high is not None and low >= high:
            raise ValueError(f"`low` must be less than `high`. Received: {low}, {high}")
        self.epsilon, self.norm, self.num_steps, self.step_size = epsilon, norm, num_steps, step_size
        self.low, self.high = low, high
        self.seed_generator = keras.random.SeedGenerator()
        self.accuracy = keras.metrics.Mean("accuracy")
        self.attacked_accuracy = keras.metrics.Mean("attacked_accuracy")

    def input_fields(self):
        """The classifier's input, within the limits."""
        return [Field("input", self.sample_shape, low=self.low, high=self.high)]

    @classmethod
    def example_config(cls):
        """A small network of logits, with batch statistics and dropout."""
        body = [keras.layers.Dense(8, activation="relu", name="hidden"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
        classifier = keras.Sequential([keras.Input((6,)), *body, keras.layers.Dense(3, dtype="float32")])
        return {"classifier": classifier, "from_logits": True, "low": 0.0, "high": 1.0}

    def example_calls(self):
        """A small valid call of every verb."""
        data = self.example_data()
        perturb = {**data, "epsilon": 0.1, "norm": "linf", "num_steps": 2, "step_size": 0.1, "random_start": True}
        return {**super().example_calls(), "perturb": perturb, "robust_accuracy": {**perturb, "batch_size": 1}}

    @classmethod
    def search_space(cls, hp):
        """The ball and the learning rate."""
        return {
            "epsilon": hp.Float("epsilon", 0.01, 5.0, sampling="log"),
            "norm": hp.Choice("norm", list(attacks.NORMS)),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }

    def objective(self, x, y, y_pred, sample_weight, training):
        """Mean cross-entropy at the worst points, and at the samples themselves by `clean_weight`."""
        label = ops.cast(ops.reshape(y, (-1,)), "int32")
        weight = None if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        clean, worst = self._log(y_pred), self._worst(ops.cast(x, "float32"), label, training)
        for metric, found in ((self.accuracy, clean), (self.attacked_accuracy, worst)):
            metric.update_state(ops.equal(ops.argmax(found, axis=-1), ops.cast(label, "int64")), sample_weight=weight)
        loss = -(1.0 - self.clean_weight) * _likelihood(worst, label)
        if self.clean_weight:
            loss = loss - self.clean_weight * _likelihood(clean, label)
        return ops.mean(loss if weight is None else weight * loss)

    def _worst(self, x, y, training):
        """Log probabilities at the worst points around `x`."""
        return self._log_outputs(self._attack(x, y, self.epsilon, self._step()), training)

    def _gradient(self, function, y, norm):
        """What the adversary follows."""
        return attacks.loss_gradient(function, y)

    def _attack(self, x, y, epsilon, step_size, norm=None, num_steps=None, start=None, function=None, box=True):
        """The worst points around `x` in the eyes of the network that `predict` uses."""
        norm, num_steps = norm or self.norm, num_steps or self.num_steps
        gradient = self._gradient(function or self._log_probabilities, y, norm)
        low, high = (self.low, self.high) if box else (None, None)
        if num_steps == 1 and start is None:
            return attacks.one_step(gradient, x, epsilon, norm, low, high)
        return attacks.iterated(gradient, x, epsilon, norm, num_steps, step_size, start, low, high)

    def _step(self, epsilon=None, num_steps=None):
        """Length of a step: the model's own, or what lets an attack cross the ball, with slack for detours."""
        if self.step_size is not None and epsilon is None and num_steps is None:
            return self.step_size
        return 2.5 * (self.epsilon if epsilon is None else epsilon) / (num_steps or self.num_steps)

    # --- verbs ---

    @checked
    def perturb(
        self,
        x: Inputs,
        y: Targets,
        epsilon: Amount | None = None,
        norm: Literal["l1", "l2", "linf"] | None = None,
        num_steps: Count | None = None,
        step_size: Positive | None = None,
        random_start: Flag = False,
    ) -> np.ndarray:
        """The worst samples around `x` that the adversary finds.

        Args:
            x: `(batch, ...)`, as the classifier takes it.
            y: classes `(batch,)`, or rows `(batch, classes)` with one 1.
            epsilon: radius of the ball; `None` means the model's, as for the next two.
            norm: `"l1"`, `"l2"` or `"linf"`.
            num_steps: 1 for the closed form; more for projected gradient ascent.
            step_size: length of a step; `None` means the model's, or 2.5 radii over all steps where one of the others was given.
            random_start: whether ascent starts anywhere in the ball rather than at `x`.

        Returns:
            Array of the shape of `x`, in the ball and between the limits.
        """
        norm, num_steps = norm or self.norm, num_steps or self.num_steps
        radius = self.epsilon if epsilon is None else epsilon
        same = (radius, norm, num_steps) == (self.epsilon, self.norm, self.num_steps)
        step = step_size or (self._step() if same else self._step(radius, num_steps))
        run = self._compiled(norm, num_steps, bool(random_start))
        return ops.convert_to_numpy(run(np.asarray(x, "float32"), self._numbers(y), np.float32(radius), np.float32(step)))

    @checked
    def robust_accuracy(
        self,
        x: Inputs,
        y: Targets,
        epsilon: Amount | None = None,
        norm: Literal["l1", "l2", "linf"] | None = None,
        num_steps: Count = 20,
        step_size: Positive | None = None,
        random_start: Flag = True,
        batch_size: Count = 256,
    ) -> float:
        """Share of samples that are still recognised after the attack of `perturb`, by default a strong one.

        Args:
            x: `(batch, ...)`.
            y: classes, as for `perturb`.
            epsilon: radius of the ball, or `None` for the model's.
            norm: of the ball, or `None` for the model's.
            num_steps: steps of the attack.
            step_size: length of a step, or `None`.
            random_start: whether the attack starts at random.
            batch_size: samples attacked at once.

        Returns:
            A number between 0 and 1.
        """
        right, y = 0, self._numbers(y)
        for start in range(0, len(x), batch_size):
            part, label = x[start : start + batch_size], y[start : start + batch_size]
            moved = self.perturb(part, label, epsilon, norm, num_steps, step_size, random_start)
            right += int(np.sum(ops.convert_to_numpy(self._compiled_classes(moved)) == label))
        return right / len(x)

    def signatures(self):
        """`serve`, and `perturb` with the model's own adversary."""
        fields = [*self.input_fields(), *self.target_fields()]
        return {**super().signatures(), "perturb": (self._perturb_signature, fields)}

    def _perturb_signature(self, arrays):
        y = ops.cast(arrays["label"], "int32")
        return {"perturbed": self._attack(ops.cast(arrays["input"], "float32"), y, self.epsilon, self._step())}

    def _compiled(self, norm, num_steps, random_start):
        key = (norm, num_steps, random_start)
        if key not in self._attacks:
            self._attacks[key] = autodiff.compiled(partial(self._run, norm, num_steps, random_start), self)
        return self._attacks[key]

    def _run(self, norm, num_steps, random_start, x, y, epsilon, step_size):
        start = attacks.random_in_ball(ops.shape(x), epsilon, norm, self.seed_generator) if random_start else None
        return self._attack(x, y, epsilon, step_size, norm, num_steps, start)

    @cached_property
    def _attacks(self):
        return {}

    @cached_property
    def _compiled_classes(self):
        return autodiff.compiled(lambda x: ops.argmax(self._log_probabilities(x), axis=-1), self)


def _likelihood(log_p, label):
    return ops.sum(ops.one_hot(label, log_p.shape[-1], dtype="float32") * log_p, axis=-1)
