"""Level 4: to walk, look, pick up and give in the grid world."""

from zoo.environments.commai.language import OBJECTS, a, choice, sample
from zoo.environments.commai.tasks.base import Exercise, errand, question
from zoo.environments.commai.tasks.facts import number
from zoo.environments.commai.world import DIRECTIONS, TREE

SIDES = ("left", "right")


@errand(level=4, time=2000, needs=("say_what_you_do",))
def turn(room):
    """Turn left or right, which takes one command."""
    side = choice(room.rng, SIDES)
    goal = room.world.turned(side)
    return f"say 'I turn left.' or 'I turn right.' to turn. turn {side}.", lambda world: world.facing == goal


@errand(level=4, time=2000, needs=("say_what_you_do",))
def move(room):
    """Move forward."""
    goal = room.world.beside()
    return "say 'I move forward.' to move. move forward.", lambda world: world.position == goal


@errand(level=4, time=3000, needs=("turn", "move"))
def move_to_a_side(room):
    """Move to the left or right, which means to turn and to go."""
    side = choice(room.rng, SIDES)
    goal = room.world.beside(room.world.turned(side))
    return f"move {side}.", lambda world: world.position == goal


@errand(level=4, time=4000, needs=("move_to_a_side",))
def move_in_a_direction(room):
    """Move to the north, east, south or west; the teacher tells where the learner faces."""
    direction = choice(room.rng, DIRECTIONS)
    goal = room.world.beside(direction)
    return f"you are facing {room.world.facing}. move {direction}.", lambda world: world.position == goal


@question(level=4, time=3000, needs=("turn", "repeat_phrase"), in_world=True)
def look_ahead(room):
    """Tell what is in front, which only a look shows."""
    thing = choice(room.rng, (*OBJECTS, TREE))
    room.world.things[room.world.beside()] = thing
    return Exercise("say 'I look.' to look. what is in front of you?", thing)


@question(level=4, time=5000, needs=("look_ahead", "move_in_a_direction"), in_world=True)
def look_around(room):
    """Tell in which direction a thing is, among the four cells around."""
    things = sample(room.rng, (*OBJECTS, TREE), 4)
    for direction, thing in zip(DIRECTIONS, things):
        room.world.things[room.world.beside(direction)] = thing
    asked = choice(room.rng, DIRECTIONS)
    text = f"you are facing {room.world.facing}. where is the {things[DIRECTIONS.index(asked)]}? look around you."
    return Exercise(text, asked)


@errand(level=4, time=2500, needs=("look_ahead",))
def pick_up_in_front(room):
    """Pick up a thing in front."""
    thing = _placed(room, room.world.facing)
    return f"there is {a(thing)} in front of you. say 'I pick up the {thing}.' to pick it up.", _picked(thing)


@errand(level=4, time=5000, needs=("pick_up_in_front", "look_around"))
def pick_up_around(room):
    """Pick up a thing that is in one of the four cells around."""
    thing = _placed(room, choice(room.rng, DIRECTIONS))
    return f"there is {a(thing)} around you. pick up the {thing}.", _picked(thing)


@errand(level=4, time=7000, needs=("pick_up_in_front", "move_in_a_direction"))
def find(room):
    """Go to a thing, at most four cells away in a direction that is told, and pick it up."""
    direction, distance, thing = choice(room.rng, DIRECTIONS), int(room.rng.integers(2, 5)), choice(room.rng, OBJECTS)
    room.world.things[room.world.beside(direction, distance)] = thing
    text = f"you are facing {room.world.facing}. far to the {direction} there is {a(thing)}. find the {thing} and pick it up."
    return text, _picked(thing)


@errand(level=4, time=2500, needs=("say_what_you_do",))
def give(room):
    """Give a thing that the learner has been given."""
    thing = choice(room.rng, OBJECTS)
    room.world.inventory[thing], room.world.wanted = 1, thing
    return f"I gave you {a(thing)}. say 'I give you {a(thing)}.' to give it to me.", lambda world: world.given[thing] == 1


@errand(level=4, time=6000, needs=("pick_up_around", "give"))
def pick_up_and_give(room):
    """Pick up a thing around and give it."""
    thing = _placed(room, choice(room.rng, DIRECTIONS))
    room.world.wanted = thing
    return f"there is {a(thing)} around you. pick up the {thing} and give it to me.", lambda world: world.given[thing] == 1


@question(level=4, time=4000, needs=("count_some", "give"), in_world=True)
def count_inventory(room):
    """How many things of one name the learner has, after some have been given to it and taken away."""
    thing = choice(room.rng, OBJECTS)
    had = int(room.rng.integers(1, 6))
    taken = int(room.rng.integers(0, had + 1))
    room.world.inventory[thing] = had - taken
    told = " ".join([f"I gave you {a(thing)}."] * had + [f"I took {a(thing)} from you."] * taken)
    return Exercise(f"{told} how many {thing}s do you have?", number(had - taken))


def _placed(room, direction):
    thing = choice(room.rng, OBJECTS)
    room.world.things[room.world.beside(direction)] = thing
    return thing


def _picked(thing):
    return lambda world: world.inventory[thing] == 1


TASKS = (
    turn,
    move,
    move_to_a_side,
    move_in_a_direction,
    look_ahead,
    look_around,
    pick_up_in_front,
    pick_up_around,
    find,
    give,
    pick_up_and_give,
    count_inventory,
)
