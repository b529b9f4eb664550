"""SA-LSTM: the LSTM against NumPy and Keras, what is predicted, gain, truncation, sampled softmax, pre-training, joint training, verbs."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff
from zoo.applications import SALSTM
from zoo.applications.sa_lstm import (
    ClippedLSTMCell,
    autoencoder_sequences,
    language_model_sequences,
    linear_gain,
)

WORDS = ["the", "cat", "sat", "on", "a", "mat", ","]
TEXTS = ["The cat sat on a mat", "a cat, unheard of", "mat", ""]
PLAIN = {
    "dropout": 0.0,
    "word_dropout": 0.0,
    "embedding_dropout": 0.0,
    "linear_gain": False,
    "truncation": 400,
    "cell_clip": None,
    "samples": None,
    "joint_weight": 0.0,
    "predict_end": True,
}


def small(**arguments):
    keras.utils.set_random_seed(0)
    return SALSTM(**{**SALSTM.example_config(), **PLAIN, **arguments})


def numpy(tensors):
    return [ops.convert_to_numpy(t) for t in tensors]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def run_lstm(model, words, state=None, clip=np.inf):
    """Outputs and cells after each word, by a loop."""
    (vectors,), (kernel, bias), (recurrent,) = map(
        numpy, (model.reader.embedding.weights, model.reader.project.weights, model.reader.recurrent.weights)
    )
    h, c = state or (np.zeros(model.units), np.zeros(model.units))
    states = []
    for word in words:
        i, f, g, o = np.split(vectors[word] @ kernel + bias + h @ recurrent, 4)
        c = np.clip(sigmoid(f) * c + sigmoid(i) * np.tanh(g), -clip, clip)
        h = sigmoid(o) * np.tanh(c)
        states.append((h, c))
    return states


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def head(model, h):
    kernel, bias, last, last_bias = numpy(model.head.weights)
    return np.maximum(h @ kernel + bias, 0) @ last + last_bias


def crossentropy(model, h, word):
    kernel, bias = numpy(model.reader.word_softmax.weights[:2])
    return -np.log(softmax(kernel @ h + bias[:, 0])[word])


@pytest.mark.parametrize("clip", [None, 0.1])
def test_the_class_is_read_from_the_state_after_the_last_word(clip):
    model = small(cell_clip=clip)
    # word vectors that move the cells
    model.reader.embedding.embeddings.assign(40 * model.reader.embedding.embeddings.value)
    found = model.predict(model.encode(TEXTS), verbose=0)
    for row, ids in zip(found, model.encode(TEXTS)):
        words = ids[ids > 0]
        h = run_lstm(model, words, clip=clip or np.inf)[-1][0] if len(words) else np.zeros(model.units)
        np.testing.assert_allclose(row, softmax(head(model, h)), atol=1e-6)
    if clip:
        cells = [c for _, c in run_lstm(model, model.encode(TEXTS)[0][:6])]
        assert np.abs(cells).max() > clip, "the limit must be reached for the test to say anything"


def test_the_cell_is_that_of_keras():
    cell, peer = ClippedLSTMCell(4), keras.layers.LSTM(4, return_sequences=True)
    x = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")
    expected = peer(x)
    kernel, recurrent, bias = peer.get_weights()
    cell.set_weights([recurrent])
    found = keras.layers.RNN(cell, return_sequences=True)(x @ kernel + bias)
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-6)


def test_padding_changes_nothing():
    short, long = small(), small(length=12)
    long.set_weights(short.get_weights())
    expected = short.predict(short.encode(TEXTS), verbose=0)
    ids = long.encode(TEXTS)
    np.testing.assert_allclose(long.predict(ids, verbose=0), expected, atol=1e-6)
    # padding in front or between the words is none either
    np.testing.assert_allclose(long.predict(np.ascontiguousarray(np.roll(ids, 3, axis=1)), verbose=0), expected, atol=1e-6)


def test_what_is_read_and_what_is_to_be_written():
    ids = np.array([[5, 3, 4, 0], [2, 0, 0, 0], [2, 3, 4, 5], [0, 0, 0, 0]], "int32")
    inputs, targets = numpy(autoencoder_sequences(ids, 9))
    for row, words in enumerate([[5, 3, 4], [2], [2, 3, 4, 5], []]):
        rest = [0] * (4 - len(words))
        assert inputs[row].tolist() == [9, *words, *rest]
        assert targets[row].tolist() == [*words, 9, *rest]
    inputs, targets = numpy(language_model_sequences(ids, 9))
    np.testing.assert_array_equal(inputs, ids)
    assert targets.tolist() == [[3, 4, 9, 0], [9, 0, 0, 0], [3, 4, 5, 9], [0, 0, 0, 0]]
    losses, targets = numpy(small(predict_end=False).reader.word_losses(np.array([[5, 3, 4, 0, 0, 0, 0]], "int32"), "language_model"))
    assert targets.tolist() == [[3, 4, 0, 0, 0, 0, 0]]
    assert np.all((losses > 0) == (targets > 0))


def test_losses_of_both_objectives_against_loops():
    model = small()
    model.reader.word_softmax.bias.assign(np.linspace(-1, 1, 10)[:, None])
    ids = model.encode(TEXTS[:3])
    end, by_hand = model.reader.end, {"autoencoder": [], "language_model": []}
    for row in ids:
        words = row[row > 0]
        read = run_lstm(model, words)
        # the same LSTM writes, from where it stopped reading
        written = run_lstm(model, [end, *words], read[-1])
        by_hand["autoencoder"] += [crossentropy(model, h, word) for (h, _), word in zip(written, [*words, end])]
        by_hand["language_model"] += [crossentropy(model, h, word) for (h, _), word in zip(read, [*words[1:], end])]
    for objective, expected in by_hand.items():
        losses, targets = numpy(model.reader.word_losses(ids, objective))
        np.testing.assert_allclose(losses[targets > 0], expected, rtol=1e-5)
        assert not losses[targets == 0].any()
        # the history holds the loss per word: nothing is learned at a rate of 0
        history = model.pretrain(ids, objective, epochs=1, learning_rate=0.0, verbose=0).history
        assert history["loss"][0] == pytest.approx(np.mean(expected), rel=1e-5)


def test_linear_gain():
    ids = np.array([[3, 4, 5, 6, 7], [3, 4, 5, 0, 0], [3, 0, 0, 0, 0], [0, 0, 0, 0, 0]], "int32")
    expected = [[0, 0.25, 0.5, 0.75, 1], [0, 0, 0, 0.5, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]
    np.testing.assert_allclose(ops.convert_to_numpy(linear_gain(ids, 5)), expected, atol=1e-6)
    # of the last steps only
    np.testing.assert_allclose(ops.convert_to_numpy(linear_gain(ids, 2)), np.array(expected)[:, 3:], atol=1e-6)
    model = small(linear_gain=True)
    ids, label = model.encode(TEXTS[:3]), np.array([1, 0, 2])
    losses = []
    for row, y in zip(ids, label):
        words = row[row > 0]
        each = [-np.log(softmax(head(model, h))[y]) for h, _ in run_lstm(model, words)]
        gain = np.arange(len(words)) / max(len(words) - 1, 1) if len(words) > 1 else np.ones(1)
        losses.append(np.sum(gain * each) / gain.sum())
    chances = model(ids, training=True)
    found = model.compute_loss(ids, label, chances, training=True)
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)
    # outside of training the last word alone decides
    np.testing.assert_allclose(model.predict(ids, verbose=0), small().predict(ids, verbose=0), atol=1e-6)


def reading_gradients(model, ids):
    """Sizes of the gradient of the class's logit at each word vector of each text."""
    reader, size = model.reader, model.embedding_size
    # every place of every text gets a word vector of its own
    texts = np.arange(ids.size).reshape(ids.shape)

    def read(table):
        with autodiff.Scope([(reader.embedding.embeddings, table)]):
            return ops.sum(model.head(reader.read(places)[0])[:, -1, 0])

    places = np.where(ids > 0, texts % (model.num_symbols - 1) + 1, 0).astype("int32")
    table = np.random.default_rng(0).normal(size=(model.num_symbols + 1, size)).astype("float32")
    value, gradient = autodiff.value_and_grad(read, table)
    sizes = np.abs(ops.convert_to_numpy(gradient)).sum(1)
    return float(value), np.where(ids > 0, sizes[places], 0)


