"""What real mutexes did: the records of a measurement, read as points to be simulated.

A file is JSON Lines, gzip or not, a record a line, told apart by `kind`:

    lock    `n` threads each take one lock, write a word that lies beside it, work `h` ns, give it
            back and think for `t` ns on average; `variant` is release and mutex, as go1.23.9-sema.
            `count` acquisitions in `wall` seconds, of which a first part is left out (see below),
            waits `p50` and `p99` in ns, `jain` over threads, and `run_mean`, how many acquisitions
            in a row are one thread's. `nolock`: the same loop without its lock. `set`: "main", or
            "four_cpus" where the threads share 4 CPUs, thread n on CPU n modulo 4. (That they are
            bound is inferred: with spinbit they were seen to use 1.2 CPUs of the 4, as only
            threads do of which one has to wait for the CPU of another.) A wait is measured in one
            round out of `mask` + 1, by a read of the clock before the lock and one behind it.
    chan    BenchmarkChanContended: `ns_per_op` with GOMAXPROCS = `n`.
    machine, prim   of the machine: `ncpu`; "cputicks", the ns of a read of its clock.

What else a record has is not read.

`per_us`, where a file has it, adds up rates of threads over the time in which each was counted. For
threads that starve that is a moment, and the sum says nothing; so the throughput is `count` over
the time that all records of the set have in common, which is found as the median of count / per_us.
Elsewhere the two agree.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from gorun_mem.files.packed import Damaged, UnpackedFile
from gorun_mem.files.reading import open_input

BYTES_MAX: Final = 64 << 20
"""No measurement is larger when it is unpacked."""
FIGURES: Final = ("throughput", "p50", "p99", "jain", "run")
"""Acquisitions in a us; waits in ns; Jain's index; acquisitions in a row by one M, on average."""
SHIPPED: Final = Path(__file__).resolve().parent / "server-16.jsonl.gz"
"""The measurement that comes with the package: its machine is that of the cost table server-16."""
SENDS: Final = 200
"""Sends and receives of an operation of BenchmarkChanContended."""
_MAIN: Final = "main"
_BOUND: Final = {"four_cpus": 4}
"""Sets whose threads are bound, and to how many CPUs."""
_TICKS_NS: Final = 28.0
_LOOP_NS: Final = 8.0


class MeasuredError(ValueError):
    """A file that is no measurement; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One load, and what it came to.

    Args:
        release: of Go, such as "go1.23.9".
        mutex: its algorithm.
        ms: threads.
        cpus: that they share.
        hold: ns of work under the lock as the load has it, a name rather than a time.
        think: likewise, between two holds.
        hold_ns: how long that work took, as measured without a lock.
        think_ns: likewise.
        loop_ns: what one round of the loop takes beside, but for reads of the clock.
        ticks_ns: how long a read of the clock takes, and so what it adds to a wait.
        every: of how many rounds of an M the wait of one is measured.
        measured: by name, of FIGURES.
        chan: it is a channel's lock: BenchmarkChanContended.
        pinned: each thread is bound to a CPU, by its number.
    """

    release: str
    mutex: str
    ms: int
    cpus: int
    hold: int
    think: int
    hold_ns: float
    think_ns: float
    loop_ns: float
    ticks_ns: float
    every: int
    measured: dict[str, float]
    chan: bool = False
    pinned: bool = False

    def __str__(self) -> str:
        load = "channel" if self.chan else f"hold {self.hold}, think {self.think}"
        cpus = f" on {self.cpus} CPUs" if self.cpus < self.ms else ""
        return f"{self.mutex} {self.release}, {load}, {self.ms} Ms{cpus}"

    @property
    def load(self) -> tuple[bool, int, int, int, int]:
        """What is the same for every mutex under this load."""
        return (self.chan, self.hold, self.think, self.ms, self.cpus)


