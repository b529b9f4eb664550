"""JSON with many numbers: what the fast ways give is what Python's own `json` gives."""

import json
import math
import time

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.serving import numbers
from zoo.serving.numbers import Flat

RNG = np.random.default_rng(0)


def plain(node):
    """A document with its `Flat`s as nested lists."""
    if isinstance(node, Flat):
        return node.nested()
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    return [plain(value) for value in node] if isinstance(node, list) else node


@pytest.mark.parametrize("shape", [(200,), (1, 64), (64, 1), (1, 8, 8, 1), (2, 3, 4, 5), (1, 1, 1, 40)])
@pytest.mark.parametrize("indent", [None, 1])
def test_long_lists_are_read_flat(shape, indent):
    array = RNG.normal(size=shape)
    for document in (
        {"instances": array.tolist()},
        {"inputs": {"a": array.tolist(), "b": [1], "c": array.tolist()}, "signature_name": "x"},
    ):
        text = json.dumps(document, indent=indent)
        found = numbers.loads(text.encode())
        assert plain(found) == json.loads(text)
        flat = found["instances"] if "instances" in found else found["inputs"]["c"]
        assert isinstance(flat, Flat) and flat.shape == shape


def test_rows_of_objects_are_read_flat():
    rows = [{"image": RNG.normal(size=(8, 8)).tolist(), "label": i} for i in range(3)]
    found = numbers.loads(json.dumps({"instances": rows}).encode())
    assert all(isinstance(row["image"], Flat) for row in found["instances"]) and plain(found) == {"instances": rows}
    shape, items = numbers.flatten([row["image"] for row in found["instances"]])
    assert shape == (3, 8, 8) and items == np.array([row["image"] for row in rows]).ravel().tolist()


LONG = "[" + ", ".join(["0.5"] * 100) + "]"


@pytest.mark.parametrize(
    "text",
    [
        # brackets and commas of a regular list, elements in the wrong place
        LONG.replace("[0.5, 0.5", "[[0.5, 0.5], 0.5[, 0.5]", 1),
        "[[1, 2], 3[, 4]]",
        "[[1, 2]3, [, 4]]",
        "[[1, 2]3, [4, ]]",
        "[[1, 2 3], [4, 5, 6]]",
        "[[1, 2], [3, 4]5]",
        "[0[1, 2], [3, 4]]",
        "[[1, 2], [3 4]]",
        "[1, , 2]",
        "[1, 2, ]",
        "[1 2]",
        "[01]",
        "[+1]",
        "[1.]",
        "[.5]",
        "[1e]",
        "[- 1]",
        "[0x10]",
        "[1_000]",
        "[nan]",
        "[true1]",
        "[[[1]]",
        "[1]]",
        "[1], [2]",
        "[]1",
    ],
)
def test_what_is_no_json_is_refused(text):
    """Padded with blanks to a length at which lists are read flat."""
    for padded in (text, text.replace(",", "," + " " * 300), text[0] + " " * 300 + text[1:], text + " " * 300):
        with pytest.raises(ValueError):
            json.loads(f'{{"x": {padded}}}')
        with pytest.raises(ValueError):
            numbers.loads(f'{{"x": {padded}}}'.encode())


@pytest.mark.parametrize(
    "inner", ["[1, [2]]", "[[1], [2, 3]]", "[[1, 2], 3]", "[[], [1]]", "[[]]", "[]", "[{}]", "[null, true, 1]", '["a]", 1]']
)
def test_other_lists_are_read_all_the_same(inner):
    wide = inner.replace("[", "[" + " " * 300)
    for text in (f'{{"x": {inner}, "y": {LONG}}}', f'{{"x": [{LONG}, {inner}]}}', f'{{"x": {wide}}}'):
        assert plain(numbers.loads(text.encode())) == json.loads(text)


ELEMENTS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()
LISTS = st.recursive(ELEMENTS, lambda inner: st.lists(inner, max_size=4), max_leaves=30)
REGULAR = st.lists(st.integers(1, 4), min_size=1, max_size=4).flatmap(
    lambda shape: st.lists(ELEMENTS, min_size=math.prod(shape), max_size=math.prod(shape)).map(
        lambda items: Flat(tuple(shape), items).nested(),
    )
)


