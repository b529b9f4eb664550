"""GMMN: the objective against NumPy, the auto-encoder's stages, the paper's networks, and the verbs against NumPy."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.spatial.distance import cdist

from zoo.applications import GMMN
from zoo.applications.gmmn import _Stage, _steps

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(12, 4, 3, 3)).astype("float32")
CODES = {"match_images": False, "square_root": True, "bandwidths": None}
KINDS = {"codes": CODES, "decoded": {}, "pixels": {"encoder_units": (), "encoder_dropout": (), **CODES}}


def small(**arguments):
    keras.utils.set_random_seed(0)
    return GMMN(**{**GMMN.example_config(), **arguments})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward(network, x):
    """Dense layers in NumPy."""
    for layer in _steps(network):
        if isinstance(layer, layers.Dense):
            kernel, bias = layer.get_weights()
            x = x @ kernel + bias
            x = sigmoid(x) if layer.activation is keras.activations.sigmoid else np.maximum(x, 0)
    return x


def discrepancy(x, y, bandwidths, weight=None):
    kxx, kyy, kxy = (sum(np.exp(-cdist(u, v, "sqeuclidean") / (2 * s)) for s in bandwidths) for u, v in ((x, x), (y, y), (x, y)))
    a = np.full(len(x), 1 / len(x)) if weight is None else weight / weight.sum()
    return a @ kxx @ a + kyy.mean() - 2 * (a @ kxy).mean()


def next_latent(model, n):
    """The latent vectors of the coming step."""
    state = ops.convert_to_numpy(model.seed_generator.state)
    z = ops.convert_to_numpy(keras.random.uniform((n, model.latent_dim), -1.0, 1.0, seed=model.seed_generator))
    model.seed_generator.state.assign(state)
    return z


# --- the objective ---


@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, len(X)).astype("float32")])
@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_the_discrepancy_of_what_is_matched(kind, weight):
    model = small(**KINDS[kind])
    z, flat = next_latent(model, len(X)), X.reshape(len(X), -1)
    loss = float(model.train_on_batch(X, sample_weight=weight, return_dict=True)["loss"])
    model = small(**KINDS[kind])
    drawn = forward(model.generator, z)
    if kind == "codes":
        expected = discrepancy(forward(model.encoder, flat), drawn, (1, 2, 5, 10, 20, 40), weight) ** 0.5
    elif kind == "decoded":
        expected = discrepancy(flat, forward(model.decoder, drawn), (0.5, 3.0), weight)
    else:
        expected = discrepancy(flat, drawn, (2, 5, 10, 20, 40, 80), weight) ** 0.5
    assert loss == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("kind", ["codes", "decoded"])
def test_matching_leaves_the_auto_encoder_alone(kind):
    model = small(**KINDS[kind])
    model.pretrain(X, layerwise_epochs=1, epochs=1, batch_size=4, verbose=0)
    networks = {name: getattr(model, name) for name in ("generator", "encoder", "decoder")}
    before = {name: network.get_weights() for name, network in networks.items()}
    model.fit(X, epochs=2, verbose=0)
    for name, network in networks.items():
        moved = [np.abs(a - b).max() > 0 for a, b in zip(before[name], network.get_weights())]
        assert all(moved) if name == "generator" else not any(moved)
    assert {v.path.split("/")[0].split("_")[0] for v in model.trainable_variables} == {"generator"}


def test_it_learns_moments():
    """A mixture of two points far apart: the samples' mean and spread come near those of the data, which no mean alone gives."""
    keras.utils.set_random_seed(0)
    x = np.where(RNG.random((256, 1)) < 0.25, 0.15, 0.85) + RNG.normal(0, 0.02, (256, 4))
    model = GMMN(data_shape=(4,), latent_dim=3, hidden_units=(32, 32), encoder_units=(), bandwidths=(0.1, 0.5, 2.0))
    model.compile(keras.optimizers.Adam(5e-3))
    losses = model.fit(x.astype("float32"), batch_size=256, epochs=250, verbose=0).history["loss"]
    drawn = model.sample(2000, seed=0)
    assert losses[-1] < 0.3 * losses[0]
    np.testing.assert_allclose(drawn.mean(0), x.mean(0), atol=0.08)
    np.testing.assert_allclose(drawn.std(0), x.std(0), atol=0.08)


# --- the auto-encoder ---


