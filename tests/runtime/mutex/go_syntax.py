"""Reads the part of Go's grammar in which its runtime's locks are written.

Types are read over: what is made of a function is its statements, as `Node`s.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r]+|//[^\n]*|/\*.*?\*/)|(?P<newline>\n)
    |(?P<number>0[xX][0-9a-fA-F_]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<name>[^\W\d]\w*)
    |(?P<op>&\^=|<<=|>>=|&&|\|\||&\^|<<|>>|==|!=|<=|>=|:=|[-+*/|&^%]=|\+\+|--|[-+*/%&|^<>=!(){}\[\],;.:])
    """,
    re.VERBOSE | re.DOTALL,
)
_ENDS: Final = frozenset({")", "]", "}", "++", "--", "break", "continue", "return"})
_KEYWORDS: Final = frozenset({
    "var", "const", "if", "else", "for", "switch", "case", "default", "goto", "break", "continue",
    "return",
})  # fmt: skip
_BINDS: Final = {
    "||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "+": 4, "-": 4, "|": 4,
    "^": 4, "*": 5, "/": 5, "%": 5, "<<": 5, ">>": 5, "&": 5, "&^": 5,
}  # fmt: skip


class Node(NamedTuple):
    """A statement or an expression.

    Args:
        kind: which, such as "if" or "call".
        parts: what it consists of.
    """

    kind: str
    parts: tuple[Any, ...] = ()


class Function(NamedTuple):
    """A function.

    Args:
        name: its name.
        params: names of its parameters.
        body: its block.
    """

    name: str
    params: tuple[str, ...]
    body: Node


def tokens_of(text: str) -> list[tuple[str, str]]:
    """(kind, text) of each token, with the semicolons that ends of lines stand for.

    Raises:
        SyntaxError: something is no token.
    """
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SyntaxError(f"no token of Go's: {text[at : at + 20]!r}")
        at = match.end()
        kind = match.lastgroup or ""
        if kind == "newline":
            last = found[-1] if found else ("", "")
            if last[1] in _ENDS or (last[0] in ("number", "string", "name") and not _opens(last)):
                found.append(("op", ";"))
        elif kind != "space":
            found.append((kind, match.group()))
    return [*found, ("end", "")]


def _opens(token: tuple[str, str]) -> bool:
    return token[0] == "name" and token[1] in _KEYWORDS - _ENDS


