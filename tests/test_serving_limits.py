"""What a client may cost the server: time, connections, memory; and requests that could be read in two ways."""

import contextlib
import gzip
import json
import socket
import threading
import time

import numpy as np
import pytest
import requests
import served
from served import ask

from zoo import serving
from zoo.serving.limits import Budget, Deadline, Gate, RequestError

RNG = np.random.default_rng(0)
PREDICT = b"POST /v1/models/odd:predict HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    served.save_oddities(folder / "odd")
    return folder / "odd"


@pytest.fixture(scope="module")
def server(folder):
    with serving.Server(folder, port=0, max_body_mb=1, timeout_s=5) as server:
        yield server


def exchange(server, data, timeout=20):
    """All that the server says to `data` until it closes the connection."""
    with socket.create_connection((server.host, server.port)) as wire:
        wire.settimeout(timeout)
        wire.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := wire.recv(1 << 16):
                answer += part
        return answer


def post(body, headers=b""):
    return PREDICT + headers + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


# --- time ---


def test_headers_that_drip(folder):
    """Many connections that send a header now and then are all dropped at the deadline, and do not disturb others."""
    with serving.Server(folder, port=0, timeout_s=1.5) as server:
        wires = [socket.create_connection((server.host, server.port)) for _ in range(100)]
        started, still_open = time.monotonic(), set(wires)
        for wire in wires:
            wire.settimeout(10)
            wire.sendall(b"POST /v1/models/odd:predict HTTP/1.1\r\n")
        while still_open and time.monotonic() < started + 10:
            assert ask(requests, server, {"instances": [[1]]})[0] == 200
            for wire in list(still_open):
                try:
                    wire.sendall(b"X: 1\r\n")
                except OSError:
                    still_open.discard(wire)
            time.sleep(0.2)
        elapsed = time.monotonic() - started
        for wire in wires:
            wire.close()
        assert not still_open and 1 < elapsed < 9, elapsed


def test_body_that_drips(folder):
    with serving.Server(folder, port=0, timeout_s=1) as server:
        with socket.create_connection((server.host, server.port)) as wire:
            wire.settimeout(10)
            wire.sendall(PREDICT + b"Content-Length: 100000\r\n\r\n")
            started = time.monotonic()
            with contextlib.suppress(OSError):
                while time.monotonic() < started + 8:
                    wire.sendall(b"[")
                    time.sleep(0.1)
            assert time.monotonic() - started < 7
            assert b" 408 " in wire.recv(1000)


def test_client_that_does_not_read(folder):
    """An answer that nobody takes is given up at the deadline."""
    body = json.dumps({"signature_name": "grow", "inputs": [[0.1] * 3000]}).encode()
    with serving.Server(folder, port=0, timeout_s=1.5) as server:
        with socket.socket() as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.connect((server.host, server.port))
            wire.sendall(post(body))
            time.sleep(0.5)
            assert server._active == 1
            waited = time.monotonic() + 8
            while server._active and time.monotonic() < waited:
                time.sleep(0.1)
            assert server._active == 0 and server.budget.taken == 0


def test_slow_model_and_parsing_share_the_deadline(folder):
    """What reading took is no longer there for the model."""
    body = json.dumps({"instances": [[1]]}).encode()
    with serving.Server(folder, port=0, timeout_s=2) as server:
        batcher = server.batchers["odd"]
        run = batcher.run
        batcher.run = lambda arrays, name: time.sleep(1.5) or run(arrays, name)
        assert ask(requests, server, {"instances": [[1]]})[0] == 200
        with socket.create_connection((server.host, server.port)) as wire:
            wire.settimeout(10)
            started = time.monotonic()
            wire.sendall(PREDICT + b"Content-Length: %d\r\n\r\n" % len(body))
            time.sleep(1.2)
            wire.sendall(body)
            assert b" 504 " in wire.recv(1000)
            assert time.monotonic() - started < 4


