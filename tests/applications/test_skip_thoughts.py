"""Skip-thoughts: vectors and losses against loops, padding, neighbours, expansion, generation, strings in the exported model."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import SkipThoughts

WORDS = ["the", "cat", "sat", "on", "mat", "dog", "ran"]
DOCUMENTS = [["The cat sat", "the dog ran on", "the mat"], ["alone"], ["cat", "dog the cat sat on the mat ran"]]


def make(**arguments):
    keras.utils.set_random_seed(0)
    return SkipThoughts(WORDS, **{"dim": 6, "embedding_size": 5, "length": 6, **arguments})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(layer, inputs, context=None):
    """States of the paper's equations for one sentence, float64."""
    weights = (layer.kernel, layer.cell.gates_kernel, layer.cell.candidate_kernel, layer.bias)
    kernel, gates, candidate, bias = (ops.convert_to_numpy(w).astype("float64") for w in weights)
    recurrent = np.concatenate([gates, candidate], axis=1)
    given = bias if context is None else bias + context @ ops.convert_to_numpy(layer.context_kernel)
    n, h, states = layer.units, np.zeros(layer.units), []
    for x in inputs:
        drive = x @ kernel + given
        r, z = sigmoid(drive[:n] + h @ recurrent[:, :n]), sigmoid(drive[n : 2 * n] + h @ recurrent[:, n : 2 * n])
        h = (1 - z) * h + z * np.tanh(drive[2 * n :] + (r * h) @ recurrent[:, 2 * n :])
        states.append(h)
    return np.array(states)


def sentence_vector(part, ids):
    table = ops.convert_to_numpy(part.embedding)
    inputs = [table[i] for i in ids if i]
    orders = [inputs, inputs[::-1]][: len(part.encoders)]
    return np.concatenate([gru(layer, order)[-1] for layer, order in zip(part.encoders, orders)])


def losses_of(part, ids, neighbours, length):
    """Of the previous and of the next sentence."""
    table, totals, vector = ops.convert_to_numpy(part.embedding), [], sentence_vector(part, ids)
    weights, bias = (ops.convert_to_numpy(w).astype("float64") for w in part.prediction.get_weights())
    for decoder, row in zip(part.decoders, neighbours):
        words = [i for i in row if i]
        # the end is a symbol where there is room for it
        targets = [*words, len(WORDS) + 2][:length] if words else []
        inputs = [np.zeros(table.shape[1]), *(table[i] for i in words)][: len(targets)]
        scores = [(h @ weights + bias, target) for h, target in zip(gru(decoder, inputs, vector), targets)]
        totals.append(-sum(logits[target] - np.log(np.exp(logits).sum()) for logits, target in scores))
    return np.array(totals)


@pytest.mark.parametrize("encoder", ["uni", "bi", "combine"])
def test_vectors_and_loss_are_the_papers(encoder):
    model = make(encoder=encoder)
    for variable in model.trainable_variables:
        variable.assign(3 * ops.convert_to_numpy(variable))
    data = model.triples(DOCUMENTS)
    expected = [np.concatenate([sentence_vector(part, row) for part in model.parts]) for row in data["x"]]
    found = model.predict(data["x"], verbose=0)
    assert found.shape == (5, 12 if encoder == "combine" else 6)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    neighbours = list(zip(data["y"]["previous"], data["y"]["next"]))
    losses = np.array([sum(losses_of(part, row, pair, 6) for part in model.parts) for row, pair in zip(data["x"], neighbours)])
    assert model.evaluate(**data, verbose=0) == pytest.approx(np.mean(losses.sum(axis=1)), rel=1e-5)
    weights = np.array([1, 0, 2, 0.5, 3], "float32")
    # one weight a sentence, or one a neighbour
    for given, expected in ((weights, weights[:, None]), ({"previous": weights, "next": 2 * weights}, weights[:, None] * [1, 2])):
        found = model.evaluate(**data, sample_weight=given, verbose=0)
        assert found == pytest.approx(np.mean(np.sum(losses * expected, axis=1)), rel=1e-5)


def test_triples_stay_within_documents():
    model = make()
    data = model.triples(DOCUMENTS)
    flat = model.encode([s for d in DOCUMENTS for s in d])
    nothing = np.zeros(6, "int32")
    np.testing.assert_array_equal(data["x"], flat[[0, 1, 2, 4, 5]])
    np.testing.assert_array_equal(data["y"]["previous"], [nothing, flat[0], flat[1], nothing, flat[4]])
    np.testing.assert_array_equal(data["y"]["next"], [flat[1], flat[2], nothing, flat[5], nothing])
    for bad in ("a text", ["a", "b"], [["alone"]]):
        with pytest.raises(ValueError):
            model.triples(bad)


