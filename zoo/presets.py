"""Presets: folders with a config, weights, a golden example, evidence and checksums. Nothing in them can run code.

A preset is named by a shipped name, a local folder, `https://...`, `hf://owner/name[@revision]` or
`kaggle://owner/model/framework/variation[/version]`. Whatever the source, every file is checked against `SHA256SUMS` before it is read.
Only the functions that build models import Keras, so that the command line can list presets at once.
"""

import contextlib
import difflib
import hashlib
import io
import json
import os
import secrets
import shutil
import urllib.error
import urllib.parse
import urllib.request
import warnings
from pathlib import Path

import zoo
from zoo import files, index

FORMAT = 1
SUMS = "SHA256SUMS"
REQUIRED = ("config.json", "model.weights.h5", "golden.npz")
OPTIONAL = ("evidence.json", "card.md", "figure.png")
# what a hub adds to a folder by itself; never read
IGNORED = ("README.md", ".gitattributes", ".cache", ".complete")

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


# --- shipped presets, read without Keras ---


def shipped_folder():
    """The folder of the presets that come with the library: inside the wheel, or at the top of a clone."""
    inside = Path(zoo.__file__).parent / "saved_models"
    return inside if inside.is_dir() else Path(zoo.__file__).parent.parent / "saved_models"


def shipped():
    """The shipped presets: name -> {"class", "parameters", "folder", "claims"}, by name."""
    presets = {}
    for config_file in sorted(shipped_folder().glob("*/config.json")):
        config, evidence = json.loads(config_file.read_text()), config_file.with_name("evidence.json")
        presets[config_file.parent.name] = {
            "class": config["class"],
            "parameters": config["parameters"],
            "folder": config_file.parent,
            "claims": json.loads(evidence.read_text())["claims"] if evidence.exists() else [],
        }
    return presets


# --- loading ---


def load(preset, expected=None, load_weights=True, **overrides):
    """Build the model of a preset.

    Args:
        preset: shipped name, folder or address (see the module).
        expected: class that the preset must hold, or `None` for any class of the zoo.
        load_weights: `False` gives the architecture alone.
        **overrides: constructor arguments to change. Weights whose shape changes start anew; a warning lists them.

    Returns:
        A compiled `zoo.Model`.

    Raises:
        ValueError: if the preset is unknown, incomplete, altered, unsafe, or of another class.
    """
    folder = resolve(preset, expected)
    record = _read_record(folder)
    cls = _class_of(record, folder)
    if expected is not None and not issubclass(cls, expected):
        raise ValueError(f"`preset` must hold a {expected.__name__}. Received: {preset!r}, which holds a {cls.__name__}")
    unknown = sorted(set(overrides) - set(record["config"]))
    if unknown:
        raise ValueError(f"`overrides` must be constructor arguments of {cls.__name__}. Received: {unknown}")
    model = cls.from_config({**record["config"], **overrides})
    if not load_weights:
        return model
    if _layout(model) == record["variables"]:
        _load_weights(model, folder)
    elif overrides:
        source = cls.from_config(record["config"])
        _require_layout(source, record, folder)
        _load_weights(source, folder)
        _transfer(source, model)
    else:
        _require_layout(model, record, folder)
    return model


def golden(preset):
    """The golden example of a preset: `(x, outputs)`, arrays as `model(x, training=False)` takes and gives them."""
    import numpy as np

    with np.load(io.BytesIO((resolve(preset) / "golden.npz").read_bytes()), allow_pickle=False) as arrays:
        x = {name[2:]: arrays[name] for name in arrays.files if name.startswith("x/")}
        return (x if "" not in x else x[""]), [arrays[name] for name in arrays.files if name.startswith("y/")]


def _read_record(folder):
    record = json.loads((folder / "config.json").read_text())
    if record.get("format") != FORMAT:
        raise ValueError(f"`{folder}` must be a preset of format {FORMAT}. Received: format {record.get('format')!r}")
    _refuse_code(record["config"], folder)
    return record


