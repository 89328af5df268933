"""The steps of operations are made in one loop, wherever one looks."""

from __future__ import annotations

import ast

from tests import PACKAGE


def handles_marks(text: str) -> bool:
    """Whether a module looks at what a step returned to see if another follows, in a loop."""
    return any(
        isinstance(node, ast.Compare) and ast.unparse(node) == "result is MORE"
        for loop in ast.walk(ast.parse(text))
        if isinstance(loop, ast.While)
        for node in ast.walk(loop)
    )


def test_no_other_module_has_one() -> None:
    """Whoever asks in a loop whether the step was the last of its operation is a fifth loop."""
    found = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if handles_marks(path.read_text())
    ]
    assert found == ["step/loop.py"]
    assert handles_marks("while True:\n    if result is MORE:\n        continue")
