"""Which words of a text and its translation belong together, by the library eflomal; the dictionary that follows; words put back by it."""

from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from zoo import arguments
from zoo.text.words import tokenize

SYMMETRIES = ("grow-diag-final-and", "intersection", "union")
_AROUND = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def align(sources, targets, symmetry="grow-diag-final-and"):
    """Links between the words of texts and those of their translations, found in both directions and joined.

    eflomal (Östling, Tiedemann 2016, "Efficient word alignment with Markov chain Monte Carlo") learns from these texts alone: thousands of
    them are needed for good links, so align held-out pairs together with those of training. Its draws cannot be seeded; a second call gives
    a few other links.

    Args:
        sources: list of strings, or of lists of words.
        targets: list of as many.
        symmetry: `"intersection"` of both directions: few links, mostly right; `"union"`: many; `"grow-diag-final-and"`: those of the
            intersection, and those of the union that grow from them to words without a link (Koehn, Och, Marcu 2003).

    Returns:
        For each pair an array `(links, 2)` int32: place of the word in the source and in the target, ordered.

    Raises:
        ValueError: if there are not as many targets as sources, or an argument is none of these.
        ImportError: if eflomal is not installed.
    """
    arguments.one_of("symmetry", symmetry, SYMMETRIES)
    sources, targets = _lines("sources", sources), _lines("targets", targets, len(sources))
    try:
        import eflomal
    except ImportError as error:
        raise ImportError("Alignments need eflomal (GPL) and a C compiler: pip install 'zoo-keras[align]'") from error
    with TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("forward", "reverse")]
        lines = [[" ".join(line) + "\n" for line in side] for side in (sources, targets)]
        eflomal.Aligner().align(*lines, *map(str, files))
        both = [file.read_text(encoding="utf-8").splitlines() for file in files]
    return [_array(symmetrized(*map(_links, pair), symmetry)) for pair in zip(*both)]


def symmetrized(forward, reverse, symmetry="grow-diag-final-and"):
    """One set of links out of those of two directions, sets of pairs of places; see `align`."""
    union, found = forward | reverse, forward & reverse
    if symmetry != "grow-diag-final-and":
        return union if symmetry == "union" else found
    rows, columns = ({link[axis] for link in found} for axis in (0, 1))

    def add(link):
        found.add(link)
        rows.add(link[0])
        columns.add(link[1])

    # what is added here grows in turn
    queue = sorted(found)
    for i, j in queue:
        for down, right in _AROUND:
            link = i + down, j + right
            if link in union and link not in found and (link[0] not in rows or link[1] not in columns):
                add(link)
                queue.append(link)
    for side in (forward, reverse):
        for link in sorted(side):
            if link[0] not in rows and link[1] not in columns:
                add(link)
    return found


def learn_dictionary(sources, targets, links, n_best=None, min_count=1):
    """The words that stand for each word of the source in linked texts, the most frequent first, equally frequent ones by alphabet.

    Args:
        sources: list of strings, or of lists of words.
        targets: list of as many.
        links: of `align`, for each pair an array `(links, 2)`.
        n_best: so many words of each, with how often they are linked.
        min_count: drop pairs of words that are linked less often.

    Returns:
        Dict of source word to target word; with `n_best` to a list of pairs (target word, count).

    Raises:
        ValueError: if an argument is none of these.
    """
    arguments.count("n_best", 1 if n_best is None else n_best)
    arguments.count("min_count", min_count)
    sources, targets = _lines("sources", sources), _lines("targets", targets, len(sources))
    counts = defaultdict(Counter)
    for source, target, pairs in zip(sources, targets, checked_links(links, sources, targets)):
        for i, j in pairs:
            counts[source[i]][target[j]] += 1
    ordered = {
        word: sorted(((other, n) for other, n in row.items() if n >= min_count), key=lambda pair: (-pair[1], pair[0]))[: n_best or 1]
        for word, row in sorted(counts.items())
    }
    return {word: row if n_best else row[0][0] for word, row in ordered.items() if row}


def replace_unknown(texts, sources, places, dictionary, unknown="<unknown>"):
    """Texts in which each unknown word is the translation of a word of its source: the dictionary's, else that word itself.

    Args:
        texts: list of strings, words separated by spaces.
        sources: list of as many strings, or lists of words.
        places: for each text a list of places in its source, one for each unknown word in order; -1, or a place that the source does not
            have, leaves the word unknown.
        dictionary: of `learn_dictionary`, source word to target word.
        unknown: how an unknown word is written.

    Returns:
        List of strings.

    Raises:
        ValueError: if there are not as many sources and places as texts and unknown words.
    """
    texts = arguments.texts("texts", texts)
    sources = _lines("sources", sources, len(texts))
    if len(places) != len(texts):
        arguments.refuse("places", f"{len(texts)} lists, one for each text", places)
    found = []
    for text, source, row in zip(texts, sources, places):
        words, row = text.split(" "), list(row)
        if words.count(unknown) != len(row):
            arguments.refuse("places", f"{words.count(unknown)} places for {text!r}", row)
        known = iter([dictionary.get(source[i], source[i]) if 0 <= i < len(source) else unknown for i in row])
        found.append(" ".join(next(known) if word == unknown else word for word in words))
    return found


def checked_links(links, sources, targets):
    """`links` as lists of pairs of places, which the lines of words must have."""
    if isinstance(links, (str, dict)) or len(links) != len(sources):
        arguments.refuse("links", f"{len(sources)} arrays of links, one for each pair", links)
    found = [np.asarray(row, "int64").reshape(-1, 2).tolist() for row in links]
    for source, target, row in zip(sources, targets, found):
        if not all(0 <= i < len(source) and 0 <= j < len(target) for i, j in row):
            arguments.refuse("links", f"places in a source of {len(source)} and a target of {len(target)} words", row)
    return found


def _lines(name, texts, number=None):
    """Texts as lists of words."""
    found = arguments.listed(name, texts, "a list of strings, or of lists of words")
    if all(isinstance(text, str) for text in found):
        found = tokenize(found)
    found = arguments.text_lists(name, found, empty=True)
    if number is not None and len(found) != number:
        arguments.refuse(name, f"{number} texts, one for each of the sources", texts)
    return found


def _links(line):
    """The links `"0-0 1-2"` as a set of pairs."""
    return {tuple(map(int, link.split("-"))) for link in line.split()}


def _array(links):
    return np.array(sorted(links), "int32").reshape(-1, 2)
