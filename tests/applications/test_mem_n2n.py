"""MemN2N against the paper's equations in loops, its options, its verbs and its parts."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from zoo.callbacks import LinearStart
from zoo.datasets import babi
from zoo.layers import PositionEncoding
from zoo.metrics import Perplexity

WORDS = "afraid football garden is john mary office the to went where".split()
STORY = ["Mary went to the garden.", "John went to the office.", "Mary went to the office."]


def small(**changes):
    keras.utils.set_random_seed(1)
    arguments = {"vocabulary": WORDS, "hops": 3, "embedding_size": 6, "memory_size": 5, "sentence_length": 6, "stddev": 0.6}
    return zoo.applications.MemN2N(**{**arguments, **changes})


def weights_of(model):
    return {v.name: ops.convert_to_numpy(v).astype("float64") for v in model.weights}


def stories(rng, count=4):
    """Stories of 0 to 5 sentences of 1 to 6 words, with padding behind."""
    story, question = np.zeros((count, 5, 6), "int32"), np.zeros((count, 6), "int32")
    for n, (s, q) in enumerate(zip(story, question)):
        for sentence in s[: n if n != count - 1 else 5]:
            length = rng.integers(1, 7)
            sentence[:length] = rng.integers(1, len(WORDS) + 1, length)
        q[:3] = rng.integers(1, len(WORDS) + 1, 3)
    return {"story": story, "question": question}


def softmax(z):
    e = np.exp(z - np.max(z))
    return e / e.sum()


def sentence_vector(ids, table, encoding):
    """Equation of section 4.1: sum over j of l_j * A x_j, with twice the paper's l."""
    ids = [i for i in ids if i]
    total, d = np.zeros(table.shape[1]), table.shape[1]
    for j, i in enumerate(ids, start=1):
        for k in range(1, d + 1):
            weight = 2 * ((1 - j / len(ids)) - (k / d) * (1 - 2 * j / len(ids))) if encoding == "position" else 1.0
            total[k - 1] += weight * table[i, k - 1]
    return total


