"""Training data as the tuner hands it to `fit`."""

import inspect

import keras


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
