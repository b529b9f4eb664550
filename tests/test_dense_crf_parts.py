"""Parts of the dense CRF against brute force, a lattice written out point by point, and pydensecrf (golden arrays)."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff
from zoo.layers import MeanFieldCRF, PermutohedralLattice, exact_filter, permutohedral, spatial_filter

RNG = np.random.default_rng(0)
GOLDEN = np.load(Path(__file__).parent / "golden" / "crf_as_rnn.npz")


def array(x):
    return ops.convert_to_numpy(x)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gaussian(features):
    return np.exp(-0.5 * ((features[:, None].astype("float64") - features[None]) ** 2).sum(-1))


def lattice_matrix(features):
    """The filter as a matrix, by the remainder-and-rank algorithm of Adams et al. with a Python dict."""
    n, d = features.shape
    scale = np.sqrt(2 / 3) * (d + 1) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2))
    numbers, splat = {}, []
    for f in features.astype("float64"):
        elevated, total = np.zeros(d + 1), 0.0
        for i in range(d, 0, -1):
            elevated[i] = total - i * f[i - 1] * scale[i - 1]
            total += f[i - 1] * scale[i - 1]
        elevated[0] = total
        near = np.round(elevated / (d + 1)).astype(int) * (d + 1)
        rank = np.array([sum(elevated[j] - near[j] > elevated[i] - near[i] for j in range(d + 1)) for i in range(d + 1)])
        rank = rank + near.sum() // (d + 1)
        near, rank = near - (d + 1) * (rank > d) + (d + 1) * (rank < 0), rank % (d + 1)
        weights = np.zeros(d + 2)
        for i in range(d + 1):
            weights[d - rank[i]] += (elevated[i] - near[i]) / (d + 1)
            weights[d + 1 - rank[i]] -= (elevated[i] - near[i]) / (d + 1)
        weights[0] += 1 + weights[d + 1]
        for k in range(d + 1):
            key = tuple(near[i] + (k if rank[i] <= d - k else k - d - 1) for i in range(d + 1))
            splat.append((len(splat) // (d + 1), numbers.setdefault(key, len(numbers)), weights[k]))
    matrix = np.zeros((n, len(numbers)))
    for row, column, weight in splat:
        matrix[row, column] += weight
    blur = np.eye(len(numbers))
    for axis in range(d + 1):
        step = np.eye(len(numbers))
        for key, number in numbers.items():
            for sign in (1, -1):
                other = tuple(k + sign * (1 - (d + 1) * (i == axis)) for i, k in enumerate(key))
                if other in numbers:
                    step[number, numbers[other]] += 0.5
        blur = step @ blur
    return matrix @ blur @ matrix.T / (1 + 2.0**-d), len(numbers)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5, 7])
def test_lattice_equals_the_published_algorithm(dimensions):
    """Up to the order of the blur's axes, which the bases number differently: sums over both orders agree."""
    features = RNG.normal(scale=2.0, size=(40, dimensions)).astype("float32")
    lattice = PermutohedralLattice(features[None])
    found = array(lattice.filter(np.eye(40, dtype="float32")[None]))[0]
    expected, count = lattice_matrix(features)
    assert int(lattice.count) == count
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_lattice_approximates_the_gaussian():
    """Where vertices are dense, up to a factor that normalisation takes out."""
    row, column = np.mgrid[:30, :30]
    features = np.stack([row, column], -1).reshape(1, -1, 2).astype("float32") / 3
    eye = np.eye(900, dtype="float32")[None]
    exact, lattice = array(exact_filter(features, eye))[0], array(PermutohedralLattice(features).filter(eye))[0]
    np.testing.assert_allclose(exact, gaussian(features[0]), rtol=1e-3, atol=1e-7)
    exact, lattice = (k / np.sqrt(np.outer(k.sum(1), k.sum(1))) for k in (exact, lattice))
    assert np.abs(exact - lattice).sum(1).mean() < 0.1 and np.corrcoef(exact.ravel(), lattice.ravel())[0, 1] > 0.99


def test_images_of_a_batch_do_not_meet():
    features = RNG.normal(size=(3, 50, 3)).astype("float32")
    features[1] = features[0]
    values = RNG.normal(size=(3, 50, 4)).astype("float32")
    together = array(PermutohedralLattice(features).filter(values))
    for i in range(3):
        alone = array(PermutohedralLattice(features[i : i + 1]).filter(values[i : i + 1]))
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)


