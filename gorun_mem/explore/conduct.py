"""Conducts a search: hands out the work of a course, and takes in what comes of it, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.courses import Course
from gorun_mem.explore.work import Work, Yielded, perform
from gorun_mem.explore.worker import Worker


class Crew(Protocol):
    """Does pieces of work somewhere.

    Attributes:
        shows: it says by itself how many schedules were run.
    """

    shows: bool

    @property
    def ahead(self) -> int:
        """How many pieces it is to have at once."""

    def submit(self, work: Work) -> Any:
        """Take a piece of work; returns what `result` is asked with."""

    def result(self, job: Any) -> Yielded:
        """What came of it. What was lost is done again.

        Raises:
            KeyboardInterrupt: Ctrl-C; the crew may have a part, in `partly`.
        """

    def partly(self, job: Any) -> Yielded | None:
        """What there is of work that was interrupted."""


class Here:
    """This process, which does each piece when it is asked for the result.

    Args:
        worker: does it.
    """

    ahead = 1
    shows = True

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def submit(self, work: Work) -> tuple[Work, Yielded]:
        """See `Crew`."""
        return work, Yielded()

    def result(self, job: tuple[Work, Yielded]) -> Yielded:
        """See `Crew`."""
        work, done = job
        perform(self._worker, work, done)
        return done

    def partly(self, job: tuple[Work, Yielded]) -> Yielded | None:
        """See `Crew`."""
        return job[1]


def conduct(
    course: Course,
    crew: Crew,
    take: Callable[[Batch], bool],
    keep: Callable[[bool], None],
) -> None:
    """Run a course to its end, or until enough was found.

    Args:
        course: what to do.
        crew: does it.
        take: takes in what came of some schedules, and says whether to go on.
        keep: called with everything told taken in, and nothing besides; with True at the end.

    Raises:
        KeyboardInterrupt: Ctrl-C; what was run until then has been taken in.
    """
    waiting: deque[tuple[Work, Any]] = deque()
    goes_on = True
    while goes_on:
        while len(waiting) < crew.ahead and (work := course.next_work()) is not None:
            waiting.append((work, crew.submit(work)))
        if not waiting:
            break
        work, job = waiting.popleft()
        try:
            done = crew.result(job)
            shorter = course.shortened(work, done)
            if shorter is not None:
                job = crew.submit(shorter)
                done = crew.result(job)
        except KeyboardInterrupt:
            course.put_back()
            keep(True)
            _take_all(crew.partly(job), take)
            raise
        if done.is_cut:
            course.put_back()
            keep(True)
            _take_all(done, take)
            return
        course.tell(work, done)
        for batch in done.batches:
            goes_on = goes_on and take(batch)
        keep(False)
    course.put_back()
    keep(True)


def _take_all(done: Yielded | None, take: Callable[[Batch], bool]) -> None:
    for batch in done.batches if done is not None else ():
        take(batch)
