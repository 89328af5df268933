"""Scenarios that run in a service's World, beside its clients' Ms.

A guest's Ms are Ms of the World as any: they contend for its locks and its memory with the clients'
Ms, in the same virtual time, and stand in the same log. Three things are the guest's own: how many
Ms it is asked for, what it says it found, and a log of what happened from its first event to its
last, whoever did it, with numbers and times from there on (`GuestLog`).

What goes wrong with a program concerns its guest alone: it fails, and its Ms are cancelled where
they neither hold nor wait for a runtime lock. What goes wrong with the emulated runtime (a throw, a
fault, a runtime lock that is never given back) is everybody's end, as in one program.

A guest has no P of its own: Ps bound how many clients are in calls.

A guest that never ends would slow everybody for ever, so it is ended (`Limits`): by the steps of
its Ms, by virtual time and by real time, for an M that waits for a lock that is held by hand makes
no step and lets no time go on. Real time in which people hold the World back does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from gorun_mem.events.errors import LogError
from gorun_mem.machine.nursery import Nursery
from gorun_mem.machine.world import World
from gorun_mem.report.units import ns
from gorun_mem.runtime.errors import EmulatedFailure, IllegalUse
from gorun_mem.service.guestlog import GuestLog
from gorun_mem.service.host import Cancelled
from gorun_mem.step.task import State

if TYPE_CHECKING:
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.machine.driver import Program
    from gorun_mem.machine.m import M
    from gorun_mem.machine.scenario import Scenario
    from gorun_mem.runtime.mutex import StateMutex
    from gorun_mem.service.host import ServiceHost
    from gorun_mem.service.settings import Limits, Settings

GUESTS_MAX: Final = 4
"""Guests at once."""
GUEST_MS_MAX: Final = 64


class Hosting(Protocol):
    """What guests need of the service that they are in.

    Attributes:
        draining: why no guest is begun any more, "" while the service runs.
        settings: with the bounds of a guest.
        say: prints a line on the terminal.
    """

    world: World
    host: ServiceHost
    recorder: Recorder
    draining: str
    settings: Settings
    say: Callable[[str], None]


class TooManyGuests(Exception):
    """As many guests as there may be run already, or the service ends."""


class _Ms(Nursery):
    """A nursery whose Ms are a guest's."""

    def __init__(self, world: World, guest: Guest) -> None:
        super().__init__(world.driver)
        self._guest = guest

    def start_soon(self, program: Program, *args: Any, name: str = "") -> M:
        """Start an M; see `Nursery`."""
        name = name or getattr(program, "__name__", "m")
        m = super().start_soon(self._guest.guarded(program), *args, name=name)
        self._guest.ms.append(m)
        return m


class GuestWorld(World):
    """The service's World as a guest sees it."""

    __slots__ = ("_guest", "_made")
    _guest: Guest
    _made: Callable[[StateMutex], None]

    @classmethod
    def of(cls, world: World, guest: Guest, made: Callable[[StateMutex], None]) -> GuestWorld:
        """The same World, with a guest's number of Ms and results."""
        self = cls.__new__(cls)
        _ = world.mutexes  # asked for what it does first: the World boots
        self.shares(world)
        self.ms, self.results, self._guest, self._made = guest.ms_asked, {}, guest, made
        return self

    def open_ms(self) -> Nursery:
        """A nursery of Ms; see `World`."""
        return _Ms(self, self._guest)

    def mutex(self, name: str) -> StateMutex:
        """A lock; see `World`."""
        is_new = name not in self.mutexes
        mutex = super().mutex(name)
        if is_new:
            self._made(mutex)
        return mutex


class Guest:
    """One scenario in the World.

    Args:
        scenario: what runs.
        options: complete and checked.
        ms: how many Ms it is asked for.
        log: where its log is written.

    Attributes:
        ms: its Ms, itself first.
        outcome: "ok", "failed", "cancelled" or, where the World has ended, how; "" while it runs.
        error: what was wrong, in words.
        results: what it says that it found.
        began_ns: when it began, in virtual time.
        took_s: seconds that it has had, without those in which the World was held back.
        ended: set when it has.
    """

    def __init__(
        self, scenario: Scenario, options: Mapping[str, Any], ms: int, log: GuestLog
    ) -> None:
        self.scenario = scenario
        self.options = dict(options)
        self.ms_asked = ms
        self.log = log
        self.ms: list[M] = []
        self.outcome = ""
        self.error = ""
        self.failed_m = 0
        self.results: dict[str, Any] = {}
        self.cancel: Callable[[M], None] = lambda m: None
        self.ended = trio.Event()
        self.began_ns = 0
        self.took_s = 0.0

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return not self.outcome

    def guarded(self, program: Program) -> Program:
        """The same program, whose failure is the guest's alone."""

        async def guard(m: M, *args: Any) -> str:
            try:
                await program(m, *args)
            except Cancelled:
                return f"cancelled: {self.error}" if self.error else "cancelled"
            except Exception as error:
                if isinstance(error, EmulatedFailure) and not isinstance(error, IllegalUse):
                    raise
                self.fail(f"{type(error).__name__}: {error}", m.id)
                return "failed"
            return ""

        return guard

    def fail(self, error: str, m: int) -> None:
        """It has failed; the first failure counts."""
        if not self.error:
            self.error, self.failed_m = error, m
        self.cancel_all()

    def beyond(self, limits: Limits, now_ns: int) -> str:
        """What it has had too much of, "" for nothing.

        Args:
            limits: what it may have.
            now_ns: virtual time.
        """
        steps = limits.guest_steps
        if steps and sum(m.steps for m in self.ms) > steps:
            return f"{steps:,} steps (--guest-steps)"
        if limits.guest_ns and now_ns - self.began_ns > limits.guest_ns:
            return f"{ns(limits.guest_ns)} of virtual time (--guest-virtual)"
        if limits.guest_s and self.took_s > limits.guest_s:
            return f"{limits.guest_s:g} s (--guest-time)"
        return ""

    def cancel_all(self) -> None:
        """Cancel its Ms."""
        for m in self.ms:
            if m.state is not State.DONE:
                self.cancel(m)


