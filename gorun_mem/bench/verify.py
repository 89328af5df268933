"""Every state of a lock: states a second, and the time to the verdict, beside SPIN.

SPIN (Debian's package `spin`) is compared where it and a C compiler are installed. It is given the
futex lock as a Promela model, access by access as `runtime/mutex/futex.py` has it, and compiles
that to C; `verify` steps the lock's own code and needs no model of it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from typing import Final

from gorun_mem._version import is_compiled
from gorun_mem.bench import Row
from gorun_mem.explore.states.verification import verify

WANTED: Final = 250_000
"""States a CPU second on spinbit, compiled."""

PROMELA: Final = """
#define MS %(ms)d
#define PAIRS %(pairs)d
#define SPINS %(spins)d
byte key = 0;
byte owner = 0;
bool parked[MS];
chan sleepers = [MS] of { byte };

proctype m(byte me) {
  byte v, wait, i, other, pairs = PAIRS;
  do
  :: pairs == 0 -> break
  :: pairs > 0 ->
     atomic { v = key; key = 1; if :: v == 0 -> goto got :: else -> wait = v; i = 0 fi };
look: atomic {
       v = key;
       if
       :: v == 0 -> goto take
       :: v != 0 && i < SPINS -> i++; goto look
       :: v != 0 && i == SPINS -> i++; goto announce
       fi
     };
take: atomic { if :: key == 0 -> key = wait; goto got :: else -> goto look fi };
announce:
     atomic { v = key; key = 2; if :: v == 0 -> goto got :: else -> wait = 2 fi };
     atomic { i = 0; if :: key == 2 -> parked[me] = true; sleepers!me :: else -> goto look fi };
     atomic { !parked[me]; goto look };
got:  atomic { assert(owner == 0); owner = me + 1 };
     atomic {
       assert(owner == me + 1); owner = 0; v = key; key = 0;
       assert(v != 0);
       if :: v == 2 -> skip :: else -> goto next fi
     };
     atomic { if :: sleepers?other -> parked[other] = false :: empty(sleepers) fi };
next:
     pairs--
  od
}

init { atomic { byte n = 0; do :: n < MS -> run m(n); n++ :: else -> break od } }
"""


def run(*, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        quick: two Ms in place of three.
    """
    ms, pairs = (2, 2) if quick else (3, 3)
    start = time.process_time()
    found = verify("spinbit", ms=ms, pairs=pairs, release="go1.24")
    seconds = max(time.process_time() - start, 1e-6)
    rate = found.states / seconds
    wanted = not quick and is_compiled()
    rows = [
        Row(
            name=f"spinbit, {ms} Ms x {pairs} pairs, 4 CPUs: {found.states:,} states",
            figure=rate / 1000,
            unit="k states/s",
            target=f"{WANTED // 1000} k, compiled" if wanted else "",
            ok=rate >= WANTED if wanted else None,
        )
    ]
    shape = (2, 2) if quick else (3, 2)
    return [*rows, *[_beside_spin(*shape, cpus) for cpus in ((1,) if quick else (1, 4))]]


def _beside_spin(ms: int, pairs: int, cpus: int) -> Row:
    """The time to the verdict on the futex lock, beside SPIN's."""
    start = time.process_time()
    found = verify("futex", ms=ms, pairs=pairs, cpus=cpus, release="go1.23")
    seconds = time.process_time() - start
    name = f"futex, {ms} Ms x {pairs} pairs, {cpus} CPUs: {found.states:,} states to the verdict"
    spin = spin_states(ms, pairs, 4 if cpus > 1 else 0)
    if spin is None:
        return Row(name=name, figure=seconds, unit="s", peer="SPIN is not installed")
    states, searched, compiled = spin
    return Row(
        name=name, figure=seconds, unit="s",
        peer=f"SPIN: {states:,} states; compiling the model took {compiled:.1f} s more",
        peer_figure=searched,
        ratio=(searched + compiled) / max(seconds, 1e-6),
    )  # fmt: skip


def spin_states(ms: int, pairs: int, spins: int) -> tuple[int, float, float] | None:
    """The states that SPIN stores, its seconds of search, and those of making the verifier.

    None where SPIN or a C compiler is not installed.

    Raises:
        RuntimeError: SPIN finds the model wrong, or says what is not understood.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if shutil.which("spin") is None or compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/futex.pml", "w", encoding="utf-8") as model:
            model.write(PROMELA % {"ms": ms, "pairs": pairs, "spins": spins})
        start = time.perf_counter()
        for command in (
            ["spin", "-a", "futex.pml"],
            [compiler, "-O2", "-DSAFETY", "-o", "pan", "pan.c"],
        ):
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        made = time.perf_counter()
        said = subprocess.run(
            ["./pan", "-m1000000"], cwd=folder, check=True, capture_output=True, text=True
        ).stdout
        searched = time.perf_counter() - made
    states = re.search(r"(\d+) states, stored", said)
    if states is None or "errors: 0" not in said:
        raise RuntimeError(f"SPIN says of the futex model: {said[:500]}")
    return int(states[1]), searched, made - start
