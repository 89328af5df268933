"""A Dask cluster as it is talked to: what a search and a sweep do there is pieces of work alike.

The scheduler is whoever the user's command line names. Whoever can reach a scheduler of Dask's can
run code on its workers, so it is the user who sees to it that only friends can.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from types import TracebackType
from typing import Any, Final

from gorun_mem.machine.config import ConfigError

CONNECT_S: Final = 5.0
"""Seconds within which the scheduler has to answer."""
WORKERS_S: Final = 60.0
"""Seconds for which there may be no worker at all."""
POLL_S: Final = 0.1
"""How often it is looked for Ctrl-C."""
LOST_MOST: Final = 3
"""So often the scheduler may give up on the same piece of work; it tries several workers each
time."""
NEEDED: Final = "a cluster needs Dask: pip install 'gorun-mem[cluster]'"


class ClusterError(ConfigError):
    """The cluster cannot be reached, or cannot do the work."""


class DaskJob:
    """Work that was handed out.

    Attributes:
        arguments: what it was handed out with.
        future: Dask's.
        lost: how often the scheduler has given up on it.
    """

    __slots__ = ("arguments", "future", "lost")

    def __init__(self, arguments: Sequence[Any], future: Any) -> None:
        self.arguments = arguments
        self.future = future
        self.lost = 0


class DaskCluster:
    """A connection to a scheduler; a context manager.

    Args:
        address: as tcp://HOST:PORT.

    Raises:
        ClusterError: Dask is not installed, or nobody answers there, or there is no worker.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.interrupted: Callable[[], bool] = lambda: False
        self._done = threading.Event()
        try:
            self._dask: Any = import_module("distributed")
        except ImportError:
            raise ClusterError(NEEDED) from None
        if not address.startswith(("tcp://", "tls://")):
            raise ClusterError(f"--cluster {address}: must be an address as tcp://HOST:PORT")
        for name in ("distributed", "distributed.client", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what counts is raised here
        start = f"start one with `dask scheduler`, and workers with `dask worker {address}`"
        try:
            self._client: Any = self._dask.Client(
                address, timeout=CONNECT_S, set_as_default=False, name="gorun-mem"
            )
        except (OSError, TimeoutError, ValueError) as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ClusterError(f"no Dask scheduler at {address} ({why}): {start}") from None
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError:
            self._client.close()
            raise ClusterError(
                f"the scheduler at {address} has no worker: start some with `dask worker {address}`"
            ) from None

    @property
    def workers(self) -> int:
        """How many there are now, as far as is known."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def submit(self, function: Callable[..., Any], *arguments: Any) -> DaskJob:
        """Have `function` called with `arguments` by a worker."""
        sent = (function, *arguments)
        return DaskJob(sent, self._begin(sent))

    def _begin(self, sent: Sequence[Any]) -> Any:
        future = self._client.submit(*sent, pure=False)
        future.add_done_callback(lambda done: self._done.set())
        return future

    def first(self, jobs: Sequence[DaskJob]) -> DaskJob:
        """Wait for one of `jobs` to be done.

        Raises:
            KeyboardInterrupt: Ctrl-C.
            ClusterError: there is nobody any more to do them.
        """
        alone_since: float | None = None
        while True:
            self._done.clear()
            for job in jobs:
                if job.future.status != "pending":
                    return job
            if self.interrupted():
                raise KeyboardInterrupt
            if self._client.status != "running":
                raise ClusterError(f"the scheduler at {self.address} is gone")
            self._done.wait(POLL_S)
            if self.workers:
                alone_since = None
                continue
            now = time.monotonic()
            alone_since = now if alone_since is None else alone_since
            if now - alone_since > WORKERS_S:
                raise ClusterError(
                    f"the scheduler at {self.address} has had no worker for {WORKERS_S:g} s"
                )

    def result(self, job: DaskJob) -> Any:
        """What came of it; what is lost with a worker is done again.

        Raises:
            KeyboardInterrupt, ClusterError: as `first`.
        """
        while True:
            self.first([job])
            try:
                return job.future.result()
            except self._dask.KilledWorker:
                job.lost += 1
                if job.lost > LOST_MOST:
                    raise ClusterError(
                        "workers die over the same piece of work again and again; do it here to "
                        "see of what"
                    ) from None
                job.future = self._begin(job.arguments)
            except ModuleNotFoundError as error:
                raise ClusterError(
                    f"a worker of {self.address} cannot import {error.name}: what the program "
                    "needs has to be installed there too; of files, only those go that are named "
                    "on the command line"
                ) from None
            except self._dask.CancelledError:
                raise ClusterError(f"the scheduler at {self.address} is gone") from None

    def cancel(self, jobs: Iterable[DaskJob]) -> None:
        """Nothing matters of these any more."""
        futures = [job.future for job in jobs]
        if futures and self._client.status == "running":
            self._client.cancel(futures)

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()
