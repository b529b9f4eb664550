"""AdversarialAutoencoder: each player's step against its own loss, MMD against large samples, all forms, the paper's sizes, the verbs."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from zoo import autodiff, layers
from zoo.applications import AdversarialAutoencoder
from zoo.losses import maximum_mean_discrepancy

RNG = np.random.default_rng(0)
X = RNG.random((12, 4, 3, 1)).astype("float32")
Y = np.array([0, -1, 1, 2, -1, 0, 1, -1, 2, 2, -1, 0])
PLAIN = {"image_shape": (4, 3, 1), "units": (7, 6), "latent_dim": 2, "num_classes": 3}


def small(**arguments):
    keras.utils.set_random_seed(0)
    model = AdversarialAutoencoder(**{**PLAIN, **arguments})
    # larger weights than the paper's, for gradients that can be seen
    for v in model.trainable_variables:
        v.assign(RNG.normal(0, 0.5, v.shape))
    return model


def numpy(values):
    return [ops.convert_to_numpy(v) for v in values]


def gradient(loss, variables):
    """Of `loss()` with respect to `variables`, which keep their values."""
    return numpy(autodiff.value_and_weight_grad(loss, variables)[1])


def crossentropy(logits, label):
    return ops.mean(keras.losses.binary_crossentropy(ops.full_like(logits, label), logits, from_logits=True))


class Fixed(layers.Prior):
    """Always the same codes."""

    def draw(self, n, seed, label=None):
        codes = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]], "float32")
        return ops.take(codes, ops.arange(n) % 3, axis=0)


keras.saving.register_keras_serializable("test_adversarial_autoencoder")(Fixed)


@keras.saving.register_keras_serializable("test_adversarial_autoencoder")
class Ring(layers.Prior):
    """A user's own: points of a circle."""

    def __init__(self, radius=2.0, **kwargs):
        super().__init__(**kwargs)
        self.radius = radius

    def draw(self, n, seed, label=None):
        angle = keras.random.uniform((n,), 0, 2 * np.pi, seed=seed)
        return self.radius * ops.stack([ops.cos(angle), ops.sin(angle)], axis=-1)

    def get_config(self):
        return {**super().get_config(), "radius": self.radius}


class Unregistered(layers.Prior):
    """Cannot be saved."""

    def draw(self, n, seed, label=None):
        return ops.zeros((n, 2))


# --- the game ---


def stepped(model, *data):
    """Weights before and their changes by one step of plain gradient descent at rate 1, and the logs."""
    model.compile(keras.optimizers.SGD(1.0))
    before = {v.path: ops.convert_to_numpy(v) for v in model.trainable_variables}
    logs = model.train_on_batch(*data, return_dict=True)
    changes = {v.path: before[v.path] - ops.convert_to_numpy(v) for v in model.trainable_variables}
    for v in model.trainable_variables:
        v.assign(before[v.path])
    return changes, logs


def test_each_network_follows_the_gradient_of_its_own_loss():
    model = small(prior=Fixed(), regularizer_weight=0.7)
    changes, logs = stepped(model, X)
    drawn = model.codes.draw(len(X), None)
    fixed = ops.convert_to_tensor(ops.convert_to_numpy(model.encoder({"image": X})["mean"]))

    def reconstruction():
        images = model.decoder(model.encoder({"image": X})["mean"])
        return 0.5 * ops.mean(ops.sum(ops.reshape(ops.square(X - images), (len(X), -1)), axis=-1))

    def d_loss():
        return 0.7 * (crossentropy(model.discriminator(drawn), 1.0) + crossentropy(model.discriminator(fixed), 0.0))

    def g_loss():
        return 0.7 * crossentropy(model.discriminator(model.encoder({"image": X})["mean"]), 1.0)

    losses = {
        model.encoder: lambda: reconstruction() + g_loss(),
        model.decoder: reconstruction,
        model.discriminator: d_loss,
    }
    for network, loss in losses.items():
        expected = gradient(loss, network.trainable_variables)
        assert max(np.abs(g).max() for g in expected) > 1e-3
        for v, g in zip(network.trainable_variables, expected):
            np.testing.assert_allclose(changes[v.path], g, rtol=1e-3, atol=1e-5, err_msg=v.path)
    assert logs["reconstruction"] == pytest.approx(float(reconstruction()), rel=1e-4)
    assert logs["loss"] == pytest.approx(float(reconstruction() + d_loss() + g_loss()), rel=1e-4)


