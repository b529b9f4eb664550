"""What tasks are made of. Most are an `Exercise`, which a function draws and a decorator makes a task."""

import copy
import re
from collections.abc import Callable
from typing import NamedTuple

from zoo.environments.commai import checks
from zoo.environments.commai.channels import SILENCE
from zoo.environments.commai.room import QUESTION, STOP


class Task:
    """A teacher with something to teach. A task overrides what it answers to; each is told the `Room` in which it takes place.

    Args:
        name: what it is called; unique among the tasks of an environment.
        level: the level that it belongs to.
        time: its maximal time in bits; in the byte channel an eighth of it in bytes, rounded up.
        needs: names of tasks that must have been solved before a schedule by levels offers it.
    """

    # whether characters count that the learner says while the teacher speaks
    listens_always = False
    # whether sentences such as "I look." are commands to the world
    in_world = False
    # whether it makes sense in pseudo-words
    scrambles = True

    def __init__(self, name, level=0, time=1000, needs=()):
        if not isinstance(name, str) or not name:
            checks.refuse("name", "a text that is not empty", name)
        if not isinstance(needs, (list, tuple)) or not all(isinstance(need, str) for need in needs):
            checks.refuse("needs", "a list of names", needs)
        self.name, self.level, self.needs = name, checks.count("level", level, 0), tuple(needs)
        self.time = checks.count("time", time)

    def start(self, room):
        """The task begins: say what it is about."""

    def heard(self, room, byte):
        """The learner has said a byte, which is the last of `room.words`."""

    def symbol(self, room, symbol):
        """The learner has said a symbol."""

    def spoken(self, room):
        """The teacher has said all there was to say."""

    def moved(self, room):
        """The learner has done something in the world."""

    def timeout(self, room):
        """The maximal time is over."""
        room.finish(0.0, room.late())

    def has(self, event):
        """Whether it answers to an event, given by the name of a method."""
        return getattr(type(self), event) is not getattr(Task, event)

    def __repr__(self):
        return f"<{self.name}: level {self.level}, {self.time} bits>"


class Exercise(NamedTuple):
    """Something to answer.

    Args:
        text: what the teacher says.
        answer: the right one, without full stop; several that are right as a tuple; words that must all be named, in any order, as a set;
            `None` if the learner must be silent.
        quiet: for how many bits after the text.
        replies: dict of regular expressions for whole sentences of the learner's to what the teacher replies: a text, or a function of the
            match, which may give `None` where the sentence is an answer.
    """

    text: str
    answer: str | tuple | frozenset | None = None
    quiet: int = 0
    replies: dict = {}


class Question(Task):
    """Draws an `Exercise`, and rewards the right answer with 1.

    The first sentence of the learner's that is neither a question with a reply nor a command is judged.

    Args:
        draw: function of a `Room` that gives an `Exercise`.
        forgiving: whether it is enough that what the learner has said ends with the answer and a full stop, now or later, whatever was said
            before.
        in_world: whether the learner may act in the world meanwhile.
        **kwargs: of `Task`.
    """

    def __init__(self, draw: Callable[..., Exercise], forgiving=False, in_world=False, **kwargs):
        super().__init__(name=draw.__name__, **kwargs)
        self.draw, self.forgiving, self.in_world, self.__doc__ = draw, forgiving, in_world, draw.__doc__

    def start(self, room):
        """Ask."""
        if self.in_world:
            room.world.clear()
        self.exercise = self.draw(room)
        room.say(self.exercise.text)
        if self.exercise.answer is None:
            room.limit = room.bits(8 * len(self.exercise.text.encode()) + self.exercise.quiet)

    def heard(self, room, byte):
        """Judge a sentence, or any sound where silence is asked."""
        if self.exercise.answer is None:
            if byte != SILENCE:
                room.finish(0.0, room.blame())
        elif byte in (STOP, QUESTION):
            reply = self._reply(room.sentence()) if self.exercise.replies else None
            if reply is not None:
                room.say(reply)
            elif byte == STOP:
                self._judge(room)

    def timeout(self, room):
        """Silence was right if it was asked; other answers are told."""
        if self.exercise.answer is None:
            room.finish(1.0, room.praise())
        else:
            room.finish(0.0, f"{room.late()} {self._told()}")

    def _judge(self, room):
        if self._is_right(room):
            room.finish(1.0, room.praise())
        elif not self.forgiving:
            room.finish(0.0, f"{room.blame()} {self._told()}")

    def _is_right(self, room):
        answer, sentence = self.exercise.answer, room.sentence()[:-1]
        if isinstance(answer, frozenset):
            # delimiters are ", ", " and ", ", and " and " "
            return sorted(re.sub(r",|\band\b", " ", sentence).split()) == sorted(answer)
        answers = answer if isinstance(answer, tuple) else (answer,)
        return any(room.ends_with(f"{one}.") for one in answers) if self.forgiving else sentence.strip() in answers

    def _reply(self, sentence):
        for pattern, reply in self.exercise.replies.items():
            found = re.fullmatch(pattern, sentence)
            if found:
                return reply(found) if callable(reply) else reply
        return None

    def _told(self):
        answer = self.exercise.answer
        right = answer[0] if isinstance(answer, tuple) else answer if isinstance(answer, str) else " and ".join(sorted(answer))
        return f"the right answer is: {right}."


class Errand(Task):
    """Something to do in the world; rewarded with 1 once it is done, however often the learner went astray.

    Args:
        draw: function of a `Room` that prepares the world and gives a text and a function of the `World`, which tells whether it is done.
        **kwargs: of `Task`.
    """

    in_world = True

    def __init__(self, draw: Callable, **kwargs):
        super().__init__(name=draw.__name__, **kwargs)
        self.draw, self.__doc__ = draw, draw.__doc__

    def start(self, room):
        """Say what is to be done."""
        room.world.clear()
        text, self.done = self.draw(room)
        room.say(text)

    def moved(self, room):
        """Look whether it is done."""
        if self.done(room.world):
            room.finish(1.0, room.praise(), add=True)


def question(**kwargs):
    """Decorator that makes a function of a `Room`, which gives an `Exercise`, a `Question`; keyword arguments are those of the class."""
    return lambda draw: Question(draw, **kwargs)


def errand(**kwargs):
    """Decorator that makes an `Errand` of a function; keyword arguments are those of the class."""
    return lambda draw: Errand(draw, **kwargs)


def fresh(task):
    """A task of its own for an environment: tasks keep their state on themselves."""
    return copy.copy(task)
