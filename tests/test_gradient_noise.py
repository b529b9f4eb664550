"""GradientNoise against its definition, and as a wrapper of Keras's optimizers."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.optimizers import GradientNoise


def steps(optimizer, gradients, start):
    variable = keras.Variable(start)
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
    return ops.convert_to_numpy(variable)


def test_variance_falls_as_the_paper_says():
    size = 200_000
    optimizer = GradientNoise(keras.optimizers.SGD(1.0), eta=0.3, gamma=0.55, seed=0)
    variable, before = keras.Variable(np.zeros(size, "float32")), np.zeros(size)
    for step in range(3):
        optimizer.apply([ops.full((size,), 2.0)], [variable])
        noise, before = -(ops.convert_to_numpy(variable) - before) - 2.0, ops.convert_to_numpy(variable)
        assert abs(noise.mean()) < 5 * noise.std() / np.sqrt(size)
        np.testing.assert_allclose(noise.var(), 0.3 / (1 + step) ** 0.55, rtol=0.02)
    assert int(optimizer.iterations) == 3


@pytest.mark.parametrize("make", [keras.optimizers.SGD, keras.optimizers.Adam, keras.optimizers.RMSprop, keras.optimizers.Adagrad])
def test_without_noise_it_is_the_optimizer(make):
    rng = np.random.default_rng(0)
    gradients, start = rng.normal(size=(4, 5)).astype("float32"), rng.normal(size=5).astype("float32")
    expected = steps(make(0.1, clipnorm=1.0), gradients, start)
    np.testing.assert_allclose(steps(GradientNoise(make(0.1), eta=0.0, clipnorm=1.0), gradients, start), expected, rtol=1e-6)
    np.testing.assert_allclose(steps(GradientNoise(make(0.1, clipnorm=1.0), eta=0.0), gradients, start), expected, rtol=1e-6)


def test_gradients_are_clipped_before_the_noise():
    start, gradient = np.zeros(1000, "float32"), np.full((1, 1000), 100.0, "float32")
    before = steps(GradientNoise(keras.optimizers.SGD(1.0), eta=1.0, global_clipnorm=1.0, seed=0), gradient, start)
    after = steps(GradientNoise(keras.optimizers.SGD(1.0, global_clipnorm=1.0), eta=1.0, seed=0), gradient, start)
    assert np.std(before) > 0.9 and np.linalg.norm(after) < 1.001


def test_scaled_losses_leave_the_noise_as_it_is():
    start, gradient = np.zeros(10, "float32"), np.ones((1, 10), "float32")
    plain = steps(GradientNoise(keras.optimizers.SGD(1.0), seed=1), gradient, start)
    scaled = steps(GradientNoise(keras.optimizers.SGD(1.0, loss_scale_factor=8.0), seed=1), 8 * gradient, start)
    np.testing.assert_allclose(scaled, plain, rtol=1e-5)


def model(optimizer):
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [keras.Input((3,), dtype="int32"), keras.layers.Embedding(7, 2), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    network.compile(optimizer, "mse")
    return network


def test_any_model_learns_with_it_and_is_saved_with_it(tmp_path):
    x, y = np.arange(12).reshape(4, 3) % 7, np.arange(4.0)
    first = model(GradientNoise("adam", eta=0.01, seed=3))
    unused = ops.convert_to_numpy(first.layers[0].embeddings)
    losses = first.fit(x[:1], y[:1], epochs=2, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses))
    # rows that no example used have noise as well
    assert np.all(ops.convert_to_numpy(first.layers[0].embeddings) != unused)
    first.save(tmp_path / "model.keras")
    second = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(second.optimizer, GradientNoise) and second.optimizer.get_config() == first.optimizer.get_config()
    for network in (first, second):
        network.fit(x, y, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(first.weights, second.weights):
        np.testing.assert_allclose(ops.convert_to_numpy(one), ops.convert_to_numpy(other), rtol=1e-5)


def test_schedules_and_learning_rates_are_the_optimizers():
    optimizer = GradientNoise(keras.optimizers.SGD(0.5))
    optimizer.learning_rate = 0.25
    assert float(optimizer.learning_rate) == 0.25
    decay = keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
    found = steps(GradientNoise(keras.optimizers.SGD(decay), eta=0.0), np.ones((3, 1), "float32"), np.zeros(1, "float32"))
    np.testing.assert_allclose(found, [-1.75])


@pytest.mark.parametrize("wrong", [{"eta": -1}, {"gamma": -0.1}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match="eta"):
        GradientNoise("sgd", **wrong)
