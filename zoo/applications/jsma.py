"""JSMA, the Jacobian-based saliency map attack: how few pixels must change for a classifier to see a class that is not there.

Paper: Papernot, McDaniel, Jha, Fredrikson, Celik, Swami 2015, "The Limitations of Deep Learning in Adversarial Settings", arXiv 1511.07528.
The forward derivative of every output with respect to every input says which features raise the target's output while they lower the sum
of all others. The attack changes the most salient pair by `theta`, and again, until the classifier gives the target or `gamma`, the share
of features that may change, is used up. The same maps tell, without an attack, how far a sample is from a class, and attacks with growing
budgets how hard it is to turn one class into another.

Shapes: input as the classifier takes it -> the classifier's output `(batch, classes)` or `(batch, 1)`.

Differences from the paper:
1. The best pair is found among the few features that can be part of it, which gives that of all pairs (`zoo.attacks.best_pairs`), and
   derivatives are scaled first, so that products of small ones are not 0 in float32.
2. The paper differentiates the last layer before the softmax. Of a classifier whose softmax is not at its end, log-probabilities stand for
   it, a weaker attack.
3. A feature leaves the search when it is at its limit. With `theta` smaller than the box it may change several times, which `gamma` counts
   each time.
"""

from functools import cached_property

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, attacks, autodiff
from zoo.arguments import Count, Inputs, Numbers, Share, Targets, checked
from zoo.families.wrapped_classifier import AnalysedClassifier
from zoo.model import Field

OUTPUTS = ("logits", "probabilities")
# the largest distortions of section V-B
DISTORTIONS = (0.003, 0.013, 0.026, 0.051, 0.077, 0.102, 0.128, 0.255, 0.383)


