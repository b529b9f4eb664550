"""Scheduled sampling against a loop over the cell, all short sequences, and the formulas of the decay."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special, stats

from zoo.callbacks import ScheduledSamplingDecay
from zoo.layers import ScheduledSampling

RNG = np.random.default_rng(0)
SYMBOLS, LENGTH = 3, 4
ALL = np.array(list(itertools.product(range(SYMBOLS), repeat=LENGTH)), "int32")


def layer_of(cell="gru", scale=2.0, **arguments):
    keras.utils.set_random_seed(0)
    layer = ScheduledSampling(SYMBOLS, units=5, embedding_size=4, cell=cell, **arguments)
    for weight in layer.trainable_weights:
        weight.assign(scale * RNG.normal(size=weight.shape).astype("float32") / weight.shape[0] ** 0.5)
    return layer


def model_of(layer, **arguments):
    model = keras.Sequential([keras.Input((LENGTH,), dtype="int32"), layer])
    model.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True), **arguments)
    return model


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_true_tokens_go_through_a_plain_network_of_keras(cell):
    layer = layer_of(cell)
    peer = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM, "rnn": keras.layers.SimpleRNN}[cell](5, return_sequences=True)
    peer.build((None, None, 4))
    peer.set_weights(layer.step.cell.get_weights())
    before = np.concatenate([np.full((len(ALL), 1), SYMBOLS), ALL[:, :-1]], axis=1)
    expected = layer.step.logits(peer(layer.step.embedding(before)))
    np.testing.assert_allclose(layer(ALL), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer(ALL, training=True), expected, rtol=1e-4, atol=1e-5)
    log_p = special.log_softmax(ops.convert_to_numpy(expected), axis=-1)
    likelihood = np.take_along_axis(log_p, ALL[..., None], axis=-1).sum((1, 2))
    np.testing.assert_allclose(layer.log_likelihood(ALL), likelihood, rtol=1e-4, atol=1e-5)
    assert np.exp(layer.log_likelihood(ALL)).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm", "stacked"])
def test_a_loop_over_the_cell(cell):
    """One sequence, one place at a time: what is read is the true token or the layer's own, by the coins."""
    own = keras.layers.StackedRNNCells([keras.layers.GRUCell(3), keras.layers.LSTMCell(4)]) if cell == "stacked" else cell
    layer = layer_of(own)
    ids = RNG.integers(0, SYMBOLS, (6, LENGTH))
    true, draws = (RNG.random(ids.shape) < 0.5).astype("float32"), RNG.random(ids.shape).astype("float32")
    found = ops.convert_to_numpy(layer._run(ids.astype("float32"), true, draws))
    step, read = layer.step, []
    for i in range(len(ids)):
        state = step.cell.get_initial_state(batch_size=1)
        token = SYMBOLS
        for t in range(LENGTH):
            read.append(token)
            output, state = step.cell(step.embedding(np.array([token])), state)
            logits = ops.convert_to_numpy(step.logits(output))[0]
            np.testing.assert_allclose(found[i, t], logits, rtol=1e-4, atol=1e-5)
            drawn = int(np.searchsorted(np.cumsum(special.softmax(logits))[:-1], draws[i, t], side="right"))
            token = ids[i, t] if t + 1 < LENGTH and true[i, t + 1] else drawn
    assert len(set(read)) == SYMBOLS + 1


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_the_expected_loss_of_two_steps(probability):
    """Huszar, equation 4: the second token is predicted from the true first one, or from a sample of the model's own."""
    layer = layer_of(true_probability=probability)
    pairs = np.array(list(itertools.product(range(SYMBOLS), repeat=2)), "int32")
    chances = np.exp(layer.log_likelihood(pairs)).reshape(SYMBOLS, SYMBOLS)
    first = chances.sum(1)
    second = chances / first[:, None]
    x = np.array([[0, 2]], "int32")
    expected = -np.log(first[0]) - probability * np.log(second[0, 2]) - (1 - probability) * first @ np.log(second[:, 2])
    many = np.repeat(x, 20000, axis=0)
    log_p = special.log_softmax(ops.convert_to_numpy(layer(many, training=True)), axis=-1)
    losses = -(log_p[:, 0, 0] + log_p[:, 1, 2])
    assert losses.mean() == pytest.approx(expected, abs=4 * float(losses.std()) / len(many) ** 0.5 + 1e-5)
    if probability == 0.3:
        assert losses.std() > 0.1


def test_samples_follow_the_likelihoods():
    layer = layer_of()
    samples = layer.sample(20000, LENGTH, seed=1)
    counts = np.bincount(samples @ SYMBOLS ** np.arange(LENGTH)[::-1], minlength=len(ALL))
    expected = 20000 * np.exp(layer.log_likelihood(ALL).astype("float64"))
    often = expected > 5
    rest = [counts[~often].sum()], [expected[~often].sum() + 1e-9]
    found, wanted = np.append(counts[often], rest[0]), np.append(expected[often], rest[1])
    assert stats.chisquare(found, wanted * found.sum() / wanted.sum()).pvalue > 1e-3
    np.testing.assert_array_equal(samples, layer.sample(20000, LENGTH, seed=1))
    assert (layer.sample(5, 9) != layer.sample(5, 9)).any() and layer.sample(5, 9).shape == (5, 9)


