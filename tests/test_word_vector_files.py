"""Files of word vectors in all forms, and damaged ones."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from zoo import text

WORDS = ["the", "été", "New York", "cat"]
VECTORS = np.array([[0.5, -1.25, 3e-5], [1, 2, 3], [-0.0, 7.5, 1e6], [0.1, 0.2, 0.3]], "float32")


def lines(words=WORDS, vectors=VECTORS):
    return "".join(f"{word} {' '.join(repr(float(v)) for v in vector)}\n" for word, vector in zip(words, vectors))


# a space ends a word of the binary format
JOINED = [word.replace(" ", "_") for word in WORDS]


def packed(words=JOINED, vectors=VECTORS, end=b"\n"):
    body = b"".join(word.encode() + b" " + struct.pack(f"<{len(v)}f", *v) + end for word, v in zip(words, vectors))
    return f"{len(words)} {vectors.shape[1]}\n".encode() + body


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        content = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return tmp_path / name

    return write


FORMS = {
    "glove.txt": lines(),
    "glove.txt.gz": lines(),
    "word2vec.txt": "4 3\n" + lines(),
    "wiki.vec": "4 3 \n" + lines().replace("\n", " \n"),
    "windows.txt": lines().replace("\n", "\r\n"),
    "no_end.txt": lines()[:-1],
    "word2vec.bin": packed(),
    "word2vec.bin.gz": packed(),
    "no_newlines.bin": packed(end=b""),
}


@pytest.mark.parametrize("name", FORMS)
def test_all_forms(write, name):
    path = write(name, FORMS[name])
    words, vectors = text.read_word_vectors(path)
    assert words == (JOINED if ".bin" in name else WORDS) and vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, VECTORS)
    words, vectors = text.read_word_vectors(str(path), words=["cat", "été", "unknown"])
    assert words == ["été", "cat"]
    np.testing.assert_array_equal(vectors, VECTORS[[1, 3]])
    assert text.read_word_vectors(path, limit=2)[0] == JOINED[:2]
    with pytest.raises(ValueError, match="one of the 1 words"):
        text.read_word_vectors(path, words=["unknown"])


@pytest.mark.parametrize("name", ["a.txt", "a.bin"])
def test_the_form_can_be_told_and_the_table_made(write, name):
    path = write(name, packed() if name == "a.txt" else lines())
    words, vectors = text.read_word_vectors(path, binary=name == "a.txt")
    table, share = text.vector_table(["cat", "dog"], dict(zip(words, vectors)), size=3)
    np.testing.assert_array_equal(table[2], VECTORS[3])
    assert share == 0.5


def test_the_first_of_two_counts(write):
    words, vectors = text.read_word_vectors(write("a.txt", "b 1 2\na 3 4\nb 5 6\n"))
    assert words == ["b", "a"] and vectors.tolist() == [[1, 2], [3, 4]]


BAD_TEXT = {
    "a 1 2\nb 1\n": "line 2, must have a word and 2 numbers",
    "a 1 2\nb 1 x\n": "line 2",
    "a 1 2\nb x 1\n": "line 2",
    "a 1 2\nb 1 2x\n": "line 2",
    "a 1 2\n\nb 1 2\n": "line 2",
    "a 1 2\nb 1 é\n": "line 2",
    "2 3\na 1 2 3\nb 1 2\n": "line 3, must have a word and 3 numbers",
    "3 2\na 1 2\nb 1 2\n": "must hold the 3 words",
    "a 1 nan\n": "finite numbers. Received: others for 'a'",
    "a 1 2\nb inf 1\n": "for 'b'",
    "a\n": "line 1",
    "": "Received: none",
    "4 2\n": "must hold the 4 words",
}


@pytest.mark.parametrize("content", BAD_TEXT)
def test_bad_text(write, content):
    with pytest.raises(ValueError, match=BAD_TEXT[content]) as caught:
        text.read_word_vectors(write("a.txt", content))
    assert "a.txt" in str(caught.value)


def test_bad_bytes(write):
    with pytest.raises(ValueError, match="line 2, must have a word in UTF-8"):
        text.read_word_vectors(write("a.txt", b"a 1\n\xff 2\n"))
    for content, message in (
        (packed()[:-5], "entry 4"),
        (packed()[:-20], "entry 3"),
        (packed(WORDS), "entry 3|entry 4"),
        (b"4 3\n", "entry 1"),
        (b"4 0\n", "line 1"),
        (lines().encode(), "line 1"),
        (b"1 1\n" + b"x" * 30000, "entry 1"),
        (b"9999999999 9999999\nword " + b"x" * 99, "entry 1"),
    ):
        with pytest.raises(ValueError, match=message):
            text.read_word_vectors(write("a.bin", content))
    whole = write("a.txt.gz", lines()).read_bytes()
    for damaged in (whole[:-12], b"x" + whole, whole[:20] + b"\xff\xff" + whole[22:]):
        write("a.txt", damaged).rename(write("b.txt.gz", "x"))
        with pytest.raises(ValueError, match="b.txt.gz"):
            text.read_word_vectors(write("a.txt", "x").with_name("b.txt.gz"))


def test_what_is_not_wanted_takes_no_memory(write):
    path = write("a.bin", packed([f"w{i}" for i in range(3000)], np.ones((3000, 300), "float32")))
    tracemalloc.start()
    text.read_word_vectors(path, words=["w2999"])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # the file has 3.6 MB
    assert most < 500_000


def test_gensim_writes_what_is_read(tmp_path):
    models = pytest.importorskip("gensim.models")
    peer = models.KeyedVectors(3)
    peer.add_vectors(WORDS[:2], VECTORS[:2])
    for name, binary in (("a.txt", False), ("a.bin", True)):
        peer.save_word2vec_format(str(tmp_path / name), binary=binary)
        words, vectors = text.read_word_vectors(tmp_path / name)
        assert words == WORDS[:2]
        np.testing.assert_array_equal(vectors, VECTORS[:2])
