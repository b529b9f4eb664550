"""The Brown corpus (Francis, Kucera 1964): a million words of American English in fifteen genres, each with its part of speech."""

import bz2
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_FILES = Path(__file__).parent / "files"

# in the order of the corpus
BROWN_GENRES = (
    "news",
    "editorial",
    "reviews",
    "religion",
    "hobbies",
    "lore",
    "belles_lettres",
    "government",
    "learned",
    "fiction",
    "mystery",
    "science_fiction",
    "adventure",
    "romance",
    "humor",
)

# the corpus's own division of the genres, in their order: press, general prose, learned, fiction
BROWN_GROUPS = np.array([0, 0, 0, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3, 3])


@dataclass(frozen=True)
class BrownDocument:
    """One of the corpus's samples of about 2000 words.

    Args:
        name: of the file, `"ca01"`.
        genre: one of `BROWN_GENRES`.
        sentences: list of sentences, each a list of words as printed; punctuation marks are words.
        tags: list of sentences, each a list of the words' tags of the corpus (`"nn"`, `"vbd-hl"`, ...).
    """

    name: str
    genre: str
    sentences: list
    tags: list

    @property
    def words(self):
        """All words in order."""
        return [word for sentence in self.sentences for word in sentence]


def brown(genres=None):
    """The Brown corpus, which zoo ships: 500 documents, 57,340 sentences, 1,161,192 tagged words.

    Args:
        genres: keep the documents of these; `None` keeps all fifteen of `BROWN_GENRES`.

    Returns:
        List of `BrownDocument`, in the order of the corpus.

    Raises:
        ValueError: if a genre is not one of the corpus.
    """
    unknown = set(genres or ()) - set(BROWN_GENRES)
    if isinstance(genres, str) or unknown:
        raise ValueError(f"`genres` must be a list of names from {BROWN_GENRES}. Received: {genres!r}")
    documents = []
    for words, tags in zip(_blocks("words"), _blocks("tags")):
        name, genre = words[0].split()
        if genres is None or genre in genres:
            documents.append(BrownDocument(name, genre, [line.split() for line in words[1:]], [line.split() for line in tags[1:]]))
    return documents


def brown_passages(documents=None, words=200):
    """Passages of whole sentences, cut from documents: each ends with the sentence in which it reaches `words` words.

    Args:
        documents: list of `BrownDocument`; the whole corpus by default.
        words: least number of words; what is left at a document's end is dropped if it has fewer than half of them.

    Returns:
        Passages, a list of lists of words in lower case; the numbers of their documents `(passages,)` int32; and the numbers of their
        genres in `BROWN_GENRES` `(passages,)` int32.
    """
    passages, owners, genres = [], [], []
    for number, document in enumerate(brown() if documents is None else documents):
        sizes = np.cumsum([len(sentence) for sentence in document.sentences])
        flat, start = [word.lower() for word in document.words], 0
        while start < len(flat):
            end = int(sizes[min(np.searchsorted(sizes, start + words), len(sizes) - 1)])
            if end - start >= words / 2:
                passages.append(flat[start:end])
                owners.append(number)
                genres.append(BROWN_GENRES.index(document.genre))
            start = end
    return passages, np.array(owners, "int32"), np.array(genres, "int32")


def _blocks(kind):
    """For each document the lines of one of the two files; the first line of `words` says name and genre."""
    text = bz2.decompress((_FILES / f"brown_{kind}.txt.bz2").read_bytes()).decode("utf-8")
    return [block.split("\n") for block in text.split("\n\n")]
