"""The format of the bAbI files: lines, stories, questions, and the released files."""

import re
from dataclasses import dataclass

from zoo import files
from zoo.datasets.records import info


@dataclass(frozen=True)
class Line:
    """A fact, or a question if it has an answer; `support` holds line numbers, counted from 1."""

    text: str
    answer: str | None = None
    support: tuple = ()


@dataclass(frozen=True)
class Example:
    """A question with the facts before it, oldest first; `support` holds positions in `story`, counted from 0."""

    story: tuple
    question: str
    answer: str
    support: tuple = ()


def read(task, part="train"):
    """Stories of the released files (version 1.2, English, 1000 questions a task), CC BY 3.0.

    Read from `ZOO_DATA/babi` if there, else downloaded from a pinned commit; `write` gives the text of the file back.

    Args:
        task: 1 to 20.
        part: `"train"` or `"test"`.

    Returns:
        List of stories, each a list of `Line`.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if there is no such task or part, or the file is not what the checksum says.
    """
    if task not in range(1, 21):
        raise ValueError(f"`task` must be 1 to 20. Received: {task!r}")
    if part not in ("train", "test"):
        raise ValueError(f"`part` must be 'train' or 'test'. Received: {part!r}")
    record = info("babi")
    file = next(file for file in record.files if re.fullmatch(rf"babi/qa{task}_.*_{part}\.txt", file.name))
    return parse(files.fetch(file, record).read_text(encoding="utf-8"))


def write(stories):
    """The text of `stories` in the format of the original files; `parse` reads it back."""
    lines = []
    for story in stories:
        for number, line in enumerate(story, start=1):
            fields = [line.text] if line.answer is None else [line.text, line.answer, " ".join(map(str, line.support))]
            lines.append(f"{number} " + "\t".join(fields) + "\n")
    return "".join(lines)


def parse(text):
    """Read stories from the text of a bAbI file, of any of the twenty tasks.

    Returns:
        List of stories, each a list of `Line`.

    Raises:
        ValueError: naming the first line that is not a numbered fact or question.
    """
    stories = []
    for place, content in enumerate(text.splitlines(), start=1):
        match = re.fullmatch(r"(\d+) ([^\t]+)(?:\t([^\t]+)(?:\t([\d ]*))?)?", content)
        if match is None or int(match[1]) != (1 if match[1] == "1" else len(stories[-1]) + 1 if stories else 1):
            raise ValueError(
                f"`text` must hold lines of a bAbI file, numbered from 1 in each story. Received: {content[:100]!r} in line {place}"
            )
        if match[1] == "1":
            stories.append([])
        stories[-1].append(Line(match[2], match[3], tuple(map(int, (match[4] or "").split()))))
    return stories


def examples(stories):
    """One `Example` for every question of `stories`."""
    found = []
    for story in stories:
        position, facts = {}, []
        for number, line in enumerate(story, start=1):
            if line.answer is None:
                position[number] = len(facts)
                facts.append(line.text)
            else:
                found.append(Example(tuple(facts), line.text.strip(), line.answer, tuple(position[n] for n in line.support)))
    return found
