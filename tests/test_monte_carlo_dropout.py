"""Monte Carlo dropout of any model, against closed forms and a plain loop of passes."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo.layers import MonteCarloDropout, dropout_moments

RNG = np.random.default_rng(0)


def sequential(*parts, shape=(6,)):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), *parts])


def test_linear_model_has_the_closed_form():
    """Inverted dropout at rate r before a dense layer: mean w x, variance r / (1 - r) times the sum of (w x)^2."""
    model = sequential(layers.Dropout(0.3), layers.Dense(2))
    x = RNG.normal(size=(3, 6)).astype("float32")
    mean, variance = MonteCarloDropout(model).predict(x, samples=20_000)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(mean, x @ kernel + bias, atol=0.03)
    np.testing.assert_allclose(variance, 0.3 / 0.7 * (x**2 @ kernel**2), rtol=0.05)


@pytest.mark.parametrize("kind", [layers.Dropout, layers.GaussianDropout, layers.AlphaDropout])
def test_equals_a_loop_of_training_passes(kind):
    """Without batch normalisation `training=True` is the same model; from the same seeds both draw the same masks."""
    model = sequential(layers.Dense(8, "relu"), kind(0.4), layers.Dense(5), kind(0.2), layers.Dense(3))
    sampler = MonteCarloDropout(model, samples=7, activation="softmax")
    x = RNG.normal(size=(4, 6)).astype("float32")
    states = [v for v in model.non_trainable_variables]
    start = [ops.convert_to_numpy(v) for v in states]
    passes = [ops.convert_to_numpy(ops.softmax(model(x, training=True))) for _ in range(7)]
    for state, value in zip(states, start):
        state.assign(value)
    mean, variance = sampler.predict(x)
    np.testing.assert_allclose(mean, np.mean(passes, 0), atol=1e-6)
    np.testing.assert_allclose(variance, np.var(passes, 0), atol=1e-6)
    assert np.abs(sampler.predict(x)[0] - mean).max() > 1e-3, "the next call draws new masks"


def test_everything_but_dropout_is_in_inference_mode():
    model = sequential(
        layers.GaussianNoise(1.0), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.SpatialDropout2D(0.5), shape=(8, 8, 2)
    )
    for v in model.layers[2].weights:
        v.assign(RNG.uniform(0.5, 2, v.shape))
    before = model.get_weights()
    x = RNG.normal(size=(3, 8, 8, 2)).astype("float32")
    plain = ops.convert_to_numpy(model(x, training=False))
    drawn = ops.convert_to_numpy(dropout_moments(model, x, 1)[0])
    kept = (drawn != 0).any((1, 2))  # whole channels, as the spatial form draws them
    assert 0 < kept.sum() < kept.size
    np.testing.assert_allclose(drawn, plain * 2 * kept[:, None, None], rtol=1e-5, atol=1e-5)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(ops.convert_to_numpy(model(x, training=False)), plain)
    assert all(layer.trainable for layer in model.layers), "no flag is left behind"


class Nested(keras.Model):
    """A subclassed model that holds another one and a recurrent layer with its own dropout."""

    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([keras.Input((5, 6)), layers.LSTM(4, dropout=0.5, recurrent_dropout=0.2)])
        self.heads = [layers.Dense(3)]
        self.heads[0].build((None, 4))
        self.built = True

    def call(self, x, training=False):
        return self.heads[0](self.inner(x, training=training))


def test_nested_recurrent_model():
    keras.utils.set_random_seed(0)
    x = RNG.normal(size=(3, 5, 6)).astype("float32")
    sampler = MonteCarloDropout(Nested())
    mean, variance = sampler.predict(x, samples=30)
    assert variance.min() > 1e-6 and mean.shape == (3, 3)
    first, second = sampler.predict(x, samples=1), sampler.predict(x, samples=1)
    assert not first[1].any() and np.abs(first[0] - second[0]).max() > 1e-3


def test_seed_fixes_the_masks_and_leaves_the_state():
    model = sequential(layers.Dropout(0.5), layers.Dropout(0.5))
    state = [ops.convert_to_numpy(v) for v in model.non_trainable_variables]
    x = np.ones((4, 6), "float32")
    one, same, other = (ops.convert_to_numpy(dropout_moments(model, x, 3, seed=s)[0]) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    np.testing.assert_array_equal(state, [ops.convert_to_numpy(v) for v in model.non_trainable_variables])
    single = ops.convert_to_numpy(dropout_moments(model, np.ones((64, 6), "float32"), 1, seed=0)[0])
    assert abs((single > 0).mean() - 0.25) < 0.06, "two layers draw different masks"


def test_batches_files_and_export(tmp_path):
    model = sequential(layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Dense(2))
    x = RNG.normal(size=(7, 6)).astype("float32")
    sampler = MonteCarloDropout(model, samples=400, activation="softmax")
    whole, _ = sampler.predict(x, batch_size=100)
    batched, spread = sampler.predict(x, batch_size=3)
    assert batched.shape == (7, 2)
    np.testing.assert_allclose(batched, whole, atol=5 * np.sqrt(spread.max() / 400) + 1e-3)
    image = keras.Input((6,))
    wrapped = keras.Model(image, sampler(image))
    wrapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(x)["mean"]), whole, atol=0.1)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        wrapped.export(tmp_path / "served", verbose=False)
        found = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"](tf.constant(x))
        assert set(found) == {"mean", "variance"}
        np.testing.assert_allclose(found["mean"], whole, atol=0.1)


def test_methods_of_the_zoo_can_be_wrapped():
    from zoo.applications import UNet

    keras.utils.set_random_seed(0)
    model = UNet(filters=2, depth=2, padding="same", dropout=0.5)
    image = RNG.normal(size=(2, 8, 10, 1)).astype("float32")
    mean, variance = MonteCarloDropout(model).predict(image, samples=5)
    np.testing.assert_allclose(mean.sum(-1), 1, atol=1e-5)
    assert variance.max() > 0


def test_refusals():
    with pytest.raises(ValueError, match="dropout"):
        MonteCarloDropout(sequential(layers.Dense(2), layers.Dropout(0.0)))
    sampler = MonteCarloDropout(sequential(layers.Dropout(0.5)))
    for arguments, name in (({"samples": 0}, "samples"), ({"samples": 2.5}, "samples"), ({"batch_size": 0}, "batch_size")):
        with pytest.raises(ValueError, match=name):
            sampler.predict(np.ones((2, 6)), **arguments)
