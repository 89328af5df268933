"""Runs functions of Go's runtime, read from its source, one access at a time.

A function runs as a generator that stops before each access that another thread could see and
wherever else the builtins stop it; the builtins are what Go writes in assembly, or the kernel does.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

from tests.runtime.mutex.go_syntax import Function, Node, Parser

Running = Generator[str, None, Any]
ACCESS: Final = "access"
"""What is yielded before an access."""


class Thrown(Exception):
    """Go's throw."""


class Fault(Exception):
    """A nil pointer was followed."""


class Struct:
    """A struct of Go's: its fields.

    Args:
        fields: with their values.
    """

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no field {name}")


class Shared(Struct):
    """One whose fields several threads use: each look at one is an access."""


class Quiet:
    """Something whose methods do nothing that matters here."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


class Reference:
    """The address of a field.

    Args:
        of: the struct.
        field: its name.
    """

    def __init__(self, of: Any, field: str) -> None:
        self.of = of
        self.field = field

    def get(self) -> Any:
        """What is there."""
        return getattr(self.of, self.field)

    def set(self, value: Any) -> None:
        """Put it there."""
        setattr(self.of, self.field, value)


class Scope(dict[str, Any]):
    """Variables of a block, and of those around it."""

    def __init__(self, around: Scope | None = None) -> None:
        super().__init__()
        self.around = around

    def find(self, name: str) -> Scope | None:
        """The scope that has a variable."""
        scope: Scope | None = self
        while scope is not None and name not in scope:
            scope = scope.around
        return scope


class Jump:
    """How a statement ends that does not go on with the next.

    Args:
        kind: "break", "continue", "goto" or "return".
        value: the label, or what is returned.
    """

    def __init__(self, kind: str, value: Any = "") -> None:
        self.kind = kind
        self.value = value

    def leaves(self, kind: str, label: str) -> bool:
        """Whether it breaks, or continues, the statement with this label."""
        return self.kind == kind and self.value in ("", label)


def _divided(a: int, b: int) -> int:
    """Go's division cuts towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divided, "%": operator.mod,
    "&": operator.and_, "|": operator.or_, "^": operator.xor, "&^": lambda a, b: a & ~b,
    "<<": operator.lshift, ">>": operator.rshift, "==": lambda a, b: a is b or a == b,
    "!=": lambda a, b: not (a is b or a == b), "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
ZERO: Final = {"bool": False, "string": ""}
"""Zero values; a pointer's is None and a number's 0."""


