"""The steps of a failure that matter, each in a sentence.

What is looked for, in this order:

    a cycle          the wait that began it, and the one that closed it
    a lost wakeup    the signal that found nobody asleep, or woke another, and when the M that
                     nobody wakes went to sleep
    a kept lock      who took it, and ended or waits without giving it back
    a late store     a load that finds memory as it was before a store of another M, which has been
                     made and is in that M's store buffer
    a value twice    a compare-and-swap that found the value which its M had seen, though others
                     had changed it in between and back (ABA)
    a lock misused   given back by an M that has not got it, or a second time
    an access        of another M, between two of the M that had to stop, one of the three a change;
    between          or a critical section of another between two of its own
    a stale read     what an M has read is changed before it goes on, though to something else
    gone before      an M is woken, and another is at what it waits for before it goes on
    passed by        others go on and on past an M that waits
    seen             what the M that fails has read of another, where that was the latest
    the difference   where the nearest schedule that passes differs (`passing`)
    a stop           an M that had to stop, before what

Nothing is guessed: who was woken is seen by who may go after a step and could not before; what an
access came to, by one more run of the schedule (`Sights`), without which only what the steps say is
looked for. The last step is named where it is what failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.account import Matter
from gorun_mem.explore.deadlocked import why_stuck
from gorun_mem.explore.failure import Failure
from gorun_mem.explore.late import late_stores
from gorun_mem.explore.seen import SeenRun
from gorun_mem.explore.sights import Sights
from gorun_mem.explore.step_values import is_swap, woken_by
from gorun_mem.runtime.kinds import kind_of
from gorun_mem.step.task import who

if TYPE_CHECKING:
    from gorun_mem.explore.passing import Passing

MATTERS_MAX: Final = 3
_FORCED_MAX: Final = 8
"""Forced switches that are looked at, the latest ones."""
_WINDOW: Final = 200
"""Steps before and behind a forced switch that are looked at."""
_VALUE_MAX: Final = 24
_PASSES_MIN: Final = 3
"""How often others go past an M that waits, for that to matter."""
_NAMED: Final = re.compile(r"\(step (\d+)\)")
_STEP: Final = re.compile(r"steps? (\d+)")


def what_matters(
    failure: Failure, sights: Sights | None, passing: Passing | None = None
) -> list[Matter]:
    """What matters, the weightiest first; at most MATTERS_MAX.

    Args:
        failure: what is to be explained.
        sights: of a run by its schedule; None where there was none.
        passing: the nearest schedule that passes; None where none is known.
    """
    seen = SeenRun(failure.steps, sights)
    is_deadlock = failure.signature.kind == "deadlock"
    said = [*why_stuck(failure, seen)][:2]
    last = "" if said else _last(failure, seen)
    room = MATTERS_MAX - bool(last)
    for look in _LOOKS:
        if len(said) >= room:
            break
        if not is_deadlock or look in _OF_DEADLOCKS:
            said += [one for one in look(failure, seen) if one not in said]
    if not said and passing is not None:
        said.append(difference(failure, passing))
    if not said:
        said += list(_stops(seen))[-room:]
    said = said[:room]
    if last:
        said.append(last)
    return [Matter(text, _steps_in(text)) for text in said]


def _steps_in(sentence: str) -> tuple[int, ...]:
    """The numbers of the steps that a sentence names: first those that it is about."""
    found = [*_NAMED.findall(sentence), *_STEP.findall(sentence)]
    return tuple(dict.fromkeys(map(int, found)))


def _last(failure: Failure, seen: SeenRun) -> str:
    at = len(seen.steps) - 1
    if failure.findings and failure.findings[0].kind == failure.signature.kind:
        step = failure.findings[0].step
        if 0 < step <= len(seen.steps):
            return f"{seen.name(step - 1)} is where it shows: {failure.signature}"
        return f"the detectors see it when all have ended: {failure.signature}"
    raised = seen.raised_at()
    if raised is not None:
        return f"{seen.name(raised)} goes on to {failure.signature}"
    if seen.steps[at].kind == "join":
        return f"M{seen.steps[at].m} sees it when all have ended: {failure.signature}"
    return f"{seen.name(at)} is the last step: {failure.signature}"


def difference(failure: Failure, passing: Passing) -> str:
    """Where the nearest schedule that passes differs, in a sentence."""
    parted, steps = passing.parted, failure.steps
    step, number = steps[parted.at], parted.at + 1
    here = SeenRun(steps, None)
    if parted.before is not None:
        other = passing.steps[parted.before]
        made = f" (step {parted.here + 1})" if parted.here >= 0 else ""
        return (
            f"had {who(other.m)} gone before {who(step.m)} at step {number}, this passes: "
            f"M{other.owner}'s {other.name}{made} before {here.name(parted.at)}"
        )
    if parted.drawn is not None:
        label, value, instead = parted.drawn
        chance = _CHANCES.get(label)
        if chance is not None:
            return f"had {chance[bool(instead)]} at step {number}, this passes"
        return f"had {label} come to {instead}, not {value}, at step {number}, this passes"
    return f"had {who(step.m)} not gone on to its {step.name} at step {number}, this passes"


_CHANCES: Final = {
    "timeout": ("its time not been up early", "its time been up early"),
    "futex.spurious": ("the sleep not ended by itself", "the sleep ended by itself"),
    "fault.grow": ("the memory grown", "the memory not grown"),
    "cancel.which": ("another been cancelled", "another been cancelled"),
    "clock.first": ("another deadline passed first", "another deadline passed first"),
}
"""By the label of a choice: what would have had to be, for values 0 and others."""


# A value that is seen twice.


def _twice(failure: Failure, seen: SeenRun) -> list[str]:
    """The latest compare-and-swap that found a value again; one that was harmful rather."""
    found: list[tuple[bool, str]] = []
    for at, step in enumerate(seen.steps):
        if is_swap(step.kind) and seen.result(at) is True and not seen.is_lock(at):
            found += _seen_again(seen, at)
    harmful = [sentence for harms, sentence in found if harms]
    return (harmful or [sentence for _, sentence in found])[-1:]


def _seen_again(seen: SeenRun, at: int) -> Iterator[tuple[bool, str]]:
    steps = seen.steps
    m, obj = steps[at].m, steps[at].obj
    saw = next((i for i in range(at - 1, -1, -1) if (s := steps[i]).m == m and s.obj == obj), None)
    if saw is None or not steps[saw].reads:
        return
    changes = _changes(seen, obj, m, saw, at)
    if len(changes) < 2:  # one change cannot lead back
        return
    who = " and ".join(f"M{other}" for other in sorted({steps[i].m for i in changes}))
    value = repr(seen.result(saw))
    text = (
        f"{seen.name(at)} finds "
        f"{value if len(value) <= _VALUE_MAX else 'the value'} as its {steps[saw].kind} at step "
        f"{saw + 1} did, but {who} changed it in between and back (steps {changes[0] + 1} to "
        f"{changes[-1] + 1})"
    )
    for i in range(saw + 1, at):
        other = steps[i]
        if other.m == m and other.reads and other.obj != obj:
            stale = _changes(seen, other.obj, m, i, at)
            if stale:
                changed = seen.name(stale[-1])
                yield (
                    True,
                    f"{text}; {other.obj}, read at step {i + 1}, is out of date by {changed}",
                )
                return
    yield False, text


def _changes(seen: SeenRun, obj: str, m: int, after: int, before: int) -> list[int]:
    """Where other Ms changed `obj` between two steps of `m`."""
    return [
        i
        for i in range(after + 1, before)
        if (s := seen.steps[i]).m != m
        and s.obj == obj
        and not s.reads
        and (not is_swap(s.kind) or seen.result(i) is True)
    ]


# A lock that is misused.


def _misused(failure: Failure, seen: SeenRun) -> list[str]:
    """Who has the lock that the last step gives back, or who gave it back already."""
    if failure.signature.kind not in ("throw", "illegal_use"):
        return []
    steps = seen.steps
    last = steps[-1]
    events = [
        (i, event[1])
        for i in range(len(steps) - 1)
        if (event := seen.lock(i)) is not None and steps[i].obj == last.obj
    ]
    if not events or not any(word in failure.text for word in ("unlock", "release")):
        return []
    at, taken = events[-1]
    if not taken:
        return [f"{seen.name(at)} has given it back already when M{last.m} gives it back again"]
    if steps[at].m != last.m:
        return [f"M{steps[at].m} has what M{last.m} gives back, from its {seen.told(at)} on"]
    return []


# An access between two of another M.


def _accesses_between(failure: Failure, seen: SeenRun) -> list[str]:
    """What came between at each forced switch, the latest last."""
    found: list[str] = []
    for at in _forced(seen):
        sentence = _between(seen, at)
        if sentence and sentence not in found:
            found.append(sentence)
    return found[-2:]


def _forced(seen: SeenRun) -> list[int]:
    steps = seen.steps  # an M that stops for its own store to reach memory does not stop
    return [
        index for index, step in enumerate(steps) if step.preempts and steps[index - 1].m != step.m
    ][-_FORCED_MAX:]


def _between(seen: SeenRun, at: int) -> str:
    """The access that came between two of the M that the forced switch at `at` stopped; "" if none.

    What the program has of its own rather than locks, a change rather than a read; of several
    windows the narrowest before, then behind the switch.
    """
    for of_locks in (False, True):
        for reads in (False, True):
            window = _window(seen, at, of_locks, reads)
            if window is not None:
                first, middle, last = window
                return _section(seen, *window) if of_locks else _told(seen, first, middle, last)
    return ""


def _window(seen: SeenRun, at: int, of_locks: bool, reads: bool) -> tuple[int, int, int] | None:
    steps = seen.steps
    stopped = steps[at - 1].m
    end = min(len(steps), at + _WINDOW)
    until = next((i for i in range(at, end) if steps[i].m == stopped), end)
    behind = [i for i in range(until, end) if steps[i].m == stopped]
    for first in range(at - 1, max(at - _WINDOW, 0) - 1, -1):
        a = steps[first]
        if a.m != stopped or seen.is_lock(first) is not of_locks or not seen.is_of_object(first):
            continue
        for last in (i for i in behind if steps[i].obj == a.obj):
            for middle in range(at, last):
                b = steps[middle]
                if b.m == stopped or b.obj != a.obj or b.reads is not reads:
                    continue
                if not (a.reads and b.reads and steps[last].reads):
                    return first, middle, last
    return None


def _told(seen: SeenRun, first: int, middle: int, last: int) -> str:
    a, b, c = (seen.steps[i] for i in (first, middle, last))
    text = (
        f"{seen.name(middle)} comes between two of M{a.m}: {seen.told(first)} and {seen.told(last)}"
    )
    overwrites = a.reads and not b.reads and "store" in c.kind
    return f"{text}, which overwrites it" if overwrites else text


def _section(seen: SeenRun, first: int, middle: int, last: int) -> str:
    """The same of locks: another's critical section, where it is one."""
    steps = seen.steps
    gave, taken = seen.lock(first), seen.lock(last)
    m, stopped = steps[middle].m, steps[first].m
    of_m = [i for i in range(first + 1, last) if steps[i].m == m and seen.lock(i) is not None]
    took = seen.lock(of_m[0]) if of_m else None
    if gave is None or gave[1] or took is None or (taken is not None and not taken[1]):
        return _told(seen, first, middle, last)
    return (
        f"M{m} has {took[0]} (steps {of_m[0] + 1} to {of_m[-1] + 1}) between two critical sections "
        f"of M{stopped}: {seen.told(first)} and {seen.told(last)}; what M{stopped} saw in the "
        "first may not hold in the second"
    )


