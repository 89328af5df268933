"""Ms that a test steps by hand, and a sink that keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable

from gorun_mem.runtime.mutex.machine import MutexOp
from gorun_mem.runtime.op import PARKED, MLike, Op, Scheduler


class Hand(Scheduler):
    """A scheduler that does nothing by itself; the test sets `clock_ns` and `draws`."""

    def __init__(self, cpus: int = 4) -> None:
        super().__init__(cpus)
        self.draws: list[int] = []
        """Answers to `choice`, first first; 0 when there is none."""
        self.labels: list[str] = []
        self.charged: list[tuple[str, int]] = []
        self.timers: dict[int, int] = {}

    def unpark(self, m: MLike) -> None:
        m.parked = False  # type: ignore[attr-defined]
        self.timers.pop(m.id, None)

    def disable(self, m: MLike) -> None:
        m.parked = True  # type: ignore[attr-defined]

    def charge(self, kind: str, units: int) -> None:
        self.charged.append((kind, units))

    def choice(self, m: MLike, n: int, label: str) -> int:
        self.labels.append(label)
        return self.draws.pop(0) if self.draws else 0

    def sleep_until(self, m: MLike, t_ns: int) -> None:
        self.timers[m.id] = t_ns


class HandM(MLike):
    """An M with one operation at a time."""

    def __init__(self, id: int, sched: Hand) -> None:
        super().__init__(id, sched)
        self.parked = False
        self.op: Op | None = None
        self.result: object = None
        self.kinds: list[tuple[str, str]] = []

    def begin(self, op: Op) -> HandM:
        """Make `op` the pending operation."""
        self.op = op
        self.parked = not op.begin(self)
        return self

    def step(self, times: int = 1) -> HandM:
        """Make so many accesses."""
        for _ in range(times):
            assert self.op is not None
            assert not self.parked
            self.kinds.append((self.op.kind, self.op.obj))
            result = self.op.step(self)
            if result is PARKED:
                self.parked = True
            elif not isinstance(result, type(PARKED)):
                self.result, self.op = result, None
        return self

    def run(self, op: Op | None = None) -> HandM:
        """Make accesses until the operation is through, or the M sleeps."""
        if op is not None:
            self.begin(op)
        while self.op is not None and not self.parked:
            self.step()
        return self

    def run_to(self, pc: str) -> HandM:
        """Make accesses until the machine is in state `pc`."""
        while isinstance(self.op, MutexOp) and self.op.pc != pc:
            self.step()
        assert self.op is not None, pc
        return self


class Notes:
    """A sink that keeps the lock events as (event, fields)."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *fields: self.events.append((name, *fields))
