"""Keeps a search in a file, each minute and at its end, and lets it go on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gorun_mem._version import VERSION
from gorun_mem.explore import checkpoint as files
from gorun_mem.explore.courses import Course
from gorun_mem.explore.detectors.load import files_of
from gorun_mem.explore.failure import Detector
from gorun_mem.explore.settings import SearchSettings
from gorun_mem.explore.tally import SearchTally
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker


class GoneOn(NamedTuple):
    """Where a search goes on.

    Args:
        seconds: of real time that it has taken.
        spent: schedules that its first runs took of the budget.
        course: what is left to do; None where it ended before there was a course.
    """

    seconds: float
    spent: int
    course: Course | None


class SearchFile:
    """The file of one search.

    Args:
        path: of the file.
        settings: how it is searched.
        detectors: what makes the detectors.
    """

    def __init__(
        self,
        path: Path,
        settings: SearchSettings,
        detectors: Sequence[Callable[[], Detector]],
    ) -> None:
        self._keeper = files.Keeper(path)
        self._settings = settings
        self._detectors = detectors

    def keep(self, last: bool, worker: Worker, tally: SearchTally, now: GoneOn) -> None:
        """Write the file, if it is time to or the last.

        Raises:
            CheckpointError: it cannot be written.
        """
        self._keeper.keep(last, lambda: self._kept(worker, tally, now))

    def _kept(self, worker: Worker, tally: SearchTally, now: GoneOn) -> files.Kept:
        statistics, facts = tally.statistics, tally.facts
        kept = files.Kept(
            VERSION,
            self._program(worker.target),
            self._how(),
            worker.target.host,
            now.seconds,
            now.spent,
            statistics.walks,
            statistics.space,
            list(facts.histories),
            facts.canary_found,
            files.saved_profile(worker.profile),
            files.saved_batch(tally.batch),
        )
        if tally.walked is not tally.batch:
            kept.walked = files.saved_batch(tally.walked)
        if now.course is not None:
            files.save_course(now.course, kept)
        return kept

    def go_on(self, worker: Worker, tally: SearchTally) -> GoneOn | None:
        """Let a search stand where the file says; None where there is no file.

        Raises:
            CheckpointError: it is none of this search.
        """
        path = self._keeper.path
        kept = files.read(path)
        if kept is None:
            return None
        files.check(path, kept, self._program(worker.target), self._how())
        try:
            return self._restored(kept, worker, tally)
        except files.CheckpointError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise files.CheckpointError(
                f"{path} is damaged ({type(error).__name__}: {error}): begin anew with another file"
            ) from None

    def _restored(self, kept: files.Kept, worker: Worker, tally: SearchTally) -> GoneOn:
        """What a file says, whose values are of the right types and may yet make no sense."""
        statistics, facts = tally.statistics, tally.facts
        if kept.host:
            worker.target.control_trio()
        statistics.walks, statistics.space = kept.walks, kept.space
        facts.histories, facts.canary_found = tuple(kept.histories), kept.canary
        if kept.profile is not None:
            worker.profile = files.restored_profile(kept.profile)
        for saved, batch in ((kept.batch, tally.batch), (kept.walked, tally.walked)):
            if saved is not None:
                files.restore_batch(saved, batch)
        course = files.restored_course(kept)
        budget = self._settings.budget
        if course is not None:
            course.extend(None if budget is None else max(budget - kept.spent, 0))
        return GoneOn(kept.seconds, kept.spent, course)

    def _program(self, target: Target) -> dict[str, Any]:
        return files.program_of(target, files_of(self._detectors))

    def _how(self) -> dict[str, Any]:
        """What beside the program decides which schedules there are."""
        settings = self._settings
        return {
            "strategy": settings.strategy,
            "seed": settings.seed,
            "bound": settings.bound,
            "bound of steps": settings.steps_max,
            "failures": settings.failures_max,
            "canary": settings.canary,
            "detectors": ", ".join(map(files.name_of, self._detectors)),
        }
