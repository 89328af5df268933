"""Time, and what may come from outside: deadlines that pass, scopes that are cancelled.

Time stands still while anybody can go on, and jumps to the next deadline where nobody can, as under
trio's `autojump_clock`. Deadlines that are due then pass one by one, in any order where they are
the same: in the real world the two tasks did not read the clock at the same moment. Each is a step,
of an M called clock, and others may go before it.

With the fault "timeout" a deadline may pass at any moment: whatever else there was to do took that
long. With "cancel" one scope that the program has opened may be cancelled at any moment, as by
whoever called it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio
from trio._core import _run

from gorun_mem.runtime.op import MLike, Op
from gorun_mem.step.task import State

if TYPE_CHECKING:
    from trio.testing import MockClock

    from gorun_mem.explore.controlled.seam import ControlledRunner, TrioTask
    from gorun_mem.machine.m import M

NS: Final = 1e9
_reason: Final[Any] = getattr(_run, "CancelReason", None)
"""From trio 0.31 on; why a scope was cancelled."""


class Host(Protocol):
    """Whose time it is.

    Attributes:
        clock: what the program takes for the time.
        runner: trio's.
        outermost: the scopes that lie around the whole program.
    """

    clock: MockClock
    runner: ControlledRunner
    outermost: set[trio.CancelScope]

    @property
    def engine(self) -> Any:
        """The World's."""

    @property
    def tasks(self) -> list[tuple[M, TrioTask]]:
        """Every M with its task, in the order of their numbers."""

    def new_m(self, name: str, op: Op) -> M:
        """An M that stands for something outside of the program."""

    def cancel_m(self, m: M) -> None:
        """Cancel `m`, where it may be."""


class Timers(Op):
    """A deadline passes.

    Args:
        host: whose clock.
        early: a deadline may pass at any moment.

    Attributes:
        is_on: one was due when it was last looked for.
    """

    __slots__ = ("_early", "_host", "_m", "_synced_ns", "is_on")
    kind = "clock"
    stands_by = True

    def __init__(self, host: Host, early: bool) -> None:
        self.awaited = True
        self._host = host
        self._early = early
        self._m: M | None = None
        self._synced_ns = 0.0
        self.is_on = False

    @property
    def obj(self) -> str:  # type: ignore[override]
        """When the next is."""
        return f"{self._host.runner.dues.next_deadline():g} s"

    def begin(self, m: MLike) -> bool:
        """Whether a deadline may pass now."""
        deadlines = self._host.runner.dues
        if not deadlines.scopes:
            return False
        return self._early or deadlines.next_deadline() <= self._host.clock.current_time()

    def step(self, m: MLike) -> object:
        """Let the first deadline pass; which one where there are several."""
        host = self._host
        deadlines = host.runner.dues
        at = deadlines.next_deadline()
        if at > host.clock.current_time():
            self._go_to(at)
        scopes = deadlines.first()
        number = host.engine.choice(m, len(scopes), "clock.first")
        expire(scopes[number])
        return None

    def see(self) -> None:
        """Let the clock go on, or not, as deadlines have come or gone."""
        engine = self._host.engine
        if engine.clock_ns > self._synced_ns:  # what Ms do takes time
            self._host.clock.jump((engine.clock_ns - self._synced_ns) / NS)
            self._synced_ns = engine.clock_ns
        m = self._m
        is_on = self.is_on = self.begin(engine)
        if m is None:
            if is_on:
                self._m = self._host.new_m("clock", self)
        elif m.state is State.PARKED:
            if is_on:
                engine.unpark(m)
        elif m.state is State.RUNNABLE and m is not engine.running and not is_on:
            engine.disable(m)

    def jump(self) -> None:
        """Nobody can go on: let time pass until the next deadline."""
        at = self._host.runner.dues.next_deadline()
        if at < inf and self._host.clock.autojump_threshold < inf:
            now = self._host.clock.current_time()
            if at > now:
                self._go_to(at)
            self.see()

    @property
    def next_ns(self) -> float:
        """When the next deadline is, on the World's clock."""
        at = self._host.runner.dues.next_deadline()
        if at == inf:
            return inf
        return self._synced_ns + (at - self._host.clock.current_time()) * NS

    def _go_to(self, at: float) -> None:
        clock = self._host.clock
        now = clock.current_time()
        clock.jump(at - now)
        if clock.current_time() < at:  # a sum of floats
            clock._virtual_base = at
        engine = self._host.engine
        engine.clock_ns = self._synced_ns = max(engine.clock_ns, self._synced_ns + (at - now) * NS)


class Canceller(Op):
    """A scope of the program's is cancelled from outside, once in a run.

    Args:
        host: whose tasks.
    """

    __slots__ = ("_done", "_host", "_m")
    kind = "cancel"
    stands_by = True

    def __init__(self, host: Host) -> None:
        self.awaited = True
        self._host = host
        self._m: M | None = None
        self._done = False

    @property
    def obj(self) -> str:  # type: ignore[override]
        """Whose."""
        victims = self._victims()
        return victims[0][0] if len(victims) == 1 else "one of several"

    def begin(self, m: MLike) -> bool:
        """Whether there is something to cancel."""
        return not self._done and bool(self._victims())

    def step(self, m: MLike) -> object:
        """Cancel one."""
        victims = self._victims()
        number = self._host.engine.choice(m, len(victims), "cancel.which")
        self._done = True
        victims[number][1]()
        return None

    def see(self) -> None:
        """Let it go on, or not, as scopes have come or gone."""
        engine = self._host.engine
        m = self._m
        if m is None:
            if self._victims():
                self._m = self._host.new_m("canceller", self)
        elif m.state is State.PARKED:
            if self.begin(m):
                engine.unpark(m)
        elif m.state is State.RUNNABLE and m is not engine.running and not self.begin(m):
            engine.disable(m)

    def _victims(self) -> list[tuple[str, Callable[[], None]]]:
        """What can be cancelled, and how it is called.

        Scopes that the program has opened, but for those of nurseries and those that trio opens for
        itself to sleep; and Ms that a nursery of Ms has started.
        """
        host = self._host
        found: dict[object, tuple[str, Callable[[], None]]] = {}
        tasks = host.tasks
        nurseries = {n.cancel_scope for _, task in tasks for n in task.child_nurseries}
        nurseries |= host.outermost
        for m, task in tasks:
            mine = {n.cancel_scope for n in task.child_nurseries}
            status: Any = task._cancel_status
            if isinstance(m.op, Op) and m.op.kind == "trio.sleep":
                status = status._parent
            while status is not None and status._parent is not None:
                scope = status._scope
                if scope in nurseries and scope not in mine:
                    break  # what is around it belongs to who has opened it
                if scope not in nurseries and not scope.cancel_called:
                    found.setdefault(scope, (f"a scope of {m.name}", scope.cancel))
                status = status._parent
            if hasattr(m, "program"):
                found[m] = m.name, partial(host.cancel_m, m)
        return list(found.values())


def expire(scope: trio.CancelScope) -> None:
    """A scope's deadline has passed; as trio's own loop says so."""
    if _reason is None:
        scope.cancel()
    else:
        scope._cancel(_reason(source="deadline"))
