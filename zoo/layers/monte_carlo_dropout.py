"""Monte Carlo dropout: mean and variance of a model's output over random dropout masks, as the model's own uncertainty.

Papers: Kendall et al. 2015, "Bayesian SegNet", arXiv 1511.02680, section 3; Gal, Ghahramani 2015, "Dropout as a Bayesian Approximation",
arXiv 1506.02142.

The passes run in inference mode (batch normalisation uses its moving statistics, noise and augmentation layers rest), while the dropout
layers alone are told that they are training: for the time of a pass, each one's `call` is replaced by one that fixes `training=True`.
So any model will do (functional, sequential, subclassed, nested), nothing is cloned, and no layer's `trainable` is touched.
"""

import contextlib

import keras
import numpy as np
from keras import ops

from zoo import autodiff

DROPOUT = (keras.layers.Dropout, keras.layers.AlphaDropout, keras.layers.GaussianDropout, keras.layers.RNN)


@keras.saving.register_keras_serializable("zoo")
class MonteCarloDropout(keras.Layer):
    """Any model with dropout, run many times with fresh masks: `{"mean": ..., "variance": ...}` of its output.

    As a layer it can be exported: `keras.Model(x, MonteCarloDropout(model)(x)).export(path)`.

    Args:
        model: a built Keras model (or layer) with one output tensor; `Dropout`, its spatial forms, `AlphaDropout`, `GaussianDropout` and
            the dropout of recurrent layers become random, everything else runs in inference mode.
        samples: number of passes, T in the paper.
        activation: applied to each pass, e.g. `"softmax"` for a model that gives logits: average probabilities, not logits.
        **kwargs: of `keras.Layer`.
    """

    def __init__(self, model, samples=50, activation=None, **kwargs):
        super().__init__(**kwargs)
        _dropout_layers(model)
        self.model, self.samples, self.activation = model, _checked(samples), keras.activations.get(activation)
        self._run = autodiff.compiled(self._moments, self)
        self.built = True

    def call(self, inputs):
        """Mean and population variance over the passes, each of the shape of the model's output, float32."""
        return dict(zip(("mean", "variance"), self._moments(inputs, self.samples)))

    def compute_output_spec(self, inputs):
        """Shapes of mean and variance."""
        shape = keras.ops.shape(self.model(inputs))
        return {name: keras.KerasTensor(shape, dtype="float32") for name in ("mean", "variance")}

    def predict(self, inputs, samples=None, batch_size=8):
        """Mean and variance of many inputs, in one compiled function.

        Args:
            inputs: an array, or a structure of arrays, as the model takes it.
            samples: number of passes instead of the constructor's; does not compile anew.
            batch_size: inputs in one run; memory is that of one pass.

        Returns:
            `mean, variance`: NumPy arrays of the shape of the model's output.
        """
        return in_batches(self._run, inputs, self.samples if samples is None else samples, batch_size)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "samples": self.samples,
            "activation": keras.activations.serialize(self.activation),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild from `get_config`."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**{**config, "model": model})

    def _moments(self, inputs, samples):
        return dropout_moments(self.model, inputs, samples, self.activation)


def dropout_moments(model, inputs, samples, activation=None, seed=None):
    """Mean and population variance of a model's output over dropout masks; runs eagerly, compiled and in an export.

    Args:
        model: a built Keras model or layer with one output tensor.
        inputs: as the model takes them.
        samples: number of passes, a number or an int32 scalar tensor.
        activation: function applied to each output.
        seed: a whole number that fixes all masks; by default each call draws new ones.

    Returns:
        `mean, variance`, of the shape of the output, float32.

    Raises:
        ValueError: if the model has no dropout.
    """
    dropouts = _dropout_layers(model)
    states = [generator.state for generator in _seed_generators(dropouts)]
    start = [ops.convert_to_tensor(s) for s in states]
    if seed is not None:
        start = [ops.convert_to_tensor(np.array([seed, 1_000_000 * i]), dtype=s.dtype) for i, s in enumerate(states)]

    def one_pass(seeds):
        with autodiff.Scope(zip(states, seeds)) as scope, _training(dropouts):
            output = model(inputs, training=False)
            output = output if activation is None else activation(output)
            return ops.cast(output, "float32"), [scope.get_current_value(s) for s in states]

    def step(done, mean, squares, seeds):
        """Welford's update, which does not subtract large numbers."""
        output, seeds = one_pass(seeds)
        done = done + 1
        difference = output - mean
        mean = mean + difference / ops.cast(done, "float32")
        return done, mean, squares + difference * (output - mean), seeds

    samples = ops.cast(samples, "int32")
    first, seeds = one_pass(start)
    carry = ops.convert_to_tensor(1, "int32"), first, ops.zeros_like(first), seeds
    _, mean, squares, seeds = ops.while_loop(lambda done, *_: done < samples, step, carry)
    if seed is None:
        for state, value in zip(states, seeds):
            state.assign(value)
    return mean, squares / ops.cast(samples, "float32")


def in_batches(run, inputs, samples, batch_size):
    """`run(batch, samples)` for all inputs, as NumPy arrays; the last batch is filled up, so that the graph keeps its shapes.

    Args:
        run: a compiled function that returns a tuple of tensors with a batch axis.
        inputs: an array or a structure of arrays.
        samples: number of passes.
        batch_size: inputs in one run.

    Returns:
        A tuple of arrays.

    Raises:
        ValueError: if `samples` or `batch_size` is less than 1.
    """
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a whole number of at least 1. Received: {batch_size}")
    samples = ops.convert_to_tensor(_checked(samples), "int32")
    inputs = keras.tree.map_structure(np.asarray, inputs)
    total = len(keras.tree.flatten(inputs)[0])
    size = min(batch_size, total)
    found = []
    for start in range(0, total, size):
        index = np.minimum(np.arange(start, start + size), total - 1)
        batch = keras.tree.map_structure(lambda a, index=index: ops.convert_to_tensor(a[index]), inputs)
        found.append([ops.convert_to_numpy(y)[: total - start] for y in run(batch, samples)])
    return tuple(np.concatenate(parts) for parts in zip(*found))


def _checked(samples):
    if not isinstance(samples, (int, np.integer)) or samples < 1:
        raise ValueError(f"`samples` must be a whole number of at least 1. Received: {samples}")
    return int(samples)


def _dropout_layers(model):
    """The layers that shall be random."""
    found = [layer for layer in model._flatten_layers() if isinstance(layer, DROPOUT) and _seed_generators([layer])]
    if not found:
        raise ValueError(f"`model` must have dropout layers with a rate above 0. Received: {model.name}, which has none")
    return found


def _seed_generators(layers):
    """The generators that the layers draw their masks from; a layer with a rate of 0 has none, a recurrent one keeps it in its cell."""
    owners = {id(part): part for layer in layers for part in layer._flatten_layers() if _rate(part)}
    return [part.seed_generator for part in owners.values()]


def _rate(layer):
    return max(getattr(layer, name, 0) or 0 for name in ("rate", "dropout", "recurrent_dropout")) if hasattr(layer, "seed_generator") else 0


@contextlib.contextmanager
def _training(layers):
    """Let these layers run in training mode, whatever they are told."""

    def always(layer):
        return lambda *args, **kwargs: type(layer).call(layer, *args, **{**kwargs, "training": True})

    for layer in layers:
        vars(layer)["call"] = always(layer)
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("call", None)
