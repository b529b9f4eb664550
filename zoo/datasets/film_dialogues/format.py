"""The authors' files: dialogues, facts, entities and candidates.

A dialogue is a list of numbered lines, a message and the reply to it, separated by a tab; the number 1 begins the next dialogue:

    1 I liked Heat and Fargo. I'm looking for a western. <tab>Dead Man
    2 Who directed it? <tab>Jim Jarmusch

Several right replies are a list with commas, which titles have as well: only who knows the entities can divide it. Files of dialogues with
several exchanges, of facts and of candidates have an empty line after each dialogue (film, candidate); the others have none.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from zoo.datasets.film_dialogues.knowledge import RELATIONS, KnowledgeBase, Question, Triple

Name = str | os.PathLike

_FACT = re.compile(rf"(.+?) ({'|'.join(RELATIONS)}) (.+)")


@dataclass(frozen=True)
class Exchange:
    """A message and the replies to it.

    Args:
        message: what the first person says.
        replies: what the second one may say, any of them is right.
        question: what the message asks of the knowledge base, if a simulator wrote it; files do not hold it.
        candidates: what is ranked, if that is not all entities; files do not hold them here.
    """

    message: str
    replies: tuple[str, ...]
    question: Question | None = field(default=None, compare=False)
    candidates: tuple[str, ...] = field(default=(), compare=False, repr=False)


Dialogue = list[Exchange]


def with_history(dialogue: Iterable[Exchange]) -> Iterator[tuple[list[str], Exchange]]:
    """Pairs of what was said before an exchange, message and replies as one utterance each, and the exchange."""
    said: list[str] = []
    for exchange in dialogue:
        yield list(said), exchange
        said += [exchange.message, ", ".join(exchange.replies)]


# --- dialogues ---


def read(path: Name, entities: Collection[str] | None = None) -> list[Dialogue]:
    """Read dialogues from a file in the authors' format.

    Args:
        path: text file in UTF-8.
        entities: all names that a list of replies may hold, such as `KnowledgeBase.entities`; `None` takes each reply as one.

    Returns:
        List of dialogues, each a list of `Exchange`; `write` gives the same file back.

    Raises:
        ValueError: naming the file and the first line that is no numbered exchange.
    """
    dialogues: list[Dialogue] = []
    lists = None if entities is None else _Lists(entities)
    for place, first, content in _numbered(path):
        parts = content.split("\t")
        if len(parts) != 2 or not all(parts):
            _refuse_line(path, place, "hold a message, a tab and a reply", content)
        if first:
            dialogues.append([])
        dialogues[-1].append(Exchange(parts[0], (parts[1],) if lists is None else lists.split(parts[1])))
    return dialogues


def write(dialogues: Iterable[Dialogue], path: Name, spaced: bool = False) -> None:
    """Write dialogues in the authors' format.

    Args:
        dialogues: lists of `Exchange`.
        path: of the file.
        spaced: whether an empty line follows each dialogue, as where dialogues have several exchanges.

    Raises:
        ValueError: if a message or a reply is empty or holds a tab or a new line, or if there is no reply.
    """
    lines = []
    for dialogue in dialogues:
        for exchange in dialogue:
            if not exchange.replies:
                raise ValueError(f"`dialogues` must have a reply to every message. Received: {exchange.message[:100]!r} without one")
            for text in (exchange.message, *exchange.replies):
                _check_text("dialogues", text)
        lines.append([f"{exchange.message}\t{', '.join(exchange.replies)}" for exchange in dialogue])
    _write_numbered(lines, path, spaced)


def split_list(text: str, entities: Collection[str]) -> tuple[str, ...]:
    """The entities of a list with commas: from the left, always the longest one that is known; what is not known ends at the next comma."""
    return _Lists(entities).split(text)


class _Lists:
    """Divides many lists by the same entities."""

    def __init__(self, entities):
        self.entities = frozenset(entities)
        self.longest = 1 + max((name.count(", ") for name in self.entities), default=0)

    def split(self, text):
        pieces, found, start = text.split(", "), [], 0
        while start < len(pieces):
            for stop in range(min(start + self.longest, len(pieces)), start, -1):
                name = ", ".join(pieces[start:stop])
                if name in self.entities:
                    break
            # nothing known: the shortest piece, which the loop tried last
            found.append(name)
            start = stop
        return tuple(found)


# --- facts ---


def read_knowledge(path: Name, entities: Collection[str] | None = None) -> KnowledgeBase:
    """Read the facts of a file like the authors' `movie_kb.txt`, with lines such as `1 Heat directed_by Michael Mann`.

    Args:
        path: text file in UTF-8.
        entities: names that may hold commas, such as those of `entities.txt`; `None` ends each at a comma.

    Raises:
        ValueError: naming the file and the first line that is no numbered fact.
    """
    triples, lists, film = [], _Lists(entities or ()), None
    for place, first, content in _numbered(path):
        match = _FACT.fullmatch(content)
        if match is None or "\t" in content:
            _refuse_line(path, place, "hold a film, a relation and what the film has in it", content)
        if not first and match[1] != film:
            _refuse_line(path, place, f"go on with the film {film!r}", content)
        film = match[1]
        objects = (match[3],) if match[2] == "has_plot" else lists.split(match[3])
        triples += [Triple(film, match[2], name) for name in objects]
    return KnowledgeBase(tuple(triples))


def write_knowledge(knowledge: KnowledgeBase, path: Name) -> None:
    """Write facts as the authors' `movie_kb.txt` has them: a line for each relation of a film, an empty line after each film."""
    films: list[list[tuple[Triple, list[str]]]] = []
    last = Triple("", "", "")
    for triple in knowledge.triples:
        if triple.film != last.film:
            films.append([])
        if triple[:2] != last[:2]:
            films[-1].append((triple, []))
        films[-1][-1][1].append(triple.object)
        last = triple
        for text in triple:
            _check_text("knowledge", text)
    _write_numbered(([f"{triple.film} {triple.relation} {', '.join(names)}" for triple, names in film] for film in films), path, True)


