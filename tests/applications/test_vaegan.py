"""VAEGAN: each network's step against its own loss of algorithm 1, likelihoods against SciPy, the paper's table 1, forms and verbs."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from zoo import autodiff
from zoo.applications import VAEGAN

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (10, 8, 16, 3)).astype("float32")
A = RNG.integers(0, 2, (10, 2)).astype("float32")
BOTH = {"image": X, "attributes": A}
MARKS = np.array([[1, 0], [0, 1]] * 5)


def small(**arguments):
    keras.utils.set_random_seed(0)
    found = VAEGAN(**{**VAEGAN.example_config(), **arguments})
    # heads that start at 0 would send no gradient to the layers below
    for v in found.encoder.trainable_variables[-4:] if found.encoder is not None else []:
        v.assign(np.random.default_rng(1).normal(0, 0.3, v.shape))
    return found


def plain(**arguments):
    """A model without conditions."""
    return small(attributes=0, **arguments)


@pytest.fixture(scope="module")
def model():
    """A conditional model that has seen some batches, for what does not change it."""
    found = small()
    found.fit(BOTH, batch_size=5, epochs=2, verbose=0)
    return found


def numpy(values):
    return [ops.convert_to_numpy(v) for v in values]


def gradient(loss, variables):
    """Of `loss()` with respect to `variables`, which keep their values."""
    return numpy(autodiff.value_and_weight_grad(loss, variables)[1])


def log_probability(logit):
    """log Dis(x)."""
    return ops.log(ops.sigmoid(logit[:, 0]))


# --- algorithm 1 ---


def stepped(model, x, weight=None):
    """The draws of one step of plain gradient descent at rate 1, by how much it moved each weight, its logs; weights stay as they were."""
    model.compile(keras.optimizers.SGD(1.0))
    state = ops.convert_to_numpy(model.seed_generator.state)
    draws = [keras.random.normal((len(X), model.latent_dim), seed=model.seed_generator) for _ in range(2)]
    model.seed_generator.state.assign(state)
    before = {v.path: ops.convert_to_numpy(v) for v in model.variables}
    logs = model.train_on_batch(x, sample_weight=weight, return_dict=True)
    changes = {v.path: before[v.path] - ops.convert_to_numpy(v) for v in model.trainable_variables}
    for v in model.variables:
        v.assign(before[v.path])
    return draws, changes, logs


def losses_by_hand(model, x, draws, weight, gamma):
    """Each network's own loss of algorithm 1, to be minimised, as a function of the weights; KL, likelihood and GAN as printed there."""
    (prior, noise), image = draws, ops.convert_to_tensor(X)
    given = ops.convert_to_tensor(x["attributes"]) if model.attributes else None
    told = {} if given is None else {"attributes": given}

    def decode(z):
        return model.decoder(z if given is None else ops.concatenate([z, given], -1), training=True)

    def discriminate(images):
        return model.discriminator({"image": images, **told}, training=True)

    def encoded():
        found = model.encoder({"image": image, **told}, training=True)
        return found, found["mean"] + ops.exp(0.5 * found["log_variance"]) * noise

    def prior_loss():
        found = encoded()[0]
        mean, variance = found["mean"], ops.exp(found["log_variance"])
        return ops.mean(weight * 0.5 * ops.sum(mean**2 + variance - 1 - ops.log(variance), axis=1))

    def likelihood():
        features = [discriminate(images)["features"] for images in (image, decode(encoded()[1]))]
        return ops.mean(weight * 0.5 * ops.sum((features[0] - features[1]) ** 2, axis=1))

    def gan():
        """L_GAN of algorithm 1: log Dis(X) + log(1 - Dis(X~)) + log(1 - Dis(X_p))."""
        real, decoded, drawn = (discriminate(images)["logit"] for images in (image, decode(encoded()[1]), decode(prior)))
        fakes = ops.mean(weight * log_probability(-decoded)) + ops.mean(log_probability(-drawn))
        return ops.mean(weight * log_probability(real)) + fakes

    losses = {
        model.encoder: lambda: prior_loss() + likelihood(),
        model.decoder: lambda: gamma * likelihood() + gan(),
        model.discriminator: lambda: -gan(),
    }
    return losses, prior_loss, likelihood, gan


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, len(X)).astype("float32")])
def test_each_network_follows_its_own_loss_of_algorithm_1(conditional, weight):
    model = small(gamma=0.3) if conditional else plain(gamma=0.3)
    x = BOTH if conditional else X
    draws, changes, logs = stepped(model, x, weight)
    weights = np.ones(len(X), "float32") if weight is None else weight
    losses, prior_loss, likelihood, gan = losses_by_hand(model, x, draws, weights, 0.3)
    for network, loss in losses.items():
        expected = gradient(loss, network.trainable_variables)
        assert max(np.abs(g).max() for g in expected) > 1e-3
        for v, g in zip(network.trainable_variables, expected):
            np.testing.assert_allclose(changes[v.path], g, rtol=5e-3, atol=2e-5 * max(1, np.abs(g).max()), err_msg=v.path)
    assert logs["kl"] == pytest.approx(float(prior_loss()), rel=1e-4)
    assert logs["reconstruction"] == pytest.approx(float(likelihood()), rel=1e-4)
    assert logs["d_loss"] == pytest.approx(-float(gan()), rel=1e-4)
    assert logs["loss"] == pytest.approx(logs["kl"] + logs["reconstruction"] + logs["d_loss"], rel=1e-4)


