"""What drives the Ms of a World: the seam between a World and the hosts, the service, a search.

A host resumes the Ms' coroutines, asks the engine who is next, and says here what comes of it. It
sees no World, and a World no host:

    World ------ has a ------> Driver (`lifecycle.Lifecycle`) <------ trampoline, trio_host,
      |                           |                                   service.host, explore.drive
    scenario                   engine, Ms, failure
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gorun_mem.machine.m import M
from gorun_mem.machine.observer import Observer
from gorun_mem.machine.ops import Join
from gorun_mem.machine.outcome import Stuck
from gorun_mem.step.engine import Engine
from gorun_mem.step.task import Task

Program = Callable[..., Coroutine[Any, Any, Any]]
"""What an M does: an async function whose first argument is the M."""


class Driver(Protocol):
    """The Ms of one World, from their start to their end.

    Attributes:
        engine: decides who goes next.
        main: M 0, the scenario itself.
        observers: who is told what becomes of the World.
        canceller: cancels an M, on a host that can.
        failure: what ended the run badly; None so far.
        failed_m: id of the M whose doing it was.
        internal: it was none of the program's doing but this package's.
        stuck_at_end: who could not go on when the run was stopped.
    """

    engine: Engine
    main: M
    observers: list[Observer]
    canceller: Callable[[M], None] | None
    failure: BaseException | None
    failed_m: int
    internal: bool
    stuck_at_end: tuple[Stuck, ...]

    @property
    def hosted(self) -> bool:
        """Whether somebody drives the Ms."""

    @property
    def stopped(self) -> bool:
        """Whether no M makes another step."""

    def start(self) -> M:
        """A host begins to drive: M 0, whose coroutine runs first.

        Raises:
            IllegalUse: the World has been stopped.
            NeverAwaited: by that, before a host began to drive.
        """

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

    def admit(self, program: Program, *args: Any, name: str = "") -> M:
        """Start an M from outside, for a host whose Ms come and go.

        What the World knows of it is forgotten when it ends.

        Raises:
            ConfigError: there are as many Ms as there may be.
        """

    def adopt(self, name: str) -> M:
        """An M for what a host has started by itself; its operations come from there.

        Args:
            name: for people.

        Raises:
            ConfigError: there are as many Ms as there may be.
        """

    def begin(self, m: M) -> Coroutine[Any, Any, Any]:
        """The coroutine of an M whose first operation is through."""

    def ended(self, m: M, reason: str = "") -> None:
        """The coroutine of `m` has come to its end; `reason` is for the log."""

    def failed(self, m: Task, error: BaseException) -> None:
        """The program or a step of `m` raised `error`: the run ends; the first failure counts."""

    def step_failed(self, error: Exception, coro: object = None) -> None:
        """A step of the current M raised `error`; one that no emulated program raises is ours.

        Args:
            error: what was raised.
            coro: the M's coroutine, which awaits the step; None where it has none.
        """

    def deadlocked(self) -> None:
        """No M can go on and none is away: the run ends."""

    def stop(self, *, everybody: bool = False) -> None:
        """No M makes another step, and nothing more is logged of what they do while they unwind.

        Args:
            everybody: note for the report who sleeps, and not only who holds or waits for a lock.
        """
