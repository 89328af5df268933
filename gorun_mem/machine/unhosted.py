"""A World that nobody drives is driven by who awaits it: a test, or other code that trio runs."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from gorun_mem.machine.driver import Driver
from gorun_mem.machine.forgotten import noting_origins
from gorun_mem.machine.watchdog import Watchdog


async def drive_in_trio(driver: Driver, program: Coroutine[Any, Any, Any]) -> None:
    """Drive a World that nobody drives, in the trio that is running, until `program` ends.

    Args:
        driver: of a World that has not been stopped.
        program: what its M 0 does.

    Raises:
        RuntimeError: no trio is running.
        BaseException: what ended the run badly.
    """

    from gorun_mem.machine.trio_host import TrioHost

    if not _in_trio():
        program.close()
        raise RuntimeError(
            "trio drives the Ms of a World, and what runs here is no trio: use trio.run, or "
            "@pytest.mark.trio in a test; gorun_mem.run runs a scenario from anywhere"
        )

    with noting_origins(), Watchdog(driver.engine) as watchdog:
        await TrioHost(driver, None).run(program)
        watchdog.explain(driver)
    if driver.failure is not None:
        raise driver.failure


def _in_trio() -> bool:
    """Whether a task of trio runs this; trio says so itself from 0.29 on."""
    import trio

    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True
