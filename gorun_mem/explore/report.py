"""A failure on one screen: what broke, the steps that matter, who did what when, how to replay it.

The screen has 100 columns and 45 lines. What always stands there is what broke and the command that
replays it; the diagram of the Ms gets the lines that the rest leaves. Of the steps it shows those
around switches, forced ones first, then the latest. Nothing is guessed: every line follows from the
failure, from one replay of it, and from that of the nearest schedule that passes.

The steps that matter are named before it (see `matters`).

A token that has the names of its steps may take half a screen; then the command has the same
schedule without them.
"""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Final

from gorun_mem.explore.account import FailureAccount
from gorun_mem.explore.failure import Failure
from gorun_mem.explore.lanes import COLUMNS as COLUMNS
from gorun_mem.explore.lanes import beside, lanes, screen
from gorun_mem.explore.telling import account_of
from gorun_mem.explore.words import count

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target

LINES: Final = 45
TOKEN_LINES_MAX: Final = 6
"""Of the screen, for the command; see the module."""
_TEXT_MAX: Final = 4
_SENTENCE_MAX: Final = 3
"""Lines of a sentence on what matters."""
_BESIDE_MAX: Final = 4
"""Steps of the failing and of the passing schedule beside each other, where there is room;
`_BESIDE_MIN` where there is none for all steps."""
_BESIDE_MIN: Final = 2
_SETTINGS: Final = (
    "trio", "release", "platform", "mutex", "policy", "granularity", "ms", "memory", "host", "seed",
)  # fmt: skip


def render(failure: Failure, target: Target | None = None, columns: int = COLUMNS) -> str:
    """The report of a failure; see `drawn` and `account_of`."""
    return drawn(account_of(failure, target), columns)


def drawn(failure: FailureAccount, columns: int = COLUMNS) -> str:
    """The report of a failure, from its account.

    Args:
        failure: all that there is to say of it.
        columns: that a line has at most.

    Returns:
        At most `LINES` lines of so many columns, the last line the command that replays it.
        Tokens and commands alone may be longer than the screen is wide, for they are to be pasted.
    """
    token = screen.set(columns)
    try:
        return _drawn(failure)
    finally:
        screen.reset(token)


def _drawn(failure: FailureAccount) -> str:
    head = [*_head(failure), "", *_what_matters(failure), ""]
    for beside_max in (_BESIDE_MAX, _BESIDE_MIN):
        tail = _tail(failure, beside_max)
        used = len(head) + sum(max(1, -(-len(line) // screen.get())) for line in tail)
        if LINES - used > len(failure.steps) + 1:
            break
    return "\n".join([*head, *lanes(failure.steps, failure.ms, LINES - used), *tail])


def _tail(failure: FailureAccount, beside_max: int) -> list[str]:
    """All that is behind the lanes."""
    lines: list[str] = []
    for part in (failure.history, failure.waits, _sources(failure), _memory(failure)):
        if part:
            lines += ["", *map(_cut, part)]
    return [*lines, *_nearest(failure, beside_max), "", "Replay it:", _command(failure)]


# What broke.


def _head(failure: FailureAccount) -> list[str]:
    lines = [_cut(f"FAILED: {failure.signature}")]
    parts = [part for part in failure.text.splitlines() if part not in failure.history]
    text = [line for part in parts for line in wrap(part, screen.get() - 2)]
    lines += [f"  {line}" for line in text[:_TEXT_MAX]]
    if len(text) > _TEXT_MAX:
        lines.append(f"  ... and {count(len(text) - _TEXT_MAX, 'line')} more")
    lines.append(_cut(f"  {failure.found}"))
    known = [f"{name} {failure.settings[name]}" for name in _SETTINGS if failure.settings.get(name)]
    if known:
        lines.append(_cut(f"  {', '.join(known)}"))
    return lines


def _what_matters(failure: FailureAccount) -> list[str]:
    if not failure.steps:
        return [matter.text for matter in failure.matters]
    lines = ["What matters:"]
    for number, matter in enumerate(failure.matters, 1):
        lines += _wrapped(f"  {number}. ", matter.text, _SENTENCE_MAX)
    return lines


# The rest.


def _nearest(failure: FailureAccount, beside_max: int) -> list[str]:
    """The nearest schedule that passes: what differs, both beside each other where they part, and
    the command that makes it."""
    passing = failure.passing
    if passing is None:
        return ["", f"No schedule that passes: {failure.no_passing}."] if failure.no_passing else []
    lines = [
        "",
        f"The nearest schedule that passes ({count(passing.deviations, 'decision')} away):",
    ]
    lines += _wrapped("  ", passing.sentence)
    if passing.but:
        also = f"it ends well, but has this too: {passing.but}"
        if passing.replay.endswith(" --no-detectors"):
            also += " (replay it with --no-detectors)"
        lines += _wrapped("  ", also)
    lines += beside(failure.steps, passing.steps, passing.parts_at, beside_max)
    return [*lines, f"  its token: {passing.short_token}"]


def _sources(failure: FailureAccount) -> list[str]:
    lines = [f"  {place}  {text}" for place, text in failure.sources]
    return ["The lines:", *lines] if lines else []


def _memory(failure: FailureAccount) -> list[str]:
    lines: list[str] = []
    for line in failure.memory:
        start = "  violated: "
        lines += _wrapped(start, line.removeprefix(start)) if line.startswith(start) else [line]
    return lines


def _command(failure: FailureAccount) -> str:
    command = failure.replay
    return command if len(command) <= TOKEN_LINES_MAX * screen.get() else failure.replay_short


def _wrapped(start: str, text: str, lines_max: int = 2) -> list[str]:
    """`text` behind `start`, in at most so many lines."""
    return wrap(
        text,
        screen.get(),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        max_lines=lines_max,
        placeholder=" ...",
    )


def _cut(text: str) -> str:
    columns = screen.get()
    return text if len(text) <= columns else f"{text[: columns - 3]}..."
