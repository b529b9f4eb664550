"""Winner-take-all autoencoders: objective and gradients against NumPy, filters by what the decoder draws, stacks, the RBM's phases."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff
from zoo.applications import WTAAutoencoder

RNG = np.random.default_rng(0)
SHAPE = (4, 3, 1)
IMAGES = RNG.uniform(size=(20, *SHAPE)).astype("float32")
FLAT = IMAGES.reshape(20, -1)


def model(**config):
    keras.utils.set_random_seed(0)
    found = WTAAutoencoder(**{"input_shape": SHAPE, "units": 8, **config})
    for v in found.trainable_variables:
        v.assign(v + np.random.default_rng(1).normal(scale=0.2, size=v.shape))
    return found


def convolutional(**config):
    return model(**{"form": "convolutional", "units": 3, "kernel_size": 3, "decoder_kernel_size": 3, **config})


def values(layer):
    return [np.asarray(ops.convert_to_numpy(w), "float64") for w in layer.weights]


def gradients(found, x, variables):
    def cost():
        return found.compute_loss(x, None, found(x, training=True), None, True)

    value, slopes = autodiff.value_and_weight_grad(cost, variables)
    return float(value), [ops.convert_to_numpy(slope) for slope in slopes]


def winners_of(code, count, axis):
    order = np.argsort(-code, axis=axis, kind="stable")
    found = np.zeros(code.shape)
    np.put_along_axis(found, np.take(order, range(count), axis=axis), 1, axis=axis)
    return found


@pytest.mark.parametrize("sparsity", ["winner_take_all", "k_sparse", "none"])
def test_dense_objective_and_gradients_against_numpy(sparsity):
    found = model(sparsity=sparsity, rate=0.25)
    (w, b), (v, c) = values(found.encoder[0]), values(found.decoder)
    code = np.maximum(FLAT @ w + b, 0)
    mask = {"winner_take_all": winners_of(code, 5, 0), "k_sparse": winners_of(code, 2, 1), "none": np.ones_like(code)}[sparsity]
    sparse = code * mask
    wrong = sparse @ v + c - FLAT
    value, slopes = gradients(found, IMAGES, found.trainable_variables)
    np.testing.assert_allclose(value, (wrong**2).sum(1).mean(), rtol=1e-5)
    back = 2 * wrong @ v.T / 20 * (sparse > 0)
    expected = [FLAT.T @ back, back.sum(0), sparse.T @ wrong * 2 / 20, wrong.sum(0) * 2 / 20]
    for slope, e in zip(slopes, expected):
        np.testing.assert_allclose(slope, e, atol=1e-5)


def test_afterwards_nothing_is_cut():
    found = model(rate=0.1)
    (w, b), (v, c) = values(found.encoder[0]), values(found.decoder)
    code = np.maximum(FLAT @ w + b, 0)
    np.testing.assert_allclose(found.encode(IMAGES, batch_size=6), code, atol=1e-5)
    np.testing.assert_allclose(found.predict(IMAGES, verbose=0).reshape(20, -1), code @ v + c, atol=1e-5)
    assert ((code > 0).mean(0) > 0.1).any()


def test_winners_are_those_of_training():
    found = model(rate=0.25)
    w, b = values(found.encoder[0])
    code = np.maximum(FLAT @ w + b, 0)
    np.testing.assert_array_equal(found.winners(IMAGES, batch_size=20), (winners_of(code, 5, 0) > 0) & (code > 0))
    by_four = np.concatenate([winners_of(part, 1, 0) for part in np.split(code, 5)])
    np.testing.assert_array_equal(found.winners(IMAGES, batch_size=4), (by_four > 0) & (code > 0))


def test_tied_weights_are_one():
    found = model(tied=True, sparsity="none")
    w, b = values(found.encoder[0])
    code = np.maximum(FLAT @ w + b, 0)
    np.testing.assert_allclose(
        found.predict(IMAGES, verbose=0).reshape(20, -1), code @ w.T + ops.convert_to_numpy(found.visible_bias), atol=1e-5
    )
    assert len(found.trainable_variables) == 3
    np.testing.assert_allclose(found.filters().reshape(8, -1), w.T, atol=1e-6)


def test_filters_are_what_one_unit_draws():
    found = model()
    drawn = ops.convert_to_numpy(found._decoded(np.eye(8, dtype="float32")) - found._decoded(np.zeros((8, 8), "float32")))
    np.testing.assert_allclose(found.filters(), drawn, atol=1e-5)


def test_filters_of_maps_are_what_one_activation_draws():
    found = convolutional(input_shape=(7, 7, 2))
    code = np.zeros((3, 7, 7, 3), "float32")
    code[range(3), 3, 3, range(3)] = 1
    drawn = ops.convert_to_numpy(found._decoded(code) - found._decoded(0 * code))
    np.testing.assert_allclose(found.filters(), drawn[:, 2:5, 2:5], atol=1e-5)


@pytest.mark.parametrize("rate, active", [(1.0, 20), (0.25, 5)])
def test_maps_have_one_winner_in_a_share_of_the_batch(rate, active):
    found = convolutional(rate=rate)
    for layer in found.encoder:
        layer.bias.assign(np.ones(3))  # no map is silent
    code = ops.convert_to_numpy(found._competed(found._code(IMAGES), True))
    count = (code > 0).sum((1, 2))
    assert count.max() == 1
    assert (count.sum(0) == active).all()
    np.testing.assert_array_equal(found.winners(IMAGES, batch_size=20), count > 0)


def test_features_of_maps_are_pooled():
    found = convolutional(input_shape=(9, 6, 1), pool_size=3, pool_strides=3)
    images = RNG.normal(size=(2, 9, 6, 1)).astype("float32")
    code = ops.convert_to_numpy(found._code(images))
    pooled = code.reshape(2, 3, 3, 2, 3, 3).max((2, 4))
    np.testing.assert_allclose(found.encode(images), pooled.reshape(2, -1), atol=1e-6)
    assert found.feature_shape == (3, 2, 3)


# --- the RBM ---


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_contrastive_divergence_against_numpy():
    found = model(form="rbm", units=5, rate=0.3)
    w, c, b = (np.asarray(ops.convert_to_numpy(v), "float64") for v in (*found.encoder[0].weights, found.visible_bias))
    hidden = sigmoid(FLAT @ w + c)
    won, dreamt, again = (ops.convert_to_numpy(states) for states in found._dream(FLAT))
    np.testing.assert_allclose(won, hidden * winners_of(hidden, 6, 0), atol=1e-5)
    np.testing.assert_allclose(again, sigmoid(dreamt @ w + c), atol=1e-5)
    # the visible probabilities come from some 0 and 1, which are 0 where a unit has lost
    logits = np.log(dreamt / (1 - dreamt)) - b
    drawn = np.linalg.lstsq(w, logits.T, rcond=None)[0].T
    np.testing.assert_allclose(drawn, np.round(drawn), atol=1e-2)
    assert not np.round(drawn)[won == 0].any() and np.round(drawn).any()


def test_gradients_are_the_contrast_of_the_two_phases(monkeypatch):
    found = model(form="rbm", units=5, rate=0.3)
    won, dreamt, again = (ops.convert_to_numpy(states) for states in found._dream(FLAT))
    monkeypatch.setattr(found, "_dream", lambda visible: [ops.convert_to_tensor(a) for a in (won, dreamt, again)])
    value, slopes = gradients(found, IMAGES, [*found.encoder[0].weights, found.visible_bias])
    np.testing.assert_allclose(value, ((dreamt - FLAT) ** 2).sum(1).mean(), rtol=1e-4)
    expected = [(dreamt.T @ again - FLAT.T @ won) / 20, (again - won).mean(0), (dreamt - FLAT).mean(0)]
    for slope, e in zip(slopes, expected):
        np.testing.assert_allclose(slope, e, atol=1e-5)


def test_draws_differ_and_follow_the_probabilities():
    found = model(form="rbm", units=1, sparsity="none", input_shape=(1,))
    found.encoder[0].kernel.assign([[0.0]])
    found.encoder[0].bias.assign([np.log(3.0)])
    # the dreamt probability tells what was drawn once the weight is not 0
    found.visible_bias.assign([0.0])
    wide = np.zeros((4000, 1), "float32")
    found.encoder[0].kernel.assign([[1.0]])
    dreamt = ops.convert_to_numpy(found._dream(wide)[1])
    assert abs((dreamt > 0.6).mean() - 0.75) < 0.03


# --- stacks ---


def test_a_stack_learns_from_features_that_stay():
    first = model()
    before = first.get_weights()
    second = WTAAutoencoder(units=4, below=first)
    features = first.encode(IMAGES)
    w, b = values(second.encoder[0])
    np.testing.assert_allclose(second.encode(IMAGES), np.maximum(features @ w + b, 0), atol=1e-4)
    target = second.evaluate(IMAGES, verbose=0)
    np.testing.assert_allclose(target, ((second.predict(IMAGES, verbose=0) - features) ** 2).sum(1).mean(), rtol=1e-4)
    own = second.encoder[0].get_weights()
    second.fit(IMAGES, batch_size=10, verbose=0)
    for old, new in zip(before, first.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(own[0], second.encoder[0].get_weights()[0])
    np.testing.assert_allclose(second.filters().reshape(4, -1), values(second.decoder)[0] @ values(first.decoder)[0], atol=1e-5)


def test_a_stack_is_saved_with_what_stands_below(tmp_path):
    second = WTAAutoencoder(form="convolutional", units=2, below=convolutional(pool_strides=2), kernel_size=1, decoder_kernel_size=1)
    assert second.feature_shape == (1, 1, 2) and second.source_shape == (2, 2, 3)
    with pytest.raises(ValueError, match="`below` must"):
        second.filters()
    second.save(tmp_path / "stack.keras")
    again = keras.saving.load_model(tmp_path / "stack.keras")
    np.testing.assert_allclose(again.encode(IMAGES), second.encode(IMAGES), atol=1e-6)
    second.save_pretrained(tmp_path / "preset")
    np.testing.assert_allclose(WTAAutoencoder.from_pretrained(tmp_path / "preset").encode(IMAGES), second.encode(IMAGES), atol=1e-6)
    assert second.example_calls()["filters"] is None


def test_weights_of_samples_count_in_the_error():
    found, weights = model(sparsity="none"), np.arange(20.0)
    alone = [found.evaluate(IMAGES[i : i + 1], verbose=0) for i in range(20)]
    np.testing.assert_allclose(found.evaluate(IMAGES, sample_weight=weights, batch_size=20, verbose=0), np.mean(weights * alone), rtol=1e-5)


@pytest.mark.parametrize("form", ["dense", "convolutional", "rbm"])
@pytest.mark.parametrize("sparsity", ["winner_take_all", "k_sparse", "none"])
def test_training_lowers_the_error(form, sparsity):
    found = model(form=form, sparsity=sparsity, rate=0.5, kernel_size=3, decoder_kernel_size=3)
    if form == "rbm":
        found.compile(keras.optimizers.SGD(0.5))
    # three images with a little noise
    images = np.clip(np.round(IMAGES[:3])[np.arange(60) % 3] * 0.9 + 0.1 * RNG.random((60, *SHAPE)), 0, 1).astype("float32")
    losses = found.fit(images, epochs=60, batch_size=30, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "config, name",
    [
        ({"form": "sparse"}, "form"),
        ({"sparsity": "l1"}, "sparsity"),
        ({"units": 0}, "units"),
        ({"depth": 1.5}, "depth"),
        ({"rate": 0.0}, "rate"),
        ({"rate": 1.1}, "rate"),
        ({"tied": "yes"}, "tied"),
        ({"tied": True, "depth": 2}, "depth"),
        ({"tied": True, "form": "convolutional"}, "tied"),
        ({"form": "rbm", "depth": 2}, "depth"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"pool_strides": 0}, "pool_strides"),
        ({"input_shape": 28}, "input_shape"),
        ({"input_shape": (28, 0)}, "input_shape"),
        ({"form": "convolutional", "input_shape": (28, 28)}, "input_shape"),
        ({"below": 3}, "below"),
    ],
)
def test_wrong_arguments(config, name):
    with pytest.raises(ValueError, match=f"`{name}` must"):
        WTAAutoencoder(**config)


def test_what_cannot_stand_on_what():
    for config, name in (({"form": "rbm"}, "below"), ({"form": "convolutional"}, "below"), ({"input_shape": (5,)}, "input_shape")):
        with pytest.raises(ValueError, match=f"`{name}` must"):
            WTAAutoencoder(below=model(), **config)