class Guests:
    """The guests of a service.

    Args:
        server: the service.
        made: told of each lock that a guest makes.
    """

    def __init__(self, server: Hosting, made: Callable[[StateMutex], None]) -> None:
        self._server = server
        self._made = made
        self.running: list[Guest] = []
        self._seen_at = 0.0

    def start(
        self, scenario: Scenario, options: Mapping[str, Any], ms: int | None, log: str
    ) -> Guest:
        """Let a scenario run in the World, from the next turn on.

        Args:
            scenario: what runs.
            options: its options by name.
            ms: how many Ms it is asked for; None for as many as it says.
            log: the file for its log.

        Raises:
            TooManyGuests: as many as may be run already, or the service ends.
            ScenarioError: an option is wrong.
        """
        server = self._server
        if server.draining or server.world.driver.stopped:
            raise TooManyGuests("the service ends")
        if len(self.running) >= GUESTS_MAX:
            raise TooManyGuests(f"{GUESTS_MAX} scenarios run in this World, as many as may be")
        complete = scenario.check(options)
        asked = min(ms if ms is not None else scenario.defaults.ms, GUEST_MS_MAX)
        guest = Guest(scenario, complete, asked, GuestLog(log, server.recorder))
        guest.cancel = server.host.cancel
        guest.began_ns = server.world.engine.now_ns
        if not self.running:
            self._seen_at = trio.current_time()
        self.running.append(guest)
        root = server.host.admit(self._run, guest, name=scenario.name, is_client=False)
        guest.ms.insert(0, root)
        return guest

    async def _run(self, m: M, guest: Guest) -> str:
        """A guest's first M, which is to it what M 0 is to a run."""
        world = GuestWorld.of(self._server.world, guest, self._made)
        try:
            guest.log.begin(world, guest)
        except LogError as error:
            guest.error = str(error)
            self._end(guest, "failed")
            return "failed"
        guest.results = world.results
        program = guest.guarded(lambda m: guest.scenario.program(world, **guest.options))
        said = str(await program(m))
        self._end(guest, "failed" if guest.error else said or "ok")
        return said

    def _end(self, guest: Guest, outcome: str) -> None:
        guest.outcome = outcome
        world, driver = self._server.world, self._server.world.driver
        guest.log.end(world, guest)
        self.running.remove(guest)
        guest.ended.set()
        recorder = self._server.recorder
        for m in guest.ms[1:]:
            if m.state is State.DONE:
                driver.engine.forget(m)
                recorder.forget(m.id)

    def look_after(self) -> None:
        """End those that have had too much: to be called now and then, whatever goes on."""
        if not self.running:
            return
        server, now = self._server, trio.current_time()
        took, self._seen_at = now - self._seen_at, now
        for guest in self.running:
            if not server.host.pace.holds:
                guest.took_s += took
            if guest.error:
                continue
            much = guest.beyond(server.settings.limits, server.world.engine.now_ns)
            if much:
                server.say(f"{guest.scenario.label} in the World was ended after {much}")
                guest.fail(f"too long: it had not ended after {much}", 0)

    def give_up(self) -> bool:
        """No M can go on: end the guests whose Ms wait for nothing of the runtime's.

        Returns:
            Whether anybody can go on now.
        """
        waiting = {m for lock in self._server.world.mutexes.values() for m in lock.book.waiting}
        found = False
        for guest in self.running:
            left = [m for m in guest.ms if m.state is not State.DONE]
            if guest.error or any(m.locks or m.id in waiting for m in left):
                continue
            stuck = "; ".join(f"M{m.id} in {m.op.kind} {m.op.obj}" for m in left[1:] if m.op)
            guest.fail(f"deadlock: no M of it can go on: {stuck}", left[-1].id)
            found = True
        return found

    def stop_all(self) -> None:
        """The service is being drained."""
        for guest in self.running:
            guest.cancel_all()

    def world_ended(self, outcome: str, error: str) -> None:
        """The World has ended, and with it who was in it."""
        for guest in self.running.copy():
            guest.error = guest.error or error
            self._end(guest, outcome)
