"""Who does the work of a search: this process, others beside it, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gorun_mem.explore.conduct import Crew, Here
from gorun_mem.explore.failure import Detector
from gorun_mem.explore.settings import SearchSettings
from gorun_mem.explore.worker import Worker

if TYPE_CHECKING:
    from gorun_mem.explore.parallel import WorkerSettings


@contextmanager
def crew_of(
    worker: Worker, detectors: Sequence[Callable[[], Detector]], settings: SearchSettings
) -> Iterator[Crew]:
    """The crew of a search.

    Args:
        worker: this process's.
        detectors: what makes the detectors of others.
        settings: of the search.

    Raises:
        ConfigError: others cannot find the program, or cannot be reached.
    """
    if settings.jobs == 1 and not settings.cluster:
        yield Here(worker)
        return
    for_workers: WorkerSettings = {
        "seed": settings.seed,
        "steps_max": settings.steps_max,
        "profile": worker.profile,
        "deadline": worker.deadline,
        "failures_max": settings.failures_max,
        "watch_s": settings.watch_s,
    }
    if settings.cluster:
        from gorun_mem.explore.cluster import Cluster

        with Cluster(settings.cluster, worker.target, detectors, for_workers) as cluster:
            cluster.interrupted = worker.interrupted
            yield cluster
        return
    from gorun_mem.explore.parallel import Pool

    with Pool(worker.target, detectors, settings.jobs, for_workers) as pool:
        pool.interrupted = worker.interrupted
        yield pool
