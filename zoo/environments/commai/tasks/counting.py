"""Level 3: to count over what is enumerated."""

from zoo.environments.commai.language import OBJECTS, a, choice, joined, sample
from zoo.environments.commai.tasks.base import Exercise, question
from zoo.environments.commai.tasks.facts import number

MOST = 10


@question(level=3, time=3500, needs=("count_properties",))
def count_all(room):
    """How many things there are in a list."""
    things, _ = _listed(room)
    return Exercise(f"{_told(things)} how many things do I have?", number(len(things)))


@question(level=3, time=3500, needs=("count_objects", "count_all"))
def count_some(room):
    """How many things of one name there are in a list, possibly none."""
    things, names = _listed(room)
    asked = choice(room.rng, names)
    return Exercise(f"{_told(things)} how many {asked}s do I have?", number(things.count(asked)))


@question(level=3, time=3500, needs=("count_some",))
def count_more(room):
    """Whether there are more things of one name than of another: yes or no."""
    things, names = _listed(room)
    first, second = sample(room.rng, names, 2)
    answer = "yes" if things.count(first) > things.count(second) else "no"
    return Exercise(f"{_told(things)} do I have more {first}s than {second}s?", answer)


def _listed(room):
    names = sample(room.rng, OBJECTS, 4)
    # the last name may be asked for and is never there
    return [choice(room.rng, names[:3]) for _ in range(int(room.rng.integers(1, MOST + 1)))], names


def _told(things):
    return f"I have {joined([a(thing) for thing in things])}."


TASKS = (count_all, count_some, count_more)
