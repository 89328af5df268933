"""What is right in Python and goes wrong once compiled."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from tests import ROOT


def compiled() -> list[Path]:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    names = tool["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    return [ROOT / name for name in names]


def named_alike(text: str) -> list[int]:
    """Lines of `except ... as name` where the function caught another type by that name before."""
    found = []
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        types: dict[str, str] = {}
        for node in ast.walk(function):
            if not isinstance(node, ast.ExceptHandler) or not node.name or not node.type:
                continue
            caught = ast.unparse(node.type)
            if types.setdefault(node.name, caught) != caught:
                found.append(node.lineno)
    return found


def test_no_two_types_are_caught_by_one_name() -> None:
    """mypyc takes the first for the type of both: the second is a TypeError when it comes."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in compiled()
        for line in named_alike(path.read_text())
    ]
    assert wrong == []


def test_such_names_are_seen() -> None:
    """In one function; two functions may use one name."""
    alike = "def f():\n try: pass\n except A as e: pass\n except B as e: pass"
    assert named_alike(alike) == [4]
    assert named_alike(alike.replace("B as e", "B as other")) == []
