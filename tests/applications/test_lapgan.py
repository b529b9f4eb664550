"""LAPGAN: each player's step against its own loss, the paper's networks, noise and its covariance, and the verbs against NumPy."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo import autodiff
from zoo.applications import LAPGAN

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (6, 20, 24, 3)).astype("float32")
LABELS = np.array([0, 1, 2, 0, 1, 2])


def small(**arguments):
    keras.utils.set_random_seed(0)
    return LAPGAN(**{**LAPGAN.example_config(), **arguments})


@pytest.fixture(scope="module")
def model():
    """Three levels without classes that have seen a batch, for what does not change them."""
    model = small(image_shape=(40, 48, 3), levels=3, classes=None)
    model.fit(np.repeat(np.repeat(X, 2, 1), 2, 2), batch_size=6, verbose=0)
    return model


@pytest.fixture(scope="module")
def conditional():
    model = small()
    model.fit({"image": X, "label": LABELS}, batch_size=6, verbose=0)
    return model


def numpy(values):
    return [ops.convert_to_numpy(v) for v in values]


def doubled(image):
    return ops.convert_to_numpy(keras.layers.UpSampling2D(2, interpolation="bilinear")(image))


def halved(image):
    n, height, width, channels = image.shape
    return image.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def gradient(loss, variables):
    """Of `loss()` with respect to `variables`, which keep their values."""

    def at(values):
        with autodiff.Scope(zip(variables, values)):
            return loss()

    return numpy(autodiff.grad(at, [v.value for v in variables]))


# --- the game ---


class Game:
    """The losses of each player as the paper and the authors' code have them, with Keras's cross-entropy, for the networks of a model."""

    def __init__(self, model, z, weights):
        self.model, self.weights = model, weights
        self.one_hot = ops.convert_to_tensor(np.eye(3, dtype="float32")[LABELS])
        self.images = [ops.convert_to_tensor(image) for image in (halved(X), X)]
        self.parts = [ops.convert_to_tensor(part) for part in (z[:, :4], z[:, 4:])]

    def drawn(self, k):
        if k == 0:
            return self.model.generators[0]([self.parts[0], self.one_hot])
        low = ops.convert_to_tensor(doubled(self.images[0]))
        return low + self.model.generators[1]([low, self.parts[1], self.one_hot])

    def judged(self, k, image, label):
        logits = self.model.discriminators[k]([image, self.one_hot])
        return keras.losses.binary_crossentropy(ops.full_like(logits, label), logits, from_logits=True) * self.weights

    def d_loss(self, k):
        fake = ops.stop_gradient(self.drawn(k))
        return ops.mean(self.judged(k, self.images[k], 1.0) + self.judged(k, fake, 0.0)) / 2

    def g_loss(self, k):
        return ops.mean(self.judged(k, self.drawn(k), 1.0))

    def error(self, k):
        return ops.mean(ops.mean(ops.square(self.drawn(k) - self.images[k]), (1, 2, 3)) * self.weights) if k else 0.0


@pytest.mark.parametrize("weight", [None, np.array([0, 2, 0.5, 1, 0, 1], "float32")])
def test_each_player_follows_the_gradient_of_its_own_loss(weight):
    """One step of gradient descent at rate 1 is the gradient of the player's own loss, with the others as they were."""
    model = small(dropout=0.0)
    # the coarsest discriminator starts with weights so small that gradients would be lost in rounding
    for v in model.discriminators[0].trainable_variables:
        v.assign(50 * v)
    model.compile(keras.optimizers.SGD(1.0))
    state = ops.convert_to_numpy(model.seed_generator.state)
    z = ops.convert_to_numpy(keras.random.uniform((len(X), model.latent_size), -1.0, 1.0, seed=model.seed_generator))
    model.seed_generator.state.assign(state)
    before = numpy(model.weights)
    logs = model.train_on_batch({"image": X, "label": LABELS}, sample_weight=weight, return_dict=True)
    after = {v.path: ops.convert_to_numpy(v) for v in model.trainable_variables}
    for v, value in zip(model.weights, before):
        v.assign(value)
    game = Game(model, z, 1.0 if weight is None else weight)
    for k, side in enumerate((10, 20)):
        losses = (
            (model.discriminators[k], lambda k=k: game.d_loss(k)),
            (model.generators[k], lambda k=k: game.g_loss(k) + 0.5 * game.error(k)),
        )
        for network, loss in losses:
            old = numpy(network.trainable_variables)
            for v, value, g in zip(network.trainable_variables, old, gradient(loss, network.trainable_variables)):
                assert np.abs(g).max() > 1e-7
                np.testing.assert_allclose(value - after[v.path], g, rtol=2e-3, atol=2e-6, err_msg=v.path)
        assert logs[f"d_loss_{side}"] == pytest.approx(float(game.d_loss(k)), rel=1e-4)
        assert logs[f"g_loss_{side}"] == pytest.approx(float(game.g_loss(k)), rel=1e-4)
    assert logs["detail_error_20"] == pytest.approx(float(game.error(1)), rel=1e-4)
    total = sum(float(game.d_loss(k) + game.g_loss(k) + 0.5 * game.error(k)) for k in range(2))
    assert logs["loss"] == pytest.approx(total, rel=1e-4)