class Program:
    """Functions and constants of some files.

    Args:
        texts: the files; of two declarations the first counts.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self._functions: dict[str, Function | None] = {}
        self._constants = self._read_constants()

    def function(self, name: str) -> Function | None:
        """A function by its name; None where there is none."""
        if name not in self._functions:
            self._functions[name] = None
            for text in self.texts:
                match = re.search(rf"^func {name}\(.*?^}}", text, re.MULTILINE | re.DOTALL)
                if match is not None:
                    self._functions[name] = Parser(match.group()).function()
                    break
        return self._functions[name]

    def constant(self, name: str) -> Node | None:
        """What a constant is defined as."""
        return self._constants.get(name)

    def _read_constants(self) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for text in self.texts:
            for block in re.findall(r"^const \((.*?)^\)", text, re.MULTILINE | re.DOTALL):
                for name, value in re.findall(r"^\t(\w+)[ \w]*= *(.*)$", block, re.MULTILINE):
                    if "iota" not in value:
                        found.setdefault(name, Parser(value).expression(True))
        return found


class Thread:
    """What runs Go's functions.

    Args:
        program: where they are from.
        builtins: what is not run from its source: name -> function, or generator function.
        globals: package variables.
    """

    def __init__(
        self, program: Program, builtins: dict[str, Callable[..., Any]], globals: dict[str, Any]
    ) -> None:
        self.program = program
        self.builtins = builtins
        self.globals = globals
        self.running: list[str] = []
        """The functions that it is in."""

    def call(self, name: str, *args: Any) -> Running:
        """Run a function."""
        function = self.program.function(name)
        if function is None:
            raise NotImplementedError(f"Go's function {name}")
        self.running.append(name)
        scope = Scope()
        scope.update(zip(function.params, args, strict=True))
        jump = yield from self._block(function.body, scope)
        self.running.pop()
        return jump.value if jump is not None else None

    # Statements

    def _block(self, node: Node, scope: Scope) -> Generator[str, None, Jump | None]:
        scope = Scope(scope)
        at = 0
        while at < len(node.parts):
            jump = yield from self._statement(node.parts[at], scope, "")
            at += 1
            if jump is None:
                continue
            labels = [one.parts[0] if one.kind == "label" else "" for one in node.parts]
            if jump.kind != "goto" or jump.value not in labels:
                return jump
            at = labels.index(jump.value)
        return None

    def _statement(self, node: Node, scope: Scope, label: str) -> Generator[str, None, Jump | None]:
        kind, parts = node.kind, node.parts
        if kind == "block":
            return (yield from self._block(node, scope))
        if kind == "label":
            return (yield from self._statement(parts[1], scope, parts[0]))
        if kind == "if":
            return (yield from self._if(parts, Scope(scope)))
        if kind == "for":
            return (yield from self._for(parts, Scope(scope), label))
        if kind == "switch":
            return (yield from self._switch(parts, scope, label))
        if kind in ("goto", "break", "continue"):
            return Jump(kind, parts[0])
        if kind == "return":
            return Jump(kind, (yield from self._value(parts[0], scope)) if parts else None)
        if kind == "expression":
            yield from self._value(parts[0], scope)
        elif kind == "var":
            names, type_name, values = parts
            zero = None if type_name.startswith("*") else ZERO.get(type_name, 0)
            for at, name in enumerate(names):
                scope[name] = (yield from self._value(values[at], scope)) if values else zero
        else:
            yield from self._assign(kind, parts, scope)
        return None

    def _if(self, parts: Any, scope: Scope) -> Generator[str, None, Jump | None]:
        before, test, then, other = parts
        if before is not None:
            yield from self._statement(before, scope, "")
        if (yield from self._value(test, scope)):
            return (yield from self._block(then, scope))
        return (yield from self._statement(other, scope, "")) if other is not None else None

    def _for(self, parts: Any, scope: Scope, label: str) -> Generator[str, None, Jump | None]:
        before, test, after, body = parts
        if before is not None:
            yield from self._statement(before, scope, "")
        while test is None or (yield from self._value(test, scope)):
            jump = yield from self._block(body, scope)
            if jump is not None and jump.leaves("break", label):
                break
            if jump is not None and not jump.leaves("continue", label):
                return jump
            if after is not None:
                yield from self._statement(after, scope, "")
        return None

    def _switch(self, parts: Any, scope: Scope, label: str) -> Generator[str, None, Jump | None]:
        tag, clauses = parts
        value = True if tag is None else (yield from self._value(tag, scope))
        chosen: Node | None = None
        for tests, body in clauses:
            if tests is None:
                chosen = chosen or body  # the default, unless another fits
        for tests, body in clauses:
            for test in tests or ():
                if _OPERATORS["=="]((yield from self._value(test, scope)), value):
                    jump = yield from self._block(body, scope)
                    return None if jump is not None and jump.leaves("break", label) else jump
        if chosen is None:
            return None
        jump = yield from self._block(chosen, scope)
        return None if jump is not None and jump.leaves("break", label) else jump

    def _assign(self, kind: str, parts: Any, scope: Scope) -> Running:
        targets, op, values = parts
        found = yield from self._values(values, scope)
        new = kind == "define"
        for target, value in zip(targets, found, strict=True):
            if target.kind == "name":
                where = scope if new else scope.find(target.parts[0])
                assert where is not None
                if op:
                    value = _OPERATORS[op](where[target.parts[0]], value)
                where[target.parts[0]] = value
                continue
            of = yield from self._followed(target.parts[0], scope)
            if isinstance(of, Shared):
                yield ACCESS
            if op:
                value = _OPERATORS[op](getattr(of, target.parts[1]), value)
            setattr(of, target.parts[1], value)

    # Expressions

    def _followed(self, node: Node, scope: Scope) -> Running:
        """What a pointer points to.

        Raises:
            Fault: it is nil.
        """
        of = yield from self._value(node, scope)
        if of is None:
            raise Fault
        return of

    def _values(self, nodes: Sequence[Node], scope: Scope) -> Generator[str, None, list[Any]]:
        found: list[Any] = []
        for node in nodes:
            found += [(yield from self._value(node, scope))]
        return found

    def _value(self, node: Node, scope: Scope) -> Running:
        kind, parts = node
        if kind == "value":
            return parts[0]
        if kind == "name":
            return (yield from self._named(parts[0], scope))
        if kind == "literal":
            return Quiet()
        if kind == "field":
            of = yield from self._followed(parts[0], scope)
            if isinstance(of, Shared):
                yield ACCESS
            return getattr(of, parts[1])
        if kind == "unary":
            return (yield from self._unary(parts[0], parts[1], scope))
        if kind == "call":
            return (yield from self._call(parts[0], parts[1], scope))
        op, left, right = parts
        first = yield from self._value(left, scope)
        if op == "&&":
            return first and (yield from self._value(right, scope))
        if op == "||":
            return first or (yield from self._value(right, scope))
        return _OPERATORS[op](first, (yield from self._value(right, scope)))

    def _named(self, name: str, scope: Scope) -> Running:
        where = scope.find(name)
        if where is not None:
            return where[name]
        if name in ("true", "false", "nil"):
            return {"true": True, "false": False}.get(name)
        if name in self.globals:
            return self.globals[name]
        defined = self.program.constant(name)
        if defined is None:
            raise NotImplementedError(f"Go's {name}")
        return (yield from self._value(defined, scope))

    def _unary(self, op: str, of: Node, scope: Scope) -> Running:
        if op == "&" and of.kind == "field":
            struct = yield from self._followed(of.parts[0], scope)
            field = getattr(struct, of.parts[1])
            return field if isinstance(field, Struct) else Reference(struct, of.parts[1])
        value = yield from self._value(of, scope)
        if op == "!":
            return not value
        if op == "-":
            return -value
        if op == "^":
            return ~value
        return value.get() if op == "*" and isinstance(value, Reference) else value

    def _call(self, of: Node, args: Sequence[Node], scope: Scope) -> Running:
        method: Any = None
        name = ""
        if of.kind == "name":
            name = of.parts[0]
        elif of.kind == "unary":  # a conversion to a pointer
            name = "*" + of.parts[1].parts[0]
        elif of.parts[0].parts[0] in ("atomic", "unsafe"):
            name = f"{of.parts[0].parts[0]}.{of.parts[1]}"
        else:
            struct = yield from self._followed(of.parts[0], scope)
            name = of.parts[1]
            if not isinstance(struct, int):
                method = getattr(struct, name)
        values = yield from self._values(args, scope)
        if name == "ptr":
            values = [struct]
        known = method or self.builtins.get(name)
        if known is None:
            return (yield from self.call(name, *values))
        result = known(*values)
        return (yield from result) if isinstance(result, Generator) else result
