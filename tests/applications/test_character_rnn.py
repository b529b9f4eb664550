"""Character RNNs: networks by hand, what is read at once against step by step, words found in characters."""

import numpy as np
import pytest
from keras import ops

from zoo.applications import CharacterRNN

RNG = np.random.default_rng(0)
TEXTS = ["the cat sat", " a  mat, on", "cat"]
CONFIG = CharacterRNN.example_config()


def model_of(**arguments):
    """With large random weights."""
    word_loss = {} if arguments.get("vocabulary", True) else {"word_loss": 0.0}
    model = CharacterRNN(**{**CONFIG, "dropout": 0.0, **word_loss, **arguments})
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if "float" in weight.dtype and weight.shape:
            weight.assign(rng.normal(size=weight.shape).astype("float32"))
    return model


STRUCTURES = {
    "plain": {"vocabulary": None, "context_size": 0, "contexts": None},
    "words": {"context_size": 0, "contexts": None},
    "one character": {"vocabulary": None, "context_size": 1, "contexts": None},
    "both": {},
}


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_what_is_read_at_once_is_read_step_by_step(structure, cell):
    model = model_of(**STRUCTURES[structure], cell=cell)
    ids = model._columns(TEXTS)[-1]
    step, state = model._stepper(ids)
    before, nats = np.full(3, model.end, "int32"), []
    for target in np.concatenate([ids, np.zeros((3, 1), "int32")], axis=1).T:
        logits, state = step(before, state)
        before = np.where(target, target, model.end).astype("int32")
        nats.append(-np.take_along_axis(ops.convert_to_numpy(ops.log_softmax(logits)), before[:, None], axis=1)[:, 0])
    for row, wanted, text in zip(np.stack(nats, axis=1), model.word_nats(TEXTS), TEXTS):
        np.testing.assert_allclose(row[: len(text) + 1], wanted, rtol=1e-4, atol=1e-5)


def test_a_simple_network_by_hand():
    """Both structures, plain cells, in NumPy."""
    model = model_of(cell="rnn")
    text, letters = "the mat", {letter: i for i, letter in enumerate(CONFIG["alphabet"], 2)}
    words = {word: i for i, word in enumerate(CONFIG["vocabulary"], 2)}
    vectors, own = (ops.convert_to_numpy(layer.embeddings) for layer in (model.writer.embedding, model.writer.words.embedding))
    slow, fast = ([ops.convert_to_numpy(w) for w in reader.weights] for reader in (model.writer.words.reader, model.writer.reader))

    def move(weights, x, h):
        return np.tanh(x @ weights[0] + h @ weights[1] + weights[2])

    state, heard, total, word, last = np.zeros(4), np.zeros(3), 0.0, "", [model.end, model.end]
    for place in range(len(text) + 1):
        if place and text[place - 1] == " ":
            heard, word = move(slow, own[words[word]], heard), ""
        elif place:
            word += text[place - 1]
        state = move(fast, np.concatenate([vectors[last[-1]], heard]), state)
        number = {"th": 1, "at": 2, " a": 3}.get(text[place - 2 : place] if place > 1 else "", 0)
        logits = ops.convert_to_numpy(model.word_softmax.kernel)[number] @ state + ops.convert_to_numpy(model.word_softmax.bias)[number]
        target = letters[text[place]] if place < len(text) else model.end
        total += logits[target] - np.log(np.exp(logits).sum())
        last = [last[-1], target]
    assert model.log_likelihood([text])[0] == pytest.approx(total, rel=1e-4)
    assert model.bits_per_character([text]) == pytest.approx(-total / 8 / np.log(2), rel=1e-4)


def test_the_loss_of_words_is_the_mean_for_each_character():
    model = model_of(context_size=0, contexts=None)
    x = model.encode(TEXTS)
    words = [[2, 3, 4], [6, 1, 5], [3]]
    assert [row[row > 0].tolist() for row in x["words"]] == words
    before = np.concatenate([np.full((3, 1), model.end), x["text"]], axis=1).astype("int32")
    states, losses = model.writer.words(before, x["words"], losses=True)
    assert ops.convert_to_numpy(losses > 0).sum(axis=1).tolist() == [3, 3, 1]
    # the state changes behind the space that ends a word, and not behind a second one
    moves = ops.convert_to_numpy(ops.any(states[1, 1:] != states[1, :-1], axis=-1))
    assert np.flatnonzero(moves[: len(TEXTS[1])]).tolist() == [2, 8]
    model(x, training=True)
    (extra,) = model.losses
    assert float(extra) == pytest.approx(0.5 * float(ops.sum(losses)) / sum(map(len, TEXTS)), rel=1e-5)