def _class_of(record, folder):
    names = [entry.name for entry in index.ENTRIES]
    if record["class"] not in names:
        raise ValueError(f"`{folder}` must name a class of the zoo's index. Received: {record['class']!r}")
    from zoo import applications

    return getattr(applications, record["class"])


def _refuse_code(value, folder):
    """Raise if a serialised object in `value` is not one of Keras's plain classes or one of the zoo's."""
    if isinstance(value, (list, tuple)):
        for item in value:
            _refuse_code(item, folder)
    if not isinstance(value, dict):
        return
    name, module = value.get("class_name"), value.get("module")
    ours = str(value.get("registered_name") or "").startswith("zoo>") and str(module or "zoo.").startswith("zoo.")
    plain = name is None or ours or name == "__tensor__" or (name not in _REFUSED and (module or "keras") in _MODULES)
    if not plain or name in ("__lambda__", "function", "__typespec__") or "__lambda__" in value:
        raise ValueError(f"`{folder}` must hold only Keras's own layers and classes of the zoo. Received: {module}.{name}")
    for item in value.values():
        _refuse_code(item, folder)


def _load_weights(model, folder):
    with _weights_alone(model):
        model.load_weights(folder / "model.weights.h5")


@contextlib.contextmanager
def _weights_alone(model):
    """Hide the optimizer, which Keras would store among the weights."""
    optimizer, model.optimizer = model.optimizer, None
    try:
        yield
    finally:
        model.optimizer = optimizer


def _layout(model):
    """Name and shape of every weight in order; weights load only into the same layout."""
    return [[v.name, list(v.shape)] for v in model.weights]


def _require_layout(model, record, folder):
    ours, theirs = _layout(model), record["variables"]
    if ours != theirs:
        changed = [(a, b) for a, b in zip(ours, theirs) if a != b][:3]
        raise ValueError(
            f"`{folder}` must hold the weights of this {record['class']} ({len(ours)} variables). "
            f"Received: {len(theirs)} variables, written by zoo {record['zoo']}; first differences {changed}"
        )


def _transfer(source, target):
    """Copy the weights of equal shape; warn of the others."""

    def by_key(model):
        if len(source.weights) == len(target.weights):
            return dict(enumerate(model.weights))
        return {v.path.partition("/")[2]: v for v in model.weights}

    old, dropped = by_key(source), []
    for key, variable in by_key(target).items():
        if key in old and old[key].shape == variable.shape:
            variable.assign(old[key])
        else:
            dropped.append(f"{variable.path} {tuple(variable.shape)}")
    if dropped:
        warnings.warn(f"Weights that start anew, since the preset has none of their shape: {', '.join(dropped)}", stacklevel=4)


# --- saving ---


