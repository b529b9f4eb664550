"""Whatever happens to a preset: the right model, the old state, or a clear error."""

import functools
import http.server
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from zoo import files, presets

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


def outputs(model):
    return keras.ops.convert_to_numpy(model(X))


@pytest.fixture
def saved(toy, tmp_path):
    keras.utils.set_random_seed(1)
    model = toy(units=6)
    model.save_pretrained(tmp_path / "preset")
    return model, tmp_path / "preset"


def rewrite(folder, **changes):
    """Change config.json and its checksum, as somebody with bad intentions would."""
    record = {**json.loads((folder / "config.json").read_text()), **changes}
    (folder / "config.json").write_text(json.dumps(record))
    lines = [f"{files.digest(folder / n)}  {n}\n" for n in sorted(presets.REQUIRED)]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_round_trip_and_training_goes_on(saved, toy):
    model, folder = saved
    loaded = toy.from_pretrained(folder)
    np.testing.assert_array_equal(outputs(model), outputs(loaded))
    loaded.fit(X, np.array([0, 1, 0, 1]), verbose=0)
    loaded.save_pretrained(folder)
    np.testing.assert_array_equal(outputs(loaded), outputs(toy.from_pretrained(folder)))
    assert [p.name for p in folder.parent.iterdir()] == ["preset"]


@pytest.mark.parametrize("name", [*presets.REQUIRED, "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_damage_is_refused(saved, toy, name, damage):
    file = saved[1] / name
    content = bytearray(file.read_bytes())
    if damage == "delete":
        file.unlink()
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    with pytest.raises(ValueError, match="must"):
        toy.from_pretrained(saved[1])


def test_pickle_and_other_unlisted_files_are_refused(saved, toy):
    (saved[1] / "model.pkl").write_bytes(b"")
    with pytest.raises(ValueError, match="unlisted file 'model.pkl'"):
        toy.from_pretrained(saved[1])
    (saved[1] / "model.pkl").unlink()
    with open(saved[1] / "SHA256SUMS", "a") as sums:
        sums.write(f"{'0' * 64}  ../model.pkl\n")
    with pytest.raises(ValueError, match="must list files of a preset"):
        toy.from_pretrained(saved[1])


def test_class_outside_the_index(saved, toy):
    rewrite(saved[1], **{"class": "Sequential"})
    with pytest.raises(ValueError, match="index. Received: 'Sequential'"):
        toy.from_pretrained(saved[1])


@pytest.mark.parametrize(
    "value",
    [
        {"module": "os", "class_name": "system", "config": "true", "registered_name": None},
        {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"},
        {"module": "keras.layers", "class_name": "Lambda", "config": {}, "registered_name": None},
        {"module": "keras.layers", "class_name": "TextVectorization", "config": {"vocabulary": "/etc/passwd"}, "registered_name": None},
        {"class_name": "__lambda__", "config": {"value": "x"}},
        [{"module": "subprocess", "class_name": "Popen", "config": {}, "registered_name": "zoo>Popen"}],
    ],
)
def test_code_in_a_config_is_refused(saved, toy, value):
    rewrite(saved[1], config={"units": value})
    with pytest.raises(ValueError, match="must hold only Keras's own layers"):
        toy.from_pretrained(saved[1])


def test_weights_of_another_layout(saved, toy):
    config = json.loads((saved[1] / "config.json").read_text())["config"]
    rewrite(saved[1], config={**config, "units": 7})
    with pytest.raises(ValueError, match="must hold the weights of this Toy"):
        toy.from_pretrained(saved[1])


def test_overrides_keep_what_fits_and_warn(saved, toy):
    model, folder = saved
    with pytest.warns(UserWarning, match=r"head/kernel \(6, 3\)"):
        changed = toy.from_pretrained(folder, num_classes=3)
    np.testing.assert_array_equal(model.network.layers[1].kernel, changed.network.layers[1].kernel)
    assert not np.array_equal(outputs(model), outputs(toy.from_pretrained(folder, load_weights=False)))
    with pytest.raises(ValueError, match="colour"):
        toy.from_pretrained(folder, colour="red")


def test_half_precision(toy, tmp_path):
    model = toy(units=200)
    model.save_pretrained(tmp_path / "full")
    model.save_pretrained(tmp_path / "half", half_precision=True)
    full, half = toy.from_pretrained(tmp_path / "full"), toy.from_pretrained(tmp_path / "half")
    np.testing.assert_allclose(outputs(full), outputs(half), atol=1e-3)
    x, golden = presets.golden(tmp_path / "half")
    np.testing.assert_allclose(golden[0], half(x), atol=1e-6)


def test_other_folders_are_not_replaced(toy, tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(ValueError, match="something else"):
        toy().save_pretrained(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_unknown_names(toy):
    with pytest.raises(ValueError, match="no_such_preset"):
        toy.from_pretrained("no_such_preset")
    with pytest.raises(ValueError, match="existing folder"):
        toy.from_pretrained("./no/such/folder")


@pytest.mark.parametrize("moment", ["_write_files", "rename", "after"])
def test_kill_in_the_middle_of_a_save(saved, toy, moment):
    """A process killed at the worst moments leaves the old preset or the new one, and the next save cleans up."""
    model, folder = saved
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import toy; toy.register()
        from zoo import presets
        die = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
        rename, count = os.rename, []
        def second_rename(a, b):
            count.append(a)
            die() if len(count) == 2 else rename(a, b)
        if {moment!r} == "_write_files": presets._sync = die
        if {moment!r} == "rename": presets.os.rename = second_rename
        if {moment!r} == "after": presets._swap = lambda new, path, swap=presets._swap: (swap(new, path), die())
        toy.Toy(units=9).save_pretrained({str(folder)!r})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    loaded = toy.from_pretrained(folder)
    assert loaded.units == (9 if moment == "after" else 6)
    if moment != "after":
        np.testing.assert_array_equal(outputs(model), outputs(loaded))
    model.save_pretrained(folder)
    assert [p.name for p in folder.parent.iterdir()] == ["preset"]


class Handler(http.server.SimpleHTTPRequestHandler):
    """A file server that honours Range and can cut a download short."""

    cut, ranges = None, []

    def do_GET(self):
        content = Path(self.translate_path(self.path)).read_bytes() if Path(self.translate_path(self.path)).is_file() else None
        if content is None:
            return self.send_error(404)
        start = int(self.headers.get("Range", "bytes=0-")[6:].rstrip("-"))
        type(self).ranges += [start] if start else []
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = type(self).cut if type(self).cut and self.path.endswith(".h5") else None
        self.wfile.write(content[start:stop])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Handler, "cut", None)
    monkeypatch.setattr(Handler, "ranges", [])
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=saved[1].parent))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{web.server_port}/preset"
    web.shutdown()


def test_web_truncated_then_resumed_then_cached(saved, toy, server):
    Handler.cut = 1000
    with pytest.raises(ValueError, match="try again to resume"):
        toy.from_pretrained(server)
    Handler.cut = None
    loaded = toy.from_pretrained(server)
    assert Handler.ranges == [1000]
    np.testing.assert_array_equal(outputs(saved[0]), outputs(loaded))


def test_web_cache_serves_without_network(saved, toy, server):
    toy.from_pretrained(server)
    for file in saved[1].iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="HTTP 404"):
        toy.from_pretrained(server)


def test_web_altered_file(saved, toy, server):
    file = saved[1] / "model.weights.h5"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="truncated or altered"):
        toy.from_pretrained(server)