@pytest.mark.parametrize("spread", [0.2, 30.0])
def test_table_sizes_and_gradients(monkeypatch, spread):
    """Few vertices or many, one table or two: the same filter; its gradient is the transposed matrix."""
    features = RNG.normal(scale=spread, size=(1, 60, 5)).astype("float32")
    eye, weights = np.eye(60, dtype="float32")[None], RNG.normal(size=(1, 60, 60)).astype("float32")
    expected = array(PermutohedralLattice(features).filter(eye))
    monkeypatch.setattr(permutohedral, "SMALL", 0)
    lattice = PermutohedralLattice(features)
    assert (int(lattice.count) <= 120) == (spread < 1)
    np.testing.assert_allclose(array(lattice.filter(eye)), expected, atol=1e-6)
    gradient = autodiff.grad(lambda x: ops.sum(weights * lattice.filter(x)), eye)
    np.testing.assert_allclose(array(gradient)[0], expected[0].T @ weights[0], atol=1e-4)


def test_extreme_features():
    same = np.zeros((1, 20, 3), "float32")
    assert int(PermutohedralLattice(same).count) <= 4
    far = (np.arange(20)[:, None] * np.float32([1e5, -3e5, 7e4])).astype("float32")[None]
    lone = array(PermutohedralLattice(far).filter(np.eye(20, dtype="float32")[None]))[0]
    np.testing.assert_array_equal(lone > 0, np.eye(20, dtype=bool))
    huge = array(PermutohedralLattice(np.full((1, 4, 2), 1e30, "float32")).filter(np.ones((1, 4, 1), "float32")))
    assert huge.shape == (1, 4, 1)  # no key is a number any more, but the table still ends


@pytest.mark.parametrize("size", [(1, 1), (5, 70), (33, 40)])
@pytest.mark.parametrize("sigma", [0.8, 3.0, 11.0])
def test_spatial_filter_is_the_sum(size, sigma):
    images = RNG.uniform(size=(2, *size, 3)).astype("float32")
    kernels = [np.exp(-0.5 * ((np.arange(n)[:, None] - np.arange(n)) / sigma) ** 2) for n in size]
    expected = np.einsum("hi,biwc,vw->bhvc", kernels[0], images, kernels[1])
    np.testing.assert_allclose(array(spatial_filter(images, sigma)), expected, rtol=2e-5)


# --- the layer ---


def dense_mean_field(logits, image, layer, steps):
    """Algorithm 1 with whole matrices, one image."""
    height, width, classes = logits.shape
    row, column = np.mgrid[:height, :width]
    place = np.stack([row, column], -1).reshape(-1, 2)
    colour = 255 * image.reshape(height * width, -1) / layer.theta_beta
    kernels = [gaussian(np.concatenate([colour, place / layer.theta_alpha], -1)), gaussian(place / layer.theta_gamma)]
    for i, kernel in enumerate(kernels):
        norm = kernel.sum(1)
        kernels[i] = kernel / np.sqrt(norm[:, None] * norm) if layer.normalization == "symmetric" else kernel / norm[:, None]
    unary = refined = logits.reshape(-1, classes).astype("float64")
    for _ in range(steps):
        beliefs = softmax(refined)
        passed = array(layer.bilateral_weights) * (kernels[0] @ beliefs) + array(layer.spatial_weights) * (kernels[1] @ beliefs)
        refined = unary - passed @ array(layer.compatibility)
    return refined.reshape(logits.shape)


def built(classes=3, **arguments):
    layer = MeanFieldCRF(theta_alpha=6.0, theta_beta=20.0, theta_gamma=2.0, **arguments)
    layer.build([(None, None, None, classes), (None, None, None, 3)])
    return layer


@pytest.mark.parametrize("normalization", ["symmetric", "after"])
@pytest.mark.parametrize("channels", [1, 3])
def test_layer_equals_dense_inference(normalization, channels):
    layer = built(4, iterations=2, inference_iterations=4, normalization=normalization)
    for weight in layer.weights:
        weight.assign(RNG.uniform(0, 1, weight.shape))
    image = RNG.uniform(0, 0.2, (2, 9, 11, channels)).astype("float32")
    logits = RNG.normal(size=(2, 9, 11, 4)).astype("float32")
    for training, steps in ((True, 2), (False, 4)):
        found = array(layer([logits, image], training=training))
        for i in range(2):
            np.testing.assert_allclose(found[i], dense_mean_field(logits[i], image[i], layer, steps), rtol=1e-4, atol=1e-4)


def refine(steps, **arguments):
    layer = built(inference_iterations=steps, exact_pixels=0, **arguments)
    return softmax(array(layer([GOLDEN["logits"][None], GOLDEN["image"][None] / np.float32(255)])))[0]


