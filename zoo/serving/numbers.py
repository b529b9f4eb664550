"""JSON with many numbers, read and written by orjson without the detour over nested Python lists.

Nested lists cost several times the memory of their numbers, and a million of them sets off Python's garbage collector again and again: an
image of 1448 x 1448 pixels takes 0.2 s here and several seconds there. So the brackets of a regular nested list are compared with those
that its shape implies, and its numbers are read as one flat list.
"""

import contextlib
import gc
import itertools
import json
import math
from dataclasses import dataclass

import numpy as np
import orjson

# shorter texts are read at once; a text of many strings holds few numbers between two of them
_LEAST, _MOST_QUOTES, _MOST_AXES = 256, 4096, 32
# most numbers that are written in one go
_PIECE = 1 << 16
_SPACE = b" \t\r\n"
# everything but brackets and commas becomes a zero
_MARKS = bytes(c if c in b"[]," else ord("0") for c in range(256))
_BRACKETS_AS_SPACE = bytes.maketrans(b"[]", b"  ")
# a key that no text without a backslash can hold: JSON strings must escape control characters
_PLACE = "\x00"
# stands for a number beyond float64, which no later step takes
_TOO_LARGE = 10**400


@dataclass(frozen=True)
class Flat:
    """A regular nested list.

    Args:
        shape: its lengths.
        items: its elements in row-major order, none of them a list or a string.
    """

    shape: tuple
    items: list

    def nested(self):
        """The nested list."""
        items = self.items
        for length in self.shape[:0:-1]:
            items = [items[i : i + length] for i in range(0, len(items), length)]
        return items


# --- reading ---


def loads(body):
    """Parse JSON, with `NaN` and `Infinity` as TensorFlow Serving takes them.

    Args:
        body: bytes.

    Returns:
        What `json.loads` gives, but with some of the regular nested lists of numbers as `Flat`; a number beyond float64 becomes an
        integer beyond float64.

    Raises:
        ValueError: if it is no JSON.
        RecursionError: if it is too deep.
    """
    cut = _cut(body)
    if cut:
        document, flats = cut
        # whatever is wrong is reported as of the whole text
        with contextlib.suppress(orjson.JSONDecodeError, RecursionError):
            return _restored(orjson.loads(document), flats)
    with _without_collector(len(body)):
        return _loads_all(body)


def flatten(value):
    """Shape and elements of a regular nested list, `Flat` or not; the elements may be anything but lists.

    Raises:
        ValueError: if it is not regular or too deep; the arguments are the level and the length that was expected there.
    """
    shape, items = [], [value]
    while True:
        kinds = set(map(type, items))
        if kinds == {Flat} and len({item.shape for item in items}) == 1:
            return (*shape, *items[0].shape), list(itertools.chain.from_iterable(item.items for item in items))
        if Flat in kinds:
            items = [item.nested() if type(item) is Flat else item for item in items]
            kinds = set(map(type, items))
        if list not in kinds:
            return tuple(shape), items
        length = len(items[0]) if type(items[0]) is list else 0
        if len(shape) == _MOST_AXES or kinds != {list} or set(map(len, items)) != {length}:
            raise ValueError(len(shape), length)
        shape.append(length)
        items = list(itertools.chain.from_iterable(items))


def _cut(body):
    """The text with a placeholder for each long nested list, and the lists; `None` where that is not sure or not worth it."""
    if len(body) < _LEAST or b"\\" in body or body.count(b'"') > _MOST_QUOTES:
        return None
    # without backslashes every second piece lies between strings
    pieces, flats = body.split(b'"'), []
    for i in range(0, len(pieces), 2):
        piece = pieces[i]
        closing = piece.find(b"}")
        start, stop = piece.find(b"["), piece.rfind(b"]", 0, closing if closing >= 0 else len(piece)) + 1
        if stop - start < _LEAST or start < 0:
            continue
        flat = _flat(piece[start:stop])
        if flat is None:
            return None
        pieces[i] = b'%b{"\\u0000":%d}%b' % (piece[:start], len(flats), piece[stop:])
        flats.append(flat)
    return (b'"'.join(pieces), flats) if flats else None


