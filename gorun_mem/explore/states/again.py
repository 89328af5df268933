"""A counterexample made again, step by step, from its token: no state is taken for another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gorun_mem.explore.states.bounds import Bounds, bounds_of
from gorun_mem.explore.states.coroutines import in_words
from gorun_mem.explore.states.examine import TraceStep, names_of
from gorun_mem.explore.states.found import Verification
from gorun_mem.explore.states.model import Model
from gorun_mem.explore.states.parts import Common, Move, Own
from gorun_mem.explore.states.stepper import Stepper
from gorun_mem.explore.states.verification import (
    is_coroutine,
    model_of,
    runs_of,
)
from gorun_mem.step.schedule import Schedule, ScheduleError


@dataclass(frozen=True, slots=True)
class MadeAgain:
    """A schedule of a verification, made again.

    Args:
        found: the steps, as the verification has them.
        model: what was stepped; None for a lock made of coroutines.
        divergence: where the lock does something else now; "" where it does not.
        state: the state where it stopped, line by line.
    """

    found: Verification
    model: Model | None
    divergence: str
    state: list[str]


def _state(model: Model, common: Common, owns: Sequence[Own]) -> list[str]:
    """A state, line by line."""
    lines = [f"word: {model.in_words(common)}"]
    for number, (own, mine) in enumerate(zip(owns, common.ms, strict=True), 1):
        at = f"in {own.call}: {own.pc}" if own.call else own.phase
        if mine.parked:
            at += ", asleep"
        registers = ", ".join(f"{name} = {value}" for name, value in own.registers)
        words = ", ".join(
            f"{name} = {value}"
            for name, value in mine._asdict().items()
            if name != "parked" and value not in (0, False, -1)
        )
        facts = "; ".join(text for text in (registers, words) if text)
        lines.append(f"M{number}: {at}{f' ({facts})' if facts else ''}")
    return lines


def is_verification(schedule: Schedule) -> bool:
    """Whether a schedule is one of `verify`."""
    return isinstance(schedule.about.get("verify"), dict)


def make_again(schedule: Schedule, steps_max: int | None = None) -> MadeAgain:
    """Make the steps of a counterexample.

    Args:
        schedule: of a verification.
        steps_max: stop after so many; None for all.

    Raises:
        ScheduleError: the token is damaged.
        VerifyError, UnknownMutex, UnknownRelease: what it names is not there.
    """
    bounds: Bounds = bounds_of(schedule.about["verify"])
    if is_coroutine(bounds):
        return _run_again(bounds, schedule, steps_max)
    model = model_of(bounds)
    stepper = Stepper(model, dead=False)
    common, owns = stepper.start()
    left = [bounds.pairs] * bounds.ms
    trace: list[TraceStep] = []
    divergence = wrong = ""
    names = list(schedule.names)
    for number, (place, branch) in enumerate(_steps(schedule.tape, bounds.ms)):
        if steps_max is not None and number >= steps_max:
            break
        move = _move(stepper.outcomes(place, common, owns[place]), branch)
        name = names[number] if number < len(names) else None
        if move is None or (isinstance(name, str) and move.text != name):
            got = move.text if move is not None else "no such step"
            divergence = f"step {number + 1}: expected M{place + 1} {name}, got {got}"
            break
        trace.append(TraceStep(place, move.branch, move.text, move.told, move.shared, move.wrong))
        if move.shared is None or move.own is None:
            wrong = move.wrong
            break
        common, owns[place] = move.shared, move.own
        left[place] -= int(move.done and not model.endless)
    else:
        wrong = _stuck(stepper, common, owns, left) or str(schedule.about.get("wrong", ""))
    words = tuple([model.in_words(step.common) if step.common else "" for step in trace])
    verdict = "failed" if wrong else "inconclusive"
    found = Verification(
        bounds, verdict, wrong, len(trace) + 1, len(trace), 0.0, tuple(trace), False, words
    )
    return MadeAgain(found, model, divergence, _state(model, common, owns))


def _run_again(bounds: Bounds, schedule: Schedule, steps_max: int | None) -> MadeAgain:
    """The same of a lock made of coroutines."""
    run = runs_of(bounds)()
    trace: list[TraceStep] = []
    divergence = wrong = ""
    for number, (place, branch) in enumerate(_steps(schedule.tape, bounds.ms)):
        if steps_max is not None and number >= steps_max:
            break
        name = schedule.names[number] if number < len(schedule.names) else None
        fits = place in run.able() and branch[0] < len(run.choices(place))
        text, wrong = run.step(place, branch) if fits else ("no such step", "")
        if isinstance(name, str) and name != text:
            divergence, wrong = f"step {number + 1}: expected M{place + 1} {name}, got {text}", ""
            break
        common = None if wrong else run.common()
        trace.append(TraceStep(place, branch, text, tuple(run.told), common, wrong))
        if wrong:
            break
    else:
        wrong = wrong or str(schedule.about.get("wrong", ""))
    lines = [f"words: {in_words(run.common())}"]
    for number, (m, op) in enumerate(zip(run.ms, run.ops, strict=True), 1):
        at = run.phase[number - 1] if op is None else f"next {op.kind} {op.obj}"
        lines.append(f"M{number}: {at}{', asleep' if m.parked else ''}")
    run.close()
    words = tuple([in_words(step.common) if step.common else "" for step in trace])
    found = Verification(
        bounds, "failed" if wrong else "inconclusive", wrong, len(trace) + 1, len(trace), 0.0,
        tuple(trace), False, words,
    )  # fmt: skip
    return MadeAgain(found, None, divergence, lines)


def _stuck(stepper: Stepper, common: Common, owns: Sequence[Own], left: Sequence[int]) -> str:
    """Who waits where nobody can go on; "" where somebody can."""
    waiting = [place for place, rounds in enumerate(left) if rounds]
    if any(stepper.outcomes(place, common, owns[place]) for place in waiting):
        return ""
    waiting = [place for place in waiting if not stepper.model.may_wait_for_ever(place)]
    return f"deadlock: {names_of(waiting)} for ever" if waiting else ""


def _move(moves: Sequence[Move], branch: tuple[int, ...]) -> Move | None:
    return next((move for move in moves if move.branch == branch), None)


def _steps(tape: Sequence[int], ms: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Place and branch of each step.

    Raises:
        ScheduleError: the tape is none of a verification.
    """
    numbers: Iterator[Any] = iter(tape)
    for place in numbers:
        count = next(numbers, 0)
        branch = tuple([next(numbers, 0) - 2 for _ in range(count)])
        if not 1 <= place <= ms or not branch:
            raise ScheduleError("token: its steps are none of a verification; copy it again")
        yield place - 1, branch
