"""What is special to ELUNet: the paper's networks and schedules, the activations, the autoencoder, the statistics of activations."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo import datasets, plots
from zoo.applications import ELUNet
from zoo.callbacks import ActivationStatistics

RNG = np.random.default_rng(0)
SMALL = {"width": 0.0625, "input_shape": (6, 5, 2), "num_classes": 3}
X, Y = RNG.uniform(size=(40, 6, 5, 2)).astype("float32"), RNG.integers(0, 3, 40)


def small(**arguments):
    keras.utils.set_random_seed(0)
    return ELUNet(**{**SMALL, **arguments})


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def test_mnist_network():
    """Section 4.1: eight hidden layers of 128 units, He's initialisation, SGD at 0.01."""
    model = ELUNet()
    assert model.count_params() == 784 * 128 + 128 + 7 * (128 * 128 + 128) + 1290
    assert sum(isinstance(layer, layers.ELU) for layer in model.network.layers) == 8
    np.testing.assert_allclose(numpy(model.network.get_layer("hidden3_net").kernel).var(), 2 / 128, rtol=0.05)
    assert float(ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(0.01) and model.optimizer.momentum == 0


def test_autoencoder_network():
    widths = [784, 1000, 500, 250, 30, 250, 500, 1000, 784]
    assert ELUNet("autoencoder").count_params() == sum(i * o + o for i, o in zip(widths, widths[1:]))


@pytest.mark.parametrize(
    "architecture, stacks",
    [
        ("cifar11", "192x5 | 192x1 240x3 | 240x1 260x2 | 260x1 280x2 | 280x1 300x2 | 300x1 | 100x1"),
        (
            "cifar18",
            "384x3 | 384x1 384x2 640x2 640x2 | 640x1 768x2 768x2 768x2 | 768x1 896x2 896x2 | 896x3 1024x2 1024x2 | 1024x1 1152x2 "
            "| 1152x1 | 100x1",
        ),
    ],
)
def test_cifar_networks(architecture, stacks):
    """Sections 4.2 and 4.3, units x receptive field; a 2 x 2 pooling after each stack brings 32 pixels to 1."""
    model = ELUNet(architecture, width=0.1, num_classes=100)
    found, rows = [], [[]]
    for layer in model.network.layers:
        if isinstance(layer, layers.Conv2D):
            rows[-1].append((layer.filters, layer.kernel_size[0]))
            np.testing.assert_allclose(layer.kernel_regularizer.l2, 0.5 * 5e-4)
        found += [layer.output.shape[1:3]] if isinstance(layer, layers.MaxPooling2D) else []
        rows += [[]] if isinstance(layer, layers.MaxPooling2D) else []
    expected = [[tuple(map(int, layer.split("x"))) for layer in stack.split()] for stack in stacks.split("|")]
    expected = [[(max(1, round(0.1 * n)) if n != 100 else n, k) for n, k in stack] for stack in expected]
    assert rows == [*expected[:5], expected[5] + [layer for stack in expected[6:] for layer in stack]]
    assert found == [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]
    rates = [layer.rate for layer in model.network.layers if isinstance(layer, layers.Dropout)]
    assert rates == [0.1, 0.2, 0.3, 0.4, 0.5] + [0.5] * (architecture == "cifar18")
    schedule = model.optimizer._learning_rate
    steps = (0, 40_000, 90_000, 140_000)
    expected = [1e-2, 5e-3, 5e-4, 5e-5] if architecture == "cifar11" else [1e-2, 1e-3, 1e-3, 1e-3]
    np.testing.assert_allclose([schedule(s) for s in steps], expected, rtol=1e-5)
    assert model.optimizer.momentum == 0.9


@pytest.mark.parametrize("seed", range(3))
def test_the_cifar_network_trains_from_the_start(seed):
    """With He's initialisation, the paper's, the first losses are above 5, and then no number or no gradient is left."""
    keras.utils.set_random_seed(seed)
    model = ELUNet("cifar11", width=0.25)
    # as smooth as photographs, standardised
    x = np.random.default_rng(seed).normal(size=(96, 4, 4, 3)).astype("float32").repeat(8, 1).repeat(8, 2)
    losses = Losses()
    model.fit(x, np.arange(96) % 10, batch_size=16, epochs=2, callbacks=[losses], verbose=0)
    assert np.max(losses.values) < 4 and np.all(np.isfinite(losses.values))


class Losses(keras.callbacks.Callback):
    """The running mean of the loss after each batch."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(logs["loss"])


@pytest.mark.parametrize("arguments, variance", [({}, 1), ({"initializer": "he_normal"}, 2), ({"activation": "relu"}, 2)])
def test_initializer(arguments, variance):
    """LeCun's for ELUs, else He's: the mean of the squares times the inputs of a unit."""
    for architecture, layer in (("cifar11", "stack3_conv1"), ("autoencoder", "decoder1_net")):
        kernel = numpy(ELUNet(architecture, width=0.5, **arguments).network.get_layer(layer).kernel)
        np.testing.assert_allclose(kernel.var() * np.prod(kernel.shape[:-1]), variance, rtol=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_the_autoencoder_trains_from_the_start(seed):
    """From He's initialisation all pixels become 0 or 1, and the error stays at 95 or more."""
    (x, _), _ = datasets.mnist_5k()
    keras.utils.set_random_seed(seed)
    error = ELUNet("autoencoder").fit(x[:1280], batch_size=64, epochs=3, verbose=0).history["loss"][-1]
    assert error < np.sum((x - x.mean(0)) ** 2, axis=(1, 2, 3)).mean()


@pytest.mark.parametrize(
    "activation, alpha, function",
    [
        ("relu", None, lambda x: np.maximum(x, 0)),
        ("elu", None, lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)),
        ("elu", 0.5, lambda x: np.where(x > 0, x, 0.5 * (np.exp(np.minimum(x, 0)) - 1))),
        ("leaky_relu", None, lambda x: np.where(x > 0, x, 0.1 * x)),
        ("prelu", None, lambda x: np.where(x > 0, x, 0.25 * x)),
        ("prelu", 0.4, lambda x: np.where(x > 0, x, 0.4 * x)),
    ],
)
@pytest.mark.parametrize("architecture", ["mnist", "cifar11"])
def test_activations(architecture, activation, alpha, function):
    model = small(architecture=architecture, activation=activation, alpha=alpha)
    names = ("hidden1_net", "hidden1") if architecture == "mnist" else ("stack1_conv1", "stack1_unit1")
    before, after = keras.Model(model.network.input, [model.network.get_layer(name).output for name in names])(X)
    np.testing.assert_allclose(numpy(after), function(numpy(before)), rtol=1e-5, atol=1e-6)
    if activation == "prelu" and architecture == "cifar11":
        assert model.network.get_layer("stack1_unit1").alpha.shape == (1, 1, before.shape[-1])


