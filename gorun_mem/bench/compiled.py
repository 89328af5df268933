"""`bench compiled`: what each compiled module gains, by leaving it out.

pyproject.toml lists what mypyc compiles when a wheel is built. Here the tree is built with all of
it, and once more without each module; where native classes of others derive from what is in it,
mypyc refuses to leave it out, and the row says so. A gain is the CPU time of a load without the
module over that with it, and of each module the load that gains most is told:

    contended lock      8 Ms at one spinbit lock in virtual time
    one M's calls       sysAllocOS and sysFreeOS of a lone M
    drawn schedules     a search that draws: 4 Ms of 25 operations
    every schedule      a search of all classes of schedules: 3 Ms under a lock
    a log's locks       what the analysis makes of waits, acquisitions and releases, once decoded
    a log's calls       likewise of calls that returned and of the free list

A module that gains less than GAIN_MIN on all of them is not worth its part of the time that an
installation takes. The first row is the whole: pure Python over the compiled tree. `--quick` leaves
out whole folders instead of modules. It takes a build a row, 20 to 40 s of CPU each, the source
tree and a C compiler; what was installed from a wheel has neither and says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gorun_mem.bench import Row

if TYPE_CHECKING:
    from gorun_mem.events.types import LogEvent

GAIN_MIN: Final = 1.3
"""What a module must gain on some load to be compiled."""
TURNS: Final = 3
"""The least time of so many runs of a load counts."""
ROOT: Final = Path(__file__).resolve().parents[2]

Seconds = dict[str, float]
"""CPU seconds by load."""


def run(*, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        quick: leave out folders, not single modules.
    """
    compiling = ROOT / ".build" / "compiling.py"
    if not compiling.is_file():
        return [_unmeasured("all", "the source tree is not here: run it in a checkout")]
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        return [_unmeasured("all", "there is no C compiler")]
    modules = _modules()
    parts = _folders(modules) if quick else {name: [name] for name in modules}
    with tempfile.TemporaryDirectory(prefix="gorun_mem-") as folder:
        pure = _copy(Path(folder, "pure"))
        whole = _build(Path(folder, "whole"), modules)
        rows = []
        if isinstance(whole, str):
            return [_unmeasured("all", whole)]
        best = {"pure": _measure(pure), "whole": _measure(whole)}
        rows.append(_row(f"all {len(modules)} modules", best["pure"], best["whole"]))
        for name, part in parts.items():
            shutil.rmtree(Path(folder, "without"), ignore_errors=True)
            built = _build(Path(folder, "without"), [one for one in modules if one not in part])
            if isinstance(built, str):
                rows.append(_unmeasured(name, built))
            else:
                rows.append(_row(name, _measure(built), best["whole"]))
        return rows


def _modules() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    hook = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    return list(hook["modules"])


def _folders(modules: Sequence[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for name in modules:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    return {f"{name}/ ({len(part)})": part for name, part in folders.items()}


def _copy(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
    shutil.copytree(ROOT / "gorun_mem", folder / "gorun_mem", ignore=ignored)
    shutil.copytree(ROOT / "scenarios", folder / "gorun_mem" / "scenarios", ignore=ignored)
    return folder


def _build(folder: Path, modules: Sequence[str]) -> Path | str:
    """The tree in `folder`, with `modules` compiled; or why that cannot be."""
    _copy(folder)
    command = [sys.executable, str(ROOT / ".build" / "compiling.py"), *modules]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        return next((line for line in lines if "error:" in line), lines[-1] if lines else "failed")
    shutil.rmtree(folder / "build", ignore_errors=True)
    return folder


def _measure(folder: Path) -> Seconds:
    """The loads in a Python of its own that finds the package in `folder`."""
    command = [sys.executable, "-m", "gorun_mem.bench.compiled"]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seconds: Seconds = json.loads(done.stdout)
    return seconds


def _row(name: str, without: Mapping[str, float], whole: Mapping[str, float]) -> Row:
    gains = {load: without[load] / whole[load] for load in whole}
    most = max(gains, key=gains.__getitem__)
    return Row(
        name=name,
        figure=without[most],
        unit=f"s, {most}",
        peer="all compiled",
        peer_figure=whole[most],
        ratio=gains[most],
        target=f"gains at least {GAIN_MIN:g}",
        ok=gains[most] >= GAIN_MIN,
    )


def _unmeasured(name: str, why: str) -> Row:
    return Row(name=name, figure=0.0, unit="s", peer=f"not measured: {why}")


# The loads.


def _contended() -> None:
    from gorun_mem.bench.contention import Case, contend

    contend(Case("spinbit", 8, 4), 16_000)


def _calls() -> None:
    from gorun_mem.runtime.behaviour import NEWEST, release
    from gorun_mem.runtime.boot import boot
    from gorun_mem.runtime.mutex import make
    from gorun_mem.step.solo import SoloM, solo

    known = release(NEWEST)
    layer = boot(known, known.platform("js/wasm"), memlock=make("js", known)).os
    m = SoloM()
    for _ in range(8_000):
        blocks = [solo(layer.sys_alloc_os(n << 16), m) for n in (1, 2, 3)]
        for n, block in zip((1, 2, 3), blocks, strict=True):
            solo(layer.sys_free_os(block, n << 16), m)


def _drawn() -> None:
    from gorun_mem.bench.explore import atomic_target
    from gorun_mem.explore.worker import Worker

    Worker(atomic_target(4, 25), steps_max=10_000).draw("random", 0, 1_500)


def _every() -> None:
    from gorun_mem.bench.explore import locked_target
    from gorun_mem.explore import explore

    explore(locked_target(3, 3), strategy="exhaustive", budget=4_000, canary=False)


def _locks_of_a_log() -> None:
    _analyse("lock.")


def _calls_of_a_log() -> None:
    _analyse("mem.", "freelist.")


def _analyse(*wanted: str) -> None:
    from gorun_mem.analysis.whole import LogAnalysis

    events = _events_of(wanted)
    for _ in range(4):
        LogAnalysis.of(events)


@cache
def _events_of(wanted: tuple[str, ...]) -> list[LogEvent]:
    from gorun_mem.bench.analysis import synthesise
    from gorun_mem.events.reader import read_events

    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        synthesise(Path(file.name), 60_000)
        events = read_events(file.name)
        return [event for event in events if event.name.startswith(("run.", *wanted))]


LOADS: Final[dict[str, Callable[[], None]]] = {
    "contended lock": _contended,
    "one M's calls": _calls,
    "drawn schedules": _drawn,
    "every schedule": _every,
    "a log's locks": _locks_of_a_log,
    "a log's calls": _calls_of_a_log,
}


def main() -> None:
    """Run the loads of this tree, and write their CPU seconds to stdout as JSON."""
    found = {name: min(_seconds(load) for _ in range(TURNS)) for name, load in LOADS.items()}
    json.dump(found, sys.stdout)


def _seconds(load: Callable[[], None]) -> float:
    start = time.process_time()
    load()
    return time.process_time() - start


if __name__ == "__main__":
    main()
