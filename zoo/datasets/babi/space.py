"""Tasks 4, 17 and 19: where rooms and shapes lie."""

from zoo.datasets.babi.rooms import ROOMS
from zoo.datasets.babi.story import Story, another

# a direction and its step east and north
COMPASS = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
SIDES = {"above": (0, 1), "below": (0, -1), "right": (1, 0), "left": (-1, 0)}
SHAPES = ("red square", "blue square", "yellow square", "pink rectangle", "red sphere", "triangle")
# how often a sentence starts from the middle one of three
_FROM_MIDDLE = 2 / 3
# task 19: which two of the five lines lead from the start to the goal, out of 2000 released questions
_PATH_LINES = {
    (1, 2): 114,
    (1, 3): 125,
    (1, 4): 131,
    (1, 5): 252,
    (2, 3): 138,
    (2, 4): 159,
    (2, 5): 254,
    (3, 4): 170,
    (3, 5): 300,
    (4, 5): 357,
}


def _opposite(directions, direction):
    x, y = directions[direction]
    return next(other for other, step in directions.items() if step == (-x, -y))


def directions(rng):
    """Task 4: two rooms on two sides of a third one, and a question after the room that a sentence is about."""
    story, (middle, *ends) = Story(rng), rng.sample(ROOMS, 3)
    side = rng.choice(list(COMPASS))
    facts = []
    for end, way in zip(ends, (side, _opposite(COMPASS, side))):
        facts.append((end, way, middle) if rng.random() < _FROM_MIDDLE else (middle, _opposite(COMPASS, way), end))
        story.tell("lies", *facts[-1])
    asked = rng.randrange(2)
    room, way, known = facts[asked]
    if rng.random() < 0.5:
        story.ask("what lies", way, known, answer=room, support=[asked + 1])
    else:
        story.ask("lies of what", known, _opposite(COMPASS, way), answer=room, support=[asked + 1])
    return story.told


def shapes(rng):
    """Task 17: two shapes next to a third one, and eight questions about where the two are to each other."""
    story, (middle, *ends) = Story(rng), rng.sample(SHAPES, 3)
    first = rng.choice(list(SIDES))
    sides = first, another(rng, SIDES, first)
    for end, side in zip(ends, sides):
        words = (middle, _opposite(SIDES, side), end) if rng.random() < _FROM_MIDDLE else (end, side, middle)
        story.tell("is beside", *words)
    at = dict(zip(ends, (SIDES[side] for side in sides)))
    questions = {"yes": [], "no": []}
    for one, other in (ends, ends[::-1]):
        for side, (x, y) in SIDES.items():
            true = (at[one][0] - at[other][0]) * x + (at[one][1] - at[other][1]) * y > 0
            questions["yes" if true else "no"].append((one, side, other))
    for _ in range(8):
        answer = rng.choice(("yes", "no"))
        words = rng.choice(questions[answer])
        story.ask("is it beside", *words, answer=answer, support=[1, 2] if words[0] == ends[0] else [2, 1])
    return story.told


def path(rng):
    """Task 19: two steps between rooms, and three more rooms next to those on the way."""
    story, (start, middle, goal, *rest) = Story(rng), rng.sample(ROOMS, 6)
    first = rng.choice(list(COMPASS))
    second = another(rng, COMPASS, _opposite(COMPASS, first))
    # doors: the ways out of a room that lead somewhere
    doors = [(start, first), (middle, _opposite(COMPASS, first)), (middle, second), (goal, _opposite(COMPASS, second))]
    free = [(room, way) for room in (start, middle, goal) for way in COMPASS if (room, way) not in doors]
    lines = rng.sample(rng.choices(list(_PATH_LINES), list(_PATH_LINES.values()))[0], 2)
    steps = dict(zip(lines, ((start, _opposite(COMPASS, first), middle), (goal, second, middle))))
    others = [(room, way, near) for room, (near, way) in zip(rest, rng.sample(free, 3))]
    for line in range(1, 6):
        # in most sentences the room further out comes first
        (room, way, near), outer = (steps[line], 0.57) if line in steps else (others.pop(), 0.73)
        story.tell("lies", *((room, way, near) if rng.random() < outer else (near, _opposite(COMPASS, way), room)))
    story.ask("how to go", start, goal, answer=(first[0], second[0]), support=lines)
    return story.told


TASKS = {4: directions, 17: shapes, 19: path}
