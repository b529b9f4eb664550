"""The micrograph that the library ships, for the tour and for a page."""

from pathlib import Path

from zoo.datasets.folders import pixels

_FILES = Path(__file__).parent.parent / "datasets" / "files"


def micrograph():
    """The shipped strip of an electron micrograph (ISBI 2012, section 29; see the credits beside it).

    Returns:
        image `(256, 512, 1)` float32 in [0, 1], mask `(256, 512)` int32, 1 on membranes.
    """
    image, label = (pixels(_FILES / f"isbi_em_29_{part}.png") for part in ("image", "label"))
    return image[..., None].astype("float32") / 255, 1 - label.astype("int32")