# What an M has read and goes by.


def _stale(failure: Failure, seen: SeenRun) -> list[str]:
    """A read that another M makes out of date before its M goes on to something else."""
    steps = seen.steps
    if _accesses_between(failure, seen):
        return []
    for at in reversed(_forced(seen)):
        m = steps[at - 1].m
        acts = next((i for i in range(at, len(steps)) if steps[i].m == m), None)
        if acts is None or kind_of(steps[acts].kind).local:
            continue
        for read in range(at - 1, -1, -1):
            if steps[read].m != m:
                break
            if not steps[read].reads or seen.is_lock(read) or kind_of(steps[read].kind).local:
                continue
            changes = _changes(seen, steps[read].obj, m, read, acts)
            if changes:
                return [
                    f"{seen.name(changes[-1])} makes M{m}'s {seen.told(read)} out of date, by "
                    f"which it goes on to {seen.told(acts)}"
                ]
    return []


def _saw(failure: Failure, seen: SeenRun) -> list[str]:
    """The latest value that the M which fails has read of another."""
    steps = seen.steps
    ms = [steps[-1].m]
    if failure.signature.kind == "deadlock":  # then those that keep others from going on
        ms = [steps[at].m for at in seen.held_at_end().values()]
    for at in range(len(steps) - 1, -1, -1):
        step = steps[at]
        if step.m not in ms or not step.reads or seen.is_lock(at) or kind_of(step.kind).local:
            continue
        before = [i for i in range(at) if steps[i].obj == step.obj and not steps[i].reads]
        if not before or steps[before[-1]].m == step.m:
            continue
        text = f"{seen.name(at)} sees what {seen.name(before[-1])} has left"
        other = steps[before[-1]].m
        coming = next((s.name for s in steps[at:] if s.m == other), seen.pending(other))
        return [f"{text}; M{other} stands before its {coming}" if coming else text]
    return []


