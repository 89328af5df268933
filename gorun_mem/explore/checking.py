"""Checking mode: do operations touch what they say, and no more?

An exhaustive search leaves out schedules that differ in the order of independent steps only, and
what is independent is what operations say: `obj` and `reads_only`. One that changes what it says it
only reads, or touches an object that it does not name, is a hole in the proof. So here the claim is
put to the test, for any operation whatever: a run is made again with two neighbouring steps, which
should be independent, in the other order, and the rest as it was.

    the run        ... M1 add A   M2 load B   M3 ...   M1 ...
    made again     ... M2 load B  M1 add A    M3 ...   M1 ...

Every step must name and give what it did before, the same Ms must be able to go after each, and the
run must end as before. Where it does not, one of the two touches what it does not say. Which one,
two runs cannot always tell: one that says it only reads has changed what the other gave; the
package's own operations are believed; else both are named.

Found is what some run shows: an operation that does what it should not only in a state that no run
here comes to is not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any, Final

from gorun_mem.explore.drive import run_once
from gorun_mem.explore.foreign import AwaitsTrio
from gorun_mem.explore.target import Target
from gorun_mem.machine.world import World
from gorun_mem.runtime.op import Op
from gorun_mem.step.strategies.searching import NonDeterminism
from gorun_mem.step.strategies.wakeup import dependent, object_of
from gorun_mem.step.task import Task, who

RUNS: Final = 8
"""Runs whose steps are changed round."""
PAIRS_MAX: Final = 64
"""Pairs of steps that are changed round in a run."""
STEPS_MAX: Final = 500
"""Steps of a run that are looked at."""

_PLAIN: Final = (bool, int, float, str, bytes, type(None), Enum)


@dataclass(frozen=True, slots=True)
class Named:
    """An operation by what it says of itself.

    Args:
        cls: its class, as "module.Class".
        kind: of the access.
        obj: what it says it touches.
        reads: whether it says that it only reads that.
    """

    cls: str
    kind: str
    obj: str
    reads: bool

    def __str__(self) -> str:
        only = ", which says it only reads" if self.reads else ""
        return f"{self.cls} ({self.kind} {self.obj}{only})"

    @property
    def is_ours(self) -> bool:
        """Whether it is one of the package's."""
        return self.cls.startswith("gorun_mem.")


@dataclass(frozen=True, slots=True)
class Lie:
    """Two operations that say they are independent, and are not.

    Args:
        op: the one that touches what it does not say, if that can be told; else either.
        other: what it was seen with.
        seen: what was different in the other order.
        sure: whether it can be told.
    """

    op: Named
    other: Named
    seen: str
    sure: bool

    def __str__(self) -> str:
        if self.sure:
            return f"{self.op} touches what it does not say: beside {self.other} {self.seen}"
        return (
            f"{self.op} or {self.other} touches what it does not say: in the other order "
            f"{self.seen}"
        )


@dataclass(slots=True)
class Checked:
    """What came of a check.

    Args:
        lies: what was found, one for each two operations.
        pairs: how many pairs of steps changed places.
        classes: the operations in these, by their class.
        runs: how many runs they were taken from.
    """

    lies: list[Lie] = field(default_factory=list)
    pairs: int = 0
    classes: set[str] = field(default_factory=set)
    runs: int = 0


@dataclass(slots=True)
class _CheckedStep:
    """A step that was made.

    Args:
        m: whose.
        op: the operation.
        named: by what it says.
        obj: what it counts as touching, "" for nothing.
        able: the operations that could have been stepped, by M.
        values: the data choices drawn until the next step.
        result: what it gave, as far as that can be compared.
    """

    m: int
    op: Op
    named: Named
    obj: str
    able: dict[int, tuple[Op, str, str]]
    values: list[int]
    result: object = None


