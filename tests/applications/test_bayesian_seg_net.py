"""What is special to Bayesian SegNet: the authors' layers, placements of dropout, moments over masks."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff, datasets
from zoo.applications import BayesianSegNet
from zoo.losses import ClassWeightedCrossentropy

RNG = np.random.default_rng(0)


def small(**arguments):
    keras.utils.set_random_seed(0)
    return BayesianSegNet(**{"num_classes": 3, "architecture": "basic", "filters": 4, "kernel_size": 3, **arguments})


@pytest.fixture(scope="module")
def model():
    return small()


def convolutions(network):
    return [(x.kernel.shape[2], x.filters) for x in network.layers if isinstance(x, keras.layers.Conv2D)]


def names(network, word):
    return [layer.name for layer in network.layers if word in layer.name]


def test_vgg16_is_the_authors_network():
    """Channels as in the published training file; parameters of 26 convolutions and their normalisation."""
    network = BayesianSegNet().network
    encoder = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 2, (256, 512), *[(512, 512)] * 5]
    decoder = [*[(512, 512)] * 5, (512, 256), *[(256, 256)] * 2, (256, 128), (128, 128), (128, 64), (64, 64), (64, 11)]
    assert convolutions(network) == encoder + decoder
    layers = encoder + decoder[:-1]
    assert network.count_params() == sum(9 * i * o + 4 * o for i, o in layers) + 9 * 64 * 11 + 11
    assert names(network, "dropout") == [
        f"{path}{level}_dropout" for path, level in zip(["encoder"] * 3 + ["decoder"] * 3, [2, 3, 4, 4, 3, 2])
    ]
    assert len(names(network, "unpool")) == 5 and len(names(network, "relu")) == 25


def test_basic_is_the_authors_network():
    network = BayesianSegNet(architecture="basic").network
    assert convolutions(network) == [(3, 64)] + [(64, 64)] * 7 + [(64, 11)]
    assert {x.kernel_size for x in network.layers if isinstance(x, keras.layers.Conv2D)} == {(7, 7), (1, 1)}
    assert names(network, "dropout") == ["encoder2_dropout", "encoder3_dropout", "decoder3_dropout", "decoder2_dropout"]
    assert names(network, "relu") == [f"encoder{i}_conv0_relu" for i in range(4)]


@pytest.mark.parametrize("seed", range(2))
def test_the_default_optimizer_learns_from_random_weights(seed):
    """Better than a coin after 32 steps; at 0.001, the rate for an encoder from ImageNet, the loss is still above 0.78."""
    images, instances = datasets.touching_cells(32, 32, seed=0)
    keras.utils.set_random_seed(seed)
    history = BayesianSegNet(2, 1, filters=4).fit(images, (instances > 0).astype("int32"), batch_size=4, epochs=4, verbose=0).history
    assert history["loss"][-1] < np.log(2)


def test_placements():
    expected = {
        "encoder": ["encoder0", "encoder1", "encoder2", "encoder3"],
        "decoder": ["decoder3", "decoder2", "decoder1", "decoder0"],
        "center": ["encoder3"],
        "classifier": ["decoder0"],
        "none": [],
    }
    expected["encoder_decoder"] = expected["encoder"] + expected["decoder"]
    for placement, units in expected.items():
        found = small(placement=placement)
        assert names(found.network, "dropout") == [f"{unit}_dropout" for unit in units]
        assert ("uncertainty" in found.signatures()) == bool(units)
    with pytest.raises(ValueError, match="dropout"):
        small(placement="none").predict_with_uncertainty(np.zeros((1, 8, 8, 3)))


def test_moments_equal_a_loop_of_single_passes(model):
    """The same images in the same batches from the same seeds: one call of six samples, and six calls of one."""
    x = RNG.uniform(size=(5, 13, 18, 3)).astype("float32")
    seeds = [v for v in model.non_trainable_variables if "seed" in v.path]
    start = [ops.convert_to_numpy(v) for v in seeds]
    single = []
    for _ in range(6):
        mean, variance = model.predict_with_uncertainty(x, samples=1, batch_size=5)
        assert not variance.any()
        single.append(mean)
    for state, value in zip(seeds, start):
        state.assign(value)
    mean, variance = model.predict_with_uncertainty(x, samples=6, batch_size=5)
    assert mean.shape == variance.shape == (5, 13, 18, 3)
    np.testing.assert_allclose(mean, np.mean(single, 0), atol=1e-5)
    np.testing.assert_allclose(variance, np.var(single, 0), atol=1e-5)
    assert variance.max() > 1e-4


def test_prediction_is_untouched_by_sampling(model):
    x = RNG.uniform(size=(3, 16, 16, 3)).astype("float32")
    before, weights = model.predict(x, verbose=0), model.get_weights()
    many, _ = model.predict_with_uncertainty(x, samples=3, batch_size=2)
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)
    for a, b, v in zip(weights, model.get_weights(), model.weights):
        assert (a == b).all(), v.path
    assert many.shape == before.shape


def test_served_uncertainty_can_be_repeated(model):
    x = ops.convert_to_tensor(RNG.uniform(size=(2, 11, 9, 3)).astype("float32"))
    function = autodiff.compiled(model.signatures()["uncertainty"][0], model)
    first, second = function(x), function(x)
    assert set(first) == {"mean", "variance", "labels", "uncertainty"}
    for name in first:
        np.testing.assert_array_equal(ops.convert_to_numpy(first[name]), ops.convert_to_numpy(second[name]))
    variance = ops.convert_to_numpy(first["variance"])
    np.testing.assert_allclose(ops.convert_to_numpy(first["uncertainty"]), variance.mean(-1), rtol=1e-5)


def test_class_weights_reach_the_loss():
    weights = [1.0, 5.0, 0.5]
    model = small(class_weights=weights, ignore_class=11, placement="center")
    assert isinstance(model.loss, ClassWeightedCrossentropy)
    x, y = RNG.uniform(size=(2, 8, 8, 3)).astype("float32"), RNG.choice([0, 1, 2, 11], (2, 8, 8))
    p = model.predict(x, verbose=0)
    kept = y != 11
    expected = -np.log(np.take_along_axis(p[kept], y[kept][:, None], 1)[:, 0]) * np.array(weights)[y[kept]]
    loss, accuracy, _ = model.evaluate(x, y, verbose=0)
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-4)
    np.testing.assert_allclose(accuracy, (p.argmax(-1) == y)[kept].mean(), rtol=1e-5)


def test_refusals(model):
    for arguments, name in (
        ({"architecture": "resnet"}, "architecture"),
        ({"placement": "everywhere"}, "placement"),
        ({"class_weights": [1.0]}, "class_weights"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            small(**arguments)
    x = np.zeros((1, 8, 8, 3))
    for arguments, name in (({"samples": 0}, "samples"), ({"batch_size": 0}, "batch_size")):
        with pytest.raises(ValueError, match=name):
            model.predict_with_uncertainty(x, **arguments)
    with pytest.raises(ValueError, match="image"):
        model.predict_with_uncertainty(x[0])
    with pytest.raises(ValueError, match="`mask` must have the size"):
        model.fit(x, np.zeros((1, 4, 4), int), verbose=0)
