"""What the verbs share: kinds of number, release and platform, JSON output, progress.

Nothing here is imported by `gorun-mem --help`. Rich is imported by a progress bar that has
something to show, and the table of releases when a release is named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from gorun_mem.cli._exit import BadInput, ExitCode, worst
from gorun_mem.cli._kinds import BYTES, NUMBER, PLATFORM, RELEASE, Number, OneOf, Pages
from gorun_mem.cli._output import console, is_interactive

if TYPE_CHECKING:
    from rich.progress import Progress


__all__ = [
    "BYTES",
    "NUMBER",
    "PLATFORM",
    "RELEASE",
    "BadInput",
    "ExitCode",
    "Number",
    "OneOf",
    "Pages",
    "json_option",
    "memory_options",
    "platform_option",
    "progress",
    "release_option",
    "worst",
    "write_json",
]

F = TypeVar("F", bound=Callable[..., Any])

_INT63: Final = (1 << 63) - 1


def release_option(default: str | None = None) -> Callable[[F], F]:
    """`--release`; None where the verb decides for itself."""
    shown = f"  [default: {default or 'the newest'}]"
    return click.option(
        "--release",
        type=RELEASE,
        default=default,
        metavar="R",
        help="Emulate this Go release, such as go1.24, go1.24.3 or dac514ea." + shown,
    )


def platform_option(default: str | None = None) -> Callable[[F], F]:
    """`--platform`; None where the verb decides for itself."""
    usual = default or "js/wasm for one M, plan9/amd64 for more"
    return click.option(
        "--platform",
        type=PLATFORM,
        default=default,
        metavar="P",
        help="Emulate this platform: js/wasm, wasip1/wasm, plan9/amd64 or plan9/386.  "
        f"[default: {usual}]",
    )


def watchdog_option() -> Callable[[F], F]:
    """`--watchdog`: how long an M may run without an await, in seconds."""

    def usual() -> float:
        from gorun_mem.machine.watchdog import LIMIT_S

        return LIMIT_S

    return click.option(
        "--watchdog",
        "watch_s",
        type=click.FloatRange(0),
        default=usual,
        metavar="SECONDS",
        show_default="5",
        help="Stop the run when an M goes so many seconds of real time without awaiting anything; "
        "0 never does.",
    )


def mutex_option() -> Callable[[F], F]:
    """`--mutex`: which runtime mutex memlock is."""
    return click.option(
        "--mutex",
        metavar="X",
        help="Use this runtime mutex: sema, futex, spinbit, queue (a plain FIFO), any (every "
        "waiter may be next), none ...; gorun-mem explain mutexes lists all. Or FILE.py:Class, "
        "one of your own (gorun_mem.locks).  [default: the one of the release and platform]",
    )


def policy_option() -> Callable[[F], F]:
    """`--policy`: how the allocator searches."""
    return click.option(
        "--policy",
        metavar="P",
        help="Search free memory and move the break by this policy: best_fit, buddy, grow:SIZE "
        "...; gorun-mem explain policies lists all. Or FILE.py:Class, one of your own "
        "(gorun_mem.policies).  [default: Go's own]",
    )


def detector_option() -> Callable[[F], F]:
    """`--detector`: what looks at each schedule besides."""
    return click.option(
        "--detector",
        "detectors",
        multiple=True,
        metavar="D",
        help="Look at each schedule with this detector too: leaked_memory, bypasses:N ...; "
        "gorun-mem explain detectors lists all. Or FILE.py:Class, one of your own "
        "(gorun_mem.explore.Detector). May be given again.  [default: the usual ones]",
    )


def cpus_option() -> Callable[[F], F]:
    """`--cpus`: how many Ms run at once."""
    return click.option(
        "--cpus",
        type=Number(most=_INT63),
        metavar="N",
        help="Let so many Ms run at once, in virtual time.  [default: 4]",
    )


def seed_option() -> Callable[[F], F]:
    """`--seed`: what everything left to chance is drawn from."""
    return click.option(
        "--seed",
        type=Number(most=_INT63),
        metavar="S",
        help="Draw everything that is left to chance from this seed; the same seed gives the same "
        "log.  [default: 0]",
    )


def set_option() -> Callable[[F], F]:
    """`--set`: the scenario's own options."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set an option of the scenario, which `gorun-mem scenarios NAME` lists; may be given "
        "again.",
    )


