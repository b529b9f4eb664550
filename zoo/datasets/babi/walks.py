"""Tasks 9 to 14: people walk, and sentences tell of it by negation, choices, pronouns, pairs and times of the day."""

from zoo.datasets.babi.rooms import ACTORS, MOVES, ROOMS
from zoo.datasets.babi.story import RECENT, Story, another

TOWNSPEOPLE = ("Mary", "Fred", "Bill", "Julie")
PLACES = ("bedroom", "kitchen", "office", "school", "park", "cinema")
PRONOUNS = {"Mary": "she", "Sandra": "she", "Julie": "she", "John": "he", "Daniel": "he", "Fred": "he", "Bill": "he"}
ADVERBS = ("After that", "Afterwards", "Following that", "Then")
TIMES = ("yesterday", "this morning", "this afternoon", "this evening")


def negation(rng):
    """Task 9: "is in" tells of a move that was not seen, and "is not in" of the place that was left."""
    story, place, known = Story(rng), {who: rng.choice(ROOMS) for who in ACTORS}, {}
    for _ in range(5):
        for _ in range(2):
            who = rng.choice(ACTORS)
            old, place[who] = place[who], another(rng, ROOMS, place[who])
            form = rng.choices(("move", "is in", "is no longer in", "is not in"), (4, 2, 1, 1))[0]
            there = form in ("move", "is in")
            words = (who, rng.choice(MOVES), place[who]) if form == "move" else (who, place[who] if there else old)
            known[who] = there, words[-1], story.tell(form, *words, about=[who])
        who = rng.choice(story.recent())
        there, room, line = known[who]
        true = there and rng.random() < 0.5
        asked = room if true or not there else another(rng, ROOMS, room)
        story.ask("is person in", who, asked, answer="yes" if true else "no", support=[line])
    return story.told


def indefinite(rng):
    """Task 10: "either ... or" tells the true place and one drawn from all, which may be the same."""
    story, place, known = Story(rng), {who: rng.choice(PLACES) for who in TOWNSPEOPLE}, {}
    for _ in range(5):
        for _ in range(2):
            who = rng.choice(TOWNSPEOPLE)
            place[who] = room = another(rng, PLACES, place[who])
            form = rng.choices(("move", "is in", "either"), (2, 1, 1))[0]
            told = rng.sample((room, rng.choice(PLACES)), 2) if form == "either" else [room]
            words = (who, rng.choice(MOVES), room) if form == "move" else (who, *told)
            known[who] = told, story.tell(form, *words, about=[who])
        who = rng.choice(story.recent())
        told, line = known[who]
        # the released files ask for the true place a little more often than not
        asked = place[who] if rng.random() < 0.53 else another(rng, PLACES, place[who])
        answer = "no" if asked not in told else "yes" if len(told) == 1 else "maybe"
        story.ask("is person in", who, asked, answer=answer, support=[line])
    return story.told


def _walk(rng, people, pronoun):
    """Tasks 11 to 13: `people()` go somewhere, and with a `pronoun` somewhere else afterwards, or others go."""
    story, place, lines = Story(rng), {who: rng.choice(ROOMS) for who in ACTORS}, {}
    for _ in range(5):
        for step in range(2):
            if step == 0 or not pronoun:
                # people and room are drawn until nobody is there already
                while True:
                    who, room = people(), rng.choice(ROOMS)
                    if all(place[one] != room for one in who):
                        break
                told = [story.tell("move" if len(who) == 1 else "move together", *who, rng.choice(MOVES), room, about=who)]
            else:
                room = another(rng, ROOMS, place[who[0]])
                words = rng.choice(ADVERBS), PRONOUNS[who[0]] if len(who) == 1 else "they", rng.choice(MOVES), room
                told.append(story.tell("move afterwards", *words, about=who))
            for one in who:
                place[one], lines[one] = room, told
        who = rng.choice(story.recent())
        story.ask("where is person", who, answer=place[who], support=lines[who])
    return story.told


def coreference(rng):
    """Task 11."""
    return _walk(rng, lambda: [rng.choice(ACTORS)], True)


def conjunction(rng):
    """Task 12."""
    return _walk(rng, lambda: rng.sample(ACTORS, 2), False)


def compound_coreference(rng):
    """Task 13."""
    return _walk(rng, lambda: rng.sample(ACTORS, 2), True)


def times(rng):
    """Task 14: each person's day goes from yesterday to this evening, and what happened since the last question is told out of order."""
    story, visits = Story(rng), {who: [] for who in TOWNSPEOPLE}
    happened, block, line, asked = [], [], {}, 0
    while asked < 5:
        for _ in range(2):
            who = rng.choice([who for who in TOWNSPEOPLE if len(visits[who]) < len(TIMES)])
            visits[who].append(another(rng, PLACES, visits[who][-1] if visits[who] else None))
            block.append((who, len(visits[who]) - 1))
            happened.append(block[-1])
        moves = [(who, time) for who, time in happened[-RECENT:] if time > 0]
        if not moves:
            continue
        for who, time in _cycle(rng, block):
            form = rng.choice(("time first", "time last"))
            line[who, time] = story.tell(form, TIMES[time], who, rng.choice(MOVES), visits[who][time])
        who, time = rng.choice(moves)
        room = visits[who][time]
        last = max(i for i, place in enumerate(visits[who]) if place == room)
        story.ask("where was person", who, room, answer=visits[who][last - 1], support=[line[who, last], line[who, last - 1]])
        block, asked = [], asked + 1
    return story.told


def _cycle(rng, items):
    """`items` in one cycle (Sattolo): nothing stays where it was, so two visits of one person are always exchanged."""
    items = list(items)
    for i in range(len(items) - 1, 0, -1):
        j = rng.randrange(i)
        items[i], items[j] = items[j], items[i]
    return items


TASKS = {9: negation, 10: indefinite, 11: coreference, 12: conjunction, 13: compound_coreference, 14: times}
