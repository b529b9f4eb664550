"""Film reviews with a class, and many without: the Large Movie Review Dataset."""

import json
import lzma
import re
import tarfile

import numpy as np

from zoo import files
from zoo.datasets.records import info

_MEMBER = re.compile(r"aclImdb/(train|test)/(neg|pos|unsup)/(\d+)_\d+\.txt")
# of each split and class
_SIZES = {("train", "neg"): 12500, ("train", "pos"): 12500, ("train", "unsup"): 50000, ("test", "neg"): 12500, ("test", "pos"): 12500}


def imdb_reviews(seed=0):
    """The Large Movie Review Dataset (Maas et al. 2011): 50,000 film reviews, positive or negative, and 50,000 without class.

    Read from `ZOO_DATA/imdb` if there, else downloaded from its authors, 84 MB; free for research with citation.

    Args:
        seed: of the order of training and test reviews; `None` keeps that of the files, negative reviews before positive ones.

    Returns:
        `(texts, labels), (texts, labels), unlabelled` for training and test, 25,000 each: lists of strings, arrays `(n,)` int32, 1 for
        positive; and a list of 50,000 more texts.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if a file is not what the checksum says.
    """
    record = info("imdb_reviews")
    copy = None if files.local(record.files[0].name) else files.fetch_copy(record.copies[0], record)
    rows = _from_lines(copy) if copy else _from_archive(files.fetch(record.files[0], record))
    texts = {key: [] for key in _SIZES}
    for split, label, _, text in sorted(rows):
        texts[split, label].append(text)
    if {key: len(found) for key, found in texts.items()} != _SIZES:
        raise ValueError(f"`{copy or record.files[0].name}` must hold {_SIZES}. Received: {[len(found) for found in texts.values()]}")

    def part(split):
        both = texts[split, "neg"] + texts[split, "pos"]
        labels = np.repeat([0, 1], len(both) // 2).astype("int32")
        order = np.arange(len(both)) if seed is None else np.random.default_rng(seed).permutation(len(both))
        return [both[i] for i in order], labels[order]

    return part("train"), part("test"), texts["train", "unsup"]


def _from_archive(path):
    """Split, class, number and text of each review of the authors' archive, in which each has a file."""
    with tarfile.open(path) as archive:
        for member in archive:
            if match := _MEMBER.fullmatch(member.name):
                yield match[1], match[2], int(match[3]), archive.extractfile(member).read().decode("utf-8").strip()


def _from_lines(path):
    with lzma.open(path, "rt", encoding="utf-8") as stream:
        for row in map(json.loads, stream):
            yield row["split"], row["label"], row["id"], row["text"].strip()
