"""Mutual information: both criteria against the enumeration of all replies, what is trained by which call, tuned weights."""

import itertools

import keras
import numpy as np
import pytest
from random_networks import randomized

from zoo.applications import MMIConversationalModel

CONFIG = {**MMIConversationalModel.example_config(), "dropout": 0.0}
CHATS, REPLIES = [["the cat sat", "on a mat"], ["a mat"]], ["a cat", "the mat sat"]


@pytest.fixture(scope="module")
def model():
    found = randomized(MMIConversationalModel(**{**CONFIG, "vocabulary": ["a", "cat", "mat"], "target_length": 3, "threshold": 2}))
    found.mmi_weights["antilm"].assign([0.6, 0.3])
    found.mmi_weights["bidi"].assign([0.8, -0.2])
    return found


@pytest.mark.parametrize("criterion", ["antilm", "bidi"])
def test_a_wide_search_finds_the_best_of_all_replies(model, criterion):
    replies = [" ".join(words) for n in (1, 2, 3) for words in itertools.product(model.vocabulary, repeat=n)]
    for chat in CHATS:
        terms = model.terms([chat] * len(replies), replies)
        weight, reward = keras.ops.convert_to_numpy(model.mmi_weights[criterion])
        other = -terms["language_model"] if criterion == "antilm" else terms["backward"]
        scores = terms["likelihood"] + weight * other + reward * terms["length"]
        np.testing.assert_allclose(model.rank([chat], [replies], criterion=criterion)[0], scores, rtol=1e-5)
        np.testing.assert_array_equal(terms["length"], [len(reply.split()) + 1 for reply in replies])
        found = [pair for pair in model.respond([chat], 60, n_best=60, criterion=criterion)[0] if pair[0]]
        assert [reply for reply, _ in found[:8]] == [replies[i] for i in np.argsort(-scores)[:8]]
        np.testing.assert_allclose([score for _, score in found[:8]], np.sort(scores)[::-1][:8], rtol=1e-4)


def test_terms_are_those_of_networks_by_themselves(model):
    """p(S | T) adds up to one over all conversations, log U has the first words alone."""
    lines = [" ".join(words) for n in (1, 2) for words in itertools.product(model.vocabulary, repeat=n)]
    two = MMIConversationalModel(**{**CONFIG, "vocabulary": ["a", "cat"], "source_length": 3, "turns": 1})
    randomized(two)
    every = [" ".join(words) for n in (1, 2, 3) for words in itertools.product(two.vocabulary, repeat=n)]
    share = np.exp(two.terms(every, ["a cat"] * len(every))["backward"]).sum()
    assert 0.05 < share < 1
    early = model.terms([["a"]] * 3, ["a cat a", "a cat mat", "a cat"])["language_model"]
    assert early[0] == pytest.approx(early[1], rel=1e-5) == pytest.approx(early[2], rel=1e-5)
    assert len(set(np.round(model.terms([["a"]] * len(lines), lines)["language_model"], 5))) > len(lines) // 2


def test_each_network_is_trained_alone(model):
    parts = {"language_model": model.language_model, "backward": model.backward, "encoder": model.encoder, "decoder": model.decoder}

    def changed(train):
        before = {name: [keras.ops.convert_to_numpy(weight) for weight in part.weights] for name, part in parts.items()}
        train()
        return {
            name
            for name, part in parts.items()
            if any(np.any(keras.ops.convert_to_numpy(a) != b) for a, b in zip(part.weights, before[name]))
        }

    assert changed(lambda: model.fit_language_model(REPLIES, epochs=1, verbose=0)) == {"language_model"}
    assert changed(lambda: model.fit_backward(CHATS, REPLIES, epochs=1, verbose=0)) == {"backward"}
    assert changed(lambda: model.fit(model.encode(CHATS, REPLIES), verbose=0)) == {"encoder", "decoder"}


@pytest.mark.parametrize("criterion", ["antilm", "bidi"])
def test_tuned_weights_are_the_best_of_the_grid(model, criterion):
    scores = model.tune(CHATS, REPLIES, criterion, [0.0, 0.4], [0.0, 1.0], 8, "chrf")
    assert set(scores) == {(0.0, 0.0), (0.0, 1.0), (0.4, 0.0), (0.4, 1.0)}
    best = max(scores, key=scores.__getitem__)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model.mmi_weights[criterion]), best, rtol=1e-6)


def test_a_dull_reply_gives_way():
    """Half of the replies to everything are the same; the other half say what was said."""
    words = ["hi", "red", "blue", "green", "no"]
    chats = [[word] for word in words[1:4] for _ in range(4)]
    replies = [reply for word in words[1:4] for reply in (word, "no", "no", "no")]
    model = MMIConversationalModel(words, source_length=3, target_length=2, embedding_size=8, units=12, threshold=1, dropout=0.0)
    model.optimizer.learning_rate = 0.03
    model.fit(model.encode(chats, replies), epochs=150, verbose=0)
    model.fit_language_model(replies, epochs=150, learning_rate=0.03, verbose=0)
    model.fit_backward(chats, replies, epochs=150, learning_rate=0.03, verbose=0)
    model.mmi_weights["antilm"].assign([0.7, 0.0])
    model.mmi_weights["bidi"].assign([1.5, 0.0])
    asked = [["red"], ["blue"], ["green"]]
    assert model.respond(asked, criterion="likelihood") == ["no"] * 3
    assert model.respond(asked, criterion="bidi") == model.respond(asked, criterion="antilm") == ["red", "blue", "green"]


@pytest.mark.parametrize(
    "config, name",
    [({"criterion": "best"}, "criterion"), ({"threshold": 0}, "threshold"), ({"attention": 1}, "attention"), ({"turns": 0.5}, "turns")],
)
def test_refused(config, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        MMIConversationalModel(**{**CONFIG, **config})
