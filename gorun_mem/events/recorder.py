"""Makes typed events of what the runtime and the machine report, and gives them their envelope.

`Recorder` implements `gorun_mem.runtime.sink.Sink`. Whoever drives the Ms sets `m` before each step
and `now` once. The recorder numbers the lines, gives each sys* call an id (`op`), knows which call
each M is in, and keeps the few sums that `run.end` states.

A method for each event, made from its type by `gorun_mem.events.methods`, is an attribute of the
recorder, chosen anew when somebody begins or ceases to listen. An event that nobody's level has
costs a call that does nothing (some 50 ns) or only keeps the books (a call's id, the sums), so that
ids and sums are the same at every level.

Levels: `debug` is everything; `info` is everything of level info and above; `canonical` is run.*,
mem.return, lock.release and all errors, which is what the summary reports need.

Rejected: a test of the level in each method (every written event pays too).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, Unpack

import msgspec

from gorun_mem._near import no_such
from gorun_mem.events.base import SCHEMA, LogEvent
from gorun_mem.events.books import Books
from gorun_mem.events.handmade import host_grow
from gorun_mem.events.methods import (
    LOG_LEVELS,
    REPORTED,
    LogLevel,
    check_report,
    may_pass,
    method,
    method_name,
    passes,
)
from gorun_mem.events.run_events import (
    EndFacts,
    Outcome,
    RunEnd,
    RunFacts,
    RunStart,
    fields_of,
    run_id,
)
from gorun_mem.runtime.sink import Sink

Subscriber: TypeAlias = Callable[[LogEvent], None]

METHODS: Final = {method_name(kind): kind for kind in REPORTED}
"""The event that each of a recorder's made methods writes."""
listening: Final[list[Subscriber]] = []
"""Who is to hear every recorder that is made; see `gorun_mem.events.capture`."""


class Logger(Protocol):
    """What takes the events; `gorun_mem.events.log.EventLogger` is one."""

    def emit(self, event: LogEvent) -> None:
        """Take one event."""

    def flush(self) -> None:
        """Bring what was taken to where a reader finds it."""

    def close(self) -> None:
        """Flush and end."""


def _nowhere(event: LogEvent) -> None:
    """Where events go when nobody takes them."""


