"""The steps of a failure that matter, each in a sentence.

What is looked for, in this order:

    a cycle          the wait that began it, and the one that closed it
    a lost wakeup    the signal that found nobody asleep, or woke another, and when the M that
                     nobody wakes went to sleep
    a value twice    a compare-and-swap that found the value which its M had seen, though others
                     had changed it in between and back (ABA)
    a forced switch  an access of another M between two of the M that had to stop, one of the three
                     a change; where there is none, the switch itself

Nothing is guessed: who was woken is seen by who may go after a step and could not before; what an
access came to, by one more run of the schedule (`Sights`), without which the third is not looked
for. The last step is named where it is what failed, or where nothing else is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.detectors.wakeups import is_wakeup
from gorun_mem.explore.failure import Failure
from gorun_mem.explore.late import late_stores
from gorun_mem.explore.waits import WaitEdge, cycle_of, edges_of
from gorun_mem.machine.ops import Join
from gorun_mem.runtime.op import MORE, PARKED
from gorun_mem.step.schedule import Step
from gorun_mem.step.task import BUFFERS, State

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

MATTERS_MAX: Final = 3
_FORCED_MAX: Final = 8
"""Forced switches that are looked at, the latest ones."""
_WINDOW: Final = 200
"""Steps before and behind a forced switch that are looked at."""
_VALUE_MAX: Final = 24


class Sights:
    """A detector that keeps what each step came to, and in which operation each M waits at the end.

    Attributes:
        results: of the steps, what `step` of their operations returned.
        ops: of the steps, the operations.
        waiting: by id of an M that waits, the numbers of the steps, from 0, that it made in the
            operation which is not through.
    """

    name = "sights"
    flushes = True

    def begin(self, world: World) -> None:
        """A run begins."""
        self.results: list[object] = []
        self.ops: list[Any] = []
        self.waiting: dict[int, list[int]] = {}
        self._under_way: dict[int, list[int]] = {}

    def step(self, task: Any, op: Any, kind: str, obj: str, reads: bool, result: object) -> None:
        """Keep it; one object may serve many operations, one after another."""
        made = self._under_way.setdefault(task.id, [])
        made.append(len(self.ops))
        if result is not MORE and result is not PARKED:
            del self._under_way[task.id]
        self.ops.append(op)
        self.results.append(result)

    def end(self, world: World) -> tuple[()]:
        """Keep who waits; nothing is found that the run did not find itself."""
        if len(self.ops) < world.engine.steps:  # the last one failed in the middle
            self.ops.append(None)
            self.results.append(None)
        for task in world.engine.tasks:
            if task.state is State.PARKED and not isinstance(task.op, Join):
                self.waiting[task.id] = self._under_way.get(task.id, [])
        return ()


def what_matters(failure: Failure, sights: Sights | None) -> list[str]:
    """The sentences, the weightiest first; at most MATTERS_MAX.

    Args:
        failure: what is to be explained.
        sights: of a run by its schedule; None where there was none.
    """
    steps = failure.steps
    said = [*_deadlock(failure, sights)]
    if sights is not None and failure.signature.kind != "deadlock":
        said += _twice(steps, sights)
    said += late_stores(steps)[-2:]
    named = bool(said) and failure.signature.kind == "deadlock"
    forced: list[str] = []
    for at in _forced_switches(steps)[-_FORCED_MAX:]:
        sentence = _between(steps, at) or _forced(steps, at)
        if sentence not in forced:
            forced.append(sentence)
    room = MATTERS_MAX - min(len(said), 2) - (not named)
    said = [*said[:2], *forced[max(0, len(forced) - room) :]] if room else said[:2]
    if not named:
        last = f"{name_of(steps[-1], len(steps))} is the last step: {failure.signature}"
        said.append(last)
    return said


def name_of(step: Step, number: int) -> str:
    """A step in a sentence."""
    return f"M{step.owner}'s {step.name} (step {number})"


# Deadlocks.


def _deadlock(failure: Failure, sights: Sights | None) -> Iterator[str]:
    if failure.signature.kind != "deadlock":
        return
    edges = edges_of(failure)
    cycle = cycle_of(edges)
    if cycle:
        yield _began(cycle, failure.steps, sights)
        return
    for stuck in failure.stuck:
        if stuck.m not in edges and not stuck.holds:
            yield from _asleep(failure.steps, stuck.m, stuck.waits_for, sights)
    for edge in edges.values():
        yield f"{edge}; M{edge.holder} does not give it back"


def _began(cycle: Sequence[WaitEdge], steps: Sequence[Step], sights: Sights | None) -> str:
    """Which wait of a cycle was the first, and which the last."""
    latest = {step.m: i for i, step in enumerate(steps)}
    in_order = sorted(
        cycle, key=lambda edge: (_wait_of(steps, edge.m, sights)[0], latest.get(edge.m, -1))
    )
    first, last = in_order[0], in_order[-1]
    if first is last:
        since = _since(steps, first.m, sights)
        return f"M{first.m} waits to {first.waits_for} {since}, and holds it itself{first.where}"
    return (
        f"M{first.m}'s wait to {first.waits_for}, {_since(steps, first.m, sights)}, begins the "
        f"cycle: M{first.holder} holds it{first.where}; M{last.m}'s wait to {last.waits_for}, "
        f"{_since(steps, last.m, sights)}, closes it"
    )


def _wait_of(steps: Sequence[Step], m: int, sights: Sights | None) -> tuple[float, list[int]]:
    """Where the wait of `m` begins, as the number of a step from 0, and its steps.

    Where it waits in an operation that has made none, half a step after the last at which it could
    have gone.
    """
    made = sights.waiting.get(m, []) if sights is not None else []
    if made:
        return made[0], made
    return max((i for i, step in enumerate(steps) if m in step.enabled), default=-1) + 0.5, []


def _since(steps: Sequence[Step], m: int, sights: Sights | None) -> str:
    begins, made = _wait_of(steps, m, sights)
    return f"from step {made[0] + 1} on" if made else f"after step {int(begins + 0.5)}"


def _asleep(steps: Sequence[Step], m: int, waits_for: str, sights: Sights | None) -> Iterator[str]:
    """What was to wake `m`, which sleeps for ever, and did not."""
    begins, made = _wait_of(steps, m, sights)
    about = {steps[i].obj for i in made} | {waits_for.partition(" ")[2], _object_of(waits_for)}
    slept: float = made[-1] if made else begins
    if made:
        sleeps = f"M{m} goes to sleep at step {made[-1] + 1}"
    else:
        sleeps = f"M{m} waits to {waits_for} {_since(steps, m, sights)}"
    woken = {i: _woken(steps, i) for i in _signals(steps, m, about, sights)}
    before = max((i for i in range(int(slept)) if m in _woken(steps, i)), default=-1)
    missed = [i for i in woken if before < i < slept and not woken[i]]
    others = [i for i in woken if i > before and woken[i]]
    late = [i for i in woken if i > slept and not woken[i]]
    if missed:
        at = missed[-1]
        wiped = next((i for i in range(at + 1, int(slept) + 1) if _wipes(steps[i], about)), None)
        taken = f", {name_of(steps[wiped], wiped + 1)} takes it back" if wiped is not None else ""
        signal = name_of(steps[at], at + 1)
        yield f"{signal} finds nobody asleep{taken}; {sleeps}, and nobody wakes it"
    elif others or late:
        at = (others or late)[-1]
        whom = " and ".join(f"M{other}" for other in sorted(woken[at])) or "nobody"
        yield f"{name_of(steps[at], at + 1)} wakes {whom}, not M{m}; {sleeps}, and nobody wakes it"
    else:
        changes = [i for i, s in enumerate(steps) if s.m != m and s.obj in about and not s.reads]
        last = ""
        if changes:
            last = f": the last to change it is {name_of(steps[changes[-1]], changes[-1] + 1)}"
        yield f"{sleeps}, and no step signals what it waits for{last}"


def _signals(
    steps: Sequence[Step], m: int, about: set[str], sights: Sights | None
) -> Iterator[int]:
    """The steps by which others wake whoever sleeps on one of the objects `about`."""
    for i, step in enumerate(steps):
        op = sights.ops[i] if sights is not None else None
        if step.m != m and step.obj in about and is_wakeup(step.kind, op):
            yield i


def _object_of(waits_for: str) -> str:
    """The object at the end of "sleep on waiters"."""
    return waits_for.rpartition(" ")[2]


def _wipes(step: Step, about: set[str]) -> bool:
    return step.obj in about and step.kind in ("clear", "store", "atomic.store", "unset")


def _woken(steps: Sequence[Step], index: int) -> set[int]:
    """Who may go after a step and could not before, new Ms left out."""
    if index + 1 >= len(steps):
        return set()
    before = {m for step in steps[: index + 1] for m in step.enabled}
    here, after = set(steps[index].enabled), set(steps[index + 1].enabled)
    return {m for m in (after & before) - here if m < BUFFERS}


# A value that is seen twice.


def _twice(steps: Sequence[Step], sights: Sights) -> list[str]:
    """The latest compare-and-swap that found a value again; one that was harmful rather."""
    found: list[tuple[bool, str]] = []
    for at, step in enumerate(steps):
        if _swaps(step) and sights.results[at] is True and _is_own(sights.ops[at]):
            found += _seen_again(steps, sights, at)
    harmful = [sentence for harms, sentence in found if harms]
    return (harmful or [sentence for _, sentence in found])[-1:]


def _swaps(step: Step) -> bool:
    """Whether the step changes something only if it finds what was expected."""
    return any(word in step.kind for word in ("cas", "compare", "cmpxchg"))


def _is_own(op: Any) -> bool:
    """Whether the operation is the program's and not a lock's or a note's, which know of ABA."""
    return getattr(op, "mutex", None) is None


