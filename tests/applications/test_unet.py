"""What is special to U-Net: the paper's sizes and parameters, masks larger than the output, overlap-tile segmentation."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import UNet
from zoo.losses import WeightedCrossentropy

RNG = np.random.default_rng(0)


def small(padding="valid", depth=3, **arguments):
    keras.utils.set_random_seed(0)
    return UNet(**{"filters": 3, "depth": depth, "padding": padding, **arguments})


def test_the_papers_network():
    model = UNet()
    widths = [64, 128, 256, 512, 1024]
    convolutions = [(1, 64), *zip(widths, widths[1:]), *((2 * w, w) for w in widths[:-1]), *((w, w) for w in widths + widths[:-1])]
    expected = sum(9 * i * o + o for i, o in convolutions)
    expected += sum(4 * 2 * w * w + w for w in widths[:-1]) + 64 * 2 + 2  # up-convolutions 2 x 2, and the last 1 x 1
    assert model.count_params() == expected == 31_030_658
    assert model.output_size(572, 572) == (388, 388)
    assert model.network.compute_output_shape((1, 572, 700, 1)) == (1, 388, 516, 2)
    crops = [model.network.get_layer(f"up{level}_crop").cropping[0][0] for level in (3, 2, 1, 0)]
    assert crops == [(64 - 56) // 2, (136 - 104) // 2, (280 - 200) // 2, (568 - 392) // 2]
    kinds = [type(layer).__name__ for layer in model.network.layers]
    assert [kinds.count(k) for k in ("Conv2D", "Conv2DTranspose", "MaxPooling2D")] == [19, 4, 4]
    assert isinstance(model.optimizer, keras.optimizers.SGD) and model.optimizer.momentum == 0.99
    assert isinstance(model.loss, WeightedCrossentropy)
    for name, incoming in (("down4_conv1", 9 * 1024), ("up0_conv0", 9 * 128), ("up3_upconv", 1024)):
        kernel = ops.convert_to_numpy(model.network.get_layer(name).kernel)
        np.testing.assert_allclose(kernel.std(), (2 / incoming) ** 0.5, rtol=0.02)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_sizes_are_those_of_the_network(padding, depth):
    """Every side that `valid_size` offers gives `output_size`; every other side is refused, with neighbours that fit."""
    model = small(padding, depth, filters=1)
    offered = {model.valid_size(n, n)[0] for n in range(1, 260)}
    for n in range(1, 260):
        assert model.valid_size(n, n + 1)[0] == min(m for m in {*offered, *model.valid_size(260, 260)} if m >= n)
        if n not in offered:
            with pytest.raises(ValueError, match="`image` must have sides"):
                model.output_size(n, n)
    for n in sorted(offered)[:3]:
        assert model.network.compute_output_shape((1, n, n + model._step, 1))[1:3] == model.output_size(n, n + model._step)
    least = min(offered)
    shrink = 12 * 2 ** (depth - 1) - 8 if padding == "valid" else 0
    assert least - shrink >= 1 and least - 2 ** (depth - 1) - shrink < 1


def test_refusals():
    model = small()
    fit, x = model.valid_size(50, 50)[0], np.zeros((1, 50, 52, 1), "float32")
    with pytest.raises(ValueError, match=f"`image`.*48 or {fit}|`image`.*or {fit}"):
        model.predict(x, verbose=0)
    x = np.zeros((1, fit, fit, 1), "float32")
    with pytest.raises(ValueError, match="`mask` must have the size"):
        model.fit(x, np.zeros((1, fit - 1, fit), "int32"), verbose=0)
    for arguments, name in (
        ({"padding": "full"}, "padding"),
        ({"depth": 0}, "depth"),
        ({"num_classes": 1}, "num_classes"),
        ({"filters": 2.5}, "filters"),
    ):
        with pytest.raises(ValueError, match=name):
            UNet(**arguments)
    for bad in (np.zeros((5, 5, 3)), np.zeros((0, 5)), np.full((5, 5), np.nan), np.zeros((1, 5, 5, 1))):
        with pytest.raises(ValueError, match="image"):
            model.segment(bad)
    with pytest.raises(ValueError, match="tile"):
        model.segment(np.zeros((5, 5)), tile=0)


def test_masks_and_weights_of_the_images_size_are_cropped():
    model = small(dropout=0.0)
    x = RNG.normal(size=(3, 52, 60, 1)).astype("float32")
    height, width = model.output_size(52, 60)
    y, w = RNG.integers(0, 2, (3, 52, 60)), RNG.uniform(0, 9, (3, 52, 60)).astype("float32")
    inside = slice(20, 20 + height), slice(20, 20 + width)
    assert (height + 40, width + 40) == (52, 60)
    small_y, small_w = y[(slice(None), *inside)], w[(slice(None), *inside)]
    p = model.predict(x, verbose=0)
    right = np.take_along_axis(p, small_y[..., None], -1)[..., 0]
    expected = np.mean(-np.log(right) * small_w)
    for target, weight in ((y, w), (small_y, small_w), (y, small_w)):
        loss, accuracy, iou = model.evaluate(x, target, sample_weight=weight, batch_size=3, verbose=0)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        np.testing.assert_allclose(accuracy, np.mean(p.argmax(-1) == small_y), rtol=1e-5)
    per_image = np.array([1.0, 0.0, 2.0], "float32")
    model.compile()
    loss = model.evaluate(x, y, sample_weight=per_image, batch_size=3, verbose=0)[0]
    np.testing.assert_allclose(loss, np.mean(-np.log(right) * per_image[:, None, None]), rtol=1e-5)


def test_weights_steer_the_training():
    """Pixels of weight zero teach nothing: with all weight on one half, the other half's labels make no difference."""
    x = RNG.normal(size=(2, 24, 24, 1)).astype("float32")
    w = np.zeros((2, 24, 24), "float32")
    w[:, :, :12] = 1
    trained = []
    for right in (0, 1):
        y = np.zeros((2, 24, 24), "int32")
        y[:, :, 12:] = right
        model = small("same", dropout=0.0)
        model.fit(x, y, sample_weight=w, epochs=2, verbose=0)
        trained.append(model.predict(x, verbose=0))
    np.testing.assert_allclose(trained[0], trained[1], atol=1e-6)


