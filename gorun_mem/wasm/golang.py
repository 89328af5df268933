"""What a Go linker left in the data of a wasm binary: function table, bounds, release.

Three things are found without symbols, so in stripped binaries (-ldflags "-s -w") too:

    pclntab     begins with a magic number. It has every function with its PC; on wasm a PC is
                (function index - imports + 0x1000) << 16 | block, so the table names functions by
                index. The table holds the PC's offset, from 1.25 the bare index; both
                count from the first function.
    moduledata  refers to pclntab in its first word. Its bounds of text and data must ascend, which
                tells it from a chance hit; `end` of it is where the break starts.
    build info  begins with a text of its own; it has the release and the module that was built.

symtab.go, internal/abi and debug/buildinfo have the layouts; they are the same from 1.20 to 1.27 as
far as they are read here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final

from gorun_mem.wasm.errors import WasmError
from gorun_mem.wasm.image import Image

_MAGIC: Final = bytes.fromhex("f1ffffff0000") + b"\x01\x08"
"""pcHeader from 1.20: magic, two zeros, an instruction of 1 byte, pointers of 8."""
FUNCTION_BASE: Final = 0x1000
"""PC_F of the first function with a body; funcValueOffset of the linker."""
_PC_SHIFT: Final = 16
_BUILD_INFO: Final = b"\xff Go buildinf:"
_INLINE_STRINGS: Final = 2
_VERSION: Final = re.compile(rb"\0((?:go1\.\d{1,4}|devel )[ -~]{0,80})\0")
_MODULE_START: Final = bytes.fromhex("3077af0c9274080241e1c107e6d618e6")
_MODULE_END: Final = bytes.fromhex("f932433186182072008242104116d8f2")
_FUNCTIONS_MAX: Final = 1 << 20
_NAME_MAX: Final = 4096
_CANDIDATES_MAX: Final = 64
_REFERENCES_MAX: Final = 4096
_TRIES: Final = 16
_PCSP: Final = 16
"""Offset of pcsp in a _func: where its table of frame sizes begins in pctab."""
_PCSP_MAX: Final = 1 << 16
_VARINT_BITS: Final = 35

# Words of moduledata.
_FUNCNAMETAB, _PCTAB, _PCLNTABLE, _FTAB, _MINPC, _MAXPC, _DATA_FIRST = 1, 10, 13, 16, 20, 21, 24
_END: Final = 34
_WORDS: Final = 35


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What the build says of itself.

    Args:
        release: such as "go1.27.3"; may carry experiments behind a blank.
        path: import path of the main package, "" where it is not said.
        settings: the build's settings, such as "-ldflags".
    """

    release: str
    path: str
    settings: dict[str, str]


@dataclass(frozen=True)
class ModuleData:
    """moduledata of symtab.go.

    Args:
        image: the initial memory.
        words: its first words.
    """

    image: Image
    words: tuple[int, ...]

    @property
    def end(self) -> int:
        """Where the program's data ends, in bytes."""
        return self.words[_END]

    @cached_property
    def records(self) -> dict[int, int]:
        """Number of a function among those with bodies -> address of its _func.

        Raises:
            WasmError: the table points outside the data, or is absurdly long.
        """
        image = self.image
        names, names_size = self.words[_FUNCNAMETAB], self.words[_FUNCNAMETAB + 1]
        lines, lines_size = self.words[_PCLNTABLE], self.words[_PCLNTABLE + 1]
        table, n = self.words[_FTAB], self.words[_FTAB + 1] - 1
        if not 0 < n <= _FUNCTIONS_MAX:
            raise WasmError(f"Go's function table has {n} entries")
        top = len(image)
        if max(names + names_size, lines + lines_size, table + 8 * n) > top + 8:
            raise WasmError("Go's function table points outside the data")
        entries = struct.unpack_from(
            f"<{2 * n}I", image.bytes[table : table + 8 * n].ljust(8 * n, b"\0")
        )
        first = entries[0]
        shift = _PC_SHIFT if n > 1 and entries[2] - first >= 1 << _PC_SHIFT else 0
        found: dict[int, int] = {}
        for entry, offset in zip(entries[0::2], entries[1::2], strict=True):
            if offset > lines_size or lines + offset + 8 > top:
                raise WasmError("Go's function table points outside the data")
            found[(entry - first) >> shift] = lines + offset
        return found

    @cached_property
    def functions(self) -> dict[int, str]:
        """Number of a function among those with bodies -> name, as in `runtime.(*mheap).grow`.

        Raises:
            WasmError: the table points outside the data, or is absurdly long.
        """
        names, names_size = self.words[_FUNCNAMETAB], self.words[_FUNCNAMETAB + 1]
        data, top = self.image.bytes, len(self.image)
        found: dict[int, str] = {}
        for number, record in self.records.items():
            at = record + 4
            name = names + int.from_bytes(data[at : at + 4], "little", signed=True)
            if not names <= name < names + names_size:
                raise WasmError("a function's name lies outside Go's names")
            end = data.find(b"\0", name, name + _NAME_MAX)
            found[number] = data[name : end if end >= 0 else top].decode("utf-8", "replace")
        return found

    def frame_size(self, number: int, block: int) -> int:
        """Bytes of a function's frame at a PC, by its pcsp table; -1 where that cannot be told.

        Args:
            number: the function's, among those with bodies.
            block: the PC's lower 16 bits.
        """
        record, data = self.records.get(number), self.image.bytes
        if record is None:
            return -1
        at = int.from_bytes(data[record + _PCSP : record + _PCSP + 4], "little")
        table, size = self.words[_PCTAB], self.words[_PCTAB + 1]
        if not 0 < at < size:
            return -1
        reader = memoryview(data)[table + at : min(table + size, table + at + _PCSP_MAX)]
        value, pc, place = -1, 0, 0
        try:
            while True:
                change, place = _uvarint(reader, place)
                if change == 0 and pc:
                    return -1
                value += -(change >> 1) - 1 if change & 1 else change >> 1
                step, place = _uvarint(reader, place)
                pc += step
                if block < pc:
                    return value
        except IndexError:
            return -1


