"""Everything that the analysis says of one log, from one pass over it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gorun_mem.analysis.accumulator import Accumulator, Handler
from gorun_mem.analysis.blocks import FreeBlocks
from gorun_mem.analysis.contention import Contention
from gorun_mem.analysis.fragmentation import Fragmentation
from gorun_mem.analysis.memory import MemoryUse
from gorun_mem.analysis.metrics import Metrics
from gorun_mem.analysis.stream import LogCondition, Progress, analyse, feed
from gorun_mem.analysis.summary import Summary
from gorun_mem.analysis.window import Window, Windowed
from gorun_mem.events.reader import Source
from gorun_mem.events.types import LogEvent, RunEnd, RunStart


class SummaryOf(Accumulator):
    """A `Summary`, fed with the rest; what it says of locks it has from `contention`.

    Of a log that holds several runs the figures are of all together, as everywhere else.

    Args:
        contention: must come before this among the accumulators.

    Attributes:
        summary: it, whole once finished.
    """

    def __init__(self, contention: Contention) -> None:
        self.summary = Summary()
        self._contention = contention

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """What the summary looks at, but for locks."""
        return self.summary.handlers()

    def finish(self) -> None:
        """Take over what was counted already."""
        contention = self._contention
        self.summary.last_ns = contention.end_ns
        self.summary.take_locks(contention.summaries, contention.slowest)


class LogAnalysis:
    """What one log says.

    Args:
        window: what of its time to look at; None for all of it.

    Attributes:
        window: likewise.
        condition: what state the log is in.
        contention: locks, their order, the critical path.
        memory: where every page is, growths, hints.
        fragmentation: all measures, and failed requests.
        free: the free list's blocks at the end.
        summary: the figures that `run` and `report` print.
    """

    def __init__(self, window: Window | None = None) -> None:
        self.window = window
        self.condition = LogCondition("")
        self.free = FreeBlocks()
        self.contention = Contention(window)
        self.memory = MemoryUse(self.free)
        self.fragmentation = Fragmentation(self.free)
        self._summary = SummaryOf(self.contention)
        self._summary.summary.window = window

    @classmethod
    def read(
        cls, source: Source, progress: Progress | None = None, window: Window | None = None
    ) -> LogAnalysis:
        """Analyse a log.

        Args:
            source: a file's name, or a binary file object.
            progress: called some times a second with how many lines were read since.
            window: what of its time to look at; None for all of it.

        Raises:
            LogError: the file cannot be read, or holds no event.
        """
        found = cls(window)
        found.condition = analyse(source, found.accumulators(), progress)
        return found

    @classmethod
    def of(cls, events: Iterable[LogEvent], window: Window | None = None) -> LogAnalysis:
        """Analyse events that are in memory."""
        found = cls(window)
        feed(events, found.accumulators())
        return found

    def accumulators(
        self, before: Sequence[Accumulator] = (), after: Sequence[Accumulator] = ()
    ) -> list[Accumulator]:
        """In the order in which they must be fed.

        Args:
            before: others that must come before these; they see the past of a window too.
            after: others that must come after these.
        """
        past = [*before, self.free, self.memory, self.fragmentation]
        parts = [
            *before, self.free, self.contention, self.memory, self.fragmentation, self._summary,
            *after,
        ]  # fmt: skip
        if self.window is None:
            return parts
        return [Windowed(self.window, parts, past, self.summary.note_past)]

    @property
    def summary(self) -> Summary:
        """The figures that `run` and `report` print."""
        return self._summary.summary

    @property
    def start(self) -> RunStart | None:
        """The first line, None where it is missing."""
        return self.memory.start

    @property
    def end(self) -> RunEnd | None:
        """The last line, None where the log was cut."""
        return self.summary.end

    @property
    def metrics(self) -> Metrics:
        """By the names of `run --json`."""
        return self.summary.metrics()
