"""Generalised adversarial nets: losses and gradients against integrals over the plane, both ways of mixing, any pair of networks."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import special, stats

from zoo import autodiff, metrics
from zoo.applications import DCGAN, GeneralizedAdversarialNet

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 4)).astype("float32")
PRIORS = (0.1, 0.5, 0.9)
# the plane, P on it, and the generator's Gaussian
TICKS = np.linspace(-6, 6, 241)
GRID = np.stack(np.meshgrid(TICKS, TICKS), axis=-1).reshape(-1, 2)
CELL = (TICKS[1] - TICKS[0]) ** 2
CENTRES, SHARES, SPREAD = np.array([[-1.0, -0.5], [1.2, 0.4]]), np.array([0.7, 0.3]), 0.8
KERNEL, BIAS = np.array([[0.9, 0.3], [0.0, 0.6]]), np.array([0.2, -0.1])


def small(**arguments):
    keras.utils.set_random_seed(0)
    return GeneralizedAdversarialNet(**{**GeneralizedAdversarialNet.example_config(), **arguments})


def numpy(values):
    return [ops.convert_to_numpy(v) for v in values]


# --- the divergence on the plane ---


def density_p(points):
    return sum(w * stats.multivariate_normal(m, SPREAD**2).pdf(points) for w, m in zip(SHARES, CENTRES))


def density_q(points, kernel, bias):
    return stats.multivariate_normal(bias, kernel.T @ kernel).pdf(points)


def integrated(pi, kernel, bias):
    """JS_pi on the grid."""
    p, q = density_p(GRID) * CELL, density_q(GRID, kernel, bias) * CELL
    return metrics.jensen_shannon_divergence(p / p.sum(), q / q.sum(), pi)


def softened(pi, kernel, bias):
    """KL[M||P] on the grid."""
    p, q = density_p(GRID) * CELL, density_q(GRID, kernel, bias) * CELL
    return special.rel_entr(pi * p + (1 - pi) * q, p).sum()


class Optimal(layers.Layer):
    """The logit of the optimal discriminator for the generator as it is at first, whatever becomes of it."""

    def __init__(self, pi):
        super().__init__()
        self.prior = float(np.log(pi / (1 - pi)))
        self.inverse = np.linalg.inv(KERNEL.T @ KERNEL).astype("float32")
        self.log_norm = float(-np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(KERNEL.T @ KERNEL)[1])

    def call(self, x):
        parts = [
            float(np.log(w) - np.log(2 * np.pi * SPREAD**2)) - ops.sum((x - m.astype("float32")) ** 2, axis=-1) / (2 * SPREAD**2)
            for w, m in zip(SHARES, CENTRES)
        ]
        centred = x - BIAS.astype("float32")
        log_q = self.log_norm - 0.5 * ops.sum(ops.matmul(centred, self.inverse) * centred, axis=-1)
        return (self.prior + ops.logsumexp(ops.stack(parts), axis=0) - log_q)[:, None]


def optimal(pi, **arguments):
    """A Gaussian generator beside its optimal discriminator; latent vectors on a grid of quantiles, all equally probable."""
    keras.utils.set_random_seed(0)
    z, x = keras.Input((2,)), keras.Input((2,))
    generator, discriminator = keras.Model(z, layers.Dense(2)(z)), keras.Model(x, Optimal(pi)(x))
    generator.set_weights([KERNEL, BIAS])
    model = GeneralizedAdversarialNet(
        pi, generator=generator, discriminator=discriminator, latent_distribution="normal", noise=0, **arguments
    )
    quantiles = stats.norm.ppf((np.arange(500) + 0.5) / 500)
    latent = np.stack(np.meshgrid(quantiles, quantiles), axis=-1).reshape(-1, 2).astype("float32")
    model._latent = lambda n, seed: ops.convert_to_tensor(latent)
    return model


@pytest.mark.parametrize(("loss", "divergence"), [("exact", integrated), ("non_saturating", softened)])
@pytest.mark.parametrize("pi", PRIORS)
def test_the_generators_gradient_is_that_of_the_divergence(pi, loss, divergence):
    """Autodiff through samples and a fixed discriminator against finite differences of an integral, in which everything moves."""
    model = optimal(pi, generator_loss=loss)
    x = np.zeros((2, 2), "float32")
    weights = model.generator_network.trainable_variables
    _, found = autodiff.value_and_weight_grad(lambda: model.objective(x, None, model(x), None, True), weights)
    expected = []
    for index in [(i, j) for i in range(2) for j in range(2)]:
        step = np.zeros((2, 2))
        step[index] = 1e-3
        expected.append((divergence(pi, KERNEL + step, BIAS) - divergence(pi, KERNEL - step, BIAS)) / 2e-3)
    for i in range(2):
        step = np.eye(2)[i] * 1e-3
        expected.append((divergence(pi, KERNEL, BIAS + step) - divergence(pi, KERNEL, BIAS - step)) / 2e-3)
    scale = np.abs(expected).max()
    assert scale > 1e-3
    np.testing.assert_allclose(np.concatenate([g.ravel() for g in numpy(found)]), expected, atol=0.03 * scale)


@pytest.mark.parametrize("pi", PRIORS)
def test_the_optimal_discriminator_measures_the_divergence(pi):
    model = optimal(pi)
    rng = np.random.default_rng(1)
    x = CENTRES[rng.choice(2, 40000, p=SHARES)] + SPREAD * rng.normal(size=(40000, 2))
    expected = integrated(pi, KERNEL, BIAS)
    assert model.divergence(x) == pytest.approx(expected, abs=0.01 * min(1, 4 * expected) + 2e-3)
    logs = model.evaluate(x.astype("float32"), batch_size=40000, verbose=0, return_dict=True)
    assert logs["js"] == pytest.approx(model.divergence(x), abs=1e-4)
    entropy = -pi * np.log(pi) - (1 - pi) * np.log(1 - pi)
    assert logs["d_loss"] == pytest.approx(entropy - logs["js"], abs=1e-5)
    ratio = np.log(density_p(x[:50])) - np.log(density_q(x[:50], KERNEL, BIAS))
    np.testing.assert_allclose(model.log_density_ratio(x[:50]), ratio, rtol=1e-3, atol=1e-3)


def test_the_softened_divergence_has_the_limits_that_the_page_tells():
    p, q = density_p(GRID) * CELL, density_q(GRID, KERNEL, BIAS) * CELL
    kl, chi_square = special.rel_entr(q, p).sum(), ((q - p) ** 2 / p).sum()
    assert softened(1e-4, KERNEL, BIAS) == pytest.approx(kl, rel=1e-2)
    assert integrated(1 - 1e-5, KERNEL, BIAS) / 1e-5 == pytest.approx(kl, rel=1e-2)
    # without the part of first order, which is what the grid lacks of P and Q
    pi = 0.999
    mean = pi * p + (1 - pi) * q
    second_order = (special.rel_entr(mean, p) - mean + p).sum()
    assert second_order / (1 - pi) == pytest.approx(0.5 * (1 - pi) * chi_square, rel=0.05)


# --- how the discriminator gets its prior ---


@pytest.mark.parametrize("pi", [0.2, 0.5, 0.8])
def test_batches_are_the_mean_over_the_mixed_batch(pi):
    model = small(pi=pi, mixing="batches", generator_loss="exact", noise=0)
    x = RNG.normal(size=(40, 4)).astype("float32")
    state = ops.convert_to_numpy(model.seed_generator.state)
    logs = model.evaluate(x, batch_size=40, verbose=0, return_dict=True)
    model.seed_generator.state.assign(state)
    fake = model.generator_network(model._latent(round(40 * (1 - pi) / pi), model.seed_generator), training=False)
    assert len(fake) == {0.2: 160, 0.5: 40, 0.8: 10}[pi]
    mixed = np.concatenate([x, ops.convert_to_numpy(fake)])
    labels = np.concatenate([np.ones((40, 1)), np.zeros((len(fake), 1))])
    expected = keras.losses.binary_crossentropy(labels, model.discriminator_network(mixed), from_logits=True)
    assert logs["d_loss"] == pytest.approx(float(ops.mean(expected)), rel=1e-5)
    chance = 1 / (1 + np.exp(-ops.convert_to_numpy(model.discriminator_network(fake))))
    assert logs["g_loss"] == pytest.approx((1 - pi) * np.log(1 - chance).mean(), rel=1e-4)


@pytest.mark.parametrize("pi", [0.2, 0.5, 0.8])
def test_both_mixings_have_the_same_expected_loss(pi):
    """Ten latent vectors in turn are the whole distribution: each option sees them equally often."""
    found = []
    latent = RNG.normal(size=(10, 3)).astype("float32")
    for mixing in ("weights", "batches"):
        model = small(pi=pi, mixing=mixing, noise=0)
        drawn = []

        def noise(n, seed, drawn=drawn):
            drawn.append(int(n))
            return ops.take(ops.convert_to_tensor(latent), ops.arange(n) % 10, axis=0)

        model._latent = noise
        model.compile(jit_compile=False)
        logs = model.evaluate(np.tile(X, (4, 1)), batch_size=40, verbose=0, return_dict=True)
        found.append([logs["d_loss"], logs["g_loss"], logs["js"]])
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_rounded_batches_keep_the_prior():
    """A last batch of one real sample, for which 1 / 9 of a sample would be drawn."""
    model = small(pi=0.9, mixing="batches", noise=0)
    assert model._draws(1) == 1 and model._draws(9) == 1 and model._draws(90) == 10
    assert int(model._draws(ops.convert_to_tensor(90))) == 10 and int(model._draws(ops.convert_to_tensor(1))) == 1
    logs = model.evaluate(X[:1], verbose=0, return_dict=True)
    on_real = np.logaddexp(0, -model.predict(X[:1], verbose=0)[0, 0])
    rest = (logs["d_loss"] - 0.9 * on_real) / 0.1
    # what is left is softplus of a logit of one sample
    assert 0 < rest < 10


# --- the game ---


@pytest.mark.parametrize("loss", ["exact", "non_saturating"])
@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, len(X)).astype("float32")])
def test_each_player_follows_its_own_loss(loss, weight):
    pi = 0.3
    model = small(pi=pi, mixing="weights", generator_loss=loss, noise=0)
    model.compile(keras.optimizers.SGD(1.0))
    state = ops.convert_to_numpy(model.seed_generator.state)
    z = keras.random.uniform((len(X), 3), -1.0, 1.0, seed=model.seed_generator)
    model.seed_generator.state.assign(state)
    before = {v.path: ops.convert_to_numpy(v) for v in model.variables}
    logs = model.train_on_batch(X, sample_weight=weight, return_dict=True)
    trained = {v.path: ops.convert_to_numpy(v) for v in model.trainable_variables}
    for v in model.weights:
        v.assign(before[v.path])
    generator, discriminator = model.generator_network, model.discriminator_network
    fake = ops.convert_to_tensor(ops.convert_to_numpy(generator(z, training=True)))
    weights = np.ones(len(X), "float32") if weight is None else weight

    def crossentropy(logits, label):
        return keras.losses.binary_crossentropy(ops.full_like(logits, label), logits, from_logits=True)

    def d_loss():
        real = ops.mean(crossentropy(discriminator(X), 1.0) * weights)
        return pi * real + (1 - pi) * ops.mean(crossentropy(discriminator(fake), 0.0))

    def g_loss():
        logits = discriminator(generator(z, training=True))
        sign, label = (-1, 0.0) if loss == "exact" else (1, 1.0)
        return sign * (1 - pi) * ops.mean(crossentropy(logits, label))

    for network, objective, name in ((discriminator, d_loss, "d_loss"), (generator, g_loss, "g_loss")):
        value, expected = autodiff.value_and_weight_grad(objective, network.trainable_variables)
        expected = numpy(expected)
        assert max(np.abs(g).max() for g in expected) > 1e-3
        for v, g in zip(network.trainable_variables, expected):
            np.testing.assert_allclose(before[v.path] - trained[v.path], g, rtol=1e-3, atol=1e-5, err_msg=v.path)
        assert logs[name] == pytest.approx(float(value), rel=1e-5)


def test_the_players_of_a_dcgan():
    """Given networks with batch normalisation: the discriminator's statistics follow real images alone."""
    keras.utils.set_random_seed(0)
    dcgan = DCGAN(**DCGAN.example_config())
    model = GeneralizedAdversarialNet(0.8, generator=dcgan.generator, discriminator=dcgan.discriminator, latent_distribution="uniform")
    images = RNG.uniform(-1, 1, (6, 8, 12, 3)).astype("float32")
    norm = dcgan.discriminator.get_layer("discriminator_norm_1")
    until = keras.Model(dcgan.discriminator.input, dcgan.discriminator.get_layer("discriminator_conv_1").output)
    real = ops.convert_to_numpy(until(images))
    model.fit(images, verbose=0)
    np.testing.assert_allclose(norm.moving_mean, 0.1 * real.mean((0, 1, 2)), rtol=1e-3, atol=1e-7)
    assert model.sample(3, seed=0).shape == (3, 8, 12, 3)
    assert model.latent(50).min() >= -1 and model.latent(50).max() <= 1


