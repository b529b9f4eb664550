"""Each kind of argument takes what it should in plain form, and refuses everything else by name."""

from typing import Literal

import keras
import numpy as np
import pytest

from zoo import arguments
from zoo.arguments import Amount, Callbacks, Count, Flag, Index, Number, Numbers, Positive, Share, Text, TextLists, Texts, checked

KINDS = {
    "count": (Count, [(3, 3), (3.0, 3), (np.int64(3), 3), (np.array(3), 3)], [0, -1, 1.5, np.nan, np.inf, "3", None, True, 2**31, [3], 1j]),
    "index": (Index, [(0, 0)], [-1, 0.5, np.array([1, 2])]),
    "number": (Number, [(-2, -2.0), (np.float32(0.5), 0.5)], [np.nan, -np.inf, 1e39, "1", None, False, 10**400]),
    "amount": (Amount, [(0, 0.0)], [-1e-9]),
    "positive": (Positive, [(1e-9, 1e-9)], [0, -1.0]),
    "share": (Share, [(1, 1.0)], [1.01, -0.01]),
    "flag": (Flag, [(np.True_, True)], [1, "yes", None]),
    "choice": (Literal["a", "b"], [("a", "a")], ["c", np.nan, ["a"], None]),
    "optional": (Count | None, [(None, None), (2.0, 2)], [0, "a"]),
    "either": (Count | Texts, [(2, 2), (("a",), ["a"])], [0, "a", [1]]),
    "text": (Text, [("a", "a")], [1, b"a", ["a"], None]),
    "texts": (Texts, [(("a", ""), ["a", ""]), (np.array(["a"]), ["a"])], ["abc", [], [1], {"a": 1}, {"a"}, 3, None]),
    "text_lists": (TextLists, [((("a", "b"), ["c"]), [["a", "b"], ["c"]])], [["ab"], [[]], [], [[1]], "ab"]),
    "callbacks": (Callbacks, [([], [])], ["a", 3, [3]]),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds(name):
    kind, good, bad = KINDS[name]

    @checked
    def verb(self, *, value: kind):
        return value

    for given, expected in good:
        found = verb(None, value=given)
        assert found == expected and type(found) is type(expected)
    for given in bad:
        with pytest.raises(ValueError, match="`value` must be .* Received: "):
            verb(None, value=given)


def test_defaults_and_signature_stay():
    @checked
    def verb(self, k: Count = 3, other=None):
        """Words."""
        return k, other

    assert verb(None) == (3, None) and verb(None, 2.0, other="x") == (2, "x")
    assert verb.__doc__ == "Words." and set(arguments.expectations(verb)) == {"k"}
    with pytest.raises(TypeError, match="no_such"):
        verb(None, no_such=1)


def test_numbers():
    @checked
    def verb(self, z: Numbers):
        return z

    np.testing.assert_array_equal(verb(None, [[1, 2]]), [[1, 2]])
    np.testing.assert_array_equal(verb(None, keras.ops.ones((2,))), [1, 1])
    for bad in (None, "a", [], [np.nan], [1e300], [[1], [1, 2]], ["a"], {}, 10**400):
        with pytest.raises(ValueError, match="`z` must"):
            verb(None, bad)
    with pytest.raises(ValueError, match="2 axes"):
        arguments.numbers("z", [1.0], rank=2)


def test_counts():
    assert arguments.counts("units", np.array([3, 4.0])) == (3, 4)
    assert arguments.counts("units", [], empty=True) == ()
    for bad in ((), 3, "34", None, (3, 0), (3, 1.5), [[3]], {3}):
        with pytest.raises(ValueError, match="`units` must be"):
            arguments.counts("units", bad)


def test_messages_are_short():
    assert len(arguments.shown(list(range(1000)))) < 120
    assert "array of shape (2, 3)" in arguments.shown(np.zeros((2, 3)))
    assert "int" in arguments.shown(10**5000)


def test_class_weights():
    assert arguments.class_weight("class_weight", {0: 1, np.int64(1): np.float32(2)}) == {0: 1.0, 1: 2.0}
    for bad in ({0: np.nan}, {"a": 1}, [1, 2], {0: -1}):
        with pytest.raises(ValueError, match="`class_weight` must be"):
            arguments.class_weight("class_weight", bad)
