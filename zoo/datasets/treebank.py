"""English sentences with parts of speech and dependencies: Universal Dependencies' English Web Treebank."""

import os
import re
from dataclasses import dataclass

from zoo import files
from zoo.datasets.records import info
from zoo.datasets.text_files import text_lines

POS_TAGS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
CHUNK_TAGS = ("B-NP", "I-NP", "O")
_SENTENCES = {"train": 12544, "dev": 2001, "test": 2077}
# relations of the words that stand in a noun phrase before, or behind, its last noun
_BEFORE = {"det", "det:predet", "amod", "nummod", "compound", "flat", "advmod", "nmod:poss", "case", "fixed", "goeswith"}
_BEHIND = {"flat", "fixed", "goeswith"}


@dataclass(frozen=True)
class Sentence:
    """One sentence; all lists have one entry a word.

    Args:
        words: as written.
        pos: universal parts of speech, out of `POS_TAGS`.
        fine: tags of the Penn treebank.
        heads: place of the word that a word depends on, -1 for the root.
        relations: kind of that dependency.
    """

    words: list
    pos: list
    fine: list
    heads: list
    relations: list


def english_web_treebank(part="train"):
    """Sentences of web texts (Silveira et al. 2014: "A gold standard dependency corpus for English"), CC BY-SA 4.0.

    Read from `ZOO_DATA/ud_english_ewt` if there, else downloaded from a pinned commit (up to 14 MB).

    Args:
        part: `"train"` (12,544 sentences), `"dev"` (2,001) or `"test"` (2,077).

    Returns:
        List of `Sentence`.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if there is no such part, or the file is not the expected one.
    """
    if part not in _SENTENCES:
        raise ValueError(f"`part` must be one of {list(_SENTENCES)}. Received: {part!r}")
    record = info("english_web_treebank")
    original = next(file for file in record.files if file.name.endswith(f"-{part}.conllu"))
    # the copy first: presets were measured on it, and its documents come in another order
    file = (files.fetch_copy(record.copies[0], record) if part == "train" else None) or files.fetch(original, record)
    found = read_conllu(file)
    if len(found) != _SENTENCES[part]:
        raise ValueError(f"`{file}` must hold {_SENTENCES[part]} sentences. Received: {len(found)}")
    return found


def read_conllu(lines):
    """Sentences of a file in the CoNLL-U format; contracted and empty words are left out.

    Args:
        lines: path of a file (`.gz` too), or an iterable of lines.

    Returns:
        List of `Sentence`.

    Raises:
        ValueError: naming the line, if it is none of CoNLL-U: ten columns that tabs separate, with numbers as first and as head.
    """
    if isinstance(lines, (str, os.PathLike)):
        return _sentences(text_lines(lines), f"`{lines}`")
    return _sentences(lines, "`lines`")


def _sentences(lines, name):
    found, rows = [], []
    for number, line in enumerate([*lines, ""], start=1):
        line = line.rstrip("\r\n")
        if not line.strip():
            found += [_sentence(rows)] if rows else []
            rows = []
        elif line[0] != "#":
            row = line.split("\t")
            contracted = re.fullmatch(r"\d+[-.]\d+", row[0])
            if len(row) != 10 or not (contracted or row[0].isdecimal() and row[6].isdecimal()):
                hint = "; for CoNLL-2003 there is `read_conll`" if len(row) < 10 else ""
                raise ValueError(
                    f"{name}, line {number}, must have ten columns of CoNLL-U, a head among them. Received: {line[:100]!r}{hint}"
                )
            rows += [] if contracted else [row]
    return found


def _sentence(rows):
    words, pos, fine, heads, relations = ([row[i] for row in rows] for i in (1, 3, 4, 6, 7))
    return Sentence([word.replace(" ", "_") for word in words], pos, fine, [int(head) - 1 for head in heads], relations)


def noun_chunks(sentence):
    """Base noun phrases of a sentence, derived from its dependencies.

    A phrase is a noun, proper noun or pronoun with the words right before it that depend on it as determiners, adjectives, numbers,
    compounds and possessives, and with the rest of a name right behind it.

    Returns:
        List of tags, `"B-NP"`, `"I-NP"` or `"O"`.
    """
    tags = ["O"] * len(sentence.words)

    def belongs(word, noun, relations):
        while word != noun and word >= 0:
            if sentence.relations[word] not in relations:
                return False
            word = sentence.heads[word]
        return word == noun

    # from the right, so that a compound goes to the noun it stands before
    for noun in reversed(range(len(tags))):
        taken = tags[noun] != "O" or sentence.relations[noun] in _BEHIND
        if taken or sentence.pos[noun] not in ("NOUN", "PROPN", "PRON"):
            continue
        first = last = noun
        while first > 0 and tags[first - 1] == "O" and belongs(first - 1, noun, _BEFORE):
            first -= 1
        while last + 1 < len(tags) and tags[last + 1] == "O" and belongs(last + 1, noun, _BEHIND):
            last += 1
        # a preposition belongs to the phrase only between its words, as in "most of all"
        while first < noun and sentence.relations[first] == "case":
            first += 1
        tags[first : last + 1] = ["B-NP"] + ["I-NP"] * (last - first)
    return tags