def paper(model, story, question, linear=False):
    """Logits and attention of one example, by the equations of sections 2 and 4.1."""
    w = weights_of(model)
    lm, d = model.form == "lm", model.embedding_size
    adjacent = (model.tying or ("layerwise" if lm else "adjacent")) == "adjacent"
    encoding = "bag" if lm else model.encoding
    story = story[:, None] if lm else story
    b = None if lm else w["words"][:, 0] if adjacent else w["questions"]
    u = np.full(d, 0.1) if lm else sentence_vector(question, b, encoding)
    attention = []
    for hop in range(model.hops):
        a, c = (hop, hop + 1) if adjacent else (0, 1)
        kept = [i for i, sentence in enumerate(story) if np.any(sentence)]

        def memory(i, table):
            age = w["ages"][i, table] if model.temporal else 0
            return sentence_vector(story[i], w["words"][:, table], encoding) + age

        scores = np.array([u @ memory(i, a) for i in kept])
        p = scores if linear or not kept else softmax(scores)
        o = sum((p_i * memory(i, c) for p_i, i in zip(p, kept)), np.zeros(d))
        u = o + (u if adjacent else u @ w["transition"])
        if lm:
            u = np.concatenate([u[: d // 2], np.maximum(u[d // 2 :], 0)])
        attention.append(np.zeros(len(story)))
        attention[-1][kept] = p
    return u @ (w["words"][:, model.hops] if adjacent else w["answers"]).T, np.array(attention)


OPTIONS = [
    {"tying": tying, "encoding": encoding, "temporal": temporal, "hops": hops}
    for tying, encoding, temporal, hops in itertools.product(["adjacent", "layerwise"], ["position", "bag"], [True, False], [1, 3])
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_forward_is_the_paper(options):
    model = small(**options)
    x = stories(np.random.default_rng(0))
    for linear in (False, True):
        model.softmax_gate.assign(0.0 if linear else 1.0)
        logits, attention = (ops.convert_to_numpy(a) for a in model._read(x))
        np.testing.assert_allclose(logits, ops.convert_to_numpy(model(x)), rtol=1e-5)
        for n in range(len(logits)):
            expected, weights = paper(model, x["story"][n], x["question"][n], linear)
            np.testing.assert_allclose(logits[n, 1:], expected[1:], rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(attention[n], weights, rtol=1e-4, atol=1e-5)
    assert np.all(logits[:, 0] < -1e8)


@pytest.mark.parametrize("tying", [None, "adjacent"])
def test_language_model_is_the_paper(tying):
    model = small(form="lm", tying=tying, embedding_size=7)
    x = np.array([[3, 4, 1, 2, 5], [6, 2, 0, 0, 0]], "int32")
    logits, attention = (ops.convert_to_numpy(a) for a in model._read(x))
    for n in range(2):
        expected, weights = paper(model, x[n], None)
        np.testing.assert_allclose(logits[n, 1:], expected[1:], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(attention[n], weights, rtol=1e-4, atol=1e-5)


def test_parameters():
    v, d, m = len(WORDS) + 1, 6, 5
    assert small().count_params() == (3 + 1) * (v + m) * d + 1
    assert small(tying="layerwise").count_params() == 2 * (v + m) * d + 2 * v * d + d * d + 1
    assert small(form="lm").count_params() == 2 * (v + m) * d + v * d + d * d + 1
    assert np.std(weights_of(small(stddev=0.1, embedding_size=100))["words"]) == pytest.approx(0.1, rel=0.1)


def test_position_encoding():
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    found = ops.convert_to_numpy(PositionEncoding(5)(mask))
    expected = np.zeros((3, 4, 5))
    for row, length in ((0, 4), (1, 2)):
        for j, k in itertools.product(range(1, length + 1), range(1, 6)):
            expected[row, j - 1, k - 1] = (1 - j / length) - (k / 5) * (1 - 2 * j / length)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    layer = PositionEncoding.from_config(PositionEncoding(5, name="pe").get_config())
    assert layer.size == 5 and layer.compute_output_shape((None, 4)) == (None, 4, 5)


def test_random_noise_only_in_training():
    model, x = small(random_noise=0.5), stories(np.random.default_rng(1))
    plain = ops.convert_to_numpy(model(x))
    np.testing.assert_array_equal(plain, ops.convert_to_numpy(model(x, training=False)))
    noisy = [ops.convert_to_numpy(model(x, training=True)) for _ in range(2)]
    assert not np.allclose(noisy[0][2:], plain[2:]) and not np.allclose(noisy[0], noisy[1])
    quiet = small(random_noise=0.0)
    np.testing.assert_array_equal(ops.convert_to_numpy(quiet(x, training=True)), ops.convert_to_numpy(quiet(x)))


def test_random_noise_is_time_of_empty_memories():
    """With noise 1 every sentence is preceded by an empty memory: sentence i has the age 2 i + 1, at most the oldest."""
    model, x = small(random_noise=1.0), stories(np.random.default_rng(1))
    noisy = ops.convert_to_numpy(model(x, training=True))
    ages = ops.convert_to_numpy(model.ages)
    model.ages.assign(ages[[1, 3, 4, 4, 4]])
    np.testing.assert_allclose(noisy, ops.convert_to_numpy(model(x)), rtol=1e-5)


def test_linear_start():
    model = small()

    def gates(callback, losses):
        callback.set_model(model)
        callback.on_train_begin()
        seen = []
        for epoch, loss in enumerate(losses):
            seen.append(float(model.softmax_gate))
            callback.on_epoch_end(epoch, {"loss": 1.0, "val_loss": loss})
        callback.on_train_end()
        assert float(model.softmax_gate) == 1
        return seen

    assert gates(LinearStart(), [3.0, 2.0, 2.5, 2.0, 1.0]) == [0, 0, 0, 1, 1]
    assert gates(LinearStart(patience=2), [3.0, 2.0, 2.5, 1.0, 1.0, 1.0, 0.5]) == [0, 0, 0, 0, 0, 0, 1]
    assert gates(LinearStart(max_epochs=2), [3.0, 2.0, 1.0]) == [0, 0, 1]
    assert gates(LinearStart(monitor="none", max_epochs=3), [3.0, 2.0, 1.0, 1.0]) == [0, 0, 0, 1]
    assert gates(LinearStart(), [3.0, 2.0]) == [0, 0]
    with pytest.raises(ValueError, match="patience"):
        LinearStart(patience=0)
    callback = LinearStart()
    callback.set_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    with pytest.raises(ValueError, match="softmax_gate"):
        callback.on_train_begin()


def test_linear_start_trains_the_linear_network():
    """The compiled step reads the gate anew: the first loss of the linear epoch is that of the linear network."""
    x, y = stories(np.random.default_rng(0)), np.array([1, 2, 3, 4])
    model = small(random_noise=0.0, stddev=0.2)
    losses = model.fit(x, y, epochs=2, callbacks=[LinearStart(max_epochs=1)], verbose=0).history["loss"]
    model = small(random_noise=0.0, stddev=0.2)

    def loss():
        p = np.array([softmax(paper(model, s, q, linear)[0][1:])[i - 1] for s, q, i in zip(x["story"], x["question"], y)])
        return -np.log(p).sum()

    for epoch, linear in enumerate((True, False)):
        assert losses[epoch] == pytest.approx(loss(), rel=1e-3)
        model.softmax_gate.assign(0.0 if linear else 1.0)
        model.fit(x, y, verbose=0)


def test_papers_training():
    model = small()
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01) and model.optimizer.global_clipnorm == 40
    x, y = stories(np.random.default_rng(0)), np.array([1, 2, 3, 4])
    rates = model.fit(x, y, epochs=76, initial_epoch=48, verbose=0).history["learning_rate"]
    np.testing.assert_allclose(rates[:2] + rates[2:27] + rates[27:], [0.01] * 2 + [0.005] * 25 + [0.0025], rtol=1e-6)
    model = small(form="lm")
    assert model.optimizer.global_clipnorm == 50
    x, y = model.windows(WORDS)
    history = model.fit(x, y, epochs=4, verbose=0, validation_data=(x[:2], np.array([9, 9]))).history
    falls = [b < a for a, b in zip(history["val_loss"], history["val_loss"][1:])]
    expected = [0.01] + [0.01] * 3
    for n, fell in enumerate(falls[:2], start=2):
        expected[n] = expected[n - 1] / (1 if fell else 1.5)
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-5)


def test_learns_a_tiny_task():
    examples = babi.examples(babi.simulate(1, 60))
    words = babi.vocabulary(examples)
    x, y = babi.vectorise(examples, words, memory_size=10, sentence_length=6)
    keras.utils.set_random_seed(0)
    model = zoo.applications.MemN2N(words, hops=1, memory_size=10, sentence_length=6)
    history = model.fit(x, y, epochs=40, batch_size=20, verbose=0).history
    assert history["accuracy"][-1] > 0.85 > history["accuracy"][0]
    example = examples[-1]
    assert model.answer(example.story, example.question)[0][0] == example.answer


def test_answer_and_attention():
    model = small()
    answers = model.answer(STORY, "Where is Mary?", top=4)
    examples = [babi.Example(tuple(STORY), "Where is Mary?", "office")]
    x, _ = babi.vectorise(examples, WORDS, memory_size=5, sentence_length=6)
    p = softmax(paper(model, x["story"][0], x["question"][0])[0][1:])
    assert [w for w, _ in answers] == [WORDS[i] for i in np.argsort(-p)[:4]]
    np.testing.assert_allclose([q for _, q in answers], np.sort(p)[::-1][:4], rtol=1e-4)
    weights = model.attention(STORY, "Where is Mary?")
    np.testing.assert_allclose(weights, paper(model, x["story"][0], x["question"][0])[1][:, :3][:, ::-1], rtol=1e-4)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    # of a long story the last five sentences are kept
    long = model.attention([*STORY, *STORY, STORY[0]], "Where is Mary?")
    assert long.shape == (3, 7) and not long[:, :2].any() and long[:, 2:].all()
    assert model.attention([], "Where is Mary?").shape == (3, 0)


def test_language_model_verbs():
    model = small(form="lm")
    text = "mary went to the garden john went to the office".split()
    x, y = model.windows(text)
    assert x.shape == (10, 5) and [WORDS[i - 1] for i in x[6]] == ["john", "garden", "the", "to", "went"] and WORDS[y[6] - 1] == "went"
    assert not x[0].any() and np.count_nonzero(x[2]) == 2
    p = [softmax(paper(model, row, None)[0][1:])[i - 1] for row, i in zip(x, y)]
    expected = np.exp(-np.mean(np.log(p)))
    assert model.perplexity(text, batch_size=4) == pytest.approx(expected, rel=1e-4)
    assert model.evaluate(x, y, verbose=0)[1] == pytest.approx(expected, rel=1e-4)
    best = model.next_word(text, top=2)
    q = softmax(paper(model, np.array([WORDS.index(w) + 1 for w in text[:-6:-1]]), None)[0][1:])
    assert [w for w, _ in best] == [WORDS[i] for i in np.argsort(-q)[:2]] and best[0][1] == pytest.approx(q.max(), rel=1e-4)


def test_language_model_learns_and_reloads(tmp_path):
    text = "mary went to the garden john went to the office".split() * 30
    model = small(form="lm", stddev=0.1, embedding_size=20)
    before = model.perplexity(text)
    x, y = model.windows(text)
    model.fit(x, y, epochs=20, verbose=0)
    assert model.perplexity(text) < 0.5 * before
    model.save(tmp_path / "lm.keras")
    assert keras.saving.load_model(tmp_path / "lm.keras").perplexity(text) == pytest.approx(model.perplexity(text), rel=1e-5)


def test_perplexity_metric():
    p = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]], "float32")
    metric = Perplexity(from_logits=False)
    metric.update_state(np.array([1, 0, 0]), p)
    assert float(metric.result()) == pytest.approx((0.8 * 0.5 * 0.9) ** (-1 / 3), rel=1e-5)
    copy = Perplexity.from_config(metric.get_config())
    copy.update_state(np.array([1, 0]), p[:2], sample_weight=np.array([0.0, 1.0]))
    assert float(copy.result()) == pytest.approx(2, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"form": "chat"}, "form"),
        ({"tying": "loose"}, "tying"),
        ({"encoding": "order"}, "encoding"),
        ({"vocabulary": ["a", "a"]}, "vocabulary"),
        ({"vocabulary": "a word"}, "vocabulary"),
    ],
)
def test_bad_arguments(changes, word):
    with pytest.raises(ValueError, match=f"`{word}`.*Received"):
        small(**changes)