# --- entities and candidates ---


def read_entities(path: Name) -> tuple[str, ...]:
    """The names of a file with one a line, such as the authors' `entities.txt`."""
    return tuple(line for _, line in _lines(path) if line)


def write_entities(entities: Iterable[str], path: Name) -> None:
    """Write names, one a line."""
    names = list(entities)
    for name in names:
        _check_text("entities", name)
    _write_text(path, "".join(f"{name}\n" for name in names))


def read_candidates(path: Name) -> tuple[str, ...]:
    """The replies of a file of candidates, such as the authors' `task4_reddit_cand-test.txt`, where each has the number 1.

    Raises:
        ValueError: naming the file and the first line that is no numbered text.
    """
    return tuple(content for _, _, content in _numbered(path))


def write_candidates(candidates: Iterable[str], path: Name) -> None:
    """Write replies as `read_candidates` reads them."""
    found = [[text] for text in candidates]
    for (text,) in found:
        _check_text("candidates", text)
    _write_numbered(found, path, True)


# --- lines ---


def _lines(path: Name) -> Iterator[tuple[int, str]]:
    """Line numbers and lines. Only a line feed ends a line: chats hold the other signs that Python would divide at."""
    text = Path(path).read_bytes().decode("utf-8")
    for place, line in enumerate(text.split("\n"), start=1):
        yield place, line.removesuffix("\r")


def _numbered(path: Name) -> Iterator[tuple[int, bool, str]]:
    """Place of each line that is not empty, whether it begins a group, and what stands behind its number."""
    expected = 1
    for place, line in _lines(path):
        if not line:
            continue
        number, _, content = line.partition(" ")
        if number not in ("1", str(expected)) or not content:
            wanted = "1" if expected == 1 else f"{expected} or 1"
            _refuse_line(path, place, f"begin with the number {wanted} and a blank", line)
        yield place, number == "1", content
        expected = int(number) + 1


def _write_numbered(groups: Iterable[Sequence[str]], path: Name, spaced: bool) -> None:
    end = "\n" if spaced else ""
    _write_text(path, "".join("".join(f"{n} {line}\n" for n, line in enumerate(group, start=1)) + end for group in groups))


def _write_text(path, text):
    Path(path).write_bytes(text.encode("utf-8"))


def _check_text(argument, text):
    if not text or re.search(r"[\t\n]", text) or text.endswith("\r"):
        raise ValueError(f"`{argument}` must hold texts that are not empty, without tabs and new lines. Received: {text[:100]!r}")


def _refuse_line(path: Name, place: int, expected: str, content: str) -> NoReturn:
    raise ValueError(f"`{path}`, line {place}, must {expected}. Received: {content[:100]!r}")
