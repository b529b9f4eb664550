"""Whatever happens to a preset: the right model, the old state, or a clear error."""

import contextlib
import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import zoo
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
    sign(folder)


def sign(folder):
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


CONFIG_FAULTS = {
    "not JSON": (b"{", "JSON"),
    "no text": (b"\xff\xfe\x00", "JSON"),
    "a list": (b"[]", "a list"),
    "a number": (b"1", "a int"),
    "not a number": (b'{"format": NaN}', "the number NaN"),
    "levels": (b"[" * 100_000, "too many levels"),
    "levels of config": (b'{"format": 1, "config": ' + b'{"a": ' * 900 + b"1" + b"}" * 901, "levels|'class'"),
    "format true": ({"format": True}, "format True"),
    "format 1.0": ({"format": 1.0}, "format 1.0"),
    "format 2": ({"format": 2}, "format 2"),
    "no class": ({"class": None}, "'class' of type str"),
    "class as list": ({"class": ["Toy"]}, "'class' of type str"),
    "config as list": ({"config": [1]}, "'config' of type dict"),
    "parameters as text": ({"parameters": "many"}, "'parameters' of type int"),
    "parameters true": ({"parameters": True}, "'parameters' of type int"),
    "other parameters": ({"parameters": 3}, "as many 'parameters'"),
    "variables as dict": ({"variables": {}}, "'variables' of type list"),
    "a variable as text": ({"variables": ["kernel"]}, r"\[name, shape\]"),
    "a negative shape": ({"variables": [["kernel", [-3, 6]]]}, r"\[name, shape\]"),
    "sizes as list": ({"sizes": [3]}, "file sizes"),
    "a size as text": ({"sizes": {"golden.npz": "3"}}, "file sizes"),
    "unknown argument": ({"config": {"colour": "red"}}, "Toy in config.json. Received: TypeError: .*colour"),
    "impossible argument": ({"config": {"units": "many"}}, "Toy in config.json"),
    "impossible layer": ({"config": {"units": {"class_name": "Dense", "config": [], "module": "keras.layers"}}}, "Toy in config.json"),
    "impossible dtype": ({"config": {"dtype": {"class_name": "DTypePolicy"}}}, "Toy in config.json"),
}


@pytest.mark.parametrize("content, text", CONFIG_FAULTS.values(), ids=CONFIG_FAULTS)
def test_faults_of_a_config_name_folder_and_fault(saved, toy, content, text):
    """Whatever is wrong: one `ValueError`, never a KeyError, an AttributeError or a RecursionError of what reads it."""
    if isinstance(content, dict):
        rewrite(saved[1], **content)
    else:
        (saved[1] / "config.json").write_bytes(content)
        sign(saved[1])
    with pytest.raises(ValueError, match=text) as error:
        toy.from_pretrained(saved[1])
    assert str(saved[1]) in str(error.value)


@pytest.mark.parametrize("key", ["format", "class", "config", "zoo", "keras", "parameters", "variables"])
def test_every_key_of_a_config_is_needed(saved, toy, key):
    record = json.loads((saved[1] / "config.json").read_text())
    del record[key]
    (saved[1] / "config.json").write_text(json.dumps(record))
    sign(saved[1])
    with pytest.raises(ValueError, match=f"format None|{key!r} of type"):
        toy.from_pretrained(saved[1])


def test_a_config_cannot_ask_for_more_memory_than_its_weights_have(saved, toy):
    """A billion classes are refused before a weight of that size is made, also if the config counts them."""
    record = json.loads((saved[1] / "config.json").read_text())
    large = {**record["config"], "num_classes": 10**10}
    rewrite(saved[1], config=large)
    for arguments in ({}, {"load_weights": False}, {"units": 6}):
        with pytest.raises(ValueError, match="config.json counts"):
            toy.from_pretrained(saved[1], **arguments)
    variables = [[name, [10**10 if n == 2 else n for n in shape]] for name, shape in record["variables"]]
    rewrite(saved[1], config=large, variables=variables, parameters=sum(int(np.prod(shape)) for _, shape in variables))
    with pytest.raises(ValueError, match="weights of .* bytes"):
        toy.from_pretrained(saved[1])
    add_weight = keras.Layer.add_weight
    assert add_weight.__qualname__ == "Layer.add_weight", "what counts the weights is gone again"


@pytest.mark.parametrize("kind", ["large", "external", "link", "other", "text"])
def test_weights_files_that_are_none(saved, toy, tmp_path, kind):
    file = saved[1] / "model.weights.h5"
    if kind == "text":
        file.write_text("weights")
    else:
        with h5py.File(file, "a") as content:
            if kind == "large":
                content.create_dataset("large", shape=(10**6, 10**6), chunks=(100, 100))
            elif kind == "external":
                (tmp_path / "secret").write_bytes(bytes(400))
                content.create_dataset("outside", shape=(100,), dtype="float32", external=str(tmp_path / "secret"))
            elif kind == "link":
                content["outside"] = h5py.ExternalLink("/etc/passwd", "x")
            else:
                del content["layers"]
    sign(saved[1])
    with pytest.raises(ValueError, match="must hold the weights of this Toy. Received: "):
        toy.from_pretrained(saved[1])


