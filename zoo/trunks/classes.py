"""What the outputs of an ImageNet classifier mean."""

from functools import cache
from pathlib import Path

import zoo

_FILE = Path(zoo.__file__).parent / "datasets" / "files" / "imagenet_classes.tsv"


@cache
def imagenet_classes():
    """Names of the 1000 classes of ImageNet (ILSVRC 2012), in the order of the outputs.

    Returns:
        Tuple of 1000 different strings: the first name of each WordNet synset; synsets that share it also carry their number.
    """
    synsets, names = zip(*(line.split("\t") for line in _FILE.read_text(encoding="utf-8").splitlines()))
    first = [name.split(",")[0] for name in names]
    return tuple(name if first.count(name) == 1 else f"{name} ({synset})" for synset, name in zip(synsets, first))