def test_stages_reconstruct_what_the_layers_below_give():
    model = small(encoder_dropout=(0.0, 0.0))
    model.encoder.trainable = model.decoder.trainable = True
    down, up = _steps(model.encoder), _steps(model.decoder)
    flat = X.reshape(len(X), -1)
    hidden = sigmoid(flat @ down[1].get_weights()[0])
    stages = (([], down[:2], up[1:], flat, hidden), (down[:2], down[2:], up[:1], hidden, None))
    for below, encoder, decoder, target, code in stages:
        stage = _Stage(below, encoder, decoder)
        code = sigmoid(target @ encoder[1].get_weights()[0]) if code is None else code
        p = sigmoid(code @ decoder[0].get_weights()[0])
        expected = -(target * np.log(p) + (1 - target) * np.log(1 - p)).sum(1).mean()
        assert float(stage.compute_loss(X, None, stage(X))) == pytest.approx(expected, rel=1e-4)
        assert len(stage.trainable_variables) == 4


def test_pretraining_goes_layer_by_layer(monkeypatch):
    stages = []
    fit = keras.Model.fit

    def spy(self, *args, **kwargs):
        if isinstance(self, _Stage):
            dense = [layer.name for part in (self.below, self.encoder, self.decoder) for layer in part if isinstance(layer, layers.Dense)]
            stages.append((dense, kwargs["epochs"]))
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", spy)
    model = small()
    before = model.generator.get_weights()
    history = model.pretrain(X, layerwise_epochs=2, epochs=3, batch_size=4, verbose=0)
    every = ["encoder_dense_0", "encoder_dense_1", "decoder_dense_0", "decoder_dense_1"]
    assert stages == [(["encoder_dense_0", "decoder_dense_1"], 2), (every[:3], 2), (every, 3)]
    assert len(history.history["loss"]) == 3
    for a, b in zip(before, model.generator.get_weights()):
        np.testing.assert_array_equal(a, b)
    stages.clear()
    model.fit(X, verbose=0)
    assert not stages, "an auto-encoder that has learned is left as it is"
    model.pretrain(X, layerwise_epochs=0, epochs=1, verbose=0)
    assert stages == [(every, 1)]
    stages.clear()
    small().fit(X, verbose=0)
    assert [epochs for _, epochs in stages] == [5, 5, 5]
    stages.clear()
    small(**KINDS["pixels"]).fit(X, verbose=0)
    assert not stages


def test_pretraining_is_remembered(tmp_path):
    model = small()
    model.pretrain(X, layerwise_epochs=0, epochs=1, verbose=0)
    model.save_pretrained(tmp_path / "preset")
    assert float(ops.convert_to_numpy(GMMN.from_pretrained(tmp_path / "preset").pretrained)) == 1


def test_pretraining_reconstructs():
    x = np.repeat(RNG.uniform(size=(3, 1)) > 0.5, 36, 1) * 0.9 + 0.05
    x = np.concatenate([x, np.eye(36)[:5]])[RNG.integers(0, 8, 400)].reshape(-1, 4, 3, 3).astype("float32")
    model = small(encoder_units=(20, 8), encoder_dropout=(0.0, 0.0))
    model.pretrain(x, layerwise_epochs=10, epochs=30, batch_size=20, verbose=0)
    error = np.square(model.reconstruct(x) - x).mean()
    assert error < 0.3 * x.var(0).mean()


# --- the paper's networks ---


def test_the_papers_networks():
    """10 uniform numbers, four ReLU layers, sigmoid; encoder and decoder of two sigmoid layers; dropout in the encoder alone."""
    model = GMMN()
    sizes = [10, 64, 256, 256, 1024]
    hidden = sum((i + 1) * o for i, o in zip(sizes, sizes[1:]))
    assert model.generator.count_params() == hidden + 1025 * 32
    assert GMMN(encoder_units=()).generator.count_params() == hidden + 1025 * 784
    assert model.encoder.count_params() == 785 * 1024 + 1025 * 32 and model.decoder.count_params() == 33 * 1024 + 1025 * 784
    activations = [layer.activation.__name__ for layer in _steps(model.generator)]
    assert activations == ["relu"] * 4 + ["sigmoid"]
    kinds = [type(layer).__name__ for layer in _steps(model.encoder)]
    assert kinds == ["Dropout", "Dense"] * 2 and [layer.rate for layer in _steps(model.encoder)[::2]] == [0.2, 0.5]
    assert [type(layer).__name__ for layer in _steps(model.decoder)] == ["Dense"] * 2
    coded = [layer for n in (model.encoder, model.decoder) for layer in _steps(n) if isinstance(layer, layers.Dense)]
    assert {layer.activation.__name__ for layer in coded} == {"sigmoid"}


def test_samples_begin_apart():
    """Under Glorot's weights the signal of `z` fades from layer to layer, and the discrepancy has little to pull at."""
    keras.utils.set_random_seed(0)
    generator = GMMN().generator
    for layer in _steps(generator)[:-1]:
        kernel = layer.get_weights()[0]
        assert kernel.std() == pytest.approx((2 / len(kernel)) ** 0.5, rel=0.1)
    z = RNG.uniform(-1, 1, (500, 10)).astype("float32")
    assert forward(generator, z).std(0).mean() > 0.05


