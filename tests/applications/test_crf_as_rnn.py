"""What is special to CRF as RNN: the network of the paper, sizes, void pixels, two stages, any network; its CRF has tests of its own."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import CRFasRNN
from zoo.applications.crf_as_rnn import UpsampleLike

RNG = np.random.default_rng(0)


def small(**arguments):
    keras.utils.set_random_seed(0)
    return CRFasRNN(**{**CRFasRNN.example_config(), "dropout": 0.0, **arguments})


@pytest.fixture(scope="module")
def model():
    return small()


def scenes(n, size=(10, 13)):
    return RNG.uniform(size=(n, *size, 3)).astype("float32"), RNG.integers(0, 4, (n, *size)).astype("int32")


def test_the_papers_network():
    """FCN-8s on VGG-16, with a narrow head for the memory of the test; the default normalises in place of the biases."""
    normalised = CRFasRNN(head=16).unary
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in normalised.layers) == 15
    model = CRFasRNN(head=16, batch_normalization=False)
    widths = [3, 64, 64, 128, 128, 256, 256, 256, *[512] * 6]
    expected = sum(9 * i * o + o for i, o in zip(widths, widths[1:]))
    assert expected == 14_714_688  # the convolutions of VGG-16
    expected += 49 * 512 * 16 + 16 + 16 * 16 + 16
    expected += sum((w + 1) * 21 for w in (16, 512, 256))  # scores of the head and of the fourth and third pooling
    assert model.unary.count_params() == expected and model.crf.count_params() == 21 + 21 + 21 * 21
    assert model.unary.get_layer("logits").factor == 8
    assert model.unary.compute_output_shape((1, 500, 375, 3)) == (1, 500, 375, 21)
    crf = model.crf
    assert (crf.theta_alpha, crf.theta_beta, crf.theta_gamma, crf.iterations, crf.inference_iterations) == (160, 3, 3, 5, 10)
    np.testing.assert_array_equal(ops.convert_to_numpy(crf.compatibility), 1 - np.eye(21))


@pytest.mark.parametrize("factor", [2, 8])
@pytest.mark.parametrize("size", [(1, 1), (3, 5)])
def test_upsampling_is_bilinear(factor, size):
    x = RNG.normal(size=(2, *size, 3)).astype("float32")
    like = np.zeros((2, size[0] * factor - 1, size[1] * factor, 1), "float32")
    expected = ops.convert_to_numpy(keras.layers.UpSampling2D(factor, interpolation="bilinear")(x))[:, :-1]
    np.testing.assert_allclose(ops.convert_to_numpy(UpsampleLike(factor)([x, like])), expected, atol=1e-5)


def test_segment_takes_any_size(model):
    for size in ((1, 1), (5, 9), (10, 13), (16, 4)):
        image = RNG.uniform(size=(*size, 3))
        found = model.segment(image)
        assert found.shape == (*size, 4) and found.dtype == "float32"
        np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
        logits = ops.convert_to_numpy(model(image[None].astype("float32")))[0]
        np.testing.assert_allclose(found, ops.convert_to_numpy(ops.softmax(logits)), atol=1e-5)
        served = model.signatures()["segment"][0](ops.convert_to_tensor(image[None].astype("float32")))
        np.testing.assert_array_equal(ops.convert_to_numpy(served["labels"])[0], found.argmax(-1))
    unary = ops.convert_to_numpy(ops.softmax(model.unary(image[None].astype("float32"))))[0]
    np.testing.assert_allclose(model.segment(image, crf=False), unary, atol=1e-5)
    assert np.abs(unary - found).max() > 1e-3


def test_void_pixels_and_weights():
    """Loss and mean IoU against NumPy; label 4 counts nowhere, weights of images count for all their pixels."""
    model = small()
    x, y = scenes(3)
    y[:, :3] = 4
    logits = model.predict(x, verbose=0)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nats, counted = -np.take_along_axis(log_p, np.minimum(y, 3)[..., None], -1)[..., 0], y != 4
    labels = logits.argmax(-1)
    overlaps = [np.sum((labels == c) & (y == c)) / np.sum(((labels == c) & counted) | (y == c)) for c in range(4)]
    loss, iou = model.evaluate(x, y, batch_size=3, verbose=0)
    np.testing.assert_allclose([loss, iou], [nats[counted].mean(), np.mean(overlaps)], rtol=1e-4)
    weights = np.float32([1, 0, 3])
    whole = model.evaluate(x, y, sample_weight=weights, batch_size=3, verbose=0)
    model.compile()
    each = model.evaluate(x, y, sample_weight=np.broadcast_to(weights[:, None, None], y.shape), batch_size=3, verbose=0)
    np.testing.assert_allclose(whole, each, rtol=1e-6)
    assert abs(whole[0] - loss) > 1e-4


def test_two_stages():
    """The first moves the network and leaves the CRF, the second moves both; both lower their loss."""
    model = small(ignore_class=None, stride=4)
    x = RNG.uniform(size=(8, 10, 13, 3)).astype("float32")
    y = (x.mean(-1) > 0.5).astype("int32")
    before = [ops.convert_to_numpy(w) for w in model.crf.weights]
    history = model.fit_unary(x, y, optimizer=keras.optimizers.Adam(1e-2), batch_size=4, epochs=8, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    for weight, old in zip(model.crf.weights, before):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)
    unary = [ops.convert_to_numpy(w) for w in model.unary.trainable_weights]
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    losses = model.fit(x, y, batch_size=4, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for weight, old in zip([*model.crf.weights, *model.unary.trainable_weights], [*before, *unary]):
        assert np.any(ops.convert_to_numpy(weight) != old), weight.path


def test_any_network(tmp_path):
    image = keras.Input((12, 9, 1))
    network = keras.Model(image, keras.layers.Conv2D(2, 3, padding="same")(image))
    model = CRFasRNN(2, 1, network=network, theta_alpha=5.0, iterations=1, inference_iterations=2)
    assert model.unary is network and len(model.weights) == 2 + 3
    x, y = RNG.uniform(size=(4, 12, 9, 1)).astype("float32"), RNG.integers(0, 2, (4, 12, 9))
    model.fit_unary(x, y, verbose=0)
    model.fit(x, y, verbose=0)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    model.save_pretrained(tmp_path / "preset")
    for copy in (keras.saving.load_model(tmp_path / "model.keras"), CRFasRNN.from_pretrained(tmp_path / "preset")):
        np.testing.assert_allclose(copy.predict(x, verbose=0), expected, atol=1e-5)
    assert model.segment(x[0, ..., 0]).shape == (12, 9, 2)
    with pytest.raises(ValueError, match="image"):
        model.segment(x[0, :5])
    with pytest.raises(ValueError, match="`num_classes`"):
        CRFasRNN(3, 1, network=network)
    for bad in (keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), keras.Model(image, keras.layers.Conv2D(2, 3)(image)), "fcn"):
        with pytest.raises(ValueError, match="`network`"):
            CRFasRNN(2, 1, network=bad)


def test_refusals(model):
    for arguments, name in (
        ({"num_classes": 1}, "num_classes"),
        ({"head": 1.5}, "head"),
        ({"stride": 3}, "stride"),
        ({"stride": 8}, "stride"),
        ({"convolutions": (1,)}, "convolutions"),
        ({"theta_beta": 0}, "theta_beta"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            small(**arguments)
    x, y = scenes(1)
    with pytest.raises(ValueError, match="`mask` must have the size"):
        model.fit(x, y[:, :9], verbose=0)
    for bad in (np.zeros((5, 5, 2)), np.zeros((0, 5, 3)), np.full((5, 5, 3), np.nan), np.full((5, 5, 3), 255)):
        with pytest.raises(ValueError, match="image"):
            model.segment(bad)