def test_default_networks():
    model = GeneralizedAdversarialNet()
    assert model.generator_network.count_params() == 2 * 2 + 2
    assert model.discriminator_network.count_params() == 3 * 64 + 65 * 64 + 65
    kernel, bias = model.generator_network.get_weights()
    model.generator_network.set_weights([KERNEL, BIAS])
    samples = model.sample(20000, seed=1)
    np.testing.assert_allclose(samples.mean(0), BIAS, atol=0.03)
    np.testing.assert_allclose(np.cov(samples.T), KERNEL.T @ KERNEL, atol=0.03)
    np.testing.assert_array_equal(samples[:3], model.generate(model.latent(20000, seed=1)[:3]))
    # other sizes
    shapes = {"sample_shape": (4, 3, 1), "latent_dim": 5, "generator_units": (6, 7), "discriminator_units": (8,)}
    model = GeneralizedAdversarialNet(**shapes, output_activation="sigmoid", latent_distribution="uniform")
    assert model.generator_network.count_params() == 6 * 6 + 7 * 7 + 8 * 12
    assert model.discriminator_network.count_params() == 13 * 8 + 9
    samples = model.sample(3)
    assert samples.shape == (3, 4, 3, 1) and samples.min() > 0 and samples.max() < 1
    with pytest.raises(ValueError, match="`sample` must be at most 1"):
        model.predict(255 * np.ones((1, 4, 3, 1)))
    # a network that is given tells the size of the other
    judge = keras.Sequential([keras.Input((7,)), layers.Dense(1)])
    model = GeneralizedAdversarialNet(discriminator=judge)
    assert model.sample(2).shape == (2, 7)


