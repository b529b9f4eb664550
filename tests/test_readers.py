"""Readers of own data: tables, folders, columns, parallel texts, images and masks; each against small files, good and bad."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from zoo import datasets

RNG = np.random.default_rng(0)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            Image.fromarray(content).save(path)
        else:
            content = content.encode() if isinstance(content, str) else content
            path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


def refused(message, read, *args, **kwargs):
    with pytest.raises(ValueError, match=message) as caught:
        read(*args, **kwargs)
    return str(caught.value)


# --- tables of texts ---

ROWS = [("Good, really", "pos"), ('He said "no"', "neg"), ("two\nlines", "pos"), ("  spaces ", "neg")]


def test_csv_as_pandas_writes_it(tmp_path):
    table = pd.DataFrame(ROWS, columns=["review", "class"])
    for name in ("a.csv", "a.csv.gz"):
        table.assign(number=range(4))[["number", "class", "review"]].to_csv(tmp_path / name, index=False)
        texts, labels, names = datasets.read_texts(tmp_path / name, text="review", label="class")
        assert texts == [text for text, _ in ROWS] and names == ["neg", "pos"]
        assert labels.tolist() == [1, 0, 1, 0] and labels.dtype == np.int32


def test_columns_by_number_and_numbers_as_classes(write):
    path = write("a.csv", "10,ten\n2,two\n-1,minus one\n")
    texts, labels, names = datasets.read_texts(path, text=1, label=0)
    assert texts == ["ten", "two", "minus one"] and names == ["-1", "2", "10"] and labels.tolist() == [2, 1, 0]
    assert datasets.read_texts(path, text=1, label=None) == (texts, None, [])


def test_tsv_has_no_quotes(write):
    path = write("a.tsv", '\ufefftext\tlabel\n"half a quote\ta\nit\'s "fine"\tb\n\n')
    texts, labels, _ = datasets.read_texts(path)
    assert texts == ['"half a quote', 'it\'s "fine"'] and labels.tolist() == [0, 1]


def test_jsonl(write):
    rows = [{"text": "été", "label": 1}, {"text": "a\u2028b", "label": 0, "more": [1]}]
    path = write("a.jsonl.gz", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n")
    texts, labels, names = datasets.read_texts(path)
    assert texts == ["été", "a\u2028b"] and labels.tolist() == [1, 0] and names == ["0", "1"]
    true = write("b.jsonl", '{"text": "a", "label": true}\n{"text": "b", "label": false}')
    assert datasets.read_texts(true)[2] == ["false", "true"]


def test_a_folder_for_each_class(write, tmp_path):
    for name, content in {"set/pos/1.txt": "good", "set/neg/2.txt": "bad ", "set/neg/1.txt": "worse", "set/pos/notes.md": "x"}.items():
        write(name, content)
    texts, labels, names = datasets.read_texts(tmp_path / "set")
    assert (texts, labels.tolist(), names) == (["worse", "bad", "good"], [0, 0, 1], ["neg", "pos"])
    write("set/pos/3.txt", b"\xff")
    assert "3.txt" in refused("UTF-8", datasets.read_texts, tmp_path / "set")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\na,b\nonly one\n", "line 3, must have 2 columns. Received: 1"),
        ("a.csv", "text,label\na,b,c\n", "line 2, must have 2 columns. Received: 3"),
        ("a.csv", "sentence,label\na,b\n", "line 1, must name the columns"),
        ("a.csv", "text,text,label\na,b,c\n", "once each"),
        ("a.csv", 'text,label\n"a,b\n', "line [23]"),
        ("a.csv", 'text,label\n"a"x,b\n', "line 2"),
        ("a.csv", b"text,label\na,b\n\xff,c\n", "line 3, must be text in UTF-8"),
        ("a.csv", "text,label\na,\n", "line 2, must have the label"),
        ("a.csv", "text,label\n", "must hold a text"),
        ("a.tsv", "text\tlabel\na\n", "line 2"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "a"', "line 2, must be an object in JSON"),
        ("a.jsonl", '{"text": "a", "label": 1}\n\n["a"]\n', "line 3, must have a string 'text'"),
        ("a.jsonl", '{"text": 3, "label": 1}', "line 1"),
        ("a.jsonl", '{"text": "a", "label": null}', "line 1"),
        ("a.xlsx", "x", "must be a folder or a file"),
    ],
)
def test_bad_tables(write, name, content, message):
    assert name in refused(message, datasets.read_texts, write(name, content))


def test_bad_columns_by_number(write):
    refused("the columns .0, 2.", datasets.read_texts, write("a.csv", "a,b\n"), text=0, label=2)
    damaged = write("a.csv.gz", "text,label\na,b\n")
    damaged.write_bytes(damaged.read_bytes()[:-9])
    refused("behind line ., must be whole", datasets.read_texts, damaged)


# --- parallel texts ---


def test_parallel(write):
    first, second = write("a.en", "one\n\nthree\u2028x\r\nfour\n"), write("a.de.gz", "eins\nzwei\ndrei\n \n")
    assert datasets.read_parallel(first, second) == (["one", "three\u2028x"], ["eins", "drei"])
    message = refused("same number of lines. Received: 4 and 1", datasets.read_parallel, first, write("b.de", "eins"))
    assert "a.en" in message and "b.de" in message
    refused("b.de., line 2, must be text in UTF-8", datasets.read_parallel, first, write("b.de", b"eins\n\xe4\n"))


# --- columns ---

CONLL_2003 = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
German JJ B-NP B-MISC

Peter NNP B-NP B-PER
"""


