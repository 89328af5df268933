"""What can be wrong with a binary."""

from __future__ import annotations


class WasmError(ValueError):
    """The bytes are no wasm binary that can be read, or not one that this package can work with.

    Args:
        reason: the fact, the values, the next step.
        offset: byte at which it was found, -1 where none can be named.
    """

    def __init__(self, reason: str, offset: int = -1) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return self.reason if self.offset < 0 else f"{self.reason} (at byte {self.offset})"
