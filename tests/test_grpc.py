"""The gRPC services, asked through TensorFlow Serving's own protos."""

import socket
import struct
import time

import numpy as np
import pytest
import requests
import served
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from zoo import serving

grpc = pytest.importorskip("grpc")
apis = pytest.importorskip("tensorflow_serving.apis")

from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
CODE = grpc.StatusCode


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return served.save_both(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(folder):
    with serving.Server(folder[0], port=0, grpc_port=0, max_body_mb=1, max_numbers=200_000) as server:
        yield server


def channel(server):
    return grpc.insecure_channel(f"{server.host}:{server.grpc_port}")


@pytest.fixture(scope="module")
def stub(server):
    with channel(server) as open_channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(open_channel)


def request(model="odd", signature="", version=None, label=None, outputs=(), **inputs):
    found = predict_pb2.PredictRequest(output_filter=outputs)
    found.model_spec.name, found.model_spec.signature_name = model, signature
    if version is not None:
        found.model_spec.version.value = version
    if label is not None:
        found.model_spec.version_label = label
    for name, value in inputs.items():
        found.inputs[name].CopyFrom(value if isinstance(value, TensorProto) else tf.make_tensor_proto(value))
    return found


def arrays(reply):
    return {name: tf.make_ndarray(proto) for name, proto in reply.outputs.items()}


def test_predictions(folder, stub):
    reply = stub.Predict(request("toy", point=X))
    np.testing.assert_allclose(arrays(reply)["output"], folder[1](X), atol=1e-6)
    assert (reply.model_spec.name, reply.model_spec.version.value, reply.model_spec.signature_name) == ("toy", 1, "serving_default")
    found = arrays(stub.Predict(request(signature="shout", version=7, text=np.array([b"ab", b"\xff"], object))))
    assert found["loud"].tolist() == [b"AB", b"\xff"] and found["raw_bytes"].tolist() == [b"ab", b"\xff"]
    both = {"a": np.array([[1, 2.5]], "float32"), "b": np.array([True])}
    assert arrays(stub.Predict(request(signature="mix", **both))) == {"sum": [3.5], "not_b": [False]}
    assert arrays(stub.Predict(request(signature="mix", outputs=["sum"], **both))) == {"sum": [3.5]}
    assert arrays(stub.Predict(request(signature="look_up", ids=np.array([[0, 2]], "int32"))))["value"].tolist() == [[10, 12]]
    assert arrays(stub.Predict(request(signature="total", x=np.arange(3, dtype="float32"))))["total"] == 3


def test_values_may_be_listed_instead_of_packed(stub):
    proto = TensorProto(dtype="DT_FLOAT", float_val=[1, 2, 3, 4])
    for size in (2, 2):
        proto.tensor_shape.dim.add(size=size)
    assert arrays(stub.Predict(request(x=proto)))["y"].tolist() == [[2, 4], [6, 8]]


def shaped(dtype, *sizes, **values):
    proto = TensorProto(dtype=dtype, **values)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


ONE = np.ones((1, 1), "float32")


@pytest.mark.parametrize(
    "arguments, code, word",
    [
        ({"model": "none", "x": ONE}, CODE.NOT_FOUND, "Latest(none)"),
        ({"model": "", "x": ONE}, CODE.NOT_FOUND, "Latest()"),
        ({"version": 8, "x": ONE}, CODE.NOT_FOUND, "Specific(odd, 8)"),
        ({"label": "stable", "x": ONE}, CODE.INVALID_ARGUMENT, "version label: stable"),
        ({"signature": "none", "x": ONE}, CODE.INVALID_ARGUMENT, '"none" not found'),
        ({"z": ONE}, CODE.INVALID_ARGUMENT, "must be x"),
        ({}, CODE.INVALID_ARGUMENT, "must be x"),
        ({"x": ONE, "z": ONE}, CODE.INVALID_ARGUMENT, "must be x"),
        ({"x": ONE.astype("float64")}, CODE.INVALID_ARGUMENT, "x must have type DT_FLOAT"),
        ({"x": np.array([["a"]])}, CODE.INVALID_ARGUMENT, "x must have type DT_FLOAT"),
        ({"x": ONE[0]}, CODE.INVALID_ARGUMENT, "x must have shape (any, any)"),
        ({"x": shaped("DT_FLOAT", 2, 2, tensor_content=b"1234")}, CODE.INVALID_ARGUMENT, "x must hold"),
        ({"x": shaped("DT_FLOAT", 1, 1, float_val=[1, 2])}, CODE.INVALID_ARGUMENT, "x must hold"),
        ({"x": shaped("DT_FLOAT", -1, 1, float_val=[1])}, CODE.INVALID_ARGUMENT, "x must have shape"),
        ({"x": shaped("DT_FLOAT", 10**6, 10**6, float_val=[1])}, CODE.RESOURCE_EXHAUSTED, "x must hold at most 200000"),
        ({"x": shaped(99, 1, 1)}, CODE.INVALID_ARGUMENT, "x must have type DT_FLOAT"),
        ({"x": ONE, "outputs": ["y", "w"]}, CODE.INVALID_ARGUMENT, "w"),
        ({"signature": "look_up", "ids": np.array([[0, 99]], "int32")}, CODE.INVALID_ARGUMENT, "`ids` of shape (1, 2)"),
        ({"model": "toy", "point": X * np.nan}, CODE.INVALID_ARGUMENT, "`point` must be finite"),
        ({"model": "toy", "point": X[:0]}, CODE.INVALID_ARGUMENT, "`point` must not be empty"),
        ({"signature": "grow", "x": np.ones((1, 1000), "float32")}, CODE.RESOURCE_EXHAUSTED, "at most 200000"),
        ({"x": np.ones((1, 300_000), "float32")}, CODE.RESOURCE_EXHAUSTED, "larger than max"),
    ],
)
def test_refusals(stub, arguments, code, word):
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(request(**arguments), timeout=20)
    assert error.value.code() == code and word in error.value.details(), error.value


def test_metadata(folder, server, stub):
    wanted = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    wanted.model_spec.name = "odd"
    reply = stub.GetModelMetadata(wanted)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert reply.metadata["signature_def"].Unpack(found) and reply.model_spec.version.value == 7
    twice = found.signature_def["twice"]
    assert twice.method_name == "tensorflow/serving/predict" and twice.inputs["x"].name == "twice_x:0"
    rest = requests.get(f"{server.url}/v1/models/odd/metadata").json()
    assert set(rest["metadata"]["signature_def"]["signature_def"]) == set(found.signature_def)
    wanted.metadata_field[:] = ["something"]
    with pytest.raises(grpc.RpcError, match="Metadata field must be"):
        stub.GetModelMetadata(wanted)


def test_status(server):
    with channel(server) as open_channel:
        stub = model_service_pb2_grpc.ModelServiceStub(open_channel)
        wanted = get_model_status_pb2.GetModelStatusRequest()
        wanted.model_spec.name = "odd"
        for version in (None, 7):
            if version:
                wanted.model_spec.version.value = version
            (state,) = stub.GetModelStatus(wanted).model_version_status
            assert (state.version, state.state, state.status.error_code) == (7, state.AVAILABLE, 0)
        wanted.model_spec.version.value = 8
        with pytest.raises(grpc.RpcError) as error:
            stub.GetModelStatus(wanted)
        assert error.value.code() == CODE.NOT_FOUND


def test_other_methods_are_not_implemented(stub):
    from tensorflow_serving.apis import classification_pb2

    with pytest.raises(grpc.RpcError) as error:
        stub.Classify(classification_pb2.ClassificationRequest())
    assert error.value.code() == CODE.UNIMPLEMENTED


def test_calls_share_runs_with_each_other(server, stub):
    batcher = server.batchers["odd"]
    run, before = batcher.run, batcher.runs
    batcher.run = lambda arrays, name: time.sleep(0.2) or run(arrays, name)
    try:
        futures = [stub.Predict.future(request(x=np.full((1, 2), i, "float32"))) for i in range(8)]
        assert [arrays(future.result())["y"].tolist() for future in futures] == [[[2.0 * i] * 2] for i in range(8)]
    finally:
        batcher.run = run
    assert batcher.runs - before < 8


def test_deadlines(folder):
    """The server's and the client's, whichever comes first."""
    with serving.Server(folder[0] / "odd", port=0, grpc_port=0, timeout_s=1) as server, channel(server) as open_channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(open_channel)
        stub.Predict(request(x=ONE))
        batcher = server.batchers["odd"]
        batcher.run = lambda arrays, name: time.sleep(3) or {}
        for timeout in (None, 0.3):
            started = time.monotonic()
            with pytest.raises(grpc.RpcError) as error:
                stub.Predict(request(x=ONE), timeout=timeout)
            assert error.value.code() == CODE.DEADLINE_EXCEEDED and time.monotonic() - started < 2.5
        server.batchers["odd"].run = lambda arrays, name: {"y": arrays["x"]}


def test_a_message_that_never_comes(folder):
    """Calls whose message drips end, so that they cannot hold the threads for ever."""
    with serving.Server(folder[0] / "odd", port=0, grpc_port=0, timeout_s=1, max_body_mb=32, max_pending_mb=32) as server:
        with socket.create_connection((server.host, server.grpc_port)) as wire:
            wire.sendall(half_a_call(server))
            time.sleep(0.5)
            started = time.monotonic()
            with channel(server) as open_channel:
                # there is one thread, which the other call has
                stub = prediction_service_pb2_grpc.PredictionServiceStub(open_channel)
                assert arrays(stub.Predict(request(x=ONE), timeout=15))["y"] == 2
            assert 0.2 < time.monotonic() - started < 10


def half_a_call(server):
    """HTTP/2 by hand: the preface, the headers of a call of Predict, and the beginning of a message of 1000 bytes."""

    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

    def literal(name, value):
        return bytes([0, len(name)]) + name + bytes([len(value)]) + value

    headers = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/tensorflow.serving.PredictionService/Predict"),
        (b":authority", server.host.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
    message = b"\x00" + struct.pack(">I", 1000) + b"begin"
    calls = frame(1, 4, 1, b"".join(literal(*header) for header in headers)) + frame(0, 0, 1, message)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + calls


def test_memory_is_shared_with_http(folder):
    with serving.Server(folder[0] / "odd", port=0, grpc_port=0, max_body_mb=1, max_pending_mb=1) as server, channel(server) as open_channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(open_channel)
        with server.budget.share() as take:
            take(900_000)
            stub.Predict(request(x=ONE))
            with pytest.raises(grpc.RpcError) as error:
                stub.Predict(request(x=np.ones((1, 100_000), "float32")))
            assert error.value.code() == CODE.UNAVAILABLE
        stub.Predict(request(x=np.ones((1, 100_000), "float32")))


def test_a_port_in_use_is_an_error_and_frees_the_other(folder):
    with serving.Server(folder[0] / "odd", port=0, grpc_port=0) as server:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with pytest.raises(OSError, match="gRPC"):
            serving.Server(folder[0] / "odd", port=port, grpc_port=server.grpc_port)
        with serving.Server(folder[0] / "odd", port=port):
            pass


def test_shutdown_waits_for_calls(folder):
    with serving.Server(folder[0] / "odd", port=0, grpc_port=0) as server, channel(server) as open_channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(open_channel)
        stub.Predict(request(x=ONE))
        run = server.batchers["odd"].run
        server.batchers["odd"].run = lambda arrays, name: time.sleep(1) or run(arrays, name)
        future = stub.Predict.future(request(x=ONE))
        time.sleep(0.3)
        server.stop()
        assert arrays(future.result())["y"] == 2
        with pytest.raises(grpc.RpcError):
            stub.Predict(request(x=ONE), timeout=2)


def test_without_the_extra(folder, monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "zoo.serving.rpc", raising=False)
    monkeypatch.delattr(serving, "rpc", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r"pip install 'zoo-keras\[serve\]'"):
        serving.Server(folder[0] / "odd", port=0, grpc_port=0)
    with serving.Server(folder[0] / "odd", port=0):
        pass
