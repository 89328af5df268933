"""What an operation costs in virtual time.

One table, in ns, by kind of operation (`gorun_mem.runtime.kinds`, which has the figures) and by
what hardware and kernel add; `CostTable.read` takes another from a TOML file. The figures
are those of the laptop that Go's own measurements of its locks were made on, an i7-13700H under
Linux, where they are published, and of a 3 GHz x86-64 server core otherwise:

    atomic.*, acquire,      the access to a word whose cache line the CPU has to itself: a locked
    release                 instruction is some 20 cycles, and a pair of lock and unlock with what
                            is around them comes to the 20 ns that Go has ("50,000,000 uses per
                            second", design 68578-mutex-spinbit.md).
    line.fetch, line.spread that line comes over from the CPU that has written it: 70 ns, give or
                            take 30 by how far apart the two are (core to core 20 to 70 ns by
                            Intel's and AMD's manuals, more between that laptop's efficiency cores).
                            A lock moves between running threads 10,000,000 times a second there
                            (same source).
    line.share              a copy of a line that others have read already: L3.
    line.invalidate         each copy beyond the first that a write has to take away.
    touch                   what a lock guards, written by its holder: the line comes on top.
    load, store             memory that is one M's own: out of the nearer caches.
    procyield               30 PAUSE instructions, measured there (golang/go#68578): 750 ns on the
                            8 efficiency cores, 2300 on the 12 threads of the others. So a thread
                            that spins looks at the lock every 1250 ns, by the mean of the rates.
                            Some 400 ns before Skylake, 12 to 16 ns on arm64.
    osyield                 sched_yield with nobody to yield to.
    futexsleep, semasleep   the call, until the thread is off the CPU; and once more, coming back.
    futexwakeup, semawakeup the call, for the waker.
    wake                    from the waker's call until the sleeper runs: scheduler latency. With
                            what is above, a lock moves between sleeping threads some 200,000 times
                            a second: "40,000 to 500,000, depending on the OS" (same source).
    stack.walk              a cache line of another M's, for each M on a lock's stack of sleepers.
    clear                   memclr at some 32 bytes a cycle out of cache: per byte.
    grow                    memory.grow or brk: a call, and page-table work per page.

Time decides nothing but the `timing` strategy's order; under every other it is a label.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gorun_mem.files.reading import read_input
from gorun_mem.runtime.kinds import KINDS

DEFAULT_NS: Final = MappingProxyType(
    {kind.name: kind.ns for kind in KINDS.values() if kind.ns is not None}
    | {
        "line.fetch": 70.0,
        "line.spread": 30.0,
        "line.share": 20.0,
        "line.invalidate": 5.0,
        "wake": 5000.0,
        "switch": 1000.0,
        "grow": 250.0,
        "grow_call": 1000.0,
        "other": 10.0,
    }
)
"""ns by kind; `clear` is per byte, `grow` per page, `wake` and `switch` are latencies."""

TIME_SLICE_NS: Final = 10_000_000
"""How long an M keeps its CPU while others wait for one: 10 ms, as Go's sysmon and most kernels."""


TIME_NS_MAX: Final = 1 << 62
"""Where virtual time ends, after 146 years: times fit into 64 bits, in a log and elsewhere."""
TABLE_BYTES_MAX: Final = 1 << 20
COST_NS_MAX: Final = 1e12
"""The most that a step, or a byte or page of one, may cost: 1,000 s."""


class CostError(ValueError):
    """A cost table that cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class CostTable:
    """Costs in ns by kind of operation.

    Args:
        ns: replaces single entries of the default table.
        time_slice_ns: how long an M keeps its CPU while others wait for one.

    Raises:
        CostError: an unknown kind, or no number.
    """

    ns: dict[str, float] = field(default_factory=dict)
    time_slice_ns: int = TIME_SLICE_NS

    def __post_init__(self) -> None:
        for kind, value in self.ns.items():
            if kind not in DEFAULT_NS:
                near = difflib.get_close_matches(kind, DEFAULT_NS, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}? " if near else ""
                raise CostError(f"no kind {kind!r}: {hint}the kinds are {', '.join(DEFAULT_NS)}")
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 <= value <= COST_NS_MAX
            ):
                raise CostError(
                    f"ns.{kind} = {_shown(value)} is not a cost in ns: give a number from 0 to "
                    f"{COST_NS_MAX:g}"
                )
        if type(self.time_slice_ns) is not int or not 0 < self.time_slice_ns <= TIME_NS_MAX:
            raise CostError(
                f"time_slice_ns = {_shown(self.time_slice_ns)}: must be a positive whole number "
                f"of at most {TIME_NS_MAX}"
            )

    @staticmethod
    def read(path: Path) -> CostTable:
        """A table from a TOML file: a `[ns]` section by kind, and `time_slice_ns`.

        Raises:
            CostError: the file cannot be read, or holds an unknown name or no number.
        """
        try:
            data = tomllib.loads(read_input(path, TABLE_BYTES_MAX).decode())
            for name in data.keys() - {"ns", "time_slice_ns"}:
                raise CostError(f"no {name!r}: there are time_slice_ns and the section [ns]")
            ns = data.get("ns", {})
            if not isinstance(ns, dict):
                raise CostError("ns must be a section of kind = ns")
            return CostTable(ns, data.get("time_slice_ns", TIME_SLICE_NS))
        except (OSError, ValueError, RecursionError, CostError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise CostError(f"cost table {path}: {reason}") from error

    def table(self) -> dict[str, float]:
        """The whole table."""
        return {**DEFAULT_NS, **self.ns}

    @property
    def sha256(self) -> str:
        """Names the table in a log."""
        text = repr((sorted(self.table().items()), self.time_slice_ns))
        return hashlib.sha256(text.encode()).hexdigest()


def _shown(value: object) -> str:
    """A value for people; the interpreter refuses to write out an int of some thousand digits."""
    try:
        return f"{value!r:.40}"
    except ValueError:
        return "a number of thousands of digits"
