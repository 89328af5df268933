"""The workers of a Dask cluster as the crew of a search."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from gorun_mem._version import VERSION
from gorun_mem.explore.dask import ClusterError, DaskCluster, DaskJob
from gorun_mem.explore.detectors.load import files_of
from gorun_mem.explore.failure import Detector
from gorun_mem.explore.naming import code_of
from gorun_mem.explore.target import Target
from gorun_mem.explore.work import Work, Yielded, perform
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import ConfigError
from gorun_mem.scripts.sent import SentFile, moved, sent_files, unpacked

if TYPE_CHECKING:
    from gorun_mem.explore.parallel import WorkerSettings

_lock = threading.Lock()
"""A worker of Dask's may have several threads; a World wants one at a time."""
_workers: dict[str, Worker] = {}
"""By key of a program, who runs it in this process; the last one only."""


@dataclass(frozen=True, slots=True)
class SentProgram:
    """What a worker is told of a search.

    Args:
        key: no other search has it.
        version: of this package.
        about: names the program and its settings.
        detectors: what makes the detectors.
        settings: other arguments of `Worker`, without a deadline.
        files: the user's.
    """

    key: str
    version: str
    about: Mapping[str, Any]
    detectors: tuple[Callable[[], Detector], ...]
    settings: WorkerSettings
    files: tuple[SentFile, ...]


def do_there(program: SentProgram, work: Work, left_s: float | None) -> Yielded:
    """Do a piece of work, in a worker.

    Args:
        program: which search it is of.
        work: the piece.
        left_s: seconds that are left for it; None for any number.
    """
    done = Yielded()
    with _lock:
        worker = _worker_for(program)
        worker.deadline = None if left_s is None else time.time() + left_s
        with worker.watchdog():
            perform(worker, work, done)
    return done


def _worker_for(program: SentProgram) -> Worker:
    worker = _workers.get(program.key)
    if worker is None:
        if program.version != VERSION:
            raise ClusterError(
                f"a worker has version {VERSION} of gorun_mem, and this is {program.version}: "
                "install the same one there"
            )
        places = unpacked(program.files)
        try:
            target = Target.from_about(moved(program.about, places))
            worker = Worker(target, moved(program.detectors, places), **program.settings)
        except ValueError as error:  # scenarios, settings, locks and policies say so
            said = str(error)
            for name, place in places.items():
                said = said.replace(place, name)
            raise ClusterError(
                f"a worker cannot use the program: {said}; what a file imports has to be "
                "installed there, for only files that are named on the command line are sent"
            ) from None
        _workers.clear()
        _workers[program.key] = worker
    return worker


class Cluster:
    """The workers of a cluster; a context manager, and a `Crew`.

    Args:
        address: of the scheduler.
        target: the program.
        detectors: what makes the detectors.
        settings: other arguments of each `Worker`.

    Raises:
        ConfigError: other processes cannot find the program.
        ClusterError: the cluster cannot be reached.
    """

    shows = False

    def __init__(
        self,
        address: str,
        target: Target,
        detectors: Sequence[Callable[[], Detector]],
        settings: WorkerSettings,
    ) -> None:
        if not target.importable:
            raise ConfigError(
                f"a cluster: other machines cannot import {target.name}; put it at the top of a "
                "module that is installed there, or into a scenario's file"
            )
        about = target.about
        options = about.get("options", {}).values()
        files = sent_files((*code_of(about), *options, *files_of(detectors)))
        self._deadline = settings["deadline"]
        self._dask = DaskCluster(address)
        self._program = SentProgram(
            f"{time.time_ns()}", VERSION, about, tuple(detectors),
            {**settings, "deadline": None}, files,
        )  # fmt: skip
        self._handed_out: list[DaskJob] = []

    @property
    def ahead(self) -> int:
        """As many pieces as keep every worker busy."""
        return 2 * max(self._dask.workers, 1)

    @property
    def interrupted(self) -> Callable[[], bool]:
        """Whether Ctrl-C came."""
        return self._dask.interrupted

    @interrupted.setter
    def interrupted(self, asked: Callable[[], bool]) -> None:
        self._dask.interrupted = asked

    def submit(self, work: Work) -> DaskJob:
        """See `Crew`."""
        left_s = None if self._deadline is None else self._deadline - time.time()
        job = self._dask.submit(do_there, self._program, work, left_s)
        self._handed_out.append(job)
        return job

    def result(self, job: DaskJob) -> Yielded:
        """See `Crew`.

        Raises:
            ClusterError: there is nobody any more to do it.
        """
        done: Yielded = self._dask.result(job)
        self._handed_out.remove(job)
        return done

    def partly(self, job: DaskJob) -> Yielded | None:
        """See `Crew`: nothing, what is under way is far away."""
        return None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._dask.cancel(self._handed_out)
        self._dask.__exit__(kind, error, traceback)