def test_bad_text():
    model = small()
    with pytest.raises(ValueError, match="zebra"):
        model.answer(["The zebra went to the office."], "Where is Mary?")
    with pytest.raises(ValueError, match="at most 6 words"):
        model.answer(["Mary went to the office to the garden."], "Where is Mary?")
    with pytest.raises(ValueError, match="`story` must be a list"):
        model.answer("Mary went to the office.", "Where is Mary?")
    with pytest.raises(ValueError, match='form="lm"'):
        model.perplexity(["mary"])
    with pytest.raises(ValueError, match='form="qa"'):
        small(form="lm").attention(STORY, "Where is Mary?")
    for words in (["zebra"], [], "mary"):
        with pytest.raises(ValueError, match="`words` must be a list"):
            small(form="lm").next_word(words)


def test_attention_figure():
    figure = zoo.plots.attention_hops(STORY, "Where is Mary?", small().attention(STORY, "Where is Mary?"), answer="office")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == STORY


def test_preset():
    model = zoo.applications.MemN2N.from_pretrained("mem_n2n_babi")
    story = ["Mary moved to the bathroom.", "John went to the hallway.", "Mary travelled to the office."]
    (answer, probability), *_ = model.answer(story, "Where is Mary?")
    assert answer == "office" and probability > 0.9
    assert model.answer([*story, "Sandra went to the garden."], "Is John in the hallway?")[0][0] == "yes"
    fears = ["Wolves are afraid of mice.", "Mice are afraid of cats.", "Winona is a wolf.", "Emily is a mouse."]
    assert model.answer(fears, "What is winona afraid of?")[0][0] == "mouse"


