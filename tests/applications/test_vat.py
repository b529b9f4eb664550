"""VAT against the Fisher matrix of a linear softmax classifier, against brute force in two dimensions, and in its options."""

import keras
import numpy as np
import pytest
from keras import layers

from zoo.applications import VAT
from zoo.applications.vat import HalfLabelled

X = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")


def linear(units=3, activation=None, inputs=5):
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input((inputs,)), layers.Dense(units, activation=activation)])


def probabilities(classifier, x):
    weights, bias = (np.asarray(v, "float64") for v in classifier.get_weights())
    logits = x @ weights + bias
    if weights.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], 1)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def test_direction_is_the_dominant_eigenvector_of_the_fisher_matrix():
    classifier = linear()
    found = VAT(classifier, epsilon=0.5, num_power_iterations=30, from_logits=True).virtual_adversarial_perturbation(X)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 0.5, rtol=1e-5)
    weights = np.asarray(classifier.get_weights()[0], "float64")
    for p, r in zip(probabilities(classifier, X), found):
        values, vectors = np.linalg.eigh(weights @ (np.diag(p) - np.outer(p, p)) @ weights.T)
        assert values[-2] < 0.9 * values[-1]
        assert abs(vectors[:, -1] @ r) / 0.5 > 0.999


@pytest.mark.parametrize(("activation", "from_logits"), [("sigmoid", False), (None, True)])
def test_logistic_regression_has_a_closed_form(activation, from_logits):
    classifier = linear(1, activation)
    model = VAT(classifier, epsilon=0.3, from_logits=from_logits)
    direction = classifier.get_weights()[0][:, 0]
    direction = 0.3 * direction / np.linalg.norm(direction)
    found = model.virtual_adversarial_perturbation(X)
    signs = np.sign(found @ direction)[:, None]
    np.testing.assert_allclose(found, signs * direction, rtol=1e-3, atol=1e-4)
    p, q = probabilities(classifier, X), [probabilities(classifier, X + s * direction) for s in (1, -1)]
    both = [-(p * np.log(p / side)).sum(1) for side in q]
    lds = model.local_distributional_smoothness(X)
    assert np.all(np.min(np.abs(np.stack(both) - lds), axis=0) < 1e-5)


def test_lds_against_brute_force_on_the_circle():
    keras.utils.set_random_seed(1)
    classifier = keras.Sequential([keras.Input((2,)), layers.Dense(16, activation="tanh"), layers.Dense(3)])
    x = np.random.default_rng(1).normal(size=(40, 2)).astype("float32")
    epsilon = 0.1
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    circle = epsilon * np.stack([np.cos(angles), np.sin(angles)], 1)

    def log_p(points):
        return keras.ops.convert_to_numpy(keras.ops.log_softmax(classifier(points.astype("float32"))))

    clean = log_p(x)
    moved = log_p((x[:, None] + circle).reshape(-1, 2)).reshape(40, 360, 3)
    kl = (np.exp(clean)[:, None] * (clean[:, None] - moved)).sum(-1)
    model = VAT(classifier, epsilon=epsilon, num_power_iterations=10, from_logits=True)
    ratio = -model.local_distributional_smoothness(x) / kl.max(1)
    # second order leaves the sign open, hence not quite 1
    assert ratio.max() < 1.01 and ratio.min() > 0.8 and ratio.mean() > 0.95


def test_zero_power_iterations_is_a_random_direction_of_the_same_length():
    model = VAT(linear(), epsilon=2.0, num_power_iterations=0, from_logits=True)
    a, b = model.virtual_adversarial_perturbation(X), model.virtual_adversarial_perturbation(X)
    np.testing.assert_allclose(np.linalg.norm(a, axis=1), 2.0, rtol=1e-5)
    assert not np.allclose(a, b)


@pytest.mark.parametrize("from_logits", [True, False])
def test_epsilon_zero_is_the_classifiers_own_loss_on_the_labelled_samples(from_logits):
    classifier = linear(activation=None if from_logits else "softmax")
    y = np.array([0, 1, 2, -1, -1, 0, 1, -1, 2, 2, -1, 0], "int32")
    labelled = y >= 0
    losses = VAT(classifier, epsilon=0.0, from_logits=from_logits).evaluate(X, y, return_dict=True, verbose=0)
    classifier.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits), metrics=["accuracy"])
    expected = classifier.evaluate(X[labelled], y[labelled], return_dict=True, verbose=0)
    assert losses["loss"] == pytest.approx(expected["loss"], abs=1e-6)
    assert losses["accuracy"] == pytest.approx(expected["accuracy"])
    assert losses["lds"] == 0


