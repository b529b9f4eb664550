"""The methods that take a trunk: VGG16's weights where the papers fine-tune it, any other by name, and models that come back from files."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import vgg16_file
from keras import ops

from zoo import presets, trunks
from zoo.applications import DDFD, BayesianSegNet, CRFasRNN, DeepMask, DilatedContextNet, NeuralStyle, UNet
from zoo.trunks import efficientnet_lite

RNG = np.random.default_rng(0)
LITE = "efficientnet_lite0"
SMALL = {
    UNet: {"in_channels": 3, "filters": 3, "depth": 4, "padding": "same"},
    CRFasRNN: {"num_classes": 3, "filters": (1,) * 3, "convolutions": (1,) * 3, "head": 4, "stride": 4},
    DilatedContextNet: {"num_classes": 3, "head_filters": 4, "head_kernel": 3, "padding": "same"},
    DeepMask: {"size": 32, "pools": (0, 1, 2), "mask_filters": 4, "rank": 3, "mask_size": 6, "score_units": (4, 5)},
    DDFD: {"window": 32, "first_stride": 2, "pools": (0, 1), "dense": (6,)},
    NeuralStyle: {"content_layers": ("stride_8",), "style_layers": ("stride_2", "stride_4")},
}
# of the output for images of 40 x 56 (33 x 47 where any size will do, 32 x 32 for DeepMask's patches)
SHAPES = {
    UNet: [(1, 40, 56, 2)],
    CRFasRNN: [(1, 33, 47, 3)],
    DilatedContextNet: [(1, 33, 47, 3)],
    DeepMask: [(1, 6, 6), (1,)],
    DDFD: [(1, 1, 2)],
    NeuralStyle: [(1, 5, 6, 40), (1, 16, 16), (1, 24, 24)],
}
SIDES = {UNet: (40, 56), DeepMask: (32, 32), DDFD: (33, 47)}


def images(*sides, channels=3):
    return RNG.random((1, *sides, channels)).astype("float32")


def run(model, x, training=False):
    return [ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x, training=training))]


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    return vgg16_file.write(tmp_path_factory.mktemp("vgg16") / "vgg16_notop.h5")


@pytest.fixture
def lite_file(monkeypatch, tmp_path):
    """Random numbers in the place of the package's weights; `reads` counts how often they are asked for."""
    model = trunks.classifier(weights=None)
    model.save_weights(tmp_path / "lite.weights.h5")
    asked = SimpleNamespace(reads=0, kernel=ops.convert_to_numpy(model.get_layer("block2b_depthwise_conv").kernel))

    def file():
        asked.reads += 1
        return tmp_path / "lite.weights.h5"

    monkeypatch.setattr(efficientnet_lite, "weights_file", file)
    return asked


def trunk_of(model):
    """The network of the trunk inside a method."""
    stack = [model]
    while stack:
        layer = stack.pop()
        if layer.name == LITE:
            return layer
        stack += layer._layers if hasattr(layer, "_layers") else []
    raise AssertionError("no trunk")


# --- any trunk ---


@pytest.mark.parametrize("method", SMALL, ids=lambda m: m.__name__)
def test_any_trunk(method):
    for name, channels in ((LITE, 3), *([("mobilenet", 1)] if method is not NeuralStyle else [])):
        inputs = {} if method is NeuralStyle else {"in_channels": channels}
        model = method(**{**SMALL[method], **inputs, "trunk": name, "trunk_weights": None})
        x = images(*SIDES.get(method, (33, 47)), channels=channels)
        found = run(model, x)
        if name == LITE:
            assert [y.shape for y in found] == SHAPES[method]
        assert all(np.all(np.isfinite(y)) for y in found)
        with pytest.raises(ValueError, match="must be at (least|most)"):
            model.check(2 * model.example_inputs() - 1)


