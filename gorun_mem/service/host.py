"""The host of the service: Ms that come and go, driven in turns.

Every connection has a trio task that reads its socket; the operations of all connections' Ms are
driven by one more task, the host's, in turns. A turn takes in all Ms whose requests have come, and
steps them until each waits for its connection again. So

- requests that came in one pass of trio's loop are simultaneous in virtual time, and contend;
- at most `procs` Ms are in calls at once, the others wait for their turn: an M that waits for one
  of the runtime's locks keeps its P, so in Go no more than GOMAXPROCS Ms contend for one;
- an M that goes on itself costs no switch of trio tasks, and neither does one that gives way;
- a call that has begun is always carried to its end: what happens to the connection meanwhile is
  seen when its M waits for the next request, where it holds no lock and waits for none.

    connection tasks     read, put lines into inboxes ---- wake(M) --.
    host's task          sleeps ------------------------> a turn: M1 M2 M1 ... all wait -> flush

Ms that are no client's (`admit`, is_client=False) have no connection to wait for and no P: a turn
lasts until they have ended or sleep too. Each may be cancelled, as `machine.trio_host` does it.

When a turn ends with an M that waits for anything but its connection, nobody can ever wake it: that
is a deadlock of the emulated program, though connections may still be open. It is none where the M
waits for a lock that another took by hand: its client may give it back.

Rejected: an M whose coroutine awaits trio (`machine.trio_host`). There an M runs at once when its
socket has something, alone, so no two calls would ever contend; and each operation that is passed
over costs two switches of trio tasks, some 20 us.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

import trio
from trio.lowlevel import Abort, reschedule, wait_task_rescheduled

from gorun_mem.machine.coroutine import ForeignAwait, unwind, where
from gorun_mem.machine.driver import Driver, Program
from gorun_mem.machine.m import M
from gorun_mem.machine.outcome import NoProgress
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.service.pace import Pace
from gorun_mem.step.engine import Breath, StepsExceeded
from gorun_mem.step.loop import Resumer
from gorun_mem.step.task import State, Task

Coro = Coroutine[Any, Any, Any]

BREATH_AFTER: Final = 256
"""Operations after which a turn lets the connections' tasks run."""


class Receive(Op):
    """Wait for the connection; never stepped, for the M is away meanwhile."""

    __slots__ = ()
    kind = "receive"
    obj = "connection"
    reads_only = True

    def step(self, m: MLike) -> object:
        """Nothing: who waits is told by the host."""
        raise AssertionError("an M that waits for its connection is away")


RECEIVE: Final = Receive()
BREATHE: Final = Receive()
"""As YIELD, and let the connections' tasks run: what the M is in takes long."""
YIELD: Final = Receive()
"""Let the others whose requests have come go first; as an M that is preempted gives up its P."""


_WITHDRAWN: Final = object()
"""The result of an operation that did not happen, for its M is cancelled."""


class Cancelled(BaseException):
    """Raised in an M that is no client's and is to end."""


