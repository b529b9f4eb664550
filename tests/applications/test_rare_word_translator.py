"""Rare words: annotations of closed cases, words put back against the function on strings, ensembles against means of probabilities."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import RareWordTranslator
from zoo.text import replace_unknown, tokenize

SOURCES, TARGETS = ["The mat sat on a hill", "zoo, mat mat", "a dog"], ["a rug a bb", "rug zz", "the a cat dd"]
LINKS = [[(0, 0), (1, 1), (4, 2), (5, 3)], [(0, 1), (2, 0), (3, 0)], [(0, 0), (1, 3)]]
POINTING = ("posunk", "posall", "copy")


def small(annotation="posunk", seed=0, **options):
    keras.utils.set_random_seed(seed)
    model = RareWordTranslator(**{**RareWordTranslator.example_config(), "annotation": annotation, **options})
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32") * 0.7)
    return model


@pytest.mark.parametrize(
    "annotation, expected",
    [
        # section 3.1: the second unknown word comes twice and is one; rug is linked to it, zz to the first
        ("copy", [("<unk1> , <unk2> <unk2>", "<unk2> <unk1>"), ("<unk1> <unk2>", "the a cat <unk2>")]),
        # section 3.2: two symbols a word; a and cat have no link
        (
            "posall",
            [
                ("<unknown> , <unknown> <unknown>", "<unknown> <p-2> <unknown> <p+1>"),
                ("<unknown> <unknown>", "the <p+0> a <p> cat <p> <unknown> <p+2>"),
            ],
        ),
        # section 3.3: the unknown words alone
        ("posunk", [("<unknown> , <unknown> <unknown>", "<unkpos-2> <unkpos+1>"), ("<unknown> <unknown>", "the a cat <unkpos+2>")]),
        ("none", [("<unknown> , <unknown> <unknown>", "<unknown> <unknown>"), ("<unknown> <unknown>", "the a cat <unknown>")]),
    ],
)
def test_annotations_of_a_closed_case(annotation, expected):
    assert small(annotation).annotate(SOURCES[1:], TARGETS[1:], LINKS[1:]) == expected


def test_links_that_go_too_far_or_beyond_point_nowhere():
    links = [[(5, 0), (0, 3)]]
    assert small("posunk", max_offset=2).annotate(SOURCES[:1], ["zz a a yy"], links)[0][1] == "<unknown> a a <unknown>"
    assert small("posall", max_offset=2).annotate(SOURCES[:1], ["zz a"], [[(5, 0)]])[0][1] == "<unknown> <p> a <p>"
    assert small("posunk", max_offset=9).annotate(SOURCES[:1], ["zz a a yy"], links)[0][1] == "<unkpos-5> a a <unkpos+3>"
    assert small("posunk", max_offset=9, source_length=3).annotate(SOURCES[:1], ["zz a a yy"], links)[0][1] == "<unknown> a a <unkpos+3>"
    # mat is known by the copy model only as long as there are symbols
    assert small("copy", num_copies=1).annotate(SOURCES[:1], TARGETS[:1], LINKS[:1]) == [
        ("the <unk1> sat on <unknown> <unknown>", "a <unk1> a <unknown>")
    ]


@pytest.mark.parametrize("annotation", POINTING)
def test_annotated_targets_read_back_as_the_dictionary_has_them(annotation):
    """rug is the dictionary's for mat; hill, zoo and dog are copied."""
    model = small(annotation)
    ids = model.encode(SOURCES, TARGETS, LINKS)["target"]
    assert model._finished(ids, SOURCES) == ["a rug a hill", "rug zoo", "the a cat dog"]


@pytest.mark.parametrize("annotation", POINTING)
@pytest.mark.parametrize("unknown", [False, True])
def test_any_symbols_read_back_as_by_hand(annotation, unknown):
    """Random symbols, many of which make no sense, against a slow reader and `replace_unknown`."""
    model, rng = small(annotation), np.random.default_rng(0)
    ids = np.where(np.arange(10) < rng.integers(1, 11, (200, 1)), rng.integers(1, model.end, (200, 10)), 0)
    sources = [SOURCES[i % 3] for i in range(200)]
    texts, places = [], []
    for row, source in zip(ids, model.encode(sources)["source"]):
        marks, words, found = [model._words[i] for i in row if i], [], []
        for at, mark in enumerate(marks):
            if mark.startswith("<p"):
                continue
            behind = marks[at + 1] if at + 1 < len(marks) else ""
            if mark.startswith("<unkpos"):
                found.append(len(words) - int(mark[7:-1]))
            elif mark.startswith("<unk") and mark != "<unknown>":
                copies = np.flatnonzero(source == model.first_copy + int(mark[4:-1]) - 1)
                found.append(copies[0] if len(copies) else -1)
            elif mark == "<unknown>":
                found.append(len(words) - int(behind[2:-1]) if behind.startswith("<p") and behind != "<p>" else -1)
            words.append("<unknown>" if mark.startswith("<unk") else mark)
        texts.append(" ".join(words))
        places.append(found)
    wanted = replace_unknown(texts, [line[: model.source_length] for line in tokenize(sources)], places, model.dictionary)
    if not unknown:
        wanted = [" ".join(word for word in line.split() if word != "<unknown>") for line in wanted]
    assert model._finished(ids, sources, unknown) == wanted


