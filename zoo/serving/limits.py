"""What a request may cost: one deadline over all its steps, and a share of the bytes that all requests hold together."""

import contextlib
import threading
import time
from http import HTTPStatus


class RequestError(Exception):
    """A request that cannot be answered: an HTTP status and a message for the client."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = HTTPStatus(status)


class Deadline:
    """A moment that every step of a request knows.

    Args:
        seconds: from now until then.
    """

    def __init__(self, seconds):
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self):
        """Seconds left.

        Raises:
            TimeoutError: if there are none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {self.seconds:g} s")
        return left


class Budget:
    """Bytes that the bodies and answers of all requests under way may take together.

    Args:
        size: in bytes.
    """

    def __init__(self, size):
        self.size, self.taken = size, 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def share(self):
        """A function that takes bytes for one request; what it took is given back at the end.

        The function raises a `RequestError` (503) where waiting for others could mean that they wait for us.
        """
        mine = 0

        def take(count):
            nonlocal mine
            with self._lock:
                if self.taken + count > self.size:
                    raise RequestError(503, "The requests under way hold as much memory as they may; try again")
                self.taken += count
                mine += count

        try:
            yield take
        finally:
            with self._lock:
                self.taken -= mine


class Gate:
    """Lets one large piece of work pass at a time: two would need twice the memory and, on Python's one lock, end no sooner.

    Args:
        size: what is smaller passes freely.
    """

    def __init__(self, size=1 << 20):
        self.size = size
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def passing(self, size, deadline):
        """Wait for the turn of a piece of work of this size.

        Raises:
            TimeoutError: if the deadline comes first.
        """
        if size < self.size:
            yield
            return
        if not self._lock.acquire(timeout=deadline.remaining()):
            deadline.remaining()
        try:
            yield
        finally:
            self._lock.release()
