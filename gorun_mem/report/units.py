"""Figures for people: times, sizes, counts."""

from __future__ import annotations

from typing import Final

_TIMES: Final = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"))
_SIZES: Final = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def ns(value: float) -> str:
    """A time, such as "2.811 ms"."""
    for unit, name in _TIMES:
        if value >= unit:
            return f"{value / unit:,.3f} {name}"
    return f"{value:.0f} ns" if value else "0"


def figure(metric: str, value: float) -> str:
    """A value of a metric, or a mean of two: a time in its unit, any other as a number."""
    if "_ns" in metric:
        return ns(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}".rstrip("0").rstrip(".")


def size(value: int) -> str:
    """A number of bytes, such as "192 KiB"; to one digit where it is no whole number of them."""
    for unit, name in _SIZES:
        if abs(value) >= unit:
            whole, rest = divmod(value, unit)
            return f"{value / unit:,.1f} {name}" if rest else f"{whole:,} {name}"
    return f"{value} B"


def count(value: int, noun: str, nouns: str = "") -> str:
    """How many of something, such as "1 block" or "1,200 blocks"."""
    return f"{value:,} {noun if value == 1 else nouns or noun + 's'}"


def share(part: int, whole: int) -> str:
    """A part in percent, such as "0.2 %"."""
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
