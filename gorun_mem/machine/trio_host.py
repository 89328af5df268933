"""The trio host: every M is a trio task in a nursery, gated.

trio's own scheduler reaches few interleavings, so it does not decide here: every M waits at a gate
and the engine releases one at a time. An M that goes on itself passes without a switch.

    M1's task           engine                   M2's task
    op ---------------> submit, advance: M2
    waits at the gate   reschedule ------------> resumed with its result
                                                 op ... advance: M1
    resumed <---------- reschedule               waits at the gate

An M may await trio itself. Then it is away: the engine goes on with the others, and when what it
awaited has come its coroutine runs at once, up to its next operation. Such a run is uncontrolled.

Cancellation of one M is delivered only where it neither holds nor waits for a runtime lock; at the
gate it is otherwise ignored, and found again at the M's next operation. An await of trio under a
lock is refused, for there it would be delivered. Cancellation of the run stops the engine at once:
every M at the gate gets `RunStopped`, no M makes another step.

Rejected: trio's own locks and events between the Ms (its order, not the engine's); a scheduler task
that hands out turns (two switches where one will do); a shield around awaits of trio under a lock
(it would keep out their own timeouts too: `trio.sleep` would never end).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final

import outcome
import trio
from trio.lowlevel import Abort, checkpoint_if_cancelled, reschedule, wait_task_rescheduled

from gorun_mem.machine.coroutine import unwind, where
from gorun_mem.machine.driver import Driver
from gorun_mem.machine.forgotten import Listener
from gorun_mem.machine.m import M
from gorun_mem.machine.outcome import NoProgress, RunStopped
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.op import Op
from gorun_mem.step.engine import Breath, StepsExceeded

Coro = Coroutine[Any, Any, Any]

FLUSH_S: Final = 0.5
"""How often the log is flushed while Ms are away, in seconds."""
REFUSALS_MAX: Final = 100
"""How many operations an M may try when the run has stopped, before it is closed by force."""


GO: Final = outcome.Value(None)
"""What an M at the gate is rescheduled with; one for all, for nobody unwraps it."""


@types.coroutine
def _relay(trap: Any) -> Generator[Any, Any, Any]:
    """Hand what an M's coroutine yielded to trio, and trio's answer back."""
    return (yield trap)


@types.coroutine
def _wait_at_gate(gate: Any) -> Generator[Any, Any, None]:
    """`wait_task_rescheduled`, by what it yields to trio: `gate_of` has it ready."""
    answer = yield gate
    if answer is not GO:
        answer.unwrap()


def _gate_of(abort: Callable[[Callable[[], None]], Abort]) -> Any:
    """What `wait_task_rescheduled(abort)` yields; to make it each time is a third of a switch."""
    waiting = wait_task_rescheduled(abort)  # noqa: ASYNC105  only asked what it yields
    gate = waiting.send(None)
    waiting.close()
    return gate


def is_cancellation(error: BaseException) -> bool:
    """Whether `error` is Cancelled, or a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)


class _Seat:
    """An M's place on this host.

    Attributes:
        coro: the M's coroutine, None until it has begun.
        gate: what its task yields to trio to wait at the gate.
        scope: cancelled when the nursery of Ms that it was started in is.
        task: its trio task, None until it has begun.
        waits: it waits at the gate.
    """

    __slots__ = ("_host", "coro", "gate", "m", "scope", "task", "waits")

    def __init__(self, host: TrioHost, m: M) -> None:
        self._host = host
        self.m = m
        self.coro: Coro | None = None
        self.gate = _gate_of(self.abort)
        self.scope = trio.CancelScope()
        self.task: trio.lowlevel.Task | None = None
        self.waits = False

    def abort(self, raise_cancel: Callable[[], None]) -> Abort:
        """Give up waiting at the gate, where that may be."""
        m, host = self.m, self._host
        if host.stopping or m.locks or (m.op is not None and not m.op.abandonable):
            return Abort.FAILED
        self.waits = False
        host.engine.withdraw(m)
        return Abort.SUCCEEDED


