"""What there is to say of a failure: made once, as the documents of `gorun_mem.explore.account`.

A failure has its steps. What they came to, who waited, what the memory looked like and which lines
of the program they are is seen in one more run of its schedule; where the program cannot be found,
or does not do the same again, it is left out. The nearest schedule that passes is looked for then
(`passing`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gorun_mem.explore.account import FailureAccount, LaneStep, Matter, PassingSchedule
from gorun_mem.explore.failure import Detector, Failure
from gorun_mem.explore.matters import difference, what_matters
from gorun_mem.explore.memory_seen import MemoryProbe, is_about_memory, memory_lines
from gorun_mem.explore.passing import Neighbours, Passing
from gorun_mem.explore.sights import Sights
from gorun_mem.explore.step_values import wakes
from gorun_mem.explore.waits import lines_of
from gorun_mem.explore.words import count
from gorun_mem.step.schedule import Schedule, Step

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target

Detectors = Sequence[Callable[[], Detector]]

_NOT_LOOKED_FOR: Final = ("no_progress", "nondeterminism", "never_awaited")
"""Kinds of failures beside which no schedule that passes is looked for."""
_SOURCES_MAX: Final = 6
"""Lines of the program that are shown."""


def account_of(
    failure: Failure, target: Target | None = None, *, detectors: Detectors | None = None
) -> FailureAccount:
    """All that is said of a failure.

    Args:
        failure: as `explore` found it.
        target: the program; found by the schedule's own words if None, and where that is not
            possible the account goes without what only another run shows.
        detectors: of the search, beside the usual ones.
    """
    program = target or program_of(failure.schedule.about)
    if program is None or not failure.steps:
        return _account(failure)
    sights, memory = _seen_again(failure, program)
    looked = neighbours_of(program, failure, detectors)
    return _account(failure, sights, memory, looked)


def plain_account_of(failure: Failure) -> FailureAccount:
    """What is said of a failure by its steps alone, at no cost."""
    return _account(failure)


def as_json(account: FailureAccount) -> dict[str, Any]:
    """The account as JSON."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(account))
    return document


def neighbours_of(
    program: Target, failure: Failure, detectors: Detectors | None = None
) -> Neighbours | None:
    """The schedules near a failing one, tried; None where it does not end or is not steady.

    Args:
        program: whose schedules.
        failure: of the failing one.
        detectors: of the search, beside the usual ones.
    """
    if failure.signature.kind in _NOT_LOOKED_FOR:
        return None
    looked = Neighbours(program, failure, detectors)
    looked.look()
    return looked


def _account(
    failure: Failure,
    sights: Sights | None = None,
    memory: MemoryProbe | None = None,
    looked: Neighbours | None = None,
) -> FailureAccount:
    signature = failure.signature
    passing = looked.found if looked is not None else None
    matters = _matters(failure, sights, passing)
    return FailureAccount(
        signature=str(signature),
        kind=signature.kind,
        object=signature.obj,
        site=signature.site,
        text=failure.text,
        found=_found(failure),
        strategy=failure.strategy,
        run=failure.run,
        token=failure.token,
        replay=failure.command,
        replay_short=failure.command_for(_short_token(failure)),
        view=failure.command_to_view,
        preemptions=failure.preemptions,
        switches=failure.switches,
        settings=dict(failure.settings),
        ms=dict(failure.ms),
        matters=matters,
        steps=lane_steps(failure.steps, sights),
        stuck=tuple(map(str, failure.stuck)),
        history=failure.history,
        waits=tuple(lines_of(failure)),
        sources=tuple(_sources(sights)),
        memory=tuple(memory_lines(memory)),
        passing=passing_schedule(failure, looked) if looked is not None else None,
        no_passing=_no_passing(looked),
        opens_at=next((matter.steps[0] for matter in matters if matter.steps), 0),
    )


def _short_token(failure: Failure) -> str:
    return Schedule(failure.schedule.tape, (), failure.schedule.about).token()


def _found(failure: Failure) -> str:
    steps, switches = len(failure.steps), failure.switches
    text = f"{count(steps, 'step')}, {count(switches, 'switch', 'switches')}"
    text += f", {failure.preemptions} forced"
    if failure.strategy:
        text += f"; found by {failure.strategy} in run {failure.run + 1:,}"
    if failure.shrunk_from is not None:
        before_steps, before_switches = failure.shrunk_from
        if (before_steps, before_switches) != (steps, switches):
            text += f", shrunk from {count(before_steps, 'step')}"
            text += f" and {count(before_switches, 'switch', 'switches')}"
    return text


