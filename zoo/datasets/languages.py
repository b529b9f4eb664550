"""Short pieces of text in 24 languages."""

import lzma
from pathlib import Path

import numpy as np

_FILE = Path(__file__).parent / "files" / "languages.tsv.xz"
_ARTICLES = 31


def languages(train_articles=20, test_articles=11, words=4, overlap=False, seed=0):
    """Which language is it? Pieces of the Universal Declaration of Human Rights in 24 languages of Latin script; shipped with zoo.

    Training and test hold different articles, so that no piece is the translation of one on the other side.

    Args:
        train_articles: articles for training, out of 31 with the preamble.
        test_articles: other articles for the test.
        words: words of a piece; sentences are cut into pieces, and a shorter rest is left out. `None` keeps sentences.
        overlap: whether a training piece starts at every word, instead of at the end of the piece before.
        seed: of the draw of articles; more training articles with the same seed and test articles include the fewer ones.

    Returns:
        `(texts, labels), (texts, labels), names`: lists of strings, arrays `(n,)` int32, and the languages in the order of the labels.

    Raises:
        ValueError: if there are not so many articles.
    """
    if train_articles < 1 or test_articles < 1 or train_articles + test_articles > _ARTICLES:
        raise ValueError(
            f"`train_articles` and `test_articles` must be 1 to {_ARTICLES} in all. Received: {train_articles}, {test_articles}"
        )
    rows = [line.split("\t") for line in lzma.decompress(_FILE.read_bytes()).decode("utf-8").splitlines()]
    names = sorted({name for name, _, _ in rows})
    order = np.random.default_rng(seed).permutation(_ARTICLES)

    def part(articles, step):
        pairs = [(p, names.index(name)) for name, article, text in rows if int(article) in articles for p in _pieces(text, words, step)]
        return [text for text, _ in pairs], np.array([label for _, label in pairs], "int32")

    chosen = set(order[test_articles : test_articles + train_articles].tolist())
    return part(chosen, 1 if overlap else words), part(set(order[:test_articles].tolist()), words), names


def _pieces(text, words, step):
    if words is None:
        return [text]
    tokens = text.split()
    return [" ".join(tokens[i : i + words]) for i in range(0, len(tokens) - words + 1, step)]
