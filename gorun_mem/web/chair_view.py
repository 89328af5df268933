"""What a run looks like between two steps: Ms and their lines, locks, words, objects, memory."""

from __future__ import annotations

import linecache
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.step_values import bits_of
from gorun_mem.machine.observer import Observer
from gorun_mem.machine.ops import Join
from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.step.schedule import Step
from gorun_mem.step.task import State
from gorun_mem.sync import Event, KitObject, Lock

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.world import World
    from gorun_mem.step.task import Task

_AROUND: Final = 3
"""Lines of source before and behind the one that an M stands at."""
_RANGES: Final = 400
_OBJECTS: Final = 100
_TEXT: Final = 120
_OURS: Final = ("gorun_mem.", "trio.")
_PROGRAMS: Final = ("gorun_mem.explore.kernels.", "gorun_mem.scenarios.")
_STATES: Final = {State.RUNNABLE: "may go", State.DONE: "ended", State.RUNNING: "may go"}


class Spy(Observer):
    """Keeps the coroutines of a run, and looks at it where it stops.

    Args:
        target: the program; a spy watches one run of it.

    Attributes:
        world: of the run.
        seen: what it looked like.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._coros: dict[int, Any] = {}
        self._objects: dict[int, Any] = {}
        self.world: World
        self.seen: dict[str, Any] | None = None

    def begin(self, world: World) -> None:
        """The run is about to begin."""
        self.world = world
        world.driver.observers.append(self)

    def began(self, m: Any, coro: Coroutine[Any, Any, Any]) -> None:
        """An M has its coroutine."""
        self._coros[m.id] = coro
        _gather(_frames(coro), self._objects)

    def stopping(self) -> None:
        """Nobody goes on, and the coroutines still stand where they stood."""
        if self.seen is None:
            self.look()

    def look(self) -> None:
        """See all there is."""
        world = self.world
        frames = {m: list(_frames(coro)) for m, coro in self._coros.items()}
        for of_m in frames.values():
            _gather(of_m, self._objects)
        objects = list(self._objects.values())
        self.seen = {
            "t_ns": world.engine.now_ns,
            "ms": [
                _m(task, frames.get(task.id, []))
                for task in world.engine.tasks
                if task.id or task.state is not State.DONE
            ],
            "locks": [_lock(name, lock) for name, lock in world.driver.mutexes.items()],
            "objects": [_object(one) for one in objects],
            "edges": list(_edges(world)),
            "memory": _memory(world),
        }


def view_of(spy: Spy) -> dict[str, Any]:
    """What was seen; what is there now where the run ended well."""
    if spy.seen is None:
        spy.look()
    assert spy.seen is not None
    return spy.seen


def steps_of(steps: Sequence[Step], marks: Sequence[int]) -> list[dict[str, Any]]:
    """Steps as JSON; `mark` is how many choices were used before it."""
    return [
        {
            "m": step.m,
            "kind": step.kind,
            "obj": step.obj,
            "reads": step.reads,
            "preempts": step.preempts,
            "enabled": list(step.enabled),
            "drawn": [list(one) for one in step.choices],
            "mark": mark,
        }
        for step, mark in zip(steps, marks, strict=False)
    ]


# Ms.


def _frames(coro: Any) -> Iterator[FrameType]:
    """The frames of an M that are the program's own, the innermost last."""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None)
        if frame is None:
            return
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(_PROGRAMS) or not module.startswith(_OURS):
            yield frame
        coro = getattr(coro, "cr_await", None)


def _m(task: Task, frames: Sequence[FrameType]) -> dict[str, Any]:
    op = task.op if task.state is not State.DONE else None
    return {
        "m": task.id,
        "name": task.name,
        "state": _STATES.get(task.state, "joins" if isinstance(op, Join) else "waits"),
        "enabled": task.state is State.RUNNABLE,
        "kind": op.kind if op is not None else "",
        "obj": op.obj if op is not None else "",
        "reads": bool(op.reads_only) if op is not None else False,
        "steps": task.steps,
        "at": [_place(frame.f_code.co_filename, frame.f_lineno, frame) for frame in frames]
        or _begins(task),
    }


