"""World: one emulated runtime, its Ms and the engine that decides who goes next.

A World is what a scenario is given. Who drives its Ms sees its `driver` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gorun_mem.machine.driver import Program
from gorun_mem.machine.nursery import Nursery
from gorun_mem.machine.ops import HostGrow
from gorun_mem.machine.statistics import MemorySnapshot, WorldStatistics
from gorun_mem.machine.world_base import MEMLOCK, Result, WorldBase
from gorun_mem.runtime.errors import EmulatedFailure, IllegalUse, Throw
from gorun_mem.runtime.pages import pages_of

if TYPE_CHECKING:
    from gorun_mem.runtime.mutex import LockStatistics


class World(WorldBase):
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

    __slots__ = ()

    def __repr__(self) -> str:
        return (
            f"<World {self.settings.release.name} {self.settings.platform.name} "
            f"{self.settings.mutex} {self.engine!r}>"
        )

    def open_ms(self) -> Nursery:
        """A nursery of Ms, for `async with`; its end waits until all have ended."""
        return Nursery(self.driver)

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