def test_conll(write):
    expected = {
        "words": [["EU", "rejects", "German"], ["Peter"]],
        "pos": [["NNP", "VBZ", "JJ"], ["NNP"]],
        "chunks": [["B-NP", "B-VP", "B-NP"], ["B-NP"]],
        "entities": [["B-ORG", "O", "B-MISC"], ["B-PER"]],
    }
    for name, content in (("a.txt", CONLL_2003), ("b.txt", CONLL_2003.replace(" ", "\t").rstrip()), ("c.txt.gz", CONLL_2003)):
        assert datasets.read_conll(write(name, content)) == expected
    path = write("a.txt", CONLL_2003)
    assert datasets.read_conll(path, ("words", None, None, "ner")) == {"words": expected["words"], "ner": expected["entities"]}
    assert datasets.read_conll(write("t.txt", "New York\tO\n"), ("words", "tags")) == {"words": [["New York"]], "tags": [["O"]]}


def test_bad_conll(write):
    path = write("a.txt", CONLL_2003)
    assert "a.txt" in refused("line 3, must have 3 columns. Received: 'EU NNP", datasets.read_conll, path, ("words", "pos", "chunks"))
    refused("line 2", datasets.read_conll, write("b.txt", "a\tb\na\t\n"), ("words", "tags"))
    refused("must hold a sentence", datasets.read_conll, write("c.txt", "-DOCSTART- -X- O O\n\n"))
    for bad in ("words", (), (None,), ("words", "words")):
        refused("`columns`", datasets.read_conll, path, bad)


CONLLU = "# a comment\n1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_\n1\tde\tde\tADP\tIN\t_\t2\tcase\t_\t_\n2\tle\tle\tDET\tDT\t_\t0\troot\t_\t_\n"


def test_conllu_refuses_other_forms(write):
    (sentence,) = datasets.read_conllu(write("a.conllu", CONLLU))
    assert sentence.words == ["de", "le"] and sentence.heads == [1, -1]
    assert datasets.read_conllu(write("a.conllu.gz", CONLLU + "\n" + CONLLU)) == [sentence] * 2
    assert datasets.read_conllu(CONLLU.splitlines()) == [sentence]
    message = refused("line 1, must have ten columns", datasets.read_conllu, CONLL_2003.splitlines())
    assert "read_conll" in message
    assert "b.conllu" in refused("line 3", datasets.read_conllu, write("b.conllu", CONLLU.replace("\tIN", "")))
    refused("a head among them", datasets.read_conllu, CONLLU.replace("\t2\tcase", "\t_\tcase").splitlines())
    refused("line 4", datasets.read_conllu, CONLLU.replace("\n2\t", "\ntwo\t").splitlines())


# --- images ---


def picture(height=6, width=8, channels=3):
    return RNG.integers(0, 256, (height, width, channels) if channels > 1 else (height, width), "uint8")


