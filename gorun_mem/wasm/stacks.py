"""Who called, read off the words of a Go stack: traceback.go without the goroutine's own help.

On wasm a frame begins where the return address of the call before it was popped from, and pclntab
says how large it is at each PC (pcsp). Behind it stands the next return address.

Simplified: a function that was inlined counts as the one that it was inlined into.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gorun_mem.wasm.golang import FUNCTION_BASE, ModuleData

FRAMES_MAX: Final = 64


class Stacks:
    """Reads stacks of one program.

    Args:
        data: its table of functions.
    """

    def __init__(self, data: ModuleData) -> None:
        self._data = data
        self._known: dict[int, tuple[str, int]] = {}

    def walk(self, address: int, words: Sequence[int]) -> list[str]:
        """The functions that are on a stack, the innermost first.

        Args:
            address: a return address: into the innermost of them.
            words: what the stack holds from where that was popped, each of 8 bytes.
        """
        found: list[str] = []
        at = 0
        while len(found) < FRAMES_MAX:
            name, size = self._frame(address)
            if not name:
                break
            found.append(name)
            at += size >> 3
            if size < 0 or size % 8 or at >= len(words):
                break
            address = words[at]
            at += 1
        return found

    def _frame(self, address: int) -> tuple[str, int]:
        known = self._known.get(address)
        if known is None:
            number = (address >> 16) - FUNCTION_BASE
            name = self._data.functions.get(number, "")
            size = self._data.frame_size(number, address & 0xFFFF) if name else -1
            known = self._known[address] = name, size
        return known
