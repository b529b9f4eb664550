"""Checks of arguments, and what all simulators share: random numbers of a task, and the division in three parts."""

import operator
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn, TypeVar

import numpy as np

from zoo.datasets.film_dialogues.format import Dialogue

Item = TypeVar("Item")


class Splits(NamedTuple):
    """The three parts of a task, each a list of dialogues; a dialogue is a list of `Exchange`."""

    train: list[Dialogue]
    validation: list[Dialogue]
    test: list[Dialogue]


def whole(name: str, value: Any, low: int = 1) -> int:
    """`value` as an `int`, at least `low`; refuses anything else by `name`."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        found = low - 1
    if found < low:
        refuse(name, f"a whole number, at least {low}", value)
    return found


def refuse(name: str, expected: str, value: Any) -> NoReturn:
    """Raise the `ValueError` that names the argument, what was expected and what came."""
    shown = repr(value)
    raise ValueError(f"`{name}` must be {expected}. Received: {shown if len(shown) <= 100 else shown[:100] + '...'}")


def generator(task: str, seed: Any) -> np.random.Generator:
    """Random numbers that depend on the seed and on the task, so that tasks of one seed do not draw alike."""
    return np.random.default_rng([whole("seed", seed, 0), zlib.crc32(task.encode())])


def sizes(count: Any) -> tuple[int, int, int]:
    """How many of `count` dialogues are for training, validation and test: a tenth for each of the last two."""
    count = whole("count", count, 10)
    return count - 2 * (count // 10), count // 10, count // 10


def divide(name: str, items: Sequence[Item], rng: np.random.Generator) -> tuple[list[Item], list[Item], list[Item]]:
    """`items` in a random order, a tenth (at least one) for validation and for test, the others for training."""
    if len(items) < 3:
        refuse(name, "enough for training, validation and test", f"{len(items)} to divide")
    shuffled, tenth = [items[i] for i in rng.permutation(len(items))], max(1, len(items) // 10)
    return shuffled[2 * tenth :], shuffled[:tenth], shuffled[tenth : 2 * tenth]
