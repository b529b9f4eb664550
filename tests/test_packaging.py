"""The wheel carries library, presets and data, and works far from the clone."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import zoo
from zoo import presets

ROOT = Path(zoo.__file__).parent.parent


def test_wheel_finds_the_presets(tmp_path):
    source = tmp_path / "source"
    tracked = ["setup.py", "pyproject.toml", "README.md", "LICENSE", "zoo", "saved_models"]
    source.mkdir()
    for name in tracked:
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "import json, zoo; from zoo import presets; print(json.dumps([zoo.__file__, sorted(presets.shipped())]))"
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    file, names = json.loads(done.stdout)
    assert file.startswith(str(tmp_path)) and names == sorted(presets.shipped())
    for name in names:
        presets.verify(tmp_path / "site" / "zoo" / "saved_models" / name)
