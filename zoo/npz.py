"""Training data in an `.npz` file. Reads without Keras, so that the command line refuses a bad file at once."""

import zipfile
import zlib
from pathlib import Path

import numpy as np


def read_npz(path):
    """The arrays of an `.npz` file as keyword arguments of `fit`.

    Args:
        path: file with the arrays `x` and `y`; the fields of several inputs or targets are called `x/NAME`, `y/NAME`.

    Returns:
        Dict with `x` and, if there are targets, `y`.

    Raises:
        ValueError: if there is no such file, it is no `.npz` file, or it holds other names, none for `x`, or objects.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"`data` must be an .npz file. Received: {path}, which {'is a folder' if path.is_dir() else 'does not exist'}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"`data` must be an .npz file as numpy.savez writes it. Received: {path}, which is none, or is cut short")
    data: dict = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            argument, _, field = key.partition("/")
            if argument not in ("x", "y", "sample_weight"):
                raise ValueError(f"`{path}` must hold arrays named x, y, sample_weight, x/NAME or y/NAME. Received: {key!r}")
            _add(data, argument, field, _read(arrays, key, path), path)
    if "x" not in data:
        raise ValueError(f"`{path}` must hold an array x. Received: {sorted(data)}")
    return data


def _add(data, argument, field, array, path):
    if not field and argument not in data:
        data[argument] = array
    elif field and isinstance(data.setdefault(argument, {}), dict):
        data[argument][field] = array
    else:
        raise ValueError(f"`{path}` must hold {argument} as one array or as arrays {argument}/NAME. Received: both")


def _read(arrays, key, path):
    try:
        array = arrays[key]
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"`{path}` must be whole. Received: a damaged array {key!r} ({error})") from error
    except ValueError as error:
        raise ValueError(
            f"`{path}` must hold arrays of numbers or of strings of one type. Received: {key!r}, objects or damaged"
        ) from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"`{path}` must hold arrays. Received: {key!r}, a file of another kind")
    return array
