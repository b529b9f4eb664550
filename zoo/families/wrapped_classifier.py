"""What methods share that wrap a classifier, any built Keras model."""

import warnings
from contextlib import contextmanager

import keras
import numpy as np
from keras import ops

from zoo import autodiff, relevance
from zoo.arguments import Inputs, checked
from zoo.model import Field, Model, is_stream

TINY = 1e-30


class LabelledModel(Model):
    """A method whose targets are classes, as whole numbers or as rows with one 1. A method sets `num_classes`."""

    def check(self, x, y=None):
        """Raise a `ValueError` if `x` or `y` cannot be what the method takes. Datasets and generators pass unchecked."""
        numbers = y if y is None or is_stream(x) else class_numbers(y, self.num_classes, self.target_fields()[0].name)
        super().check(x, numbers)

    def prepared(self, x, y=None):
        """As in `zoo.Model`; rows with one 1 become numbers."""
        x, y = super().prepared(x, y)
        # of one rank before Keras sees them, which would compile one function for both ranks
        return x, y if y is None or is_stream(x) else class_numbers(y, self.num_classes)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Keras's hook; the methods' own losses see numbers."""
        return super().compute_loss(x, self._as_numbers(y) if self._auto_loss else y, y_pred, sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Keras's hook; the methods' own metrics see numbers."""
        own = isinstance(self._compile_arguments["metrics"], str)
        return super().compute_metrics(x, self._as_numbers(y) if own else y, y_pred, sample_weight)

    def _as_numbers(self, y):
        """Classes `(batch,)` of such classes, or of rows `(batch, classes)`: tensors, unchecked."""
        if y is not None and len(y.shape) == 2 and y.shape[-1] == self.num_classes:
            return ops.cast(ops.argmax(y, axis=-1), "int32")
        return y


class WrappedClassifier(LabelledModel):
    """A method around a classifier; `call` and `predict` are the classifier's own. A method calls `_wrap` in its constructor."""

    output_name = "prediction"

    def _wrap(self, classifier, from_logits):
        """Keep a built Keras model from one float array to `(batch, classes)`, or to `(batch, 1)` for two classes."""
        self.sample_shape = sample_shape(classifier)
        self.units = num_outputs(classifier, self.sample_shape, from_logits)
        self.num_classes = max(self.units, 2)
        self.classifier = classifier
        self.from_logits = from_logits
        # a function: what it runs shares the classifier's weights, which are saved once
        self._raw_logits = None if from_logits else relevance.find_logits(classifier, self.sample_shape)
        if not from_logits and self._raw_logits is None:
            warnings.warn(
                "`classifier` gives probabilities whose logits are not found; log-probabilities stand for them, whose derivatives differ "
                "and are 0 where a probability is. Received: a model without a softmax or sigmoid at its end, as far as can be seen",
                stacklevel=3,
            )

    def call(self, x, training=False):
        """The classifier's output `(batch, classes)`, or `(batch, 1)`."""
        return self.classifier(x, training=training)

    def input_fields(self):
        """The classifier's input."""
        return [Field("input", self.sample_shape)]

    def target_fields(self):
        """A class index."""
        return [Field("label", (), "int32", 0, self.num_classes - 1)]

    def example_calls(self):
        """A small valid call of every verb."""
        return {**super().example_calls(), "logits": {"x": self.example_inputs()}}

    @checked
    def logits(self, x: Inputs):
        """Logits `(batch, classes)` in float32, a function for `zoo.attacks`; log-probabilities where they are not found.

        A single unit has the logits 0 and its own.
        """
        found = self._logits(x)
        if found is None:
            return self._log_probabilities(x)
        return ops.concatenate([ops.zeros_like(found), found], axis=-1) if self.units == 1 else found

    def _logits(self, x, training=False):
        """The classifier's logits `(batch, units)` in float32, or `None`; changes no state."""
        if self._raw_logits is None and not self.from_logits:
            return None
        with autodiff.Scope():
            run = self.classifier if self._raw_logits is None else self._raw_logits
            return ops.cast(run(x, training=training), "float32")

    def _log_probabilities(self, x, training=False):
        # the scope drops what the pass does to state, seeds included: all passes of a step have one dropout mask
        with autodiff.Scope():
            return self._log_outputs(x, training)

    def _log_outputs(self, x, training=False):
        """Log probabilities `(batch, classes)` in float32, by the logits where they are known."""
        if self._raw_logits is None:
            return self._log(self.classifier(x, training=training))
        return log_probabilities(self._raw_logits(x, training=training), True)

    def _numbers(self, y):
        """An array of classes, or of rows with one 1, that was checked: `(n,)` int32."""
        return np.asarray(class_numbers(y, self.num_classes), "int32").reshape(-1)

    def _classes_of(self, given, number, field):
        """One class for all samples, one for each, or rows with one 1, checked against a field: `(number,)` int32."""
        found = np.broadcast_to(np.asarray(given), (number,)) if np.ndim(given) == 0 else class_numbers(given, self.num_classes, field.name)
        field.check(found)
        if len(found) != number:
            raise ValueError(f"`{field.name}` must be one class or {number} classes. Received: {len(found)}")
        return found.astype("int32")

    def _log(self, outputs):
        """Log probabilities `(batch, classes)` of the classifier's outputs, in float32."""
        return log_probabilities(outputs, self.from_logits)


