"""No circle of imports inside a package, imports for types only counted."""

from __future__ import annotations

import ast

import pytest

from tests import PACKAGE

PACKAGES = sorted({path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()})

Graph = dict[str, set[str]]


def graph(sources: dict[str, str]) -> Graph:
    """Which of the modules, given with their text, imports which."""
    found: Graph = {name: set() for name in sources}
    for name, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [each if _own(each) in sources else node.module for each in whole]
            else:
                continue
            found[name] |= {_own(target) for target in targets} & set(sources) - {name}
    return found


def _own(name: str) -> str:
    return name.removeprefix("gorun_mem.")


def on_circles(imports: Graph) -> set[str]:
    """The modules from which imports lead back to themselves."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        left = list(imports[start])
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                left += imports[name]
        return seen

    return {name for name in imports if name in reached(name)}


def sources_of(package: str) -> dict[str, str]:
    """The modules of a package by name, with their text."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): (
            path.read_text()
        )
        for path in sorted((PACKAGE / package).rglob("*.py"))
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_by_way_of_others(package: str) -> None:
    """In the package, whether at import, in a function or for types only."""
    imports = graph(sources_of(package))
    found = on_circles(imports)
    assert not found, "\n".join(f"{name} imports {imports[name] & found}" for name in sorted(found))


def test_no_module_of_the_whole_package_does() -> None:
    """Across packages too, and over what lies beside them."""
    assert on_circles(graph(sources_of(""))) == set()


BELOW = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gorun_mem.p.above import A"
LAZY = "def f():\n    import gorun_mem.p.above"


@pytest.mark.parametrize("below", [BELOW, LAZY], ids=["types", "function"])
def test_a_circle_is_seen(below: str) -> None:
    """Closed for types only, or in a function; and none where the import back is not there."""
    above = "from gorun_mem.p import below"
    aside = {"p.aside": "from gorun_mem.p import above, below"}
    assert on_circles(graph({"p.above": above, "p.below": below, **aside})) == {
        "p.above", "p.below",
    }  # fmt: skip
    assert on_circles(graph({"p.above": above, "p.below": "import os", **aside})) == set()
