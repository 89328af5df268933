"""Collects typed events, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gorun_mem.events.recorder import Recorder, listening


class CapturedEvents(list[Any]):
    """The events of a test, in order, each of its own type.

    Attributes:
        recorder: a recorder to drive by hand; its events are captured too.
    """

    recorder: Recorder

    def named(self, *names: str) -> list[Any]:
        """Those with these dotted names."""
        return [event for event in self if event.name in names]

    def names(self) -> list[str]:
        """The dotted names in order."""
        return [event.name for event in self]


@contextmanager
def capture_events(recorder: Recorder | None = None) -> Iterator[CapturedEvents]:
    """Collect the typed events of a recorder, or of every recorder that is made in the block.

    Args:
        recorder: the one to listen to; None for all that are made meanwhile.
    """
    events = CapturedEvents()
    if recorder is not None:
        events.recorder = recorder
        unsubscribe = recorder.subscribe(events.append)
        try:
            yield events
        finally:
            unsubscribe()
        return
    capture = events.append
    listening.append(capture)
    try:
        events.recorder = Recorder()
        yield events
    finally:
        listening.remove(capture)
