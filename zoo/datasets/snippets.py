"""Sentences of film reviews with the valence that people gave them."""

import lzma
from pathlib import Path

import numpy as np

_FILE = Path(__file__).parent / "files" / "movie_snippets.tsv.xz"


def movie_snippets(test_size=0.2, neutral=0.5, seed=0):
    """Sentences of film reviews, positive or negative (Hutto and Gilbert 2014, MIT); shipped with zoo.

    Twenty people or so rated each sentence from -4 to 4; the class is the sign of their mean.

    Args:
        test_size: share held out.
        neutral: sentences whose mean valence is not farther from 0 than this are left out; 10,041 of 10,603 stay with 0.5.
        seed: of the split; `None` keeps the order of the file and holds out its end.

    Returns:
        `(texts, labels), (texts, labels)` for training and test: lists of strings, arrays `(n,)` int32, 1 for positive.

    Raises:
        ValueError: if `test_size` leaves nothing on a side.
    """
    rows = [line.split("\t") for line in lzma.decompress(_FILE.read_bytes()).decode("utf-8").splitlines()]
    rows = [(text, float(valence)) for valence, text in rows if abs(float(valence)) > neutral]
    split = len(rows) - round(test_size * len(rows))
    if not 0 < split < len(rows):
        raise ValueError(f"`test_size` must leave sentences for training and test. Received: {test_size}")
    order = np.arange(len(rows)) if seed is None else np.random.default_rng(seed).permutation(len(rows))

    def part(indices):
        return [rows[i][0] for i in indices], np.array([rows[i][1] > 0 for i in indices], "int32")

    return part(order[:split]), part(order[split:])
