"""`bench machine`: what the primitives cost on this machine, and a cost table made of them.

A small C program (primitives.c, beside this file) measures what the table has: atomic accesses, a
cache line's way between CPUs, PAUSEs, yields, futex calls and the latency of a wakeup, first
touches of memory, interrupts. It is compiled when it is asked for, which needs Linux and a C
compiler (`$CC`, cc, gcc or clang). Where there is neither, what Python can measure by itself is
measured: yields, first touches, clearing. Either way each row says whether it was measured; the
rest of the table is server-16's.

On a busy machine the figures are worthless: a thread that waits for another then waits for a CPU.

`-o FILE` writes the table, for `--costs FILE`.
"""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from math import inf, log
from pathlib import Path
from typing import Final

from gorun_mem.bench import Row
from gorun_mem.files.writing import write_output

SOURCE: Final = Path(__file__).resolve().with_name("primitives.c")
TIMEOUT_S: Final = 120
TOGETHER: Final = 20.0
"""Threads that made more additions in a row did not run at the same time."""
_MIB: Final = 1 << 20
SHOWN: Final = (
    "atomic.load", "atomic.store", "atomic.cas", "atomic.xchg", "atomic.xchg8", "atomic.add",
    "atomic.or8", "touch", "line.fetch", "line.spread", "line.keep", "procyield", "osyield",
    "futex.look", "futexwakeup", "wake.call", "wake.least", "wake", "interrupt", "interrupt.every",
    "clear", "page.touch", "grow_call",
)  # fmt: skip
"""What can be measured, by kind."""


class MachineError(ValueError):
    """The table cannot be written; the message says where and why."""


def run(*, quick: bool = False, output: str = "") -> list[Row]:
    """Measure.

    Args:
        quick: makes no difference: it takes some seconds.
        output: where to write the cost table; nowhere if empty.

    Raises:
        MachineError: the table cannot be written there.
    """
    from gorun_mem.step.costs import DEFAULT_NS

    raw, how = measure()
    found = as_costs(raw)
    if output:
        try:
            write_output(Path(output), as_toml(found, how).encode())
        except (OSError, ValueError) as error:
            raise MachineError(f"cost table {output}: {error}") from error
    rows = []
    for kind in SHOWN:
        ours, theirs = found.get(kind), DEFAULT_NS[kind]
        rows.append(
            Row(
                name=kind,
                figure=theirs if ours is None else ours,
                unit="ns",
                peer="server-16" if ours is not None else f"server-16: not measured ({how})",
                peer_figure=theirs,
                ratio=theirs / ours if ours else None,
            )
        )
    return rows


def measure() -> tuple[dict[str, float], str]:
    """What could be measured, by the program's own names, and how, in words."""
    reason = "it needs Linux"
    if sys.platform == "linux":
        compiler = _compiler()
        if compiler:
            try:
                return _compiled(compiler), "by a C program"
            except (OSError, subprocess.SubprocessError, ValueError) as error:
                reason = f"the C program failed: {error}"
        else:
            reason = "it needs a C compiler"
    return _by_python(), f"by Python; {reason}"


def _compiler() -> str:
    """A C compiler; empty where there is none."""
    asked = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    return next((name for name in asked if name and shutil.which(name)), "")


def _compiled(compiler: str) -> dict[str, float]:
    """Compile and run the program.

    Raises:
        OSError, SubprocessError, ValueError: it did not work out.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "primitives")
        build = [compiler, "-O2", "-std=gnu11", "-pthread", "-o", program, str(SOURCE)]
        subprocess.run(build, check=True, capture_output=True, timeout=TIMEOUT_S)
        done = subprocess.run(
            [program], check=True, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    found = {}
    for line in done.stdout.splitlines():
        name, value = line.split()
        found[name] = float(value)
    return found


def _by_python() -> dict[str, float]:
    found = {"clear.mib": _least(lambda: bytes(_MIB), 20)}
    if hasattr(os, "sched_yield"):
        nothing = _least(lambda: None, 2000)
        found["osyield"] = max(_least(os.sched_yield, 2000) - nothing, 1.0)
    pages = 4096

    def touch() -> None:
        with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
            for at in range(0, pages * mmap.PAGESIZE, mmap.PAGESIZE):
                memory[at] = 1

    def loop() -> None:
        memory = bytearray(1)
        for _ in range(0, pages * mmap.PAGESIZE, mmap.PAGESIZE):
            memory[0] = 1

    found["page.touch"] = max((_least(touch, 3) - _least(loop, 3)) / pages, 1.0)
    return found


def _least(call: Callable[[], object], count: int) -> float:
    """ns of a call, the least of five turns."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter_ns()
        for _ in range(count):
            call()
        best = min(best, (time.perf_counter_ns() - start) / count)
    return best


def as_costs(raw: Mapping[str, float]) -> dict[str, float]:
    """What was measured, in the names and units of a cost table.

    The model's line.fetch is some 15 % above what two CPUs alone need, and wake.least what is left
    of the latency when the sleeper's own way back is taken off; both are as server-16 was fitted.
    """
    found = {kind: value for kind, value in raw.items() if kind in SHOWN}
    if "clear.mib" in raw:
        found["clear"] = raw["clear.mib"] / _MIB
    if "line.fetch" in raw:
        found["line.fetch"] = raw["line.fetch"] * 1.15
    if raw.get("additions.in.a.row", inf) < TOGETHER and "atomic.add" in raw:
        more = max(raw["additions.in.a.row"] - 1, 0.1)
        # one more with probability p, and so on: 1 / (1 - p) in a row, p = exp(-add / keep)
        found["line.keep"] = raw["atomic.add"] / max(log((1 + more) / more), 1e-3)
    if "wake.p50" in raw:
        back = raw["wake.p50"] * 0.74
        found["wake"] = back
        found["wake.least"] = back - min((raw["wake.p50"] - raw["wake.p10"]) * 1.85, back)
        found["wake.call"] = max(raw["wake.call.p50"] - raw.get("futexwakeup", 0.0), 0.0)
    return {kind: float(f"{value:.4g}") for kind, value in found.items()}


def as_toml(found: Mapping[str, float], how: str) -> str:
    """The table as a file: what was measured, and that the rest is server-16's."""
    lines = [
        f"# {os.cpu_count()} CPUs, measured {how}: gorun-mem bench machine.",
        "# What is not here is as in server-16.",
        "",
        "[ns]",
        *(f'"{kind}" = {found[kind]}' for kind in SHOWN if kind in found),
    ]
    return "\n".join(lines) + "\n"