class JSMA(AnalysedClassifier):
    """The attack on any classifier, and what it tells about it: `attack(x, target)`, `adversarial_distance(x, target)`, `hardness(x, y)`.

    `call`, `predict` and `fit` are the classifier's own.

    Args:
        classifier: any built Keras model from one float array to `(batch, classes)`, or to `(batch, 1)` for two classes.
        theta: change of a feature, in the units of the input; features grow (equation 8) or, below 0, fall (equation 9).
        gamma: largest share of the features that may change, the paper's maximum distortion.
        pairs: two features a round (algorithms 2 and 3), or one (algorithm 1).
        outputs: what is differentiated: `"logits"` as in the paper's experiments, or `"probabilities"`.
        low: smallest legal number of the input.
        high: largest legal number of the input.
        from_logits: whether the classifier gives logits instead of probabilities.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if the classifier cannot be wrapped, or an argument is out of range.
    """

    def __init__(
        self,
        classifier,
        theta=1.0,
        gamma=0.145,
        pairs=True,
        outputs="logits",
        low=0.0,
        high=1.0,
        from_logits=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if theta == 0 or not 0 <= gamma <= 1:
            raise ValueError(f"`theta` must not be 0, `gamma` must be between 0 and 1. Received: {theta}, {gamma}")
        if outputs not in OUTPUTS:
            raise ValueError(f"`outputs` must be one of {OUTPUTS}. Received: {outputs!r}")
        if not low < high:
            raise ValueError(f"`low` must be less than `high`. Received: {low}, {high}")
        self._wrap(classifier, from_logits)
        if None in self.sample_shape:
            raise ValueError(f"`classifier` must take samples of one size, whose features are counted. Received: {self.sample_shape}")
        self.theta, self.gamma, self.pairs, self.outputs = theta, gamma, pairs, outputs
        self.low, self.high = low, high
        self.compile()

    def input_fields(self):
        """The classifier's input, within the limits."""
        return [Field("input", self.sample_shape, low=self.low, high=self.high)]

    @classmethod
    def example_config(cls):
        """A small network whose pixels fall one by one, by its probabilities."""
        body = [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten(), layers.Dropout(0.2)]
        classifier = keras.Sequential([keras.Input((6, 5, 1)), *body, layers.Dense(3, dtype="float32")])
        options = {"theta": -0.6, "gamma": 0.3, "pairs": False, "outputs": "probabilities", "low": -1.0, "high": 1.0}
        return {"classifier": classifier, **options, "from_logits": True}

    def example_calls(self):
        """A small valid call of every verb."""
        x, target = self.example_inputs(), np.array([0, 1])
        attack = {"x": x, "gamma": 0.5, "batch_size": 2}
        return {
            **super().example_calls(),
            "attack": {**attack, "target": target},
            "attack_all": attack,
            "saliency": {"x": x, "target": 1},
            "adversarial_distance": {"x": x, "target": target},
            "robustness": {"x": x},
            "hardness": {"x": x, "y": target, "distortions": (0.2, 0.5)},
        }

    @classmethod
    def search_space(cls, hp):
        """The change of a feature, how they are chosen, and the learning rate."""
        return {
            "theta": hp.Choice("theta", [-1.0, -0.5, 0.5, 1.0]),
            "pairs": hp.Boolean("pairs"),
            "outputs": hp.Choice("outputs", list(OUTPUTS)),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }

    def signatures(self):
        """`serve`, and `attack`: `input` and `target` -> `samples`, `success` (0 or 1) and `changed`."""
        return {**super().signatures(), "attack": (self._serve_attack, [*self.input_fields(), self._target_field()])}

    # --- verbs ---

    @checked
    def attack(self, x: Inputs, target: Numbers, gamma: Share | None = None, batch_size: Count = 64) -> attacks.Attacked:
        """Samples of a target class, made from others by few changes (algorithms 1 to 3).

        Args:
            x: `(n, ...)`, as the classifier takes it.
            target: class to be reached, a number or one for each sample, or rows `(n, classes)` with one 1.
            gamma: share of the features that may change, instead of the constructor's.
            batch_size: samples in one compiled call.

        Returns:
            `zoo.attacks.Attacked` of arrays: `samples` of the shape of `x`, `success` bool `(n,)`, `changed` int `(n,)`, the number of
            features that differ. A sample that is of the target class already stays as it is.
        """
        x, target = self._checked(x, target)
        rounds = self._rounds(gamma)
        # most arrive early: the others go on in fewer batches
        *_, (samples, success) = self._stages(x, target, (rounds // 4, rounds // 2, rounds), batch_size)
        return attacks.Attacked(samples, success, np.sum((samples != x).reshape(len(x), -1), axis=1))

    @checked
    def attack_all(self, x: Inputs, gamma: Share | None = None, batch_size: Count = 64) -> attacks.Attacked:
        """`attack` for all classes: `samples` `(n, classes, ...)`, `success` and `changed` `(n, classes)`; arguments as there."""
        x, target = self._with_all_targets(x)
        found = self.attack(x, target, gamma, batch_size)
        return attacks.Attacked(*(part.reshape(-1, self.num_classes, *part.shape[1:]) for part in map(np.asarray, found)))

    @checked
    def saliency(self, x: Inputs, target: Numbers, batch_size: Count = 64) -> np.ndarray:
        """How much each feature helps towards a class (equation 8, or 9 where features fall); `(n, ...)`, at least 0."""
        return self._in_batches("saliency", batch_size, *self._checked(x, target))[0]

    @checked
    def adversarial_distance(self, x: Inputs, target: Numbers, batch_size: Count = 64) -> np.ndarray:
        """The share of features that do not help towards a class (equation 14); `(n,)`, 1 is farthest."""
        return self._in_batches("saliency", batch_size, *self._checked(x, target))[1]

    @checked
    def robustness(self, x: Inputs, batch_size: Count = 64) -> float:
        """The smallest adversarial distance of samples from classes other than their predicted ones (equation 15)."""
        copies, target = self._with_all_targets(x)
        distance = self.adversarial_distance(copies, target, batch_size).reshape(-1, self.num_classes)
        return float(np.min(distance, where=self._classes(x, batch_size)[:, None] != np.arange(self.num_classes), initial=1.0))

    @checked
    def hardness(self, x: Inputs, y: Targets, distortions: Numbers = DISTORTIONS, batch_size: Count = 64) -> np.ndarray:
        """How hard it is to turn each class into each other: distortion, integrated over the success rate (equations 12 and 13).

        Attacks are run with each of the largest distortions. Each gives the share of samples that reach the target, and the mean share of
        features that were changed, in failed attempts too; the integral is by the trapezoidal rule.

        Args:
            x: `(n, ...)`.
            y: the source class of each sample, or rows `(n, classes)` with one 1.
            distortions: largest distortions, shares of the features.
            batch_size: samples in one compiled call.

        Returns:
            `(classes, classes)`, source by target; NaN where source and target are the same, or `x` has no samples of the source.
        """
        success, distortion = self._by_distortion(x, distortions, batch_size)
        y = self._numbers(y)
        found = np.full((self.num_classes, self.num_classes), np.nan)
        for source in np.unique(y):
            rates, sizes = success[:, y == source].mean(1), distortion[:, y == source].mean(1)
            found[source] = np.sum(np.diff(rates, axis=0) * (sizes[1:] + sizes[:-1]) / 2, axis=0)
        np.fill_diagonal(found, np.nan)
        return found

    # --- machinery ---

    def _target_field(self):
        return Field("target", (), "int32", 0, self.num_classes - 1)

    def _checked(self, x, target):
        x = np.asarray(x, "float32")
        return x, self._classes_of(target, len(x), self._target_field())

    def _with_all_targets(self, x):
        return np.repeat(np.asarray(x, "float32"), self.num_classes, axis=0), np.tile(np.arange(self.num_classes, dtype="int32"), len(x))

    def _rounds(self, gamma=None):
        gamma = self.gamma if gamma is None else gamma
        return attacks.budget(int(np.prod(self.sample_shape)), gamma, self.pairs)

    def _by_distortion(self, x, distortions, batch_size):
        """Success and share of changed features under each largest distortion: `(distortions, n, classes)` each."""
        x, target = self._with_all_targets(x)
        rounds = [self._rounds(arguments.number("distortions", gamma, 0, 1)) for gamma in np.ravel(distortions)]
        if len(rounds) < 2 or rounds != sorted(rounds):
            raise ValueError(f"`distortions` must be two or more shares, in rising order. Received: {distortions}")
        found = [(s, np.mean((samples != x).reshape(len(x), -1), axis=1)) for samples, s in self._stages(x, target, rounds, batch_size)]
        return (np.reshape(part, (len(rounds), -1, self.num_classes)) for part in zip(*found))

    def _stages(self, x, target, rounds, batch_size):
        """Samples and success after each number of rounds: an attack goes on where that of fewer rounds has ended."""
        samples, success, done = x.copy(), np.zeros(len(x), bool), 0
        for until in rounds:
            going = np.flatnonzero(~success)
            if len(going):
                more = np.full(len(going), until - done, "int32")
                samples[going], success[going], _ = self._in_batches("attack", batch_size, samples[going], target[going], more)
            done = until
            yield samples.copy(), success.copy()

    def _classes(self, x, batch_size):
        return self._in_batches("classes", batch_size, np.asarray(x, "float32"))[0]

    def _in_batches(self, what, batch_size, *arrays):
        return autodiff.in_batches(self._compiled[what], arrays, batch_size)

    @cached_property
    def _compiled(self):
        functions = {
            "attack": lambda x, target, rounds: tuple(self._attack(x, target, rounds[0])),
            "saliency": self._saliency,
            "classes": lambda x: (ops.argmax(self._outputs(x), axis=-1),),
        }
        return {name: autodiff.compiled(function, self) for name, function in functions.items()}

    def _attack(self, x, target, rounds):
        limits = {"low": self.low, "high": self.high}
        return attacks.jacobian_saliency(self._outputs, x, target, self.theta, self.gamma, **limits, pairs=self.pairs, rounds=rounds)

    def _saliency(self, x, target):
        """The maps, and the adversarial distances."""
        alpha, beta, _ = attacks.forward_derivatives(self._outputs, x, target)
        maps = attacks.saliency_map(alpha, beta, self.theta > 0)
        # by signs: the product of two small derivatives is 0 in float32
        helps = attacks.saliency_map(ops.sign(alpha), ops.sign(beta), self.theta > 0)
        return maps, 1.0 - ops.mean(ops.reshape(helps, (-1, int(np.prod(self.sample_shape)))), axis=-1)

    def _serve_attack(self, arrays):
        found = self._attack(ops.cast(arrays["input"], "float32"), ops.cast(arrays["target"], "int32"), self._rounds())
        return {"samples": found.samples, "success": ops.cast(found.success, "int32"), "changed": found.changed}

    def _outputs(self, x):
        """What is differentiated, `(batch, classes)` in float32."""
        if self.outputs == "probabilities":
            return ops.exp(self._log_probabilities(x))
        logits = self._logits(x)
        if logits is None:
            return self._log_probabilities(x)
        return logits if self.units > 1 else ops.concatenate([-logits, logits], axis=-1)