def test_an_image_without_weight_has_no_influence():
    changed = X.copy()
    changed[0] = 1
    found = []
    for x in (X, changed):
        model = small(dropout=0.0)
        model.train_on_batch({"image": x, "label": LABELS}, sample_weight=np.array([0, 1, 1, 1, 1, 1.0]))
        found.append(numpy(model.trainable_variables))
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, atol=1e-6)


# --- the paper's networks ---


def test_the_papers_networks():
    """Section 3.1.1, and channels and kernels as in the authors' code."""
    model = LAPGAN()
    assert [network.output_shape[1:] for network in model.generators] == [(8, 8, 3), (16, 16, 3), (32, 32, 3)]
    assert model.latent_size == 100 + 256 + 1024
    assert model.generators[0].count_params() == 100 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 192 + 192
    assert model.discriminators[0].count_params() == 192 * 600 + 600 + 600 * 600 + 600 + 600 + 1
    fine = 4 * 64 * 49 + 64 + 64 * 64 * 49 + 64 + 64 * 3 * 25 + 3
    assert [network.count_params() for network in model.generators[1:]] == [fine, fine]
    # (32 - 5 + 1 - 5) // 2 + 1 = 12 pixels are left, of 16 there are 4
    for network, left in zip(model.discriminators[1:], (4, 12)):
        assert network.count_params() == 3 * 64 * 25 + 64 + 64 * 64 * 25 + 64 + 64 * left**2 + 1
    kinds = [type(layer).__name__ for layer in model.discriminators[0].layers]
    assert kinds == ["InputLayer", "Flatten", "Dense", "Dropout", "Dense", "Dropout", "Dense"]
    optimizer = model.optimizer
    assert type(optimizer) is keras.optimizers.Adam and optimizer.beta_1 == 0.5
    assert float(ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(0.001)
    assert model.default_batch_size == 64


def test_weights_start_as_in_the_authors_code():
    """The coarsest pair from normal distributions, the others from Torch's uniform one, with a deviation of 1 / sqrt(3 inputs)."""
    model = LAPGAN()
    for network, deviation in ((model.generators[0], 0.05), (model.discriminators[0], 0.005)):
        for v in network.trainable_variables:
            assert v.name == "bias" or ops.convert_to_numpy(v).std() == pytest.approx(deviation, rel=0.1)
    for network in (*model.generators[1:], *model.discriminators[1:]):
        for v in network.trainable_variables:
            values = ops.convert_to_numpy(v)
            if v.name == "kernel":
                limit = 1 / np.sqrt(np.prod(v.shape[:-1]))
                assert 0.9 * limit < np.abs(values).max() <= 1.0001 * limit and values.std() == pytest.approx(limit / 3**0.5, rel=0.1)


def test_classes_are_a_plane_through_a_linear_layer():
    """The finer networks see one more plane; the coarse ones a vector."""
    plain, model = small(classes=None), small()
    assert model.generators[0].count_params() - plain.generators[0].count_params() == 3 * 6
    assert model.discriminators[0].count_params() - plain.discriminators[0].count_params() == 3 * 64
    plane = 3 * 480 + 480
    assert model.generators[1].count_params() - plain.generators[1].count_params() == plane + 49 * 4
    assert model.discriminators[1].count_params() - plain.discriminators[1].count_params() == plane + 25 * 3


# --- noise ---


def test_noise_in_a_plane_is_a_number_for_each_pixel():
    model = small(noise="plane", classes=None)
    assert model.latent_size == 4 + 20 * 24
    assert not [layer for layer in model.generators[1].layers if layer.name == "generator_1_noise"]


@pytest.mark.parametrize("noise", ["low_rank", "hash"])
def test_noise_of_low_rank_keeps_its_entropy_and_the_variance_of_a_pixel(noise):
    model = small(image_shape=(40, 48, 3), levels=3, classes=None, noise=noise)
    assert model.latent_size == 4 + 7 + 7
    for k, pixels in ((1, 480), (2, 1920)):
        layer = model.generators[k].get_layer(f"generator_{k}_noise")
        assert not layer.trainable and layer.kernel.shape == (7, pixels)
        kernel = ops.convert_to_numpy(layer.kernel).astype("float64")
        assert np.linalg.matrix_rank(kernel.T @ kernel) == 7
        np.testing.assert_allclose((kernel**2).sum(0), 1, rtol=1e-5)
        if noise == "hash":
            assert set(np.unique(kernel)) == {-1, 0, 1} and (np.count_nonzero(kernel, axis=0) == 1).all()
    growing = small(image_shape=(40, 48, 3), levels=3, classes=None, noise=noise, noise_dim=(5, 9))
    assert growing.latent_size == 4 + 5 + 9


def test_the_mixture_of_noise_is_no_matter_of_luck_and_does_not_train():
    first, second = small(), small()
    kernels = [ops.convert_to_numpy(m.generators[1].get_layer("generator_1_noise").kernel) for m in (first, second)]
    np.testing.assert_array_equal(*kernels)
    first.fit({"image": X, "label": LABELS}, verbose=0)
    np.testing.assert_array_equal(kernels[0], first.generators[1].get_layer("generator_1_noise").kernel)


# --- verbs ---


def test_a_chain_adds_details_to_the_doubled_image(model):
    z = model.latent(130, seed=1)
    image = ops.convert_to_numpy(model.generators[0](z[:, :4]))
    expected = [image]
    for k, part in ((1, z[:, 4:11]), (2, z[:, 11:])):
        low = doubled(image)
        image = low + ops.convert_to_numpy(model.generators[k]([low, part]))
        expected.append(image)
    found = model.chain(z)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, np.clip(b, -1, 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.generate(z), found[-1])
    np.testing.assert_array_equal(model.sample(130, seed=1), found[-1])
    served = ops.convert_to_numpy(model.signatures()["serve"][0](ops.convert_to_tensor(z))["image"])
    np.testing.assert_allclose(served, found[-1], rtol=1e-4, atol=1e-5)


def test_refining_goes_on_from_any_level(model):
    images = model.sample(5, seed=3)[:, ::2, ::2]
    z = ops.convert_to_numpy(keras.random.uniform((5, model.latent_size), -1.0, 1.0, seed=7))
    low = doubled(images)
    expected = low + ops.convert_to_numpy(model.generators[2]([low, z[:, 11:]]))
    np.testing.assert_allclose(model.refine(images, seed=7), np.clip(expected, -1, 1), rtol=1e-4, atol=1e-5)
    smallest = images[:, ::2, ::2]
    once = model.refine(smallest, steps=1, seed=7)
    assert once.shape == (5, 20, 24, 3) and model.refine(smallest).shape == (5, 40, 48, 3)
    low = doubled(smallest)
    expected = low + ops.convert_to_numpy(model.generators[1]([low, z[:, 4:11]]))
    np.testing.assert_allclose(once, np.clip(expected, -1, 1), rtol=1e-4, atol=1e-5)
    assert np.abs(model.refine(images, seed=1) - model.refine(images, seed=2)).max() > 1e-5


def test_pyramids_collapse_to_the_image(model):
    x = RNG.uniform(-1, 1, (131, 40, 48, 3)).astype("float32")
    bands = model.pyramid(x)
    assert [band.shape for band in bands] == [(131, 40, 48, 3), (131, 20, 24, 3), (131, 10, 12, 3)]
    np.testing.assert_allclose(bands[-1], halved(halved(x)), atol=1e-6)
    np.testing.assert_allclose(model.collapse(bands), x, atol=1e-6)


def test_the_error_of_details_is_that_of_the_nearest_draw(model):
    x = RNG.uniform(-1, 1, (3, 40, 48, 3)).astype("float32")
    bands, rng = model.pyramid(x), np.random.default_rng(5)
    nearest = np.full((3, 2), np.inf)
    for _ in range(4):
        z = rng.uniform(-1, 1, (3, model.latent_size)).astype("float32")
        for k, low, noise in ((1, doubled(halved(halved(x))), z[:, 4:11]), (2, doubled(halved(x)), z[:, 11:])):
            details = ops.convert_to_numpy(model.generators[k]([low, noise]))
            distance = np.sqrt(((details - bands[2 - k]) ** 2).sum((1, 2, 3)))
            nearest[:, k - 1] = np.minimum(nearest[:, k - 1], distance)
    np.testing.assert_allclose(model.detail_error(x, draws=4, seed=5), nearest, rtol=1e-4)


def test_logits_are_those_of_the_discriminators(model, conditional):
    x = RNG.uniform(-1, 1, (3, 40, 48, 3)).astype("float32")
    images = [halved(halved(x)), halved(x), x]
    expected = np.concatenate([ops.convert_to_numpy(d(i)) for d, i in zip(model.discriminators, images)], axis=1)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)
    real = model.signatures()["discriminate"][0](x)["real"]
    np.testing.assert_allclose(ops.convert_to_numpy(real), 1 / (1 + np.exp(-expected)), rtol=1e-4)
    assert conditional.predict({"image": X, "label": LABELS}, verbose=0).shape == (6, 2)


