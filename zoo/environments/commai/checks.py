"""Checks of arguments. Those of `zoo.arguments` would load Keras, for which a person at the terminal need not wait."""

import operator


def refuse(name, expected, value):
    """Raise the `ValueError` of the house: the argument, what was expected, what came."""
    raise ValueError(f"`{name}` must be {expected}. Received: {value!r:.100}")


def count(name, value, low=1):
    """`value` as an `int` of at least `low`."""
    try:
        found = operator.index(value)
    except TypeError:
        found = None
    if found is None or isinstance(value, bool) or found < low:
        refuse(name, f"a whole number, at least {low}", value)
    return found


def number(name, value):
    """`value`, which must be a number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        refuse(name, "a number, at least 0", value)
    return value


def one_of(name, value, choices):
    """`value`, which must be one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        refuse(name, f"one of {', '.join(map(repr, choices))}", value)
    return value
