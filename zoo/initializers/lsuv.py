"""Layer-sequential unit-variance (LSUV) initialisation of any built Keras model, from one batch of data.

Paper: Mishkin, Matas 2015, "All you need is a good init", arXiv 1511.06422, algorithm 1.

Layers are handled in the order in which they run, in one eager forward pass: when a layer runs for the first time its kernels become
orthonormal and are divided by the standard deviation of its output until the variance is 1; then the pass goes on with the new output.
Branches and nested or subclassed models need no care, a shared layer or weight is handled at its first use, and the cost grows linearly
with depth.

What is handled, and how:
- Kernels are the trainable weights with at least two axes that are named `*kernel*`, `*weight*` or `w`, or have no name of their own.
  Embeddings, normalisations, PReLU slopes, biases and everything that is not trainable keep their values.
- The variance is that before a fused activation (`Dense(activation=...)`), as in the authors' code, where activations are layers.
- Several kernels in one layer (`SeparableConv2D`) share the division evenly. Attention is handled projection by projection.
- LSTM, GRU and SimpleRNN: the projection of the input gets unit variance; the recurrent kernel becomes orthonormal and keeps its scale.
  Other recurrent layers keep their values.
- `TimeDistributed`: the layer inside, by the variance over all steps.
- A layer whose output does not vary (dead, or fed with constants) gets orthonormal kernels and no division.

Differences from the paper:
1. The pass runs in inference mode (no dropout, moving statistics in batch normalisation); the authors' code runs the training phase.
2. Of a grouped or transposed convolution the kernel becomes orthonormal as one matrix; depthwise ones channel by channel.
"""

import contextlib
import re
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

_KERNEL = re.compile(r"(?!lora).*(kernel|weight)|w$|variable(_\d+)?$", re.IGNORECASE)


@dataclass(frozen=True)
class LayerRecord:
    """What happened to one layer.

    Args:
        name: path of the layer in the model.
        variance_before: of its output before the first division, its inputs being normalised already.
        variance_after: of its output in the end.
        iterations: number of divisions.
        converged: whether the variance is within the tolerance of 1.
    """

    name: str
    variance_before: float
    variance_after: float
    iterations: int
    converged: bool


def lsuv(model, batch, tolerance=0.1, max_iterations=10, orthonormal=True, verbose=1):
    """Initialise all layers of a model so that their outputs on `batch` have variance 1 (algorithm 1).

    With `max_iterations=0, orthonormal=False` nothing changes, and the report tells the variances of the model as it is.

    Args:
        model: a built `keras.Model` or `keras.Layer`: Functional, Sequential, subclassed or nested.
        batch: the first argument of the model: an array or a structure of arrays; larger ones give better estimates.
        tolerance: largest difference from variance 1.
        max_iterations: divisions of one layer at most.
        orthonormal: whether kernels start from orthonormal matrices; otherwise from the values they have.
        verbose: 0 or 1, whether to show a progress bar.

    Returns:
        List of `LayerRecord`, in the order of execution; layers that the pass does not reach are absent.

    Raises:
        ValueError: if the model is not built, or an argument is out of range.
    """
    if not getattr(model, "built", False):
        raise ValueError(f"`model` must be built, so that its weights exist. Received: {model}, which is not")
    if not tolerance > 0 or max_iterations < 0:
        raise ValueError(f"`tolerance` must be positive and `max_iterations` at least 0. Received: {tolerance}, {max_iterations}")
    run = _Pass(tolerance, max_iterations, orthonormal)
    units = [unit for layer in _layers(model) if (unit := _Unit.of(layer)) is not None]
    bar = keras.utils.Progbar(len(units), unit_name="layer", verbose=verbose if units else 0)
    try:
        for unit in units:
            unit.intercept(lambda *args, unit=unit, **kwargs: run.call(unit, bar, args, kwargs))
        model(batch, training=False)
    finally:
        for unit in units:
            unit.release()
    if len(run.records) < len(units):
        bar.update(len(run.records), finalize=True)
    return run.records


class _Pass:
    """The state of one forward pass: options, records, and the kernels that are done."""

    def __init__(self, tolerance, max_iterations, orthonormal):
        self.tolerance, self.max_iterations, self.orthonormal = tolerance, max_iterations, orthonormal
        self.records, self.done = [], set()

    def call(self, unit, bar, args, kwargs):
        """What runs instead of the `call` of a layer: its first use initialises it."""
        kernels = [k for k in unit.kernels if id(k) not in self.done]
        if kernels:
            self.done.update(map(id, kernels))
            self.records.append(self.initialise(unit, kernels, args, kwargs))
            bar.add(1)
        return unit.run(*args, **kwargs)

    def initialise(self, unit, kernels, args, kwargs):
        if self.orthonormal:
            for kernel in kernels:
                unit.values[id(kernel)] = _orthonormal(unit.core, kernel)
                kernel.assign(unit.values[id(kernel)])
        scaled = [k for k in kernels if not (unit.recurrent and "recurrent" in k.name)]
        with unit.linear():
            before = variance = _variance(unit.measured(args, kwargs))
            iterations = 0
            while abs(variance - 1) >= self.tolerance and iterations < self.max_iterations and 0 < variance < np.inf:
                for kernel in scaled:
                    # from a copy in full precision: inside a layer of a mixed policy a kernel reads as float16
                    unit.values[id(kernel)] = unit.values[id(kernel)] / variance ** (0.5 / len(scaled))
                    kernel.assign(unit.values[id(kernel)])
                variance = _variance(unit.measured(args, kwargs))
                iterations += 1
        return LayerRecord(unit.layer.path, before, variance, iterations, bool(abs(variance - 1) < self.tolerance))


