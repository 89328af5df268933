"""Recordings of real Go programs: one line for each call that reached the memory layer.

A recording is JSON Lines, gzip or not (told by its first two bytes, not by its name). The first
line is the header, then comes one event a call in the order in which the calls returned: a nested
call stands before its caller.

Events are read as a stream: at no time is more held than a block of the file and the line at hand.
Lines and blocks are bounded, for a recording may come from anywhere. One that was cut off is
read as far as it goes; then, as for any other mistake in it, `RecordingError` says where and why.

Simplified: fields that nobody here compares (`how`) are skipped without a look.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from gorun_mem.files.packed import Damaged, unpacked
from gorun_mem.files.reading import open_input
from gorun_mem.replay.shipped import resolve
from gorun_mem.runtime.behaviour import Platform, Release, UnknownRelease, release
from gorun_mem.runtime.boot import BRK_MAX, BootOptions, check_start
from gorun_mem.runtime.errors import NotInstantiable

FORMAT: Final = 1
LINE_MAX: Final = 1 << 16
"""Bytes in the longest line that is read."""
_BLOCK: Final = 1 << 14
_PAGES_MAX: Final = 65536


class RecordingError(Exception):
    """A recording cannot be read on.

    Args:
        path: the file.
        line: the line, from 1; 0 where none can be named.
        reason: what is wrong, and what to do.
        truncated: the recording is good as far as it goes and then just ends.
    """

    def __init__(self, path: Path, line: int, reason: str, *, truncated: bool = False) -> None:
        super().__init__(path, line, reason)
        self.path = path
        self.line = line
        self.reason = reason
        self.truncated = truncated

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{where}: {self.reason}"


class Header(Struct, frozen=True, kw_only=True):
    """The first line.

    Args:
        go: the release, such as "go1.27.3".
        program: which program was recorded.
        phys_page_size: bytes.
        end: end of the program's data, an address.
        initial_pages: pages of 64 KiB at the start; 0 on Plan 9.
        wasm_memory_min: the module's minimum in pages, None where there is none.
        wasm_memory_max: its maximum in pages, None for 65,536.
        brk_max: the highest break that Plan 9 granted the program, in bytes, None for no limit;
            UNSET where it was not recorded.
        exit: the program's exit code, None where it is not known.
        events: how many event lines follow, None where it is not known.
        level: of what `record` made: os, heap or span; it saw no hints. "" for other recordings.
        hooks: the Go functions that it watched.
        self_check: what came of replaying it.
    """

    header: int
    format: int
    go: str
    goos: str
    goarch: str
    end: int
    program: str = ""
    phys_page_size: int = field(name="physPageSize", default=0)
    initial_pages: int = field(name="initialPages", default=-1)
    wasm_memory_min: int | None = field(name="wasmMemoryMin", default=None)
    wasm_memory_max: int | None = field(name="wasmMemoryMax", default=None)
    brk_max: int | UnsetType | None = field(name="brkMax", default=UNSET)
    exit: int | None = None
    events: int | None = None
    level: str = ""
    hooks: list[str] = []
    self_check: dict[str, Any] = {}

    @property
    def platform_name(self) -> str:
        """As in "js/wasm"."""
        return f"{self.goos}/{self.goarch}"

    @property
    def brk_limit(self) -> int:
        """Bytes beyond which Plan 9's break does not go, as far as the header says."""
        return self.brk_max if isinstance(self.brk_max, int) else BRK_MAX

    @property
    def max_pages(self) -> int:
        """Pages of 64 KiB beyond which memory does not grow."""
        return _PAGES_MAX if self.wasm_memory_max is None else self.wasm_memory_max


