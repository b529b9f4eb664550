"""What methods share that wrap a classifier, any built Keras model."""

import keras
import numpy as np
from keras import ops

from zoo import autodiff
from zoo.model import Field, Model

TINY = 1e-30


class WrappedClassifier(Model):
    """A method around a classifier; `call` and `predict` are the classifier's own. A method calls `_wrap` in its constructor."""

    output_name = "prediction"

    def _wrap(self, classifier, from_logits):
        """Keep a built Keras model from one float array to `(batch, classes)`, or to `(batch, 1)` for two classes."""
        self.sample_shape = sample_shape(classifier)
        self.units = num_outputs(classifier, self.sample_shape, from_logits)
        self.num_classes = max(self.units, 2)
        self.classifier = classifier
        self.from_logits = from_logits

    def call(self, x, training=False):
        """The classifier's output `(batch, classes)`, or `(batch, 1)`."""
        return self.classifier(x, training=training)

    def input_fields(self):
        """The classifier's input."""
        return [Field("input", self.sample_shape)]

    def target_fields(self):
        """A class index."""
        return [Field("label", (), "int32", 0, self.num_classes - 1)]

    def _log_probabilities(self, x, training=False):
        # the scope drops what the pass does to state, seeds included: all passes of a step have one dropout mask
        with autodiff.Scope():
            return self._log(self.classifier(x, training=training))

    def _log(self, outputs):
        """Log probabilities `(batch, classes)` of the classifier's outputs, in float32."""
        return log_probabilities(outputs, self.from_logits)


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
    are_probabilities = values.min() >= 0 and np.allclose(values.sum(1), 1, atol=1e-2)
    if values.shape[1] > 1 and are_probabilities == from_logits:
        found = "probabilities" if are_probabilities else "logits"
        raise ValueError(f"`from_logits` must say what `{name}` gives. Received: {from_logits}, while it seems to give {found}")
    return values.shape[1]
