"""Neural conversational models: turns, projections, ranking, talking in a terminal."""

import builtins

import keras
import numpy as np
import pytest
from random_networks import randomized

from zoo.applications import NeuralConversationalModel

CONFIG = {**NeuralConversationalModel.example_config(), "dropout": 0.0}
CHATS, REPLIES = [["the cat sat", "on a mat"], ["a mat"], ["the mat", "the cat", "sat"]], ["a cat", "the mat sat", "cat"]


@pytest.fixture(scope="module", params=[{}, {"projection": None, "attention": None}, {"projection": None}, {"attention": None}], ids=str)
def model(request):
    return randomized(NeuralConversationalModel(**{**CONFIG, **request.param}))


def test_replies_are_ranked_by_their_likelihood(model):
    candidates = [["a cat", "mat"], ["the", "on the mat", "cat sat"], ["sat"]]
    for power in (0.0, 1.0):
        found = model.rank(CHATS, candidates, power)
        assert [len(scores) for scores in found] == [2, 3, 1]
        for chat, some, scores in zip(CHATS, candidates, found):
            lengths = np.array([len(reply.split()) + 1 for reply in some])
            np.testing.assert_allclose(scores, model.log_likelihood([chat] * len(some), some) / lengths**power, rtol=1e-4)
    # the best of many replies that a search finds is the first
    best = [reply for reply, _ in model.respond(CHATS[:1], 20, 0.0, n_best=8)[0] if reply]
    assert list(np.argsort(-model.rank(CHATS[:1], [best])[0])) == list(range(len(best)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(layer, x, h, c):
    """A step of an LSTM by hand."""
    kernel, recurrent, bias = (keras.ops.convert_to_numpy(weight) for weight in layer.cell.weights)
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def test_a_projection_by_hand():
    model = randomized(NeuralConversationalModel(**{**CONFIG, "attention": None}))
    x = model.encode(CHATS[2:], REPLIES[1:2])
    states = [[np.zeros(4), np.zeros(4)] for _ in range(2)]

    def move(part, readers, symbol):
        out = keras.ops.convert_to_numpy(part.embedding.embeddings)[symbol]
        for state, reader in zip(states, readers):
            state[:] = lstm(reader, out, *state)
            out = state[0]
        return out

    for symbol in x["source"][0][x["source"][0] > 0]:
        move(model.encoder, model.encoder.readers, symbol)
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in model.decoder.dense.weights)
    assert kernel.shape == (4, 3)
    words, total = [*x["target"][0][x["target"][0] > 0], model.end], 0.0
    for before, word in zip([model.end, *words], words):
        features = move(model.decoder, model.decoder.writers, before) @ kernel + bias
        logits = keras.ops.convert_to_numpy(model.word_softmax.logits(features[None].astype("float32")))[0]
        total += logits[word] - np.log(np.exp(logits).sum())
    assert model.log_likelihood(CHATS[2:], REPLIES[1:2])[0] == pytest.approx(total, rel=1e-4)


def test_turns_that_are_too_far_away_say_nothing(model):
    near = model.log_likelihood([["a", "the mat", "sat"]], ["cat"])
    np.testing.assert_allclose(model.log_likelihood([["on on", "the mat", "sat"], "a\nthe mat\nsat"][:1], ["cat"]), near, rtol=1e-5)
    np.testing.assert_allclose(model.log_likelihood(["a\nthe mat\nsat"], ["cat"]), near, rtol=1e-5)
    assert np.abs(model.log_likelihood([["the cat", "sat"]], ["cat"]) - near) > 1e-5
    assert np.abs(model.log_likelihood(["the mat sat"], ["cat"]) - near) > 1e-5


def test_talking(monkeypatch, capsys):
    """The word of the turn before last is the reply."""
    words = ["one", "two", "three"]
    chats = [[a, b] for a in words for b in words]
    model = NeuralConversationalModel(words, turns=2, source_length=4, target_length=2, embedding_size=8, units=16)
    model.optimizer.learning_rate = 0.03
    model.fit(model.encode(chats, [a for a, _ in chats]), epochs=200, verbose=0)
    assert model.respond(chats) == [a for a, _ in chats]
    said = iter(["two", "three", ""])
    monkeypatch.setattr(builtins, "input", lambda prompt: next(said))
    model.chat(beams=1)
    lines = capsys.readouterr().out.splitlines()
    # the model's own turn is the last but one
    assert len(lines) == 2 and lines[1].removeprefix("bot: ") == lines[0].removeprefix("bot: ")


@pytest.mark.parametrize(
    "config, name",
    [
        ({"turns": 0}, "turns"),
        ({"projection": 0}, "projection"),
        ({"attention": "sharp"}, "attention"),
        ({"vocabulary": ["a", "a"]}, "vocabulary"),
        ({"source_length": 0}, "source_length"),
    ],
)
def test_refused(config, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        NeuralConversationalModel(**{**CONFIG, **config})


def test_refused_calls(model):
    for call, name in (
        (lambda: model.encode([[]], ["a"]), "sources"),
        (lambda: model.encode([["", " "]], ["a"]), "sources"),
        (lambda: model.encode(CHATS, ["a"]), "targets"),
        (lambda: model.rank(CHATS, [["a"]]), "candidates"),
        (lambda: model.respond("a"), "conversations"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            call()
