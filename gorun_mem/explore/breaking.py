"""A schedule that stops in the program's own line at a step, under whatever debugger there is.

`break_at` runs the schedule twice. The first run is traced up to the step: which lines of the
program were run in each stretch between two steps, and where the M stands that makes the step. The
second run calls `sys.breakpointhook`, as `breakpoint()` does, right before that line begins the
operation: in the trace event of the line itself, so that the debugger opens there, in the
program's frame, with its variables, and can step on from it.

    a debugger of bdb's kind    pdb, ipdb, pudb, pytest's: what it has installed on the frame is
                                given the event of the line, and so it stops at once
    pydevd, debugpy             is told of the frame one event earlier: it stops at the next line
    a hook of one's own         is called, and that is all

An operation begins when its M goes on from the one before, so other Ms may make steps between the
line and the step. Where trio is controlled a step is what a task does from one await to the next:
there the line is the one that it goes on from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gorun_mem.explore.detectors.watch import in_words, watch
from gorun_mem.explore.drive import Execution, run_once
from gorun_mem.explore.failure import Detector
from gorun_mem.explore.foreign import AwaitsTrio
from gorun_mem.explore.taped import STEPS_MAX
from gorun_mem.explore.words import count
from gorun_mem.machine.places import is_programs
from gorun_mem.step.schedule import Schedule
from gorun_mem.step.strategies.replay import OnDivergence, Replay
from gorun_mem.step.task import Task

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.world import World

_INSTALLED: Final = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
_PYDEVD: Final = "pydevd"
"""What debugpy, VS Code and PyCharm debug with."""


class NoSuchStep(ValueError):
    """The run ends before the step, or no line of the program leads to it; the message says so."""


class Moment(NamedTuple):
    """An event of a trace.

    Args:
        kind: "call" or "line".
        code: of the frame, and `line` its line.
        nth: how many of the same were before it in its stretch.
    """

    kind: str
    code: CodeType
    line: int
    nth: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Where to stop.

    Args:
        step: the step, from 1.
        m: id of the M that makes it.
        what: kind and object.
        place: the program's line, as "file:line".
        window: the step after which that line is run.
        event: of that line, in the stretch behind that step.
        early: of the same frame before that, for pydevd; None: there is none.
    """

    step: int
    m: int
    what: str
    place: str
    window: int
    event: Moment
    early: Moment | None

    def __str__(self) -> str:
        text = f"step {self.step} is M{self.m}'s {self.what}, at {self.place}"
        late = self.step - 1 - self.window
        return f"{text}; M{self.m} comes to it after step {self.window}" if late > 0 else text


Event = tuple[str, CodeType, int, int]
"""Of a trace: "call" or "line", the code, the line, and which frame."""


class _Tracing:
    """Tells of the lines of the program that are run while it is on."""

    def __init__(self) -> None:
        self._outer: Any = None
        self.on = False

    def begin(self) -> None:
        self._outer = sys.gettrace()
        self.on = True
        sys.settrace(self._called)

    def end(self) -> None:
        if self.on:
            self.on = False
            sys.settrace(self._outer)

    def _called(self, frame: FrameType, kind: str, arg: object) -> Any:
        if not self.on or not is_programs(frame) or _is_installed(frame):
            return None
        return self._event(frame, "call") or self._line

    def _line(self, frame: FrameType, kind: str, arg: object) -> Any:
        if self.on and kind == "line":
            return self._event(frame, kind) or self._line
        return self._line if self.on else None

    def _event(self, frame: FrameType, kind: str) -> Any:
        """A line is about to be run; what is to trace the frame from now on, None: this."""
        raise NotImplementedError


def _is_installed(frame: FrameType) -> bool:
    """Whether a frame is of an installed library, which no program of ours is one of."""
    file = frame.f_code.co_filename
    ours = str(frame.f_globals.get("__name__", "")).startswith("gorun_mem.")
    return not ours and any(folder in file for folder in _INSTALLED)


