"""The server beside the model in its process: what HTTP with JSON and gRPC add to a run, and how many answers many clients get.

The peer is `SavedModel.run` on NumPy arrays; a ratio of 0.67 means that a request takes 1.5 times as long as the run alone. Clients know
their request as bytes and leave the answer unread, so that the server is timed and not the client. Needs the extra `serve`.
"""

import http.client
import json
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import grpc
import numpy as np
import tensorflow as tf
from harness import Benchmark
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from zoo import presets, serving

REVIEW = "a smart , sweet and playful romantic comedy that never quite finds its feet"


def over_http(server, model, signature, inputs):
    """A function that asks for one prediction, on a connection that is kept."""
    connection = http.client.HTTPConnection(server.host, server.port)
    columns = {name: array.astype(str).tolist() if array.dtype == object else array.tolist() for name, array in inputs.items()}
    body = json.dumps({"signature_name": signature, "inputs": columns}).encode()

    def ask():
        connection.request("POST", f"/v1/models/{model}:predict", body)
        reply = connection.getresponse()
        content = reply.read()
        assert reply.status == 200, content

    return ask


def over_grpc(server, model, signature, inputs):
    """The same by gRPC."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(f"{server.host}:{server.grpc_port}"))
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return lambda: stub.Predict(request)


def rate(asks, seconds=5.0):
    """Answers a second that these clients get together, each on a thread of its own."""
    counts, stop = [0] * len(asks), time.perf_counter() + seconds

    def client(i):
        while time.perf_counter() < stop:
            asks[i]()
            counts[i] += 1

    threads = [threading.Thread(target=client, args=(i,)) for i in range(len(asks))]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - started)


def main():
    """Time one client on each way, then many."""
    benchmark = Benchmark("serving", peer="the model in process")
    rng = np.random.default_rng(0)
    cases = {
        "unet_em": {"serve": {"image": rng.random((1, 64, 64, 1), "float32")}, "segment": {"image": rng.random((1, 64, 64, 1), "float32")}},
        "sentence_cnn_movies": {"serve": {"text": np.array([REVIEW], object)}},
    }
    with tempfile.TemporaryDirectory() as folder:
        for name in cases:
            presets.load(name).export(Path(folder, name))
        with serving.Server(folder, port=0, grpc_port=0) as server:
            for name, signatures in cases.items():
                for signature, inputs in signatures.items():
                    run = lambda name=name, inputs=inputs, signature=signature: server.models[name].run(inputs, signature)  # noqa: E731
                    for way, over in (("HTTP", over_http), ("gRPC", over_grpc)):
                        ask = over(server, name, signature, inputs)
                        benchmark.case(f"{name} {signature}, {way}, one client", ask, run, unit="answers", repeats=101)
            name, inputs = "sentence_cnn_movies", cases["sentence_cnn_movies"]["serve"]
            alone = 1 / median(benchmark.cases[-1]["seconds"]["peer"])
            for way, over in (("HTTP", over_http), ("gRPC", over_grpc)):
                for clients in (16, 128):
                    found = rate([over(server, name, "serve", inputs) for _ in range(clients)])
                    print(f"{name}, {way}, {clients} clients: {found:,.0f} answers/s; one after another in process {alone:,.0f}")
                    case = {"case": f"{name} serve, {way}, {clients} clients", "unit": "answers/s", "ours": found, "peer": alone}
                    benchmark.cases.append({**case, "ratio": found / alone})
    benchmark.report()


if __name__ == "__main__":
    main()