def read(path: Path = SHIPPED) -> list[Measurement]:
    """The points of a measurement, loads of locks first.

    Raises:
        MeasuredError: the file cannot be read, or a record lacks something.
    """
    try:
        records = list(_records(path))
        machine: list[dict[str, Any]] = [r for r in records if r["kind"] == "machine"]
        cpus = (
            int(machine[0]["ncpu"])
            if machine
            else max((int(r.get("n", 1)) for r in records), default=1)
        )
        locks = [r for r in records if r["kind"] == "lock"]
        points = list(_locks(locks, cpus))
        points += [_chan(r, cpus) for r in records if r["kind"] == "chan"]
    except (OSError, Damaged, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise MeasuredError(f"measurement {path}: {why}") from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise MeasuredError(
            f"measurement {path}: a record lacks {error}, or it is not what it should be"
        ) from error
    if not points:
        raise MeasuredError(f"measurement {path}: it has no record of a lock or a channel")
    return points


def channel_ns(mutex: str, path: Path = SHIPPED) -> dict[int, float]:
    """What a send or receive took, in ns, by the number of threads: BenchmarkChanContended."""
    return {
        point.ms: 1000 / point.measured["throughput"]
        for point in read(path)
        if point.chan and point.mutex == mutex
    }


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with open_input(path) as file, io.BufferedReader(UnpackedFile(file.read)) as unpacked:
        text = unpacked.read(BYTES_MAX + 1)
    if len(text) > BYTES_MAX:
        raise Damaged(f"it has more than {BYTES_MAX:,} bytes")
    for line in text.decode().splitlines():
        if line.strip():
            record = json.loads(line)
            record["kind"].strip()
            yield record


def _locks(records: list[dict[str, Any]], cpus: int) -> Iterator[Measurement]:
    bare = {(r["variant"], r["h"], r["t"]): r for r in records if r.get("nolock")}
    ticks = {
        variant: median(r["p50"] for r in some)
        for variant, some in _by(bare.values(), lambda r: str(r["variant"])).items()
    }
    locked = [r for r in records if not r.get("nolock")]
    counted_s = {
        name: median(r["count"] / r["per_us"] / 1e6 / r["wall"] for r in some if "per_us" in r)
        for name, some in _by(locked, lambda r: str(r.get("set", _MAIN))).items()
        if any("per_us" in r for r in some)
    }
    for r in locked:
        release, _, mutex = r["variant"].partition("-")
        name = r.get("set", _MAIN)
        ticks_ns = ticks.get(r["variant"], _TICKS_NS)
        loop_ns, hold_ns, think_ns = _times(bare, r, ticks_ns)
        yield Measurement(
            release=release,
            mutex=mutex,
            ms=r["n"],
            cpus=_BOUND.get(name, cpus),
            hold=r["h"],
            think=r["t"],
            hold_ns=hold_ns,
            think_ns=think_ns,
            loop_ns=loop_ns,
            ticks_ns=ticks_ns,
            every=r.get("mask", 0) + 1,
            pinned=name in _BOUND,
            measured={
                "throughput": r["count"] / (r["wall"] * counted_s.get(name, 1.0)) / 1e6,
                "p50": r["p50"],
                "p99": r["p99"],
                "jain": r["jain"],
                "run": r["run_mean"],
            },
        )


def _times(
    bare: dict[Any, dict[str, Any]], r: dict[str, Any], ticks_ns: float
) -> tuple[float, float, float]:
    """The true lengths of a round, of the hold and of the thinking, from the loops without lock."""
    variant, h, t = r["variant"], r["h"], r["t"]

    def round_ns(hold: int, think: int) -> float | None:
        found = bare.get((variant, hold, think))
        if found is None:
            return None
        clock_ns = 2 * ticks_ns / (int(found.get("mask", 0)) + 1)
        return max(1000 / float(found["per_us"]) - clock_ns, 0.0)

    loop_ns = round_ns(0, 0)
    if loop_ns is None:
        return _LOOP_NS, float(h), float(t)
    with_hold, with_think = round_ns(h, 0), round_ns(0, t)
    if with_hold is None or with_think is None:
        return loop_ns, float(h), float(t)
    return loop_ns, max(with_hold - loop_ns, 0.0), max(with_think - loop_ns, 0.0)


def _chan(r: dict[str, Any], cpus: int) -> Measurement:
    release, _, mutex = r["variant"].partition("-")
    return Measurement(
        release=release, mutex=mutex, ms=r["n"], cpus=cpus, hold=0, think=0, hold_ns=0.0,
        think_ns=0.0, loop_ns=0.0, ticks_ns=0.0, every=1, chan=True,
        measured={"throughput": 1000 * SENDS / r["ns_per_op"]},
    )  # fmt: skip


def _by(
    records: Iterable[dict[str, Any]], key: Callable[[dict[str, Any]], str]
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        found.setdefault(key(record), []).append(record)
    return found
