"""Cells of a sweep done by the workers of a Dask cluster."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from gorun_mem._version import VERSION
from gorun_mem.explore.dask import ClusterError, DaskCluster, DaskJob
from gorun_mem.scripts.sent import SentFile, moved, sent_files, unpacked
from gorun_mem.step.schedule import Schedule, ScheduleError
from gorun_mem.sweep.spread import Spread
from gorun_mem.sweep.verbs import CellDone, SweepCell, do

AHEAD: Final = 4
"""Cells that wait for each worker."""

_lock = threading.Lock()
"""A worker of Dask's may have several threads; a World wants one at a time."""


def over_cluster(address: str) -> Spread:
    """What does cells in a cluster.

    Args:
        address: of its scheduler, as tcp://HOST:PORT.
    """
    return partial(_in_cluster, address)


def do_there(version: str, files: Sequence[SentFile], cell: SweepCell) -> CellDone:
    """Do a cell, in a worker; what comes of it has the names of files that the user gave."""
    if version != VERSION:
        raise ClusterError(
            f"a worker has version {VERSION} of gorun_mem, and this is {version}: install the same "
            "one there"
        )
    with _lock:
        places = unpacked(files)
        done = do(
            replace(cell, subject=moved(cell.subject, places), options=moved(cell.options, places))
        )
    _name_back(done, {place: name for name, place in places.items()})
    return done


def _name_back(done: CellDone, names: Mapping[str, str]) -> None:
    for place, name in names.items():
        done.error = done.error.replace(place, name)
        done.facts = {key: text.replace(place, name) for key, text in done.facts.items()}
    token = done.facts.get("token", "")
    if token and names:
        try:
            schedule = Schedule.from_token(token)
        except ScheduleError:
            return
        done.facts["token"] = replace(schedule, about=moved(schedule.about, names)).token()


def _in_cluster(
    address: str, work: object, given: Sequence[SweepCell]
) -> Iterator[tuple[int, CellDone]]:
    """See `Spread`; the work is `do`."""
    left = enumerate(given)
    under_way: dict[DaskJob, int] = {}
    if not given:
        return
    with DaskCluster(address) as dask:
        try:
            while True:
                while len(under_way) < AHEAD * max(dask.workers, 1) and (item := next(left, None)):
                    place, cell = item
                    files = sent_files((cell.subject, *cell.options.values()))
                    under_way[dask.submit(do_there, VERSION, files, cell)] = place
                if not under_way:
                    return
                job = dask.first(list(under_way))
                done: CellDone = dask.result(job)
                yield under_way.pop(job), done
        finally:
            dask.cancel(under_way)
