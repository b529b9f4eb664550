"""GradLayer, GradSchedule and finalize against the formula and hand-made networks."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo.callbacks import GradSchedule
from zoo.layers import GradLayer, Pick, finalize
from zoo.layers.grad_layer import grad_layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 6, 6, 3)).astype("float32")
Y = RNG.integers(0, 2, 12)
PAIRS = {
    "linear, relu": (None, layers.ReLU),
    "two rectifiers": (layers.LeakyReLU, layers.ReLU),
    "mean, max": (lambda: layers.AveragePooling2D(2), layers.MaxPooling2D),
    "batch norm, none": (layers.BatchNormalization, None),
    "two convolutions": (lambda: layers.Conv2D(4, 1), lambda: layers.Conv2D(4, 3, padding="same")),
    "a layer, a model": (lambda: layers.Conv2D(2, 1), lambda: keras.Sequential([layers.Conv2D(5, 1), layers.ReLU(), layers.Conv2D(2, 1)])),
    "identity, identity": (None, None),
}


def array(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("g", [0.0, 0.3, 1.0])
def test_the_blend_is_convex(pair, g):
    simple, complex = (make and make() for make in PAIRS[pair])
    found = array(GradLayer(simple, complex, blend=g)(X))
    a, b = (X if layer is None else array(layer(X)) for layer in (simple, complex))
    np.testing.assert_allclose(found, (1 - g) * a + g * b, atol=1e-6)


def test_a_residual_becomes_plain():
    other = RNG.normal(size=X.shape).astype("float32")
    layer = GradLayer(layers.Add(), Pick(1), blend=0.75)
    np.testing.assert_allclose(array(layer([X, other])), other + 0.25 * X, atol=1e-6)


def test_learned_weights_run_ahead():
    layer = GradLayer(None, layers.ReLU(), learned=True, blend=0.5)
    layer(X)
    assert [v.path.split("/")[-1] for v in layer.trainable_variables] == ["logit"]
    np.testing.assert_allclose(float(layer.weight), 0.5 + 0.5 / (1 + np.exp(2)), rtol=1e-6)
    layer.blend.assign(1.0)
    assert float(layer.weight) == 1


def test_training_reaches_both_layers():
    """Dropout is active in training only; the statistics of a batch normalisation move."""
    layer = GradLayer(layers.BatchNormalization(), layers.Dropout(0.5), blend=0.5)
    quiet = array(layer(X, training=False))
    assert np.any(array(layer(X, training=True)) != quiet)
    assert np.any(array(layer.simple.moving_mean) != 0)


def network(**options):
    keras.utils.set_random_seed(0)
    x = image = keras.Input((6, 6, 3))
    x = GradLayer(layers.Conv2D(4, 1), layers.Conv2D(4, 3, padding="same"), name="convolution", **options)(x)
    h = keras.Sequential([layers.Conv2D(4, 1), GradLayer(None, layers.ReLU(), name="inner", **options)], name="nested")(x)
    h = GradLayer(layers.Add(), Pick(1), name="skip", **options)([x, h])
    x = GradLayer(layers.AveragePooling2D(2), layers.MaxPooling2D(), name="pool", **options)(h)
    model = keras.Model(image, layers.Dense(2, activation="softmax")(layers.Flatten()(x)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.fixture(scope="module")
def trained():
    model = network()
    history = model.fit(X, Y, batch_size=4, epochs=4, verbose=0, callbacks=[GradSchedule(4)])
    return model, history.history


def test_linear_schedule(trained):
    model, history = trained
    np.testing.assert_allclose(history["blend"], [0.25, 0.5, 0.75, 1.0], rtol=1e-6)
    assert [float(layer.blend) for layer in grad_layers(model)] == [1.0] * 4
    assert np.all(np.isfinite(history["loss"]))


def test_finalize_gives_the_same_outputs_for_less(trained):
    model, _ = trained
    plain = finalize(model)
    np.testing.assert_allclose(array(plain(X)), array(model(X)), atol=1e-6)
    assert not grad_layers(plain) and {type(layer).__name__ for layer in plain.layers} >= {"MaxPooling2D", "Conv2D", "Pick"}
    # the 1 x 1 convolution, and four blends
    assert model.count_params() - plain.count_params() == 3 * 4 + 4 + 4
    assert operations(plain) < 0.7 * operations(model)


def operations(model):
    """Number of operations in the graph of a forward pass."""
    if keras.backend.backend() == "jax":
        import jax

        return str(jax.make_jaxpr(lambda x: model.stateless_call(model.trainable_variables, model.non_trainable_variables, x)[0])(X)).count(
            "="
        )
    import tensorflow as tf

    return len(tf.function(lambda x: model(x)).get_concrete_function(tf.constant(X)).graph.get_operations())


def test_a_blend_that_is_not_done_is_not_finalized():
    with pytest.raises(ValueError, match="blended completely.*blend 0.5"):
        finalize(network(blend=0.5))

    class Wrapper(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = GradLayer(None, layers.ReLU(), blend=1.0)

        def call(self, inputs):
            return self.inner(inputs)

    hidden = keras.Sequential([keras.Input((3,)), Wrapper()])
    with pytest.raises(ValueError, match="Functional or Sequential"):
        finalize(hidden)


class Blends(keras.callbacks.Callback):
    """Collects the blend after each batch."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(grad_layers(self.model)[0].blend))


def test_cosine_moves_after_each_batch_and_goes_on():
    """Six batches in two fits, the second with a new callback, follow one curve; two more change nothing."""
    model, seen = network(), Blends()
    for _ in range(3):
        model.fit(X[:8], Y[:8], batch_size=4, verbose=0, epochs=1, callbacks=[GradSchedule(3, "cosine"), seen])
    np.testing.assert_allclose(seen.values, (1 - np.cos(np.pi * np.arange(1, 7) / 6)) / 2, atol=1e-6)
    history = model.fit(X[:8], Y[:8], batch_size=4, verbose=0, callbacks=[GradSchedule(3, "cosine"), seen])
    assert seen.values[-2:] == [1.0, 1.0] == [history.history["blend"][0]] * 2


def test_learned_schedule():
    model = network(learned=True)
    history = model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[GradSchedule(4, "learned")])
    assert 0.25 < history.history["blend"][0] < history.history["blend"][1] < 1
    assert all(float(layer.logit) != -2 for layer in grad_layers(model))
    with pytest.raises(ValueError, match="learned"):
        network().fit(X, Y, verbose=0, callbacks=[GradSchedule(4, "learned")])


def test_a_file_keeps_layers_and_blend(tmp_path):
    model = network(learned=True)
    for layer in grad_layers(model):
        layer.blend.assign(0.4)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(array(loaded(X)), array(model(X)), atol=1e-6)
    assert all(layer.learned and np.isclose(float(layer.blend), 0.4) for layer in grad_layers(loaded))


def test_refusals():
    with pytest.raises(ValueError, match="same shape"):
        GradLayer(layers.Conv2D(2, 1), layers.Conv2D(3, 1))(X)
    with pytest.raises(ValueError, match="`simple` must be"):
        GradLayer("relu", None)
    with pytest.raises(ValueError, match="`blend`"):
        GradLayer(None, None, blend=2.0)
    for arguments, name in (({"epochs": 0}, "epochs"), ({"epochs": 1, "shape": "square"}, "shape")):
        with pytest.raises(ValueError, match=f"`{name}`"):
            GradSchedule(**arguments)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="contain a GradLayer"):
        model.fit(np.zeros((2, 3)), np.zeros((2, 2)), verbose=0, callbacks=[GradSchedule(2)])
