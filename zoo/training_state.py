"""What a training needs besides weights, optimizer and epoch to go on after an interruption as if there had been none.

The backup of `keras.callbacks.BackupAndRestore` is what `save_weights` writes, without the state of random numbers and of callbacks. A
model writes them to the same file while such a callback is at work, so that all is of one moment.
"""

import inspect
import json
import random

import keras
import numpy as np

# what Keras sets on every callback
_OF_KERAS = ("params", "_params", "_model", "validation_data")


class TrainingState:
    """The state of one `fit`.

    It holds the seeds of layers and methods, Python's and NumPy's global random numbers (from which Keras shuffles on JAX and in
    `PyDataset`s), NumPy generators of the model, the numbers and texts that callbacks have changed since `fit` began, and the `epoch` of a
    `PyDataset` that counts its own, such as `zoo.text.Chunks`.

    Args:
        model: the `zoo.Model`.
        callbacks: those of the `fit`, as they are before it begins.
        data: the `x` of the `fit`.

    Attributes:
        epoch: epochs that are done, for loops that are not Keras's own.
    """

    def __init__(self, model, callbacks, data=None):
        self.model, self.callbacks, self.epoch = model, callbacks, 0
        self.data = data if isinstance(data, keras.utils.PyDataset) and hasattr(data, "epoch") else None
        self._before = [_plain_attributes(callback) for callback in callbacks]

    def collect(self):
        """The state now, as bytes."""
        numbers, internal, gauss = random.getstate()
        record = {
            "epoch": self.epoch,
            "data": getattr(self.data, "epoch", None),
            "seeds": [keras.ops.convert_to_numpy(seed).tolist() for seed in _seeds(self.model)],
            "python": [numbers, list(internal), gauss],
            "numpy": np.random.get_state(legacy=False),
            "generators": {name: generator.bit_generator.state for name, generator in _generators(self.model).items()},
            "callbacks": [self._changed(i) for i in range(len(self.callbacks))],
        }
        return json.dumps(record, default=lambda array: array.tolist()).encode()

    def restore(self, content):
        """Set everything as `collect` found it.

        Raises:
            ValueError: if the state is that of another model.
        """
        record = json.loads(content)
        seeds = _seeds(self.model)
        if len(seeds) != len(record["seeds"]):
            raise ValueError(
                f"`backup_dir` must hold a backup of this model. Received: one with {len(record['seeds'])} seeds, not {len(seeds)}"
            )
        self.epoch = record["epoch"]
        for seed, value in zip(seeds, record["seeds"]):
            seed.assign(value)
        while self.data is not None and self.data.epoch < (record["data"] or 0):
            self.data.on_epoch_end()
        numbers, internal, gauss = record["python"]
        random.setstate((numbers, tuple(internal), gauss))
        state = record["numpy"]
        np.random.set_state({**state, "state": {**state["state"], "key": np.array(state["state"]["key"], "uint32")}})
        for name, generator in _generators(self.model).items():
            if name in record["generators"]:
                generator.bit_generator.state = record["generators"][name]
        for callback, (kind, values) in zip(self.callbacks, record["callbacks"]):
            if kind == type(callback).__name__:
                vars(callback).update(values)

    def _changed(self, i):
        before = self._before[i]
        now = _plain_attributes(self.callbacks[i])
        return type(self.callbacks[i]).__name__, {k: v for k, v in now.items() if k not in before or before[k] != v}


def _seeds(model):
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]


def _generators(model):
    return {name: value for name, value in vars(model).items() if isinstance(value, np.random.Generator)}


def _plain_attributes(callback):
    """What a callback counts and remembers; its arguments are the business of who made it."""
    given = (*_OF_KERAS, *inspect.signature(type(callback).__init__).parameters)
    found = {name: _plain(value) for name, value in vars(callback).items() if name not in given}
    return {name: value for name, value in found.items() if value is not NotImplemented}


def _plain(value):
    """Numbers, texts and lists of them; `NotImplemented` for anything else."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)) and len(value) < 1000:
        items = [_plain(item) for item in value]
        return NotImplemented if any(item is NotImplemented for item in items) else items
    return NotImplemented
