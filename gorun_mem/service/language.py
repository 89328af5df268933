"""What a line to the service may say: the operations of scripts and a few words more.

The operations are those of `replay.opscript`; the rest is here. A line that is blank or begins
with # is no request and has no answer; every other line has one line of answer:

    the operation's result      as `gorun-mem ops` prints it
    illegal WHY                 refused, nothing changed: the call is one that no program may make
    error WHY                   the line is no request
    throw / fault / hang ...    the emulated program has ended by this call, and the service with it

A line that begins with `end` comes unasked: the connection is over, and why.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gorun_mem._near import no_such
from gorun_mem.replay.numbers import parse_number
from gorun_mem.replay.opscript import OPERANDS, ScriptError, parse_operation

WORDS: Final[dict[str, tuple[str, ...]]] = {
    "load": ("V",),
    "store": ("V", "WORD"),
    "share": ("V", "N"),
    "sleep": ("NS",),
    "lock": ("NAME",),
    "try_lock": ("NAME",),
    "unlock": ("NAME",),
    "statistics": (),
    "snapshot": (),
    "watch": ("[FILTER]...",),
    "auth": ("TOKEN",),
    "quit": (),
}
"""What a connection understands beside the operations of scripts."""

LOCK_WORDS: Final = frozenset({"lock", "try_lock", "unlock"})
"""What an M does with a lock by hand."""
LOCK_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
REQUESTS: Final = (*OPERANDS, *WORDS)
SLEEP_NS_MAX: Final = 3_600_000_000_000
"""The longest sleep: an hour of virtual time."""


class NotARequest(ValueError):
    """A line that is no request; the message says why."""


class Request(NamedTuple):
    """One request.

    Args:
        name: an operation, or one of WORDS.
        operands: its numbers.
        rest: its words, for watch and auth, and the name of a lock.
    """

    name: str
    operands: tuple[int, ...] = ()
    rest: tuple[str, ...] = ()


def parse_request(text: str, word_mask: int = (1 << 64) - 1) -> Request | None:
    """The request that a line makes, None for a line that is blank or a comment.

    Raises:
        NotARequest: the line is none.
    """
    words = text.split()
    if not words or words[0].startswith("#"):
        return None
    if words[0] in WORDS:
        return _word(words, word_mask)
    if words[0] not in OPERANDS:
        raise NotARequest(_unknown(words[0]))
    try:
        operation = parse_operation(text, word_mask=word_mask)
    except ScriptError as error:
        raise NotARequest(error.what) from None
    assert operation is not None
    return Request(operation.name, operation.operands)


def _word(words: list[str], word_mask: int) -> Request:
    name, *rest = words
    wanted = WORDS[name]
    if name == "watch":
        return Request(name, (), tuple(rest))
    if len(rest) != len(wanted):
        usage = " ".join((name, *wanted))
        raise NotARequest(f"{name} takes {len(wanted)} operands, not {len(rest)}: write {usage}")
    if name in LOCK_WORDS and not LOCK_NAME.fullmatch(rest[0]):
        raise NotARequest(f"{name}: {rest[0][:40]!r} is no name of a lock: letters, digits, _ . -")
    if name == "auth" or name in LOCK_WORDS:
        return Request(name, (), tuple(rest))
    try:
        numbers = tuple(parse_number(word) for word in rest)
    except ValueError as error:
        raise NotARequest(f"{name}: {error}; write it decimal or 0x") from None
    most = SLEEP_NS_MAX if name == "sleep" else word_mask
    for number in numbers:
        if number > most:
            raise NotARequest(f"{name}: {number} is more than {most}")
    return Request(name, numbers)


def _unknown(word: str) -> str:
    return no_such("operation", word[:40], REQUESTS, cutoff=0.5)