class TrioHost:
    """Runs one World in trio.

    Args:
        driver: whose Ms.
        breathe: called now and then; what it raises ends the run and goes through.

    Attributes:
        engine: the World's.
        stopping: no M makes another step.
        uncontrolled: where an M awaited trio itself or was cancelled, as "file:line", in order of
            first use.
    """

    def __init__(self, driver: Driver, breathe: Callable[[], None] | None = None) -> None:
        self._driver = driver
        self.engine = driver.engine
        self._breathe = breathe
        self._seats: dict[int, _Seat] = {}
        self._running: Coro | None = None
        self._nursery: trio.Nursery
        self.stopping = False
        self._cut = False
        self._breathing = False
        self._breath_error: BaseException | None = None
        self.uncontrolled: dict[str, None] = {}

    async def run(self, main: Coro) -> None:
        """Run `main` and every M that it starts until `main` ends or something fails.

        What failed is in `driver.failure`. Cancelled and KeyboardInterrupt go through, after
        every M was unwound.
        """
        with Listener(self._driver, lambda m: self._running):
            await self._run(main)

    async def _run(self, main: Coro) -> None:
        driver = self._driver
        interrupt: KeyboardInterrupt | None = None
        try:
            driver.start()
            driver.canceller = self._cancel
            async with trio.open_nursery() as self._nursery:
                if self._breathe is not None:
                    self._nursery.start_soon(self._flush_now_and_then)
                self._nursery.start_soon(self._run_m, driver.main, main)
                try:
                    await wait_task_rescheduled(self._cut_short)
                except KeyboardInterrupt as error:
                    interrupt = error
        except BaseExceptionGroup as group:
            if group.subgroup(KeyboardInterrupt) is None:
                raise
            interrupt = KeyboardInterrupt()  # it came while the Ms were being unwound
        finally:
            driver.canceller = None
            main.close()
        if self._breath_error is not None:
            raise self._breath_error
        if interrupt is not None:
            raise interrupt

    def _cut_short(self, raise_cancel: Callable[[], None]) -> Abort:
        """The run is cancelled or interrupted, or it has ended; stop at this very moment."""
        if self._cut:  # `stop` cancels the nursery, which asks here again
            return Abort.FAILED
        self._cut = True
        self.stop()
        return Abort.SUCCEEDED

    def stop(self) -> None:
        """No M makes another step; unwind all."""
        if self.stopping:
            return
        if self.engine.alive:
            self._driver.stop()
        self.stopping = True
        self._nursery.cancel_scope.cancel()
        for seat in self._seats.values():
            if seat.waits:
                seat.waits = False
                reschedule(seat.task, outcome.Error(RunStopped()))  # type: ignore[arg-type]

    async def _flush_now_and_then(self) -> None:
        while not self.stopping:
            await trio.sleep(FLUSH_S)
            self._call_breathe()

    def _call_breathe(self) -> None:
        """Flush the log, show progress; a failure of that is none of an M's."""
        if self._breathe is None:
            return
        try:
            self._breathe()
        except BaseException as error:
            self._breath_error = error
            self.stop()

    # One M.

    async def _run_m(self, m: M, coro: Coro | None) -> None:
        """The trio task of an M: resume its coroutine, take its operations to the gate."""
        seat = self._seat(m)
        seat.task = trio.lowlevel.current_task()
        with seat.scope:
            try:
                if self.engine.current is not m:  # another came back before trio got to this task
                    self.engine.switch_to(m)
                await self._drive(seat, self._driver.begin(m) if coro is None else coro)
            except BaseException as error:
                if is_cancellation(error):
                    if not seat.scope.cancel_called:
                        self.stop()  # what an M's own scopes do not take is meant for the run
                    raise
                if not self.stopping:
                    self._fail(m, error)
            finally:
                del self._seats[m.id]
        if self._driver.stopped:
            self.stop()
            return
        self._driver.ended(m)
        if m.id == 0:
            self.stop()
        else:
            await self._go_on(m)

    async def _drive(self, seat: _Seat, coro: Coro) -> None:
        """Resume `coro` until it ends, with what each of its awaits comes to."""
        value: Any = None
        error: BaseException | None = None
        refusals = 0
        m, engine = seat.m, self.engine
        seat.coro = coro
        while True:
            self._running = coro
            try:
                trap = coro.send(value) if error is None else coro.throw(error)
            except StopIteration:
                return
            finally:
                self._running = None
            if engine.stopped and not self.stopping:  # it has forgotten to await what it made
                self.stop()
            value = error = None
            try:
                if not isinstance(trap, Op):
                    value = await self._await_trio(m, coro, trap)
                    continue
                if self.stopping:
                    raise RunStopped
                if not m.locks and trap.abandonable:
                    await checkpoint_if_cancelled()
                engine.submit(m, trap)
                goes_on = False
                if engine.running is None and not self._breathing:
                    try:
                        goes_on = self._advance(m)
                    except Breath:
                        await self._take_breath()
                        goes_on = await self._go_on(m)
                    if not goes_on and self.stopping:
                        raise RunStopped
                if not goes_on:
                    seat.waits = True
                    await _wait_at_gate(seat.gate)
                    if engine.current is not m:
                        engine.switch_to(m)
                value = m.result
            except BaseException as raised:
                error = raised
                if isinstance(raised, trio.Cancelled):
                    self.uncontrolled.setdefault(where(coro))
                elif isinstance(raised, RunStopped):
                    refusals += 1
                    if refusals > REFUSALS_MAX:
                        unwind(coro)
                        return

    async def _await_trio(self, m: M, coro: Coro, trap: Any) -> Any:
        """Let an M await trio itself while the others go on."""
        if self.stopping:
            return await _relay(trap)
        place = where(coro)
        if m.locks:
            raise IllegalUse(
                f"M{m.id} ({m.name}) awaits trio itself at {place} while it holds a runtime lock: "
                "give the lock back first, or sleep in virtual time with m.sleep()"
            )
        self.uncontrolled.setdefault(place)
        engine = self.engine
        was_running = engine.running is m
        engine.leave(m)
        if was_running:
            self._dispatch()
        try:
            return await _relay(trap)
        finally:
            if not self.stopping:
                engine.come_back(m)

    def _cancel(self, m: M) -> None:
        """The nursery of Ms that `m` was started in is cancelled: so is `m`, where it may be."""
        self._seat(m).scope.cancel()

    def _seat(self, m: M) -> _Seat:
        seat = self._seats.get(m.id)
        if seat is None:
            seat = self._seats[m.id] = _Seat(self, m)
        return seat

    # The engine.

    async def _go_on(self, m: M) -> bool:
        """Advance until an M can be resumed, and resume it unless it is `m`; whether it is."""
        while self.engine.running is None and not self.stopping and not self._breathing:
            try:
                return self._advance(m)
            except Breath:
                await self._take_breath()
        return False

    async def _take_breath(self) -> None:
        """Let trio see to deadlines and signals; who comes back meanwhile waits at the gate."""
        self._breathing = True
        try:
            self._call_breathe()
            await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self._breathing = False

    def _dispatch(self) -> None:
        """As `_go_on`, for where nothing may be awaited."""
        while self.engine.running is None and not self.stopping and not self._breathing:
            try:
                self._advance(None)
                return
            except Breath:
                continue

    def _advance(self, m: M | None) -> bool:
        """Let the engine find who goes on, and resume it unless it is `m`; whether it is.

        Raises:
            Breath: it is time for one.
        """
        try:
            task: Any = self.engine.advance()
        except Breath:
            raise
        except StepsExceeded as error:
            self._fail(self._driver.main, NoProgress(str(error)))
            return False
        except Exception as error:
            current = self.engine.current
            seat = self._seats.get(current.id) if current is not None else None
            self._driver.step_failed(error, seat.coro if seat is not None else None)
            self.stop()
            return False
        if task is m:
            return task is not None
        if task is not None:
            self._resume(task)
        elif self.engine.is_stuck:
            self._driver.deadlocked()
            self.stop()
        return False

    def _resume(self, m: M) -> None:
        seat = self._seats.get(m.id)
        if seat is None or seat.task is None:
            self._nursery.start_soon(self._run_m, m, None, name=f"M{m.id} {m.name}")
        else:
            seat.waits = False
            reschedule(seat.task, GO)

    def _fail(self, m: M, error: BaseException) -> None:
        self._driver.failed(m, error)
        self.stop()
