"""Which file of the package stands for which of Go's."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import gorun_mem.runtime

HERE = Path(gorun_mem.runtime.__file__).parent
GO_FILE = re.compile(r"\b[a-z0-9]+(?:_(?:[a-z0-9]+|\*))*\.(?:go|s)\b")
TABLE = gorun_mem.runtime.__doc__ or ""


def rows() -> dict[str, set[str]]:
    """File -> the files of Go's that it stands for, by the package's table."""
    found = {}
    for line in TABLE.splitlines():
        row = re.match(r" {4}([a-z0-9_]+/?) +(\S.*)$", line)
        if row and GO_FILE.search(row[2]):
            found[row[1]] = set(GO_FILE.findall(row[2]))
    return found


def ours() -> set[str]:
    """Files that stand for none."""
    return set(TABLE[TABLE.index("Go has nothing") :].split("\n\n")[1].split())


def files() -> set[str]:
    return {path.stem for path in HERE.glob("*.py") if path.stem != "__init__"} | {"mutex/"}


def named_in(path: Path) -> set[str]:
    """Go's files in the first line of a module."""
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
    return set(GO_FILE.findall(first))


def test_the_table_has_every_file_once() -> None:
    """A file of the package is in the table or among those that stand for none, and in one only."""
    assert set(rows()) | ours() == files()
    assert not set(rows()) & ours()


def test_the_first_line_names_gos_files() -> None:
    """Each file's first line names the files of Go's that the table has for it, and no other; a
    file of ours names none."""
    for name, wanted in rows().items():
        if name == "mutex/":
            named = set().union(*map(named_in, (HERE / "mutex").glob("*.py")))
            assert wanted <= named
        else:
            assert named_in(HERE / f"{name}.py") == wanted, name
    for name in ours():
        assert named_in(HERE / f"{name}.py") == set(), name


def test_a_file_is_told_from_a_function() -> None:
    """What a line names of Go's: files, with a star for the platforms, and no functions."""
    assert GO_FILE.findall("sysInit of mpagealloc_*.go, by mem.go and (*mheap).sysAlloc") == [
        "mpagealloc_*.go", "mem.go",
    ]  # fmt: skip