@pytest.mark.parametrize("annotation", ["posunk", "none"])
def test_an_ensemble_writes_by_the_mean_of_probabilities(annotation):
    models = [small(annotation, seed) for seed in range(3)]
    words = models[0].translate(SOURCES[:1], beams=1, raw=True, unknown=True, with_models=models[1:])[0].split()
    symbols = list(models[0]._words[:-1])
    source = models[0].encode(SOURCES[:1])["source"]
    parts = [model._stepper(source) for model in models]
    states, before = [state for _, state in parts], models[0].end
    for at in range(len(words) + 1):
        steps = [step(np.array([before], "int32"), state) for (step, _), state in zip(parts, states)]
        states = [state for _, state in steps]
        mean = np.mean([ops.convert_to_numpy(ops.softmax(logits))[0] for logits, _ in steps], axis=0)
        before = int(np.argmax(mean[1:])) + 1
        if at == len(words):
            assert before == models[0].end or at == models[0].target_length
        else:
            assert symbols[before] == words[at]


def test_an_ensemble_of_one_is_the_model_and_follows_its_weights():
    model, other = small(), small(seed=1)
    assert model.translate(SOURCES, 2, n_best=2, with_models=[model]) == [
        [(line, pytest.approx(score, rel=1e-4)) for line, score in row] for row in model.translate(SOURCES, 2, n_best=2)
    ]
    before = model.translate(SOURCES, 2, n_best=1, with_models=[other])
    other.set_weights([weight * 0.1 if "float" in str(weight.dtype) else weight for weight in other.get_weights()])
    assert model.translate(SOURCES, 2, n_best=1, with_models=[other]) != before


def test_it_learns_to_point():
    """A language whose unknown words are translated by the dictionary, wherever they stand."""
    rng, names = np.random.default_rng(0), [f"n{i}" for i in range(40)]
    sources, targets, links = [], [], []
    for _ in range(300):
        name, first = rng.choice(names), rng.random() < 0.5
        sources.append(f"{name} sat on" if first else f"on sat {name}")
        targets.append(f"{name}s cat the" if first else f"the cat {name}s")
        links.append([(0, 0), (1, 1), (2, 2)])
    keras.utils.set_random_seed(0)
    config = {**RareWordTranslator.example_config(), "dictionary": {name: f"{name}s" for name in names}, "dropout": 0.0}
    model = RareWordTranslator(**{**config, "annotation": "posunk", "units": 12, "num_layers": 1})
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(model.encode(sources, targets, links), batch_size=16, epochs=8, verbose=0)
    assert model.translate(sources[:20]) == targets[:20]


def test_without_annotation_it_is_a_plain_translator():
    model = small("none")
    assert model.encode(SOURCES, TARGETS)["target"].max() < model.end == len(model.target_vocabulary) + 2
    assert model.translate(SOURCES, raw=True) == model.translate(SOURCES)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports are made on TensorFlow")
@pytest.mark.parametrize("annotation", [*POINTING, "none"])
def test_an_export_puts_words_back(tmp_path, annotation):
    import tensorflow as tf

    model = small(annotation)
    model.export(tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model" / "1"))
    found = loaded.signatures["serve"](source=tf.constant(SOURCES))
    assert [text.decode() for text in found["text"].numpy()] == model.translate(SOURCES, beams=5, length_power=0.0)
    assert [text.decode() for text in found["raw"].numpy()] == model.translate(SOURCES, beams=5, length_power=0.0, raw=True)


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda m: small("some"), "annotation"),
        (lambda m: small(dictionary=["a"]), "dictionary"),
        (lambda m: small(dictionary={"a": 1}), "dictionary"),
        (lambda m: small(dictionary={"Mat": "rug"}), "dictionary"),
        (lambda m: small(max_offset=0), "max_offset"),
        (lambda m: small(num_copies=0), "num_copies"),
        (lambda m: m.encode(SOURCES, TARGETS[:1]), "targets"),
        (lambda m: m.encode(SOURCES, TARGETS, LINKS[:1]), "links"),
        (lambda m: m.encode(SOURCES, TARGETS, [[(0, 0, 0)]] * 3), "links"),
        (lambda m: m.encode(SOURCES, TARGETS, [[(9, 9)]] * 3), "links"),
        (lambda m: m.encode(SOURCES, TARGETS, ["x", "y", "z"]), "links"),
        (lambda m: m.translate(SOURCES, with_models=[small("copy")]), "with_models"),
        (lambda m: m.translate(SOURCES, with_models=[3]), "with_models"),
    ],
)
def test_wrong_input_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        call(small())
