"""Natural pre-images against closed forms, brute force, SciPy, and the authors' loop written out in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import optimize

from zoo import autodiff
from zoo.applications import NaturalPreImages, UNet
from zoo.applications.natural_pre_images import _cut
from zoo.losses import alpha_norm, total_variation
from zoo.optimizers import MomentumAdagrad

RNG = np.random.default_rng(0)
FREE = {"input_range": (0.0, 255.0), "mean": (127.5,) * 3, "largest_norm": None, "bounded": False, "jitter": 1}


def linear(units=7, shape=(4, 5, 3), scale=1e-2):
    """A linear network of images, with its matrix and bias."""
    network = keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(units)])
    matrix, bias = scale * RNG.normal(size=(int(np.prod(shape)), units)), RNG.normal(size=units)
    network.set_weights([matrix, bias])
    return network, matrix, bias


def convolutional(shape=(12, 16, 3), activation="tanh"):
    image = keras.Input(shape)
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation=activation, name="first")(image)
    x = layers.Conv2D(5, 3, padding="same", activation=activation, name="second")(x)
    return keras.Model(image, layers.Dense(3, activation="softmax", name="classes")(layers.GlobalAveragePooling2D()(x)))


# --- the regularisers ---


def brute_force(x, power, kind):
    found = np.zeros(len(x))
    for n, image in enumerate(x.astype("float64")):
        height, width, channels = image.shape
        for v in range(height):
            for u in range(width):
                if kind == "alpha":
                    found[n] += sum(image[v, u, k] ** 2 for k in range(channels)) ** (power / 2)
                    continue
                for k in range(channels):
                    right = image[v, u + 1, k] - image[v, u, k] if u + 1 < width else 0.0
                    lower = image[v + 1, u, k] - image[v, u, k] if v + 1 < height else 0.0
                    found[n] += (right**2 + lower**2) ** (power / 2)
        found[n] /= height * width
    return found


@pytest.mark.parametrize("kind, function", [("alpha", alpha_norm), ("tv", total_variation)])
@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 6.0])
def test_regularisers(kind, function, power):
    x = RNG.normal(size=(2, 4, 3, 3)).astype("float32")
    np.testing.assert_allclose(ops.convert_to_numpy(function(x, power)), brute_force(x, power, kind), rtol=1e-5)
    slope = ops.convert_to_numpy(autodiff.grad(lambda x: ops.sum(function(x, power)), x))
    for place in np.ndindex(x.shape):
        ends = [x.astype("float64"), x.astype("float64")]
        for end, step in zip(ends, (1e-5, -1e-5)):
            end[place] += step
        numeric = sum(brute_force(ends[0], power, kind) - brute_force(ends[1], power, kind)) / 2e-5
        np.testing.assert_allclose(slope[place], numeric, rtol=1e-3, atol=1e-4)
    flat = ops.convert_to_numpy(autodiff.grad(lambda x: ops.sum(function(x, power)), np.zeros_like(x)))
    np.testing.assert_array_equal(flat, 0)


def test_a_step_is_the_papers():
    variable, optimizer = keras.Variable([3.0, -2.0, 0.0]), MomentumAdagrad(0.5, momentum=0.8)
    x, squares, steps = np.array([3.0, -2.0, 0.0]), 0.0, 0.0
    for gradient in RNG.normal(size=(5, 3)):
        optimizer.apply([ops.convert_to_tensor(gradient, "float32")], [variable])
        squares = 0.8 * squares + gradient**2
        steps = 0.8 * steps - gradient / (1 / 0.5 + np.sqrt(squares))
        x = x + steps
    np.testing.assert_allclose(ops.convert_to_numpy(variable), x, rtol=1e-5)
    assert MomentumAdagrad.from_config(optimizer.get_config()).momentum == 0.8
    with pytest.raises(ValueError, match="`momentum`"):
        MomentumAdagrad(momentum=1.0)


# --- inversion ---


def authors(matrix, bias, code, start, steps, slow, alpha=6.0, beta=2.0, weight=100.0):
    """nnpreimage.m for a linear network and one image: energies are means over pixels, the rate is multiplied by their number."""
    pixels, mean = start.shape[0] * start.shape[1], 127.5
    x, squares, steps_, rate = start - mean, 0.0, 0.0, pixels * 0.05 * 80**2 / alpha
    for step in range(steps):
        if step == steps - slow:
            squares, steps_, rate = 0.0, 0.0, rate / 10
        gradient = 2 * weight / (code**2).sum() * (matrix @ ((x + mean).ravel() @ matrix + bias - code)).reshape(x.shape)
        lengths = (x**2).sum(-1, keepdims=True)
        gradient = gradient + (1 / 80) ** alpha * alpha / pixels * x * lengths ** (alpha / 2 - 1)
        right, lower = np.diff(x, axis=1, append=x[:, -1:]), np.diff(x, axis=0, append=x[-1:])
        v = np.maximum((right**2 + lower**2) ** (beta / 2), 1e-6) ** (1 - 2 / beta)
        right, lower = v * right, v * lower
        change = -right - lower
        change[:, 1:] += right[:, :-1]
        change[1:] += lower[:-1]
        gradient = gradient + (6.5 / 80) ** beta * beta / pixels * change
        squares = 0.9 * squares + gradient**2
        steps_ = 0.9 * steps_ - gradient / (1 / rate + np.sqrt(squares))
        x = x + steps_
        x = x * np.minimum(160 / np.sqrt((x**2).sum(-1, keepdims=True)), 1)
    return x + mean


@pytest.mark.parametrize("beta", [1.5, 2.0])
def test_inversion_goes_the_authors_way(beta):
    network, matrix, bias = linear()
    model = NaturalPreImages(network, **{**FREE, "largest_norm": 160.0}, beta=beta)
    original, start = RNG.uniform(40, 215, (2, 4, 5, 3)).astype("float32")
    code = original.ravel() @ matrix + bias
    expected = authors(matrix, bias, code, start.astype("float64"), 35, 5, beta=beta)
    found = model.invert(codes=code[None], init=start[None], steps=35, verbose=0)
    np.testing.assert_allclose(found[0], np.clip(expected, 0, 255), atol=0.05)


def quadratic(shape):
    """Matrices of the regularisers for powers of 2, over the pixels of an image: sums of squares, and of squared differences."""
    size, index = int(np.prod(shape)), np.arange(int(np.prod(shape))).reshape(shape)
    laplace = np.zeros((size, size))
    for first, second in ((index[:, :-1], index[:, 1:]), (index[:-1], index[1:])):
        for a, b in zip(first.ravel(), second.ravel()):
            laplace[[a, b], [a, b]] += 1
            laplace[[a, b], [b, a]] -= 1
    return np.eye(size), laplace


@pytest.mark.parametrize("method", ["descent", "lbfgs"])
def test_inversion_of_a_linear_layer(method):
    """With quadratic regularisers, against the solution of the linear system."""
    network, matrix, bias = linear()
    model = NaturalPreImages(network, **FREE, method=method, alpha=2.0, inversion_weight=20.0)
    code = RNG.uniform(60, 195, 60) @ matrix + bias
    plain, laplace = quadratic((4, 5, 3))
    pixels, weight, mean = 20, 20.0 / (code**2).sum(), 127.5
    curvature = weight * matrix @ matrix.T + plain / 80**2 / pixels + laplace * (6.5 / 80) ** 2 / pixels
    expected = mean + np.linalg.solve(curvature, weight * matrix @ (code - bias - mean * matrix.sum(0)))
    assert 0 < expected.min() and expected.max() < 255
    found = model.invert(codes=code[None], steps=700, seed=0, verbose=0)
    np.testing.assert_allclose(found.ravel(), expected, atol=0.5)


def test_lbfgs_against_scipy():
    """The energy written out in NumPy, with numeric derivatives, minimised by another algorithm of SciPy."""
    network, matrix, bias = linear(4, (3, 3, 3))
    network = keras.Sequential([*network.layers, layers.Activation("tanh")])
    network.build((None, 3, 3, 3))
    options = {**FREE, "beta": 1.5, "inversion_weight": 20.0, "bounded": True}
    model = NaturalPreImages(network, **options, method="lbfgs")
    code = np.tanh(RNG.uniform(60, 195, 27) @ matrix + bias)
    start = RNG.uniform(100, 150, (3, 3, 3)).astype("float32")

    def energy(x):
        image = x.reshape(1, 3, 3, 3) - 127.5
        loss = 20 * ((np.tanh(x @ matrix + bias) - code) ** 2).sum() / (code**2).sum()
        return loss + brute_force(image / 80, 6.0, "alpha")[0] + brute_force(image * 6.5 / 80, 1.5, "tv")[0]

    expected = optimize.minimize(energy, start.ravel(), method="SLSQP", bounds=[(0, 255)] * 27, options={"maxiter": 500, "ftol": 1e-9})
    found = model.invert(codes=code[None], init=start[None], steps=150, verbose=0)
    assert energy(found.ravel().astype("float64")) == pytest.approx(expected.fun, rel=0.01)
    assert model.history.history["loss"][-1] == pytest.approx(energy(found.ravel().astype("float64")), rel=1e-3)


def test_mask_leaves_out_what_it_says():
    network = convolutional()
    model = NaturalPreImages(network, "first", jitter=1, alpha_weight=0, tv_weight=0)
    x, mask = model.example_inputs(), np.array([1.0, 0.0, 1.0, 0.0])
    codes = model.predict(x, verbose=0)
    spoiled = codes + 100 * (1 - mask)
    found = [model.invert(codes=c, mask=mask, steps=60, seed=1, verbose=0) for c in (codes, spoiled)]
    np.testing.assert_array_equal(*found)
    errors = np.abs(model.predict(found[0], verbose=0) - codes).mean((0, 1, 2))
    assert errors[[0, 2]].max() < 0.2 * errors[[1, 3]].min()


def test_images_are_searched_each_for_itself():
    model = NaturalPreImages(convolutional(), "second", jitter=1)
    x = model.example_inputs(3)
    start = model.example_inputs(6)[3:]
    together = model.invert(x, init=start, steps=20, batch_size=2, verbose=0)
    alone = np.concatenate([model.invert(x[i : i + 1], init=start[i : i + 1], steps=20, verbose=0) for i in range(3)])
    np.testing.assert_allclose(together, alone, atol=2e-3)
    np.testing.assert_array_equal(model.images, model.invert(x[2:], init=start[2:], steps=20, verbose=0))


def test_seeds():
    model = NaturalPreImages(convolutional(), "second", jitter=4)
    x = model.example_inputs(1)
    first, second, other = (model.invert(x, steps=6, seed=seed, verbose=0) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.01


# --- jitter and the range ---


def test_jitter_moves_content_by_whole_pixels():
    canvas = RNG.random((2, 8, 9, 3)).astype("float32")
    for row in range(3):
        for column in range(3):
            found = ops.convert_to_numpy(_cut(ops.convert_to_tensor(canvas), np.array([row, column], "int32"), (6, 7)))
            np.testing.assert_array_equal(found, canvas[:, row : row + 6, column : column + 7])


def test_jitter_of_a_search_draws_all_places():
    """A network that is the image itself is inverted at each place: what is left is the mean over the places."""
    network = keras.Sequential([keras.Input((6, 7, 3)), layers.Activation("linear")])
    model = NaturalPreImages(network, jitter=3, alpha_weight=0, tv_weight=0, largest_norm=None, inversion_weight=1.0)
    assert NaturalPreImages(network)._jitter() == 1
    x = np.full((1, 6, 7, 3), 0.25, "float32")
    x[0, 2, 3] = 0.75
    model.compile(keras.optimizers.SGD(2000.0))
    found = model.invert(x, steps=400, seed=0, verbose=0)[0, ..., 0]
    assert model._found.shape == (1, 6, 7, 3)
    # slowed down and without jitter at the end, the middle place has won
    assert np.unravel_index(found.argmax(), found.shape) == (2, 3)


def test_pixels_stay_in_the_ball_and_the_range():
    model = NaturalPreImages(convolutional(), largest_norm=100.0)
    canvas = RNG.uniform(-300, 500, (2, 5, 6, 3)).astype("float32")
    found = model._projected(canvas)
    np.testing.assert_allclose(ops.convert_to_numpy(model._projected(ops.convert_to_tensor(canvas))), found, atol=1e-3)
    assert found.min() >= 0 and found.max() <= 255 and np.linalg.norm(found - model._center, axis=-1).max() <= 100.001
    inside = np.linalg.norm(canvas - model._center, axis=-1) < 100
    kept = inside & (canvas >= 0).all(-1) & (canvas <= 255).all(-1)
    np.testing.assert_allclose(found[kept], canvas[kept], atol=1e-4)
    images = model.invert(model.example_inputs(), steps=5, verbose=0)
    assert images.min() >= 0 and images.max() <= 1


# --- activations ---


def test_a_linear_unit_within_the_ball():
    """The best image has each colour at the end of its pixel's weights. Plain descent: scaled steps head for the signs of the weights."""
    network, matrix, _ = linear()
    model = NaturalPreImages(network, **{**FREE, "largest_norm": 100.0}, alpha_weight=0, tv_weight=0)
    model.compile(keras.optimizers.SGD(1e3))
    found = model.maximize([2, 5], steps=50, seed=0, verbose=0)
    for image, unit in zip(found, (2, 5)):
        weights = matrix[:, unit].reshape(4, 5, 3)
        expected = 127.5 + 100 * weights / np.linalg.norm(weights, axis=-1, keepdims=True)
        np.testing.assert_allclose(image, expected, atol=0.5)


