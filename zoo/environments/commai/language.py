"""The controlled language of teacher and world: words, feedback, and pseudo-words that hide it."""

import re

PRAISE = ("good job.", "bravo.", "congratulations.", "nice work.", "correct.")
BLAME = ("wrong!", "wrong.", "you failed!", "incorrect.")
LATE = ("sorry, time is over.", "time is up.", "too late.")
PHRASES = ("apple", "banana", "cat", "hello world")
VERBS = ("say", "repeat")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
OWNERS = ("john", "mary")
OBJECTS = ("apple", "ball", "bell", "boot", "cup", "drum", "fork", "kite", "lamp", "onion", "stone")
# properties of one kind exclude each other
KINDS = (
    ("red", "green", "blue", "yellow"),
    ("big", "small", "tiny"),
    ("round", "flat", "square"),
    ("old", "new"),
    ("soft", "hard"),
    ("heavy", "light"),
)
ITALIAN = {"apple": "mela", "ball": "palla", "cup": "tazza", "drum": "tamburo", "stone": "pietra", "onion": "cipolla", "lamp": "lampada"}

VOWELS, CONSONANTS = "aeiouy", "bcdfghjklmnpqrstvwxz"
WORD = re.compile("[A-Za-z]+")


def choice(rng, options):
    """One of `options`."""
    return options[int(rng.integers(len(options)))]


def sample(rng, options, k):
    """A list of `k` different ones of `options`, in random order."""
    return [options[int(i)] for i in rng.permutation(len(options))[:k]]


def a(noun):
    """The noun with its article."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def joined(words, last=" and "):
    """`"red, round and soft"`."""
    return last.join(filter(None, [", ".join(words[:-1]), words[-1]]))


class Scrambler:
    """A language that nobody knows: every word gets, when it comes first, a pseudo-word of its length that no other word has.

    Vowels (y among them) and consonants alternate in it. Case, punctuation, digits and spaces stay as they are.

    Args:
        rng: NumPy random generator that makes the words.
    """

    def __init__(self, rng):
        self.rng = rng
        self.words, self.meanings = {}, {}

    def hide(self, text):
        """`text` in pseudo-words."""
        return WORD.sub(lambda found: _cased(self._pseudo_word(found[0].lower()), found[0]), text)

    def reveal(self, text):
        """What a text of pseudo-words means.

        A word that has a pseudo-word is not understood itself, unless it happens to be one; words that the session has not met stay.
        """
        return WORD.sub(lambda found: _cased(self._meaning(found[0].lower()), found[0]), text)

    def _meaning(self, word):
        return self.meanings.get(word) or self.words.get(word, word)

    def _pseudo_word(self, word):
        while word not in self.words:
            letters = (VOWELS, CONSONANTS)
            first = int(self.rng.random() < 0.5 if len(word) > 1 else self.rng.random() < len(CONSONANTS) / 26)
            pseudo = "".join(choice(self.rng, letters[(first + i) % 2]) for i in range(len(word)))
            if pseudo not in self.meanings:
                self.words[word], self.meanings[pseudo] = pseudo, word
        return self.words[word]


def _cased(word, model):
    return "".join(letter.upper() if like.isupper() else letter for letter, like in zip(word, model))