def save(model, path, half_precision=False, extras=None):
    """Write `model` as a preset, atomically: a reader sees the old preset or the new one, whole.

    Args:
        model: a `zoo.Model`.
        path: the folder. An existing preset there is replaced; any other non-empty folder is refused.
        half_precision: store weights as float16.
        extras: more files, name -> bytes, out of `evidence.json`, `card.md`, `figure.png`.

    Raises:
        ValueError: if `path` holds something else than a preset, or the model is no class of the index.
    """
    path = Path(path)
    _restore_interrupted(path)
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not (path / SUMS).exists())):
        raise ValueError(f"`path` must be a new folder or an existing preset. Received: {path}, which holds something else")
    if type(model).__name__ not in [entry.name for entry in index.ENTRIES]:
        raise ValueError(f"`model` must be of a class in the zoo's index. Received: {type(model).__name__}")
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{path.name}.new-*"):
        if not _is_running(stale.name.split("-")[-2]):
            shutil.rmtree(stale, ignore_errors=True)
    new = path.with_name(f".{path.name}.new-{os.getpid()}-{secrets.token_hex(4)}")
    new.mkdir()
    try:
        _write_files(model, new, half_precision, extras or {})
        _swap(new, path)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def replace(folder, extras):
    """Write some of the optional files of a preset anew, atomically.

    Args:
        folder: of the preset.
        extras: files, name -> bytes, out of `evidence.json`, `card.md`, `figure.png`.
    """
    folder = Path(folder)
    new = folder.with_name(f".{folder.name}.new-{os.getpid()}-{secrets.token_hex(4)}")
    shutil.copytree(folder, new)
    try:
        _write_extras(new, extras)
        _write_sums(new)
        _swap(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _write_files(model, folder, half_precision, extras):
    import keras
    import numpy as np

    record = {
        "format": FORMAT,
        "class": type(model).__name__,
        "config": model.get_config(),
        "zoo": zoo.__version__,
        "keras": keras.__version__,
        "parameters": int(sum(np.prod(v.shape, dtype=int) for v in model.weights)),
        "variables": _layout(model),
    }
    _refuse_code(record["config"], folder)
    (folder / "config.json").write_text(json.dumps(record, indent=1) + "\n")
    with _weights_alone(model):
        model.save_weights(folder / "model.weights.h5")
    if half_precision:
        _halve(folder / "model.weights.h5")
        model = type(model).from_config(model.get_config())
        _load_weights(model, folder)
    x = model.example_inputs()
    outputs = keras.tree.flatten(model(x, training=False))
    arrays = {f"x/{name}": value for name, value in (x if isinstance(x, dict) else {"": x}).items()}
    arrays.update({f"y/{i}": keras.ops.convert_to_numpy(y) for i, y in enumerate(outputs)})
    np.savez_compressed(folder / "golden.npz", **arrays)
    _write_extras(folder, extras)
    _write_sums(folder)


def _write_extras(folder, extras):
    for name, content in extras.items():
        if name not in OPTIONAL:
            raise ValueError(f"`extras` must be files out of {OPTIONAL}. Received: {name!r}")
        (folder / name).write_bytes(content)


def _write_sums(folder):
    sums = [f"{files.digest(file)}  {file.name}\n" for file in sorted(folder.iterdir()) if file.name != SUMS]
    (folder / SUMS).write_text("".join(sums))
    for file in folder.iterdir():
        _sync(file)
    _sync(folder)


def _halve(file):
    """Rewrite the float32 arrays of an HDF5 file as compressed float16; Keras casts them back on load."""
    import h5py

    target = file.with_suffix(".tmp")
    with h5py.File(file) as old, h5py.File(target, "w") as new:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                half = item.dtype == "float32" and item.ndim > 0
                options = {"compression": "gzip", "shuffle": True} if item.ndim else {}
                new.create_dataset(name, data=item[()].astype("float16") if half else item[()], **options)
            else:
                new.require_group(name)
            new[name].attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)
    os.replace(target, file)


def _old(path):
    return path.with_name(f".{path.name}.old")


def _swap(new, path):
    shutil.rmtree(_old(path), ignore_errors=True)
    if path.exists():
        os.rename(path, _old(path))
    os.rename(new, path)
    _sync(path.parent)
    shutil.rmtree(_old(path), ignore_errors=True)


def _restore_interrupted(path):
    """Bring the old preset back if a save was killed between its two renames."""
    if not path.exists() and _old(path).exists():
        os.rename(_old(path), path)


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_running(pid):
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


# --- from any address to a verified local folder ---


def resolve(preset, expected=None):
    """The verified local folder of a preset; downloads into the Keras home where needed.

    Raises:
        ValueError: if the preset is unknown, incomplete or altered.
        ImportError: if a hub's client is not installed.
    """
    text = os.fspath(preset)
    if text.startswith("hf://"):
        folder = _from_huggingface(text.removeprefix("hf://"))
    elif text.startswith("kaggle://"):
        folder = _from_kaggle(text.removeprefix("kaggle://"))
    elif "://" in text:
        folder = _from_web(text.rstrip("/"))
    elif isinstance(preset, os.PathLike) or os.sep in text or text.startswith(".") or Path(text).is_dir():
        folder = Path(text)
        _restore_interrupted(folder)
        if not folder.is_dir():
            raise ValueError(f"`preset` must be an existing folder. Received: {text!r}")
    else:
        folder = shipped_folder() / text
        if not (folder / "config.json").exists():
            raise ValueError(_unknown(text, expected))
    verify(folder)
    return folder


