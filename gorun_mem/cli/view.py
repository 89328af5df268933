"""`gorun-mem view`: the page on one run."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import click

from gorun_mem.cli._common import BadInput, ExitCode, json_option, write_json
from gorun_mem.cli._exit import say
from gorun_mem.cli._page import PageOptions


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the page is to open on.

    Args:
        kind: "log", "schedule" or "recording".
        log: the event log, None for a schedule.
        token: the schedule's.
        recording: what the log was replayed from, "" where it was not.
        code: beside the library's, what may run for it.
    """

    kind: str
    log: str | None = None
    token: str = ""
    recording: str = ""
    code: tuple[str, ...] = ()


@click.command("view")
@click.argument("shown", metavar="LOG_OR_TOKEN_OR_RECORDING")
@click.option(
    "--http",
    default="127.0.0.1:0",
    show_default=True,
    metavar="HOST:PORT",
    help="Serve the page here; port 0 takes any free one.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    help="Let callers in only with the token in this file, which is needed where others can "
    "connect.  [default: no token, on loopback only]",
)
@click.option("--no-open", is_flag=True, help="Start no browser, only print the address.")
@click.option(
    "--code", multiple=True, metavar="REFERENCE",
    help="Let the schedule run this code, as it names it: FILE.py, FILE.py:NAME, module:function "
    "or a test of pytest's; may be given again.  [default: the library's scenarios and lessons "
    "only]",
)  # fmt: skip
@json_option()
def command(
    shown: str,
    http: str,
    token_file: str | None,
    no_open: bool,
    code: tuple[str, ...],
    as_json: bool,
) -> int:
    """Show one run in a browser: an event log, a schedule's token, a recording.

    `last` is the newest log. A recording of a real Go program is replayed first, and shown with
    what its pages are for and what other releases would take. The page is served until Ctrl-C.

    \b
    Examples:
      gorun-mem view last
      gorun-mem view run.jsonl.zst --http 127.0.0.1:7061 --no-open
      gorun-mem view maps-go1.24.11
      gorun-mem view AgIAAwECAaNC... --code tests/test_seats.py::test_last_seat

    Exit codes: 0 stopped by SIGTERM; 2 nothing can be shown of it, or the address cannot be used;
    4 internal fault; 130 interrupted.
    """
    import trio

    page = PageOptions.of(http, token_file)
    with ExitStack() as stack:
        what = _allowed(_what(shown, stack), code)
        return trio.run(_show, page, what, no_open, as_json)


async def _show(page: PageOptions, what: _Shown, no_open: bool, as_json: bool) -> int:
    import trio

    from gorun_mem.machine.interrupts import ending_signals

    shows = {"kind": "token", "token": what.token} if what.log is None else None
    with trio.open_signal_receiver(*ending_signals()) as signals:
        async with (
            page.opened(log=what.log, shows=shows, recording=what.recording, code=what.code) as url,
            trio.open_nursery() as nursery,
        ):
            if as_json:
                write_json({"url": url, "kind": what.kind, "log": what.log})
            say(f"{what.kind} at {url}, until Ctrl-C")
            if not no_open:
                nursery.start_soon(_open_browser, url)
            number = await anext(signals)
            nursery.cancel_scope.cancel()
    return ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.CLEAN


async def _open_browser(url: str) -> None:
    """Open one; some run in the terminal and return when they are left, so nobody waits for it."""
    import webbrowser

    import trio

    await trio.to_thread.run_sync(webbrowser.open, url, abandon_on_cancel=True)


def _allowed(what: _Shown, code: tuple[str, ...]) -> _Shown:
    """What is shown, with the code that may run for it.

    Raises:
        BadInput: it is a schedule that would run other code.
    """
    from gorun_mem.explore.naming import code_of
    from gorun_mem.explore.retold import refuse_code
    from gorun_mem.step.schedule import Schedule, ScheduleError

    about = Schedule.from_token(what.token).about if what.token else {}
    test = about.get("test")
    if isinstance(test, str) and test not in code:
        raise BadInput(
            f"the schedule is of a test, {test!r:.200}: if you trust it, say gorun-mem view TOKEN "
            f"--code {shlex.quote(test)}, in the folder that pytest runs in"
        )
    try:
        refuse_code(code_of(about), code, "gorun-mem view TOKEN")
    except ScheduleError as error:
        raise BadInput(str(error)) from None
    return replace(what, code=code)


def _what(reference: str, stack: ExitStack) -> _Shown:
    """What the argument names.

    Raises:
        BadInput: it is nothing that can be shown.
    """
    from gorun_mem.cli._recording import is_recording
    from gorun_mem.events.errors import LogError
    from gorun_mem.events.home import resolve_log
    from gorun_mem.files.reading import is_read_once
    from gorun_mem.step.schedule import Schedule, ScheduleError, load

    if "://" in reference:
        raise BadInput(
            f"{reference[:80]} is a URL: open it in a browser; view shows a log, a schedule, its "
            "token or a recording"
        )
    try:
        is_there = reference == "last" or (len(reference) < 4096 and Path(reference).exists())
    except (OSError, ValueError):
        is_there = False
    try:
        if not is_there and len(reference) < 200 and is_recording(reference):
            return _of_recording(reference, stack)
        if not is_there:
            return _Shown("schedule", token=Schedule.from_token(reference).token())
        if reference.endswith(".schedule"):
            return _Shown("schedule", token=load(reference).token())
        log = os.fspath(resolve_log(reference))
    except ScheduleError as error:
        raise BadInput(f"{reference[:80]}: no such file, and no token: {error}") from None
    except LogError as error:
        raise BadInput(str(error)) from None
    if is_read_once(log):
        raise BadInput(
            f"{log} can be read once only, and the page reads what it shows again and again: write "
            "it to a file, and view that"
        )
    head = _first_line(log)
    if b'"header"' in head:
        return _of_recording(log, stack)
    if not head.startswith(b'{"event":'):
        raise BadInput(f"{log} is no event log, no schedule and no recording")
    return _Shown("log", log)


def _of_recording(recording: str, stack: ExitStack) -> _Shown:
    return _Shown("recording", _replayed(recording, stack), recording=recording)


def _first_line(log: str) -> bytes:
    from gorun_mem.events.reader import read_raw

    return next(iter(read_raw(log)), b"")


def _replayed(recording: str, stack: ExitStack) -> str:
    """A log of the program that a recording is of.

    Raises:
        BadInput: it cannot be replayed.
    """
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gorun_mem-"))
    log = os.path.join(folder, f"{Path(recording).name}.log.jsonl")
    words = ["run", "real_program", "--set", f"trace={recording}", "--log", log, "--json"]
    say(f"replaying {recording}")
    done = subprocess.run(
        [sys.executable, "-m", "gorun_mem", *words], capture_output=True, text=True, check=False
    )
    if not Path(log).is_file():
        raise BadInput(f"{recording} cannot be replayed: {done.stderr.strip()[-400:]}")
    return log
