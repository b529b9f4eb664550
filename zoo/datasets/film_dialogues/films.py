"""Knowledge bases: the table of films of a package, and invented films, which need no data."""

import contextlib
import re
import sqlite3
from collections import Counter
from typing import Any

import numpy as np

from zoo import files
from zoo.datasets.film_dialogues.checks import generator, whole
from zoo.datasets.film_dialogues.entities import COMMON
from zoo.datasets.film_dialogues.knowledge import KnowledgeBase, Triple
from zoo.datasets.records import info

_COLUMNS = "Title Year Director Writer Cast Language Genre Rating Oscars Awards Country".split()


def films(count: int | None = None, actors: int | None = 4) -> KnowledgeBase:
    """Films from 1940 to 2014 by Wikidata (CC0), read from the package bokeh-sampledata; `pip install --no-deps` is enough.

    What the authors' files have of MovieLens's tags is here in lower case: countries, studios, certificates ("rated pg-13") and "oscar
    winner" or "oscar nominee". Plots, votes and ratings of IMDb are not in the table. Every film whose title another film has as well, in
    whatever case, has its year behind it: "Heat (1995)"; of films that share the year too only the one with the most reviews is there.

    Args:
        count: how many films, those with the most reviews by critics, which are late ones; `None` for all.
        actors: how many actors of a film at most, those in the most films, as the table does not say who plays the lead; `None` for all.

    Returns:
        A `KnowledgeBase`, with the film that has the most reviews first.

    Raises:
        ImportError: with the pip command, if the package is not installed.
        ValueError: if `count` or `actors` is not a whole number from 1 on.
    """
    count, most = (None if value is None else whole(name, value) for name, value in (("count", count), ("actors", actors)))
    rows = _rows()
    played = Counter(name for row in rows for name in _names(row["Cast"]))
    return KnowledgeBase(tuple(triple for title, row in _with_own_titles(rows)[:count] for triple in _triples(title, row, played, most)))


def _rows() -> list[dict[str, Any]]:
    """Films as dicts, those with the most reviews first."""
    record = info("film_dialogues")
    address = f"{files.fetch(record.files[0], record).resolve().as_uri()}?mode=ro&immutable=1"
    columns = ", ".join(f'omdb."{name}"' for name in _COLUMNS)
    command = f"SELECT {columns}, Production FROM omdb JOIN tomatoes USING (ID) ORDER BY coalesce(Reviews, 0) DESC, imdbID"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as table:
        return [dict(zip([*_COLUMNS, "Production"], row)) for row in table.execute(command)]


