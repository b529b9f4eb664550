"""Street scenes with a class for each pixel: CamVid in the split and the eleven classes of the SegNet papers."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from zoo import files
from zoo.datasets.folders import checked_size, pixels
from zoo.datasets.records import info

CAMVID_CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "sign symbol", "fence", "car", "pedestrian", "bicyclist")
# the label of pixels that have none of these classes: give it to `ignore_class`
CAMVID_VOID = 11
_SIZES = {"train": 367, "val": 101, "test": 233}
# the copy is in this size
_COPY = (180, 240)


def camvid(size=(180, 240)):
    """CamVid (Brostow et al. 2009): 701 frames from a driving car; free for research with citation.

    Read from `ZOO_DATA/camvid` if there, else, in 180 x 240 pixels, from `ZOO_DATA/camvid_240x180`, else downloaded from a pinned commit,
    187 MB; checksummed in each case.

    Args:
        size: `(height, width)` in pixels, to which images are scaled by averages and labels by nearest neighbour; `None` keeps the
            360 x 480 of the files, 1.9 GB in all.

    Returns:
        `(x_train, y_train), (x_val, y_val), (x_test, y_test)` of 367, 101 and 233 frames: images `(n, height, width, 3)` float32 in [0, 1],
        labels `(n, height, width)` int32, an index into `CAMVID_CLASSES` or `CAMVID_VOID`.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if a file is not what the checksum says, or has another form.
    """
    size, record = checked_size(size), info("camvid")
    if size != _COPY:
        # the copy would not help, so that no message must name it
        record = replace(record, copies=())
    folders = {}
    for path in _copy(record) or files.fetch_all(record.files, record):
        folders.setdefault(path.parent.name, []).append(path)
    return tuple(_split(folders, part, size) for part in _SIZES)


def _copy(record):
    """Paths of the copy, if it lies in `ZOO_DATA` and the files do not."""
    folder = files.local(record.copies[0].name) if record.copies and not files.local(record.files[0].name) else None
    if folder is None:
        return []
    paths = [path for part in _SIZES for kind in ("", "annot") for path in (folder / f"{part}{kind}").iterdir()]
    if _digest(paths) != record.copies[0].sha256:
        raise ValueError(f"`{folder}` must have SHA-256 {record.copies[0].sha256[:12]}... over its files. Received: another content")
    return paths


def _split(folders, part, size):
    images, labels = sorted(folders[part]), sorted(folders[f"{part}annot"])
    if len(images) != _SIZES[part] or [path.stem for path in images] != [path.stem for path in labels]:
        raise ValueError(f"`{images[0].parent}` must hold {_SIZES[part]} frames and their labels. Received: {len(images)}, {len(labels)}")
    with ThreadPoolExecutor(4) as pool:
        x = np.stack(list(pool.map(lambda path: pixels(path, "RGB", size), images)))
        y = np.stack(list(pool.map(lambda path: pixels(path, None, size, nearest=True), labels)))
    if x.shape[:3] != y.shape or y.max() > CAMVID_VOID:
        raise ValueError(f"`{labels[0].parent}` must hold labels up to {CAMVID_VOID} of {x.shape[:3]}. Received: {y.max()}, {y.shape}")
    return np.divide(x, np.float32(255)), y.astype("int32")


def _digest(paths):
    """SHA-256 over names and contents."""
    result = hashlib.sha256()
    for path in sorted(paths):
        result.update(path.name.encode() + path.read_bytes())
    return result.hexdigest()