class _Scout(Replay):
    """The first run: notes which lines are run behind each step, up to the one that is asked for.

    Args:
        schedule: to follow.
        step: the one that is asked for.
        on_divergence: see `Replay`.
    """

    def __init__(self, schedule: Schedule, step: int, on_divergence: OnDivergence) -> None:
        super().__init__(schedule, on_divergence=on_divergence)
        self._step = step
        self._windows: list[tuple[int, list[Event]]] = [(0, [])]
        self.tracing = _Recorder(self._windows)
        self.world: World | None = None
        self.entangled = False
        self.stop: Stop | None = None
        self._asked: Task | None = None
        self._what = ""
        self._place: Any = ""

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the tape names; behind the step that is asked for, the end."""
        if self._asked is not None and self.stop is None:
            self.found()
        task = super().next_task(runnable, current)
        if self.steps == self._step:
            assert self.world is not None
            assert task.op is not None
            self._asked, self._what = task, f"{task.op.kind} {task.op.obj}"
            self._place = getattr(task.op, "place", "") or watch(self.world).place(task.id)
        self._windows.append((task.id, []))
        return task

    def found(self) -> None:
        """Say where to stop; called when what is behind the step has been run, too.

        Raises:
            NoSuchStep: no line of the program leads to it.
        """
        task = self._asked
        if task is None:
            ends = len(self._windows) - 1
            raise NoSuchStep(f"the run has ended before, after {count(ends, 'step')}")
        windows = range(self._step - 1, -1, -1)
        own = [k for k in windows if self._windows[k][0] == task.id and self._windows[k][1]]
        if self.entangled or not own:  # what it goes on from, or where it starts
            events = self._windows[self._step][1] if len(self._windows) > self._step else []
            window, event = self._step, 0
        else:
            window = own[0]
            events = self._windows[window][1]
            event = _last(events, self._place)
        if not events:
            raise NoSuchStep(f"no line of the program leads to it: M{task.id}'s {self._what}")
        _, code, line, frame = events[event]
        before = [i for i in range(event) if events[i][3] == frame]
        self.stop = Stop(
            self._step, task.id, self._what, in_words((code, line)), window,
            _moment(events, event), _moment(events, before[-1]) if before else None,
        )  # fmt: skip


def _moment(events: Sequence[Event], at: int) -> Moment:
    kind, code, line, _ = events[at]
    return Moment(kind, code, line, sum(one[:3] == (kind, code, line) for one in events[:at]))


def _last(events: Sequence[Event], place: object) -> int:
    """The last event of the line that an M stands at; the last of the function, or of all."""
    code, line = place if isinstance(place, tuple) else (None, 0)
    of_code = [i for i, event in enumerate(events) if event[1] is code]
    of_line = [i for i in of_code if events[i][2] == line]
    return (of_line or of_code or [len(events) - 1])[-1]


class _Recorder(_Tracing):
    """Keeps the events of the stretch that is under way."""

    def __init__(self, windows: list[tuple[int, list[Event]]]) -> None:
        super().__init__()
        self._windows = windows
        self._frames: list[FrameType] = []  # so that no two have one id

    def _event(self, frame: FrameType, kind: str) -> Any:
        self._frames.append(frame)
        self._windows[-1][1].append((kind, frame.f_code, frame.f_lineno, id(frame)))


class _Breaking(Replay):
    """The second run: opens the debugger.

    Args:
        schedule: to follow.
        stop: where to stop.
        on_divergence: see `Replay`.
    """

    def __init__(self, schedule: Schedule, stop: Stop, on_divergence: OnDivergence) -> None:
        super().__init__(schedule, on_divergence=on_divergence)
        self._stop = stop
        self.tracing = _Opener(stop)

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the tape names."""
        self.tracing.end()
        task = super().next_task(runnable, current)
        if self.steps == self._stop.window:
            self.tracing.begin()
        return task


class _Opener(_Tracing):
    """Counts events, and opens the debugger at the one that is meant."""

    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self._pydevd = _attached()
        early = stop.early if self._pydevd is not None else None
        *self._wanted, self._left = early or stop.event

    def _event(self, frame: FrameType, kind: str) -> Any:
        if [kind, frame.f_code, frame.f_lineno] != self._wanted:
            return None
        if self._left:
            self._left -= 1
            return None
        self.end()
        if self._pydevd is not None:
            self._pydevd.settrace(
                suspend=True, trace_only_current_thread=True, patch_multiprocessing=False,
                stop_at_frame=frame,
            )  # fmt: skip
            return frame.f_trace
        return _open(frame)


def _open(frame: FrameType) -> Any:
    """Open the debugger at a line that is about to be run; what is to trace its frame then."""
    ours = frame.f_trace
    sys.breakpointhook()
    installed = frame.f_trace
    if installed is None or installed is ours:
        return _untraced
    return installed(frame, "line", None)


def _untraced(frame: FrameType, kind: str, arg: object) -> None:
    """What traces a frame in which nothing is looked for any more."""


def _attached() -> Any:
    """pydevd, where a client of it is connected; None else."""
    pydevd = sys.modules.get(_PYDEVD)
    debugger = getattr(pydevd, "get_global_debugger", lambda: None)()
    return pydevd if debugger is not None else None


def stop_at(
    target: Target, schedule: Schedule, step: int, on_divergence: OnDivergence = "stop"
) -> Stop:
    """Where a schedule would stop at a step.

    Args:
        target: the program.
        schedule: what to follow.
        step: number of the step, from 1.
        on_divergence: see `Replay`.

    Raises:
        NoSuchStep: there is none, or no line of the program leads to it.
    """
    scout = _Scout(schedule, step, on_divergence)
    scout.entangled = target.host == "trio"

    def on_world(world: World) -> None:
        scout.world = world
        watch(world)

    scout.tracing.begin()
    try:
        run_once(target, scout, steps_max=2 * max(STEPS_MAX, step), on_world=on_world)
    except AwaitsTrio:
        scout.tracing.end()
        target.control_trio()
        return stop_at(target, schedule, step, on_divergence)
    finally:
        scout.tracing.end()
    if scout.stop is None:
        scout.found()
    assert scout.stop is not None
    return scout.stop


def break_at(
    target: Target,
    schedule: Schedule,
    stop: Stop,
    *,
    detectors: Sequence[Detector] = (),
    on_divergence: OnDivergence = "stop",
    steps_max: int = STEPS_MAX,
) -> Execution:
    """Run a schedule, with the debugger opened where it is to stop.

    Args:
        target: the program.
        schedule: what to follow.
        stop: where; see `stop_at`.
        detectors: look at the run.
        on_divergence: see `Replay`.
        steps_max: bound of steps.
    """
    breaking = _Breaking(schedule, stop, on_divergence)
    if not stop.window:
        breaking.tracing.begin()
    try:
        done = run_once(
            target, breaking, detectors=detectors, transcribe=True, steps_max=2 * steps_max
        )
    finally:
        breaking.tracing.end()
    done.divergence = breaking.divergence
    return done
