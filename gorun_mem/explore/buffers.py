"""Memory as x86 has it: total store order (TSO).

Each M has a first-in, first-out store buffer. A store that is plain (`Kind.late`) goes into the
buffer of its M and is seen by that M alone, whose loads look there first. That the oldest store of
a buffer reaches memory is a step of its own, which the strategy chooses like an M's: it is on the
tape, in tokens, and in the lanes. All else that an M does (`Kind.passes` aside) is a fence, and is
not made before the M's buffer is empty: atomic read-modify-writes, exchanges, locks, semaphores,
channels, calls of the memory layer, futex calls and sleeping on a semaphore, starting an M, and
coming to an end.

    M1          store x 1      load y -> 0        (waits)   end
    M1's buffer        x                  x reaches memory

The calls that put an M to sleep or wake one are fences for what the kernel does in them: it looks
at the word, or queues the M, under a lock of its own, which is a LOCK-prefixed instruction. A spin,
a yield and a sleep for a time are none: nothing in x86 says that a PAUSE or a system call empties
the buffer, so nothing may rest on it.

A buffer has no bound: what a CPU with a bounded one can do, one without can too, and a run is
bounded by its steps. No M may wait for a store to become due: where nobody else can go, buffers
can, so a deadlock is one only when all are empty.

While no other M has been started, or all were waited for, nobody can see that a store of M 0 is
late: it is in memory at once.

Source: P. Sewell, S. Sarkar, S. Owens, F. Zappa Nardelli, M. Myreen, "x86-TSO: A Rigorous and
Usable Programmer's Model for x86 Multiprocessors", CACM 2010.
"""

from __future__ import annotations

from typing import Any, Final

from gorun_mem.explore.drive import SearchingTrampoline
from gorun_mem.explore.taped import ExploringEngine, Supervision
from gorun_mem.machine.config import ConfigError
from gorun_mem.runtime.kinds import FLUSH, named
from gorun_mem.runtime.op import MORE, PARKED, Late, MLike, Op, StoreBuffer
from gorun_mem.step.engine import Strategy
from gorun_mem.step.loop import Follower
from gorun_mem.step.task import BUFFERS, State, Task, owner_of

PASSES: Final = named(lambda kind: kind.passes)
"""Kinds of operation that are made whatever the M's buffer holds."""
LATE: Final = named(lambda kind: kind.late)


class Flush(Op):
    """The oldest store of a buffer reaches memory.

    Args:
        stores: the buffer.

    Attributes:
        written: what was written last.
    """

    __slots__ = ("obj", "stores", "written")
    kind = FLUSH

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.awaited = True  # by nobody: it is not an M's
        self.obj = ""
        self.written: object = None

    def step(self, m: MLike) -> object:
        """Write it."""
        stores = self.stores
        oldest = stores.late.pop(0)
        oldest.write(oldest.value)
        self.written = oldest.value
        stores.flushed += 1
        stores.flushed_at = stores.engine.steps
        if not stores.late:
            return PARKED
        self.obj = stores.late[0].obj
        return MORE


class Flusher(Task):
    """Who makes the steps by which the stores of one M reach memory.

    Args:
        stores: the M's buffer.
        owner: the M.
    """

    __slots__ = ("stores",)

    def __init__(self, stores: Stores, owner: Task) -> None:
        super().__init__(owner.sched, BUFFERS + owner.id, f"buffer of {owner.name}")
        self.stores = stores
        self.origin = f"{owner.origin}.stores"
        self.starter = owner.id
        self.op = Flush(stores)
        self.state = State.PARKED


class Stores(StoreBuffer):
    """The store buffer of an M in a search.

    Attributes:
        flusher: makes its steps.
        flushed: how many stores have left it.
        flushed_at: the number of the step by which the last has.
        waiting: who may go on when so many have.
    """

    __slots__ = ("engine", "flushed", "flushed_at", "flusher", "waiting")

    def __init__(self, engine: TsoEngine, owner: Task) -> None:
        super().__init__()
        self.engine = engine
        self.flusher = Flusher(self, owner)
        self.flushed = self.flushed_at = 0
        self.waiting: list[tuple[int, Task]] = []

    def put(self, store: Late) -> None:
        """One store more."""
        if self.engine.is_alone:
            store.write(store.value)
            return
        store.made_at = self.engine.steps
        super().put(store)
        follower = self.engine.follower
        if follower is not None:
            follower.store_late(store.obj, repr(store.value), len(self.late))
        if len(self.late) == 1:
            self.flusher.op.obj = store.obj
            self.engine.fill(self.flusher)


