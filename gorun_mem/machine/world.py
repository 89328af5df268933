"""World: one emulated runtime, its Ms and the engine that decides who goes next.

A World is what a scenario is given. It knows nothing of hosts: a host (`trampoline`, `trio_host`)
resumes the Ms' coroutines and calls `begin`, `ended` and `failed`; so what is logged is the same on
either.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.events.errors import LogError
from gorun_mem.machine.config import MS_MAX, Config, ConfigError, Resolved, resolve
from gorun_mem.machine.m import AccessM, M
from gorun_mem.machine.nursery import Nursery
from gorun_mem.machine.observer import Observer
from gorun_mem.machine.ops import START, HostGrow, Join
from gorun_mem.machine.outcome import DeadlockFound, HeldBy, NeverAwaited, Stuck
from gorun_mem.machine.statistics import MemorySnapshot, WorldStatistics
from gorun_mem.runtime.boot import Runtime, boot, brk_limit
from gorun_mem.runtime.errors import EmulatedFailure, IllegalUse, Throw
from gorun_mem.runtime.mutex import make as make_mutex
from gorun_mem.runtime.mutex.rank import LEAF
from gorun_mem.runtime.pages import pages_of
from gorun_mem.step import streams
from gorun_mem.step.engine import Engine
from gorun_mem.step.strategies import REPLAY, make_strategy
from gorun_mem.step.task import State, Task
from gorun_mem.step.timing import TimingEngine

if TYPE_CHECKING:
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.runtime.mutex import Holder, LockStatistics, Mutex, Waiter

Program = Callable[..., Coroutine[Any, Any, Any]]
"""What an M does: an async function whose first argument is the M."""

Result = bool | int | float | str
"""What a scenario may say that it found."""

MEMLOCK: Final = "memlock"
HEAP_LOCK: Final = "mheap"
"""The name of mheap.lock, and of its rank."""


class World:
    """One emulated runtime with several Ms.

    Args:
        config: its settings; the defaults if None. Many Worlds of one kind share a `Resolved`.
        recorder: who logs what happens; nobody if None.
        name: of what runs in it, for people.
        engine: decides who goes next; one that the settings ask for if None.

    Attributes:
        ms: how many Ms the scenario is asked to start.
        runtime: memory, OS layer, mem.go and the heap.
        memlock: the mutex around the OS layer.
        engine: decides who goes next.
        results: what the scenario found, by name.

    Raises:
        ConfigError: a setting is out of range, or two do not go together.
        UnknownRelease: no such release, or no such platform in it.
        UnknownMutex, UnknownStrategy: no such mutex or strategy.
    """

    __slots__ = (
        "_alive",
        "_guests",
        "_hosted",
        "_ids",
        "_make_m",
        "_memlock",
        "_mutexes",
        "_runtime",
        "canceller",
        "config",
        "engine",
        "failed_m",
        "failure",
        "internal",
        "main",
        "ms",
        "observers",
        "recorder",
        "results",
        "settings",
        "stopped",
        "stuck_at_end",
    )

    def __init__(
        self,
        config: Config | Resolved | None = None,
        *,
        recorder: Recorder | None = None,
        name: str = "world",
        engine: Engine | None = None,
    ) -> None:
        self.settings: Resolved = (
            config if isinstance(config, Resolved) else resolve(config or Config())
        )
        self.config = self.settings.config
        self.ms = self.config.ms
        self.recorder = recorder
        self.engine = engine or _make_engine(self.config)
        self.results: dict[str, Result] = {}
        self._mutexes: dict[str, Mutex] = {}
        self.failure: BaseException | None = None
        self.failed_m = 0
        self.stuck_at_end: tuple[Stuck, ...] = ()
        self.stopped = False
        self.internal = False
        self._hosted = False
        self.canceller: Callable[[M], None] | None = None
        self.observers: list[Observer] = []
        self._make_m: type[M] = AccessM if self.config.granularity == "access" else M
        self._guests = Join()
        self._ids = 0
        self._alive = 0
        self._memlock: Mutex | None = None
        self._runtime: Runtime | None = None
        self.main = self._new_m(0, name)
        if recorder is not None:
            recorder.m = 0
            recorder.now = self._now
            self.engine.follower = recorder

    def __repr__(self) -> str:
        return (
            f"<World {self.settings.release.name} {self.settings.platform.name} "
            f"{self.settings.mutex} {self.engine!r}>"
        )

    # What scenarios use. The runtime is booted when it is first asked for: a search makes thousands
    # of Worlds, and many of what it explores never touch the memory.

    @property
    def memlock(self) -> Mutex:
        """The mutex around the OS layer."""
        lock = self._memlock
        if lock is None:
            lock = self._memlock = self._mutexes[MEMLOCK] = self._make_mutex(MEMLOCK)
        return lock

    @property
    def runtime(self) -> Runtime:
        """Memory, OS layer, mem.go and the heap."""
        return self._booted()

    def _booted(self) -> Runtime:
        runtime = self._runtime
        if runtime is None:
            runtime = self._runtime = self._boot()
            for observer in self.observers:
                observer.booted(runtime)
        return runtime

    @property
    def is_booted(self) -> bool:
        """Whether anything has asked for the runtime."""
        return self._runtime is not None

    @property
    def mutexes(self) -> dict[str, Mutex]:
        """Every lock by name, the runtime's own first."""
        self._booted()  # which makes its locks
        return self._mutexes

    def open_ms(self) -> Nursery:
        """A nursery of Ms, for `async with`; its end waits until all have ended."""
        return Nursery(self)

    def mutex(self, name: str) -> Mutex:
        """The runtime mutex called `name`, made at the first call, of the World's algorithm."""
        if name not in self._mutexes:
            if name in (MEMLOCK, HEAP_LOCK):
                return self.mutexes[name]
            self._mutexes[name] = self._make_mutex(name)
        return self._mutexes[name]

    def result(self, name: str, value: Result) -> None:
        """Say what the scenario found, for the summary and `run --json`.

        Args:
            name: what it is, in words, such as "pages before".
            value: what follows from settings and schedule alone, so that a run repeats it.
        """
        self.results[name] = value

    def aside(self, program: Program, **changes: Any) -> World:
        """Run a program in another World, at once, unlogged and in no time, to compare with.

        Args:
            program: an async function that takes the other World.
            changes: settings in which it differs from this one.

        Returns:
            The other World as the run left it.

        Raises:
            Exception: what ended the program.
        """
        from gorun_mem.machine.trampoline import drive
        from gorun_mem.machine.watchdog import aside

        other = World(self.config.but(**changes), name=getattr(program, "__name__", "aside"))
        with aside(other):
            drive(other, program(other))
        self.engine.breathe_soon()  # it took real time: let Ctrl-C and timeouts through
        if other.failure is not None:
            raise other.failure
        return other

    async def host_grow(self, pages: int) -> int:
        """The host grows wasm memory by `pages` of 64 KiB and owns them; no Go code runs.

        Whoever awaits it stands for the host. To go1.23 Go leaves the host's pages alone; from
        go1.24 it hands them out and takes them for zero, which `check` and the run's end find.

        Args:
            pages: how many, from 0.

        Returns:
            The size before in pages, or -1 where the limit does not allow it.

        Raises:
            IllegalUse: `pages` is negative, or there is no host, as on Plan 9.
        """
        if pages < 0:
            raise IllegalUse(f"the host is to grow memory by {pages} pages: must be at least 0")
        os = self.runtime.os
        # What it is ordered with: calls of the layer, or, where those are taken apart, growths.
        obj = "memory" if self.config.granularity == "access" else MEMLOCK
        before: int = await HostGrow(obj, lambda: os.host_grow(pages))
        return before

    def finding(self) -> Throw | None:
        """What was wrong with an answer of Go's that a program cannot live with, if anything.

        There it handed out the host's memory, or memory that is not zero, or less than was asked.
        """
        ledger = self._runtime.os.ledger if self._runtime is not None else None
        if ledger is None or not ledger.findings:
            return None
        first = ledger.findings[0]
        texts = [found.text for found in ledger.findings]
        return Throw(first.what, *texts, addr=first.addr, size=first.size)

    def check(self) -> None:
        """Check the free list as memCheck does, and who has which memory.

        Raises:
            Throw: what memCheck would throw, "gorun_mem: free block is handed out",
                "gorun_mem: program data is handed out", or the first `finding`.
        """
        os = self.runtime.os
        found = self.finding()
        if found is not None:
            raise found
        if os.freelist is not None:
            os.freelist.check()
        if os.ledger is None:
            return
        for low, high, tenure in os.ledger.overlapping(0, self.runtime.data_end):
            if tenure.live:
                raise Throw(
                    "gorun_mem: program data is handed out",
                    f"[{low:#x}, {high:#x}) is {tenure}, and the program's data ends at "
                    f"{self.runtime.data_end:#x}",
                    addr=low,
                    size=high - low,
                )
        self._check_free_is_unowned()

    def _check_free_is_unowned(self) -> None:
        os = self.runtime.os
        if os.freelist is None or os.ledger is None:
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
        return MemorySnapshot(
            pages=pages_of(os.top),
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
            locks=self.lock_statistics(),
            steps=self.engine.steps,
            time_ns=self.engine.now_ns,
            ms=self._ids,
            memory=self.snapshot(),
        )

    def lock_statistics(self) -> dict[str, LockStatistics]:
        """What was counted of each lock, by name; what has not ended, up to now."""
        now = self.engine.now_ns
        return {name: mutex.statistics(now) for name, mutex in self.mutexes.items()}

    # What hosts use.

    @property
    def hosted(self) -> bool:
        """Whether somebody drives the Ms."""
        return self._hosted and not self.stopped

    def start(self) -> M:
        """A host begins to drive: M 0, whose coroutine runs first.

        Raises:
            IllegalUse: the World has been stopped.
            NeverAwaited: by that, before a host began to drive.
        """
        if isinstance(self.failure, NeverAwaited):
            raise self.failure
        if self.stopped:
            raise IllegalUse(f"{self!r} has stopped with Ms that had not ended; make another World")
        if self.main.state is State.DONE:
            before, self.main = self.main, self._new_m(0, self.main.name)
            streams.succeed(before, self.main)
        self._hosted = True
        self.engine.start(self.main)
        return self.main

    def spawn(self, program: Program, args: tuple[Any, ...], name: str, join: Join) -> M:
        """Start an M whose end `join` waits for.

        Args:
            program: an async function that takes the M and `args`.
            args: what it takes.
            name: for people; the function's name if "".
            join: told when it has ended.

        Raises:
            ConfigError: there are as many Ms as there may be.
        """
        if self._alive >= MS_MAX:
            raise ConfigError(f"more than {MS_MAX} Ms were started; let some end or start fewer")
        self._ids += 1
        self._alive += 1
        m = self._new_m(self._ids, name or getattr(program, "__name__", "m"))
        m.program = program
        m.args = args
        m.join = join
        parent = self._parent()
        m.starter = parent.id
        streams.start(parent, m)
        self.engine.add(m)
        self.engine.submit(m, START)
        return m

    def begin(self, m: M) -> Coroutine[Any, Any, Any]:
        """The coroutine of an M whose first operation is through."""
        if self.recorder is not None:
            self.recorder.m_start(m.id, m.starter, m.name)
        coro = m.program(m, *m.args)
        for observer in self.observers:
            observer.began(m, coro)
        return coro

    def admit(self, program: Program, *args: Any, name: str = "") -> M:
        """Start an M from outside, for a host whose Ms come and go.

        What the World knows of it is forgotten when it ends.

        Raises:
            ConfigError: there are as many Ms as there may be.
        """
        self.engine.switch_to(self.main)
        m = self.spawn(program, args, name, self._guests)
        self._guests.left += 1
        return m

    def ended(self, m: M, reason: str = "") -> None:
        """The coroutine of `m` has come to its end; `reason` is for the log."""
        self.engine.exit(m)
        if m.id == 0:
            self._hosted = False
            found = self.finding()
            if found is not None:
                self.failed(m, found)
            return
        if self.recorder is not None:
            self.recorder.m_exit(m.id, reason)
        self._alive -= 1
        m.join.ended()
        if m.join is self._guests:
            self.engine.forget(m)
            if self.recorder is not None:
                self.recorder.forget(m.id)

    def failed(self, m: Task, error: BaseException) -> None:
        """The program or a step of `m` raised `error`: the run ends; the first failure counts."""
        if isinstance(error, DeadlockFound):
            self.deadlocked()
        elif not self.stopped:
            self.failure = error
            self.failed_m = m.id
            self.stop()

    def deadlocked(self) -> None:
        """No M can go on and none is away: the run ends."""
        if self.stopped:
            return
        self.stop(everybody=True)
        who = tuple(str(stuck) for stuck in self.stuck_at_end)
        self.failure = DeadlockFound(f"no M can go on: {'; '.join(who)}")
        if self.recorder is not None:
            self.recorder.m = 0
            locks = ", ".join(name for name, lock in self._mutexes.items() if lock.waiters)
            self.recorder.deadlock_found("deadlock", locks, who)

    def step_failed(self, error: Exception) -> None:
        """A step of the current M raised `error`; one that no emulated program raises is ours."""
        current: Any = self.engine.current
        if not isinstance(error, EmulatedFailure | LogError):
            self.internal = True
        self.failed(current if current is not None else self.main, error)

    def stop(self, *, everybody: bool = False) -> None:
        """No M makes another step, and nothing more is logged of what they do while they unwind.

        Args:
            everybody: note for the report who sleeps, and not only who holds or waits for a lock.
        """
        if self.stopped:
            return
        for observer in self.observers:
            observer.stopping()
        self.stopped = True
        self.stuck_at_end = self._find_stuck(everybody)
        self.engine.follower = None
        for mutex in self._mutexes.values():
            mutex.sink = None
        if self._runtime is not None:
            self._runtime.os.sink = None

    def dissolve(self) -> None:
        """Part from the Ms, so that all is freed at once, without the garbage collector.

        For those who make thousands of Worlds; nothing may be asked of this one afterwards.
        """
        for m in self.engine.tasks:
            del m.world  # type: ignore[attr-defined]
        self.engine.clear()

    def _find_stuck(self, everybody: bool) -> tuple[Stuck, ...]:
        """Every M that has not ended and holds a lock, or waits for one, or sleeps."""
        waits: dict[int, tuple[Mutex, Waiter]] = {}
        holds: dict[int, list[str]] = {}
        for mutex in self._mutexes.values():
            waits |= {waiter.m: (mutex, waiter) for waiter in mutex.waiters}
            for holder in _holders(mutex):
                holds.setdefault(holder.m, []).append(mutex.name)
        return tuple(
            self._stuck(task, waits.get(task.id), tuple(holds.get(task.id, ())))
            for task in self.engine.tasks
            if task.state is not State.DONE
            and not isinstance(task.op, Join)
            and (task.id in waits or task.id in holds or (everybody and task.state is State.PARKED))
        )

    def _stuck(
        self, task: Task, wait: tuple[Mutex, Waiter] | None, holds: tuple[str, ...]
    ) -> Stuck:
        if wait is None:
            op = task.op
            waits_for = f"{op.kind} {op.obj}" if op is not None else "run"
            return Stuck(task.id, task.name, waits_for, task.since_ns, None, holds)
        mutex, waiter = wait
        holder = mutex.holder
        held_by = HeldBy(holder.m, holder.site, holder.since_ns) if holder is not None else None
        return Stuck(task.id, task.name, f"acquire {mutex.name}", waiter.since_ns, held_by, holds)

    # Inside.

    def _now(self) -> int:
        return self.engine.now_ns

    def _parent(self) -> Task:
        """Who starts an M now: where nobody drives, the scenario."""
        current = self.engine.current
        return current if current is not None and self._hosted else self.main

    def _current_m(self) -> int:
        current = self.engine.current
        return current.id if current is not None else 0

    def _make_mutex(self, name: str, rank: str = LEAF) -> Mutex:
        return make_mutex(
            self.settings.mutex,
            self.settings.release,
            lock_name=name,
            rank=rank,
            sink=self.recorder,
            spurious="spurious" in self.config.faults,
        )

    def _boot(self) -> Runtime:
        config = self.config
        memlock = self.memlock
        heap_lock = self._mutexes[HEAP_LOCK] = self._make_mutex(HEAP_LOCK, HEAP_LOCK)
        runtime = boot(
            self.settings.release,
            self.settings.platform,
            memlock=memlock,
            end=config.data_end,
            initial_pages=config.initial_pages,
            max_pages=config.max_pages,
            brk_max=brk_limit(config.max_pages),
            mem_debug=config.mem_debug,
            faithful=config.faithful,
            sink=self.recorder,
            wrong_order=config.wrong_order,
        )
        runtime.os.whoami = self._current_m
        runtime.os.charge = self.engine.charge
        runtime.heap_lock = heap_lock
        if "grow" in config.faults:
            runtime.memory.refuse = self._refuses_growth
        if config.granularity == "access":
            from gorun_mem.runtime.access import interleave

            interleave(runtime)
        return runtime

    def _refuses_growth(self) -> bool:
        """A growth that the schedule lets fail."""
        return self.engine.choice(self.engine.current or self.main, 2, "fault.grow") == 1

    def _new_m(self, number: int, name: str) -> M:
        m = self._make_m(self.engine, number, name)
        m.world = self
        return m


def _holders(mutex: Mutex) -> tuple[Holder, ...]:
    """Who holds `mutex`: several where it does not exclude."""
    several: tuple[Holder, ...] | None = getattr(mutex, "holders", None)
    if several is not None:
        return several
    return (mutex.holder,) if mutex.holder is not None else ()


def _make_engine(config: Config) -> Engine:
    strategy = make_strategy(config.strategy, config.seed, config.schedule)
    drawn = streams.Streams(config.seed) if config.strategy != REPLAY else None
    if config.strategy == "timing":
        return TimingEngine(
            strategy,
            config.seed,
            costs=config.costs,
            cpus=config.cpus,
            steps_max=config.steps_max,
            streams=drawn,
        )
    return Engine(
        strategy, costs=config.costs, cpus=config.cpus, steps_max=config.steps_max, streams=drawn
    )
