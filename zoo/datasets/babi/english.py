"""The sentences of the released files."""

from zoo.datasets.babi.format import Line

_PLURALS = {"mouse": "Mice", "sheep": "Sheep", "wolf": "Wolves", "cat": "Cats"}
_SIDES = {"above": "above", "below": "below", "left": "to the left of", "right": "to the right of"}

FORMS = {
    # facts
    "move": "{} {} to the {}.".format,
    "move together": "{} and {} {} to the {}.".format,
    "move afterwards": "{} {} {} to the {}.".format,
    "time first": lambda time, who, verb, room: f"{time.capitalize()} {who} {verb} to the {room}.",
    "time last": lambda time, who, verb, room: f"{who} {verb} to the {room} {time}.",
    "is in": "{} is in the {}.".format,
    "is no longer in": "{} is no longer in the {}.".format,
    "is not in": "{} is not in the {}.".format,
    "either": "{} is either in the {} or the {}.".format,
    "get": "{} {} the {}.".format,
    "get there": "{} {} the {} there.".format,
    "drop": "{} {} the {}.".format,
    "drop there": "{} {} the {} there.".format,
    "give": "{} {} the {} to {}.".format,
    "lies": "The {} is {} of the {}.".format,
    "is beside": lambda one, side, other: f"The {one} is {_SIDES[side]} the {other}.",
    "fears": lambda one, other: f"{_PLURALS[one]} are afraid of {_PLURALS[other].lower()}.",
    "is a": "{} is a {}.".format,
    "has colour": "{} is {}.".format,
    "is": "{} is {}.".format,
    "bigger": "The {} is bigger than the {}.".format,
    "fits": "The {} fits inside the {}.".format,
    # questions; those of tasks 1 to 14 without 4 end in a blank
    "where is person": "Where is {}? ".format,
    "where is thing": "Where is the {}? ".format,
    "where was thing": "Where was the {} before the {}? ".format,
    "where was person": "Where was {} before the {}? ".format,
    "is person in": "Is {} in the {}? ".format,
    "what given": "What did {} give to {}? ".format,
    "who received": "Who received the {}? ".format,
    "who gave": "Who gave the {}? ".format,
    "given to whom": "Who did {} give the {} to? ".format,
    "who gave to": "Who gave the {} to {}? ".format,
    "how many": "How many objects is {} carrying? ".format,
    "what carried": "What is {} carrying? ".format,
    "what lies": "What is {} of the {}?".format,
    "lies of what": "What is the {} {} of?".format,
    "is it beside": lambda one, side, other: f"Is the {one} {_SIDES[side]} the {other}?",
    "how to go": "How do you go from the {} to the {}?".format,
    "what feared": "What is {} afraid of?".format,
    "what colour": "What color is {}?".format,
    "is it bigger": "Is the {} bigger than the {}?".format,
    "does it fit": "Does the {} fit in the {}?".format,
    "where to": "Where will {} go?".format,
    "why go": "Why did {} go to the {}?".format,
    "why get": "Why did {} get the {}?".format,
}


def in_english(told):
    """The `Line` of a fact or question."""
    return Line(FORMS[told.form](*told.words), None if told.answer is None else ",".join(told.answer), told.support)
