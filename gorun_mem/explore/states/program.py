"""The state of a whole program: World, Ms, locks and memory, and whatever the Ms' coroutines hold.

Two states are one iff the same is written of both:

    each M       whether it may go, sleeps or is through; where its coroutine and all that this
                 awaits stand, with their variables (`contents`); its pending operation; its count
                 of locks and what the runtime's locks keep with it. Of one that has not begun, what
                 it will run.
    locks        the words of each runtime lock of the World, its owner, who waits
    memory       its size and every byte written; the break; the list of free blocks; who owns what;
                 the state of each region, statistics of mem.go, arenas and hints
    the rest     all that coroutines, functions and globals lead to: objects of the kit, lists,
                 objects of the program's own classes; `World.results`

What is counted and when something happened is no part of it, so that different ways to one state
meet. That is sound only where the program does not go by it:

    sleeping     from the first sleep for a time on in a run, clock and timers are a part of a
                 state, and whatever holds a time
    counts       `Counts` is raised where the program looks at one; then `counts` makes all of them
                 a part of a state, at the cost of most meetings

What a library keeps in globals of its own is not seen.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Hashable, Mapping
from types import CodeType, ModuleType
from typing import Any, Final

from gorun_mem.explore.states.contents import PACKAGE, Contents, How, is_package
from gorun_mem.explore.states.locks import own_words
from gorun_mem.explore.states.unseen import COUNTING, Unseen
from gorun_mem.explore.states.values import Unreadable
from gorun_mem.locks.coroutine import CoroutineMutex
from gorun_mem.machine.driver import Driver
from gorun_mem.machine.lifecycle import Lifecycle
from gorun_mem.machine.world import World
from gorun_mem.runtime.boot import Runtime
from gorun_mem.runtime.brk import Break
from gorun_mem.runtime.call import Call
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.ledger import HOST, Ledger, Ownership
from gorun_mem.runtime.linear_memory import LinearMemory
from gorun_mem.runtime.mem import Mem, Region
from gorun_mem.runtime.mheap import MHeap
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import MutexOp
from gorun_mem.runtime.op import MLike, Scheduler
from gorun_mem.runtime.oslayer import OSLayer
from gorun_mem.runtime.rangemap import RangeMap
from gorun_mem.step.task import State
from gorun_mem.sync.gate import Gate
from gorun_mem.sync.rwlock import RWLock

PARTS: Final = (Lifecycle, Scheduler, Runtime, OSLayer, Mem, Ledger, LinearMemory, FreeList, Break)
"""Of a World there is one of each, so that its name says it all."""
LABELS: Final = frozenset({
    "calls", "needed", "live_bytes_max", "data_view_resets", "release", "platform", "_behaviour",
    "whoami", "_charge", "_sink", "sink", "probe", "_watched", "_index", "guard", "refuse",
    "memlock", "refusals", "_frames", "_word", "_header", "_word_mask", "_mask", "_round",
    "_memory", "_header_size", "_word_size", "_hits", "_misses", "_drops", "_skipped", "name",
})  # fmt: skip
"""Attributes of the parts of a runtime that are the same in all states, or tell people something;
and the index of the free list, which follows from the memory."""
_SCENARIOS: Final = f"{PACKAGE}scenarios"
_OF_NAMES: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"})
_OF_ATTRIBUTES: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})


class ProgramContents(Contents):
    """Writes the states of a program.

    Args:
        tell: told of a count that the program goes by; see `unseen`.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__()
        self._tell = tell
        self.world: World | None = None
        self.coros: Mapping[int, Any] = {}
        self._named: dict[tuple[int, str], Mapping[str, Any]] = {}
        self._met: set[Any] = set()
        self._parts: dict[Hashable, int] = {}

    def watch(self, world: World, coros: Mapping[int, Any]) -> None:
        """States of `world` are to be written.

        Args:
            world: a run's.
            coros: the coroutines of its Ms, by number.
        """
        self.world = world
        self.coros = coros

    def state(self) -> Hashable:
        """The state that the World is in.

        Raises:
            Unreadable: something that the program holds cannot be compared.
        """
        world = self.world
        assert world is not None
        driver, engine = world.driver, world.engine
        self.begin()
        self.timed = self.counts or bool(engine.timed)  # type: ignore[attr-defined]
        parts: list[Hashable] = [self.of_task(task) for task in engine.tasks]
        parts.append(tuple([self.of_mutex(one) for one in driver.mutexes.values()]))
        if driver.runtime is not None:
            parts.append(self.of_runtime(driver.runtime))
        parts.append(self.of(world.results))
        if self.timed:
            parts.append(self._of_time(driver))
        parts.append(self._of_code())
        known = self._parts
        return tuple([known.setdefault(part, len(known)) for part in parts])

    # Ms

    def of_task(self, task: Any) -> Hashable:
        """An M."""
        if task.state is State.DONE:
            return (task.id, "through")
        coro = self.coros.get(task.id)
        begun = [self.of(one) for one in ((task.program, task.args) if coro is None else (coro,))]
        go = task.go
        return (
            task.id, task.state is State.PARKED, task.locks, task.started, self.of(task.op),
            go.nextwaitm, go.waitsema, go.asleep, go.blocked, go.start_ticks if self.timed else 0,
            tuple([lock.name for lock in go.held]), *begun,
        )  # fmt: skip

    def _of_time(self, driver: Driver) -> Hashable:
        """Clock and timers."""
        engine: Any = driver.engine
        timers = sorted([(t, n, m.id) for t, n, m in engine.timers if m.timer == n])
        steps = (engine.steps, *[m.steps for m in engine.tasks]) if self.counts else ()
        return (engine.clock_ns, tuple([(t, m) for t, _, m in timers]), steps)

    # What they share

    def how(self, kind: type) -> tuple[How, bool]:
        """What stands for itself, and what is written elsewhere or otherwise than other objects."""
        for bases, how, has_identity in (
            (MLike, self._of_m, False),
            (World, self._of_world, False),
            (PARTS, self._of_part, False),
            (Unseen, _of_unseen, False),
            (StateMutex, self.of_mutex, True),
            (MutexOp, self._of_mutex_op, True),
            (RWLock, self._of_rwlock, True),
            (Gate, self._of_gate, True),
            (RangeMap, self._of_ranges, True),
            (Call, self._of_call, True),
            (Ownership, _of_ownership, False),
            (Region, _of_region, False),
        ):
            if issubclass(kind, bases):
                return how, has_identity
        return super().how(kind)

    def _of_m(self, m: MLike) -> Hashable:
        return ("M", m.id)

    def _of_world(self, world: World) -> Hashable:
        if world is not self.world:
            raise Unreadable(f"{world!r} cannot be compared: it is another World than the run's")
        return ("the World",)

    def _of_part(self, part: Any) -> Hashable:
        return ("part", type(part).__name__)

    def of_mutex(self, mutex: StateMutex) -> Hashable:
        """A runtime lock."""
        own = own_words(mutex)
        words = [self.of(word) for word in (*mutex.snapshot(), *[getattr(mutex, n) for n in own])]
        waiting = tuple(mutex.book.waiting)  # in the order they came
        owner = mutex.owner.id if mutex.owner is not None else -1
        more = (self.of_attribute("book", mutex.book),) if self.counts else ()
        if isinstance(mutex, CoroutineMutex):
            words = [mutex.entering, mutex.leaving, self.of(mutex.user)]
        return ("lock", mutex.name, *words, owner, waiting, *more)

    def _of_mutex_op(self, op: MutexOp) -> Hashable:
        if not is_package(type(op)) or isinstance(op.mutex, CoroutineMutex):
            return (*self.of_object(op), getattr(op, "waits", None))
        return (self.name(type(op)), *[self.of(one) for one in op.snapshot()])

    def _of_gate(self, gate: Gate) -> tuple[Any, ...]:
        """A gate: of those that want to go in the order is nothing to the package's own."""
        held = self.attributes(gate)
        if is_package(type(gate)):
            held = [one for one in held if one[0] != "wanted"]
            held += [(m, self.of(op)) for m, (_, op) in sorted(gate.wanted.items())]
        return (self.name(type(gate)), *held)

    def _of_rwlock(self, lock: RWLock) -> Hashable:
        """When each reader came is no part of it."""
        found = self._of_gate(lock)
        if self.timed:
            return found
        readers = tuple(sorted([(m, len(came)) for m, came in lock.readers.items()]))
        return (*[one for one in found if one[0] != "readers"], readers)

    def _of_call(self, call: Call) -> Hashable:
        """A call of the OS layer, but for its number and what was counted for it."""
        return ("call", call.fn, call.v, call.n, call.align, call.p, call.size, call.ok, call.path)

    def _of_ranges(self, ranges: RangeMap[Any]) -> Hashable:
        return tuple([(low, high, self.of(value)) for low, high, value in ranges])

    def of_runtime(self, runtime: Runtime) -> Hashable:
        """Memory, break, free list, who owns what, regions, statistics, the heap's arenas."""
        os, memory = runtime.os, runtime.memory
        made = vars(runtime)  # what has been asked for
        frames = [(addr, bytes(frame).rstrip(b"\0")) for addr, frame in memory.written(memory.size)]
        parts = (os, memory, os.ledger, os.freelist, getattr(os, "brk", None))
        return (
            tuple([frame for frame in frames if frame[1] or self.timed]),
            memory.limit_pages,
            tuple(sorted(os.refusals)),
            os.freelist.indexed if os.freelist is not None else None,
            *[
                tuple(self.attributes(part)) if part is not None else None
                for part in (*parts, made.get("mem"), made.get("mheap"))
            ],
        )

    def skipped(self, cls: type) -> frozenset[str]:
        """Attributes that are not written."""
        found = super().skipped(cls)
        return found | LABELS if issubclass(cls, (*PARTS, MHeap)) else found

    # Code: what it names that is not its own

    def met(self, code: CodeType, names: dict[str, Any]) -> None:
        """A piece of code was met: the globals that it names belong to the states from here on.

        Raises:
            Counts: it looks at what is counted.
        """
        if not _is_users(names):
            return
        todo = [code]
        while todo:
            one = todo.pop()
            todo += [inner for inner in one.co_consts if isinstance(inner, CodeType)]
            attributes: dict[str, int] = {}
            line = one.co_firstlineno
            for step in dis.get_instructions(one):
                line = step.starts_line or line
                if step.opname in _OF_NAMES:
                    self._named[id(names), step.argval] = names
                elif step.opname in _OF_ATTRIBUTES:
                    attributes[step.argval] = line
            for name in COUNTING & attributes.keys():
                # Beside a call of `statistics` it is taken out of what that has returned.
                if not self.counts and "statistics" not in attributes:
                    self._tell(f".{name} at {one.co_filename}:{attributes[name]}")

    def of_named(self, value: Any) -> Any:
        """A class, module or piece of code: what it holds belongs to the states from here on."""
        if value not in self._met:
            self._met.add(value)
            of: Any = sys.modules.get(value.__module__) if isinstance(value, type) else value
            if isinstance(of, ModuleType) and _is_users(vars(of)):
                self._name_all(vars(value))
        return super().of_named(value)

    def _name_all(self, names: Mapping[str, Any]) -> None:
        for name in names:
            if not name.startswith("__") or name in ("__init__", "__call__"):
                self._named[id(names), name] = names

    def _of_code(self) -> Hashable:
        """What the globals hold that the code met so far names, and what classes keep."""
        held: list[Hashable] = []
        done = 0
        while done < len(self._named):
            todo = list(self._named.items())[done:]
            done += len(todo)
            for (_, name), names in todo:
                value = names.get(name)
                if value is not None:
                    held.append((name, self.of(getattr(value, "__func__", value))))
        return tuple(held)


def _is_users(names: Mapping[str, Any]) -> bool:
    """Whether a module's names are those of the program, not of a library or of this package."""
    module = str(names.get("__name__", ""))
    if module.startswith(_SCENARIOS):
        return True
    if f"{module}.".startswith(PACKAGE) or module.partition(".")[0] in sys.stdlib_module_names:
        return False
    return "site-packages" not in str(names.get("__file__", ""))


def _of_unseen(value: Unseen) -> Hashable:
    return ("unseen",)


def _of_ownership(value: Ownership) -> Hashable:
    return (value.live, value.m if value.live or value.m == HOST else 0)


def _of_region(value: Region) -> Hashable:
    return value.state.name
