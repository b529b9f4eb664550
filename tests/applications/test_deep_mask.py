"""What is special to DeepMask: the paper's shapes, equation 1, dense evaluation against single patches, masks in the image, sampling."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from zoo import datasets
from zoo.applications import DeepMask
from zoo.applications.deep_mask import _boxes
from zoo.datasets.patches import CANONICAL, canonical

RNG = np.random.default_rng(0)


def small(**arguments):
    keras.utils.set_random_seed(0)
    return DeepMask(**{**DeepMask.example_config(), **arguments})


def weights_of(model, name):
    return [ops.convert_to_numpy(v) for v in model.network.get_layer(name).weights]


def test_the_papers_network():
    model = DeepMask()
    widths = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    expected = sum(9 * i * o + o for i, o in zip(widths, widths[1:]))
    expected += 512 * 512 + 512 + (14 * 14 * 512) * 512 + 512 + 512 * 56 * 56 + 56 * 56
    expected += (7 * 7 * 512) * 512 + 512 + 512 * 1024 + 1024 + 1024 + 1
    assert model.count_params() == expected
    assert model.stride == 16 and model.score_weight == 1 / 32
    trunk = keras.Model(model.network.input, model.network.get_layer("mask_conv").input)
    assert trunk.compute_output_shape((1, 224, 224, 3)) == (1, 14, 14, 512)
    assert model.network.compute_output_shape((1, 224 + 32, 224 + 16, 3)) == [(1, 3, 2, 56 * 56), (1, 3, 2, 1)]
    assert isinstance(model.optimizer, keras.optimizers.SGD) and model.optimizer.momentum == 0.9


def test_dense_evaluation_is_the_heads_on_every_window_of_features():
    """The oracle writes the heads as the paper does: dense layers, and a max-pooling of stride 2 for the score."""
    model = small()
    image = RNG.uniform(size=(1, 48, 56, 1)).astype("float32")
    features = ops.convert_to_numpy(keras.Model(model.network.input, model.network.get_layer("mask_conv").input)(image))[0]
    mask, score = (ops.convert_to_numpy(a)[0] for a in model._everywhere(ops.convert_to_tensor(image)))
    side = 32 // model.stride
    assert mask.shape == (5, 7, 12, 12) and score.shape == (5, 7)
    (k1, b1), (k2, b2), (k3, b3) = (weights_of(model, name) for name in ("mask_conv", "mask_rank", "mask"))
    (s1, c1), (s2, c2), (s3, c3) = (weights_of(model, name) for name in ("score_dense1", "score_dense2", "score"))
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            window = features[i : i + side, j : j + side]
            hidden = np.maximum(window @ k1[0, 0] + b1, 0).ravel() @ k2.reshape(-1, k2.shape[-1]) + b2
            np.testing.assert_allclose(mask[i, j].ravel(), hidden @ k3[0, 0] + b3, rtol=1e-3, atol=1e-4)
            pooled = window.reshape(side // 2, 2, side // 2, 2, -1).max((1, 3)).ravel()
            hidden = np.maximum(np.maximum(pooled @ s1.reshape(-1, s1.shape[-1]) + c1, 0) @ s2[0, 0] + c2, 0)
            np.testing.assert_allclose(score[i, j], (hidden @ s3[0, 0] + c3)[0], rtol=1e-3, atol=1e-4)


def test_a_patch_is_the_dense_network_on_it():
    model = small()
    patch = RNG.uniform(size=(3, 32, 32, 1)).astype("float32")
    found = model.predict(patch, verbose=0)
    dense = {k: ops.convert_to_numpy(v) for k, v in model.signatures()["dense"][0](ops.convert_to_tensor(patch)).items()}
    np.testing.assert_allclose(dense["mask"][:, 0, 0], 1 / (1 + np.exp(-found["mask"])), rtol=1e-5)
    np.testing.assert_allclose(dense["score"][:, 0, 0], 1 / (1 + np.exp(-found["score"])), rtol=1e-5)


def test_equation_1():
    model = small(dropout=0.0)
    x, w = RNG.uniform(size=(4, 32, 32, 1)).astype("float32"), np.array([1, 2, 0, 3], "float32")
    mask, there = RNG.integers(0, 2, (4, 12, 12)), np.array([1, 0, 1, 0])
    out = model.predict(x, verbose=0)
    m, y = 2 * mask - 1, 2 * there - 1
    segment = (1 + y) / (2 * 12 * 12) * np.log1p(np.exp(-m * out["mask"])).sum((1, 2))
    expected = segment + 0.25 * np.log1p(np.exp(-y * out["score"]))
    for weight in (None, w):
        found = model.evaluate(x, {"mask": mask, "object": there}, sample_weight=weight, batch_size=4, verbose=0)
        np.testing.assert_allclose(found, np.mean(expected * (1 if weight is None else w)), rtol=1e-5)
    # the masks of negatives teach nothing
    other = np.where(there[:, None, None] == 1, mask, 1 - mask)
    np.testing.assert_allclose(model.evaluate(x, {"mask": other, "object": there}, verbose=0), np.mean(expected), rtol=1e-5)


def test_masks_are_enlarged_bilinearly_to_their_square():
    model = small()
    logits = RNG.normal(size=(3, 12, 12)).astype("float32")
    squares = np.array([[5.0, 3, 29, 27], [-6.5, 10, 17.5, 34], [20, 20, 26, 26]])
    found = model._masks(logits, squares, (40, 36), 0.4)
    for mask, map_, (left, top, right, bottom) in zip(found, logits, squares):
        y, x = np.mgrid[:40, :36] + 0.5
        where = [(y - top) / (bottom - top) * 12 - 0.5, (x - left) / (right - left) * 12 - 0.5]
        value = ndimage.map_coordinates(map_, where, order=1, mode="nearest")
        inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
        sure = np.abs(value - np.log(0.4 / 0.6)) > 1e-4
        np.testing.assert_array_equal(mask[sure], (inside & (value > np.log(0.4 / 0.6)))[sure])
    boxes, full = _boxes(np.stack([*found, np.zeros((40, 36), bool)]))
    assert full.tolist() == [True, True, True, False]
    for mask, box in zip(found, boxes):
        (down, across) = np.nonzero(mask)
        assert box.tolist() == [across.min(), down.min(), across.max() + 1, down.max() + 1]


def test_propose_ranks_every_patch_of_every_scale():
    model = small()
    image = RNG.uniform(size=(40, 53)).astype("float32")
    masks, boxes, scores = model.propose(image, 500, scales=[1.0], threshold=0.01)
    assert masks.shape[1:] == (40, 53) and len(masks) == len(boxes) == len(scores) <= 10 * 14
    assert np.all(np.diff(scores) <= 0)
    first = model.propose(image, 1, scales=[1.0], threshold=0.01)[2]
    assert masks.dtype == bool and len(first) <= 1
    everything, _ = model._run(model._padded(image[..., None], (40, 53)))
    assert everything.shape[1] >= 10 and everything.shape[2] >= 14
    both = model.propose(image, 2000, scales=[1.0, 2.0], threshold=0.01)[2]
    assert set(np.round(scores, 4)) <= set(np.round(both, 4)) and len(both) > len(scores)
    fewer = model.propose(image, 500, scales=[1.0], threshold=0.01, overlap=0.3)
    assert len(fewer[0]) < len(masks)


def test_propose_places_masks_where_the_patch_is():
    """A network whose mask is the patch itself, reduced: proposals must then repeat the image."""
    model = small()

    def run(images):
        images = np.asarray(images)[0, :, :, 0]
        rows, columns = ((n - 32) // model.stride + 1 for n in images.shape)
        patches = np.stack([[images[4 * r : 4 * r + 32, 4 * c : 4 * c + 32] for c in range(columns)] for r in range(rows)])
        small_ = ndimage.zoom(patches, (1, 1, 12 / 32, 12 / 32), order=1, grid_mode=True, mode="nearest")
        centre = patches[:, :, 10:22, 10:22].mean((2, 3)) - patches.mean((2, 3))
        return ops.convert_to_tensor((20 * (small_ - 0.5))[None]), ops.convert_to_tensor(centre[None])

    model._run = run
    y, x = np.mgrid[:60, :80]
    disc = np.hypot(y - 28, x - 44) < 7
    for scales in ([1.0], [0.5, 1.0, 1.4]):
        masks, boxes, _ = model.propose(disc.astype("float32"), 5, scales, threshold=0.5)
        assert (masks[0] & disc).sum() / (masks[0] | disc).sum() > 0.8
        np.testing.assert_allclose(boxes[0], [38, 22, 51, 35], atol=2)


def test_refusals():
    for arguments, name in (({"size": 36}, "size"), ({"pools": [5]}, "pools"), ({"mask_size": 0}, "filters")):
        with pytest.raises(ValueError, match=f"`{name}`"):
            small(**arguments)
    model = small()
    for arguments in ({"n": 0}, {"threshold": 1.0}, {"scales": [0.0]}, {"scales": []}, {"overlap": np.nan}):
        with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must"):
            model.propose(np.zeros((40, 40)), **arguments)
    with pytest.raises(ValueError, match="`image`"):
        model.propose(np.zeros((40, 40, 3)))


# --- sampling ---


@pytest.fixture
def scene():
    """Two images of discs, whose pixels are their own coordinates."""
    y, x = np.mgrid[:120, :140].astype("float32")
    images = np.stack([np.stack([x + 0.5, y + 0.5], -1)] * 2)
    instances = np.zeros((2, 120, 140), int)
    for n, number, row, column, radius in ((0, 1, 50, 60, 10), (0, 3, 80, 100, 7), (1, 2, 60, 70, 12)):
        instances[n][np.hypot(y - row, x - column) < radius] = number
    return images, instances


def squares_of(patches):
    """Squares of patches of coordinates, from their middle."""
    step = patches[:, 16, 16] - patches[:, 15, 15]
    centre = (patches[:, 16, 16] + patches[:, 15, 15]) / 2
    return np.concatenate([centre - 16 * step, centre + 16 * step], 1), np.abs(step[:, 0] - step[:, 1]) < 1e-3


def test_positives_are_canonical_and_negatives_are_not(scene):
    images, instances = scene
    sampler = datasets.MaskPatches(images, instances)
    assert sorted(sampler.place[:, 2]) == [13, 19, 23]
    patches, y = sampler.draw(64, 64, 32, 16, np.random.default_rng(0), flip=False)
    assert patches.shape == (128, 32, 32, 2) and y["mask"].shape == (128, 16, 16) and y["object"].tolist() == [1] * 64 + [0] * 64
    squares, inside = squares_of(patches)
    places = np.tile([[[60.5, 50.5, 19], [100.5, 80.5, 13], [70.5, 60.5, 23]]], (128, 1, 1))
    fits = canonical(squares, places, 16 / 224 + 1e-3, 0.25 + 1e-3).any(1)
    assert fits[:64].all() and not y["mask"][64:].any()
    own = np.stack([canonical(squares, places[:, part], 32 / 224 - 1e-3, 1 - 1e-3).any(1) for part in ([0, 1], [2])])
    assert not own.all(0)[64:][inside[64:]].any()
    # the mask of a positive is a disc of the canonical size at its centre
    share = y["mask"][:64].mean((1, 2))
    expected = np.pi / 4 / CANONICAL**2
    assert np.all(share > 0.55 * expected) and np.all(share < 1.6 * expected) and y["mask"][:64, 7:9, 7:9].all()


def test_objects_that_the_border_cuts_are_no_positives(scene):
    images, instances = scene
    instances[1][:20, 30:50] = 5
    sampler = datasets.MaskPatches(images, instances)
    assert 5 not in sampler.label and len(sampler.label) == 3
    assert datasets.MaskPatches(images, instances, least=20).label.tolist() == [2]


def test_patches_and_masks_are_flipped_together(scene):
    _, instances = scene
    images = (instances > 0).astype("float32")
    patches, y = datasets.MaskPatches(images, instances).draw(40, 0, 32, 32, np.random.default_rng(1))
    agree = ((patches > 0.5) == y["mask"]).mean((1, 2))
    assert agree.min() > 0.95


def test_sampler_refuses():
    with pytest.raises(ValueError, match="`instances` must have the shape"):
        datasets.MaskPatches(np.zeros((1, 5, 5)), np.zeros((1, 5, 6), int))
    with pytest.raises(ValueError, match="`instances` must hold an object"):
        datasets.MaskPatches(np.zeros((1, 5, 5)), np.zeros((1, 5, 5), int))


def test_nuclei():
    try:
        image, instances = datasets.nuclei()
    except ImportError as error:
        assert "pip install" in str(error)
        return
    assert image.shape == instances.shape == (512, 512) and len(np.unique(instances)) == 126
    assert image.min() == 0 and image.max() == 1