def test_the_forms_drop_what_they_lack():
    """The VAE's loss is over pixels; the GAN decodes the prior alone."""
    vae = plain(form="vae")
    (_, noise), changes, logs = stepped(vae, X)

    def loss():
        found = vae.encoder({"image": X}, training=True)
        z = found["mean"] + ops.exp(0.5 * found["log_variance"]) * noise
        kl = 0.5 * ops.sum(found["mean"] ** 2 + ops.exp(found["log_variance"]) - 1 - found["log_variance"], axis=1)
        return ops.mean(kl) + 0.5 * ops.mean(ops.sum((X - vae.decoder(z, training=True)) ** 2, axis=(1, 2, 3)))

    for v, g in zip(vae.trainable_variables, gradient(loss, vae.trainable_variables)):
        np.testing.assert_allclose(changes[v.path], g, rtol=5e-3, atol=2e-5 * max(1, np.abs(g).max()), err_msg=v.path)
    assert logs["loss"] == pytest.approx(float(loss()), rel=1e-4) and vae.discriminator is None

    gan = plain(form="gan")
    (prior, _), changes, logs = stepped(gan, X)

    def game():
        real, drawn = (gan.discriminator({"image": i}, training=True)["logit"] for i in (X, gan.decoder(prior, training=True)))
        return ops.mean(log_probability(real)) + ops.mean(log_probability(-drawn))

    for network, sign in ((gan.decoder, 1), (gan.discriminator, -1)):
        for v, g in zip(network.trainable_variables, gradient(game, network.trainable_variables)):
            np.testing.assert_allclose(changes[v.path], sign * g, rtol=5e-3, atol=1e-5, err_msg=v.path)
    assert logs["loss"] == pytest.approx(-float(game()), rel=1e-4) and gan.encoder is None


def test_a_taken_distance_stays_as_it_is():
    gan, model = plain(form="gan"), plain(form="vae_dis")
    with pytest.raises(ValueError, match="`form`.*take_discriminator.*Received"):
        model.fit(X, verbose=0)
    gan.fit(X, verbose=0)
    model.take_discriminator(gan)
    before = model.discriminator.get_weights()
    draws, changes, logs = stepped(model, X)
    assert not any(v.path.startswith("discriminator") for v in model.trainable_variables)
    found = model.encoder({"image": X}, training=True)
    z = found["mean"] + ops.exp(0.5 * found["log_variance"]) * draws[1]
    expected = model.distance(X, ops.convert_to_numpy(model.decoder(z, training=True)))
    assert logs["reconstruction"] == pytest.approx(expected.mean(), rel=1e-4)
    model.fit(X, epochs=2, verbose=0)
    for a, b, c in zip(before, model.discriminator.get_weights(), gan.discriminator.get_weights()):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    for bad in (model.discriminator, plain(form="vae"), plain(discriminator_filters=(3, 4, 5), form="gan")):
        with pytest.raises(ValueError, match="`gan`.*Received"):
            model.take_discriminator(bad)


