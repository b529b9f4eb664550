"""FlowVAE: the bound and the likelihood against integrals over a code of one or two numbers, annealing, the paper's sizes, the verbs."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special

from zoo.applications import FlowVAE, flow_vae

RNG = np.random.default_rng(0)
X = (RNG.random((12, 6)) < 0.4).astype("int32")
FLOWS = [("planar", 0), *((flow, 3) for flow in flow_vae.FLOWS)]


def small(**arguments):
    keras.utils.set_random_seed(0)
    model = FlowVAE(**{**FlowVAE.example_config(), **arguments})
    if model.bend is not None and model.amortised:
        # a flow that does something, and differently for each image
        kernel, bias = model.encoder.get_layer("flow_parameters").weights
        kernel.assign(0.15 * RNG.normal(size=kernel.shape))
        bias.assign(bias + 0.15 * RNG.normal(size=bias.shape))
    # wide proposals not far from the prior, by which the likelihood can be estimated
    mean, log_variance = (model.encoder.get_layer(name) for name in ("mean", "log_variance"))
    mean.kernel.assign(0.3 * mean.kernel)
    log_variance.kernel.assign(0.1 * log_variance.kernel)
    log_variance.bias.assign(log_variance.bias + 0.5)
    return model


def numpy(values):
    return [ops.convert_to_numpy(v).astype("float64") for v in values]


def log_normal(z):
    return -0.5 * np.sum(z**2 + np.log(2 * np.pi), axis=-1)


def log_pixels(model, x, z):
    """log p(x | z) for codes `(codes, latent_dim)`: `(images, codes)`."""
    (logits,) = numpy([model.decoder(z.astype("float32"))])
    return x @ logits.T - np.logaddexp(0, logits).sum(1)


# --- the bound and the likelihood ---


@pytest.mark.parametrize("flow, length", FLOWS)
@pytest.mark.parametrize("amortised", [True, False])
def test_likelihood_is_the_integral_over_codes(flow, length, amortised):
    model = small(latent_dim=2, flow=flow, flow_length=length, amortised=amortised)
    ticks = np.linspace(-7, 7, 281)
    z = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    joint = log_pixels(model, X[:5], z) + log_normal(z)
    exact = special.logsumexp(joint, axis=1) + 2 * np.log(ticks[1] - ticks[0])
    found = model.log_likelihood(X[:5], samples=20000, seed=1, verbose=0)
    np.testing.assert_allclose(found, exact, atol=0.05)
    # a bound: the posterior is not the true one
    bound = -model.free_energy(X[:5], samples=4000, seed=1, verbose=0)
    assert np.all(bound < exact + 0.05) and np.all(bound < found)


@pytest.mark.parametrize("flow, length", FLOWS)
def test_free_energy_is_equation_15(flow, length):
    model = small(flow=flow, flow_length=length)
    noise = np.random.default_rng(4).standard_normal((12, 1, 3), "float32")[:, 0]
    mean, log_variance, *parameters = model.encoder(X.astype("float32"))
    z, log_det = numpy([mean, log_variance]), np.zeros(12)
    log_variance = z[1]
    z = z[0] + np.exp(0.5 * log_variance) * noise
    if parameters:
        z, log_det = numpy(model.bend(z.astype("float32"), parameters[0]))
    log_q = log_normal(noise) - 0.5 * log_variance.sum(1) - log_det
    expected = log_q - log_normal(z) - np.diag(log_pixels(model, X, z))
    np.testing.assert_allclose(model.free_energy(X, seed=4), expected, rtol=1e-4)
    found = model.encode(X, seed=4)
    np.testing.assert_allclose(found[0][:, 0], z, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[1][:, 0], log_q, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.reconstruct(X, seed=4), special.expit(numpy([model.decoder(z.astype("float32"))])[0]), rtol=1e-3)


def test_without_flow_the_divergence_is_that_of_gaussians():
    model = small(flow_length=0)
    mean, log_variance = numpy(model.encoder(X.astype("float32")))
    exact = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=1)
    z, log_q = model.encode(X, samples=20000, seed=0, verbose=0)
    np.testing.assert_allclose(np.mean(log_q - log_normal(z), axis=1), exact, atol=0.05)


def test_batches_change_nothing(monkeypatch):
    model = small()
    x = np.repeat(X, 3, axis=0)[:35]
    whole = model.log_likelihood(x, samples=60, seed=2), model.free_energy(x, samples=60, seed=2)
    z = model.encode(x, samples=60, seed=2)[0]
    assert z.shape == (35, 60, 3) and np.abs(z[0] - z[1]).max() > 1e-3
    monkeypatch.setattr(flow_vae, "DRAWS", 7)
    monkeypatch.setattr(flow_vae, "ROWS", 70)
    other = small()
    for ours, theirs in ((other.encoder, model.encoder), (other.decoder, model.decoder)):
        ours.set_weights(theirs.get_weights())
    # other draws, since they come in another order; the same expectation
    assert other.encode(x, samples=60, seed=2)[0].shape == (35, 60, 3)
    np.testing.assert_allclose(other.log_likelihood(x, 700, seed=2, verbose=0), model.log_likelihood(x, 700, seed=3, verbose=0), atol=0.2)
    np.testing.assert_allclose(np.mean(other.free_energy(x, 700, verbose=0)), np.mean(whole[1]), atol=0.2)
    assert np.all(whole[0] >= -whole[1])


def test_more_samples_tighten_the_bound():
    model = small()
    few, many = (np.mean([model.log_likelihood(X, n, seed=s).mean() for s in range(20)]) for n in (1, 50))
    assert many > few
    np.testing.assert_allclose(model.log_likelihood(X, 1, seed=7), -model.free_energy(X, 1, seed=7), rtol=1e-6)


# --- training ---


def test_annealing_is_the_papers():
    model = FlowVAE(**{**FlowVAE.example_config(), "annealing_steps": 10000})
    steps = np.array([0, 1, 5000, 9900, 20000])
    np.testing.assert_allclose(model.beta(steps), np.minimum(1, 0.01 + steps / 10000), rtol=1e-6)
    assert float(model.beta()) == pytest.approx(0.01)
    np.testing.assert_array_equal(small(annealing_steps=0).beta(steps), 1)


def test_training_weighs_the_joint_and_counts_steps(tmp_path):
    model = small(annealing_steps=4)
    model.compile(keras.optimizers.SGD(0.0))
    logs = model.fit(X, batch_size=12, epochs=5, verbose=0).history
    assert float(model.steps) == 5
    for step, loss in enumerate(logs["loss"]):
        beta, entropy = min(1, 0.01 + step / 4), logs["kl"][step]
        # loss = log q - beta (log p(z) + log p(x | z)), and kl = log q - log p(z): both are known up to log p(z)
        if beta == 1:
            assert loss == pytest.approx(entropy + logs["reconstruction"][step], rel=1e-4)
        else:
            assert loss < entropy + logs["reconstruction"][step]
    model.save(tmp_path / "m.keras")
    assert float(keras.models.load_model(tmp_path / "m.keras").steps) == 5


@pytest.mark.parametrize("flow", flow_vae.FLOWS)
def test_training_lowers_the_free_energy(flow):
    model = FlowVAE(**{**FlowVAE.example_config(), "flow": flow, "annealing_steps": 0})
    model.compile(keras.optimizers.Adam(0.02))
    x = np.repeat(X[:3], 40, axis=0)
    before = model.evaluate(x, verbose=0, return_dict=True)
    model.fit(x, batch_size=30, epochs=15, verbose=0)
    after = model.evaluate(x, verbose=0, return_dict=True)
    assert after["loss"] < before["loss"] - 0.5
    assert after["loss"] == pytest.approx(after["kl"] + after["reconstruction"], rel=1e-4)
    assert after["loss"] == pytest.approx(model.free_energy(x, 20).mean(), abs=0.4)


def test_weights_of_images():
    model = small(flow_length=0)
    x = np.concatenate([X[:1], X[1:2]])
    alone, both = (model.evaluate(x, sample_weight=w, verbose=0, return_dict=True) for w in (np.array([2.0, 0.0]), np.array([1.0, 1.0])))
    assert alone["loss"] != both["loss"] and alone["kl"] != pytest.approx(both["kl"], rel=1e-3)


def test_defaults_are_the_papers():
    model = FlowVAE()
    steps = 10 * (2 * 40 + 1)
    encoder = 785 * 1600 + 401 * (2 * 40 + steps)
    assert model.encoder.count_params() == encoder
    assert model.decoder.count_params() == 41 * 1600 + 401 * 784
    assert type(model.optimizer) is keras.optimizers.RMSprop and model.optimizer.momentum == 0.9
    pixels = (RNG.random((3, 784)) < 0.3).astype("float32")
    (hidden,) = numpy([keras.Model(model.encoder.input, model.encoder.get_layer("mean").input)(pixels)])
    kernel, bias = numpy(model.encoder.get_layer("encoder_hidden").weights)
    np.testing.assert_allclose(hidden, (pixels @ kernel + bias).reshape(3, 400, 4).max(-1), rtol=1e-4, atol=1e-5)
    # the flow starts where it changes little, so that the bound starts as that of a plain autoencoder
    z = model.predict(pixels, verbose=0)["z"]
    np.testing.assert_allclose(z, numpy(model.encoder(pixels))[0], atol=0.15)


def test_batches_of_100_unless_told_otherwise():
    sizes = []

    class Spy(FlowVAE):
        def objective(self, x, y, y_pred, sample_weight, training):
            sizes.append(x.shape[0])
            return ops.mean(y_pred["log_q"])

    spy = Spy(**FlowVAE.example_config())
    spy.compile(run_eagerly=keras.backend.backend() == "tensorflow")
    for arguments, expected in (({}, 100), ({"batch_size": 50}, 50)):
        sizes.clear()
        spy.fit(np.tile(X, (25, 1))[:200], verbose=0, **arguments)
        assert set(sizes) == {expected}


# --- verbs ---


def test_samples_come_from_the_prior():
    model = small()
    z = np.random.default_rng(3).standard_normal((2500, 3), "float32")
    found = model.sample(2500, seed=3)
    np.testing.assert_allclose(found, model.decode(z), rtol=1e-6)
    np.testing.assert_allclose(found, special.expit(numpy([model.decoder(z)])[0]), rtol=1e-4)
    drawn = model.sample(2500, binary=True, seed=3)
    assert set(np.unique(drawn)) == {0, 1}
    np.testing.assert_allclose(drawn.mean(0), found.mean(0), atol=0.05)
    assert np.abs(model.sample(4) - model.sample(4)).max() > 1e-5
    keras.utils.set_random_seed(1)
    first = FlowVAE(**FlowVAE.example_config()).sample(4)
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(first, FlowVAE(**FlowVAE.example_config()).sample(4))


def test_served_functions():
    model = small()
    found = {key: ops.convert_to_numpy(value) for key, value in model.signatures()["serve"][0](X).items()}
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(found["z"], expected["z"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["probabilities"], special.expit(expected["logits"]), rtol=1e-4)
    served = model.signatures()["decode"][0](found["z"])["probabilities"]
    np.testing.assert_allclose(served, found["probabilities"], rtol=1e-4)


def test_refusals():
    for arguments, name in (
        ({"flow": "spline"}, "flow"),
        ({"flow_length": -1}, "flow_length"),
        ({"annealing_steps": -1}, "annealing_steps"),
        ({"latent_dim": 1}, "latent_dim"),
        ({"latent_dim": 0, "flow": "planar"}, "latent_dim"),
        ({"input_dim": 0}, "input_dim"),
        ({"units": 0}, "units"),
        ({"window": 0}, "window"),
        ({"coupling_units": 0}, "coupling_units"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            FlowVAE(**{**FlowVAE.example_config(), **arguments})
    model = small()
    for bad in (0.5 * X, 255 * X, X[:, :5], X[0], X[:0]):
        for verb in (model.encode, model.log_likelihood, model.free_energy, model.reconstruct, lambda x: model.fit(x, verbose=0)):
            with pytest.raises(ValueError, match="`pixels`.*Received"):
                verb(bad)
    with pytest.raises(ValueError, match="`step`"):
        model.beta(-5)
    with pytest.raises(ValueError, match="`samples`"):
        model.log_likelihood(X, samples=0)
    with pytest.raises(ValueError, match="`z`.*Received"):
        model.decode(np.zeros((2, 2)))