def test_the_discriminator_sees_noise_in_training_alone():
    x = keras.Input((1,))
    model = GeneralizedAdversarialNet(noise=0.5, discriminator=keras.Model(x, layers.Flatten()(x)))
    ones = np.ones((20000, 1), "float32")
    seen = ops.convert_to_numpy(model(ones, training=True))
    assert seen.mean() == pytest.approx(1, abs=0.02) and seen.std() == pytest.approx(0.5, rel=0.02)
    np.testing.assert_array_equal(model(ones), ones)
    # a bound with noise: softplus of a normal number, and of the generator's, integrated
    model.generator_network.set_weights([0 * w for w in model.generator_network.get_weights()])
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    expected = sum(0.5 * weights @ np.logaddexp(0, logit) for logit in (-1 - 0.5 * nodes, 0.5 * nodes)) / weights.sum()
    assert model.divergence(ones, seed=0) == pytest.approx(np.log(2) - expected, abs=0.01)
    assert model.evaluate(ones, verbose=0, return_dict=True)["js"] == pytest.approx(np.log(2) - expected, abs=0.01)


def test_batches_of_100_unless_told_otherwise():
    model = small()
    model.fit(np.tile(X, (20, 1)), verbose=0)
    assert int(model.optimizer.iterations) == 2


