"""FNV-1a 64 in halves of 32 bits, for the compiled build; `gorun_mem.runtime.fnv` is what to use.

No product here needs more than 42 bits. Compiled code must not multiply or divide ints that may
be wider than a machine word: the interpreter looks for signals in such an operation, and mypyc
takes the KeyboardInterrupt that comes out of it for a lack of memory, and aborts.

The prime is 2**40 + 0x1B3: times 2**40 is a shift of the low half into the high one.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

_LOW: Final[i64] = 0xFFFF_FFFF
_PRIME: Final[i64] = 0x1B3


def fnv1a(state: int, words: list[int]) -> int:
    """The hash continued over `words`, each as 8 little-endian bytes."""
    low: i64 = state & 0xFFFF_FFFF
    high: i64 = state >> 32
    product: i64
    half: i64
    for word in words:
        for half in (word & 0xFFFF_FFFF, word >> 32):
            for _ in range(4):
                low ^= half & 0xFF
                half >>= 8
                product = low * _PRIME
                high = (high * _PRIME + (low << 8) + (product >> 32)) & _LOW
                low = product & _LOW
    return int(high) << 32 | int(low)


def after_each(state: int, addrs: list[int], sizes: list[int]) -> list[int]:
    """The hash after each (address, size)."""
    states: list[int] = []
    for i in range(len(addrs)):
        state = fnv1a(state, [addrs[i], sizes[i]])
        states.append(state)
    return states


def nonzero(state: int, base: int, data: bytes) -> tuple[int, int]:
    """How many 8-byte words of `data` are not zero, and the hash over (address, word) of each.

    Args:
        state: the hash before.
        base: the address of the first.
        data: whole words.
    """
    low: i64 = state & 0xFFFF_FFFF
    high: i64 = state >> 32
    product: i64
    half: i64
    found: i64 = 0
    address: i64 = base
    at: i64 = 0
    size: i64 = len(data)
    nothing: i64
    while at < size:
        nothing = 0
        for i in range(8):
            nothing |= i64(data[at + i])
        if nothing != 0:
            found += 1
            half = address
            for _ in range(8):
                low ^= half & 0xFF
                half >>= 8
                product = low * _PRIME
                high = (high * _PRIME + (low << 8) + (product >> 32)) & _LOW
                low = product & _LOW
            for i in range(8):
                low ^= i64(data[at + i])
                product = low * _PRIME
                high = (high * _PRIME + (low << 8) + (product >> 32)) & _LOW
                low = product & _LOW
        at += 8
        address += 8
    return int(found), int(high) << 32 | int(low)
