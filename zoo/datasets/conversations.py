"""Conversations: chats of two people about anything, and short exchanges by topic; each is a list of turns, strings."""

import functools
import json
import zlib
from pathlib import Path

from zoo import files
from zoo.datasets.records import info
from zoo.datasets.text_files import text_lines

PARTS = ("train", "validation", "test")


def chitchat(part=None):
    """Chats of two people (Myers, Etchart, Fulda 2020, "Conversational Scaffolding"; MIT), read from the package chitchat-dataset.

    Messages of one person that follow one another are one turn. Chats in which nobody answers are left out.

    Args:
        part: `"train"` (nine tenths of the chats), `"validation"` or `"test"` (a twentieth each), or `None` for all.

    Returns:
        List of conversations, each a list of two or more turns.

    Raises:
        ValueError: if `part` is none of these.
        ImportError: with the pip command, if the package is not installed.
    """
    if part is not None and part not in PARTS:
        raise ValueError(f"`part` must be one of {list(PARTS)} or None. Received: {part!r}")
    return [list(turns) for one, turns in _chats() if part in (None, one)]


@functools.cache
def _chats():
    """Pairs of part and turns."""
    record, found = info("chitchat"), []
    chats = json.loads(files.fetch(record.files[0], record).read_text(encoding="utf-8"))
    for key, chat in sorted(chats.items()):
        # messages of one person that follow one another are a list
        turns = [" ".join(" ".join(message["text"] for message in messages).split()) for messages in chat["messages"]]
        turns = [turn for turn in turns if turn]
        if len(turns) > 1:
            place = zlib.crc32(key.encode()) % 20
            found.append(("test" if place == 0 else "validation" if place == 1 else "train", tuple(turns)))
    return found


def chatterbot(language="english", topics=None):
    """Short exchanges about food, computers, feelings and more (BSD-3), read from the package chatterbot-corpus.

    Most have two turns, a question and an answer; of the topics `computers` and `emotion` those behind the first are several answers to it.

    Args:
        language: folder of the package, such as `"english"`, `"german"` or `"spanish"`.
        topics: list of its files, such as `["computers", "tech_support"]`; `None` for all.

    Returns:
        List of conversations, each a list of turns.

    Raises:
        ValueError: if there is no such language or topic.
        ImportError: with the pip command, if the package is not installed.
    """
    import yaml

    record = info("chatterbot")
    folder = files.fetch(record.files[0], record).parent.parent
    _known("language", language, folder.iterdir())
    known = sorted(folder.joinpath(language).glob("*.yml"))
    for topic in topics or ():
        _known("topics", topic, known)
    found = []
    for path in known:
        if topics is None or path.stem in topics:
            found += yaml.safe_load(path.read_text(encoding="utf-8"))["conversations"]
    return [[" ".join(str(turn).split()) for turn in one] for one in found if len(one) > 1]


def _known(name, value, paths):
    names = sorted(path.stem for path in paths)
    if value not in names:
        raise ValueError(f"`{name}` must be of {names}. Received: {value!r}")


def read_conversations(path):
    """Conversations of one's own: a turn a line, an empty line between conversations.

    Args:
        path: text file in UTF-8, may be gzipped (`.gz`).

    Returns:
        List of conversations, each a list of two or more turns.

    Raises:
        ValueError: naming file and line, if a conversation has one turn, or there is none.
    """
    found: list[list[str]] = [[]]
    for number, line in enumerate([*text_lines(Path(path)), ""], start=1):
        if line.strip():
            found[-1].append(" ".join(line.split()))
        elif len(found[-1]) == 1:
            raise ValueError(f"`{path}`, line {number - 1}, must have a turn before or behind it. Received: {found[-1][0][:80]!r}")
        elif found[-1]:
            found.append([])
    if not found[0]:
        raise ValueError(f"`{path}` must hold a conversation. Received: none")
    return found[:-1] if not found[-1] else found
