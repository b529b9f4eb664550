"""Digits that packages ship, and files from packages, folders and the network."""

import numpy as np
import pytest

from zoo import datasets, files
from zoo.datasets.treebank import read_conllu
from zoo.datasets.turkish import whole_words


@pytest.mark.parametrize(("load", "side", "sizes"), [(datasets.digits_8x8, 8, (1347, 450)), (datasets.mnist_5k, 28, (4000, 1000))])
def test_digits(load, side, sizes):
    (x, y), (x_test, y_test) = load(seed=1)
    assert (len(x), len(x_test)) == sizes and x.shape[1:] == (side, side, 1)
    assert x.dtype == np.float32 and y.dtype == np.int32 and x.min() == 0 and x.max() == 1
    assert np.ptp(np.bincount(y) / len(y) - np.bincount(y_test) / len(y_test)) < 0.01
    known = {image.tobytes() for image in x}
    assert sum(image.tobytes() in known for image in x_test) == 0
    again, other = load(seed=1)[0][0], load(seed=2)[0][0]
    assert (x == again).all() and (x != other).any()


def test_packaged_names_the_command():
    assert files.packaged("numpy", "numpy/__init__.py").exists()
    with pytest.raises(ImportError, match="pip install -U numpy"):
        files.packaged("numpy", "numpy/no_such_file.csv")
    file = files.File("a.csv", 1, package="no-such-package")
    record = files.Dataset("small", "a small set", "free with credit", "its author", "", (file,))
    with pytest.raises(ImportError, match='"small" .*free with credit.*pip install no-such-package'):
        files.fetch(file, record)


TURKISH = """# text = Ankara'dakiler geldi .
1	Ankara'da	Ankara	NOUN	NNP	_	2	ig	_	SpaceAfter=No
2	ki	_	ADJ	JJ	_	3	ig	_	SpaceAfter=No
3	ler	_	NOUN	NN	_	4	nsubj	_	_
4	gel	gel	VERB	VB	_	5	ig	_	SpaceAfter=No
5	di	_	VERB	VB	_	0	root	_	_
6	ve	ve	CONJ	CC	_	5	cc	_	_
"""


def test_turkish_words_are_whole():
    (sentence,) = read_conllu(TURKISH.splitlines(keepends=True))
    found = whole_words(sentence)
    assert found.words == ["Ankara'dakiler", "geldi", "ve"]
    assert found.pos == ["PROPN", "VERB", "CCONJ"]
    assert found.heads == [1, -1, 1] and found.relations == ["nsubj", "root", "cc"]


def test_turkish_treebank():
    with pytest.raises(ValueError, match="source"):
        datasets.turkish_treebank("blog")
    try:
        sentences = datasets.turkish_treebank("wiki")
    except ImportError as error:
        pytest.skip(str(error))
    assert len(sentences) == 2310
    assert sentences[0].words[-4:] == ["ve", "Goldust'a", "kaybettiler", "."] and set(sentences[0].pos) <= set(datasets.POS_TAGS)
    for sentence in sentences:
        assert all(-1 <= head < len(sentence.words) for head in sentence.heads) and -1 in sentence.heads
