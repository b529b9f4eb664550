"""What makes two searches the same one: a record as JSON of the method, its fixed arguments, the data, and how they are searched."""

import contextlib
import hashlib
import inspect
import json

import keras
import numpy as np


def identity(cls, config, arguments, callbacks, **settings):
    """The record of a search. Arrays and weights enter by their content, functions by their name; layers whatever names Keras gave them.

    Datasets and generators enter by what can be read without drawing from them (class, element specification, length), and environments by
    their class and, in gymnasium, their specification.

    Args:
        cls: the method.
        config: constructor arguments that are fixed.
        arguments: of `fit`.
        callbacks: of `fit`.
        **settings: plain values.
    """
    fit = {name: value for name, value in arguments.items() if value is not None and name != "verbose"}
    record = {
        "class": cls.__name__,
        **settings,
        "config": {name: describe(value) for name, value in config.items()},
        "data": {name: describe(fit.pop(name)) for name in ("x", "y", "sample_weight", "validation_data", "env") if name in fit},
        "fit": {name: describe(value) for name, value in fit.items()},
        "callbacks": [type(callback).__name__ for callback in callbacks or []],
    }
    # as it will be read again: tuples are lists, and keys are strings
    return json.loads(json.dumps(record))


def differences(ours, theirs):
    """What differs between two records, as texts `name: ours, theirs there`."""
    if "data" not in theirs:
        return ["it was written by an earlier version of zoo, which kept neither values nor data"]
    found = []
    for group in sorted({*ours, *theirs}):
        a, b = ours.get(group), theirs.get(group)
        if isinstance(a, dict) and isinstance(b, dict):
            found += [f"{name}: {_short(a, name)}, there {_short(b, name)}" for name in sorted({*a, *b}) if a.get(name) != b.get(name)]
        elif a != b:
            found.append(f"{group}: {_short(ours, group)}, there {_short(theirs, group)}")
    return found


def describe(value):
    """`value` as JSON, equal for equal content in any process."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, bytes):
        return f"bytes, {_digest(value)}"
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return _list(value)
    if inspect.isroutine(value) or inspect.isclass(value):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, keras.Layer):
        weights = [_array(keras.ops.convert_to_numpy(v)) for v in value.weights]
        return {"object": _nameless(keras.saving.serialize_keras_object(value)), "weights": _digest(json.dumps(weights).encode())}
    if hasattr(value, "get_config"):
        return _nameless(keras.saving.serialize_keras_object(value))
    if keras.ops.is_tensor(value) or hasattr(value, "__array__"):
        return _array(keras.ops.convert_to_numpy(value))
    return _opaque(value)


def _list(values):
    """Short lists as they are; long ones, which are data, by their content."""
    if len(values) <= 20:
        return [describe(value) for value in values]
    content = json.dumps([describe(value) for value in values]).encode()
    return f"list of {len(values)}, {_digest(content)}"


def _array(array):
    if array.ndim == 0:
        return array.item()
    if array.dtype.hasobject:
        content = json.dumps([describe(item) for item in array.ravel()]).encode()
    else:
        content = np.ascontiguousarray(array).reshape(-1).view("uint8")
    return f"{array.dtype} {tuple(array.shape)}, {_digest(content)}"


def _opaque(value):
    """Datasets, generators, environments: what can be read without drawing from them."""
    known = {name: str(getattr(value, name)) for name in ("spec", "element_spec", "num_batches") if getattr(value, name, None) is not None}
    # the length of a dataset may be unknown or infinite
    with contextlib.suppress(TypeError):
        known["length"] = str(len(value))
    return {"class": f"{type(value).__module__}.{type(value).__qualname__}", **known}


def _digest(content):
    return hashlib.sha256(content).hexdigest()[:16]


def _nameless(config):
    """A serialised object with numbers for names, which depend on how many layers the process has made before."""
    names: dict = {}

    def collect(value):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
            if key == "name" and isinstance(item, str):
                names.setdefault(item, f"name {len(names)}")
            collect(item)

    def rename(value):
        if isinstance(value, dict):
            return {key: rename(item) for key, item in value.items() if key not in ("shared_object_id", "build_config", "compile_config")}
        if isinstance(value, (list, tuple)):
            return [rename(item) for item in value]
        return names.get(value, value) if isinstance(value, str) else value

    plain = json.loads(json.dumps(config, default=str))
    collect(plain)
    return rename(plain)


def _short(record, name):
    if name not in record:
        return "none"
    text = record[name] if isinstance(record[name], str) else json.dumps(record[name])
    return text if len(text) <= 60 else f"{text[:50]}... ({_digest(text.encode())})"