def test_images_of_classes(write, tmp_path):
    images = {name: picture() for name in ("set/dog/b10.png", "set/dog/b2.png", "set/cat/deep/a.PNG")}
    for name, image in images.items():
        write(name, image)
    write("set/.hidden/a.png", picture())
    write("set/cat/.a.png", picture())
    write("set/cat/notes.txt", "x")
    x, y, names = datasets.read_images(tmp_path / "set")
    assert names == ["cat", "dog"] and y.tolist() == [0, 1, 1] and y.dtype == np.int32 and x.dtype == np.float32
    expected = [images[name] for name in ("set/cat/deep/a.PNG", "set/dog/b2.png", "set/dog/b10.png")]
    np.testing.assert_array_equal(x, np.stack(expected).astype("float32") / 255)
    half = datasets.read_images(tmp_path / "set", size=(3, 4))[0]
    np.testing.assert_allclose(half, x.reshape(3, 3, 2, 4, 2, 3).mean((2, 4)), atol=1.01 / 255)
    grey = datasets.read_images(str(tmp_path / "set"), grayscale=True)[0]
    assert grey.shape == (3, 6, 8, 1)
    np.testing.assert_allclose(grey[..., 0], x @ [0.299, 0.587, 0.114], atol=1 / 255)


def test_bad_images(write, tmp_path):
    refused("`folder` must hold a folder of images", datasets.read_images, tmp_path)
    refused("must be a folder. Received: nothing there", datasets.read_images, tmp_path / "none")
    write("set/a/1.png", picture())
    write("set/a/2.png", picture(5))
    assert "2.png" in refused("size of the images before it, .6, 8.; give `size`", datasets.read_images, tmp_path / "set")
    assert datasets.read_images(tmp_path / "set", size=(6, 8))[0].shape == (2, 6, 8, 3)
    write("set/a/3.png", b"no image")
    assert "3.png" in refused("an image that Pillow reads", datasets.read_images, tmp_path / "set", size=(6, 8))
    whole = write("set/a/3.png", picture(64, 64))
    whole.write_bytes(whole.read_bytes()[:3000])
    refused("3.png.*an image that Pillow reads", datasets.read_images, tmp_path / "set", size=(6, 8))
    refused("`size`", datasets.read_images, tmp_path / "set", size=6)
    # to convert these would cut them off at 255
    write("set/a/3.png", picture(channels=1).astype("uint16") * 200)
    refused("3.png.*not of 8 bits a channel", datasets.read_images, tmp_path / "set", size=(6, 8))


def test_images_and_masks(write, tmp_path):
    images, masks = ({name: make() for name in ("2", "10")} for make in (picture, lambda: RNG.integers(0, 3, (6, 8)).astype("uint8")))
    for name in images:
        write(f"x/{name}.png", images[name])
        write(f"y/{name}.bmp", masks[name])
    x, y = datasets.read_masks(tmp_path / "x", tmp_path / "y")
    assert x.dtype == np.float32 and y.dtype == np.int32
    np.testing.assert_array_equal(x, np.stack([images["2"], images["10"]]).astype("float32") / 255)
    np.testing.assert_array_equal(y, np.stack([masks["2"], masks["10"]]))
    x, y = datasets.read_masks(tmp_path / "x", tmp_path / "y", size=(3, 4), grayscale=True)
    assert x.shape == (2, 3, 4, 1) and y.shape == (2, 3, 4)
    assert (masks["2"].reshape(3, 2, 4, 2) == y[0][:, None, :, None]).any((1, 3)).all()


def test_values_of_masks(write, tmp_path):
    write("x/a.jpg", picture())
    mask = np.where(picture(channels=1) < 99, 255, 0).astype("uint8")
    write("y/a.png", mask)
    np.testing.assert_array_equal(datasets.read_masks(tmp_path / "x", tmp_path / "y", values=(0, 255))[1][0], mask // 255)
    assert "a.png" in refused("only the values .0, 1.. Received: .255", datasets.read_masks, tmp_path / "x", tmp_path / "y", values=(0, 1))
    palette = Image.fromarray(mask // 255)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    palette.save(tmp_path / "y" / "a.png")
    np.testing.assert_array_equal(datasets.read_masks(tmp_path / "x", tmp_path / "y")[1][0], mask // 255)


def test_bad_masks(write, tmp_path):
    write("x/a.png", picture())
    write("y/b.png", picture(channels=1))
    refused("same names. Received: 2 without mate", datasets.read_masks, tmp_path / "x", tmp_path / "y")
    write("x/b.png", picture())
    write("y/a.png", picture())
    assert "a.png" in refused("a mask of one channel", datasets.read_masks, tmp_path / "x", tmp_path / "y")
    write("y/a.png", picture(5, channels=1))
    refused("a.png. must have the size of its image", datasets.read_masks, tmp_path / "x", tmp_path / "y")
