"""What is special to DDFD: AlexNet's parameters, the map equals the classifier at every window, boxes of the pyramid, data."""

import keras
import numpy as np
import pytest
from keras import ops
from repin import repin
from scipy import ndimage

from zoo import datasets
from zoo.applications import DDFD
from zoo.applications.ddfd import _ChannelNormalization
from zoo.decoding import box_iou

RNG = np.random.default_rng(0)


def small(**arguments):
    keras.utils.set_random_seed(0)
    return DDFD(**{**DDFD.example_config(), **arguments})


def test_the_papers_network():
    model = DDFD()
    # AlexNet has 60,965,224 parameters with 1000 classes; here the last layer has two
    assert model.count_params() == 60_965_224 - 4097 * 1000 + 4097 * 2
    assert model.stride == 32
    shapes = [model.network.get_layer(name).output.shape[-1] for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "dense6", "dense7")]
    assert shapes == [96, 256, 384, 384, 256, 4096, 4096]
    assert model.network.get_layer("dense6").kernel.shape == (6, 6, 256, 4096)
    assert model.network.compute_output_shape((1, 227, 227, 3)) == (1, 1, 1, 2)
    assert model.network.compute_output_shape((1, 227 + 64, 227 + 32, 3)) == (1, 3, 2, 2)
    assert isinstance(model.optimizer, keras.optimizers.SGD) and model.optimizer.momentum == 0.9


@pytest.mark.parametrize(("window", "size"), [(35, (61, 47)), (36, (60, 51)), (40, (40, 75))])
def test_heat_map_is_the_classifier_at_every_window(window, size):
    """The oracle: each window cut out and classified by itself."""
    model = small(window=window)
    image = RNG.uniform(size=size).astype("float32")
    found = model.heat_map(image)
    places = [range(0, n - window + 1, model.stride) for n in size]
    crops = np.stack([image[r : r + window, c : c + window] for r in places[0] for c in places[1]])
    expected = model.predict(crops[..., None], verbose=0).reshape(len(places[0]), len(places[1]))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-6)
    served = model.signatures()["heat_map"][0](ops.convert_to_tensor(image[None, ..., None]))["heat_map"]
    np.testing.assert_allclose(ops.convert_to_numpy(served)[0], found, atol=1e-6)


def test_the_convolutions_at_the_end_are_dense_layers():
    """The same weights in Dense layers, in NumPy, give the same probability."""
    model = small(dropout=0.0)
    window = RNG.uniform(size=(3, 35, 35, 1)).astype("float32")
    before = keras.Model(model.network.input, model.network.get_layer("dense4").input)
    x = ops.convert_to_numpy(before(window)).reshape(3, -1)
    dense, last = (model.network.get_layer(name) for name in ("dense4", "logits"))
    kernel, bias, final, offset = (ops.convert_to_numpy(v) for v in (*dense.weights, *last.weights))
    hidden = np.maximum(x @ kernel.reshape(-1, kernel.shape[-1]) + bias, 0)
    logits = hidden @ final[0, 0] + offset
    expected = np.exp(logits[:, 1]) / np.exp(logits).sum(1)
    np.testing.assert_allclose(model.predict(window, verbose=0)[:, 0, 0], expected, rtol=1e-5)


def test_groups_are_separate_and_the_normalisation_is_alexnets():
    model = small(filters=[4, 6, 4, 4, 6], kernels=[5, 3, 3, 3, 3], groups=2, padding="same", pools=[0], window=24)
    assert model.network.get_layer("conv2_1").kernel.shape == (3, 3, 2, 3) and model.network.get_layer("conv3").kernel.shape[2] == 6
    x = 30 * RNG.normal(size=(2, 3, 4, 8)).astype("float32")
    expected = np.empty_like(x)
    for c in range(8):
        expected[..., c] = x[..., c] / (1 + 1e-4 / 5 * (x[..., max(c - 2, 0) : c + 3] ** 2).sum(-1)) ** 0.75
    np.testing.assert_allclose(ops.convert_to_numpy(_ChannelNormalization()(x)), expected, rtol=1e-5)


