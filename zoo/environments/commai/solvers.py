"""A script for every task, which solves it from what a learner reads: symbols and rewards.

A script is a generator: it is sent what has been said, and yields what to answer; where one answer is enough it is a function of the text.
"""

import re

from zoo.environments.commai import checks
from zoo.environments.commai.channels import SILENCE
from zoo.environments.commai.language import NUMBERS, joined
from zoo.environments.commai.learners import Listener, Speaker
from zoo.environments.commai.tasks import TASKS
from zoo.environments.commai.world import DIRECTIONS

FACT = re.compile(r"in (\w+)'s basket the (\w+) is ([^.]+)\.")
BASKET = re.compile(r"(\w+)'s basket has ([^.]+)\.")


def solver(name, channel="bit"):
    """A learner that knows a task.

    Args:
        name: of one of the tasks of `"all"`.
        channel: `"bit"` or `"byte"`.

    Returns:
        A learner with `act(observation, reward)`, which goes on from one attempt to the next.

    Raises:
        ValueError: if there is no such task or channel.
    """
    script = SCRIPTS[checks.one_of("name", name, tuple(SCRIPTS))]
    return SymbolSolver(channel) if script is None else Solver(script, channel)


class Solver(Listener):
    """Plays a script, again after each reward.

    Args:
        script: function of the solver that gives a generator.
        channel: `"bit"` or `"byte"`.
    """

    def __init__(self, script, channel="bit"):
        super().__init__(channel)
        # what must be remembered from task to task
        self.memory = {}
        self._script_of, self._script = script, None

    def told(self, text):
        """Answer by the script."""
        if self._script is None:
            self._script = self._script_of(self)
            next(self._script)
        try:
            reply = self._script.send(text)
        except StopIteration:
            self._script = None
            return
        if reply:
            self.say(reply)

    def rewarded(self, reward, byte):
        """A new task begins."""
        super().rewarded(reward, byte)
        self._script = None


class SymbolSolver(Speaker):
    """Says symbols that are written as digits, without waiting: after each digit, all since the last reward.

    Args:
        channel: `"bit"` or `"byte"`.
    """

    def __init__(self, channel="bit"):
        super().__init__(channel)
        self._digits = ""

    def heard(self, byte):
        """Say what has been written; what was begun too early is broken off."""
        if byte != SILENCE:
            self._digits += chr(byte)
            self._mouth.clear()
            bits = [int(digit) for digit in self._digits]
            # in the bit channel the rest of a byte is heard by nobody
            self._mouth.add_bytes(bytes(bits) if self._mouth.width == 1 else bytes([int(self._digits.ljust(8, "0"), 2)]))

    def rewarded(self, reward, byte):
        """A new task begins."""
        self._digits = ""


def solve(env, attempts=1, seed=None):
    """Play an environment by scripts, each task by its own.

    Args:
        env: a `CommAI` of tasks of `"all"`, neither scrambled nor with wrappers that change symbols.
        attempts: number of tasks to play.
        seed: of the reset.

    Returns:
        List of (name, whether it was solved).
    """
    checks.count("attempts", attempts)
    observation, info = env.reset(seed=seed)
    solvers, results = {}, []
    while len(results) < attempts:
        name = info["task"]
        player = solvers[name] = solvers.get(name) or solver(name, env.channel)
        symbol = player.act(observation)
        observation, _, _, _, info = env.step(symbol)
        if info["result"] is not None:
            results.append((name, info["result"] > 0))
            # that a task is over is told whatever it paid; nobody hears the answer
            observation, _, _, _, info = env.step(player.act(observation, info["result"] or -1.0))
    return results


def _answer(function):
    """The script of one answer."""

    def script(solver):
        text = yield
        yield function(text)

    return script


def _silent(solver):
    while True:
        yield


# --- level 1 ---


def _repeat(text):
    quoted = re.search(r"'(.+)'", text)
    return f"{quoted[1]}." if quoted else re.sub(r"^\w+ ", "", text)


def _repeat_times(text):
    phrase, times, how = re.match(r"\w+ (.+) (\w+) times(.*)\.", text).groups()
    between = {"": " ", " separated by comma": ", ", " separated by and": " and "}[how]
    return f"{between.join([phrase] * _number(times))}."


def _repeat_unless(text):
    orders = re.match(r"(.+)\.", text)[1].split(" and ")
    said = " ".join(order.split(" ", 1)[1] for order in orders if not order.startswith("do not"))
    return said and f"{said}."


def _repeat_either(text):
    return f"{text[:-1].split(' or ')[1].split(' ', 1)[1]}."


def _say_what_you_do(text):
    return re.search(rf"'([^']+)' to {re.search(r'now (.+).$', text)[1]}\.", text)[1] + "."


# --- level 2 ---


def _facts(text):
    return {(owner, thing): _words(properties) for owner, thing, properties in FACT.findall(text)}


def _baskets(text):
    return {owner: [thing.split()[-1] for thing in _words(things)] for owner, things in BASKET.findall(text)}


