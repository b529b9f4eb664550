"""Learning with a strong adversary: a classifier learns against perturbations of its input or of a hidden layer.

Paper: Huang, Xu, Schuurmans, Szepesvari 2015, "Learning with a Strong Adversary", arXiv 1511.03034. The objective is min over g of the sum
of max over ||r|| <= c of loss(g(x + r), y). The maximum of the linearised loss has a closed form in every norm, through the dual norm. The
adversary may act on a representation: the network is a head on a body, and the head's input moves. The paper also finds adversarial
samples from the linearised outputs: the shortest way to another class.

`RobustOptimization` has the same objective in another paper's hands: there the adversary acts on the input alone, the set is part of the
data's box, and the network sees the moved samples only.

Shapes: input as the classifier takes it -> the classifier's output `(batch, classes)` or `(batch, 1)`.

Differences from the paper:
1. `num_steps` above 1 repeats the closed form where it has led, each time projected on the ball.
2. `adversary="outputs"` trains with the way to the nearest class, scaled to the ball, in place of the way up the loss.
3. The moved input is cut off at `low` and `high`; a representation has no limits.
4. The adversary attacks the network as `predict` uses it. Batch statistics move with the clean pass, which Keras's metrics need, and with
   the pass over the moved samples.
5. The radius has a default for pixels in [0, 1]; the best one depends on data, norm and layer.
"""

from functools import cached_property
from typing import Literal

import keras
import numpy as np
from keras import ops

from zoo import attacks, autodiff, relevance
from zoo.arguments import Amount, Count, Inputs, Targets, checked
from zoo.families.adversarial_training import AdversarialTraining
from zoo.families.wrapped_classifier import log_probabilities

ADVERSARIES = ("loss", "outputs")


