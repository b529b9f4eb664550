"""Texts of one's own: tables of texts and labels, folders of texts, columns of tagged words, and parallel texts."""

import csv
import gzip
import json
import zlib
from pathlib import Path

import numpy as np

# longest field of a table; Python's own limit is 131,072 characters
_LONGEST = 10**8


def read_texts(path, text="text", label="label"):
    """Texts and their classes, from a table or from folders.

    Args:
        path: a `.csv` file (quoted as spreadsheets do), a `.tsv` file (tabs, no quotes), a `.jsonl` file (an object a line), each also with
            `.gz` behind; or a folder that holds a folder of `.txt` files for each class.
        text: column of the texts: its name in the first line, or its number, counted from 0, in a file without such a line.
        label: column of the classes, likewise; `None` if there are none.

    Returns:
        List of strings; labels `(n,)` int32, or `None`; and the names of the classes in the order of the labels, as strings: by number if
        all are whole numbers, else by alphabet.

    Raises:
        ValueError: naming file and line, if a column is missing, a line has another number of columns, or the file is no such table.
    """
    path = Path(path)
    if path.is_dir():
        rows = _texts_of_folders(path)
    elif _suffix(path) in (".jsonl", ".ndjson"):
        rows = _objects(path, text, label)
    elif _suffix(path) in (".csv", ".tsv"):
        rows = _table(path, text, label)
    else:
        raise ValueError(f"`path` must be a folder or a file .csv, .tsv or .jsonl (or .gz of these). Received: {str(path)!r}")
    texts, names = [], []
    for one, name in rows:
        texts.append(one)
        names.append(name)
    if not texts:
        raise ValueError(f"`{path}` must hold a text. Received: none")
    if label is None:
        return texts, None, []
    classes = sorted(set(names), key=_by_number if all(_is_number(name) for name in set(names)) else None)
    places = {name: i for i, name in enumerate(classes)}
    return texts, np.array([places[name] for name in names], "int32"), classes


def read_parallel(source, target):
    """Sentences and their translations, one a line in each of two files.

    Args:
        source: text file in UTF-8, may be gzipped (`.gz`).
        target: another one with as many lines.

    Returns:
        Two lists of strings of one length, without spaces around; pairs of which one side is empty are left out.

    Raises:
        ValueError: naming the files, if they have different numbers of lines, or are not UTF-8.
    """
    first, second = ([line.strip() for _, line in _numbered(path)] for path in (source, target))
    if len(first) != len(second):
        raise ValueError(f"`{source}` and `{target}` must have the same number of lines. Received: {len(first)} and {len(second)}")
    pairs = [pair for pair in zip(first, second) if all(pair)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def read_conll(path, columns=("words", "pos", "chunks", "entities")):
    """Tagged words, one a line, in columns that spaces or tabs separate; an empty line ends a sentence.

    The default is the form of CoNLL-2003; that of CoNLL-2000 has `("words", "pos", "chunks")`. Lines `-DOCSTART-` are left out. CoNLL-U has
    a reader of its own, `read_conllu`.

    Args:
        path: text file in UTF-8, may be gzipped (`.gz`).
        columns: name of each column; `None` for one that is not wanted.

    Returns:
        Dict of lists: for each name the sentences, each a list of strings.

    Raises:
        ValueError: naming file and line, if a line has another number of columns.
    """
    wanted = [(i, name) for i, name in enumerate(columns) if name is not None]
    if isinstance(columns, str) or not wanted or len({name for _, name in wanted}) < len(wanted):
        raise ValueError(f"`columns` must be different names, one for each column. Received: {columns!r}")
    found, rows = {name: [] for _, name in wanted}, []

    def end():
        for i, name in wanted if rows else ():
            found[name].append([row[i] for row in rows])
        rows.clear()

    for number, line in _numbered(path):
        row = line.split("\t") if "\t" in line.strip() else line.split()
        if not line.strip() or row[0] == "-DOCSTART-":
            end()
        elif len(row) != len(columns) or not all(row):
            raise ValueError(f"`{path}`, line {number}, must have {len(columns)} columns. Received: {line[:100]!r}")
        else:
            rows.append(row)
    end()
    if not found[wanted[0][1]]:
        raise ValueError(f"`{path}` must hold a sentence. Received: none")
    return found


def text_lines(path):
    """The lines of a text file with their ends, one after the other; only line feeds end a line.

    Args:
        path: file in UTF-8, with or without byte order mark, gzipped if its name ends in `.gz`.

    Raises:
        ValueError: naming file and line, if it is not UTF-8, or its end is missing.
    """
    number = 0
    with (gzip.open if Path(path).suffix == ".gz" else open)(path, "rb") as stream:
        try:
            for number, line in enumerate(stream, start=1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"`{path}`, line {number}, must be text in UTF-8. Received: {error.object[:80]!r}") from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"`{path}`, behind line {number}, must be whole and gzipped. Received: {error}") from error


