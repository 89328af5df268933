"""The raw stream that a host writes while the program runs: one record a hook.

A record is 4 words of 32 bits, little-endian (id | phase << 8 | words << 16; the stack pointer; the
memory's pages; 0), then that many words of 64 bits: at entry the return address and what `enter`
reads, after the return what `leave` reads and, where the host found them, bloc and blocMax. The
last record has the id 255. A stream that just ends is that of a program that was killed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gorun_mem.files.reading import open_input

END: Final = 255
_HEAD: Final = struct.Struct("<4I")
_BLOCK: Final = 1 << 20


class RawError(ValueError):
    """A stream that no host wrote for the binary that is named."""


class RawRecord(NamedTuple):
    """One record.

    Args:
        id: which hook, or `END`.
        phase: 0 entered, 1 returned, 2 unwound.
        sp: the stack pointer.
        pages: size of the memory.
        words: what was read.
    """

    id: int
    phase: int
    sp: int
    pages: int
    words: tuple[int, ...]


def read_raw(path: Path) -> Iterator[RawRecord]:
    """The records of a file; a cut last one is left out.

    Raises:
        RawError: it cannot be read.
    """
    try:
        opened = open_input(path)
    except OSError as error:
        raise RawError(f"cannot be read: {error.strerror}") from None
    with opened as file:
        data = b""
        while block := file.read(_BLOCK):
            data += block
            at = 0
            while at + 16 <= len(data):
                head, sp, pages, _ = _HEAD.unpack_from(data, at)
                n = head >> 16
                end = at + 16 + 8 * n
                if end > len(data):
                    break
                words = struct.unpack_from(f"<{n}Q", data, at + 16)
                yield RawRecord(head & 0xFF, head >> 8 & 0xFF, sp, pages, words)
                at = end
            data = data[at:]


def raw_record(
    id: int, phase: int, sp: int, pages: int, words: tuple[int, ...], run: bytes = b""
) -> bytes:
    """One record as it is written.

    Args:
        id: as of `RawRecord`, and so the others.
        phase: see there.
        sp: see there.
        pages: see there.
        words: what was read, one by one.
        run: words that stand one behind the other in the memory, as they are there.
    """
    count = len(words) + len(run) // 8
    head = _HEAD.pack(id | phase << 8 | count << 16, sp, pages, 0)
    return head + struct.pack(f"<{len(words)}Q", *words) + run
