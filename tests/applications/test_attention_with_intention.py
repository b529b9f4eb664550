"""Attention with intention: turns one after the other against rows, what is carried on, what is learned."""

import numpy as np
import pytest
from keras import ops
from random_networks import randomized

from zoo import text
from zoo.applications import AttentionWithIntention

CONFIG = {**AttentionWithIntention.example_config(), "dropout": 0.0, "exchanges": 3}
CHATS = [["the cat", "sat", "on a mat", "the mat sat", "a cat"], ["sat", "a", "mat"], ["the mat"]]
REPLIES = ["a cat", "the mat sat", "cat"]


def model_of(**arguments):
    return randomized(AttentionWithIntention(**{**CONFIG, **arguments}))


@pytest.fixture(scope="module", params=[{}, {"cell": "lstm", "num_layers": 1}, {"intention": False}], ids=str)
def model(request):
    return model_of(**request.param)


def ids_of(model, line):
    return np.array([[model.vocabulary.index(word) + 2 for word in line.split()]], "int32")


def spoken(model, message, reply, intention, last):
    """A turn by itself, without padding, word by word: log-probability of the reply, the intention and the decoder's states."""
    memory, states, present = model.encoder(ids_of(model, message), last if model.intention else None)
    stays = {"memory": memory, "present": present}
    if model.intention:
        top = -model.encoder.states_per_layer
        move = model.intention_network.move
        joined = np.concatenate([ops.convert_to_numpy(part) for part in (states[top], last[top], intention)], axis=-1)
        intention = np.tanh(joined @ ops.convert_to_numpy(move.kernel) + ops.convert_to_numpy(move.bias))
        starts = model.intention_network.starts
        states = [np.tanh(intention @ ops.convert_to_numpy(dense.kernel) + ops.convert_to_numpy(dense.bias)) for dense in starts]
        stays["constant"] = ops.convert_to_tensor(intention, "float32")
    step, states = model.decoder.stepper(**stays), [ops.convert_to_tensor(state, "float32") for state in states]
    words, total = [*ids_of(model, reply)[0], model.end], 0.0
    for before, word in zip([model.end, *words], words):
        features, states = step(ops.convert_to_tensor([before], "int32"), states)
        total += float(ops.log_softmax(model.word_softmax.logits(features))[0, int(word)])
    return total, intention, states


def test_a_row_is_its_turns_one_after_the_other(model):
    found = model.log_likelihood(CHATS, REPLIES)
    for chat, reply, score in zip(CHATS, REPLIES, found):
        turns, intention, last = [*chat, reply], np.zeros((1, model.intention_units)), model.decoder.zero_state(1)
        for message, answer in zip(turns[::2], turns[1::2]):
            total, intention, last = spoken(model, message, answer, intention, last)
        assert score == pytest.approx(total, rel=1e-4)


def test_all_replies_of_a_row_are_learned(model):
    x = model.encode(CHATS, REPLIES)
    totals, words = [], sum(len(reply.split()) + 1 for reply in REPLIES)
    for chat, reply in zip(CHATS, REPLIES):
        turns = [*chat, reply]
        totals += [model.log_likelihood([turns[:i]], turns[i : i + 1])[0] for i in range(1, len(turns), 2)]
    losses = model.compute_loss(x, None, model(x, training=True), training=True)
    assert float(losses) == pytest.approx(-sum(totals) / words, rel=1e-4)


def test_what_was_said_before_counts_with_an_intention(model):
    one, other = model.log_likelihood([["cat", "a", "the mat"], ["on", "a", "the mat"]], ["sat", "sat"])
    assert (abs(one - other) > 1e-5) == model.intention
    # but not what is too far away
    far = model.log_likelihood(
        [["cat", "a", "a", "mat", "sat", "a", "the mat"], ["on", "on", "a", "mat", "sat", "a", "the mat"]], ["sat"] * 2
    )
    assert far[0] == pytest.approx(far[1], rel=1e-5)
    np.testing.assert_allclose(model.log_likelihood(["cat\na\nthe mat"], ["sat"])[0], one, rtol=1e-5)


def test_searches_and_alignments(model):
    replies = [reply for reply, _ in model.respond(CHATS, 20, 0.0, n_best=6)[0] if reply]
    assert list(np.argsort(-model.rank(CHATS[:1], [replies])[0])) == list(range(len(replies)))
    for chat, reply, weights in zip(CHATS, REPLIES, model.alignment(CHATS, REPLIES)):
        assert weights.shape == (len(reply.split()) + 1, len(chat[-1].split()))
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)


def test_the_first_word_is_remembered():
    words = ["one", "two", "three", "go", "ok"]
    chats = [[word, "ok", "go", word] for word in words[:3]]
    model = AttentionWithIntention(words, 2, 3, 2, embedding_size=8, units=16, intention_units=16, dropout=0.0)
    model.optimizer.learning_rate = 0.03
    model.fit(model.fit_rows(chats * 4), epochs=80, verbose=0)
    assert model.respond([chat[:3] for chat in chats]) == words[:3]


def test_rows_of_conversations():
    sources, targets = text.rows_of_exchanges([list("abcdefg"), ["x"], list("uv")], 2)
    assert sources == [list("abc"), ["e"], ["u"]] and targets == ["d", "f", "v"]
    model = model_of()
    x = model.fit_rows([["a cat", "mat", "sat", "", "on", "the"], ["the"]])
    assert x["source"].shape == (1, 5, 6) and np.count_nonzero(x["source"][0], axis=1).tolist() == [2, 1, 1, 0, 1]


@pytest.mark.parametrize(
    "config, name",
    [
        ({"exchanges": 0}, "exchanges"),
        ({"cell": "tree"}, "cell"),
        ({"attention": None}, "attention"),
        ({"intention": 1}, "intention"),
        ({"intention_units": 0}, "intention_units"),
    ],
)
def test_refused(config, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        AttentionWithIntention(**{**CONFIG, **config})
