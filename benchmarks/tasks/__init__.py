"""What each method does with its default arguments on natural data, for `benchmarks/defaults.py`: a function `task_<stem>` each.

A stem with a suffix, such as `elu_net_cifar11`, is another form of the same method.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

# of splits and starts
SEED = 0


@dataclass
class Task:
    """A method's natural task.

    Args:
        model: constructed with default arguments; only what has no default is given.
        fit: keyword arguments of `model.fit`.
        score: function without arguments -> (name, value, value of a trivial answer, whether higher is better), on held-out data.
        verbs: name -> function without arguments.
    """

    model: Any
    fit: dict
    score: Callable[[], tuple[str, float, float, bool]]
    verbs: dict[str, Callable[[], Any]] = field(default_factory=dict)


def majority(train, test) -> float:
    """Accuracy of the most frequent class of `train` on `test`."""
    return float(np.mean(np.asarray(test) == np.bincount(train).argmax()))


def tasks() -> dict[str, Callable[[], Task]]:
    """All tasks by name; importing them imports Keras."""
    found = {}
    for file in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        module = import_module(f"tasks.{file.stem}")
        found |= {name.removeprefix("task_"): f for name, f in vars(module).items() if name.startswith("task_")}
    return dict(sorted(found.items()))
