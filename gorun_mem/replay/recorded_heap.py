"""What a recording says of the heap between its calls of the OS layer, for the log."""

from __future__ import annotations

from msgspec import UNSET

from gorun_mem.replay.recording import RecordedEvent
from gorun_mem.runtime.oslayer import OSLayer
from gorun_mem.runtime.purposes import OF_ARENAS, of_recorded
from gorun_mem.runtime.sink import Sink


class RecordedHeap:
    """Tells the log what the recorded heap did between its calls: hints hit, dropped, and new.

    The heap is not emulated in recorded order, so its events are the recording's, where it has any;
    they are those that `gorun_mem.runtime.mheap` would have told.

    Args:
        layer: whose sink is told.
    """

    def __init__(self, layer: OSLayer) -> None:
        self._layer = layer
        self._asked = self._hit = -1
        self._aligned: RecordedEvent | None = None
        self._bloc_before = 0

    def calls(self, event: RecordedEvent) -> None:
        """The heap, or somebody else, is about to call the layer."""
        if of_recorded(event.ev, event.by) not in OF_ARENAS:
            return
        if event.ev == "sysReserveOS" and not event.by.endswith(".sysReserveAligned"):
            self._asked = event.v if event.v is not UNSET else -1  # 0 can be a hint, too
        else:
            self._aligned, self._bloc_before = event, self._layer.bloc

    def tell(self, event: RecordedEvent) -> None:
        """Something that the recording says of the heap has happened."""
        sink = self._layer.sink
        if event.ev == "mheap.sysAlloc":
            if sink is not None and event.v is not UNSET and event.size is not UNSET and event.v:
                self._placed(sink, event.v, event.size)
            self._asked = self._hit = -1
            self._aligned = None
            return
        addr, n = event.addr, event.n
        if sink is None or addr is UNSET or n is UNSET:
            return
        if event.ev == "hintHit":
            self._hit = addr
            sink.arena_reserve(addr, n, "hint", addr, 0)
        elif addr == self._asked:  # those beyond the address space are dropped unasked
            bloc = self._layer.bloc
            sink.arena_hint_miss(addr, event.down == 1, bloc, abs(bloc - addr))

    def _placed(self, sink: Sink, v: int, size: int) -> None:
        """mheap.sysAlloc has answered; by a hint, or anywhere that is aligned."""
        aligned = self._aligned
        if v == self._hit or aligned is None:
            return
        if aligned.ev == "sysReserveAlignedSbrk":
            skipped = max(v - self._bloc_before, 0)
        else:
            skipped = (aligned.n if aligned.n is not UNSET else size) - size
        sink.arena_reserve(v, size, "aligned", 0, skipped)
        sink.arena_hint_new(v, True)
        sink.arena_hint_new(v + size, False)