@settings(max_examples=200, deadline=None)
@given(
    document=st.dictionaries(st.text(max_size=3), LISTS | REGULAR | st.lists(LISTS, max_size=3), max_size=3),
    separator=st.sampled_from([",", ",\n" + " " * 260]),
)
def test_reading_equals_json(document, separator):
    text = json.dumps(document, separators=(separator, ": "), ensure_ascii=False)
    assert plain(numbers.loads(text.encode())) == document


@settings(max_examples=200, deadline=None)
@given(value=LISTS | REGULAR)
def test_flattening(value):
    def reference(value):
        if not isinstance(value, list):
            return (), [value]
        parts = [reference(item) for item in value]
        if len({shape for shape, _ in parts}) > 1:
            raise ValueError
        return (len(value), *(parts[0][0] if parts else ())), [item for _, items in parts for item in items]

    text = json.dumps({"x": value}, separators=("," + " " * 260, ": "))
    try:
        expected = reference(value)
    except ValueError:
        with pytest.raises(ValueError):
            numbers.flatten(numbers.loads(text.encode())["x"])
    else:
        assert numbers.flatten(numbers.loads(text.encode())["x"]) == expected


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_spoiled_lists_equal_json(data):
    """One character of a list of numbers changed, added or taken out: the same verdict, and the same numbers."""
    text = json.dumps({"x": RNG.integers(0, 9, (2, 3, 10)).tolist()}).replace(",", "," + " " * 6)
    at = data.draw(st.integers(0, len(text)))
    text = (
        text[:at]
        + data.draw(st.sampled_from(["", "[", "]", ",", "1", " ", "-", "{", "}", '"']))
        + text[at + data.draw(st.integers(0, 1)) :]
    )
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            numbers.loads(text.encode())
    else:
        assert plain(numbers.loads(text.encode())) == expected


def test_special_numbers():
    found = numbers.loads(b'{"x": [NaN, Infinity, -Infinity, 1e400, -1e400, 1.5]}')["x"]
    assert math.isnan(found[0]) and found[1:3] == [math.inf, -math.inf] and found[5] == 1.5
    # not infinite: nobody wrote Infinity
    assert found[3] == 10**400 and found[4] == -(10**400)
    assert numbers.loads(b'{"x": 1' + b"0" * 400 + b"}")["x"] == 10**400


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint64", "bool"])
def test_writing(dtype):
    array = np.array([[0, 1, 0.1], [1e-7, 1 / 3, 100]]).astype(dtype)
    for value in (array, array[:, 1], array[:, ::2], array[0, 0], array[:0]):
        text = numbers.dumps({"x": numbers.writable(np.asarray(value))})
        np.testing.assert_array_equal(np.array(json.loads(text)["x"]).astype(dtype).reshape(value.shape), value)
    assert numbers.dumps(numbers.writable(np.array([0.2, 1e-7], "float32"))) == b"[0.2,1e-7]"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_writing_what_is_not_finite(dtype):
    array = np.array([[1, np.nan, np.inf], [-np.inf, 0.5, np.nan]], dtype)
    assert numbers.dumps({"x": numbers.writable(array)}) == b'{"x":[[1.0,NaN,Infinity],[-Infinity,0.5,NaN]]}'
    assert numbers.dumps(numbers.rows(array)) == b"[[1.0,NaN,Infinity],[-Infinity,0.5,NaN]]"
    assert numbers.dumps(numbers.rows(array[0])) == b"[1.0,NaN,Infinity]"
    assert numbers.dumps([numbers.writable(np.array(np.inf, dtype))]) == b"[Infinity]"


@pytest.mark.parametrize("shape", [(70_000,), (1, 70_000), (70_000, 1), (2, 200, 200, 1), (0, 70_000), (70_000, 0)])
def test_large_arrays_are_written_in_pieces(shape):
    array = RNG.normal(size=shape).astype("float32")
    assert json.loads(numbers.dumps({"x": numbers.writable(array)})) == {
        "x": json.loads(orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY))
    }
    if array.size:
        array.flat[7] = np.nan
        assert numbers.dumps(numbers.writable(array)).count(b"NaN") == 1


def test_time_grows_with_the_text():
    """Texts that are made to be slow: deep, empty, never regular, or of quotes alone."""
    size = 1 << 21
    for text in (b"[" * size, b"[]," * (size // 3), b"[[1]," * (size // 5), b'"' * size, b"[1 2" + b" " * size, b"0 [" * (size // 3)):
        started = time.perf_counter()
        with pytest.raises((ValueError, RecursionError)):
            numbers.loads(b'{"x": ' + text + b"}")
        assert time.perf_counter() - started < 5