@pytest.mark.parametrize("method", [UNet, DilatedContextNet], ids=lambda m: m.__name__)
def test_all_learn_unless_frozen(method):
    for trainable in (True, False):
        model = method(**SMALL[method], trunk=LITE, trunk_weights=None, trunk_trainable=trainable)
        model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
        before = model.get_weights()
        model.fit(**model.example_data(), verbose=0)
        other = method(**SMALL[method], trunk=LITE, trunk_weights=None, trunk_trainable=not trainable)
        other.set_weights(model.get_weights())
        x = model.example_inputs()
        np.testing.assert_allclose(run(other, x)[0], run(model, x)[0], rtol=1e-5, atol=1e-6)
        moved = {v.path for v, old in zip(model.weights, before) if not np.array_equal(ops.convert_to_numpy(v), old)}
        kept = {v.path for v in trunk_of(model).weights}
        assert moved & kept == (kept if trainable else set()) and moved - kept


def test_unet_takes_each_level_from_the_trunk():
    model = UNet(**SMALL[UNet], trunk=LITE, trunk_weights=None)
    kinds = [type(layer).__name__ for layer in model.network.layers]
    assert "MaxPooling2D" not in kinds and kinds.count("Conv2DTranspose") == 3
    # the first level, which the trunk has not, is the paper's
    down = {layer.name for layer in model.network.layers if layer.name.startswith("down")}
    normalized = {f"down{level}_normalize" for level in (1, 2, 3)}
    assert down == {"down0_conv0", "down0_conv1", "down2_dropout", "down3_dropout", *normalized}
    whole = UNet(**SMALL[UNet], trunk="vgg16", trunk_weights=None)
    assert not [layer.name for layer in whole.network.layers if layer.name.startswith("down0_conv")]


def test_unet_segments_any_size_with_a_trunk():
    model = UNet(**SMALL[UNet], trunk=LITE, trunk_weights=None)
    found = model.segment(images(21, 30)[0])
    assert found.shape == (21, 30, 2)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)


def test_maps_of_the_dense_methods_lie_where_the_image_does():
    """A change in one corner of an image changes the segmentation there the most."""
    x = np.full((1, 96, 128, 3), 0.5, "float32")
    changed = x.copy()
    changed[:, :16, -16:] = images(16, 16)
    for method in (UNet, DilatedContextNet, CRFasRNN):
        model = method(**SMALL[method], trunk=LITE, trunk_weights=None)
        head = {UNet: "logits", DilatedContextNet: "scores", CRFasRNN: "level1_score"}[method]
        network = {UNet: "network", DilatedContextNet: "front_end", CRFasRNN: "unary"}[method]
        layer = getattr(model, network).get_layer(head)
        layer.set_weights([RNG.standard_normal(w.shape) for w in layer.get_weights()])
        for norm in trunk_of(model).layers:
            if isinstance(norm, keras.layers.BatchNormalization):
                # else random weights hand on less and less
                norm.moving_variance.assign(0.1 * ops.ones_like(norm.moving_variance))
        function = model.unary if method is CRFasRNN else model
        change = np.abs(run(function, changed)[0] - run(function, x)[0]).sum(-1)[0]
        row, column = np.unravel_index(change.argmax(), change.shape)
        assert row < 48 and column >= 64, (method, row, column)


# --- VGG16 where the papers fine-tune it ---


def test_segnet_starts_from_vgg16(vgg16):
    """Outside of training the encoder is VGG16, biases included."""
    model = BayesianSegNet(num_classes=3, trunk="vgg16", trunk_weights=vgg16, placement="none")
    x = images(32, 64)
    ends = [model.network.get_layer(f"encoder{level}_pool").output[0] for level in range(5)]
    taps = [f"block{block}_pool" for block in range(1, 6)]
    expected = run(trunks.trunk("vgg16", vgg16, taps), x)
    for found, y in zip(run(keras.Model(model.network.input, ends), x), expected, strict=True):
        np.testing.assert_allclose(found, y, rtol=1e-3, atol=1e-4 * y.max())
    frozen = BayesianSegNet(num_classes=3, trunk="vgg16", trunk_weights=None, trunk_trainable=False)
    assert not [v.path for v in frozen.trainable_variables if v.path.startswith("encoder")]
    assert len(frozen.trainable_variables) < len(model.trainable_variables)
    for bad in ({"trunk": LITE}, {"filters": 32}, {"architecture": "basic"}, {"in_channels": 2}, {"kernel_size": 5}):
        with pytest.raises(ValueError, match="Received"):
            BayesianSegNet(**{"trunk": "vgg16", "trunk_weights": None, **bad})


