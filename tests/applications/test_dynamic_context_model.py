"""Dynamic-context models: one text read in a row, bags by hand, what they tell apart, rankings."""

import itertools

import numpy as np
import pytest
from keras import ops
from random_networks import randomized

from zoo.applications import DynamicContextModel

CONFIG = {**DynamicContextModel.example_config(), "dropout": 0.0}
CHATS, REPLIES = [["the cat sat", "on a mat", "a cat"], ["a mat", "sat"], ["the mat"]], ["a cat", "the mat sat", "cat"]


def model_of(kind, **arguments):
    return randomized(DynamicContextModel(**{**CONFIG, "kind": kind, "samples": None, **arguments}))


@pytest.fixture(scope="module", params=["rlmt", "dcgm1", "dcgm2"])
def model(request):
    return model_of(request.param)


@pytest.mark.parametrize("kind", ["rlmt", "dcgm1", "dcgm2"])
def test_a_wide_search_finds_the_best_of_all_replies(kind):
    model = model_of(kind, target_length=2)
    replies = [" ".join(words) for n in (1, 2) for words in itertools.product(model.vocabulary, repeat=n)]
    for chat in CHATS:
        scores = model.log_likelihood([chat] * len(replies), replies)
        found = [pair for pair in model.respond([chat], 80, 0.0, n_best=80)[0] if pair[0]][:5]
        assert [reply for reply, _ in found] == [replies[i] for i in np.argsort(-scores)[:5]]
        np.testing.assert_allclose([score for _, score in found], np.sort(scores)[::-1][:5], rtol=1e-4)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_a_triple_is_one_text(cell):
    """The probability of a reply is that of the whole text over that of what comes before."""
    model = model_of("rlmt", cell=cell)
    for chat, reply in zip(CHATS, REPLIES):
        x = model.encode([chat], [reply])
        read, written = ([int(i) for i in x[name][0] if i] for name in ("source", "target"))
        whole = np.array([[model.end, *read, model.end, *written, model.end]], "int32")
        losses = model.word_softmax(model.decoder(whole[:, :-1])[0], whole[:, 1:])
        assert model.log_likelihood([chat], [reply])[0] == pytest.approx(-float(ops.sum(losses[0, len(read) + 1 :])), rel=1e-4)


def test_a_triple_is_learned_as_a_whole():
    model = model_of("rlmt")
    x = model.encode(CHATS, REPLIES)
    texts = [[i for i in [*s, model.end, *t] if i] for s, t in zip(x["source"], x["target"])]
    total = 0.0
    for words in texts:
        ids = np.array([[model.end, *words, model.end]], "int32")
        total += float(ops.sum(model.word_softmax(model.decoder(ids[:, :-1])[0], ids[:, 1:])))
    # the sign behind the message is the first symbol that the reply reads: nothing is predicted there
    for s in x["source"]:
        ids = np.array([[model.end, *(i for i in s if i), model.end]], "int32")
        total -= float(ops.sum(model.word_softmax(model.decoder(ids[:, :-1])[0], ids[:, 1:])[0, -1]))
    losses = model.compute_loss(x, None, model(x, training=True), training=True)
    assert float(losses) == pytest.approx(total / sum(np.count_nonzero(t) + 1 for t in x["target"]), rel=1e-4)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("kind, layers", [("dcgm1", 1), ("dcgm1", 3), ("dcgm2", 1), ("dcgm2", 2)])
