"""A server for SavedModels that speaks TensorFlow Serving's protocols, and what it does with a request in either of them."""

import contextlib
import math
import signal
import threading
import time
from pathlib import Path
from urllib.parse import unquote

from zoo.serving import protocol, rest
from zoo.serving.batching import Batcher, ClosedError
from zoo.serving.limits import Budget, Gate, RequestError
from zoo.serving.saved_model import load, versions


class Server:
    """Serves one SavedModel, or each one in a folder.

    Example:
        with zoo.serving.Server("exported/unet", port=0) as server:
            requests.post(f"{server.url}/v1/models/unet:predict", json={"instances": images.tolist()})

    Args:
        path: a SavedModel, a folder of its versions (the highest is served), or a folder of such folders.
        name: of the model in addresses (default: the folder's name).
        port: 0 takes a free one; see `port` afterwards.
        host: address to listen on.
        max_batch_size: most rows that concurrent requests share in one run.
        batch_timeout_ms: how long a batch waits for requests that are still being read.
        max_body_mb: larger request bodies are refused (413).
        timeout_s: limit on a request from its first byte to the last of its answer (408 while it is read, 504 afterwards), and on an idle
            connection.
        grpc_port: also answer gRPC there; 0 takes a free port, see `grpc_port` afterwards. Needs the extra `serve`.
        max_connections: more are refused (503).
        max_numbers: most numbers, texts and lists in a request, and most numbers in an answer (413).
        max_pending_mb: what the bodies and answers of all requests under way may take together (503).
    """

    def __init__(
        self,
        path,
        name=None,
        port=8501,
        host="127.0.0.1",
        max_batch_size=32,
        batch_timeout_ms=2.0,
        max_body_mb=32.0,
        timeout_s=30.0,
        grpc_port=None,
        max_connections=512,
        max_numbers=2**23,
        max_pending_mb=512.0,
    ):
        limits = {
            "max_batch_size": max_batch_size,
            "max_body_mb": max_body_mb,
            "timeout_s": timeout_s,
            "max_connections": max_connections,
            "max_numbers": max_numbers,
            "max_pending_mb": max_pending_mb,
        }
        for argument, value in limits.items():
            if not 0 < value < math.inf:
                raise ValueError(f"`{argument}` must be positive and finite. Received: {value}")
        if not 0 <= batch_timeout_ms < math.inf:
            raise ValueError(f"`batch_timeout_ms` must not be negative. Received: {batch_timeout_ms}")
        models = _load_models(Path(path), name)
        self.models = {model.name: model for model in models}
        self.batchers = {model.name: Batcher(model.execute, max_batch_size, batch_timeout_ms / 1000) for model in models}
        self.max_body, self.timeout, self.max_connections, self.max_numbers = (
            int(max_body_mb * 2**20),
            timeout_s,
            max_connections,
            max_numbers,
        )
        self.budget, self.gate = Budget(int(max_pending_mb * 2**20)), Gate()
        self.closing, self._active, self._idle = False, 0, threading.Condition()
        self._http = rest.HTTPServer(self, host, port)
        self.host, self.port = host, self._http.server_port
        self._grpc, self.grpc_port = None, None
        if grpc_port is not None:
            self._open_grpc(grpc_port)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, name="http", daemon=True)

    def _open_grpc(self, port):
        from zoo.serving import rpc

        try:
            self._grpc, self.grpc_port = rpc.listen(self, port)
        except BaseException:
            self._http.server_close()
            raise

    @property
    def url(self):
        """Address of the server."""
        return f"http://{self.host}:{self.port}"

    def start(self):
        """Answer requests, on threads."""
        self._thread.start()
        if self._grpc is not None:
            self._grpc.start()
        return self

    def stop(self):
        """Take no more requests, answer those under way, and stop."""
        self.closing = True
        self._http.shutdown()
        self._http.server_close()
        stopped = self._grpc.stop(grace=self.timeout) if self._grpc is not None else None
        deadline = time.monotonic() + self.timeout
        with self._idle:
            while self._active and (remaining := deadline - time.monotonic()) > 0:
                self._idle.wait(remaining)
        if stopped is not None:
            stopped.wait()
        for batcher in self.batchers.values():
            batcher.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()

    @contextlib.contextmanager
    def busy(self):
        """Holds while a request is under way; `stop` waits for it."""
        with self._idle:
            self._active += 1
        try:
            yield
        finally:
            with self._idle:
                self._active -= 1
                self._idle.notify_all()

    # --- answers ---

    def get(self, path):
        """The body that answers a GET request.

        Raises:
            RequestError: 400 or 404.
        """
        match = protocol.GET_PATH.fullmatch(path)
        if not match:
            raise _bad_path("GET", path)
        name, version, label = unquote(match["name"]), match["version"], match["label"]
        if match["metadata"]:
            model = self.find(name, version, label and unquote(label))
            return protocol.encode_metadata(name, model.version, model.definitions)
        return protocol.encode_status([self.find_status(name, version, label and unquote(label)).version])

    def post(self, path, read_body, deadline):
        """The body that answers a POST request.

        Args:
            path: of the address.
            read_body: function that reads the request's body.
            deadline: of the request.

        Raises:
            RequestError: with the status.
            TimeoutError: past the deadline.
        """
        match = protocol.POST_PATH.fullmatch(path)
        batcher = self.batchers.get(unquote(match["name"])) if match else None
        with batcher.arrival() if batcher else contextlib.nullcontext():
            # the body is read in any case, or the connection could not be kept
            body = read_body()
            if not match:
                raise _bad_path("POST", path)
            model = self.find(unquote(match["name"]), match["version"], match["label"] and unquote(match["label"]))
            method = match["method"].lower()
            if method != "predict":
                raise RequestError(400, f"Expected {method} signature; the signatures of {model.name} answer :predict alone")
            with self.gate.passing(len(body), deadline):
                request = protocol.parse_predict(body, model.signatures, self.max_numbers)
            del body
            outputs = self.predict(model, request.signature, request.arrays, deadline)
        # a number has about ten characters
        with self.gate.passing(10 * sum(output.size for output in outputs.values()), deadline):
            return protocol.encode_predictions(outputs, request.is_row_format)

    # --- what both protocols share ---

    def predict(self, model, signature, arrays, deadline):
        """Check the inputs and run a signature on them, together with other requests.

        Args:
            model: a `SavedModel`.
            signature: one of its `Signature`s.
            arrays: input name -> array, of the types and shapes of the signature.
            deadline: of the request.

        Returns:
            Output name -> array.

        Raises:
            RequestError: with the status.
            TimeoutError: past the deadline.
        """
        try:
            signature.check(arrays)
        except ValueError as error:
            raise RequestError(400, str(error)) from None
        try:
            outputs = self.batchers[model.name].submit(signature, arrays, deadline.remaining())
        except (TimeoutError, RequestError):
            raise
        except ClosedError as error:
            raise RequestError(503, str(error)) from None
        except Exception as error:  # noqa: BLE001 - whatever the graph raises becomes an answer
            raise _model_error(error, arrays) from error
        size = sum(output.size for output in outputs.values())
        if size > self.max_numbers:
            raise RequestError(413, f"The answer must hold at most {self.max_numbers} numbers, it would be {size}")
        return outputs

    def find(self, name, version=None, label=None):
        """The model of a name, for a prediction or its metadata.

        Raises:
            RequestError: 404 if there is no such model or version, 400 for a label, because versions have none here.
        """
        model = self._labelled(name, label)
        if model is None or (version is not None and int(version) != model.version):
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise RequestError(404, f"Servable not found for request: {wanted}")
        return model

    def find_status(self, name, version=None, label=None):
        """The model of a name, for its status; raises as `find`."""
        model = self._labelled(name, label)
        if model is None:
            raise RequestError(404, f"Could not find any versions of model {name}")
        if version is not None and int(version) != model.version:
            raise RequestError(404, f"Could not find version {version} of model {name}")
        return model

    def _labelled(self, name, label):
        if label:
            raise RequestError(400, f"Unrecognized servable version label: {label}")
        return self.models.get(name)