def test_the_label_chooses_the_part_that_the_discriminator_expects():
    """Section 2.3: codes and draws go to the discriminator with a one-hot label, one more for "not known"."""
    model = small(form="supervised", prior=Fixed())
    changes, _ = stepped(model, X, Y)
    one_hot = np.eye(4, dtype="float32")[np.where(Y < 0, 3, Y)]
    z = ops.convert_to_numpy(model.encoder({"image": X})["mean"])
    codes, drawn = (np.concatenate([ops.convert_to_numpy(v), one_hot], 1) for v in (z, model.codes.draw(len(X), None)))

    def d_loss():
        return crossentropy(model.discriminator(drawn), 1.0) + crossentropy(model.discriminator(codes), 0.0)

    variables = model.discriminator.trainable_variables
    for v, g in zip(variables, gradient(d_loss, variables)):
        np.testing.assert_allclose(changes[v.path], g, rtol=1e-3, atol=1e-5, err_msg=v.path)


def test_labels_teach_by_cross_entropy_alone():
    """Section 5: without games the encoder follows the reconstruction and three times the cross-entropy of known labels."""
    model = small(form="semi_supervised", prior=Fixed(), input_noise=0.0, label_weight=3.0, regularizer_weight=0.0)
    changes, logs = stepped(model, X, Y)
    known = Y >= 0

    def loss():
        found = model.encoder({"image": X})
        images = model.decoder(ops.concatenate([found["mean"], ops.softmax(found["logits"])], axis=-1))
        labelled = keras.losses.sparse_categorical_crossentropy(Y[known], found["logits"][: len(X)][known], from_logits=True)
        return 0.5 * ops.mean(ops.sum(ops.reshape(ops.square(X - images), (len(X), -1)), axis=-1)) + 3 * ops.mean(labelled)

    variables = model.encoder.trainable_variables
    for v, g in zip(variables, gradient(loss, variables)):
        np.testing.assert_allclose(changes[v.path], g, rtol=1e-3, atol=1e-5, err_msg=v.path)
    predicted = ops.convert_to_numpy(model.encoder({"image": X})["logits"]).argmax(1)
    assert logs["accuracy"] == pytest.approx((predicted == Y)[known].mean())


@pytest.mark.parametrize("prior", ["gaussian", "star", "swiss_roll"])
def test_mmd_is_that_of_many_draws(prior):
    model = small(regularizer="mmd", prior=prior, regularizer_weight=1.0)
    logs = model.evaluate(X, batch_size=12, verbose=0, return_dict=True)
    # a spiral is sampled, with as many draws as codes
    draws = len(X) if prior == "swiss_roll" else 2000
    z = model.encode(X)
    found = [float(maximum_mean_discrepancy(z, model.draw_prior(draws, seed=s), model._bandwidths)) for s in range(5)]
    np.testing.assert_allclose(logs["mmd"], np.mean(found), atol=6 * np.std(found) + 3e-3)
    assert logs["loss"] == pytest.approx(logs["mmd"] + logs["reconstruction"], rel=1e-4)


