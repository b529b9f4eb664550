"""DCGAN: each player's step against its own loss, statistics, the paper's layers, and the verbs against NumPy."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo import autodiff
from zoo.applications import DCGAN
from zoo.callbacks import SampleGrid, sample_grid

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (10, 8, 12, 3)).astype("float32")


def small(**arguments):
    keras.utils.set_random_seed(0)
    return DCGAN(**{**DCGAN.example_config(), **arguments})


@pytest.fixture(scope="module")
def model():
    """A model that has seen some batches, for what does not change it."""
    model = small(filters=(6, 5))
    model.fit(X, batch_size=5, epochs=2, verbose=0)
    return model


def numpy(values):
    return [ops.convert_to_numpy(v) for v in values]


def binary_crossentropy(logits, label):
    return ops.mean(keras.losses.binary_crossentropy(ops.full_like(logits, label), logits, from_logits=True))


def gradient(loss, variables):
    """Of `loss()` with respect to `variables`, which keep their values."""

    def at(values):
        with autodiff.Scope(zip(variables, values)):
            return loss()

    return numpy(autodiff.grad(at, [v.value for v in variables]))


# --- the game ---


def step(optimizer=None, weight=None):
    """A model after one step of plain gradient descent at rate 1 on `X`; the latent vectors of the step; all weights before."""
    model = small()
    model.compile(optimizer or keras.optimizers.SGD(1.0))
    state = ops.convert_to_numpy(model.seed_generator.state)
    z = keras.random.uniform((len(X), model.latent_dim), -1.0, 1.0, seed=model.seed_generator)
    model.seed_generator.state.assign(state)
    before = {v.path: ops.convert_to_numpy(v) for v in model.variables}
    logs = model.train_on_batch(X, sample_weight=weight, return_dict=True)
    return model, z, before, logs


@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, len(X)).astype("float32")])
def test_each_player_follows_the_gradient_of_its_own_loss(weight):
    model, z, before, logs = step(weight=weight)
    oracle = small()
    for v in oracle.weights:
        v.assign(before[v.path])
    generator, discriminator = oracle.generator, oracle.discriminator
    fake = ops.convert_to_tensor(ops.convert_to_numpy(generator(z, training=True)))  # a constant for the discriminator
    weights = np.ones(len(X), "float32") if weight is None else weight

    def d_loss():
        logits = discriminator(X, training=True)
        real = keras.losses.binary_crossentropy(ops.ones_like(logits), logits, from_logits=True)
        return ops.mean(real * weights) + binary_crossentropy(discriminator(fake, training=True), 0.0)

    def g_loss():
        return binary_crossentropy(discriminator(generator(z, training=True), training=True), 1.0)

    for network, loss, name in ((discriminator, d_loss, "d_loss"), (generator, g_loss, "g_loss")):
        trained = {v.path: ops.convert_to_numpy(v) for v in model.trainable_variables}
        expected = gradient(loss, network.trainable_variables)
        assert max(np.abs(g).max() for g in expected) > 1e-3
        for v, g in zip(network.trainable_variables, expected):
            np.testing.assert_allclose(before[v.path] - trained[v.path], g, rtol=1e-3, atol=1e-5, err_msg=v.path)
        assert logs[name] == pytest.approx(float(loss()), rel=1e-5)
    assert logs["loss"] == pytest.approx(logs["d_loss"] + logs["g_loss"], rel=1e-5)


def test_one_adam_is_one_adam_a_player():
    """Adam over all weights moves each player as one of its own would; after a step its first moment is half the gradient."""
    model, _, before, _ = step(keras.optimizers.Adam(1e-3, beta_1=0.5))
    moments = {v.path.split("/")[-1]: v for v in model.optimizer.variables}
    for player in (model.generator, model.discriminator):
        own = keras.optimizers.Adam(1e-3, beta_1=0.5)
        variables = [keras.Variable(before[v.path]) for v in player.trainable_variables]
        own.apply([2 * moments[v.path.replace("/", "_") + "_momentum"] for v in player.trainable_variables], variables)
        for v, expected in zip(player.trainable_variables, variables):
            assert np.abs(ops.convert_to_numpy(v) - before[v.path]).max() > 1e-4
            np.testing.assert_allclose(*numpy([v, expected]), atol=2e-6, err_msg=v.path)


def test_moving_statistics_follow_real_images_alone():
    model, z, before, _ = step()
    norm = model.discriminator.get_layer("discriminator_norm_1")
    oracle = small()
    for v in oracle.weights:
        v.assign(before[v.path])
    until = keras.Model(oracle.discriminator.input, oracle.discriminator.get_layer("discriminator_conv_1").output)
    real = ops.convert_to_numpy(until(X))
    np.testing.assert_allclose(norm.moving_mean, 0.1 * real.mean((0, 1, 2)), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(norm.moving_variance, 0.9 + 0.1 * real.var((0, 1, 2)), rtol=1e-4)
    projected = ops.convert_to_numpy(oracle.generator.get_layer("generator_project")(z)).reshape(-1, 6)
    np.testing.assert_allclose(model.generator.get_layer("generator_norm_0").moving_mean, 0.1 * projected.mean(0), rtol=1e-3, atol=1e-7)


def test_evaluation_trains_nothing(model):
    before = numpy(w for w in model.weights if "seed" not in w.path)
    logs = model.evaluate(X, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["d_loss"] + logs["g_loss"], rel=1e-4)
    for a, b in zip(before, numpy(w for w in model.weights if "seed" not in w.path)):
        np.testing.assert_array_equal(a, b)


# --- the paper's networks ---


def test_the_papers_networks():
    """Figure 1 and section 3: 64 x 64 images, 1024 to 128 channels, batch normalisation, no pooling, no hidden dense layer."""
    model = DCGAN()
    widths = [1024, 512, 256, 128, 3]
    up = sum(25 * i * o for i, o in zip(widths, widths[1:]))
    assert model.generator.count_params() == 100 * 4 * 4 * 1024 + up + 3 + 4 * sum(widths[:-1])
    down = sum(25 * i * o for i, o in zip(widths, widths[1:]))
    assert model.discriminator.count_params() == down + 128 + 4 * (256 + 512 + 1024) + 4 * 4 * 1024 + 1
    kinds = [[type(layer).__name__ for layer in network.layers[1:]] for network in (model.generator, model.discriminator)]
    block = ["BatchNormalization", "ReLU", "Conv2DTranspose"]
    assert kinds[0] == ["Dense", "Reshape", *4 * block, "Activation"]
    block = ["Conv2D", "BatchNormalization", "LeakyReLU"]
    assert kinds[1] == ["Conv2D", "LeakyReLU", *3 * block, "Flatten", "Dense"]
    assert model.generator.layers[-1].activation is keras.activations.tanh
    assert all(layer.negative_slope == pytest.approx(0.2) for layer in model.discriminator.layers if isinstance(layer, layers.LeakyReLU))
    convolutions = [layer for n in (model.generator, model.discriminator) for layer in n.layers if isinstance(layer, layers.Conv2D)]
    convolutions += [layer for layer in model.generator.layers if isinstance(layer, layers.Conv2DTranspose)]
    assert {layer.strides for layer in convolutions} == {(2, 2)} and {layer.kernel_size for layer in convolutions} == {(5, 5)}
    for variable in model.trainable_variables:
        if variable.name == "kernel":
            values = ops.convert_to_numpy(variable)
            few = 4 / values.size**0.5
            assert abs(values.mean()) < 0.02 * few and values.std() == pytest.approx(0.02, rel=few), variable.path
    optimizer = model.optimizer
    assert type(optimizer) is keras.optimizers.Adam and optimizer.beta_1 == 0.5
    assert float(ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(2e-4)


def test_batches_of_128_unless_told_otherwise():
    sizes = []

    class Spy(DCGAN):
        def objective(self, x, y, y_pred, sample_weight, training):
            sizes.append(x.shape[0])
            return ops.mean(y_pred)

    x = RNG.uniform(-1, 1, (256, 8, 12, 3)).astype("float32")
    spy = Spy(**DCGAN.example_config())
    spy.compile(run_eagerly=keras.backend.backend() == "tensorflow")
    for arguments, expected in (({}, 128), ({"batch_size": 64}, 64)):
        sizes.clear()
        spy.fit(x, verbose=0, **arguments)
        assert set(sizes) == {expected}


def test_the_generator_sees_the_discriminator_before_its_update():
    model = small()
    # updates large enough to be seen, many steps since the order of operations is a matter of luck
    model.compile(keras.optimizers.SGD(1.0), jit_compile=False)
    before = [ops.convert_to_numpy(v) for v in model.variables]
    losses = set()
    for _ in range(300):
        for variable, value in zip(model.variables, before):
            variable.assign(value)
        losses.add(round(float(model.train_on_batch(X, return_dict=True)["g_loss"]), 4))
    assert len(losses) == 1


# --- verbs ---


def test_features_are_activations_pooled_to_4_x_4():
    model = small(image_shape=(32, 16, 3), filters=(5, 4, 3))
    images = RNG.uniform(-1, 1, (130, 32, 16, 3)).astype("float32")
    names = [f"discriminator_relu_{i}" for i in range(3)]
    maps = keras.Model(model.discriminator.input, [model.discriminator.get_layer(n).output for n in names])(images)
    expected = []
    for m in numpy(maps):  # 16 x 8, 8 x 4, 4 x 2
        n, height, width, channels = m.shape
        columns = min(width, 4)
        m = m.reshape(n, 4, height // 4, columns, width // columns, channels).max((2, 4))
        expected.append(m.reshape(n, -1))
    found = model.features(images)
    np.testing.assert_allclose(found, np.concatenate(expected, 1), rtol=1e-4, atol=1e-6)
    assert found.shape == (130, 16 * (3 + 4) + 8 * 5)
    served = model.signatures()["features"][0](images)["features"]
    np.testing.assert_allclose(ops.convert_to_numpy(served), found, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("side", [5, 6, 7, 13, 14])
def test_pooling_covers_maps_that_4_does_not_divide(side):
    from zoo.applications.dcgan import _max_pool_to_4

    x = RNG.normal(size=(2, side, side, 3)).astype("float32")
    image = keras.Input(x.shape[1:])
    found = ops.convert_to_numpy(keras.Model(image, _max_pool_to_4(image))(x))
    bounds = [(i * side // 4, -(-(i + 1) * side // 4)) for i in range(4)]
    expected = np.stack([np.stack([x[:, a:b, c:d].max((1, 2)) for c, d in bounds], 1) for a, b in bounds], 1)
    np.testing.assert_array_equal(found, expected)


def test_generate_and_sample(model):
    z = model.latent(130, seed=3)
    assert z.shape == (130, 5) and z.min() >= -1 and z.max() <= 1 and z.std() == pytest.approx(3**-0.5, rel=0.1)
    images = model.generate(z)
    np.testing.assert_allclose(images, ops.convert_to_numpy(model.generator(z, training=False)), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.sample(130, seed=3), images)
    assert np.abs(model.sample(2) - model.sample(2)).max() > 1e-4
    assert images.shape == (130, 8, 12, 3) and np.abs(images).max() <= 1
    real = model.signatures()["discriminate"][0](X)["real"]
    np.testing.assert_allclose(ops.convert_to_numpy(real), 1 / (1 + np.exp(-model.predict(X, verbose=0))), rtol=1e-4)


def test_interpolation_runs_straight_from_end_to_end(model):
    z0, z1 = model.latent(2, seed=1)
    images = model.interpolate(z0, z1, steps=5)
    expected = model.generate([(1 - t) * z0 + t * z1 for t in (0, 0.25, 0.5, 0.75, 1)])
    np.testing.assert_allclose(images, expected, rtol=1e-4, atol=1e-5)


def test_arithmetic_adds_and_subtracts_means(model):
    z = model.latent(7, seed=2)
    images = model.arithmetic([z[0:3], z[6]], [z[3:6]], variations=2, noise=0.0)
    total = np.clip(z[0:3].mean(0) + z[6] - z[3:6].mean(0), -1, 1)
    np.testing.assert_allclose(images, model.generate([total] * 3), atol=1e-5)
    noisy = model.arithmetic([z[0]], variations=3, noise=0.25, seed=0)
    shifts = np.random.default_rng(0).uniform(-0.25, 0.25, (3, 5))
    np.testing.assert_allclose(noisy, model.generate(np.clip([z[0], *(z[0] + shifts)], -1, 1)), atol=1e-5)


def test_sample_grid_draws_every_other_epoch(tmp_path):
    from PIL import Image

    model = small()
    grid = SampleGrid(tmp_path / "grids", every=2, rows=2, columns=3, seed=4)
    model.fit(X, epochs=3, verbose=0, callbacks=[grid])
    assert [f.name for f in (tmp_path / "grids").iterdir()] == ["epoch_0002.png"]
    model.fit(X, epochs=4, initial_epoch=3, verbose=0, callbacks=[grid])
    with Image.open(tmp_path / "grids" / "epoch_0004.png") as picture:
        found = np.asarray(picture, "float32") / 255
    images = (model.sample(6, seed=4) + 1) / 2
    rows = [np.concatenate(list(images[i : i + 3]), 1) for i in (0, 3)]
    np.testing.assert_allclose(found, np.concatenate(rows), atol=1 / 255)


def test_refusals(model, tmp_path):
    for arguments, name in (
        ({"image_shape": (8, 10, 3)}, "image_shape"),
        ({"image_shape": (8, 8)}, "image_shape"),
        ({"filters": ()}, "filters"),
        ({"filters": (4, 0)}, "filters"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"kernel_size": 0}, "kernel_size"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            small(**arguments)
    z = model.latent(2)
    for bad in (z[0], z[:, :4], 1.5 + z, z[:0], np.full_like(z, np.nan)):
        with pytest.raises(ValueError, match="`z`.*Received"):
            model.generate(bad)
    with pytest.raises(ValueError, match="`steps`"):
        model.interpolate(*z, steps=1)
    with pytest.raises(ValueError, match="`z0`"):
        model.interpolate(z[0, :4], z[1, :4])
    with pytest.raises(ValueError, match="`positive`"):
        model.arithmetic([])
    with pytest.raises(ValueError, match="`negative`"):
        model.arithmetic([z], [z[:, :3]])
    for verb in (model.features, lambda x: model.fit(x, verbose=0)):
        with pytest.raises(ValueError, match="`image` must be at most 1"):
            verb(255 * np.abs(X))
    with pytest.raises(ValueError, match="`every`"):
        SampleGrid(tmp_path, every=0)
    with pytest.raises(ValueError, match="`columns`"):
        sample_grid.tile(np.zeros((5, 2, 2, 1)), 2)
    with pytest.raises(ValueError, match="`images` must have shape"):
        sample_grid.tile(np.zeros((4, 784)), 2)
