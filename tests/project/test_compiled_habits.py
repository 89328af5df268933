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


NARROW = {
    "chunk % SAMPLED_CHUNKS": "a number of runs",
    "chunk % len(FIRST)": "a number of runs",
    "ROUNDS * max(profile.steps.values(), default=0)": "a number of steps",
    "self.slot_bits * place": "a number of bits",
    "slot_bits * to[place]": "a number of bits",
    "8 * (count + 1)": "bytes of a table",
    "4 * len(edges)": "bytes of a table",
    "order * 3": "of a permutation of 4",
    "[0] * (2 * leaves - len(tree))": "a list",
    "[0] * leaves": "a list",
    "2 * leaves": "of a tree over a free list",
    "2 * node": "of a tree over a free list",
    "LOAD // 2": "constants",
    "len(chunk.addrs) // 2": "of a chunk",
    "chunk % len(PORTFOLIO)": "a number of runs",
    "start // CHUNK": "a number of runs",
    "first % CHUNK": "a number of runs",
    "start // CHUNK % SAMPLED_CHUNKS": "a number of runs",
    "task.id % self.cpus": "the divisor is narrow",
    "addr % word": "the divisor is narrow",
    "addr % size": "the divisor is narrow",
    "INTERRUPTS_DRAWN * self._interrupt_every_ns": "floats",
    "self._interrupt_ns * sum(self._interrupts)": "floats",
    "skipped_ns / self._interrupt_every_ns * self._interrupt_mean_ns": "floats",
    "self._wake_ns * draw": "floats",
    "max(total, 0) // 2": "virtual time, which is below 2**62",
    "ns // _MS": "virtual time, which is below 2**62",
    "(ms + _INT32_MAX + 1) % (1 << 32)": "virtual time, which is below 2**62",
    "(ms or 1) * _MS": "no more than what it was made of",
    "one * other": "both are looked at before",
    "n // by": "both are looked at before",
    "n % page": "both are looked at before",
    "-n // page": "both are looked at before",
    "-(-n // page) * page": "both are looked at before",
    "PATH_MAX // 2": "constants",
    "costs[kind if kind in costs else 'other'] * units": "floats",
    "self._invalidate_ns * (others.bit_count() - 1)": "floats",
}
"""Products and quotients in compiled modules, and why none is wider than a machine word. A wide one
by a narrow divisor is none: the interpreter looks for no signal in it."""
DRAWS = frozenset({"random", "_draw", "_distance", "_ties", "uniform"})
"""Calls that give a float, and so a product of floats."""


def is_drawn(node: ast.AST) -> bool:
    """Whether a float is drawn in the expression."""
    calls = (n.func for n in ast.walk(node) if isinstance(n, ast.Call))
    return any(getattr(f, "attr", getattr(f, "id", "")) in DRAWS for f in calls)


def wide_arithmetic(text: str) -> list[tuple[int, str]]:
    """Products, quotients, remainders and powers that nobody has said to be narrow."""
    tree = ast.parse(text)
    if "from mypy_extensions import i64" in text:
        return []  # of machine words, which never leave the compiler's own arithmetic
    operators = (ast.Mult, ast.FloorDiv, ast.Mod, ast.Pow)
    found = []
    for node in ast.walk(tree):
        operator = getattr(node, "op", None)
        called = getattr(getattr(node, "func", None), "id", "")
        if not isinstance(operator, operators) and called not in ("divmod", "pow"):
            continue
        if ast.unparse(node) not in NARROW and not is_drawn(node):
            found.append((getattr(node, "lineno", 0), ast.unparse(node)))
    return found


def test_compiled_code_has_no_wide_products() -> None:
    """A signal that comes in one aborts the process ("out of memory"): the interpreter raises there
    and mypyc's arithmetic has no way out. Use `runtime.wide.times`, i64, or say why it is narrow
    in NARROW."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {expression}"
        for path in compiled()
        for line, expression in wide_arithmetic(path.read_text())
    ]
    assert wrong == []


def test_wide_products_are_seen() -> None:
    """In any form; machine words may be multiplied."""
    text = "x = a * b\ny //= c\nz = divmod(a, b)\nw = 2 ** a\nv = a + b\nu = 2 * node"
    assert sorted(line for line, _ in wide_arithmetic(text)) == [1, 2, 3, 4]
    assert wide_arithmetic("from mypy_extensions import i64\nx: i64 = a * b") == []
