"""Checks of arguments in one place: what a verb's annotations say holds before its body runs.

    @checked
    def classify(self, texts: Texts, batch_size: Count = 256): ...

A kind (`Count`, `Texts`, ...) is an ordinary type to readers and type checkers, annotated with what refuses anything else and gives the
argument in its plain Python form: whole floats and NumPy numbers as `int`, tuples of texts as `list`. `Literal[...]` and `... | None` are
understood. Where a limit depends on the model, a body calls `count`, `number` and the others by hand.

Arrays are described by `zoo.Field`; `Inputs`, `Targets` and `Sample` are those that a model's fields describe.
"""

import functools
import inspect
import math
import os
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import keras
import numpy as np
from keras import ops
from scipy import sparse

# what fits the int32 and float32 of tensors
LARGEST_INT, LARGEST_FLOAT = 2**31 - 1, float(np.finfo("float32").max)

Verb = TypeVar("Verb", bound=Callable)


# --- by hand ---


def refuse(name, expected, value):
    """Raise the `ValueError` of the house: the argument, what was expected, what came."""
    raise ValueError(f"`{name}` must be {expected}. Received: {shown(value)}")


def shown(value):
    """A value in a message: short, whatever it is."""
    if getattr(value, "shape", ()) and hasattr(value, "dtype"):
        return f"array of shape {tuple(value.shape)}, dtype {value.dtype}"
    try:
        words = repr(value)
    except Exception:
        # whole numbers of thousands of digits, among others
        words = f"a {type(value).__name__} that cannot be shown"
    return words if len(words) <= 100 else f"{words[:100]}..."


def count(name, value, low=1, high=LARGEST_INT):
    """`value` as an `int` from `low` to `high`; whole floats are whole numbers."""
    found = _scalar(name, value)
    if found is None or not low <= found <= high or found != int(found):
        refuse(name, f"a whole number, at least {low}" + ("" if high == LARGEST_INT else f" and at most {high}"), value)
    return int(found)


def counts(name, value, empty=False):
    """`value`, such as the sizes of layers, as a tuple of whole numbers that are at least 1; refuses none at all unless `empty`."""
    return tuple(count(name, size) for size in listed(name, value, "a list of whole numbers", empty))


def number(name, value, low=None, high=None, above=None):
    """`value` as a finite `float` that float32 can hold, from `low` to `high`, or more than `above`."""
    found = _scalar(name, value)
    too_low = found is None or (low is not None and found < low) or (above is not None and found <= above)
    if too_low or abs(found) > LARGEST_FLOAT or (high is not None and found > high):
        limits = {"at least": low, "more than": above, "at most": high}
        said = " and ".join(f"{words} {limit}" for words, limit in limits.items() if limit is not None)
        refuse(name, f"a finite number{said and ', '}{said}", value)
    return float(found)


def _scalar(name, value):
    """A finite Python number, or `None` for anything else; `True` is no number."""
    if getattr(value, "shape", None) == ():
        value = as_array(name, value)[()]
    value = value.item() if isinstance(value, np.generic) else value
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and (isinstance(value, int) or math.isfinite(value)) else None


def flag(name, value):
    """`value` as a `bool`."""
    if getattr(value, "shape", None) == ():
        value = as_array(name, value)[()]
    if not isinstance(value, (bool, np.bool_)):
        refuse(name, "True or False", value)
    return bool(value)


def one_of(name, value, choices):
    """`value`, which must be one of `choices`."""
    if not isinstance(value, (str, int, float, type(None))) or value not in choices:
        refuse(name, f"one of {', '.join(map(repr, choices))}", value)
    return value


def text(name, value):
    """`value` as a `str`."""
    if not isinstance(value, str):
        refuse(name, "a string", value)
    return str(value)


def listed(name, value, expected="a list", empty=False):
    """`value` as a list: of a list, a tuple, an array or a series, but not of a string, a dict or a set, which have no rows."""
    has_rows = hasattr(value, "__len__") and hasattr(value, "__iter__") and getattr(value, "shape", None) != ()
    if not has_rows or isinstance(value, (str, bytes, dict, set, frozenset)):
        refuse(name, expected, value)
    if not empty and not len(value):
        refuse(name, f"{expected}, not empty", value)
    return list(value)


def texts(name, value, empty=False):
    """`value` as a list of strings; refuses a bare string, and an empty list unless `empty`."""
    found = listed(name, value, "a list of strings", empty)
    if not all(isinstance(item, str) for item in found):
        refuse(name, "a list of strings", value)
    return [str(item) for item in found]


def text_lists(name, value, empty=False):
    """`value` as a list of lists of strings: sentences as words, documents as sentences; refuses empty ones unless `empty`."""
    expected = "a list of lists of strings"
    found = [listed(name, item, expected, empty) for item in listed(name, value, expected)]
    if not all(isinstance(word, str) for item in found for word in item):
        refuse(name, expected, value)
    return [[str(word) for word in item] for item in found]


