"""Work spread over processes of this machine.

Work is a function at the top of a module and what it is given: both are pickled, and whoever has
other machines needs no more. `Spread` is that seam.

Processes leave Ctrl-C to this one; what was done by then has been yielded. What is under way then
is ended with its process: a piece may take an hour.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from gorun_mem.machine.processes import Processes

Given = TypeVar("Given")
Done = TypeVar("Done")

POLL_S: Final = 0.1
"""How often this process looks for Ctrl-C."""
AHEAD: Final = 4
"""Pieces of work that wait for each process: what Ctrl-C has to throw away."""


class Spread(Protocol):
    """Does pieces of work somewhere."""

    def __call__(
        self, work: Callable[[Any], Any], given: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yield (place in `given`, what `work` made of it) as each is done, in any order."""
        ...


def here(work: Callable[[Given], Done], given: Sequence[Given]) -> Iterator[tuple[int, Done]]:
    """In this process, one after the other."""
    for place, each in enumerate(given):
        yield place, work(each)


def over_processes(processes: int) -> Spread:
    """What does it in so many processes; in this one where that is one."""
    return here if processes <= 1 else partial(_in_processes, processes)


def _in_processes(
    processes: int, work: Callable[[Given], Done], given: Sequence[Given]
) -> Iterator[tuple[int, Done]]:
    if not given:
        return
    processes = min(processes, len(given))
    executor = Processes(processes)
    before = set(multiprocessing.active_children())
    left = enumerate(given)
    under_way: dict[Future[Done], int] = {}
    try:
        executor.start()
        while True:
            while len(under_way) < AHEAD * processes and (item := next(left, None)) is not None:
                under_way[executor.submit(work, item[1])] = item[0]
            if not under_way:
                return
            for future in wait(under_way, POLL_S, FIRST_COMPLETED).done:
                yield under_way.pop(future), future.result()
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