def test_gradients_pass_the_last_words_only_and_values_do_not_change():
    words = [f"w{i}" for i in range(30)]
    whole, cut = (small(vocabulary=words, length=12, truncation=n) for n in (400, 5))
    cut.set_weights(whole.get_weights())
    ids = np.zeros((2, 12), "int32")
    # the first text fills the length, the second has 8 words
    ids[0], ids[1, :8] = 2, 2
    (value, every), (same, last) = (reading_gradients(model, ids) for model in (whole, cut))
    assert same == pytest.approx(value, rel=1e-6)
    assert np.all(every[ids > 0] > 0)
    for row, n in zip(last, (12, 8)):
        assert not row[: n - 5].any()
        assert np.all(row[n - 5 : n] > 0)
    np.testing.assert_allclose(last[last > 0], every[last > 0], rtol=1e-4)
    # the decoder's and the language model's losses do not change either
    for objective in ("autoencoder", "language_model"):
        a, b = (numpy(model.reader.word_losses(ids, objective)) for model in (whole, cut))
        np.testing.assert_allclose(a[0], b[0], rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's operations")
def test_the_backward_pass_has_no_early_words():
    import tensorflow as tf

    def loops(truncation):
        model = small(length=12, truncation=truncation)

        @tf.function
        def step(ids):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(ids, training=True)[:, 0])
            return tape.gradient(loss, model.trainable_variables[:4])

        graph = step.get_concrete_function(tf.zeros((2, 12), tf.int32)).graph
        return sum(op.type in ("While", "StatelessWhile") for op in graph.get_operations())

    # reading and its gradient; with truncation one loop more that has no gradient
    assert (loops(400), loops(5)) == (2, 3)


