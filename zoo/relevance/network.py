"""A Keras network as a list of steps that run forwards in float32, and backwards by LRP or by one of its rivals.

Layer-wise relevance propagation and the heat maps that it is compared with: Samek et al. 2015, arXiv 1509.06321, section II. No layer needs
a gradient formula of its own: every step is a function, and what it hands back is a product of a vector with its Jacobian.

Rules of later papers, for layers that the paper did not know. Products: what is gated takes all (Arras et al. 2017, arXiv 1706.07206);
without a gate, factors share equally (Achtibat et al. 2024, arXiv 2402.05602). Normalisation of each sample by itself: its spread counts
as a constant, so that the map is linear (Ali et al. 2022, arXiv 2202.07304).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
from keras import layers, ops

from zoo import autodiff
from zoo.layers.max_pooling_dropout import MaxPoolingDropout2D
from zoo.layers.stochastic_pooling import StochasticPooling2D
from zoo.relevance.rules import RULES, divide, propagate

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
LINEAR = (layers.Dense, layers.EinsumDense, *CONVOLUTIONS, *TRANSPOSED, *DEPTHWISE, *SEPARABLE)
ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)
IDENTITIES = (
    *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D, layers.AlphaDropout),
    *(layers.GaussianDropout, layers.GaussianNoise, layers.ActivityRegularization, layers.Identity),
)
# relevance goes where the values came from
MOVES = (
    *(layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector, layers.Concatenate),
    *(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D, layers.Cropping1D, layers.Cropping2D, layers.Cropping3D),
    *(layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D),
    *(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D, layers.Maximum, layers.Minimum),
    *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
)
# shared in proportion once the spread of a sample is taken as a constant
NORMALISATIONS = (layers.LayerNormalization, layers.RMSNormalization, layers.GroupNormalization)
# weights are fixed; the poolings of the zoo weigh by rank or by size, so that their output is the sum of inputs times slopes as well
SHARES = (
    *(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D, layers.Add, layers.Average, layers.Subtract),
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D),
    *(layers.Rescaling, layers.Normalization, layers.BatchNormalization),
    *(MaxPoolingDropout2D, StochasticPooling2D, *NORMALISATIONS),
)
# what the networks of keras.applications bring along, by class name
OF_APPLICATIONS = {"LayerScale": "share", "CustomScaleLayer": "share", "StochasticDepth": "identity"}
# operations of `keras.ops` in functional graphs, by class name; arithmetic with two tensors only where it is linear
OPERATIONS = {
    **dict.fromkeys(("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Gelu", "Silu", "Tanh", "Sigmoid", "Softplus"), "activation"),
    **dict.fromkeys(("HardSigmoid", "HardSilu"), "activation"),
    **dict.fromkeys(("Reshape", "Transpose", "Concatenate", "ExpandDims", "Squeeze", "GetItem", "Pad", "Max", "MaxPool"), "move"),
    **dict.fromkeys(("Stack", "Flip", "Repeat", "Tile", "BroadcastTo", "Maximum", "Minimum"), "move"),
    **dict.fromkeys(("Add", "Subtract", "Negative", "Mean", "Sum", "AveragePool"), "share"),
    "Multiply": "product",
    **dict.fromkeys(("Divide", "TrueDivide"), "quotient"),
}
NOT_ELEMENTWISE = ("softmax", "log_softmax", "sparsemax", "glu")
NOT_NEGATIVE = ("relu", "relu6", "sigmoid", "hard_sigmoid", "softplus", "softmax", "Relu", "Relu6", "Sigmoid", "HardSigmoid", "Softplus")
# values between 0 and a limit, which say how much of another tensor passes
GATES = ("sigmoid", "hard_sigmoid", "relu6", "softmax", "Sigmoid", "HardSigmoid", "Relu6", "Softmax")
OUTPUTS = ("softmax", "sigmoid", "Softmax", "Sigmoid")


@dataclass(eq=False)
class Step:
    """One map of the network, numbered tensors in and one out.

    Args:
        name: of the layer, for messages.
        kind: `"linear"`, `"activation"`, `"move"`, `"share"`, `"product"` or `"other"`.
        sources: numbers of the tensors that go in.
        target: number of the tensor that comes out.
        run: function of the tensors.
        what: class of the layer, or name of the activation function.
        group: `"dense"` or `"convolution"`, of linear steps.
        product: linear steps: function (x, kernel) without bias.
        weights: linear steps: function without arguments that gives kernel and bias (or `None`).
        rule: linear steps: name and parameter of the LRP rule.
        positive: whether all inputs are known to be at least 0.
        stand_in: share and product steps: linear function of the tensors that LRP goes back through in place of `run`.
        portions: product steps: what part of the relevance each tensor takes.
        layer: the layer or operation.
    """

    name: str
    kind: str
    sources: list
    target: int
    run: Callable
    what: str = ""
    group: str = ""
    product: Callable | None = None
    weights: Callable | None = None
    rule: tuple = field(default=())
    positive: bool = False
    stand_in: Callable | None = None
    portions: list = field(default_factory=list)
    layer: Any = None


class Steps:
    """A network as steps in the order of computation; tensors are numbered, 0 is the input.

    Args:
        network: a functional or Sequential model with one input and one output.
        from_logits: whether it gives logits; else the softmax or sigmoid at its end is left out.
    """

    def __init__(self, network, from_logits):
        self.steps, self.size = [], 1
        self.output = self._follow(network, [0])
        self._merge_batch_normalisation()
        last = self.steps[-1]
        if (last.target == self.output and last.what in OUTPUTS) == from_logits:
            raise ValueError(
                f"`from_logits` must be False for a network that ends with {' or '.join(OUTPUTS[:2])}, and True for others. "
                f"Received: {from_logits}, and {last.what} ({last.name}) at the end"
            )
        if not from_logits:
            self.steps.pop()
            self.output = last.sources[0]
        self._mark_positive()
        self._find_gates()

    # construction

    def _new(self):
        self.size += 1
        return self.size - 1

    def _add(self, layer, kind, sources, run, **details):
        details = {"what": type(layer).__name__, "layer": layer, **details}
        self.steps.append(Step(layer.name, kind, sources, self._new(), run, **details))
        return self.steps[-1].target

    def _follow(self, network, sources):
        """Add the steps of a functional or Sequential model that reads the tensors `sources`; returns the number of its output."""
        if len(network.outputs) != 1:
            raise ValueError(f"`classifier` must be made of models with one output. Received: {len(network.outputs)} of {network.name}")
        numbers = dict(zip(map(id, network.inputs), sources))
        stack = [network.outputs[0]]
        while stack:
            tensor = stack[-1]
            if id(tensor) in numbers:
                stack.pop()
                continue
            operation, index, _ = tensor._keras_history
            node = operation._inbound_nodes[index]
            missing = [t for t in node.input_tensors if id(t) not in numbers]
            if missing:
                stack += missing
                continue
            stack.pop()
            if len(node.output_tensors) != 1:
                raise ValueError(f"`classifier` must be made of layers with one output. Received: {operation.name}")
            numbers[id(tensor)] = self._operation(operation, node, [numbers[id(t)] for t in node.input_tensors])
        return numbers[id(network.outputs[0])]

    def _operation(self, layer, node, sources):
        """Add the steps of one layer or operation; returns the number of its output."""
        if is_graph(layer):
            return self._follow(layer, sources)
        if isinstance(layer, IDENTITIES):
            return sources[0]
        kind, what = _kind(layer, node)
        if kind == "identity":
            return sources[0]
        if kind == "linear":
            return self._separable(layer, sources) if isinstance(layer, SEPARABLE) else self._linear(layer, sources)
        if kind == "activation" and what == "linear":
            return sources[0]
        normalises = isinstance(layer, layers.BatchNormalization) and kind == "share"
        stand_in = None
        if kind == "product":
            stand_in = partial(_sum, isinstance(layer, keras.Layer))
        elif kind == "share" and isinstance(layer, NORMALISATIONS):
            stand_in = partial(_standardise, layer)
        run = partial(_normalise, layer) if normalises else partial(_call, layer, node)
        return self._add(layer, kind, sources, run, what=what, stand_in=stand_in)

    def _linear(self, layer, sources):
        product, group = _product(layer)
        details = {"group": group, "product": product, "weights": partial(_weights, layer, "kernel")}
        return self._activation(layer, self._add(layer, "linear", sources, None, **details))

    def _separable(self, layer, sources):
        product = partial(_convolve, ops.depthwise_conv, layer)
        first = {"group": "convolution", "product": product, "weights": partial(_weights, layer, "depthwise_kernel", has_bias=False)}
        second = {"group": "convolution", "product": ops.conv, "weights": partial(_weights, layer, "pointwise_kernel")}
        target = self._add(layer, "linear", sources, None, **first)
        return self._activation(layer, self._add(layer, "linear", [target], None, **second))

    def _activation(self, layer, target):
        name = activation_name(layer)
        if name == "linear":
            return target
        kind = "other" if name in NOT_ELEMENTWISE else "activation"
        return self._add(layer, kind, [target], lambda inputs: layer.activation(inputs[0]), what=name)

    def _merge_batch_normalisation(self):
        """A normalisation that alone reads the output of a linear step goes into its kernel and bias."""
        readers = [source for step in self.steps for source in step.sources] + [self.output]
        made_by = {step.target: step for step in self.steps}
        for step in list(self.steps):
            if step.kind != "share" or not isinstance(step.layer, layers.BatchNormalization):
                continue
            linear = made_by.get(step.sources[0])
            if linear is None or linear.kind != "linear" or readers.count(linear.target) > 1:
                continue
            if isinstance(linear.layer, (*TRANSPOSED, layers.EinsumDense)):
                continue
            linear.weights = partial(_scaled, linear.weights, step.layer, isinstance(linear.layer, DEPTHWISE))
            linear.target = step.target
            self.steps.remove(step)

    def _mark_positive(self):
        positive = set()
        for step in self.steps:
            step.positive = all(source in positive for source in step.sources)
            keeps = step.kind == "move" or step.what in ("Add", "Average", "Mean", "Multiply") or "Pooling" in step.what
            if not isinstance(step.layer, keras.Layer):
                # operations may have constants among their arguments
                keeps = keeps and step.what not in ("Concatenate", "Stack", "Pad")
                keeps = keeps and (len(step.sources) == 2 or step.what not in ("Add", "Multiply", "Maximum", "Minimum"))
            if step.what in NOT_NEGATIVE or (step.positive and keeps):
                positive.add(step.target)

    def _find_gates(self):
        """Say who takes the relevance of each product: the factors that are no gates, in equal parts; all, if all or none are."""
        made_by = {step.target: step for step in self.steps}

        def is_gate(number):
            step = made_by.get(number)
            if step is None:
                return False
            passes = step.kind == "move" or step.what in ("Rescaling", "Multiply", "Divide", "TrueDivide")
            return step.what in GATES or (passes and len(step.sources) == 1 and is_gate(step.sources[0]))

        for step in self.steps:
            if step.kind == "product":
                gated = [not is_gate(source) for source in step.sources]
                takers = gated if any(gated) else [True] * len(gated)
                step.portions = [taker / sum(takers) for taker in takers]

    # rules

    def choose(self, rule, epsilon, alpha, rules, input_range):
        """Give each linear step its rule: that of its name, of the input, of its group, or `rule`."""
        parameters = {"epsilon": epsilon, "alpha_beta": alpha, "flat": None, "z_b": input_range}
        linear = [step for step in self.steps if step.kind == "linear"]
        known = ["dense", "convolution", "input", *(step.name for step in linear)]
        chosen = {}
        for key, value in {"": rule, **rules}.items():
            if key and key not in known:
                raise ValueError(f"`rules` must have keys among {known}. Received: {key!r}")
            name, parameter = (value, None) if isinstance(value, str) else value
            if name not in RULES or (parameter is not None and (name not in RULES[:2] or parameter < (1 if name == "alpha_beta" else 0))):
                raise ValueError(f"`rules` must hold {RULES} or pairs of rule and parameter (alpha at least 1). Received: {value!r}")
            chosen[key] = (name, parameters[name] if parameter is None else parameter)
        first = self._first()
        for step in linear:
            keys = [step.name, *(["input"] if step in first else []), step.group, ""]
            step.rule = next(chosen[key] for key in keys if key in chosen)
            if step.rule[0] == "z_b" and step not in first:
                raise ValueError(f"`rules` must give z_b to layers that read the input. Received: z_b for {step.name}")

    def _first(self):
        """Linear steps that read the input itself, or the input moved."""
        raw, first = {0}, []
        for step in self.steps:
            if all(source in raw for source in step.sources):
                if step.kind == "linear":
                    first.append(step)
                elif step.kind == "move" and "Max" not in step.what and "Min" not in step.what:
                    raw.add(step.target)
        return first

    def check(self, method):
        """Name the layer that LRP has no rule for. The methods that differentiate take any layer."""
        if method != "lrp":
            return
        # nothing goes back through a gate
        reached = {self.output}
        for step in reversed(self.steps):
            if step.target not in reached:
                continue
            if step.kind == "other":
                raise ValueError(
                    "`classifier` must be made of layers that LRP has a rule for (dense, convolution, pooling, normalisation, elementwise "
                    f"activation, sum, product, concatenation, reshaping, dropout). Received: {step.what} {step.name!r}"
                )
            reached.update(source for source, portion in zip(step.sources, step.portions or [1.0] * len(step.sources)) if portion)

    # computation

    def forward(self, x):
        """All tensors by number; the last entry (-1) is the logits."""
        values = {0: ops.cast(x, "float32")}
        for step in self.steps:
            values[step.target] = self._run(step, [values[source] for source in step.sources])
        values[-1] = values[self.output]
        return values

    def backward(self, values, signal, method):
        """What arrives at the input when `signal` starts at the logits."""
        signals = {self.output: signal}
        for step in reversed(self.steps):
            signal = signals.pop(step.target, None)
            if signal is None:
                continue
            inputs = [values[source] for source in step.sources]
            for source, part in zip(step.sources, self._pull(step, inputs, values[step.target], signal, method)):
                if part is not None:
                    signals[source] = signals[source] + part if source in signals else part
        return signals.get(0, ops.zeros_like(values[0]))

    def _run(self, step, inputs):
        if step.kind != "linear":
            return ops.cast(step.run(inputs), "float32")
        kernel, bias = step.weights()
        z = step.product(inputs[0], kernel)
        return z if bias is None else z + bias

    def _pull(self, step, inputs, output, signal, method):
        """The signals of a step's inputs, given that of its output; `None` for a gate."""
        if method != "lrp":
            if step.kind == "activation" and method in ("deconvolution", "guided"):
                signal = ops.relu(signal)
                if method == "deconvolution":
                    return [signal]
            return autodiff.vjp(partial(self._run, step), inputs, signal)[1]
        if step.kind == "linear":
            return [propagate(step.product, step.weights(), inputs[0], output, signal, step.rule, step.positive)]
        if step.kind == "activation":
            return [signal]
        if step.kind == "move":
            return autodiff.vjp(partial(self._run, step), inputs, signal)[1]
        if step.kind == "product":
            # what of the output belongs to which place of each factor, the same as in a sum of them
            parts = autodiff.vjp(step.stand_in, inputs, signal)[1]
            return [portion * part if portion else None for portion, part in zip(step.portions, parts)]
        # in proportion to slope times input; activations are bounded multiples of what they hand on, so no epsilon is needed
        slopes = autodiff.vjp(step.stand_in or partial(self._run, step), inputs, divide(signal, output))[1]
        return [x * slope for x, slope in zip(inputs, slopes)]


