"""Fusion of a translator and a language model: searches against the enumeration of all translations, what learns and what stays."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import FusionTranslator
from zoo.metrics import bleu

SOURCES, TARGETS = ["the cat sat on a mat", "a mat", "cat , unheard of"], ["the cat sat", "a mat", "the other cat"]


def small(**arguments):
    keras.utils.set_random_seed(0)
    words = {"target_vocabulary": ["a", "cat"], "target_length": 3} if arguments.pop("few_words", False) else {}
    model = FusionTranslator(**{**FusionTranslator.example_config(), **words, **arguments})
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "float" in weight.dtype and weight.shape:
            weight.assign(rng.normal(size=weight.shape).astype("float32") * 0.7)
    return model


def every_translation(model):
    """All texts of the words, the end behind them unless they are as long as may be."""
    for n in range(1, model.target_length + 1):
        for words in itertools.product(model.target_vocabulary, repeat=n):
            yield " ".join(words)


@pytest.fixture(scope="module")
def tiny():
    return small(few_words=True)


@pytest.mark.parametrize("fusion", ["none", "shallow", "deep"])
def test_a_wide_beam_finds_the_best_of_all_translations(tiny, fusion):
    tiny.shallow_weight.assign(0.6)
    texts = list(every_translation(tiny))
    for source in SOURCES[:2]:
        pairs = [source] * len(texts), texts
        scores = tiny.fused_log_likelihood(*pairs) if fusion == "deep" else tiny.log_likelihood(*pairs)
        if fusion == "shallow":
            # equation 5
            scores = scores + 0.6 * tiny.language_model_log_likelihood(texts)
        for power in (0.0, 1.0):
            lengths = np.array([len(text.split()) + 1 for text in texts])
            order = np.argsort(-scores / lengths**power)
            found = tiny.translate([source], 60, power, n_best=20, fusion=fusion)[0]
            # the empty translation, which is no text, may be among them
            found = [(text, score) for text, score in found if text][:5]
            assert [text for text, _ in found] == [texts[i] for i in order[:5]]
            np.testing.assert_allclose([score for _, score in found], scores[order[:5]], rtol=1e-4)


def test_deep_fusion_starts_as_the_translator():
    model = FusionTranslator(**FusionTranslator.example_config())
    before = model.log_likelihood(SOURCES, TARGETS)
    model.deep_output.start_from(model.decoder.dense, model.word_softmax)
    np.testing.assert_allclose(model.fused_log_likelihood(SOURCES, TARGETS), before, rtol=1e-4)
    np.testing.assert_allclose(model.deep_output.gate(np.zeros((1, 3), "float32")), 1 / (1 + np.e), rtol=1e-5)


def test_each_training_changes_its_own_part():
    model = small()

    def parts():
        names = {"language_model", "deep_output"}
        rest = [weight for layer in model.layers if layer.name not in names for weight in layer.weights]
        groups = {"rest": rest, **{name: getattr(model, name).weights for name in names}}
        return {name: [ops.convert_to_numpy(weight) for weight in weights] for name, weights in groups.items()}

    def changed(train):
        before = parts()
        train()
        return {name for name, values in parts().items() if any(np.any(a != b) for a, b in zip(values, before[name]))}

    pairs = model.encode(SOURCES, TARGETS)
    assert changed(lambda: model.fit_language_model(TARGETS, epochs=1, verbose=0)) == {"language_model"}
    assert changed(lambda: model.fit_fusion(SOURCES, TARGETS, epochs=1, verbose=0)) == {"deep_output"}
    assert changed(lambda: model.fit(pairs, verbose=0)) == {"rest"}
    # a second call goes on from where the first one ended
    last = ops.convert_to_numpy(model.deep_output.dense.kernel)
    model.fit_fusion(SOURCES, TARGETS, epochs=1, learning_rate=1e-9, verbose=0)
    np.testing.assert_allclose(model.deep_output.dense.kernel, last, atol=1e-6)


def test_the_language_model_is_the_chain_of_its_steps():
    model = small()
    state, before, total = model.language_model.writer.zero_state(1), model.end, 0.0
    for word in [*model.encode(SOURCES[:1], TARGETS[:1])["target"][0, :3], model.end]:
        logits, state = model.language_model.step(np.array([before], "int32"), state)
        total += float(ops.log_softmax(logits)[0, int(word)])
        before = int(word)
    assert model.language_model_log_likelihood(TARGETS[:1])[0] == pytest.approx(total, rel=1e-4)


def test_attention_and_gates_are_of_the_words():
    model = small()
    for weights, gates, source, target in zip(model.alignment(SOURCES, TARGETS), model.gates(SOURCES, TARGETS), SOURCES, TARGETS):
        assert weights.shape == (len(target.split()) + 1, len(source.split())) and gates.shape == weights.shape[:1]
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
        assert gates.min() >= 0 and gates.max() <= 1


def test_tuning_keeps_the_best_weight():
    model = small()
    scores = model.tune(SOURCES, TARGETS, [0.0, 0.5, 2.0], beams=2)
    assert float(model.shallow_weight) == pytest.approx(max(scores, key=scores.get))
    plain = model.translate(SOURCES, 2, fusion="none")
    assert set(scores) == {0.0, 0.5, 2.0} and scores[0.0] == pytest.approx(bleu(plain, TARGETS, tokenize="none"))


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda m: m.translate(SOURCES, fusion="cold"), "fusion"),
        (lambda m: m.tune(SOURCES, TARGETS, [-1.0]), "weights"),
        (lambda m: m.fit_fusion(SOURCES, TARGETS[:1], verbose=0), "targets"),
        (lambda m: m.fit_language_model([""], verbose=0), "texts"),
    ],
)
def test_wrong_input_is_refused_by_name(tiny, call, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        call(tiny)