def test_biases_start_at_the_frequencies_of_the_words():
    model = small()
    ids = np.array([[3, 3, 4, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0]], "int32")
    model.pretrain(ids, epochs=1, learning_rate=0.0, verbose=0)
    # the counts of ids 0 to 9, the last of which is the end, and one more of each
    counts = 1 + np.array([0, 0, 0, 3, 1, 0, 0, 0, 0, 2])
    bias = ops.convert_to_numpy(model.reader.word_softmax.bias)
    np.testing.assert_allclose(bias[:, 0], np.log(counts / counts.sum()), rtol=1e-6)
    # what has been learned stays
    model.pretrain(ids[:1], epochs=1, learning_rate=0.0, verbose=0)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.reader.word_softmax.bias), bias)


def copies():
    """Texts of random words, each twice."""
    rng = np.random.default_rng(0)
    return np.repeat(rng.integers(2, 9, (64, 3)), 2, axis=1).astype("int32")


@pytest.mark.parametrize("samples", [None, 8])
def test_pretraining_moves_the_weights_that_fit_uses(samples):
    model = small(length=6, samples=samples, units=16)
    before = {v.path: ops.convert_to_numpy(v) for v in model.weights}

    def changed():
        return {v.path.split("/")[-2] for v in model.weights if np.any(ops.convert_to_numpy(v) != before[v.path]) and "seed" not in v.path}

    history = model.pretrain(
        copies(), "language_model", epochs=20, learning_rate=2e-2, batch_size=16, validation_split=0.25, verbose=0
    ).history
    # three of the six words can be foreseen, and the end
    assert history["val_loss"][-1] < 0.85 * history["val_loss"][0]
    assert changed() == {"embedding", "project", "cell", "word_softmax"}
    # `fit` trains what the classifier uses, not the softmax over words
    before = {v.path: ops.convert_to_numpy(v) for v in model.weights}
    model.fit(copies(), np.arange(64) % 3, verbose=0)
    assert changed() == {"embedding", "project", "cell", "hidden", "logits"}


def test_transfer_of_word_vectors_alone():
    model = small()
    vectors, cells = numpy(model.reader.embedding.weights), numpy([*model.reader.project.weights, *model.reader.recurrent.weights])
    model.pretrain(TEXTS, transfer="embedding", epochs=1, verbose=0)
    assert np.any(numpy(model.reader.embedding.weights)[0] != vectors[0])
    for a, b in zip(numpy([*model.reader.project.weights, *model.reader.recurrent.weights]), cells):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("objective", ["autoencoder", "language_model"])
