"""Puts the docstrings of Python modules into the C that mypyc makes of them.

mypyc gives each function and class its signature as `__doc__` and leaves out what its docstring
says; Python takes the two apart again at `\\n--\\n\\n`. So here the text goes after that line, for
modules, functions, classes, methods and properties. What the C has no place for is left alone; a
test of the wheel says what has to be there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mypyc.codegen.cstring import encode_bytes_as_c_string

Docs = dict[str, str]
"""Docstrings as C strings, by the name in C: the dotted one with three underscores for a dot."""

_FILLER = r"mypyc\ filler\ docstring"
"""What mypyc says of named tuples, enumerations and dataclasses while it makes them."""
_STRING = r"NULL|\"(?:[^\"\\]|\\.)*\""
_PLACE = re.compile(
    rf"""
    "(?P<module>[\w.]+)",\n\s*(?P<of_module>NULL),\s/\*\ docstring\ \*/
    | CPyPy_(?P<function>\w+),\s*[A-Z_ |]+,\s*PyDoc_STR\((?P<of_function>{_STRING})\)
    | CPyType_(?P<type>\w+)_template_\ =\ \{{[^}}]*?\.tp_doc\ =\ PyDoc_STR\((?P<of_type>{_STRING})\)
    | \(getter\)(?P<getter>\w+),\s*(?:\(setter\)\w+|NULL),\s*(?P<of_getter>NULL),\s*NULL\}}
    | (?P<of_line>CPyStatics\[\d+\]);\ /\*\ '{_FILLER}'\ \*/(?:.*\n){{5}}
      \s*CPy_AddTraceback\((?P<line>"[^"]+",\ "<module>",\ \d+),
    """,
    re.VERBOSE,
)
"""A name in the C and, in the group `of_...`, what is its docstring there."""


def document(sources: Sequence[Path], modules: Sequence[str]) -> None:
    """Rewrite the C files `sources` with the docstrings of `modules`, which are .py files."""
    docs: Docs = {}
    for path in modules:
        tree = ast.parse(Path(path).read_text(encoding="utf-8"))
        dotted = path.removesuffix(".py").removesuffix("/__init__").split("/")
        for where, node, text in _docstrings(tree, dotted):
            docs["___".join(where)] = text
            if isinstance(node, ast.ClassDef):
                docs[f'"{path}", "<module>", {node.lineno}'] = text
    for source in sources:
        text = source.read_text(encoding="utf-8")
        source.write_text(_PLACE.sub(lambda place: _filled(place, docs), text), encoding="utf-8")


def _docstrings(node: ast.AST, where: list[str]) -> Iterator[tuple[list[str], ast.AST, str]]:
    """Each docstring, the node that has it and the path of names to that.

    Of a property's functions the first has it: a setter's is not shown.
    """
    text = ast.get_docstring(node, clean=False)
    if text:
        yield where, node, encode_bytes_as_c_string(text.encode())
    if isinstance(node, ast.Module | ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _docstrings(inner, [*where, inner.name])


def _filled(place: re.Match[str], docs: Docs) -> str:
    """A place in the C, with its docstring if there is one."""
    key = next(key for key, found in place.groupdict().items() if found and key[:3] != "of_")
    name = place[key]
    if key == "getter":
        name = "___".join(name.rsplit("_get_", 1))
    elif key == "module":
        name = name.replace(".", "___")
    if name not in docs:
        return place[0]
    was = place[f"of_{key}"]
    if key == "line":
        now = f'PyUnicode_FromString("{docs[name]}")'
    else:
        now = f'"{was[1:-1] if was != "NULL" else ""}{docs[name]}"'
    start, end = (position - place.start() for position in place.span(f"of_{key}"))
    return place[0][:start] + now + place[0][end:]
