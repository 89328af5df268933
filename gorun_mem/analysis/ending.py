"""The last events of a log: what somebody wants to see first of a run that failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from gorun_mem.analysis.accumulator import Accumulator, Handler
from gorun_mem.events.types import EVENT_TYPES, LogEvent, RunEnd, RunStart

EVENTS_MAX: Final = 60


class Ending(Accumulator):
    """Keeps them.

    Attributes:
        events: the last ones before run.end, oldest first.
    """

    def __init__(self) -> None:
        self.events: deque[LogEvent] = deque(maxlen=EVENTS_MAX)

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """Every event but the two that say of the run what the report's head does."""
        keep = self.events.append
        return {kind: keep for kind in EVENT_TYPES if kind not in (RunStart, RunEnd)}