def _words(listed):
    return re.split(r", | and ", listed)


def _is_it_there(text):
    asked, owner = re.search(r"is there an? (\w+) in (\w+)'s basket\?", text).groups()
    return _yes(asked in _baskets(text)[owner])


def _where_is_it(text):
    asked = re.search(r"who has the (\w+)\?", text)[1]
    return next(f"{owner}." for owner, things in _baskets(text).items() if asked in things)


def _of_one(say):
    """Answers that need the properties of the thing in somebody's basket."""

    def function(text):
        thing, owner = re.search(r"(\w+) in (\w+)'s basket[^.?]*[.?]$", text).groups()
        return say(text, _facts(text)[owner, thing])

    return _answer(function)


def _of_such(say):
    """Answers that need the things with a property."""

    def function(text):
        asked, owner = re.search(r"(\w+) things? (?:are )?in (\w+)'s basket[.?]$", text).groups()
        return say([thing for (who, thing), found in _facts(text).items() if who == owner and asked in found])

    return _answer(function)


def _who_has_such(text):
    asked, thing = re.search(r"who has an? (\w+) (\w+)\?", text).groups()
    found = [owner for (owner, what), properties in _facts(text).items() if what == thing and asked in properties]
    return f"{joined(found)}." if found else "nobody."


def _compare(text):
    thing, owner, only = re.search(r"does the (\w+) have in (\w+)(?:'s basket (only)| baskets)\?", text).groups()
    facts = _facts(text)
    if only:
        others = {word for (who, what), found in facts.items() if what == thing and who != owner for word in found}
        return _list([word for word in facts[owner, thing] if word not in others])
    first, second = (found for (_, what), found in facts.items() if what == thing)
    return _list([word for word in first if word in second])


# --- level 3 ---


def _things(text):
    return [thing.split()[-1] for thing in _words(re.search(r"I have ([^.]+)\.", text)[1])]


def _count_some(text):
    return f"{_things(text).count(re.search(r'how many (.+)s do I have', text)[1])}."


def _count_more(text):
    first, second = re.search(r"more (\w+)s than (\w+)s\?", text).groups()
    return _yes(_things(text).count(first) > _things(text).count(second))


# --- level 4 ---


def _turn(solver):
    text = yield
    yield f"I turn {_asked(text, 'turn')}."


def _move_to_a_side(solver):
    text = yield
    yield f"I turn {_asked(text, 'move')}."
    yield "I move forward."


def _move_in_a_direction(solver):
    text = yield
    yield from _face(_facing(text), _asked(text, "move"))
    yield "I move forward."


def _look_ahead(solver):
    yield
    text = yield "I look."
    yield f"{text[:-1].split()[-1]}."


def _look_around(solver):
    text = yield
    asked, facing = re.search(r"where is the (\w+)\?", text)[1], _facing(text)
    seen = yield "I look."
    while not seen.endswith(f" {asked}."):
        yield "I turn right."
        facing = DIRECTIONS[(DIRECTIONS.index(facing) + 1) % 4]
        seen = yield "I look."
    yield f"{facing}."


def _pick_up_in_front(solver):
    text = yield
    yield f"I pick up the {_named(text)}."


def _pick_up_around(solver):
    text = yield
    answer = yield f"I pick up the {_named(text)}."
    while not answer.startswith("You picked up"):
        yield "I turn right."
        answer = yield f"I pick up the {_named(text)}."
    yield re.sub(r".*(an? \w+) around.*", r"I give you \1.", text)


def _find(solver):
    text = yield
    yield from _face(_facing(text), re.search(r"far to the (\w+)", text)[1])
    answer = yield "I move forward."
    while answer == "You moved.":
        answer = yield "I move forward."
    yield f"I pick up the {_named(text)}."


def _give(solver):
    text = yield
    yield re.search(r"'(.+)'", text)[1]


def _count_inventory(text):
    return f"{text.count('I gave') - text.count('I took')}."


def _facing(text):
    return re.search(r"facing (\w+)", text)[1]


def _face(facing, direction):
    """Turn from one direction to the other."""
    turns = (DIRECTIONS.index(direction) - DIRECTIONS.index(facing)) % 4
    if turns == 3:
        yield "I turn left."
        return
    while turns:
        yield "I turn right."
        turns -= 1


def _named(text):
    return re.search(r"there is an? (\w+)", text)[1]


def _asked(text, verb):
    return re.search(rf"{verb} (\w+)\.$", text)[1]


# --- level 5 ---


def _ask_for_a_number(solver):
    yield
    text = yield "please tell me the number."
    yield text.replace("my number is ", "")


def _ask_digit_by_digit(solver):
    text = yield
    digits = ""
    for place in range(NUMBERS.index(re.search(r"of (\w+) digit", text)[1])):
        reply = yield f"what is digit {place + 1}?"
        digits += reply[-2]
    yield f"{digits}."


