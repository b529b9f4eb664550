"""LSUV on every kind of model: closed forms, a second implementation in NumPy, and what must stay as it is."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo import plots
from zoo.initializers import lsuv

RNG = np.random.default_rng(0)
QUIET = {"verbose": 0}


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def functional(function, shape):
    keras.utils.set_random_seed(0)
    image = keras.Input(shape)
    return keras.Model(image, function(image))


def variances(model, batch):
    """Output variance of each layer with a kernel, from Keras's own sub-models; fused activations must be absent."""
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    return [numpy(keras.Model(model.input, layer.output)(batch)).var() for layer in kernels]


def test_linear_layer_in_closed_form():
    """With white inputs and W^T W = I, the output of X W has variance 1 already; with X a, the kernel is divided by a."""
    x = np.linalg.qr(RNG.normal(size=(64, 8)))[0].astype("float32") * 8  # columns orthogonal, mean square 1
    x -= x.mean()
    for scale in (1.0, 50.0, 1e-3):
        model = functional(layers.Dense(8, use_bias=False), (8,))
        (record,) = lsuv(model, scale * x, tolerance=1e-4, **QUIET)
        kernel = numpy(model.layers[1].kernel)
        std = (scale * x @ (kernel / np.linalg.norm(kernel[0]))).std()
        np.testing.assert_allclose(kernel @ kernel.T, np.eye(8) / std**2, rtol=1e-4, atol=1e-4 / std**2)
        np.testing.assert_allclose(record.variance_before, std**2, rtol=1e-4)
        assert record.converged and record.iterations <= 1 and abs(record.variance_after - 1) < 1e-4


def test_against_numpy_on_an_mlp():
    """From given weights, with biases that make several divisions necessary."""
    widths, x = [10, 12, 9, 7], RNG.normal(size=(50, 10)).astype("float32")
    model = keras.Sequential([keras.Input((10,)), *(layers.Dense(n, activation="tanh") for n in widths[1:])])
    for layer in model.layers:
        layer.kernel.assign(RNG.normal(size=layer.kernel.shape, scale=3))
        layer.bias.assign(RNG.normal(size=layer.bias.shape, scale=0.5))
    expected, h = [], x.astype("float64")
    for layer in model.layers:
        w, b, n = numpy(layer.kernel).astype("float64"), numpy(layer.bias), 0
        while abs((h @ w + b).var() - 1) >= 0.01 and n < 10:
            w, n = w / (h @ w + b).std(), n + 1
        expected.append((w, n, (h @ w + b).var()))
        h = np.tanh(h @ w + b)
    report = lsuv(model, x, tolerance=0.01, orthonormal=False, **QUIET)
    for layer, record, (w, n, variance) in zip(model.layers, report, expected):
        np.testing.assert_allclose(numpy(layer.kernel), w, rtol=1e-4, atol=1e-5)
        assert record.iterations == n > 1
        np.testing.assert_allclose(record.variance_after, variance, rtol=1e-4)


def test_deep_convolutions_reach_unit_variance_and_stay():
    def network(x):
        for i in range(12):
            x = layers.ReLU()(layers.Conv2D(6, 3, padding="same")(x))
            x = layers.MaxPooling2D()(layers.BatchNormalization()(x)) if i == 5 else x
        return layers.Dense(4)(layers.Flatten()(x))

    model = functional(network, (8, 8, 2))
    batch = (5 + 3 * RNG.normal(size=(32, 8, 8, 2))).astype("float32")
    assert variances(model, batch)[-1] < 0.1
    report = lsuv(model, batch, **QUIET)
    np.testing.assert_allclose(variances(model, batch), [r.variance_after for r in report], rtol=1e-4)
    assert len(report) == 13 and all(r.converged and abs(r.variance_after - 1) < 0.1 for r in report)
    weights = [numpy(v) for v in model.weights]
    again = lsuv(model, batch, orthonormal=False, **QUIET)
    assert [r.iterations for r in again] == [0] * 13
    for before, after in zip(weights, model.weights):
        np.testing.assert_array_equal(before, numpy(after))
    assert not any("call" in vars(layer) for layer in model.layers)
    assert plots.layer_variances({"LSUV": report}).axes[0].get_yscale() == "log"