def _begins(task: Any) -> list[dict[str, Any]]:
    """Where an M that has not begun will."""
    code = getattr(getattr(task, "program", None), "__code__", None)
    if code is None or task.state is State.DONE or not task.id:
        return []
    return [_place(code.co_filename, code.co_firstlineno, None, code.co_name)]


def _place(file: str, line: int, frame: FrameType | None, name: str = "") -> dict[str, Any]:
    first = max(1, line - _AROUND)
    lines = [linecache.getline(file, number) for number in range(first, line + _AROUND + 1)]
    return {
        "file": Path(file).name,
        "line": line,
        "function": frame.f_code.co_name if frame is not None else name,
        "first": first,
        "source": [text.rstrip("\n")[:_TEXT] for text in lines if text],
    }


# Locks and objects.


def _lock(name: str, lock: Any) -> dict[str, Any]:
    return {
        "name": name,
        "mutex": lock.algorithm,
        "word": lock.key,
        "bits": bits_of(lock),
        "holders": [
            {"m": one.m, "site": one.site, "since_ns": one.since_ns} for one in lock.holders
        ],
        "waiters": [
            {"m": one.m, "since_ns": one.since_ns, "at": one.state, "spins": one.spins}
            for one in lock.waiters
        ],
    }


def _gather(frames: Iterable[FrameType], into: dict[int, Any]) -> None:
    """What the program's variables hold that Ms share, each once, in the order of being seen."""
    for frame in frames:
        for value in frame.f_locals.values():
            if isinstance(value, dict):
                value = list(value.values())
            for one in value if isinstance(value, list | tuple) else (value,):
                if _is_shared(one) and len(into) < _OBJECTS:
                    into.setdefault(id(one), one)


def _is_shared(value: Any) -> bool:
    return isinstance(value, KitObject)


def _object(one: Any) -> dict[str, Any]:
    if isinstance(one, Lock):
        value = f"held by M{one.owner.id}" if one.owner is not None else "free"
    elif isinstance(one, Event):
        value = "has happened" if one.happened else "has not happened"
    elif hasattr(one, "value"):
        value = repr(one.value)
    else:
        value = repr(one)
    return {"kind": type(one).__name__, "name": str(one.name), "value": value[:_TEXT]}


def _edges(world: World) -> Iterator[dict[str, Any]]:
    """Who waits for a lock, and who holds it: the wait-for graph."""
    for name, lock in world.driver.mutexes.items():
        for waiter in lock.waiters:
            for holder in lock.holders:
                yield {"m": waiter.m, "lock": name, "holder": holder.m}
    for task in world.engine.tasks:
        op = task.op if task.state is State.PARKED else None
        if op is not None:
            for holder, _, _ in op.blocked_by():
                yield {"m": task.id, "lock": op.obj, "holder": holder}


# Memory.


def _memory(world: World) -> dict[str, Any] | None:
    """The memory layer's words and ranges; None where nothing has touched it."""
    if not world.is_booted:
        return None
    snapshot = world.snapshot_or_none()
    wrong = ""
    try:
        world.check()
    except EmulatedFailure as failure:
        wrong = str(failure)
    if snapshot is None:
        return {"wrong": wrong or "the free list cannot be walked"}
    return {
        "wrong": wrong,
        "data_end": world.runtime.data_end,
        "bloc": snapshot.bloc,
        "bloc_max": snapshot.bloc_max,
        "top": world.runtime.os.top,
        "pages": snapshot.pages,
        "free": [list(block) for block in snapshot.free[:_RANGES]],
        "live": [[low, size, owner] for low, size, owner in snapshot.live[:_RANGES]],
        "free_bytes": snapshot.free_bytes,
        "live_bytes": snapshot.live_bytes,
    }
