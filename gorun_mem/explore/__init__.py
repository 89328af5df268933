"""Exploration: find the interleaving that breaks a program, name it, shrink it, replay it.

    from gorun_mem.explore import explore

    found = explore(memlock_storm, config=Config(ms=2), strategy="auto", budget=2000)
    found.outcome                  # "exhausted", "survived", "failed" or "inconclusive"
    found.sentence                 # the same with why, and in what world it holds
    found.failure.token            # replays it: gorun-mem replay-schedule TOKEN
    found.exit_code                # 0, 1 or 5

Everything here is above `machine/`: a search makes a World for each schedule, runs the program on
it, and looks how that ended.

What others build on, and where it is:

    explore(program, *, config, options, strategy, budget, time_s, seed, jobs, detectors, ...)
                       search.py    `program` is a `Scenario`, any `async def main(world)`, or
                                    an `async def main()` that awaits trio alone.
                                    Returns an `Exploration` (verdict.py).
    Failure            failure.py   signature, text, schedule, steps (tuple of `Step`), stuck,
                                    findings, token, command, switches, preemptions.
    render(failure, target)
                       report.py    the failure on one screen, as text.
    what_matters(failure, sights)
                       matters.py   the steps of a failure that matter, each in a sentence.
    Step               step/schedule.py: m, kind, obj, reads, enabled, choices, preempts.
    Signature          failure.py   (kind, obj, site): two failures are the same one iff equal.
    Detector, Finding  failure.py   `begin(world)`, `step(task, op, kind, obj, reads, result)`,
                                    `end(world) -> findings`. `explore(detectors=[Factory, ...])`
                                    takes what makes them (a class will do), not the objects, for
                                    each process needs its own.
    Target             target.py    a program with its settings: makes Worlds, and is written into
                                    and found again from a token.
    run_once(target, strategy, ...) drive.py    one run under a strategy -> `Execution`: world,
                                    signature, findings, transcript (tape and steps) if asked for.
    replay(target, schedule, ...)   drive.py    the same for a schedule.
    Schedule           step/schedule.py: tape, names, about; `.token()`, `Schedule.from_token`,
                                    `.write(path, steps)`, `load(file_or_token)`.

A strategy (`step/strategies/`) has `next_task(runnable, current)` and `choice(n)` as every other,
and where it searches (`Searching`) also `begin(random, profile) -> bool` before each run, False
when nothing is left; `executed(task, kind, obj, reads)` after each step if it wants that;
`every_step = True` to be asked where only one M can go, too. What it wants is asked
for once, and is the same in every run.

Programs to explore have locks and variables of their own: `world.mutex(name)` is a runtime mutex of
the World's algorithm; the kit, `gorun_mem.sync`, has `Lock` (an operation that is disabled while
the lock is held, so a critical section is two steps), `Word`, `Cell`, and what else Ms wait for.

Any choice of data is on the tape: `m.choose(...)`, `m.choice(...)`, the mutexes' lots, and the
faults of `Config.faults`: "grow" (memory.grow or brk may be refused), "spurious" (a futex sleep may
end by itself), "timeout" (a timer may fire before its time), "cancel" (a scope of trio's or an M
may be cancelled, once in a run).

Where a program awaits trio, tasks of trio are Ms of the search (`controlled/`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gorun_mem.explore.drive import Execution, replay, run_once
    from gorun_mem.explore.failure import Detector, Failure, Finding, Signature
    from gorun_mem.explore.search import explore
    from gorun_mem.explore.target import Target
    from gorun_mem.explore.verdict import Exploration
    from gorun_mem.step.schedule import Schedule, ScheduleError, Step

_HOMES = {
    "Detector": "gorun_mem.explore.failure",
    "Execution": "gorun_mem.explore.drive",
    "Exploration": "gorun_mem.explore.verdict",
    "Failure": "gorun_mem.explore.failure",
    "Finding": "gorun_mem.explore.failure",
    "Schedule": "gorun_mem.step.schedule",
    "ScheduleError": "gorun_mem.step.schedule",
    "Signature": "gorun_mem.explore.failure",
    "Step": "gorun_mem.step.schedule",
    "Target": "gorun_mem.explore.target",
    "explore": "gorun_mem.explore.search",
    "replay": "gorun_mem.explore.drive",
    "run_once": "gorun_mem.explore.drive",
}

__all__ = [
    "Detector",
    "Execution",
    "Exploration",
    "Failure",
    "Finding",
    "Schedule",
    "ScheduleError",
    "Signature",
    "Step",
    "Target",
    "explore",
    "replay",
    "run_once",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
