"""What is special to the dilated context net: the paper's sizes, context behind a trained front end, images of any size."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import DilatedContextNet

RNG = np.random.default_rng(0)
SMALL = {"num_classes": 3, "in_channels": 1, "filters": 2, "convolutions": (1, 1, 1), "head_filters": 4, "head_kernel": 3, "dropout": 0.0}


def small(**arguments):
    keras.utils.set_random_seed(0)
    return DilatedContextNet(**{**SMALL, **arguments})


def test_the_papers_network():
    model = DilatedContextNet(head_filters=1)  # the only layers that are not VGG's size here: 4096 would take 0.5 GB
    kernels = {layer.name: layer for layer in model.front_end.layers if hasattr(layer, "kernel")}
    assert [kernels[f"block{i}_conv0"].filters for i in range(5)] == [64, 128, 256, 512, 512]
    channels = [3, 64, 64, 128, 128, *[256] * 3, *[512] * 6]
    vgg = sum(9 * i * o + o for i, o in zip(channels, channels[1:]))
    assert model.front_end.count_params() == vgg + (49 * 512 + 1) + (1 + 1) + (21 + 21) and vgg == 14_714_688
    assert {k.dilation_rate[0] for n, k in kernels.items() if n.startswith("block4")} == {2} and kernels["head0"].dilation_rate == (4, 4)
    assert sum("pool" in layer.name for layer in model.front_end.layers) == 3
    # 900 pixels of input give 66 scores (the authors' deploy file for CamVid), with 186 pixels of margin at each side
    assert (model.stride, model.margin) == (8, 186) and (900 - 2 * 186) // 8 == 66
    assert model.front_end.compute_output_shape((1, 900, 1100, 3)) == (1, 66, 91, 21)
    assert model.receptive_field() == 380 + 8 * 66
    assert isinstance(model.optimizer, keras.optimizers.SGD) and model.optimizer.momentum == 0.9


@pytest.mark.parametrize("context", [None, "basic"])
def test_receptive_field_by_a_spike(context):
    """All weights positive: a spike at one pixel raises every score that sees it, and no other."""
    model = small(context=context, **({} if context is None else {"dilations": (1, 2, 1)}))
    for v in model.trainable_variables:
        v.assign(np.abs(RNG.normal(size=v.shape)) + 0.1)
    side = 90
    image = np.ones((1, side, side, 1), "float32")

    def scores(x):
        found = model.front_end(x)
        return ops.convert_to_numpy(found if context is None else model.context_module(found))

    first = model.margin + side  # the image inside a wide frame
    frame = np.pad(image, [(0, 0), (first, first), (first, first), (0, 0)], constant_values=1.0)
    spiked = np.repeat(frame, side, 0)
    for i in range(side):
        spiked[i, first + i, first + side // 2] = 1e3
    row = scores(frame).shape[1] // 2
    seen = (scores(spiked)[:, row] > scores(frame)[:, row] * 1.0001).any(-1)
    assert seen.any(1).sum() == model.receptive_field()


@pytest.mark.parametrize("padding", ["reflect", "same"])
@pytest.mark.parametrize("size", [(13, 18), (1, 1), (2, 31), (16, 16)])
def test_any_size(padding, size):
    model = small(padding=padding)
    image = RNG.normal(size=(*size, 1)).astype("float32")
    found = model.segment(image)
    assert found.shape == (*size, 3) and found.dtype == "float32"
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(found, model.predict(image[None], verbose=0)[0], atol=1e-5)
    served = model.signatures()["segment"][0](ops.convert_to_tensor(image[None]))
    np.testing.assert_array_equal(ops.convert_to_numpy(served["labels"])[0], found.argmax(-1))


def test_reflection_is_numpys_and_interpolation_is_bilinear():
    model = small(context=None)
    image = RNG.normal(size=(1, 11, 14, 1)).astype("float32")
    m = model.margin
    padded = np.pad(image, [(0, 0), (m, m + 1), (m, m), (0, 0)], "reflect")
    scores = ops.convert_to_numpy(model.front_end(padded))
    assert scores.shape == (1, 6, 7, 3) and model.stride == 2
    full = keras.layers.UpSampling2D(2, interpolation="bilinear")(scores)[:, :11, :14]
    np.testing.assert_allclose(model.predict(image, verbose=0), ops.convert_to_numpy(ops.softmax(full)), atol=1e-5)


def test_translation_by_a_stride_translates_the_scores():
    """Unlike encoders that pool to the end, only `stride - 1` shifts out of `stride` are lost."""
    model = small(padding="reflect", dilations=(1, 2, 1), context="large", context_initializer="he_normal")
    image = RNG.normal(size=(1, 90, 90, 1)).astype("float32")
    whole, moved = (model.predict(x, verbose=0)[0] for x in (image, image[:, model.stride :]))
    inner = slice(30, 56)
    np.testing.assert_allclose(moved[inner, inner], whole[30 + model.stride : 56 + model.stride, inner], atol=1e-5)
    assert np.abs(moved[inner, inner] - whole[inner, inner]).max() > 1e-4


def test_context_plugs_into_a_trained_front_end():
    """Identity: behind a front end whose scores are positive nothing changes at first."""
    front = small(context=None)
    front.front_end.get_layer("scores").bias.assign([5.0, 5.5, 6.0])
    x = RNG.uniform(size=(2, 12, 16, 1)).astype("float32")
    expected = front.predict(x, verbose=0)
    model = small(context="basic")
    model.front_end.set_weights(front.front_end.get_weights())
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)
    model.fit(x, RNG.integers(0, 3, (2, 12, 16)), verbose=0)
    assert np.abs(model.predict(x, verbose=0) - expected).max() > 0


def test_ignored_pixels_are_not_counted():
    x, y = RNG.uniform(size=(4, 8, 8, 1)).astype("float32"), RNG.integers(0, 3, (4, 8, 8))
    ignored = RNG.random(y.shape) < 0.4
    model = small(ignore_class=255, padding="same", context=None)
    p = model.predict(x, verbose=0)
    loss, accuracy, iou = model.evaluate(x, np.where(ignored, 255, y), batch_size=4, verbose=0)
    right = np.take_along_axis(p, y[..., None], -1)[..., 0]
    np.testing.assert_allclose(loss, -np.log(right[~ignored]).mean(), rtol=1e-5)
    np.testing.assert_allclose(accuracy, (p.argmax(-1) == y)[~ignored].mean(), rtol=1e-5)
    peer = keras.metrics.MeanIoU(3)
    peer.update_state(y[~ignored], p.argmax(-1)[~ignored])
    np.testing.assert_allclose(iou, peer.result(), rtol=1e-5)
    with pytest.raises(ValueError, match="mask"):
        model.fit(x, np.where(ignored, 254, y), verbose=0)


def test_refusals():
    for arguments, name in (
        ({"padding": "valid"}, "padding"),
        ({"convolutions": (2,)}, "convolutions"),
        ({"head_kernel": 4}, "head_kernel"),
        ({"context": None, "dilations": (1, 1)}, "dilations"),
        ({"context": "huge"}, "size"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            small(**arguments)
    model = small()
    with pytest.raises(ValueError, match="`mask` must have the size"):
        model.fit(np.zeros((1, 8, 8, 1)), np.zeros((1, 8, 9), int), verbose=0)
    with pytest.raises(ValueError, match="image"):
        model.segment(np.zeros((8, 8, 2)))