def test_dilated_front_end_starts_from_vgg16(vgg16):
    """Before the first pooling that is left out the front end is VGG16; behind it the kernels are VGG16's."""
    small = {"num_classes": 3, "head_filters": 4, "head_kernel": 3}
    model = DilatedContextNet(**small, padding="same", trunk="vgg16", trunk_weights=vgg16)
    theirs, x = trunks.trunk("vgg16", vgg16, ["block4_conv3"]), images(64, 72)
    found = run(keras.Model(model.front_end.input, model.front_end.get_layer("block3_conv2").output), x)[0]
    expected = run(theirs, x)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())
    whole = trunks.trunk("vgg16", vgg16)
    for i in range(3):
        ours, layer = model.front_end.get_layer(f"block4_conv{i}"), whole.get_layer(f"block5_conv{i + 1}")
        assert ours.dilation_rate == (2, 2)
        np.testing.assert_array_equal(ours.get_weights()[0], layer.get_weights()[0])
    mirrored = DilatedContextNet(**small, trunk="vgg16", trunk_weights=None, trunk_trainable=False)
    assert [v.path.split("/")[0] for v in mirrored.front_end.trainable_variables][:1] == ["head0"]
    for bad in ({"filters": 32}, {"convolutions": (2, 2, 3)}, {"trunk": LITE}, {"trunk": "alexnet"}, {"in_channels": 4}):
        with pytest.raises(ValueError, match="Received"):
            DilatedContextNet(**{**small, "trunk": "vgg16", "trunk_weights": None, **bad})
    with pytest.raises(ValueError, match="receptive field"):
        DilatedContextNet(**SMALL[DilatedContextNet], trunk=LITE, trunk_weights=None).receptive_field()


def test_fcn_and_deep_mask_start_from_vgg16(vgg16):
    """FCN fuses the maps behind the poolings; DeepMask goes up to the last pooling."""
    x = images(32, 64)
    fcn = CRFasRNN(num_classes=3, head=4, trunk="vgg16", trunk_weights=vgg16)
    inner = fcn.unary.get_layer("vgg16")
    assert list(inner.output) == [f"block{n}_pool" for n in range(1, 6)]
    expected = run(trunks.trunk("vgg16", vgg16, list(inner.output)), x)
    for found, y in zip(run(inner, x), expected, strict=True):
        np.testing.assert_array_equal(found, y)
    mask = DeepMask(**{**SMALL[DeepMask], "pools": (0, 1, 3, 5)}, trunk="vgg16", trunk_weights=vgg16)
    np.testing.assert_array_equal(run(mask.network.get_layer("vgg16"), x)[0], run(trunks.trunk("vgg16", vgg16, ["block5_conv3"]), x)[0])


def test_neural_style_with_vgg16(vgg16):
    """With max pooling all activations are those of the trunk."""
    model = NeuralStyle(trunks.VGG["vgg16"], "max", ("conv4_2",), ("conv1_1",), trunk="vgg16", trunk_weights=vgg16)
    assert not model.trainable_variables
    x, theirs = images(32, 48), [name.replace("conv", "block").replace("_", "_conv") for name in model.layer_names]
    expected = run(trunks.trunk("vgg16", vgg16, theirs), x)
    for found, y in zip(run(model.network, x), expected, strict=True):
        np.testing.assert_allclose(found, y, rtol=1e-3, atol=1e-4 * y.max())
    for bad in ({"blocks": trunks.VGG["vgg19"]}, {"std": (2.0, 1.0, 1.0)}, {"mean": (0.0, 0.0, 0.0)}):
        with pytest.raises(ValueError, match="`blocks` must be"):
            NeuralStyle(**{"blocks": trunks.VGG["vgg16"], "trunk": "vgg16", "trunk_weights": None, **bad})


