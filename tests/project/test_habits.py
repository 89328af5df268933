"""The habits that every change keeps: types, lint, format, layers, dependencies."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "gorun_mem"

# Which packages each may import, from design: arrows point downwards only.
LAYERS = {
    "runtime": set(),
    "wasm": set(),
    "formats": {"runtime"},
    "events": {"runtime"},
    "sched": {"runtime"},
    "machine": {"runtime", "formats", "events", "sched"},
    "explore": {"runtime", "formats", "events", "sched", "machine"},
    "replay": {"runtime", "formats", "events", "sched", "machine"},
    "predict": {"runtime", "formats"},
    "record": {"runtime", "formats", "wasm", "replay", "predict"},
    "analysis": {"runtime", "events"},
    "report": {"analysis", "events"},
    "export": {"runtime", "events", "analysis"},
}
LEAVES = {"gorun_mem._version"}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "command",
    [("mypy",), ("ruff", "check", "."), ("ruff", "format", "--check", ".")],
    ids=["mypy", "lint", "format"],
)
def test_the_tree_passes(command: tuple[str, ...]) -> None:
    """mypy strict, the linter and the formatter have nothing to say."""
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


def imports_of(path: Path) -> set[str]:
    """The gorun_mem packages that a module imports, leaving out imports for type checking."""
    found = set()
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_imports_point_downwards(layer: str) -> None:
    """No module of a layer imports from a layer above it."""
    wrong = []
    for path in sorted((PACKAGE / layer).rglob("*.py")):
        for name in imports_of(path):
            if not name.startswith("gorun_mem.") or name in LEAVES:
                continue
            target = name.split(".")[1]
            if target != layer and target not in LAYERS[layer]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("layer", ["runtime", "sched", "wasm"])
def test_the_emulated_runtime_does_no_io(layer: str) -> None:
    """The runtime and the engine import nothing that reads, writes, waits or tells the time."""
    banned = {"trio", "time", "os", "io", "socket", "logging", "structlog", "threading", "asyncio"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((PACKAGE / layer).rglob("*.py"))
        for name in imports_of(path)
        if name.split(".")[0] in banned
    ]
    assert not wrong, "\n".join(wrong)


def test_every_dependency_is_used_and_every_import_is_declared() -> None:
    """What the package imports from outside is what pyproject names, no more and no less."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = {
        re.split(r"[><=\[]", item)[0].strip().replace("-", "_") for item in project["dependencies"]
    }
    optional = {re.split(r"[><=\[]", item)[0].strip() for name in extras for item in extras[name]}
    imported = {
        name.split(".")[0] for path in PACKAGE.rglob("*.py") for name in imports_of(path)
    } - set(sys.stdlib_module_names)
    imported -= {"gorun_mem"}
    comes_with_trio = {"outcome"}
    comes_with_pytest = {"_pytest"}
    unknown = imported - named - optional - comes_with_trio - comes_with_pytest
    assert not {name for name in unknown if name not in {"frontrun", "simloom"}}
    assert named <= imported


def test_nothing_but_the_agreed_stands_at_the_top() -> None:
    """The repository's top level is the one that the packaging expects."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    top = {name.split("/")[0] for name in tracked.stdout.split()}
    allowed = {
        "LICENSE", "README.md", "gorun_mem", "pyproject.toml", "requirements.lock", "scenarios",
        "tests",
    }  # fmt: skip
    assert {name for name in top if not name.startswith(".")} <= allowed


def compiled_modules() -> list[Path]:
    """The modules that a wheel has compiled."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    names = tool["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    return [ROOT / name for name in names]


def test_what_is_compiled_is_there_in_order() -> None:
    """Every module named exists, and none is a package's __init__, which other modules import."""
    modules = compiled_modules()
    assert modules == sorted(modules)
    assert [module for module in modules if not module.is_file()] == []


def test_a_compiled_class_is_inherited_from_only_where_it_allows_that() -> None:
    """mypyc forbids it otherwise, and only a run of the wheel would show it."""
    compiled = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in compiled_modules()
    }
    allowed = {
        (".".join(path.relative_to(ROOT).with_suffix("").parts), node.name)
        for path in compiled_modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any("allow_interpreted" in ast.unparse(mark) for mark in node.decorator_list)
    }
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path in compiled_modules():
            continue
        tree = ast.parse(path.read_text())
        origin = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for node in ast.walk(tree):
            for base in node.bases if isinstance(node, ast.ClassDef) else ():
                of = origin.get(ast.unparse(base))
                if of is not None and of[0] in compiled and of not in allowed:
                    wrong.append(f"{path.relative_to(ROOT)}: {ast.unparse(base)} of {of[0]}")
    assert wrong == []
