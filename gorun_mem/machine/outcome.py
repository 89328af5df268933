"""How a run ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal[
    "ok", "failed", "throw", "fault", "deadlock", "no_progress", "cancelled", "interrupted",
    "internal",
]  # fmt: skip

EXIT_CODES: Final[dict[str, int]] = {
    "ok": 0,
    "failed": 1,
    "throw": 1,
    "fault": 1,
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


@dataclass(frozen=True, slots=True)
class Stuck:
    """An M that could not go on when the run ended.

    Args:
        m: its id.
        name: its name.
        waits_for: the operation and its object, such as "acquire memlock".
        since_ns: since when, in virtual time.
        held_by: who holds what it waits for, where and since when; "" where nobody does.
        holds: the locks that it holds itself.
    """

    m: int
    name: str
    waits_for: str
    since_ns: int
    held_by: str
    holds: tuple[str, ...]

    def __str__(self) -> str:
        text = f"M{self.m} ({self.name}) waits to {self.waits_for} since {self.since_ns:,} ns"
        if self.held_by:
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
