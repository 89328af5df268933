"""`bench record --app APP.wasm`: a recorded run beside the plain run of the same program.

Both run on the host that `record` takes, the plain one without a hook, by turns; counted is the CPU
time of the host's process, its start and the compilation of the binary included. What comes after
the run, the replay, is not counted.
"""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path
from typing import Final

from gorun_mem.bench import Row
from gorun_mem.record.prepare import PreparedApp, prepare, without_hooks
from gorun_mem.record.run import HostMissing, RecordSettings, execute
from gorun_mem.wasm.errors import WasmError

TIMES_MAX: Final = {
    ("js/wasm", "heap"): 1.3,
    ("js/wasm", "span"): 1.3,
    ("wasip1/wasm", "heap"): 1.3,
    ("wasip1/wasm", "span"): 2.5,
}
"""How many times the plain run's CPU time a recorded one may take."""
ROUNDS: Final = 5


def run(*, quick: bool = False, app: str = "") -> list[Row]:
    """Measure.

    Args:
        quick: one round; the figures are then rough.
        app: path of a Go wasm binary that runs without arguments, for a second or more.

    Raises:
        ValueError: there is none, it cannot be recorded, or its host is not installed.
    """
    if not app:
        raise ValueError("bench record runs a program of yours: --app APP.wasm")
    try:
        data = Path(app).read_bytes()
        apps = {"plain": without_hooks(data)}
        apps |= {level: prepare(data, level) for level in ("heap", "span")}
        cpu_s = _by_turns(apps, Path(app).stem, 1 if quick else ROUNDS)
    except (OSError, WasmError, HostMissing) as error:
        raise ValueError(f"{app}: {error}") from None
    platform, plain_s = apps["plain"].platform, cpu_s["plain"]
    return [
        Row(
            name=f"{platform}, level {level}",
            figure=cpu_s[level],
            unit="s of CPU",
            peer="the plain run",
            peer_figure=plain_s,
            ratio=plain_s / cpu_s[level],
            target=f"at most {TIMES_MAX[platform, level]} times",
            ok=cpu_s[level] <= TIMES_MAX[platform, level] * plain_s,
        )
        for level in ("heap", "span")
    ]


def _by_turns(apps: dict[str, PreparedApp], name: str, rounds: int) -> dict[str, float]:
    """The least CPU time of each, in seconds."""
    best: dict[str, float] = {}
    with open(os.devnull, "wb") as sink:
        settings = RecordSettings(argv=[name], stdout=sink.fileno())
        for _ in range(rounds):
            for level, app in apps.items():
                with tempfile.TemporaryDirectory(prefix="gorun_mem-") as folder:
                    before = _children_s()
                    execute(app, Path(folder), settings)
                    best[level] = min(best.get(level, 1e9), _children_s() - before)
    return best


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