def test_a_linear_unit_against_the_alpha_norm():
    """-c <w, z> + mean |z|^6 / B^6 has its minimum where its derivative is 0, pixel by pixel."""
    network, matrix, _ = linear()
    model = NaturalPreImages(network, **FREE, tv_weight=0)
    model.responses.assign(np.full(7, 2.0))
    found = model.maximize([3], steps=600, seed=0, verbose=0)[0]
    factor = 100**2 / 20 / 2.0  # pixels of a field that weighs 1, pixels that the unit sees, its largest response
    weights = matrix[:, 3].reshape(4, 5, 3)
    lengths = np.linalg.norm(weights, axis=-1, keepdims=True)
    radius = (factor * lengths * 20 * 80**6 / 6) ** (1 / 5)
    # a weak colour has a flat minimum
    np.testing.assert_allclose(found, np.clip(127.5 + radius * weights / lengths, 0, 255), atol=2.0)


def test_units_of_a_map_and_what_they_see():
    model = NaturalPreImages(convolutional(), "second")
    assert model._stride == 2 and model.code_shape() == (6, 8, 5)
    # the middle unit, row 3 of 6 and column 4 of 8, sees 3 + 2 * 2 pixels from 2 * (3 - 1) and 2 * (4 - 1) on ("same" pads below)
    assert model.receptive_field() == (4, 6, 11, 13)
    found = model.maximize([0, 4, 4], crop=True, steps=40, seed=0, verbose=0)
    assert found.shape == (3, 7, 7, 3)
    whole = model.maximize([1], steps=60, seed=0, verbose=0)
    middle = model.predict(whole, verbose=0)[0, 3, 4]
    noise = model.predict(model._as_images(model._start(1, (12, 16), None, np.random.default_rng(0)))[:, :12, :16], verbose=0)[0, 3, 4]
    assert middle[1] > 0.5 > noise[1] or middle[1] > noise[1] + 0.2
    everywhere = model.predict(model.maximize([1], positions="all", steps=60, seed=0, verbose=0), verbose=0)[0, ..., 1]
    assert everywhere.mean() > model.predict(whole, verbose=0)[0, ..., 1].mean()


