"""The grid world: an endless plain with things in its cells, in which the learner walks, looks, picks up and gives."""

import re
from collections import Counter

from zoo.environments.commai.language import OBJECTS, a, choice, sample

DIRECTIONS = ("north", "east", "south", "west")
STEPS = {"north": (0, -1), "east": (1, 0), "south": (0, 1), "west": (-1, 0)}
TREE = "tree"
COMMAND = re.compile(r"I (turn (left|right)|move forward|look|pick up the (\w+)|give you an? (\w+))\.")


class World:
    """The learner starts at (0, 0) and faces north, where y falls. Things stand in the way; a tree cannot be picked up.

    `position`, `facing`, `things` (cell -> name), `inventory` (name -> number) and `wanted`, what the teacher will take, are open to tasks.
    """

    def __init__(self):
        self.position, self.facing = (0, 0), "north"
        self.clear()

    def clear(self):
        """Take all things away; the learner stays where it is."""
        self.things, self.inventory, self.given, self.wanted, self.seen = {}, Counter(), Counter(), None, None

    def scatter(self, rng, number=12, radius=3):
        """Put things and trees at random into the cells around the learner."""
        cells = [(x, y) for x in range(-radius, radius + 1) for y in range(-radius, radius + 1) if (x, y) != (0, 0)]
        for x, y in sample(rng, cells, number):
            self.things[self.position[0] + x, self.position[1] + y] = choice(rng, (*OBJECTS, TREE))

    def beside(self, direction=None, distance=1):
        """The cell that lies in a direction, by default in front."""
        x, y = STEPS[direction or self.facing]
        return self.position[0] + distance * x, self.position[1] + distance * y

    def turned(self, side):
        """The direction to the `"left"` or `"right"`."""
        return DIRECTIONS[(DIRECTIONS.index(self.facing) + (1 if side == "right" else -1)) % 4]

    def obey(self, sentence):
        """Do what a sentence of the learner's says.

        Returns:
            The world's answer, or `None` if it is no command.
        """
        found = COMMAND.fullmatch(sentence)
        if not found:
            return None
        what, side, picked, given = found.groups()
        if side:
            return self._turn(side)
        if picked:
            return self._pick_up(picked)
        if given:
            return self._give(given)
        return self._look() if what == "look" else self._move()

    def _turn(self, side):
        self.facing = self.turned(side)
        return f"You turned {side}, you are now facing {self.facing}."

    def _move(self):
        if self.beside() in self.things:
            return "You can't move."
        self.position = self.beside()
        return "You moved."

    def _look(self):
        self.seen = self.things.get(self.beside())
        return f"There is {a(self.seen)}." if self.seen else "There is nothing here."

    def _pick_up(self, thing):
        if self.things.get(self.beside()) != thing:
            return f"There is no {thing} here."
        if thing == TREE:
            return f"You can't pick up the {thing}."
        del self.things[self.beside()]
        self.inventory[thing] += 1
        return f"You picked up the {thing}."

    def _give(self, thing):
        if thing != self.wanted:
            return f"I haven't asked you for {a(thing)}."
        if not self.inventory[thing]:
            return f"You don't have {a(thing)}."
        self.inventory[thing] -= 1
        self.given[thing] += 1
        return f"You gave me {a(thing)}."