class TsoEngine(ExploringEngine):
    """An exploring engine in which each M has a store buffer.

    Args:
        strategy: who goes next, buffers included.
        over: who watches over the run, and what is run.
    """

    def __init__(self, strategy: Strategy, over: Supervision) -> None:
        super().__init__(strategy, over)
        self.watched = True
        self.buffered = True  # here, for a compiled class does not see what a class of ours says
        self._see_flushes = [d.step for d in over.detectors if getattr(d, "flushes", False)]
        self._held: dict[int, bool] = {}
        self._unjoined: set[int] = set()
        self._starts_after: dict[int, int] = {}

    # What is asked of it.

    @property
    def is_alone(self) -> bool:
        """Whether there is M 0 and nobody else, nor was anybody that was not waited for."""
        return not self._unjoined

    def everybody(self) -> list[Task]:
        """The Ms, and their buffers."""
        return [*self.tasks, *[_stores(task).flusher for task in self.tasks]]

    def is_held(self, task: Task) -> bool:
        """Whether `task` waits for a store buffer, before a fence or its beginning."""
        return task.id in self._held

    def comes_after(self, task: Task) -> int:
        """The number of another's step that the pending one of `task` comes after; 0: of none.

        Of a buffer the step that has made the store; of a fence, the last that has left the M's
        buffer; of an M's beginning, the last that its starter had made before.
        """
        if isinstance(task, Flusher):
            return task.stores.late[0].made_at if task.stores.late else 0
        kind = task.op.kind
        if kind == "start":
            return self._starts_after.get(task.id, 0)
        return 0 if _passes(task.op) else _stores(task).flushed_at

    # What hosts do.

    def add(self, task: Task) -> None:
        """Take in a new M, with its buffer.

        Raises:
            ConfigError: there were more Ms than have numbers.
        """
        if task.id >= BUFFERS:
            raise ConfigError(f"more than {BUFFERS} Ms were started in one run with memory tso")
        super().add(task)
        task.buffer = Stores(self, task)
        if task.id:
            self._unjoined.add(task.id)

    def submit(self, task: Task, op: Op) -> None:
        """The coroutine of `task` has yielded `op`; an M begins after what its starter stored."""
        if op.kind == "start":
            stores = _stores(self.tasks[task.starter])
            if stores.late:
                task.op = op
                self._hold(task, stores, False)
                return
            self._starts_after[task.id] = stores.flushed_at
        super().submit(task, op)

    def clear(self) -> None:
        """Drop every M and its buffer."""
        for task in self.tasks:
            task.buffer = None
        super().clear()

    # What operations ask.

    def unpark(self, m: MLike) -> None:
        """Make a parked M runnable; one that waits for a buffer goes on by itself."""
        if m.id in self._held:
            return
        if self.follower is not None and self.current is not None:
            assert isinstance(m, Task)
            if m.state is State.PARKED:
                self._note_unpark(m, owner_of(self.current.id))
        super().unpark(m)

    def fill(self, flusher: Flusher) -> None:
        """The buffer of `flusher` is not empty any more."""
        self._enable(flusher)

    # What the loop asks.

    def switch_to(self, task: Task) -> None:
        """What happens from here on is the doing of `task`, or of whose buffer it is."""
        super().switch_to(task)
        if self.follower is not None:
            self.follower.m = owner_of(task.id)

    def _note_park(self, follower: Follower, task: Task) -> None:
        if not isinstance(task, Flusher):
            super()._note_park(follower, task)

    def _watch(self, task: Task, pending: Any) -> object:
        if not isinstance(task, Flusher):
            return super()._watch(task, pending)
        obj = pending.obj
        result: object = pending.step(task)
        if self.follower is not None:
            self.follower.store_flush(obj, repr(pending.written), len(task.stores.late))
        if self._executed is not None:
            self._executed(task, FLUSH, obj, False)
        if self._screen is not None:
            self._screen.step(task, pending, FLUSH, obj, False, result)
        for look in self._see_flushes:
            look(task, pending, FLUSH, obj, False, result)
        return result

    def _made(self, task: Task, result: object) -> None:
        super()._made(task, result)
        if isinstance(task, Flusher):
            self._let_go(task.stores)
        elif result is MORE and self._must_wait(task, task.op):
            self._remove(task)
            self._hold(task, _stores(task), True)

    def _through(self, task: Task, result: object) -> None:
        op = task.op
        super()._through(task, result)
        if op.kind == "join":
            joined = [m.id for m in self.tasks if getattr(m, "join", None) is op]
            self._unjoined.difference_update(joined)

    def _go_on(self, task: Task, op: Op) -> None:
        if not self._must_wait(task, op):
            super()._go_on(task, op)
            return
        self.running = None
        task.op = op
        self._remove(task)
        self._hold(task, _stores(task), False)

    # Inside.

    def _must_wait(self, task: Task, op: Op) -> bool:
        return bool(_stores(task).late) and not _passes(op)

    def _hold(self, task: Task, stores: Stores, begun: bool) -> None:
        """Let `task` wait until all that is in `stores` has left it.

        Args:
            task: not among the runnable ones.
            stores: a buffer that is not empty.
            begun: its operation has been asked whether it may begin.
        """
        task.state = State.PARKED
        task.since = self.clock_ns
        self._held[task.id] = begun
        stores.waiting.append((stores.made, task))

    def _let_go(self, stores: Stores) -> None:
        """Who has waited for what has left `stores` by now goes on."""
        while stores.waiting and stores.waiting[0][0] <= stores.flushed:
            _, task = stores.waiting.pop(0)
            begun = self._held.pop(task.id)
            self.woken.append(task)
            op = task.op
            if op.kind == "start":
                self._starts_after[task.id] = self.steps
            if begun or not op.asks_first or op.begin(task):
                self._enable(task)


engine_for = TsoEngine
host_for = SearchingTrampoline


def _passes(op: Op) -> bool:
    """Whether the next access of `op` is made whatever its M's buffer holds."""
    kind = op.kind
    return kind in PASSES and (kind not in LATE or op.acting().buffers)


def _stores(task: Task) -> Stores:
    stores = task.buffer
    assert isinstance(stores, Stores)
    return stores
