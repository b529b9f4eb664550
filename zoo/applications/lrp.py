"""Layer-wise relevance propagation: how much each pixel speaks for or against what a classifier says, and the rivals of that answer.

Paper: Samek, Binder, Montavon, Bach, Mueller 2015, "Evaluating the visualization of what a Deep Neural Network has learned",
arXiv 1509.06321. LRP sends the score of a class back through the network. Each layer hands on what it receives, in proportion to what its
inputs contributed, so that the relevances of the pixels add up to the score. The paper measures heat maps by destroying the regions that
they call most relevant: `zoo.metrics.perturbation_curve` and `zoo.metrics.aopc`.

Shapes: input `(batch, ...)` -> the classifier's `(batch, classes)`; relevance `(batch, ...)` of the input's shape.
A linear map z = f(x, w) + b passes relevance on by products of vectors with its Jacobian, whatever f is: for the epsilon rule
x * f'(R / z). The whole pass is one graph that costs a few backward passes.

Differences from the paper:
1. `alpha` is at least 1 and beta is `alpha - 1`, with a minus in the formula; the paper's beta has the opposite sign.
2. Positive and negative parts take the signs of inputs into account, and the signs of biases; the paper's inputs are activations of ReLUs.
   A unit that has contributions of one sign only hands everything on to them, or the sum would not be kept; but with `alpha` 1, where
   negative contributions take nothing, what a unit without positive ones gets is lost.
3. Batch normalisation is merged into the linear layer in front of it, and is a linear map of its own elsewhere. Average pooling, sums and
   other fixed linear maps share relevance in proportion to contributions under every rule.
4. The explained score is the logit: a softmax or sigmoid at the end is left out. A single unit counts with a minus for class 0.
5. `rules` gives layers their own rule, and the input the flat rule or the z^B rule of deep Taylor decomposition, which came later.
6. Deconvolution and guided backpropagation start from a signal of one, and treat all other activations like the ReLU: the backward
   signal loses its negative part, and guided backpropagation multiplies by the derivative.
7. Products of tensors and normalisations of each sample by itself have rules of later papers, named in `zoo/relevance/network.py`.
"""

from functools import cached_property, partial
from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Count, Inputs, Numbers, Text, Texts, checked
from zoo.families.wrapped_classifier import AnalysedClassifier
from zoo.model import Field
from zoo.relevance import Steps, running

METHODS = ("lrp", "sensitivity", "gradient_x_input", "deconvolution", "guided", "random")
# how a pixel's channels become one number: signed parts of a whole are added, derivatives have a length
REDUCTIONS = {"lrp": "sum", "gradient_x_input": "sum", "sensitivity": "l2", "deconvolution": "l2", "guided": "l2", "random": "sum"}