def word_vectors(name, value):
    """`value`, which looks words up: a dict of arrays, or gensim's `KeyedVectors`."""
    if not (hasattr(value, "__getitem__") and hasattr(value, "__contains__")) or isinstance(value, (str, bytes, list, tuple, np.ndarray)):
        refuse(name, "a dict of word to vector", value)
    return value


def instance(name, value, of):
    """`value`, an object of a class."""
    if not isinstance(value, of):
        refuse(name, f"a {of.__name__}", value)
    return value


def callbacks(name, value):
    """`value`, a Keras callback or several, as a list; a `CallbackList` is left as it is."""
    if isinstance(value, (keras.callbacks.Callback, keras.callbacks.CallbackList)):
        return value if isinstance(value, keras.callbacks.CallbackList) else [value]
    found = listed(name, value, "Keras callbacks", empty=True)
    if not all(isinstance(item, keras.callbacks.Callback) for item in found):
        refuse(name, "Keras callbacks", value)
    return found


def class_weight(name, value):
    """`value`, a dict from classes to weights, with plain numbers."""
    if not isinstance(value, dict):
        refuse(name, "a dict of class to weight", value)
    return {count(name, key, 0): number(name, weight, 0) for key, weight in value.items()}


def as_array(name, value):
    """`value` as a NumPy array, whatever it holds; refuses `None`, a string, and rows of unequal length."""
    if value is None or isinstance(value, (str, bytes)):
        refuse(name, "an array", value)
    try:
        is_tensor = hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, (np.ndarray, np.generic))
        return ops.convert_to_numpy(value) if is_tensor else np.asarray(value)
    except Exception as error:
        # a ValueError of NumPy for rows of unequal length, anything from foreign objects
        raise ValueError(f"`{name}` must be an array with rows of equal length. Received: {shown(value)} ({error})") from None


def is_traced(value):
    """Whether `value` is a tensor without values, inside a function that is being compiled."""
    if not ops.is_tensor(value):
        return False
    try:
        ops.convert_to_numpy(value)
    except Exception:
        return True
    return False


def numbers(name, value, rank=None):
    """`value` as a non-empty array of finite numbers that float32 can hold, with `rank` axes."""
    array = as_array(name, value)
    if array.dtype.kind not in "fiub" or not array.size or rank not in (None, array.ndim):
        refuse(name, "a non-empty array of numbers" + ("" if rank is None else f" with {rank} axes"), value)
    within(name, array)
    return array


def sparse_matrix(name, value):
    """`value`, a scipy sparse matrix of finite numbers, as CSR."""
    if not sparse.issparse(value) or value.dtype.kind not in "fiub" or 0 in value.shape:
        refuse(name, "a non-empty scipy sparse matrix of numbers", value)
    if value.nnz:
        within(name, value.tocsr().data)
    return value.tocsr()


def file(name, value):
    """`value`, the name of a file that exists, as a `pathlib.Path`."""
    if not isinstance(value, (str, os.PathLike)) or not Path(value).is_file():
        refuse(name, "a file that exists", value)
    return Path(value)


def within(name, array, low=None, high=None, dtype="float32"):
    """Refuse an array of numbers that holds NaN, infinite values, values outside the limits, or what `dtype` cannot hold."""
    smallest, largest = array.min().item(), array.max().item()
    info = np.iinfo(dtype) if "int" in dtype else np.finfo(dtype)
    if not (math.isfinite(smallest) and math.isfinite(largest)):
        raise ValueError(f"`{name}` must be finite. Received: NaN or infinite values")
    if low is not None and smallest < low:
        raise ValueError(f"`{name}` must be at least {low}. Received: minimum {smallest}")
    if high is not None and largest > high:
        raise ValueError(f"`{name}` must be at most {high}. Received: maximum {largest}")
    if smallest < float(info.min) or largest > float(info.max):
        raise ValueError(f"`{name}` must fit {dtype}. Received: values from {smallest} to {largest}")


# --- by annotation ---


class Kind:
    """What an annotation says of an argument: a check from above, with its limits."""

    def __init__(self, check, **limits):
        self.check, self.limits = check, limits

    def __call__(self, name, value, given):
        """The checked value; `given` are all arguments of the call, `self` among them."""
        return self.check(name, value, **self.limits)


