"""What is special to dynamic capacity networks: patches equal the whole image, saliency, routed gradients, the hint, the operations."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff, datasets, plots
from zoo.applications import DynamicCapacityNet

RNG = np.random.default_rng(0)
SMALL = DynamicCapacityNet.example_config()


def small(**arguments):
    keras.utils.set_random_seed(0)
    return DynamicCapacityNet(**{**SMALL, **arguments})


def images(n=5, shape=SMALL["image_shape"]):
    return RNG.normal(size=(n, *shape)).astype("float32")


def numpy_of(x):
    return ops.convert_to_numpy(x)


def moved(model):
    """Statistics as if it had been trained, so that normalisation is no identity."""
    for weight in model.non_trainable_weights:
        if "moving" in weight.path:
            weight.assign(RNG.uniform(0.5, 2.0, weight.shape))
    return model


@pytest.mark.parametrize("arguments", [{}, {"batch_normalization": True}, {"image_shape": (13, 9, 2), "patches": 5}])
def test_patches_through_the_fine_layers_equal_the_whole_image(arguments):
    model = moved(small(**arguments))
    x = images(shape=model.image_shape)
    whole = numpy_of(model.fine_layers(model._padded(ops.convert_to_tensor(x), model.fine)))
    assert whole.shape[1:3] == model.map_size == tuple(-(-n // 4) for n in model.image_shape[:2])
    found = model._refine(ops.convert_to_tensor(x))
    rows, columns = np.divmod(numpy_of(found["positions"]), model.map_size[1])
    np.testing.assert_allclose(numpy_of(found["fine"]), whole[np.arange(len(x))[:, None], rows, columns], atol=1e-5)
    coarse = numpy_of(model.coarse_layers(model._padded(ops.convert_to_tensor(x), model.coarse)))
    np.testing.assert_allclose(numpy_of(found["coarse"]), coarse[np.arange(len(x))[:, None], rows, columns], atol=1e-5)


def test_attend_gives_the_pixels_that_the_fine_layers_see():
    model = small()
    x = images()
    found = model.attend(x)
    side = model.patch_size
    assert side == 3 + 2 * 2 and found["patches"].shape == (5, 3, side, side, 2) and found["saliency"].shape == (5, 4, 5)
    padded = np.pad(x, ((0, 0), (9, 9), (9, 9), (0, 0)))
    for i in range(5):
        order = np.argsort(-found["saliency"][i].ravel())[:3]
        np.testing.assert_array_equal(found["positions"][i], np.stack(np.divmod(order, 5), -1))
        for (row, column), patch in zip(found["corners"][i] + 9, found["patches"][i]):
            np.testing.assert_array_equal(patch, padded[i, row : row + side, column : column + side])
    # a patch lies around the pixels that its vector stands for
    np.testing.assert_array_less(np.abs(found["corners"] + side / 2 - (found["positions"] * 4 + 2)), 3)


def test_saliency_is_the_gradient_of_the_entropy():
    """Against central differences of an entropy written in NumPy."""
    model = small()
    features = np.abs(RNG.normal(size=(1, 4, 5, 6))).astype("float32")

    def entropy(values):
        logits = numpy_of(model.top_layers(values.astype("float32"))).astype("float64")
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        return -np.sum(p * np.log(p), -1)

    steps = 1e-2 * np.eye(features.size).reshape(-1, 4, 5, 6)
    gradient = (entropy(features + steps) - entropy(features - steps)).reshape(4, 5, 6) / 2e-2
    found = numpy_of(model._saliency(ops.convert_to_tensor(features)))[0]
    np.testing.assert_allclose(found, np.linalg.norm(gradient, axis=-1), atol=3e-3 * found.max())


def test_the_ends_are_the_coarse_and_the_fine_model():
    x = images()
    attentive = small()
    for patches, verb in ((0, attentive.predict_coarse), (None, attentive.predict_fine)):
        end = small(patches=patches)
        end.set_weights(attentive.get_weights())
        np.testing.assert_allclose(end.predict(x, verbose=0), verb(x), atol=1e-5)
    everywhere = small(patches=20)
    everywhere.set_weights(attentive.get_weights())
    np.testing.assert_allclose(everywhere.predict(x, verbose=0), attentive.predict_fine(x), atol=1e-5)
    assert np.abs(attentive.predict_coarse(x) - attentive.predict_fine(x)).max() > 1e-3


def gradients(model, x, y, training=True):
    """Gradient of the objective with respect to every trainable weight, by path."""
    variables = model.trainable_variables

    def loss(values):
        with autodiff.Scope(zip(variables, values)):
            return model.objective(x, y, model(x, training=training), None, training)

    found = autodiff.grad(loss, [v.value for v in variables])
    return {v.path: numpy_of(g) for v, g in zip(variables, found)}


def test_gradients_are_routed_by_position():
    """With all positions refined nothing but the hint reaches the coarse layers, and the hint reaches nothing else."""
    x, y = ops.convert_to_tensor(images()), np.array([0, 1, 2, 0, 1])
    full = gradients(small(patches=20, hint=0.0), x, y)
    hinted = gradients(small(patches=20, hint=0.5), x, y)
    for path, gradient in full.items():
        if "coarse" in path:
            assert np.all(gradient == 0) and np.any(hinted[path] != 0)
        else:
            assert np.any(gradient != 0)
            np.testing.assert_allclose(hinted[path], gradient, atol=1e-6)
    few = gradients(small(hint=0.0), x, y)
    assert all(np.any(gradient != 0) for gradient in few.values())


def test_objective_is_cross_entropy_and_hint():
    model = small()
    x, y = images(), np.array([0, 1, 2, 0, 1])
    found = {key: numpy_of(value) for key, value in model._refine(ops.convert_to_tensor(x)).items()}
    nats = np.log(np.exp(found["logits"]).sum(-1)) - found["logits"][np.arange(5), y]
    hints = 0.5 * np.sum((found["coarse"] - found["fine"]) ** 2, axis=(1, 2))
    weights = np.float32([1, 0, 2, 3, 0])
    for training, each in ((True, nats + hints), (False, nats)):
        for weight in (None, weights):
            y_pred = model(x, training=training)
            value = model.objective(ops.convert_to_tensor(x), ops.convert_to_tensor(y), y_pred, weight, training)
            np.testing.assert_allclose(float(value), np.mean(each if weight is None else weight * each), rtol=1e-4)
    np.testing.assert_allclose(model.evaluate(x, y, sample_weight=weights, verbose=0)[0], np.mean(weights * nats), rtol=1e-4)


def test_statistics_move_once_a_step():
    """The hint's pass is no second update: statistics after a step of rate zero are the same with and without it."""
    after = []
    for hint in (0.0, 0.5):
        model = small(hint=hint, batch_normalization=True)
        model.compile(optimizer=keras.optimizers.SGD(0.0))
        model.fit(np.arange(4 * 14 * 17 * 2, dtype="float32").reshape(4, 14, 17, 2) % 7, np.array([0, 1, 2, 0]), verbose=0)
        after.append([numpy_of(w) for w in model.non_trainable_weights if "moving" in w.path])
    assert any(np.any((w != 0) & (w != 1)) for w in after[0])
    for a, b in zip(*after):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_operations_by_hand():
    """The default network on 100 x 100 pixels, whose map is 25 x 25 and whose patches have 15 pixels."""
    model = DynamicCapacityNet()
    assert model.map_size == (25, 25) and model.patch_size == 15
    coarse = 51**2 * 7 * 7 * 12 + 25**2 * 9 * 12 * 24
    sizes = [109, 107, 53, 51, 25]
    fine = sum(n * n * 9 * c * 24 for n, c in zip(sizes, (1, 24, 24, 24, 24)))
    patch = sum(n * n * 9 * c * 24 for n, c in zip([13, 11, 5, 3, 1], (1, 24, 24, 24, 24)))
    top = 11**2 * 16 * 24 * 96 + 96 * 10
    assert model.multiply_adds() == {"coarse": coarse + top, "fine": fine + top, "dynamic": coarse + 3 * top + 8 * patch}
    assert small(patches=0).multiply_adds()["dynamic"] < small(patches=1).multiply_adds()["dynamic"]