def test_losses_are_those_of_gaussians():
    """KL against SciPy's entropy and a sum over many draws; the error is a unit Gaussian's log-density, less what no weight changes."""
    model = plain(form="gan", similarity_layer=2)
    mean, log_variance = RNG.normal(size=(2, 4, 5))
    a, b = RNG.uniform(-1, 1, (2, 4, 8, 16, 3)).astype("float32")
    features = numpy([model.similarity(a), model.similarity(b)])
    density = stats.norm.logpdf(features[0], features[1], 1).sum(1)
    constant = features[0].shape[1] * 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(model.distance(a, b), -density - constant, rtol=1e-4, atol=1e-3)
    vae = plain(form="vae")
    vae.compute_loss(X[:4], None, {"mean": mean.astype("float32"), "log_variance": log_variance.astype("float32")}, None, False)
    scale = np.exp(0.5 * log_variance)
    draws = mean + scale * RNG.normal(size=(200000, 4, 5))
    expected = (stats.norm.logpdf(draws, mean, scale) - stats.norm.logpdf(draws)).sum(-1).mean()
    assert float(vae.means["kl"].result()) == pytest.approx(expected, rel=0.01)


def test_moving_statistics_of_the_discriminator_follow_real_images_alone():
    model = plain()
    first = model.discriminator.get_layer("discriminator_1_norm")
    until = keras.Model(model.discriminator.input["image"], model.discriminator.get_layer("discriminator_conv_1").output)
    real = ops.convert_to_numpy(until(X))
    model.train_on_batch(X)
    np.testing.assert_allclose(first.moving_mean, 0.1 * real.mean((0, 1, 2)), rtol=1e-3, atol=1e-6)


def test_evaluation_trains_nothing(model):
    before = numpy(w for w in model.weights if "seed" not in w.path)
    logs = model.evaluate(BOTH, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["d_loss"] + logs["kl"] + logs["reconstruction"], rel=1e-4)
    for a, b in zip(before, numpy(w for w in model.weights if "seed" not in w.path)):
        np.testing.assert_array_equal(a, b)


def test_posteriors_start_as_the_prior():
    model = VAEGAN(**VAEGAN.example_config())
    assert all(np.all(part == 0) for part in model.predict(BOTH, verbose=0).values())
    assert model.evaluate(BOTH, verbose=0, return_dict=True)["kl"] == 0


# --- the paper's networks ---


def test_table_1():
    model = VAEGAN()
    kinds = {name: [type(layer).__name__ for layer in getattr(model, name).layers] for name in ("encoder", "decoder", "discriminator")}
    block = ["BatchNormalization", "ReLU"]
    assert kinds["encoder"][1:] == [*3 * ["Conv2D", *block], "Flatten", "Dense", *block, "Dense", "Dense"]
    assert kinds["decoder"][1:] == ["Dense", *block, "Reshape", *3 * ["Conv2DTranspose", *block], "Conv2D", "Activation"]
    assert [k for k in kinds["discriminator"][1:] if k != "Flatten"] == [
        "Conv2D",
        "ReLU",
        *3 * ["Conv2D", *block],
        "Dense",
        *block,
        "Dense",
    ]
    inside = 25 * (3 * 64 + 64 * 128 + 128 * 256) + 64 * 256 * 2048
    assert model.encoder.count_params() == inside + 4 * (64 + 128 + 256 + 2048) + 2 * (2048 + 1) * 128
    inside = 128 * 64 * 256 + 25 * (256 * 256 + 256 * 128 + 128 * 32 + 32 * 3) + 3
    assert model.decoder.count_params() == inside + 4 * (64 * 256 + 256 + 128 + 32)
    inside = 25 * (3 * 32 + 32 * 128 + 128 * 256 + 256 * 256) + 32 + 64 * 256 * 512 + 512 + 1
    assert model.discriminator.count_params() == inside + 4 * (128 + 256 + 256 + 512)
    # after three halvings (section 4): 8 x 8 maps of 256 channels
    assert model.similarity.output_shape == (None, 8 * 8 * 256)
    assert type(model.optimizer) is keras.optimizers.RMSprop and float(model.optimizer.learning_rate) == pytest.approx(3e-4)
    assert model.default_batch_size == 64 and model.latent_dim == 128