def test_learns_and_completes():
    model = CharacterRNN(**{**CONFIG, "dropout": 0.0, "units": 24, "contexts": None, "context_size": 1})
    model.optimizer.learning_rate = 0.03
    model.fit(model.encode(TEXTS), epochs=150, verbose=0)
    assert model.bits_per_character(TEXTS) < 0.6
    assert model.complete(["the c"], words=6, beams=3) == ["the cat sat"]
    assert model.sample(2, seed=1) == model.sample(2, seed=1)


@pytest.mark.parametrize(
    "config, name",
    [
        ({"cell": "transformer"}, "cell"),
        ({"context_size": 4}, "context_size"),
        ({"context_size": 2, "contexts": None}, "contexts"),
        ({"contexts": ["the"]}, "contexts"),
        ({"contexts": ["zz"]}, "contexts"),
        ({"vocabulary": ["dog"]}, "vocabulary"),
        ({"vocabulary": ["a cat"]}, "vocabulary"),
        ({"word_loss": -1.0}, "word_loss"),
        ({"units": 0}, "units"),
        ({"word_units": 0}, "word_units"),
        ({"length": 0}, "length"),
    ],
)
def test_refused(config, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        CharacterRNN(**{**CONFIG, **config})


@pytest.mark.parametrize(("joint", "moved"), [(True, True), (False, False)])
def test_words_learn_from_characters_only_jointly(joint, moved):
    model = model_of(joint=joint, word_loss=0.0)
    before = ops.convert_to_numpy(model.word_network.reader.weights[0])
    model.fit(model.encode(TEXTS), epochs=1, verbose=0)
    assert np.any(ops.convert_to_numpy(model.word_network.reader.weights[0]) != before) == moved


def test_words_that_are_learned_before_leave_characters_as_they_are():
    model = model_of(joint=False, word_loss=0.0)
    model.fit(model.encode(TEXTS), epochs=1, verbose=0)
    kernels = [ops.convert_to_numpy(reader.weights[0]) for reader in (model.writer.reader, model.word_network.reader)]
    losses = model.fit_words(["the cat sat on the mat"] * 8, epochs=30, learning_rate=0.05, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    np.testing.assert_array_equal(model.writer.reader.weights[0], kernels[0])
    assert np.any(ops.convert_to_numpy(model.word_network.reader.weights[0]) != kernels[1])
    # the optimizer of before still fits
    model.fit(model.encode(TEXTS), epochs=1, verbose=0)
    with pytest.raises(ValueError, match="vocabulary"):
        model_of(vocabulary=None).fit_words(["a cat"])


@pytest.mark.parametrize("space", ["\xa0", "\t"])
@pytest.mark.parametrize("known", [True, False])
def test_a_word_is_not_seen_before_it_is_over(space, known):
    """White space of whatever kind, in the alphabet or not."""
    model = model_of(alphabet="abcd " + (space if known else ""), vocabulary=["a", "b", "ab", "ac"], contexts=["a "])
    first, second = (nats[:5] for nats in model.word_nats([f"a{space}b ab", f"a{space}b ac"]))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    ids = model._columns([f"a{space}b ab"])[-1]
    step, state = model._stepper(ids)
    before, nats = np.full(1, model.end, "int32"), []
    for target in ids[0][:6]:
        logits, state = step(before, state)
        before = np.array([target], "int32")
        nats.append(-ops.convert_to_numpy(ops.log_softmax(logits))[0, target])
    np.testing.assert_allclose(nats, model.word_nats([f"a{space}b ab"])[0][:6], rtol=1e-4)


def test_one_matrix_for_each_place_is_that_of_all(monkeypatch):
    model = model_of()
    wanted = model.log_likelihood(TEXTS)
    monkeypatch.setattr("zoo.applications.character_rnn._MOST_LOGITS", 0)
    other = CharacterRNN.from_config(model.get_config())
    other.set_weights(model.get_weights())
    np.testing.assert_allclose(other.log_likelihood(TEXTS), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"alphabet": "aA"}, "alphabet"),
        ({"alphabet": ["ab", "c"]}, "alphabet"),
        ({"alphabet": ""}, "alphabet"),
        ({"vocabulary": None, "word_loss": 1.0}, "word_loss"),
        ({"contexts": ["th", "th"]}, "contexts"),
        (
            {
                "alphabet": "".join(map(chr, range(0x4E00, 0x5200))),
                "vocabulary": None,
                "word_loss": 0.0,
                "contexts": None,
                "context_size": 1,
                "units": 128,
            },
            "contexts",
        ),
    ],
)
def test_what_the_alphabet_and_contexts_must_be(arguments, named):
    with pytest.raises(ValueError, match=f"`{named}`"):
        CharacterRNN(**{**CONFIG, **arguments})


def test_a_text_that_fills_the_length_does_not_go_on():
    with pytest.raises(ValueError, match="length"):
        model_of().complete(["the cat sat on a mat"])
