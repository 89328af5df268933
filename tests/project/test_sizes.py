"""How large functions and files may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests import ROOT

PACKAGE = ROOT / "gorun_mem"

LINES_MAX = 70
PARAMETERS_MAX = 8
FILE_LINES_MAX = 450


def functions(tree: ast.AST) -> Iterator[tuple[str, int, int]]:
    """Name, lines and parameters (without self) of each function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            of = node.args
            names = [arg.arg for arg in (*of.posonlyargs, *of.args, *of.kwonlyargs)]
            own = names[1:] if names[:1] in (["self"], ["cls"]) else names
            yield node.name, (node.end_lineno or 0) - node.lineno + 1, len(own)


def all_functions(*folders: str) -> Iterator[tuple[str, int, int]]:
    for folder in folders or ("",):
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            for name, lines, parameters in functions(ast.parse(path.read_text())):
                yield f"{path.relative_to(PACKAGE)}:{name}", lines, parameters


def test_no_function_is_longer_than_a_page() -> None:
    """At most 70 lines, docstring and signature included."""
    long = {name for name, lines, _ in all_functions() if lines > LINES_MAX}
    assert long == set()


def test_no_function_takes_more_than_eight() -> None:
    """What belongs together is one object, in the runtime, the log and the engine."""
    many = {
        name
        for name, _, parameters in all_functions("runtime", "events", "step")
        if parameters > PARAMETERS_MAX
    }
    assert many == set()


def long_files() -> dict[str, int]:
    """The files that are longer than FILE_LINES_MAX, with their lines."""
    return {
        str(path.relative_to(ROOT)): lines
        for folder in (PACKAGE, ROOT / "scenarios", ROOT / "tests")
        for path in folder.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > FILE_LINES_MAX
    }


WHOLE = {
    "gorun_mem/runtime/mutex/spinbit.py": "one lock, which is one file of Go's: a lock is one file",
    "tests/explore/kernels/shapes.py": "one table of small programs, each beside its twin",
    "tests/web/test_browser.py": "one browser, which is started once for all that is asked of it",
}
"""Files that are longer, and why each is one thing."""


def test_files_are_short() -> None:
    """A file that grows longer is split at a seam, unless it has none."""
    assert long_files().keys() == WHOLE.keys()


def test_a_large_function_is_seen() -> None:
    """Methods and nested functions too; `self` is no parameter, keywords are."""
    text = "class A:\n def f(self, a, *, b):\n  def g(x, /):\n   pass\n"
    assert list(functions(ast.parse(text))) == [("f", 3, 2), ("g", 2, 1)]
