"""Export, reload, and the server, asked as TensorFlow Serving's documentation says."""

import base64
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
import served
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import ask

from zoo import serving
from zoo.serving import protocol
from zoo.serving.batching import Batcher, ClosedError
from zoo.serving.saved_model import Signature, TensorSpec

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return served.save_both(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(folder):
    with serving.Server(folder[0], port=0, max_body_mb=1, timeout_s=3) as server:
        yield server


@pytest.fixture(scope="module")
def client():
    with requests.Session() as session:
        yield session


# --- export and reload ---


def test_export_and_load(folder):
    path, model = folder
    loaded = serving.load(path / "toy")
    assert (loaded.name, loaded.version, set(loaded.signatures)) == ("toy", 1, {"serve", "serving_default"})
    np.testing.assert_allclose(loaded.run(X)["output"], model(X), atol=1e-6)
    np.testing.assert_allclose(loaded.run({"point": X}, signature="serve")["output"], model(X), atol=1e-6)
    assert serving.load(path / "toy" / "1").name == "toy"
    for call in (lambda: loaded.run(X, signature="nope"), lambda: loaded.run({"spot": X}), lambda: loaded.run(X[:, :2])):
        with pytest.raises(ValueError, match="Received"):
            call()
    with pytest.raises(ValueError, match="must be a SavedModel"):
        serving.load(path)


def test_export_replaces_only_a_saved_model(folder, tmp_path):
    model = folder[1]
    serving.export(model, tmp_path / "new")
    serving.export(model, tmp_path / "new")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["1"]
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "thesis.txt").write_text("ten years")
    for path in (tmp_path, tmp_path / "1", tmp_path / "1" / "thesis.txt"):
        with pytest.raises(ValueError, match="something else"):
            serving.export(model, path)
    assert (tmp_path / "1" / "thesis.txt").read_text() == "ten years"


def test_failed_export_leaves_the_old_one(folder, tmp_path, monkeypatch):
    serving.export(folder[1], tmp_path / "m")
    before = sorted(p.name for p in (tmp_path / "m").rglob("*"))
    monkeypatch.setattr(folder[1], "signatures", lambda: {"serve": (lambda x: 1 / 0, folder[1].input_fields())}, raising=False)
    with pytest.raises(ZeroDivisionError):
        serving.export(folder[1], tmp_path / "m")
    assert sorted(p.name for p in (tmp_path / "m").rglob("*")) == before
    with pytest.raises(ZeroDivisionError):
        serving.export(folder[1], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_export_from_jax(tmp_path):
    """A JAX process exports through TensorFlow; the graph holds plain operations, no XlaCallModule bound to one platform."""
    pytest.importorskip("jax")
    script = f"""
        import sys, numpy as np
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import toy, zoo
        model = zoo.applications.UNet(filters=2, depth=1, padding="same")
        x = model.example_inputs()
        zoo.serving.export(model, {str(tmp_path / "unet")!r})
        np.savez({str(tmp_path / "golden.npz")!r}, x=x, y=np.asarray(model(x)))
        try:
            zoo.serving.export(toy.Toy(), {str(tmp_path / "toy")!r})
        except ValueError as error:
            print(error)
    """
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, env=environment)
    assert "must be of a class of the zoo" in done.stdout, done.stderr
    assert not (tmp_path / "toy").exists()
    with np.load(tmp_path / "golden.npz") as golden:
        found = serving.load(tmp_path / "unet").run(golden["x"])
        np.testing.assert_allclose(next(iter(found.values())), golden["y"], atol=1e-5)
    assert b"XlaCallModule" not in (tmp_path / "unet" / "1" / "saved_model.pb").read_bytes()


# --- the protocol ---