class Described(Kind):
    """Arrays that the model's fields describe.

    Args:
        what: `"inputs"`, `"targets"` (beside an argument `x`), `"sample"` (one of the inputs, any size), or the name of another method that
            gives fields; tensors are taken as they are while a step is compiled.
        names: of those fields: a string for one array, a tuple for a dict that holds at least these.
    """

    def __init__(self, what, names=None):
        super().__init__(None)
        self.what, self.names = what, names

    def __call__(self, name, value, given):
        """The arrays, as `zoo.Model.prepared` gives them; those of other fields as tensors."""
        model = given["self"]
        if self.what == "targets":
            if value is None:
                refuse(name, "given", value)
            return model.prepared(given["x"], value)[1] if "x" in given else model.prepared_targets(value)
        if self.what == "inputs":
            found = model.prepared(value)[0]
            # as it came: a caller may differentiate through it
            return value if ops.is_tensor(value) else found
        if self.what == "sample":
            field, array = model.input_fields()[0], as_array(name, value)
            # an image of one channel may come without its axis
            array = array[..., None] if array.ndim + 1 == len(field.shape) and field.shape[-1] == 1 else array
            return field.convert(array[None])[0]
        return self._tensors(name, value, self.fields(model))

    def fields(self, model):
        """The fields in question."""
        if self.what in ("inputs", "sample"):
            return model.input_fields()
        wanted = (self.names,) if isinstance(self.names, str) else self.names
        described = model.target_fields() if self.what == "targets" else getattr(model, self.what)()
        return [field for field in described if wanted is None or field.name in wanted]

    def _tensors(self, name, value, fields):
        if isinstance(self.names, str):
            found = _tensor(fields[0], value)
            return value if ops.is_tensor(value) else found
        if isinstance(value, dict) and any(is_traced(array) for array in value.values()):
            return value
        wanted = [field.name for field in fields]
        if not isinstance(value, dict) or not set(wanted) <= set(value):
            refuse(name, f"a dict with {', '.join(wanted)}", sorted(value) if isinstance(value, dict) else value)
        found = {field.name: _tensor(field, value[field.name]) for field in fields}
        if len({len(array) for array in found.values()}) > 1:
            refuse(name, "a dict of arrays with the same number of rows", {key: tuple(array.shape) for key, array in found.items()})
        # as they came: a caller may differentiate through them
        return value


def _tensor(field, value):
    return ops.convert_to_tensor(field.convert(value), field.dtype)


class Expected:
    """What a parameter may be: one of several kinds, or `None` where that is said. Without a kind anything may come."""

    def __init__(self, annotation):
        self.kinds = [kind for member in _members(annotation) for kind in _kinds(member)]
        self.optional = type(None) in _members(annotation)

    def __call__(self, name, value, given):
        """The value as the first kind that takes it gives it; what is being compiled has no values to check."""
        if (value is None and self.optional) or is_traced(value):
            return value
        for kind in self.kinds[:-1]:
            try:
                return kind(name, value, given)
            except ValueError:
                continue
        return self.kinds[-1](name, value, given) if self.kinds else value


def _members(annotation):
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else (annotation,)


def _kinds(annotation):
    if typing.get_origin(annotation) is Literal:
        return [Kind(one_of, choices=typing.get_args(annotation))]
    return [kind for kind in getattr(annotation, "__metadata__", ()) if isinstance(kind, Kind)]


def expectations(function):
    """What the annotations of a function say of its parameters, a dict of `Expected` by name."""
    parameters = inspect.signature(function).parameters
    found = {name: Expected(parameter.annotation) for name, parameter in parameters.items()}
    return {name: expected for name, expected in found.items() if expected.kinds}


def checked(verb: Verb) -> Verb:
    """A method whose arguments are checked, and made plain, as its annotations say."""
    signature, expected = inspect.signature(verb), expectations(verb)

    @functools.wraps(verb)
    def with_checks(*args, **kwargs):
        bound = _check_bound(expected, signature.bind(*args, **kwargs))
        return verb(*bound.args, **bound.kwargs)

    return typing.cast(Verb, with_checks)


def check_call(verb, *args, **kwargs):
    """Refuse what `verb` would refuse, for what is done before it is called; gives the arguments of the call, `self` too, by name."""
    return dict(_check_bound(expectations(verb), inspect.signature(verb).bind(*args, **kwargs)).arguments)


def _check_bound(expected, bound):
    for name in bound.arguments:
        if name in expected:
            bound.arguments[name] = expected[name](name, bound.arguments[name], bound.arguments)
    return bound


# whole numbers: how many, and which (seeds and places start at 0)
Count = Annotated[int, Kind(count, low=1)]
Index = Annotated[int, Kind(count, low=0)]
# real numbers: any, at least 0, more than 0 (temperatures, rates), from 0 to 1
Number = Annotated[float, Kind(number)]
Amount = Annotated[float, Kind(number, low=0)]
Positive = Annotated[float, Kind(number, above=0)]
Share = Annotated[float, Kind(number, low=0, high=1)]
Flag = Annotated[bool, Kind(flag)]
Text = Annotated[str, Kind(text)]
Texts = Annotated[Sequence[str], Kind(texts)]
TextLists = Annotated[Sequence[Sequence[str]], Kind(text_lists)]
# sentences as words or as strings, documents that may be empty
Sentences = TextLists | Texts
Documents = Annotated[Sequence[Sequence[str]], Kind(text_lists, empty=True)]
WordVectors = Annotated[Any, Kind(word_vectors)]
Rows = Annotated[Sequence, Kind(listed)]
Callbacks = Annotated[Any, Kind(callbacks)]
ClassWeight = Annotated[dict[int, float], Kind(class_weight)]
Verbose = Literal["auto", 0, 1, 2]
File = Annotated[Any, Kind(file)]
# arrays
Matrix = Annotated[Any, Kind(sparse_matrix)]
Numbers = Annotated[Any, Kind(numbers)]
Inputs = Annotated[Any, Described("inputs")]
Targets = Annotated[Any, Described("targets")]
Sample = Annotated[Any, Described("sample")]
