"""Arithmetic for compiled modules on ints that may be wider than a machine word; not compiled.

The interpreter looks for signals in a wide product or quotient. Where one raises there, as Ctrl-C
does, mypyc's own arithmetic aborts the process; an exception out of a call like these is an
ordinary one.
"""

from __future__ import annotations


def times(a: int, b: int) -> int:
    """The product."""
    return a * b


def over(a: int, b: int) -> int:
    """The quotient, rounded down."""
    return a // b


def rest_of(a: int, b: int) -> int:
    """What the quotient leaves."""
    return a % b


def ratio_of(a: int, b: int) -> float:
    """The quotient as a float."""
    return a / b
