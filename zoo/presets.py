"""Presets: folders with a config, weights, a golden example, evidence and checksums. Nothing in them can run code.

A preset is named by a shipped name, a local folder, `https://...`, `hf://owner/name[@revision]` or
`kaggle://owner/model/framework/variation[/version]`. Whatever the source, every file is checked against `SHA256SUMS` before it is read.
Only the functions that build models import Keras, so that the command line can list presets at once.
"""

import contextlib
import difflib
import errno
import hashlib
import http.client
import io
import json
import math
import os
import secrets
import shutil
import threading
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zipfile
from pathlib import Path

import zoo
from zoo import files, index
from zoo.preset_format import FORMAT, LIMITS, OPTIONAL, REQUIRED, SUMS, is_added, read_record, refuse_code, require_plausible_size
from zoo.preset_format import parse_sums as parse_sums
from zoo.preset_format import size_limits as size_limits
from zoo.preset_format import verify as verify

_BUILDING = threading.RLock()


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
    record = read_record(folder)
    cls = _class_of(record, folder)
    if expected is not None and not issubclass(cls, expected):
        raise ValueError(f"`preset` must hold a {expected.__name__}. Received: {preset!r}, which holds a {cls.__name__}")
    unknown = sorted(set(overrides) - set(record["config"]))
    if unknown:
        raise ValueError(f"`overrides` must be constructor arguments of {cls.__name__}. Received: {unknown}")
    source = _build(cls, record, folder)
    if load_weights:
        _require_layout(source, record, folder)
        _load_weights(source, folder)
    if not overrides:
        return source
    model = cls.from_config({**record["config"], **overrides})
    if load_weights:
        _transfer(source, model)
    return model


def golden(preset):
    """The golden example of a preset: `(x, outputs)`, arrays as `model(x, training=False)` takes and gives them."""
    import numpy as np

    file = resolve(preset) / "golden.npz"
    content = file.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LIMITS["golden.npz"]:
            raise ValueError(f"arrays of {size} bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            x = {name[2:]: arrays[name] for name in arrays.files if name.startswith("x/")}
            outputs = [arrays[name] for name in arrays.files if name.startswith("y/")]
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, MemoryError) as error:
        raise ValueError(f"`{file}` must hold arrays x/NAME and y/NUMBER of at most a gigabyte. Received: {error}") from error
    return (x if "" not in x else x[""]), outputs


def _class_of(record, folder):
    names = [entry.name for entry in index.ENTRIES]
    if record["class"] not in names:
        raise ValueError(f"`{folder}` must name a class of the zoo's index. Received: {record['class']!r}")
    from zoo import applications

    return getattr(applications, record["class"])


def _build(cls, record, folder):
    """The model that config.json describes, which may not ask for more parameters than config.json counts."""
    require_plausible_size(record, folder)
    try:
        with _at_most(record["parameters"]):
            return cls.from_config(record["config"])
    except Exception as error:
        message = (str(error).strip() or type(error).__name__).splitlines()[0]
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"`{folder}` must hold arguments of {cls.__name__} in config.json. Received: {kind}{message}") from error


@contextlib.contextmanager
def _at_most(parameters):
    """Refuse a weight before it is made if the layers that this thread builds would have far more than `parameters` together."""
    import keras

    from zoo import trunks

    with _BUILDING:
        # some methods make networks that are not among their weights
        add_weight, thread, left = keras.Layer.add_weight, threading.get_ident(), [2 * parameters + 1_000_000]

        def counted(self, shape=None, *args, **kwargs):
            if threading.get_ident() == thread and not trunks.is_building():
                left[0] -= math.prod(shape) if isinstance(shape, (tuple, list)) else shape or 1
                if left[0] < 0:
                    raise ValueError(f"arguments that need more than the {parameters} parameters that config.json counts")
            return add_weight(self, shape, *args, **kwargs)

        keras.Layer.add_weight = counted
        try:
            yield
        finally:
            keras.Layer.add_weight = add_weight


def _load_weights(model, folder):
    file = folder / "model.weights.h5"
    try:
        _require_plain_arrays(file, sum(math.prod(v.shape) for v in model.weights))
        with _weights_alone(model):
            model.load_weights(file)
    except Exception as error:
        message = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"`{file}` must hold the weights of this {type(model).__name__}. Received: {message}") from error


