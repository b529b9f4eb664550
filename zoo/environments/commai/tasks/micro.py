"""Micro tasks: short strings without words around them, of any alphabet and length, for learners that begin.

The first wrong character ends the task with -1, or what is chosen as penalty, the last right one with 1; nothing is said about it. Only
silence may come before.
"""

import itertools
import string

import numpy as np

from zoo.environments.commai import checks
from zoo.environments.commai.channels import SILENCE
from zoo.environments.commai.language import choice, sample
from zoo.environments.commai.tasks.base import Task

# bits beside those of prompt and answer
SLACK = 88


class Micro(Task):
    """A string in, a string out.

    Args:
        kind: `"repeat"` ("abc." -> "abc."), `"reverse"` ("v abc." -> "cba."), `"rotate"` ("o abc." -> "bca."), `"flip"`, always of two
            letters ("f aba." -> "bab."), `"double"` ("p abc." -> "abcabc."), `"concatenate"` ("c abc cab." -> "abccab.").
        alphabet: number of letters, at most 26.
        length: of the string.
        stop: whether prompt and answer end with a full stop.
        penalty: what is taken for a wrong character.
        name: by default `micro_` and the kind; environments with several of a kind need more names.
    """

    scrambles = False

    def __init__(self, kind="repeat", alphabet=4, length=3, stop=True, penalty=1.0, name=None):
        self.kind = checks.one_of("kind", kind, tuple(KINDS))
        self.alphabet, self.length = checks.count("alphabet", alphabet), checks.count("length", length)
        if self.alphabet > 26:
            checks.refuse("alphabet", "at most 26", alphabet)
        self.stop, self.penalty = bool(stop), checks.number("penalty", penalty)
        level, needs = KINDS[kind]
        super().__init__(name or f"micro_{kind}", level, self._time(), needs)

    def _time(self):
        """All prompts of a task have one length, and so have all answers."""
        return SLACK + 8 * sum(map(len, self.draw(np.random.default_rng(0))))

    def draw(self, rng):
        """Prompt and answer."""
        letters = string.ascii_lowercase[: 2 if self.kind == "flip" else self.alphabet]
        word, other = ("".join(choice(rng, letters) for _ in range(self.length)) for _ in range(2))
        prompt, answer = {
            "repeat": (word, word),
            "reverse": (f"v {word}", word[::-1]),
            "rotate": (f"o {word}", word[1:] + word[0]),
            "flip": (f"f {word}", word.translate(str.maketrans("ab", "ba"))),
            "double": (f"p {word}", word + word),
            "concatenate": (f"c {word} {other}", word + other),
        }[self.kind]
        mark = "." if self.stop else ""
        return prompt + mark, answer + mark

    def start(self, room):
        """Say the prompt."""
        self.prompt, self.answer = self.draw(room.rng)
        self.said = 0
        room.say(self.prompt)

    def heard(self, room, byte):
        """Compare a character."""
        if self.said == 0 and byte == SILENCE:
            return
        if byte != ord(self.answer[self.said]):
            self.wrong(room)
            return
        self.said += 1
        if self.said == len(self.answer):
            room.finish(1.0)

    def wrong(self, room):
        """The learner has failed."""
        room.finish(-self.penalty)

    def timeout(self, room):
        """Without a word."""
        room.finish(0.0)


class Lookup(Micro):
    """Strings of bits that a table maps to others, one to one.

    Args:
        kind: `"lookup"`, where the prompt tells a fresh table ("00:10 01:11 10:00 11:01 01." -> "11."); `"compose"`, where it tells two, to
            be looked up one after the other ("a 0:1 1:0 b 0:0 1:1 ab 1." -> "0."); `"remember"`, where the table is the same all the time
            and the teacher tells, after a failure, what was right ("t 01." -> "11.").
        length: of the strings, in bits.
        name: by default `micro_` and the kind.
    """

    def __init__(self, kind="lookup", length=2, name=None):
        self.kind, self.length = checks.one_of("kind", kind, tuple(LOOKUPS)), checks.count("length", length)
        self.table, self.penalty = None, 1.0
        level, needs = LOOKUPS[kind]
        Task.__init__(self, name or f"micro_{kind}", level, self._time(), needs)

    def draw(self, rng):
        """Prompt and answer."""
        tables = [self._table(rng), self._table(rng)]
        asked = choice(rng, tuple(tables[0]))
        if self.kind == "compose":
            told = " ".join(f"{name} {_told(table)}" for name, table in zip("ab", tables))
            order = choice(rng, ("ab", "ba"))
            first, second = tables if order == "ab" else tables[::-1]
            return f"{told} {order} {asked}.", f"{second[first[asked]]}."
        if self.kind == "remember":
            return f"t {asked}.", f"{(self.table or tables[0])[asked]}."
        return f"{_told(tables[0])} {asked}.", f"{tables[0][asked]}."

    def start(self, room):
        """Say the prompt; the first time, make the table that stays."""
        if self.kind == "remember" and self.table is None:
            self.table = self._table(room.rng)
        super().start(room)

    def wrong(self, room):
        """Tell the right answer where it can be remembered."""
        if self.kind == "remember":
            room.finish(-self.penalty, f"{self.prompt[2:-1]} is {self.answer}")
        else:
            super().wrong(room)

    def timeout(self, room):
        """Tell the right answer where it can be remembered."""
        room.finish(0.0, f"{self.prompt[2:-1]} is {self.answer}" if self.kind == "remember" else "")

    def _table(self, rng):
        strings = ["".join(bits) for bits in itertools.product("01", repeat=self.length)]
        return dict(zip(strings, sample(rng, strings, len(strings))))


def _told(table):
    return " ".join(f"{key}:{value}" for key, value in table.items())


# kind -> level and what it needs
KINDS = {
    "repeat": (1, ("be_silent",)),
    "reverse": (2, ("micro_repeat",)),
    "rotate": (2, ("micro_repeat",)),
    "flip": (2, ("micro_repeat",)),
    "double": (2, ("micro_repeat",)),
    "concatenate": (2, ("micro_repeat",)),
}
LOOKUPS = {
    "lookup": (2, ("micro_repeat",)),
    "remember": (3, ("micro_lookup",)),
    "compose": (3, ("micro_lookup",)),
}
TASKS = (*(Micro(kind) for kind in KINDS), *(Lookup(kind) for kind in LOOKUPS))
