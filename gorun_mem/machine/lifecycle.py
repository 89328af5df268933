"""The lives of a World's Ms: started, begun, ended or failed; and the end of the run.

It knows nothing of hosts, who call it (`gorun_mem.machine.driver`); so what is logged is the same
on each.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.events.errors import LogError
from gorun_mem.machine.config import MS_MAX, ConfigError
from gorun_mem.machine.coroutine import standing
from gorun_mem.machine.driver import Program
from gorun_mem.machine.m import M, Surroundings
from gorun_mem.machine.observer import Observer
from gorun_mem.machine.ops import START, Join
from gorun_mem.machine.outcome import DeadlockFound, HeldBy, NeverAwaited, Stuck
from gorun_mem.machine.places import place_of
from gorun_mem.runtime.boot import Runtime
from gorun_mem.runtime.errors import EmulatedFailure, IllegalUse, Throw
from gorun_mem.runtime.op import Scheduler
from gorun_mem.step.engine import Engine
from gorun_mem.step.task import State, Task

if TYPE_CHECKING:
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.runtime.mutex import Holder, StateMutex, Waiter


_NOBODY: Final = Scheduler()
"""Who drives an M of a run that is over."""


class Lifecycle:
    """The `Driver` of a World.

    Args:
        world: where the Ms live.
        engine: decides who goes next.
        recorder: who logs what happens; nobody if None.
        make_m: the class of the Ms.
        name: of M 0, for people.

    Attributes:
        main: M 0, the scenario itself.
        mutexes: the locks that were made so far, by name, the runtime's own first.
        runtime: what the World has booted; None until somebody has asked for it.
        observers: who is told what becomes of the World.
        canceller: cancels an M, on a host that can.
        failure: what ended the run badly; None so far.
        failed_m: id of the M whose doing it was.
        internal: it was none of the program's doing but this package's.
        stuck_at_end: who could not go on when the run was stopped.
        started: how many Ms were started.
        alive: how many of them have not ended.
    """

    __slots__ = (
        "_adopted",
        "_guests",
        "_hosted",
        "_make_m",
        "_world",
        "alive",
        "canceller",
        "engine",
        "failed_m",
        "failure",
        "internal",
        "main",
        "mutexes",
        "observers",
        "recorder",
        "runtime",
        "started",
        "stuck_at_end",
    )

    def __init__(
        self,
        world: Surroundings,
        engine: Engine,
        recorder: Recorder | None,
        make_m: type[M],
        name: str,
    ) -> None:
        self._world: Surroundings | None = world
        self.engine = engine
        self.recorder = recorder
        self._make_m = make_m
        self.mutexes: dict[str, StateMutex] = {}
        self.runtime: Runtime | None = None
        self.observers: list[Observer] = []
        self.canceller: Callable[[M], None] | None = None
        self.failure: BaseException | None = None
        self.failed_m = 0
        self.internal = False
        self.stuck_at_end: tuple[Stuck, ...] = ()
        self.started = 0
        self.alive = 0
        self._hosted = False
        self._guests: Join | None = None
        self._adopted: Join | None = None
        self.main = self._new_m(0, name)
        if recorder is not None:
            recorder.m = 0
            recorder.now = self._now
            engine.follower = recorder

    @property
    def hosted(self) -> bool:
        """Whether somebody drives the Ms."""
        return self._hosted and not self.stopped

    @property
    def stopped(self) -> bool:
        """Whether no M makes another step."""
        return self.engine.stopped

    def current_m(self) -> int:
        """The id of the M that made the last step."""
        current = self.engine.current
        return current.id if current is not None else 0

    def finding(self) -> Throw | None:
        """What was wrong with an answer of Go's that a program cannot live with, if anything.

        There it handed out the host's memory, or memory that is not zero, or less than was asked.
        """
        ledger = self.runtime.os.ledger if self.runtime is not None else None
        if ledger is None or not ledger.findings:
            return None
        first = ledger.findings[0]
        texts = [found.text for found in ledger.findings]
        return Throw(first.what, *texts, addr=first.addr, size=first.size)

    def start(self) -> M:
        """A host begins to drive: M 0, whose coroutine runs first.

        Raises:
            IllegalUse: the World has been stopped.
            NeverAwaited: by that, before a host began to drive.
        """
        if isinstance(self.failure, NeverAwaited):
            raise self.failure
        if self.stopped:
            raise IllegalUse(
                f"{self._world!r} has stopped with Ms that had not ended; make another World"
            )
        if self.main.state is State.DONE:
            before, self.main = self.main, self._new_m(0, self.main.name)
            self.main.succeeds(before)
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
        self._check_room()
        self.started += 1
        self.alive += 1
        m = self._new_m(self.started, name or getattr(program, "__name__", "m"))
        m.program = program
        m.args = args
        m.join = join
        self._parent().starts(m)
        self.engine.add(m)
        self.engine.submit(m, START)
        return m

    def adopt(self, name: str) -> M:
        """An M for what a host has started by itself; its operations come from there.

        Args:
            name: for people.

        Raises:
            ConfigError: there are as many Ms as there may be.
        """
        self._check_room()
        self.started += 1
        self.alive += 1
        m = self._new_m(self.started, name)
        if self._adopted is None:
            self._adopted = Join()
        m.join = self._adopted
        self._parent().starts(m)
        self.engine.add(m)
        return m

    def begin(self, m: M) -> Coroutine[Any, Any, Any]:
        """The coroutine of an M whose first operation is through."""
        if self.recorder is not None:
            self.recorder.m_start(m.id, m.starter, m.name)
        coro = m.program(m, *m.args)
        if not hasattr(coro, "send"):
            what = getattr(m.program, "__name__", repr(m.program))
            raise TypeError(f"{what} is no async function: write `async def {what}`")
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
        guests = self._guests
        if guests is None:
            guests = self._guests = Join()
        m = self.spawn(program, args, name, guests)
        guests.left += 1
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
        self.alive -= 1
        m.join.ended()
        if m.join is self._guests:
            self.engine.forget(m)
            for mutex in self.mutexes.values():
                mutex.forget(m.id)
            del m.program, m.args  # which may have this M: so it goes without the collector
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
            locks = ", ".join(name for name, lock in self.mutexes.items() if lock.waiters)
            self.recorder.deadlock_found("deadlock", locks, who)

    def step_failed(self, error: Exception, coro: object = None) -> None:
        """A step of the current M raised `error`; one that no emulated program raises is ours,
        unless it came through a line of the program's own, such as a state of its lock.

        The error is told with the line that awaits the step (`coro`), as one that it raised.
        """
        current: Any = self.engine.current
        if not isinstance(error, EmulatedFailure | LogError) and not place_of(error):
            self.internal = True
        error.__traceback__ = standing(coro, error.__traceback__)
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
        self.engine.stopped = True
        self.stuck_at_end = self._find_stuck(everybody)
        self.engine.follower = None
        for mutex in self.mutexes.values():
            mutex.sink = None
        if self.runtime is not None:
            self.runtime.os.sink = None

    def dissolve(self) -> None:
        """Part from the Ms, so that all is freed at once, without the garbage collector.

        For those who make thousands of Worlds; nothing may be asked of this one afterwards.
        """
        for m in self.engine.tasks:
            del m.world  # type: ignore[attr-defined]
            m.sched = _NOBODY  # a lock may have the M still, and itself
        self.engine.clear()
        self.runtime = None
        self.mutexes.clear()
        self._world = None

    def _find_stuck(self, everybody: bool) -> tuple[Stuck, ...]:
        """Every M that has not ended and holds a lock, or waits for one, or sleeps."""
        waits: dict[int, tuple[StateMutex, Waiter]] = {}
        holds: dict[int, list[str]] = {}
        for mutex in self.mutexes.values():
            waits |= {waiter.m: (mutex, waiter) for waiter in mutex.waiters}
            for holder in _holders(mutex):
                holds.setdefault(holder.m, []).append(mutex.name)
        return tuple(
            self._stuck(task, waits.get(task.id), tuple(holds.get(task.id, ())))
            for task in self.engine.tasks
            if task.state is not State.DONE
            and not getattr(task.op, "stands_by", False)
            and (task.id in waits or task.id in holds or (everybody and task.state is State.PARKED))
        )

    def _stuck(
        self, task: Task, wait: tuple[StateMutex, Waiter] | None, holds: tuple[str, ...]
    ) -> Stuck:
        if wait is None:
            op = task.op
            if op is None:
                return Stuck(task.id, task.name, "run", task.since_ns, None, holds)
            account = getattr(op, "account", None)
            if account is not None:
                waits_for, held_by, holds = account(task)
                return Stuck(task.id, task.name, waits_for, task.since_ns, held_by, holds)
            by = [HeldBy(m, site, since_ns) for m, site, since_ns in op.blocked_by()]
            waits_for, since_ns = f"{op.kind} {op.obj}", task.since_ns
            return Stuck(task.id, task.name, waits_for, since_ns, by[0] if by else None, holds)
        mutex, waiter = wait
        holder = mutex.holder
        held_by = HeldBy(holder.m, holder.site, holder.since_ns) if holder is not None else None
        return Stuck(task.id, task.name, f"acquire {mutex.name}", waiter.since_ns, held_by, holds)

    # Inside.

    def _check_room(self) -> None:
        if self.alive >= MS_MAX:
            raise ConfigError(f"more than {MS_MAX} Ms were started; let some end or start fewer")

    def _now(self) -> int:
        return self.engine.now_ns

    def _parent(self) -> Task:
        """Who starts an M now: where nobody drives, the scenario."""
        current = self.engine.current
        return current if current is not None and self._hosted else self.main

    def _new_m(self, number: int, name: str) -> M:
        assert self._world is not None
        m = self._make_m(self.engine, number, name)
        m.world = self._world
        return m


def _holders(mutex: StateMutex) -> tuple[Holder, ...]:
    """Who holds `mutex`: several where it does not exclude."""
    several: tuple[Holder, ...] | None = getattr(mutex, "holders", None)
    if several is not None:
        return several
    return (mutex.holder,) if mutex.holder is not None else ()
