"""The nearest schedule that passes, beside one that fails, and the first difference that counts.

Schedules near a failing one are those that decide otherwise in one place: another M goes there, or
another value is drawn, and what comes behind follows the tape as far as that fits, or goes plainly.
If none of these passes, one M's block of steps is moved to where the M goes before or behind, two
decisions are changed, and at last the plainest schedule and some random ones are tried. Of those
that pass the nearest is the one that decides otherwise in the fewest places; of equals the one that
differs latest, where what goes wrong is decided, and then the one with fewer switches.

A schedule passes if the run ends well and no detector finds anything in it. Some programs have a
race, say, in every schedule; then one that fails by itself is held against one that ends well but
for what the detectors find, which is said.

What it costs is bounded: `TRIES_MAX` runs of `STEPS_ALL_MAX` steps in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, pairwise
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.drive import OF_THE_SEARCH, Execution, replay, run_once
from gorun_mem.explore.failure import Detector, Failure
from gorun_mem.explore.parted import Parted, first_step, part
from gorun_mem.explore.shrink import merged_orders
from gorun_mem.explore.sights import Sights
from gorun_mem.step.schedule import Schedule, Step, stripped
from gorun_mem.step.strategies.random import RandomWalk
from gorun_mem.step.strategies.replay import Order

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target

TRIES_MAX: Final = 400
STEPS_ALL_MAX: Final = 200_000
"""Steps of all tries."""
_LONGER: Final = 4
"""How many times longer than the failing run a try may be, and `_AT_LEAST` steps in any case."""
_AT_LEAST: Final = 400
_VALUES_MAX: Final = 4
"""Other values of a data choice that are tried."""
_PAIRS_MAX: Final = 120
_WALKS: Final = 24


@dataclass(frozen=True, slots=True)
class Passing:
    """A schedule that passes.

    Args:
        schedule: replays it.
        steps: its steps, and `sights` what they came to.
        tape: as `ExploringEngine.tape` has it.
        deviations: decisions in which it differs from the failing one.
        parted: the first difference that has an effect.
        parts_at: index of the first step that differs at all.
        but: what the detectors find in it all the same.
    """

    schedule: Schedule
    steps: tuple[Step, ...]
    sights: Sights
    tape: tuple[int, ...]
    deviations: int
    parted: Parted
    parts_at: int
    but: str


class Neighbours:
    """Looks for the nearest schedule that passes.

    Args:
        target: the program.
        failure: what the failing schedule leads to.
        detectors: that look at the runs beside the usual ones; those of the target if None.

    Attributes:
        tried: runs made.
        found: the nearest; None: none passes.
    """

    def __init__(
        self,
        target: Target,
        failure: Failure,
        detectors: Sequence[Callable[[], Detector]] | None = None,
    ) -> None:
        given = target.detectors if detectors is None else detectors
        more = [make for make in given if make not in DEFAULT_DETECTORS]
        makers = [*DEFAULT_DETECTORS, *more]
        self._target = target
        self._failure = failure
        self._detectors = [make() for make in makers]
        self._bound = max(_AT_LEAST, _LONGER * len(failure.steps))
        self._steps = 0
        self._seen: set[tuple[int, ...]] = set()
        self._by_itself = not failure.findings
        self._best: tuple[Any, ...] | None = None
        self._tape = failure.schedule.tape
        self.tried = 0
        self.found: Passing | None = None

    def look(self) -> Passing | None:
        """The nearest schedule that passes; None where the failing one does not fail again, or none
        is found."""
        self._seen.add(self._tape)
        first = self._run(self._tape)
        if first is None or first.signature != self._failure.signature or first.divergence:
            return None
        self._by_itself = first.world.failure is not None
        ways = (self._one_changed, self._one_moved, self._two_changed, self._elsewhere)
        for way in ways:
            for done in way():
                if done is not None:
                    self._judge(done)
                if self.tried >= TRIES_MAX or self._steps >= STEPS_ALL_MAX:
                    return self.found
            if self.found is not None and not self.found.but:
                return self.found
        return self.found

    # Which are tried.

    def _places(self) -> list[tuple[int, int]]:
        """Changes of the tape: place and number, the latest first."""
        changes = []
        place = 0
        for step in self._failure.steps:
            if len(step.enabled) > 1:
                changes += [(place, m + 1) for m in step.enabled if m != step.m]
                place += 1
            for _, n, value in step.choices:
                others = [v for v in range(n) if v != value]
                changes += [(place, other) for other in others[:_VALUES_MAX]]
                place += 1
        return changes[::-1]

    def _one_changed(self) -> Iterator[Execution | None]:
        for place, number in self._places():
            tape = _changed(self._tape, place, number)
            yield self._try(tape)
            yield self._try(tape[: place + 1])

    def _one_moved(self) -> Iterator[Execution | None]:
        steps = self._failure.steps
        values = [value for step in steps for _, _, value in step.choices]
        for order in merged_orders(steps, across=True):
            yield self._run_by(Order(order, values))

    def _two_changed(self) -> Iterator[Execution | None]:
        changes = self._places()
        for (late, number), (early, other) in islice(combinations(changes, 2), _PAIRS_MAX):
            if late > early:
                tape = _changed(_changed(self._tape, late, number), early, other)
                yield self._try(tape)

    def _elsewhere(self) -> Iterator[Execution | None]:
        yield self._try(())
        for seed in range(_WALKS):
            yield self._run_by(RandomWalk(seed))

    # One try.

    def _try(self, tape: Sequence[int]) -> Execution | None:
        key = stripped(tape)
        if key in self._seen:
            return None
        self._seen.add(key)
        return self._run(key)

    def _run(self, tape: tuple[int, ...]) -> Execution | None:
        return self._made(
            lambda sights: replay(
                self._target, Schedule(tape), detectors=[*self._detectors, sights],
                on_divergence="default", steps_max=self._bound,
            )
        )  # fmt: skip

    def _run_by(self, strategy: Any) -> Execution | None:
        return self._made(
            lambda sights: run_once(
                self._target, strategy, detectors=[*self._detectors, sights], transcribe=True,
                steps_max=self._bound,
            )
        )  # fmt: skip

    def _made(self, run: Callable[[Sights], Execution]) -> Execution | None:
        self.tried += 1
        self._sights = Sights()
        try:
            done = run(self._sights)
        except OF_THE_SEARCH:
            return None
        self._steps += done.steps
        return done

    def _judge(self, done: Execution) -> None:
        """Keep it if it passes and is nearer than what is kept."""
        if done.foreign or done.transcriber is None or done.world.failure is not None:
            return
        but = ""
        if done.signature is not None:
            if not self._by_itself:
                return
            but = str(done.signature)
        tape = tuple(done.transcriber.tape)
        deviations = _deviations(self._tape, tape)
        if self._best is not None and (bool(but), deviations) > self._best[:2]:
            return
        steps = done.named_steps
        parted = part(self._failure.steps, steps, entangled=self._target.host == "trio")
        if parted is None:
            return
        switches = sum(a.m != b.m for a, b in pairwise(steps))
        rank = (bool(but), deviations, -parted.at, switches, len(steps), stripped(tape))
        if self._best is not None and rank >= self._best:
            return
        self._best = rank
        self.found = Passing(
            done.transcriber.schedule(self._target.about), steps, self._sights,
            tuple(done.tape), deviations, parted, first_step(self._failure.steps, steps), but,
        )  # fmt: skip


def _changed(tape: Sequence[int], place: int, number: int) -> tuple[int, ...]:
    padded = [*tape, *[0] * (place + 1 - len(tape))]
    padded[place] = number
    return tuple(padded)


def _deviations(tape: Sequence[int], other: Sequence[int]) -> int:
    """In how many places two tapes differ."""
    longest = max(len(tape), len(other))
    a, b = ([*one, *[0] * (longest - len(one))] for one in (tape, other))
    return sum(x != y for x, y in zip(a, b, strict=True))
