"""World: one emulated runtime, its Ms and the engine that decides who goes next.

A World is what a scenario is given. It knows nothing of hosts: a host (`trampoline`, `trio_host`)
resumes the Ms' coroutines and calls `begin`, `ended` and `failed`; so what is logged is the same on
either.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.machine.config import MS_MAX, Config, ConfigError, Resolved, resolve
from gorun_mem.machine.m import M
from gorun_mem.machine.ops import Join, Start
from gorun_mem.machine.outcome import DeadlockFound, Stuck
from gorun_mem.runtime.boot import Runtime, boot
from gorun_mem.runtime.errors import EmulatedFailure, Throw
from gorun_mem.runtime.mutex import make as make_mutex
from gorun_mem.runtime.releases import WASM_PAGE
from gorun_mem.sched.engine import Engine
from gorun_mem.sched.strategies import make_strategy
from gorun_mem.sched.task import State
from gorun_mem.sched.timing import TimingEngine

if TYPE_CHECKING:
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.runtime.mutex import LockStatistics, Mutex

Program = Callable[..., Coroutine[Any, Any, Any]]
"""What an M does: an async function whose first argument is the M."""

MEMLOCK: Final = "memlock"


@dataclass(frozen=True, slots=True)
class MemorySnapshot:
    """The memory at one moment.

    Args:
        pages: pages of 64 KiB; on Plan 9 what the system's break comes to.
        bloc: the runtime's break.
        bloc_max: the system's break.
        free: (address, size) of each block of the free list, in order.
        live: (address, size, owner) of each range that is handed out, in order.
        grows: growths asked for.
        grows_refused: growths refused.
    """

    pages: int
    bloc: int
    bloc_max: int
    free: tuple[tuple[int, int], ...]
    live: tuple[tuple[int, int, str], ...]
    grows: int
    grows_refused: int

    @property
    def free_bytes(self) -> int:
        """Bytes on the free list."""
        return sum(size for _, size in self.free)

    @property
    def free_largest(self) -> int:
        """Size of the largest free block."""
        return max((size for _, size in self.free), default=0)

    @property
    def live_bytes(self) -> int:
        """Bytes handed out."""
        return sum(size for _, size, _ in self.live)


@dataclass(frozen=True, slots=True)
class WorldStatistics:
    """What was counted while the World ran.

    Args:
        locks: statistics of each lock by name.
        steps: accesses made.
        time_ns: virtual time.
        ms: Ms that were started.
        memory: the memory as it is now.
    """

    locks: dict[str, LockStatistics]
    steps: int
    time_ns: int
    ms: int
    memory: MemorySnapshot

    def lock(self, name: str) -> LockStatistics:
        """Statistics of the lock called `name`.

        Raises:
            KeyError: there is no such lock; the message lists those there are.
        """
        try:
            return self.locks[name]
        except KeyError:
            raise KeyError(f"no lock {name!r}; the locks are {', '.join(self.locks)}") from None


class Nursery:
    """Ms that are started together and waited for; `World.open_ms` makes one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._join = Join()
        self.ms: list[M] = []

    def __repr__(self) -> str:
        return f"<Nursery {self._join.left} of {len(self.ms)} Ms running>"

    def start_soon(self, program: Program, *args: Any, name: str = "") -> M:
        """Start an M.

        Args:
            program: an async function that takes the M and `args`.
            args: what it takes.
            name: for people; the function's name if "".

        Returns:
            The M, which begins when it is scheduled.
        """
        m = self._world._spawn(program, args, name, self._join)
        self._join.left += 1
        self.ms.append(m)
        return m

    async def __aenter__(self) -> Nursery:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            await self._join


