"""`bench compiled`: what each compiled module gains, by leaving it out.

pyproject.toml lists what mypyc compiles when a wheel is built. Here the tree is built with all of
it, and again without each module. A gain is the CPU time of a load without the module over that
with it, both by turns; of each module the load that gains most is told (the loads are `loads`).
A module that gains less than GAIN_MIN on all of them is not worth its part of the time that an
installation takes, unless others cannot be compiled without it, or are slower.

A load runs some of the modules only, which is counted first, in pure Python. So one build leaves
out several modules of which no load runs two, and each is measured by its own loads. Where native
classes of others derive from what is in a module, it is left out alone: mypyc mostly refuses, and
the row says so.

The first row is the whole: pure Python over the compiled tree. `--quick` leaves out whole folders
instead of modules. A build takes 20 to 40 s of CPU, less where ccache is installed; they need the
source tree and a C compiler, and what was installed from a wheel has neither and says so. What is
found is told on stderr as it is found.
"""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gorun_mem.bench import Row
from gorun_mem.bench.loads import LOADS

GAIN_MIN: Final = 1.3
"""What a module must gain on some load to be compiled."""
ROUNDS: Final = 4
"""So many times each, the whole and what is without a module are measured by turns."""
RUNS: Final = 1 / 200
"""A load runs a module if this part of its calls concerns it."""
ROOT: Final = Path(__file__).resolve().parents[2]

Seconds = dict[str, float]
"""CPU seconds by load."""
Parts = dict[str, list[str]]
"""What is left out: modules by what a row calls them."""


class CannotBuild(Exception):
    """mypyc or the C compiler refuses; the message says why."""


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
        return list(_rows(Path(folder), modules, parts))


def _rows(folder: Path, modules: Sequence[str], parts: Parts) -> Iterator[Row]:
    pure = _copy(folder / "pure")
    try:
        whole = _build(folder / "whole", modules)
    except CannotBuild as error:
        yield _unmeasured("all", str(error))
        return
    yield _told(_row(f"all {len(modules)} modules", *_by_turns(pure, whole, list(LOADS))))
    loads = _loads_of(parts, _touches(pure))
    bases = _bases(modules)
    alone = [name for name, part in parts.items() if bases & set(part)]
    left = _apart({name: loads[name] for name in parts if name not in alone})
    left += [[name] for name in alone]
    while left:
        group = left.pop(0)
        out = {one for name in group for one in parts[name]}
        shutil.rmtree(folder / "without", ignore_errors=True)
        try:
            without = _build(folder / "without", [one for one in modules if one not in out])
        except CannotBuild as error:
            if len(group) == 1:
                yield _told(_unmeasured(group[0], f"cannot be left out: {error}"))
            else:
                half = len(group) // 2
                left[:0] = [group[:half], group[half:]]
            continue
        try:
            wanted = [load for load in LOADS if any(load in loads[name] for name in group)]
            slow, fast = _by_turns(without, whole, wanted)
        except subprocess.CalledProcessError as error:
            said = error.stderr.strip().splitlines()
            why = next((line for line in reversed(said) if "Error: " in line), said[-1])
            yield from (_told(_unmeasured(name, why)) for name in group)
            continue
        for name in group:
            theirs = {load: slow[load] for load in loads[name]}
            yield _told(_row(name, theirs, {load: fast[load] for load in theirs}))


def _modules() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    hook = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    return list(hook["modules"])


def _folders(modules: Sequence[str]) -> Parts:
    folders: Parts = {}
    for name in modules:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    return {f"{name}/ ({len(part)})": part for name, part in folders.items()}


def _loads_of(parts: Parts, touches: Mapping[str, Mapping[str, int]]) -> dict[str, list[str]]:
    """The loads that run each part; all where none is seen to, as of what is data only."""
    found = {}
    for name, part in parts.items():
        names = [one.removesuffix(".py").replace("/", ".") for one in part]
        shares = {
            load: sum(calls.get(one, 0) for one in names) / max(sum(calls.values()), 1)
            for load, calls in touches.items()
        }
        most = max(shares.values())
        least = min(RUNS, most)
        found[name] = [load for load, share in shares.items() if share >= least] if most else []
    return {name: loads or list(LOADS) for name, loads in found.items()}


def _apart(loads: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups of parts of which no load runs two."""
    groups: list[tuple[list[str], set[str]]] = []
    for name in sorted(loads, key=lambda name: -len(list(loads[name]))):
        wanted = set(loads[name])
        group = next((one for one in groups if not one[1] & wanted), None)
        if group is None:
            groups.append(([name], wanted))
        else:
            group[0].append(name)
            group[1].update(wanted)
    return [names for names, _ in groups]


def _bases(modules: Sequence[str]) -> set[str]:
    """Those that have a class from which a class of another of them derives."""
    found = set()
    for module in modules:
        tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
        imported = {
            name.asname or name.name: f"{node.module.replace('.', '/')}.py"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for name in node.names
        }
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        names = {base.id for one in classes for base in one.bases if isinstance(base, ast.Name)}
        found |= {imported[name] for name in names if name in imported}
    return found & set(modules)


def _copy(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
    shutil.copytree(ROOT / "gorun_mem", folder / "gorun_mem", ignore=ignored)
    shutil.copytree(ROOT / "scenarios", folder / "gorun_mem" / "scenarios", ignore=ignored)
    return folder


def _build(folder: Path, modules: Sequence[str]) -> Path:
    """The tree in `folder`, with `modules` compiled.

    Raises:
        CannotBuild: mypyc or the C compiler refuses.
    """
    _copy(folder)
    environment = os.environ | {"MYPY_CACHE_DIR": str(folder.parent / "mypy")}
    if shutil.which("ccache"):
        compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
        if Path(shlex.split(compiler)[0]).name != "ccache":
            environment |= {"CC": f"ccache {compiler}", "CCACHE_NOHASHDIR": "1"}
    command = [sys.executable, str(ROOT / ".build" / "compiling.py"), *modules]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        last = lines[-1] if lines else "failed"
        raise CannotBuild(next((one for one in lines if "rror: " in one), last))
    shutil.rmtree(folder / "build", ignore_errors=True)
    return folder


def _touches(folder: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = _loads(folder, "--touches")
    return found


def _by_turns(slow: Path, fast: Path, loads: Sequence[str]) -> tuple[Seconds, Seconds]:
    """The least time of each load in either tree; now the one goes first, now the other."""
    found: tuple[Seconds, Seconds] = {}, {}
    turns = [(slow, found[0]), (fast, found[1])]
    for _ in range(ROUNDS):
        turns.reverse()
        for folder, least in turns:
            for load, seconds in _loads(folder, *loads).items():
                least[load] = min(least.get(load, seconds), seconds)
    return found


def _loads(folder: Path, *arguments: str) -> dict[str, Any]:
    """What `loads` says in a Python of its own that finds the package in `folder`."""
    command = [sys.executable, "-m", "gorun_mem.bench.loads", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


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


def _told(row: Row) -> Row:
    """The row, told on stderr: all of them take long."""
    gain = f"{row.ratio:.2f} ({row.unit.removeprefix('s, ')})" if row.ratio else row.peer
    sys.stderr.write(f"{row.name}: {gain}\n")
    sys.stderr.flush()
    return row
