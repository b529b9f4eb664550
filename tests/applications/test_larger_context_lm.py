"""Larger-context language models: fusions by hand, what is read at once against step by step, contexts of documents."""

import numpy as np
import pytest
from keras import ops

from zoo.applications import LargerContextLM
from zoo.text import with_contexts

CONFIG = {**LargerContextLM.example_config(), "dropout": 0.0}
TEXTS = [["the cat sat", "on a mat", "the cat"], ["a mat", "a cat sat"], ["the mat sat on"]]
KINDS = [("none", "late"), *((context, fusion) for context in ("bag", "sequence", "attention") for fusion in ("early", "late"))]


def model_of(context, fusion, **arguments):
    """With random weights."""
    model = LargerContextLM(**{**CONFIG, "context": context, "fusion": fusion, **arguments})
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if "float" in weight.dtype and weight.shape:
            weight.assign(0.7 * rng.normal(size=weight.shape).astype("float32"))
    return model


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def model(request):
    return model_of(*request.param)


def test_what_is_read_at_once_is_read_step_by_step(model):
    columns = model._columns(TEXTS)
    step, state = model._stepper(model._packed(columns))
    before, nats = np.full(3, model.end, "int32"), []
    for target in np.concatenate([columns[-1], np.zeros((3, 1), "int32")], axis=1).T:
        logits, state = step(before, state)
        before = np.where(target, target, model.end).astype("int32")
        nats.append(-np.take_along_axis(ops.convert_to_numpy(ops.log_softmax(logits)), before[:, None], axis=1)[:, 0])
    for row, wanted in zip(np.stack(nats, axis=1), model.word_nats(TEXTS)):
        np.testing.assert_allclose(row[: len(wanted)], wanted, rtol=1e-4, atol=1e-5)


def test_only_a_context_changes_the_words_behind_it(model):
    alone, other = ["the cat"], [["sat sat sat", "the cat"]]
    changed = np.any(np.abs(model.word_nats(alone)[0] - model.word_nats(other)[0]) > 1e-6)
    assert changed == (model.context != "none")
    # sentences without words, and those that are too far away, are none
    np.testing.assert_allclose(model.word_nats([["", "", "the cat"]])[0], model.word_nats(alone)[0], rtol=1e-5)
    far = [["on on", "a mat", "sat sat", "the cat"]], [["a mat", "sat sat", "the cat"]]
    np.testing.assert_allclose(model.word_nats(far[0])[0], model.word_nats(far[1])[0], rtol=1e-5)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("fusion", ["early", "late"])
def test_fusion_of_a_bag_by_hand(fusion):
    model = model_of("bag", fusion)
    w = {weight.name: ops.convert_to_numpy(weight) for weight in model.writer.weights if weight.name != "embeddings"}
    vectors, context = (ops.convert_to_numpy(layer.embedding.embeddings) for layer in (model.writer, model.writer.reader))
    x = model.encode(TEXTS[:1])
    words = x["context"][x["context"] > 0]
    assert len(words) == 6
    p = context[words].mean(axis=0) @ w["context_kernel"]
    h, c, total = np.zeros(4), np.zeros(4), 0.0
    for before, target in zip([model.end, *x["text"][0, :2]], [*x["text"][0, :2], model.end]):
        sums = vectors[before] @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"] + (p if fusion == "early" else 0)
        i, f, g, o = np.split(sums, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        r = sigmoid(p @ w["gate_context"] + c @ w["gate_cell"] + w["gate_bias"]) if fusion == "late" else 0
        h = sigmoid(o) * np.tanh(c + r * p if fusion == "late" else c)
        logits = ops.convert_to_numpy(model.word_softmax.logits(h[None].astype("float32")))[0]
        total += logits[target] - np.log(np.exp(logits).sum())
    assert model.log_likelihood(TEXTS[:1])[0] == pytest.approx(total, rel=1e-4)


def test_a_context_is_learned():
    """The only word of a sentence is that of the sentence before."""
    words = CONFIG["vocabulary"][:3]
    texts = [[word, word] for word in words]
    for context in ("bag", "sequence", "attention"):
        model = LargerContextLM(**{**CONFIG, "context": context, "context_units": 8, "units": 8})
        model.optimizer.learning_rate = 0.05
        model.fit(model.encode(texts * 4), epochs=200, verbose=0)
        assert np.exp(model.log_likelihood(texts)).min() > 0.8
        assert model.sample(2, seed=0, top_k=1, after=[["cat"], ["sat"]]) == ["cat", "cat", "sat", "sat"]
        assert model.complete([["sat", "the"]], words=3, beams=2)[0].startswith("the")


def test_contexts_of_documents():
    documents = [["a", "b", "c", "d"], [], ["e"]]
    assert with_contexts(documents, 2) == [["a"], ["a", "b"], ["a", "b", "c"], ["b", "c", "d"], ["e"]]
    assert with_contexts(documents, 0) == [["a"], ["b"], ["c"], ["d"], ["e"]]
    with pytest.raises(ValueError, match="`sentences`"):
        with_contexts(documents, -1)


@pytest.mark.parametrize(
    "config, name",
    [
        ({"context": "all"}, "context"),
        ({"fusion": "none"}, "fusion"),
        ({"sentences": 0}, "sentences"),
        ({"context_units": 3}, "context_units"),
        ({"units": 0}, "units"),
        ({"embedding_size": -1}, "embedding_size"),
    ],
)
def test_refused(config, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        LargerContextLM(**{**CONFIG, **config})
