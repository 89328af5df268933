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

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from gorun_mem.events.methods import (
    LOG_LEVELS,
    NO_CALL,
    REPORTED,
    LogLevel,
    OpenCall,
    host_grow,
    method,
    method_name,
    passes,
)
from gorun_mem.events.types import SCHEMA, Event, Option, Outcome, RunEnd, RunStart, run_id
from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.pages import PAGE
from gorun_mem.runtime.sink import Sink

Subscriber: TypeAlias = Callable[[Event], None]

METHODS: Final = {method_name(kind): kind for kind in REPORTED}
"""The event that each of a recorder's made methods writes."""
listening: Final[list[Subscriber]] = []
"""Who is to hear every recorder that is made; see `gorun_mem.events.capture`."""


class Logger(Protocol):
    """What takes the events; `gorun_mem.events.log.EventLogger` is one."""

    def emit(self, event: Event) -> None:
        """Take one event."""

    def flush(self) -> None:
        """Bring what was taken to where a reader finds it."""

    def close(self) -> None:
        """Flush and end."""


def _nowhere(event: Event) -> None:
    """Where events go when nobody takes them."""


def _standing_still() -> int:
    return 0


class Recorder(Sink):
    """The event log of one run, as the runtime and the machine see it.

    It has the methods of `Sink`; what their arguments mean is in `gorun_mem.events.types`. An
    argument that does not apply is 0 or "".

    Args:
        logger: what writes the events (`json_logger`, `console_logger`, `open_log` of
            `gorun_mem.events.log`); None for nobody.
        level: which events are written.

    Attributes:
        m: id of the M that runs; 0 is the scenario. Set by the driver before each step.
        now: called for the virtual time in ns of that M. Set by the driver.
        seq: lines written so far.
        op: id of the latest sys* call.
        calls: the sys* call that each M is in.
        closed: the one that each M returned from last, its op and site.
        grows, hint_misses, lock_wait_ns, peak_live_bytes: the sums of `run.end`, at any level.
    """

    __slots__ = (
        "_emit",
        "_live_bytes",
        "_logger",
        "_subscribers",
        "calls",
        "closed",
        "grows",
        "hint_misses",
        "host_grow",
        "level",
        "lock_wait_ns",
        "m",
        "now",
        "op",
        "peak_live_bytes",
        "seq",
        *METHODS,
    )

    def __init__(self, logger: Logger | None = None, *, level: LogLevel = "debug") -> None:
        if level not in LOG_LEVELS:
            raise ValueError(f"no log level {level!r}: one of {', '.join(LOG_LEVELS)}")
        self.m = 0
        self.now: Callable[[], int] = _standing_still
        self.seq = 0
        self.level: LogLevel = level
        self.grows = self.hint_misses = self.lock_wait_ns = self.peak_live_bytes = 0
        self._live_bytes = 0
        self.op = 0
        self.calls: dict[int, OpenCall] = {}
        self.closed: dict[int, tuple[int | UnsetType, str | UnsetType]] = {}
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
        for name, kind in METHODS.items():
            setattr(self, name, method(kind, common, self, self._emit))
        setattr(self, host_grow.__name__, host_grow(common, self, self._emit))

    def _tee_by_level(self, event: Event) -> None:
        """Hand an event to those whose level has it."""
        if passes(event, self.level):
            if self._logger is not None:
                self._logger.emit(event)
        else:
            self.seq -= 1
        for subscriber, level in self._subscribers:
            if passes(event, level):
                subscriber(event)

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

    def emit(self, event: Event) -> None:
        """Write an event that was made elsewhere; its `seq` is replaced."""
        self.seq = seq = self.seq + 1
        self._emit(msgspec.structs.replace(event, seq=seq))

    def __repr__(self) -> str:
        return f"<Recorder {self.level} seq={self.seq} op={self.op}>"

    # The run.

    def run_start(
        self,
        *,
        release: str,
        platform: str,
        mutex: str,
        what_if: bool,
        phys_page_size: int,
        heap_arena_bytes: int,
        data_end: int,
        initial_pages: int,
        max_pages: int,
        ms: int,
        cpus: int,
        strategy: str,
        granularity: str,
        seed: int,
        scenario: str,
        scenario_sha256: str = "",
        options: Mapping[str, Option] | None = None,
        cost_table_sha256: str = "",
        trace_sha256: str = "",
        mem_debug: bool = False,
        faithful: bool = False,
        wrong_order: bool = False,
        steps_max: int = 0,
        schedule: str = "",
    ) -> None:
        """The run begins: must be the first event."""
        self.seq = seq = self.seq + 1
        start = RunStart(
            "info", seq, self.now(), self.m, SCHEMA, "", release, platform, mutex, what_if,
            phys_page_size, heap_arena_bytes, data_end, initial_pages, max_pages, ms, cpus,
            strategy, granularity, seed, _text(scenario),
            {_text(name): _option(value) for name, value in sorted((options or {}).items())},
            scenario_sha256 or UNSET, cost_table_sha256 or UNSET, trace_sha256 or UNSET,
            mem_debug or UNSET, faithful or UNSET, wrong_order or UNSET, steps_max or UNSET,
            schedule or UNSET, "info" if self.level == "info" else UNSET,
        )  # fmt: skip
        self._emit(msgspec.structs.replace(start, run_id=run_id(start)))

    def run_end(
        self,
        outcome: Outcome,
        *,
        final_pages: int,
        steps: int,
        error_type: str = "",
        token: str = "",
        uncontrolled: bool = False,
        stuck: tuple[str, ...] = (),
        error: str = "",
        failed_m: int = 0,
        uncontrolled_at: tuple[str, ...] = (),
        results: Mapping[str, Option] | None = None,
        open_wait_ns: int = 0,
    ) -> None:
        """The run is over: must be the last event.

        Args (of those that are no field of the event):
            open_wait_ns: waited for locks of which no release has told.
        """
        self.seq = seq = self.seq + 1
        waited_ns = self.lock_wait_ns + open_wait_ns
        self._emit(
            RunEnd(
                "info" if outcome == "ok" else "error", seq, self.now(), self.m, outcome,
                final_pages, self.peak_live_bytes, self.grows, self.hint_misses, waited_ns,
                steps, seq, uncontrolled, error_type or UNSET, token or UNSET, stuck or UNSET,
                _text(error) or UNSET, failed_m or UNSET,
                tuple(_text(place) for place in uncontrolled_at) or UNSET,
                {_text(name): _option(value) for name, value in (results or {}).items()} or UNSET,
            )
        )  # fmt: skip

    def forget(self, m: int) -> None:
        """M `m` has ended and its number is not used again: drop what is known of its calls."""
        self.calls.pop(m, None)
        self.closed.pop(m, None)

    # The books of sys* calls.

    def close_call(
        self, call: Call, state: LayerState, now: int
    ) -> tuple[int | UnsetType, str | UnsetType, int]:
        """The running M's innermost call of that function returns: its op, site and beginning."""
        m = self.m
        site = "runtime." + call.fn
        opened = self.calls.pop(m, None)
        while opened is not None and opened[1] != site:
            opened = opened[3]  # a call that a throw left open
        if opened is None:
            return UNSET, site, now
        op, _, t_ns, outer = opened
        self.closed[m] = (op, site)
        if outer is not None:
            self.calls[m] = outer
        elif call.ok:
            # Only outermost calls hand out: a nested one's bytes are part of its caller's. A size
            # that wrapped on its way is more than the memory has, and no bytes.
            n = call.n
            top = state.pages * PAGE or state.bloc_max
            if n > top and top:
                return op, site, t_ns
            live = self._live_bytes + (-n if call.fn == "sysFreeOS" else n)
            self._live_bytes = live
            if live > self.peak_live_bytes:
                self.peak_live_bytes = live
        return op, site, t_ns

    def op_of_release(self, m: int, site: str) -> int | UnsetType:
        """The call that took the lock that M `m` gives back at `site`; it may have returned."""
        call = self.calls.get(m, NO_CALL)
        if call[1] != site:
            op, closed_site = self.closed.get(m, (UNSET, UNSET))
            if closed_site == site:
                return op
        return call[0]


def _tee(write: Subscriber, subscribers: tuple[Subscriber, ...]) -> Subscriber:
    """Hand an event to all; with nobody but one subscriber, the subscriber itself."""
    if write is _nowhere and len(subscribers) == 1:
        return subscribers[0]

    def tee(event: Event) -> None:
        write(event)
        for subscriber in subscribers:
            subscriber(event)

    return tee


def _text(value: str) -> str:
    """Text that JSON can carry: bytes of a file name that are not UTF-8 are spelled out."""
    return value.encode("utf-8", "backslashreplace").decode()


def _option(value: object) -> Option:
    """An option's value as JSON has it: a path is text."""
    if value is None or isinstance(value, int | float):
        return value
    return _text(str(value))