def _with_own_titles(rows: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    shared = Counter(row["Title"].casefold() for row in rows)
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for row in rows:
        title = row["Title"] if shared[row["Title"].casefold()] == 1 else f"{row['Title']} ({row['Year']})"
        found.setdefault(title.casefold(), (title, row))
    return list(found.values())


def _names(cell: str | None) -> list[str]:
    """The names of a list with commas; a comma before "Jr." or the like is part of a name."""
    return [" ".join(name.split()) for name in re.split(r", (?!(?:Jr\.|Sr\.|II|III|IV|PhD)(?:,|$))", cell or "") if name]


def _triples(title: str, row: dict[str, Any], played: Counter, most: int | None) -> list[Triple]:
    cast = sorted(_names(row["Cast"]), key=lambda name: (-played[name], name))
    facts = {
        "directed_by": _names(row["Director"]),
        "written_by": _names(row["Writer"]),
        "starred_actors": cast[:most],
        "release_year": [str(row["Year"])],
        "in_language": _names(row["Language"]),
        "has_tags": _tags(row),
        "has_genre": _names(row["Genre"]),
    }
    return [Triple(title, relation, name) for relation, names in facts.items() for name in dict.fromkeys(names)]


def _tags(row: dict[str, Any]) -> list[str]:
    tags = [*_names(row["Country"]), *_names(row["Production"])]
    tags += [f"rated {row['Rating']}"] if row["Rating"] else []
    tags += ["oscar winner"] if row["Oscars"] else ["oscar nominee"] if row["Awards"] else []
    # a studio called The Film would be found in many messages
    return [tag.lower() for tag in tags if not COMMON.issuperset(tag.lower().split())]


# --- invented films ---

_FIRST = "Ada Bela Cora Dario Elin Fabio Greta Hamid Ines Jonas Kira Luca Mira Nils Olga Pavel Runa Soren Tilda Yara".split()
_LAST = "Abendroth Birkfeld Castellan Dovrin Eskola Falkner Grimaud Hollis Ivarsson Jandak Korvin Lindqvist Marchetti Norrby".split()
_LAST += "Ostrava Pellerin Quintero Rosvall Sandoval Tarkanen".split()
_WHAT = "Silent Crooked Golden Distant Burning Hollow Frozen Restless Painted Broken Gentle Hidden Last Borrowed Scarlet".split()
_WHAT += "Wandering Paper Second Midnight Forgotten Bitter Lonely Northern Velvet Endless".split()
_THING = "River Harbour Mirror Garden Letter Winter Promise Bridge Orchard Island Stranger Circus Lantern Voyage Kingdom".split()
_THING += "Summer Detective Piano Shadow Highway Cathedral Wolf Comet Passenger Experiment Carnival".split()
_GENRES = "Drama Comedy Crime Western Horror Romance War Musical Mystery Fantasy Adventure Animation Biography Thriller".split()
_GENRES += "Documentary Sport Family History Action Noir".split()
_LANGUAGES = "English French German Italian Swedish Polish Spanish Japanese".split()
_TAGS = "heist revenge friendship trains chess ghosts boxing sailing memory islands twins jazz deserts exile spies weddings".split()


def invented_films(count: int = 500, people: int = 200, seed: int = 0) -> KnowledgeBase:
    """Films that nobody made, with directors, writers, actors, years, languages, tags and genres: facts for tests and small examples.

    Args:
        count: how many films, 10 to 600.
        people: how many people, 20 to 400; a fifth of them direct and write, the others act, few of them often.
        seed: of all draws.

    Raises:
        ValueError: if an argument is not in these limits.
    """
    rng = generator("invented films", seed)
    titles = [f"The {what} {thing}" for what in _WHAT for thing in _THING]
    names = [f"{first} {last}" for first in _FIRST for last in _LAST]
    for name, value, low, pool in (("count", count, 10, titles), ("people", people, 20, names)):
        if whole(name, value, low) > min(len(pool), 600):
            raise ValueError(f"`{name}` must be at most {min(len(pool), 600)}. Received: {value!r}")
    chosen = [names[i] for i in rng.permutation(len(names))[:people]]
    makers, players = chosen[: people // 5], chosen[people // 5 :]
    triples = []
    for i in rng.permutation(len(titles))[:count]:
        director = _drawn(makers, 1, rng)
        facts = {
            "directed_by": director,
            "written_by": director if rng.random() < 0.3 else _drawn(makers, rng.integers(1, 3), rng),
            "starred_actors": _drawn(players, rng.integers(2, 5), rng),
            "release_year": [str(rng.integers(1950, 2015))],
            "in_language": _drawn(_LANGUAGES, 1, rng),
            "has_tags": _drawn(_TAGS, rng.integers(1, 4), rng),
            "has_genre": _drawn(_GENRES, rng.integers(1, 3), rng),
        }
        triples += [Triple(titles[i], relation, name) for relation, found in facts.items() for name in found]
    return KnowledgeBase(tuple(triples))


def _drawn(items: list[str], number: int | np.integer, rng: np.random.Generator) -> list[str]:
    """Different ones of `items`, with probabilities that fall with the square root of the place: few are chosen often."""
    weights = np.arange(1, len(items) + 1) ** -0.5
    return [items[i] for i in rng.choice(len(items), number, replace=False, p=weights / weights.sum())]
