"""Wrong arguments of every public verb of every shipped preset are refused by name, whatever they are.

CI draws the same few every time; `make fuzz` draws many, other ones each time.
"""

import os
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from zoo import arguments, presets, testing
from zoo.arguments import Described

DRAWS = int(os.environ.get("ZOO_FUZZ", 0))
BIG = st.integers(min_value=2**31) | st.integers(max_value=-(2**31))
NOT_FINITE = st.sampled_from([np.nan, np.inf, -np.inf, 1e39, -1e300])
OTHER_TYPES = st.none() | st.text(max_size=5) | st.binary(max_size=5) | st.lists(st.integers(), max_size=3) | st.complex_numbers()
OTHER_TYPES |= st.dictionaries(st.text(max_size=2), st.integers(), max_size=2) | st.sets(st.integers(), max_size=2)
# whether a value is wrong for an argument is left to its kind, which tests/test_arguments.py knows by heart
JUNK = OTHER_TYPES | NOT_FINITE | BIG | st.floats(-3, 3) | st.integers(-3, 3) | st.booleans() | st.lists(st.text(max_size=3) | st.none())


@lru_cache(maxsize=1)
def subject(name):
    model = presets.load(name)
    return model, {verb: call for verb, call in model.example_calls().items() if call}


def is_wrong(expected, name, value, given_):
    try:
        expected(name, value, given_)
    except ValueError:
        return True
    return False


def spoiled_array(data, field, array):
    """`array` with one wrong number anywhere, or of another shape or type."""
    array = np.array(array)
    how = data.draw(st.sampled_from(["number", "axis", "no axis", "rows", "text", "none"]))
    if how == "number" and array.dtype.kind in "fiu":
        beyond = [limit + step for limit, step in ((field.low, -testing.BEYOND), (field.high, testing.BEYOND)) if limit is not None]
        fractions = [0.5] if "int" in field.dtype else []
        array = array.astype("float64")
        array.flat[data.draw(st.integers(0, array.size - 1))] = data.draw(
            st.sampled_from([np.nan, np.inf, -np.inf, 1e300, *beyond, *fractions])
        )
        return array
    return {"axis": array[None], "no axis": array.reshape(-1)[:1][0], "rows": array[:0], "text": array.astype(str), "none": None}.get(
        how, object()
    )


def draw_wrong(data, model, expected, argument, call):
    """A wrong value for an argument, with the valid one at hand."""
    kind = expected.kinds[0]
    value = call.get(argument)
    if not isinstance(kind, Described) or value is None or kind.what == "sample" or data.draw(st.booleans()):
        value = data.draw(JUNK)
        # what is legal is no fault; a method may still refuse it
        assume(is_wrong(expected, argument, value, {**call, "self": model}))
        return value
    field = data.draw(st.sampled_from([field for field in kind.fields(model) if not isinstance(value, dict) or field.name in value]))
    bad = spoiled_array(data, field, value[field.name] if isinstance(value, dict) else value)
    if bad is None and not isinstance(value, dict):
        # targets that a loss does not need may lack, and what the verb says may
        assume(not field.optional if kind.what == "targets" else is_wrong(expected, argument, None, {**call, "self": model}))
    return {**value, field.name: bad} if isinstance(value, dict) else bad


@pytest.mark.parametrize("name", presets.shipped())
def test_wrong_arguments_are_refused_by_name(name):
    model, calls = subject(name)

    @settings(
        max_examples=DRAWS or 30,
        derandomize=not DRAWS,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(st.data())
    def run(data):
        verb = data.draw(st.sampled_from(sorted(calls)))
        parameters = {key: value for key, value in testing.expected_of(model, verb).items() if key in calls[verb] or key not in ("x", "y")}
        if not parameters:
            return
        argument = data.draw(st.sampled_from(sorted(parameters)))
        bad = draw_wrong(data, model, parameters[argument], argument, calls[verb])
        note(f"{verb}({argument}={arguments.shown(bad)})")
        assert testing.outcome(model, verb, calls[verb], argument, bad) == "named"

    run()