def mem_debug_option() -> Callable[[F], F]:
    """`--mem-debug`: Go's memDebug."""
    return click.option(
        "--mem-debug",
        is_flag=True,
        default=None,
        help="Check the whole free list whenever it changes, as Go does under memDebug.",
    )


def costs_option() -> Callable[[F], F]:
    """`--costs`: a cost table."""
    return click.option(
        "--costs",
        metavar="NAME_OR_FILE",
        help="Take what each step costs in virtual ns from this table: server-16 or laptop-68578, "
        "which come with the program, or a TOML file in their form.  [default: server-16]",
    )


def log_option() -> Callable[[F], F]:
    """`--log`: where the events go."""
    return click.option(
        "--log",
        metavar="FILE",
        help="Write the event log here as JSON Lines, compressed if the name ends in .gz or .zst; "
        "- shows the events on stderr instead.  [default: a file in $GORUN_MEM_HOME/runs]",
    )


LEVELS_HELP: Final = (
    "Log as much: debug has every event, canonical the calls and releases that reports need, info "
    "neither."
)


def apply(options: list[Callable[[Any], Any]]) -> Callable[[F], F]:
    """A decorator that gives a command several options, shown by --help in this order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def memory_options() -> list[Callable[[Any], Any]]:
    """`--max-pages`, `--init-pages` and `--end`, named as in `machine.config.Config`."""
    return [
        click.option(
            "--max-pages",
            type=Pages(most=_INT63),
            metavar="N",
            help="Refuse growth beyond so many pages of 64 KiB, or a size such as 32MiB, as a "
            "machine with no more memory would.  "
            "[default: 65536]",
        ),
        click.option(
            "--init-pages",
            "initial_pages",
            type=Pages(-1, _INT63),
            metavar="N",
            help="Start the wasm memory with so many pages of 64 KiB; -1 takes as many "
            "as Go's linker "
            "asks for.  [default: -1]",
        ),
        click.option(
            "--end",
            "data_end",
            type=Number(most=_INT63, sizes=True),
            metavar="BYTES",
            help="Let the program's static data end at this address, where the break starts.  "
            "[default: 1441448]",
        ),
    ]


def host_option(default: str, help: str) -> Callable[[F], F]:
    """`--host`: what drives the Ms; `help` says of which run."""
    return click.option(
        "--host",
        type=click.Choice(["trio", "trampoline"]),
        default=default,
        show_default=True,
        help=help,
    )


def log_level_option(help: str) -> Callable[[F], F]:
    """`--log-level`."""
    return click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "canonical"]),
        default="debug",
        show_default=True,
        help=help,
    )


def json_option() -> Callable[[F], F]:
    """`--json`, passed as `as_json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Write one JSON document to stdout, and what is said to a person to stderr.",
    )


def write_json(document: object) -> None:
    """One JSON document on stdout."""
    import json

    from gorun_mem.files.text import json_text

    click.echo(json_text(json.dumps(document, indent=2, ensure_ascii=False)))


@contextmanager
def progress(
    label: str, total: int | None = None, *, after_s: float = 0.5
) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, shown only to a terminal and only when the work takes a while.

    The value is a function to call with how many units have been done since the last call; call it
    every few milliseconds of work, not for each unit.

    Args:
        label: what is being done.
        total: how many units there are, None when it is not known.
        after_s: how long to wait, in seconds, before the bar appears.
    """
    if not is_interactive():
        yield lambda units: None
        return
    bar = _Bar(label, total, after_s)
    try:
        yield bar.advance
    finally:
        bar.close()


class _Bar:
    """Counts until it is time to show a bar, then shows one."""

    def __init__(self, label: str, total: int | None, after_s: float) -> None:
        self._label = label
        self._total = total
        self._done = 0
        self._show_at = time.monotonic() + after_s
        self._rich: Progress | None = None

    def advance(self, units: int) -> None:
        self._done += units
        if self._rich is None:
            if time.monotonic() < self._show_at:
                return
            self._rich = self._open()
        self._rich.update(self._rich.task_ids[0], completed=self._done)

    def _open(self) -> Progress:
        from rich.progress import Progress

        bar = Progress(console=console(), transient=True)
        bar.add_task(self._label, total=self._total)
        bar.start()
        return bar

    def close(self) -> None:
        if self._rich is not None:
            self._rich.stop()
