"""The trampoline host: drives the Ms' coroutines directly, without trio.

Some twenty times faster than the trio host, and with the same schedule and the same log. An M that
awaits trio cannot run here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import get_ident
from typing import Any, cast

from mypy_extensions import mypyc_attr

from gorun_mem.machine.coroutine import Coro, ForeignAwait, hosting, unwind, where
from gorun_mem.machine.driver import Driver
from gorun_mem.machine.forgotten import hear_no_more, listen, tell
from gorun_mem.machine.m import M
from gorun_mem.machine.outcome import NoProgress
from gorun_mem.machine.watchdog import LoopWithoutAwait
from gorun_mem.runtime.op import Op
from gorun_mem.step.engine import Breath, Engine, StepsExceeded
from gorun_mem.step.loop import Resumer
from gorun_mem.step.task import Task


def drive(driver: Driver, main: Coro, breathe: Callable[[], None] | None = None) -> None:
    """Run `main` and every M that it starts until `main` ends or something fails.

    What failed is in `driver.failure`. KeyboardInterrupt and what `breathe` raises go through.

    Args:
        driver: whose Ms.
        main: the scenario's coroutine.
        breathe: called now and then.
    """
    Trampoline(driver, breathe).run(main)


@mypyc_attr(allow_interpreted_subclasses=True)
class Trampoline(Resumer):
    """Runs one World.

    Args:
        driver: whose Ms.
        breathe: called now and then; what it raises goes through.

    Attributes:
        thread: in which the Ms run.
    """

    def __init__(self, driver: Driver, breathe: Callable[[], None] | None = None) -> None:
        self._driver = driver
        self._engine: Engine = driver.engine
        self._breathe = breathe
        self._coros: dict[int, Coro] = {}
        self.thread = get_ident()

    @property
    def coros(self) -> Mapping[int, Coro]:
        """The coroutine of each M that has begun and not ended, by its number."""
        return self._coros

    def run(self, main: Coro) -> None:
        """Run `main` and every M that it starts until `main` ends or something fails."""
        self._coros[0] = main
        hosting(self._run)

    def _run(self) -> None:
        listen(self)
        try:
            self._to_the_end()
        finally:
            hear_no_more(self)

    def _to_the_end(self) -> None:
        driver, coros = self._driver, self._coros
        try:
            m0 = driver.start()
            op = self.resume(m0)
            if op is not None:
                self._engine.submit(m0, op)
            while driver.failure is None and 0 in coros and self._advance():
                pass
        except LoopWithoutAwait as error:  # it had just come out of the loop
            driver.failed(driver.main, error)
        finally:
            self._engine.running = None
            if coros:
                driver.stop()
                for coro in coros.values():
                    unwind(coro)

    def dropped(self, thing: Any) -> bool:
        """An operation or a coroutine is dropped; whether an M of this World has done it."""
        m = self._engine.running or self._driver.main
        return tell(self._driver, thing, m, self._coros.get(m.id))

    def resume(self, task: Task) -> Op | None:
        """Let the coroutine of an M go on to its next operation, and return that.

        None: it has ended or failed, or yielded something else, which the driver knows.
        """
        driver = self._driver
        coro = self._coros.get(task.id)
        try:
            if coro is None:
                coro = self._coros[task.id] = driver.begin(cast(M, task))
            awaited: Any = coro.send(task.result)
        except StopIteration:
            if not self._engine.stopped:
                last = self._last_op(task)
                if last is not None:
                    return last
                del self._coros[task.id]
                driver.ended(cast(M, task))
            return None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._coros.pop(task.id, None)
            self._raised(task, error)
            return None
        if self._engine.stopped:  # it has forgotten to await what it made
            return None
        if isinstance(awaited, Op):
            return awaited
        driver.failed(task, self._foreign(task, coro))
        return None

    def _advance(self) -> bool:
        """Run until an M ends, or something fails, which is noted.

        Returns:
            Whether the run may go on.
        """
        driver, engine = self._driver, self._engine
        while True:
            try:
                task = engine.advance(self)
            except Breath:
                if self._breathe is not None:
                    self._breathe()
                continue
            except StepsExceeded as error:
                driver.failed(driver.main, NoProgress(str(error)))
                return False
            except Exception as failure:
                self._broken_off(failure)
                return False
            if task is None:
                driver.deadlocked()
            return task is not None

    # What a search does otherwise.

    def _last_op(self, task: Task) -> Op | None:
        """What an M whose coroutine has ended has to do before it has ended itself."""
        return None

    def _raised(self, task: Task, error: BaseException) -> None:
        """The coroutine of `task` has raised `error`."""
        self._driver.failed(task, error)

    def _broken_off(self, error: Exception) -> None:
        """A step, or who is asked between two, has raised `error`."""
        self._driver.step_failed(error, self._current())

    def _current(self) -> Coro | None:
        """The coroutine of the M whose step is made."""
        current = self._driver.engine.current
        return self._coros.get(current.id) if current is not None else None

    def _foreign(self, task: Task, coro: Coro) -> ForeignAwait:
        """What to say of `task`, which awaits what is no operation."""
        return ForeignAwait(
            f"M{task.id} ({task.name}) awaits trio itself at {where(coro)}: the trampoline host "
            "runs only operations of ours; run it with --host trio"
        )