@pytest.mark.parametrize(
    "layer, shape, matrix",
    [
        (layers.Dense(3), (9,), lambda k: k),
        (layers.Dense(9), (3,), lambda k: k),
        (layers.Conv2D(5, 3), (4, 4, 2), lambda k: k.reshape(18, 5)),
        (layers.Conv2DTranspose(5, 2), (4, 4, 3), lambda k: k.reshape(20, 3)),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (4, 4, 3), lambda k: k[:, :, 1].reshape(9, 2)),
        (layers.EinsumDense("abc,cde->abde", (None, 2, 3)), (5, 8), lambda k: k.reshape(8, 6)),
        (layers.EinsumDense("abde,dec->abc", (None, 4)), (5, 2, 3), lambda k: k.reshape(6, 4)),
        (layers.SimpleRNN(6), (5, 4), lambda k: k),
    ],
)
def test_orthonormality(layer, shape, matrix):
    """W W^T = I, or W^T W = I for a tall matrix, up to the one division."""
    model = functional(layer, shape)
    lsuv(model, RNG.normal(size=(16, *shape)).astype("float32"), max_iterations=0, **QUIET)
    w = matrix(numpy(getattr(layer, "cell", layer).kernel))
    w = w if w.shape[0] <= w.shape[1] else w.T
    np.testing.assert_allclose(w @ w.T, np.eye(len(w)), atol=1e-5)


def test_branches_and_shared_layers_in_order_of_execution():
    shared = layers.Dense(8, name="shared")

    def network(x):
        left = layers.Dense(8, name="left")(x)
        right = shared(ops.tanh(shared(x)))
        return layers.Dense(3, name="end")(layers.Concatenate()([left, right]))

    model, batch = functional(network, (8,)), RNG.normal(size=(64, 8)).astype("float32")
    names = [r.name for r in lsuv(model, batch, **QUIET)]
    assert sorted(names) == ["end", "left", "shared"] and names[-1] == "end"
    kernel, bias = numpy(shared.kernel), numpy(shared.bias)
    np.testing.assert_allclose((batch @ kernel + bias).var(), 1, atol=0.1)  # at its first use


class Block(keras.Model):
    """Subclassed, nested, with a layer in a list, one that runs before it is declared, and a weight without a name."""

    def __init__(self):
        super().__init__()
        self.late = layers.Dense(5, name="late")
        self.early = [layers.Dense(6, activation="relu", name="early")]
        self.inner = keras.Sequential([keras.Input((6,)), layers.Dense(7, name="inner")])
        self.own = Own(name="own")

    def call(self, x):
        return self.late(self.own(self.inner(self.early[0](x))))


class Own(keras.Layer):
    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 4))
        self.position = self.add_weight(shape=(1, 4), name="position")

    def call(self, x):
        return ops.matmul(x, self.w) + self.position


def test_subclassed_and_nested_models():
    keras.utils.set_random_seed(0)
    model, batch = Block(), RNG.normal(size=(32, 3)).astype("float32")
    with pytest.raises(ValueError, match="`model` must be built"):
        lsuv(Block(), batch)
    model(batch)
    position = numpy(model.own.position)
    report = lsuv(model, batch, **QUIET)
    assert [r.name.split("/")[-1] for r in report] == ["early", "inner", "own", "late"]
    assert all(r.converged for r in report)
    np.testing.assert_array_equal(numpy(model.own.position), position)
    outer = functional(lambda x: layers.Dense(2, name="outer")(model(x)), (3,))
    assert [r.name.split("/")[-1] for r in lsuv(outer, batch, **QUIET)] == ["early", "inner", "own", "late", "outer"]


