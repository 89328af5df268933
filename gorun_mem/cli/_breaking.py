"""`replay-schedule --break-at`: the debugger opens in the program's line at a step."""

from __future__ import annotations

import bdb
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gorun_mem.cli._common import BadInput
from gorun_mem.cli._exit import say

if TYPE_CHECKING:
    from gorun_mem.explore.drive import Execution
    from gorun_mem.explore.failure import Detector
    from gorun_mem.explore.target import Target
    from gorun_mem.step.schedule import Schedule
    from gorun_mem.step.strategies.replay import OnDivergence


def broken_at(
    target: Target,
    schedule: Schedule,
    step: int,
    detectors: Sequence[Detector],
    on_divergence: OnDivergence,
) -> Execution:
    """Run a schedule with the debugger opened at a step.

    Raises:
        BadInput: there is no such step, or no line of the program leads to it.
        KeyboardInterrupt: the debugger was left.
    """
    from gorun_mem.explore.breaking import NoSuchStep, break_at, stop_at
    from gorun_mem.explore.search import steps_bound

    try:
        stop = stop_at(target, schedule, step, on_divergence)
    except NoSuchStep as error:
        raise BadInput(f"--break-at {step}: {error}") from None
    say(str(stop))
    done = break_at(
        target, schedule, stop, detectors=detectors, on_divergence=on_divergence,
        steps_max=steps_bound(target),
    )  # fmt: skip
    if isinstance(done.world.failure, bdb.BdbQuit):
        raise KeyboardInterrupt
    return done