class RecordedEvent(Struct, kw_only=True):
    """One call, or one hint, as it ended; a field that was not recorded is UNSET.

    Args:
        seq: number of the event, from 0.
        ev: what it is, such as "sysAllocOS".
        depth: 0 for an outermost call.
        top: 1 where the OS layer was entered from outside.
        parent: seq of the call that it is nested in.
        by: the Go function that called.
    """

    seq: int
    ev: str
    depth: int = 0
    top: int = 0
    parent: int | UnsetType = UNSET
    by: str = ""

    n: int | UnsetType = UNSET
    v: int | UnsetType = UNSET
    p: int | UnsetType = UNSET
    size: int | UnsetType = UNSET
    align: int | UnsetType = UNSET
    rsize: int | UnsetType = UNSET
    r: int | UnsetType = UNSET
    addr: int | UnsetType = UNSET
    down: int | UnsetType = UNSET
    user: int | UnsetType = UNSET
    pages: int | UnsetType = UNSET
    pages_before: int | UnsetType = UNSET
    npages: int | UnsetType = UNSET
    kind: int | UnsetType = UNSET
    base: int | UnsetType = UNSET
    stack: tuple[str, ...] | UnsetType = UNSET
    end: int | UnsetType = UNSET
    phys_page_size: int | UnsetType = field(name="physPageSize", default=UNSET)

    bloc: int | UnsetType = UNSET
    bloc_max: int | UnsetType = field(name="blocMax", default=UNSET)
    reserve_end: int | UnsetType = field(name="reserveEnd", default=UNSET)
    pages_now: int | UnsetType = UNSET
    free_blocks: int | UnsetType = field(name="freeBlocks", default=UNSET)
    free_bytes: int | UnsetType = field(name="freeBytes", default=UNSET)
    free_hash: str | UnsetType = field(name="freeHash", default=UNSET)


NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "initBloc": (),
    "osinit": (),
    "sysAllocOS": ("n",),
    "sysFreeOS": ("v", "n"),
    "sysReserveOS": ("v", "n"),
    "sysReserveAlignedSbrk": ("size", "align"),
    "sbrk": ("n",),
    "growMemory": ("pages",),
    "hintHit": ("addr", "n", "v", "down"),
    "hintDrop": ("addr", "n", "v", "down"),
    "mheap.sysAlloc": ("n",),
}
"""Every kind of event and the arguments without which it cannot be issued or told from another."""

OS_CALLS: Final = frozenset(("sysAllocOS", "sysFreeOS", "sysReserveOS", "sysReserveAlignedSbrk"))
"""The calls that enter the OS layer."""
_SPAN_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "span.alloc": ("npages",),
    "span.free": ("base",),
    "cache.fill": (),
    "cache.flush": (),
    "persistent": ("n", "align"),
    "gc.start": (),
    "gc.mark_end": (),
    "main": (),
}
SPAN_EVENTS: Final = frozenset(_SPAN_NEEDS)
"""What only recordings of level span have; they stand where the call entered, nested in nothing."""
NEEDS.update(_SPAN_NEEDS)

_WORDS: Final = ("n", "v", "size", "align", "npages", "base")
# A string that is not UTF-8 comes out of msgspec as the latter.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError)


