"""Memory safety: memory handed out twice, used or freed after its free, freed in part by two.

Illegal frees and accesses are refused by the layer where it is not faithful, and end the run; here
they get their name. That a range is handed out while somebody has it, no layer refuses: the ledger
is asked before it takes note.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gorun_mem.explore.failure import Finding, without_numbers
from gorun_mem.machine.observer import Observer
from gorun_mem.runtime.errors import IllegalUse, Throw
from gorun_mem.runtime.ledger import Ledger, Ranges
from gorun_mem.runtime.op import Op
from gorun_mem.step.task import Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.boot import Runtime


HANDED_OUT_TWICE: Final = "gorun_mem: memory is handed out twice"
"""What `runtime.access` throws; not imported, for it needs greenlet."""

_RANGE: Final = re.compile(r"\[0x[0-9a-f]+, 0x[0-9a-f]+\)")
"""In a refused free: what was to be freed, and the part that was freed before."""


class _WatchedLedger(Ledger):
    """A ledger that tells of a range that is handed out while it is owned."""

    __slots__ = ("tell",)
    tell: Callable[[str, int], None]

    def handed_out(self, addr: int, n: int, function: str, m: int) -> Ranges:
        """Look who has the range before taking note."""
        for low, high, owner in self.overlapping(addr, addr + n):
            if owner.live:
                self.tell(
                    f"{function} handed [{addr:#x}, {addr + n:#x}) to M{m} while "
                    f"[{max(low, addr):#x}, {min(high, addr + n):#x}) was {owner}",
                    m,
                )
                break
        return super().handed_out(addr, n, function, m)


class MemorySafety(Observer):
    """Finds and names misuse of memory; kinds "memory.double_alloc" and so on."""

    name = "memory_safety"
    usual: ClassVar[int] = 10
    looks = False
    midway = True

    def begin(self, world: World) -> None:
        """Forget the run before, and watch the ledger when there is one."""
        self._findings: list[Finding] = []
        self._engine: Any = world.engine
        world.driver.observers.append(self)

    def booted(self, runtime: Runtime) -> None:
        """Let its ledger tell."""
        ledger = runtime.os.ledger
        if type(ledger) is Ledger:  # where calls are taken apart there is one that throws
            runtime.os.ledger = self._watch(ledger)

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Nothing: the ledger tells."""

    def end(self, world: World) -> Sequence[Finding]:
        """What was handed out twice, and what ended the run."""
        error = world.failure
        if isinstance(error, Throw) and error.message == HANDED_OUT_TWICE:
            self._tell(error.printed[0], world.driver.failed_m)
        if isinstance(error, IllegalUse):
            kind = _kind_of(str(error))
            if kind:
                obj = without_numbers(str(error)).split(":")[0]
                ms = (world.driver.failed_m,)
                step = world.engine.steps
                self._findings.append(Finding(kind, obj, "", str(error), ms, step))
        return tuple(self._findings)

    def _watch(self, ledger: Ledger) -> _WatchedLedger:
        watched = _WatchedLedger()
        for name in Ledger.__slots__:
            setattr(watched, name, getattr(ledger, name))
        watched.tell = self._tell
        return watched

    def _tell(self, text: str, m: int) -> None:
        if not self._findings:
            function = text.split(" ", 1)[0] if " handed [" in text else ""
            self._findings.append(
                Finding("memory.double_alloc", "memory", function, text, (m,), self._engine.steps)
            )


def _kind_of(message: str) -> str:
    """What an IllegalUse of the layer is about; "" where it is not about memory."""
    if "use after free" in message:
        return "memory.use_after_free"
    if "stray access" in message:
        return "memory.stray"
    if not message.startswith("free of ["):
        return ""
    if "freed by" not in message:
        return "memory.stray"
    ranges = _RANGE.findall(message)
    return "memory.double_free" if len(set(ranges)) == 1 else "memory.overlap"