# --- layers as functions ---


def _kind(layer, node):
    """Kind of the step that a layer or operation is, and its name in messages."""
    what = type(layer).__name__
    if getattr(layer, "data_format", None) == "channels_first":
        return "other", f"{what} with channels first"
    if not isinstance(layer, keras.Layer):
        return _operation_kind(layer, node), what
    if type(layer).__module__.startswith("keras.") and what in OF_APPLICATIONS:
        return OF_APPLICATIONS[what], what
    if isinstance(layer, LINEAR):
        return "linear", what
    if isinstance(layer, (layers.Softmax, *ACTIVATIONS)):
        return _activation_kind(layer)
    by_channel = isinstance(layer, (layers.BatchNormalization, layers.GroupNormalization))
    if by_channel and layer.axis not in (-1, len(node.input_tensors[0].shape) - 1):
        return "other", f"{what} of another axis than the last"
    smooth = getattr(layer, "interpolation", "nearest") != "nearest"
    kinds = {"product": layers.Multiply, "move": () if smooth else MOVES, "share": SHARES}
    return next((kind for kind, classes in kinds.items() if isinstance(layer, classes)), "share" if smooth else "other"), what


def _activation_kind(layer):
    what = activation_name(layer)
    if getattr(layer, "negative_slope", 0):
        what = "leaky"
    elif getattr(layer, "max_value", None) is not None:
        what = "relu6"
    return "other" if what in NOT_ELEMENTWISE else "activation", what