def test_loss_is_nll_minus_alpha_lds_and_weights_count():
    model = VAT(linear(), epsilon=1.0, alpha=0.5, from_logits=True)
    y = np.arange(12, dtype="int32") % 3
    logs = model.evaluate(X, y, return_dict=True, verbose=0)
    assert logs["lds"] < 0
    assert logs["loss"] == pytest.approx(logs["nll"] - 0.5 * logs["lds"], rel=1e-5)
    doubled = model.evaluate(X, y, sample_weight=np.full(12, 2.0), return_dict=True, verbose=0)
    assert doubled["nll"] == pytest.approx(2 * logs["nll"], rel=1e-5)


def test_unlabelled_samples_alone_train_without_nan_and_smooth():
    model = VAT(linear(), epsilon=1.0, from_logits=True)
    model.compile(keras.optimizers.Adam(0.02))
    before = model.local_distributional_smoothness(X).mean()
    history = model.fit(X, np.full(12, -1, "int32"), epochs=40, verbose=0).history
    assert np.all(np.array(history["nll"]) == 0)
    assert model.local_distributional_smoothness(X).mean() > before / 4


def test_extra_passes_leave_state_and_auxiliary_losses_alone():
    def build():
        keras.utils.set_random_seed(0)
        hidden = layers.Dense(8, activity_regularizer=keras.regularizers.L2(0.1))
        return keras.Sequential([keras.Input((5,)), hidden, layers.BatchNormalization(), layers.Dense(3)])

    y = np.arange(12, dtype="int32") % 3
    plain, wrapped = build(), build()
    plain.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(True))
    model = VAT(wrapped, epsilon=0.0, from_logits=True)
    model.compile(keras.optimizers.SGD(0.1))
    for m in (plain, model):
        m.fit(X, y, batch_size=12, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(plain.get_weights(), wrapped.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_in_fit_the_extra_passes_normalise_by_their_batch():
    """One step with random directions, recomputed in NumPy: batch statistics in training, moving ones in evaluation."""
    keras.utils.set_random_seed(2)
    classifier = keras.Sequential([keras.Input((5,)), layers.BatchNormalization(momentum=0.9), layers.Dense(3)])
    model = VAT(classifier, epsilon=1.5, num_power_iterations=0, from_logits=True)
    model.compile(keras.optimizers.SGD(0.0))
    weights, bias = (np.asarray(v, "float64") for v in classifier.get_weights()[-2:])

    def log_p(x, mean, variance):
        logits = (x - mean) / np.sqrt(variance + 1e-3) @ weights + bias
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))

    def expected(statistics):
        state = keras.ops.convert_to_numpy(model.seed_generator.state)
        start = keras.ops.convert_to_numpy(keras.random.normal(X.shape, seed=model.seed_generator))
        model.seed_generator.state.assign(state)
        moved = X + 1.5 * start / np.linalg.norm(start, axis=1, keepdims=True)
        clean = log_p(X, *statistics(X))
        return -np.mean(np.sum(np.exp(clean) * (clean - log_p(moved, *statistics(moved))), 1))

    unlabelled = np.full(12, -1, "int32")
    lds = expected(lambda x: (x.mean(0), x.var(0)))
    assert model.train_on_batch(X, unlabelled, return_dict=True)["lds"] == pytest.approx(lds, rel=1e-4)
    mean, variance = (0.1 * X.mean(0), 0.9 + 0.1 * X.var(0))
    np.testing.assert_allclose(classifier.layers[0].moving_mean, mean, rtol=1e-4)  # of the clean batch alone
    lds = expected(lambda x: (mean, variance))
    assert model.evaluate(X, unlabelled, batch_size=12, verbose=0, return_dict=True)["lds"] == pytest.approx(lds, rel=1e-4)


def test_labelled_and_other_samples_are_normalised_apart():
    """A step of `fit` on arrays in which labels lack: all four labelled samples, then all twelve, each with statistics of their own."""
    y = np.array([0, 1, 2, 1] + 8 * [-1], "int32")
    classifier = keras.Sequential([keras.Input((5,)), layers.BatchNormalization(momentum=0.0), layers.Dense(3)])
    model = VAT(classifier, epsilon=0.0, from_logits=True, labelled_per_batch=4)
    model.compile(keras.optimizers.SGD(0.0))
    logs = model.fit(X, y, batch_size=16, verbose=0).history
    weights, bias = classifier.layers[1].get_weights()
    logits = (X[:4] - X[:4].mean(0)) / np.sqrt(X[:4].var(0) + 1e-3) @ weights + bias
    assert logs["nll"][0] == pytest.approx(np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(4), y[:4]]), rel=1e-4)
    np.testing.assert_allclose(classifier.layers[0].moving_mean, X.mean(0), rtol=1e-4, atol=1e-6)  # of the others, which are all
    assert logs["lds"] == [0] and model._apart == 4
    model.fit(X, np.zeros(12, "int32"), verbose=0)
    assert model._apart == 0


