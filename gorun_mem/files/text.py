"""Text from elsewhere, made fit for a terminal.

A log, a script or a scenario may hold anything, escape sequences that set a terminal's title or
fill its clipboard among it. They are shown as Python writes them, such as \\x1b, and do nothing.
"""

from __future__ import annotations

import io
import re
from functools import cache
from typing import Final

_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@cache
def _ours(bars: bool) -> re.Pattern[str]:
    """What rich writes: colours, and on stderr what draws a bar."""
    if bars:
        return re.compile(
            f"\x1b\\[[0-9;]*m|\x1b\\[[0-9]*[AK]|\x1b\\[\\?25[lh]|\r|{_UNSAFE.pattern}"
        )
    return re.compile(f"\x1b\\[[0-9;]*m|{_UNSAFE.pattern}")


def printable(text: str) -> str:
    """`text` with every control character but tabs and newlines escaped."""
    return _UNSAFE.sub(_escape, text) if _UNSAFE.search(text) else text


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _escape_bare(found: re.Match[str]) -> str:
    return _escape(found) if len(found[0]) == 1 and found[0] != "\r" else found[0]


class CleanText(io.TextIOWrapper):
    """A stream for people, through which only our own colours pass.

    Attributes:
        bars: what draws progress bars passes too.
    """

    bars = False

    def write(self, text: str) -> int:
        """Write; what is no plain text is escaped."""
        if not _UNSAFE.search(text):
            return super().write(text)
        escape = _escape_bare if self.bars else _escape_stray
        super().write(_ours(self.bars).sub(escape, text))
        return len(text)


def _escape_stray(found: re.Match[str]) -> str:
    return _escape(found) if len(found[0]) == 1 else found[0]


@cache
def _unsafe_in_json() -> re.Pattern[str]:
    return re.compile(f"[{_UNSAFE.pattern[1:-1]}\ud800-\udfff]")


@cache
def _json_unsafe() -> re.Pattern[bytes]:
    return re.compile(
        rb"\\(?:u00(?:[01][0-9a-fA-F]|7[fF]|[89][0-9a-fA-F])|u20(?:0[eEfF]|2[a-eA-E]|6[6-9])|[bfr]|.)"
        rb"|\x7f|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xaa-\xae]|\xe2\x81[\xa6-\xa9]",
        re.DOTALL,
    )


def json_text(text: str) -> str:
    """JSON with what a terminal would obey, or cannot show, written as JSON escapes it."""
    return _unsafe_in_json().sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable_json(lines: bytes) -> bytes:
    """JSON whose strings `printable` would leave as they are; the same bytes where they are so."""
    if not (b"\\" in lines or b"\x7f" in lines or b"\xc2" in lines or b"\xe2" in lines):
        return lines
    return _json_unsafe().sub(_escape_in_json, lines)


def _escape_in_json(found: re.Match[bytes]) -> bytes:
    text = found[0]
    if text[0] != 0x5C:
        return _escaped(text.decode())
    if text[1] in b"bfr":
        return b"\\\\" + text[1:].replace(b"b", b"x08").replace(b"f", b"x0c")
    if len(text) == 2 or int(text[2:], 16) in (9, 10):
        return text
    return _escaped(chr(int(text[2:], 16)))


def _escaped(character: str) -> bytes:
    return b"\\" + character.encode("unicode_escape")
