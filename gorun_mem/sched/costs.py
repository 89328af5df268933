"""What an operation costs in virtual time.

One table, by kind of operation, in ns; `CostTable.read` takes another from a TOML file. The figures
are those of a 3 GHz x86-64 server core and an unhurried kernel:

    atomic.*, load, store   a cache line that another core has just written takes 20 to 70 ns to
                            come over (core-to-core latency, Intel and AMD optimisation manuals);
                            one that the core has itself costs about 5. Contended locks see the
                            former.
    procyield               30 PAUSE instructions, 40 cycles each since Skylake: some 400 ns; before
                            Skylake 10 cycles each.
    osyield                 sched_yield with nobody to yield to.
    futexsleep, semasleep   the call, until the thread is off the CPU; and once more, coming back.
    wake                    from the waker's call until the sleeper runs: scheduler latency.
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
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Final

DEFAULT_NS: Final = MappingProxyType(
    {
        "atomic.load": 20.0,
        "atomic.store": 20.0,
        "atomic.cas": 40.0,
        "atomic.xchg": 40.0,
        "atomic.xchg8": 40.0,
        "atomic.add": 40.0,
        "atomic.or8": 40.0,
        "acquire": 40.0,
        "release": 40.0,
        "procyield": 400.0,
        "osyield": 500.0,
        "semasleep": 1500.0,
        "semawakeup": 1200.0,
        "futexsleep": 1500.0,
        "futexwakeup": 1200.0,
        "notesleep": 1500.0,
        "load": 5.0,
        "store": 5.0,
        "choice": 0.0,
        "compute": 1.0,
        "sleep": 1500.0,
        "yield": 500.0,
        "join": 0.0,
        "start": 0.0,
        "wake": 5000.0,
        "switch": 1000.0,
        "clear": 0.03,
        "grow": 250.0,
        "grow_call": 1000.0,
        "stack.walk": 60.0,
        "none.lock": 10.0,
        "none.unlock": 10.0,
        "other": 10.0,
    }
)
"""ns by kind; `clear` is per byte, `grow` per page, `wake` and `switch` are latencies."""

TIME_SLICE_NS: Final = 10_000_000
"""How long an M keeps its CPU while others wait for one: 10 ms, as Go's sysmon and most kernels."""


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
                or not 0 <= value < inf
            ):
                raise CostError(f"ns.{kind} = {value!r} is not a cost in ns: give a number from 0")
        if type(self.time_slice_ns) is not int or self.time_slice_ns <= 0:
            raise CostError(
                f"time_slice_ns = {self.time_slice_ns!r}: must be a positive whole number"
            )

    @staticmethod
    def read(path: Path) -> CostTable:
        """A table from a TOML file: a `[ns]` section by kind, and `time_slice_ns`.

        Raises:
            CostError: the file cannot be read, or holds an unknown name or no number.
        """
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
            for name in data.keys() - {"ns", "time_slice_ns"}:
                raise CostError(f"no {name!r}: there are time_slice_ns and the section [ns]")
            ns = data.get("ns", {})
            if not isinstance(ns, dict):
                raise CostError("ns must be a section of kind = ns")
            return CostTable(ns, data.get("time_slice_ns", TIME_SLICE_NS))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, CostError) as error:
            raise CostError(f"cost table {path}: {error}") from error

    def table(self) -> dict[str, float]:
        """The whole table."""
        return {**DEFAULT_NS, **self.ns}

    @property
    def sha256(self) -> str:
        """Names the table in a log."""
        text = repr((sorted(self.table().items()), self.time_slice_ns))
        return hashlib.sha256(text.encode()).hexdigest()
