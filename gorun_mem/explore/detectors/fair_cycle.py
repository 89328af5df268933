"""Livelock: Ms that go round in a fair cycle, each keeping the others from getting on.

A run shows it where the last steps before some point are the same steps by the same Ms, `ROUNDS`
times running, and in that cycle everybody who can go makes a step, somebody tries in vain, nothing
is drawn and nobody sleeps for a time. What draws or sleeps may end otherwise the next time, as
backing off by chance does. No run does this by accident: searches make such runs on purpose, from a
run that looked as if it could (`Cycles`), and go round until the bound of steps before they report
it; a run that ends by itself before is no livelock.

Source: M. Musuvathi, S. Qadeer, "Fair Stateless Model Checking", PLDI 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gorun_mem.explore.detectors.watch import in_words, watch
from gorun_mem.explore.failure import Finding
from gorun_mem.runtime.kinds import kind_of
from gorun_mem.runtime.op import MORE, PARKED, Op
from gorun_mem.step.task import Task, who

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

ROUNDS: Final = 16
"""How often a cycle is gone round in a run that shows a livelock."""
PERIOD_MAX: Final = 64
"""Steps of a longer cycle are not looked for."""
STEPS_MAX: Final = 3_000
"""Of a run are looked at: more than those of a stem and of all rounds that searches make."""
_TIMED: Final = frozenset({"sleep", "compute"})


def in_vain(kind: str, result: object) -> bool:
    """Whether a step is one by which an M says that it could not get on.

    A try that failed answers False; an M that yields or spins waits for others.
    """
    return result is False or (kind_of(kind).waits and result is not MORE)


class FairCycle:
    """Finds runs that go round in a fair cycle; kind "livelock"."""

    name = "fair_cycle"
    usual: ClassVar[int] = 90
    flushes = True
    screened = "made"

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._watch = watch(world)
        self._engine: Any = world.engine
        self._steps: list[tuple[int, str, str]] = []
        self._vain: list[bool] = []
        self._able: list[frozenset[int]] = []
        self._draws: list[int] = []
        self._places: dict[int, str] = {}

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Note the step, and who could go after it."""
        if len(self._steps) >= STEPS_MAX:
            return
        engine = self._engine
        self._steps.append((task.id, kind, obj))
        self._vain.append(in_vain(kind, result))
        self._able.append(frozenset([one.id for one in engine.runnable]))
        self._draws.append(engine.draws)
        if result is not MORE and result is not PARKED:
            self._places[task.id] = in_words(self._watch.place(task.id))

    def end(self, world: World) -> Sequence[Finding]:
        """The first fair cycle that was gone round often enough."""
        steps = self._steps
        if len(steps) < 2 * ROUNDS or not any(self._vain):
            return ()
        for period in range(2, PERIOD_MAX + 1):
            least = period * (ROUNDS - 1)
            alike = 0
            for at in range(period, len(steps)):
                alike = alike + 1 if steps[at] == steps[at - period] else 0
                if alike >= least and self._is_fair(at + 1 - period * ROUNDS, at + 1, period):
                    return (self._finding(at + 1, period),)
        return ()

    def _is_fair(self, first: int, end: int, period: int) -> bool:
        """Whether the steps from `first` on are a fair cycle of several Ms that draws nothing."""
        ms = {m for m, _, _ in self._steps[first : first + period]}
        if len(ms) < 2 or self._draws[first] != self._draws[end - 1]:
            return False
        if any(kind in _TIMED for _, kind, _ in self._steps[first : first + period]):
            return False
        if not any(self._vain[first : first + period]):
            return False
        return all(able <= ms for able in self._able[first:end])

    def _finding(self, end: int, period: int) -> Finding:
        cycle = self._steps[end - period : end]
        ms = sorted({m for m, _, _ in cycle})
        each = []
        for m in ms:
            own = [f"{kind} {obj}" for who, kind, obj in cycle if who == m]
            kept = [own[0], *[b for a, b in pairwise(own) if a != b]]
            each.append(f"{who(m)} ({', '.join(kept)}) at {self._places.get(m, '')}".rstrip())
        text = (
            f"livelock: the same {period} steps go round for ever, and everybody who can go "
            f"goes in each round: {'; '.join(each)}"
        )
        objs = sorted({obj for _, kind, obj in cycle if not kind_of(kind).local})
        return Finding("livelock", ", ".join(objs), "", text, tuple(ms), end)


class Cycles:
    """Finds nothing, and notes where a run went round once, so that it might go on to.

    Attributes:
        found: of the run: how many steps before the cycle, whose step it is in the cycle, and what
            steps these are.
    """

    name = "cycles"
    flushes = True
    MOST: Final = 8
    """Cycles of one run."""
    STEPS: Final = 1_000
    """Of a run are looked at."""

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._steps: list[tuple[int, str, str]] = []
        self._vain: dict[tuple[int, str, str], list[int]] = {}
        self.found: list[tuple[int, tuple[int, ...], tuple[tuple[int, str, str], ...]]] = []

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Note the step."""
        at = len(self._steps)
        if at >= self.STEPS:
            return
        step = (task.id, kind, obj)
        self._steps.append(step)
        if in_vain(kind, result):
            self._vain.setdefault(step, []).append(at)

    def end(self, world: World) -> Sequence[Finding]:
        """Nothing; see `found`."""
        following = self._following() if any(len(at) > 1 for at in self._vain.values()) else []
        for tries in self._vain.values():
            for number, first in enumerate(tries[:-1]):
                for last in tries[number + 1 : number + 4]:
                    self._consider(first + 1, last + 1, following)
                    if len(self.found) >= self.MOST:
                        return ()
        return ()

    def _following(self) -> list[dict[int, tuple[int, str, str]]]:
        """Before each step, the next one of each M."""
        upcoming: dict[int, tuple[int, str, str]] = {}
        following = [upcoming]
        for step in reversed(self._steps):
            upcoming = {**upcoming, step[0]: step}
            following.append(upcoming)
        following.reverse()
        return following

    def _consider(
        self, first: int, end: int, following: list[dict[int, tuple[int, str, str]]]
    ) -> None:
        """Whether each M that went in between is about to do the same again."""
        if end - first > PERIOD_MAX:
            return
        cycle = self._steps[first:end]
        ms = {m for m, _, _ in cycle}
        if len(ms) < 2 or any(kind in _TIMED for _, kind, _ in cycle):
            return
        before, after = following[first], following[end]
        if all(before[m] == after.get(m) for m in ms):
            self.found.append((first, tuple([m for m, _, _ in cycle]), tuple(cycle)))