def test_convolutional_networks_learn_with_decay():
    model = small(architecture="cifar18")
    history = model.fit(X, Y, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"])) and model(X[:2]).shape == (2, 3)
    decay = 0.5 * 5e-4 * sum(float((numpy(v) ** 2).sum()) for v in model.trainable_variables if v.name == "kernel")
    error = numpy(keras.losses.sparse_categorical_crossentropy(Y, model(X))).mean()
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0, return_dict=True)["loss"], error + decay, rtol=1e-4)


def test_autoencoder_learns_without_targets():
    model = small(architecture="autoencoder")
    expected = ((numpy(model(X)) - X) ** 2).sum((1, 2, 3))
    np.testing.assert_allclose(model.evaluate(X, verbose=0), expected.mean(), rtol=1e-5)
    losses = model.fit(X, epochs=5, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    codes = model.encode(X)
    code = keras.Model(model.network.input, model.network.get_layer("code").output)
    assert codes.shape == (40, 2)
    np.testing.assert_allclose(codes, numpy(code(X)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(numpy(model.signatures()["encode"][0](X)["code"]), codes, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="`image` must be at most 1"):
        model.fit(2 + X, verbose=0)
    with pytest.raises(ValueError, match="`architecture` must be 'autoencoder'"):
        small().encode(X)


def test_autoencoder_obeys_the_contract():
    from zoo import testing

    class Autoencoder(ELUNet):
        """arXiv 1511.07289. architecture: activation: alpha: width: input_shape: num_classes:"""

        @classmethod
        def example_config(cls):
            return {**SMALL, "architecture": "autoencoder", "alpha": 0.9}

    checks = dict(testing.checks(Autoencoder))
    for name in ("config", "construction", "fit", "compile", "export", "mixed_precision", "bad_input"):
        checks[name]()


def test_sample_weight_scales_the_error():
    model, weights = small(), RNG.uniform(size=40).astype("float32")
    errors = numpy(keras.losses.sparse_categorical_crossentropy(Y, model(X)))
    found = model.evaluate(X, Y, sample_weight=weights, batch_size=40, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(found, (errors * weights).mean(), rtol=1e-5)


@pytest.mark.parametrize("architecture", ["mnist", "cifar11"])
def test_statistics_of_activations(architecture):
    """Against the outputs of sub-models before and after one epoch."""
    model = small(architecture=architecture)
    names = [layer.name for layer in model.network.layers if isinstance(layer, layers.ELU)]
    outputs = keras.Model(model.network.input, [model.network.get_layer(name).output for name in names])

    def means():
        return [numpy(y).reshape(-1, y.shape[-1]).mean(0) for y in outputs(X[:16])]

    before = means()
    history = model.fit(X, Y, verbose=0, callbacks=[ActivationStatistics(X[:16])]).history
    after = means()
    for name, a, b in zip(names, before, after):
        np.testing.assert_allclose(history[f"{name}_mean_activation"][0], np.median(b), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(history[f"{name}_bias_shift"][0], np.median(np.abs(b - a)), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(history["mean_activation"][0], np.median(np.concatenate(after)), rtol=1e-4, atol=1e-6)
    shift = np.abs(np.concatenate(after) - np.concatenate(before))
    np.testing.assert_allclose(history["bias_shift"][0], np.median(shift), rtol=1e-3, atol=1e-6)
    assert len(plots.mean_activations({"ELU": history}).axes) == 2


def test_statistics_of_any_functional_model():
    model = keras.Sequential([keras.Input((30,)), layers.Dense(4, "tanh", name="a"), layers.Dense(3, name="b"), layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    flat = X.reshape(40, -1)[:, :30]
    history = model.fit(flat, Y, verbose=0, callbacks=[ActivationStatistics(flat)]).history
    assert {key.split("_")[0] for key in history} == {"loss", "a", "mean", "bias"}
    chosen = model.fit(flat, Y, verbose=0, callbacks=[ActivationStatistics(flat, layers=["b"])]).history
    assert "b_bias_shift" in chosen and "a_bias_shift" not in chosen
    with pytest.raises(ValueError, match="`layers` must be names"):
        model.fit(flat, Y, verbose=0, callbacks=[ActivationStatistics(flat, layers=["c"])])


def test_refusals():
    for bad in ({"architecture": "vgg"}, {"activation": "swish"}, {"alpha": -1.0}, {"width": 0.0}, {"num_classes": 1}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            small(**bad)