@pytest.mark.parametrize("content", [b"", b"PK", "bomb"])
def test_golden_files_that_are_none(saved, content):
    file = saved[1] / "golden.npz"
    if content == "bomb":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x/.npy", "w", force_zip64=True) as stream:
            np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (10**13,)})
    else:
        file.write_bytes(content)
    sign(saved[1])
    with pytest.raises(ValueError, match="golden.npz` must hold arrays"):
        presets.golden(saved[1])


def test_the_optimizer_is_not_stored_among_the_weights(toy, tmp_path):
    """Given to `compile` as an object or belonging to a model inside, it would triple a preset."""
    sizes = []
    for optimizer in ("auto", keras.optimizers.Adam()):
        model = toy(units=300)
        model.compile(optimizer=optimizer)
        model.fit(X, np.array([0, 1, 0, 1]), verbose=0)
        model.save_pretrained(tmp_path / "preset")
        sizes.append((tmp_path / "preset" / "model.weights.h5").stat().st_size)
        assert model.optimizer.iterations == 1 and model.get_compile_config()["optimizer"] != {}
    assert sizes[0] == sizes[1]
    classifier = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    classifier.compile(optimizer="adam", loss="mse")
    classifier.fit(np.zeros((2, 8, 8, 1)), np.zeros((2, 10)), verbose=0)
    zoo.applications.JSMA(classifier=classifier, from_logits=True).save_pretrained(tmp_path / "jsma")
    with h5py.File(tmp_path / "jsma" / "model.weights.h5") as content:
        names = []
        content.visit(names.append)
    assert not any("adam" in name or "optimizer" in name for name in names)
    assert classifier.optimizer.iterations == 1


SYSTEM_FILES = [".DS_Store", "Thumbs.db", "desktop.ini", "._model.weights.h5", "config.json~", ".config.json.swp", "#card.md#", "Icon\r"]


@pytest.mark.parametrize("name", SYSTEM_FILES)
def test_files_that_desktops_and_editors_leave_are_not_read(saved, toy, name):
    """A fifo, which nobody could read from, stands for them."""
    os.mkfifo(saved[1] / name)
    np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained(saved[1])))
    saved[0].save_pretrained(saved[1])
    assert not (saved[1] / name).exists()


def test_a_folder_of_system_files_is_empty(toy, tmp_path):
    (tmp_path / "preset").mkdir()
    (tmp_path / "preset" / ".DS_Store").touch()
    toy().save_pretrained(tmp_path / "preset")
    assert (tmp_path / "preset" / "config.json").exists()


@pytest.mark.parametrize("name", [*presets.REQUIRED, "SHA256SUMS"])
def test_links_out_of_the_folder_are_refused(saved, toy, tmp_path, name):
    file = saved[1] / name
    os.rename(file, tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="a link to .*elsewhere"):
        toy.from_pretrained(saved[1])


def test_links_to_the_folder_are_followed(saved, toy, tmp_path):
    (tmp_path / "link").symlink_to(saved[1])
    np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained(tmp_path / "link")))


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

    cut, ranges, status, endless, portal = None, [], 200, "", False

    def do_GET(self):
        if type(self).status != 200:
            return self.send_error(type(self).status)
        if type(self).portal:
            return self._send_portal()
        if type(self).endless and self.path.endswith(type(self).endless):
            return self._send_forever()
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

    def _send_portal(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Log in to this network</html>")

    def _send_forever(self):
        """What has no end: no Content-Length, and bytes for as long as somebody reads."""
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(bytes(1 << 16))

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serve(folder):
    """The address of the folder `preset` in `folder`."""
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{web.server_port}/preset"
    web.shutdown()


@pytest.fixture
def server(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    with serve(saved[1].parent) as url:
        yield url


@pytest.fixture(autouse=True)
def handler(monkeypatch):
    """Every test has a server without faults."""
    for name, value in (("cut", None), ("ranges", []), ("status", 200), ("endless", ""), ("portal", False)):
        monkeypatch.setattr(Handler, name, value)


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


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_the_cached_copy_serves_while_the_server_has_a_fault(saved, toy, server, status):
    toy.from_pretrained(server)
    Handler.status = status
    with pytest.warns(UserWarning, match=rf"HTTP {status} for SHA256SUMS\); using the cached copy"):
        np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained(server)))


@pytest.mark.parametrize("status", [500, 404, 403])
def test_faults_without_a_cached_copy(toy, server, status):
    Handler.status = status
    with pytest.raises(ValueError, match=f"HTTP {status}"):
        toy.from_pretrained(server)


def test_the_cached_copy_serves_behind_a_login_page(saved, toy, server):
    toy.from_pretrained(server)
    Handler.portal = True
    with pytest.warns(UserWarning, match="Log in.*using the cached copy"):
        np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained(server)))


