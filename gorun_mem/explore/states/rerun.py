"""The search of the states of a lock made of coroutines, breadth first, by running anew."""

from __future__ import annotations

from collections.abc import Callable

from gorun_mem.explore.states.coroutines import CoroutineRun, branches
from gorun_mem.explore.states.examine import Examined, TraceStep, names_of
from gorun_mem.explore.states.search import Progress

Path = tuple[tuple[int, tuple[int, ...]], ...]
"""For each step the M's place, and which of its steps it made."""
TELL_EVERY = 64


class RerunSearch:
    """Searches the states of a lock of coroutines.

    Args:
        make: starts the Ms on a new lock.
        states_max: a bound of states.
        progress: told now and then.
    """

    def __init__(
        self, make: Callable[[], CoroutineRun], states_max: int, progress: Progress | None
    ) -> None:
        self.make = make
        self.states_max = states_max
        self.progress = progress
        self.found = Examined()
        self.found.guesses.symmetry = False

    def come_to(self, path: Path) -> CoroutineRun:
        """A run that has made these steps."""
        run = self.make()
        for place, branch in path:
            run.step(place, branch)
        return run

    def run(self) -> Examined:
        """Visit every state; stop at the first that is wrong."""
        found, start = self.found, self.make()
        number = {start.state(): 0}
        paths: list[Path] = [()]
        before: list[list[int]] = [[]]
        ends: list[int] = []
        at = 0
        while at < len(paths):
            if self.progress is not None and not at % TELL_EVERY:
                self.progress(len(paths), len(paths) - at)
            if len(paths) > self.states_max:
                break
            wrong = self._expand(at, number, paths, before, ends)
            if wrong:
                found.wrong = wrong
                break
            at += 1
        found.complete = at == len(paths)
        found.states = len(paths)
        found.steps = sum(map(len, before))
        if found.complete and not found.wrong:
            stuck = _not_ending(before, ends)
            if stuck >= 0:
                found.trace = self.trace(paths[stuck])
                found.wrong = (
                    "no progress: from here on the Ms go on for ever, and none gets through"
                )
        return found

    def _expand(
        self,
        at: int,
        number: dict[object, int],
        paths: list[Path],
        before: list[list[int]],
        ends: list[int],
    ) -> str:
        """Make every step from a state; what goes wrong."""
        path, found = paths[at], self.found
        here = self.come_to(path)
        able = here.able()
        if not able:
            waiting = [place for place, left in enumerate(here.left) if left]
            wrong = f"deadlock: {names_of(waiting)} for ever" if waiting else here.wrong_end()
            here.close()
            ends.append(at)
            if wrong:
                self.found.trace = self.trace(path)
            return wrong
        for place in able:
            for call in range(len(here.choices(place))):
                todo: list[tuple[int, ...]] = [()]
                while todo:
                    draws = todo.pop()
                    run = self.come_to(path)
                    _, wrong = run.step(place, (call, *draws))
                    todo.extend(branches(run.drawn(), run.sched.values, len(draws)))
                    step = (place, (call, *[value for _, value in run.drawn()]))
                    if wrong:
                        self.found.trace = self.trace((*path, step))
                        run.close()
                        here.close()
                        return wrong
                    found.full = found.full or here.full or run.full
                    state = run.state()
                    there = number.get(state)
                    if there is None:
                        there = number[state] = len(paths)
                        paths.append((*path, step))
                        before.append([])
                    before[there].append(at)
                    run.close()
        here.close()
        return ""

    def trace(self, path: Path) -> list[TraceStep]:
        """The steps of a path, as they happened."""
        run, steps = self.make(), []
        for place, branch in path:
            text, wrong = run.step(place, branch)
            common = None if wrong else run.common()
            steps.append(TraceStep(place, branch, text, tuple(run.told), common, wrong))
        run.close()
        return steps


def _not_ending(before: list[list[int]], ends: list[int]) -> int:
    """The first state from which no end can be reached; -1 if there is none."""
    good = bytearray(len(before))
    for end in ends:
        good[end] = 1
    todo = list(ends)
    while todo:
        for earlier in before[todo.pop()]:
            if not good[earlier]:
                good[earlier] = 1
                todo.append(earlier)
    return good.find(0)