def test_hierarchical_softmax_is_a_distribution_that_the_loss_uses():
    model = make(prediction="hierarchical_softmax", counts=[9, 5, 4, 3, 2, 2, 1], encoder="bi")
    part = model.parts[0]
    part.prediction.table.assign(np.random.default_rng(0).normal(size=part.prediction.table.shape))
    vectors = ops.convert_to_tensor(np.random.default_rng(1).normal(size=(1, 6)).astype("float32"))
    ids = np.array([[3, 2, 0, 0, 0, 0]], "int32")
    h, total = ops.zeros((1, 6)), 0.0
    for before, target in ((0, 3), (3, 2), (2, len(WORDS) + 2)):
        h = part.step(np.array([before], "int32"), h, vectors, 1)
        chances = np.exp(ops.convert_to_numpy(part.logits(h))[0])
        assert chances.sum() == pytest.approx(1, abs=1e-5)
        total -= np.log(chances[target])
    assert float(part.losses(vectors, [np.zeros_like(ids), ids])[0, 1]) == pytest.approx(total, rel=1e-5)


def test_padding_changes_nothing():
    short, long = make(), make(length=11)
    long.set_weights(short.get_weights())
    texts = ["the cat sat", "", "the dog"]
    np.testing.assert_allclose(short.vectors(texts), long.vectors(texts), atol=1e-6)
    assert not short.vectors(texts)[1].any()


def test_expansion_recovers_an_exact_map():
    model, rng = make(encoder="combine"), np.random.default_rng(0)
    # the model's word vectors are linear images of a space of four dimensions
    words, space = [*WORDS, "feline", "canine"], rng.normal(size=(9, 4))
    maps = rng.normal(size=(2, 4, 5))
    for part, linear in zip(model.parts, maps):
        part.embedding.assign(np.concatenate([rng.normal(size=(2, 5)), space[:7] @ linear]))
    order = rng.permutation(9)
    larger = model.expand_vocabulary([words[i] for i in order], space[order])
    places = [words.index(word) for word in larger.expanded]
    assert sorted(places) == [7, 8]
    for part, linear in zip(larger.parts, maps):
        np.testing.assert_allclose(part.expansion, space[places] @ linear, atol=1e-5)
    assert larger.encode(["feline unheard"])[0, :2].tolist() == [9 + places.index(7), 1]
    np.testing.assert_allclose(larger.vectors(["the cat"]), model.vectors(["the cat"]), atol=1e-6)
    # a second space adds to the first
    again = larger.expand_vocabulary([*WORDS, "feline", "tiger"], np.concatenate([space[:8], space[:1]]))
    assert again.expanded == [*larger.expanded, "tiger"]
    np.testing.assert_allclose(again.vectors(["the canine sat", "tiger"]), larger.vectors(["the canine sat", "the"]), atol=1e-5)
    # decoders write what the vocabulary has: another word is unknown to them
    new, unknown = (
        {"x": larger.encode(["the cat"]), "y": dict.fromkeys(("previous", "next"), larger.encode([w]))} for w in ("canine", "?")
    )
    assert larger.evaluate(**new, verbose=0) == pytest.approx(larger.evaluate(**unknown, verbose=0))


def test_it_learns_to_write_neighbours():
    model = make(dim=16, embedding_size=8)
    model.compile(keras.optimizers.Adam(2e-2, global_clipnorm=10.0), steps_per_execution=8)
    model.fit(**model.triples([["the cat", "the mat sat"], ["a dog", "dog ran on"]] * 200), epochs=8, verbose=0)
    assert model.generate(["the cat", "a dog"], beams=2) == ["the mat sat", "dog ran on"]
    assert model.generate(["the mat sat"], "previous", temperature=0.05) == ["the cat"]
    if keras.backend.backend() == "tensorflow":
        served = model.signatures()["next"][0](ops.convert_to_tensor(["the cat"]))["words"].numpy()[0]
        assert [word.decode() for word in served if word] == ["the", "mat", "sat"]
    best = model.most_similar("the cat", ["the mat sat", "a dog", "the cat", "on on"], k=2)
    assert best[0] == (2, pytest.approx(1, abs=1e-5)) and len(best) == 2


def test_from_documents_counts_words():
    model = SkipThoughts.from_documents(DOCUMENTS, max_words=4, dim=4, embedding_size=3, length=5)
    assert model.vocabulary == ["the", "cat", "dog", "mat"] and model.counts == [5, 3, 2, 2]


def test_bad_input_is_refused():
    model = make()
    for bad, match in (
        ({"encoder": "tri"}, "encoder"),
        ({"prediction": "sampled"}, "prediction"),
        ({"prediction": "hierarchical_softmax"}, "counts"),
        ({"dim": 5, "encoder": "bi"}, "dim"),
        ({"length": 0}, "length"),
        ({"expanded": ["cat"]}, "vocabulary"),
    ):
        with pytest.raises(ValueError, match=match):
            make(**bad)
    for words, vectors, match in ((["x"], np.ones((1, 2)), "words"), (["cat"], np.ones((2, 2)), "vectors")):
        with pytest.raises(ValueError, match=match):
            model.expand_vocabulary(words, vectors)
    for bad in ({"direction": "up"}, {"words": -1}, {"temperature": 0}, {"beams": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            model.generate(["the cat"], **bad)
    with pytest.raises(ValueError, match="query"):
        model.most_similar(3, ["a"])