def test_plain_http_is_refused(toy):
    with pytest.raises(ValueError, match="https://"):
        toy.from_pretrained("http://example.org/preset")


def test_unreachable_host_falls_back_to_the_cache(saved, toy, server, monkeypatch):
    toy.from_pretrained(server)

    def unreachable(url):
        raise OSError("no route")

    monkeypatch.setattr(presets, "_get", unreachable)
    with pytest.warns(UserWarning, match="cached copy"):
        np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained(server)))


def test_huggingface_cache(saved, toy, tmp_path, monkeypatch):
    """A snapshot in the hub's local cache loads offline."""
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    revision = "0" * 40
    repository = tmp_path / "hub" / "models--someone--preset"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    (repository / "snapshots").mkdir()
    os.rename(saved[1], repository / "snapshots" / revision)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    import huggingface_hub

    original = huggingface_hub.snapshot_download
    offline = functools.partial(original, cache_dir=tmp_path / "hub", local_files_only=True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained("hf://someone/preset")))


def test_kaggle_cache(saved, toy, tmp_path, monkeypatch):
    """A version in kagglehub's local cache loads without network."""
    pytest.importorskip("kagglehub")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
    folder = tmp_path / "kaggle" / "models" / "someone" / "preset" / "keras" / "small" / "1"
    folder.parent.mkdir(parents=True)
    os.rename(saved[1], folder)
    (folder.parent / "1.complete").touch()
    loaded = toy.from_pretrained("kaggle://someone/preset/keras/small/1")
    np.testing.assert_array_equal(outputs(saved[0]), outputs(loaded))


def test_two_processes_download_at_once(saved, server, tmp_path):
    script = f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        import toy; toy.register()
        print(toy.Toy.from_pretrained({server!r}).units)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    environment = {**os.environ, "KERAS_HOME": str(tmp_path / "home")}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) for _ in range(2)]
    deadline = time.time() + 120
    assert [p.communicate(timeout=deadline - time.time())[0].strip() for p in running] == ["6", "6"]
