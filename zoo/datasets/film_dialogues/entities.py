"""Entities in texts: names of several words as one unit."""

import re
from collections.abc import Iterable

# words that are titles too ("It", "Her", "Who") and in every second message; of the words of films, those that messages are made of
COMMON = frozenset(
    """
    a about after again all am an and any anything are as at be because been before being best but by came can cinema cinemas come
    could did do does else every film films first for from genre get give go good had has have he her here him his how i if in into is
    it its just keyword keywords kind know language last let like made make many may me mean might minute more most movie movies much
    must my name never next no not nothing now of off old on one only or other our out over please same script see seen she should so
    some someone something sort such suggest tag tagged tags than that the their them then there these they this those to tonight too
    top two up us very was watch we were what when where which while who whom whose why will with word words would write writer
    written year years yes you your
    """.split()
)


def tokens(text: str) -> list[str]:
    """Words and single other signs, in their order and case."""
    return re.findall(r"\w+|[^\w\s]", text)


class EntityMatcher:
    """Finds names in texts.

    First names of several words that stand there letter by letter, then names of several words in any case, then names of one word as the
    list has them; each time from the left, and the longest one. So "in The Fog of War" holds "The Fog of War", not "In the Fog". Two rules
    keep words of the language from being taken for titles: a name of common words only (`COMMON`; "All of Me") is never found in another
    case, and one common word ("It", "Her") is a name only within a sentence, where its capital letter is a sign.

    Args:
        entities: all names, such as `KnowledgeBase.entities`.
    """

    def __init__(self, entities: Iterable[str]):
        self._written: dict[tuple[str, ...], str] = {}
        self._folded: dict[tuple[str, ...], str] = {}
        self._single: dict[tuple[str, ...], str] = {}
        lengths: dict[str, set[int]] = {}
        for name in entities:
            parts = tuple(tokens(name))
            if not parts:
                continue
            folded = tuple(part.casefold() for part in parts)
            lengths.setdefault(folded[0], set()).add(len(parts))
            words = [token for token in folded if token[0].isalnum()]
            (self._written if len(words) > 1 else self._single)[parts] = name
            if len(words) > 1 and not COMMON.issuperset(words):
                self._folded.setdefault(folded, name)
        # of names with the same first word, the longest first
        self._lengths = {word: sorted(found, reverse=True) for word, found in lengths.items()}

    def split(self, text: str) -> list[tuple[str, bool]]:
        """The text as units: a name as the list has it and `True`, or a word or sign in lower case and `False`."""
        written = tokens(text)
        folded = [token.casefold() for token in written]
        # names by the place where they begin
        names: dict[int, str] = {}
        free = [True] * len(written)
        for units, known in ((written, self._written), (folded, self._folded), (written, self._single)):
            for i, word in enumerate(folded):
                for length in self._lengths.get(word, ()) if free[i] else ():
                    place = slice(i, i + length)
                    name = known.get(tuple(units[place])) if i + length <= len(units) else None
                    if name is not None and all(free[place]) and not (length == 1 and _begins_sentence(folded, i)):
                        names[i], free[place] = name, [False] * length
                        break
        return [(names[i], True) if i in names else (folded[i], False) for i in range(len(folded)) if free[i] or i in names]


def _begins_sentence(folded: list[str], i: int) -> bool:
    """Whether a common word is the first one of a sentence."""
    return folded[i] in COMMON and (i == 0 or folded[i - 1] in (".", "!", "?"))