def test_half_labelled_batches():
    y = np.array([0, 1, 2, 1] + 8 * [-1], "int32")
    batches = HalfLabelled(X, y, labelled=100, others=5, sample_weight=np.arange(12))
    assert len(batches) == 3 and [len(part) for part in batches[2]] == [9, 9, 9]
    first = batches[0]
    assert all(np.array_equal(*pair) for pair in zip(first, batches[0]))
    batches.on_epoch_end()
    assert not np.array_equal(first[0], batches[0][0])
    with pytest.raises(ValueError, match="`y` must hold labelled samples"):
        HalfLabelled(X, np.full(12, -1))
    with pytest.raises(ValueError, match="same length"):
        HalfLabelled(X, y[:3])
    with pytest.raises(ValueError, match="`validation_split` must be 0"):
        VAT(linear(), from_logits=True).fit(X, y, validation_split=0.5, verbose=0)


def test_one_dropout_mask_for_all_passes_of_a_step():
    keras.utils.set_random_seed(0)
    classifier = keras.Sequential([keras.Input((5,)), layers.Dense(32), layers.Dropout(0.5), layers.Dense(3)])
    model = VAT(classifier, epsilon=0.0, from_logits=True)
    first, second = (model.train_on_batch(X, np.arange(12) % 3, return_dict=True) for _ in range(2))
    assert first["lds"] == 0 and second["lds"] == 0  # another mask would move the prediction
    seeds = classifier.layers[1].seed_generator.state
    before = keras.ops.convert_to_numpy(seeds)
    model.train_on_batch(X, np.arange(12) % 3)
    assert np.any(keras.ops.convert_to_numpy(seeds) != before)  # and the next step has another one


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4, activation="softmax")

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, x):
        return self.dense(x)


def test_wraps_functional_images_and_subclassed_models():
    image = keras.Input((6, 6, 1))
    functional = keras.Model(image, layers.Dense(2, activation="softmax")(layers.Flatten()(layers.Conv2D(3, 3)(image))))
    subclassed = Subclassed()
    subclassed.build((None, 7))
    for classifier, shape, classes in ((functional, (6, 6, 1), 2), (subclassed, (7,), 4)):
        model = VAT(classifier, epsilon=0.1)
        x = model.example_inputs(3)
        assert x.shape[1:] == shape and model.predict(x, verbose=0).shape == (3, classes)
        assert model.virtual_adversarial_perturbation(x).shape == x.shape
        model.fit(x, np.array([0, -1, 1]), verbose=0)


def test_refuses_what_it_cannot_wrap():
    with pytest.raises(ValueError, match="built"):
        VAT(keras.Sequential([layers.Dense(3)]))
    with pytest.raises(ValueError, match="floats"):
        VAT(keras.Sequential([keras.Input((4,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(2)]))
    with pytest.raises(ValueError, match="from_logits"):
        VAT(linear())
    with pytest.raises(ValueError, match="from_logits"):
        VAT(linear(activation="softmax"), from_logits=True)
    with pytest.raises(ValueError, match="xi"):
        VAT(linear(), xi=0.0, from_logits=True)
    model = VAT(linear(), from_logits=True)
    with pytest.raises(ValueError, match="label"):
        model.fit(X, np.full(12, 3), verbose=0)
    with pytest.raises(ValueError, match="label"):
        model.fit(X, verbose=0)


def test_export_after_a_verb(tmp_path):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("SavedModels are written by TensorFlow")
    model = VAT(linear(), from_logits=True)
    model.local_distributional_smoothness(X)
    model.export(tmp_path)
    assert (tmp_path / "1" / "saved_model.pb").exists()


def test_the_default_rate_falls_as_in_the_paper():
    """0.002, less a tenth after each 500 updates; the length is that of the authors' experiment with 100 labels."""
    model = VAT(linear(), from_logits=True)
    schedule = model.optimizer._learning_rate
    np.testing.assert_allclose([schedule(step) for step in (0, 499, 500, 1000)], [2e-3, 2e-3, 1.8e-3, 1.62e-3], rtol=1e-5)
    assert model.epsilon == 0.3