def test_mmd_with_labels_compares_label_by_label():
    model = small(form="supervised", regularizer="mmd", prior=Fixed(), regularizer_weight=1.0)
    logs = model.evaluate(X, Y, batch_size=12, verbose=0, return_dict=True)
    z, drawn = model.encode(X), ops.convert_to_numpy(model.codes.draw(len(X), None))
    parts = [(z[Y == c], drawn[Y == c]) for c in np.unique(Y)]
    expected = sum(float(maximum_mean_discrepancy(a, b, model._bandwidths)) * (len(a) / len(X)) ** 2 for a, b in parts)
    assert logs["mmd"] == pytest.approx(expected, rel=1e-3)


def test_bandwidths_are_in_units_of_the_priors_squared_distances():
    model = small(regularizer="mmd", prior_scale=3.0, bandwidths=(0.5, 2.0))
    # of two draws of a plane normal with a standard deviation of 3
    np.testing.assert_allclose(model._bandwidths, [0.5 * 4 * 9, 2 * 4 * 9], rtol=0.1)


def test_posteriors():
    for posterior, size in (("gaussian", 2), ("universal", 16)):
        model = small(posterior=posterior)
        z = model.encode(X)
        np.testing.assert_array_equal(z, model.encode(X))
        first, again = (model.encode(X, draw=True, seed=3) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - z).max() > 1e-2 and np.abs(first - model.encode(X, draw=True, seed=4)).max() > 1e-2
        assert model._noise_size == size
    model = small(posterior="gaussian")
    log_variance = ops.convert_to_numpy(model.encoder({"image": X})["log_variance"])
    draws = np.stack([model.encode(X, draw=True, seed=s) for s in range(400)])
    np.testing.assert_allclose(draws.mean(0), model.encode(X), atol=0.25 * np.exp(0.5 * log_variance).max())
    np.testing.assert_allclose(draws.std(0), np.exp(0.5 * log_variance), rtol=0.2)
    deterministic = small()
    np.testing.assert_array_equal(deterministic.encode(X, draw=True), deterministic.encode(X))


def test_heads_push_each_other_apart():
    """Section 7: the pairs nearer than the distance cost what is missing."""
    model = small(form="clustering", cluster_heads=True, head_distance=2.0)
    heads = np.array([[0, 0], [1, 0], [5, 5]], "float32")
    model.heads.assign(heads)
    assert float(model._head_penalty()) == pytest.approx(1.0, abs=1e-4)
    z = RNG.normal(size=(3, 2)).astype("float32")
    np.testing.assert_allclose(model.decode(z, [2, 0, 1]), ops.convert_to_numpy(model.decoder(z + heads[[2, 0, 1]])), rtol=1e-4, atol=1e-6)
    model.heads.assign(np.zeros((3, 2)))
    assert np.isfinite(gradient(model._head_penalty, [model.heads])[0]).all()


# --- training ---


def test_batches_hold_labelled_images_first_and_reconstruct_the_others():
    seen = []

    class Spy(AdversarialAutoencoder):
        def objective(self, x, y, y_pred, sample_weight, training):
            seen.append((x.shape[0], self._apart))
            return super().objective(x, y, y_pred, sample_weight, training)

        def _unlabelled_loss(self, x, *rest):
            seen.append(x.shape[0])
            return super()._unlabelled_loss(x, *rest)

    model = Spy(**PLAIN, form="semi_supervised", labelled_per_batch=3)
    model.compile(run_eagerly=keras.backend.backend() == "tensorflow")
    model.fit(X, Y, batch_size=8, verbose=0)
    assert {s for s in seen if isinstance(s, tuple)} == {(8, 3)} and {s for s in seen if isinstance(s, int)} == {5}


@pytest.mark.parametrize("form", ["unsupervised", "semi_supervised"])
def test_weights_of_samples_count(form):
    y = None if form == "unsupervised" else np.abs(Y)
    weight = np.where(np.arange(12) < 6, 2.0, 0.0).astype("float32")
    model = small(form=form, input_noise=0.0, prior=Fixed())
    # a mean over twelve rows, of which six count twice
    a = model.evaluate(X, y, batch_size=12, sample_weight=weight, verbose=0, return_dict=True)
    b = model.evaluate(X[:6], y if y is None else y[:6], batch_size=6, verbose=0, return_dict=True)
    for name in ("reconstruction", "g_loss"):
        assert a[name] == pytest.approx(b[name], rel=1e-4)


