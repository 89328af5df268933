"""Where two schedules of one program part: the first difference that has an effect.

Two steps of different Ms that touch different things, or only read the same, may change places and
nobody sees it. So a schedule stands for all that such exchanges make of it (A. Mazurkiewicz, "Trace
Theory", 1986), and another that begins otherwise need not differ. `part` takes the steps of the one
in order and strikes each from the other, as long as nothing stands before it there that it depends
on. The first that cannot be struck is the difference: in the other schedule a step comes before it
that it depends on and that has not been made here.

What is no operation, such as a write to memory under a lock, is not seen by that. So where nothing
is found, all steps by which an M touches what others can see count as dependent, and then all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gorun_mem.runtime.kinds import CHANNELS, kind_of
from gorun_mem.step.schedule import Step

Depends = Callable[[Step, Step], bool]


@dataclass(frozen=True, slots=True)
class Parted:
    """The first difference of two schedules, which has an effect.

    Args:
        at: index of the step of the first schedule, from 0, that differs.
        before: index of the step of the second that comes before its counterpart there; None where
            what differs is a value that was drawn, or that the step is not made there.
        here: index of the same step of the first, -1 where it is never made there.
        drawn: label, and the values that were drawn, in the one and in the other; None where that
            is no difference.
    """

    at: int
    before: int | None
    here: int = -1
    drawn: tuple[str, int, int] | None = None


def part(steps: Sequence[Step], others: Sequence[Step], entangled: bool = False) -> Parted | None:
    """The first difference of two schedules of one program; None where there is none.

    Args:
        steps: of the one.
        others: of the other.
        entangled: any two steps of two Ms depend on each other, as between awaits of trio.
    """
    tried: tuple[Depends, ...] = (_always,) if entangled else (depends, _may_depend, _always)
    for dependence in tried:
        found = _part(steps, others, dependence)
        if found is not None:
            return found
    return None


def first_step(steps: Sequence[Step], others: Sequence[Step]) -> int:
    """Index of the first step that the two make differently, whether that has an effect or not."""
    for at, (one, other) in enumerate(zip(steps, others, strict=False)):
        if (one.m, one.name, one.choices) != (other.m, other.name, other.choices):
            return at
    return min(len(steps), len(others))


def depends(one: Step, other: Step) -> bool:
    """Whether the order of two steps of different Ms may have an effect, by what they touch."""
    if one.reads and other.reads:
        return False
    if one.kind in CHANNELS and other.kind in CHANNELS:
        return True
    return one.obj == other.obj


def _may_depend(one: Step, other: Step) -> bool:
    return not (one.reads and other.reads) and not any(map(_is_local, (one, other)))


def _is_local(step: Step) -> bool:
    return kind_of(step.kind).local


def _always(one: Step, other: Step) -> bool:
    return True


_GONE: Final = -1


def _part(steps: Sequence[Step], others: Sequence[Step], dependence: Depends) -> Parted | None:
    left = list(range(len(others)))
    for at, step in enumerate(steps):
        place = next((i for i, o in enumerate(left) if others[o].m == step.m), _GONE)
        if place == _GONE:
            return Parted(at, None)
        other = others[left[place]]
        for index in left[:place]:
            if dependence(others[index], step):
                return Parted(at, index, _same_step(steps, others, index))
        if other.choices != step.choices:
            return Parted(at, None, drawn=_drawn(step, other))
        if other.name != step.name:
            return Parted(at, None)
        del left[place]
    return None


def _same_step(steps: Sequence[Step], others: Sequence[Step], index: int) -> int:
    """Index in `steps` of the step that is others[index]: of its M the one with that number."""
    m = others[index].m
    number = sum(step.m == m for step in others[:index])
    of_m = [i for i, step in enumerate(steps) if step.m == m]
    if number < len(of_m) and steps[of_m[number]].name == others[index].name:
        return of_m[number]
    return -1


def _drawn(step: Step, other: Step) -> tuple[str, int, int] | None:
    for (label, _, value), (_, _, instead) in zip(step.choices, other.choices, strict=False):
        if value != instead:
            return label, value, instead
    return None