class Recording:
    """A recording, open for reading; a context manager and an iterator over its events.

    Args:
        path: the file, or the name of a recording that comes with the package.

    Attributes:
        header: the first line.
        release: the release it was made with.
        platform: the platform it was made on.
        line: number of the line read last, from 1.
        events: events read so far.

    Raises:
        RecordingError: there is no header, or it names what does not exist.
        OSError: the file cannot be opened or read.
    """

    header: Header
    release: Release
    platform: Platform

    def __init__(self, path: Path | str) -> None:
        self.path = resolve(path)
        self.line = 0
        self.events = 0
        self._decoder = msgspec.json.Decoder(RecordedEvent)
        self._file = open_input(self.path)
        try:
            self._lines = _Lines(self._file)
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __repr__(self) -> str:
        return f"<Recording {self.path} line {self.line}>"

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __iter__(self) -> Iterator[RecordedEvent]:
        """The events that are left.

        Raises:
            RecordingError: the file is damaged or cut off, or is no recording; what came before is
                good.
        """
        decode = self._decoder.decode
        try:
            for text in self._lines:
                self.line += 1
                try:
                    event = decode(text)
                except _UNREADABLE as error:
                    raise self._bad_line(text, error) from None
                if event.seq != self.events:
                    raise self.error(
                        f"event {event.seq} where {self.events} should be: lines are missing, "
                        "doubled or out of order"
                    )
                self.events += 1
                self._check(event)
                yield event
        except _Damage as damage:
            raise self.error(damage.reason, truncated=damage.truncated) from None
        self._check_count()

    def error(self, reason: str, *, truncated: bool = False) -> RecordingError:
        """A RecordingError at the line read last."""
        return RecordingError(self.path, self.line, reason, truncated=truncated)

    def _read_header(self) -> None:
        try:
            text = next(iter(self._lines), b"")
        except _Damage as damage:
            raise RecordingError(self.path, 1, damage.reason, truncated=damage.truncated) from None
        self.line = 1
        try:
            self.header = msgspec.json.decode(text, type=Header)
        except _UNREADABLE as error:
            raise self.error(
                f"no header ({_short(error)}): the first line of a recording is "
                '{"header":1,"format":1,"go":..,"goos":..,"goarch":..,"end":..}'
            ) from None
        self._check_header(self.header)

    def _check_header(self, header: Header) -> None:
        if header.header != 1 or header.format != FORMAT:
            raise self.error(
                f"header {header.header}, format {header.format}: only format {FORMAT} is known"
            )
        try:
            self.release = release(header.go)
            self.platform = self.release.platform(header.platform_name)
        except UnknownRelease as error:
            raise self.error(str(error)) from None
        bounds = {
            "end": (
                header.end,
                1,
                self.platform.word_mask if not self.platform.is_wasm else 1 << 32,
            ),
            "initialPages": (header.initial_pages, -1, _PAGES_MAX),
            "wasmMemoryMax": (header.max_pages, 0, _PAGES_MAX),
        }
        if isinstance(header.brk_max, int):
            bounds["brkMax"] = (header.brk_max, 0, BRK_MAX)
        for name, (value, least, most) in bounds.items():
            if not least <= value <= most:
                raise self.error(f"{name} {value} must lie between {least} and {most}")
        try:
            check_start(
                self.release,
                self.platform,
                BootOptions(
                    end=header.end,
                    initial_pages=header.initial_pages,
                    max_pages=header.max_pages,
                ),
            )
        except NotInstantiable as error:
            raise self.error(f"{error} (wasmMemoryMax)") from None
        except ValueError as error:
            raise self.error(str(error)) from None

    def _check(self, event: RecordedEvent) -> None:
        needs = NEEDS.get(event.ev)
        if needs is None:
            raise self.error(f"no event {event.ev[:40]!r}: known are {', '.join(NEEDS)}")
        mask = self.platform.word_mask
        for name in needs:
            value = getattr(event, name)
            if value is UNSET:
                raise self.error(f"{event.ev} without {name}: it cannot be compared")
            if not 0 <= value <= mask and name in _WORDS:
                raise self.error(f"{name} {value} is no address or size of this platform")

    def _bad_line(self, text: bytes, error: Exception) -> RecordingError:
        if self._lines.last_is_cut:
            return self.error(f"the last line is cut off ({_short(error)})", truncated=True)
        if isinstance(error, msgspec.ValidationError):
            return self.error(f"not an event: {_short(error)}")
        return self.error(f"not JSON: {_short(error)}")

    def _check_count(self) -> None:
        expected = self.header.events
        if expected is None or expected == self.events:
            return
        if self.events < expected:
            raise self.error(
                f"the recording ends after {self.events} of {expected} events", truncated=True
            )
        raise self.error(f"{self.events} events where the header says {expected}")


def _short(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= 160 else text[:157] + "..."


class _Damage(Exception):
    """The bytes themselves are bad."""

    def __init__(self, reason: str, *, truncated: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.truncated = truncated


class _Lines:
    """The lines of a file, decompressed if need be, each without its newline.

    Args:
        file: open for reading in binary.

    Attributes:
        last_is_cut: the line given last had no newline, and nothing follows it.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._lines = self._split()
        self.last_is_cut = False

    def __iter__(self) -> Iterator[bytes]:
        return self._lines

    def _split(self) -> Iterator[bytes]:
        rest = b""
        for block in self._blocks():
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            yield from lines
            if len(rest) > LINE_MAX:
                raise _Damage(f"a line of more than {LINE_MAX} bytes: this is no recording")
        if rest:
            self.last_is_cut = True
            yield rest

    def _blocks(self) -> Iterator[bytes]:
        try:
            yield from unpacked(lambda n: self._file.read(min(n, _BLOCK)))
        except Damaged as damage:
            reason = "the gzip file is cut off" if damage.truncated else damage.reason
            raise _Damage(reason, truncated=damage.truncated) from None