def test_classes_change_what_is_drawn(conditional):
    z = conditional.latent(3, seed=0)
    images = [conditional.generate(z, [label] * 3) for label in (0, 1)]
    assert np.abs(images[0] - images[1]).max() > 1e-4
    in_turn = conditional.sample(4, seed=2)
    np.testing.assert_array_equal(in_turn, conditional.sample(4, seed=2, labels=[0, 1, 2, 0]))
    assert conditional.refine(X[:, ::2, ::2], LABELS, seed=0).shape == X.shape
    assert conditional.detail_error({"image": X, "label": LABELS}, draws=1).shape == (6, 1)


def test_one_level_is_a_plain_adversarial_net():
    model = small(image_shape=(4, 6, 1), levels=1, classes=None)
    model.fit(RNG.uniform(-1, 1, (5, 4, 6, 1)), verbose=0)
    assert model.sample(2).shape == (2, 4, 6, 1)
    assert model.detail_error(RNG.uniform(-1, 1, (5, 4, 6, 1))).shape == (5, 0)
    with pytest.raises(ValueError, match="`images`.*Received"):
        model.refine(np.zeros((1, 4, 6, 1)))


def test_refusals(model, conditional):
    for arguments, name in (
        ({"image_shape": (20, 23, 3)}, "image_shape"),
        ({"image_shape": (20, 24)}, "image_shape"),
        ({"levels": 0}, "levels"),
        ({"image_shape": (8, 8, 3)}, "levels"),
        ({"classes": 1}, "classes"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"generator_units": 0}, "generator_units"),
        ({"dropout": 1.0}, "dropout"),
        ({"noise": "white"}, "noise"),
        ({"noise_dim": 0}, "noise_dim"),
        ({"noise_dim": (3, 4)}, "noise_dim"),
        ({"super_resolution": -1}, "super_resolution"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            small(**arguments)
    z = model.latent(2)
    for bad in (z[0], z[:, :4], 1.5 + z, z[:0], np.full_like(z, np.nan)):
        with pytest.raises(ValueError, match="`z`.*Received"):
            model.generate(bad)
    with pytest.raises(ValueError, match="`labels` must be None"):
        model.generate(z, [0, 1])
    z = conditional.latent(2)
    for bad in (None, [0], [0, 3], [0, 0.5], ["a", "b"]):
        with pytest.raises(ValueError, match="`labels`.*Received"):
            conditional.generate(z, bad)
    with pytest.raises(ValueError, match="`images`.*Received"):
        model.refine(np.zeros((2, 40, 48, 3)))
    with pytest.raises(ValueError, match="`images` must be at most 1"):
        model.refine(2 * np.ones((2, 20, 24, 3)))
    with pytest.raises(ValueError, match="`steps`.*at most 1"):
        model.refine(np.zeros((2, 20, 24, 3)), steps=2)
    with pytest.raises(ValueError, match="`bands`.*Received"):
        model.collapse(model.pyramid(np.zeros((2, 40, 48, 3)))[:2])
    with pytest.raises(ValueError, match="`image` must be at most 1"):
        model.fit(255 * np.ones((2, 40, 48, 3)), verbose=0)


def test_layers_convolve_as_in_the_authors_code():
    model = small()
    found = [(layer.kernel_size, layer.strides, layer.padding) for layer in model.generators[1].layers if isinstance(layer, layers.Conv2D)]
    assert found == [((7, 7), (1, 1), "same")] * 2 + [((5, 5), (1, 1), "same")]
    found = [
        (layer.kernel_size, layer.strides, layer.padding) for layer in model.discriminators[1].layers if isinstance(layer, layers.Conv2D)
    ]
    assert found == [((5, 5), (1, 1), "valid"), ((5, 5), (2, 2), "valid")]
