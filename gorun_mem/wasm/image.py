"""The linear memory as instantiation leaves it, put together from the data segments.

Go's linker leaves out zeros, so one table may lie in thousands of segments; here they are one range
of bytes again. Addresses that no segment reaches are zero, as they are in the memory.
"""

from __future__ import annotations

import struct
from typing import Final

from gorun_mem.wasm.errors import WasmError
from gorun_mem.wasm.module import DataSegment, Module

IMAGE_MAX: Final = 256 << 20
"""Bytes of initial data that are taken; Go's largest programs have a tenth of it."""


class Image:
    """The initial memory up to the end of its data.

    Args:
        segments: from `Module.segments`.
        data: the whole binary.

    Raises:
        WasmError: the data reaches farther than `IMAGE_MAX`.
    """

    def __init__(self, segments: list[DataSegment], data: memoryview) -> None:
        end = max((s.address + s.size for s in segments if s.size), default=0)
        if end > IMAGE_MAX:
            raise WasmError(f"data up to address {end}, where {IMAGE_MAX} are supported")
        self.bytes = image = bytearray(end)
        for s in segments:
            image[s.address : s.address + s.size] = data[s.at : s.at + s.size]

    @classmethod
    def of(cls, module: Module) -> Image:
        """The image of a module.

        Raises:
            WasmError: the segments cannot be read, or lie beyond the initial memory.
        """
        segments = module.segments()
        memory = module.memory
        limit = memory.least << 16 if memory is not None else 1 << 32
        for s in segments:
            if s.address + s.size > limit:
                raise WasmError(
                    f"a data segment at address {s.address} of {s.size} bytes, beyond the initial "
                    f"memory of {limit}",
                    s.at,
                )
        return cls(segments, module.data)

    def __len__(self) -> int:
        return len(self.bytes)

    def words(self, address: int, n: int) -> tuple[int, ...]:
        """`n` words of 8 bytes from `address`; zero beyond the data."""
        piece = self.bytes[address : address + 8 * n]
        return struct.unpack(f"<{n}Q", piece.ljust(8 * n, b"\0"))
