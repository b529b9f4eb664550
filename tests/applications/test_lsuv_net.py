"""What is special to LSUVNet: the paper's networks, and when LSUV runs."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo.applications import LSUVNet

RNG = np.random.default_rng(0)
X, Y = (4 + 3 * RNG.normal(size=(40, 8, 7, 2))).astype("float32"), RNG.integers(0, 3, 40)


def small(**arguments):
    keras.utils.set_random_seed(0)
    return LSUVNet(**{**LSUVNet.example_config(), **arguments})


def output_variances(model, batch):
    found = [layer for layer in model.network.layers if hasattr(layer, "kernel")]
    return np.array([ops.convert_to_numpy(keras.Model(model.network.input, layer.output)(batch)).var() for layer in found])


def test_the_papers_fitnet_4():
    """As in the authors' files: 17 maxout convolutions of two pieces, 500 maxout units of five, global pooling."""
    model = LSUVNet()
    widths = [3, 32, 32, 32, 48, 48, *[80] * 6, *[128] * 6]
    expected = sum(2 * (9 * i * o + o) for i, o in zip(widths, widths[1:])) + 5 * (128 * 500 + 500) + 500 * 10 + 10
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == expected
    kinds = [type(layer).__name__ for layer in model.network.layers]
    assert [kinds.count(k) for k in ("Conv2D", "Maximum", "MaxPooling2D", "GlobalMaxPooling2D", "Dropout")] == [34, 18, 2, 1, 5]
    assert model.optimizer.momentum == 0.9
    schedule = model.optimizer._learning_rate
    np.testing.assert_allclose([schedule(s) for s in (0, 50_000, 70_000, 90_000)], [1e-2, 1e-3, 1e-4, 1e-5], rtol=1e-6)


def test_the_other_fitnets():
    """Romero et al. give about 250 thousand parameters for FitNet-1, whose 500 hidden units have two pieces."""
    convolutions = LSUVNet(blocks="fitnet1", head_units=0).count_params() - (64 * 10 + 10) - 1
    assert abs(convolutions + 2 * (64 * 500 + 500) + 5010 - 250_000) < 2_000
    widths = [1, 16, 16, 16, 16, 12, 12]
    expected = sum(2 * (9 * i * o + o) for i, o in zip(widths, widths[1:])) + 130
    assert LSUVNet((28, 28, 1), blocks="fitnet_mnist", head_units=0).count_params() - 1 == expected


@pytest.mark.parametrize("activation", ["maxout", "relu", "very_leaky_relu", "prelu", "tanh", "sigmoid", "elu"])
def test_every_activation_gets_unit_variance(activation):
    model = small(activation=activation)
    assert np.abs(output_variances(model, X) - 1).max() > 0.2
    report = model.initialize(X, verbose=0)
    pieces = (2, 5) if activation == "maxout" else (1, 1)
    assert len(report) == 3 * pieces[0] + pieces[1] + 1
    # tanh of huge inputs is not involved: the variance is that of the convolution
    assert np.abs(output_variances(model, X) - 1).max() < 0.1


def test_maxout_is_the_maximum_of_its_pieces():
    model = small(activation="maxout")
    names = ["block0_conv0a", "block0_conv0b", "block0_conv0_max"]
    a, b, found = keras.Model(model.network.input, [model.network.get_layer(n).output for n in names])(X)
    np.testing.assert_array_equal(np.maximum(ops.convert_to_numpy(a), ops.convert_to_numpy(b)), ops.convert_to_numpy(found))


@pytest.mark.parametrize("init, gain", [("glorot", 1.0), ("he", 2.0)])
def test_baseline_initialisations(init, gain):
    model = small(init=init, activation="relu", blocks=[[64], [64]])
    kernel = ops.convert_to_numpy(model.network.get_layer("block1_conv0").kernel)
    np.testing.assert_allclose(kernel.var(), gain / (9 * 64), rtol=0.05)
    model.fit(X, Y, verbose=0)
    assert int(model.initialized) == 0


def test_orthonormal_start():
    kernel = ops.convert_to_numpy(small(init="orthonormal").network.get_layer("block1_conv0").kernel).reshape(-1, 5)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(5), atol=1e-5)


def test_fit_initialises_once(tmp_path):
    model = small()
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    model.fit(X, Y, verbose=0)
    assert int(model.initialized) == 1 and np.abs(output_variances(model, X) - 1).max() < 0.3
    weights = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    model.save(tmp_path / "model.keras")
    for trained in (model, keras.saving.load_model(tmp_path / "model.keras")):
        trained.compile(optimizer=keras.optimizers.SGD(0.0))
        trained.fit(10 * X, Y, verbose=0)
        for before, after in zip(weights, trained.trainable_variables):
            np.testing.assert_array_equal(before, ops.convert_to_numpy(after))


def test_refusals():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return X, Y

    model = small()
    with pytest.raises(ValueError, match=r"call `initialize\(batch\)` first"):
        model.fit(Batches(), verbose=0)
    model.initialize(X, verbose=0)
    model.fit(Batches(), verbose=0)
    with pytest.raises(ValueError, match="`image`"):
        model.initialize(X[:, :5])
    for bad in ({"activation": "swish"}, {"init": "zeros"}, {"blocks": "fitnet9"}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}` must be one of"):
            small(**bad)


def test_pools_end_blocks():
    assert [type(small().network.get_layer(f"block{i}_pool")) for i in (0, 1)] == [layers.MaxPooling2D, layers.GlobalMaxPooling2D]