def test_classes_are_maximised_before_the_softmax():
    network = convolutional()
    model = NaturalPreImages(network, activation_weight=30.0)
    x = model.example_inputs()
    logits = model.predict(x, verbose=0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ops.softmax(logits)), network.predict(x, verbose=0), atol=1e-5)
    assert model._stride == 2
    found = model.predict(model.maximize([0, 1, 2], steps=100, seed=0, verbose=0), verbose=0)
    assert np.all(np.diag(found) > logits.max(axis=0))


def test_adapt_takes_the_largest_responses():
    model = NaturalPreImages(convolutional(activation="relu"), "first")
    x = model.example_inputs(5)
    model.adapt(x, batch_size=2)
    expected = model.predict(x, verbose=0).max((0, 1, 2))
    np.testing.assert_allclose(ops.convert_to_numpy(model.responses), np.maximum(expected, np.median(expected) / 2), rtol=1e-5)
    kernel, bias = model.network.get_layer("first").get_weights()
    model.network.get_layer("first").set_weights([kernel, bias - [100, 0, 0, 0]])
    with pytest.warns(UserWarning, match=r"1 units of 4, such as \[0\]"):
        model.adapt(x)
    assert ops.convert_to_numpy(model.responses)[0] == pytest.approx(np.median(expected[1:]) / 2, rel=1e-5)


