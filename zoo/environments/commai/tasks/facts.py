"""Level 2: facts that the teacher tells, about things in the baskets of two people, and questions on them."""

from zoo.environments.commai.language import KINDS, NUMBERS, OBJECTS, OWNERS, a, choice, joined, sample
from zoo.environments.commai.tasks.base import Exercise, question

NONE = "none"


@question(level=2, time=2500, needs=("repeat_phrase",))
def is_it_there(room):
    """Whether a thing is in a basket: yes or no."""
    here, missing = _things(room, 3)
    asked = choice(room.rng, (*here, *missing[:3]))
    text = f"john's basket has {joined([a(thing) for thing in here])}. is there {a(asked)} in john's basket?"
    return Exercise(text, _yes(asked in here))


@question(level=2, time=3000, needs=("is_it_there",))
def where_is_it(room):
    """Who has a thing."""
    things = sample(room.rng, OBJECTS, 4)
    baskets = {"john": things[:2], "mary": things[2:]}
    told = " ".join(f"{owner}'s basket has {joined([a(thing) for thing in had])}." for owner, had in baskets.items())
    owner = choice(room.rng, OWNERS)
    return Exercise(f"{told} who has the {choice(room.rng, baskets[owner])}?", owner)


@question(level=2, time=3000, needs=("repeat_phrase",))
def how_is_it(room):
    """The property of a thing in a basket, which has only one."""
    told, facts = _facts(room, most=1)
    owner, thing, properties = _one(room, facts)
    return Exercise(f"{told} how is the {thing} in {owner}'s basket?", properties[0])


@question(level=2, time=3000, needs=("how_is_it", "is_it_there"))
def is_it_so(room):
    """Whether a thing has a property: yes or no."""
    told, facts = _facts(room)
    owner, thing, properties = _one(room, facts)
    asked = choice(room.rng, properties) if room.rng.random() < 0.5 else choice(room.rng, _others(properties))
    return Exercise(f"{told} is the {thing} in {owner}'s basket {asked}?", _yes(asked in properties))


@question(level=2, time=3500, needs=("how_is_it",))
def name_a_property(room):
    """Any property of a thing."""
    told, facts = _facts(room)
    owner, thing, properties = _one(room, facts)
    return Exercise(f"{told} name a property of the {thing} in {owner}'s basket.", tuple(properties))


@question(level=2, time=3500, needs=("name_a_property", "repeat_both"))
def list_properties(room):
    """All properties of a thing, in any order."""
    told, facts = _facts(room)
    owner, thing, properties = _one(room, facts)
    return Exercise(f"{told} list the properties of the {thing} in {owner}'s basket.", frozenset(properties))


@question(level=2, time=3500, needs=("list_properties",))
def count_properties(room):
    """How many properties a thing has, as digit or word."""
    told, facts = _facts(room)
    owner, thing, properties = _one(room, facts)
    return Exercise(f"{told} how many properties does the {thing} in {owner}'s basket have?", number(len(properties)))


@question(level=2, time=3500, needs=("name_a_property",))
def name_an_object(room):
    """Any thing with a property, or "none"."""
    told, owner, asked, found = _search(room)
    return Exercise(f"{told} name {a(asked)} thing in {owner}'s basket.", tuple(found) or NONE)


@question(level=2, time=3500, needs=("name_an_object", "list_properties"))
def list_objects(room):
    """All things with a property, in any order, or "none"."""
    told, owner, asked, found = _search(room)
    return Exercise(f"{told} list the {asked} things in {owner}'s basket.", frozenset(found) or NONE)


@question(level=2, time=3500, needs=("list_objects", "count_properties"))
def count_objects(room):
    """How many things have a property."""
    told, owner, asked, found = _search(room)
    return Exercise(f"{told} how many {asked} things are in {owner}'s basket?", number(len(found)))


@question(level=2, time=3500, needs=("where_is_it", "is_it_so"))
def who_has_such(room):
    """Who has a thing with a property: one, both in any order, or nobody."""
    told, facts = _facts(room)
    owner, thing, properties = _one(room, facts)
    asked = choice(room.rng, properties) if room.rng.random() < 0.7 else choice(room.rng, _others(properties))
    found = [owner for owner in OWNERS if asked in facts[owner, thing]]
    return Exercise(f"{told} who has {a(asked)} {thing}?", frozenset(found) or "nobody")


@question(level=2, time=4000, needs=("list_properties",))
def only_in_one(room):
    """The properties that a thing has in one basket and not in the other, in any order, or "none"."""
    told, facts, owner, thing = _compared(room)
    other = OWNERS[owner == OWNERS[0]]
    answer = frozenset(facts[owner, thing]) - frozenset(facts[other, thing])
    return Exercise(f"{told} which properties does the {thing} have in {owner}'s basket only?", answer or NONE)


@question(level=2, time=4000, needs=("list_properties",))
def in_both(room):
    """The properties that a thing has in both baskets, in any order, or "none"."""
    told, facts, _, thing = _compared(room)
    answer = frozenset(facts["john", thing]) & frozenset(facts["mary", thing])
    return Exercise(f"{told} which properties does the {thing} have in all baskets?", answer or NONE)


def number(n):
    """Both ways to say a number."""
    return NUMBERS[n], str(n)


def _things(room, number):
    things = sample(room.rng, OBJECTS, len(OBJECTS))
    return things[:number], things[number:]


def _properties(room, most=3):
    return [choice(room.rng, kind) for kind in sample(room.rng, KINDS, int(room.rng.integers(1, most + 1)))]


def _others(properties):
    return [word for kind in KINDS for word in kind if word not in properties]


def _facts(room, most=3):
    """Text and (owner, thing) -> properties, for two things that both have."""
    things, _ = _things(room, 2)
    return _told({(owner, thing): _properties(room, most) for owner in OWNERS for thing in things})


def _told(facts):
    return " ".join(f"in {owner}'s basket the {thing} is {joined(found)}." for (owner, thing), found in facts.items()), facts


def _one(room, facts):
    (owner, thing), properties = choice(room.rng, list(facts.items()))
    return owner, thing, properties


def _search(room):
    """Text, owner, property, and the things of the owner's that have it."""
    owner, (things, _) = choice(room.rng, OWNERS), _things(room, 4)
    told, facts = _told({(owner, thing): _properties(room, 2) for thing in things})
    # a property of the first thing, so that there is mostly something to be found
    asked = choice(room.rng, facts[owner, things[0]] if room.rng.random() < 0.8 else KINDS[0])
    return told, owner, asked, [thing for thing in things if asked in facts[owner, thing]]


def _compared(room):
    """Text, facts, owner and thing, where the two things of a name have properties in common."""
    shared = sample(room.rng, KINDS, 3)
    thing = choice(room.rng, OBJECTS)
    told, facts = _told({(owner, thing): [choice(room.rng, kind[:2]) for kind in shared] for owner in OWNERS})
    return told, facts, choice(room.rng, OWNERS), thing


def _yes(holds):
    return "yes" if holds else "no"


TASKS = (
    is_it_there,
    where_is_it,
    how_is_it,
    is_it_so,
    name_a_property,
    list_properties,
    count_properties,
    name_an_object,
    list_objects,
    count_objects,
    who_has_such,
    only_in_one,
    in_both,
)