class LRP(AnalysedClassifier):
    """Explains a classifier of any form that Keras can draw as a graph; `relevance(x)` gives heat maps of the shape of `x`.

    `call`, `predict` and `fit` are the classifier's own.

    Args:
        classifier: a built functional or Sequential model from one float array to `(batch, classes)`, or to `(batch, 1)` for two classes,
            or a model whose `call` does nothing but run one such model, with a softmax behind it or not (most classifiers of the zoo).
        method: `"lrp"`, or a rival: `"sensitivity"` (size of the gradient), `"gradient_x_input"`, `"deconvolution"`, `"guided"`
            (backpropagation), `"random"`.
        rule: `"alpha_beta"` or `"epsilon"`, of dense layers and convolutions.
        epsilon: added to the size of the denominators of the epsilon rule, in the units of the activations.
        alpha: weight of positive contributions in the alpha-beta rule, at least 1; negative ones weigh `alpha - 1`.
        rules: dict of exceptions to `rule`: key `"dense"`, `"convolution"`, `"input"` (the first linear layers) or a layer's name; value
            a rule, also `"flat"` or (inputs only) `"z_b"`, or a pair such as `("epsilon", 0.1)` or `("alpha_beta", 1.0)`.
        input_range: smallest and largest value of the input, for the rule `"z_b"`.
        from_logits: whether the classifier gives logits instead of probabilities.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    def __init__(
        self,
        classifier,
        method="lrp",
        rule="alpha_beta",
        epsilon=0.01,
        alpha=2.0,
        rules=None,
        input_range=(0.0, 1.0),
        from_logits=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("method", method, METHODS)
        arguments.one_of("rule", rule, ("alpha_beta", "epsilon"))
        if epsilon < 0:
            raise ValueError(f"`epsilon` must not be negative. Received: {epsilon}")
        if alpha < 1:
            raise ValueError(f"`alpha` must be at least 1. Received: {alpha}")
        if len(input_range) != 2 or input_range[0] >= input_range[1]:
            raise ValueError(f"`input_range` must be a smallest and a larger largest value. Received: {input_range}")
        self._wrap(classifier, from_logits)
        self.method, self.rule, self.epsilon, self.alpha = method, rule, epsilon, alpha
        self.rules, self.input_range = rules, input_range
        self.seed_generator = keras.random.SeedGenerator()
        found = running(classifier, self.sample_shape)
        if found is None:
            raise ValueError(
                "`classifier` must be a functional or Sequential model, or one whose `call` only runs such a model, which it has as an "
                "attribute, and perhaps a softmax; what another `call` does cannot be followed; rebuild it with keras.Input. "
                f"Received: {type(classifier).__name__}"
            )
        # a softmax behind the network is left out as one at its end is
        self._steps = Steps(found[0], from_logits or found[1])
        self._steps.choose(rule, epsilon, alpha, dict(rules or {}), [float(v) for v in input_range])
        self._steps.check(method)
        self.compile()

    @classmethod
    def example_config(cls):
        """A small residual network with most kinds of layers, and a rule for each kind."""
        image = keras.Input((8, 6, 2))
        x = layers.Conv2D(4, 3, padding="same", use_bias=False)(image)
        x = shortcut = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(layers.Add()([x, shortcut]))
        x = layers.Dropout(0.2)(layers.Flatten()(x))
        classifier = keras.Model(image, layers.Dense(3, dtype="float32")(x))
        return {
            "classifier": classifier,
            "rule": "epsilon",
            "epsilon": 0.02,
            "alpha": 1.5,
            "rules": {"convolution": "alpha_beta", "input": "z_b"},
            "input_range": [-1.0, 1.0],
            "from_logits": True,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        explain = {"x": self.example_inputs(), "label": np.array([0, 1])}
        relevance = {**explain, "method": self.method, "batch_size": 1}
        own = {
            "relevance": relevance,
            "score": explain,
            "heatmap": {**relevance, "reduce": "sum"},
            "explain": {**explain, "methods": ["sensitivity"]},
        }
        return {**super().example_calls(), **own}

    @classmethod
    def search_space(cls, hp):
        """The rule, its parameters, and the learning rate; the quality of heat maps is AOPC, not the loss."""
        return {
            "rule": hp.Choice("rule", ["alpha_beta", "epsilon"]),
            "alpha": hp.Choice("alpha", [1.0, 1.5, 2.0, 3.0]),
            "epsilon": hp.Float("epsilon", 1e-3, 1e2, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }

    def signatures(self):
        """`serve`, and `relevance`: `input` and `label` (-1: the predicted class) -> `relevance` and the explained `score`."""
        fields = [*self.input_fields(), self._label_field()]
        return {**super().signatures(), "relevance": (self._serve_relevance, fields)}

    # --- verbs ---

    @checked
    def relevance(self, x: Inputs, label: Numbers | None = None, method: Text | None = None, batch_size: Count = 64) -> np.ndarray:
        """What each input value adds to the score of a class (section II).

        Args:
            x: array `(n, ...)`, as the classifier takes it.
            label: class to explain, a number or one for each sample, or rows `(n, classes)` with one 1; -1 or `None` means the predicted
                class.
            method: instead of the constructor's.
            batch_size: samples in one compiled call.

        Returns:
            Array of the shape of `x`. `"lrp"` and `"gradient_x_input"`: signed shares of the score; `"sensitivity"`: size of the
            derivative; `"deconvolution"` and `"guided"`: the signal that arrives; `"random"`: uniform noise.
        """
        return self._in_batches(self._method(method), x, label, batch_size)[0]

    @checked
    def score(self, x: Inputs, label: Numbers | None = None, batch_size: Count = 256) -> np.ndarray:
        """The logit of a class, f(x) of the paper; arguments as in `relevance`. Returns `(n,)`."""
        return self._in_batches("score", x, label, batch_size)[0]

    @checked
    def heatmap(
        self,
        x: Inputs,
        label: Numbers | None = None,
        method: Text | None = None,
        reduce: Literal["auto", "sum", "l2", "max"] = "auto",
        batch_size: Count = 64,
    ) -> np.ndarray:
        """One number a pixel: the relevances of its channels together (section II).

        Args:
            x: array `(n, ..., channels)`, as the classifier takes it.
            label: as in `relevance`.
            method: instead of the constructor's.
            reduce: `"sum"`, `"l2"` or `"max"` (of absolute values); `"auto"` adds shares of the score and takes the length of derivatives.
            batch_size: samples in one compiled call.

        Returns:
            Array `(n, ...)` without the last axis of `x`; inputs of one axis have no channels and keep it.
        """
        relevance = self.relevance(x, label, method, batch_size)
        if relevance.ndim < 3:
            return relevance
        how = REDUCTIONS[self._method(method)] if reduce == "auto" else reduce
        if how == "sum":
            return relevance.sum(-1)
        return np.linalg.norm(relevance, axis=-1) if how == "l2" else np.abs(relevance).max(-1)

    @checked
    def explain(self, x: Inputs, label: Numbers | None = None, methods: Texts = METHODS[:5]) -> dict[str, np.ndarray]:
        """Heat maps by several methods: dict, method -> `(n, ...)`. `zoo.plots.heatmaps(x, model.explain(x))` draws them."""
        for method in methods:
            arguments.one_of("methods", method, METHODS)
        return {method: self.heatmap(x, label, method) for method in methods}

    # --- machinery ---

    def _method(self, method):
        method = self.method if method is None else method
        arguments.one_of("method", method, METHODS)
        self._steps.check(method)
        return method

    def _label_field(self):
        return Field("label", (), "int32", low=-1, high=self.num_classes - 1)

    def _in_batches(self, what, x, label, batch_size):
        x = np.asarray(x, "float32")
        label = self._classes_of(-1 if label is None else label, len(x), self._label_field())
        return autodiff.in_batches(self._compiled[what], (x, label), batch_size)

    @cached_property
    def _compiled(self):
        functions = {method: partial(self._explain, method=method) for method in METHODS}
        functions["score"] = lambda x, label: (self._start(self._steps.forward(x)[-1], label)[1],)
        return {name: autodiff.compiled(function, self) for name, function in functions.items()}

    def _serve_relevance(self, inputs):
        relevance, score = self._explain(inputs["input"], inputs["label"], self.method)
        return {"relevance": relevance, "score": score}

    def _explain(self, x, label, method):
        x = ops.cast(x, "float32")
        values = self._steps.forward(x)
        start, score = self._start(values[-1], label)
        if method == "random":
            return keras.random.uniform(ops.shape(x), seed=self.seed_generator), score
        relevance = self._steps.backward(values, start * values[-1] if method == "lrp" else start, method)
        if method == "sensitivity":
            relevance = ops.abs(relevance)
        return relevance * x if method == "gradient_x_input" else relevance, score

    def _start(self, logits, label):
        """The weight of each logit in the explained score, `(batch, units)`, and the score."""
        label = ops.cast(label, "int32")
        if logits.shape[-1] == 1:
            label = ops.where(label < 0, ops.cast(logits[:, 0] > 0, "int32"), label)
            start = ops.cast(2 * label - 1, "float32")[:, None]
        else:
            label = ops.where(label < 0, ops.cast(ops.argmax(logits, axis=-1), "int32"), label)
            start = ops.one_hot(label, logits.shape[-1], dtype="float32")
        return start, ops.sum(start * logits, axis=-1)
