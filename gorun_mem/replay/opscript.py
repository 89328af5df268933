"""Operation scripts: one operation a line, with or without a recorded answer.

    # {"release": "go1.27.3", "platform": "js/wasm", "end": 1441448}
    alloc 65536 => 1441792
    dump full

Blank lines and lines that begin with # are skipped; the first of the latter may be a header, the
options under which the answers were recorded. Scripts are UTF-8, plain or gzip, told apart by the
first bytes. A script is read line by line, so what stands before a bad line can be answered, and so
can a script that somebody is still typing.

This module knows what an operation looks like, not what it does.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, Final

from gorun_mem._near import no_such
from gorun_mem.files.packed import GZIP, ZSTD, Damaged, UnpackedFile
from gorun_mem.files.reading import open_input
from gorun_mem.replay.numbers import parse_number

OPERANDS: Final[dict[str, tuple[str, ...]]] = {
    "info": (),
    "alloc": ("N",),
    "free": ("V", "N"),
    "reserve": ("V", "N"),
    "reserve_aligned": ("SIZE", "ALIGN"),
    "fill": ("V", "N", "BYTE"),
    "word": ("V",),
    "iszero": ("V", "N"),
    "hostgrow": ("N",),
    "limit": ("N",),
    "failnext": ("N",),
    "state": (),
    "dump": (),
    "dump full": (),
}
"""Operation -> the names of its operands, all of them numbers."""

OF_THE_HOST: Final = frozenset({"hostgrow"})
"""Operations that there are on wasm only."""

LINE_BYTES_MAX: Final = 64 << 20
"""Longer lines are refused; the longest real ones, dumps of long free lists, have some 2 MB."""

_COUNTS: Final = {name: len(operands) for name, operands in OPERANDS.items()}
_ARROW: Final = " =>"


class ScriptError(ValueError):
    """A script that cannot be read or a line that is no operation.

    Args:
        source: the script's name, as the user knows it.
        line: number of the line from 1, 0 where it is about the whole script.
        what: the fact, the values, the next step.
    """

    def __init__(self, source: str, line: int, what: str) -> None:
        super().__init__(f"{source}:{line}: {what}" if line else f"{source}: {what}")
        self.source = source
        self.line = line
        self.what = what


class Operation:
    """One operation of a script.

    Args:
        name: a key of OPERANDS.
        operands: its numbers.
        line: number of its line, from 1.
        recorded: the answer that was recorded for it, None where there is none.
    """

    __slots__ = ("line", "name", "operands", "recorded")

    def __init__(
        self, name: str, operands: tuple[int, ...], line: int = 0, recorded: str | None = None
    ) -> None:
        self.name = name
        self.operands = operands
        self.line = line
        self.recorded = recorded

    def __str__(self) -> str:
        return " ".join((self.name, *map(str, self.operands)))

    def __repr__(self) -> str:
        return f"<Operation {self.line}: {self}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Operation):
            return NotImplemented
        return self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> tuple[str, tuple[int, ...], int, str | None]:
        """All that it is made of."""
        return self.name, self.operands, self.line, self.recorded


def parse_operation(
    text: str,
    *,
    source: str = "<line>",
    line: int = 1,
    word_mask: int = (1 << 64) - 1,
    has_host: bool = True,
) -> Operation | None:
    """The operation that a line writes, None for a line that is blank or a comment.

    Args:
        text: the line, with or without its line end.
        source: the script's name, for errors.
        line: the line's number, for errors.
        word_mask: the greatest word of the platform; no operand may be larger.
        has_host: whether the platform is wasm, where the host may grow the memory too.

    Raises:
        ScriptError: the line is not an operation.
    """
    text = text.strip()
    if not text or text[0] == "#":
        return None
    recorded = None
    if _ARROW in text:
        text, _, answer = text.partition(_ARROW)
        recorded = answer.strip()
        if not recorded:
            raise ScriptError(source, line, "no answer after =>: write OP => RESULT, or OP alone")
    words = text.split()
    name = words[0] if words else ""
    if len(words) == 2 and name == "dump" and words[1] == "full":
        return Operation("dump full", (), line, recorded)
    if _COUNTS.get(name) != len(words) - 1:
        raise ScriptError(source, line, _misshapen(words))
    if name in OF_THE_HOST and not has_host:
        raise ScriptError(source, line, f"{name} on Plan 9: only wasm memory has a host")
    operands = []
    for word in words[1:]:
        if word.isdigit() and word.isascii() and len(word) < 20:  # the common case, in one call
            number = int(word)
        else:
            number = _odd_number(word, words, source, line)
        if number > word_mask:
            raise ScriptError(source, line, _too_wide(word, words, word_mask))
        operands.append(number)
    if name == "fill" and operands[2] > 255:
        raise ScriptError(source, line, f"BYTE {_short(words[3])} of fill is more than 255")
    return Operation(name, tuple(operands), line, recorded)


def _odd_number(word: str, words: list[str], source: str, line: int) -> int:
    try:
        return parse_number(word)
    except ValueError:
        pass
    operand = f"{_operand_name(word, words)} {_short(word)!r} of {words[0]}"
    if word.startswith("-"):
        what = f"{operand} is negative: addresses and sizes are words without a sign"
    elif word.isascii() and word.isdigit():
        what = f"{operand} has {len(word)} digits and fits no word"
    else:
        what = f"{operand} is not a number: write it decimal or 0x"
    raise ScriptError(source, line, what)


def _misshapen(words: list[str]) -> str:
    """What is wrong with a line whose first word or number of operands is."""
    if not words:
        return "no operation before =>"
    name = words[0]
    if name not in OPERANDS:
        return no_such("operation", _short(name), OPERANDS, cutoff=0.5)
    usage = " ".join((name, *OPERANDS[name]))
    if name == "dump":
        return f"dump takes nothing or 'full', not {_short(' '.join(words[1:]))!r}"
    given = len(words) - 1
    if given < len(OPERANDS[name]):
        return f"{name} lacks {' and '.join(OPERANDS[name][given:])}: write {usage}"
    return f"{name} has {given} operands and takes {len(OPERANDS[name])}: write {usage}"


def _too_wide(word: str, words: list[str], word_mask: int) -> str:
    bits = word_mask.bit_length()
    return f"{_operand_name(word, words)} {_short(word)} of {words[0]} is wider than {bits} bits"


def _operand_name(word: str, words: list[str]) -> str:
    return OPERANDS[words[0]][words.index(word, 1) - 1]


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


class Script:
    """An open script; iterate over it for its operations, once.

    Args:
        stream: where the bytes come from; one that can `peek`, as `open(path, "rb")` gives, is told
            plain from gzip.
        source: its name, for errors.
        close: whether closing the script closes the stream.

    Attributes:
        word_mask: the greatest operand; set it before iterating when the platform is known.
        has_host: whether the platform is wasm; likewise.
    """

    def __init__(self, stream: BinaryIO, source: str, *, close: bool = True) -> None:
        self.source = source
        self.word_mask = (1 << 64) - 1
        self.has_host = True
        self._close = stream.close if close else None
        self._raw = stream
        self._stream: BinaryIO | io.BufferedReader = stream
        self._opened = False
        self._line = 0
        self._held: str | None = None

    @property
    def line(self) -> int:
        """Number of the line read last, from 1; 0 before the first."""
        return self._line

    @property
    def position(self) -> int:
        """Bytes of the file that were read, compressed as they are; 0 for what is no file."""
        try:
            return self._raw.tell()
        except (OSError, ValueError):
            return 0

    @classmethod
    def open(cls, path: str) -> Script:
        """The script in a file.

        Raises:
            OSError: the file cannot be opened.
        """
        return cls(open_input(path), path)

    def __enter__(self) -> Script:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._close is not None:
            self._close()

    def header(self) -> dict[str, Any] | None:
        """The options of a leading `# {...}` line, None where the script does not begin with one.

        Raises:
            ScriptError: the line is not one JSON object.
        """
        text = self._next_line()
        while text is not None and not text.strip():
            text = self._next_line()
        if text is None:
            return None
        body = text.strip().lstrip("#").strip()
        if not text.strip().startswith("#") or not body.startswith("{"):
            self._held = text
            return None
        return self._parse_header(body)

    def _parse_header(self, body: str) -> dict[str, Any]:
        import json

        try:
            options = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ScriptError(
                self.source, self._line, f"the header is not JSON: {error} (write # {{...}})"
            ) from None
        assert isinstance(options, dict)  # JSON that begins with a brace is an object
        return options

    def __iter__(self) -> Iterator[Operation]:
        """The operations, each read when it is asked for.

        Raises:
            ScriptError: a line is not an operation, or the script cannot be read further.
        """
        while (text := self._next_line()) is not None:
            operation = parse_operation(
                text,
                source=self.source,
                line=self._line,
                word_mask=self.word_mask,
                has_host=self.has_host,
            )
            if operation is not None:
                yield operation

    def _next_line(self) -> str | None:
        """The next line, None at the end."""
        if self._held is not None:
            text, self._held = self._held, None
            return text
        number = self._line + 1
        data = self._read_line(number)
        if not data:
            return None
        self._line = number
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ScriptError(
                self.source, number,
                f"byte {data[error.start]:#04x} at column {error.start + 1} is not UTF-8: "
                "a script is text, plain or gzip",
            ) from None  # fmt: skip
        return text.removeprefix("\ufeff") if number == 1 else text

    def _open_stream(self) -> None:
        self._opened = True
        raw = self._raw
        peek = getattr(raw, "peek", None)
        if peek is not None and peek(4).startswith((GZIP, ZSTD)):
            self._stream = io.BufferedReader(UnpackedFile(raw.read))

    def _read_line(self, number: int) -> bytes:
        try:
            if not self._opened:
                self._open_stream()
            data = self._stream.readline(LINE_BYTES_MAX + 1)
        except Damaged as damage:
            advice = " here: get the whole file" if damage.truncated else ""
            raise ScriptError(self.source, number, f"{damage.reason}{advice}") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise ScriptError(self.source, number, f"reading failed: {reason}") from None
        if len(data) > LINE_BYTES_MAX:
            raise ScriptError(self.source, number, f"the line has more than {LINE_BYTES_MAX} bytes")
        return data