def test_loss_is_the_weighted_cross_entropy():
    model = small(dropout=0.0)
    x, y, w = RNG.uniform(size=(4, 35, 35, 1)).astype("float32"), np.array([1, 0, 0, 1]), np.array([1, 2, 0, 3], "float32")
    p = model.predict(x, verbose=0)[:, 0, 0]
    expected = -np.mean(w * np.where(y == 1, np.log(p), np.log(1 - p)))
    np.testing.assert_allclose(model.evaluate(x, y, sample_weight=w, verbose=0)[0], expected, rtol=1e-4)


class Bright(DDFD):
    """A detector whose probability is known: the mean of the window."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self._run = lambda image: ndimage.uniform_filter(np.asarray(image), (1, self.window, self.window, 1), origin=(0, -18, -18, 0))[
            :, : image.shape[1] - self.window + 1 : 4, : image.shape[2] - self.window + 1 : 4, 0
        ]


@pytest.mark.parametrize("nms", ["avg", "max"])
@pytest.mark.parametrize("side", [20, 36, 60])
def test_detect_places_boxes_of_all_sizes(side, nms):
    """A white square is found where it is, at its size, by a detector of brightness."""
    model = Bright(**{**DDFD.example_config(), "window": 36})
    image = np.zeros((120, 150), "float32")
    image[40 : 40 + side, 60 : 60 + side] = 1
    boxes, scores = model.detect(image, smallest=side, threshold=0.8, nms=nms)
    assert np.all(np.diff(scores) <= 0) and scores[0] > 0.8
    assert box_iou(boxes[:1], [[60, 40, 60 + side, 40 + side]])[0, 0] > 0.75
    assert model.detect(np.zeros((120, 150)), nms=nms)[0].shape == (0, 4)


def test_pyramid_has_its_scales_and_no_window_outside():
    model = small(window=36)
    boxes, scores = model.windows(RNG.uniform(size=(100, 130)), smallest=18, threshold=0.0)
    assert boxes.min() >= 0 and boxes[:, 2].max() <= 130 + 1e-6 and boxes[:, 3].max() <= 100 + 1e-6
    sides = np.unique(np.round((boxes[:, 2] - boxes[:, 0]) / 18, 1))
    expected = np.unique(np.round(2.0 ** (np.arange(8) / 3), 1))
    np.testing.assert_allclose(sides, expected, atol=0.11)
    assert len(boxes) == len(scores)


def test_refusals():
    model = small()
    with pytest.raises(ValueError, match="`image` must have sides of 35"):
        model.heat_map(np.zeros((30, 60)))
    with pytest.raises(ValueError, match="`image` must have sides of 35"):
        model.fit(np.zeros((2, 40, 40, 1)), np.zeros(2, int), verbose=0)
    for arguments, name in (
        ({"nms": "soft"}, "nms"),
        ({"smallest": 0}, "smallest"),
        ({"scales_per_octave": 0}, "scales_per_octave"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            model.detect(np.zeros((50, 50)), **arguments)
    for arguments, name in (
        ({"padding": "full"}, "padding"),
        ({"kernels": [3]}, "filters"),
        ({"pools": [7]}, "pools"),
        ({"window": 8}, "window"),
        ({"groups": 4}, "groups"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            small(**arguments)


# --- data ---


def test_crop_is_that_of_scipy():
    images = RNG.uniform(size=(3, 30, 40)).astype("float32")
    boxes, index = np.array([[4, 5, 20, 21], [-3, -2, 9, 10], [10.5, 3.25, 33.5, 26.25]]), [0, 2, 1]
    angles, flips = np.array([0.0, 0.7, -2.0]), np.array([False, True, False])
    found = datasets.crop(images, index, boxes, 12, angles, flips)
    for i in range(3):
        side, centre = boxes[i, 2] - boxes[i, 0], (boxes[i, :2] + boxes[i, 2:]) / 2
        y, x = ((np.mgrid[:12, :12] + 0.5) / 12 - 0.5) * side
        x = -x if flips[i] else x
        where = [
            centre[1] + np.sin(angles[i]) * x + np.cos(angles[i]) * y - 0.5,
            centre[0] + np.cos(angles[i]) * x - np.sin(angles[i]) * y - 0.5,
        ]
        np.testing.assert_allclose(found[i], ndimage.map_coordinates(images[index[i]], where, order=1, mode="nearest"), atol=1e-5)
    np.testing.assert_array_equal(datasets.crop(images, [1], [[7, 8, 19, 20]], 12)[0], images[1, 8:20, 7:19])
    labels = RNG.integers(0, 9, (1, 30, 40))
    np.testing.assert_array_equal(
        datasets.crop(labels, [0], [[7, 8, 19, 20]], 12, flips=[True], order=0)[0], labels[0, 8:20, 7:19][:, ::-1]
    )


def test_training_windows_overlap_as_asked():
    """Images that hold their own coordinates: each window tells which box it is."""
    y, x = np.mgrid[:90, :120].astype("float32")
    images = np.stack([np.stack([x + 0.5, y + 0.5], -1)] * 2)
    boxes = [np.array([[20, 20, 50, 50], [70, 30, 100, 60]]), np.array([[40, 40, 60, 60]])]
    windows, labels = datasets.training_windows(images, boxes, 32, 96, 20, np.random.default_rng(0), flip=False)
    assert windows.shape == (128, 20, 20, 2) and labels.sum() == 32 and labels[:32].all()
    step = windows[:, 10, 10] - windows[:, 9, 9]
    centre = (windows[:, 10, 10] + windows[:, 9, 9]) / 2
    # windows that reach over the border repeat pixels; the middle of the others tells all
    squares = np.concatenate([centre - 10 * step, centre + 10 * step], 1)
    inside = (step[:, 0] - step[:, 1]) ** 2 < 1e-6
    best = np.maximum(*(box_iou(squares, b).max(1) for b in boxes))
    assert np.all(best[(labels == 1) & inside] > 0.49)
    alone = np.minimum(*(box_iou(squares, b).max(1) for b in boxes))
    assert np.all(alone[(labels == 0) & inside] <= 0.51)
    with pytest.raises(ValueError, match="`boxes` must have one array"):
        datasets.training_windows(images, [np.zeros((0, 4))] * 2, 1, 1, 20, np.random.default_rng(0))


def test_scenes_hold_their_faces():
    faces, photos = np.ones((2, 112, 92), "float32"), np.full((1, 140, 180), 0.5, "float32")
    faces[:, 40:70] = 0
    images, boxes = datasets.face_scenes(faces, photos, 5, seed=3, rotation=np.pi)
    again = datasets.face_scenes(faces, photos, 5, seed=3, rotation=np.pi)
    np.testing.assert_array_equal(images, again[0])
    assert images.shape == (5, 128, 160) and images.min() >= 0 and images.max() <= 1 and len(boxes) == 5
    for image, box in zip(images, boxes):
        assert 1 <= len(box) <= 3 and box.min() >= 0 and box[:, 2].max() <= 160 and box[:, 3].max() <= 128
        iou = box_iou(box, box)
        assert np.all(iou[~np.eye(len(box), dtype=bool)] == 0)
        for left, top, right, bottom in box.astype(int):
            assert image[top:bottom, left:right].std() > 0.1  # the stripes of these faces


def test_orl_faces_are_read_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    pixels = RNG.integers(0, 256, (40, 10, 112, 92), "uint8")
    for person in range(40):
        folder = tmp_path / "orl_faces" / "orl_faces" / f"s{person + 1}"
        folder.mkdir(parents=True)
        for picture in range(10):
            (folder / f"{picture + 1}.pgm").write_bytes(b"P5\n92 112\n255\n" + pixels[person, picture].tobytes())
    with pytest.raises(ValueError, match="SHA-256"):
        datasets.orl_faces()
    repin(monkeypatch, "orl_faces", tmp_path)
    np.testing.assert_array_equal(datasets.orl_faces(), pixels.astype("float32") / 255)


def test_lfw_subset():
    pytest.importorskip("skimage")
    images, labels = datasets.lfw_subset()
    assert images.shape == (200, 25, 25) and labels.sum() == 100 and labels[0] == 1 and images.dtype == np.float32