def _operation_kind(operation, node):
    kind, tensors = OPERATIONS.get(type(operation).__name__, "other"), node.input_tensors
    if kind == "product" and len(tensors) == 1:
        return "share"
    if kind == "quotient":
        # linear in what is divided, not in what divides
        return "share" if len(tensors) == 1 and node.arguments.args[0] is tensors[0] else "other"
    return kind


def _call(layer, node, inputs):
    """A layer or operation on other tensors than those it was drawn with."""
    # by place: one tensor may stand at several
    places = iter(inputs)
    arguments, options = node.arguments.convert(lambda part: next(places) if isinstance(part, keras.KerasTensor) else part)
    if isinstance(layer, keras.Layer) and layer._call_has_training_arg:
        options["training"] = False
    return layer(*arguments, **options)


def _product(layer):
    """The map (x, kernel) -> z of a layer, and the group of rules that it belongs to."""
    if isinstance(layer, layers.Dense):
        return ops.matmul, "dense"
    if isinstance(layer, layers.EinsumDense):
        return partial(_einsum, layer.equation), "dense"
    if isinstance(layer, TRANSPOSED):
        return partial(_convolve_transposed, layer), "convolution"
    function = ops.depthwise_conv if isinstance(layer, DEPTHWISE) else ops.conv
    return partial(_convolve, function, layer), "convolution"


