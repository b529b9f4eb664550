"""ABS and ABS+: encoders against the paper's equations in loops, searches against enumeration, features by hand, planted weights."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import ABS
from zoo.applications.abs import ENCODERS, FEATURES, _best_weights
from zoo.metrics import rouge

SOURCES, TARGETS = ["the cat sat on a mat", "a mat", "cat , unheard of"], ["the cat sat", "a mat", "the other cat"]
WEIGHTS = np.array([0.7, 0.4, 0.9, 1.3, -0.6], "float32")


def small(encoder="attention", **arguments):
    keras.utils.set_random_seed(0)
    model, rng = ABS(**{**ABS.example_config(), "encoder": encoder, **arguments}), np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32") * 0.7)
    return model


def few_words(encoder="attention", **arguments):
    return small(encoder, target_vocabulary=["a", "cat"], target_length=3, **arguments)


def every_summary(model, lengths=(1, 2, 3)):
    return [" ".join(words) for n in lengths for words in itertools.product(model.target_vocabulary, repeat=n)]


def softmax(scores):
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


# --- the paper's equations, one word after the other ---


def arrays(layer):
    return [ops.convert_to_numpy(weight).astype("float64") for weight in layer.weights]


def bag_of_words(model, words, last):
    (table,) = arrays(model.reader)
    return np.mean([table[word] for word in words], axis=0)


def convolution(model, words, last):
    tables, window = arrays(model.reader), model.window
    places = [tables[0][word] for word in words]
    for kernel, bias in zip(tables[1::2], tables[2::2]):
        convolved = []
        for i in range(len(places)):
            total = bias.copy()
            for q in range(-window, window + 1):
                if 0 <= i + q < len(places):
                    total += places[i + q] @ kernel[q + window]
            convolved.append(total)
        places = [np.tanh(np.max(convolved[i : i + 2], axis=0)) for i in range(0, len(convolved), 2)]
    return np.max(places, axis=0)


def attention(model, words, last):
    source, context, kernel = arrays(model.reader)
    places, query = [source[word] for word in words], np.concatenate([context[word] for word in last])
    weights = softmax(np.array([place @ kernel @ query for place in places]))
    total = np.zeros(model.units)
    for i, weight in enumerate(weights):
        near = [places[j] for j in range(i - model.window, i + model.window + 1) if 0 <= j < len(places)]
        total += weight * np.sum(near, axis=0) / max(model.window, 1)
    return total


def log_probability(model, source, target):
    encode = {"bag_of_words": bag_of_words, "convolution": convolution, "attention": attention}.get(model.encoder)
    table, kernel, bias = arrays(model.language_model)
    rows, offsets = arrays(model.word_softmax)
    last, total = [model.end] * model.context, 0.0
    for word in [*target, model.end]:
        features = np.tanh(np.concatenate([table[i] for i in last]) @ kernel + bias)
        if encode:
            features = np.concatenate([features, encode(model, source, last)])
        total += np.log(softmax(rows @ features + offsets[:, 0])[word])
        last = [*last[1:], word]
    return total


@pytest.mark.parametrize("window", [0, 1, 2])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_each_encoder_is_the_papers_equation(encoder, window):
    model = small(encoder, window=window, context=4)
    x = model.encode(SOURCES, TARGETS)
    expected = [log_probability(model, s[s > 0], t[t > 0]) for s, t in zip(x["source"], x["target"])]
    np.testing.assert_allclose(model.log_likelihood(SOURCES, TARGETS), expected, rtol=1e-4)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_training_and_search_are_one_function(encoder):
    model = small(encoder)
    x = model.encode(SOURCES, TARGETS)
    step, state = model._stepper(x["source"])
    ids, total = np.full(3, model.end, "int32"), np.zeros(3)
    over = np.zeros(3, bool)
    for place in range(6):
        logits, state = step(ops.convert_to_tensor(ids), state)
        words = x["target"][:, place] if place < 5 else np.zeros(3, "int32")
        ids = np.where(words > 0, words, model.end).astype("int32")
        total += np.where(over, 0.0, ops.convert_to_numpy(ops.log_softmax(logits))[np.arange(3), ids])
        over |= ids == model.end
    np.testing.assert_allclose(model.log_likelihood(SOURCES, TARGETS), total, rtol=1e-4)


def test_padding_changes_nothing():
    for encoder in ENCODERS:
        model = small(encoder)
        cut = {key: ids[1:2, :3] for key, ids in model.encode(SOURCES, TARGETS).items()}
        np.testing.assert_allclose(model.predict(cut, verbose=0), model.log_likelihood(SOURCES, TARGETS)[1:2], rtol=1e-4)


def test_attention_is_of_the_words_and_only_of_attention():
    for weights, source, target in zip(small().alignment(SOURCES, TARGETS), SOURCES, TARGETS):
        assert weights.shape == (len(target.split()) + 1, len(source.split()))
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="`encoder`"):
        small("convolution").alignment(SOURCES, TARGETS)


# --- features ---


def features_by_hand(source, target):
    """Equation 10 word by word; None is what both texts begin with, <other> a word that cannot be written."""
    source, target, found = [None, None, *source.split()], [None, None, *target.split()], np.zeros(4)
    for i in range(2, len(target)):
        places = range(2, len(source))
        found += [
            any(source[j] == target[i] for j in places),
            any(all(source[j - k] == target[i - k] for k in (0, 1)) for j in places),
            any(all(source[j - k] == target[i - k] for k in (0, 1, 2)) for j in places),
            any(source[k] == target[i - 1] and source[j] == target[i] for j in places for k in range(j + 1, len(source))),
        ]
    return found


def test_features_are_those_of_equation_10():
    model = small(target_length=5)
    assert features_by_hand("the cat sat on a mat", "the cat mat a cat").tolist() == [5, 2, 2, 2]
    sources = ["the cat sat on a mat", "a mat a cat a mat", "cat cat the", ", on on", "mat a the cat"]
    pairs = [(source, target) for source in sources for target in every_summary(model, (1, 2, 3))[::7] + ["cat cat cat the a"]]
    found = model.features(*zip(*pairs))
    np.testing.assert_allclose(found[:, 0], model.log_likelihood(*zip(*pairs)), rtol=1e-5)
    np.testing.assert_array_equal(found[:, 1:], [features_by_hand(*pair) for pair in pairs])


@pytest.mark.parametrize("encoder", ["attention", "none"])
@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_of_all_summaries(encoder, power):
    model = few_words(encoder)
    texts = every_summary(model)
    lengths = np.array([len(text.split()) + 1 for text in texts])
    for weights in (np.eye(5)[0], WEIGHTS):
        model.feature_weights.assign(weights)
        for source in (*SOURCES, "a cat a cat"):
            sums = np.stack([model.features([source], [text])[0] for text in texts]) @ weights
            order = np.argsort(-sums / lengths**power, kind="stable")[:4]
            found = [pair for pair in model.summarize([source], 40, None, power, n_best=20)[0] if pair[0]][:4]
            assert [text for text, _ in found] == [texts[i] for i in order]
            np.testing.assert_allclose([score for _, score in found], sums[order], rtol=1e-4, atol=1e-5)


def test_a_length_is_kept_and_the_best_of_it_is_found():
    model = few_words()
    model.feature_weights.assign(WEIGHTS)
    for length in (1, 2, 3):
        texts = every_summary(model, (length,))
        sums = np.stack([model.features([SOURCES[0]], [text])[0] for text in texts]) @ WEIGHTS
        (found,) = model.summarize(SOURCES[:1], 20, length, n_best=2 if length > 1 else 1)
        assert [text for text, _ in found] == [texts[i] for i in np.argsort(-sums)[: len(found)]]


def test_only_words_of_the_source_are_written_if_so_wished():
    model = small()
    for extractive in (True, False):
        for source, found in zip(SOURCES, model.summarize(SOURCES, 3, 4, extractive=extractive, from_source=True)):
            assert set(found.split()) <= set(source.split()) and len(found.split()) == 4
    # without the restriction other words come as well
    assert "cat" in " ".join(summary for summary, _ in model.summarize(SOURCES[1:2], 3, 4, n_best=3)[0])


def test_without_features_the_search_is_that_of_the_network():
    model = small()
    model.feature_weights.assign(WEIGHTS)
    for summary, score in model.summarize(SOURCES[:1], 4, extractive=False, n_best=4)[0]:
        if summary:
            assert score == pytest.approx(model.log_likelihood(SOURCES[:1], [summary])[0], rel=1e-4)
    assert "<unknown>" not in " ".join(model.summarize(SOURCES, 3))
    model.word_softmax.bias.assign(np.eye(model.end + 1)[:, 1:2] * 50.0)
    assert "<unknown>" in model.summarize(SOURCES, unknown=True)[0] and "<unknown>" not in model.summarize(SOURCES)[0]


# --- learning ---


def test_the_search_for_weights_finds_planted_ones():
    rng = np.random.default_rng(0)
    planted, lists = np.array([1.0, 2.0, -1.5, 0.5, 3.0]), []
    for _ in range(60):
        rows = rng.normal(size=(8, 5))
        best = np.argmax(rows @ planted)
        lists.append({str(j): (row, float(j == best), 1) for j, row in enumerate(rows)})
    found = _best_weights(lists, np.eye(5)[0], 1.0, 10.0, 0)
    chosen = [row[str(np.argmax([one[0] @ found for one in row.values()]))][1] for row in lists]
    assert np.mean(chosen) > 0.9 and found @ planted / np.linalg.norm(found) / np.linalg.norm(planted) > 0.95


def test_tuning_learns_to_copy_and_is_kept():
    model = small()
    words = [*model.source_vocabulary[:2], "sat", "a", "mat"]
    rng = np.random.default_rng(0)
    # summaries that are the first three words
    sources = [" ".join(rng.permutation(words)) for _ in range(12)]
    wanted = [" ".join(source.split()[:3]) for source in sources]
    before = rouge(model.summarize(sources, 5, 3), wanted)["rouge2"]["f1"]
    found = model.tune(sources, wanted, rounds=3, beams=20, length=3, metric="rouge2")
    after = rouge(model.summarize(sources, 20, 3), wanted)["rouge2"]["f1"]
    assert after == pytest.approx(found["rouge2"], abs=1e-6) and after > before + 0.3
    assert [found[name] for name in FEATURES] == pytest.approx(ops.convert_to_numpy(model.feature_weights).tolist())
    again = ABS.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert again.summarize(sources, 20, 3) == model.summarize(sources, 20, 3)


def test_tuning_without_the_network_leaves_it_out():
    model = small()
    found = model.tune(SOURCES, TARGETS, rounds=1, beams=3, neural=0.0)
    assert found["log_probability"] == 0.0


def test_it_learns_pairs_by_heart_and_keeps_vectors_short():
    model = small(encoder="attention", dropout=0.0, window=0)
    model.compile(keras.optimizers.Adam(0.03))
    targets = ["the cat sat", "a mat", "cat a"]
    model.fit(model.encode(SOURCES, targets), epochs=80, verbose=0)
    assert model.summarize(SOURCES, extractive=False) == targets
    for table in (model.language_model.embedding, model.reader.embedding, model.reader.context_embedding):
        assert np.linalg.norm(ops.convert_to_numpy(table.embeddings), axis=1).max() < 1.0001


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda m: m.summarize(SOURCES, length=6), "length"),
        (lambda m: m.summarize([" "]), "texts|sources"),
        (lambda m: m.tune(SOURCES, TARGETS[:1]), "summaries"),
        (lambda m: m.features(SOURCES, ["", "a", "a"]), "summaries"),
        (lambda m: m.tune(SOURCES, TARGETS, metric="bleu"), "metric"),
        (lambda m: small("transformer"), "encoder"),
        (lambda m: small(window=-1), "window"),
        (lambda m: small(dropout=1.0), "dropout"),
    ],
)
def test_wrong_input_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"`({name})`"):
        call(small())
