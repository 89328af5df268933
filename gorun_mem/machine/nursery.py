"""Ms that are started together and waited for."""

from __future__ import annotations

from types import CoroutineType, TracebackType
from typing import Any

from gorun_mem.machine.driver import Driver, Program
from gorun_mem.machine.m import M
from gorun_mem.machine.ops import Join
from gorun_mem.machine.unhosted import drive_in_trio
from gorun_mem.step.task import State


class Nursery:
    """Ms that are started together and waited for; `World.open_ms` makes one."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._join = Join()
        self.ms: list[M] = []

    def __repr__(self) -> str:
        return f"<Nursery {self._join.left} of {len(self.ms)} Ms running>"

    def start_soon(self, program: Program, *args: Any, name: str = "") -> M:
        """Start an M.

        Args:
            program: an async function that takes the M and `args`.
            args: what it takes.
            name: for people; the function's name if "".

        Returns:
            The M, which begins when it is scheduled.

        Raises:
            TypeError: it is called already.
        """
        given: object = program
        if isinstance(given, CoroutineType):
            given.close()
            what = given.__name__
            raise TypeError(
                f"start_soon({what}(...)): it is to be called here: write start_soon({what}, ...), "
                "without the M"
            )
        m = self._driver.spawn(program, args, name, self._join)
        self._join.left += 1
        self.ms.append(m)
        return m

    async def __aenter__(self) -> Nursery:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            if not self._driver.hosted:
                await drive_in_trio(self._driver, self._joined())
                return
            try:
                await self._join
            except BaseException as cut:
                await self._cancel_ms(cut)
                raise
        else:
            await self._cancel_ms(error)

    async def _joined(self) -> None:
        await self._join

    async def _cancel_ms(self, error: BaseException) -> None:
        """Where `error` cancels the M that is in the block, cancel its Ms too; wait for them.

        Any other error ends the block at once, and with it the run unless the M handles it.
        """
        driver = self._driver
        if driver.canceller is None or driver.stopped or isinstance(error, Exception):
            return
        for m in self.ms:
            if m.state is not State.DONE:
                driver.canceller(m)
        self._join.abandonable = False
        await self._join