def test_attention_can_be_learned():
    """A few steps lower the loss under jit, with one compiled graph."""
    digits, labels = RNG.uniform(0.5, 1, (30, 8, 8, 1)), np.arange(30) % 3
    digits *= (labels[:, None, None, None] + 1) / 3
    x, y, _ = datasets.cluttered_digits(digits, labels, 64, size=16, pieces=2, piece=3)
    model = small(image_shape=(16, 16, 1), hint=0.01)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    losses = model.fit(x, y, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_refusals():
    for arguments, name in (
        ({"image_shape": (10, 10)}, "image_shape"),
        ({"num_classes": 1}, "num_classes"),
        ({"coarse": ()}, "coarse"),
        ({"coarse": ((6, 3, 4),)}, "coarse"),
        ({"fine": ((5, 3, 2), (6, 3, 1))}, "fine"),
        ({"fine": ((5, 3, 2), (5, 3, 2))}, "fine"),
        ({"top": ((4, 7, 1),)}, "top"),
        ({"patches": 21}, "patches"),
        ({"patches": -1}, "patches"),
        ({"hint": -0.1}, "hint"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            small(**arguments)
    with pytest.raises(ValueError, match="`patches`"):
        small(patches=0).attend(images())
    for verb in (small().attend, small().predict_coarse, small().predict_fine):
        with pytest.raises(ValueError, match="`image`"):
            verb(images()[:, 1:])


# --- the parts that came with the method ---


def test_cluttered_digits():
    digits = RNG.uniform(0.1, 1, (20, 6, 6, 1)).astype("float32")
    x, y, corners = datasets.cluttered_digits(digits, np.arange(20), 40, size=15, pieces=3, piece=2, seed=4)
    assert x.shape == (40, 15, 15, 1) and x.dtype == np.float32 and y.dtype == np.int32
    assert corners.min() == 0 and corners.max() == 9 and len(set(y)) > 10
    for image, label, (row, column) in zip(x, y, corners):
        inside = image[row : row + 6, column : column + 6]
        assert np.all(inside >= digits[label])
        image[row : row + 6, column : column + 6] = 0
        outside = image[image > 0]
        assert len(outside) <= 3 * 4 and np.isin(outside, np.delete(digits, label, 0)).all()
    again, other = (datasets.cluttered_digits(digits, np.arange(20), 40, 15, 3, 2, seed)[0] for seed in (4, 5))
    assert (again != other).any()
    bare, label, corner = datasets.cluttered_digits(digits, np.arange(20), 1, 15, pieces=0, piece=2)
    np.testing.assert_allclose(bare.sum(), digits[label[0]].sum(), rtol=1e-5)
    for arguments in ({"size": 5}, {"size": 15, "piece": 7}):
        with pytest.raises(ValueError, match="`size`"):
            datasets.cluttered_digits(digits, np.arange(20), 1, **arguments)


def test_picture_of_attended_patches():
    model, x = small(image_shape=(14, 17, 1)), images(2, (14, 17, 1))
    found = model.attend(x)
    figure = plots.attended_patches(x, found["corners"], model.patch_size, found["saliency"], ["a", "b"])
    frames = figure.axes[1].patches
    assert [frame.get_xy() for frame in frames] == [(c - 0.5, r - 0.5) for r, c in found["corners"][1]]
    assert figure.axes[0].get_title() == "a" and len(figure.axes) == 4
    assert len(plots.attended_patches(x, found["corners"], 3).axes) == 2