def _numbered(path):
    """Pairs of number, from 1, and line without its end."""
    return ((number, line.rstrip("\r\n")) for number, line in enumerate(text_lines(path), start=1))


def _suffix(path):
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def _texts_of_folders(folder):
    for name in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for file in sorted(name.glob("*.txt")):
            yield "".join(text_lines(file)).strip(), name.name


def _objects(path, text, label):
    """Text and class of each line of a JSONL file."""
    for number, line in _numbered(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"`{path}`, line {number}, must be an object in JSON. Received: {line[:100]!r} ({error})") from error
        missing = [name for name in (text, label) if name is not None and (not isinstance(row, dict) or row.get(name) is None)]
        if missing or not isinstance(row[text], str):
            raise ValueError(f"`{path}`, line {number}, must have a string {text!r} and the label {label!r}. Received: {line[:100]!r}")
        # true and false as JSON writes them, not as Python does
        name = row[label] if label is not None else ""
        yield row[text], name if isinstance(name, str) else json.dumps(name)


def _table(path, text, label):
    """Text and class of each row of a CSV or TSV file."""
    options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if _suffix(path) == ".tsv" else {"strict": True}
    reader, columns, width = csv.reader(text_lines(path), **options), None, 0
    while (row := _next_row(reader, path)) is not None:
        if columns is None:
            columns, width = _columns(path, row, text, label), len(row)
            if not isinstance(text, int):
                continue
        if len(row) != width:
            raise ValueError(f"`{path}`, line {reader.line_num}, must have {width} columns. Received: {len(row)}, {str(row)[:100]}")
        name = row[columns[-1]].strip()
        if label is not None and not name:
            raise ValueError(f"`{path}`, line {reader.line_num}, must have the label {label!r}. Received: an empty one")
        yield row[columns[0]], name


def _next_row(reader, path):
    """The next row that is not empty, or `None` at the end."""
    before = csv.field_size_limit(_LONGEST)
    try:
        return next(filter(None, reader), None)
    except csv.Error as error:
        raise ValueError(f"`{path}`, line {reader.line_num}, must be a table with quotes in pairs. Received: {error}") from error
    finally:
        csv.field_size_limit(before)


def _columns(path, header, text, label):
    """Places of the two columns; the first line names them, unless they are given as numbers."""
    wanted = [text] if label is None else [text, label]
    if all(isinstance(name, int) for name in wanted):
        if not all(0 <= name < len(header) for name in wanted):
            raise ValueError(f"`{path}`, line 1, must have the columns {wanted}. Received: {len(header)} columns")
        return wanted
    missing = [name for name in wanted if header.count(name) != 1]
    if missing:
        raise ValueError(f"`{path}`, line 1, must name the columns {wanted} once each; give `text` and `label`. Received: {header[:20]}")
    return [header.index(name) for name in wanted]


def _is_number(name):
    return name.removeprefix("-").isdecimal()


def _by_number(name):
    return int(name), name
