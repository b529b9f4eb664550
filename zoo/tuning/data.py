"""Training data as the tuner hands it to `fit`."""

import inspect

import keras
import numpy as np


def read_npz(path):
    """The arrays of an `.npz` file as keyword arguments of `fit`.

    Args:
        path: file with the arrays `x` and `y`; the fields of several inputs or targets are called `x/NAME`, `y/NAME`.

    Returns:
        Dict with `x` and, if there are targets, `y`.

    Raises:
        ValueError: if the file holds other names, or none for `x`.
    """
    data: dict = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            argument, _, field = key.partition("/")
            if argument not in ("x", "y", "sample_weight"):
                raise ValueError(f"`{path}` must hold arrays named x, y, sample_weight, x/NAME or y/NAME. Received: {key!r}")
            if field:
                data.setdefault(argument, {})[field] = arrays[key]
            else:
                data[argument] = arrays[key]
    if "x" not in data:
        raise ValueError(f"`{path}` must hold an array x. Received: {sorted(data)}")
    return data


def fit_arguments(cls, data):
    """`data` in any of its forms as keyword arguments of `cls.fit`."""
    if isinstance(data, (tuple, list)):
        if not 1 <= len(data) <= 3:
            raise ValueError(f"`data` must be x, (x, y), (x, y, sample_weight) or arguments of fit. Received: {len(data)} items")
        return dict(zip(("x", "y", "sample_weight"), data))
    if isinstance(data, dict) and data and set(data) <= _parameters(cls.fit) | _parameters(keras.Model.fit):
        return dict(data)
    return {"x": data}


def takes_environment(cls):
    """Whether the method learns from an environment rather than from arrays."""
    return "env" in _parameters(cls.fit)


def takes_epochs(cls):
    """Whether `fit` counts in epochs; agents count in steps of their environment."""
    parameters = inspect.signature(cls.fit).parameters
    return "epochs" in parameters or ("x" in parameters and any(p.kind is p.VAR_KEYWORD for p in parameters.values()))


def _parameters(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD or p.kind is p.KEYWORD_ONLY} - {"self"}
