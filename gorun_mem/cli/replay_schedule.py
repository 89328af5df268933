"""`gorun-mem replay-schedule`: exactly the schedule that a search found, again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gorun_mem.cli._by_schedule import load_schedule, run_again
from gorun_mem.cli._common import (
    BadInput,
    ExitCode,
    Number,
    detector_option,
    host_option,
    json_option,
    watchdog_option,
    write_json,
)
from gorun_mem.cli._exit import say
from gorun_mem.cli._in_test import in_test
from gorun_mem.cli._output import show

if TYPE_CHECKING:
    from gorun_mem.explore.account import LaneStep
    from gorun_mem.explore.detectors import MakeDetector
    from gorun_mem.explore.drive import Execution
    from gorun_mem.explore.stopped import StoppedRun
    from gorun_mem.explore.target import Target
    from gorun_mem.step.schedule import Schedule
    from gorun_mem.step.strategies.replay import OnDivergence

_STEPS_SHOWN = 200


@click.command("replay-schedule")
@click.argument("schedule", metavar="FILE_OR_TOKEN")
@click.option(
    "--step", type=Number(0, (1 << 63) - 1), metavar="N",
    help="Stop after so many steps and show every M, the locks and the memory.  [default: run to "
    "the end]",
)  # fmt: skip
@click.option(
    "--break-at", type=Number(1, (1 << 63) - 1), metavar="N",
    help="Open the debugger (what breakpoint() opens) in the program's own line at step N.  "
    "[default: do not stop]",
)  # fmt: skip
@click.option(
    "--on-divergence",
    type=click.Choice(["stop", "seeded", "default"]),
    default="stop",
    show_default=True,
    help="Where the program departs from the schedule: stop, go on at random (seeded), or go on "
    "without preempting anybody where it does not fit (default).",
)
@host_option(
    "trampoline", "Drive the Ms as trio tasks or by the trampoline; the schedule is the same."
)
@click.option(
    "--log",
    metavar="FILE",
    help="Write the event log of the run to this file; only scenarios have one.  [default: none is "
    "written]",
)
@click.option(
    "--no-detectors",
    is_flag=True,
    help="See only how the run ends, and do not look for races, leaks or locks out of order, nor "
    "with the detectors that the schedule names, but for what --detector names.",
)
@detector_option()
@click.option(
    "--code",
    multiple=True,
    metavar="REFERENCE",
    help="Let the schedule run this code, as it names it: FILE.py, FILE.py:NAME, "
    "module:function or a test of pytest's; may be given again.  [default: the library's scenarios "
    "and lessons only]",
)
@watchdog_option()
@json_option()
def command(
    schedule: str,
    code: tuple[str, ...],
    step: int | None,
    break_at: int | None,
    on_divergence: OnDivergence,
    host: str,
    log: str | None,
    no_detectors: bool,
    detectors: tuple[str, ...],
    watch_s: float,
    as_json: bool,
) -> int:
    """Run the schedule of a file or token again; `last` is the newest that explore saved.

    A schedule is data, whoever it comes from: code that it names and that is not the library's runs
    only where --code says so.

    \b
    Examples:
      gorun-mem replay-schedule last
      gorun-mem replay-schedule last --step 12
      gorun-mem replay-schedule last --break-at 12
      gorun-mem replay-schedule lost.schedule --code lost.py --host trio --log lost.jsonl
      gorun-mem replay-schedule AgIAAwECAaNC... --code tests/test_seats.py::test_last_seat

    Exit codes: 0 the run ends well; 1 it fails, or departs from the schedule; 2 no such schedule,
    or a damaged one; 4 internal fault; 130 interrupted.
    """
    for option, given in (("--step", step), ("--break-at", break_at)):
        if given is not None and (host == "trio" or log is not None):
            raise BadInput(f"{option} is for the trampoline: leave out --host trio and --log")
    if step is not None and break_at is not None:
        raise BadInput("--step shows a state, --break-at opens a debugger: give one of them")
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        loaded = _without_detectors(load_schedule(schedule), no_detectors)
        code += detectors
        if _is_of_verify(loaded, schedule, code):
            if host == "trio" or log is not None:
                raise BadInput("--host and --log are for runs; this schedule is one of verify")
            if break_at is not None:
                raise BadInput("--break-at is for runs; this schedule is one of verify: use --step")
            exit_code, document = _verified_again(loaded, step, as_json)
        else:
            looks = _looking(detectors, no_detectors)
            asked = _Following(
                step, break_at, on_divergence, host, log, no_detectors, looks, watch_s
            )
            follow = partial(_followed, asked=asked, as_json=as_json)
            of_test = in_test(loaded, schedule, code, follow)
            exit_code, document = of_test or follow(loaded, _target(loaded, schedule, code))
    if as_json:
        write_json({**document, "exit": exit_code})
    return exit_code


def _without_detectors(schedule: Schedule, none: bool) -> Schedule:
    """The schedule, which names no detectors if there are to be `none`."""
    if not none:
        return schedule
    about = {name: value for name, value in schedule.about.items() if name != "detectors"}
    return replace(schedule, about=about)


def _looking(names: Sequence[str], none: bool) -> tuple[MakeDetector, ...]:
    """What makes the usual detectors, unless there are to be `none`, and those that are named.

    Raises:
        BadInput: there is no such detector.
    """
    from gorun_mem.explore.detectors.load import UnknownDetector, looking

    try:
        return looking(names, usual=not none)
    except UnknownDetector as error:
        raise BadInput(str(error)) from None


def _is_of_verify(schedule: Schedule, reference: str, allowed: Sequence[str]) -> bool:
    """Whether it is one of `verify`.

    Raises:
        BadInput: it is, and names code that may not run.
    """
    from gorun_mem.explore.naming import code_of
    from gorun_mem.explore.retold import refuse_code
    from gorun_mem.explore.states.again import is_verification
    from gorun_mem.step.schedule import ScheduleError

    if not is_verification(schedule):
        return False
    try:
        refuse_code(code_of(schedule.about), allowed, _said(reference))
    except ScheduleError as error:
        raise BadInput(str(error)) from None
    return True


def _verified_again(
    schedule: Schedule, step: int | None, as_json: bool
) -> tuple[int, dict[str, Any]]:
    """Make a counterexample of `verify` again.

    Raises:
        BadInput: what it names is not there any more.
    """
    from gorun_mem.explore.states.again import make_again
    from gorun_mem.explore.states.bounds import VerifyError
    from gorun_mem.explore.states.lanes import render
    from gorun_mem.report.width import width
    from gorun_mem.report.worth import look_up_line
    from gorun_mem.runtime.mutex import UnknownMutex
    from gorun_mem.step.schedule import ScheduleError

    try:
        again = make_again(schedule, step)
    except (VerifyError, UnknownMutex, ScheduleError) as error:
        raise BadInput(str(error)) from None
    failed = step is None and (again.found.wrong or again.divergence)
    code = ExitCode(int(bool(failed)))
    if not as_json:
        show("\n".join(render(again.found, again.model, width())))
        if step is not None:
            show("\n".join(["", f"after step {len(again.found.trace)}", *again.state]))
        if again.divergence:
            show(f"The lock is not the one of the schedule any more: {again.divergence}")
        show("", look_up_line(("step", "word by its bits")))
    document = {**again.found.document(), "replay": again.found.bounds.subject}
    return code, {**document, "divergence": again.divergence, "state": again.state}


def _target(schedule: Schedule, reference: str, allowed: Sequence[str]) -> Target:
    """What it is a schedule of.

    Raises:
        BadInput: there is no such program any more, or it names code that may not run.
    """
    from gorun_mem.explore.retold import trusted
    from gorun_mem.step.schedule import ScheduleError

    try:
        target = trusted(schedule, allowed, _said(reference))
    except ScheduleError as error:
        raise BadInput(str(error)) from None
    _say_changed(schedule, target)
    return target


def _said(reference: str) -> str:
    """What was said, without its options."""
    return f"gorun-mem replay-schedule {reference if len(reference) < 60 else 'TOKEN'}"


def _say_changed(schedule: Schedule, target: Target) -> None:
    """Code that has changed may do other things: the schedule is followed as far as it fits."""
    was, now = schedule.about.get("sha256"), target.about.get("sha256")
    if isinstance(was, str) and now is not None and was != now:
        say(f"{schedule.about['scenario']} has changed since the schedule was made")


class _Following(NamedTuple):
    """How to follow a schedule; see the options."""

    step: int | None
    break_at: int | None
    on_divergence: OnDivergence
    host: str
    log: str | None
    no_detectors: bool
    looks: tuple[MakeDetector, ...]
    watch_s: float


def _followed(
    schedule: Schedule, target: Target, asked: _Following, as_json: bool
) -> tuple[int, dict[str, Any]]:
    """Follow a schedule as asked; the exit code, and the document."""
    if asked.step is not None:
        return _look(target, schedule, asked.step, asked.on_divergence, as_json)
    if asked.host == "trio" or asked.log is not None:
        return run_again(target, schedule, asked.host, asked.log, asked.watch_s, as_json)
    done, lanes = _replay(target, schedule, asked)
    failed = done.signature is not None or bool(done.divergence) or bool(done.foreign)
    if not as_json:
        _show(target, done, lanes)
    return ExitCode(int(failed)), _document(target, done, lanes)


def _replay(
    target: Target, schedule: Schedule, asked: _Following
) -> tuple[Execution, tuple[LaneStep, ...]]:
    """Follow the schedule; the run, and its steps with what each came to."""
    from gorun_mem.explore.retold import followed
    from gorun_mem.explore.sights import Sights
    from gorun_mem.explore.telling import lane_steps

    sights = Sights()
    own = () if asked.no_detectors else target.detectors
    makers = (*asked.looks, *(make for make in own if make not in asked.looks))
    detectors = [*(make() for make in makers), sights]
    if asked.break_at is not None:  # whoever debugs takes as long as that takes
        from gorun_mem.cli._breaking import broken_at

        done = broken_at(target, schedule, asked.break_at, detectors, asked.on_divergence)
        return done, lane_steps(done.named_steps, sights)
    done = followed(
        target, schedule, detectors, on_divergence=asked.on_divergence, watch_s=asked.watch_s
    )
    return done, lane_steps(done.named_steps, sights)


def _document(target: Target, done: Execution, lanes: Sequence[LaneStep]) -> dict[str, Any]:
    import msgspec

    from gorun_mem.explore.failure import words_of

    signature = done.signature
    return {
        "replay": target.name,
        "failure": None
        if signature is None
        else {"kind": signature.kind, "object": signature.obj, "site": signature.site},
        "text": words_of(done.world, done.findings),
        "divergence": done.divergence,
        "uncontrolled": done.foreign,
        "stuck": [str(stuck) for stuck in done.world.driver.stuck_at_end],
        "steps": [msgspec.to_builtins(step) for step in lanes],
    }


def _show(target: Target, done: Execution, steps: Sequence[LaneStep]) -> None:
    from gorun_mem.explore.failure import words_of
    from gorun_mem.explore.words import count
    from gorun_mem.report.worth import look_up_line

    skipped = max(0, len(steps) - _STEPS_SHOWN)
    if skipped:
        show(f"({count(skipped, 'step')} before; --json has all)")
    for step in steps[skipped:]:
        show(_line(step))
    show("")
    if done.divergence:
        show(f"The program is not the one of the schedule any more: {done.divergence}")
    if done.foreign:
        show(f"An M awaits what no schedule controls, at {done.foreign}")
    if done.signature is None:
        show(f"{target.name}: ended well after {count(len(steps), 'step')}")
    else:
        show(f"FAILED: {done.signature}")
        show(words_of(done.world, done.findings))
    show("", look_up_line(("step", "preempts" if any(s.preempts for s in steps) else "schedule")))


def _line(step: LaneStep) -> str:
    mark = "*" if step.preempts else " "
    drawn = "".join(f"  {label or 'choice'} = {value}" for label, _, value in step.drawn)
    place = f"  {step.place}" if step.place else ""
    return f"{step.step:6}{mark} M{step.m:<3} {step.text}{drawn}{place}"


def _look(
    target: Target, schedule: Schedule, step: int, on_divergence: OnDivergence, as_json: bool
) -> tuple[int, dict[str, Any]]:
    from gorun_mem.explore.stopped import stop_after

    view = stop_after(target, schedule, step, on_divergence)
    if isinstance(view, int):
        raise BadInput(
            f"--step {step}: the run has ended before, after {view:,}: --step {max(0, view - 1)} "
            "stops before its last step, and without --step all are listed"
        )
    if not as_json:
        _show_view(view)
    return ExitCode.CLEAN, view.document()


def _show_view(view: StoppedRun) -> None:
    show(f"after step {view.step:,}: {view.last or 'nothing yet'}")
    show(f"next: {view.next}, at {view.time_ns:,} ns")
    for m in view.ms:
        show(f"  {m}")
    memory = view.memory
    if not memory:
        show("memory: not used yet")
        return
    show(
        f"memory: bloc {memory['bloc']:#x}, blocMax {memory['bloc_max']:#x}, "
        f"{memory['pages']:,} pages, {memory['free_bytes']:,} bytes free"
    )
    for addr, size in memory["free"]:
        show(f"  free {addr:#x} of {size:,} bytes")