class Parser:
    """Reads statements.

    Args:
        text: Go's source, from where to begin.
    """

    def __init__(self, text: str) -> None:
        self.tokens = tokens_of(text)
        self.at = 0

    @property
    def text(self) -> str:
        """The next token's text."""
        return self.tokens[self.at][1]

    def take(self, text: str = "") -> str:
        """The next token, which must be `text` if that is given.

        Raises:
            SyntaxError: it is not.
        """
        found = self.text
        if text and found != text:
            near = " ".join(token for _, token in self.tokens[max(0, self.at - 8) : self.at + 3])
            raise SyntaxError(f"{text!r} expected, and {found!r} found: {near}")
        self.at += 1
        return found

    def takes(self, text: str) -> bool:
        """Take the next token if it is `text`."""
        if self.text != text or self.tokens[self.at][0] == "string":
            return False
        self.at += 1
        return True

    def function(self) -> Function:
        """A function's declaration."""
        self.take("func")
        name = self.take()
        self.take("(")
        params: list[str] = []
        while not self.takes(")"):
            params.append(self.take())
            while self.text not in (",", ")"):
                self.take()
            self.takes(",")
        while self.text != "{":
            self.take()
        return Function(name, tuple(params), self.block())

    # Statements

    def block(self) -> Node:
        """Statements in braces."""
        self.take("{")
        body: list[Node] = []
        while not self.takes("}"):
            if not self.takes(";"):
                body.append(self.statement())
        return Node("block", tuple(body))

    def statement(self) -> Node:
        """A statement."""
        word = self.text
        reader = getattr(self, f"_{word}", None) if word in _KEYWORDS else None
        if reader is not None:
            self.take()
            made: Node = reader()
            return made
        if word == "{":
            return self.block()
        if self.tokens[self.at][0] == "name" and self.tokens[self.at + 1][1] == ":":
            label = self.take()
            self.take(":")
            while self.takes(";"):
                pass
            return Node("label", (label, self.statement()))
        return self.simple()

    def simple(self, *, composite: bool = True) -> Node:
        """An assignment, a definition, or an expression."""
        left = self.expressions(composite)
        op = self.text
        if op in ("++", "--"):
            self.take()
            return Node("assign", (left, op[0], (Node("value", (1,)),)))
        if op == ":=" or (op.endswith("=") and op not in ("==", "!=", "<=", ">=")):
            self.take()
            kind = "define" if op == ":=" else "assign"
            return Node(kind, (left, op.rstrip("=").rstrip(":"), self.expressions(composite)))
        return Node("expression", left)

    def _var(self) -> Node:
        names = [self.take()]
        while self.takes(","):
            names.append(self.take())
        kind = self._type()
        values = self.expressions(True) if self.takes("=") else ()
        return Node("var", (tuple(names), kind, values))

    _const = _var

    def _type(self) -> str:
        found = ""
        while self.text not in ("=", ";", "}"):
            found += self.take()
        return found

    def _if(self) -> Node:
        before: Node | None = None
        test = self.simple(composite=False)
        if self.takes(";"):
            before, test = test, self.simple(composite=False)
        then = self.block()
        other: Node | None = None
        if self.takes("else"):
            other = self.statement() if self.text == "if" else self.block()
        return Node("if", (before, test.parts[0], then, other))

    def _for(self) -> Node:
        before: Node | None = None
        test: Node | None = None
        after: Node | None = None
        if self.text != "{":
            if self.text != ";":
                before = self.simple(composite=False)
            if self.takes(";"):
                if not self.takes(";"):
                    test = self.expression(False)
                    self.take(";")
                if self.text != "{":
                    after = self.simple(composite=False)
            else:
                assert before is not None
                test = before.parts[0]
                before = None
        return Node("for", (before, test, after, self.block()))

    def _switch(self) -> Node:
        tag = None if self.text == "{" else self.expression(False)
        self.take("{")
        clauses: list[tuple[tuple[Node, ...] | None, Node]] = []
        while not self.takes("}"):
            tests = None
            if not self.takes("default"):
                self.take("case")
                tests = self.expressions(True)
            self.take(":")
            body: list[Node] = []
            while self.text not in ("case", "default", "}"):
                if not self.takes(";"):
                    body.append(self.statement())
            clauses.append((tests, Node("block", tuple(body))))
        return Node("switch", (tag, tuple(clauses)))

    def _jump(self, kind: str) -> Node:
        return Node(kind, (self.take() if self.text not in (";", "}") else "",))

    def _goto(self) -> Node:
        return self._jump("goto")

    def _break(self) -> Node:
        return self._jump("break")

    def _continue(self) -> Node:
        return self._jump("continue")

    def _return(self) -> Node:
        return Node("return", () if self.text in (";", "}") else self.expressions(True))

    # Expressions

    def expressions(self, composite: bool) -> tuple[Node, ...]:
        """Expressions between commas."""
        found = [self.expression(composite)]
        while self.takes(","):
            found.append(self.expression(composite))
        return tuple(found)

    def expression(self, composite: bool, least: int = 1) -> Node:
        """An expression.

        Args:
            composite: a brace after a name begins a literal, and not a block.
            least: how strongly an operator must bind.
        """
        left = self._unary(composite)
        while _BINDS.get(self.text, 0) >= least:
            op = self.take()
            left = Node("binary", (op, left, self.expression(composite, _BINDS[op] + 1)))
        return left

    def _unary(self, composite: bool) -> Node:
        if self.text in ("!", "-", "^", "*", "&") and self.tokens[self.at][0] == "op":
            return Node("unary", (self.take(), self._unary(composite)))
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            number = float(text) if re.search(r"^\d.*[.e]", text) else int(text.replace("_", ""), 0)
            left = Node("value", (int(number),))
        elif kind == "string":
            left = Node("value", (text[1:-1],))
        elif text == "(":
            left = self.expression(True)
            self.take(")")
        elif kind == "name":
            left = Node("name", (text,))
        else:
            raise SyntaxError(f"no expression begins with {text!r}")
        return self._suffixes(left, composite)

    def _suffixes(self, left: Node, composite: bool) -> Node:
        while True:
            if self.takes("."):
                left = Node("field", (left, self.take()))
            elif self.takes("("):
                args: list[Node] = []
                while not self.takes(")"):
                    args.append(self.expression(True))
                    self.takes(",")
                left = Node("call", (left, tuple(args)))
            elif composite and self.text == "{" and left.kind == "name":
                depth = 0
                while depth or self.text == "{":
                    depth += {"{": 1, "}": -1}.get(self.take(), 0)
                left = Node("literal", left.parts)
            else:
                return left
