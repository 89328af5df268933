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

from gorun_mem.replay.compare import Comparison, Difference, ReplayTally, TooManyDifferences, issue
from gorun_mem.replay.recording import SPAN_EVENTS, RecordedEvent, Recording, RecordingError
from gorun_mem.runtime.boot import PLAIN, BootOptions, Parts, assemble
from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.runtime.mutex import default_mutex, make
from gorun_mem.step.solo import SoloM, solo

if TYPE_CHECKING:
    from gorun_mem.replay.heap_level import HeapReplay
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
    tally = ReplayTally()
    problem: RecordingError | None = None
    recording: Recording | None = None
    try:
        with Recording(path) as recording:
            RecordingReplay(recording, level, tally).run()
    except RecordingError as error:
        problem = error
    except TooManyDifferences:
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


class RecordingReplay:
    """One recording on one emulated runtime.

    Args:
        recording: open, at its first event.
        level: how much is predicted.
        tally: where results go.
        parts: the classes that the runtime is made of.
    """

    def __init__(
        self, recording: Recording, level: Level, tally: ReplayTally, parts: Parts = PLAIN
    ) -> None:
        self.recording = recording
        self.tally = tally
        self.m = SoloM()
        self.runtime = _assemble(recording, parts)
        self.layer = self.runtime.os
        self.comparison = Comparison(self.layer, tally)
        self._boot_states = self._boot()
        self.comparison.watch(recording.header)
        self._heap: HeapReplay | None = None
        if level is Level.HEAP:
            from gorun_mem.replay.heap_level import HeapReplay

            self._heap = HeapReplay(recording, self.layer, self.comparison, self.m)

    def run(self) -> None:
        """Replay to the end, to the first failure of the emulation, or to the first bad line.

        Raises:
            RecordingError: the recording is bad; what came before it is compared.
            TooManyDifferences: there are too many differences to go on.
        """
        try:
            for line, group in self._groups():
                if self._heap is None:
                    self._issue_tops(group, line)
                else:
                    self._predict(self._heap, group, line)
        except EmulatedFailure as failure:
            self.comparison.failed(failure)

    def _predict(self, heap: HeapReplay, group: list[RecordedEvent], line: int) -> None:
        """Issue an outermost call at heap level; at the end of the recording, what is left of one.

        What is not whole cannot be predicted: then each call from outside is issued by itself.
        """
        if not group or group[-1].parent is not UNSET:
            self._issue_tops(*heap.unfinished_boot())
            self._issue_tops(group, line)
        elif not heap.is_boot(group, line):
            if group[-1].ev == "mheap.sysAlloc":
                heap.sys_alloc(group, line)
            else:
                self._issue_tops(group, line)

    def _groups(self) -> Iterator[tuple[int, list[RecordedEvent]]]:
        """(line of the first, events) of what is issued together.

        At heap level that is an outermost call with all that is nested in it, at OS level a call
        from outside with what is nested in that. The last is what is left where the recording
        ends, which is nothing unless it was cut off.
        """
        recording = self.recording
        heap = self._heap is not None
        group: list[RecordedEvent] = []
        line = 0
        problem: RecordingError | None = None
        try:
            for event in recording:
                if event.ev in SPAN_EVENTS:
                    continue
                if not group:
                    line = recording.line
                group.append(event)
                if event.parent is UNSET or (not heap and event.top == 1):
                    yield line, group
                    group = []
                elif len(group) > GROUP_MAX:
                    raise recording.error(f"more than {GROUP_MAX} events under one call")
        except RecordingError as error:
            problem = error
        yield line, group
        if problem is not None:
            raise problem

    def _issue_tops(self, group: list[RecordedEvent], line: int) -> None:
        """Issue each call from outside, with the events nested in it."""
        start = 0
        for i, event in enumerate(group):
            if event.top == 1:
                self._issue(group[start : i + 1], line + start)
                start = i + 1
        if group and group[-1].ev in self._boot_states:
            last = group[-1]
            self.tally.events += 1
            self.comparison.begin([last], line + len(group) - 1)
            self.comparison.compare_state_with(last, self._boot_states[last.ev])

    def _issue(self, nested: list[RecordedEvent], line: int) -> None:
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


def _assemble(recording: Recording, parts: Parts) -> Runtime:
    header = recording.header
    mutex = default_mutex(recording.release, header.platform_name)
    return assemble(
        recording.release,
        recording.platform,
        BootOptions(
            end=header.end,
            initial_pages=header.initial_pages,
            max_pages=header.max_pages,
            faithful=True,
        ),
        memlock=make(mutex, recording.release),
        parts=parts,
    )
