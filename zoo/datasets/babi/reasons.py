"""Tasks 15, 16, 18 and 20: deduction, induction, sizes and motives."""

from zoo.datasets.babi.rooms import GETS, MOVES
from zoo.datasets.babi.story import RECENT, Story, another

FEARFUL = ("mouse", "sheep", "wolf", "cat")
OWNERS = ("Gertrude", "Winona", "Jessica", "Emily")
ANIMALS = ("swan", "lion", "frog", "rhino")
COLOURS = ("gray", "white", "yellow", "green")
NAMED = ("Lily", "Bernhard", "Greg", "Julius", "Brian")
# the first two are always the smallest
SIZES = ("chocolate", "box of chocolates", "chest", "suitcase", "box", "container")
PLANNERS = ("Sumit", "Yann", "Jason", "Antoine")
MOTIVES = {"hungry": ("kitchen", "apple"), "thirsty": ("kitchen", "milk"), "bored": ("garden", "football"), "tired": ("bedroom", "pajamas")}


def deduction(rng):
    """Task 15: each species fears another one, and people are of species already named."""
    story, fear = Story(rng), {kind: another(rng, FEARFUL, kind) for kind in FEARFUL}
    fear_line, kind_of, owner_line = {}, {}, {}
    while len(story.told) < 8:
        kind = rng.choice(FEARFUL)
        if kind not in fear_line:
            fear_line[kind] = story.tell("fears", kind, fear[kind])
            continue
        owner = rng.choice(OWNERS)
        if owner not in kind_of:
            kind_of[owner], owner_line[owner] = kind, story.tell("is a", owner, kind)
    for owner in rng.choices(OWNERS, k=4):
        kind = kind_of[owner]
        story.ask("what feared", owner.lower(), answer=fear[kind], support=[owner_line[owner], fear_line[kind]])
    return story.told


def induction(rng):
    """Task 16: a colour that is told of one animal is that of all of its kind so far; later ones may bring another."""
    while True:
        story, kind, colour, kind_line, colour_line = Story(rng), {}, {}, {}, {}
        for _ in range(2 * len(NAMED) - 1):
            who = rng.choice([who for who in NAMED if who not in colour_line])
            if who not in kind:
                kind[who] = rng.choice(ANIMALS)
                kind_line[who] = story.tell("is a", who, kind[who])
                continue
            if who not in colour:
                painted = rng.choice(COLOURS)
                colour.update((other, painted) for other in NAMED if kind.get(other) == kind[who])
            colour_line[who] = story.tell("has colour", who, colour[who])
        asked = next(who for who in NAMED if who not in colour_line)
        alike = [who for who in NAMED if who != asked and kind[who] == kind[asked]]
        # the released files have no question with two witnesses
        if len(alike) in (1, 3, 4):
            break
    witness = max(alike, key=colour_line.get)
    support = [kind_line[asked], kind_line[witness], colour_line[witness]]
    story.ask("what colour", asked, answer=colour[witness], support=support)
    return story.told


def sizes(rng):
    """Task 18: five comparisons at a time until two of them give a third one, which is asked about five times."""
    story, order = Story(rng), [*SIZES[:2], *rng.sample(SIZES[2:], 4)]
    facts, asked = [], 0
    while asked < 5:
        for _ in range(5):
            small, big = (order[i] for i in sorted(rng.sample(range(6), 2)))
            words = ("bigger", big, small) if rng.random() < 0.5 else ("fits", small, big)
            facts.append((story.tell(*words), big, small))
        chains = _chains(facts)
        for _ in range(5):
            # a few blocks of the released files stop before the fifth question
            if not chains or rng.random() < 0.003:
                break
            true, (first, *one), (second, *other) = rng.choice(chains)
            big, small = (one[0], other[1]) if true else (other[0], one[1])
            form = rng.choice(("is it bigger", "does it fit"))
            words = (big, small) if true == (form == "is it bigger") else (small, big)
            story.ask(form, *words, answer="yes" if true else "no", support=[first, second])
            asked += 1
    return story.told


def _chains(facts):
    """The pairs of facts that can be asked about, with the answer: the first one is the upper step of a "yes" or the lower one of a "no".

    The second one is the oldest that fits, and before it no other fact than the first one was told that it fits; one of them is recent.
    """
    chains, recent = [], facts[-RECENT:]
    for fact in facts:
        for true, (end, start) in ((True, (2, 1)), (False, (1, 2))):
            second = next((other for other in facts if other[start] == fact[end]), None)
            if second and (fact in recent or second in recent):
                before = [other for other in facts if other[end] == fact[end] and other != fact and other < second]
                chains += [] if before else [(true, fact, second)]
    return chains


def motives(rng):
    """Task 20: people with a need go where it can be met and take what they need, if nobody else has it."""
    story, state, state_line, place, taken = Story(rng), {}, {}, {}, {}
    while True:
        able = [who for who in PLANNERS if who not in place or MOTIVES[state[who]][1] not in taken]
        able = [who for who in able if who not in taken.values()]
        if not able:
            return story.told
        who = rng.choice(able)
        if who not in state:
            state[who] = rng.choice(list(MOTIVES))
            state_line[who] = story.tell("is", who, state[who])
            story.ask("where to", who.lower(), answer=MOTIVES[state[who]][0], support=[state_line[who]])
            continue
        room, thing = MOTIVES[state[who]]
        if who not in place:
            place[who] = story.tell("move", who, rng.choice(MOVES), room)
            story.ask("why go", who.lower(), room, answer=state[who], support=[state_line[who]])
        else:
            taken[thing] = who
            story.tell("get there", who, rng.choice(GETS), thing)
            story.ask("why get", who.lower(), thing, answer=state[who], support=[state_line[who]])


TASKS = {15: deduction, 16: induction, 18: sizes, 20: motives}