class _Taken:
    """A strategy that takes steps as it is told, and at random after that; a detector as well."""

    name = "check"
    every_step = True

    def __init__(self, told: Sequence[_CheckedStep], random: Random) -> None:
        self.steps: list[_CheckedStep] = []
        self.refused = False
        self._told = told
        self._random = random
        self._whole_calls = True

    def begin(self, world: World) -> None:
        """A run is to begin."""
        self._whole_calls = world.config.granularity == "sync"

    def end(self, world: World) -> tuple[()]:
        """It has ended; there is nothing to be found in one run."""
        return ()

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom it is told.

        Raises:
            NonDeterminism: that M cannot go.
        """
        at = len(self.steps)
        if at < len(self._told):
            wanted = self._told[at].m
            task = next((task for task in runnable if task.id == wanted), None)
            if task is None:
                self.refused = True
                raise NonDeterminism(f"M{wanted} cannot go")
        elif self._told:
            raise NonDeterminism("the run goes on")
        else:
            task = runnable[int(self._random.random() * len(runnable))]
        op = task.op
        assert op is not None
        cls = type(op)
        named = Named(f"{cls.__module__}.{cls.__qualname__}", op.kind, op.obj, op.reads_only)
        obj = object_of(op.kind, op.obj, self._whole_calls)
        able = {other.id: (other.op, other.op.kind, other.op.obj) for other in runnable if other.op}
        self.steps.append(_CheckedStep(task.id, op, named, obj, able, []))
        return task

    def choice(self, n: int) -> int:
        """What it is told, by the step that draws it."""
        at = len(self.steps) - 1
        if at < 0 or at >= len(self._told):
            value = int(self._random.random() * n) if at >= 0 else 0
        else:
            told, drawn = self._told[at].values, len(self.steps[at].values)
            value = told[drawn] if drawn < len(told) and told[drawn] < n else 0
        if at >= 0:
            self.steps[at].values.append(value)
        return value

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """What a step gave."""
        self.steps[-1].result = result if isinstance(result, _PLAIN) else type(result).__name__


class _CheckedRun:
    """A run of the program: its steps, and how it ended."""

    def __init__(self, target: Target, told: Sequence[_CheckedStep], random: Random) -> None:
        taken = _Taken(told, random)
        self.error = ""
        self.timed = False
        self.is_cut = False
        try:
            done = run_once(target, taken, detectors=[taken], steps_max=STEPS_MAX)
        except NonDeterminism as error:
            self.is_cut = not taken.refused
            self.error = str(error)
        else:
            engine: Any = done.world.engine
            self.timed = engine.timed
            self.error = type(done.world.failure).__name__ if done.world.failure else ""
        self.steps = taken.steps


def check_operations(
    target: Target, *, runs: int = RUNS, pairs_max: int = PAIRS_MAX, seed: int = 0
) -> Checked:
    """Look for operations that do not say what they touch.

    Args:
        target: the program whose operations are to be checked.
        runs: how many of its runs to take, at random.
        pairs_max: how many pairs of steps to change round in each at most.
        seed: of everything that is drawn.
    """
    checked = Checked()
    found: dict[tuple[Named, Named], Lie] = {}
    for number in range(0 if target.host else runs):
        random = Random(f"{seed}/{number}")
        try:
            run = _CheckedRun(target, (), random)
        except AwaitsTrio:  # then any two steps count as dependent, whatever operations say
            target.control_trio()
            return Checked()
        if run.timed:  # who wakes when depends on the order of all steps
            continue
        checked.runs += 1
        # A failure ends the run before the step that it would change places with.
        last = len(run.steps) - (2 if run.error else 1)
        pairs = [at for at in range(last) if _should_commute(run.steps, at)]
        for at in sorted(random.sample(pairs, min(pairs_max, len(pairs)))):
            checked.pairs += 1
            checked.classes |= {step.named.cls for step in run.steps[at : at + 2]}
            lie = _changed_round(target, run, at)
            if lie is not None:
                found.setdefault((lie.op, lie.other), lie)
    checked.lies = list(found.values())
    return checked


def _should_commute(steps: Sequence[_CheckedStep], at: int) -> bool:
    """Whether step `at` and the next say that their order does not matter."""
    one, other = steps[at], steps[at + 1]
    if one.m == other.m or dependent(one.obj, one.named.reads, other.obj, other.named.reads):
        return False
    before = one.able.get(other.m)
    return (
        before is not None
        and before[0] is other.op
        and before[1:] == (other.named.kind, other.named.obj)
    )


def _changed_round(target: Target, run: _CheckedRun, at: int) -> Lie | None:
    """Make a run again with step `at` and the next in the other order."""
    steps = run.steps
    told = [*steps[:at], steps[at + 1], steps[at], *steps[at + 2 :]]
    again = _CheckedRun(target, told, Random(0))
    for number, (was, now) in enumerate(zip(told, again.steps, strict=False)):
        seen = _difference(was, now, compares=number >= at)
        if number not in (at, at + 1) and not seen:
            seen = _others(was, now)
        if seen:
            return _blame(steps[at], steps[at + 1], was, seen)
    if len(again.steps) < len(told):
        seen = f"the run ends after {len(again.steps)} steps, {again.error or 'well'}"
    elif again.is_cut:
        seen = "the run goes on where it had ended"
    elif again.error != run.error:
        seen = f"the run ends with {again.error or 'success'}, not with {run.error or 'success'}"
    else:
        return None
    return _blame(steps[at], steps[at + 1], None, seen)


def _difference(was: _CheckedStep, now: _CheckedStep, compares: bool) -> str:
    """In what a step is another than it was."""
    if (was.named.kind, was.named.obj) != (now.named.kind, now.named.obj):
        return f"{who(was.m)} makes {now.named} in place of {was.named}"
    if compares and was.result != now.result:
        return f"{was.named.kind} {was.named.obj} gives {now.result!r}, not {was.result!r}"
    return ""


def _others(was: _CheckedStep, now: _CheckedStep) -> str:
    """In what those that could go are others."""
    before = {m: able[1:] for m, able in was.able.items()}
    after = {m: able[1:] for m, able in now.able.items()}
    for m in sorted(before.keys() | after.keys()):
        if m not in after:
            return f"{who(m)} cannot {' '.join(before[m])}"
        if m not in before:
            return f"{who(m)} can {' '.join(after[m])}"
        if before[m] != after[m]:
            return f"{who(m)} is about to {' '.join(after[m])}, not to {' '.join(before[m])}"
    return ""


def _blame(one: _CheckedStep, other: _CheckedStep, changed: _CheckedStep | None, seen: str) -> Lie:
    """Say which of two steps touches what it does not say."""
    for liar, victim in ((one, other), (other, one)):
        if changed is victim and liar.named.reads:
            return Lie(liar.named, victim.named, seen, True)
    for liar, victim in ((one, other), (other, one)):
        if victim.named.is_ours and not liar.named.is_ours:
            return Lie(liar.named, victim.named, seen, True)
    return Lie(one.named, other.named, seen, False)
