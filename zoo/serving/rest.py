"""The transport of the REST protocol: HTTP by the standard library, within the limits of the server."""

import contextlib
import http.server
import io
import re
import socket
import threading
import zlib
from urllib.parse import urlsplit

from zoo.serving import protocol
from zoo.serving.limits import Deadline, RequestError

# seconds to tell a client that it failed, and to let it finish
_PARTING = 2.0
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")


class HTTPServer(http.server.ThreadingHTTPServer):
    """Listens, with a thread for each of a bounded number of connections.

    Args:
        zoo: the `Server` that answers.
        host: address to listen on.
        port: 0 takes a free one.
    """

    daemon_threads = True

    def __init__(self, zoo, host, port):
        self.zoo = zoo
        # all may come at once: one that finds no room here tries again after seconds
        self.request_queue_size = zoo.max_connections
        self._slots = threading.BoundedSemaphore(zoo.max_connections)
        super().__init__((host, port), _Handler)

    def server_bind(self):
        """Bind without the look-up of the host's name, which may take seconds."""
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address):
        """Give the connection a thread, or refuse it."""
        if not self._slots.acquire(blocking=False):
            self._refuse(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request, client_address):
        """The life of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def _refuse(self, request):
        """Say why without waiting for the request."""
        body = protocol.encode_error(f"The server has {self.zoo.max_connections} connections, as many as it may; try again")
        head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        with contextlib.suppress(OSError):
            request.settimeout(0)
            request.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
            request.shutdown(socket.SHUT_WR)
            # what lies unread when a connection is closed would reset it before the client has read the answer
            request.recv(1 << 16)
        self.shutdown_request(request)

    def handle_error(self, request, client_address):
        """A client that hangs up is no event."""


class _Wire(io.RawIOBase):
    """A socket on which every read and write ends by one deadline."""

    def __init__(self, sock):
        self._socket = sock
        self.deadline = None

    def readable(self):
        return True

    def writable(self):
        return True

    def readinto(self, buffer):
        self._socket.settimeout(self.deadline.remaining())
        return self._socket.recv_into(buffer)

    def write(self, data):
        self._socket.settimeout(self.deadline.remaining())
        # its timeout is one for all the data
        self._socket.sendall(data)
        return len(data)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # small answers leave at once, head and body in one packet
    disable_nagle_algorithm = True
    server: HTTPServer

    def setup(self):
        super().setup()
        self._wire = _Wire(self.connection)
        self.rfile, self.wfile = io.BufferedReader(self._wire), io.BufferedWriter(self._wire, 1 << 16)

    def finish(self):
        with contextlib.suppress(OSError):
            super().finish()

    def handle_one_request(self):
        """Wait for a request; its deadline begins with its first byte."""
        self._wire.deadline = Deadline(self.server.zoo.timeout)
        waiting = b""
        with contextlib.suppress(OSError):
            waiting = self.rfile.peek(1)
        if not waiting:
            self.close_connection = True
            return
        self._wire.deadline = Deadline(self.server.zoo.timeout)
        super().handle_one_request()

    def do_GET(self):
        zoo = self.server.zoo
        self._answer(lambda take: zoo.get(urlsplit(self.path).path))

    do_HEAD = do_GET

    def do_POST(self):
        zoo = self.server.zoo
        self._answer(lambda take: zoo.post(urlsplit(self.path).path, lambda: self._read_body(take), self._wire.deadline))

    def _answer(self, function):
        """Send what the function gives; it gets a function that takes bytes from the budget."""
        zoo = self.server.zoo
        with zoo.busy(), zoo.budget.share() as take:
            try:
                self._unread = -1
                self._unread = self._body_length() or 0
                status, body = 200, function(take)
                take(len(body))
                self._wire.deadline.remaining()
            except RequestError as error:
                status, body = error.status, protocol.encode_error(error)
            except TimeoutError:
                status, body = 504, protocol.encode_error(f"Deadline exceeded: no answer within {zoo.timeout:g} s")
            except OSError:
                self.close_connection = True
                return
            except Exception as error:  # noqa: BLE001 - a defect of ours must not end the connection without a word
                status, body = 500, protocol.encode_error(f"{type(error).__name__}: {error}")
            if status != 200:
                self._wire.deadline = Deadline(_PARTING)
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

    def _body_length(self):
        """Length of the body, -1 for chunks, `None` if there is none.

        Raises:
            RequestError: if the headers leave a doubt; whoever stands between could see other requests than this server.
        """
        lengths = {text.strip() for line in self.headers.get_all("Content-Length", []) for text in line.split(",")}
        encoding = ", ".join(self.headers.get_all("Transfer-Encoding", [])).strip().lower()
        if self.headers.defects or (encoding and lengths):
            raise RequestError(400, "Malformed headers")
        if encoding:
            if encoding != "chunked":
                raise RequestError(501, f"Unsupported Transfer-Encoding: {encoding}")
            return -1
        if not lengths:
            return None
        if len(lengths) > 1 or not re.fullmatch("[0-9]{1,18}", next(iter(lengths))):
            raise RequestError(400, f"The request must have one Content-Length. Received: {', '.join(sorted(lengths))}")
        return int(lengths.pop())

    def handle_expect_100(self):
        """Refuse a body that is too large before it is sent."""
        try:
            if (self._body_length() or 0) > self.server.zoo.max_body:
                raise RequestError(413, self._too_large())
        except RequestError as error:
            self._unread = 0
            self.close_connection = True
            self._send(error.status, protocol.encode_error(error))
            return False
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def _read_body(self, take):
        try:
            if self._unread == -1:
                body = b"".join(self._chunks(take))
            else:
                length = self._body_length()
                if length is None:
                    raise RequestError(411, "The request must have a Content-Length")
                if length > self.server.zoo.max_body:
                    raise RequestError(413, self._too_large())
                body = self._read(length, take)
            self._unread = 0
        except TimeoutError:
            raise RequestError(408, f"The request took more than {self.server.zoo.timeout:g} s to arrive") from None
        return self._uncompressed(body, take)

    def _read(self, length, take):
        parts = []
        while length:
            part = self.rfile.read1(min(length, 1 << 20))
            if not part:
                raise ConnectionResetError
            take(len(part))
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _chunks(self, take):
        """The parts of a body in chunked transfer encoding."""
        total = 0
        while True:
            size = _CHUNK_SIZE.fullmatch(self.rfile.readline(1024))
            if not size:
                raise RequestError(400, "Malformed chunked body")
            length = int(size[1], 16)
            total += length
            if total > self.server.zoo.max_body:
                raise RequestError(413, self._too_large())
            if length == 0:
                while self.rfile.readline(1024).strip():
                    pass
                return
            yield self._read(length, take)
            if self.rfile.readline(3).strip(b"\r\n"):
                raise RequestError(400, "Malformed chunked body")

    def _uncompressed(self, body, take):
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
        if not unzip.eof or unzip.unused_data:
            raise RequestError(400, "Malformed gzip body: it must be one whole gzip stream")
        take(len(content))
        return content

    def _too_large(self):
        return f"The request body must have at most {self.server.zoo.max_body / 2**20:g} MB"

    def _drain(self):
        """Read what the client still sends for a moment; closing at once would reset the connection before it reads the answer."""
        with contextlib.suppress(OSError):
            self._wire.deadline = Deadline(_PARTING)
            self.connection.shutdown(socket.SHUT_WR)
            while self.rfile.read1(1 << 20):
                pass

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
