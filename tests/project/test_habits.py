"""The habits that every change keeps: types, lint, format, layers, dependencies."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import ROOT

PACKAGE = ROOT / "gorun_mem"

# Which packages each may import, from design: arrows point downwards only.
LAYERS = {
    "files": set(),
    "runtime": set(),
    "wasm": set(),
    "events": {"runtime"},
    "step": {"runtime"},
    "scripts": {"runtime"},
    "sync": {"runtime"},
    "locks": {"runtime", "scripts", "sync"},
    "policies": {"runtime", "scripts"},
    "machine": {"runtime", "events", "locks", "policies", "scripts", "step"},
    "calibration": {"runtime", "step", "machine"},
    "explore": {"runtime", "events", "scripts", "locks", "policies", "step", "sync", "machine"},
    "replay": {"runtime", "events", "step", "machine"},
    "predict": {"runtime", "policies", "replay", "step"},
    "record": {"runtime", "wasm", "replay", "predict"},
    "analysis": {"runtime", "events"},
    "report": {"analysis", "events"},
    "export": {"runtime", "events", "analysis", "predict"},
    "sweep": {
        "files",
        "runtime",
        "events",
        "step",
        "machine",
        "explore",
        "replay",
        "scripts",
        "predict",
        "analysis",
        "report",
        "export",
    },
    "testing": {"runtime", "events", "locks", "step", "machine", "explore", "cli", "replay"},
}
LEAVES = {
    "gorun_mem._interrupts", "gorun_mem._version", "gorun_mem._near", "gorun_mem._notebook",
}  # fmt: skip
WITHOUT_FILES = {"runtime", "wasm"}


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
            if target == "files" and layer not in WITHOUT_FILES:
                continue
            if target != layer and target not in LAYERS[layer]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("layer", ["runtime", "step", "wasm"])
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


def classes() -> dict[str, list[str]]:
    """Class name -> where the package defines it."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    return found


def test_a_class_name_has_one_meaning() -> None:
    """No two classes of the package have one name."""
    assert {name: places for name, places in classes().items() if len(places) > 1} == {}


def private_imports(tree: ast.AST, package: str) -> list[tuple[int, str]]:
    """Line and name of what a module of `package` imports that another package keeps private."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            top, *parts = name.split(".")
            if top != "gorun_mem" or ".".join([top, *parts[:1]]) in LEAVES:
                continue
            private = any(part.startswith("_") and not part.endswith("__") for part in parts)
            if private and parts[0] != package:
                found.append((node.lineno, name))
    return found


def test_no_package_imports_what_another_keeps_private() -> None:
    """A name with an underscore is its package's own; imports for type checking count too."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, name in private_imports(
            ast.parse(path.read_text()), path.relative_to(PACKAGE).parts[0]
        )
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [
        ("from gorun_mem.cli._common import Number", True),
        ("from gorun_mem.machine.world import _holders", True),
        ("import gorun_mem.cli._exit", True),
        ("from gorun_mem.report.page import _cells", False),
        ("from gorun_mem._version import VERSION", False),
        ("from gorun_mem.machine.world import __doc__", False),
    ],
)
def test_a_private_import_is_seen(text: str, is_wrong: bool) -> None:
    """From a private module as of a private name; what is the package's own is no other's."""
    assert bool(private_imports(ast.parse(text), "report")) is is_wrong


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


PURE = {
    "all", "any", "callable", "hasattr", "hash", "isinstance", "issubclass", "len", "max", "min",
    "set", "sorted", "sum", "type",
}  # fmt: skip
"""Functions that an assert may call."""


def lazy_properties() -> set[str]:
    """The names of properties that make something when they are first asked for."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef) or not any(
                "property" in ast.unparse(mark) for mark in node.decorator_list
            ):
                continue
            writes = any(
                isinstance(inner, ast.Attribute | ast.Subscript)
                and isinstance(inner.ctx, ast.Store | ast.Del)
                for inner in ast.walk(node)
            )
            calls_itself = any(
                isinstance(inner, ast.Call) and ast.unparse(inner.func).startswith("self._")
                for inner in ast.walk(node)
            )
            if writes or calls_itself:
                found.add(node.name)
    return found


def effects_of(tree: ast.AST, lazy: set[str]) -> list[tuple[int, str]]:
    """Line and text of each assert that does more than look."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assert):
            continue
        for inner in ast.walk(node):
            called = isinstance(inner, ast.Call) and ast.unparse(inner.func) not in PURE
            does = isinstance(inner, ast.Await | ast.NamedExpr | ast.Yield | ast.YieldFrom)
            if called or does or (isinstance(inner, ast.Attribute) and inner.attr in lazy):
                found.append((node.lineno, ast.unparse(node)))
                break
    return found


def test_an_assert_has_no_effect() -> None:
    """Under -O it is not there: nothing may follow from its having been."""
    lazy = lazy_properties()
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for folder in (PACKAGE, ROOT / "scenarios")
        for path in sorted(folder.rglob("*.py"))
        for line, text in effects_of(ast.parse(path.read_text()), lazy)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("assert await m.load(a) == m.id", True),
        ("assert (n := f) is not None", True),
        ("assert self.runtime is not None", True),
        ("assert html.write(page)", True),
        ("assert x, f'{file.read()} is empty'", True),
        ("assert isinstance(m, Task) and len(a) == 2", False),
        ("assert self._task is not None, f'M{m.id}'", False),
    ],
)
def test_an_effect_is_seen(text: str, has: bool) -> None:
    """In the condition and in the message; a look at what is there is none."""
    assert bool(effects_of(ast.parse(f"async def f():\n {text}"), lazy_properties())) is has


def test_what_the_package_is_run_for_does_not_hang_on_asserts() -> None:
    """Kernels and the planted bug raise what they find: `python -O` finds the same."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in [*sorted((PACKAGE / "explore" / "kernels").glob("*.py")), CANARY]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
        and "isinstance" not in ast.unparse(node.test)
        and "is not None" not in ast.unparse(node.test)
    ]
    assert found == []


CANARY = PACKAGE / "explore" / "canary.py"
