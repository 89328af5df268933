"""What several detectors need of a run: where each M is, and who holds which lock.

One `Watch` a World, shared by all detectors that look at it (`watch`), so that each step is looked
at once however many ask. The line that an M is at is found from its coroutine, which a World makes
when the M begins; that of M 0 is not known to anybody here, and its name stands in.
"""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gorun_mem.machine.observer import Observer
from gorun_mem.runtime.kinds import kind_of
from gorun_mem.runtime.mutex.machine import LockOp, UnlockOp
from gorun_mem.runtime.op import MORE, PARKED, Op
from gorun_mem.step.task import Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

Place = tuple[CodeType, int] | str
"""A line of the program, not yet put into words."""

_MACHINERY: Final = ("/gorun_mem/machine/", "/gorun_mem/runtime/", "/gorun_mem/step/")
_PARTS: Final = (
    "/gorun_mem/explore/kernels/parts.py", "/gorun_mem/locks/", "/gorun_mem/sync/",
    "/contextlib.py",
)  # fmt: skip
_is_program: dict[CodeType, bool] = {}


class Held(NamedTuple):
    """A lock that an M holds.

    Args:
        lock: its name.
        m: id of the M.
        place: where it was taken.
        step: number of the step that took it.
        ns: virtual time of it.
    """

    lock: str
    m: int
    place: Place
    step: int
    ns: int


class Watch(Observer):
    """One run, as several detectors see it.

    Args:
        world: the World that runs.

    Attributes:
        holds: locks held by each M, in the order taken.
    """

    __slots__ = ("_coros", "_engine", "_event", "_last_places", "_main", "_seen", "holds")

    def __init__(self, world: World) -> None:
        self._engine: Any = world.engine
        self._coros: dict[int, Any] = {}
        self._main = world.main.name
        self._seen = -1
        self._event: tuple[Held, bool] | None = None
        self._last_places: dict[int, Place] = {}
        self.holds: dict[int, list[Held]] = {}
        world.driver.observers.append(self)

    def began(self, m: Any, coro: Any) -> None:
        """Keep its coroutine, which says where it is."""
        self._coros[m.id] = coro

    def stopping(self) -> None:
        """Note where each M is: detectors answer when the coroutines have been unwound."""
        if not self._last_places:
            self._last_places = {m_id: self.place(m_id) for m_id in self._coros}

    @property
    def step(self) -> int:
        """The number of the step that detectors are being told of, from 1."""
        return int(self._engine.steps)

    def place(self, m_id: int) -> Place:
        """The innermost line of the program that M `m_id` is at, or was at when the run ended."""
        if self._last_places:
            return self._last_places.get(m_id, "")
        coro = self._coros.get(m_id)
        if coro is None:
            return self._main
        found = _line_of(coro, "")
        for task in self._engine.tasks:
            if task.id == m_id:  # inside a lock that is a coroutine, it is there
                return _line_of(getattr(task.op, "coro", None), found)
        return found

    def lock_event(
        self, task: Task, op: Op, kind: str, obj: str, result: object
    ) -> tuple[Held, bool] | None:
        """The lock that the step took (True) or gave back (False), if it did either."""
        now = self._engine.steps
        if now == self._seen:
            return self._event
        self._seen = now
        self._event = None
        if result is MORE or result is PARKED or (result is False and _takes(op, kind)):
            return None  # not through, or it was only tried, or its time was up
        if isinstance(op, LockOp | UnlockOp):
            if op.mutex.excludes:
                taken = isinstance(op, LockOp)
                self._event = self._note(task, op.mutex.name, taken, op.site)
        else:
            lock = kind_of(kind).lock
            if lock:
                self._event = self._note(task, obj, lock == "takes", "")
        return self._event

    def _note(self, task: Task, lock: str, taken: bool, site: str) -> tuple[Held, bool] | None:
        if taken:
            place = site or self.place(task.id)
            hold = Held(lock, task.id, place, self.step, self._engine.now_ns)
            self.holds.setdefault(task.id, []).append(hold)
            return hold, True
        # An unlock by another M than the owner gives the owner's hold back.
        for holds in (self.holds.get(task.id, []), *self.holds.values()):
            for i in range(len(holds) - 1, -1, -1):
                if holds[i].lock == lock:
                    return holds.pop(i), False
        return None


def watch(world: World) -> Watch:
    """The World's `Watch`; each detector asks for it in `begin`."""
    for observer in world.driver.observers:
        if isinstance(observer, Watch):
            return observer
    return Watch(world)


class HoldsWatched:
    """What a detector begins with that asks who holds what when a run has ended."""

    _watch: Watch

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._watch = watch(world)

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Note who holds what."""
        self._watch.lock_event(task, op, kind, obj, result)


def in_words(place: Place) -> str:
    """A line of the program as "file:line"."""
    if isinstance(place, str):
        return place
    code, line = place
    return f"{code.co_filename.replace(chr(92), '/').rpartition('/')[2]}:{line}"


def wanted_lock(op: Op | None) -> str:
    """The lock that an M with this pending operation wants, "" for none."""
    if isinstance(op, LockOp):
        return str(op.mutex.name)
    return op.obj if op is not None and kind_of(op.kind).lock == "takes" else ""


def _line_of(coro: Any, found: Place) -> Place:
    """The innermost line of the program in a coroutine; `found` where it has none."""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None)
        if frame is None:
            break
        code = frame.f_code
        known = _is_program.get(code)
        if known is None:
            known = _is_program[code] = _asks_for_a_place(code)
        if known:
            found = (code, frame.f_lineno)
        coro = getattr(coro, "cr_await", None) or getattr(coro, "ag_await", None)
    return found


def _takes(op: Op, kind: str) -> bool:
    return isinstance(op, LockOp) or kind_of(kind).lock == "takes"


def _asks_for_a_place(code: CodeType) -> bool:
    name = code.co_filename.replace("\\", "/")
    return not any(part in name for part in (*_MACHINERY, *_PARTS))
