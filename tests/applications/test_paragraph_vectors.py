"""Paragraph vectors: each form's loss against a loop over words, learning on documents of two topics, inference, verbs, and gensim."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import metrics, text
from zoo.applications import ParagraphVectors

RNG = np.random.default_rng(0)
TOPICS = [[f"{kind}{i}" for i in range(20)] for kind in ("fish", "bird")]


def documents(n=60, words=40, seed=0):
    """Documents of two topics that share common words, and their topics."""
    rng = np.random.default_rng(seed)
    topics = np.arange(n) % 2
    return [list(rng.choice([*TOPICS[t], *["the", "of", "and"] * 4], words)) for t in topics], topics


def small(seed=0, **arguments):
    keras.utils.set_random_seed(seed)
    return ParagraphVectors(**{**ParagraphVectors.example_config(), **arguments})


def topical(texts, **arguments):
    keras.utils.set_random_seed(0)
    settings = {"dim": 8, "window": 2, "run": 8, "learning_rate": 0.05, "sample": 0, "length": 40, "most_uses": 16}
    return ParagraphVectors.from_texts(texts, **{**settings, **arguments})


FORMS = {
    "dbow": {"form": "dbow", "train_words": False},
    "dbow with words": {"form": "dbow", "train_words": True},
    "dm mean": {"form": "dm", "context": "mean"},
    "dm sum": {"form": "dm", "context": "sum"},
    "dm concat": {"form": "dm", "context": "concat"},
}
PREDICTIONS = {
    "hs": {"prediction": "hierarchical_softmax"},
    "neg": {"prediction": "negative_sampling"},
    "shared": {"prediction": "negative_sampling", "shared_negatives": 16},
}


@pytest.mark.parametrize("form", FORMS)
def test_loss_is_a_loop_over_words(form):
    """With the softmax of the tree as oracle, and a window of one, which has nothing random."""
    model = small(**FORMS[form], **PREDICTIONS["hs"], window=1, run=4)
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    lines = [[2, 5, 3], [4, 4, 6, 7, 2, 3]]
    ids = np.array([line + [0] * (7 - len(line)) for line in lines])
    vectors = ops.convert_to_numpy(model.documents)
    words = ops.convert_to_numpy(model.words) if model.halo else None

    def loss(x, word):
        return -float(model.predict_words.log_probabilities(x.astype("float32"))[word - 2])

    total = 0.0
    for vector, line in zip(vectors, lines):
        for place, word in enumerate(line):
            near = [words[line[j] - 2] if 0 <= j < len(line) else None for j in (place - 1, place + 1)] if model.halo else []
            there = [v for v in near if v is not None]
            if form == "dm concat":
                total += loss(np.concatenate([vector, *(np.zeros(4) if v is None else v for v in near)]), word)
            elif form.startswith("dm"):
                total += loss(sum([vector, *there]) / (1 if "sum" in form else 1 + len(there)), word)
            else:
                total += loss(vector, word) + sum(loss(v, word) for v in there)
    batch = model.chunks(ids, batch_size=4)[0]
    found = model.objective(batch, None, model(batch), None, True)
    np.testing.assert_allclose(float(found), total / 9, rtol=1e-4)


@pytest.mark.parametrize(
    ("form", "prediction"),
    [("dbow", "hs"), ("dbow with words", "shared"), ("dm mean", "neg"), ("dm sum", "shared"), ("dm concat", "hs")],
)
def test_learns_topics_and_infers_them(form, prediction):
    texts, topics = documents()
    model = topical(texts, **FORMS[form], **PREDICTIONS[prediction])
    history = model.fit(texts, epochs=50 if "dm" in form else 30, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < history[0]
    new, new_topics = documents(20, seed=1)
    known, inferred = model.infer(new), ops.convert_to_numpy(model.documents)
    centres = np.stack([inferred[topics == t].mean(0) for t in (0, 1)])
    axis, middle = centres[1] - centres[0], centres.mean(0)
    for vectors, labels in ((inferred, topics), (known, new_topics)):
        assert np.mean(((vectors - middle) @ axis > 0) == labels) > 0.9


def test_inference_leaves_the_model_and_does_not_depend_on_company():
    texts, _ = documents(10)
    model = topical(texts)
    model.fit(texts, epochs=2, verbose=0)
    before = model.get_weights()
    together, alone = model.infer(texts, steps=5), model.infer(texts[3:4], steps=5)
    np.testing.assert_allclose(together[3], alone[0], atol=1e-6)
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))
    joined = [" ".join(line) for line in texts]
    np.testing.assert_allclose(model.infer(joined, steps=5), together, atol=1e-6)
    np.testing.assert_allclose(model.predict(model.encode(joined), verbose=0), model.infer(joined), atol=1e-5)
    np.testing.assert_array_equal(model.infer(["nothing known"]), np.zeros((1, 8)))
    padded = np.array([[2, 1, 0, 3], [2, 3, 0, 0]])
    np.testing.assert_allclose(*model.infer(padded), atol=1e-6)


def test_inference_lowers_the_loss_and_evaluate_tells():
    texts, _ = documents(30)
    model = topical(texts)
    model.fit(texts, epochs=20, batch_size=16, verbose=0)
    ids = model.encode([" ".join(line) for line in documents(6, seed=2)[0]])
    inferred = model.evaluate(ids, verbose=0)
    model.steps = 1
    model.compile()
    assert inferred < model.evaluate(ids, verbose=0)


def test_most_similar_and_arithmetic():
    model = small(vocabulary=["a", "b", "c"], counts=[3, 2, 1], num_documents=4, dim=2)
    model.documents.assign([[1, 0], [0, 2], [3, 3], [-1, 0]])
    model.words.assign([[5, 0], [0, 1], [-2, 0]])
    assert [i for i, _ in model.most_similar(0)] == [2, 1, 3]
    assert model.most_similar(0, k=1)[0][1] == pytest.approx(0.5**0.5)
    assert [i for i, _ in model.most_similar(np.array([0, 1.0]), k=2)] == [1, 2]
    assert model.most_similar(positive=["a", "b"], k=1) == [(2, pytest.approx(1))]
    assert model.most_similar(positive=[2], negative=["a"], k=1)[0][0] == 1
    assert [w for w, _ in model.most_similar(positive=["a"], among="words")] == ["b", "c"]
    np.testing.assert_array_equal(model.vector("c"), [-2, 0])
    for call, name in (
        (lambda: model.vector("d"), "word"),
        (lambda: model.most_similar(), "query"),
        (lambda: model.most_similar(4), "query"),
        (lambda: model.most_similar(np.ones(3)), "query"),
        (lambda: model.most_similar(0, among="letters"), "among"),
        (lambda: model.infer(["a"], steps=0), "steps"),
        (lambda: model.infer("the cat sat"), "texts"),
        (lambda: model.bags("the cat sat"), "texts"),
        (lambda: model.fit("the cat sat"), "x"),
        (lambda: model.most_similar(0, k=-1), "k"),
        (lambda: small(**FORMS["dbow"]).vector("the"), "words"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            call()


def test_refusals():
    config = ParagraphVectors.example_config()
    for name, bad in {
        "form": "bag",
        "context": "max",
        "window": 0,
        "prediction": "softmax",
        "counts": [1],
        "vocabulary": ["a", "a"],
        "num_documents": 0,
        "sample": -1,
        "negative": 0,
    }.items():
        with pytest.raises(ValueError, match=f"`{name}`"):
            ParagraphVectors(**{**config, name: bad})
    model = small()
    with pytest.raises(ValueError, match="`x` must hold at most 6"):
        model.fit([["cat"]] * 7)
    with pytest.raises(ValueError, match="`y`"):
        model.fit([["cat"]], [1])


def test_a_step_moves_the_rows_in_use_alone():
    model = small(form="dbow", train_words=True, num_documents=5000, sample=0.0)
    before = [ops.convert_to_numpy(v) for v in (model.documents, model.words)]
    model.predict_words.table.assign(np.ones(model.predict_words.table.shape))
    model.fit(model.chunks([["the", "cat"], [], ["cat", "the"]], batch_size=2), verbose=0)
    moved = [np.flatnonzero((ops.convert_to_numpy(v) != old).any(1)) for v, old in zip((model.documents, model.words), before)]
    assert moved[0].tolist() == [0, 2] and moved[1].tolist() == [0, 1]


def test_quality_is_gensims():
    doc2vec = pytest.importorskip("gensim.models.doc2vec")
    texts, topics = documents(80)
    rng = np.random.default_rng(3)
    anchor = rng.integers(0, 80, 2000)
    near, far = (anchor + 2 * rng.integers(1, 40, 2000)) % 80, (anchor + 2 * rng.integers(1, 40, 2000) + 1) % 80
    theirs = doc2vec.Doc2Vec(
        [doc2vec.TaggedDocument(line, [i]) for i, line in enumerate(texts)],
        dm=0,
        vector_size=8,
        min_count=1,
        sample=0,
        epochs=20,
        alpha=0.05,
        seed=0,
        workers=1,
    )
    model = topical(texts, **FORMS["dbow"], **PREDICTIONS["neg"])
    model.fit(texts, epochs=20, batch_size=8, verbose=0)
    expected, found = (
        metrics.triplet_accuracy(v[anchor], v[near], v[far]) for v in (theirs.dv.vectors, ops.convert_to_numpy(model.documents))
    )
    assert expected > 0.8 and found > expected - 0.05
    assert sorted(model.vocabulary) == sorted(theirs.wv.key_to_index)
    assert model.counts == [theirs.wv.get_vecattr(w, "count") for w in model.vocabulary] == text.count_words(texts, model.vocabulary)


def test_a_long_document_costs_the_others_nothing(monkeypatch):
    model = small()
    shapes, inference = [], model._inference

    def watched(width):
        def run(ids, steps):
            shapes.append(ids.shape)
            return inference(width)(ids, steps)

        return run

    monkeypatch.setattr(model, "_inference", watched)
    rng = np.random.default_rng(0)
    short = [[str(word) for word in rng.choice(model.vocabulary, 3)] for _ in range(40)]
    long = [str(word) for word in rng.choice(model.vocabulary, 300)]
    together = model.infer([*short[:20], long, *short[20:]], steps=2)
    assert sum(rows * width for rows, width in shapes) < 64 * model.run + 2 * 300
    np.testing.assert_allclose(np.delete(together, 20, axis=0), model.infer(short, steps=2), atol=1e-6)
    np.testing.assert_allclose(together[20], model.infer([long], steps=2)[0], atol=1e-6)


def test_inference_makes_as_many_passes_as_training():
    texts = ["a b c d", "c d e"]
    model = ParagraphVectors.from_texts(texts, dim=4, sample=0)
    ids = model.encode(texts)
    # before training there are 5; `predict` was compiled with them
    np.testing.assert_allclose(model.predict(ids, verbose=0), model.infer(texts, steps=5), atol=1e-6)
    model.fit(texts, epochs=3, verbose=0)
    for found in (model.infer(texts), model.predict(ids, verbose=0), model.from_config(model.get_config()).steps):
        np.testing.assert_allclose(found, 3 if np.ndim(found) == 0 else model.infer(texts, steps=3), atol=1e-6)
    model.fit(texts, epochs=2, verbose=0)
    assert model.steps == 3
    model = ParagraphVectors.from_texts(texts, dim=4, steps=7)
    model.fit(texts, verbose=0)
    assert model.steps == 7


def test_capitals_do_not_matter_in_lists_of_words():
    lists = [["The", "cat"], ["the", "CAT", "sat"]]
    model = ParagraphVectors.from_texts(lists, dim=4)
    assert model.vocabulary == ["cat", "the", "sat"] and model.counts == [2, 2, 1]
    np.testing.assert_array_equal(model.infer(lists), model.infer([" ".join(words) for words in lists]))