def test_an_update_that_fails_leaves_the_cached_copy_whole(saved, toy, server):
    """Of a new version no file takes its place before all of them have come."""
    toy.from_pretrained(server)
    toy(units=9).save_pretrained(saved[1])
    Handler.cut = 1000
    with pytest.warns(UserWarning, match="must be complete .* using the cached copy"):
        np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained(server)))
    Handler.cut = None
    assert toy.from_pretrained(server).units == 9 and Handler.ranges == [1000]


def test_nothing_cached_and_no_network(toy, server, monkeypatch):
    monkeypatch.setattr(presets, "_get", lambda url: (_ for _ in ()).throw(OSError("no route")))
    with pytest.raises(OSError, match=rf"{server} cannot be had.*KERAS_HOME.*no route"):
        toy.from_pretrained(server)


@pytest.mark.parametrize("name", ["SHA256SUMS", "config.json", "model.weights.h5", "golden.npz"])
@pytest.mark.parametrize("sizes", [True, False])
def test_an_endless_download_ends(saved, toy, server, monkeypatch, name, sizes):
    """By the sizes that config.json says, else by bounds: old presets say none."""
    if not sizes:
        rewrite(saved[1], sizes={})
    monkeypatch.setitem(presets.LIMITS, "golden.npz", 1 << 20)
    monkeypatch.setitem(presets.LIMITS, "config.json", 1 << 20)
    Handler.endless = name
    with pytest.raises(ValueError, match=f"{name}` must have at most"):
        toy.from_pretrained(server)
    assert sum(file.stat().st_size for file in files.cache_folder().rglob("*")) < 5 << 20


def test_presets_of_earlier_versions_say_no_sizes(saved, toy, server):
    record = json.loads((saved[1] / "config.json").read_text())
    assert record.pop("sizes") == {n: (saved[1] / n).stat().st_size for n in ("model.weights.h5", "golden.npz")}
    (saved[1] / "config.json").write_text(json.dumps(record))
    sign(saved[1])
    np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained(server)))


@pytest.fixture
def read_only(saved, toy, monkeypatch):
    """Makes a Keras home read-only, also for root; gives the address of a preset that is cached there, and the folder at the address."""
    with tempfile.TemporaryDirectory() as folder:
        home, preset = Path(folder) / "home", Path(folder) / "web" / "preset"
        shutil.copytree(saved[1], preset)
        monkeypatch.setenv("KERAS_HOME", str(home))
        with serve(preset.parent) as url:
            toy.from_pretrained(url)
            (files.cache_folder() / f"{next(files.cache_folder().glob('*/')).name}.lock").unlink(missing_ok=True)

            @contextlib.contextmanager
            def guard():
                for path in [Path(folder), *Path(folder).rglob("*")]:
                    path.chmod(0o555 if path.is_dir() else 0o444)
                user = os.geteuid()
                if user == 0:
                    os.seteuid(65534)
                try:
                    yield
                finally:
                    os.seteuid(user)
                    for path in [Path(folder), *Path(folder).rglob("*")]:
                        path.chmod(0o755)

            yield url, preset, home, guard


def test_a_read_only_cache_serves(saved, toy, read_only, recwarn):
    """As it is where it is current; with a warning where the address has something else, or cannot be reached."""
    url, preset, home, guard = read_only
    with guard(), pytest.raises(PermissionError):
        (home / "new").touch()
    with guard():
        np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained(url)))
        assert not [w for w in recwarn if "cached copy" in str(w.message)]
        Handler.status = 503
        with pytest.warns(UserWarning, match="cannot be written; using the cached copy"):
            np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained(url)))
        Handler.status = 200
    toy(units=9).save_pretrained(preset)
    with guard(), pytest.warns(UserWarning, match="cannot be written; using the cached copy"):
        np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained(url)))


def test_a_read_only_cache_without_the_preset(toy, read_only):
    url, _, home, guard = read_only
    shutil.rmtree(next(files.cache_folder().glob("*/")))
    with guard(), pytest.raises(OSError, match="nothing is cached in .*KERAS_HOME.*Permission denied"):
        toy.from_pretrained(url)


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
    snapshot = repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    # as the hub lays files out: links to blobs, which are named by their digests
    for number, file in enumerate(saved[1].iterdir()):
        os.rename(file, repository / "blobs" / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    import huggingface_hub

    original = huggingface_hub.snapshot_download
    offline = functools.partial(original, cache_dir=tmp_path / "hub", local_files_only=True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained("hf://someone/preset")))
    np.testing.assert_array_equal(outputs(saved[0]), outputs(toy.from_pretrained(snapshot)))
    os.rename((snapshot / "golden.npz").resolve(), tmp_path / "elsewhere")
    (snapshot / "golden.npz").unlink()
    (snapshot / "golden.npz").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="a link to .*elsewhere"):
        toy.from_pretrained("hf://someone/preset")


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
