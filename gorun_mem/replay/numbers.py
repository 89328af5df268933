"""Numbers as people and recorders write them: decimal or 0x, never negative, nothing else.

`int` accepts more than a script should mean: "1_000", " 7", "+7", and the digits of every alphabet.
"""

from __future__ import annotations

from string import hexdigits
from typing import Final

_DIGITS_MAX: Final = 300
"""Far beyond any word, and below where `int` refuses a text for its length."""
_HEX: Final = frozenset(hexdigits)


def parse_number(text: str) -> int:
    """The int that `text` writes, decimal or 0x.

    Raises:
        ValueError: it writes none.
    """
    if len(text) <= _DIGITS_MAX and text.isascii():
        if text.isdigit():
            return int(text)
        digits = text[2:]
        if text[:2] in ("0x", "0X") and digits and _HEX.issuperset(digits):
            return int(digits, 16)
    raise ValueError(f"not a number: {text[:60]!r}")
