"""World: one emulated runtime, its Ms and the engine that decides who goes next.

A World is what a scenario is given. Who drives its Ms sees its `driver` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gorun_mem.machine.config import Config, Resolved, resolve
from gorun_mem.machine.driver import Program
from gorun_mem.machine.lifecycle import Lifecycle
from gorun_mem.machine.m import AccessM, M
from gorun_mem.machine.nursery import Nursery
from gorun_mem.machine.ops import HostGrow
from gorun_mem.machine.statistics import MemorySnapshot, WorldStatistics
from gorun_mem.policies import policy_parts, policy_release
from gorun_mem.runtime.boot import PLAIN, BootOptions, Parts, Runtime, boot, brk_limit
from gorun_mem.runtime.errors import EmulatedFailure, IllegalUse, Throw
from gorun_mem.runtime.mutex import make as make_mutex
from gorun_mem.runtime.mutex.rank import LEAF
from gorun_mem.runtime.pages import pages_of
from gorun_mem.step import streams
from gorun_mem.step.engine import Engine
from gorun_mem.step.pinned import PinnedEngine
from gorun_mem.step.strategies import REPLAY, make_strategy
from gorun_mem.step.timing import TimingEngine

if TYPE_CHECKING:
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.runtime.mutex import LockStatistics, StateMutex

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
        settings: fields of `Config` in which it differs from `config`, such as mutex=MyLock.

    Attributes:
        ms: how many Ms the scenario is asked to start.
        runtime: memory, OS layer, mem.go and the heap.
        memlock: the mutex around the OS layer.
        engine: decides who goes next.
        results: what the scenario found, by name.
        driver: what hosts, the service and a search use in place of the World.

    Raises:
        ConfigError: a setting is out of range, or two do not go together.
        UnknownRelease: no such release, or no such platform in it.
        UnknownMutex, UnknownStrategy: no such mutex or strategy.
    """

    __slots__ = ("_memlock", "config", "driver", "engine", "ms", "recorder", "results", "settings")

    def __init__(
        self,
        config: Config | Resolved | None = None,
        *,
        recorder: Recorder | None = None,
        name: str = "world",
        engine: Engine | None = None,
        **settings: Any,
    ) -> None:
        if settings or not isinstance(config, Resolved):
            asked = config.config if isinstance(config, Resolved) else config or Config()
            config = resolve(asked.but(**settings) if settings else asked)
        self.settings: Resolved = config
        self.config = asked = config.config
        self.ms = asked.ms
        self.recorder = recorder
        self.engine = engine = engine or _make_engine(asked)
        engine.spurious = "spurious" in asked.faults
        self.results: dict[str, Result] = {}
        self._memlock: StateMutex | None = None
        make_m: type[M] = AccessM if asked.granularity == "access" else M
        self.driver = Lifecycle(self, engine, recorder, make_m, name)

    def __repr__(self) -> str:
        return (
            f"<World {self.settings.release.name} {self.settings.platform.name} "
            f"{self.settings.mutex} {self.engine!r}>"
        )

    @property
    def main(self) -> M:
        """M 0, the scenario itself."""
        return self.driver.main

    @property
    def failure(self) -> BaseException | None:
        """What ended the run badly; None so far."""
        return self.driver.failure

    # The runtime is booted when it is first asked for: a search makes thousands of Worlds, and many
    # of what it explores never touch the memory.

    @property
    def memlock(self) -> StateMutex:
        """The mutex around the OS layer."""
        lock = self._memlock
        if lock is None:
            lock = self._memlock = self.driver.mutexes[MEMLOCK] = self._make_mutex(MEMLOCK)
        return lock

    @property
    def runtime(self) -> Runtime:
        """Memory, OS layer, mem.go and the heap."""
        return self.driver.runtime or self._booted()

    def _booted(self) -> Runtime:
        runtime = self.driver.runtime
        if runtime is None:
            runtime = self.driver.runtime = self._boot()
            for observer in self.driver.observers:
                observer.booted(runtime)
        return runtime

    @property
    def is_booted(self) -> bool:
        """Whether anything has asked for the runtime."""
        return self.driver.runtime is not None

    @property
    def mutexes(self) -> dict[str, StateMutex]:
        """Every lock by name, the runtime's own first."""
        self._booted()  # which makes its locks
        return self.driver.mutexes

    def open_ms(self) -> Nursery:
        """A nursery of Ms, for `async with`; its end waits until all have ended."""
        return Nursery(self.driver)

    def mutex(self, name: str) -> StateMutex:
        """The runtime mutex called `name`, made at the first call, of the World's algorithm."""
        if name not in self.driver.mutexes:
            if name in (MEMLOCK, HEAP_LOCK):
                return self.mutexes[name]
            self.driver.mutexes[name] = self._make_mutex(name)
        return self.driver.mutexes[name]

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
        with aside(other.engine):
            drive(other.driver, program(other))
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
        return self.driver.finding()

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
        for low, high, owner in os.ledger.overlapping(0, self.runtime.data_end):
            if owner.live:
                raise Throw(
                    "gorun_mem: program data is handed out",
                    f"[{low:#x}, {high:#x}) is {owner}, and the program's data ends at "
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
            for low, high, owner in os.ledger.overlapping(addr, addr + size):
                if owner.live:
                    raise Throw(
                        "gorun_mem: free block is handed out",
                        f"block [{addr:#x}, {addr + size:#x}) is free and "
                        f"[{low:#x}, {high:#x}) is {owner}",
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
            live=tuple((low, high - low, str(owner)) for low, high, owner in live),
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
            ms=self.driver.started,
            memory=self.snapshot(),
        )

    def lock_statistics(self) -> dict[str, LockStatistics]:
        """What was counted of each lock, by name; what has not ended, up to now."""
        now = self.engine.now_ns
        return {name: mutex.statistics(now) for name, mutex in self.mutexes.items()}

    # Inside.

    def _make_mutex(self, name: str, rank: str = LEAF) -> StateMutex:
        return make_mutex(
            self.settings.lock,
            self.settings.release,
            lock_name=name,
            rank=rank,
            sink=self.recorder,
            spurious="spurious" in self.config.faults,
        )

    def _boot(self) -> Runtime:
        config = self.config
        memlock = self.memlock
        heap_lock = self.driver.mutexes[HEAP_LOCK] = self._make_mutex(HEAP_LOCK, HEAP_LOCK)
        release, parts = self.settings.release, _parts(config.granularity)
        if self.settings.policy is not None:
            policy = self.settings.policy()
            release, parts = policy_release(policy, release), policy_parts(policy)
        runtime = boot(
            release,
            self.settings.platform,
            BootOptions(
                end=config.data_end,
                initial_pages=config.initial_pages,
                max_pages=config.max_pages,
                brk_max=brk_limit(config.max_pages),
                mem_debug=config.mem_debug,
                faithful=config.faithful,
                wrong_order=config.wrong_order,
            ),
            memlock=memlock,
            sink=self.recorder,
            parts=parts,
        )
        runtime.os.whoami = self.driver.current_m
        runtime.os.charge = self.engine.charge
        runtime.heap_lock = heap_lock
        if "grow" in config.faults:
            runtime.memory.refuse = self._refuses_growth
        return runtime

    def _refuses_growth(self) -> bool:
        """A growth that the schedule lets fail."""
        return self.engine.choice(self.engine.current or self.driver.main, 2, "fault.grow") == 1


def _parts(granularity: str) -> Parts:
    """What the runtime is made of."""
    if granularity == "sync":
        return PLAIN
    from gorun_mem.runtime import access  # it needs greenlet

    return access.PARTS


def _make_engine(config: Config) -> Engine:
    strategy = make_strategy(config.strategy, config.seed, config.schedule)
    drawn = streams.Streams(config.seed) if config.strategy != REPLAY else None
    if config.strategy == "timing":
        kind = PinnedEngine if config.costs.pinned else TimingEngine
        return kind(
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