def test_it_learns_a_code_of_the_prior():
    """Points on a circle get codes of a normal distribution by MMD, in a few hundred steps of a small network."""
    keras.utils.set_random_seed(0)
    angle = RNG.uniform(0, 2 * np.pi, 600)
    x = np.stack([np.cos(angle), np.sin(angle)], 1).astype("float32")
    model = AdversarialAutoencoder(
        image_shape=(2,),
        latent_dim=1,
        units=(32, 32),
        prior_scale=1.0,
        regularizer="mmd",
        output_activation="linear",
        regularizer_weight=3.0,
    )
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(x, epochs=60, batch_size=100, verbose=0)
    # 0 for equal distributions, 0.5 for codes that are all one
    assert stats.kstest(model.encode(x)[:, 0], "norm").statistic < 0.15
    # of a variance of 0.5; a line must tear the circle somewhere
    assert np.square(model.reconstruct(x) - x).mean() < 0.1


def test_the_papers_networks():
    model = AdversarialAutoencoder()
    for network, sizes in (
        (model.encoder, [784, 1000, 1000, 8]),
        (model.decoder, [8, 1000, 1000, 784]),
        (model.discriminator, [8, 1000, 1000, 1]),
    ):
        assert network.count_params() == sum((a + 1) * b for a, b in zip(sizes, sizes[1:]))
        dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
        assert [layer.activation.__name__ for layer in dense] == ["relu", "relu", "linear"]
    assert model.decoder.layers[-2].activation is keras.activations.sigmoid
    assert model.draw_prior(4000, seed=0).std() == pytest.approx(5, rel=0.05)
    few = AdversarialAutoencoder(form="semi_supervised", latent_dim=10, units=(20, 20))
    assert few.label_discriminator.input_shape == (None, 10) and few.decoder.input_shape == (None, 20)
    assert few.encoder.get_layer("input_noise").stddev == pytest.approx(0.3)
    assert few.draw_prior(4000, seed=0).std() == pytest.approx(1, rel=0.05)
    assert AdversarialAutoencoder(form="clustering", units=(9,)).encoder.get_layer("input_dropout").rate == pytest.approx(0.2)


# --- verbs ---


def test_samples_of_a_label_come_from_its_part():
    model = small(form="supervised", prior="star", num_classes=3)
    z = model.draw_prior(5, label=1, seed=2)
    np.testing.assert_allclose(model.sample(5, label=1, seed=2), model.decode(z), rtol=1e-5)
    np.testing.assert_array_equal(model.sample(4, seed=7), model.sample(4, seed=7))
    to_decoder = small(form="supervised", label_to="decoder")
    z, label = to_decoder.draw_prior(3, seed=1), np.array([2, 0, 1])
    expected = to_decoder.decoder(np.concatenate([z, np.eye(3, dtype="float32")[label]], 1))
    np.testing.assert_allclose(to_decoder.sample(3, label=label, seed=1), ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-6)


def test_classes_and_reconstructions():
    model = small(form="semi_supervised")
    found = model.predict(X, verbose=0)
    p = np.exp(found["logits"]) / np.exp(found["logits"]).sum(1, keepdims=True)
    np.testing.assert_allclose(model.probabilities(X), p, rtol=1e-4)
    np.testing.assert_array_equal(model.classify(X), p.argmax(1))
    images = ops.convert_to_numpy(model.decoder(np.concatenate([found["z"], p], 1)))
    np.testing.assert_allclose(model.reconstruct(X), images, rtol=1e-4, atol=1e-6)
    served = model.signatures()["serve"][0](X)
    np.testing.assert_allclose(ops.convert_to_numpy(served["probability"]), p, rtol=1e-4)


