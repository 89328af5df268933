"""What an operation costs in virtual time.

One table, in ns, by kind of operation (`gorun_mem.runtime.kinds`, which has the figures) and by
what hardware and kernel add. Tables are data: those that come with the package lie in
`gorun_mem/costs` and are asked for by name, another is a TOML file in the same form
(`CostTable.find`). The default is `server-16`, a virtual machine with 16 CPUs on which every figure
was measured; that file says from what. In words:

    atomic.*, acquire,      the access to a word whose cache line the CPU has to itself.
    release
    line.fetch, line.spread that line comes over from the CPU that has written it: so much, give or
                            take the spread by how far apart the two are.
    line.keep               for how long, on average, a CPU goes on with a line that another has
                            asked for.
    line.share              a copy of a line that others have read already.
    line.invalidate         each copy beyond the first that a write has to take away.
    touch                   what a lock guards, written by its holder: the line comes on top.
    load, store             memory that is one M's own: out of the nearer caches.
    procyield               30 PAUSE instructions.
    osyield                 sched_yield with nobody to yield to.
    futexsleep, semasleep   the call, until the thread is off the CPU; and once more, coming back.
    futex.look              futexsleep, until the kernel has read the word; on top of that.
    futexwakeup, semawakeup the call, for the waker, where nobody sleeps.
    wake.call               what it takes him longer where somebody does.
    wake, wake.least        from the waker's call until the sleeper runs, the median; and the part
                            of it that does not vary.
    interrupt,              how long a CPU is away for interrupts or its hypervisor, the median;
    interrupt.every         and how long it is there in between, the mean.
    stack.walk              a cache line of another M's, for each M on a lock's stack of sleepers.
    clear                   memclr: per byte.
    grow, grow_call         memory.grow or brk: per page of 64 KiB, and per call.
    page.touch              the first store to 4 KiB of memory: the kernel gives the page then. So a
                            page of 64 KiB that is used costs 16 of them, but not under memlock.

`[spread]` says by how much some of them vary, and `without` takes mechanisms out of the model, of
`MECHANISMS`: what is left is then a constant.

Time decides nothing but the `timing` strategy's order; under every other it is a label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from gorun_mem._near import no_such
from gorun_mem.files.toml import read_toml
from gorun_mem.runtime.kinds import KINDS

FOLDER: Final = Path(__file__).resolve().parent.parent / "costs"
"""Where the tables that come with the package lie."""

DEFAULT_NS: Final = MappingProxyType(
    {kind.name: kind.ns for kind in KINDS.values() if kind.ns is not None}
    | {
        "line.fetch": 84.0,
        "line.spread": 30.0,
        "line.keep": 11.0,
        "line.share": 30.0,
        "line.invalidate": 1.0,
        "wake": 3650.0,
        "wake.least": 3200.0,
        "wake.call": 1230.0,
        "futex.look": 240.0,
        "switch": 1000.0,
        "interrupt": 8500.0,
        "interrupt.every": 700_000.0,
        "grow": 0.0,
        "grow_call": 600.0,
        "page.touch": 1090.0,
        "other": 10.0,
    }
)
"""ns by kind; `clear` is per byte, `grow` per page, `wake` and `switch` are latencies."""

DEFAULT_SPREAD: Final = MappingProxyType(
    {"spin": 0.2, "call": 0.2, "wake": 0.52, "interrupt": 0.28}
)
"""By how much a cost varies: `spin` (procyield, osyield) and `call` (to sleep, to wake) evenly, by
that part of the cost to either side; `wake` and `interrupt` as `draws.log_logistic` does."""

TIME_SLICE_NS: Final = 2_800_000
"""How long an M keeps its CPU while others wait for one: the base slice of Linux 6.18 from 8 CPUs
on, 0.7 ms times 4."""

MECHANISMS: Final = MappingProxyType(
    {
        "migrate": "a read of a line that its owner has written takes it over, to be written",
        "keep": "a CPU goes on with a line that was asked for, for a time that varies",
        "spins": "spins, yields and calls vary",
        "wakes": "the latency of a wakeup varies",
        "interrupts": "a CPU is away now and then",
    }
)
"""What of the model can be switched off, to see what it does; `gorun_mem.calibration` has the
measurement of each."""


TIME_NS_MAX: Final = 1 << 62
"""Where virtual time ends, after 146 years: times fit into 64 bits, in a log and elsewhere."""
COST_NS_MAX: Final = 1e12
"""The most that a step, or a byte or page of one, may cost: 1,000 s."""
SPREAD_MAX: Final = 1.0


class CostError(ValueError):
    """A cost table that cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class CostTable:
    """Costs in ns by kind of operation.

    Args:
        ns: replaces single entries of the default table.
        time_slice_ns: how long an M keeps its CPU while others wait for one.
        spread: replaces single entries of DEFAULT_SPREAD.
        without: what the model is to do without, of MECHANISMS.
        pinned: each M runs on one CPU only, by its number (`step.pinned`).

    Raises:
        CostError: an unknown name, or no number.
    """

    ns: Mapping[str, float] = field(default_factory=dict)
    time_slice_ns: int = TIME_SLICE_NS
    spread: Mapping[str, float] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    pinned: bool = False

    def __post_init__(self) -> None:
        _known("kind", self.ns, DEFAULT_NS)
        _known("spread", self.spread, DEFAULT_SPREAD)
        _known("mechanism", self.without, MECHANISMS)
        for kind, value in self.ns.items():
            if not _is_number(value, COST_NS_MAX):
                raise CostError(
                    f"ns.{kind} = {_shown(value)} is not a cost in ns: give a number from 0 to "
                    f"{COST_NS_MAX:g}"
                )
        for name, value in self.spread.items():
            if not _is_number(value, SPREAD_MAX):
                raise CostError(
                    f"spread.{name} = {_shown(value)}: give a number from 0 to {SPREAD_MAX:g}"
                )
        if type(self.time_slice_ns) is not int or not 0 < self.time_slice_ns <= TIME_NS_MAX:
            raise CostError(
                f"time_slice_ns = {_shown(self.time_slice_ns)}: must be a positive whole number "
                f"of at most {TIME_NS_MAX}"
            )

    @staticmethod
    def find(name: str) -> CostTable:
        """The table that comes with the package under that name, or that of a file.

        Raises:
            CostError: there is neither, or the file holds an unknown name or no number.
        """
        path = Path(name)
        if name in names() and not path.exists():
            return CostTable.read(FOLDER / f"{name}.toml")
        if path.parent == Path() and not path.suffix and not path.exists():
            known = ", ".join(names())
            raise CostError(f"cost table {name}: no such file; those that come along are {known}")
        return CostTable.read(path)

    @staticmethod
    def read(path: Path) -> CostTable:
        """A table from a TOML file: `[ns]` and `[spread]`, `time_slice_ns`, `without`, `pinned`.

        Raises:
            CostError: the file cannot be read, or holds an unknown name or no number.
        """
        try:
            data = read_toml(path)
            for name in data.keys() - {"ns", "spread", "time_slice_ns", "without", "pinned"}:
                raise CostError(
                    f"no {name!r}: there are time_slice_ns, without, pinned and the sections [ns] "
                    "and [spread]"
                )
            pinned = data.get("pinned", False)
            if not isinstance(pinned, bool):
                raise CostError(f"pinned = {_shown(pinned)}: must be true or false")
            return CostTable(
                _section(data, "ns"),
                data.get("time_slice_ns", TIME_SLICE_NS),
                _section(data, "spread"),
                _words(data.get("without", [])),
                pinned,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise CostError(f"cost table {path}: {reason}") from error

    def table(self) -> dict[str, float]:
        """The whole table."""
        return {**DEFAULT_NS, **self.ns}

    def spreads(self) -> dict[str, float]:
        """By how much each of DEFAULT_SPREAD varies; 0 where the model does without."""
        found = {**DEFAULT_SPREAD, **self.spread}
        for mechanism, of in (("spins", ("spin", "call")), ("wakes", ("wake",))):
            if not self.has(mechanism):
                found.update(dict.fromkeys(of, 0.0))
        return found

    def has(self, mechanism: str) -> bool:
        """Whether the model has it, of MECHANISMS."""
        return mechanism not in self.without

    @property
    def sha256(self) -> str:
        """Names the table in a log."""
        parts: list[object] = [sorted(self.table().items()), self.time_slice_ns]
        parts += [sorted(self.spreads().items()), sorted(self.without), self.pinned]
        return hashlib.sha256(repr(tuple(parts)).encode()).hexdigest()


def names() -> list[str]:
    """The tables that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _section(data: dict[str, Any], name: str) -> dict[str, float]:
    section = data.get(name, {})
    if not isinstance(section, dict):
        raise CostError(f"{name} must be a section of name = number")
    return section


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise CostError(
            f"without = {_shown(value)}: must be a list of names, of {', '.join(MECHANISMS)}"
        )
    return tuple(value)


def _is_number(value: object, most: float) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= most


def _known(what: str, given: Iterable[str], known: Mapping[str, object]) -> None:
    for name in given:
        if name not in known:
            raise CostError(no_such(what, name, known, there=f"the {what}s are"))


def _shown(value: object) -> str:
    """A value for people; the interpreter refuses to write out an int of some thousand digits."""
    try:
        return f"{value!r:.40}"
    except ValueError:
        return "a number of thousands of digits"