def _seen_again(steps: Sequence[Step], sights: Sights, at: int) -> Iterator[tuple[bool, str]]:
    m, obj = steps[at].m, steps[at].obj
    saw = next((i for i in range(at - 1, -1, -1) if (s := steps[i]).m == m and s.obj == obj), None)
    if saw is None or not steps[saw].reads:
        return
    changes = _changes(steps, sights, obj, m, saw, at)
    if len(changes) < 2:  # one change cannot lead back
        return
    who = " and ".join(f"M{other}" for other in sorted({steps[i].owner for i in changes}))
    value = repr(sights.results[saw])
    text = (
        f"{name_of(steps[at], at + 1)} finds "
        f"{value if len(value) <= _VALUE_MAX else 'the value'} as its {steps[saw].kind} at step "
        f"{saw + 1} did, but {who} changed it in between and back (steps {changes[0] + 1} to "
        f"{changes[-1] + 1})"
    )
    for i in range(saw + 1, at):
        other = steps[i]
        if other.m == m and other.reads and other.obj != obj:
            stale = _changes(steps, sights, other.obj, m, i, at)
            if stale:
                changed = name_of(steps[stale[-1]], stale[-1] + 1)
                yield (
                    True,
                    f"{text}; {other.obj}, read at step {i + 1}, is out of date by {changed}",
                )
                return
    yield False, text


