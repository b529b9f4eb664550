"""Sentences and their translations: Multi30k."""

from zoo import files
from zoo.datasets.records import info
from zoo.datasets.text_files import read_parallel

_PARTS = {"train": 29000, "val": 1014, "test_2016_flickr": 1000, "test_2017_flickr": 1000}


def multi30k(part="train"):
    """Descriptions of pictures in English and their German translations (Elliott et al. 2016), CC BY-NC-SA 4.0.

    Read from `ZOO_DATA/multi30k` if there, else downloaded from a pinned commit, 1 MB. Weights trained on it are for non-commercial use.

    Args:
        part: `"train"` (29,000 pairs), `"val"` (1,014), `"test_2016_flickr"` or `"test_2017_flickr"` (1,000 each).

    Returns:
        English and German sentences, two lists of strings of one length.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if there is no such part, or a file is not what the checksum says.
    """
    if part not in _PARTS:
        raise ValueError(f"`part` must be one of {list(_PARTS)}. Received: {part!r}")
    record = info("multi30k")
    wanted = {file.name: file for file in record.files}
    english, german = read_parallel(*files.fetch_all([wanted[f"multi30k/{part}.{language}.gz"] for language in ("en", "de")], record))
    if len(english) != _PARTS[part]:
        raise ValueError(f"`{part}` must hold {_PARTS[part]} pairs. Received: {len(english)}")
    return english, german