def test_served_functions():
    model = small()
    z = model.latent(3, seed=0)
    np.testing.assert_allclose(model.signatures()["serve"][0](z)["sample"], model.generate(z), rtol=1e-4, atol=1e-5)
    real = ops.convert_to_numpy(model.signatures()["discriminate"][0](X)["real"])[:, 0]
    prior = np.log(0.2 / 0.8)
    np.testing.assert_allclose(real, special.expit(model.log_density_ratio(X) + prior), rtol=1e-4)


def test_refusals():
    z, x = keras.Input((3,)), keras.Input((5,))
    wrong = keras.Model(x, layers.Dense(1)(x))
    for arguments, name in (
        ({"pi": 0.0}, "pi"),
        ({"pi": 1.0}, "pi"),
        ({"pi": None}, "pi"),
        ({"pi": 0.009, "mixing": "batches"}, "pi"),
        ({"mixing": "ratio"}, "mixing"),
        ({"generator_loss": "hinge"}, "generator_loss"),
        ({"latent_distribution": "cauchy"}, "latent_distribution"),
        ({"output_activation": "relu"}, "output_activation"),
        ({"noise": -0.1}, "noise"),
        ({"generator_units": (3, 0)}, "generator_units"),
        ({"discriminator_units": 5}, "discriminator_units"),
        ({"sample_shape": (0,)}, "sample_shape"),
        ({"sample_shape": ()}, "sample_shape"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"generator": layers.Dense(3)}, "generator"),
        ({"generator": keras.Sequential([layers.Dense(3)])}, "generator"),
        ({"discriminator": keras.Model(z, layers.Dense(2)(z)), "generator": None}, "discriminator"),
        ({"discriminator": wrong}, "discriminator"),
        ({"discriminator": keras.Sequential([keras.Input((4,)), layers.Dense(1, "sigmoid")])}, "discriminator"),
        ({"discriminator": keras.Sequential([keras.Input((4,)), layers.Dense(1), layers.Activation("sigmoid")])}, "discriminator"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            small(**arguments)
    with pytest.raises(ValueError, match="`z`.*Received"):
        small().generate(2 * np.ones((2, 3)))
