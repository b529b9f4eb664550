"""What a preset's folder must be, checked without Keras: which files it holds, how large they may be, and what config.json says."""

import json
import math
from pathlib import Path

from zoo import files

FORMAT = 1
SUMS = "SHA256SUMS"
REQUIRED = ("config.json", "model.weights.h5", "golden.npz")
OPTIONAL = ("evidence.json", "card.md", "figure.png")
# no file of a preset may be larger, whatever its config says
LIMITS = {
    SUMS: 64 << 10,
    "config.json": 64 << 20,
    "golden.npz": 1 << 30,
    "evidence.json": 16 << 20,
    "card.md": 16 << 20,
    "figure.png": 64 << 20,
    "model.weights.h5": 64 << 30,
}

# what hubs, desktops and editors add to a folder by themselves; never read
_ADDED = ("README.md", ".gitattributes", ".gitignore", ".git", ".cache", ".complete", "@eaDir", "__MACOSX", ".ipynb_checkpoints")
_ADDED_BY_DESKTOPS = (".DS_Store", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", "Icon\r", ".directory", ".localized")
_ADDED_PREFIXES = ("._", ".#", ".nfs", ".~lock.", ".Trash", ".fuse_hidden")
_ADDED_SUFFIXES = ("~", ".swp", ".swo", ".bak")

# Keras classes that a config may name live in these modules ...
_MODULES = (
    "keras",
    "keras.activations",
    "keras.constraints",
    "keras.initializers",
    "keras.layers",
    "keras.losses",
    "keras.models",
    "keras.optimizers",
    "keras.optimizers.schedules",
    "keras.regularizers",
    "keras.src.models.functional",
    "keras.src.models.sequential",
)
# ... except those that run code or open files
_REFUSED = ("Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "StringLookup", "IntegerLookup", "TextVectorization")

# keys of config.json -> type; `sizes` came later than the others
_KEYS = {"format": int, "class": str, "config": dict, "zoo": str, "keras": str, "parameters": int, "variables": list}
# gzip packs at best about a thousand zeros of a float16 into two bytes
_MOST_PARAMETERS_A_BYTE = 550


def is_added(name):
    """Whether a file or folder of this name comes from a hub, a desktop or an editor rather than from the preset."""
    return (
        name in (*_ADDED, *_ADDED_BY_DESKTOPS)
        or name.startswith(_ADDED_PREFIXES)
        or name.endswith(_ADDED_SUFFIXES)
        or (name.startswith("#") and name.endswith("#"))
    )


# --- the folder ---


def verify(folder):
    """Check every file of a preset against its checksum.

    Links are followed inside the folder, and in a snapshot of the Hugging Face cache to that repository's blobs; nowhere else.

    Raises:
        ValueError: naming the first file that is missing, unlisted, altered, or elsewhere.
    """
    folder = Path(folder)
    if not (folder / SUMS).is_file():
        raise ValueError(f"`{folder}` must be a preset, a folder with {SUMS}. Received: a folder without it")
    root = _root(folder)
    _require_inside(folder / SUMS, root)
    sums = parse_sums(_read_bounded(folder / SUMS), folder)
    for file in folder.iterdir():
        if file.name not in (*sums, SUMS) and not is_added(file.name):
            raise ValueError(f"`{folder}` must hold only the files listed in {SUMS}. Received: an unlisted file {file.name!r}")
    for name, digest in sums.items():
        if not (folder / name).is_file():
            raise ValueError(f"`{folder}` must hold {name}. Received: a folder without it (incomplete download or copy?)")
        _require_inside(folder / name, root)
        if files.digest(folder / name) != digest:
            raise ValueError(f"`{folder / name}` must have SHA-256 {digest[:12]}... Received: a damaged or altered file")


def parse_sums(content, source):
    """Name -> SHA-256 of the files that `SHA256SUMS` lists.

    Raises:
        ValueError: naming `source`, if it lists files that a preset has not, or lacks one that it must have.
    """
    sums = {}
    for line in content.decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        if name not in (*REQUIRED, *OPTIONAL) or len(digest) != 64:
            raise ValueError(f"`{source}` must list files of a preset ({', '.join((*REQUIRED, *OPTIONAL))}). Received: {line[:120]!r}")
        sums[name] = digest
    missing = [name for name in REQUIRED if name not in sums]
    if missing:
        raise ValueError(f"`{source}` must list {', '.join(REQUIRED)}. Received: a list without {', '.join(missing)}")
    return sums


def _root(folder):
    real = folder.resolve()
    repository = real.parent.parent
    return repository if real.parent.name == "snapshots" and (repository / "blobs").is_dir() else real


def _require_inside(file, root):
    real = file.resolve()
    if root not in real.parents:
        raise ValueError(f"`{file}` must be a file of the preset itself. Received: a link to {real}")


def _read_bounded(file):
    limit = LIMITS[file.name]
    if file.stat().st_size > limit:
        raise ValueError(f"`{file}` must have at most {limit} bytes. Received: {file.stat().st_size}")
    return file.read_bytes()


# --- config.json ---


def read_record(folder):
    """The checked content of config.json.

    Raises:
        ValueError: naming the folder and what is wrong.
    """
    folder = Path(folder)
    record = _parse_json(_read_bounded(folder / "config.json"), folder)
    if not isinstance(record, dict) or record.get("format") != FORMAT or type(record.get("format")) is not int:
        found = record.get("format") if isinstance(record, dict) else f"a {type(record).__name__}"
        raise ValueError(f"`{folder}` must be a preset of format {FORMAT}. Received: format {found!r}")
    for key, kind in _KEYS.items():
        if type(record.get(key)) is not kind:
            found = f"{_short(record[key])}" if key in record else "none"
            raise ValueError(f"`{folder}` must have {key!r} of type {kind.__name__} in config.json. Received: {found}")
    _check_variables(record, folder)
    sizes = record.setdefault("sizes", {})
    if not isinstance(sizes, dict) or any(not _is_count(size) for size in sizes.values()):
        raise ValueError(f"`{folder}` must have file sizes in bytes as 'sizes' in config.json. Received: {_short(sizes)}")
    try:
        refuse_code(record["config"], folder)
    except RecursionError as error:
        raise _too_deep(folder) from error
    return record


def _parse_json(content, folder):
    def constant(name):
        raise ValueError(f"the number {name}")

    try:
        return json.loads(content, parse_constant=constant)
    except RecursionError as error:
        raise _too_deep(folder) from error
    except ValueError as error:
        raise ValueError(f"`{folder}` must hold JSON in config.json. Received: {error}") from error


def _too_deep(folder):
    return ValueError(f"`{folder}` must hold JSON of few levels in config.json. Received: too many levels")


def _check_variables(record, folder):
    for variable in record["variables"]:
        is_pair = isinstance(variable, list) and len(variable) == 2 and isinstance(variable[0], str) and isinstance(variable[1], list)
        if not is_pair or not all(_is_count(n) for n in variable[1]):
            raise ValueError(f"`{folder}` must list 'variables' as [name, shape] in config.json. Received: {_short(variable)}")
    counted = sum(math.prod(shape) for _, shape in record["variables"])
    if record["parameters"] != counted:
        raise ValueError(f"`{folder}` must have as many 'parameters' as its variables have. Received: {record['parameters']}, {counted}")


def require_plausible_size(record, folder):
    """Raise if the weights cannot lie in a file of the size that `folder` holds."""
    size = (folder / "model.weights.h5").stat().st_size
    if record["parameters"] > _MOST_PARAMETERS_A_BYTE * size:
        raise ValueError(f"`{folder}` must hold its {record['parameters']} parameters. Received: weights of {size} bytes")


def size_limits(record):
    """Name -> the most bytes that a file of this preset may have; exact where config.json says it."""
    # old presets say no sizes: room for float64 with the three slots of an optimizer, and for HDF5's own structure
    weights = 32 * record["parameters"] + (256 << 10) * (4 + len(record["variables"]))
    limits = {**LIMITS, "model.weights.h5": min(weights, LIMITS["model.weights.h5"])}
    return {name: min(limit, record["sizes"].get(name, limit)) for name, limit in limits.items()}


def refuse_code(value, folder):
    """Raise if a serialised object in `value` is not one of Keras's plain classes or one of the zoo's."""
    if isinstance(value, (list, tuple)):
        for item in value:
            refuse_code(item, folder)
    if not isinstance(value, dict):
        return
    name, module = value.get("class_name"), value.get("module")
    ours = str(value.get("registered_name") or "").startswith("zoo>") and str(module or "zoo.").startswith("zoo.")
    plain = name is None or ours or name == "__tensor__" or (name not in _REFUSED and (module or "keras") in _MODULES)
    if not plain or name in ("__lambda__", "function", "__typespec__") or "__lambda__" in value:
        raise ValueError(f"`{folder}` must hold only Keras's own layers and classes of the zoo. Received: {module}.{name}")
    for item in value.values():
        refuse_code(item, folder)


def _is_count(value):
    return type(value) is int and value >= 0


def _short(value):
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
