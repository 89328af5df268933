"""What `report` says of a failure by its schedule: of a log, of a file, of a token."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gorun_mem.cli._by_schedule import load_schedule
from gorun_mem.cli._common import BadInput, ExitCode, progress, write_json
from gorun_mem.cli._mistakes import SCHEDULE, kind_of
from gorun_mem.cli._output import show
from gorun_mem.cli._written import write_page

if TYPE_CHECKING:
    from gorun_mem.events.types import RunEnd, RunStart
    from gorun_mem.explore.retold import Retold
    from gorun_mem.step.schedule import Schedule


def is_schedule(reference: str) -> bool:
    """Whether it is the file of a schedule, or a token."""
    from gorun_mem.step.schedule import Schedule, ScheduleError

    if len(reference) < 4096 and Path(reference).exists():
        return kind_of(Path(reference)) == SCHEDULE
    if reference.endswith(".schedule"):
        return True  # which is not there, as will be said
    try:
        Schedule.from_token(reference)
    except ScheduleError:
        return False
    return True


def tell(reference: str, code: Sequence[str], html: Path | None, as_json: bool) -> int:
    """Say what there is to say of the failure that a schedule leads to.

    Raises:
        BadInput: it is damaged, or one of `verify`, or would run code that may not.
    """
    from gorun_mem.explore.naming import code_of, named
    from gorun_mem.explore.retold import refuse_code, retell
    from gorun_mem.explore.states.again import is_verification
    from gorun_mem.step.schedule import ScheduleError

    schedule = load_schedule(reference)
    shown = reference if len(reference) < 200 else "TOKEN"
    test = schedule.about.get("test")
    if isinstance(test, str):
        raise BadInput(
            f"the schedule is one of a test, whose fixtures pytest makes: {_again(schedule)} "
            "says what matters in it"
        )
    if is_verification(schedule):
        raise BadInput(
            "the schedule is a counterexample of verify, which steps a lock alone: gorun-mem "
            f"replay-schedule {shlex.quote(shown)} shows it"
        )
    said = f"gorun-mem report {shlex.quote(shown)}"
    try:
        refuse_code(code_of(schedule.about), code, said)
    except ScheduleError as error:
        raise BadInput(str(error)) from None
    with progress("following the schedule"):
        told = retell(schedule, code, said)
    name, again = named(schedule.about), _again(schedule)
    if as_json:
        write_json({"report": name, "again": again, **told.document()})
        return ExitCode.CLEAN
    if html is not None:
        from gorun_mem.report.exploration import of_schedule

        show_page(of_schedule(name, again, told.document()), html)
    else:
        show_failure(told)
        if told.account is None:
            show(f"again   {again}")
    return ExitCode.CLEAN


def of_log(start: RunStart | None, end: RunEnd | None, code: Sequence[str], name: str) -> Retold:
    """What there is to say of the failure that a log ends with."""
    from gorun_mem.explore.retold import retell_log

    with progress("following its schedule"):
        return retell_log(start, end, code, f"gorun-mem report {shlex.quote(name)}")


def show_failure(told: Retold) -> None:
    """The same on the terminal."""
    from gorun_mem.explore.report import COLUMNS, drawn
    from gorun_mem.report.width import width

    if told.account is not None:
        show(drawn(told.account, min(width() or COLUMNS, COLUMNS)))
        show("")
    for line in told.notes:
        show(f"note    {line}")


def _again(schedule: Schedule) -> str:
    from gorun_mem.explore.failure import replay_command

    return replay_command(schedule.about, schedule.token())


def show_page(document: dict[str, Any], target: Path) -> None:
    """Write a report as a page, and say where it is.

    Raises:
        BadInput: it cannot be written.
    """
    written = write_page(document, target)
    show(f"html    {click.format_filename(target)}, {written:,} bytes")
