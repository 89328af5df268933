"""What mallocinit asks of the OS layer, beside what real programs asked when they started."""

from __future__ import annotations

from pathlib import Path

import pytest

from gorun_mem.replay.compare import Comparison, ReplayTally
from gorun_mem.replay.heap_level import WatchedLayer
from gorun_mem.replay.recording import RecordedEvent, Recording
from gorun_mem.runtime import mallocinit
from gorun_mem.runtime.boot import BootOptions, boot
from gorun_mem.runtime.mem import Mem
from gorun_mem.runtime.mheap import MHeap
from gorun_mem.runtime.mutex import default_mutex, make
from gorun_mem.step.solo import SoloM, solo
from tests import TRACES

RECORDINGS = sorted(TRACES.glob("*.jsonl.gz"))


def start(path: Path) -> tuple[Recording, list[RecordedEvent]]:
    """The recording, and its events from osinit to the first mheap.sysAlloc."""
    with Recording(path) as recording:
        events = [event for event in recording if event.ev not in ("initBloc", "osinit")]
    first = next(i for i, e in enumerate(events) if e.ev == "mheap.sysAlloc")
    under = {events[first].seq}
    while first and isinstance(events[first - 1].parent, int) and events[first - 1].parent in under:
        first -= 1
        under.add(events[first].seq)
    return recording, events[:first]


def boots(path: Path) -> tuple[ReplayTally, int]:
    """Run mallocinit as the recording's release and compare each call and the state after it.

    Returns:
        What was compared, and how many events there were to compare with.
    """
    recording, events = start(path)
    header, known = recording.header, recording.release
    runtime = boot(
        known,
        recording.platform,
        BootOptions(
            end=header.end,
            initial_pages=header.initial_pages,
            max_pages=header.max_pages,
            faithful=True,
        ),
        memlock=make(default_mutex(known, header.platform_name), known),
    )
    tally = ReplayTally()
    comparison = Comparison(runtime.os, tally)
    comparison.watch(header)
    comparison.begin(events, 2)
    heap = MHeap(Mem(WatchedLayer(runtime.os, comparison)))
    solo(mallocinit.mallocinit(heap, header.end), SoloM())
    comparison.end()
    return tally, len(events)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
def test_real_boots_are_predicted(path: Path) -> None:
    """Chunk, summaries, scavenger's index, and on 386 to 1.23 what is reserved for the heap: up to
    the first arena mallocinit asks for what real Go asked for, in order."""
    tally, events = boots(path)
    assert (tally.first, tally.differences, tally.events) == (None, 0, events)


def test_a_wrong_boot_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A level of summaries too few is found."""
    real = mallocinit.page_summary_sizes
    monkeypatch.setattr(mallocinit, "page_summary_sizes", lambda *args: real(*args)[1:])
    path = next(path for path in RECORDINGS if path.name == "go1.27.3-plan9-hello.jsonl.gz")
    assert boots(path)[0].differences > 0