def test_neural_style_with_another_trunk():
    model = NeuralStyle(**SMALL[NeuralStyle], trunk=LITE, trunk_weights=None)
    painted = model.stylize(images(32, 40)[0], images(33, 36)[0], steps=2, init="content", verbose=0)
    assert painted.shape == (32, 40, 3) and model.history.history["loss"]
    with pytest.raises(ValueError, match="sides of at least 32"):
        model.stylize(images(31, 40)[0], images(33, 36)[0])
    with pytest.raises(ValueError, match="normalize"):
        model.normalize(images(32, 32))
    with pytest.raises(ValueError, match="content_layers"):
        NeuralStyle(trunk=LITE, trunk_weights=None)


@pytest.mark.parametrize(
    ("method", "bad", "word"),
    [
        (UNet, {"padding": "valid"}, "padding"),
        (UNet, {"in_channels": 2}, "channel"),
        (UNet, {"depth": 7}, "stride 64"),
        (UNet, {"trunk": "xception"}, "trunk"),
        (UNet, {"trunk_weights": "nothing.h5"}, "trunk_weights"),
        (CRFasRNN, {"network": keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 1)])}, "trunk"),
        (DDFD, {"window": 36}, "window"),
        (DDFD, {"padding": "valid"}, "padding"),
        (DeepMask, {"trunk": "alexnet"}, "trunk"),
    ],
)
def test_bad_arguments(method, bad, word):
    with pytest.raises(ValueError, match=f"{word}.*Received"):
        method(**{**SMALL[method], "trunk": LITE, "trunk_weights": None, **bad})


# --- files ---


@pytest.mark.parametrize("method", [UNet, NeuralStyle], ids=lambda m: m.__name__)
def test_weights_are_read_once_and_never_when_a_model_comes_back(method, lite_file, tmp_path):
    model = method(**SMALL[method], trunk=LITE)
    assert lite_file.reads == 1
    np.testing.assert_array_equal(ops.convert_to_numpy(trunk_of(model).get_layer("block2b_depthwise_conv").kernel), lite_file.kernel)
    config = model.get_config()
    assert config["trunk"] == LITE and config["trunk_weights"] == "imagenet"
    copy = method.from_config(config)
    assert copy.get_config() == config
    assert not np.array_equal(ops.convert_to_numpy(trunk_of(copy).get_layer("block2b_depthwise_conv").kernel), lite_file.kernel)
    x = model.example_inputs()
    model.save(tmp_path / "model.keras")
    model.save_pretrained(tmp_path / "preset")
    for back in (keras.saving.load_model(tmp_path / "model.keras"), presets.load(tmp_path / "preset")):
        assert back.get_config() == config
        for found, y in zip(run(back, x), run(model, x), strict=True):
            np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-5)
    assert lite_file.reads == 1
    # outside of rebuilding they are read again
    method(**SMALL[method], trunk=LITE)
    assert lite_file.reads == 2


def test_a_model_comes_back_without_the_file_that_it_started_from(tmp_path):
    file = vgg16_file.write(tmp_path / "weights.h5")
    model = DeepMask(**{**SMALL[DeepMask], "pools": (0, 1)}, trunk="vgg16", trunk_weights=file)
    (tmp_path / "weights.h5").unlink()
    back = DeepMask.from_config(model.get_config())
    back.set_weights(model.get_weights())
    for found, y in zip(run(back, model.example_inputs()), run(model, model.example_inputs()), strict=True):
        np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-5)