def _ask_higher_or_lower(solver):
    text = yield
    low, high = map(int, re.search(r"from (\d+) to (\d+)", text).groups())
    while True:
        guess = (low + high) // 2
        text = yield f"{guess}."
        low, high = (guess + 1, high) if text == "higher." else (low, guess - 1)


def _ask_for_a_word(solver):
    text = yield
    reply = yield re.search(r"'(.+)'", text)[1]
    yield reply.replace("it is ", "")


def _ask_for_facts(solver):
    text = yield
    asked = re.search(r"who has the (\w+)\?", text)[1]
    told = yield "what does john have?"
    yield "john." if asked in _baskets(told)["john"] else "mary."


# --- micro tasks ---


def _table(text):
    return dict(re.findall(r"(\d+):(\d+)", text))


def _compose(text):
    tables = dict(zip("ab", map(_table, re.match(r"a (.+) b (.+) ..", text).groups())))
    order, bits = text[:-1].split()[-2:]
    for name in order:
        bits = tables[name][bits]
    return f"{bits}."


def _remember(solver):
    text = yield
    # what was said of the last answer
    solver.memory.update(re.findall(r"(\d+) is (\d+)\.", solver.closing))
    asked = re.search(r"t (\d+)\.$", text)[1]
    strings = [f"{number:0{len(asked)}b}" for number in range(2 ** len(asked))]
    # what belongs to another string cannot be right
    yield f"{solver.memory.get(asked) or next(guess for guess in strings if guess not in solver.memory.values())}."


def _number(word):
    return NUMBERS.index(word) if word in NUMBERS else int(word)


def _yes(holds):
    return "yes." if holds else "no."


def _list(words):
    return f"{joined(words)}." if words else "none."


SCRIPTS = {
    "be_silent": _silent,
    **dict.fromkeys(("nano_0", "nano_1", "nano_10", "nano_11")),
    "repeat_character": _answer(_repeat),
    "repeat_phrase": _answer(_repeat),
    "repeat_with_tail": _answer(_repeat),
    "repeat_times": _answer(_repeat_times),
    "repeat_with_comma": _answer(_repeat_times),
    "repeat_with_and": _answer(_repeat_times),
    "repeat_both": _answer(lambda text: " ".join(part.split(" ", 1)[1] for part in text.split(" and "))),
    "repeat_unless_told_not_to": _answer(_repeat_unless),
    "repeat_either": _answer(_repeat_either),
    "say_what_you_do": _answer(_say_what_you_do),
    "is_it_there": _answer(_is_it_there),
    "where_is_it": _answer(_where_is_it),
    "how_is_it": _of_one(lambda text, found: f"{found[0]}."),
    "is_it_so": _of_one(lambda text, found: _yes(text[:-1].split()[-1] in found)),
    "name_a_property": _of_one(lambda text, found: f"{found[0]}."),
    "list_properties": _of_one(lambda text, found: f"{joined(found)}."),
    "count_properties": _of_one(lambda text, found: f"{NUMBERS[len(found)]}."),
    "name_an_object": _of_such(lambda found: f"{found[0]}." if found else "none."),
    "list_objects": _of_such(_list),
    "count_objects": _of_such(lambda found: f"{len(found)}."),
    "who_has_such": _answer(_who_has_such),
    "only_in_one": _answer(_compare),
    "in_both": _answer(_compare),
    "count_all": _answer(lambda text: f"{len(_things(text))}."),
    "count_some": _answer(_count_some),
    "count_more": _answer(_count_more),
    "turn": _turn,
    "move": _answer(lambda text: "I move forward."),
    "move_to_a_side": _move_to_a_side,
    "move_in_a_direction": _move_in_a_direction,
    "look_ahead": _look_ahead,
    "look_around": _look_around,
    "pick_up_in_front": _pick_up_in_front,
    "pick_up_around": _pick_up_around,
    "find": _find,
    "give": _give,
    "pick_up_and_give": _pick_up_around,
    "count_inventory": _answer(_count_inventory),
    "ask_for_a_number": _ask_for_a_number,
    "ask_without_help": _ask_for_a_number,
    "ask_digit_by_digit": _ask_digit_by_digit,
    "ask_higher_or_lower": _ask_higher_or_lower,
    "ask_for_a_word": _ask_for_a_word,
    "ask_for_facts": _ask_for_facts,
    "micro_repeat": _answer(lambda text: text),
    "micro_reverse": _answer(lambda text: f"{text[2:-1][::-1]}."),
    "micro_rotate": _answer(lambda text: f"{text[3:-1]}{text[2]}."),
    "micro_flip": _answer(lambda text: text[2:].translate(str.maketrans("ab", "ba"))),
    "micro_double": _answer(lambda text: f"{text[2:-1] * 2}."),
    "micro_concatenate": _answer(lambda text: text[2:].replace(" ", "")),
    "micro_lookup": _answer(lambda text: f"{_table(text[:-1])[text[:-1].split()[-1]]}."),
    "micro_remember": _remember,
    "micro_compose": _answer(_compose),
}
assert set(SCRIPTS) == set(TASKS)
