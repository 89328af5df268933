"""How many of something, in words."""

from __future__ import annotations


def count(n: int, one: str, many: str = "") -> str:
    """How many of something, such as "1 step" or "1,200 steps"."""
    return f"{n:,} {one}" if n == 1 else f"{n:,} {many or one + 's'}"
