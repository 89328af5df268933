"""A laboratory for the part of the Go runtime that gets memory on platforms with a break.

    from gorun_mem import KiB, M, World, scenario

Names are imported when they are first used, so that a command that needs few of them starts fast.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not imported: what comes before `gorun_mem.start` cannot be interrupted
if TYPE_CHECKING:
    from typing import Any

    from gorun_mem.explore.history import CannotYet, NotLinearizable
    from gorun_mem.explore.linearizable import linearizable
    from gorun_mem.explore.states.found import Verification
    from gorun_mem.explore.states.verification import verify
    from gorun_mem.machine.config import Config
    from gorun_mem.machine.m import M
    from gorun_mem.machine.outcome import DeadlockFound, NoProgress, Outcome
    from gorun_mem.machine.run import Run, run, run_on_trio
    from gorun_mem.machine.scenario import Range, Scenario, ScenarioError, scenario
    from gorun_mem.machine.statistics import MemorySnapshot, WorldStatistics
    from gorun_mem.machine.world import World
    from gorun_mem.replay.free_order import FreeOrder
    from gorun_mem.replay.real_program import as_recorded
    from gorun_mem.replay.recorded_order import RecordedOrder
    from gorun_mem.report.plot import plot, table
    from gorun_mem.runtime.behaviour import GiB, KiB, MiB
    from gorun_mem.runtime.errors import EmulatedFailure, Fault, Hang, IllegalUse, Throw
    from gorun_mem.runtime.mutex import LockStatistics
    from gorun_mem.runtime.op import Op
    from gorun_mem.step.costs import CostTable
    from gorun_mem.sweep.compare import compare

__version__ = "0.1.0"

_HOMES = {
    "CannotYet": "explore.history",
    "Config": "machine.config",
    "CostTable": "step.costs",
    "DeadlockFound": "machine.outcome",
    "EmulatedFailure": "runtime.errors",
    "Fault": "runtime.errors",
    "FreeOrder": "replay.free_order",
    "GiB": "runtime.behaviour",
    "Hang": "runtime.errors",
    "IllegalUse": "runtime.errors",
    "KiB": "runtime.behaviour",
    "LockStatistics": "runtime.mutex",
    "M": "machine.m",
    "MemorySnapshot": "machine.statistics",
    "MiB": "runtime.behaviour",
    "NoProgress": "machine.outcome",
    "NotLinearizable": "explore.history",
    "Op": "runtime.op",
    "Outcome": "machine.outcome",
    "Range": "machine.scenario",
    "RecordedOrder": "replay.recorded_order",
    "Run": "machine.run",
    "Scenario": "machine.scenario",
    "ScenarioError": "machine.scenario",
    "Throw": "runtime.errors",
    "Verification": "explore.states.found",
    "World": "machine.world",
    "WorldStatistics": "machine.statistics",
    "as_recorded": "replay.real_program",
    "compare": "sweep.compare",
    "linearizable": "explore.linearizable",
    "plot": "report.plot",
    "run": "machine.run",
    "run_on_trio": "machine.run",
    "scenario": "machine.scenario",
    "table": "report.plot",
    "verify": "explore.states.verification",
}

__all__ = [
    "CannotYet",
    "Config",
    "CostTable",
    "DeadlockFound",
    "EmulatedFailure",
    "Fault",
    "FreeOrder",
    "GiB",
    "Hang",
    "IllegalUse",
    "KiB",
    "LockStatistics",
    "M",
    "MemorySnapshot",
    "MiB",
    "NoProgress",
    "NotLinearizable",
    "Op",
    "Outcome",
    "Range",
    "RecordedOrder",
    "Run",
    "Scenario",
    "ScenarioError",
    "Throw",
    "Verification",
    "World",
    "WorldStatistics",
    "as_recorded",
    "compare",
    "linearizable",
    "plot",
    "run",
    "run_on_trio",
    "scenario",
    "table",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
