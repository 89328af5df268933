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
gate it is otherwise ignored, and found again at the M's next operation. Cancellation of the run
stops the engine: every M at the gate gets `RunStopped`, no M makes another step.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from math import inf
from typing import TYPE_CHECKING, Any

import outcome
import trio

from gorun_mem.machine.outcome import DeadlockFound, NoProgress, RunStopped
from gorun_mem.machine.trampoline import where
from gorun_mem.runtime.op import Op
from gorun_mem.sched.engine import Breath, StepsExceeded

if TYPE_CHECKING:
    from gorun_mem.machine.m import M
    from gorun_mem.machine.world import World

Coro = Coroutine[Any, Any, Any]

FLUSH_S = 0.5
"""How often the log is flushed while Ms are away, in seconds."""


@types.coroutine
def _relay(trap: Any) -> Generator[Any, Any, Any]:
    """Hand what an M's coroutine yielded to trio, and trio's answer back."""
    return (yield trap)


class TrioHost:
    """Runs one World in trio.

    Args:
        world: whose Ms.
        breathe: called now and then.

    Attributes:
        uncontrolled: where an M awaited trio itself, as "file:line", in order of first use.
    """

    def __init__(self, world: World, breathe: Callable[[], None] | None = None) -> None:
        self._world = world
        self._engine = world.engine
        self._breathe = breathe
        self._gated: dict[int, trio.lowlevel.Task] = {}
        self._started: set[int] = {0}
        self._nursery: trio.Nursery
        self._done = trio.Event()
        self._stopping = False
        self._breathing = False
        self.uncontrolled: dict[str, None] = {}

    async def run(self, main: Coro) -> None:
        """Run `main` and every M that it starts until `main` ends or something fails.

        What failed is in `world.failure`. Cancelled and KeyboardInterrupt go through, after every M
        was unwound.
        """
        self._engine.add(self._world.main)
        interrupted = False
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._flush_now_and_then)
                nursery.start_soon(self._run_m, self._world.main, main)
                try:
                    await self._done.wait()
                except KeyboardInterrupt:
                    interrupted = True
                finally:
                    self._stop()
        finally:
            main.close()
        if interrupted:
            raise KeyboardInterrupt

    def _stop(self) -> None:
        """No M makes another step."""
        if self._stopping:
            return
        if self._engine.alive:
            self._world.stop()
        self._stopping = True
        self._nursery.cancel_scope.cancel()
        for task in self._gated.values():
            trio.lowlevel.reschedule(task, outcome.Error(RunStopped()))
        self._gated.clear()

    async def _flush_now_and_then(self) -> None:
        while True:
            await trio.sleep(FLUSH_S)
            if self._breathe is not None:
                self._breathe()

    # One M.

    async def _run_m(self, m: M, coro: Coro | None) -> None:
        """The trio task of an M: resume its coroutine, take its operations to the gate."""
        try:
            await self._drive(m, self._world.begin(m) if coro is None else coro)
        except RunStopped:
            return
        except trio.Cancelled:
            # What an M's own scopes do not take is a cancellation of the run.
            self._stop()
            raise
        except BaseException as error:
            self._fail(m, error)
            return
        if m.id == 0:
            self._done.set()
        if not self._stopping:
            self._world.ended(m)
            await self._go_on(m)

    async def _drive(self, m: M, coro: Coro) -> None:
        """Resume `coro` until it ends, with what each of its awaits comes to."""
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                trap = coro.send(value) if error is None else coro.throw(error)
            except StopIteration:
                return
            value = error = None
            try:
                if isinstance(trap, Op):
                    value = await self._perform(m, trap)
                else:
                    value = await self._await_trio(m, coro, trap)
            except BaseException as raised:
                error = raised

    async def _perform(self, m: M, op: Op) -> Any:
        """Submit `op`, and wait at the gate until it is through."""
        self._check_running()
        if not m.locks and trio.current_effective_deadline() == -inf:
            await trio.lowlevel.checkpoint_if_cancelled()
        engine = self._engine
        engine.submit(m, op)
        if engine.running is None and not self._breathing:
            if await self._go_on(m):
                return m.result
            self._check_running()
        await self._wait_at_gate(m)
        follower = engine.follower
        if follower is not None:
            follower.m = m.id
        return m.result

    def _check_running(self) -> None:
        """No M makes another step once the run is stopped."""
        if self._stopping:
            raise RunStopped

    async def _wait_at_gate(self, m: M) -> None:
        self._gated[m.id] = trio.lowlevel.current_task()

        def abort(raise_cancel: Callable[[], None]) -> trio.lowlevel.Abort:
            if m.locks or (m.op is not None and not m.op.abandonable):
                return trio.lowlevel.Abort.FAILED
            del self._gated[m.id]
            self._engine.withdraw(m)
            return trio.lowlevel.Abort.SUCCEEDED

        try:
            await trio.lowlevel.wait_task_rescheduled(abort)
        except trio.Cancelled:
            if not self._stopping:
                self._engine.come_back(m)
            raise

    async def _await_trio(self, m: M, coro: Coro, trap: Any) -> Any:
        """Let `m` await trio itself while the others go on."""
        self.uncontrolled.setdefault(where(coro))
        engine = self._engine
        was_running = engine.running is m
        engine.leave(m)
        if was_running and not self._stopping:
            self._dispatch_unless_busy()
        try:
            return await _relay(trap)
        finally:
            if not self._stopping:
                engine.come_back(m)

    # The engine.

    async def _go_on(self, m: M) -> bool:
        """Advance until an M can be resumed, and resume it unless it is `m`; whether it is."""
        engine = self._engine
        while engine.running is None and not self._stopping and not self._breathing:
            try:
                return self._advance(m)
            except Breath:
                await self._take_breath()
        return False

    async def _take_breath(self) -> None:
        """Let trio see to deadlines and signals; who comes back meanwhile waits at the gate."""
        self._breathing = True
        try:
            if self._breathe is not None:
                self._breathe()
            await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self._breathing = False

    def _dispatch_unless_busy(self) -> None:
        """As `_go_on`, for where nothing may be awaited."""
        engine = self._engine
        while engine.running is None and not self._stopping and not self._breathing:
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
            task: Any = self._engine.advance()
        except Breath:
            raise
        except Exception as error:
            self._engine_failed(error)
            return False
        if task is None:
            self._nobody()
        elif task is m:
            return True
        else:
            self._resume(task)
        return False

    def _resume(self, m: M) -> None:
        if m.id in self._started:
            trio.lowlevel.reschedule(self._gated.pop(m.id))
        else:
            self._started.add(m.id)
            self._nursery.start_soon(self._run_m, m, None)

    def _nobody(self) -> None:
        if self._engine.is_stuck:
            self._fail(self._world.main, DeadlockFound("no M can go on"))

    def _engine_failed(self, error: Exception) -> None:
        if isinstance(error, StepsExceeded):
            self._fail(self._world.main, NoProgress(str(error)))
            return
        self._world.step_failed(error)
        self._end()

    def _fail(self, m: M, error: BaseException) -> None:
        self._world.failed(m, error)
        self._end()

    def _end(self) -> None:
        self._done.set()
        self._stop()
