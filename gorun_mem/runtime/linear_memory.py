"""One range of bytes from 0 that grows at its end: what both kinds of memory are.

It reads as zero where it was never written. Only what is written is kept, in frames of 4 KiB, so a
memory of 4 GiB costs what is touched, and clearing a range drops frames rather than writing zeros.

Rejected: an anonymous `mmap` of the whole range. It is as lazy, but every World would pay for the
mapping, snapshots would copy it, and the platforms differ in how a range is given back.

Two kinds of access are told apart. The free list's own reads and writes (`load_header`, `put_word`,
`put_header`, `wipe`) know what they touch. Everybody else's writes (`store_word`, `fill`, `clear`)
call `guard` first, by which the free list learns that one of its headers may be overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final, Protocol

from gorun_mem.runtime.errors import Fault

FRAME: Final = 4096
_SHIFT: Final = 12
_LOW: Final = FRAME - 1
_ZERO_FRAME: Final = bytes(FRAME)
_WORDS: Final = {4: Struct("<I"), 8: Struct("<Q")}
_HEADERS: Final = {4: Struct("<II"), 8: Struct("<QQ")}


class GrowProbe(Protocol):
    """Who wants to see every growth as it happens, such as a comparison with a recording."""

    def grew(self, pages: int, result: int, pages_before: int) -> None:
        """growMemory(pages) answered `result`; on Plan 9 brk_(pages) answered it."""


class LinearMemory:
    """One growing range of bytes.

    Args:
        size: accessible bytes at the start.
        word_size: 8, or 4 on 386; the width of `load_word` and `store_word`.

    Attributes:
        size: accessible bytes now.
        grows: growths asked for.
        fails: growths refused.
        needed: the limit, in pages of 64 KiB, that the growth refused last would have needed.
        guard: called as `guard(addr, n)` before a write that is not the free list's own.
        probe: sees each growth.
        refuse: asked before each growth whether it is to fail.
    """

    __slots__ = (
        "_fail_next",
        "_frames",
        "_header",
        "_word",
        "_word_mask",
        "fails",
        "grows",
        "guard",
        "needed",
        "probe",
        "refuse",
        "size",
        "word_size",
    )

    def __init__(self, size: int, word_size: int = 8) -> None:
        self.size = size
        self.word_size = word_size
        self.grows = 0
        self.fails = 0
        self.needed = 0
        self.guard: Callable[[int, int], None] | None = None
        self.probe: GrowProbe | None = None
        self.refuse: Callable[[], bool] | None = None
        self._fail_next = 0
        self._frames: dict[int, bytearray] = {}
        self._word = _WORDS[word_size]
        self._header = _HEADERS[word_size]
        self._word_mask = (1 << (8 * word_size)) - 1

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.size:#x} bytes, "
            f"{len(self._frames) * FRAME:#x} written to>"
        )

    @property
    def committed_bytes(self) -> int:
        """What the memory costs: the bytes of the frames that are kept."""
        return len(self._frames) * FRAME

    # Growth.

    def fail_next(self, n: int) -> None:
        """Refuse the next `n` growths, whatever room there is."""
        self._fail_next = n

    def limit(self, pages: int) -> None:
        """Refuse, from now on, growth beyond `pages` of 64 KiB."""
        raise NotImplementedError

    @property
    def limit_pages(self) -> int:
        """Pages of 64 KiB beyond which there is no growth."""
        raise NotImplementedError

    def _injected_failure(self) -> bool:
        if self._fail_next:
            self._fail_next -= 1
            return True
        return self.refuse is not None and self.refuse()

    # Words.

    def load_word(self, addr: int) -> int:
        """The word at `addr`, little-endian.

        Raises:
            Fault: `addr` is nil, or the word does not lie in the memory.
        """
        if not 0 < addr <= self.size - self.word_size:
            raise self._fault(addr, self.word_size, "read")
        off = addr & _LOW
        if off > FRAME - self.word_size:
            return int.from_bytes(self._gather(addr, self.word_size), "little")
        frame = self._frames.get(addr >> _SHIFT)
        if frame is None:
            return 0
        value: int = self._word.unpack_from(frame, off)[0]
        return value

    def store_word(self, addr: int, value: int) -> None:
        """Write a word as a user of the memory, modulo the word size.

        Raises:
            Fault: `addr` is nil, or the word does not lie in the memory.
        """
        if not 0 < addr <= self.size - self.word_size:
            raise self._fault(addr, self.word_size, "write")
        if self.guard is not None:
            self.guard(addr, self.word_size)
        self.put_word(addr, value & self._word_mask)

    def load_header(self, addr: int) -> tuple[int, int]:
        """The two words at `addr`: a memHdr's next and size.

        Raises:
            Fault: `addr` is nil, or the header does not lie in the memory.
        """
        if not 0 < addr <= self.size - 2 * self.word_size:
            raise self._fault(addr, 2 * self.word_size, "read")
        off = addr & _LOW
        if off > FRAME - 2 * self.word_size:
            data = self._gather(addr, 2 * self.word_size)
            next_, size = self._header.unpack(data)
            return next_, size
        frame = self._frames.get(addr >> _SHIFT)
        if frame is None:
            return 0, 0
        next_, size = self._header.unpack_from(frame, off)
        return next_, size

    def put_word(self, addr: int, value: int) -> None:
        """Write a word as the free list does. `addr` must have been checked."""
        off = addr & _LOW
        if off > FRAME - self.word_size:
            self._scatter(addr, self._word.pack(value))
            return
        key = addr >> _SHIFT
        frame = self._frames.get(key)
        if frame is None:
            if not value:
                return
            frame = self._frames[key] = bytearray(FRAME)
        self._word.pack_into(frame, off, value)

    def put_header(self, addr: int, next_: int, size: int) -> None:
        """Write a memHdr as the free list does. `addr` must have been checked."""
        off = addr & _LOW
        if off > FRAME - 2 * self.word_size:
            self._scatter(addr, self._header.pack(next_, size))
            return
        key = addr >> _SHIFT
        frame = self._frames.get(key)
        if frame is None:
            if not (next_ or size):
                return
            frame = self._frames[key] = bytearray(FRAME)
        self._header.pack_into(frame, off, next_, size)

    # Ranges.

    def clear(self, addr: int, n: int) -> None:
        """Zero [addr, addr+n) as a user of the memory; memclrNoHeapPointers.

        Raises:
            Fault: the range leaves the memory; nothing was cleared. A range from nil is cleared.
        """
        if n == 0:
            return
        self.check_range(addr, n, "clear")
        if self.guard is not None:
            self.guard(addr, n)
        self.wipe(addr, n)

    def wipe(self, addr: int, n: int) -> None:
        """Zero [addr, addr+n), which must lie in the memory, without telling `guard`."""
        frames = self._frames
        end = addr + n
        first_whole = (addr + _LOW) >> _SHIFT
        last_whole = end >> _SHIFT
        if first_whole > last_whole:
            self._zero_part(addr, end)
            return
        if addr & _LOW:
            self._zero_part(addr, first_whole << _SHIFT)
        if end & _LOW:
            self._zero_part(last_whole << _SHIFT, end)
        if last_whole - first_whole <= len(frames):
            for key in range(first_whole, last_whole):
                if key in frames:
                    del frames[key]
        else:
            for key in [k for k in frames if first_whole <= k < last_whole]:
                del frames[key]

    def fill(self, addr: int, n: int, byte: int) -> None:
        """Set [addr, addr+n) to `byte` as a user of the memory.

        Raises:
            Fault: the range starts at nil or leaves the memory; nothing was written.
        """
        if n == 0:
            return
        self._check_pointer_range(addr, n, "write")
        if self.guard is not None:
            self.guard(addr, n)
        if byte == 0:
            self.wipe(addr, n)
            return
        for key, low, high in self._pieces(addr, n):
            frame = self._frames.get(key)
            if frame is None:
                frame = self._frames[key] = bytearray(FRAME)
            frame[low:high] = bytes((byte,)) * (high - low)

    def read(self, addr: int, n: int) -> bytes:
        """The bytes of [addr, addr+n).

        Raises:
            Fault: the range starts at nil or leaves the memory.
        """
        if n == 0:
            return b""
        self._check_pointer_range(addr, n, "read")
        return self._gather(addr, n)

    def count_nonzero(self, addr: int, n: int) -> int:
        """How many bytes of [addr, addr+n) are not zero.

        Raises:
            Fault: the range starts at nil or leaves the memory.
        """
        if n == 0:
            return 0
        self._check_pointer_range(addr, n, "read")
        return sum(
            (high - low) - self._frames[key].count(0, low, high)
            for key, low, high in self._written(addr, n)
        )

    def first_nonzero(self, addr: int, n: int) -> int | None:
        """The address of the first byte of [addr, addr+n) that is not zero, if there is one.

        Raises:
            Fault: the range leaves the memory before such a byte.
        """
        inside = max(0, min(n, self.size - addr))
        for key, low, high in self._written(addr, inside):
            rest = self._frames[key][low:high].lstrip(b"\0")
            if rest:
                return (key << _SHIFT) + high - len(rest)
        if inside < n:
            raise self._fault(max(addr, self.size), 1, "read")
        return None

    def written(self, end: int) -> Iterator[tuple[int, bytearray]]:
        """(address, bytes) of each frame below `end` that was written, in order; not copied."""
        for key in sorted(k for k in self._frames if k << _SHIFT < end):
            yield key << _SHIFT, self._frames[key]

    def written_in(self, addr: int, n: int) -> int:
        """How much of [addr, addr+n) lies in frames that are kept, in bytes."""
        if not self._frames or n <= 0:
            return 0
        first, last = addr >> _SHIFT, (addr + n - 1) >> _SHIFT
        kept = self._frames.keys()
        if last - first < len(kept):
            return sum(key in kept for key in range(first, last + 1)) * FRAME
        return sum(first <= key <= last for key in kept) * FRAME

    @property
    def written_bytes(self) -> int:
        """How much is kept, in bytes."""
        return len(self._frames) * FRAME

    def check_range(self, addr: int, n: int, verb: str) -> None:
        """Raise Fault unless [addr, addr+n) lies in the memory."""
        if addr + n > self.size:
            raise self._fault(addr, n, verb)

    # Inside.

    def _check_pointer_range(self, addr: int, n: int, verb: str) -> None:
        if addr == 0 or addr + n > self.size:
            raise self._fault(addr, n, verb)

    def _fault(self, addr: int, n: int, verb: str) -> Fault:
        if addr == 0:
            return Fault(0, f"{verb} of {n} bytes through a nil pointer")
        first = max(addr, self.size)
        return Fault(first, f"{verb} of [{addr:#x}, {addr + n:#x}): memory ends at {self.size:#x}")

    def _pieces(self, addr: int, n: int) -> Iterator[tuple[int, int, int]]:
        """(frame, low, high) of each frame that [addr, addr+n) touches."""
        end = addr + n
        while addr < end:
            low = addr & _LOW
            high = min(FRAME, low + end - addr)
            yield addr >> _SHIFT, low, high
            addr += high - low

    def _written(self, addr: int, n: int) -> Iterator[tuple[int, int, int]]:
        """`_pieces`, of the frames that are kept."""
        if n <= 0:
            return
        first, last = addr >> _SHIFT, (addr + n - 1) >> _SHIFT
        if last - first > len(self._frames):
            keys = sorted(k for k in self._frames if first <= k <= last)
        else:
            keys = [k for k in range(first, last + 1) if k in self._frames]
        for key in keys:
            base = key << _SHIFT
            yield key, max(0, addr - base), min(FRAME, addr + n - base)

    def _gather(self, addr: int, n: int) -> bytes:
        parts = (
            self._frames.get(key, _ZERO_FRAME)[low:high] for key, low, high in self._pieces(addr, n)
        )
        return b"".join(parts)

    def _scatter(self, addr: int, data: bytes) -> None:
        done = 0
        for key, low, high in self._pieces(addr, len(data)):
            frame = self._frames.get(key)
            if frame is None:
                frame = self._frames[key] = bytearray(FRAME)
            frame[low:high] = data[done : done + high - low]
            done += high - low

    def _zero_part(self, start: int, end: int) -> None:
        for key, low, high in self._written(start, end - start):
            self._frames[key][low:high] = bytes(high - low)
