"""What is reported by name is an event, with as many fields as it has."""

from __future__ import annotations

import ast

import pytest

from gorun_mem.events.methods import check_report
from gorun_mem.events.recorder import METHODS
from tests import PACKAGE, ROOT


def misreported(tree: ast.AST) -> list[str]:
    """What is wrong with the calls of `report` that name an event."""
    wrong = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        named = node.args[0] if node.args else None
        if node.func.attr != "report" or not isinstance(named, ast.Constant):
            continue
        event = str(named.value)
        try:
            check_report(event, METHODS.get(event.replace(".", "_")), len(node.args) - 1)
        except TypeError as error:
            wrong.append(f"{node.lineno}: {error}")
    return wrong


def test_every_report_names_an_event() -> None:
    """In the package and in the scenarios, wherever nobody would see it but a run with a log."""
    for folder in (PACKAGE, ROOT / "scenarios"):
        for path in sorted(folder.rglob("*.py")):
            assert misreported(ast.parse(path.read_text())) == [], path


@pytest.mark.parametrize(
    ("call", "is_wrong"),
    [
        ("sink.report('arena.hint_new', addr, True)", False),
        ("sink.report('arena.hint_new', addr)", True),
        ("sink.report('arena.hint_old', addr, True)", True),
        ("self.sink.report('m.park', 1, 'a note', 2)", False),
        ("page.report(event, 1)", False),
    ],
)
def test_a_wrong_report_is_seen(call: str, is_wrong: bool) -> None:
    """Another name, and another number of fields; what names no event is no such call."""
    assert bool(misreported(ast.parse(call))) is is_wrong
