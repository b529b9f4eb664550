"""The logits behind a classifier's probabilities: its network without the softmax or sigmoid at the end."""

import keras
import numpy as np
from keras import ops

from zoo import autodiff
from zoo.relevance.network import IDENTITIES, OUTPUTS, activation_name, is_graph, linear_part


def find_logits(classifier, sample_shape):
    """The logits of a classifier that gives probabilities.

    Args:
        classifier: a built Keras model that ends with a softmax or sigmoid: an activation of its last layer, or a layer or operation of its
            own, of a functional or Sequential model, or in the `call` of a model that does nothing but run one such model.
        sample_shape: shape of one sample.

    Returns:
        Function (x, training=False) -> logits `(batch, units)` in float32, by the weights of `classifier`; `None` where they are not found.
    """
    found = running(classifier, sample_shape)
    if found is None:
        return None
    network, is_logits = found
    logits = (lambda x, training=False: ops.cast(network(x, training=training), "float32")) if is_logits else _cut(network)
    if logits is None:
        return None
    x = _samples(sample_shape, 2)
    with autodiff.Scope():
        expected, found = classifier(x, training=False), ops.convert_to_numpy(_squash(logits(x)))
        expected = ops.convert_to_numpy(ops.cast(expected, "float32"))
    # loose enough for half precision
    return logits if found.shape == expected.shape and np.allclose(found, expected, rtol=5e-2, atol=1e-4) else None


def running(classifier, sample_shape):
    """The functional or Sequential model that makes a classifier's output.

    Returns:
        Pair of the model and whether the classifier puts a softmax (for one unit a sigmoid) on what it gives; `None` where no model alone
        makes the output.
    """
    if is_graph(classifier):
        return classifier, False
    x = _samples(sample_shape, 4)
    with _other_weights(classifier):
        expected = _numbers(classifier, x)
        for part in classifier._flatten_layers(include_self=False):
            if not is_graph(part) or len(part.inputs) != 1 or len(part.outputs) != 1:
                continue
            takes, gives = part.inputs[0], part.outputs[0]
            fits = len(takes.shape) == x.ndim and "float" in takes.dtype and gives.shape[1:] == expected.shape[1:]
            if not fits or any(n not in (None, m) for n, m in zip(takes.shape[1:], x.shape[1:])):
                continue
            found = _numbers(part, x)
            for squashed in (False, True):
                values = ops.convert_to_numpy(_squash(found)) if squashed else found
                if np.allclose(values, expected, rtol=1e-3, atol=1e-5):
                    return part, squashed
    return None


def gives_probabilities(classifier, sample_shape):
    """Whether a classifier ends with a softmax or sigmoid (`True`), with a linear layer (`False`), or cannot be looked into (`None`)."""
    found = running(classifier, sample_shape)
    if found is None or found[1]:
        return None if found is None else True
    layer = _last(found[0])[0]
    name = activation_name(layer)
    if name in OUTPUTS:
        return True
    return False if name == "linear" and linear_part(layer) is not None else None


def _cut(network):
    """The network without the softmax or sigmoid at its end, as a function; `None` where it ends in another way."""
    layer, tensor, path = _last(network)
    if activation_name(layer) not in OUTPUTS or getattr(layer, "axis", -1) not in (-1, len(tensor.shape) - 1):
        return None
    alone = isinstance(layer, (keras.layers.Softmax, keras.layers.Activation)) or not isinstance(layer, keras.Layer)
    finish = (lambda x: x) if alone else linear_part(layer)
    if finish is None:
        return None
    bodies = [_up_to(outer, end) for outer, end in path]

    def logits(x, training=False):
        for body in bodies:
            x = x if body is None else body(x, training=training)
        return ops.cast(finish(ops.cast(x, "float32")), "float32")

    return logits


def _last(network):
    """The last layer of a network that does something, the tensor that it reads, and (model, tensor) for each model on the way to it."""
    path = []
    tensor = network.outputs[0]
    while True:
        if any(tensor is each for each in network.inputs):
            return None, tensor, path
        layer, index, _ = tensor._keras_history
        source = layer._inbound_nodes[index].input_tensors[0]
        if is_graph(layer) and len(layer.outputs) == 1:
            path.append((network, source))
            network, tensor = layer, layer.outputs[0]
        elif isinstance(layer, IDENTITIES) or (isinstance(layer, keras.layers.Activation) and activation_name(layer) == "linear"):
            tensor = source
        else:
            return layer, source, [*path, (network, source)]


def _up_to(network, tensor):
    """A network up to one of its tensors; `None` for the input itself."""
    if tensor is network.inputs[0]:
        return None
    return keras.Model(network.inputs[0], tensor, name=f"{network.name}_body")


def _squash(logits):
    return ops.softmax(logits) if logits.shape[-1] > 1 else ops.sigmoid(logits)


def _samples(shape, number):
    return np.random.default_rng(0).normal(size=(number, *(n or 8 for n in shape))).astype("float32")


def _numbers(model, x):
    return ops.convert_to_numpy(ops.cast(model(x, training=False), "float32"))


def _other_weights(model):
    """A scope in which no two parts of a model agree by chance, as two heads of zeros do."""
    rng, changed = np.random.default_rng(0), []
    for variable in model.variables:
        if "float" in str(variable.dtype):
            value = ops.convert_to_numpy(ops.cast(variable, "float32"))
            value = value * rng.uniform(0.8, 1.2, value.shape) + (value == 0) * rng.uniform(0.0, 0.1, value.shape)
            changed.append((variable, ops.cast(value, variable.dtype)))
    return autodiff.Scope(changed)
