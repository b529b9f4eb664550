"""An HTTP server for SavedModels that speaks TensorFlow Serving's REST protocol, on the standard library alone."""

import contextlib
import signal
import socket
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from zoo.serving import protocol
from zoo.serving.batching import Batcher, ClosedError
from zoo.serving.protocol import RequestError
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
        timeout_s: limit on reading a request (408), on answering it (504), and on an idle connection.
    """

    def __init__(
        self, path, name=None, port=8501, host="127.0.0.1", max_batch_size=32, batch_timeout_ms=2.0, max_body_mb=32.0, timeout_s=30.0
    ):
        limits = {"max_batch_size": max_batch_size, "max_body_mb": max_body_mb, "timeout_s": timeout_s}
        for argument, value in limits.items():
            if not value > 0:
                raise ValueError(f"`{argument}` must be positive. Received: {value}")
        if batch_timeout_ms < 0:
            raise ValueError(f"`batch_timeout_ms` must not be negative. Received: {batch_timeout_ms}")
        models = _load_models(Path(path), name)
        self.models = {model.name: model for model in models}
        self.batchers = {model.name: Batcher(model.run, max_batch_size, batch_timeout_ms / 1000) for model in models}
        self.max_body, self.timeout = int(max_body_mb * 2**20), timeout_s
        self.closing, self._active, self._idle = False, 0, threading.Condition()
        self._http = _HTTPServer((host, port), _Handler)
        self._http.zoo = self
        self.host, self.port = host, self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, name="http", daemon=True)

    @property
    def url(self):
        """Address of the server."""
        return f"http://{self.host}:{self.port}"

    def start(self):
        """Answer requests, on threads."""
        self._thread.start()
        return self

    def stop(self):
        """Take no more requests, answer those under way, and stop."""
        self.closing = True
        self._http.shutdown()
        self._http.server_close()
        deadline = time.monotonic() + self.timeout
        with self._idle:
            while self._active and (remaining := deadline - time.monotonic()) > 0:
                self._idle.wait(remaining)
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
        name, version = unquote(match["name"]), match["version"]
        model = self.models.get(name)
        if match["metadata"]:
            model = self._find(match)
            return protocol.encode_metadata(name, model.version, model.definitions)
        if model is None:
            raise RequestError(404, f"Could not find any versions of model {name}")
        if version is not None and int(version) != model.version:
            raise RequestError(404, f"Could not find version {version} of model {name}")
        return protocol.encode_status([model.version])

    def post(self, path, read_body):
        """The body that answers a POST request.

        Args:
            path: of the address.
            read_body: function that reads the request's body.

        Raises:
            RequestError: with the status.
        """
        match = protocol.POST_PATH.fullmatch(path)
        batcher = self.batchers.get(unquote(match["name"])) if match else None
        with batcher.arrival() if batcher else contextlib.nullcontext():
            # the body is read in any case, or the connection could not be kept
            body = read_body()
            if not match:
                raise _bad_path("POST", path)
            model, method = self._find(match), match["method"].lower()
            if method != "predict":
                raise RequestError(400, f"Expected {method} signature; the signatures of {model.name} answer :predict alone")
            request = protocol.parse_predict(body, model.signatures)
            outputs = self._submit(batcher, request)
        return protocol.encode_predictions(outputs, request.is_row_format)

    def _submit(self, batcher, request):
        try:
            return batcher.submit(request.signature, request.arrays, self.timeout)
        except TimeoutError as error:
            raise RequestError(504, f"Deadline exceeded: {error}") from None
        except ClosedError as error:
            raise RequestError(503, str(error)) from None
        except Exception as error:  # noqa: BLE001 - whatever the graph raises becomes an answer
            raise _model_error(error) from error

    def _find(self, match):
        name, version, label = unquote(match["name"]), match["version"], match["label"]
        model = self.models.get(name)
        if label is not None:
            raise RequestError(400, f"Unrecognized servable version label: {unquote(label)}")
        if model is None or (version is not None and int(version) != model.version):
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise RequestError(404, f"Servable not found for request: {wanted}")
        return model


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


def _model_error(error):
    """What the graph raises about its input is the client's mistake, as in TensorFlow Serving."""
    import tensorflow as tf

    theirs = (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, tf.errors.FailedPreconditionError, ValueError)
    lines = [line.strip() for line in str(getattr(error, "message", None) or error).splitlines()]
    # TensorFlow wraps the cause in where it arose
    causes = [line for line in lines if line and not line.startswith(("Graph execution error", "Detected at", "<stack", "[[", "File "))]
    return RequestError(400 if isinstance(error, theirs) else 500, causes[0] if causes else type(error).__name__)


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    zoo: Server

    def server_bind(self):
        """Bind without the look-up of the host's name, which may take seconds."""
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address):
        """A client that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # small answers leave in one packet, at once
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _HTTPServer

    def setup(self):
        self.timeout = self.server.zoo.timeout
        super().setup()

    def do_GET(self):
        zoo = self.server.zoo
        self._answer(lambda: zoo.get(urlsplit(self.path).path))

    def do_POST(self):
        zoo = self.server.zoo
        self._answer(lambda: zoo.post(urlsplit(self.path).path, self._read_body))

    def _answer(self, function):
        self._unread = self._content_length() or 0
        with self.server.zoo.busy():
            try:
                status, body = 200, function()
            except RequestError as error:
                status, body = error.status, protocol.encode_error(error)
            except OSError:
                self.close_connection = True
                return
            except Exception as error:  # noqa: BLE001 - a defect of ours must not end the connection without a word
                status, body = 500, protocol.encode_error(f"{type(error).__name__}: {error}")
            self._send(status, body)

    def _send(self, status, body):
        self.close_connection = self.close_connection or self.server.zoo.closing or self._unread != 0
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
        if self._unread:
            self._drain()

    # --- reading ---

    def _content_length(self):
        text = self.headers.get("Content-Length", "").strip()
        return int(text) if text.isdecimal() and len(text) < 20 else None

    def handle_expect_100(self):
        """Refuse a body that is too large before it is sent."""
        if (self._content_length() or 0) > self.server.zoo.max_body:
            self._unread = 0
            self.close_connection = True
            self._send(413, protocol.encode_error(self._too_large()))
            return False
        return super().handle_expect_100()

    def _read_body(self):
        self._deadline = time.monotonic() + self.server.zoo.timeout
        try:
            if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
                self._unread = -1
                body = b"".join(self._chunks())
                self._unread = 0
            else:
                length = self._content_length()
                if length is None:
                    raise RequestError(411, "The request must have a Content-Length")
                if length > self.server.zoo.max_body:
                    raise RequestError(413, self._too_large())
                body = self._read(length)
                self._unread = 0
        except TimeoutError:
            raise RequestError(408, f"The request took more than {self.server.zoo.timeout:g} s to arrive") from None
        finally:
            self.connection.settimeout(self.timeout)
        return self._uncompressed(body)

    def _read(self, length):
        parts = []
        while length:
            self._set_deadline()
            part = self.rfile.read1(min(length, 1 << 20))
            if not part:
                raise ConnectionResetError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _chunks(self):
        """The parts of a body in chunked transfer encoding."""
        total = 0
        while True:
            self._set_deadline()
            size = self.rfile.readline(1024).split(b";")[0].strip()
            try:
                length = int(size, 16)
            except ValueError:
                raise RequestError(400, "Malformed chunked body") from None
            total += length
            if length < 0 or total > self.server.zoo.max_body:
                raise RequestError(413, self._too_large())
            if length == 0:
                while self.rfile.readline(1024).strip():
                    self._set_deadline()
                return
            yield self._read(length)
            self.rfile.readline(1024)

    def _uncompressed(self, body):
        encoding = self.headers.get("Content-Encoding", "identity").lower()
        if encoding == "identity":
            return body
        if encoding != "gzip":
            raise RequestError(415, f"Unsupported Content-Encoding: {encoding}")
        unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            content = unzip.decompress(body, self.server.zoo.max_body + 1)
        except zlib.error:
            raise RequestError(400, "Malformed gzip body") from None
        if len(content) > self.server.zoo.max_body:
            raise RequestError(413, self._too_large())
        return content

    def _too_large(self):
        return f"The request body must have at most {self.server.zoo.max_body / 2**20:g} MB"

    def _set_deadline(self):
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self.connection.settimeout(remaining)

    def _drain(self):
        """Read what the client still sends for a moment; closing at once would reset the connection before it reads the answer."""
        self._deadline = time.monotonic() + 2
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.rfile.read1(1 << 20):
                self._set_deadline()

    # --- the parts of http.server that speak to people ---

    def send_error(self, code, message=None, explain=None):
        """Errors of the HTTP layer, as JSON."""
        self._unread, self.close_connection = 0, True
        self._send(code, protocol.encode_error(message or self.responses.get(code, ("Error",))[0]))

    def version_string(self):
        """The header `Server`."""
        return "zoo"

    def log_message(self, format, *args):
        """Say nothing."""
