"""Elastic deformation, weight map, segmentation errors and microscopy data, each against an oracle."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage
from scipy.interpolate import CubicHermiteSpline

import zoo
from zoo import datasets, losses, metrics, plots
from zoo.layers import ElasticDeformation

RNG = np.random.default_rng(0)
FIELD = RNG.normal(scale=9, size=(2, 23, 31, 2)).astype("float32")


def coordinates(sample):
    return np.moveaxis(np.stack(np.mgrid[:23, :31], -1) + sample.astype("float64"), -1, 0)


# --- elastic deformation ---


@pytest.mark.parametrize("nearest", [False, True])
def test_warp_equals_scipy(nearest):
    images = RNG.normal(size=(2, 23, 31, 3)).astype("float32")
    found = ops.convert_to_numpy(ElasticDeformation().warp(images, FIELD, nearest))
    for i, c in np.ndindex(2, 3):
        expected = ndimage.map_coordinates(images[i, ..., c], coordinates(FIELD[i]), order=0 if nearest else 1, mode="mirror")
        np.testing.assert_allclose(found[i, ..., c], expected, atol=3e-4)


@pytest.mark.parametrize(("grid", "height", "width"), [(3, 31, 20), (5, 17, 2), (2, 9, 1)])
def test_displacements_are_cubic_convolution(grid, height, width):
    """Keys's kernel is the cubic Hermite spline with central differences, the outer points repeated."""
    vectors = RNG.normal(size=(2, grid, grid, 2))

    def along(values, axis, length):
        padded = np.pad(values, [(1, 1) if a == axis else (0, 0) for a in range(4)], "edge")
        slopes = (np.take(padded, range(2, grid + 2), axis) - np.take(padded, range(grid), axis)) / 2
        return CubicHermiteSpline(np.arange(grid), values, slopes, axis)(np.linspace(0, grid - 1, length))

    found = ops.convert_to_numpy(ElasticDeformation(grid=grid).displacements(vectors.astype("float32"), height, width))
    np.testing.assert_allclose(found, along(along(vectors, 1, height), 2, width), atol=1e-5)


def test_grid_points_move_by_ten_pixels():
    layer = ElasticDeformation(seed=0)
    ramp = np.broadcast_to(np.arange(101.0, dtype="float32")[:, None, None], (400, 101, 3, 1))
    moved = ops.convert_to_numpy(layer(ramp))[:, 50, 1, 0] - 50
    assert abs(moved.mean()) < 1.5 and abs(moved.std() - 10) < 1


def test_image_mask_and_weights_move_alike():
    mask = ndimage.gaussian_filter(RNG.normal(size=(2, 64, 64)), (0, 5, 5)) > 0
    data = mask[..., None].astype("float32"), mask.astype("int64"), mask.astype("float32")
    image, moved, weights = (ops.convert_to_numpy(a) for a in ElasticDeformation(seed=3)(data))
    assert moved.dtype == "int32" and moved.shape == mask.shape and np.mean(moved != mask) > 0.05
    np.testing.assert_allclose(image[..., 0], weights, atol=1e-6)
    assert np.mean((image[..., 0] > 0.5) != moved) < 0.01
    with_channel = ElasticDeformation(seed=3)((data[0], data[1][..., None]))[1]
    np.testing.assert_array_equal(ops.convert_to_numpy(with_channel)[..., 0], moved)
    assert np.any(image[0] != image[1])