def test_caricatures_have_more_of_the_code():
    model = NaturalPreImages(convolutional(activation="relu"), "second", activation_weight=300.0)
    x = 0.3 + 0.3 * model.example_inputs()
    code = np.maximum(model.predict(x, verbose=0), 0)
    found = model.caricature(x, steps=80, seed=0, verbose=0)
    product = (model.predict(found, verbose=0) * code).sum((1, 2, 3)) / (code**2).sum((1, 2, 3))
    assert found.shape == x.shape and product.min() > 1.5
    # the first step starts from the images: the product is 1, which C weighs
    model.compile()
    model.caricature(x, steps=1, verbose=0)
    assert model.history.history["dissimilarity"][0] == pytest.approx(-300.0, rel=1e-3)


# --- measures ---


def test_a_uniform_mask_changes_nothing():
    model = NaturalPreImages(convolutional(activation="relu"), "second", jitter=1)
    x = 0.3 + 0.3 * model.example_inputs()
    plain, masked = (model.caricature(x, mask, steps=20, seed=0, verbose=0) for mask in (None, np.float32(0.01)))
    np.testing.assert_allclose(plain, masked, atol=1e-4)


def test_tokens_have_no_middle():
    image = keras.Input((8, 8, 3))
    tokens = layers.Reshape((16, 4), name="tokens")(layers.Conv2D(4, 2, strides=2)(image))
    model = NaturalPreImages(keras.Model(image, layers.Dense(2)(tokens)), "tokens")
    assert model.receptive_field() == (0, 0, 8, 8)
    with pytest.raises(ValueError, match="`positions` must be 'all'"):
        model.maximize([0], steps=2)
    assert model.maximize([0], "all", steps=2, verbose=0).shape == (1, 8, 8, 3)