def _weights(layer, name, has_bias=True):
    """Kernel and bias (or `None`) in float32, read anew at each call."""
    bias = getattr(layer, "bias", None) if has_bias else None
    return ops.cast(getattr(layer, name), "float32"), None if bias is None else ops.cast(bias, "float32")


def _einsum(equation, x, kernel):
    return ops.einsum(equation, x, kernel)


def _convolve(function, layer, x, kernel):
    padding = layer.padding
    if padding == "causal":
        x, padding = ops.pad(x, [[0, 0], [layer.dilation_rate[0] * (layer.kernel_size[0] - 1), 0], [0, 0]]), "valid"
    return function(x, kernel, strides=layer.strides, padding=padding, dilation_rate=layer.dilation_rate)


def _convolve_transposed(layer, x, kernel):
    return ops.conv_transpose(
        x, kernel, list(layer.strides), padding=layer.padding, output_padding=layer.output_padding, dilation_rate=layer.dilation_rate
    )


def _sum(expands, inputs):
    """The sum of the factors of a product, broadcast as they are; `expands`: layers add axes behind the batch, operations before it."""
    rank = max(len(v.shape) for v in inputs)
    total = 0.0
    for v in inputs:
        total = total + (ops.expand_dims(v, tuple(range(1, 1 + rank - len(v.shape)))) if expands and len(v.shape) < rank else v)
    return total


