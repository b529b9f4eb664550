"""BLSTM tagger: padding, capitals, constraints, replaced words, several tasks, and strings in the exported model."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import datasets, text
from zoo.applications import BLSTMTagger
from zoo.datasets.treebank import read_conllu

SENTENCES = [["The", "Cat", "sat", "."], ["THE", "iPhone", "Été"], ["sat"]]
TAGS = ["B-NP", "I-NP", "O"]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return BLSTMTagger(["the", "cat", "sat"], TAGS, embedding_size=6, units=5)


def test_words_are_looked_up_and_their_capitals_kept(model):
    x = model.encode(SENTENCES)
    np.testing.assert_array_equal(x["word"], [[2, 3, 4, 1], [2, 1, 1, 0], [4, 0, 0, 0]])
    # lower, upper, initial, mixed; 0 is padding
    np.testing.assert_array_equal(x["capitals"], [[3, 3, 1, 1], [2, 4, 3, 0], [1, 0, 0, 0]])
    assert {key: value.tolist() for key, value in model.encode([" ".join(s) for s in SENTENCES]).items()} == {
        key: value.tolist() for key, value in x.items()
    }
    assert model.encode(SENTENCES, length=2)["word"].shape == (3, 2)


def test_padding_changes_nothing(model):
    short, long = (model.predict(model.encode(SENTENCES, length), verbose=0) for length in (4, 9))
    for i, sentence in enumerate(SENTENCES):
        np.testing.assert_allclose(short[i, : len(sentence)], long[i, : len(sentence)], atol=1e-6)
    assert model.tag(SENTENCES) == model.tag(SENTENCES, length=9)


def test_the_loss_is_the_cross_entropy_of_the_words(model):
    x, y = model.encode(SENTENCES), model.encode_tags([["B-NP", "I-NP", "O", "O"], ["B-NP"] * 3, ["O"]])
    p = model.predict(x, verbose=0)
    words = [(i, t) for i, sentence in enumerate(SENTENCES) for t in range(len(sentence))]
    expected = -np.mean([np.log(p[i, t, y[i, t]]) for i, t in words])
    accuracy = np.mean([p[i, t].argmax() == y[i, t] for i, t in words])
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    assert found["accuracy"] == pytest.approx(accuracy)


def test_decoding_obeys_the_scheme_and_what_was_seen():
    keras.utils.set_random_seed(1)
    words = [f"w{i}" for i in range(40)]
    model = BLSTMTagger(words, TAGS, embedding_size=8, units=6)
    # probabilities that differ from word to word, so that the best tags alone break the rules
    model.embedding.embeddings.assign(40 * model.embedding.embeddings.value)
    sentences = [list(np.random.default_rng(i).choice(words, 9)) for i in range(30)]
    free = np.argmax(model.predict(model.encode(sentences), verbose=0), -1)
    np.testing.assert_array_equal(model.decode(model.encode(sentences))["tag"], free)
    assert any(not well_formed([TAGS[i] for i in row]) for row in free)
    model.use_scheme("iob2")
    assert all(map(well_formed, model.tag(sentences)))
    model.learn_constraints(model.encode_tags([["B-NP", "O"], ["O", "B-NP", "B-NP"]]))
    seen = {("B-NP", "O"), ("O", "B-NP"), ("B-NP", "B-NP")}
    assert all(set(zip(tags, tags[1:])) <= seen for tags in model.tag(sentences))


def well_formed(tags):
    return all(tag[0] != "I" or before[0] in "BI" for before, tag in zip(["O", *tags], tags))


def test_constraints_travel_with_the_preset(tmp_path):
    model = BLSTMTagger(["a", "b"], TAGS, embedding_size=3, units=3)
    model.use_scheme()
    model.save_pretrained(tmp_path / "preset")
    loaded = BLSTMTagger.from_pretrained(tmp_path / "preset")
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded.transitions["tag"]), ops.convert_to_numpy(model.transitions["tag"]))
    assert ops.convert_to_numpy(loaded.starts["tag"])[1] < 0


def test_pretraining_moves_word_vectors_alone_and_learns_what_was_replaced():
    keras.utils.set_random_seed(0)
    words = [f"w{i}" for i in range(12)]
    model = BLSTMTagger(words, TAGS, embedding_size=8, units=8)
    before = [ops.convert_to_numpy(v) for v in model.variables]
    # every second word is one of the first three
    sentences = [[words[t % 3] if t % 2 else words[3 + (i + t) % 9] for t in range(8)] for i in range(200)]
    history = model.pretrain(sentences, rate=0.3, epochs=12, batch_size=20, learning_rate=2e-2, verbose=0).history
    changed = [v.path for v, old in zip(model.variables, before) if np.abs(ops.convert_to_numpy(v) - old).max() > 0]
    assert changed == [model.embedding.embeddings.path]
    # to call no word replaced is right for seven in ten
    assert history["accuracy"][-1] > 0.8


def test_two_tasks_share_the_network():
    model = BLSTMTagger.from_config(BLSTMTagger(**BLSTMTagger.example_config()).get_config())
    found = model.tag([["the", "cat"], ["sat"]])
    assert set(found) == {"pos", "chunk"}
    assert [len(line) for line in found["pos"]] == [2, 1]
    assert set(found["pos"][0]) <= {"D", "N", "V"}
    with pytest.raises(ValueError, match="task"):
        model.encode_tags([["D"]])


def test_bad_input_is_refused(model):
    for bad in ("a text", [], [["a b"]], [[]], [[3]]):
        with pytest.raises(ValueError, match="sentences"):
            model.encode(bad)
    with pytest.raises(ValueError, match="tags"):
        model.encode_tags([["B-VP"]])
    with pytest.raises(ValueError, match="rate"):
        model.pretrain(SENTENCES, rate=1.0)
    with pytest.raises(ValueError, match="tags"):
        BLSTMTagger(["a"], ["O", "O"])


CONLLU = """# text = The dog's two big red toys made New York City happy .
1	The	the	DET	DT	_	2	det	_	_
2	dog	dog	NOUN	NN	_	6	nmod:poss	_	_
3	's	's	PART	POS	_	2	case	_	_
4	big	big	ADJ	JJ	_	6	amod	_	_
5	red	red	ADJ	JJ	_	6	amod	_	_
6	toys	toy	NOUN	NNS	_	7	nsubj	_	_
7	made	make	VERB	VBD	_	0	root	_	_
8-9	NewYork	_	_	_	_	_	_	_	_
8	New	New	PROPN	NNP	_	9	compound	_	_
9	York	York	PROPN	NNP	_	7	obj	_	_
10	City	City	PROPN	NNP	_	9	flat	_	_
11	happy	happy	ADJ	JJ	_	7	xcomp	_	_
"""


def test_noun_chunks_of_a_sentence():
    (sentence,) = read_conllu(CONLLU.splitlines(keepends=True))
    assert len(sentence.words) == 11
    assert sentence.heads[6] == -1
    expected = "B-NP I-NP I-NP I-NP I-NP I-NP O B-NP I-NP I-NP O".split()
    assert datasets.noun_chunks(sentence) == expected


def test_words_with_capitals():
    lines = [["The", "Cat", "sat"], ["the", "CAT"]]
    with pytest.raises(ValueError, match="lower case"):
        BLSTMTagger(["The", "Cat", "sat"], ["D", "N", "V"])
    words = text.learn_vocabulary(lines)
    assert words == ["cat", "the", "sat"]
    assert not np.any(BLSTMTagger(words, ["D", "N", "V"], units=2).encode(lines)["word"] == text.UNKNOWN)


def test_examples_have_one_length():
    model = BLSTMTagger(["the", "cat", "sat"], ["D", "N", "V"], units=2, embedding_size=3)
    sentences, tags = [["The", "cat", "sat"], ["the", "cat"]], [["D", "N", "V"], ["D", "N"]]
    for length, expected in ((None, 3), (2, 2), (5, 5)):
        data = model.examples(sentences, tags, length)
        assert data["x"]["word"].shape == data["x"]["capitals"].shape == data["y"].shape == (2, expected)
        np.testing.assert_array_equal(data["y"] < 0, data["x"]["word"] == 0)
    model.fit(**data, verbose=0)
    with pytest.raises(ValueError, match="`length`"):
        model.fit(model.encode(sentences, 2), model.encode_tags(tags), verbose=0)
    with pytest.raises(ValueError, match="a tag for each word"):
        model.examples(sentences, [["D"], ["D", "N"]])
