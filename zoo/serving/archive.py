"""Export to a SavedModel with named signatures, always by TensorFlow: an export from JAX would run on one platform only."""

import dataclasses
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# TensorFlow Serving leaves the files of this folder alone
FIELDS = "assets.extra/zoo_fields.json"


def export(model, path, verbose=False):
    """Write `PATH/1/`, a SavedModel with every function of `model.signatures()`, and what their fields say as `FIELDS` in it.

    The folder is replaced as a whole once the export is complete. On the JAX backend the model travels through a `.keras` file to a
    process that runs TensorFlow.

    Args:
        model: a `zoo.Model`.
        path: target folder, in TensorFlow Serving's layout: version 1 lies in `path/1`. Its first signature, `serve`, is the default one.
        verbose: whether to print the signatures.

    Returns:
        The folder of the version.

    Raises:
        ValueError: if `path` holds something else than a SavedModel, or the class is unknown to a fresh process.
    """
    import keras

    path = Path(path)
    _require_replaceable(path)
    path.mkdir(parents=True, exist_ok=True)
    new = path / f".new-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        if keras.backend.backend() == "tensorflow":
            _write(model, new, verbose)
        else:
            _write_in_tensorflow_process(model, new, verbose)
        _swap(new, path / "1")
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if not any(path.iterdir()):
            path.rmdir()
    return path / "1"


def _require_replaceable(path):
    """Only nothing, an empty folder, or versions of a SavedModel may give way."""
    if path.is_dir():
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        if all(entry.name.isdigit() and (entry / "saved_model.pb").is_file() for entry in entries):
            return
    elif not path.exists():
        return
    raise ValueError(
        f"`path` must be a new folder or one that holds versions of a SavedModel. Received: {path}, which holds something else"
    )


def _write(model, folder, verbose):
    import keras

    archive = keras.export.ExportArchive()
    archive.track(model)
    signatures = model.signatures()
    # Keras makes the first endpoint the default signature of TensorFlow Serving
    for name in sorted(signatures, key=lambda name: name != "serve"):
        function, fields = signatures[name]
        archive.add_endpoint(name, _flat(function, fields), input_signature=[f.spec() for f in fields])
    archive.write_out(str(folder), verbose=verbose)
    _write_fields(signatures, folder / FIELDS)


def _write_fields(signatures, path):
    """What the fields of each signature say, so that a server checks what `predict` checks."""
    content = {name: [_record(f) for f in fields] for name, (_, fields) in signatures.items()}
    path.parent.mkdir()
    # limits may be NumPy scalars
    path.write_text(json.dumps(content, indent=1, default=lambda value: value.item()) + "\n")


def _record(field):
    """A field as plain JSON; of a class of somebody's own, what the zoo's classes know."""
    from zoo.fields import KINDS

    kind = next(base for base in type(field).__mro__ if KINDS.get(base.__name__) is base)
    return {"kind": kind.__name__, **{a.name: getattr(field, a.name) for a in dataclasses.fields(kind)}}


def read_fields(folder):
    """The fields that `export` wrote, by signature.

    Args:
        folder: a version of a SavedModel.

    Returns:
        Dict signature name -> list of `zoo.Field`; empty for a SavedModel from elsewhere.

    Raises:
        ValueError: if the file is damaged.
    """
    path = Path(folder) / FIELDS
    if not path.is_file():
        return {}
    from zoo.fields import KINDS

    try:
        content = json.loads(path.read_text())
        return {name: [_field(KINDS, record) for record in records] for name, records in content.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must hold the fields of each signature. Received: {error}") from None


def _field(kinds, record):
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
    return kinds[arguments.pop("kind")](**arguments)


def _flat(function, fields):
    """Signatures take named arguments; methods take an array, or a dict by name."""
    if len(fields) == 1:
        return function

    def call(*arrays):
        return function({f.name: a for f, a in zip(fields, arrays)})

    return call


def _swap(new, version):
    old = new.with_name(f"{new.name}-old")
    if version.exists():
        version.rename(old)
    new.rename(version)
    shutil.rmtree(old, ignore_errors=True)


def _write_in_tensorflow_process(model, folder, verbose):
    cls = type(model)
    if not cls.__module__.startswith("zoo."):
        raise ValueError(
            "`model` must be of a class of the zoo, which the TensorFlow process that exports can import; save other models and export "
            f"them under KERAS_BACKEND=tensorflow. Received: {cls.__module__}.{cls.__name__}"
        )
    with tempfile.TemporaryDirectory() as temporary:
        model.save(f"{temporary}/model.keras")
        script = "import sys; from zoo.serving.archive import _main; _main(*sys.argv[1:])"
        command = [sys.executable, "-c", script, f"{temporary}/model.keras", str(folder), *(["--verbose"] if verbose else [])]
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise ValueError(
            f"`model` must load and export on TensorFlow. Received: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        )


def _main(source, folder, *flags):
    """What the process that runs TensorFlow does."""
    import keras

    import zoo.applications  # noqa: F401 - registers the classes

    _write(keras.saving.load_model(source), Path(folder), verbose="--verbose" in flags)