def test_deformation_in_fit_and_config():
    layer = ElasticDeformation(stddev=3.0, grid=4, seed=1)
    copy = ElasticDeformation.from_config(layer.get_config())
    x = RNG.normal(size=(4, 16, 16, 1)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(x)), ops.convert_to_numpy(copy(x)))
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(x, training=False)), x)
    model = keras.Sequential([keras.Input((16, 16, 1)), layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((4, 1)), verbose=0)


@pytest.mark.parametrize("batched", [False, True])
def test_deformation_in_tf_data(batched):
    tf = pytest.importorskip("tensorflow")
    layer = ElasticDeformation(seed=1)
    arrays = np.ones((4, 20, 24, 2), "float32"), np.ones((4, 20, 24), "int32"), np.ones((4, 20, 24), "float32")
    dataset = tf.data.Dataset.from_tensor_slices(arrays)
    dataset = dataset.batch(2).map(lambda *d: layer(d)) if batched else dataset.map(lambda *d: layer(d)).batch(2)
    for found in dataset:
        for before, after in zip(arrays, found):
            np.testing.assert_allclose(after.numpy(), before[:2])


def test_deformation_refuses_bad_arguments():
    for arguments, name in (({"grid": 1}, "grid"), ({"stddev": -1.0}, "stddev")):
        with pytest.raises(ValueError, match=name):
            ElasticDeformation(**arguments)


# --- weight map and loss ---


def brute_force(instances, w0, sigma):
    """Equation 2 from the distance transform of every object over the whole image, and counted class weights."""
    names = [n for n in np.unique(instances) if n]
    distances = np.sort([ndimage.distance_transform_edt(instances != n) for n in names] + [np.full(instances.shape, np.inf)] * 2, axis=0)
    squeezed = w0 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
    share = np.mean(instances != 0)
    return np.where(instances == 0, 0.5 / (1 - share) + squeezed, 0.5 / share if share else 0)


@pytest.mark.parametrize(("w0", "sigma"), [(10.0, 5.0), (3.0, 2.0), (5.0, 9.0)])
def test_weight_map_equals_brute_force(w0, sigma):
    _, instances = datasets.touching_cells(2, 80, seed=1)
    instances = losses.separate(instances)
    instances[0, 3, 3] = 900  # one pixel, and numbers with gaps
    found = losses.weight_map(instances, w0, sigma)
    assert found.dtype == "float32" and found.max() > w0 / 2
    for one, weights in zip(instances, found):
        np.testing.assert_allclose(weights, brute_force(one, w0, sigma), atol=1e-5)


def test_weight_map_of_few_objects():
    alone = np.zeros((9, 9), int)
    alone[4, 4] = 1
    np.testing.assert_allclose(losses.weight_map(alone), np.where(alone, 81 / 2, 81 / 160), rtol=1e-6)
    np.testing.assert_array_equal(losses.weight_map(np.zeros((3, 3), int)), np.ones((3, 3)))
    np.testing.assert_array_equal(losses.weight_map(np.full((3, 3), 7)), np.ones((3, 3)))
    np.testing.assert_array_equal(losses.weight_map(alone, class_weights=None), np.ones((9, 9)))
    np.testing.assert_array_equal(losses.weight_map(alone, class_weights=(2, 3)), 2 + alone)
    for bad, name in ((alone.astype(float), "instances"), (alone[0], "instances")):
        with pytest.raises(ValueError, match=name):
            losses.weight_map(bad)
    with pytest.raises(ValueError, match="sigma"):
        losses.weight_map(alone, sigma=0)
    with pytest.raises(ValueError, match="class_weights"):
        losses.weight_map(alone, class_weights="equal")


def test_separate_leaves_no_neighbours():
    _, instances = datasets.touching_cells(1, 64)
    cut = losses.separate(instances)[0]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a, b = cut[1:-1, 1:-1], np.roll(cut, shift, (0, 1))[1:-1, 1:-1]
        assert not np.any((a != b) & (a > 0) & (b > 0))
    assert 0.7 < np.mean(cut[instances[0] > 0] > 0) < 1
    alone = np.pad(np.ones((3, 3), int), 2)
    np.testing.assert_array_equal(losses.separate(alone), alone)


def test_loss_equals_weighted_keras_loss_and_keeps_gradients():
    p = RNG.dirichlet(np.ones(3), (2, 5, 6)).astype("float32")
    y, w = RNG.integers(0, 3, (2, 5, 6)), RNG.uniform(0, 10, (2, 5, 6)).astype("float32")
    expected = np.mean(-np.log(np.take_along_axis(p, y[..., None], -1)[..., 0]) * w)
    np.testing.assert_allclose(float(losses.WeightedCrossentropy()(y, p, w)), expected, rtol=1e-5)
    slope = zoo.autodiff.grad(lambda z: losses.WeightedCrossentropy()([[[1]]], ops.softmax(z)), np.array([[[[40.0, 0.0]]]], "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(slope).ravel(), [1, -1], rtol=1e-4)


# --- errors ---


def labels(seed):
    return datasets.touching_cells(1, 64, seed)[1][0]


def test_iou_and_pixel_error_equal_scikit_learn():
    from sklearn.metrics import jaccard_score

    a, b = RNG.integers(0, 3, (2, 40, 30))
    np.testing.assert_allclose(metrics.iou(a, b, 4)[:3], jaccard_score(a.ravel(), b.ravel(), average=None))
    assert np.isnan(metrics.iou(a, b, 4)[3])
    assert metrics.pixel_error(a, b) == np.mean(a != b)
    with pytest.raises(ValueError, match="prediction"):
        metrics.pixel_error(a, b[:5])


@pytest.mark.parametrize("seed", range(3))
def test_rand_error_equals_scikit_image(seed):
    skimage = pytest.importorskip("skimage.metrics")
    truth, prediction = labels(seed), labels(seed + 10)
    np.testing.assert_allclose(metrics.rand_error(truth, prediction), skimage.adapted_rand_error(truth, prediction)[0], rtol=1e-9)
    assert metrics.rand_error(truth, truth) == 0
    assert metrics.rand_error(np.zeros_like(truth), truth) == 0


def test_cells_have_four_neighbours():
    np.testing.assert_array_equal(metrics.cells(np.eye(3)), np.diag([1, 2, 3]))


def regions(mask):
    """Number of foreground (four neighbours) and background (eight neighbours) regions."""
    padded = np.pad(mask, 1)
    return ndimage.label(padded)[1], ndimage.label(~padded, np.ones((3, 3)))[1]


@pytest.mark.parametrize("seed", range(4))
def test_warping_keeps_topology_and_stops_where_nothing_can_move(seed):
    from zoo.metrics.segmentation import _warped

    rng = np.random.default_rng(seed)
    truth, prediction = (ndimage.gaussian_filter(rng.normal(size=(14, 14)), 1) > 0 for _ in range(2))
    warped = _warped(truth, prediction)
    assert regions(warped) == regions(truth)
    assert np.mean(warped != prediction) <= np.mean(truth != prediction)
    for i, j in np.argwhere(warped != prediction):
        block = np.pad(warped, 1)[i : i + 3, j : j + 3]
        assert not keeps_topology(block), (i, j)


def keeps_topology(block):
    """Whether the middle of a 3 x 3 block is simple, by the definition: it joins exactly one region of either kind."""
    block = block.copy()
    block[1, 1] = False
    inner = ndimage.label(block)[0]
    block[1, 1] = True
    outer = ndimage.label(~block, np.ones((3, 3)))[0]
    beside = {inner[0, 1], inner[1, 0], inner[1, 2], inner[2, 1]} - {0}
    return len(beside) == 1 and len(set(outer.ravel()) - {0}) == 1


def test_simple_points_of_all_256_neighbourhoods():
    from zoo.metrics.segmentation import _simple

    for bits in range(512):
        block = np.array([bool(bits >> k & 1) for k in range(9)]).reshape(3, 3)
        assert bool(_simple(block)[0, 0]) == keeps_topology(block)


def test_warping_error_by_hand():
    bar = np.zeros((9, 20), bool)
    bar[2:7, 2:18] = True
    assert metrics.warping_error(bar, np.roll(bar, 1, 1)) == 0  # a shift costs nothing
    split = bar.copy()
    split[:, 9] = False
    assert metrics.warping_error(bar, split) == 1 / bar.size  # one pixel must stay to keep the bar whole
    assert metrics.warping_error(bar, np.zeros_like(bar)) == 1 / bar.size  # the last pixel cannot vanish
    hole = bar.copy()
    hole[4, 9] = False
    assert metrics.warping_error(bar, hole) == 1 / bar.size


def test_challenge_errors_take_the_best_threshold():
    membrane = (labels(0) == 0).astype(int)
    assert metrics.challenge_errors(0.3 * membrane, membrane) == {"rand": 0.0, "warping": 0.0, "pixel": 0.0}


# --- data and figures ---


def test_touching_cells():
    images, instances = datasets.touching_cells(3, 48, seed=5)
    again = datasets.touching_cells(3, 48, seed=5)
    assert images.shape == (3, 48, 48, 1) and images.dtype == "float32" and instances.dtype == "int32"
    np.testing.assert_array_equal(images, again[0])
    for one in instances:
        for n in range(1, one.max() + 1):
            assert ndimage.label(one == n)[1] == 1, "an instance is one region"
    assert np.any(losses.separate(instances) != instances), "some cells touch"


def test_isbi_em_reads_local_files_and_refuses_others(tmp_path, monkeypatch):
    from PIL import Image
    from repin import repin

    for kind in ("image", "label"):
        for i in range(30):
            file = tmp_path / f"isbi_em/data/membrane/train/{kind}/{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), i if kind == "image" else 255 * (i % 2), "uint8")).save(file)
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="SHA-256"):
        datasets.isbi_em()
    repin(monkeypatch, "isbi_em", tmp_path)
    (x, y), (x_test, y_test) = datasets.isbi_em(test_size=5)
    assert x.shape == (25, 8, 8, 1) and x_test.shape == (5, 8, 8, 1) and y.shape == (25, 8, 8)
    np.testing.assert_allclose(x_test[:, 0, 0, 0] * 255, range(25, 30), rtol=1e-6)
    np.testing.assert_array_equal(y_test[:, 0, 0], [0, 1, 0, 1, 0])


def test_figures(tmp_path):
    images, instances = datasets.touching_cells(2, 32)
    plots.overlay(images[0], instances[0] > 0, title="cells").savefig(tmp_path / "a.png")
    figure = plots.side_by_side([{"image": images[0], "cells": instances[0]}, {"image": images[1]}])
    assert [axis.get_title() for axis in figure.axes] == ["image", "cells", "image"]