def test_batches_of_1000_unless_told_otherwise():
    x = RNG.uniform(size=(1500, 2)).astype("float32")
    model = GMMN(data_shape=(2,), hidden_units=(3,), encoder_units=())
    for arguments, steps in (({}, 2), ({"batch_size": 500}, 3)):
        before = int(ops.convert_to_numpy(model.optimizer.iterations))
        model.fit(x, verbose=0, **arguments)
        assert int(ops.convert_to_numpy(model.optimizer.iterations)) - before == steps


# --- verbs ---


@pytest.mark.parametrize("kind", KINDS)
def test_verbs_against_numpy(kind):
    model = small(**KINDS[kind])
    z = model.latent(40, seed=3)
    assert z.shape == (40, 5) and z.min() >= -1 and z.max() <= 1 and z.std() == pytest.approx(3**-0.5, rel=0.15)
    drawn, flat = forward(model.generator, z), X.reshape(len(X), -1)
    if model.encoder:
        codes = forward(model.encoder, flat)
        np.testing.assert_allclose(model.encode(X), codes, rtol=1e-4)
        decoded = forward(model.decoder, drawn)
        np.testing.assert_allclose(model.decode(drawn), decoded.reshape(-1, 4, 3, 3), rtol=1e-4)
        np.testing.assert_allclose(model.reconstruct(X), forward(model.decoder, codes).reshape(X.shape), rtol=1e-4)
        drawn = decoded
    images = model.generate(z)
    np.testing.assert_allclose(images, drawn.reshape(-1, 4, 3, 3), rtol=1e-4)
    np.testing.assert_array_equal(model.sample(40, seed=3), images)
    assert np.abs(model.sample(2) - model.sample(2)).max() > 1e-6
    features = model.features(X)
    np.testing.assert_allclose(features, codes if kind == "codes" else flat, rtol=1e-4)
    np.testing.assert_allclose(model.predict(X, verbose=0), features, rtol=1e-4)
    path = model.interpolate(z[0], z[1], steps=5)
    expected = model.generate(np.float32([(1 - t) * z[0] + t * z[1] for t in (0, 0.25, 0.5, 0.75, 1)]))
    np.testing.assert_allclose(path, expected, rtol=1e-4, atol=1e-5)
    assert set(model.signatures()) == ({"serve", "encode", "decode"} if model.encoder else {"serve"})


def test_the_auto_encoder_learns_without_validation_images_however_they_are_asked_for(monkeypatch):
    seen = []
    monkeypatch.setattr(GMMN, "pretrain", lambda self, images, verbose: seen.append((len(images), verbose)))
    for call in ({"verbose": 0, "validation_split": 0.25}, {}):
        small().fit(X[:8], **call) if call else small().fit(X[:8], None, 4, 1, 0, None, 0.25)
    assert seen == [(6, 0), (6, 0)]
    with pytest.raises(ValueError, match="`image` must be an array. Received: None"):
        small().fit()


def test_refusals():
    for arguments, name in (
        ({"data_shape": ()}, "data_shape"),
        ({"data_shape": (4, 0)}, "data_shape"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"hidden_units": (3, 0)}, "hidden_units"),
        ({"encoder_units": (3, 0)}, "encoder_units"),
        ({"encoder_dropout": (0.1,)}, "encoder_dropout"),
        ({"encoder_dropout": (0.1, 1.0)}, "encoder_dropout"),
        ({"bandwidths": ()}, "bandwidths"),
        ({"bandwidths": (1.0, 0.0)}, "bandwidths"),
        ({"bandwidths": "mean"}, "bandwidths"),
        ({"bandwidths": (np.nan,)}, "bandwidths"),
        ({"bandwidths": 2.0}, "bandwidths"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            small(**arguments)
    model = small(**KINDS["pixels"])
    for verb, given in (("pretrain", X), ("encode", X), ("reconstruct", X), ("decode", np.full((2, 1), 0.5))):
        with pytest.raises(ValueError, match="`encoder_units`.*Received"):
            getattr(model, verb)(given)
    model = small()
    with pytest.raises(ValueError, match="`x`.*`pretrain`.*Received"):
        model.fit(((X, None) for _ in range(2)), verbose=0)
    z = model.latent(2)
    for bad in (z[0], z[:, :4], 1.5 + z, z[:0], np.full_like(z, np.nan)):
        with pytest.raises(ValueError, match="`z`.*Received"):
            model.generate(bad)
    with pytest.raises(ValueError, match="`steps`"):
        model.interpolate(*z, steps=1)
    with pytest.raises(ValueError, match="`z0`"):
        model.interpolate(z[0, :4], z[1, :4])
    with pytest.raises(ValueError, match="`image` must be at most 1"):
        model.fit(255 * X, verbose=0)
