"""What is special to neural style: losses by hand, gradients, VGG19, the search and its options, snapshots, colours."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import optimize

from zoo import callbacks, losses
from zoo.applications import NeuralStyle, neural_style
from zoo.optimizers import minimize

RNG = np.random.default_rng(123)
CONTENT = RNG.random((20, 24, 3)).astype("float32")
STYLE = RNG.random((18, 16, 3)).astype("float32") ** 2


def small(**arguments):
    keras.utils.set_random_seed(0)
    config = {"blocks": ((4, 4), (6,)), "content_layers": ("conv2_1",), "style_layers": ("conv1_1", "conv1_2"), "beta": 10.0}
    return NeuralStyle(**{**config, **arguments})


@pytest.fixture(scope="module")
def model():
    """Features of size about 1, so that no loss drowns in rounding."""
    model = small()
    model.normalize(RNG.random((4, 16, 16, 3)).astype("float32"))
    return model


# --- losses ---


def test_gram_by_hand():
    features = np.array([[[[1, 2], [3, 4]], [[0, -1], [2, 0]]]], "float32")
    expected = np.array([[1 + 9 + 0 + 4, 2 + 12 + 0 + 0], [14, 4 + 16 + 1 + 0]]) / 4
    np.testing.assert_allclose(ops.convert_to_numpy(losses.gram_matrix(features))[0], expected)
    target = np.zeros((1, 2, 2))
    np.testing.assert_allclose(losses.style_loss(losses.gram_matrix(features), target), [(expected**2).sum() / 16], rtol=1e-6)
    np.testing.assert_allclose(losses.content_loss(features, features - 3), [9 * 8 / 2])
    # float16 features whose squares would overflow
    large = ops.cast(np.full((1, 4, 4, 2), 3e4), "float16")
    np.testing.assert_allclose(losses.gram_matrix(large), np.full((1, 2, 2), 9e8), rtol=2e-3)


def features_by_hand(model, image):
    """The network of `small` in float64 NumPy: convolutions as sums over shifted images, average pooling, ReLU."""
    x, found = 255 * image[..., ::-1].astype("float64") - [103.939, 116.779, 123.68], {}
    for name in ("conv1_1", "conv1_2", "conv2_1"):
        if name == "conv2_1":
            height, width = (n // 2 * 2 for n in x.shape[:2])
            x = x[:height, :width].reshape(height // 2, 2, width // 2, 2, -1).mean((1, 3))
        kernel, bias = (w.astype("float64") for w in model.network.get_layer(name).get_weights())
        padded = np.pad(x, [(1, 1), (1, 1), (0, 0)])
        x = bias + sum(padded[i : i + x.shape[0], j : j + x.shape[1]] @ kernel[i, j] for i in range(3) for j in range(3))
        x = found[name] = np.maximum(x, 0)
    return found


def losses_by_hand(model, image, content, style):
    """Equations 1, 3, 4 and 5 with Gram matrices that are sums; `image` and `style` have the same size."""
    f, p, a = (features_by_hand(model, x) for x in (image, content, style))
    style_loss = 0
    for name in ("conv1_1", "conv1_2"):
        m, n = f[name].shape[0] * f[name].shape[1], f[name].shape[2]
        g, t = (np.einsum("hwi,hwj->ij", x[name], x[name]) for x in (f, a))
        style_loss += 0.5 * ((g - t) ** 2).sum() / (4 * n**2 * m**2)
    return 0.5 * ((f["conv2_1"] - p["conv2_1"]) ** 2).sum(), style_loss


def test_losses_are_the_papers(model):
    image, style = RNG.random((2, 20, 24, 3)).astype("float32")
    expected = losses_by_hand(model, image, CONTENT, style)
    found = model.evaluate(image, CONTENT, style)
    np.testing.assert_allclose((found["content_loss"], found["style_loss"]), expected, rtol=1e-4)
    np.testing.assert_allclose(found["loss"], expected[0] + 10 * expected[1], rtol=1e-4)
    outputs, features = model(image[None]), features_by_hand(model, image)
    assert set(outputs) == {"features_conv2_1", "gram_conv1_1", "gram_conv1_2"}
    np.testing.assert_allclose(outputs["features_conv2_1"][0], features["conv2_1"], rtol=1e-3, atol=1e-5)
    gram = np.einsum("hwi,hwj->ij", features["conv1_2"], features["conv1_2"]) / (20 * 24)
    np.testing.assert_allclose(outputs["gram_conv1_2"][0], gram, rtol=1e-4)


def test_gradient_against_finite_differences(model):
    image, content, style = RNG.random((3, 7, 6, 3)).astype("float32")
    weights = model._weights_of(content, [style], None, None)
    objective = neural_style._Objective(model, model._all_targets(content, [style], None, weights), weights)
    gradient = ops.convert_to_numpy(objective(image)[1])

    def by_hand(x):
        content_loss, style_loss = losses_by_hand(model, x, content, style)
        return content_loss + 10 * style_loss

    for direction in RNG.normal(size=(5, 7, 6, 3)):
        step = 1e-6 * direction
        numeric = (by_hand(image + step) - by_hand(image - step)) / 2e-6
        np.testing.assert_allclose((gradient * direction).sum(), numeric, rtol=1e-3, atol=1e-3 * np.linalg.norm(gradient))


# --- the network ---


@pytest.fixture(scope="module")
def vgg19():
    return keras.applications.VGG19(include_top=False, weights=None)


def test_the_papers_network():
    model = NeuralStyle()
    assert model.count_params() == 20_024_384  # VGG19 without its dense layers
    assert not model.trainable_variables and model.optimizer is None
    assert model.alpha / model.beta == 1e-3
    assert [type(layer).__name__ for layer in model.network.layers].count("AveragePooling2D") == 4


def test_vgg19_from_keras(vgg19, monkeypatch):
    """With max pooling every activation is that of `keras.applications`, preprocessing included."""
    build = keras.applications.VGG19

    def known(weights=None, **options):
        return vgg19 if weights == "imagenet" else build(weights=weights, **options)

    monkeypatch.setattr(keras.applications, "VGG19", known)
    model = NeuralStyle.from_pretrained("vgg19_imagenet", pooling="max", beta=1e4)
    assert (model.pooling, model.beta) == ("max", 1e4)
    images = RNG.random((2, 40, 33, 3)).astype("float32")
    inputs = keras.applications.vgg19.preprocess_input(255 * images)
    theirs = {f"conv{x.name[5]}_{x.name[-1]}": x.output for x in vgg19.layers if isinstance(x, keras.layers.Conv2D)}
    expected, found = keras.Model(vgg19.input, theirs).predict(inputs, verbose=0), model.network.predict(images, verbose=0)
    assert list(found) == list(expected) and len(found) == 16
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4 * expected[name].max())
    average = NeuralStyle.from_pretrained("vgg19_imagenet").network.predict(images, verbose=0)
    np.testing.assert_allclose(average["conv1_2"], found["conv1_2"], rtol=1e-5, atol=1e-3)
    assert np.abs(average["conv2_1"] - found["conv2_1"]).max() > 0.1 * found["conv2_1"].max()
    with pytest.raises(ValueError, match="blocks"):
        NeuralStyle.from_pretrained("vgg19_imagenet", blocks=((8,),), content_layers=("conv1_1",), style_layers=("conv1_1",))


def test_vgg19_without_a_network(monkeypatch):
    build = keras.applications.VGG19

    def offline(weights=None, **options):
        if weights == "imagenet":
            raise OSError("URL fetch failure")
        return build(weights=weights, **options)

    monkeypatch.setattr(keras.applications, "VGG19", offline)
    with pytest.raises(ConnectionError, match="URL fetch failure.*efficientnet_lite0"):
        NeuralStyle.from_pretrained("vgg19_imagenet")
    assert NeuralStyle.from_pretrained("vgg19_imagenet", load_weights=False).count_params() == 20_024_384


def test_pooling_between_blocks():
    x = RNG.random((1, 6, 8, 3)).astype("float32")
    windows = (2, 4), lambda features: features.reshape(1, 3, 2, 4, 2, -1)
    for pooling, reduce in (("average", np.mean), ("max", np.max)):
        network = small(pooling=pooling).network
        pooled = keras.Model(network.input, [network.get_layer("conv1_2").output, network.get_layer("pool1").output])
        before, after = pooled.predict(x, verbose=0)
        np.testing.assert_allclose(after, reduce(windows[1](before), axis=windows[0]), rtol=1e-5)


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_normalize_gives_unit_means_and_the_same_function(pooling):
    images = RNG.random((3, 12, 12, 3)).astype("float32")
    model = small(pooling=pooling)
    model.network.get_layer("conv1_2").bias.assign([-1e6, 0, 0, 0])  # a filter that never fires
    before = model.network.predict(images, verbose=0)
    model.normalize(images)
    after = model.network.predict(images, verbose=0)
    for name in after:
        mean = before[name].mean((0, 1, 2))
        scale = np.maximum(mean, mean.mean() / 10)
        np.testing.assert_allclose(after[name].mean((0, 1, 2)), mean / scale, rtol=1e-3)
        np.testing.assert_allclose(after[name] * scale, before[name], rtol=1e-3, atol=1e-3 * mean.max())
    assert np.median(after["conv1_1"].mean((0, 1, 2))) == pytest.approx(1, rel=1e-3)
    assert not after["conv1_2"][..., 0].any()


# --- the search ---


def test_lbfgs_finds_the_minimum_of_a_quadratic():
    """Badly scaled, with and without bounds, against the closed form."""
    a, b = np.geomspace(1, 1e3, 12).astype("float32").reshape(3, 4), RNG.normal(size=(3, 4)).astype("float32")

    def quadratic(x):
        x = x.astype("float64")
        return 1e7 * (a / 2 * (x - b) ** 2).sum(), 1e7 * a * (x - b), {"distance": np.abs(x - b).max()}

    found = minimize(quadratic, np.zeros((3, 4)), steps=100)
    np.testing.assert_allclose(found.x, b, atol=1e-3)
    assert found.steps <= 100 and found.logs["distance"] < 1e-3 and found.message
    bounded = minimize(quadratic, np.zeros((3, 4)), steps=100, bounds=(-0.5, 0.25))
    np.testing.assert_allclose(bounded.x, np.clip(b, -0.5, 0.25), atol=1e-3)
    early = minimize(quadratic, np.zeros((3, 4)), steps=100, tolerance=0.5)
    assert early.steps < found.steps


def test_minimize_counts_and_stops(capsys):
    calls, seen = [], []

    def rosenbrock(x):
        calls.append(x)
        return optimize.rosen(x), optimize.rosen_der(x)

    for optimizer in (None, keras.optimizers.Adam(0.01)):
        calls.clear(), seen.clear()

        def record(step, x, logs):
            seen.append((step, logs["loss"]))

        found = minimize(rosenbrock, [-1.0, 2.0], 17, optimizer, callback=record, verbose=1)
        assert len(calls) == found.steps == 17 and [step for step, _ in seen] == list(range(1, 18))
        np.testing.assert_allclose(found.logs["loss"], optimize.rosen(found.x.astype("float64")), rtol=1e-4)
        assert seen[-1][1] == found.logs["loss"] < seen[0][1] and "17/17" in capsys.readouterr().out
    assert minimize(rosenbrock, [-1.0, 2.0], 50, callback=lambda step, x, logs: step == 3).steps == 3
    with pytest.raises(ValueError, match="`function` must be finite"):
        minimize(lambda x: (np.nan, x), [1.0], 5)
    for bad, name in (({"steps": 0}, "steps"), ({"bounds": (1, 0)}, "bounds"), ({"x": [np.nan]}, "x"), ({"tolerance": -1}, "tolerance")):
        with pytest.raises(ValueError, match=f"`{name}`"):
            minimize(rosenbrock, **{"x": [1.0, 1.0], "steps": 5, **bad})


def test_keras_optimizer_takes_its_own_steps():
    """Plain gradient descent, by hand, and the projection on the bounds."""

    def quadratic(x):
        return float((np.asarray(x) ** 2).sum()), 2 * np.asarray(x)

    found = minimize(quadratic, [1.0, -2.0], 4, keras.optimizers.SGD(0.1))
    np.testing.assert_allclose(found.x, np.array([1.0, -2.0]) * 0.8**3, rtol=1e-6)
    found = minimize(quadratic, [1.0, 0.9], 3, keras.optimizers.SGD(0.1), bounds=(0.75, 1.0))
    np.testing.assert_allclose(found.x, [0.75, 0.75])


def test_fit_lowers_the_papers_loss(model):
    history = model.fit(CONTENT, STYLE, steps=25, log_every=10, seed=0, verbose=0).history
    assert history["steps"] == [10, 20, 25]
    assert history["loss"] == sorted(history["loss"], reverse=True) and history["loss"][-1] < history["loss"][0]
    assert model.image.shape == CONTENT.shape and model.image.min() >= 0 and model.image.max() <= 1
    found = model.evaluate(model.image, CONTENT, STYLE)
    for name in ("loss", "content_loss", "style_loss"):
        np.testing.assert_allclose(found[name], history[name][-1], rtol=1e-3)
    again = model.stylize(CONTENT, STYLE, steps=25, seed=0, verbose=0)
    np.testing.assert_array_equal(again, model.image)


def test_alpha_and_beta_of_zero(model):
    """Without a style the content's features come back, without a content the style's Gram matrices."""
    noise = np.random.default_rng(0).uniform(size=CONTENT.shape).astype("float32")
    image = model.reconstruct(CONTENT, steps=80, seed=0, verbose=0)
    assert model.evaluate(image, CONTENT)["loss"] < 0.02 * model.evaluate(noise, CONTENT)["loss"]
    assert np.abs(image - CONTENT).mean() > 0.01  # pooling has lost pixels
    texture = model.texture(STYLE, size=(12, 31), steps=60, seed=0, verbose=0)
    assert texture.shape == (12, 31, 3) and model.texture(STYLE, steps=1, verbose=0).shape == STYLE.shape
    before = model.evaluate(np.random.default_rng(0).uniform(size=(12, 31, 3)), style=STYLE)["style_loss"]
    assert model.evaluate(texture, style=STYLE)["style_loss"] < 0.05 * before
    only_style, only_content = small(alpha=0.0), small(beta=0.0)
    for one in (only_style, only_content):
        one.network.set_weights(model.network.get_weights())
    history = only_style.fit(CONTENT, STYLE, steps=10, seed=0, verbose=0).history
    assert history["content_loss"] == [0.0] and history["loss"][0] == pytest.approx(10 * history["style_loss"][0])
    assert only_content.evaluate(CONTENT, CONTENT, STYLE)["loss"] == 0
    with pytest.raises(ValueError, match="`content` or `style`"):
        only_content.fit(style=STYLE, steps=1)


def test_starts(model):
    for init, expected in (
        ("content", CONTENT),
        (0.5 * CONTENT, 0.5 * CONTENT),
        ("noise", np.random.default_rng(7).normal(np.array([123.68, 116.779, 103.939]) / 255, 0.1, CONTENT.shape).clip(0, 1)),
        ("style", keras.ops.convert_to_numpy(ops.image.resize(STYLE, CONTENT.shape[:2], antialias=True))),
    ):
        np.testing.assert_allclose(model.stylize(CONTENT, STYLE, steps=1, init=init, seed=7, verbose=0), expected, atol=1e-6)
    free = model.stylize(CONTENT, STYLE, steps=20, init="content", bounded=False, verbose=0)
    assert free.min() >= 0 and free.max() <= 1
    assert ops.convert_to_numpy(model._found).min() < 0 or ops.convert_to_numpy(model._found).max() > 1


def test_several_styles_blend_their_gram_matrices(model):
    other = RNG.random((16, 16, 3)).astype("float32")
    image = RNG.random(CONTENT.shape).astype("float32")
    grams = [model(x[None]) for x in (image, STYLE, other)]
    expected = 0
    for name in ("gram_conv1_1", "gram_conv1_2"):
        g, a, b = (ops.convert_to_numpy(outputs[name])[0] for outputs in grams)
        expected += 0.5 * ((g - 0.25 * a - 0.75 * b) ** 2).sum() / (4 * len(g) ** 2)
    found = model.evaluate(image, style=[STYLE, other], style_blend=(1, 3))
    np.testing.assert_allclose(found["style_loss"], expected, rtol=1e-4)
    single = [model.evaluate(image, style=[STYLE, other], style_blend=blend)["loss"] for blend in ((1, 0), (0, 1))]
    np.testing.assert_allclose(single, [model.evaluate(image, style=s)["loss"] for s in (STYLE, other)], rtol=1e-6)


def test_weights_of_layers(model):
    weighted = small(content_layers=("conv2_1", "conv1_1"), content_weights=(0.5, 2.0), style_weights=(3.0, 0.0), alpha=2.0)
    weighted.network.set_weights(model.network.get_weights())
    image = RNG.random(CONTENT.shape).astype("float32")
    parts = {}
    for name in ("conv1_1", "conv2_1"):
        one = small(content_layers=(name,), style_layers=(name,))
        one.network.set_weights(model.network.get_weights())
        parts[name] = one.evaluate(image, CONTENT, STYLE)
    found = weighted.evaluate(image, CONTENT, STYLE)
    expected = 0.5 * parts["conv2_1"]["content_loss"] + 2 * parts["conv1_1"]["content_loss"], 3 * parts["conv1_1"]["style_loss"]
    np.testing.assert_allclose((found["content_loss"], found["style_loss"]), expected, rtol=1e-4)
    np.testing.assert_allclose(found["loss"], 2 * expected[0] + 10 * expected[1], rtol=1e-4)


def test_keep_colors_changes_the_lightness_alone(model):
    content = 0.3 + 0.4 * CONTENT  # far enough from black and white that nothing is cut off
    image = model.stylize(content, STYLE, keep_colors=True, steps=60, init="content", verbose=0)
    change = image - content
    assert np.abs(change).max() > 1e-4
    inside = (image > 0).all(-1) & (image < 1).all(-1)
    np.testing.assert_allclose(change[inside], np.repeat(change[inside][:, :1], 3, axis=1), atol=1e-5)
    with pytest.raises(ValueError, match="`content` must be given with `keep_colors`"):
        model.fit(style=STYLE, keep_colors=True)


def test_adam_callbacks_and_early_stop(tmp_path, capsys):
    model = small()
    model.normalize(CONTENT[None])
    adam = keras.optimizers.Adam(0.02)
    model.compile(optimizer=adam)
    rates, snapshots = [], callbacks.Snapshots(tmp_path / "pictures", every=4)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rates.append(rate) or rate / 2)
    for _ in range(2):  # an optimizer can be used again, for another size
        history = model.fit(CONTENT, STYLE, steps=10, log_every=5, callbacks=[snapshots, schedule], seed=0, verbose=0).history
        np.testing.assert_allclose(rates, [0.02, 0.01])
        rates.clear()
    assert history["loss"][-1] < history["loss"][0] and model.optimizer is adam and not adam.built
    assert sorted(p.name for p in (tmp_path / "pictures").iterdir()) == [f"step_{n:05d}.png" for n in (4, 8, 10)]
    saved = keras.utils.img_to_array(keras.utils.load_img(tmp_path / "pictures" / "step_00010.png"))
    np.testing.assert_allclose(saved / 255, model.image, atol=0.51 / 255)
    stop = keras.callbacks.EarlyStopping("loss", min_delta=1e9)
    assert model.fit(CONTENT, STYLE[:9], steps=30, log_every=2, callbacks=stop, verbose=1).history["steps"] == [2, 4]
    assert "4/30" in capsys.readouterr().out
    model.fit(CONTENT, STYLE, steps=4, log_every=2, verbose=2)
    assert capsys.readouterr().out.count("loss:") == 2 * 3


def test_half_precision_of_large_features():
    """Unscaled features under float16: gradients would overflow without the scaling of the losses."""
    policy = keras.config.dtype_policy()
    images = {}
    for name in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(name)
        try:
            model = small(style_weights=(1e3, 1e3))
        finally:
            keras.config.set_dtype_policy(policy)
        history = model.fit(CONTENT, STYLE, steps=15, log_every=1, seed=0, verbose=0).history["loss"]
        assert np.all(np.isfinite(history)) and history[-1] < 0.5 * history[0]
        images[name] = history[0]
    np.testing.assert_allclose(images["mixed_float16"], images["float32"], rtol=0.02)


def test_refusals(model):
    for arguments, name in (
        ({"pooling": "sum"}, "pooling"),
        ({"blocks": ()}, "blocks"),
        ({"blocks": ((4,), (0,))}, "blocks"),
        ({"alpha": -1.0}, "alpha"),
        ({"alpha": 0, "beta": 0}, "beta"),
        ({"style_layers": ("conv9_1",)}, "style_layers"),
        ({"content_layers": "conv1_1"}, "content_layers"),
        ({"style_weights": (1.0,)}, "style_weights"),
        ({"mean": (1.0,)}, "mean"),
        ({"std": (1.0, 0.0, 1.0)}, "std"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            small(**arguments)
    for arguments, name in (
        ({"content": CONTENT * 255}, "content"),
        ({"style": STYLE[..., 0]}, "style"),
        ({"style": [STYLE, STYLE * np.nan]}, "style"),
        ({"content": CONTENT[:1]}, "content"),
        ({"init": "blur"}, "init"),
        ({"init": CONTENT[:4]}, "init"),
        ({"size": (8, 8)}, "size"),
        ({"style_blend": (1, 1)}, "style_blend"),
        ({"style_layers": ("pool1",)}, "style_layers"),
        ({"steps": 0}, "steps"),
        ({"log_every": 0}, "log_every"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            model.fit(**{"content": CONTENT, "style": STYLE, "verbose": 0, **arguments})
    with pytest.raises(ValueError, match="`image` must have sides of 2 or more"):
        model.predict(CONTENT[None, :1], verbose=0)
    with pytest.raises(ValueError, match="`loss` and `metrics`"):
        small().compile(loss="mse")
    with pytest.raises(ValueError, match="`every`"):
        callbacks.Snapshots("pictures", every=0)
    assert small().image is None
