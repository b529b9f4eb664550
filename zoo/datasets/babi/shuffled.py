"""English with every word replaced by one that means nothing."""

import dataclasses
import hashlib
import re

from zoo.datasets.babi.english import in_english

_SYLLABLES = [consonant + vowel for consonant in "bdfghjklmnprstvwz" for vowel in "aeiou"]


def nonsense(word):
    """Four syllables that depend on the word alone; the words of all tasks get different ones."""
    word_hash = hashlib.sha256(word.lower().encode()).digest()
    made = "".join(_SYLLABLES[byte % len(_SYLLABLES)] for byte in word_hash[:4])
    return made.capitalize() if word[0].isupper() else made


def in_nonsense(told):
    """The `Line` of a fact or question."""
    line = in_english(told)
    text, answer = (field and re.sub(r"\w+", lambda match: nonsense(match[0]), field) for field in (line.text, line.answer))
    return dataclasses.replace(line, text=text, answer=answer)