def _uvarint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of pctab and the place behind it.

    Raises:
        IndexError: the table ends within it, or it is none.
    """
    value = shift = 0
    while shift < _VARINT_BITS:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise IndexError


def find_module_data(image: Image) -> ModuleData | None:
    """firstmoduledata; None where the data has no function table of Go 1.20 or later.

    Args:
        image: the initial memory.
    """
    for header in _occurrences(image.bytes, _MAGIC):
        # pclntab may lie at an address as round as 0x10000, whose bytes are everywhere.
        for at in _occurrences(image.bytes, struct.pack("<Q", header), 8, _REFERENCES_MAX):
            words = image.words(at, _WORDS)
            if _is_module_data(words, len(image)):
                return ModuleData(image, words)
    return None


def _is_module_data(words: tuple[int, ...], top: int) -> bool:
    bounds = words[_DATA_FIRST : _DATA_FIRST + 8]
    return (
        words[_MINPC] == FUNCTION_BASE << _PC_SHIFT
        and words[_MAXPC] > words[_MINPC]
        and list(bounds) == sorted(bounds)
        and bounds[0] > 0
        and bounds[-1] <= words[_END] < 1 << 32
        and words[_FTAB] < top
    )


def _occurrences(
    data: bytearray, pattern: bytes, align: int = 1, most: int = _CANDIDATES_MAX
) -> Iterator[int]:
    """Where a pattern stands, at multiples of `align`; as if no more were there after `most`."""
    at, tries = data.find(pattern), _TRIES * most
    while at >= 0 and most and tries:
        tries -= 1
        if at % align == 0:
            yield at
            most -= 1
        at = data.find(pattern, at + 1)


def find_build_info(image: Image) -> BuildInfo | None:
    """The build's own words; None where they are missing or point elsewhere.

    Go's linkers for wasm leave out the build info section that other platforms have, so where it is
    missing runtime.buildVersion is looked for: a text that a string header in the data refers to.

    Args:
        image: the initial memory.
    """
    data = image.bytes
    for at in _occurrences(data, _BUILD_INFO):
        head = data[at : at + 32]
        if at % 16 or len(head) < 32 or not head[15] & _INLINE_STRINGS:
            continue
        release, next_at = _string(data, at + 32)
        modules, _ = _string(data, next_at)
        if release:
            return BuildInfo(release.decode("utf-8", "replace")[:100], *_settings(modules[16:-16]))
    for match in islice(_VERSION.finditer(data), _CANDIDATES_MAX):
        text = match[1]
        if data.find(struct.pack("<QQ", match.start(1), len(text))) >= 0:
            return BuildInfo(text.decode("ascii"), *_settings(_module_text(data)))
    return None


def _module_text(data: bytearray) -> bytes:
    """runtime.modinfo without the noise that encloses it."""
    start = data.find(_MODULE_START)
    end = data.find(_MODULE_END, start, start + (1 << 20)) if start >= 0 else -1
    return bytes(data[start + 16 : end]) if end >= 0 else b""


def _string(data: bytearray, at: int) -> tuple[bytes, int]:
    size = shift = 0
    for place in range(at, min(at + 5, len(data))):
        size |= (data[place] & 0x7F) << shift
        shift += 7
        if data[place] < 0x80:
            end = place + 1 + size
            if size > 1 << 20 or end > len(data):
                break
            return bytes(data[place + 1 : end]), end
    return b"", at


def _settings(modules: bytes) -> tuple[str, dict[str, str]]:
    """Path and settings out of the module text."""
    path, settings = "", {}
    for line in modules.decode("utf-8", "replace").splitlines():
        kind, _, rest = line.partition("\t")
        if kind == "path":
            path = rest
        elif kind == "build":
            key, _, value = rest.partition("=")
            settings[key] = value
    return path, settings
