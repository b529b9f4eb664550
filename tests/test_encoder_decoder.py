"""The family of encoder-decoders, by a plain translator: searches against the enumeration of all translations, training, export."""

import itertools

import keras
import numpy as np
import pytest

from zoo.families.encoder_decoder import Translator
from zoo.text import LengthBuckets

SOURCES, TARGETS = ["the cat sat on a mat", "a mat", "cat , unheard of"], ["a cat a", "cat", "cat a"]
CONFIGS = {
    "no attention": {"memory": False, "num_layers": 2},
    "attention behind": {"encoder": {"bidirectional": True}, "decoder": {"attention": "general"}},
    "attention before": {"encoder": {"units": 6, "cell": "gru"}, "decoder": {"feed_context": True, "readout": "maxout"}},
}


class Plain(Translator):
    """A translator of few words."""

    def __init__(self, memory=True, num_layers=1, samples=None, encoder=None, decoder=None, **kwargs):
        super().__init__(**kwargs)
        self.memory, self.num_layers, self.samples = memory, num_layers, samples
        self.source_vocabulary, self.target_vocabulary = ["the", "cat", "sat", "on", "a", "mat", ","], ["a", "cat"]
        self.source_length, self.target_length = 6, 3
        self._build(5, 4, num_layers, memory, samples, encoder, decoder)
        self.compile()


def plain(name="attention before", **options):
    keras.utils.set_random_seed(0)
    model, rng = Plain(**CONFIGS[name], **options), np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32") * 0.7)
    return model


@pytest.mark.parametrize("name", CONFIGS)
def test_a_wide_beam_finds_the_best_of_all_translations(name):
    model = plain(name)
    texts = [" ".join(words) for n in range(1, 4) for words in itertools.product(model.target_vocabulary, repeat=n)]
    scores, lengths = model.log_likelihood(SOURCES[:1] * len(texts), texts), np.array([len(text.split()) + 1 for text in texts])
    for power in (0.0, 1.0):
        order = np.argsort(-scores / lengths**power)
        # the empty translation, which is no text, may be among them
        found = [(text, score) for text, score in model.translate(SOURCES[:2], 30, power, n_best=15)[0] if text][:5]
        assert [text for text, _ in found] == [texts[i] for i in order[:5]]
        np.testing.assert_allclose([score for _, score in found], scores[order[:5]], rtol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_padding_and_other_texts_of_the_batch_change_nothing(name):
    model = plain(name)
    whole = model.log_likelihood(SOURCES, TARGETS)
    np.testing.assert_allclose([model.log_likelihood([s], [t])[0] for s, t in zip(SOURCES, TARGETS)], whole, rtol=1e-4)
    shorter = {key: ids[1:2, :3] for key, ids in model.encode(SOURCES, TARGETS).items()}
    np.testing.assert_allclose(model.predict(shorter, verbose=0), whole[1:2], rtol=1e-4)


def test_the_loss_is_that_of_a_word():
    model = plain()
    words = sum(len(text.split()) + 1 for text in TARGETS)
    expected = -model.log_likelihood(SOURCES, TARGETS).sum() / words
    found = model.evaluate(model.encode(SOURCES, TARGETS), verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(expected, rel=1e-4) and found["perplexity"] == pytest.approx(np.exp(expected), rel=1e-4)
    weights = np.array([0.0, 2.0, 0.0])
    found = model.evaluate(model.encode(SOURCES, TARGETS), sample_weight=weights, verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(-model.log_likelihood(SOURCES[1:2], TARGETS[1:2])[0] / 2, rel=1e-4)


def test_attention_is_of_the_words():
    for weights, source, target in zip(plain("attention behind").alignment(SOURCES, TARGETS), SOURCES, TARGETS):
        assert weights.shape == (len(target.split()) + 1, len(source.split()))
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="memory"):
        plain("no attention").alignment(SOURCES, TARGETS)


def test_it_learns_pairs_by_heart_in_buckets():
    model = plain("attention behind")
    model.compile(keras.optimizers.Adam(0.03))
    buckets = LengthBuckets(model.encode(SOURCES, TARGETS), batch_size=1, step=3)
    model.fit(buckets, epochs=100, verbose=0)
    assert model.translate(SOURCES) == TARGETS
    assert model.sample(SOURCES, temperature=0.01, seed=1) == TARGETS


def test_unknown_words_are_written_only_if_they_may():
    model = plain()
    model.word_softmax.bias.assign(np.eye(model.end + 1)[:, 1:2] * 50.0)
    assert "<unknown>" not in " ".join(model.translate(SOURCES) + model.sample(SOURCES, seed=0))
    assert "<unknown>" in model.translate(SOURCES, unknown=True)[0]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports are made on TensorFlow")
def test_an_export_takes_strings_and_gives_strings(tmp_path):
    import tensorflow as tf

    model = plain()
    model.export(tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model" / "1"))
    found = loaded.signatures["serve"](source=tf.constant(SOURCES))
    assert [text.decode() for text in found["text"].numpy()] == model.translate(SOURCES, beams=5, length_power=0.0)


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda m: m.encode(SOURCES, TARGETS[:1]), "targets"),
        (lambda m: m.encode(["", "cat"]), "sources"),
        (lambda m: m.translate(["  "]), "sources"),
        (lambda m: m.translate(SOURCES, n_best=0), "n_best"),
        (lambda m: m.sample(SOURCES, temperature=0), "temperature"),
        (lambda m: m.fit({"source": np.zeros((1, 6), "int32"), "target": np.ones((1, 3), "int32")}, verbose=0), "source"),
    ],
)
def test_wrong_input_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        call(plain())


def test_buckets_hold_every_text_once_and_little_padding():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 30, 100)
    ids = np.where(np.arange(30) < sizes[:, None], 7, 0)
    whole = rng.integers(0, 9, (100, 2, 30))
    buckets = LengthBuckets({"source": ids, "row": np.arange(1, 101)[:, None], "whole": whole}, np.arange(100), batch_size=16, step=5)
    seen = []
    for i in range(len(buckets)):
        x, y = buckets[i]
        length = x["source"].shape[1]
        assert length % 5 == 0 and (sizes[y] > length - 5).any() and (sizes[y] <= length).all()
        np.testing.assert_array_equal(x["source"], ids[y, :length])
        np.testing.assert_array_equal(x["whole"], whole[y])
        seen += list(y)
    assert sorted(seen) == list(range(100)) and len({buckets[i][0]["source"].shape[1] for i in range(len(buckets))}) <= 6
    # the first two show Keras which axes vary
    lengths = [buckets[i][0]["source"].shape[1] for i in range(len(buckets))]
    assert lengths[:2] == [max(lengths), min(lengths)]
    before = [list(buckets[i][1]) for i in range(len(buckets))]
    buckets.on_epoch_end()
    assert before != [list(buckets[i][1]) for i in range(len(buckets))]
    with pytest.raises(ValueError, match="x"):
        LengthBuckets(ids, np.arange(99))
