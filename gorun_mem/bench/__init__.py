"""Benchmarks beside peers: `gorun-mem bench [NAME...]`.

A benchmark is a module here with `run(*, quick: bool) -> list[Row]`. It measures its subject and
the peer in one process, by turns, and states a ratio: figures in ns say little about another
machine, ratios of one run say more. A row with a target says whether it is met.

Adding one is a module and a line in `BENCHES`. Its module is imported when it is asked for.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Final

from gorun_mem._version import is_compiled

BENCHES: Final[dict[str, tuple[str, str]]] = {
    "events": ("gorun_mem.bench.events", "an event into the log, beside stock structlog"),
    "host": ("gorun_mem.bench.host", "a switch between Ms, beside trio's own; start-up"),
    "memory": ("gorun_mem.bench.memory", "a call of the memory layer, by free blocks"),
    "contention": ("gorun_mem.bench.contention", "contended locks, beside SimPy"),
    "calibration": ("gorun_mem.bench.calibration", "contended locks, beside real ones; minutes"),
    "machine": ("gorun_mem.bench.machine", "this machine's primitives, beside server-16's"),
    "analysis": ("gorun_mem.bench.analysis", "the full pass over a log, beside json.loads"),
    "kernels": ("gorun_mem.bench.kernels", "planted bugs: schedules to find each; minutes"),
    "serve": ("gorun_mem.bench.serve", "requests a second of the service, beside a trio echo"),
    "explore": ("gorun_mem.bench.explore", "schedules a second, beside bare coroutines"),
    "compiled": ("gorun_mem.bench.compiled", "what each compiled module gains; a build a row"),
    "soak": ("gorun_mem.bench.soak", "a service under clients that come and go; 10 minutes"),
    "verify": ("gorun_mem.bench.verify", "states of a lock a second, beside SPIN"),
    "record": ("gorun_mem.bench.record", "a recorded run of --app, beside the plain run"),
}
"""Name -> (module, what it measures)."""
OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "calibration": ("data", "costs"),
    "machine": ("output",),
    "record": ("app",),
}
"""What `run` of a benchmark takes beside `quick`, all of it text."""
ONLY_WHEN_NAMED: Final = frozenset({"record", "soak"})
"""Not among those that are run where none is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of a benchmark.

    Args:
        name: what was measured.
        figure: the result, in `unit`.
        unit: such as "us/event".
        peer: what it is compared with, "" for nothing.
        peer_figure: the peer's result in the same unit.
        ratio: how many times better than the peer.
        target: what is wanted, in words, "" for nothing.
        ok: whether that is met; None where nothing is wanted.
    """

    name: str
    figure: float
    unit: str
    peer: str = ""
    peer_figure: float | None = None
    ratio: float | None = None
    target: str = ""
    ok: bool | None = None


def run_bench(name: str, *, quick: bool = False, **options: str) -> list[Row]:
    """Run one benchmark.

    Args:
        name: a key of `BENCHES`.
        quick: fewer rounds, for a first look and for tests.
        options: what it takes beside, of `OPTIONS`.

    Raises:
        KeyError: there is no such benchmark.
        ValueError: an option leads nowhere; the message says which.
    """
    rows: list[Row] = import_module(BENCHES[name][0]).run(quick=quick, **options)
    return rows


def as_document(results: dict[str, list[Row]]) -> dict[str, Any]:
    """The results of several benchmarks as one JSON document."""
    rows = [row for found in results.values() for row in found]
    return {
        "ok": all(row.ok is not False for row in rows),
        "compiled": is_compiled(),
        "benches": {name: [asdict(row) for row in found] for name, found in results.items()},
    }


def best_of(
    rounds: int,
    count: int,
    *candidates: Callable[[int], object],
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """The least time of each candidate for one unit, in seconds.

    The candidates take turns, so that a slow spell of the machine falls on all of them; the least
    of the rounds is what the machine can do. Garbage is collected between rounds, not in them.

    Args:
        rounds: turns.
        count: units a turn; each candidate is called with it and loops by itself.
        candidates: what is measured.
        clock: `time.process_time` for what only computes: it does not see what else the machine
            does.
    """
    best = [float("inf")] * len(candidates)
    was_enabled = gc.isenabled()
    try:
        for _ in range(rounds):
            for index, candidate in enumerate(candidates):
                gc.collect()
                gc.disable()
                start = clock()
                candidate(count)
                best[index] = min(best[index], clock() - start)
    finally:
        if was_enabled:
            gc.enable()
    return [seconds / count for seconds in best]


def names_of(wanted: Sequence[str]) -> list[str]:
    """The benchmarks asked for, all of them if none was.

    Raises:
        KeyError: one of them does not exist.
    """
    for name in wanted:
        if name not in BENCHES:
            raise KeyError(name)
    return list(wanted) or [name for name in BENCHES if name not in ONLY_WHEN_NAMED]
