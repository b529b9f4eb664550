"""The Brown corpus against its published sizes, and passages of it."""

from collections import Counter

import pytest

from zoo import datasets


@pytest.fixture(scope="module")
def corpus():
    return datasets.brown()


def test_sizes_are_those_of_the_corpus(corpus):
    assert len(corpus) == 500 and sum(len(d.sentences) for d in corpus) == 57340
    assert sum(len(d.words) for d in corpus) == 1161192
    counts = Counter(d.genre for d in corpus)
    assert [counts[g] for g in datasets.BROWN_GENRES] == [44, 27, 17, 17, 36, 48, 75, 30, 80, 29, 24, 6, 29, 29, 9]


def test_words_have_their_tags(corpus):
    assert all([len(s) for s in d.sentences] == [len(t) for t in d.tags] for d in corpus)
    assert list(zip(corpus[0].sentences[0], corpus[0].tags[0]))[:3] == [("The", "at"), ("Fulton", "np-tl"), ("County", "nn-tl")]
    assert Counter(tag for d in corpus for s in d.tags for tag in s).most_common(1)[0][0] == "nn"


def test_genres(corpus):
    assert [d.name for d in datasets.brown(["humor", "science_fiction"])] == [
        d.name for d in corpus if d.genre in ("humor", "science_fiction")
    ]
    for bad in ("humor", ["sport"]):
        with pytest.raises(ValueError, match="`genres`"):
            datasets.brown(bad)


def test_passages_are_whole_sentences(corpus):
    passages, owners, genres = datasets.brown_passages(corpus[:3], words=100)
    assert len(passages) == len(owners) == len(genres) and set(owners) == {0, 1, 2} and set(genres) == {0}
    ends = {tuple(word.lower() for word in s[-3:]) for d in corpus[:3] for s in d.sentences}
    assert all(len(p) >= 50 and tuple(p[-3:])[-1] in {e[-1] for e in ends} for p in passages)
    first = [p for p, o in zip(passages, owners) if o == 0]
    assert [w for p in first for w in p] == [w.lower() for w in corpus[0].words][: sum(map(len, first))]
