"""Level 5: to ask for what one does not know."""

from zoo.environments.commai.language import ITALIAN, NUMBERS, OBJECTS, OWNERS, a, choice, joined, sample
from zoo.environments.commai.tasks.base import Exercise, question

PLEASE = "please tell me the number."


@question(level=5, time=3000, needs=("repeat_with_tail",))
def ask_for_a_number(room):
    """Guess a number of one to five digits by asking for it; the teacher says how."""
    return _number(room, f"say '{PLEASE}' to ask me.", {r"please tell me the number\.": "my number is {}."})


@question(level=5, time=3000, needs=("ask_for_a_number",))
def ask_without_help(room):
    """The same, but the learner must know how to ask."""
    return _number(room, "you may ask me.", {r"please tell me the number\.": "my number is {}."})


@question(level=5, time=6000, needs=("ask_without_help",))
def ask_digit_by_digit(room):
    """Guess a number by asking for each of its digits."""
    digits = _digits(room)
    replies = {r"what is digit ([1-9])\?": lambda found: _digit(digits, int(found[1]))}
    text = f"guess my number of {_length(digits)}. say 'what is digit 1?' to ask me for the first one."
    return Exercise(text, digits, replies=replies)


@question(level=5, time=1200, needs=("ask_without_help", "count_some"))
def ask_higher_or_lower(room):
    """Guess a number from 1 to 16 by trying: the teacher says "higher." or "lower."; there is no time to try them all."""
    goal = int(room.rng.integers(1, 17))

    def reply(found):
        guess = int(found[1])
        return None if guess == goal else "higher." if guess < goal else "lower."

    text = "guess my number from 1 to 16. I say higher or lower."
    return Exercise(text, str(goal), replies={r"([0-9]{1,3})\.": reply})


@question(level=5, time=3000, needs=("ask_for_a_number",))
def ask_for_a_word(room):
    """Say a word in Italian, after asking for it."""
    word = choice(room.rng, tuple(ITALIAN))
    replies = {r"what is (\w+) in Italian\?": lambda found: f"it is {ITALIAN[found[1]]}." if found[1] in ITALIAN else "I do not know."}
    return Exercise(f"say the Italian word for {word}. say 'what is {word} in Italian?' to ask me.", ITALIAN[word], replies=replies)


@question(level=5, time=4500, needs=("ask_for_a_word", "where_is_it"))
def ask_for_facts(room):
    """Tell who has a thing, after asking what the two have."""
    things = sample(room.rng, OBJECTS, 4)
    baskets = {"john": things[:2], "mary": things[2:]}
    replies = {
        rf"what does {owner} have\?": f"{owner}'s basket has {joined([a(thing) for thing in had])}." for owner, had in baskets.items()
    }
    owner = choice(room.rng, OWNERS)
    text = f"who has the {choice(room.rng, baskets[owner])}? say 'what does john have?' or 'what does mary have?' to ask me."
    return Exercise(text, owner, replies=replies)


def _number(room, help_, replies):
    digits = _digits(room)
    replies = {pattern: reply.format(digits) for pattern, reply in replies.items()}
    return Exercise(f"guess my number of {_length(digits)}. {help_}", digits, replies=replies)


def _digits(room):
    return "".join(str(int(digit)) for digit in room.rng.integers(0, 10, int(room.rng.integers(1, 6))))


def _length(digits):
    return f"{NUMBERS[len(digits)]} digit{'s' if len(digits) > 1 else ''}"


def _digit(digits, place):
    return f"it is {digits[place - 1]}." if place <= len(digits) else "there is no such digit."


TASKS = (ask_for_a_number, ask_without_help, ask_digit_by_digit, ask_higher_or_lower, ask_for_a_word, ask_for_facts)