def _standardise(layer, inputs):
    """A normalisation of each sample by itself whose spread is a constant."""
    x, axes = inputs[0], layer.axis
    groups = isinstance(layer, layers.GroupNormalization)
    if groups:
        x = ops.reshape(x, (*ops.shape(x)[:-1], layer.groups, x.shape[-1] // layer.groups))
        axes = [*range(1, len(x.shape) - 2), len(x.shape) - 1]
    by_size = isinstance(layer, layers.RMSNormalization)
    centred = x if by_size else x - ops.mean(x, axis=axes, keepdims=True)
    epsilon = keras.config.epsilon() if layer.epsilon is None else layer.epsilon
    spread = ops.stop_gradient(ops.mean(ops.square(centred), axis=axes, keepdims=True))
    x = (x if getattr(layer, "rms_scaling", False) else centred) * ops.rsqrt(spread + epsilon)
    x = ops.reshape(x, ops.shape(inputs[0])) if groups else x
    # weights lie along the normalised axes, or along the channels of groups
    rank = len(x.shape)
    weighed = [rank - 1] if groups else [axis % rank for axis in axes]
    shape = [n if i in weighed else 1 for i, n in enumerate(x.shape)]
    scale, shift = layer.scale if by_size else getattr(layer, "gamma", None), getattr(layer, "beta", None)
    x = x if scale is None else x * ops.reshape(ops.cast(scale, "float32"), shape)
    return x if shift is None else x + ops.reshape(ops.cast(shift, "float32"), shape)


def _affine(normalisation):
    """Scale and shift of a batch normalisation after training."""
    mean, variance = (ops.cast(v, "float32") for v in (normalisation.moving_mean, normalisation.moving_variance))
    scale = ops.rsqrt(variance + normalisation.epsilon)
    if normalisation.scale:
        scale = scale * ops.cast(normalisation.gamma, "float32")
    shift = -mean * scale
    return scale, shift + ops.cast(normalisation.beta, "float32") if normalisation.center else shift


def _normalise(normalisation, inputs):
    scale, shift = _affine(normalisation)
    return inputs[0] * scale + shift


def _scaled(weights, normalisation, depthwise):
    """Kernel and bias of a linear layer followed by a batch normalisation."""
    (kernel, bias), (scale, shift) = weights(), _affine(normalisation)
    bias = shift if bias is None else bias * scale + shift
    return kernel * (ops.reshape(scale, kernel.shape[-2:]) if depthwise else scale), bias


def activation_name(layer):
    """Name of the activation that a layer ends with or is: `"linear"` for none, the class of an operation."""
    if not hasattr(layer, "activation"):
        name = type(layer).__name__
        return name.lower() if isinstance(layer, keras.Layer) else name
    # tf.nn.softmax is called softmax_v2
    return getattr(layer.activation, "__name__", "linear").removesuffix("_v2")


def linear_part(layer):
    """A dense layer or convolution without its activation, as a function of float32 tensors; `None` for other layers."""
    if not isinstance(layer, LINEAR) or isinstance(layer, SEPARABLE):
        return None
    product = _product(layer)[0]

    def run(x):
        kernel, bias = _weights(layer, "kernel")
        return product(x, kernel) if bias is None else product(x, kernel) + bias

    return run


def is_graph(model):
    """Whether `model` is a functional or built Sequential model."""
    return isinstance(model, keras.Model) and hasattr(model, "inputs") and hasattr(model, "outputs") and bool(model.outputs)
