"""Files of word vectors: the text of GloVe and of word2vec, and word2vec's binary format."""

import gzip
import re
import warnings
import zlib
from pathlib import Path

import numpy as np

_LONGEST_WORD, _LONGEST_LINE = 10**4, 10**7


def read_word_vectors(path, words=None, limit=None, binary=None):
    """Word vectors from a file.

    Args:
        path: of a text file with a word and its numbers on each line (GloVe), or the same below a line with count and size (word2vec,
            `.vec` of fastText), or a binary file of word2vec; each may be gzipped (`.gz`). Text is UTF-8.
        words: keep only the vectors of these; the others take no memory. `None` keeps all.
        limit: read no more than so many entries from the beginning, where frequent words stand.
        binary: whether the file is binary; `None` decides by the name, `.bin` or `.bin.gz`.

    Returns:
        Words, a list in the order of the file, and their vectors `(words, size)` float32. Of a word that comes twice the first one counts.

    Raises:
        ValueError: naming file and line (of binary files the entry), if it has another form, or holds none of the words.
    """
    path = Path(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    binary = ".bin" in suffixes[-2:] if binary is None else binary
    wanted = None if words is None else set(words)
    opener = gzip.open if suffixes[-1:] == [".gz"] else open
    with opener(path, "rb") as stream:
        try:
            entries = (_binary if binary else _text)(stream, path, wanted, limit)
            found, numbers = _collected(entries, wanted)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"`{path}` must be whole. Received: {error}") from error
    if not found:
        what = "a word and its vector" if wanted is None else f"one of the {len(wanted)} words"
        raise ValueError(f"`{path}` must hold {what}. Received: none")
    vectors = np.frombuffer(numbers, "float32").reshape(len(found), -1)
    if not np.isfinite(vectors).all():
        raise ValueError(f"`{path}` must hold finite numbers. Received: others for {found[np.argmin(np.isfinite(vectors).all(1))]!r}")
    return list(found), vectors


def _collected(entries, wanted):
    """Words and the bytes of their vectors one after the other; ends once all that is wanted has come."""
    found, numbers = {}, bytearray()
    for word, vector in entries:
        if word not in found:
            found[word] = None
            numbers += vector.tobytes()
            if wanted is not None and len(found) == len(wanted):
                break
    return list(found), numbers


def _text(stream, path, wanted, limit):
    """Pairs of word and vector of a text file."""
    size, count, first = None, None, 1
    with warnings.catch_warnings():
        # numpy's word for numbers that it cannot read
        warnings.simplefilter("error", DeprecationWarning)
        for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b""), start=1):
            if number == 1 and (header := re.fullmatch(rb"(\d+) (\d+)\s*", line)):
                count, size, first = int(header[1]), int(header[2]), 2
                continue
            if limit is not None and number - first >= limit:
                return
            # words of some files hold spaces, so that the numbers are counted from the right
            line = line.rstrip()
            size = size or len(line.split()) - 1
            fields = line.rsplit(None, size) if size > 0 else [line]
            if len(fields) != size + 1 or size < 1:
                raise _bad(path, f"line {number}", f"a word and {max(size, 1)} numbers", line)
            word = _decoded(fields[0], path, f"line {number}")
            if wanted is None or word in wanted:
                yield word, _parsed(b" ".join(fields[1:]), size, path, number, line)
    if count is not None and limit is None and number - 1 != count:
        raise ValueError(f"`{path}` must hold the {count} words of its first line. Received: {number - 1}")


def _parsed(numbers, size, path, number, line):
    try:
        vector = np.fromstring(numbers.decode("ascii"), "float32", sep=" ")
    except (ValueError, DeprecationWarning):
        vector = np.zeros(0)
    if vector.size != size:
        raise _bad(path, f"line {number}", f"a word and {size} numbers", line)
    return vector


def _binary(stream, path, wanted, limit):
    """Pairs of word and vector of word2vec's binary format: a line with count and size, then word, space and float32 numbers."""
    line = stream.readline(1000)
    header = re.fullmatch(rb"(\d+) (\d+)\s*", line)
    if not header or int(header[2]) < 1:
        raise _bad(path, "line 1", "the numbers of words and of dimensions", line)
    count, width = int(header[1]), 4 * int(header[2])
    for number in range(1, (count if limit is None else min(limit, count)) + 1):
        word = b""
        while (letter := stream.read(1)) not in (b" ", b"") and len(word) < _LONGEST_WORD:
            word += letter
        content = stream.read(width)
        word = word.lstrip(b"\n")
        if letter != b" " or len(content) < width or b"\n" in word:
            raise _bad(path, f"entry {number}", f"a word, a space and {width} bytes", word + letter + content[:20])
        word = _decoded(word, path, f"entry {number}")
        if wanted is None or word in wanted:
            yield word, np.frombuffer(content, "<f4").astype("float32")


def _decoded(word, path, place):
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(path, place, "a word in UTF-8", word) from error


def _bad(path, place, expected, content):
    return ValueError(f"`{path}`, {place}, must have {expected}. Received: {content[:80]!r}")