def test_defaults_follow_the_form():
    words = ["a", "b", "<unk>"]
    for form, sizes in (("qa", (3, 20, 50, 0.1, "adjacent")), ("lm", (6, 150, 100, 0.05, "layerwise"))):
        model = zoo.applications.MemN2N(words, form=form)
        assert (model.hops, model.embedding_size, model.memory_size, model.stddev, model.tying) == sizes
        assert zoo.applications.MemN2N.from_config(model.get_config()).count_params() == model.count_params()
    assert zoo.applications.MemN2N(words, form="lm", hops=2).hops == 2


def test_windows_are_a_view_and_come_in_batches():
    model = small(form="lm")
    text = [str(word) for word in np.random.default_rng(0).choice(WORDS, 50)]
    x, y = model.windows(text)
    assert x.base is not None and x.strides[0] == abs(x.strides[1]) == x.itemsize
    batches = model.batches(text, batch_size=16)
    assert len(batches) == 4
    found = [np.concatenate(column) for column in zip(*(batches[i] for i in range(4)))]
    order = np.lexsort([*found[0].T, found[1]])
    other = np.lexsort([*x.T, y])
    np.testing.assert_array_equal(found[0][order], x[other])
    np.testing.assert_array_equal(found[1][order], y[other])
    first = batches.order
    batches.on_epoch_end()
    assert np.any(first != batches.order)
    assert len(model.fit(batches, epochs=2, verbose=0).history["loss"]) == 2


def test_unknown_words():
    model = small(form="lm", unknown=WORDS[0])
    assert model.next_word([WORDS[1], "unheard-of"]) == model.next_word([WORDS[1], WORDS[0]])
    assert model.perplexity([WORDS[2], "unheard-of"]) == model.perplexity([WORDS[2], WORDS[0]])
    model = small(unknown=WORDS[0])
    assert model.answer(["unheard-of is to"], "where") == model.answer([f"{WORDS[0]} is to"], "where")
    with pytest.raises(ValueError, match="vocabulary"):
        small().answer(["unheard-of is to"], "where")
    with pytest.raises(ValueError, match="`unknown`"):
        small(unknown="unheard-of")