# --- segment ---


def whole(model, image):
    """One pass over the image with mirrored borders, written out: the oracle of every tiling."""
    step, valid = 2 ** (model.depth - 1), model.padding == "valid"
    margin = 6 * step - 4 if valid else 6 * step
    height, width = image.shape[:2]
    target = model.valid_size(height + 2 * margin, width + 2 * margin)
    padded = np.pad(image, [(margin, target[0] - height - margin), (margin, target[1] - width - margin), (0, 0)], "reflect")
    skip = 0 if valid else margin
    return model.predict(padded[None], verbose=0)[0, skip : skip + height, skip : skip + width]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("size", "tile"), [((61, 47), 16), ((61, 47), 13), ((40, 90), 1000), ((5, 70), 32), ((1, 1), 8), ((3, 2), 1)])
def test_segment_equals_one_whole_pass(padding, size, tile):
    model = small(padding, in_channels=2, num_classes=3)
    image = RNG.normal(size=(*size, 2)).astype("float32")
    expected = whole(model, image)
    found = model.segment(image, tile=tile, batch_size=3)
    assert found.shape == (*size, 3) and found.dtype == "float32"
    np.testing.assert_allclose(found, expected, atol=1e-5)
    served = model.signatures()["segment"][0](ops.convert_to_tensor(image[None]))
    np.testing.assert_allclose(ops.convert_to_numpy(served["probabilities"])[0], expected, atol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(served["labels"])[0], ops.convert_to_numpy(served["probabilities"])[0].argmax(-1))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_tiles_see_their_whole_context_at_every_depth(depth):
    for padding in ("valid", "same"):
        model = small(padding, depth)
        image = 5 * RNG.normal(size=(50, 39)).astype("float32")
        np.testing.assert_allclose(model.segment(image, tile=8), whole(model, image[..., None]), atol=1e-5)


def test_same_and_valid_agree_inside():
    """The two paddings are one function where no border is near."""
    valid, same = small("valid"), small("same")
    same.set_weights(valid.get_weights())
    x = RNG.normal(size=(1, 96, 96, 1)).astype("float32")
    # from pixel 2 on, the pooling grids of both coincide; an output of `valid` lies 20 pixels further inside
    inner = valid.predict(x[:, 2:94, 2:94], verbose=0)[0]
    np.testing.assert_allclose(same.predict(x, verbose=0)[0, 24:68, 24:68], inner[2:46, 2:46], atol=1e-5)


def test_test_time_augmentation_averages_eight_orientations():
    model = small()
    image = RNG.normal(size=(30, 21)).astype("float32")
    total = 0
    for turns in range(4):
        total = total + np.rot90(model.segment(np.rot90(image, turns)), -turns)
        total = total + np.rot90(model.segment(np.rot90(image[:, ::-1], turns)), -turns)[:, ::-1]
    found = model.segment(image, test_time_augmentation=True)
    np.testing.assert_allclose(found, total / 8, atol=1e-6)
    turned = model.segment(np.rot90(image).copy(), test_time_augmentation=True)
    np.testing.assert_allclose(np.rot90(turned, -1), found, atol=1e-5)  # blind to orientation
    assert np.abs(found - model.segment(image)).max() > 1e-4


def test_progress_bar_from_32_tiles_on(capsys):
    model = small(depth=1)
    model.segment(np.zeros((8, 24)), tile=4)
    assert not capsys.readouterr().out
    model.segment(np.zeros((8, 64)), tile=4)
    assert "32/32" in capsys.readouterr().out
