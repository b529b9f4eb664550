"""The parts of a long run, each kept when it is done: a run that was stopped goes on, and several processes share one."""

import argparse
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_PROCESS = uuid.uuid4().hex


def finished(args: argparse.Namespace, title: str, jobs: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What jobs give. Each is done once, by whichever process of the same recipe comes to it first, and kept in a file of `runs/`.

    Start a recipe twice to use two cores: both come to the same end. The files belong to the text of the recipe, so that a changed one
    starts anew; after a change of the method itself remove the folder.

    Args:
        args: what `arguments` returned.
        title: of the jobs; names them together with their keys, and is shown with the progress.
        jobs: name -> a function without arguments, whose value JSON can hold: numbers, strings, lists, dicts with strings for keys.

    Returns:
        Dict of the values by name, as JSON gives them back.
    """
    from rich.progress import Progress

    found: dict[str, Any] = {}
    with Progress() as progress:
        task = progress.add_task(title, total=len(jobs))
        while len(found) < len(jobs):
            for name, job in jobs.items():
                if name in found:
                    continue
                record = _record(args.jobs / _file_name(f"{title} {name}"), job)
                if record is not None:
                    found[name] = record["value"]
                    args.job_seconds += record["processor_seconds"] if record["process"] != _PROCESS else 0.0
                    progress.advance(task)
                    print(f"{title}, {name}: {found[name]}", flush=True)
            if len(found) < len(jobs):
                time.sleep(1.0)
    return {name: found[name] for name in jobs}


def folder(root: Path, preset: str, recipe: Path, quick: bool = False) -> Path:
    """Where the jobs of a recipe are kept, which depends on its text. A quick run keeps nothing of earlier ones."""
    digest = hashlib.sha256(recipe.read_bytes() if recipe.is_file() else b"").hexdigest()[:12]
    found = root / "runs" / "jobs" / (f"{preset}-quick" if quick else f"{preset}-{digest}")
    if quick:
        shutil.rmtree(found, ignore_errors=True)
    return found


def _record(file, job):
    """The record of a job that is done, now or before; `None` while another process does it."""
    if file.exists():
        return json.loads(file.read_text())
    file.parent.mkdir(parents=True, exist_ok=True)
    claim = file.with_suffix(".claim")
    try:
        with open(claim, "x") as stream:
            stream.write(str(os.getpid()))
    except FileExistsError:
        if not _is_alive(claim):
            claim.unlink(missing_ok=True)
        return None
    try:
        # the other may have come to its end just before the claim
        if not file.exists():
            before = time.process_time()
            value = job()
            record = {"value": value, "processor_seconds": round(time.process_time() - before, 1), "process": _PROCESS}
            part = file.with_suffix(".part")
            part.write_text(json.dumps(record, default=float))
            os.replace(part, file)
    finally:
        claim.unlink(missing_ok=True)
    return json.loads(file.read_text())


def _is_alive(claim):
    """Whether the process that claims a job still runs; a claim that is just being written counts."""
    try:
        os.kill(int(claim.read_text() or os.getpid()), 0)
    except (FileNotFoundError, PermissionError):
        return True
    except ProcessLookupError:
        return False
    return True


def _file_name(key):
    """A file name for a key: readable, and different for different keys."""
    readable = re.sub(r"[^\w.-]+", "_", key)[:60]
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.json"