def serve(path, on_ready=None, **options):
    """Serve until SIGTERM or SIGINT, then answer what is under way and return. Call it on the main thread.

    Args:
        path: see `Server`.
        on_ready: function of the running `Server`, called once.
        **options: of `Server`.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Server(path, **options) as server:
        if on_ready is not None:
            on_ready(server)
        stop.wait()


def _load_models(path, name):
    if (path / "saved_model.pb").is_file() or versions(path) or not path.is_dir():
        models = [load(path)]
    else:
        models = [load(folder) for folder in sorted(path.iterdir()) if versions(folder)]
    if not models:
        raise ValueError(f"`path` must be a SavedModel, a folder of its versions, or a folder of such folders. Received: {path}")
    if name is not None:
        if len(models) > 1:
            raise ValueError(f"`name` must not be given for a folder of several models. Received: {name!r}")
        models[0].name = name
    return models


def _bad_path(method, path):
    if path.startswith("/v1/"):
        return RequestError(400, f"Malformed request: {method} {path[:200]}")
    return RequestError(404, f"Not found: {path[:200]}")


def _model_error(error, arrays):
    """What the graph raises about its input is the client's mistake, as in TensorFlow Serving.

    Fields and types are right by then; it is about sizes, or about what the graph alone knows.
    """
    import tensorflow as tf

    theirs = (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, tf.errors.FailedPreconditionError, ValueError)
    lines = [line.strip() for line in str(getattr(error, "message", None) or error).splitlines()]
    # TensorFlow wraps the cause in where it arose
    causes = [line for line in lines if line and not line.startswith(("Graph execution error", "Detected at", "<stack", "[[", "File "))]
    cause = causes[0] if causes else type(error).__name__
    # the kernels for CPUs refuse a size in their own way
    if not isinstance(error, (*theirs, tf.errors.AbortedError, tf.errors.UnimplementedError)):
        return RequestError(500, cause)
    inputs = " and ".join(f"`{name}` of shape {array.shape}" for name, array in sorted(arrays.items()))
    return RequestError(400, f"The model cannot take {inputs}: {cause}")
