"""Leaks: memory that nobody gives back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gorun_mem.explore.failure import Finding
from gorun_mem.runtime.op import Op
from gorun_mem.step.task import Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World


class LeakedMemory:
    """Finds memory that is handed out when the program has ended; kind "memory.leaked".

    Not among the usual detectors: Go gives most of what it takes from the system never back.
    """

    name = "leaked_memory"
    looks = False

    def begin(self, world: World) -> None:
        """Nothing to forget."""

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Nothing: the ledger keeps book."""

    def end(self, world: World) -> Sequence[Finding]:
        """One finding for each M that leaves memory behind."""
        if world.failure is not None or not world.is_booted:
            return ()
        ledger = world.runtime.os.ledger
        if ledger is None:
            return ()
        left: dict[tuple[int, str], int] = {}
        for low, high, owned in ledger.live_ranges():
            owner = (owned.m, owned.function)
            left[owner] = left.get(owner, 0) + high - low
        return tuple(
            Finding(
                "memory.leaked",
                function,
                "",
                f"{size:,} bytes that M{m} took by {function} were not given back",
                (m,),
                by=self.name,
            )
            for (m, function), size in sorted(left.items())
        )