def verify(folder):
    """Check every file of a preset against its checksum.

    Raises:
        ValueError: naming the first file that is missing, unlisted or altered.
    """
    folder = Path(folder)
    if not (folder / SUMS).is_file():
        raise ValueError(f"`{folder}` must be a preset, a folder with {SUMS}. Received: a folder without it")
    sums = _parse_sums((folder / SUMS).read_bytes(), folder)
    for file in folder.iterdir():
        if file.name not in (*sums, SUMS, *IGNORED):
            raise ValueError(f"`{folder}` must hold only the files listed in {SUMS}. Received: an unlisted file {file.name!r}")
    for name, digest in sums.items():
        if not (folder / name).is_file():
            raise ValueError(f"`{folder}` must hold {name}. Received: a folder without it (incomplete download or copy?)")
        if files.digest(folder / name) != digest:
            raise ValueError(f"`{folder / name}` must have SHA-256 {digest[:12]}... Received: a damaged or altered file")


def _parse_sums(content, source):
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


def _unknown(name, expected):
    known = [n for n, record in shipped().items() if expected in (None, zoo.Model) or record["class"] == expected.__name__]
    near = difflib.get_close_matches(name, known)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"`preset` must be one of {known}, a folder, or an https://, hf:// or kaggle:// address. Received: {name!r}.{hint}"


def _from_huggingface(handle):
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ImportError("hf:// presets need huggingface_hub: pip install 'zoo-keras[hubs]'") from error
    repository, _, revision = handle.partition("@")
    return Path(snapshot_download(repository, revision=revision or None, allow_patterns=[SUMS, *REQUIRED, *OPTIONAL]))


def _from_kaggle(handle):
    try:
        import kagglehub
    except ImportError as error:
        raise ImportError("kaggle:// presets need kagglehub: pip install 'zoo-keras[hubs]'") from error
    return Path(kagglehub.model_download(handle))


def _from_web(url):
    """Download the preset at `url` into the cache; resumes, one process at a time. Without network the cached copy serves."""
    from filelock import FileLock

    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")):
        raise ValueError(f"`preset` must be an https://, hf:// or kaggle:// address. Received: {url!r}")
    folder = files.cache_folder() / hashlib.sha256(url.encode()).hexdigest()[:20]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        try:
            content = _get(f"{url}/{SUMS}")
        except urllib.error.HTTPError as error:
            raise ValueError(f"`preset` must be the address of a preset. Received: {url!r}, HTTP {error.code} for {SUMS}") from error
        except OSError:
            if not (folder / SUMS).exists():
                raise
            warnings.warn(f"{url} cannot be reached; using the cached copy", stacklevel=4)
            return folder
        sums = _parse_sums(content, url)
        folder.mkdir(exist_ok=True)
        for name in [n for n, digest in sums.items() if not ((folder / n).exists() and files.digest(folder / n) == digest)]:
            _download(f"{url}/{name}", folder / name, sums[name])
        for file in folder.iterdir():
            if file.name not in sums:
                file.unlink()
        (folder / SUMS).write_bytes(content)
    return folder


def _get(url):
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.read(1 << 20)


def _download(url, file, digest):
    """Fetch `url` to `file`, continuing a partial download, and check it before it takes its name."""
    from rich.progress import wrap_file

    part = file.with_name(f".{file.name}.part")
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        part.unlink(missing_ok=True)
        raise ValueError(f"`{url}` must be a file of the preset. Received: HTTP {error.code}") from error
    with response:
        length = int(response.headers.get("Content-Length") or 0)
        # 206: the server continues; anything else sends the whole file
        total = length + (done if response.status == 206 else 0)
        source = wrap_file(response, length, description=file.name, transient=True)
        with open(part, "ab" if response.status == 206 else "wb") as stream, source as read:
            shutil.copyfileobj(read, stream)
    if files.digest(part) != digest:
        if part.stat().st_size < total:
            raise ValueError(f"`{url}` must be complete ({total} bytes). Received: {part.stat().st_size}; try again to resume")
        part.unlink()
        raise ValueError(f"`{url}` must have SHA-256 {digest[:12]}... Received: a truncated or altered file; it was deleted")
    os.replace(part, file)
