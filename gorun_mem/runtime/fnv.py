"""FNV-1a 64 over words of 8 little-endian bytes: the hash of recorded free lists and memories.

The interpreter is fastest with whole 64-bit states and with one multiplication for a run of zero
bytes, which this module does; compiled code must do without wide products (see `fnv_halves`).
Tests hold the two equal.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from gorun_mem.runtime import fnv_halves

OFFSET: Final = 0xCBF29CE484222325
_PRIME: Final = 0x100000001B3
_MASK: Final = (1 << 64) - 1
# A byte of zero only multiplies, so a run of them multiplies once, by a power of the prime.
_POWERS: Final = tuple(pow(_PRIME, n, _MASK + 1) for n in range(9))
_WORD: Final = Struct("<Q")


def fnv1a(state: int, *words: int) -> int:
    """FNV-1a 64 continued over `words`, each as 8 little-endian bytes."""
    if COMPILED:
        return fnv_halves.fnv1a(state, list(words))
    for word in words:
        state = _word(state, word)
    return state


def _word(state: int, word: int) -> int:
    zeros = 8
    while word:
        byte = word & 0xFF
        if byte:
            state = (state ^ byte) * _PRIME & _MASK
            word >>= 8
            zeros -= 1
            continue
        run = ((word & -word).bit_length() - 1) // 8
        state = state * _POWERS[run] & _MASK
        word >>= 8 * run
        zeros -= run
    return state * _POWERS[zeros] & _MASK


def after_each(state: int, addrs: list[int], sizes: list[int]) -> list[int]:
    """The hash after each (address, size)."""
    if COMPILED:
        return fnv_halves.after_each(state, addrs, sizes)
    states = []
    for block in zip(addrs, sizes, strict=True):
        for word in block:
            if word & 0xFFFF_FFFF_0000_FFFF:
                state = _word(state, word)
                continue
            # Whole 64 KiB below 4 GiB, as on wasm: two bytes are not zero.
            state = state * _POWERS[2] & _MASK
            state = (state ^ (word >> 16 & 0xFF)) * _PRIME & _MASK
            state = (state ^ word >> 24) * _PRIME & _MASK
            state = state * _POWERS[4] & _MASK
        states.append(state)
    return states


def nonzero(state: int, base: int, data: bytes) -> tuple[int, int]:
    """How many 8-byte words of `data` are not zero, and the hash over (address, word) of each.

    Args:
        state: the hash before.
        base: the address of the first.
        data: whole words.
    """
    if COMPILED:
        return fnv_halves.nonzero(state, base, data)
    found = 0
    for address, (word,) in enumerate(_WORD.iter_unpack(data)):
        if word:
            found += 1
            state = _word(_word(state, base + 8 * address), word)
    return found, state


COMPILED: Final = not str(fnv_halves.__file__).endswith(".py")
