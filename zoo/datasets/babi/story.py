"""A story as it is told: facts and questions in no language yet, and the choice of what to ask."""

from typing import NamedTuple

# questions are about one of the last five facts (the difficulty of the released data), where a fact about two people counts twice
RECENT = 5


class Told(NamedTuple):
    """A fact, or a question if it has an `answer` (its parts); a language gives the `form` its words."""

    form: str
    words: tuple
    answer: tuple | None = None
    support: tuple = ()


class Story:
    """Lines in the order of telling, and `about`: what each fact is about, once for every person in it."""

    def __init__(self, rng):
        self.rng, self.told, self.about = rng, [], []

    def tell(self, form, *words, about=()):
        """Add a fact and return its line number; `about` has an entry for each person of whom it tells."""
        self.told.append(Told(form, words))
        self.about.extend(about)
        return len(self.told)

    def ask(self, form, *words, answer, support):
        """Add a question."""
        self.told.append(Told(form, words, answer if isinstance(answer, tuple) else (answer,), tuple(support)))

    def recent(self):
        """What the last facts are about, oldest first."""
        return self.about[-RECENT:]


def another(rng, items, item):
    """One of `items` that is not `item`."""
    return rng.choice([other for other in items if other != item])
