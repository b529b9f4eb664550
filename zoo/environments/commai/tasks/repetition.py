"""Level 1: to say what one is asked to say."""

import functools
import string

from zoo.environments.commai.language import NUMBERS, PHRASES, VERBS, choice, sample
from zoo.environments.commai.tasks.base import Exercise, question

TAILS = ("and take your time", "if you can hear me", "to pass this test", "and nothing else")
SONGS = {"sing": "I sing", "jump": "I jump", "run": "I run", "dance": "I dance"}
# how long the learner must be silent where nothing is to be said
QUIET = 400

repetition = functools.partial(question, level=1, forgiving=True)


@repetition(time=1000, needs=("be_silent",))
def repeat_character(room):
    """Say one letter: "say k." """
    letter = choice(room.rng, string.ascii_lowercase)
    return Exercise(f"{_verb(room)} {letter}.", letter)


@repetition(time=1000, needs=("be_silent",))
def repeat_phrase(room):
    """Say a phrase: "repeat hello world." """
    phrase = _phrase(room)
    return Exercise(f"{_verb(room)} {phrase}.", phrase)


@repetition(time=1500, needs=("repeat_phrase",))
def repeat_with_tail(room):
    """Say a phrase and not what comes after it: "say 'apple' if you can hear me." """
    phrase = _phrase(room)
    return Exercise(f"{_verb(room)} '{phrase}' {choice(room.rng, TAILS)}.", phrase)


@repetition(time=2000, needs=("repeat_phrase",))
def repeat_times(room):
    """Say a phrase several times: "say cat two times." -> "cat cat." """
    return _several(room, " ", "")


@repetition(time=2000, needs=("repeat_times",))
def repeat_with_comma(room):
    """Say a phrase several times with commas between: "say cat 3 times separated by comma." -> "cat, cat, cat." """
    return _several(room, ", ", " separated by comma")


@repetition(time=2000, needs=("repeat_times",))
def repeat_with_and(room):
    """Say a phrase several times with "and" between: "say cat 2 times separated by and." -> "cat and cat." """
    return _several(room, " and ", " separated by and")


@repetition(time=2000, needs=("repeat_phrase",))
def repeat_both(room):
    """Say two phrases: "say cat and say apple." -> "cat apple." """
    first, second = sample(room.rng, PHRASES, 2)
    verb = _verb(room)
    return Exercise(f"{verb} {first} and {verb} {second}.", f"{first} {second}")


@repetition(time=2500, needs=("repeat_both",))
def repeat_unless_told_not_to(room):
    """Say the phrases that are not forbidden: "do not say cat and say apple." -> "apple."; silence if both are."""
    phrases, wanted = sample(room.rng, PHRASES, 2), room.rng.random(2) < 0.5
    verb = _verb(room)
    orders = [f"{verb} {phrase}" if yes else f"do not {verb} {phrase}" for phrase, yes in zip(phrases, wanted)]
    said = " ".join(phrase for phrase, yes in zip(phrases, wanted) if yes)
    return Exercise(f"{' and '.join(orders)}.", said or None, quiet=QUIET)


@repetition(time=2000, needs=("repeat_phrase",))
def repeat_either(room):
    """Say one of two phrases: "say cat or say apple." """
    phrases = sample(room.rng, PHRASES, 2)
    verb = _verb(room)
    return Exercise(f"{verb} {phrases[0]} or {verb} {phrases[1]}.", tuple(phrases))


@repetition(time=2000, needs=("repeat_with_tail",))
def say_what_you_do(room):
    """Say the sentence that goes with a verb: "say 'I sing' to sing. sing." -> "I sing." """
    verbs = sample(room.rng, tuple(SONGS), 2)
    told = " ".join(f"{_verb(room)} '{SONGS[verb]}' to {verb}." for verb in verbs)
    verb = choice(room.rng, verbs)
    return Exercise(f"{told} now {verb}.", SONGS[verb])


def _several(room, between, told):
    phrase, number = _phrase(room), int(room.rng.integers(2, 4))
    shown = choice(room.rng, (str(number), NUMBERS[number]))
    return Exercise(f"{_verb(room)} {phrase} {shown} times{told}.", between.join([phrase] * number))


def _verb(room):
    return choice(room.rng, VERBS)


def _phrase(room):
    return choice(room.rng, PHRASES)


TASKS = (
    repeat_character,
    repeat_phrase,
    repeat_with_tail,
    repeat_times,
    repeat_with_comma,
    repeat_with_and,
    repeat_both,
    repeat_unless_told_not_to,
    repeat_either,
    say_what_you_do,
)