def _changes(
    steps: Sequence[Step], sights: Sights, obj: str, m: int, after: int, before: int
) -> list[int]:
    """Where other Ms changed `obj` between two steps of `m`."""
    return [
        i
        for i in range(after + 1, before)
        if (s := steps[i]).m != m
        and s.obj == obj
        and not s.reads
        and (not _swaps(s) or sights.results[i] is True)
    ]


# Forced switches.


def _forced_switches(steps: Sequence[Step]) -> list[int]:
    """Where an M had to stop, for more than that a store of its own reaches memory."""
    return [
        index
        for index, step in enumerate(steps)
        if step.preempts and steps[index - 1].owner != step.owner
    ]


def _between(steps: Sequence[Step], at: int) -> str:
    """The access that came between two of the M that the forced switch at `at` stopped; "" if none.

    A change rather than a read; of several windows the narrowest before, then behind the switch.
    """
    stopped = steps[at - 1].owner
    end = min(len(steps), at + _WINDOW)
    until = next((i for i in range(at, end) if steps[i].owner == stopped), end)
    behind = [i for i in range(until, end) if steps[i].owner == stopped]
    for reads in (False, True):
        for first in range(at - 1, max(at - _WINDOW, 0) - 1, -1):
            a = steps[first]
            if a.owner != stopped:
                continue
            for last in (i for i in behind if steps[i].obj == a.obj):
                c = steps[last]
                for middle in range(at, last):
                    b = steps[middle]
                    if b.owner == stopped or b.obj != a.obj or b.reads is not reads:
                        continue
                    if a.reads and b.reads and c.reads:
                        continue
                    return (
                        f"{name_of(b, middle + 1)} comes between two of M{stopped}: "
                        f"{a.name} (step {first + 1}) and {c.name} (step {last + 1})"
                    )
    return ""


def _forced(steps: Sequence[Step], at: int) -> str:
    stopped = steps[at - 1].owner
    coming = next((step for step in steps[at:] if step.owner == stopped), None)
    before = f" before its {coming.name}" if coming is not None else ""
    return f"M{stopped} has to stop{before}: {name_of(steps[at], at + 1)} goes first"
