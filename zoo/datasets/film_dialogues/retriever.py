"""Long-term memory: the facts that have to do with a message."""

import numpy as np

from zoo.datasets.film_dialogues.checks import whole
from zoo.datasets.film_dialogues.entities import COMMON, EntityMatcher, tokens
from zoo.datasets.film_dialogues.knowledge import KnowledgeBase


class Retriever:
    """Facts that share an entity or an infrequent word with a text, by an index that is made once.

    A word counts if it is not in an entity of the text, is no common one (`COMMON`), and if at most `max_frequency` facts have it in film
    or object. What a text and a fact share is worth the logarithm of how rare it is among the facts; the facts with the highest sum come
    first, and of equal ones the first in the knowledge base.

    Args:
        knowledge: the facts.
        max_frequency: facts that a word may be in.
    """

    def __init__(self, knowledge: KnowledgeBase, max_frequency: int = 1000):
        self.knowledge, self.max_frequency = knowledge, whole("max_frequency", max_frequency)
        self.matcher = EntityMatcher(knowledge.entities)
        numbers: dict[str, int] = {}
        films, objects = (
            np.array([numbers.setdefault(name, len(numbers)) for name in names], "int64")
            for names in ([triple.film for triple in knowledge.triples], [triple.object for triple in knowledge.triples])
        )
        facts = np.arange(len(films))
        words, of_words = _words(list(numbers), [(films, facts), (objects, facts)])
        keys = [films, objects, *(key + len(numbers) for key, _ in of_words)]
        rows = [facts, facts, *(row for _, row in of_words)]
        self._index(np.concatenate(keys), np.concatenate(rows), len(numbers), len(words))
        self._entities, self._words = numbers, {word: i + len(numbers) for word, i in words.items()}

    def _index(self, keys, rows, entities, words):
        """Postings of all keys, one after another: `rows[starts[key] : starts[key + 1]]`."""
        facts = max(1, len(self.knowledge.triples))
        pairs = np.unique(keys * facts + rows)
        keys, rows = pairs // facts, pairs % facts
        counts = np.bincount(keys, minlength=entities + words)
        kept = (np.arange(entities + words) < entities) | (counts <= self.max_frequency)
        self._rows = rows[kept[keys]]
        counts = np.where(kept, counts, 0)
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._worth = np.log(facts / np.maximum(counts, 1))

    def keys(self, text: str) -> list[str]:
        """The entities of a text, and the words by which facts are looked up."""
        return list(dict.fromkeys(unit for unit, key in self._units(text) if self._starts[key + 1] > self._starts[key]))

    def _units(self, text: str) -> list[tuple[str, int]]:
        found = []
        for unit, is_entity in self.matcher.split(text):
            key = self._entities.get(unit) if is_entity else self._words.get(unit)
            if key is not None:
                found.append((unit, key))
        return found

    def positions(self, text: str, limit: int = 100) -> np.ndarray:
        """Places in `knowledge.triples` of the facts for a text, the best first.

        Args:
            text: a message.
            limit: how many facts at most.

        Returns:
            int64 array with `limit` places or fewer.
        """
        limit = whole("limit", limit)
        keys = sorted({key for _, key in self._units(text)})
        parts = [self._rows[self._starts[key] : self._starts[key + 1]] for key in keys]
        if len(parts) < 2:
            return parts[0][:limit].copy() if parts else np.zeros(0, "int64")
        rows, places = np.unique(np.concatenate(parts), return_inverse=True)
        worth = np.bincount(places, np.repeat(self._worth[keys], [len(part) for part in parts]))
        return rows[np.argsort(-worth, kind="stable")[:limit]]

    def sentences(self, text: str, limit: int = 100) -> list[str]:
        """The facts for a text as sentences, the best first."""
        return [self.knowledge.sentences[i] for i in self.positions(text, limit)]


def _words(names: list[str], uses: list[tuple[np.ndarray, np.ndarray]]) -> tuple[dict[str, int], list[tuple[np.ndarray, np.ndarray]]]:
    """Numbers of the words of all names, and for each use of names in facts pairs of word and fact."""
    numbers: dict[str, int] = {}
    lists = [[numbers.setdefault(word, len(numbers)) for word in _own_words(name)] for name in names]
    lengths = np.array([len(words) for words in lists], "int64")
    flat, starts = np.array([word for words in lists for word in words], "int64"), np.cumsum(lengths) - lengths
    pairs = []
    for used, facts in uses:
        repeats = lengths[used]
        within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        pairs.append((flat[np.repeat(starts[used], repeats) + within], np.repeat(facts, repeats)))
    return numbers, pairs


def _own_words(name: str) -> list[str]:
    found = (token.casefold() for token in tokens(name) if token[0].isalnum())
    return [word for word in dict.fromkeys(found) if word not in COMMON]
