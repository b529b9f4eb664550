"""CIFAR-10: small photographs of ten classes."""

import functools
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from zoo import files
from zoo.datasets.folders import pixels
from zoo.datasets.records import info

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar10():
    """CIFAR-10 (Krizhevsky 2009): photographs of ten classes, 32 x 32 pixels; free for research with citation.

    Read from `ZOO_DATA/cifar10` if there, else downloaded from its author, 170 MB. A copy in JPEG with 20,000 of the training images may
    lie in `ZOO_DATA` instead; `info("cifar10").note` then says so, and its `data_license` for the card.

    Returns:
        `(x_train, y_train), (x_test, y_test)` of 50,000 (20,000 of the copy) and 10,000 images `(n, 32, 32, 3)` float32 in [0, 1], and
        their classes `(n,)` int32, an index into `CIFAR10_CLASSES`. Those of the copy are sorted by class.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if a file is not what the checksum says.
    """
    record = info("cifar10")
    copy = None if files.local(record.files[0].name) else files.fetch_copy(record.copies[0], record)
    path = copy or files.fetch(record.files[0], record)
    parts = _decoded(path, path.stat().st_mtime_ns, copy is not None)
    return tuple((x / np.float32(255), y.astype("int32")) for x, y in parts)


@functools.lru_cache(maxsize=1)
def _decoded(path, _changed, is_jpeg):
    """Bytes of pixels and classes of both parts, kept in memory: decoding takes seconds."""
    return _jpeg(path) if is_jpeg else _binary(path)


def _binary(path):
    """The author's format: for each image a byte for the class, then a plane for each colour."""

    def read(archive, name):
        rows = np.frombuffer(archive.extractfile(f"cifar-10-batches-bin/{name}.bin").read(), "uint8").reshape(-1, 3073)
        return np.ascontiguousarray(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), rows[:, 0]

    with tarfile.open(path) as archive:
        batches = [read(archive, f"data_batch_{i}") for i in range(1, 6)]
        return tuple(np.concatenate(part) for part in zip(*batches)), read(archive, "test_batch")


def _jpeg(path):
    """The copy: the images' files one after the other, and where each begins."""
    with np.load(path, allow_pickle=False) as arrays, ThreadPoolExecutor() as pool:

        def read(part):
            content, offsets = arrays[f"{part}_jpeg"].tobytes(), arrays[f"{part}_offsets"]
            images = pool.map(lambda i: pixels(io.BytesIO(content[offsets[i] : offsets[i + 1]]), "RGB"), range(len(offsets) - 1))
            return np.stack(list(images)), arrays[f"{part}_labels"]

        return read("train"), read("test")