def test_bags_by_hand(kind, layers):
    model = model_of(kind, context_layers=layers, cell="rnn")
    x = model.encode(CHATS[:1], REPLIES[:1])
    table, parts = ops.convert_to_numpy(model.context.table.embeddings), [[]]
    for i in x["source"][0]:
        parts = [*parts, []] if i == model.end else [*parts[:-1], [*parts[-1], *([int(i)] if i else [])]]
    context, message = sum(parts[:-1], []), parts[-1]
    assert (len(context), len(message)) == (3, 2)
    k = table[context + message].sum(0) if kind == "dcgm1" else np.concatenate([table[context].sum(0), table[message].sum(0)])
    if model.context.joined:
        k = k @ ops.convert_to_numpy(model.context.joined.kernel)
    for layer in model.context.dense:
        k = sigmoid(k @ ops.convert_to_numpy(layer.kernel) + ops.convert_to_numpy(layer.bias))
    kernel, recurrent, bias = (ops.convert_to_numpy(weight) for weight in model.decoder.writers[0].cell.weights)
    vectors, h, total = ops.convert_to_numpy(model.decoder.embedding.embeddings), np.zeros(4), 0.0
    words = [*(int(i) for i in x["target"][0] if i), model.end]
    for before, word in zip([model.end, *words], words):
        h = np.tanh(np.concatenate([vectors[before], k]) @ kernel + h @ recurrent + bias)
        logits = ops.convert_to_numpy(model.word_softmax.logits(h[None].astype("float32")))[0]
        total += logits[word] - np.log(np.exp(logits).sum())
    assert model.log_likelihood(CHATS[:1], REPLIES[:1])[0] == pytest.approx(total, rel=1e-4)


def test_what_the_kinds_tell_apart(model):
    def change(one, other):
        first, second = model.log_likelihood([one, other], ["cat", "cat"])
        return abs(first - second) > 1e-5

    assert change(["the cat", "sat"], ["the cat", "mat"]) and change(["the", "sat"], ["cat", "sat"])
    assert change(["the cat", "sat"], ["cat the", "sat"]) == (model.kind == "rlmt")
    assert change(["the cat", "sat"], ["the", "cat sat"]) == (model.kind != "dcgm1")


def test_rankings_are_learned():
    model = model_of("dcgm2", features=1)
    right = ["the cat sat on a", "mat on a cat sat", "the mat"]
    candidates = [["sat mat on a cat", right[0], "a a a a a"], ["on on on on a", right[1]], right[2:]]
    scores = [np.array([[0.0], [9.0], [1.0]]), np.array([[1.0], [5.0]]), np.array([[2.0]])]
    model.rank_weights.assign(np.eye(7)[0])
    before = model.rerank(CHATS, candidates, scores)
    for chat, some, row in zip(CHATS, candidates, before):
        likelihood = model.log_likelihood([chat] * len(some), some)
        assert [reply for reply, _ in row] == [some[i] for i in np.argsort(-likelihood)]
    found = model.tune(CHATS, candidates, [[one] for one in right], scores)
    # one's own score says which is right
    assert [row[0][0] for row in model.rerank(CHATS, candidates, scores)] == right
    assert found["weights"].shape == (7,) and found["bleu"] > 99
    features = model._with_features(CHATS[:1], [["on a mat a cat dog", "dog"]], [np.zeros((2, 1))])[0]
    # words, pairs and triples of one line that the turns before have
    np.testing.assert_array_equal(features[:, 1:6], [[7, 5, 3, 1, 0], [2, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    "config, name",
    [
        ({"kind": "dcgm3"}, "kind"),
        ({"cell": "qrnn"}, "cell"),
        ({"context_layers": 0}, "context_layers"),
        ({"context_units": 0}, "context_units"),
        ({"features": -1}, "features"),
        ({"samples": 0}, "samples"),
    ],
)
def test_refused(config, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        DynamicContextModel(**{**CONFIG, **config})


def test_refused_calls():
    model = model_of("rlmt", features=1)
    lists = [["a"], ["a", "mat"], ["cat"]]
    for call, name in (
        (lambda: model.rerank(CHATS, lists), "scores"),
        (lambda: model.rerank(CHATS, lists, [[[1.0]], [[1.0]], [[1.0]]]), "scores"),
        (lambda: model.rerank(CHATS[:2], lists, [[[1.0]]] * 3), "candidates"),
        (lambda: model.tune(CHATS, lists, [["a"]], [[[1.0]], [[1.0], [0.0]], [[1.0]]]), "references"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            call()