class TeacherStaysMixin:
    """For methods with a model that they do not train: its weights are not among theirs that are, whatever it is used for elsewhere.

    A class attribute names it.
    """

    untrained = "teacher"

    @property
    def trainable_variables(self):
        """All that are trained but the teacher's."""
        return self._without_teacher(super().trainable_variables)

    @property
    def trainable_weights(self):
        """All that are trained but the teacher's."""
        return self._without_teacher(super().trainable_weights)

    @property
    def non_trainable_variables(self):
        """All others, the teacher's among them."""
        trained = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in trained]

    @property
    def non_trainable_weights(self):
        """All others, the teacher's among them."""
        trained = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in trained]

    def _without_teacher(self, variables):
        teacher = getattr(self, self.untrained, None)
        kept = set() if teacher is None else {id(v) for v in teacher.variables}
        return [v for v in variables if id(v) not in kept]


class AnalysedClassifier(WrappedClassifier):
    """A method that finds something out about a classifier; `fit` trains it as it is."""

    def default_loss(self):
        """Cross-entropy."""
        if self.units == 1:
            return keras.losses.BinaryCrossentropy(self.from_logits)
        return keras.losses.SparseCategoricalCrossentropy(self.from_logits)

    def default_metrics(self):
        """Accuracy."""
        if self.units == 1:
            return [keras.metrics.BinaryAccuracy("accuracy", threshold=0.0 if self.from_logits else 0.5)]
        return ["accuracy"]


def class_numbers(y, num_classes, name="label"):
    """Classes of an array, which holds them or rows `(n, num_classes)` with one 1; other shapes are left for checks to refuse.

    Raises:
        ValueError: if rows hold something else than one 1 and zeros.
    """
    y = y if isinstance(y, np.ndarray) else ops.convert_to_numpy(y)
    if y.ndim != 2 or y.shape[1] != num_classes or not y.size:
        return y
    if y.dtype.kind not in "fiub" or np.any((y != 0) & (y != 1)) or np.any(y.sum(axis=1) != 1):
        expected = f"classes, or rows of {num_classes} numbers that are 0 but for one 1"
        raise ValueError(f"`{name}` must hold {expected}. Received: {y[:3].tolist()}")
    return y.argmax(axis=1).astype("int32")


@contextmanager
def thawed(model):
    """All weights of a model are trainable within; then, whatever happened, those that were."""
    before = [(part, part.trainable) for part in model._flatten_layers()]
    weights = [(variable, variable.trainable) for variable in model.variables]
    # from what is frozen on: TensorFlow ignores the latter where the model itself is not
    model.trainable = False
    model.trainable = True
    try:
        yield
    finally:
        # from the whole to its parts, each of which sets its own
        for part, trainable in before:
            part.trainable = trainable
        for variable, trainable in weights:
            variable.trainable = trainable


def log_probabilities(outputs, from_logits):
    """Log probabilities `(batch, classes)` in float32 of the outputs of a classifier, `(batch, classes)` or `(batch, 1)`."""
    outputs = ops.cast(outputs, "float32")
    if outputs.shape[-1] > 1:
        return ops.log_softmax(outputs) if from_logits else ops.log(ops.maximum(outputs, TINY))
    if from_logits:
        return -ops.softplus(ops.concatenate([outputs, -outputs], axis=-1))
    return ops.log(ops.maximum(ops.concatenate([1.0 - outputs, outputs], axis=-1), TINY))


def sample_shape(model, name="classifier"):
    """Shape of one input sample of a built model; `name` is the argument that errors speak of."""
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(f"`{name}` must be a built Keras model. Received: {model}")
    if isinstance(model, Model):
        inputs = [field.spec() for field in model.input_fields()]
    elif hasattr(model, "inputs"):
        inputs = model.inputs
    else:
        shape = (model.get_build_config() or {}).get("input_shape")
        inputs = [keras.InputSpec(shape=shape)] if shape else []
    if len(inputs) != 1 or "int" in str(inputs[0].dtype):
        received = [(spec.shape, spec.dtype) for spec in inputs]
        raise ValueError(f"`{name}` must take one array of floats, known since it was built. Received: {received}")
    return tuple(inputs[0].shape[1:])


def num_outputs(model, shape, from_logits, name="classifier"):
    """Number of outputs for samples of a shape; refuses a model that gives something else than `from_logits` says."""
    # many and different samples: the logits of one sum to one by chance
    samples = np.random.default_rng(0).normal(size=(16, *(n or 8 for n in shape))).astype("float32")
    outputs = model(samples, training=False)
    if not hasattr(outputs, "shape") or len(outputs.shape) != 2:
        raise ValueError(f"`{name}` must give one array (batch, classes). Received: {type(outputs).__name__}")
    values = ops.convert_to_numpy(outputs).astype("float32")
    found = _kind_of_outputs(values, relevance.gives_probabilities(model, shape), from_logits)
    if found != ("logits" if from_logits else "probabilities"):
        raise ValueError(f"`from_logits` must say what `{name}` gives. Received: {from_logits}, while it seems to give {found}")
    return values.shape[1]


def _kind_of_outputs(values, ends_with_softmax, from_logits):
    """`"logits"` or `"probabilities"`, by how a network ends and its outputs for different samples; where neither tells, what is said."""
    adds_up = values.min() >= 0 and (values.shape[1] == 1 or np.allclose(values.sum(1), 1, atol=1e-2)) and values.max() <= 1.01
    if not adds_up:
        return "something between 0 and 1 that does not add up to 1" if ends_with_softmax else "logits"
    if ends_with_softmax:
        return "probabilities"
    # logits that are the same for all samples, or a single one, may look like probabilities
    open_question = values.shape[1] == 1 or np.all(values == values[0]) or ends_with_softmax is False
    return "logits" if from_logits and open_question else "probabilities"