def test_reconstruction_error():
    model = NaturalPreImages(convolutional(), "second")
    x, y = model.example_inputs(4), model.example_inputs(8)[4:]
    a, b = (model.predict(images, verbose=0).reshape(4, -1) for images in (x, y))
    pairs = [np.linalg.norm(a[i] - a[j]) for i in range(4) for j in range(i)]
    np.testing.assert_allclose(model.reconstruction_error(y, x, batch_size=3), np.linalg.norm(a - b, axis=1) / np.mean(pairs), rtol=1e-4)
    np.testing.assert_allclose(model.reconstruction_error(y, x, scale=2.0), np.linalg.norm(a - b, axis=1) / 2, rtol=1e-4)
    np.testing.assert_allclose(model.reconstruction_error(y[:1], x[:1]), np.linalg.norm(a[0] - b[0]) / np.linalg.norm(a[0]), rtol=1e-4)
    energy = model.evaluate(y, x, batch_size=3)
    z = 255 * y.astype("float64") - model._center
    assert energy["alpha_norm"] == pytest.approx(brute_force(z / 80, 6.0, "alpha").mean(), rel=1e-4)
    assert energy["total_variation"] == pytest.approx(brute_force(z * 6.5 / 80, 2.0, "tv").mean(), rel=1e-4)
    assert energy["dissimilarity"] == pytest.approx(100 * np.mean(((a - b) ** 2).sum(1) / (a**2).sum(1)), rel=1e-4)
    assert model.evaluate(x, x)["error"] == pytest.approx(0, abs=1e-4)


# --- networks ---


