"""Recordings of real Go programs, replayed.

`os` level issues every call that entered the OS layer from outside and compares its answer, the
sbrk and growMemory beneath it, and the whole state after each. It proves the memory layer.

`heap` level issues mheap.sysAlloc and the calls that are not under one; what mheap.sysAlloc does
is then predicted: hints tried, hit and dropped, reservations, trims, the L2 map, metadata of 64 KiB
and more, arena lists. One thing beneath it cannot be predicted. persistentalloc's chunks are shared
with callers that a recording does not show, so a chunk is *given*: issued where the recording has
it.

Simplified: a recording in which another call than mheap.sysAlloc encloses calls from outside does
not exist; such calls would be issued in order at both levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from gorun_mem.formats.compare import Comparison, Difference, Diverged, Tally, issue
from gorun_mem.formats.recording import SPAN_EVENTS, Event, Recording, RecordingError
from gorun_mem.runtime.boot import assemble
from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.runtime.mem_sbrk import SbrkLayer
from gorun_mem.runtime.mutex import default_mutex, make
from gorun_mem.runtime.op import SoloM, solo

if TYPE_CHECKING:
    from gorun_mem.replay.heap import HeapReplay
    from gorun_mem.runtime.boot import Runtime

GROUP_MAX: Final = 100_000
"""Events under one outermost call; real ones have some hundred."""


class Level(Enum):
    """How much is predicted."""

    OS = "os"
    HEAP = "heap"


@dataclass(frozen=True, slots=True)
class FileResult:
    """What came of one recording at one level.

    Args:
        path: the file.
        level: how much was predicted.
        program: the recorded program; "" where the header could not be read.
        release: its Go release, likewise.
        platform: its platform, likewise.
        calls: calls issued or predicted whose answer was compared.
        events: events compared, nested ones and hints too.
        differences: events that differ.
        first: the first of them.
        problem: why the recording could not be read to its end, or "".
        truncated: the problem is that it just ends.
    """

    path: Path
    level: Level
    program: str
    release: str
    platform: str
    calls: int
    events: int
    differences: int
    first: Difference | None
    problem: str
    truncated: bool

    @property
    def exit_code(self) -> int:
        """2 where the recording is bad, else 1 where something differs, else 0."""
        return 2 if self.problem else 1 if self.differences else 0


def replay_file(path: Path | str, level: Level = Level.OS) -> FileResult:
    """Replay one recording and compare.

    Args:
        path: the recording.
        level: how much is predicted.

    Raises:
        OSError: the file cannot be read.
    """
    path = Path(path)
    tally = Tally()
    problem: RecordingError | None = None
    recording: Recording | None = None
    try:
        with Recording(path) as recording:
            Replay(recording, level, tally).run()
    except RecordingError as error:
        problem = error
    except Diverged:
        pass
    return FileResult(
        path,
        level,
        recording.header.program if recording else "",
        recording.header.go if recording else "",
        recording.header.platform_name if recording else "",
        tally.calls,
        tally.events,
        tally.differences,
        tally.first,
        "" if problem is None else str(problem),
        problem is not None and problem.truncated,
    )


class Replay:
    """One recording on one emulated runtime.

    Args:
        recording: open, at its first event.
        level: how much is predicted.
        tally: where results go.

    Raises:
        RecordingError: the level cannot be had for that platform.
    """

    def __init__(self, recording: Recording, level: Level, tally: Tally) -> None:
        self.recording = recording
        self.tally = tally
        self.m = SoloM()
        self.runtime = _assemble(recording)
        self.layer = self.runtime.os
        self.comparison = Comparison(self.layer, tally)
        self._boot_states = self._boot()
        if self.layer.platform.is_wasm:
            self.layer.memory.probe = self.comparison  # Plan 9 has brk_, which is not recorded
        if isinstance(self.layer, SbrkLayer):
            self.layer.brk.probe = self.comparison
        self._heap: HeapReplay | None = None
        if level is Level.HEAP:
            from gorun_mem.replay.heap import HeapReplay

            self._heap = HeapReplay(recording, self.layer, self.comparison, self.m)

    def run(self) -> None:
        """Replay to the end, to the first failure of the emulation, or to the first bad line.

        Raises:
            RecordingError: the recording is bad; what came before it is compared.
            Diverged: there are too many differences to go on.
        """
        try:
            for line, group in self._groups():
                if self._heap is not None and group[-1].ev == "mheap.sysAlloc":
                    self._heap.sys_alloc(group, line)
                else:
                    self._issue_tops(group, line)
        except EmulatedFailure as failure:
            self.comparison.failed(failure)

    def _groups(self) -> Iterator[tuple[int, list[Event]]]:
        """(line of the first, events) of what is issued together.

        At heap level that is an outermost call with all that is nested in it, at OS level a call
        from outside with what is nested in that.
        """
        recording = self.recording
        heap = self._heap is not None
        group: list[Event] = []
        for event in recording:
            if event.ev in SPAN_EVENTS:
                continue
            group.append(event)
            if event.parent is UNSET or (not heap and event.top == 1):
                yield recording.line - len(group) + 1, group
                group = []
            elif len(group) > GROUP_MAX:
                raise recording.error(f"more than {GROUP_MAX} events under one call")

    def _issue_tops(self, group: list[Event], line: int) -> None:
        """Issue each call from outside, with the events nested in it."""
        start = 0
        for i, event in enumerate(group):
            if event.top == 1:
                self._issue(group[start : i + 1], line + start)
                start = i + 1
        last = group[-1]
        if last.ev in self._boot_states:
            self.tally.events += 1
            self.comparison.begin([last], line + len(group) - 1)
            self.comparison.compare_state_with(last, self._boot_states[last.ev])

    def _issue(self, nested: list[Event], line: int) -> None:
        """Issue the last of `nested`, the others being what it did."""
        event = nested[-1]
        comparison = self.comparison
        if len(nested) > 1 and nested[0].ev in _NOT_OS:
            nested = [e for e in nested if e.ev not in _NOT_OS]
        comparison.begin(nested, line)
        solo(issue(event, self.layer, comparison), self.m)
        comparison.end()

    def _boot(self) -> dict[str, dict[str, int | str]]:
        """Run osinit; our state after each of the two events that it records."""
        states: dict[str, dict[str, int | str]] = {}
        self.runtime.after_init_bloc = lambda: states.update(initBloc=self.comparison.state())
        self.runtime.osinit()
        states["osinit"] = self.comparison.state()
        states.setdefault("initBloc", states["osinit"])
        return states


_NOT_OS: Final = frozenset(("hintHit", "hintDrop", "mheap.sysAlloc"))


def _assemble(recording: Recording) -> Runtime:
    header = recording.header
    mutex = default_mutex(recording.release, header.platform_name)
    return assemble(
        recording.release,
        recording.platform,
        memlock=make(mutex, recording.release),
        end=header.end,
        initial_pages=header.initial_pages,
        max_pages=header.max_pages,
        faithful=True,
    )