class StrongAdversary(AdversarialTraining):
    """Any classifier, trained against an adversary of its input or of one of its layers; `fit(x, label)`.

    `call` and `predict` are the classifier's own. The metric `accuracy` is that on the samples, `attacked_accuracy` against the adversary.

    Args:
        classifier: any built Keras model from one float array to `(batch, classes)`, or to `(batch, 1)` for two classes; for `layer`, a
            functional or sequential one.
        epsilon: the adversary's budget c, in the units of what it moves.
        norm: `"l1"`, `"l2"` or `"linf"`.
        layer: name of the layer whose output the adversary moves; `None` means the input.
        adversary: `"loss"` goes up the loss, `"outputs"` towards the nearest class.
        num_steps: times the perturbation is found anew; 1 is the closed form.
        step_size: length of a step if there are several; `None` means 2.5 budgets over all steps.
        clean_weight: weight of the loss without an adversary; that against it has the rest.
        low: smallest legal number of the input, or `None`.
        high: largest legal number of the input, or `None`.
        from_logits: whether the classifier gives logits instead of probabilities.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if the classifier cannot be wrapped or split at `layer`, or an argument is out of range.
    """

    def __init__(
        self,
        classifier,
        epsilon=1.0,
        norm="l2",
        layer=None,
        adversary="loss",
        num_steps=1,
        step_size=None,
        clean_weight=0.0,
        low=0.0,
        high=1.0,
        from_logits=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if adversary not in ADVERSARIES:
            raise ValueError(f"`adversary` must be one of {ADVERSARIES}. Received: {adversary!r}")
        if not 0 <= clean_weight < 1:
            raise ValueError(f"`clean_weight` must be at least 0 and less than 1. Received: {clean_weight}")
        self._arm(classifier, from_logits, epsilon, norm, num_steps, step_size, low, high)
        self.layer, self.adversary, self.clean_weight = layer, adversary, clean_weight
        halves = None if layer is None else _split(classifier, layer)
        logits = None if layer is None or from_logits else relevance.find_logits(halves[1], halves[1].input_shape[1:])
        halves = halves if logits is None else (halves[0], logits)
        self._head_gives_logits = from_logits or logits is not None
        # behind a function: the halves share the classifier's weights, which are saved once
        self._halves = lambda: halves
        self.compile()

    @classmethod
    def example_config(cls):
        """A small network, moved at its hidden layer towards the nearest class."""
        options = {"epsilon": 0.3, "norm": "linf", "layer": "hidden", "adversary": "outputs", "num_steps": 2, "clean_weight": 0.4}
        return {**super().example_config(), **options, "step_size": 0.2}

    def example_calls(self):
        """A small valid call of every verb."""
        data = self.example_data()
        smallest = {**data, "norm": "l2", "num_steps": 2, "overshoot": 0.1}
        hidden = {} if self.layer is None else {"perturb_representation": data}
        return {**super().example_calls(), "smallest_perturbation": smallest, **hidden}

    @classmethod
    def search_space(cls, hp):
        """The adversary and the learning rate."""
        return {
            **super().search_space(hp),
            "adversary": hp.Choice("adversary", list(ADVERSARIES)),
            "clean_weight": hp.Float("clean_weight", 0.0, 0.8, step=0.2),
        }

    def _gradient(self, function, y, norm):
        if self.adversary == "loss":
            return super()._gradient(function, y, norm)
        way = attacks.nearest_class(function, y, norm)
        return lambda x: way(x)[0]

    def _worst(self, x, y, training):
        if self.layer is None:
            return super()._worst(x, y, training)
        body, head = self._halves()
        hidden = ops.cast(body(x, training=training), "float32")
        # where the adversary acts is what the head sees in this step, dropout of the body included
        step = ops.stop_gradient(self._attack_hidden(hidden, y) - hidden)
        return log_probabilities(head(hidden + step, training=training), self._head_gives_logits)

    def _attack_hidden(self, hidden, y):
        def log_probabilities_at(point):
            with autodiff.Scope():
                return log_probabilities(self._halves()[1](point, training=False), self._head_gives_logits)

        return self._attack(ops.stop_gradient(hidden), y, self.epsilon, self._step(), function=log_probabilities_at, box=False)

    # --- verbs ---

    @checked
    def perturb_representation(self, x: Inputs, y: Targets) -> tuple[np.ndarray, np.ndarray]:
        """The output of `layer` for samples, and what the adversary makes of it.

        Args:
            x: `(batch, ...)`.
            y: classes `(batch,)`.

        Returns:
            Pair of arrays `(batch, ...)` of the layer's shape.

        Raises:
            ValueError: if the model has no `layer`.
        """
        if self.layer is None:
            raise ValueError("`layer` must be given to perturb a representation. Received: None")
        hidden, moved = self._compiled_hidden(np.asarray(x, "float32"), self._numbers(y))
        return ops.convert_to_numpy(hidden), ops.convert_to_numpy(moved)

    @checked
    def smallest_perturbation(
        self, x: Inputs, y: Targets, norm: Literal["l1", "l2", "linf"] | None = None, num_steps: Count = 10, overshoot: Amount = 0.02
    ) -> np.ndarray:
        """A short way out of class `y` for each sample, from linearised outputs, repeated until the class changes (section 2).

        Args:
            x: `(batch, ...)`.
            y: classes `(batch,)`; a sample of another predicted class stays where it is.
            norm: in which the way is short, or `None` for the model's.
            num_steps: at most so many linearisations.
            overshoot: share by which each step goes past the boundary of the linearised classifier.

        Returns:
            Array of the shape of `x`, moved but not cut off at the limits.
        """
        norm = norm or self.norm
        key = ("smallest", norm)
        if key not in self._attacks:
            self._attacks[key] = autodiff.compiled(lambda *arrays: self._smallest(norm, *arrays), self)
        arrays = (np.asarray(x, "float32"), self._numbers(y), np.int32(num_steps), np.float32(overshoot))
        return ops.convert_to_numpy(self._attacks[key](*arrays))

    def _smallest(self, norm, x, y, num_steps, overshoot):
        way = attacks.nearest_class(self._log_probabilities, y, norm)
        shape = (-1, *(1,) * (len(x.shape) - 1))

        def step(_, point):
            slope, distance = way(point)
            moved = point + attacks.steepest(slope, (1.0 + overshoot) * distance + 1e-6, norm)
            stays = ops.equal(ops.argmax(self._log_probabilities(point), axis=-1), ops.cast(y, "int64"))
            return ops.where(ops.reshape(stays, shape), moved, point)

        return ops.fori_loop(0, num_steps, step, x)

    def _hidden(self, x, y):
        with autodiff.Scope():
            hidden = ops.cast(self._halves()[0](x, training=False), "float32")
        return hidden, self._attack_hidden(hidden, y)

    @cached_property
    def _compiled_hidden(self):
        return autodiff.compiled(self._hidden, self)


def _split(classifier, layer):
    """The part of a functional model up to a layer's output, and the part behind it; they share its layers."""
    names = [each.name for each in classifier.layers]
    if layer not in names or not hasattr(classifier, "inputs"):
        raise ValueError(f"`layer` must name a layer of a functional or sequential `classifier`, one of {names}. Received: {layer!r}")
    found = []

    def call(each, *arguments, **options):
        output = each(*arguments, **options)
        if each.name == layer:
            found.append(output)
        return output

    # a second graph of the same layers: after loading, `layer.output` may belong to a graph that was thrown away
    if isinstance(classifier, keras.Sequential):
        inputs = output = keras.Input(classifier.input_shape[1:])
        for each in classifier.layers:
            output = call(each, output)
    else:
        graph = keras.models.clone_model(classifier, clone_function=lambda each: each, call_function=call)
        inputs, output = graph.inputs, graph.outputs[0]
    try:
        return keras.Model(inputs, found[0]), keras.Model(found[0], output)
    except ValueError as error:
        raise ValueError(f"`layer` must be one that all paths of `classifier` go through. Received: {layer!r} ({error})") from error