# An M that is woken too early, and one that others go past.


def _gone_before(failure: Failure, seen: SeenRun) -> list[str]:
    """Who was at what the M that fails waits for, from when it was woken until it went on."""
    steps = seen.steps
    failed = seen.raised_at()
    at = len(steps) - 1 if failed is None else failed
    m, obj = steps[at].m, steps[at].obj
    woken = next((i for i in range(at - 1, -1, -1) if m in woken_by(steps, i)), None)
    if woken is None or not seen.is_of_object(at):
        return []
    between = [i for i in range(woken + 1, at) if steps[i].m != m and steps[i].obj == obj]
    if not between or any(steps[i].m == m for i in range(woken + 1, at)):
        return []
    return [
        f"{seen.name(woken)} wakes M{m}, and {seen.name(between[0])} goes before M{m} does (step "
        f"{at + 1})"
    ]


def _passed_by(failure: Failure, seen: SeenRun) -> list[str]:
    """Who waits for what the last step is about while others go on and on past it."""
    if seen.sights is None:
        return []
    steps, obj = seen.steps, seen.steps[-1].obj
    for m in sorted(seen.sights.waiting):
        if not seen.pending(m).endswith(f" {obj}"):
            continue
        begins, _ = seen.wait_of(m)
        kind = steps[-1].kind
        passed = [
            i
            for i in range(len(steps))
            if i > begins and (s := steps[i]).m != m and (s.obj, s.kind) == (obj, kind)
        ]
        if len(passed) >= _PASSES_MIN:
            who = " and ".join(f"M{other}" for other in sorted({steps[i].m for i in passed}))
            numbers = ", ".join(str(i + 1) for i in passed[:-1])
            return [
                f"M{m} waits to {seen.pending(m)} {seen.since(m)}, and others get in past it: "
                f"{kind} of {who} at steps {numbers} and {passed[-1] + 1}"
            ]
    return []


# An M that had to stop.


def _stops(seen: SeenRun) -> Iterator[str]:
    """Each forced switch: who had to stop, before what, and what came instead."""
    steps = seen.steps
    for at in _forced(seen):
        stopped = steps[at - 1].m
        coming = next((step.name for step in steps[at:] if step.m == stopped), "")
        coming = coming or seen.pending(stopped)
        before = f" before its {coming}" if coming else ""
        goes = next(
            (i for i in range(at, len(steps)) if steps[i].m == steps[at].m
             and not kind_of(steps[i].kind).local),
            at,
        )  # fmt: skip
        yield f"M{stopped} has to stop{before}: {seen.name(goes)} comes first"


_LOOKS: Final[tuple[Callable[[Failure, SeenRun], list[str]], ...]] = (
    late_stores, _twice, _misused, _accesses_between, _stale, _gone_before, _passed_by, _saw,
)  # fmt: skip
_OF_DEADLOCKS: Final[tuple[Any, ...]] = (late_stores, _accesses_between, _stale, _saw)