def test_layers_with_several_kernels():
    """Attention projection by projection, separable, recurrent and time-distributed layers."""

    def network(x):
        x = layers.Embedding(11, 8)(x)
        x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
        x = layers.SeparableConv1D(6, 3, name="separable")(x)
        x = layers.Bidirectional(layers.LSTM(5, return_sequences=True, name="lstm"))(x)
        return layers.TimeDistributed(layers.Dense(3, activation="relu"), name="steps")(layers.GRU(4, return_sequences=True, name="gru")(x))

    model, batch = functional(network, (6,)), RNG.integers(0, 11, (32, 6))
    embeddings = numpy(model.layers[1].embeddings)
    report = lsuv(model, batch, **QUIET)
    names = ["query", "key", "value", "attention_output", "separable", "forward_lstm", "backward_lstm", "gru", "steps"]
    assert sorted(r.name.split("/")[-1] for r in report) == sorted(names)
    assert all(r.converged for r in report)
    np.testing.assert_array_equal(numpy(model.layers[1].embeddings), embeddings)
    gru = model.get_layer("gru")
    inputs = numpy(keras.Model(model.input, gru.input)(batch))
    np.testing.assert_allclose((inputs @ numpy(gru.cell.kernel)).var(), 1, atol=0.1)
    recurrent = numpy(gru.cell.recurrent_kernel)
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(4), atol=1e-5)
    before = numpy(keras.Model(model.input, model.get_layer("steps").input)(batch))
    np.testing.assert_allclose((before @ numpy(model.get_layer("steps").layer.kernel)).var(), 1, atol=0.1)


def test_dead_and_frozen_layers():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(5, name="frozen"), layers.ReLU(max_value=0.0), layers.Dense(3, name="dead")])
    model.get_layer("frozen").trainable = False
    frozen, batch = numpy(model.layers[0].kernel), RNG.normal(size=(8, 4)).astype("float32")
    (record,) = lsuv(model, batch, **QUIET)
    assert record.name.endswith("dead") and record.iterations == 0 and not record.converged and record.variance_after == 0
    kernel = numpy(model.get_layer("dead").kernel)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(3), atol=1e-5)
    np.testing.assert_array_equal(numpy(model.layers[0].kernel), frozen)


def test_tries_are_limited_and_measuring_changes_nothing():
    model, batch = functional(layers.Dense(4), (4,)), RNG.normal(size=(8, 4)).astype("float32")
    model.layers[1].bias.assign([0.0, 10.0, 0.0, 0.0])  # the bias alone has variance 19
    (record,) = lsuv(model, batch, max_iterations=3, **QUIET)
    assert record.iterations == 3 and not record.converged
    kernel = numpy(model.layers[1].kernel)
    (record,) = lsuv(model, batch, max_iterations=0, orthonormal=False, **QUIET)
    np.testing.assert_array_equal(numpy(model.layers[1].kernel), kernel)
    np.testing.assert_allclose(record.variance_after, numpy(model(batch)).var(), rtol=1e-5)
    with pytest.raises(ValueError, match="`tolerance`"):
        lsuv(model, batch, tolerance=0)


def test_cost_is_linear_in_depth():
    calls = []

    class Counted(layers.Dense):
        def call(self, x, training=None):
            calls.append(self.name)
            return super().call(x)

    for depth in (4, 8):
        model = keras.Sequential([keras.Input((6,)), *(Counted(6) for _ in range(depth))])
        calls.clear()
        lsuv(model, RNG.normal(size=(16, 6)).astype("float32"), **QUIET)
        assert len(calls) <= 3 * depth


def test_a_failure_in_the_pass_leaves_the_model_whole():
    model = functional(layers.Dense(4), (4,))
    with pytest.raises(Exception):  # noqa: B017
        lsuv(model, RNG.normal(size=(8, 5)).astype("float32"), **QUIET)
    assert "call" not in vars(model.layers[1])


def test_mixed_precision_keeps_full_precision_kernels():
    model = keras.Sequential([keras.Input((8,)), layers.Dense(8, dtype="mixed_float16")])
    lsuv(model, 3 * RNG.normal(size=(64, 8)).astype("float32"), **QUIET)
    kernel = numpy(model.layers[0].kernel)
    unit = kernel / np.linalg.norm(kernel[0])
    np.testing.assert_allclose(unit @ unit.T, np.eye(8), atol=1e-5)


def test_progress_bar(capsys):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])
    lsuv(model, RNG.normal(size=(8, 4)).astype("float32"), verbose=1)
    assert "2/2" in capsys.readouterr().out
