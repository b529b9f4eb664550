"""The same facts and questions in German."""

from zoo.datasets.babi.format import Line

# gender and noun
_NOUNS = {
    "bedroom": "n Schlafzimmer",
    "bathroom": "n Badezimmer",
    "kitchen": "f Küche",
    "office": "n Büro",
    "garden": "m Garten",
    "hallway": "m Flur",
    "school": "f Schule",
    "park": "m Park",
    "cinema": "n Kino",
    "football": "m Fußball",
    "milk": "f Milch",
    "apple": "m Apfel",
    "pajamas": "m Schlafanzug",
    "chocolate": "f Schokolade",
    "box of chocolates": "f Pralinenschachtel",
    "chest": "f Truhe",
    "suitcase": "m Koffer",
    "box": "f Kiste",
    "container": "m Behälter",
    "square": "n Quadrat",
    "rectangle": "n Rechteck",
    "triangle": "n Dreieck",
    "sphere": "f Kugel",
    "mouse": "f Maus",
    "sheep": "n Schaf",
    "wolf": "m Wolf",
    "cat": "f Katze",
    "swan": "m Schwan",
    "lion": "m Löwe",
    "frog": "m Frosch",
    "rhino": "n Nashorn",
}
_ARTICLES = {
    "nominative": {"m": "der", "f": "die", "n": "das"},
    "accusative": {"m": "den", "f": "die", "n": "das"},
    "dative": {"m": "dem", "f": "der", "n": "dem"},
}
_CONTRACTIONS = {"in das": "ins", "in dem": "im", "von dem": "vom", "zu dem": "zum", "zu der": "zur"}
_PLURALS = {"mouse": ("Mäuse", "Mäusen"), "sheep": ("Schafe", "Schafen"), "wolf": ("Wölfe", "Wölfen"), "cat": ("Katzen", "Katzen")}
# singular, plural, and what stands at the end of the sentence
_VERBS = {
    "went": ("ging", "gingen", ""),
    "went back": ("kehrte", "kehrten", "zurück"),
    "journeyed": ("wanderte", "wanderten", ""),
    "travelled": ("lief", "liefen", ""),
    "moved": ("eilte", "eilten", ""),
    "got": ("holte", "holten", ""),
    "grabbed": ("ergriff", "ergriffen", ""),
    "took": ("nahm", "nahmen", ""),
    "picked up": ("hob", "hoben", "auf"),
    "dropped": ("ließ", "ließen", "fallen"),
    "discarded": ("warf", "warfen", "weg"),
    "left": ("ließ", "ließen", "zurück"),
    "put down": ("legte", "legten", "ab"),
    "gave": ("gab", "gaben", ""),
    "handed": ("reichte", "reichten", "weiter"),
    "passed": ("übergab", "übergaben", ""),
}
_WORDS = {
    "he": "er",
    "she": "sie",
    "they": "sie",
    "After that": "Danach",
    "Afterwards": "Anschließend",
    "Following that": "Daraufhin",
    "Then": "Dann",
    "yesterday": "gestern",
    "this morning": "heute Morgen",
    "this afternoon": "heute Nachmittag",
    "this evening": "heute Abend",
    "north": "nördlich",
    "south": "südlich",
    "east": "östlich",
    "west": "westlich",
    "above": "über",
    "below": "unter",
    "left": "links von",
    "right": "rechts von",
    "red": "rot",
    "blue": "blau",
    "pink": "rosa",
    "yellow": "gelb",
    "gray": "grau",
    "white": "weiß",
    "green": "grün",
    "hungry": "hungrig",
    "thirsty": "durstig",
    "bored": "gelangweilt",
    "tired": "müde",
}
# answers that are no name, noun or word from above
_ANSWERS = {
    "yes": "ja",
    "no": "nein",
    "maybe": "vielleicht",
    "none": "keinen",
    "one": "einen",
    "two": "zwei",
    "three": "drei",
    "nothing": "nichts",
    "n": "n",
    "s": "s",
    "e": "o",
    "w": "w",
}
_WOMEN = ("Mary", "Sandra", "Julie")


def _the(thing, case="nominative", before=""):
    """A noun with its article, its adjective if it has one, and the preposition before it: "ins Büro", "vom roten Quadrat"."""
    *adjective, noun = [thing] if thing in _NOUNS else thing.split()
    gender, noun = _NOUNS[noun].split()
    words = f"{before} {_ARTICLES[case][gender]}".strip()
    words = [_CONTRACTIONS.get(words, words)]
    # after "der" adjectives end in -e in these two cases, but for masculine accusatives, which shapes do not have; "rosa" has no ending
    words += [word if word == "rosa" else word + ("en" if case == "dative" else "e") for word in map(_WORDS.get, adjective)]
    return " ".join([*words, noun])


def _into(place):
    return _the(place, "accusative", "in")


def _at(place):
    return _the(place, "dative", "in")


def _a(kind):
    gender, noun = _NOUNS[kind].split()
    return f"{'eine' if gender == 'f' else 'ein'} {noun}"


def _sentence(*parts, end="."):
    """The parts that are not empty, with a capital letter."""
    text = " ".join(filter(None, parts))
    return text[0].upper() + text[1:] + end


def _did(who, verb, *rest, many=False):
    """Subject, verb, and its particle at the end."""
    singular, plural, particle = _VERBS[verb]
    return _sentence(who, plural if many else singular, *rest, particle)


