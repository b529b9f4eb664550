"""Facts about films as triples, and questions to them."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

# as the authors' files name them; a plot is a text, no entity
RELATIONS = (
    "directed_by",
    "written_by",
    "starred_actors",
    "release_year",
    "in_language",
    "has_tags",
    "has_genre",
    "has_imdb_votes",
    "has_imdb_rating",
    "has_plot",
)


class Triple(NamedTuple):
    """A fact: `film` stands in `relation`, one of `RELATIONS`, to `object`."""

    film: str
    relation: str
    object: str


@dataclass(frozen=True)
class Question:
    """What a message asks for.

    Args:
        entity: a film; or what films have in `relation`, if `inverse`.
        relation: one of `RELATIONS`.
        inverse: whether films are asked for.
        without: what is no answer, as it was told or named before.
        also: a question that the answers must answer as well; `None` for none.
    """

    entity: str
    relation: str
    inverse: bool = False
    without: tuple[str, ...] = ()
    also: "Question | None" = None


@dataclass(frozen=True)
class KnowledgeBase:
    """Facts about films, with look-ups in both directions.

    Args:
        triples: tuple of `Triple`, those of a film one after another.
    """

    triples: tuple[Triple, ...]

    def objects(self, film: str, relation: str) -> tuple[str, ...]:
        """What `film` has in `relation`, in the order of the triples; empty if nothing is known."""
        return self._objects.get((film, relation), ())

    def films_with(self, relation: str, entity: str) -> tuple[str, ...]:
        """Films that have `entity` in `relation`, in the order of the triples."""
        return self._films.get((relation, entity), ())

    def of(self, films: Iterable[str]) -> "KnowledgeBase":
        """The facts of some films, such as `Ratings.titles`: a smaller knowledge base for a smaller memory."""
        kept = set(films)
        return KnowledgeBase(tuple(triple for triple in self.triples if triple.film in kept))

    @functools.cached_property
    def films(self) -> tuple[str, ...]:
        """All titles, in the order of the triples."""
        return tuple(dict.fromkeys(triple.film for triple in self.triples))

    @functools.cached_property
    def entities(self) -> tuple[str, ...]:
        """Titles, people, years, languages, tags and genres, sorted: the candidates of every question about films."""
        objects = {triple.object for triple in self.triples if triple.relation != "has_plot"}
        return tuple(sorted(objects.union(self.films)))

    @functools.cached_property
    def sentences(self) -> tuple[str, ...]:
        """Each triple as a sentence, `"Heat directed_by Michael Mann"`: what a long-term memory holds."""
        return tuple(map(" ".join, self.triples))

    @functools.cached_property
    def pairs(self) -> list[tuple[str, str, bool]]:
        """All that can be asked: entity and relation, and whether films are the answer."""
        forward = [(film, relation, False) for film, relation in self._objects]
        return forward + [(entity, relation, True) for relation, entity in self._films]

    @functools.cached_property
    def _objects(self) -> dict[tuple[str, str], tuple[str, ...]]:
        return _grouped(((triple.film, triple.relation), triple.object) for triple in self.triples)

    @functools.cached_property
    def _films(self) -> dict[tuple[str, str], tuple[str, ...]]:
        return _grouped(((triple.relation, triple.object), triple.film) for triple in self.triples)


def _grouped(items: Iterable[tuple[tuple[str, str], str]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The values of each key, each once, in their order."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for key, value in items:
        found.setdefault(key, {})[value] = None
    return {key: tuple(values) for key, values in found.items()}


def answer(knowledge: KnowledgeBase, question: Question) -> tuple[str, ...]:
    """All right answers, by a pass over the triples: slow, and independent of the look-ups that the simulators use.

    Args:
        knowledge: the facts.
        question: as an `Exchange` of a simulated dialogue has it.

    Returns:
        The answers, in the order of the triples; what a recommendation may be, where the question is a wish.
    """
    found: list[str] = []
    for film, relation, entity in knowledge.triples:
        if relation == question.relation and question.entity == (entity if question.inverse else film):
            found.append(film if question.inverse else entity)
    ruled_out = set(question.without)
    wanted = set(found if question.also is None else answer(knowledge, question.also))
    return tuple(dict.fromkeys(one for one in found if one in wanted and one not in ruled_out))