def _require_plain_arrays(file, parameters):
    """Refuse arrays that lie in other files, or that are larger than those of the model can be."""
    import h5py

    found = []

    def look(name, item):
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise ValueError(f"the array {name!r}, which lies in another file")
            found.append(item.size or 0)

    def look_at_link(name, link):
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"the link {name!r} to another file")

    with h5py.File(file) as content:
        content.visititems_links(look_at_link)
        content.visititems(look)
    # older presets hold up to two slots of an optimizer besides
    if sum(found) > 4 * parameters + 1000:
        raise ValueError(f"arrays of {sum(found)} numbers for {parameters} parameters")


@contextlib.contextmanager
def _weights_alone(model):
    """Hide the optimizers of the model and of models in it, which Keras would store among the weights."""
    hidden = [(part, part.optimizer) for part in _models(model) if getattr(part, "optimizer", None) is not None]
    for part, _ in hidden:
        part.optimizer = None
    # left where a backed-up training was broken off
    model._training_state = None
    try:
        yield
    finally:
        for part, optimizer in hidden:
            part.optimizer = optimizer


def _models(model):
    import keras

    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _models(layer)


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
    is_filled = path.is_dir() and any(not is_added(entry.name) for entry in path.iterdir())
    if path.exists() and (not path.is_dir() or (is_filled and not (path / SUMS).exists())):
        raise ValueError(f"`path` must be a new folder or an existing preset. Received: {path}, which holds something else")
    if type(model).__name__ not in [entry.name for entry in index.ENTRIES]:
        raise ValueError(f"`model` must be of a class in the zoo's index. Received: {type(model).__name__}")
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{path.name}.new-*"):
        if not _is_running(stale.name.split("-")[-2]):
            shutil.rmtree(stale, ignore_errors=True)
    with _in_place_of(path) as new:
        new.mkdir()
        _write_files(model, new, half_precision, extras or {})


def replace(folder, extras):
    """Write some of the optional files of a preset anew, atomically.

    Args:
        folder: of the preset.
        extras: files, name -> bytes, out of `evidence.json`, `card.md`, `figure.png`.
    """
    folder = Path(folder)
    with _in_place_of(folder) as new:
        shutil.copytree(folder, new)
        _write_extras(new, extras)
        _write_sums(new)


@contextlib.contextmanager
def _in_place_of(path):
    """The path of a new folder, which takes the place of `path` as a whole once the block has filled it."""
    new = path.with_name(f".{path.name}.new-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield new
        _swap(new, path)
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
    refuse_code(record["config"], folder)
    (folder / "config.json").write_text(json.dumps(record))
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
    """The sizes of the other files in `config.json`, and the checksums of all."""
    record = json.loads((folder / "config.json").read_text())
    listed = [folder / name for name in sorted((*REQUIRED, *OPTIONAL)) if (folder / name).exists()]
    record["sizes"] = {file.name: file.stat().st_size for file in listed if file.name != "config.json"}
    (folder / "config.json").write_text(json.dumps(record, indent=1) + "\n")
    sums = [f"{files.digest(file)}  {file.name}\n" for file in listed]
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
    """Download the preset at `url` into the cache; resumes, one process at a time.

    The cached copy serves where there is no network, where the server sends faults or nonsense, and where the cache cannot be written.
    """
    from filelock import FileLock

    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")):
        raise ValueError(f"`preset` must be an https://, hf:// or kaggle:// address. Received: {url!r}")
    folder = files.cache_folder() / hashlib.sha256(url.encode()).hexdigest()[:20]
    with contextlib.ExitStack() as stack:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{folder}.lock"))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            return _read_only(url, folder, error)
        _restore_interrupted(folder)
        try:
            _refresh(url, folder, _get(f"{url}/{SUMS}"))
        except (OSError, ValueError, http.client.HTTPException) as error:
            _require_cached(url, folder, error)
            warnings.warn(f"{url} cannot be read ({_reason(error)}); using the cached copy", stacklevel=4)
    return folder


def _read_only(url, folder, error):
    """The cached copy of a cache that cannot be written; a warning says if it is not what the address has now."""
    _require_cached(url, folder, error)
    try:
        is_current = _get(f"{url}/{SUMS}") == (folder / SUMS).read_bytes()
    except (OSError, ValueError, http.client.HTTPException):
        is_current = False
    if not is_current:
        warnings.warn(f"{url} differs or cannot be read, and {folder} cannot be written; using the cached copy", stacklevel=5)
    return folder


def _require_cached(url, folder, error):
    """Raise what came unless a cached copy can stand in. An address that is gone is an error all the same."""
    if isinstance(error, urllib.error.HTTPError) and not (error.code >= 500 or error.code in (408, 425, 429)):
        raise ValueError(f"`preset` must be the address of a preset. Received: {url!r}, {_reason(error)}") from error
    if (folder / SUMS).exists():
        return
    if isinstance(error, ValueError):
        raise error
    if isinstance(error, urllib.error.HTTPError):
        raise ValueError(f"`preset` must be an address that answers. Received: {url!r}, {_reason(error)}; nothing is cached") from error
    raise OSError(f"{url} cannot be had, and nothing is cached in {folder.parent} (KERAS_HOME): {_reason(error)}") from error


def _reason(error):
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} for {str(error.filename).rpartition('/')[2]}"
    return str(error) or type(error).__name__


