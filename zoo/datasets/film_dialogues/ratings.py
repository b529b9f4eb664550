"""Who likes which films: MovieLens joined with a knowledge base, and invented tastes, which need no data."""

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from zoo.datasets.film_dialogues.checks import generator, whole
from zoo.datasets.film_dialogues.knowledge import KnowledgeBase
from zoo.datasets.movies import Catalogue, movielens_100k


@dataclass(frozen=True)
class Ratings:
    """What users think of films of a knowledge base.

    Args:
        matrix: CSR `(users, films)` of ratings, 1 to 5; what is not rated is not stored.
        titles: one film a column.
        matched: share of the titles of the source that the knowledge base has.
    """

    matrix: sparse.csr_matrix
    titles: tuple[str, ...]
    matched: float = 1.0

    def favourites(self, least: float = 5) -> list[list[str]]:
        """For each user with two or more of them the films that he rated `least` or higher, in the order of the columns."""
        liked = sparse.csr_matrix(self.matrix >= least)
        liked.sort_indices()
        rows = np.split(liked.indices, liked.indptr[1:-1])
        return [[self.titles[i] for i in row] for row in rows if len(row) > 1]


def movielens(knowledge: KnowledgeBase, catalogue: Catalogue | None = None) -> Ratings:
    """Ratings of those films that the knowledge base has too.

    Titles are compared in lower case, without accents and punctuation, "Usual Suspects, The" as "The Usual Suspects", and the film must be
    of the decade that the catalogue gives, or next to it by a year. What fits several films is left out.

    Args:
        knowledge: the facts.
        catalogue: users, items with titles and features `"decade 1990s"`, and ratings; `None` for MovieLens 100k.

    Raises:
        ImportError: with the pip command, if MovieLens is to be read and recbole is not installed.
        ValueError: if fewer than two titles fit.
    """
    catalogue = movielens_100k() if catalogue is None else catalogue
    known: dict[str, list[tuple[str, int]]] = {}
    for film in knowledge.films:
        year = next(iter(knowledge.objects(film, "release_year")), "")
        known.setdefault(_plain(film.removesuffix(f" ({year})")), []).append((film, int(year) if year.isdigit() else 0))
    found: dict[str, int] = {}
    for column, (title, decade) in enumerate(zip(catalogue.item_names, _decades(catalogue))):
        fitting = next(filter(None, (_fitting(known.get(name, []), decade) for name in _spellings(title))), None)
        if fitting is not None:
            found.setdefault(fitting, column)
    if len(found) < 2:
        raise ValueError(f"`catalogue` must have titles of the knowledge base. Received: {len(found)} of {len(catalogue.item_names)} fit")
    matrix = sparse.csr_matrix(catalogue.interactions)[:, list(found.values())]
    return Ratings(matrix, tuple(found), len(found) / len(catalogue.item_names))


def _decades(catalogue: Catalogue) -> list[int | None]:
    """The first year of each item's decade, `None` if it has none."""
    years = {i: int(name[7:11]) for i, name in enumerate(catalogue.item_feature_names) if re.fullmatch(r"decade \d{4}s", name)}
    rows = np.split(catalogue.item_features.indices, catalogue.item_features.indptr[1:-1])
    return [next((years[i] for i in row if i in years), None) for row in rows]


def _fitting(films: list[tuple[str, int]], decade: int | None) -> str | None:
    """The one film of the decade; else the one film next to it; else none."""
    for near in (0, 1):
        fit = [film for film, year in films if decade is None or decade - near <= year < decade + 10 + near]
        if fit:
            return fit[0] if len(fit) == 1 else None
    return None


def _spellings(title: str) -> list[str]:
    """A title with its article in front, and what stands before and within a bracket: MovieLens gives original titles there."""
    names = [title, *re.split(r" ?\(|\)", title)]
    return [_plain(re.sub(r"^(.+), (The|An?|Les?|La|L'|Il|El|Das|Der|Die|Das)$", r"\2 \1", name.strip())) for name in names if name.strip()]


def _plain(title: str) -> str:
    letters = unicodedata.normalize("NFKD", title.casefold().replace("&", " and "))
    return " ".join(re.findall(r"\w+", "".join(letter for letter in letters if not unicodedata.combining(letter)).replace("'", "")))


def invented_ratings(knowledge: KnowledgeBase, users: int = 300, rated: int = 40, seed: int = 0) -> Ratings:
    """Ratings of users who like some genres and directors better than others.

    A film lies in a space of eight dimensions where its genres and its director are, with a part of its own; so does what a user likes.
    Users rate films at random, the first ones of the knowledge base more often, and give 5 to the best fifth of theirs, 1 to the worst.

    Args:
        knowledge: the facts.
        users: how many.
        rated: films that each user rates, at most half of all.
        seed: of all draws.

    Raises:
        ValueError: if `users` or `rated` is not a whole number, at least 3 and 10.
    """
    rng, films = generator("invented ratings", seed), knowledge.films
    users, rated = whole("users", users, 3), min(whole("rated", rated, 10), len(films) // 2)
    vectors: dict[str, np.ndarray] = {}
    places = rng.normal(size=(len(films), 8)) / 2
    for place, film in zip(places, films):
        for name in (*knowledge.objects(film, "has_genre"), *knowledge.objects(film, "directed_by")):
            if name not in vectors:
                vectors[name] = rng.normal(size=8)
            place += vectors[name]
    popular = np.arange(1, len(films) + 1) ** -0.5
    rows = []
    for taste in rng.normal(size=(users, 8)):
        chosen = np.sort(rng.choice(len(films), rated, replace=False, p=popular / popular.sum()))
        order = np.argsort(np.argsort(places[chosen] @ taste))
        rows.append((chosen, 1 + order * 5 // rated))
    columns, values = (np.concatenate(part) for part in zip(*rows))
    matrix = sparse.csr_matrix((values.astype("float32"), columns, np.arange(users + 1) * rated), (users, len(films)))
    return Ratings(matrix, films)
