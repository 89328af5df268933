"""The loads of `bench compiled`: between them they run all that is compiled.

Each takes a few tenths of a second. `python -m gorun_mem.bench.loads` writes the CPU seconds of
each as a document, of the package that this Python finds; with `--touches`, how many calls of
Python's functions it makes in each module instead, which is of use where nothing is compiled.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from random import Random
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.bench.contention import Case, contend
from gorun_mem.bench.explore import atomic_target, locked_target
from gorun_mem.explore.worker import Worker

if TYPE_CHECKING:
    from gorun_mem.events.types import LogEvent
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.m import M
    from gorun_mem.machine.world import World

TURNS: Final = 2
"""The least time of so many runs of a load counts."""
DRAWN: Final = 1_200
"""Schedules of a search that draws."""
LOOKED_AT: Final = 100
"""So many calls of a function show of which classes its objects are."""
COUNTED: Final = 300_000
"""So many calls of a load show what it is made of."""


def _contended(mutex: str) -> None:
    contend(Case(mutex, 8, 4), 20_000)


def _calls(mutex: str) -> None:
    """sysAllocOS and sysFreeOS of a lone M."""
    from gorun_mem.runtime.behaviour import NEWEST, release
    from gorun_mem.runtime.boot import boot
    from gorun_mem.runtime.mutex import make
    from gorun_mem.step.solo import SoloM, solo

    known = release(NEWEST)
    layer = boot(known, known.platform("js/wasm"), memlock=make(mutex, known)).os
    m = SoloM()
    for _ in range(6_000):
        blocks = [solo(layer.sys_alloc_os(n << 16), m) for n in (1, 2, 3)]
        for n, block in zip((1, 2, 3), blocks, strict=True):
            solo(layer.sys_free_os(block, n << 16), m)


def _script() -> None:
    """An operation script with the hash of each free list, and of the memory at the end."""
    from gorun_mem.replay.ops import OpMachine, Options
    from gorun_mem.replay.opscript import parse_operation

    machine = OpMachine(Options())
    random = Random(1)
    mine: list[tuple[int, int]] = []

    def answer(*words: object) -> str:
        operation = parse_operation(" ".join(map(str, words)))
        assert operation is not None
        return machine.answer(operation)

    for _ in range(4_000):
        size = random.randrange(1, 1 << 18)
        mine.append((int(answer("alloc", size)), size))
        if len(mine) > 20:
            answer("free", *mine.pop(random.randrange(20)))
        answer("state")
    answer("dump", "full")


def _run(**settings: Any) -> None:
    """memlock_storm, a World and its Ms and calls."""
    from gorun_mem.machine.library import find
    from gorun_mem.machine.run import run_on_trampoline

    storm = find("memlock_storm")
    done = run_on_trampoline(storm, storm.config().but(**settings), {"rounds": 600})
    if not done.outcome.ok:
        raise RuntimeError(repr(done.outcome.error))


def _bound() -> None:
    """The same, each M bound to a CPU."""
    from gorun_mem.step.costs import CostTable

    _run(costs=CostTable(pinned=True))


def _drawn(strategy: str, *, looking: bool = False) -> None:
    """A search that draws: 4 Ms of 25 operations."""
    from gorun_mem.explore.detectors import DEFAULT_DETECTORS

    eyes = DEFAULT_DETECTORS if looking else ()
    program = locked_target(4, 10) if looking else atomic_target(4, 25)
    _draw(Worker(program, eyes, steps_max=10_000), strategy)


def _draw(worker: Worker, strategy: str) -> None:
    """Draw schedules. Where a class is not what it was, programs end early: that is no load.

    Raises:
        RuntimeError: a schedule fails.
    """
    batch = worker.draw(strategy, 0, DRAWN)
    if batch.found or batch.schedules != DRAWN:
        raise RuntimeError(f"{batch.schedules} schedules, failures {batch.found[:1]}")


def _searched(strategy: str, target: Target, budget: int) -> None:
    from gorun_mem.explore import explore

    found = explore(target, strategy=strategy, budget=budget, canary=False)
    if found.failures:
        raise RuntimeError(found.sentence)


def _slept(flavour: str) -> None:
    """Two Ms that sleep on a note and wake each other."""
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.config import Config
    from gorun_mem.runtime.mutex import make_note

    async def main(world: World) -> None:
        first, second = make_note(flavour, "first"), make_note(flavour, "second")

        async def one(m: M) -> None:
            for _ in range(10):
                await second.wakeup()
                await first.sleep()
                await first.clear()

        async def other(m: M) -> None:
            for _ in range(10):
                await second.sleep()
                await second.clear()
                await first.wakeup()

        async with world.open_ms() as ms:
            ms.start_soon(one)
            ms.start_soon(other)

    _draw(Worker(Target.of(main, Config(ms=2)), steps_max=10_000), "random")


def _again() -> None:
    """One schedule, run by its tape again and again."""
    from gorun_mem.explore.drive import replay, run_once
    from gorun_mem.step.schedule import Schedule
    from gorun_mem.step.strategies.random_walk import SearchingWalk
    from gorun_mem.step.strategies.searching import Profile

    target = atomic_target(4, 25)
    walk = SearchingWalk()
    walk.begin(Random(0), Profile())
    schedule = Schedule(tuple(run_once(target, walk).tape))
    for _ in range(1_200):
        replay(target, schedule)


def _every_state(mutex: str, release: str, ms: int, pairs: int) -> None:
    from gorun_mem.explore.states.verification import verify

    verify(mutex, ms=ms, pairs=pairs, release=release)


def _analysed(*wanted: str) -> None:
    """What the analysis makes of some events of a log, once decoded."""
    from gorun_mem.analysis.whole import LogAnalysis

    events = _events_of(wanted)
    for _ in range(4):
        _ = LogAnalysis.of(events).metrics


@cache
def _events_of(wanted: tuple[str, ...]) -> list[LogEvent]:
    from gorun_mem.bench.analysis import synthesise
    from gorun_mem.events.reader import read_events

    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        synthesise(Path(file.name), 60_000)
        events = read_events(file.name)
        return [event for event in events if event.name.startswith(("run.", *wanted))]


LOADS: Final[dict[str, Callable[[], None]]] = {
    **{
        f"contended {name}": partial(_contended, name)
        for name in ("spinbit", "sema", "futex", "queue", "any")
    },
    **{f"one M's calls, {name}": partial(_calls, name) for name in ("js", "wasip1")},
    "an op script": _script,
    "a run by time": _run,
    "a run of bound Ms": _bound,
    **{f"a run by {name}": partial(_run, strategy=name) for name in ("random", "round_robin")},
    **{f"{name} draws": partial(_drawn, name) for name in ("random", "pos", "pct", "surw", "urw")},
    "random draws, detectors look": partial(_drawn, "random", looking=True),
    "auto searches": lambda: _searched("auto", atomic_target(3, 8), budget=1_500),
    "every schedule": lambda: _searched("exhaustive", locked_target(3, 3), budget=1_500),
    "dfs searches": lambda: _searched("dfs", locked_target(3, 3), budget=1_500),
    "states of a program": lambda: _searched("states", locked_target(3, 4), budget=30_000),
    "an M sleeps on a sema note": partial(_slept, "sema"),
    "an M sleeps on a futex note": partial(_slept, "futex"),
    "a schedule again": _again,
    "states of futex": partial(_every_state, "futex", "go1.23", 3, 2),
    "states of spinbit": partial(_every_state, "spinbit", "go1.24", 2, 6),
    "a log's locks": partial(_analysed, "lock."),
    "a log's calls": partial(_analysed, "mem.", "freelist."),
}


def seconds() -> dict[str, float]:
    """The CPU seconds of each load: the least of its turns."""
    wanted = sys.argv[1:] or list(LOADS)
    return {name: min(_seconds(LOADS[name]) for _ in range(TURNS)) for name in wanted}


def _seconds(load: Callable[[], None]) -> float:
    gc.collect()
    start = time.process_time()
    load()
    return time.process_time() - start


def touches() -> dict[str, dict[str, int]]:
    """How many calls of Python's functions each load makes that concern each module, once it is
    warm: the function is of that module, or is a method of an object whose class has a base there.
    """
    found = {}
    for name, load in LOADS.items():
        load()
        calls = CallsByModule()
        sys.settrace(calls.note)
        try:
            load()
        finally:
            sys.settrace(None)
        found[name] = calls.by_module()
    return found


class CallsByModule:
    """CallsByModule of Python's functions, by what they run and by the modules that concerns."""

    def __init__(self) -> None:
        self._left = COUNTED
        self._counts: Counter[CodeType] = Counter()
        self._modules: dict[CodeType, set[str]] = {}

    def note(self, frame: FrameType, _event: str, _: object) -> None:
        """What `sys.settrace` takes. The first calls of a function show whose methods it is."""
        self._left -= 1
        if not self._left:
            sys.settrace(None)
        code = frame.f_code
        self._counts[code] += 1
        if self._counts[code] > LOOKED_AT:
            return
        modules = self._modules.setdefault(code, {frame.f_globals.get("__name__", "")})
        if code.co_argcount and code.co_varnames[0] == "self":
            modules.update(base.__module__ for base in type(frame.f_locals["self"]).__mro__)

    def by_module(self) -> dict[str, int]:
        """The counts by module of the package."""
        found: Counter[str] = Counter()
        for code, count in self._counts.items():
            for module in self._modules[code]:
                found[module] += count
        return {name: count for name, count in found.items() if name.startswith("gorun_mem.")}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--touches"]:
        json.dump(touches(), sys.stdout)
    else:
        json.dump(seconds(), sys.stdout)