def test_joint_training_adds_the_loss_per_word_and_takes_texts_without_a_class(objective):
    model = small(joint_weight=0.5, joint_objective=objective)
    ids, label = model.encode(TEXTS[:3]), np.array([1, -1, 2], "int32")
    chances = model(ids, training=True)
    found = float(model.compute_loss(ids, label, chances, training=True))
    losses, targets = numpy(model.reader.word_losses(ids, objective))
    p = model.predict(ids, verbose=0)
    supervised = -np.mean(np.log([p[0, 1], p[2, 2]]))
    assert found == pytest.approx(supervised + 0.5 * losses.sum() / (targets > 0).sum(), rel=1e-5)
    result = model.evaluate(ids, label, verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(supervised, rel=1e-5)
    assert result["accuracy"] == pytest.approx(np.mean([p[0].argmax() == 1, p[2].argmax() == 2]))
    before = numpy(model.reader.word_softmax.trainable_weights)
    model.fit(ids, label, verbose=0)
    bias = ops.convert_to_numpy(model.reader.word_softmax.bias)[:, 0]
    # three ends, and no word that occurs as often: the biases began at the frequencies
    assert bias[2:].argmax() + 2 == model.reader.end
    assert all(np.any(a != b) for a, b in zip(before, numpy(model.reader.word_softmax.weights)))


def test_sample_weight():
    model = small()
    ids, label = model.encode(TEXTS[:2]), np.array([1, 2])
    each = [model.evaluate(ids[i : i + 1], label[i : i + 1], verbose=0)[0] for i in range(2)]
    found = model.evaluate(ids, label, sample_weight=np.array([3.0, 1.0]), verbose=0)[0]
    assert found == pytest.approx((3 * each[0] + each[1]) / 2, rel=1e-5)


def test_the_language_model_completes_and_the_autoencoder_reconstructs():
    words = [f"w{i}" for i in range(5)]
    model = small(vocabulary=words, length=5, units=24, embedding_size=12)
    # word i is followed by word i + 1, and the text ends with the last one
    texts = [" ".join(words[i:]) for i in range(5)] * 10
    model.pretrain(texts, "language_model", epochs=25, batch_size=10, learning_rate=2e-2, verbose=0)
    assert model.complete(["w0", "w1 w2"], words=2, beams=2) == ["w0 w1 w2", "w1 w2 w3 w4"]
    assert model.complete(["w3"], words=5, temperature=0.1) == ["w3 w4"]
    model = small(vocabulary=words, length=3, units=24, embedding_size=12)
    texts = [f"w{i} w{j}" for i in range(5) for j in range(5)]
    model.pretrain(texts * 4, "autoencoder", epochs=40, batch_size=10, learning_rate=1e-2, verbose=0)
    assert np.mean([a == b for a, b in zip(model.reconstruct(texts), texts)]) > 0.8


def test_greedy_completion_against_a_loop():
    model = small()
    ids = list(model.encode(["a cat"])[0][:2])
    kernel, bias = numpy(model.reader.word_softmax.weights[:2])
    for _ in range(4):
        logits = kernel @ run_lstm(model, ids)[-1][0] + bias[:, 0]
        # neither padding nor the unknown word
        ids.append(int(logits[2:].argmax()) + 2)
        if ids[-1] == model.reader.end:
            break
    expected = " ".join(WORDS[i - 2] for i in ids if i != model.reader.end)
    assert model.complete(["a cat"], words=4, beams=1) == [expected]


def test_export_takes_strings(tmp_path):
    import tensorflow as tf

    model = small()
    model.export(tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model/1"))
    found = loaded.signatures["serving_default"](text=tf.constant(TEXTS))["probabilities"]
    np.testing.assert_allclose(found, model.predict(model.encode(TEXTS), verbose=0), atol=1e-6)


def test_refusals():
    for bad in (
        {"length": 0},
        {"units": 0},
        {"truncation": 0},
        {"samples": 0},
        {"cell_clip": 0.0},
        {"gradient_clip": -1.0},
        {"joint_weight": -1.0},
        {"joint_objective": "both"},
        {"num_classes": 1},
        {"vocabulary": ["a", "a"]},
    ):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            small(**bad)
    model = small()
    for call, name in (
        (lambda: model.pretrain(TEXTS, "skip-gram"), "objective"),
        (lambda: model.pretrain(TEXTS, transfer="lstm"), "transfer"),
        (lambda: model.pretrain("a text"), "texts"),
        (lambda: model.pretrain(np.full((2, 7), 9)), "words"),
        (lambda: model.complete(["a", ""]), "texts"),
        (lambda: model.complete(["a"], words=0), "words"),
        (lambda: model.complete(["a"], beams=0), "beams"),
        (lambda: model.complete(["a"], temperature=0), "temperature"),
        (lambda: model.fit(model.encode(TEXTS), np.full(4, -1), verbose=0), "label"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            call()