class ServiceHost(Resumer):
    """Drives the Ms of one World in turns.

    Args:
        driver: whose Ms.
        after_turn: called when all Ms wait, and now and then in a long turn.
        procs: how many Ms may be in calls at once; Go's GOMAXPROCS.

    Attributes:
        idle: Ms that wait for their connections, by id.
        comes_back: whether an M that waits for a lock waits for one of `idle` in the end.
        comes_free: called where nobody can go on; whether somebody can then.
        pace: holds the Ms back, for people to see what they do.
    """

    def __init__(self, driver: Driver, after_turn: Callable[[], None], procs: int) -> None:
        self._driver = driver
        self._engine = driver.engine
        self._after_turn = after_turn
        self._coros: dict[int, Coro] = {}
        self._woken: deque[M] = deque()
        self._procs_free = procs
        self._procs_lent = 0
        self._task: trio.lowlevel.Task | None = None
        self._asleep = False
        self._budget = BREATH_AFTER
        self.idle: dict[int, M] = {}
        self.comes_back: Callable[[Callable[[int], bool]], bool] = lambda idle: False
        self.comes_free: Callable[[], bool] = lambda: False
        self.pace = Pace()
        self._clients: set[int] = set()
        self._condemned: set[int] = set()
        self._withdrawn: deque[M] = deque()
        driver.canceller = self.cancel

    def __repr__(self) -> str:
        return f"<ServiceHost of {len(self._coros)} Ms, {len(self.idle)} idle>"

    @property
    def is_alone(self) -> bool:
        """Whether all Ms but the scenario have ended."""
        return self._engine.alive <= 1

    def admit(self, program: Program, *args: Any, name: str = "", is_client: bool = True) -> M:
        """Start an M, which begins in the next turn.

        Args:
            program: what it does.
            args: what that takes.
            name: for people.
            is_client: it waits for a connection and needs a P for its calls.
        """
        m = self._driver.admit(program, *args, name=name)
        if is_client:
            self._clients.add(m.id)
            self._procs_free -= 1
        self.begin_turn()
        return m

    def cancel(self, m: M) -> None:
        """Let an M that is no client's end, as soon as it holds no runtime lock and waits for none;
        nothing where it has ended.
        """
        if m.id in self._clients or m.state is State.DONE:
            return
        self._condemned.add(m.id)
        waits = m.state in (State.PARKED, State.RUNNABLE) and m.id in self._coros  # it has begun
        if waits and not m.locks and (m.op is None or m.op.abandonable):
            self._engine.withdraw(m)
            self._withdrawn.append(m)
            self.begin_turn()

    def wake(self, m: M) -> None:
        """What `m` waits for has come; nothing where it does not wait for its connection."""
        if self.idle.pop(m.id, None) is not None:
            self._woken.append(m)
            self.begin_turn()

    def begin_turn(self) -> None:
        """Let the next turn begin."""
        if self._asleep:
            self._asleep = False
            assert self._task is not None
            reschedule(self._task)

    async def run(self, main: Coro) -> None:
        """Drive M 0 with `main`, and every M that is admitted, until `main` ends or all fails.

        What failed is in `driver.failure`.
        """
        self._task = trio.lowlevel.current_task()
        driver = self._driver
        self._coros[0] = main
        self._procs_free -= 1
        try:
            main_op = self.resume(driver.start())
            assert main_op is None, "M 0 waits for the service to end"
            while 0 in self._coros and not driver.stopped:
                await self._turn()
                if 0 in self._coros and not driver.stopped and not self._woken:
                    self._asleep = True
                    await wait_task_rescheduled(self._wake_up)
        finally:
            self._asleep = False
            if self._coros:
                driver.stop()
            for coro in self._coros.values():
                unwind(coro)

    def _wake_up(self, raise_cancel: Callable[[], None]) -> Abort:
        self._asleep = False
        return Abort.SUCCEEDED

    async def _turn(self) -> None:
        """Step the Ms until each waits for its connection."""
        engine, driver = self._engine, self._driver
        self._budget = self._breath()
        while True:
            if self.pace.holds:
                self._after_turn()
                await self.pace.wait(engine.now_ns)
                if driver.stopped:
                    return
                self._budget = self._breath()
            while self._withdrawn:
                m = self._withdrawn.popleft()
                engine.come_back(m)
                m.result = _WITHDRAWN
                op = self.resume(m)
                if op is not None:
                    engine.submit(m, op)
            while self._woken and self._procs_free > 0 and self._budget > 0:
                m = self._woken.popleft()
                self._procs_free -= 1
                engine.come_back(m)
                op = self.resume(m)
                if op is not None:
                    engine.submit(m, op)
            try:
                went_on = engine.advance(self) is not None
            except Breath:
                self._budget = 0
            except StepsExceeded as error:
                driver.failed(driver.main, NoProgress(str(error)))
            except Exception as error:
                driver.step_failed(error)
            else:
                if not went_on and not (self._woken and self._procs_free > 0):
                    if self._withdrawn:
                        continue
                    if not self._woken or not self.comes_back(self._is_outside):
                        if self._is_stuck() and self.comes_free():
                            continue
                        break
                    # All who are in calls wait for a lock that is held by hand: with their Ps,
                    # who holds it could not come back to give it up.
                    self._procs_free += 1
                    self._procs_lent += 1
            if driver.stopped:
                return
            if self._budget <= 0:
                self._budget = self._breath()
                self._after_turn()
                await trio.lowlevel.cancel_shielded_checkpoint()
        if self._is_stuck():
            driver.deadlocked()
        self._after_turn()

    def _is_stuck(self) -> bool:
        """Whether an M waits for what never comes."""
        return self._engine.alive > len(self.idle) and not self.comes_back(self._is_outside)

    def _is_outside(self, m_id: int) -> bool:
        """Whether an M is in no call: its client, or its turn, is waited for."""
        return m_id in self.idle or any(m.id == m_id for m in self._woken)

    def _give_up_p(self, m: M) -> None:
        """An M is in no call any more."""
        if m.id not in self._clients and m.id:
            return
        if self._procs_lent:
            self._procs_lent -= 1
        else:
            self._procs_free += 1

    def _next_op(self, m: M, coro: Coro, found: Any) -> Op:
        """What a coroutine has yielded, where that is an operation that may be made; who awaits
        what is none, or is to end, is told so."""
        while not isinstance(found, Op):
            found = coro.throw(ForeignAwait(f"M{m.id} awaits trio itself at {where(coro)}"))
        op: Op = found
        while m.id in self._condemned and not m.locks and op.abandonable:
            op = coro.throw(Cancelled())
        return op

    def _forget(self, m: M) -> None:
        """An M has ended."""
        self._clients.discard(m.id)
        self._condemned.discard(m.id)

    def _breath(self) -> int:
        """Operations until the next breath: one where people look on."""
        return 1 if self.pace.holds else BREATH_AFTER

    def resume(self, task: Task) -> Op | None:
        """Let the coroutine of `task` go on to its next operation, and return that.

        None: it waits for its connection or for its turn, it has ended or failed, or the budget of
        the turn is used up and the operation is submitted.
        """
        driver = self._driver
        m: Any = task  # an M, as all tasks of a World
        try:
            coro = self._coros.get(m.id)
            if coro is None:
                coro = self._coros[m.id] = driver.begin(m)
            result = m.result
            op = coro.send(result) if result is not _WITHDRAWN else coro.throw(Cancelled())
            if self._condemned or not isinstance(op, Op):
                op = self._next_op(m, coro, op)
        except StopIteration as end:
            del self._coros[m.id]
            self._give_up_p(m)
            self._forget(m)
            driver.ended(m, end.value or "")
            return None
        except BaseException as error:
            self._coros.pop(m.id, None)
            if not isinstance(error, Exception):
                raise
            driver.failed(m, error)
            return None
        if type(op) is Receive:
            self._engine.leave(m)
            self._give_up_p(m)
            if op is RECEIVE:
                self.idle[m.id] = m
            else:
                self._woken.append(m)
                if op is BREATHE:
                    self._budget = 0
            return None
        self._budget -= 1
        if self._budget > 0:
            return op
        self._engine.submit(m, op)
        return None
