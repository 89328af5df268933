"""What a search has found: as text, as JSON and as a page."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from gorun_mem.cli._output import show

if TYPE_CHECKING:
    from gorun_mem.explore.account import FailureAccount
    from gorun_mem.explore.failure import Detector
    from gorun_mem.explore.target import Target
    from gorun_mem.explore.verdict import Exploration


def accounts_of(
    found: Exploration, target: Target, detectors: Sequence[Callable[[], Detector]]
) -> tuple[Exploration, list[FailureAccount]]:
    """What was found, and all that there is to say of it; after Ctrl-C, which may come here too,
    what takes no further runs."""
    from gorun_mem.explore.telling import account_of, plain_account_of

    accounts: list[FailureAccount] = []
    try:
        for failure in () if found.interrupted else found.failures:
            accounts += [account_of(failure, target, detectors=detectors)]
    except KeyboardInterrupt:
        found = replace(found, interrupted=True)
    return found, [*accounts, *map(plain_account_of, found.failures[len(accounts) :])]


def document_of(
    found: Exploration, accounts: Sequence[FailureAccount], saved: str | None, logged: str | None
) -> dict[str, Any]:
    """What was found, as JSON."""
    from gorun_mem.explore.telling import as_json

    failures = [as_json(account) for account in accounts]
    kept = {"schedule": saved, "log": logged, "exit": found.exit_code}
    return {**found.document(), "failures": failures, **kept}


def show_found(
    found: Exploration, accounts: Sequence[FailureAccount], saved: str | None, logged: str | None
) -> None:
    """Say what was found: failures, the verdict, how it was searched, what to do next."""
    from gorun_mem.explore.report import COLUMNS, drawn
    from gorun_mem.explore.words import count
    from gorun_mem.report.width import width
    from gorun_mem.report.worth import look_up_line, of_search

    for failure in accounts:
        if failure.steps:
            show(drawn(failure, min(width() or COLUMNS, COLUMNS)))
        else:
            show(f"FAILED: {failure.signature}\n  {failure.text}")
        show("")
    counted = found.statistics
    rate = counted.schedules / max(counted.seconds, 1e-3)
    show(f"verdict   {found.sentence}")
    ran = f"{count(counted.schedules, 'schedule')}, {count(counted.steps, 'step')}"
    speed = f"{rate:,.0f} schedules/s"
    if counted.states:
        ran = (
            f"{count(counted.states, 'state')}, {count(counted.schedules, 'schedule')} to the end "
            f"and {counted.redundant:,} to a known state"
        )
        speed = f"{counted.states / max(counted.seconds, 1e-3):,.0f} states/s"
    show(
        f"search    {found.strategy}, seed {found.seed}: {ran} in {counted.seconds:.1f} s ({speed})"
    )
    if counted.walks:
        show(f"before    {count(counted.walks, 'random walk')}, to know the program by")
    if len(counted.by_strategy) > 1:
        by = ", ".join(f"{name} {runs:,}" for name, runs in counted.by_strategy.items() if runs)
        show(f"by        {by}")
    if counted.unfair:
        show(f"unfair    {count(counted.unfair, 'run')} ended only when chance took over")
    most = {lock: n for lock, n in sorted(counted.bypasses.items()) if n}
    if most:
        locks = ", ".join(f"{lock} {count(n, 'time')}" for lock, n in most.items())
        show(f"bypassed  while an M waited, others got {locks} at most")
    if saved is not None and found.failure is not None:
        show(f"schedule  {click.format_filename(saved)}")
        words = [saved, *found.failure.code_options]
        show(f"replay    gorun-mem replay-schedule {shlex.join(words)}")
    if logged is not None:
        show(f"log       {click.format_filename(logged)}")
        show(f"report    gorun-mem report {shlex.quote(logged)}")
    show(look_up_line(of_search(found), 10))


def show_kept(found: Exploration, file: str | None) -> None:
    """How to go on, where a search is kept and not at its end."""
    if file is not None and found.verdict == "inconclusive":
        click.echo(
            f"kept      {click.format_filename(file)}: the same command goes on, with more "
            "--budget or --time if that was used up"
        )