class Recorder(Books, Sink):
    """The event log of one run, as the runtime and the machine see it.

    It has the methods of `Sink`; what their arguments mean is in `gorun_mem.events.types`. An
    argument that does not apply is 0 or "".

    Args:
        logger: what writes the events (`json_logger`, `console_logger`, `open_log` of
            `gorun_mem.events.log`); None for nobody.
        level: which events are written.
    """

    __slots__ = (
        "_emit",
        "_logger",
        "_subscribers",
        "host_grow",
        "level",
        *METHODS,
    )

    def __init__(self, logger: Logger | None = None, *, level: LogLevel = "debug") -> None:
        if level not in LOG_LEVELS:
            raise ValueError(no_such("log level", str(level), LOG_LEVELS))
        super().__init__()
        self.level: LogLevel = level
        self._logger = logger
        self._subscribers: tuple[tuple[Subscriber, LogLevel], ...] = ()
        self._connect()
        for subscriber in listening:
            self.subscribe(subscriber)

    # Who takes the events.

    def subscribe(self, subscriber: Subscriber, level: LogLevel = "debug") -> Callable[[], None]:
        """Hand each event, typed, to `subscriber` too, after it was written.

        An event that only subscribers see has the `seq` of the line that is written next.

        Args:
            subscriber: called in the middle of the run; must not touch the run.
            level: which events it wants, whatever the log's level.

        Returns:
            What ends the subscription.
        """
        entry = (subscriber, level)
        self._subscribers = (*self._subscribers, entry)
        self._connect()

        def unsubscribe() -> None:
            self._subscribers = tuple(one for one in self._subscribers if one is not entry)
            self._connect()

        return unsubscribe

    def _connect(self) -> None:
        """Choose the way of the events, and the methods, by who takes them."""
        levels = {level for _, level in self._subscribers}
        if self._logger is not None:
            levels.add(self.level)
        common = levels.pop() if len(levels) == 1 else "debug" if levels else self.level
        write: Subscriber = self._logger.emit if self._logger is not None else _nowhere
        if not self._subscribers:
            self._emit: Subscriber = write
        elif levels:
            self._emit = self._tee_by_level
        else:
            self._emit = _tee(write, tuple(taker for taker, _ in self._subscribers))
        asked = {level for _, level in self._subscribers}
        for name, kind in METHODS.items():
            if self._logger is not None and not any(may_pass(kind, level) for level in asked):
                setattr(self, name, method(kind, self.level, self, write))  # the log's alone
            else:
                setattr(self, name, method(kind, common, self, self._emit))
        setattr(self, host_grow.__name__, host_grow(common, self, self._emit))

    def _tee_by_level(self, event: LogEvent) -> None:
        """Hand an event to those whose level has it."""
        if passes(event, self.level):
            if self._logger is not None:
                self._logger.emit(event)
        else:
            self.seq -= 1
        for subscriber, level in self._subscribers:
            if passes(event, level):
                subscriber(event)

    def report(self, event: str, /, *fields: object) -> None:
        """An event by its name, with its fields in their order.

        Args:
            event: such as "arena.hint_new".
            fields: its own; before them the M, of an event about one, or the site that is given.

        Raises:
            TypeError: there is no such event, or it has other fields.
        """
        name = event.replace(".", "_")
        check_report(event, METHODS.get(name), len(fields))
        getattr(self, name)(*fields)

    def flush(self) -> None:
        """Bring the lines written so far to where a reader finds them.

        Raises:
            LogError: they could not be written.
        """
        if self._logger is not None:
            self._logger.flush()

    def tick(self) -> None:
        """What a host calls now and then; the same as `flush`."""
        self.flush()

    def close(self) -> None:
        """Flush and end the log.

        Raises:
            LogError: not all lines are in it, and nobody was told so before.
        """
        if self._logger is not None:
            self._logger.close()

    def emit(self, event: LogEvent) -> None:
        """Write an event that was made elsewhere; its `seq` is replaced."""
        self.seq = seq = self.seq + 1
        self._emit(msgspec.structs.replace(event, seq=seq))

    def __repr__(self) -> str:
        return f"<Recorder {self.level} seq={self.seq} op={self.op}>"

    # The run.

    def run_start(self, **facts: Unpack[RunFacts]) -> None:
        """The run begins: must be the first event.

        Args:
            facts: how it was set up, by name.
        """
        self.seq = seq = self.seq + 1
        fields = fields_of(RunStart, facts)
        fields["options"] = dict(sorted(fields.get("options", {}).items()))
        if self.level == "info":
            fields["log_level"] = "info"
        start = RunStart("info", seq, self.now(), self.m, SCHEMA, "", **fields)
        self._emit(msgspec.structs.replace(start, run_id=run_id(start)))

    def run_end(
        self, outcome: Outcome, *, open_wait_ns: int = 0, **facts: Unpack[EndFacts]
    ) -> None:
        """The run is over: must be the last event.

        Args:
            outcome: how it ended.
            open_wait_ns: waited for locks of which no release has told.
            facts: more of how it ended, by name.
        """
        self.seq = seq = self.seq + 1
        self._emit(
            RunEnd(
                "info" if outcome == "ok" else "error",
                seq,
                self.now(),
                self.m,
                outcome,
                peak_live_bytes=self.peak_live_bytes,
                grows=self.grows,
                hint_misses=self.hint_misses,
                lock_wait_ns=self.lock_wait_ns + open_wait_ns,
                events=seq,
                **{"uncontrolled": False, **fields_of(RunEnd, facts)},
            )
        )


def _tee(write: Subscriber, subscribers: tuple[Subscriber, ...]) -> Subscriber:
    """Hand an event to all; with nobody but one subscriber, the subscriber itself."""
    if write is _nowhere and len(subscribers) == 1:
        return subscribers[0]

    def tee(event: LogEvent) -> None:
        write(event)
        for subscriber in subscribers:
            subscriber(event)

    return tee
