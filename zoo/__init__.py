"""zoo: published deep-learning methods as Keras 3 models, each with the evidence that it works.

`import zoo` imports no backend; rooms load when they are first touched. Keras finds the classes of saved models all the same.
"""

import importlib
from typing import TYPE_CHECKING

from zoo import registry as _registry

__version__ = "0.1.0"

_ROOMS = (
    "applications",
    "autodiff",
    "callbacks",
    "datasets",
    "decoding",
    "distributions",
    "environments",
    "evidence",
    "families",
    "files",
    "index",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "model",
    "optimizers",
    "plots",
    "presets",
    "relevance",
    "serving",
    "testing",
    "text",
    "trunks",
    "tuning",
)
__all__ = ["Field", "Model", "__version__", *_ROOMS]

if TYPE_CHECKING:
    from zoo import applications as applications
    from zoo.model import Field as Field
    from zoo.model import Model as Model


def __getattr__(name):
    if name in ("Field", "Model"):
        return getattr(importlib.import_module("zoo.model"), name)
    if name in _ROOMS:
        return importlib.import_module(f"zoo.{name}")
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)


_registry.register_when_keras_comes()