def _refresh(url, folder, content):
    """Bring `folder` to what `content` lists: all new files are complete before the first one takes its place."""
    sums = parse_sums(content, url)
    changed = [n for n, digest in sums.items() if not ((folder / n).is_file() and files.digest(folder / n) == digest)]
    if not changed and (folder / SUMS).is_file() and (folder / SUMS).read_bytes() == content:
        return
    new = folder.with_name(f"{folder.name}.new")
    new.mkdir(exist_ok=True)
    for file in new.iterdir():
        if file.name not in sums and file not in [_part(new / name, digest) for name, digest in sums.items()]:
            file.unlink()
    for name in [n for n in sums if n not in changed]:
        shutil.copyfile(folder / name, new / name)
    limits = LIMITS
    # config.json first: it says how large the others are
    for name in sorted(sums, key=lambda name: name != "config.json"):
        if not ((new / name).is_file() and files.digest(new / name) == sums[name]):
            _download(f"{url}/{name}", new / name, sums[name], limits[name])
        if name == "config.json":
            limits = size_limits(read_record(new))
    (new / SUMS).write_bytes(content)
    for part in new.glob(".*.part"):
        part.unlink()
    _swap(new, folder)


def _get(url):
    with urllib.request.urlopen(url, timeout=30) as response:
        content = response.read(LIMITS[SUMS] + 1)
    if len(content) > LIMITS[SUMS]:
        raise ValueError(f"`{url}` must have at most {LIMITS[SUMS]} bytes. Received: more")
    return content


def _download(url, file, digest, limit):
    """Fetch `url` to `file`, continuing a partial download, and check it before it takes its name."""
    from rich.progress import wrap_file

    part = _part(file, digest)
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # the partial file is no beginning of what is there now
            part.unlink(missing_ok=True)
            raise ValueError(f"`{url}` must be a file of the preset. Received: HTTP 416; try again") from error
        raise
    with response:
        length = int(response.headers.get("Content-Length") or 0)
        # 206: the server continues; anything else sends the whole file
        done = done if response.status == 206 else 0
        if done + length > limit:
            raise _too_large(url, part, limit, done + length)
        source = wrap_file(response, length, description=file.name, transient=True)
        with open(part, "ab" if done else "wb") as stream, source as read:
            _copy(read, stream, limit - done)
    size = part.stat().st_size
    if size > limit:
        raise _too_large(url, part, limit, "more")
    if files.digest(part) != digest:
        if size < done + length:
            raise ValueError(f"`{url}` must be complete ({done + length} bytes). Received: {size}; try again to resume")
        part.unlink()
        raise ValueError(f"`{url}` must have SHA-256 {digest[:12]}... Received: a truncated or altered file; it was deleted")
    os.replace(part, file)


def _part(file, digest):
    """The partial download of the content with this digest, so that another version does not continue it."""
    return file.with_name(f".{file.name}.{digest[:12]}.part")


def _copy(source, stream, most):
    """Copy until the end, or until one byte more than allowed has come: an endless download ends there."""
    while most >= 0 and (block := source.read(min(1 << 16, most + 1))):
        stream.write(block)
        most -= len(block)


def _too_large(url, part, limit, size):
    part.unlink(missing_ok=True)
    return ValueError(f"`{url}` must have at most {limit} bytes, as the preset's config.json and zoo's limits say. Received: {size}")
