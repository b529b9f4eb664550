"""Emoji: small pictures with exact attributes, such as the tone of the skin, the gender and what the picture shows."""

import json
from typing import NamedTuple

import numpy as np

from zoo import files
from zoo.datasets.records import info

# side of a picture, and of its place in the sheet
SIDE, PLACE = 64, 66
_TONES = {"1F3FB": "light", "1F3FC": "medium-light", "1F3FD": "medium", "1F3FE": "medium-dark", "1F3FF": "dark"}
# what a name says; a name is cut at these words
_WORDS = {"facing right": "FACING RIGHT", "wheelchair": "WHEELCHAIR", "older": "OLDER", "beard": "BEARD", "turban": "TURBAN"}
_HAIR = {"red hair": "RED HAIR", "curly hair": "CURLY HAIR", "bald": "BALD", "white hair": "WHITE HAIR", "blond hair": "BLOND HAIR"}
_KINDS = ("role", "activity", "sport", "gesture", "fantasy", "resting")


class Emoji(NamedTuple):
    """Pictures with their descriptions; `emoji()` gives them all.

    Args:
        images: `(n, 64, 64, 3)` float32 in [0, 1], on white.
        names: list of n strings, such as `"WOMAN FARMER"`; pictures that differ in the tone of the skin alone share one.
        categories: list of n strings, such as `"Food & Drink"`.
        subcategories: list of n strings, such as `"food-fruit"`.
        tones: list of n strings: `"light"` to `"dark"`, two for two people (`"light, dark"`), or `""` for none.
    """

    images: np.ndarray
    names: list
    categories: list
    subcategories: list
    tones: list

    def take(self, rows):
        """The same of some pictures."""
        rows = np.arange(len(self.names))[rows]
        return Emoji(self.images[rows], *([column[i] for i in rows] for column in self[1:]))


def emoji():
    """Google's emoji as the package emoji-datasource-google 16.0.0 has them: 3786 pictures of 64 x 64 pixels with names and attributes.

    Read from `ZOO_DATA/emoji` if there, else downloaded, 15 MB; checksummed in both cases.

    Returns:
        An `Emoji`.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if a file is not what the checksum says.
    """
    from PIL import Image

    record = info("emoji")
    sheet, table = files.fetch_all(record.files, record)
    with Image.open(sheet) as picture:
        white = Image.new("RGBA", picture.size, "white")
        pixels = np.asarray(Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB"))
    rows = list(_variants(json.loads(table.read_text())))
    places = [(PLACE * one["sheet_y"] + 1, PLACE * one["sheet_x"] + 1) for one, *_ in rows]
    images = np.stack([pixels[top : top + SIDE, left : left + SIDE] for top, left in places])
    return Emoji(images.astype("float32") / 255, *(list(column) for column in list(zip(*rows))[1:]))


def emoji_people(pictures=None):
    """The emoji of single people whose skin has a tone, and what they are as 0 and 1: a small set of faces with attributes.

    Args:
        pictures: an `Emoji`, by default all of `emoji()`.

    Returns:
        Images `(n, 64, 64, 3)` float32 in [0, 1], attributes `(n, k)` float32, the names of the k attributes, and the names of the n
        pictures, which those that differ in their tone alone share.

    Raises:
        zoo.files.DataUnavailable: if the emoji cannot be had.
    """
    pictures = emoji() if pictures is None else pictures
    people = [i for i, kind in enumerate(pictures.subcategories) if kind.startswith("person") and kind != "person-symbol"]
    people = [i for i in people if pictures.tones[i] in _TONES.values()]
    chosen = pictures.take(people)
    columns = {f"{tone} skin": [found == tone for found in chosen.tones] for tone in _TONES.values()}
    words = [name.replace(":", "").replace(",", "").split() for name in chosen.names]
    columns["woman"] = [bool({"WOMAN", "GIRL", "PRINCESS", "MERMAID", "MOTHER", "BRIDE"} & set(name)) for name in words]
    columns["man"] = [bool({"MAN", "BOY", "PRINCE", "MERMAN", "FATHER"} & set(name)) for name in words]
    columns |= {name: [word in found for found in chosen.names] for name, word in {**_WORDS, **_HAIR}.items()}
    columns |= {kind: [found == f"person-{kind}" for found in chosen.subcategories] for kind in _KINDS}
    return chosen.images, np.stack(list(columns.values()), axis=1).astype("float32"), tuple(columns), chosen.names


def _variants(table):
    """Each picture that there is: its entry, and what `Emoji` says of it."""
    for one in table:
        tones = {"": one} | {
            ", ".join(_TONES[t] for t in key.split("-")): variant for key, variant in one.get("skin_variations", {}).items()
        }
        for tone, variant in tones.items():
            if variant["has_img_google"]:
                yield variant, one["name"], one["category"], one["subcategory"], tone