def test_status_and_metadata(server, client):
    available = {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("odd", "odd/versions/7"):
        assert client.get(f"{server.url}/v1/models/{path}").json() == {"model_version_status": [available]}
    document = client.get(f"{server.url}/v1/models/odd/metadata").json()
    assert document["model_spec"] == {"name": "odd", "signature_name": "", "version": "7"}
    twice = document["metadata"]["signature_def"]["signature_def"]["twice"]
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "-1", "name": ""}], "unknown_rank": False}
    assert twice["inputs"] == {"x": {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "twice_x:0"}}
    assert twice["method_name"] == "tensorflow/serving/predict"
    for path in ("none", "odd/versions/8", "none/metadata"):
        reply = client.get(f"{server.url}/v1/models/{path}")
        assert reply.status_code == 404 and set(reply.json()) == {"error"}


def test_numbers_equal_the_local_model(folder, server, client):
    expected = np.asarray(folder[1](X))
    for body in ({"instances": X.tolist()}, {"instances": [{"point": row} for row in X.tolist()]}):
        status, reply = ask(client, server, body, "toy")
        np.testing.assert_allclose(reply["predictions"], expected, atol=1e-5)
    for inputs in (X.tolist(), {"point": X.tolist()}):
        for name in ("", "serve", "serving_default"):
            status, reply = ask(client, server, {"inputs": inputs, "signature_name": name}, "toy")
            assert status == 200
            np.testing.assert_allclose(reply["outputs"], expected, atol=1e-5)
    reply = client.post(f"{server.url}/v1/models/toy/versions/1:predict", json={"instances": X.tolist()}).json()
    np.testing.assert_allclose(reply["predictions"], expected, atol=1e-5)


def test_several_inputs_and_outputs(server, client):
    rows = [{"a": [1, 2.5], "b": True}, {"a": [0.1, 0.1], "b": False}]
    assert ask(client, server, {"signature_name": "mix", "instances": rows}) == (
        200,
        {"predictions": [{"not_b": False, "sum": 3.5}, {"not_b": True, "sum": 0.2}]},
    )
    columns = {"a": [[1, 2.5], [0.1, 0.1]], "b": [True, False]}
    assert ask(client, server, {"signature_name": "mix", "inputs": columns}) == (
        200,
        {"outputs": {"not_b": [False, True], "sum": [3.5, 0.2]}},
    )


def test_strings_and_bytes(server, client):
    raw = {"b64": base64.b64encode(b"\xff\x00").decode()}
    status, reply = ask(client, server, {"signature_name": "shout", "instances": ["foo", raw, {"b64": "YmFy"}]})
    assert status == 200
    assert [row["loud"] for row in reply["predictions"]] == ["FOO", raw, "BAR"]
    assert [base64.b64decode(row["raw_bytes"]["b64"]) for row in reply["predictions"]] == [b"foo", b"\xff\x00", b"bar"]


def test_special_numbers(server, client):
    status, reply = ask(client, server, '{"instances": [[NaN, Infinity, -Infinity, 1e-3, 9000000]]}')
    assert status == 200
    np.testing.assert_array_equal(
        reply["predictions"][0], np.array([np.nan, np.inf, -np.inf, 2e-3, 18e6], "float32").astype(str).astype(float)
    )
    assert ask(client, server, {"signature_name": "look_up", "instances": [[0, 2]]}) == (200, {"predictions": [[10, 12]]})


def test_scalar_outputs_have_no_rows(server, client):
    assert ask(client, server, {"signature_name": "total", "inputs": [1, 2, 3]}) == (200, {"outputs": 6.0})
    status, reply = ask(client, server, {"signature_name": "total", "instances": [1, 2, 3]})
    assert status == 400 and "total" in reply["error"]


