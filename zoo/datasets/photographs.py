"""Photographs of nature and people: those of the Berkeley segmentation data set."""

import numpy as np

from zoo import files
from zoo.datasets.folders import pixels
from zoo.datasets.records import info

_PARTS = {"train": 200, "val": 100, "test": 200}


def bsds(part="train"):
    """Photographs of BSDS500 (Arbelaez et al. 2011) in their full size, without the segmentations; free for research with citation.

    Read from `ZOO_DATA/bsds_<part>` if there, else downloaded from a pinned commit, 7 to 15 MB.

    Args:
        part: `"train"` (200 photographs), `"val"` (100) or `"test"` (200).

    Returns:
        List of arrays `(321, 481, 3)` or, of those in upright format, `(481, 321, 3)`, float32 in [0, 1], by number.

    Raises:
        zoo.files.DataUnavailable: if they cannot be had.
        ValueError: if there is no such part, or a file is not what the checksum says.
    """
    if part not in _PARTS:
        raise ValueError(f"`part` must be one of {list(_PARTS)}. Received: {part!r}")
    record = info("bsds")
    paths = files.fetch_all([file for file in record.files if file.name.startswith(f"bsds_{part}/")], record)
    return [pixels(path, "RGB") / np.float32(255) for path in paths]
