"""Reads the tensors of a PyTorch checkpoint without PyTorch, and without running anything that the file says.

A checkpoint is a pickle, which could name any function of Python to be called. Here a name that is not in a short list ends the reading.
"""

import pickle
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "BoolStorage": "?",
}


def read_checkpoint(path):
    """Arrays of a state dict that `torch.save` wrote in its older format (before 1.6, or with the newer one switched off).

    Args:
        path: the file.

    Returns:
        Dict of name -> NumPy array, in the order of the file.

    Raises:
        ValueError: if the file is no such checkpoint, is cut off, or names anything but tensors and ordered dicts.
    """
    with open(path, "rb") as stream:
        try:
            head = [_Unpickler(stream).load() for _ in range(3)]
            if head[:2] != [_MAGIC, _PROTOCOL] or not head[2].get("little_endian"):
                raise ValueError("it is not a checkpoint of this format")
            reader = _Unpickler(stream)
            state, keys = reader.load(), _Unpickler(stream).load()
            blocks = {key: _block(stream, reader.storages[key]) for key in keys}
            return {name: tensor.array(blocks) for name, tensor in state.items()}
        except (pickle.UnpicklingError, EOFError, KeyError, AttributeError, TypeError, IndexError, ValueError) as error:
            raise ValueError(f"`path` must be a PyTorch checkpoint of tensors. Received: {path}, {error}") from error


@dataclass
class _Storage:
    key: str
    dtype: str
    size: int


@dataclass
class _Tensor:
    """What a checkpoint says of a tensor: a view of a storage whose numbers come later in the file."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple

    def array(self, blocks):
        block = blocks[self.storage.key]
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides))
        if min((self.offset, *self.strides)) < 0 or (min(self.shape, default=1) > 0 and last >= len(block)):
            raise ValueError("a tensor reaches beyond its storage")
        bytes_apart = [step * block.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(block[self.offset :], self.shape, bytes_apart).copy()


class _Unpickler(pickle.Unpickler):
    """Knows tensors, their storages and ordered dicts, all as plain records."""

    def __init__(self, stream):
        super().__init__(stream)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if module == "torch" and name in _DTYPES:
            # a text, which cannot be called
            return _DTYPES[name]
        raise ValueError(f"which names {module}.{name}")

    def persistent_load(self, pid):
        kind, dtype, key, _, size, view = pid
        if kind != "storage" or view is not None:
            raise ValueError(f"which refers to {kind!r}")
        return self.storages.setdefault(key, _Storage(key, dtype, size))


def _block(stream, storage):
    """The numbers of one storage: their count, then the numbers."""
    count = int.from_bytes(stream.read(8), "little")
    dtype = np.dtype(storage.dtype)
    data = stream.read(storage.size * dtype.itemsize)
    if count != storage.size or len(data) != storage.size * dtype.itemsize:
        raise ValueError("which is cut off or damaged")
    return np.frombuffer(data, dtype)