@pytest.mark.parametrize(
    "body, word",
    [
        ("", "empty"),
        ("[", "JSON Parse error"),
        (b"\xff\xfe", "JSON Parse error"),
        ("[" * 100_000, "JSON Parse error"),
        ('{"instances": [' + "9" * 5000 + "]}", "JSON Parse error"),
        ("[1]", "Is not object"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [[1]], "inputs": [[1]]}, "only one of"),
        ({"instances": {}}, "list/array"),
        ({"instances": []}, "No values"),
        ({"instances": [[1], [1, 2]]}, "unexpected size"),
        ({"instances": [1, 2]}, "shape (any, any)"),
        ({"instances": [[1, "a"]]}, "not of expected type: float32"),
        ({"instances": [[1, True]]}, "not of expected type: float32"),
        ({"instances": [[1, None]]}, "not of expected type: float32"),
        ({"instances": [[1e39]]}, "without loss of precision"),
        ({"instances": [[10**400]]}, "without loss of precision"),
        ({"instances": [[1], {"x": [1]}]}, "got value/list at item 0"),
        ({"instances": [{"z": [1]}]}, "keys z must be equal to: x"),
        ({"inputs": {"z": [[1]]}}, "Missing named input: x"),
        ({"signature_name": "none", "instances": [[1]]}, 'signature name: "none" not found'),
        ({"signature_name": 5, "instances": [[1]]}, "must be a string"),
        ({"signature_name": "mix", "instances": [[1, 2]]}, "expecting list of objects"),
        ({"signature_name": "mix", "inputs": [[1, 2]]}, "expecting an object"),
        ({"signature_name": "look_up", "instances": [[0, 1.0]]}, "not of expected type: int32"),
        ({"signature_name": "look_up", "instances": [[0, 2**31]]}, "without loss of precision"),
        ({"signature_name": "look_up", "instances": [[0, 99]]}, "99 is not in [0, 3)"),
        ({"signature_name": "shout", "instances": [{"b64": "%"}]}, "base64"),
        ({"signature_name": "shout", "instances": ["a", 1]}, "not of expected type: string"),
        ({"signature_name": "shout", "instances": [["a"], "b"]}, "unexpected"),
    ],
)
def test_malformed_requests(server, client, body, word):
    status, reply = ask(client, server, body)
    assert status == 400 and set(reply) == {"error"} and word in reply["error"], reply


@pytest.mark.parametrize(
    "path, status",
    [
        ("/v1/models/none:predict", 404),
        ("/v1/models/odd/versions/8:predict", 404),
        ("/v1/models/odd/labels/stable:predict", 400),
        ("/v1/models/odd:classify", 400),
        ("/v1/models/odd:regress", 400),
        ("/v1/models/odd:predict?x=1", 200),
        ("/V1/MODELS/odd:PREDICT", 200),
        ("/v1/models/odd", 400),
        ("/v1/models/odd:explain", 400),
        ("/elsewhere", 404),
    ],
)
def test_addresses(server, client, path, status):
    reply = client.post(server.url + path, json={"instances": [[1]]})
    assert reply.status_code == status
    assert set(reply.json()) == ({"predictions"} if status == 200 else {"error"})