@pytest.mark.parametrize("layer", range(3))
def test_the_compared_layer_is_a_convolution(layer):
    model = plain(similarity_layer=layer)
    until = keras.Model(model.discriminator.input["image"], model.discriminator.get_layer(f"discriminator_conv_{layer}").output)
    expected = ops.convert_to_numpy(until(X)).reshape(len(X), -1)
    np.testing.assert_allclose(model.similarity(X), expected, atol=1e-5)


# --- verbs ---


def test_codes_images_and_attributes(model):
    z = model.encode(BOTH)
    expected = model.predict(BOTH, verbose=0)
    np.testing.assert_allclose(z, expected["mean"], rtol=1e-4, atol=1e-5)
    images = ops.convert_to_numpy(model.decoder(np.concatenate([z, A], 1), training=False))
    np.testing.assert_allclose(model.reconstruct(BOTH), images, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(model.generate(z, A), images, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(model.generate(z, A[0]), model.generate(z, np.tile(A[0], (10, 1))), atol=1e-6)
    served = model.signatures()["serve"][0](BOTH)
    np.testing.assert_allclose(ops.convert_to_numpy(served["image"]), images, rtol=1e-3, atol=1e-5)
    drawn = model.sample(70, seed=3, attributes=A[0])
    assert drawn.shape == (70, 8, 16, 3) and np.abs(drawn).max() <= 1
    np.testing.assert_array_equal(drawn, model.sample(70, seed=3, attributes=A[0]))
    z = model.latent(4000, seed=0)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3


def test_attribute_vectors_are_differences_of_means(model):
    z = model.encode(BOTH)
    vectors = model.attribute_vectors(BOTH, MARKS)
    expected = [z[MARKS[:, k] == 1].mean(0) - z[MARKS[:, k] == 0].mean(0) for k in (0, 1)]
    np.testing.assert_allclose(vectors, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(model.edit(BOTH, vectors[1], -2), model.generate(z - 2 * vectors[1], A), atol=1e-5)
    line = model.interpolate(z[0], z[1], steps=3, attributes=A[0])
    np.testing.assert_allclose(line[1], model.generate([(z[0] + z[1]) / 2], A[0])[0], rtol=1e-3, atol=1e-5)


def test_refusals(model):
    for arguments, name in (
        ({"image_shape": (8, 10, 3)}, "image_shape"),
        ({"image_shape": (8, 8)}, "image_shape"),
        ({"encoder_filters": ()}, "encoder_filters"),
        ({"decoder_filters": (4, 0)}, "decoder_filters"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"gamma": -1}, "gamma"),
        ({"similarity_layer": 3}, "similarity_layer"),
        ({"form": "vaegan"}, "form"),
        ({"attributes": -1}, "attributes"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            small(**arguments)
    z, free = model.encode(BOTH), plain()
    for call, name in (
        (lambda: model.generate(z), "attributes"),
        (lambda: model.generate(z, A[:3]), "attributes"),
        (lambda: free.generate(z, A), "attributes"),
        (lambda: model.sample(3), "attributes"),
        (lambda: model.attribute_vectors(BOTH, MARKS[:4]), "marks"),
        (lambda: model.attribute_vectors(BOTH, np.ones((10, 1))), "marks"),
        (lambda: model.edit(BOTH, z[0, :3]), "vector"),
        (lambda: model.distance(X, X[:4]), "other"),
        (lambda: plain(form="vae").distance(X, X), "form"),
        (lambda: plain(form="gan").encode(X), "form"),
        (lambda: free.take_discriminator(free), "form"),
        (lambda: model.encode(X), "x"),
        (lambda: model.encode({"image": 255 * np.abs(X), "attributes": A}), "image"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*"):
            call()
