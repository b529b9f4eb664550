"""Sentence VAE: the bound, annealing, blind decoders, what imputation keeps, both directions, and the language model without code."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from zoo.applications import SentenceVAE
from zoo.layers import Highway
from zoo.metrics import adversarial_error

WORDS = ["the", "cat", "sat", "on", "a", "mat", "."]
TEXTS = ["the cat sat on the mat .", "a cat", "The dog sat.", "on"]
SIZES = {"vocabulary": WORDS, "length": 7, "embedding_size": 6, "units": 5}


def made(**kwargs):
    """A model whose weights are large enough to tell inputs and codes apart."""
    keras.utils.set_random_seed(0)
    model = SentenceVAE(**{**SIZES, "latent_dim": 3, **kwargs})
    for variable in model.trainable_variables:
        if len(variable.shape) == 2:
            variable.assign(3 * ops.convert_to_numpy(variable))
    return model


@pytest.fixture(scope="module")
def model():
    return made()


def softmax_nats(logits, ids):
    logits = logits.astype("float64")
    return -sum(row[i] - np.log(np.exp(row).sum()) for row, i in zip(logits, ids))


def logits_of(model, ids, codes):
    """Step by step, as text is written, with the unknown word allowed."""
    state = model._state(ops.convert_to_tensor(codes))
    symbol, rows = model._starts(codes), []
    for t in range(ids.shape[1]):
        inputs = model._inputs(ops.convert_to_tensor(symbol)[:, None], state[2] if len(state) == 3 else None)[:, 0]
        h, (_, c) = model.writer.cell(inputs, state[:2])
        rows.append(ops.convert_to_numpy(model.logits(h)))
        state, symbol = [h, c, *state[2:]], ids[:, t]
    return np.stack(rows, 1)


@pytest.mark.parametrize("options", [{}, {"condition": "state_and_inputs", "code_layers": 2}, {"latent_dim": 0}, {"word_keep_rate": 0.0}])
@pytest.mark.parametrize("right_to_left", [False, True])
def test_reconstruction_is_the_cross_entropy_of_words_and_end(options, right_to_left):
    model = made(right_to_left=right_to_left, **options)
    ids = model.encode(TEXTS)
    assert ids[2].tolist() == [2, 1, 4, 8, 0, 0, 0]
    found = {key: ops.convert_to_numpy(value) for key, value in model(ids).items()}
    lines = [[i for i in row if i] for row in ids]
    targets = [line[:: -1 if right_to_left else 1] + [model.end] for line in lines]
    wide = np.array([line + [0] * (8 - len(line)) for line in targets], "int32")
    logits = logits_of(model, wide, found.get("mean", np.zeros((4, 0), "float32")))
    np.testing.assert_allclose(found["reconstruction"], [softmax_nats(*row) for row in zip(logits, targets)], rtol=1e-4)


@pytest.mark.parametrize("scale", ["exp", "softplus"])
def test_divergence_is_that_of_drawn_codes(scale):
    model = made(scale=scale)
    for name in ("mean", "spread"):
        part = model.encoder.get_layer(name)
        part.set_weights([10 * w for w in part.get_weights()])
    found = {key: ops.convert_to_numpy(value).astype("float64") for key, value in model(model.encode(TEXTS)).items()}
    noise = np.random.default_rng(0).normal(size=(200_000, 1, 3))
    codes = found["mean"] + found["scale"] * noise
    ratio = stats.norm.logpdf(codes, found["mean"], found["scale"]) - stats.norm.logpdf(codes)
    np.testing.assert_allclose(found["kl"], ratio.sum(2).mean(0), rtol=0.02)
    assert found["kl"].max() > 0.5


def test_bounds_come_from_the_same_draws_and_the_second_is_tighter(model):
    ids, noise = model.encode(TEXTS), np.random.default_rng(5).normal(size=(4, 50, 3)).astype("float32")
    mean, scale = (part.astype("float64") for part in model.codes(TEXTS))
    expected, tight = [], []
    for i in range(4):
        codes = mean[i] + scale[i] * noise[i]
        nats = ops.convert_to_numpy(model._nats(np.repeat(ids[i : i + 1], 50, 0), codes.astype("float32")))
        weights = -nats + (stats.norm.logpdf(codes) - stats.norm.logpdf(codes, mean[i], scale[i])).sum(1)
        kl = 0.5 * (mean[i] ** 2 + scale[i] ** 2 - 1 - 2 * np.log(scale[i])).sum()
        expected.append(-nats.mean() - kl)
        tight.append(np.log(np.exp(weights).mean()))
    np.testing.assert_allclose(model.log_likelihood(TEXTS, samples=50, seed=5), expected, rtol=1e-4)
    np.testing.assert_allclose(model.log_likelihood(TEXTS, samples=50, seed=5, importance_weighted=True), tight, rtol=1e-4)
    assert all(np.array(tight) > np.array(expected))


def test_evaluation_is_the_bound_and_its_perplexity(model):
    found = model.evaluate(model.encode(TEXTS * 400), batch_size=400, verbose=0, return_dict=True)
    kl, loss, perplexity, reconstruction = (found[key] for key in ("kl", "loss", "perplexity", "reconstruction"))
    assert loss == pytest.approx(kl + reconstruction, rel=1e-5)
    bound = -model.log_likelihood(TEXTS, samples=2000)
    assert loss == pytest.approx(bound.mean(), rel=0.02)
    # seven, two, four and one words, and an end for each
    assert perplexity == pytest.approx(np.exp(bound.sum() / 18), rel=0.1)


def test_a_code_that_says_nothing_is_the_language_model():
    vae, rnnlm = made(), made(latent_dim=0)
    for part in (vae.encoder.get_layer("mean"), vae.encoder.get_layer("spread"), vae.start.get_layer("h"), vae.start.get_layer("c")):
        part.set_weights([np.zeros_like(w) for w in part.get_weights()])
    for name in ("embedding", "writer", "logits"):
        getattr(rnnlm, name).set_weights(getattr(vae, name).get_weights())
    found, expected = vae(vae.encode(TEXTS)), rnnlm(rnnlm.encode(TEXTS))
    np.testing.assert_allclose(ops.convert_to_numpy(found["kl"]), 0.0, atol=1e-6)
    np.testing.assert_allclose(*(ops.convert_to_numpy(x["reconstruction"]) for x in (found, expected)), rtol=1e-6)
    np.testing.assert_allclose(vae.log_likelihood(TEXTS, samples=3), rnnlm.log_likelihood(TEXTS), rtol=1e-5)


def test_annealing(tmp_path):
    steps = np.array([0.0, 80.0, 100.0, 120.0, 300.0], "float32")

    def weights(**kwargs):
        return ops.convert_to_numpy(made(kl_midpoint=100, kl_width=20, **kwargs).kl_weight(steps))

    np.testing.assert_allclose(weights(), 1 / (1 + np.exp(-(steps - 100) / 20)), rtol=1e-5)
    np.testing.assert_allclose(weights(kl_schedule="linear"), [0, 0, 0.5, 1, 1], atol=1e-6)
    np.testing.assert_allclose(weights(kl_schedule="constant"), 1.0)
    # three steps of training, kept by files, and counted on
    model = made(kl_midpoint=3, kl_width=2, kl_schedule="linear")
    ids = model.encode(TEXTS * 3)
    model.fit(ids, batch_size=4, verbose=0)
    assert float(model.kl_weight()) == pytest.approx(0.5)
    model.evaluate(ids, verbose=0)
    model.save(tmp_path / "model.keras")
    model.save_pretrained(tmp_path / "preset", half_precision=True)
    for loaded in (keras.saving.load_model(tmp_path / "model.keras"), SentenceVAE.from_pretrained(tmp_path / "preset")):
        assert float(loaded.steps) == 3
    loaded.fit(ids, batch_size=6, verbose=0)
    assert float(loaded.kl_weight()) == pytest.approx(1.0)


def test_words_are_dropped_in_training_alone():
    codes = np.zeros((1, 3), "float32")
    some, others = np.array([[2, 3, 4, 5, 6, 7, 8, 9]], "int32"), np.array([[8, 7, 6, 5, 4, 3, 2, 9]], "int32")
    blind, seeing = made(word_keep_rate=0.0), made(word_keep_rate=0.5)

    def logits(model, ids, training=False):
        return ops.convert_to_numpy(model._predict_next(ops.convert_to_tensor(ids), ops.convert_to_tensor(codes), training))

    np.testing.assert_array_equal(logits(blind, some, True), logits(blind, others))
    assert np.abs(logits(seeing, some) - logits(seeing, others)).max() > 0.1
    np.testing.assert_array_equal(logits(seeing, some), logits(seeing, some))
    assert np.abs(logits(seeing, some) - logits(seeing, some, True)).max() > 0.1
    # the symbol itself, and what comes behind it, never matter
    changed = np.where(np.arange(8) < 4, some, 2)
    np.testing.assert_array_equal(logits(seeing, some)[:, :5], logits(seeing, changed)[:, :5])


@pytest.mark.parametrize("options", [{}, {"right_to_left": True}, {"latent_dim": 0}, {"latent_dim": 0, "right_to_left": True}])
def test_imputation_fills_blanks_alone_and_finds_the_best_words(options):
    model = made(**options)
    texts = ["the cat _ _ the mat .", "_ CAT", "zebras sat _", "a mat"]
    found = model.impute(texts, beams=81)
    for text, line in zip(texts, found):
        given, words = text.lower().split(), line.split()
        assert len(given) == len(words)
        assert all(word in WORDS if gap == "_" else word == gap for gap, word in zip(given, words))
    # with one search, the answer is the best of all for the code of the sentence with unknown words
    (once,) = model.impute(texts[:1], beams=81, iterations=1)
    every = [f"the cat {a} {b} the mat ." for a, b in itertools.product(WORDS, repeat=2)]
    gaps = model.encode(["the cat unseen unseen the mat ."])
    codes = ops.convert_to_numpy(model.encoder(gaps)[0]) if model.latent_dim else np.zeros((1, 0), "float32")
    nats = ops.convert_to_numpy(model._nats(ops.convert_to_tensor(model.encode(every)), ops.convert_to_tensor(np.repeat(codes, 49, 0))))
    assert once == every[nats.argmin()]


def test_iterations_go_on_from_the_filled_sentence(model):
    text = ["the _ sat _ a mat"]
    once = model.impute(text, iterations=1)
    codes = model.codes(once)[0]
    every = [f"the {a} sat {b} a mat" for a, b in itertools.product(WORDS, repeat=2)]
    nats = ops.convert_to_numpy(model._nats(ops.convert_to_tensor(model.encode(every)), ops.convert_to_tensor(np.repeat(codes, 49, 0))))
    assert model.impute(text, beams=81, iterations=2) in ([every[nats.argmin()]], once)


@pytest.mark.parametrize("right_to_left", [False, True])
def test_text_comes_back_in_reading_order(right_to_left):
    keras.utils.set_random_seed(1)
    sizes = {**SIZES, "units": 16, "latent_dim": 4}
    model = SentenceVAE(**sizes, word_keep_rate=1.0, kl_midpoint=1000, kl_width=1.0, right_to_left=right_to_left)
    model.compile(keras.optimizers.Adam(0.03))
    texts = ["the cat sat on a mat .", "a mat on the cat .", "cat mat"]
    model.fit(model.encode(texts * 20), batch_size=30, epochs=60, verbose=0)
    assert model.reconstruct(texts) == texts
    assert model.reconstruct(texts, beams=3) == texts
    path = model.interpolate(texts[0], texts[1], steps=4)
    assert len(path) == 4 and [path[0], path[-1]] == texts[:2]
    served = model.signatures()["decode"][0]
    if keras.backend.backend() == "tensorflow":
        found = served(ops.convert_to_tensor(model.codes(texts)[0]))
        assert [line.decode() for line in found["text"].numpy()] == texts


def test_samples_follow_seeds(model):
    assert model.sample(20, temperature=1.0, seed=3) == model.sample(20, temperature=1.0, seed=3)
    assert model.sample(20, temperature=1.0, seed=3) != model.sample(20, temperature=1.0, seed=4)
    assert len(set(made(latent_dim=0).sample(20, temperature=1.0))) > 5
    # draws have the model's probabilities: the first word of the language model
    rnnlm = made(latent_dim=0)
    first = [line.split()[0] if line else "" for line in rnnlm.sample(3000, temperature=2.0, seed=0)]
    logits = ops.convert_to_numpy(rnnlm._step(rnnlm._starts(np.zeros((1, 0))), rnnlm._state(ops.zeros((1, 0))))[0])[0, 2:] / 2.0
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    np.testing.assert_allclose([np.mean([w == word for w in first]) for word in [*WORDS, ""]], shares, atol=0.03)


def test_the_language_model_learns_and_has_no_codes_to_serve():
    rnnlm = made(latent_dim=0)
    rnnlm.compile(keras.optimizers.Adam(0.03))
    ids = rnnlm.encode(TEXTS)
    # without dropped words, whose noise hides what a few steps bring
    before = rnnlm.evaluate(ids, verbose=0, return_dict=True)["loss"]
    rnnlm.fit(ids, epochs=5, verbose=0)
    after = rnnlm.evaluate(ids, verbose=0, return_dict=True)
    assert after["loss"] < before and after["kl"] == 0
    assert set(rnnlm.signatures()) == {"serve", "serve_ids"} and not any("reader" in v.path for v in rnnlm.variables)


def test_text_is_written_in_half_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = made(condition="state_and_inputs", code_layers=1)
    finally:
        keras.config.set_dtype_policy(policy)
    assert len(model.sample(3, beams=2, seed=0)) == len(model.sample(3, temperature=1.0, seed=0)) == 3
    assert model.impute(["the _ sat"])[0].split()[::2] == ["the", "sat"]


def test_highway_carries_its_input_through():
    layer, x = Highway(gate_bias=-30.0), np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), x, atol=1e-5)
    layer = Highway("tanh", gate_bias=0.5)
    layer(x)
    (w, b), (v, c) = layer.transform.get_weights(), layer.gate.get_weights()
    gate = 1 / (1 + np.exp(-(x @ v + c)))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), gate * np.tanh(x @ w + b) + (1 - gate) * x, rtol=1e-5, atol=1e-6)
    assert Highway.from_config(layer.get_config()).gate_bias == 0.5


@pytest.mark.parametrize("classifier", ["unigram", "lstm"])
def test_adversarial_error(classifier):
    rng = np.random.default_rng(0)
    real = rng.integers(2, 20, (300, 6))
    # the same words in another order are told apart by no bag of words, other words by any classifier
    assert adversarial_error(real, np.where(real == 5, 40, real + 20), classifier) > 0.4
    assert abs(adversarial_error(real, real, classifier)) < 1e-9
    if classifier == "unigram":
        assert abs(adversarial_error(real, real[:, ::-1], classifier)) < 1e-9
    with pytest.raises(ValueError, match="real"):
        adversarial_error(real, real[:5])
    with pytest.raises(ValueError, match="classifier"):
        adversarial_error(real, real, "cnn")


def test_bad_input_is_refused(model):
    for name, value in {
        "condition": "x",
        "scale": "x",
        "kl_schedule": "x",
        "code_layer": "x",
        "word_keep_rate": 1.5,
        "latent_dim": -1,
    }.items():
        with pytest.raises(ValueError, match=name):
            SentenceVAE(**{**SIZES, name: value})
    for bad in ([[0, 2, 2, 0, 0, 0, 0]], [[2, 0, 2, 0, 0, 0, 0]], [[0] * 7]):
        with pytest.raises(ValueError, match="words"):
            model.fit(np.array(bad, "int32"), verbose=0)
    with pytest.raises(ValueError, match="texts"):
        model.codes(["the", ""])
    with pytest.raises(ValueError, match="texts"):
        model.impute(["the cat sat on the mat . _"])
    with pytest.raises(ValueError, match="codes"):
        model.decode(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="steps"):
        model.interpolate("a", "the", steps=1)
    with pytest.raises(ValueError, match="latent_dim"):
        made(latent_dim=0).codes(["the"])