def test_large_bodies_are_fast_and_others_are_answered(folder):
    """Four million numbers in and out; meanwhile the status comes within moments. It took a minute once, with 14 s for the status."""
    body = b'{"instances": [%s]}' % b",".join([b"[%s]" % b", ".join([b"0.25"] * 1000)] * 4000)
    assert len(body) > 23e6
    with serving.Server(folder, port=0, timeout_s=30) as server, requests.Session() as session:
        url, slowest, done = f"{server.url}/v1/models/odd", 0.0, threading.Event()

        def watch():
            nonlocal slowest
            while not done.is_set():
                started = time.monotonic()
                assert session.get(url).status_code == 200
                slowest = max(slowest, time.monotonic() - started)
                time.sleep(0.01)

        watcher = threading.Thread(target=watch)
        watcher.start()
        started = time.monotonic()
        reply = requests.post(f"{url}:predict", data=body)
        elapsed = time.monotonic() - started
        done.set()
        watcher.join()
        assert reply.status_code == 200 and reply.content.count(b"0.5") == 4_000_000
        assert elapsed < 15 and slowest < 4, (elapsed, slowest)
        # in rows of objects too
        objects = (
            body.replace(b"[[", b'[{"x": [', 1).replace(b"], [", b']}, {"x": [').replace(b"],[", b']}, {"x": [').replace(b"]]}", b"]}]}")
        )
        reply = requests.post(f"{url}:predict", data=objects)
        assert reply.status_code == 200 and reply.content.count(b"0.5") == 4_000_000