def _then(first, who, verb, place):
    """What comes first, verb, subject: "Gestern ging Julie in den Park."."""
    singular, plural, particle = _VERBS[verb]
    return _sentence(first, plural if who == "they" else singular, _WORDS.get(who, who), _into(place), particle)


def _ask(*parts):
    return _sentence(*parts, end="?")


def _before(thing, pronoun, place):
    return _ask("wo war", f"{thing}, bevor", pronoun, _at(place), "war")


def _beside(side, other):
    *before, preposition = _WORDS[side].split()
    return " ".join([*before, _the(other, "dative", preposition)])


def _pronoun(thing):
    return {"m": "er", "f": "sie", "n": "es"}[_NOUNS[thing][0]]


FORMS = {
    # facts
    "move": lambda who, verb, place: _did(who, verb, _into(place)),
    "move together": lambda one, other, verb, place: _did(f"{one} und {other}", verb, _into(place), many=True),
    "move afterwards": lambda adverb, who, verb, place: _then(_WORDS[adverb], who, verb, place),
    "time first": lambda time, who, verb, place: _then(_WORDS[time], who, verb, place),
    "time last": lambda time, who, verb, place: _did(who, verb, _WORDS[time], _into(place)),
    "is in": lambda who, place: _sentence(who, "ist", _at(place)),
    "is no longer in": lambda who, place: _sentence(who, "ist nicht mehr", _at(place)),
    "is not in": lambda who, place: _sentence(who, "ist nicht", _at(place)),
    "either": lambda who, one, other: _sentence(who, "ist entweder", _at(one), "oder", _at(other)),
    "get": lambda who, verb, thing: _did(who, verb, _the(thing, "accusative")),
    "get there": lambda who, verb, thing: _did(who, verb, "dort", _the(thing, "accusative")),
    "drop": lambda who, verb, thing: _did(who, verb, _the(thing, "accusative")),
    "drop there": lambda who, verb, thing: _did(who, verb, "dort", _the(thing, "accusative")),
    "give": lambda who, verb, thing, other: _did(who, verb, _the(thing, "accusative"), "an", other),
    "lies": lambda one, way, other: _sentence(_the(one), "liegt", _WORDS[way], _the(other, "dative", "von")),
    "is beside": lambda one, side, other: _sentence(_the(one), "liegt", _beside(side, other)),
    "fears": lambda one, other: _sentence(_PLURALS[one][0], "haben Angst vor", _PLURALS[other][1]),
    "is a": lambda who, kind: _sentence(who, "ist", _a(kind)),
    "has colour": lambda who, colour: _sentence(who, "ist", _WORDS[colour]),
    "is": lambda who, state: _sentence(who, "ist", _WORDS[state]),
    "bigger": lambda one, other: _sentence(_the(one), "ist größer als", _the(other)),
    "fits": lambda one, other: _sentence(_the(one), "passt", _into(other)),
    # questions
    "where is person": lambda who: _ask("wo ist", who),
    "where is thing": lambda thing: _ask("wo ist", _the(thing)),
    "where was thing": lambda thing, place: _before(_the(thing), _pronoun(thing), place),
    "where was person": lambda who, place: _before(who, "sie" if who in _WOMEN else "er", place),
    "is person in": lambda who, place: _ask("ist", who, _at(place)),
    "what given": lambda one, other: _ask("was gab", one, "an", other),
    "who received": lambda thing: _ask("wer bekam", _the(thing, "accusative")),
    "who gave": lambda thing: _ask("wer gab", _the(thing, "accusative"), "weiter"),
    "given to whom": lambda who, thing: _ask("an wen gab", who, _the(thing, "accusative")),
    "who gave to": lambda thing, who: _ask("wer gab", _the(thing, "accusative"), "an", who),
    "how many": lambda who: _ask("wie viele Gegenstände trägt", who),
    "what carried": lambda who: _ask("was trägt", who),
    "what lies": lambda way, other: _ask("was liegt", _WORDS[way], _the(other, "dative", "von")),
    "lies of what": lambda one, way: _ask("wovon liegt", _the(one), _WORDS[way]),
    "is it beside": lambda one, side, other: _ask("liegt", _the(one), _beside(side, other)),
    "how to go": lambda one, other: _ask("wie kommt man", _the(one, "dative", "von"), _the(other, "dative", "zu")),
    "what feared": lambda who: _ask("wovor hat", who.capitalize(), "Angst"),
    "what colour": lambda who: _ask("welche Farbe hat", who),
    "is it bigger": lambda one, other: _ask("ist", _the(one), "größer als", _the(other)),
    "does it fit": lambda one, other: _ask("passt", _the(one), _into(other)),
    "where to": lambda who: _ask("wohin wird", who.capitalize(), "gehen"),
    "why go": lambda who, place: _ask("warum ging", who.capitalize(), _into(place)),
    "why get": lambda who, thing: _ask("warum holte", who.capitalize(), _the(thing, "accusative")),
}


def _answer(part):
    if part in _NOUNS:
        return _NOUNS[part].split()[1]
    return _ANSWERS.get(part) or _WORDS.get(part, part)


def in_german(told):
    """The `Line` of a fact or question."""
    answer = None if told.answer is None else ",".join(map(_answer, told.answer))
    return Line(FORMS[told.form](*told.words), answer, told.support)
