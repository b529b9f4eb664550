"""Concurrent requests share one run of the model."""

import contextlib
import threading
import time
from dataclasses import dataclass, field

import numpy as np


class ClosedError(RuntimeError):
    """The batcher takes no more requests."""


@dataclass(eq=False)
class _Job:
    """A request on its way through the batcher."""

    signature: object
    arrays: dict
    rows: int
    done: threading.Event = field(default_factory=threading.Event)
    outputs: dict | None = None
    error: Exception | None = None
    abandoned: bool = False

    @property
    def key(self):
        """Only jobs of equal key can share a run: one signature, equal shapes behind the batch axis."""
        return (self.signature.name, *((name, a.shape[1:]) for name, a in sorted(self.arrays.items())))


class Batcher:
    """Runs requests on one thread and concatenates those that fit together.

    A request alone runs at once. While the model is busy others queue up, and a batch waits up to `timeout` for those that have arrived
    at the server but are still being read.

    Args:
        run: function (arrays by name, signature name) -> outputs by name.
        max_batch_size: most rows in a run; a larger request runs alone.
        timeout: seconds that a batch waits for more requests.
    """

    def __init__(self, run, max_batch_size=32, timeout=0.002):
        self.run, self.max_batch_size, self.timeout = run, max_batch_size, timeout
        self.requests, self.runs = 0, 0
        self._queue: list[_Job] = []
        self._arrived = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def arrival(self):
        """Holds while a request is read and answered, so that a batch knows how many may still come."""
        with self._changed:
            self._arrived += 1
        try:
            yield
        finally:
            with self._changed:
                self._arrived -= 1
                self._changed.notify_all()

    def submit(self, signature, arrays, timeout=None):
        """Run one request, together with others where possible.

        Args:
            signature: a `Signature`.
            arrays: input name -> array.
            timeout: seconds to wait for the answer.

        Returns:
            Output name -> array.

        Raises:
            TimeoutError: if there is no answer in time.
            ClosedError: after `close`.
            Exception: whatever the model raised for these inputs.
        """
        lengths = {len(a) for a in arrays.values() if a.ndim}
        rows = lengths.pop() if signature.is_batched and len(lengths) == 1 else 0
        job = _Job(signature, arrays, rows)
        with self._changed:
            if self._closed:
                raise ClosedError("The server is shutting down")
            self.requests += 1
            self._queue.append(job)
            self._changed.notify_all()
        if not job.done.wait(timeout):
            job.abandoned = True
            raise TimeoutError(f"no answer within {timeout:g} s")
        if job.error is not None:
            raise job.error
        return job.outputs

    def close(self):
        """Finish what is queued, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=60)

    def _work(self):
        while batch := self._next_batch():
            for job, result in zip(batch, self._run_together(batch)):
                if isinstance(result, Exception):
                    job.error = result
                else:
                    job.outputs = result
                job.done.set()

    def _next_batch(self):
        """The oldest job and those that fit it; an empty list once closed and idle."""
        deadline = None
        with self._changed:
            while True:
                self._queue = [job for job in self._queue if not job.abandoned]
                batch = self._fitting()
                if batch:
                    deadline = deadline or time.monotonic() + self.timeout
                    remaining = deadline - time.monotonic()
                    is_full = sum(job.rows for job in batch) >= self.max_batch_size
                    all_here = len(self._queue) >= self._arrived
                    if is_full or all_here or remaining <= 0 or self._closed:
                        self._queue = [job for job in self._queue if job not in batch]
                        return batch
                    self._changed.wait(remaining)
                elif self._closed:
                    return []
                else:
                    deadline = None
                    self._changed.wait()

    def _fitting(self):
        if not self._queue:
            return []
        first = self._queue[0]
        batch, rows = [first], first.rows
        if first.rows:
            for job in self._queue[1:]:
                if job.key == first.key and rows + job.rows <= self.max_batch_size:
                    batch.append(job)
                    rows += job.rows
        return batch

    def _run_together(self, batch):
        """One run for all; if that fails or mixes up rows, one for each, so that a bad request spoils no other."""
        if len(batch) > 1:
            try:
                return self._run_concatenated(batch)
            except Exception:  # noqa: BLE001 - each job gets its own error below
                pass
        return [self._run_one(job) for job in batch]

    def _run_one(self, job):
        self.runs += 1
        try:
            return self.run(job.arrays, job.signature.name)
        except Exception as error:  # noqa: BLE001 - handed to the request
            return error

    def _run_concatenated(self, batch):
        first = batch[0]
        arrays = {name: np.concatenate([job.arrays[name] for job in batch]) for name in first.arrays}
        self.runs += 1
        outputs = self.run(arrays, first.signature.name)
        rows = [job.rows for job in batch]
        if any(len(output) != sum(rows) for output in outputs.values()):
            raise ValueError("the outputs have another batch size than the inputs")
        cuts = np.cumsum(rows)[:-1]
        parts = {name: np.split(output, cuts) for name, output in outputs.items()}
        return [{name: part[i] for name, part in parts.items()} for i in range(len(batch))]