def test_other_methods(server, client):
    for method in ("PUT", "DELETE"):
        assert client.request(method, f"{server.url}/v1/models/odd").status_code == 501
    for path in ("/v1/models/odd", "/v1/models/none"):
        head, get = client.head(server.url + path), client.get(server.url + path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["Content-Length"] == get.headers["Content-Length"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "a", "b", "ids", "text", "b64"]), inner, max_size=3),
    max_leaves=12,
)
NAMES = st.sampled_from(["shout", "look_up", "mix", "total", "twice", "serving_default", ""])
BODIES = st.fixed_dictionaries({}, optional={"instances": JSON, "inputs": JSON, "signature_name": NAMES}).map(json.dumps) | st.binary(
    max_size=30
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_no_body_brings_the_server_down(server, client, body):
    status, reply = ask(client, server, body)
    assert status in (200, 400) and len(reply) == 1


def test_decoding_is_the_inverse_of_encoding():
    spec = TensorSpec("x", np.dtype("float32"), (None, 2, None), "x:0", "DT_FLOAT")
    array = np.random.default_rng(0).normal(size=(3, 2, 5)).astype("float32")
    body = json.loads(protocol.encode_predictions({"y": array}, is_row_format=True))
    signature = Signature("s", "", {"x": spec}, {})
    request = protocol.parse_predict(json.dumps({"instances": body["predictions"]}).encode(), {"serving_default": signature})
    np.testing.assert_array_equal(request.arrays["x"], array)


# --- the transport ---


def test_keep_alive_and_latency(server):
    """Many requests on one connection, errors between them, each within a few milliseconds."""
    import http.client

    connection = http.client.HTTPConnection(server.host, server.port)
    times, ports = [], set()
    for i in range(60):
        body = json.dumps({"instances": [[i]]} if i % 3 else {"instances": "x"})
        started = time.perf_counter()
        connection.request("POST", "/v1/models/odd:predict", body)
        reply = connection.getresponse().read()
        times.append(time.perf_counter() - started)
        ports.add(connection.sock.getsockname()[1])
        assert json.loads(reply) == {"predictions": [[2.0 * i]]} or not i % 3
    assert len(ports) == 1
    # 40 ms would mean that small packets wait for each other
    assert np.median(times) < 0.03, np.median(times)


def test_chunked_and_gzip_bodies(server, client):
    body = json.dumps({"instances": [[1.5]]}).encode()
    reply = client.post(f"{server.url}/v1/models/odd:predict", data=iter([body[:5], body[5:]]))
    assert reply.json() == {"predictions": [[3.0]]}
    reply = client.post(f"{server.url}/v1/models/odd:predict", data=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert reply.json() == {"predictions": [[3.0]]}
    bomb = gzip.compress(b" " * (3 << 20))
    for data, encoding, status in ((bomb, "gzip", 413), (b"no", "gzip", 400), (body, "br", 415)):
        reply = client.post(f"{server.url}/v1/models/odd:predict", data=data, headers={"Content-Encoding": encoding})
        assert reply.status_code == status and "error" in reply.json()


def test_body_limit(server, client):
    too_much = b" " * ((1 << 20) + 1)
    for kwargs in ({"data": too_much}, {"data": iter([too_much])}, {"data": too_much, "headers": {"Expect": "100-continue"}}):
        reply = requests.post(f"{server.url}/v1/models/odd:predict", **kwargs)
        assert reply.status_code == 413 and "1 MB" in reply.json()["error"]
    assert ask(client, server, {"instances": [[1]]})[0] == 200


def test_time_limits(folder, client):
    """A body that does not arrive gives 408, a model that does not answer 504; both leave the server well."""
    with serving.Server(folder[0] / "odd", port=0, timeout_s=0.5) as server:
        with socket.create_connection((server.host, server.port)) as slow:
            slow.sendall(b"POST /v1/models/odd:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            assert b" 408 " in slow.recv(1000)
        batcher = server.batchers["odd"]
        run = batcher.run
        batcher.run = lambda arrays, name: time.sleep(1) or run(arrays, name)
        status, reply = ask(client, server, {"instances": [[1]]})
        assert status == 504 and "0.5 s" in reply["error"]
        batcher.run = run
        time.sleep(0.6)
        assert ask(client, server, {"instances": [[1]]})[0] == 200


def test_garbage_on_the_wire(server, client):
    for garbage in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST /v1/models/odd:predict HTTP/1.1\r\nContent-Length: -5\r\n\r\n"):
        with socket.create_connection((server.host, server.port)) as wire:
            wire.sendall(garbage)
            wire.shutdown(socket.SHUT_WR)
            wire.settimeout(5)
            wire.recv(1000)
    assert ask(client, server, {"instances": [[1]]})[0] == 200


# --- batching ---


def together(server, bodies, model="odd"):
    """Send all bodies at the same moment; their (status, reply) in order."""
    barrier = threading.Barrier(len(bodies))

    def one(body):
        with requests.Session() as session:
            session.get(f"{server.url}/v1/models/{model}")
            barrier.wait()
            return ask(session, server, body, model)

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(one, bodies))


@pytest.fixture(scope="module")
def patient(folder):
    with serving.Server(folder[0] / "odd", port=0, batch_timeout_ms=500, max_batch_size=8) as server:
        # while the first run lasts, the others queue up
        run = server.batchers["odd"].run
        server.batchers["odd"].run = lambda arrays, name: time.sleep(0.1) or run(arrays, name)
        yield server


def test_concurrent_requests_share_runs(patient):
    batcher = patient.batchers["odd"]
    before = batcher.runs
    bodies = [{"instances": [[i, i + 1]] * (1 + i % 2)} for i in range(10)]
    for i, (status, reply) in enumerate(together(patient, bodies)):
        assert status == 200 and reply["predictions"] == [[2.0 * i, 2.0 * i + 2]] * (1 + i % 2)
    # 15 rows, at most 8 in a run
    assert 2 <= batcher.runs - before <= 4, batcher.runs - before


def test_different_shapes_and_signatures_are_batched_apart(patient):
    bodies = [{"instances": [[1.0] * (1 + i % 3)]} for i in range(6)] + [{"signature_name": "total", "inputs": [i, 1]} for i in range(3)]
    replies = together(patient, bodies)
    assert [reply["predictions"] for _, reply in replies[:6]] == [[[2.0] * (1 + i % 3)] for i in range(6)]
    assert [reply["outputs"] for _, reply in replies[6:]] == [1.0, 2.0, 3.0]


def test_a_bad_request_spoils_no_other(patient):
    replies = together(patient, [{"signature_name": "look_up", "instances": [[0, value]]} for value in (0, 99, 1, 2)])
    assert [status for status, _ in replies] == [200, 400, 200, 200]
    assert [reply.get("predictions") for _, reply in replies] == [[[10, 10]], None, [[10, 11]], [[10, 12]]]


def test_a_request_larger_than_a_batch_runs_alone(patient):
    assert ask(requests, patient, {"instances": [[1]] * 20}) == (200, {"predictions": [[2.0]] * 20})


def test_outputs_of_another_batch_size_are_not_cut():
    signature = Signature("s", "", *({"x": TensorSpec("x", np.dtype("float32"), (None,), "x:0", "DT_FLOAT")} for _ in range(2)))
    batcher = Batcher(lambda arrays, name: time.sleep(0.1) or {"x": arrays["x"][:1]}, timeout=0.5)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda i: batcher.submit(signature, {"x": np.array([i, i])}, 10)["x"].tolist(), range(4))
    assert list(found) == [[0], [1], [2], [3]]
    batcher.close()
    with pytest.raises(ClosedError):
        batcher.submit(signature, {"x": np.array([0])})


# --- the process ---


def test_bad_arguments(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for kwargs in (
        {"path": tmp_path / "empty"},
        {"path": tmp_path / "none"},
        {"name": "x"},
        {"max_batch_size": 0},
        {"batch_timeout_ms": -1},
    ):
        with pytest.raises(ValueError, match="Received"):
            serving.Server(**{"path": folder[0], "port": 0, **kwargs})
    with serving.Server(folder[0] / "odd", port=0) as server, pytest.raises(OSError):
        serving.Server(folder[0] / "odd", port=server.port)


def test_graceful_shutdown(folder):
    """`zoo serve` answers what is under way, then ends with code 0."""
    command = [sys.executable, "-m", "zoo.cli", "serve", str(folder[0] / "odd" / "7"), "--port", "0", "--name", "mine"]
    start = lambda: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: E731
    for number, process in [(signal.SIGTERM, start()), (signal.SIGINT, start())]:
        url = re.search(r"http://\S+", process.stdout.readline())[0]
        assert url.endswith("/v1/models/mine:predict")
        assert requests.post(url, json={"instances": [[1]]}).json() == {"predictions": [[2.0]]}
        with socket.create_connection(("127.0.0.1", int(re.search(r":(\d+)/", url)[1]))) as wire:
            body = b'{"instances": [[4]]}'
            wire.sendall(f"POST /v1/models/mine:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:5])
            time.sleep(0.3)
            process.send_signal(number)
            time.sleep(0.3)
            wire.sendall(body[5:])
            answer = wire.recv(10_000)
        assert b" 200 " in answer and b"8.0" in answer and b"Connection: close" in answer
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, output, errors) == (0, "stopped\n", "")