def _flat(text):
    """The regular nested list that a text without strings spells, or `None`.

    The brackets and commas must be those of the shape, and no element may stand before an opening or behind a closing bracket; then what
    lies between the commas is the list of its elements, which orjson reads and checks.
    """
    marks = text.translate(_MARKS, _SPACE)
    shape = _shape(marks.translate(None, b"0"))
    if shape is None or _stray(np.frombuffer(marks, "uint8")):
        return None
    try:
        items = orjson.loads(b"[%b]" % text.translate(_BRACKETS_AS_SPACE))
    except orjson.JSONDecodeError:
        return None
    # one list without elements has the brackets and commas of a list of one
    return Flat(shape, items) if len(items) == math.prod(shape) else None


def _stray(marks):
    """Whether an element stands before an opening or behind a closing bracket."""
    before, after = marks[:-1], marks[1:]
    return bool((((before == ord("0")) & (after == ord("["))) | ((before == ord("]")) & (after == ord("0")))).any())


def _shape(skeleton):
    """The shape whose nested list has these brackets and commas, or `None`."""
    depth = len(skeleton) - len(skeleton.lstrip(b"["))
    if depth > _MOST_AXES:
        return None
    shape, unit = [], b""
    for level in range(1, depth + 1):
        # from the last opening bracket but `level` to the first place where `level` lists end together
        length = skeleton.find(b"]" * level) + 2 * level - depth
        count = (length - 1) // (len(unit) + 1)
        unit = b"[%b]" % ((unit + b",") * count)[:-1]
        shape.insert(0, count)
    return tuple(shape) if unit == skeleton else None


def _restored(node, flats):
    if type(node) is dict:
        return flats[node[_PLACE]] if _PLACE in node else {key: _restored(value, flats) for key, value in node.items()}
    return [_restored(value, flats) for value in node] if type(node) is list else node


def _loads_all(body):
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not (b"NaN" in body or b"Infinity" in body or "infinity" in str(error)):
            raise
    return json.loads(body.decode("utf-8"), parse_float=_float)


def _float(text):
    number = float(text)
    return number if math.isfinite(number) else int(math.copysign(1, number)) * _TOO_LARGE


@contextlib.contextmanager
def _without_collector(size):
    """Pause the garbage collector while a large text is read, which makes many lists and no garbage."""
    pause = size > 1 << 20 and gc.isenabled()
    if pause:
        gc.disable()
    try:
        yield
    finally:
        if pause:
            gc.enable()


# --- writing ---


def dumps(document, indent=False):
    """JSON as bytes, of a document that may hold NumPy arrays prepared by `writable` or `rows`."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY | (orjson.OPT_INDENT_2 if indent else 0))


def writable(array):
    """An array of numbers as `dumps` takes it: the shortest digits that give the same float32; `NaN`, `Infinity` as such."""
    if array.dtype.kind not in "biuf":
        # bfloat16 and its like
        array = array.astype("float32")
    if array.size > _PIECE and array.ndim > 1:
        # other threads have their turn between the pieces
        return orjson.Fragment(b"[%b]" % b",".join([dumps(writable(row)) for row in array]))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return _with_words(array)
    # orjson takes scalars, but no arrays without axes
    return np.ascontiguousarray(array) if array.ndim else array[()]


def rows(array):
    """The rows of an array of numbers, each as `dumps` takes it."""
    if array.dtype.kind in "biu" or (array.dtype.kind == "f" and np.isfinite(array).all()):
        return list(np.ascontiguousarray(array))
    return [writable(np.asarray(row)) for row in array]


def _with_words(array):
    """JSON has no word for what is not finite; orjson writes `null`, which no number is otherwise."""
    special = array[~np.isfinite(array)]
    words = np.where(np.isnan(special), "NaN", np.where(special > 0, "Infinity", "-Infinity")).tolist()
    parts = dumps(np.ascontiguousarray(array) if array.ndim else array[()]).split(b"null")
    mixed = itertools.chain.from_iterable(zip(parts, (word.encode() for word in words)))
    return orjson.Fragment(b"".join([*mixed, parts[-1]]))