def _matters(
    failure: Failure, sights: Sights | None, passing: Passing | None
) -> tuple[Matter, ...]:
    if not failure.steps:
        return (Matter("No step was written down."),)
    return tuple(what_matters(failure, sights, passing))


def passing_schedule(failure: Failure, looked: Neighbours) -> PassingSchedule | None:
    """The nearest schedule that passes, as it is shown; None where none was found."""
    found = looked.found
    if found is None:
        return None
    parted = found.parted
    goes = failure.steps[parted.at].m
    other = found.steps[parted.before].m if parted.before is not None else goes
    token = Schedule(found.schedule.tape, (), found.schedule.about).token()
    replayed = failure.command_for(token)
    if found.but and replayed.startswith("gorun-mem"):
        replayed += " --no-detectors"
    return PassingSchedule(
        sentence=difference(failure, found),
        differs_at=parted.at + 1,
        instead=(goes, other),
        deviations=found.deviations,
        parts_at=found.parts_at + 1,
        token=found.schedule.token(),
        short_token=token,
        replay=replayed,
        choices=found.tape,
        but=found.but,
        tried=looked.tried,
        steps=lane_steps(found.steps, found.sights),
    )


def _no_passing(looked: Neighbours | None) -> str:
    if looked is None or looked.found is not None:
        return ""
    return f"none of {count(looked.tried, 'schedule')} near it passes"


def lane_steps(steps: Sequence[Step], sights: Sights | None) -> tuple[LaneStep, ...]:
    """The steps as lines of the lanes, with what another run has shown of them.

    Args:
        steps: of a run.
        sights: of the same run again; None where there was none.
    """
    ops: Sequence[Any] = sights.ops if sights is not None else ()
    values: Sequence[str] = sights.values if sights is not None else ()
    places: Sequence[str] = sights.places if sights is not None else ()
    lanes = []
    for at, step in enumerate(steps):
        op = ops[at] if at < len(ops) else None
        value = values[at] if at < len(values) else ""
        lanes.append(
            LaneStep(
                step=at + 1,
                m=step.owner,
                kind=step.kind,
                obj=step.obj,
                value=value or wakes(steps, at, op),
                place=getattr(op, "place", "") or (places[at] if at < len(places) else ""),
                preempts=step.preempts,
                enabled=step.enabled,
                drawn=step.choices,
            )
        )
    return tuple(lanes)


def _sources(sights: Sights | None) -> list[tuple[str, str]]:
    """The lines that the last steps went on from, where they are known."""
    known: dict[str, str] = {}
    for op in reversed(sights.ops if sights is not None else []):
        place, source = getattr(op, "place", ""), getattr(op, "source", "")
        if source and len(known) < _SOURCES_MAX:
            known.setdefault(place, source)
    lines = sorted(known, key=lambda place: (place.rpartition(":")[0], _number_of(place)))
    return [(place, known[place]) for place in lines]


def _number_of(place: str) -> int:
    number = place.rpartition(":")[2]
    return int(number) if number.isdecimal() and len(number) < 10 else 0


# The failure once more.


def _seen_again(failure: Failure, program: Target) -> tuple[Sights | None, MemoryProbe | None]:
    """What one more run of the schedule shows; None where the program is not found or changed.

    Of a run that does not end nothing is asked that only its end would tell.
    """
    from gorun_mem.explore.drive import replay
    from gorun_mem.explore.taped import STEPS_MAX

    about_memory = is_about_memory(failure)
    if not failure.steps or (failure.signature.kind == "no_progress" and not about_memory):
        return None, None
    forced = [number for number, step in enumerate(failure.steps, 1) if step.preempts]
    sights, memory = Sights(), MemoryProbe(forced[0] if forced else 0)
    done = replay(
        program,
        failure.schedule,
        detectors=(sights, memory) if about_memory else (sights,),
        steps_max=max(STEPS_MAX, len(failure.steps)),
    )
    if done.divergence:
        return None, None
    return sights, memory if about_memory else None


def program_of(about: Mapping[str, Any]) -> Target | None:
    """The program that a schedule names; None where it is not found."""
    from gorun_mem.explore.target import Target

    try:
        return Target.from_about(about)
    except ValueError:  # what is wrong with a name, a setting or an option is one
        return None
