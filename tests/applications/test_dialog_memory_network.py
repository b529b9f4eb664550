"""The dialogue memory network against loops, its loss by hand, facts that are found for a message, rankings, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications.dialog_memory_network import DialogMemoryNetwork, learn_words
from zoo.datasets.film_dialogues import Exchange, KnowledgeBase, Retriever, Triple
from zoo.metrics import HitsAt

RNG = np.random.default_rng(0)
FACTS = [Triple("Heat", "directed_by", "Michael Mann"), Triple("Heat", "has_genre", "crime"), Triple("Fargo", "has_genre", "comedy")]


def small(**changes):
    keras.utils.set_random_seed(0)
    entities = ["Heat", "Fargo", "Michael Mann", "crime", "comedy"]
    options = {
        "words": ["who", "made", "it", "liked", "?"],
        "entities": entities,
        "embedding_size": 6,
        "facts": 4,
        "recent": 2,
        "length": 5,
    }
    return DialogMemoryNetwork(**{**options, "stddev": 0.5, **changes})


def random_inputs(model, rows=4):
    x = {field.name: field.sample(rows, np.random.default_rng(1)) for field in model.input_fields()}
    for name in ("recent", "facts", "candidates"):
        if name in x:
            # fewer than there is room for
            x[name][0, 1:] = 0
            x[name][1] = 0
    x["message"][2, 2:] = 0
    return x


def by_hand(model, x, row):
    """Scores of a row, sentence by sentence."""
    read, reply = ops.convert_to_numpy(model.read_vectors), ops.convert_to_numpy(model.reply_vectors)

    def bag(vectors, ids):
        return sum((vectors[i] for i in ids if i), np.zeros(6))

    state, ages = bag(read, x["message"][row]), ops.convert_to_numpy(model.ages)
    memory = [("recent", bag(read, ids) + ages[i]) for i, ids in enumerate(x["recent"][row]) if ids.any()]
    memory += [("facts", bag(read, ids)) for ids in x["facts"][row] if ids.any()]
    for hop in range(model.hops):
        weights = np.exp([state @ vector for _, vector in memory])
        parts = [w * vector @ ops.convert_to_numpy(model.matrices[name][hop]) for w, (name, vector) in zip(weights, memory)]
        state = state + (sum(parts) / weights.sum() if memory else 0)
    names = [reply[model._first_entity + i] @ state for i in range(len(model.entities))]
    if not model.candidates:
        return np.array(names)
    given = x["candidates"][row].any(axis=-1)
    texts = [bag(reply, ids) @ state if there else -1e9 for ids, there in zip(x["candidates"][row], given)]
    return np.array([*([-1e9] * len(names) if given.any() else names), *texts])


@pytest.mark.parametrize("changes", [{}, {"hops": 3, "tied": False}, {"candidates": 3}])
def test_scores_are_those_of_the_equations(changes):
    model = small(**changes)
    for matrix in model.matrices.values():
        matrix.assign(RNG.normal(size=matrix.shape))
    x = random_inputs(model)
    found = model.predict(x, verbose=0)
    for row in range(4):
        np.testing.assert_allclose(found[row], by_hand(model, x, row), rtol=1e-4, atol=1e-4)


def test_without_hops_everything_said_is_one_bag():
    model = small(hops=0)
    x = random_inputs(model)
    read = ops.convert_to_numpy(model.read_vectors)
    ids = np.concatenate([x["message"], x["recent"].reshape(4, -1)], axis=1)
    bags = (read[ids] * (ids > 0)[..., None]).sum(axis=1)
    np.testing.assert_allclose(model.predict(x, verbose=0), bags @ read[model._first_entity :].T, rtol=1e-4, atol=1e-5)


def test_loss_shares_all_right_replies():
    model = small(max_replies=3)
    x, y = random_inputs(model), np.array([[0, -1, -1], [1, 3, -1], [4, 2, 0], [2, -1, -1]], "int32")
    scores = model.predict(x, verbose=0).astype("float64")
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    wanted = -np.mean([logs[row][right[right >= 0]].mean() for row, right in enumerate(y)])
    assert model.evaluate(x, y, verbose=0, return_dict=True)["loss"] == pytest.approx(wanted, rel=1e-4)


def test_hits_count_any_right_reply():
    scores = RNG.normal(size=(50, 9)).astype("float32")
    right = np.stack([RNG.permutation(9)[:3] for _ in range(50)])
    right[::2, 1:] = -1
    for k in (1, 3):
        metric = HitsAt(k)
        metric.update_state(right, scores)
        first = np.argsort(-scores, axis=1)[:, :k]
        wanted = np.mean([bool(set(row[row >= 0]) & set(best)) for row, best in zip(right, first)])
        assert float(metric.result()) == pytest.approx(wanted)
    equal = HitsAt(1)
    equal.update_state(np.array([[0]]), np.zeros((1, 2), "float32"))
    assert float(equal.result()) == 0.0


def test_rows_hold_what_was_said_and_facts_of_it():
    model = small()
    dialogue = [Exchange("who made Heat ?", ("Michael Mann",)), Exchange("who liked it ?", ("crime", "comedy"))]
    x, y = model.encode([dialogue], Retriever(KnowledgeBase(tuple(FACTS))))
    ids = {**{w: i for i, w in enumerate(model.words, start=2)}, **{e: model._first_entity + i for i, e in enumerate(model.entities)}}
    assert x["message"].tolist() == [
        [ids[u] for u in ("who", "made", "Heat", "?")] + [0],
        [ids[u] for u in ("who", "liked", "it", "?")] + [0],
    ]
    assert x["recent"][0].tolist() == [[0] * 5] * 2
    # the latest first: the reply, then the message
    assert x["recent"][1, 0].tolist() == [ids["Michael Mann"], 0, 0, 0, 0] and x["recent"][1, 1].tolist() == x["message"][0].tolist()
    # nothing in the second message has facts, the reply before it has one, then come those of the first message
    assert {tuple(fact) for fact in x["facts"][1].tolist() if any(fact)} == {tuple(fact) for fact in x["facts"][0].tolist() if any(fact)}
    assert y.tolist() == [[2, *[-1] * 19], [3, 4, *[-1] * 18]]


def test_facts_tell_names_that_were_never_a_reply():
    """Tied vectors: who learned to read one relation off facts answers for another film."""
    model = small(hops=1, recent=0, length=8)
    pairs = [("Heat", "Michael Mann"), ("Fargo", "comedy")]
    rows, y = [], []
    for film, name in pairs:
        rows.append(model._arrays([f"who made {film} ?"], [[]], [()], [(film, "directed_by", name), (film, "has_genre", "crime")]))
        y.append([model._entity_numbers[name], *[-1] * 19])
    x = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    model.optimizer.learning_rate = 0.05
    model.fit(x, np.array(y, "int32"), epochs=60, verbose=0)
    asked = {"message": "who made Heat ?", "knowledge": [("Heat", "directed_by", "comedy"), ("Heat", "has_genre", "crime")]}
    assert [name for name, _ in model.rank("who made Heat ?", knowledge=[("Heat", "directed_by", "Michael Mann")], top=1)] == [
        "Michael Mann"
    ]
    looked = model.attention(**asked)
    # facts as JSON gives them
    assert model.attention(**{**asked, "knowledge": [list(fact) for fact in asked["knowledge"]]}) == looked
    assert looked[0][0][0] == "Heat directed_by comedy" and sum(weight for _, weight in looked[0]) == pytest.approx(1.0, abs=1e-5)


def test_given_candidates_are_ranked():
    model = small(candidates=3)
    texts = ["who liked it ?", "made it"]
    ranked = model.rank("who made Heat ?", ["liked it"], FACTS, candidates=texts)
    assert sorted(name for name, _ in ranked) == sorted(texts) and ranked[0][1] >= ranked[1][1]
    assert len(model.rank("who made Heat ?", top=3)) == 3
    x, y = model.encode([[Exchange("who ?", ("made it",), candidates=tuple(texts))]])
    assert y[0, 0] == len(model.entities) + 1 and x["candidates"][0, 2].tolist() == [0] * 5


def test_words_are_those_outside_of_names():
    dialogues = [[Exchange("Who made The Fog of War?", ("Errol Morris",))], [Exchange("Who?", ("a", "b"), candidates=("so what", "b"))]]
    assert learn_words(dialogues, ["The Fog of War", "Errol Morris"]) == ["?", "who", "b", "made", "so", "what"]


def test_wrong_calls_are_refused_by_name():
    model = small()
    for call, name in (
        (lambda: model.encode([[Exchange("who ?", ("nobody",))]]), "dialogues"),
        (lambda: model.encode([["who ?"]]), "dialogues"),
        (lambda: model.rank("who ?", candidates=["it"]), "candidates"),
        (lambda: small(candidates=1).rank("who ?", candidates=["it", "who"]), "candidates"),
        (lambda: model.rank("who ?", knowledge=3), "knowledge"),
        (lambda: small(entities=["Heat", "Heat"]), "entities"),
        (lambda: small(hops=-1), "hops"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            call()


def test_without_recent_what_was_said_before_finds_no_facts():
    retriever = Retriever(KnowledgeBase(tuple(FACTS)))
    found = {recent: small(recent=recent)._facts_for("who ?", ["i liked Fargo"], retriever) for recent in (0, 1)}
    assert found == {0: [], 1: [FACTS[2]]}


def test_relations_of_ones_own():
    facts = [("Heat", "sold_in", "comedy"), ("Heat", "made_of", "comedy")]
    dialogue = [Exchange("who made Heat ?", ("comedy",))]
    words = learn_words([dialogue], ["Heat", "comedy"], knowledge=facts)
    assert {"sold_in", "made_of"} < set(words)
    x, _ = small(words=words, entities=["Heat", "comedy"]).encode([dialogue], facts)
    assert x["facts"][0, 0, 1] != x["facts"][0, 1, 1]
    with pytest.raises(ValueError, match="learn_words"):
        small().encode([dialogue], facts)


@pytest.mark.parametrize(
    ("exchange", "knowledge", "named"),
    [
        (Exchange(None, ("comedy",)), None, "messages are strings"),
        (Exchange("who", "comedy"), None, "replies are tuples"),
        (Exchange("who", ("it",), candidates=("it", "it")), None, "different"),
        (Exchange("who", ("it",), candidates=("it",)), None, "without candidates"),
        (Exchange("who", ("comedy",)), [("Heat", "comedy")], "film, relation, object"),
        (Exchange("who", ("comedy",)), ["abc"], "film, relation, object"),
    ],
)
def test_what_a_dialogue_and_a_fact_must_be(exchange, knowledge, named):
    with pytest.raises(ValueError, match=named):
        small().encode([[exchange]], knowledge)


def test_scores_that_are_no_numbers_are_no_hits():
    metric = HitsAt(1)
    metric.update_state(np.array([[0, -1]]), np.full((1, 5), np.nan, "float32"))
    metric.update_state(np.array([[-1, -1]]), np.zeros((1, 1), "float32"))
    assert float(metric.result()) == 0