class _Unit:
    """A layer that is initialised as a whole: the layer that runs, and the one inside that holds the kernels."""

    def __init__(self, layer, core, kernels):
        self.layer, self.core, self.kernels = layer, core, kernels
        self.recurrent = isinstance(layer, keras.layers.RNN)
        self.values = {id(k): ops.convert_to_numpy(k.value) for k in kernels}
        self.run = layer.call

    @classmethod
    def of(cls, layer):
        """The unit that `layer` is, or `None` if it has no kernels of its own."""
        core = _core(layer)
        # convolutions over time keep their initialisation: their projection is no matrix product
        if isinstance(layer, keras.layers.RNN) and len(getattr(getattr(core, "kernel", None), "shape", ())) != 2:
            return None
        children = {id(v) for child in _children(core) for v in child.variables}
        # with the layer's own list, a layer that is frozen as a whole has none
        own = [v for v in core.trainable_variables if id(v) not in children and v.trainable and layer.trainable]
        kernels = [v for v in own if len(v.shape) >= 2 and _KERNEL.match(v.name)]
        return cls(layer, core, kernels) if kernels else None

    def intercept(self, function):
        """Let `function` run instead of the layer's `call`, without Keras noticing a new attribute."""
        vars(self.layer)["call"] = function

    def release(self):
        vars(self.layer).pop("call", None)

    @contextlib.contextmanager
    def linear(self):
        """Switch a fused activation off."""
        fused = not self.recurrent and callable(getattr(self.core, "activation", None))
        activation = vars(self.core).get("activation")
        if fused:
            vars(self.core)["activation"] = None
        try:
            yield
        finally:
            if fused:
                vars(self.core)["activation"] = activation

    def measured(self, args, kwargs):
        """The tensor whose variance shall be 1."""
        if self.recurrent:
            return ops.matmul(args[0] if args else kwargs["sequences"], ops.cast(self.core.kernel, self.core.compute_dtype))
        return self.run(*args, **kwargs)


def _core(layer):
    if isinstance(layer, keras.layers.RNN):
        return layer.cell
    return layer.layer if isinstance(layer, keras.layers.TimeDistributed) else layer


def _layers(root):
    """`root` and every layer below it; what is inside a unit is part of the unit."""
    found, waiting = {}, [root]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in found:
            found[id(layer)] = layer
            waiting += [] if isinstance(layer, (keras.layers.RNN, keras.layers.TimeDistributed)) else _children(layer)
    return list(found.values())


def _children(layer):
    """The layers that `layer` holds in its attributes, also in lists and dicts, which is how Keras finds them."""
    found, waiting = [], list(vars(layer).values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, keras.Layer):
            found.append(value)
        elif isinstance(value, (list, tuple, set)):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
    return found


def _variance(outputs):
    """Over all numbers of all outputs; 0 if they differ by no more than rounding."""
    values = np.concatenate([ops.convert_to_numpy(ops.cast(y, "float32")).ravel() for y in keras.tree.flatten(outputs)]).astype("float64")
    variance = float(values.var())
    return variance if variance > 1e-12 * values.mean() ** 2 else 0.0


def _orthonormal(layer, kernel):
    """Orthonormal rows or columns, whichever are fewer, of the matrix that `kernel` is."""
    draw = keras.initializers.Orthogonal()
    shape = tuple(kernel.shape)
    if isinstance(layer, (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)) or kernel.name == "depthwise_kernel":
        *window, channels, multiplier = shape
        return np.stack([_numpy(draw((int(np.prod(window)), multiplier))).reshape(*window, multiplier) for _ in range(channels)], axis=-2)
    incoming = _incoming_axes(layer, len(shape))
    outgoing = [axis for axis in range(len(shape)) if axis not in incoming]
    axes = [*incoming, *outgoing]
    matrix = _numpy(draw((int(np.prod([shape[a] for a in incoming])), int(np.prod([shape[a] for a in outgoing])))))
    return matrix.reshape([shape[a] for a in axes]).transpose(np.argsort(axes))


def _incoming_axes(layer, rank):
    """The axes of a kernel over which the layer sums: all but the last, or what the equation of an `EinsumDense` says."""
    if isinstance(layer, keras.layers.EinsumDense):
        terms, output = layer.equation.replace(" ", "").split("->")
        return [axis for axis, label in enumerate(terms.split(",")[1]) if label not in output]
    return list(range(rank - 1))


def _numpy(tensor):
    return ops.convert_to_numpy(tensor)
