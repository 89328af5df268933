"""A host on which trio itself is under the schedule: every task of trio is an M of the World.

trio's nurseries, cancel scopes, locks, events and channels are trio's own, and so are its tasks.
Which task goes next is the engine's, as for any Ms: a task that trio would put into its run queue
is an M with an operation that may be made (`awaits.Going`); one that sleeps is an M whose operation
is not enabled.

    trio                                   here
    nursery.start_soon(f)                  a new M, about to start
    await trio.lowlevel.checkpoint()       an operation that may be made
    await event.wait()                     one that may not, until reschedule(task)
    a deadline that has come               a step of an M called clock (`clock`)

One step of a task is what it does from one await to the next. Between two awaits anything may
happen to what tasks share, so two steps are never independent: an exhaustive search runs every
order. trio runs every task that can go on once before it runs any twice; it promises no order
though, and here there is none: of the 90 orders of three tasks of two steps trio makes 4.

An M's own operations are what they are elsewhere, so a program may have both.

What reaches out of the program ends the run as uncontrolled, at the line that did (`seam`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import outcome
import trio
from trio._core._run import CancelScope, Nursery
from trio._core._traps import CancelShieldedCheckpoint, WaitTaskRescheduled
from trio.testing import MockClock

from gorun_mem.explore.controlled.awaits import START, Going, Waiting, under_a_lock
from gorun_mem.explore.controlled.clock import Canceller, Timers
from gorun_mem.explore.controlled.naming import (
    Await,
    await_of,
    library_of,
    line_of,
    place_in,
    short_name,
)
from gorun_mem.explore.controlled.seam import (
    CONTEXT,
    LIBRARY,
    NOTHING,
    ControlledRunner,
    TrioTask,
    dissolve,
    first_of,
    new_runner,
    open_scope,
    scope_around,
    without_ours,
)
from gorun_mem.explore.controlled.unwinding import unwind_all
from gorun_mem.explore.foreign import ASYNCIO, Uncontrolled
from gorun_mem.machine.coroutine import Coro, where
from gorun_mem.machine.driver import Driver
from gorun_mem.machine.forgotten import Listener
from gorun_mem.machine.m import M
from gorun_mem.machine.outcome import RunStopped
from gorun_mem.machine.trampoline import Trampoline
from gorun_mem.machine.trio_host import is_cancellation
from gorun_mem.machine.watchdog import LoopWithoutAwait
from gorun_mem.runtime.op import Op
from gorun_mem.step.task import State, Task


class ControlledTrio(Trampoline):
    """Runs one World, in which Ms and tasks of trio may await one another.

    Args:
        driver: whose Ms.
        faults: of `Config`: "timeout" lets time pass at any moment, "cancel" cancels a scope.

    Attributes:
        clock: what the program takes for the time.
        runner: trio's.
        outermost: the scopes that lie around the whole program.
    """

    outermost: set[CancelScope]

    def __init__(self, driver: Driver, faults: tuple[str, ...] = ()) -> None:
        super().__init__(driver, None)
        self.clock = MockClock(autojump_threshold=0.0)
        self.runner: ControlledRunner = new_runner(self.clock, self._wake, self._refuse)
        self._dues = self.runner.dues.scopes
        self.timers = Timers(self, "timeout" in faults)
        self.canceller = Canceller(self) if "cancel" in faults else None
        self.used = False
        self._tasks: dict[int, TrioTask] = {}
        self._ms: dict[TrioTask, M] = {}
        self._woken: list[M] = []
        self._spawning: M | None = None
        self._names: dict[int, tuple[str, Any]] = {}
        self._named: dict[str, int] = {}
        self._scopes: dict[int, CancelScope] = {}
        self._ended = False
        self._root: TrioTask
        self._main: Nursery
        self._system: Nursery

    # The run.

    def _run(self) -> None:
        driver = self._driver
        before, library = dict(CONTEXT.__dict__), LIBRARY.name
        CONTEXT.__dict__.clear()
        CONTEXT.runner = self.runner
        LIBRARY.name = "trio"
        self.runner.asyncgens.install_hooks(self.runner)
        try:
            with Listener(driver, self._coro_of):
                try:
                    self._drive(self._coros[0])
                except LoopWithoutAwait as error:  # it had just come out of the loop
                    driver.failed(driver.main, error)
                finally:
                    self._engine.running = None
                    if not self._ended or self._tasks:
                        driver.stop()
                    unwind_all(self.runner, self._root, list(self._ms))
                    self._part()
        finally:
            self.runner.asyncgens.close()
            CONTEXT.__dict__.clear()
            CONTEXT.__dict__.update(before)
            LIBRARY.name = library

    def _part(self) -> None:
        """Part from trio, so that all is freed at once, without the garbage collector."""
        dissolve(self.runner, self._root)
        for known in (self._ms, self._tasks, self._names, self._scopes, self._dues):
            known.clear()
        del self._main, self._system
        self.outermost = set()

    def _drive(self, main: Coro) -> None:
        driver = self._driver
        self._open_root()
        m0 = driver.start()
        driver.canceller = self.cancel_m
        self._spawn(m0, lambda: main, self._main)
        self.runner.main_task = self._tasks[0]
        op = self.resume(m0)
        if op is not None:
            self._engine.submit(m0, op)
        while driver.failure is None and not self._ended and self._advance():
            pass

    def _open_root(self) -> None:
        """What trio's init task has: two nurseries, of the main task and of system tasks."""
        runner = self.runner
        self._spawning = self._driver.main  # it is no M, so it is not to be taken for a new one
        self._root = runner.init_task = runner.spawn_impl(
            _root, (), None, "<init>", system_task=True
        )
        del self._ms[self._root]
        scope = open_scope(self._root)
        self._system = runner.system_nursery = Nursery._create(self._root, scope, True)
        self._main = Nursery._create(self._root, scope, True)
        self.outermost = {scope}

    def _spawn(self, m: M, program: Callable[[], Coro], nursery: Nursery) -> None:
        """Make a task of trio for `m`."""
        self._spawning = m
        self.runner.spawn_impl(program, (), nursery, m.name)
        self._coros[m.id] = self._tasks[m.id].coro

    # One step of one task.

    def resume(self, task: Task) -> Op | None:
        """Let a task go on to its next await, as one turn of trio's own loop does."""
        m: Any = task
        trio_task = self._tasks.get(task.id)
        if trio_task is None:
            if isinstance(task.op, Timers | Canceller):
                self._settle()
                return task.op
            self._spawn(m, partial(self._driver.begin, m), self._system)
            trio_task = self._tasks[task.id]
        CONTEXT.task = trio_task
        send: Any = trio_task._next_send_fn
        value: object = trio_task._next_send
        if send is None:  # an operation of the World's has come through
            send, value = trio_task.coro.send, task.result
            trio_task._abort_func = None
        trio_task._next_send_fn = trio_task._next_send = None
        try:
            message: Any = trio_task.context.run(send, value)
        except StopIteration as stop:
            self._over(m, trio_task, outcome.Value(stop.value))
            return None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._over(m, trio_task, outcome.Error(without_ours(error)))
            return None
        if self._engine.stopped:
            return None
        if message is CancelShieldedCheckpoint:
            trio_task._schedule_points += 1
            trio_task._next_send_fn, trio_task._next_send = trio_task.coro.send, NOTHING
            op: Op = Going(self, trio_task)
        elif type(message) is WaitTaskRescheduled:
            trio_task._schedule_points += 1
            trio_task._cancel_points += 1
            trio_task._abort_func = message.abort_func
            trio_task._attempt_delivery_of_any_pending_cancel()
            op = Waiting(self, trio_task)
        else:
            op = self._other(m, trio_task, message)
        del CONTEXT.task
        if m.locks and isinstance(op, Going):
            self._throw(trio_task, under_a_lock(m, where(trio_task.coro)))
        if self._woken or self._dues or self.timers.is_on or self.canceller is not None:
            self._settle()
            if self._driver.stopped:
                return None
        return op

    def _other(self, m: M, trio_task: TrioTask, message: Any) -> Op:
        """An await that is not trio's: an operation, or something of another library's."""
        is_m = m.id == 0 or hasattr(m, "program")
        if isinstance(message, Op) and is_m:
            trio_task._abort_func = partial(self._abort, m, message)
            if not m.locks and message.abandonable:
                trio_task._attempt_delivery_of_any_pending_cancel()
            return message if trio_task._next_send_fn is None else Going(self, trio_task)
        if isinstance(message, Op):
            self._throw(trio_task, TypeError("an operation was awaited by a task that is no M"))
            return Going(self, trio_task)
        place = where(trio_task.coro)
        self.fail_uncontrolled(m, f"awaits {library_of(message)}", place, ASYNCIO)
        return Going(self, trio_task)

    def _throw(self, trio_task: TrioTask, error: BaseException) -> None:
        """Let `error` be what the task's await comes to."""
        trio_task._abort_func = None
        trio_task._next_send_fn, trio_task._next_send = trio_task.coro.throw, error

    def _over(self, m: M, trio_task: TrioTask, end: outcome.Outcome[Any]) -> None:
        """The task has come to its end."""
        del CONTEXT.task
        driver = self._driver
        error = end.error if isinstance(end, outcome.Error) else None
        if self._engine.stopped:
            self._ms.pop(trio_task, None)
            self.runner.task_exited(trio_task, end)
            return
        if error is not None and self._is_fatal(error):
            self._ms.pop(trio_task, None)
            self.runner.task_exited(trio_task, outcome.Value(None))
            self._raised(m, error)
            return
        is_m = m.id == 0 or hasattr(m, "program")
        self.runner.task_exited(trio_task, outcome.Value(None) if is_m else end)
        del self._ms[trio_task], self._tasks[m.id]
        self._coros.pop(m.id, None)
        self._ended |= m.id == 0
        self._settle()
        if error is not None and not is_m:
            m.raised = first_of(error)
        if error is None or not is_m or self._was_cancelled(m, error):
            driver.ended(m)
        else:
            self._raised(m, first_of(error))

    def _is_fatal(self, error: BaseException) -> bool:
        """Whether `error` is none of the program's, and no nursery is to have it."""
        return isinstance(error, LoopWithoutAwait)

    # Who can go on.

    def _wake(self, trio_task: TrioTask) -> None:
        """trio has put a task into its run queue."""
        m = self._ms.get(trio_task)
        if m is not None:
            self._woken.append(m)
            return
        m = self._spawning
        self._spawning = None
        is_adopted = m is None
        if m is None:
            m = self._driver.adopt(short_name(trio_task.name))
        self._ms[trio_task] = m
        self._tasks[m.id] = trio_task
        if is_adopted:
            self._coros[m.id] = trio_task.coro
            self._engine.submit(m, Going(self, trio_task))

    def _settle(self) -> None:
        """Let those go on that the step has woken, in the order of their numbers: trio keeps some
        of who waits in sets."""
        woken = self._woken
        if woken:
            if len(woken) > 1:
                woken.sort(key=_by_id)
            for m in woken:
                if m.state is State.PARKED:
                    self._engine.unpark(m)
            woken.clear()
        if self._dues or self.timers.is_on:
            self.timers.see()
        if self.canceller is not None:
            self.canceller.see()

    def idle(self) -> None:
        """Nobody can go on: end the waits for that, or let time pass."""
        self._settle()
        waiting = self.runner.waiting_for_idle
        if self._engine.runnable:
            return
        if not waiting:
            self.timers.jump()
            return
        cushion = min(waiting)[0]
        first = [key for key in waiting if key[0] == cushion]
        for task in [waiting.pop(key) for key in first]:  # in the order in which they came
            self.runner.reschedule(task)
        self._settle()

    def new_m(self, name: str, op: Op) -> M:
        """An M that stands for something outside of the program."""
        m = self._driver.adopt(name)
        self._engine.tasks[m.starter].started -= 1  # it is nobody's child
        m.starter, m.origin = 0, f"0.{name}"
        self._engine.submit(m, op)
        return m

    @property
    def tasks(self) -> list[tuple[M, TrioTask]]:
        """Every M with its task, in the order of their numbers."""
        return sorted(((m, task) for task, m in self._ms.items()), key=_by_number)

    @property
    def engine(self) -> Any:
        """The World's."""
        return self._engine

    # Names.

    def where(self, trio_task: TrioTask) -> Await:
        """Where a task stands."""
        coro = trio_task.coro
        m = self._ms.get(trio_task)
        if m is None:  # the run is over
            return Await("trio.wait", "", None, "", "")
        if coro.cr_await is None and trio_task._schedule_points == 0:
            code = coro.cr_code
            place, source = line_of(code.co_filename, code.co_firstlineno)
            return Await(START, f"in {m.name}", None, place, source)
        return await_of(coro, f"in {m.name}")

    def name_of(self, at: Await) -> str:
        """A name for what is awaited, the same for the same object all through a run."""
        thing = at.thing
        if thing is None:
            return at.what
        thing = getattr(thing, "_state", thing)  # both ends of a channel
        known = self._names.get(id(thing))
        if known is None:
            name = at.what or type(thing).__name__
            count = self._named[name] = self._named.get(name, 0) + 1
            known = self._names[id(thing)] = (f"{name}#{count}" if count > 1 else name), thing
        return known[0]

    def m_of(self, trio_task: object) -> M | None:
        """The M of a task that lives."""
        return self._ms.get(trio_task)  # type: ignore[call-overload, no-any-return]

    def held_by(self, m: M) -> tuple[str, ...]:
        """The names of the locks that a task holds."""
        mine = self._tasks.get(m.id)
        return tuple(
            name
            for name, thing in self._names.values()
            if mine is not None and getattr(thing, "_owner", None) is mine
        )

    def _coro_of(self, task: Task) -> Any:
        return self._coros.get(task.id)

    # What is refused.

    def _refuse(self, what: str, instead: str) -> NoReturn:
        """A task reaches out of the program."""
        trio_task = CONTEXT.task
        m = self._ms.get(trio_task, self._driver.main)
        self.fail_uncontrolled(m, what, place_in(sys._getframe(1)), instead)
        raise RunStopped

    def fail_uncontrolled(self, m: M, what: str, place: str, instead: str) -> None:
        """End the run: nothing that is found in it could be found again."""
        text = f"M{m.id} ({m.name}) {what} at {place}, which no schedule controls: {instead}"
        self._driver.failed(m, Uncontrolled(text, f"{place}, where M{m.id} {what}: {instead}"))

    # Cancellation of Ms.

    def cancel_m(self, m: M) -> None:
        """The nursery of Ms that `m` was started in is cancelled: so is `m`, where it may be."""
        trio_task = self._tasks.get(m.id)
        if trio_task is None:
            self._spawn(m, partial(self._driver.begin, m), self._system)
            trio_task = self._tasks[m.id]
        scope = self._scopes.get(m.id)
        if scope is None:
            scope = self._scopes[m.id] = scope_around(trio_task)
        scope.cancel()

    def _was_cancelled(self, m: M, error: BaseException) -> bool:
        return m.id in self._scopes and is_cancellation(error)

    def _abort(self, m: M, op: Op, raise_cancel: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
        """Whether `m`, which waits in an operation of the World's, gives it up to be cancelled."""
        if m.locks or not op.abandonable:
            return trio.lowlevel.Abort.FAILED
        trio_task = self._tasks[m.id]
        self._throw(trio_task, outcome.capture(raise_cancel).error)
        engine = self._engine
        if m.state in (State.RUNNABLE, State.PARKED):
            current, running = engine.current, engine.running
            engine.withdraw(m)
            engine.come_back(m)
            engine.submit(m, Going(self, trio_task))
            engine.running = running
            if current is not None:
                engine.switch_to(current)
        return trio.lowlevel.Abort.FAILED  # it is on its way


async def _root() -> None:
    """Stands for trio's init task, and never runs."""


def _by_id(m: M) -> int:
    return m.id


def _by_number(one: tuple[M, TrioTask]) -> int:
    return one[0].id