def test_the_network_stays_as_it_is():
    network = convolutional()
    before, flags = network.get_weights(), [layer.trainable for layer in network.layers]
    model = NaturalPreImages(network, "second")
    model.fit(model.example_inputs(), steps=3, verbose=0)
    assert not model.trainable_variables and [layer.trainable for layer in network.layers] == flags
    for a, b in zip(before, network.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_named_outputs_methods_of_the_zoo_and_free_sizes():
    image = keras.Input((None, None, 1))
    x = layers.Conv2D(3, 3, strides=4, padding="same", name="coarse")(image)
    model = NaturalPreImages(keras.Model(image, {"map": x, "mean": layers.GlobalAveragePooling2D()(x)}), "map")
    assert model._stride == 4 and model.maximize([1], steps=2, verbose=0).shape == (1, 4, 4, 1)
    assert model.invert(codes=np.ones((2, 3, 4, 3)), size=(12, 16), steps=2, verbose=0).shape == (2, 12, 16, 1)
    assert NaturalPreImages(model.network, "mean")._stride == 4
    with pytest.raises(ValueError, match="`size` must be given"):
        model.invert(codes=np.ones((2, 3, 4, 3)))
    with pytest.raises(ValueError, match="`layer`.*'map', 'mean'"):
        NaturalPreImages(model.network)
    unet = UNet(**UNet.example_config())
    wrapped = NaturalPreImages(unet)
    x = wrapped.example_inputs(1)
    assert wrapped.invert(x, steps=2, verbose=0).shape == x.shape


def test_keras_optimizers_and_callbacks(capsys):
    model = NaturalPreImages(convolutional(), "second")
    adam = keras.optimizers.Adam(2.0)
    model.compile(adam, callbacks=[keras.callbacks.EarlyStopping("loss", min_delta=1e9)])
    history = model.fit(model.example_inputs(), steps=40, log_every=2, seed=0, verbose=1).history
    assert history["steps"] == [2, 4] and model.optimizer is adam and not adam.built
    assert "40/40" in capsys.readouterr().out
    for name in ("loss", "dissimilarity", "alpha_norm", "total_variation"):
        assert len(history[name]) == 2


def test_refusals():
    network = convolutional()
    for bad, name in (
        ({"layer": "no such layer"}, "layer"),
        ({"layer": 3}, "layer"),
        ({"method": "newton"}, "method"),
        ({"alpha": 0.5}, "alpha"),
        ({"beta": 0.0}, "beta"),
        ({"tv_weight": -1.0}, "tv_weight"),
        ({"inversion_weight": np.inf}, "inversion_weight"),
        ({"typical_norm": 0.0}, "typical_norm"),
        ({"largest_norm": -1.0}, "largest_norm"),
        ({"jitter": 0}, "jitter"),
        ({"input_range": (1.0, 0.0)}, "input_range"),
        ({"mean": (0.5,)}, "mean"),
        ({"mean": (0.5, 0.5, 2.0)}, "mean"),
        ({"bounded": "no"}, "bounded"),
        ({"mean": ["a"] * 3}, "mean"),
        ({"alpha": 1000.0}, "alpha"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            NaturalPreImages(network, **bad)
    vectors = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="`network` must take images"):
        NaturalPreImages(vectors)
    with pytest.raises(ValueError, match="`network`"):
        NaturalPreImages("network")
    model = NaturalPreImages(network, "second")
    x = model.example_inputs()
    for call, name in (
        (lambda: model.invert(), "x"),
        (lambda: model.invert(x, size=(5, 5)), "size"),
        (lambda: model.invert(codes=0 * model.predict(x, verbose=0)), "codes"),
        (lambda: model.invert(x, mask=np.arange(len(x)).reshape(-1, 1, 1, 1)), "mask"),
        (lambda: model.invert(x, codes=model.predict(x, verbose=0)), "x"),
        (lambda: model.invert(codes=np.ones((1, 2, 2, 5))), "codes"),
        (lambda: model.invert(x, mask=np.ones(4)), "mask"),
        (lambda: model.invert(x, mask=-np.ones(5)), "mask"),
        (lambda: model.invert(x, init=model.example_inputs(3)), "init"),
        (lambda: model.maximize([5]), "units"),
        (lambda: model.maximize([0.5]), "units"),
        (lambda: model.maximize([0], size=(8, 8)), "size"),
        (lambda: model.maximize([0], positions="left"), "positions"),
        (lambda: model.reconstruction_error(x, x[:1]), "originals"),
        (lambda: model.fit(255 * x), "image"),
        (lambda: model.compile(loss="mse"), "loss"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            call()