def test_manifold_stands_at_equal_steps_of_probability():
    model = small(prior_scale=2.0)
    images = model.manifold(steps=3)
    lines = 2 * stats.norm.ppf([1 / 6, 0.5, 5 / 6])
    z = np.array([[x, y] for y in lines[::-1] for x in lines])
    np.testing.assert_allclose(images.reshape(9, 4, 3, 1), model.decode(z), rtol=1e-4, atol=1e-6)
    assert small(prior="swiss_roll").manifold(2).shape == (2, 2, 4, 3, 1)
    with pytest.raises(ValueError, match="`latent_dim`.*Received: 3"):
        small(latent_dim=3).manifold()


def test_an_own_prior_is_saved_with_the_model(tmp_path):
    model = small(prior=Ring(radius=3.0))
    np.testing.assert_allclose(np.linalg.norm(model.draw_prior(50), axis=1), 3, rtol=1e-5)
    model.fit(X, verbose=0)
    model.save(tmp_path / "own.keras")
    again = keras.saving.load_model(tmp_path / "own.keras")
    assert isinstance(again.codes, Ring) and again.codes.radius == 3.0
    np.testing.assert_allclose(again.encode(X), model.encode(X), rtol=1e-5)


def test_arguments_of_fit_by_place():
    """As in Keras: targets, batch size, epochs, verbosity."""
    for form, labels in (("unsupervised", None), ("semi_supervised", Y), ("semi_supervised", np.abs(Y))):
        model = small(form=form)
        assert len(model.fit(X, labels, 4, 2, 0).epoch) == 2
    with pytest.raises(ValueError, match="`validation_split`.*Received: 0.5"):
        small(form="semi_supervised").fit(X, Y, 4, 1, 0, None, 0.5)


def test_refusals():
    for arguments, name in (
        ({"form": "other"}, "form"),
        ({"posterior": "other"}, "posterior"),
        ({"prior": "other"}, "prior"),
        ({"prior": lambda n: n}, "prior"),
        ({"prior": Unregistered()}, "prior"),
        ({"prior": Ring(), "latent_dim": 3}, "prior"),
        ({"prior": "star", "latent_dim": 3}, "latent_dim"),
        ({"units": ()}, "units"),
        ({"units": (3, 0)}, "units"),
        ({"image_shape": (4, -1)}, "image_shape"),
        ({"regularizer": None}, "regularizer"),
        ({"regularizer_weight": -1}, "regularizer_weight"),
        ({"bandwidths": (1.0, 0.0)}, "bandwidths"),
        ({"cluster_heads": True}, "cluster_heads"),
        ({"form": "supervised", "prior": layers.star_prior(1.0, 4)}, "num_classes"),
        ({"input_dropout": 1.0}, "input_dropout"),
        ({"output_activation": "tanh"}, "output_activation"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            AdversarialAutoencoder(**{**PLAIN, **arguments})
    plain, few = small(), small(form="semi_supervised")
    for call, name in (
        (lambda: plain.fit(255 * X, verbose=0), "image"),
        (lambda: few.fit(X, verbose=0), "y"),
        (lambda: few.fit(X, Y + 1, verbose=0), "label"),
        (lambda: few.fit(X, Y, validation_split=0.5, verbose=0), "validation_split"),
        (lambda: plain.classify(X), "form"),
        (lambda: plain.decode(np.zeros((3, 2)), label=1), "label"),
        (lambda: few.decode(np.zeros((3, 2))), "label"),
        (lambda: few.decode(np.zeros((3, 2)), label=[0, 1]), "label"),
        (lambda: few.decode(np.zeros((3, 2)), label=3), "label"),
        (lambda: few.decode(np.zeros((3, 3)), label=1), "z"),
        (lambda: few.reconstruct(X, label=1), "label"),
        (lambda: plain.sample(3, label=1), "label"),
        (lambda: plain.draw_prior(3, label=1), "label"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            call()
