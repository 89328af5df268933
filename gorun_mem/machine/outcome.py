"""How a run ended."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from gorun_mem.runtime.errors import Fault, Hang, OutOfMemory, Throw, said
from gorun_mem.scripts import SCRIPT

Verdict = Literal[
    "ok", "failed", "throw", "fault", "out_of_memory", "deadlock", "no_progress", "cancelled",
    "interrupted", "internal",
]  # fmt: skip

EXIT_CODES: Final[dict[str, int]] = {
    "ok": 0,
    "failed": 1,
    "throw": 1,
    "fault": 1,
    "out_of_memory": 1,
    "deadlock": 3,
    "no_progress": 3,
    "cancelled": 130,
    "interrupted": 130,
    "internal": 4,
}


class RunStopped(BaseException):
    """Thrown into what an M awaits when the run has ended without it; no M runs again."""


class DeadlockFound(Exception):
    """No M can go on; the message says who waits for what and who holds it."""


class NoProgress(Exception):
    """The run reached a bound without ending: too many steps, or a loop without an await."""


class NeverAwaited(Exception):
    """The program made an operation, or called a method that is one, and never awaited it.

    Args:
        text: for people: who made what where.
        what: what was made, without its addresses and numbers.
        place: where, as "file:line"; "" where that is not known.
    """

    error_type = "never_awaited"

    def __init__(self, text: str, what: str, place: str) -> None:
        super().__init__(text)
        self.what = what
        self.place = place


@dataclass(frozen=True, slots=True)
class HeldBy:
    """Who holds a lock that another M waits for.

    Args:
        m: its id.
        site: the Go function that took the lock.
        since_ns: since when, in virtual time.
    """

    m: int
    site: str
    since_ns: int

    def __str__(self) -> str:
        return f"M{self.m} in {self.site} since {self.since_ns:,} ns"


@dataclass(frozen=True, slots=True)
class Stuck:
    """An M that could not go on when the run ended.

    Args:
        m: its id.
        name: its name.
        waits_for: the operation and its object, such as "acquire memlock".
        since_ns: since when, in virtual time.
        held_by: who holds the lock that it waits for; None where it waits for none, or nobody
            holds it.
        holds: the locks that it holds itself.
    """

    m: int
    name: str
    waits_for: str
    since_ns: int
    held_by: HeldBy | None
    holds: tuple[str, ...]

    def __str__(self) -> str:
        text = f"M{self.m} ({self.name}) waits to {self.waits_for} since {self.since_ns:,} ns"
        if self.held_by is not None:
            text += f", held by {self.held_by}"
        if self.holds:
            text += f", while it holds {', '.join(self.holds)}"
        return text


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Args:
        verdict: the outcome of `run.end`.
        error: what ended it, if anything did.
        failed_m: id of the M whose step or program raised `error`.
        stuck: every M that could not go on, at a deadlock; holders and waiters otherwise.
        steps: accesses made.
        time_ns: virtual time at the end.
        uncontrolled: where an M awaited trio itself, as "file:line"; outside replay then.
    """

    verdict: Verdict
    error: BaseException | None
    failed_m: int
    stuck: tuple[Stuck, ...]
    steps: int
    time_ns: int
    uncontrolled: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the scenario came to its end."""
        return self.verdict == "ok"

    @property
    def exit_code(self) -> int:
        """What the command line exits with."""
        return EXIT_CODES[self.verdict]

    @property
    def error_type(self) -> str:
        """A word for the log; "" when nothing went wrong."""
        if self.error is None:
            return ""
        return getattr(self.error, "error_type", type(self.error).__name__)


_ADDRESSES: Final = frozenset({"addr", "address", "ap", "p", "v"})
"""Names in a throw's context that hold addresses."""


def in_words(error: BaseException, source: str = "") -> str:
    """What ended a run, in Go's words where Go has some: what it prints, then its last line.

    Args:
        error: what ended it.
        source: the scenario's file; the line of it that failed is named where there is one.
    """
    if isinstance(error, OutOfMemory):
        lines = [f"fatal error: {error.message}", error.account]
    elif isinstance(error, Throw):
        lines = [*error.printed, f"fatal error: {error.message}"]
        if error.context:
            lines.append(f"({_context(error.context)})")
    elif isinstance(error, Fault):
        detail = f": {error.detail}" if error.detail else ""
        lines = [f"fault at address {error.address:#x}{detail}"]
    elif isinstance(error, Hang):
        lines = [
            f"hang in {error.function}: its walk came back to the header at {error.address:#x}, "
            "so Go would loop for ever"
        ]
    elif isinstance(error, DeadlockFound | NoProgress | NeverAwaited):
        return str(error)
    else:
        name, text = type(error).__name__, said(error)
        lines = [f"{name}: {text}" if text else name]
    place = _place_in(error, source)
    return "\n".join([*lines, f"at {place}"] if place else lines)


def _context(context: dict[str, int | str]) -> str:
    return ", ".join(
        f"{name} {value:#x}" if name in _ADDRESSES and isinstance(value, int) else f"{name} {value}"
        for name, value in context.items()
    )


def _place_in(error: BaseException, source: str) -> str:
    """The innermost line of `source`, or of another file of the user's such as a lock's, that
    `error` came through, without the folder."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        code, module = frame.f_code, frame.f_globals.get("__name__", "")
        if module.startswith(SCRIPT) or (source and code.co_filename == source):
            found = f"{Path(code.co_filename).name}:{line}, in {code.co_name}"
    return found