class World:
    """One emulated runtime with several Ms.

    Args:
        config: its settings; the defaults if None.
        recorder: who logs what happens; nobody if None.
        name: of what runs in it, for people.

    Attributes:
        ms: how many Ms the scenario is asked to start.
        runtime: memory, OS layer, mem.go and the heap.
        memlock: the mutex around the OS layer.
        engine: decides who goes next.

    Raises:
        ConfigError: a setting is out of range, or two do not go together.
        UnknownRelease: no such release, or no such platform in it.
        UnknownMutex, UnknownStrategy: no such mutex or strategy.
    """

    def __init__(
        self, config: Config | None = None, *, recorder: Recorder | None = None, name: str = "world"
    ) -> None:
        self.settings: Resolved = resolve(config or Config())
        self.config = self.settings.config
        self.ms = self.config.ms
        self.recorder = recorder
        self.engine = _make_engine(self.config)
        self.memlock = self._make_mutex(MEMLOCK)
        self.runtime = self._boot()
        self.mutexes: dict[str, Mutex] = {MEMLOCK: self.memlock}
        self.failure: BaseException | None = None
        self.failed_m = 0
        self.stuck_at_end: tuple[Stuck, ...] = ()
        self.stopped = False
        self.internal = False
        self.main = M(self, 0, name)
        self._programs: dict[int, tuple[Program, tuple[Any, ...], Join]] = {}
        self._starters: dict[int, int] = {}
        self._ids = 0
        if recorder is not None:
            recorder.m = 0
            recorder.now = self._now
            self.engine.follower = recorder

    def __repr__(self) -> str:
        return (
            f"<World {self.settings.release.name} {self.settings.platform.name} "
            f"{self.settings.mutex} {self.engine!r}>"
        )

    # What scenarios use.

    def open_ms(self) -> Nursery:
        """A nursery of Ms, for `async with`; its end waits until all have ended."""
        return Nursery(self)

    def mutex(self, name: str) -> Mutex:
        """The runtime mutex called `name`, made at the first call, of the World's algorithm."""
        if name not in self.mutexes:
            self.mutexes[name] = self._make_mutex(name)
        return self.mutexes[name]

    def check(self) -> None:
        """Check the free list as memCheck does, and that nothing is both free and handed out.

        Raises:
            Throw: what memCheck would throw, or "gorun_mem: free block is handed out".
        """
        os = self.runtime.os
        if os.freelist is None:
            return
        os.freelist.check()
        if os.ledger is None:
            return
        for addr, size in os.freelist.blocks():
            for low, high, tenure in os.ledger.overlapping(addr, addr + size):
                if tenure.live:
                    raise Throw(
                        "gorun_mem: free block is handed out",
                        f"block [{addr:#x}, {addr + size:#x}) is free and "
                        f"[{low:#x}, {high:#x}) is {tenure}",
                        addr=addr,
                        size=size,
                    )

    def snapshot(self) -> MemorySnapshot:
        """The memory as it is now."""
        os = self.runtime.os
        ledger = os.ledger
        live = ledger.live_ranges() if ledger is not None else []
        pages = os.pages if os.platform.is_wasm else -(-os.bloc_max // WASM_PAGE)
        return MemorySnapshot(
            pages=pages,
            bloc=os.bloc,
            bloc_max=os.bloc_max,
            free=tuple(os.freelist.blocks()) if os.freelist is not None else (),
            live=tuple((low, high - low, str(tenure)) for low, high, tenure in live),
            grows=self.runtime.memory.grows,
            grows_refused=self.runtime.memory.fails,
        )

    def snapshot_or_none(self) -> MemorySnapshot | None:
        """The memory as it is now; None where the free list cannot be walked."""
        try:
            return self.snapshot()
        except EmulatedFailure:
            return None

    def statistics(self) -> WorldStatistics:
        """What was counted so far."""
        return WorldStatistics(
            locks={name: mutex.statistics() for name, mutex in self.mutexes.items()},
            steps=self.engine.steps,
            time_ns=self.engine.now_ns,
            ms=self._ids,
            memory=self.snapshot(),
        )

    # What hosts use.

    def begin(self, m: M) -> Coroutine[Any, Any, Any]:
        """The coroutine of an M whose first operation is through."""
        program, args, _ = self._programs[m.id]
        if self.recorder is not None:
            self.recorder.m_start(m.id, self._starters.pop(m.id, 0), m.name)
        return program(m, *args)

    def ended(self, m: M) -> None:
        """The coroutine of `m` has come to its end."""
        self.engine.exit(m)
        if m.id == 0:
            return
        if self.recorder is not None:
            self.recorder.m_exit(m.id)
        _, _, join = self._programs.pop(m.id)
        join.ended()

    def failed(self, m: M, error: BaseException) -> None:
        """The program or a step of `m` raised `error`: the run ends; the first failure counts."""
        if self.failure is not None:
            return
        self.failure = error
        self.failed_m = m.id
        self.stop()
        if self.recorder is not None and isinstance(error, DeadlockFound):
            self.recorder.m = 0
            who = tuple(str(stuck) for stuck in self.stuck_at_end)
            locks = ", ".join(name for name, lock in self.mutexes.items() if lock.waiters)
            self.recorder.deadlock_found("deadlock", locks, who)

    def step_failed(self, error: Exception) -> None:
        """A step of the current M raised `error`; one that no emulated program raises is ours."""
        current: Any = self.engine.current
        if not isinstance(error, EmulatedFailure):
            self.internal = True
        self.failed(current if current is not None else self.main, error)

    def stop(self) -> None:
        """No M makes another step: note who holds and who waits, for the report."""
        if not self.stopped:
            self.stopped = True
            self.stuck_at_end = self._find_stuck()

    def _find_stuck(self) -> tuple[Stuck, ...]:
        """Every M that has not ended and waits, or holds a lock."""
        found = []
        for task in self.engine.tasks:
            holds = tuple(lock.name for lock in task.go.held)
            if task.state is State.DONE or (task.state is not State.PARKED and not holds):
                continue
            if task.id == 0:
                continue
            found.append(self._stuck(task, holds))
        return tuple(found)

    def _stuck(self, task: Any, holds: tuple[str, ...]) -> Stuck:
        op = task.op
        waits_for = f"{op.kind} {op.obj}" if op is not None else "run"
        mutex = getattr(op, "mutex", None)
        held_by = ""
        if mutex is not None:
            waits_for = f"acquire {mutex.name}"
            holder = mutex.holder
            if holder is not None:
                held_by = f"M{holder.m} in {holder.site} since {holder.since_ns:,} ns"
        return Stuck(task.id, task.name, waits_for, task.since_ns, held_by, holds)

    # Inside.

    def _now(self) -> int:
        return self.engine.now_ns

    def _current_m(self) -> int:
        current = self.engine.current
        return current.id if current is not None else 0

    def _make_mutex(self, name: str) -> Mutex:
        return make_mutex(
            self.settings.mutex, self.settings.release, lock_name=name, sink=self.recorder
        )

    def _boot(self) -> Runtime:
        config = self.config
        runtime = boot(
            self.settings.release,
            self.settings.platform,
            memlock=self.memlock,
            end=config.data_end,
            initial_pages=config.initial_pages,
            max_pages=config.max_pages,
            brk_max=config.max_pages * WASM_PAGE,
            mem_debug=config.mem_debug,
            faithful=config.faithful,
            sink=self.recorder,
            wrong_order=config.wrong_order,
        )
        runtime.os.whoami = self._current_m
        runtime.os.charge = self.engine.charge
        return runtime

    def _spawn(self, program: Program, args: tuple[Any, ...], name: str, join: Join) -> M:
        if self._ids >= MS_MAX:
            raise ConfigError(f"more than {MS_MAX} Ms were started; let some end or start fewer")
        self._ids += 1
        m = M(self, self._ids, name or getattr(program, "__name__", "m"))
        self._programs[m.id] = (program, args, join)
        self._starters[m.id] = self._current_m()
        self.engine.add(m)
        self.engine.submit(m, Start())
        return m


def _make_engine(config: Config) -> Engine:
    strategy = make_strategy(config.strategy, config.seed)
    if config.strategy == "timing":
        return TimingEngine(
            strategy,
            config.seed,
            costs=config.costs,
            cpus=config.cpus,
            steps_max=config.steps_max,
        )
    return Engine(strategy, costs=config.costs, cpus=config.cpus, steps_max=config.steps_max)
