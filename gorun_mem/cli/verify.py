"""`gorun-mem verify`: every reachable state of a lock."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from gorun_mem.cli._common import (
    RELEASE,
    BadInput,
    ExitCode,
    Number,
    json_option,
    write_json,
)
from gorun_mem.cli._output import console, is_interactive, show

if TYPE_CHECKING:
    from rich.status import Status

    from gorun_mem.explore.states.found import Verification
    from gorun_mem.explore.states.model import Model

_INT63: Final = (1 << 63) - 1
_SHOW_AFTER_S: Final = 0.5


@click.command("verify")
@click.argument("mutex")
@click.option(
    "--release",
    type=RELEASE,
    default=None,
    help="Take the lock as this Go release has it.  [default: newest]",
)
@click.option(
    "--ms", type=Number(1, 4), metavar="N",
    help="Let so many Ms use it.  [default: 2; 1 where the platform has one]",
)  # fmt: skip
@click.option(
    "--pairs", type=Number(1, 7), default=2, show_default=True, metavar="N",
    help="Let each M lock and unlock so often.",
)  # fmt: skip
@click.option(
    "--cpus", type=Number(1, 1024), default=4, show_default=True, metavar="N",
    help="Let Ms think that they run on so many; on 1 nobody spins.",
)  # fmt: skip
@click.option(
    "--low-latency", is_flag=True, help="Take it for sched.lock, for which all who wait may spin."
)
@click.option(
    "--profile", is_flag=True, help="Let releases be sampled for the mutex profile (spinbit, 1.25)."
)
@click.option("--try-locks", is_flag=True, help="Let Ms try for it, too.")
@click.option("--spurious", is_flag=True, help="Let a sleep on a futex end for no reason.")
@click.option("--timeouts", is_flag=True, help="Let sleeps on a note or a semaphore have limits.")
@click.option(
    "--memory", type=click.Choice(["sc", "tso"]), default="sc", show_default=True,
    help="Let memory be sc, where every load sees the latest store, or tso, where each M has a "
    "store buffer as on x86.",
)  # fmt: skip
@click.option(
    "--live", is_flag=True,
    help="Let the Ms go on for ever: say whether each that waits gets it, and how often others "
    "may come first.",
)  # fmt: skip
@click.option(
    "--states", "states_max", type=Number(1, _INT63), metavar="N",
    help="Stop at so many states, inconclusive.  [default: 20,000,000]",
)  # fmt: skip
@json_option()
def command(mutex: str, states_max: int | None, as_json: bool, **given: Any) -> int:
    """Visit every state that a few Ms can bring MUTEX to: a name, or FILE.py:Class.

    At most one M has it; who waits gets it; its words and counts come back to rest; an unlock of
    the unlocked lock is refused. What is wrong is shown by a shortest way there, with the word by
    its bits after each step, and a token for replay-schedule.

    \b
    Names: js wasip1 sema futex spinbit queue any; note-js note-wasip1 note-sema note-futex;
    semaphore, futexword.

    \b
    Examples:
      gorun-mem verify spinbit --ms 3 --cpus 1
      gorun-mem verify sema --release go1.21 --live
      gorun-mem verify mylock.py:TicketLock --ms 3
      gorun-mem verify spinbit --memory tso
      gorun-mem verify note-futex --timeouts --spurious

    Exit codes: 0 it holds in every state; 1 it does not; 2 usage; 4 internal fault;
    5 inconclusive: there are more states; 130 interrupted.
    """
    from gorun_mem.explore.states.bounds import VerifyError
    from gorun_mem.explore.states.values import Unreadable
    from gorun_mem.explore.states.verification import (
        STATES_MAX,
        is_coroutine,
        model_of,
        verify,
    )
    from gorun_mem.runtime.mutex import UnknownMutex

    bounds = {name: value for name, value in given.items() if value is not None}
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        try:
            with _Progress(mutex) as progress:
                found = verify(
                    mutex, states_max=states_max or STATES_MAX, progress=progress.show, **bounds
                )
        except (VerifyError, UnknownMutex, Unreadable) as error:
            raise BadInput(str(error)) from None
        if not as_json:
            _show(found, None if is_coroutine(found.bounds) else model_of(found.bounds))
    if as_json:
        write_json({**found.document(), "exit": found.exit_code})
    return ExitCode(found.exit_code)


def _show(found: Verification, model: Model | None) -> None:
    from gorun_mem.explore.naming import code_of
    from gorun_mem.explore.states.found import schedule_of
    from gorun_mem.explore.states.lanes import render
    from gorun_mem.report.width import width
    from gorun_mem.report.worth import look_up_line

    if found.trace:
        show("\n".join(render(found, model, width())))
        show("")
    show(f"verdict   {found.sentence}")
    rate = found.states / max(found.seconds, 1e-3)
    show(
        f"search    {found.states:,} states, {found.steps:,} steps between them, in "
        f"{found.seconds:.1f} s ({rate:,.0f} states/s)"
    )
    if found.bypasses is not None:
        bound = "no bound" if found.bypasses < 0 else f"{found.bypasses:,} at most"
        show(f"bypasses  {bound}: others that get the lock while one waits, unfairly too")
    if found.trace:
        named = code_of(schedule_of(found).about)
        options = shlex.join([word for code in named for word in ("--code", code)])
        show(f"replay    gorun-mem replay-schedule {found.token} {options}".rstrip())
    show(look_up_line(("bypass" if found.bypasses is not None else "step", "M"), 10))


class _Progress:
    """Shows a terminal how many states there are, how fast they come, and how many are to be
    stepped still.

    Args:
        name: of what is verified.
    """

    def __init__(self, name: str) -> None:
        self._name = os.path.basename(name)
        self._wanted = is_interactive()
        self._start = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, states: int, frontier: int) -> None:
        """Say how far the search is."""
        seconds = time.monotonic() - self._start
        if not self._wanted or seconds < _SHOW_AFTER_S:
            return
        if self._status is None:
            self._status = console().status("")
            self._status.start()
        self._status.update(
            f"verifying {self._name}: {states:,} states ({states / seconds:,.0f}/s), "
            f"{frontier:,} still to be stepped"
        )
