"""Multi-task sequence to sequence learning: parts that are shared and parts that stay, ratios, searches, several readers and writers."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import MultiTaskSeq2Seq
from zoo.text import TaskMixture

CONFIG = MultiTaskSeq2Seq.example_config()
SOURCES, TARGETS, TAGS = ["the cat sat", "a mat", "cat"], ["a cat", "the mat", "cat"], ["article noun verb", "article noun", "noun"]
PICTURES = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    made = MultiTaskSeq2Seq(**CONFIG)
    rng = np.random.default_rng(1)
    for weight in made.weights:
        if "float" in weight.dtype and weight.shape:
            weight.assign(0.7 * rng.normal(size=weight.shape).astype("float32"))
    return made


def rows(task):
    return (task, PICTURES if task == "captions" else SOURCES, TAGS if task == "tagging" else TARGETS)


@pytest.mark.parametrize("task", CONFIG["tasks"])
def test_the_branch_of_a_task_is_what_its_verbs_run(model, task):
    x = model.encode(*rows(task))
    np.testing.assert_allclose(model.predict(x, verbose=0), model.log_likelihood(*rows(task)), rtol=1e-5)
    texts = [" ".join(words) for n in (1, 2) for words in itertools.product(CONFIG["writers"][CONFIG["tasks"][task][1]], repeat=n)]
    scores = model.log_likelihood(task, np.repeat(PICTURES[:1], len(texts), 0) if task == "captions" else SOURCES[:1] * len(texts), texts)
    found = [pair for pair in model.write(task, rows(task)[1][:1], 60, 0.0, n_best=60)[0] if pair[0] in texts]
    known = dict(zip(texts, scores))
    assert len(found) > 5
    np.testing.assert_allclose([score for _, score in found], [known[text] for text, _ in found], rtol=1e-4)
    assert found[0][1] >= max(scores) - 1e-4


def test_a_step_changes_the_parts_of_its_task_alone():
    model = MultiTaskSeq2Seq(**{**CONFIG, "dropout": 0.0})
    model.compile(keras.optimizers.SGD(0.5))
    parts = [*model._reading, *model._writing]

    def changed(task):
        before = [[ops.convert_to_numpy(weight) for weight in part.weights] for part in parts]
        model.fit(model.encode(*rows(task)), verbose=0)
        return [
            part.name for part, old in zip(parts, before) if any(np.any(ops.convert_to_numpy(a) != b) for a, b in zip(part.weights, old))
        ]

    assert changed("translation") == ["reader_source", "writer_target"]
    assert changed("tagging") == ["reader_source", "writer_tags"]
    assert changed("captions") == ["reader_picture", "writer_target"]


def test_dropout_is_drawn_anew_for_every_step():
    model = MultiTaskSeq2Seq(**{**CONFIG, "dropout": 0.5})
    x = model.encode(*rows("translation"))
    model.compile(keras.optimizers.SGD(0.0))
    losses = model.fit(x, epochs=4, verbose=0, shuffle=False).history["loss"]
    assert len(set(np.round(losses, 6))) == 4


def test_tasks_are_mixed_in_their_ratios():
    data = [({"task": np.full(n, i), "row": np.arange(n)}, ratio) for i, (n, ratio) in enumerate([(40, 1.0), (10, 0.5), (7, 0.25)])]
    mixture = TaskMixture(data, 4, seed=3)
    # ten batches of the first task, and so many others that their shares are right
    assert len(mixture) == round(10 * 1.75)
    seen = {0: [], 1: [], 2: []}
    for _ in range(200):
        for index in range(len(mixture)):
            ((batch),) = mixture[index]
            assert len(set(batch["task"])) == 1 and len(batch["row"]) == 4
            seen[int(batch["task"][0])] += batch["row"].tolist()
        mixture.on_epoch_end()
    shares = np.array([len(rows) for rows in seen.values()]) / sum(map(len, seen.values()))
    np.testing.assert_allclose(shares, np.array([4, 2, 1]) / 7, atol=0.02)
    # every passing has each row once
    for size, found in zip((40, 10, 7), seen.values()):
        assert sorted(found[:size]) == list(range(size)) and sorted(found[size : 2 * size]) == list(range(size))


def test_learns_all_tasks_from_one_mixture():
    keras.utils.set_random_seed(0)
    model = MultiTaskSeq2Seq(**{**CONFIG, "units": 24, "embedding_size": 12, "dropout": 0.0, "num_layers": 1})
    model.optimizer.learning_rate = 0.02
    history = model.fit(model.mixed({task: rows(task)[1:] for task in CONFIG["tasks"]}, 3), epochs=80, verbose=0).history
    assert {f"perplexity_{task}" for task in CONFIG["tasks"]} <= set(history)
    for task in CONFIG["tasks"]:
        assert model.write(task, rows(task)[1]) == rows(task)[2]
    assert model.sample("tagging", SOURCES, top_k=1, seed=0) == TAGS


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda m: m.encode("parsing", SOURCES), "task"),
        (lambda m: m.encode("captions", SOURCES), "sources"),
        (lambda m: m.encode("captions", np.zeros((2, 4))), "sources"),
        (lambda m: m.encode("translation", PICTURES), "sources"),
        (lambda m: m.encode("translation", SOURCES, TARGETS[:1]), "targets"),
        (lambda m: m.mixed({"tagging": (SOURCES, TAGS)}), "pairs"),
        (lambda m: m.mixed({"translation": (SOURCES, TARGETS), "more": (SOURCES, TAGS)}), "task"),
        (lambda m: m.predict({**m.encode(*rows("translation")), "task": np.array([0, 1, 0])}), "task"),
        (lambda m: m.predict({**m.encode(*rows("translation")), "task": np.array([3, 3, 3])}), "task"),
        (lambda m: MultiTaskSeq2Seq(**{**CONFIG, "tasks": {"a": ["source", "nobody"]}}), "tasks"),
        (lambda m: MultiTaskSeq2Seq(**{**CONFIG, "ratios": {"parsing": 1.0}}), "ratios"),
        (lambda m: MultiTaskSeq2Seq(**{**CONFIG, "ratios": {"tagging": 0.0}}), "ratios"),
        (lambda m: MultiTaskSeq2Seq(**{**CONFIG, "readers": {}}), "readers"),
        (lambda m: MultiTaskSeq2Seq(**{**CONFIG, "units": 0}), "units"),
    ],
)
def test_refused(model, call, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        call(model)
