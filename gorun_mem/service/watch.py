"""Watchers: clients that are sent the event log while it is written.

An event is encoded once, however many watch it, and put into the queue of each watcher that wants
it. A queue is bounded in bytes: a watcher that does not keep up loses events and is told how many;
the Ms never wait for it. Without watchers nothing is subscribed and nothing is paid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.events.types import LogEvent

PACE_S: Final = 0.02
"""How long a watcher's events are gathered before they are sent, in seconds."""


WORDS_MAX: Final = 16
WORD_MAX: Final = 200
"""Bounds of a filter: what a glob costs grows with its length, and it is compiled for a client."""


class BadFilter(ValueError):
    """A filter that cannot be understood; the message says why."""


class Filter:
    """Which events a watcher wants.

    Args:
        words: globs of event names, and M ids as "m=3"; an event must match one of each kind that
            there is.

    Raises:
        BadFilter: a word is neither.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        from gorun_mem.events.types import EVENT_TYPES

        words = list(words)
        if len(words) > WORDS_MAX or any(len(word) > WORD_MAX for word in words):
            raise BadFilter(
                f"a filter has at most {WORDS_MAX} words of at most {WORD_MAX} characters"
            )
        names = [kind.__struct_config__.tag for kind in EVENT_TYPES]
        globs: list[str] = []
        self._ms: frozenset[int] = frozenset()
        for word in ",".join(words).split(","):
            if word.startswith("m="):
                self._ms |= {_number(word)}
                continue
            if not word:
                continue
            if not any(fnmatchcase(str(name), word) for name in names):
                known = ", ".join(sorted(map(str, names)))
                raise BadFilter(f"no event matches {word[:40]!r}: the events are {known}")
            globs.append(word)
        self._types = frozenset(
            kind
            for kind in EVENT_TYPES
            if not globs or any(fnmatchcase(str(kind.__struct_config__.tag), g) for g in globs)
        )

    def wants(self, event: LogEvent) -> bool:
        """Whether the watcher is to be sent `event`."""
        return type(event) in self._types and (not self._ms or event.m in self._ms)


def _number(word: str) -> int:
    text = word[2:]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadFilter(f"{word[:40]!r} names no M: write m=3")
    return int(text)


class Watcher:
    """One watcher's queue.

    Args:
        wanted: which events.
        bytes_max: how much may wait.
        wake: called when something waits that did not before.

    Attributes:
        missed: events lost since the watcher was last told.
        missed_in_all: events lost so far.
        sent: events taken from the queue so far.
    """

    def __init__(self, wanted: Filter, bytes_max: int, wake: Callable[[], None]) -> None:
        self.wanted = wanted
        self._bytes_max = bytes_max
        self._wake = wake
        self._lines: list[bytes] = []
        self._bytes = 0
        self.missed = 0
        self.missed_in_all = 0
        self.sent = 0

    @property
    def waiting(self) -> bool:
        """Whether something is queued."""
        return bool(self._lines or self.missed)

    def offer(self, line: bytes) -> None:
        """Queue one encoded event, or lose it."""
        size = len(line) + 1
        # Once some are lost all are, until the watcher has been told: so it knows where the gap is.
        if self.missed or self._bytes + size > self._bytes_max:
            self.missed += 1
            self.missed_in_all += 1
            return
        if not self._lines:
            self._wake()
        self._lines.append(line)
        self._bytes += size

    def take(self) -> bytes:
        """All that waits, and behind it how many events were lost."""
        lines, self._lines = self._lines, []
        self.sent += len(lines)
        self._bytes = 0
        if self.missed:
            lines.append(b'{"event":"watch.missed","missed":%d}' % self.missed)
            self.missed = 0
        return b"".join(line + b"\n" for line in lines)

    def drop(self) -> None:
        """It is gone: what it has not read is given back now, and not when garbage is collected."""
        self._lines = []
        self._bytes = self._bytes_max  # and nothing is queued any more
        self._wake = _nobody


def _nobody() -> None:
    """In place of a writer that has gone."""


class Hub:
    """Hands the events of one recorder to any number of watchers."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._unsubscribe: Callable[[], None] | None = None
        self._encode = msgspec.json.Encoder().encode
        self.watchers: list[Watcher] = []

    def add(self, watcher: Watcher) -> None:
        """Begin to hand it events."""
        self.watchers.append(watcher)
        if self._unsubscribe is None:
            self._unsubscribe = self._recorder.subscribe(self._feed)

    def remove(self, watcher: Watcher) -> None:
        """Hand it no more; nothing where it is none of ours."""
        if watcher in self.watchers:
            self.watchers.remove(watcher)
        if not self.watchers and self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _feed(self, event: LogEvent) -> None:
        line: bytes | None = None
        for watcher in self.watchers:
            if watcher.wanted.wants(event):
                if line is None:
                    line = self._encode(event)
                watcher.offer(line)