def test_samples_carry_no_gradient_and_training_goes_through():
    for cell in ("gru", "lstm"):
        layer = layer_of(cell, true_probability=0.5)
        model = model_of(layer)
        model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        x = np.tile(ALL[5:6], (64, 1))
        losses = model.fit(x, x, batch_size=16, epochs=4, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        # evaluation reads true tokens alone, whatever the probability
        expected = -layer.log_likelihood(ALL).mean() / LENGTH
        assert model.evaluate(ALL, ALL, verbose=0) == pytest.approx(expected, rel=1e-4)


def test_saved_and_loaded(tmp_path):
    for cell in ("lstm", keras.layers.GRUCell(6)):
        layer = layer_of(cell, true_probability=0.25, seed=3)
        model = model_of(layer)
        layer.true_probability.assign(0.75)
        model.save(tmp_path / "model.keras")
        other = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(other.predict(ALL, verbose=0), model.predict(ALL, verbose=0), rtol=1e-5, atol=1e-6)
        assert float(other.layers[-1].true_probability) == 0.75 and other.layers[-1].get_config()["true_probability"] == 0.25


def test_float32_under_mixed_precision():
    """Half precision would lose ids above 2048."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = ScheduledSampling(5000, units=4, embedding_size=3)
        logits = layer(np.array([[4999, 3, 2]]), training=True)
        assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    finally:
        keras.config.set_dtype_policy("float32")


# --- the decay ---


def test_formulas():
    """Section 2.4 of Bengio et al."""
    i = np.array([0, 1, 10, 200, 10**6])
    for decay, expected in (
        (ScheduledSamplingDecay("linear", k=0.9, slope=0.01, end=0.2), np.maximum(0.2, 0.9 - 0.01 * i)),
        (ScheduledSamplingDecay("linear", slope=0.05), np.maximum(0.0, 1 - 0.05 * i)),
        (ScheduledSamplingDecay("exponential", k=0.99), 0.99**i),
        (ScheduledSamplingDecay("inverse_sigmoid", k=30.0, end=0.01), np.maximum(0.01, 30 / (30 + np.exp(np.minimum(i / 30, 600))))),
    ):
        np.testing.assert_allclose([decay.probability(n) for n in i], expected, rtol=1e-6, atol=1e-12)


def test_the_probability_moves_with_the_updates_and_a_second_fit_goes_on():
    layer = layer_of()
    model = model_of(layer)
    decay = ScheduledSamplingDecay("linear", slope=0.1)
    seen = []

    class Spy(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            # on JAX, reading the model brings the values into the variables
            assert self.model
            seen.append(round(float(layer.true_probability), 4))

    spy = Spy()
    logs = model.fit(ALL[:12], ALL[:12], batch_size=4, epochs=2, verbose=0, callbacks=[decay, spy]).history
    np.testing.assert_allclose(seen, [1, 0.9, 0.8, 0.7, 0.6, 0.5])
    np.testing.assert_allclose(logs["true_probability"], [0.8, 0.5])
    model.fit(ALL[:12], ALL[:12], batch_size=4, verbose=0, callbacks=[decay, spy])
    np.testing.assert_allclose(seen[6:], [0.4, 0.3, 0.2])


def test_refusals():
    for arguments, name in (
        ({"vocabulary_size": 0}, "vocabulary_size"),
        ({"units": 0}, "units"),
        ({"embedding_size": 0}, "embedding_size"),
        ({"cell": "tcn"}, "cell"),
        ({"cell": 3}, "cell"),
        ({"true_probability": 1.5}, "true_probability"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            ScheduledSampling(**{"vocabulary_size": 3, **arguments})
    layer = layer_of()
    for bad in (np.array([[0, 3]]), np.array([[-1, 0]]), np.array([0, 1]), np.array([[0.5, 1]]), None):
        with pytest.raises(ValueError, match="`ids`.*Received"):
            layer.log_likelihood(bad)
    with pytest.raises(ValueError, match="`n`.*Received"):
        layer.sample(0, 3)
    for arguments, name in (
        ({"shape": "cosine"}, "shape"),
        ({"shape": "linear"}, "slope"),
        ({"shape": "linear", "slope": 0}, "slope"),
        ({"shape": "exponential"}, "k"),
        ({"shape": "exponential", "k": 1.0}, "k"),
        ({"shape": "inverse_sigmoid", "k": 0.5}, "k"),
        ({"shape": "inverse_sigmoid", "k": 5, "slope": 0.1}, "slope"),
        ({"shape": "exponential", "k": 0.9, "end": 2}, "end"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            ScheduledSamplingDecay(**arguments)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="ScheduledSampling layer"):
        model.fit(np.zeros((2, 2)), np.zeros((2, 1)), verbose=0, callbacks=[ScheduledSamplingDecay(k=5)])
