"""Downloads from a server on the loopback that behaves well and badly, and without network."""

import functools
import http.server
import io
import threading
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from repin import repin

from zoo import datasets, files
from zoo.datasets import records

CONTENT = bytes(range(256)) * 1200


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `CONTENT` at /whole, with ranges; the other addresses are faulty."""

    def do_GET(self):  # noqa: N802, as the base class calls it
        self.server.asked.append((self.path, self.headers.get("Range")))
        content, start = self.server.files.get(self.path, CONTENT), 0
        if self.path == "/500":
            return self.send_error(500)
        if (range_ := self.headers.get("Range")) and self.path != "/no_ranges":
            start = int(range_.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if self.path != "/endless":
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        try:
            if self.path == "/endless":
                while True:
                    self.wfile.write(content)
            # a cut connection: the second half comes when asked for
            self.wfile.write(content[start : len(content) // 2 if self.path == "/cut" and not start else None])
        except ConnectionError:
            pass

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ZOO_DATA", raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.files = [], {}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    """Fetch one file from an address of the server."""
    (tmp_path / "content").write_bytes(CONTENT)
    sum_ = files.digest(tmp_path / "content")

    def fetch(path, **changes):
        url = f"http://127.0.0.1:{server.server_port}/{path}"
        file = replace(files.File("set/a.bin", len(CONTENT), sum_, url), **changes)
        return files.fetch(file, files.Dataset("small", "a small set", "free", "its author 2026", url, (file,)))

    fetch.part = tmp_path / "home" / "zoo" / "data" / "set" / ".a.bin.part"
    return fetch


def test_a_good_download_is_kept(fetch, server, capsys):
    path = fetch("whole")
    assert path.read_bytes() == CONTENT and path == fetch.part.with_name("a.bin")
    assert fetch("whole") == path and server.asked == [("/whole", None)]
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]
    assert capsys.readouterr().out == "", "progress goes to the error stream"


def test_one_of_several_downloads(fetch, server):
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(fetch, ["whole"] * 4))
    assert len(paths) == 1 and paths.pop().read_bytes() == CONTENT and len(server.asked) == 1


def test_a_wrong_checksum_leaves_nothing(fetch):
    with pytest.raises(ValueError, match="must have SHA-256 000000000000"):
        fetch("whole", sha256="0" * 64)
    assert not list(fetch.part.parent.iterdir())


@pytest.mark.parametrize("path", ["endless", "whole"])
def test_a_body_that_is_too_long_is_stopped(fetch, path):
    with pytest.raises(ValueError, match="at most 1000 bytes"):
        fetch(path, bytes=1000)
    assert not list(fetch.part.parent.iterdir())


def test_an_error_of_the_server(fetch):
    with pytest.raises(files.DataUnavailable, match="HTTP Error 500"):
        fetch("500")


def test_a_cut_connection_is_continued(fetch, server):
    with pytest.raises(files.DataUnavailable, match=f"after {len(CONTENT) // 2} of {len(CONTENT)} bytes|IncompleteRead"):
        fetch("cut")
    assert fetch.part.read_bytes() == CONTENT[: len(CONTENT) // 2]
    assert fetch("cut").read_bytes() == CONTENT and server.asked[-1] == ("/cut", f"bytes={len(CONTENT) // 2}-")


def test_a_server_without_ranges_sends_all_again(fetch):
    fetch.part.parent.mkdir(parents=True)
    fetch.part.write_bytes(CONTENT[:100])
    assert fetch("no_ranges").read_bytes() == CONTENT


@pytest.mark.parametrize("rest", [b"x" * len(CONTENT), b"x" * (len(CONTENT) + 1), b"x" * 100])
def test_a_part_of_something_else(fetch, rest):
    """One that is long enough begins anew; one that is not is found by the checksum, and the next try begins anew."""
    fetch.part.parent.mkdir(parents=True)
    fetch.part.write_bytes(rest)
    if len(rest) < len(CONTENT):
        with pytest.raises(ValueError, match="SHA-256"):
            fetch("whole")
    assert fetch("whole").read_bytes() == CONTENT


def test_a_part_longer_than_what_the_server_has(fetch, server):
    server.files["/short"] = CONTENT[:50]
    fetch.part.parent.mkdir(parents=True)
    fetch.part.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match=r"another content \(50 bytes\)"):
        fetch("short")
    assert server.asked == [("/short", "bytes=100-"), ("/short", None)]


def test_a_cache_that_is_only_read(fetch, monkeypatch):
    path = fetch("whole")

    def refuse(*args, **kwargs):
        raise PermissionError("read only")

    monkeypatch.setattr(files, "_download_all", refuse)
    monkeypatch.setattr(type(path), "mkdir", refuse)
    assert fetch("whole") == path
    path.unlink()
    monkeypatch.undo()


def test_a_cache_that_cannot_be_written(fetch, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(files.DataUnavailable, match="file"):
        fetch("whole")


def test_a_damaged_cache_is_told(fetch):
    path = fetch("whole")
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="delete it and try again"):
        fetch("whole")


def test_the_folder_comes_first_and_is_checked(fetch, tmp_path, monkeypatch, server):
    own = tmp_path / "own" / "set" / "a.bin"
    own.parent.mkdir(parents=True)
    own.write_bytes(CONTENT)
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "own"))
    assert fetch("whole") == own and not server.asked
    own.write_bytes(b"1,3")
    with pytest.raises(ValueError, match="SHA-256"):
        fetch("whole")
    assert files.local("set/none") is None
    monkeypatch.setenv("ZOO_DATA", "")
    assert files.local("set") is None


def test_a_loader_downloads_what_it_needs(server, tmp_path, monkeypatch):
    """MNIST from the server, in the form of the original file."""
    arrays = {f"{kind}_{part}": np.zeros((2, 28, 28) if kind == "x" else 2, "uint8") for kind in "xy" for part in ("train", "test")}
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    web = tmp_path / "web" / "mnist"
    web.mkdir(parents=True)
    (web / "mnist.npz").write_bytes(stream.getvalue())
    server.files["/mnist/mnist.npz"] = stream.getvalue()
    repin(monkeypatch, "mnist", web.parent, f"http://127.0.0.1:{server.server_port}")
    assert datasets.mnist()[0][0].shape == (2, 28, 28, 1)
    datasets.mnist()
    assert server.asked == [("/mnist/mnist.npz", None)]


LOADERS = {
    "mnist": datasets.mnist,
    "cifar10": datasets.cifar10,
    "imdb_reviews": datasets.imdb_reviews,
    "multi30k": datasets.multi30k,
    "babi": functools.partial(datasets.babi.read, 1),
    "bsds": datasets.bsds,
    "camvid": datasets.camvid,
    "isbi_em": datasets.isbi_em,
    "orl_faces": datasets.orl_faces,
    "english_web_treebank": datasets.english_web_treebank,
    "physionet2012": datasets.physionet2012,
    "emoji": datasets.emoji,
}


def test_every_download_has_a_loader():
    assert set(LOADERS) == {name for name, record in records.records().items() if record.files[0].url}


@pytest.mark.parametrize("name", LOADERS)
def test_without_network_the_error_says_all(name, tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "own"))
    with pytest.raises(files.DataUnavailable) as caught:
        LOADERS[name]()
    record, message = datasets.info(name), str(caught.value)
    for part in (f'"{name}"', record.title, record.size, record.url, record.terms, record.citation, "ZOO_DATA"):
        assert part in message, part
    assert any(f"`{file.name}`" in message for file in record.files)
    assert "no network" in message and str(tmp_path / "own") in message
    for copy in record.copies:
        assert copy.name in message
    assert not list((tmp_path / "home").rglob("*.part"))