def test_pydensecrf():
    bilateral = refine(10, bilateral_weight=5.0, spatial_weight=0.0)
    np.testing.assert_allclose(bilateral, GOLDEN["ten_symmetric_bilateral_steps"], atol=1e-3)
    after = refine(5, bilateral_weight=2.0, spatial_weight=0.0, normalization="after")
    np.testing.assert_allclose(after, GOLDEN["five_after_bilateral_steps"], atol=1e-3)
    both = refine(10, bilateral_weight=1.0, spatial_weight=0.5)  # their spatial kernel is a lattice, ours is exact
    np.testing.assert_allclose(both, GOLDEN["ten_steps_of_both"], atol=0.03)
    assert np.mean(both.argmax(-1) == GOLDEN["ten_steps_of_both"].argmax(-1)) > 0.98


def test_pydensecrf_filters():
    """One step without normalisation shows the sums themselves."""
    row, column = np.mgrid[:18, :14]
    place = np.stack([column, row], -1).reshape(-1, 2)
    beliefs = softmax(GOLDEN["logits"].reshape(-1, 3))
    colour = GOLDEN["image"].reshape(-1, 3) / 20
    for name, features in (("spatial", place / 2), ("bilateral", np.concatenate([place / 6, colour], -1))):
        sums = array(PermutohedralLattice(features[None].astype("float32")).filter(beliefs[None]))[0]
        found = softmax(GOLDEN["logits"].reshape(-1, 3) + 0.5 * sums)
        np.testing.assert_allclose(found, GOLDEN[f"one_raw_{name}_step"].reshape(-1, 3), atol=2e-3)


def test_lattice_and_exact_inference_agree():
    image, logits = GOLDEN["image"][None] / np.float32(255), GOLDEN["logits"][None]
    exact, lattice = (softmax(array(built(exact_pixels=n)([logits, image]))) for n in (1000, 0))
    assert np.mean(exact.argmax(-1) == lattice.argmax(-1)) > 0.95 and np.abs(exact - lattice).mean() < 0.05


@pytest.mark.parametrize("exact_pixels", [0, 100])
def test_gradients(exact_pixels):
    layer = built(iterations=2, bilateral_weight=0.6, spatial_weight=0.4, exact_pixels=exact_pixels)
    image, logits = RNG.uniform(0, 0.3, (1, 5, 4, 3)).astype("float32"), RNG.normal(size=(1, 5, 4, 3)).astype("float32")
    weights = RNG.normal(size=logits.shape).astype("float32")

    def loss(x):
        return ops.sum(weights * layer([x, image], training=True))

    found, step = array(autodiff.grad(loss, logits)), 1e-2
    for place in ((0, 0, 0, 0), (0, 2, 3, 1), (0, 4, 1, 2)):
        moved = [logits.copy(), logits.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        slope = (float(loss(moved[0])) - float(loss(moved[1]))) / (2 * step)
        np.testing.assert_allclose(found[place], slope, rtol=2e-2, atol=2e-2)


def test_noise_goes_and_the_edge_stays():
    """A two-coloured image and labels of which a fifth are wrong."""
    truth = np.zeros((40, 40), int)
    truth[:, 17:] = 1
    seen = np.where(RNG.uniform(size=truth.shape) < 0.2, 1 - truth, truth)
    image = np.clip(0.4 + 0.3 * truth[..., None] + RNG.normal(0, 0.01, (40, 40, 3)), 0, 1).astype("float32")
    found = array(built(2)([np.eye(2, dtype="float32")[seen][None], image[None]]))[0].argmax(-1)
    assert np.mean(found != truth) < 0.01 < np.mean(seen != truth)


def test_layer_in_a_functional_model():
    """On any network's logits and image, of free size; exact and lattice are chosen in the graph; config and weights come back."""
    logits, image = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    layer = MeanFieldCRF(6.0, 20.0, 2.0, 2, 3, 1.5, 0.5, "after", exact_pixels=60)
    model = keras.Model([logits, image], layer([logits, image]))
    copy = keras.Model.from_config(model.get_config())
    assert copy.layers[-1].get_config() == layer.get_config()
    run = autodiff.compiled(lambda x, y: model([x, y]), model)
    for size in ((6, 10), (7, 11), (8, 12)):
        x, y = RNG.normal(size=(2, *size, 3)).astype("float32"), RNG.uniform(size=(2, *size, 3)).astype("float32")
        expected = array(layer([x, y]))
        np.testing.assert_allclose(array(run(ops.convert_to_tensor(x), ops.convert_to_tensor(y))), expected, atol=1e-4)
        direct = dense_mean_field(x[0], y[0], layer, 3)
        assert (np.abs(expected[0] - direct).max() < 1e-3) == (size == (6, 10))


def test_refusals():
    for name in ("theta_alpha", "theta_beta", "theta_gamma", "iterations", "inference_iterations", "normalization"):
        with pytest.raises(ValueError, match=f"`{name}`"):
            MeanFieldCRF(**{name: 0})