def test_an_idle_connection_is_closed_and_a_busy_one_kept(folder):
    with serving.Server(folder, port=0, timeout_s=1) as server, socket.create_connection((server.host, server.port)) as wire:
        wire.settimeout(10)
        for _ in range(4):
            time.sleep(0.6)
            wire.sendall(b"GET /v1/models/odd HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in wire.recv(10_000)
        started = time.monotonic()
        assert wire.recv(10) == b"" and time.monotonic() - started < 5


# --- connections and memory ---


def test_connections_are_bounded(folder):
    with serving.Server(folder, port=0, max_connections=3, timeout_s=20) as server:
        held = [socket.create_connection((server.host, server.port)) for _ in range(3)]
        time.sleep(0.5)
        answer = exchange(server, b"")
        assert answer.startswith(b"HTTP/1.1 503 ") and b'{"error":"The server has 3 connections' in answer
        held.pop().close()
        time.sleep(0.5)
        assert ask(requests, server, {"instances": [[1]]})[0] == 200
        for wire in held:
            wire.close()


def test_bodies_under_way_are_bounded(folder):
    """Bodies count while they arrive, not before; what is over is refused at once, and room comes back."""
    with serving.Server(folder, port=0, max_body_mb=1, max_pending_mb=1, timeout_s=20) as server:
        with socket.create_connection((server.host, server.port)) as wire:
            wire.sendall(PREDICT + b"Content-Length: 1000000\r\n\r\n" + b" " * 900_000)
            time.sleep(0.5)
            assert 800_000 < server.budget.taken <= 1_000_000
            assert ask(requests, server, {"instances": [[1]]})[0] == 200
            reply = requests.post(f"{server.url}/v1/models/odd:predict", data=b" " * 300_000)
            assert reply.status_code == 503 and "memory" in reply.json()["error"]
        time.sleep(0.5)
        assert server.budget.taken == 0
        assert requests.post(f"{server.url}/v1/models/odd:predict", data=b" " * 300_000).status_code == 400


def test_numbers_are_bounded(folder):
    with serving.Server(folder, port=0, max_numbers=1000) as server:
        for rows in ([[0] * 2000], [[]] * 2000, [[[[0]]]] * 400):
            status, reply = ask(requests, server, {"instances": rows})
            assert status == 413 and "1000 numbers" in reply["error"]
        assert ask(requests, server, {"instances": [[0.5] * 900]})[0] == 200
        status, reply = ask(requests, server, {"signature_name": "grow", "instances": [[0, 1]]})
        assert status == 413 and reply["error"] == "The answer must hold at most 1000 numbers, it would be 2000"


def test_budget_and_gate():
    budget = Budget(10)
    with budget.share() as mine, budget.share() as yours:
        mine(6)
        yours(4)
        with pytest.raises(RequestError):
            mine(1)
    assert budget.taken == 0
    gate = Gate(5)
    with gate.passing(6, Deadline(1)), gate.passing(4, Deadline(1)), pytest.raises(TimeoutError):
        with gate.passing(5, Deadline(0.05)):
            pass
    with gate.passing(6, Deadline(1)):
        pass


def test_bad_limits(folder):
    for name in ("max_connections", "max_numbers", "max_pending_mb", "timeout_s", "max_body_mb"):
        for value in (0, -1, float("nan"), float("inf")):
            with pytest.raises(ValueError, match=f"`{name}`.*Received"):
                serving.Server(folder, port=0, **{name: value})


# --- requests that could be read in two ways ---


GOOD = b'{"instances": [[1]]}'


@pytest.mark.parametrize(
    "request_, status",
    [
        (post(GOOD, b"Content-Length: 20\r\n"), 200),
        (post(GOOD, b"Content-Length: 5\r\n"), 400),
        (PREDICT + b"Content-Length: 20, 5\r\n\r\n" + GOOD, 400),
        (PREDICT + b"Content-Length: +20\r\n\r\n" + GOOD, 400),
        (PREDICT + b"Content-Length: twenty\r\n\r\n" + GOOD, 400),
        (PREDICT + b"Content-Length: 20\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + GOOD + b"\r\n0\r\n\r\n", 400),
        (PREDICT + b"Transfer-Encoding: gzip, chunked\r\n\r\n14\r\n" + GOOD + b"\r\n0\r\n\r\n", 501),
        (PREDICT + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n14;a=b\r\n" + GOOD + b"\r\n0\r\n\r\n", 200),
        (PREDICT + b"Transfer-Encoding: chunked\r\n\r\n0x14\r\n" + GOOD + b"\r\n0\r\n\r\n", 400),
        (PREDICT + b"Transfer-Encoding: chunked\r\n\r\n+14\r\n" + GOOD + b"\r\n0\r\n\r\n", 400),
        (PREDICT + b"Transfer-Encoding: chunked\r\n\r\n13\r\n" + GOOD + b"\r\n0\r\n\r\n", 400),
        (PREDICT + b"Content-Length : 20\r\n\r\n" + GOOD, 400),
        (PREDICT + b"Connection: close\r\n\r\n", 411),
    ],
)
def test_framing(server, request_, status):
    answer = exchange(server, request_)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    # one answer: what follows a doubtful request is not taken for the next one
    assert answer.count(b"HTTP/1.1 ") == 1


def test_gzip_bodies_must_be_whole(server):
    whole = gzip.compress(GOOD)
    for body, status in ((whole, 200), (whole[:-1], 400), (whole[:-8], 400), (whole[:12], 400), (whole + b"x", 400), (b"", 400)):
        reply = requests.post(f"{server.url}/v1/models/odd:predict", data=body, headers={"Content-Encoding": "gzip"})
        assert reply.status_code == status and ("error" in reply.json()) == (status != 200)


def test_continue_is_sent_at_once(server):
    with socket.create_connection((server.host, server.port)) as wire:
        wire.settimeout(5)
        wire.sendall(PREDICT + b"Content-Length: 20\r\nExpect: 100-continue\r\n\r\n")
        assert wire.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(GOOD)
        assert b" 200 " in wire.recv(1000)


def test_pipelined_requests(server):
    answer = exchange(server, b"GET /v1/models/odd HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + post(GOOD))
    assert answer.count(b"HTTP/1.1 200 ") == 4 and answer.endswith(b'{"predictions":[[2.0]]}')


@pytest.mark.parametrize("version", ["9" * 19, "9" * 5000, "-1", "+7", "7.0", "٧"])
def test_versions_that_are_none(server, version):
    for method, path in (("GET", ""), ("GET", "/metadata"), ("POST", ":predict")):
        url = f"{server.url}/v1/models/odd/versions/{version}{path}"
        reply = requests.request(method, url, data=GOOD if method == "POST" else None)
        assert reply.status_code in (400, 404) and "error" in reply.json()


def test_labels_are_refused_everywhere(server):
    for method, path in (("GET", ""), ("GET", "/metadata"), ("POST", ":predict")):
        reply = requests.request(method, f"{server.url}/v1/models/odd/labels/stable{path}", data=GOOD if method == "POST" else None)
        assert reply.status_code == 400 and reply.json() == {"error": "Unrecognized servable version label: stable"}
