"""What is special to ReNet: the paper's networks, and the options of each layer."""

import keras
import numpy as np
import pytest

from zoo.applications import ReNet


def sweeps(channels, units):
    """Parameters of four GRUs on patches of 2 x 2."""
    one = lambda inputs: 3 * (inputs * units + units * units + 2 * units)  # noqa: E731
    return 2 * one(4 * channels) + 2 * one(2 * units)


@pytest.mark.parametrize("architecture", ["mnist", "cifar10", "svhn"])
def test_the_papers_networks(architecture):
    """Table 1, counted; the fully connected layers are made smaller here, the defaults are 4096."""
    units, dense, channels, places = {
        "mnist": ([256, 256], 2, 1, 49),
        "cifar10": ([320] * 3, 1, 3, 16),
        "svhn": ([256] * 3, 2, 3, 16),
    }[architecture]
    model = ReNet(architecture, dense_units=[6] * dense)
    features = [channels, *(2 * n for n in units)]
    expected = sum(sweeps(c, n) for c, n in zip(features, units)) + places * features[-1] * 6 + 6
    assert model.count_params() == expected + (dense - 1) * (6 * 6 + 6) + 6 * 10 + 10
    assert model._chosen("flip") == (architecture == "cifar10")
    model.dense_units = None
    assert list(model._chosen("dense_units")) == [4096] * dense
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    rates = [layer.rate for layer in model.network.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.2] + [0.5] * (len(units) + dense)


def test_options():
    model = ReNet(units=[3, 2, 2], patch_size=[(4, 28), 1, [7, 1]], dense_units=[], cell="rnn", shift=0)
    shapes = [model.network.get_layer(f"sweep{i}").output.shape[1:] for i in range(3)]
    assert shapes == [(7, 1, 6), (7, 1, 4), (1, 1, 4)]
    x = np.random.default_rng(0).uniform(size=(3, 28, 28, 1)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0).sum(-1), 1, rtol=1e-5)
    assert ReNet(units=[2, 2], dense_units=[2], input_shape=(30, 29, 1), padding="same").network.get_layer("sweep1").output.shape[1:3] == (
        8,
        8,
    )
    for arguments, name in (
        ({"architecture": "stl"}, "architecture"),
        ({"cell": "mlp"}, "cell"),
        ({"num_classes": 1}, "num_classes"),
        ({"patch_size": [2]}, "patch_size"),
        ({"units": []}, "units"),
        ({"input_shape": (30, 28, 1)}, "`image` must have sides"),
    ):
        with pytest.raises(ValueError, match=name):
            ReNet(**{"units": [2, 2], "dense_units": [2], **arguments})
