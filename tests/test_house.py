"""The rules of CONTRIBUTING that a machine can check."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from zoo import index

ROOT = Path(zoo.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# room -> level; a file imports only from lower levels, or from its own room
LEVELS = {
    "arguments": 0,
    "autodiff": 0,
    "distributions": 1,
    "index": 0,
    "registry": 1,
    "files": 0,
    "npz": 0,
    "text": 1,
    "attacks": 2,
    "datasets": 2,
    "layers": 2,
    "losses": 1,
    "metrics": 2,
    "optimizers": 2,
    "initializers": 1,
    "decoding": 2,
    "relevance": 3,
    "environments": 2,
    "callbacks": 3,
    "trunks": 3,
    "training_state": 3,
    "model": 4,
    "fields": 5,
    "families": 6,
    "applications": 7,
    "preset_format": 1,
    "presets": 8,
    "plots": 8,
    "evidence": 9,
    "serving": 9,
    "tuning": 9,
    "testing": 9,
    "demo": 10,
    "cli": 11,
}


def imports(file):
    return imports_of(ast.parse(file.read_text()))


def imports_of(tree):
    """Modules that Python code imports, as (name, whether at module level)."""
    top = set(tree.body)
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            yield name, node in top


def room(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "zoo" else None


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_arrows(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    if parts == ("__init__",):
        return
    here = parts[0]
    assert here in LEVELS, f"give {here} a level"
    for name, at_top in imports(file):
        there = room(name)
        # inside functions, the base class may reach the machinery that its methods front (presets, serving)
        allowed_up = here == "model" and not at_top and there in ("presets", "serving")
        if there in LEVELS and there != here and not allowed_up:
            assert LEVELS[there] < LEVELS[here], f"{file.name} must not import zoo.{there}"
        if here == "applications" and there == "applications" and parts[-1] != "__init__":
            raise AssertionError(f"{file.name}: a method never imports another method's file ({name})")


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_backends_only_in_autodiff(file):
    here = file.relative_to(ROOT).with_suffix("").parts[0]
    for name, at_top in imports(file):
        package = name.split(".")[0]
        if package in ("tensorflow", "jax", "torch"):
            # SavedModels and string operations are TensorFlow's: export, its check and text may use it inside functions
            assert here == "autodiff" or (here in ("serving", "testing", "text") and not at_top), f"{file.name} imports {name}"
        assert not name.startswith("keras.src"), f"{file.name} uses a private part of Keras: {name}"
    assert here == "autodiff" or "StatelessScope" not in file.read_text(), "scopes live in autodiff"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_bidirectional_layers_come_from_one_place(file):
    assert file.stem == "both_directions" or "layers.Bidirectional(" not in file.read_text(), "use zoo.layers.both_directions"


def test_index_and_files_agree():
    stems = {f.stem for f in (ROOT / "applications").glob("*.py")} - {"__init__"}
    assert stems == {entry.stem for entry in index.ENTRIES}
    text = (ROOT / "applications" / "__init__.py").read_text()
    for entry in index.ENTRIES:
        assert f"from zoo.applications.{entry.stem} import {entry.name} as {entry.name}\n" in text
    for key in ("row", "name", "stem"):
        assert len({getattr(entry, key) for entry in index.ENTRIES}) == len(index.ENTRIES)


@pytest.mark.parametrize("entry", index.ENTRIES, ids=lambda e: e.stem)
def test_every_method_has_recipe_test_and_page(entry):
    top = ROOT.parent
    for file in (
        f"applications/{entry.stem}/train.py",
        f"tests/applications/test_{entry.stem}.py",
        f"docs/methods/{entry.stem}.md",
    ):
        assert (top / file).exists(), f"{file} is missing"


def test_every_method_has_a_task_for_its_defaults():
    files = (ROOT.parent / "benchmarks" / "tasks").glob("[a-z]*.py")
    names = {node.name for file in files for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}
    assert {f"task_{entry.stem}" for entry in index.ENTRIES} <= names


PAGES = [*ROOT.parent.glob("*.md"), *(ROOT.parent / "docs").glob("*.md"), *(ROOT.parent / "docs" / "methods").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_examples_of_pages_are_python(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for name, _ in imports_of(ast.parse(block)):
            module = name.rpartition(".")[0] or name
            if module.split(".")[0] == "zoo":
                assert importlib.util.find_spec(".".join(module.split(".")[:2])), f"{page.name} imports {name}"


def test_pages_repeat_the_evidence():
    spec = importlib.util.spec_from_file_location("generate", ROOT.parent / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT.parent / "README.md").read_text() == generate.readme_with_table(), "run python docs/generate.py"
    for entry in index.ENTRIES:
        page = (ROOT.parent / "docs" / "methods" / f"{entry.stem}.md").read_text()
        assert "<!-- evidence -->" in page and page == generate.page_with_evidence(entry), f"{entry.stem}: run python docs/generate.py"


def test_import_is_light():
    code = "import time; t = time.perf_counter(); import zoo; s = time.perf_counter() - t; import sys; print(s, 'keras' in sys.modules)"
    seconds, keras = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert float(seconds) < 0.2 and keras == "False"


def test_list_answers_at_once():
    command, times = [sys.executable, "-m", "zoo.cli", "list", "--json"], []
    for _ in range(3):
        before = os.times()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = os.times()
        # processor time: other tests run beside this one
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) < 0.5, times
    records = json.loads(done.stdout)
    assert {r["name"] for r in records} == {e.name for e in index.ENTRIES}
    assert all(r["presets"] and r["evidence"] for r in records)
