"""The sections of a wasm binary, as far as rewriting one needs them.

Sections are found by their headers; of most only counts and places are read. No instruction is
decoded. What was read is checked where the rewriting relies on it, so that a binary that passes
here and is wrong elsewhere is refused by the engine that runs it, not made worse by us.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from gorun_mem.wasm.errors import WasmError
from gorun_mem.wasm.leb import Reader

MAGIC: Final = b"\0asm\x01\0\0\0"
SECTIONS_MAX: Final = 1000
PAGES_MAX: Final = 65536

CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA = range(
    12
)
DATA_COUNT: Final = 12
_TAG: Final = 13
_NAMES: Final = {
    CUSTOM: "custom", TYPE: "type", IMPORT: "import", FUNCTION: "function", TABLE: "table",
    MEMORY: "memory", GLOBAL: "global", EXPORT: "export", START: "start", ELEMENT: "element",
    CODE: "code", DATA: "data", DATA_COUNT: "data count", _TAG: "tag",
}  # fmt: skip
_ORDER: Final = {
    section: place
    for place, section in enumerate(
        (TYPE, IMPORT, FUNCTION, TABLE, MEMORY, _TAG, GLOBAL, EXPORT, START, ELEMENT, DATA_COUNT,
         CODE, DATA)
    )
}  # fmt: skip
"""The order in which sections must stand; custom ones stand anywhere."""

_FUNC, _TABLE, _MEMORY, _GLOBAL = range(4)
_I32_CONST: Final = 0x41
_I64_CONST: Final = 0x42
_END: Final = 0x0B


@dataclass(frozen=True, slots=True)
class WasmSection:
    """One section.

    Args:
        id: its kind.
        start: byte of its id.
        body: first byte of its content; of a custom section, behind its name.
        end: byte behind it.
        name: of a custom section.
    """

    id: int
    start: int
    body: int
    end: int
    name: str = ""

    def __str__(self) -> str:
        return (
            f"custom section {self.name!r}" if self.id == CUSTOM else f"{_NAMES[self.id]} section"
        )


@dataclass(frozen=True, slots=True)
class PageLimits:
    """How large something may be.

    Args:
        least: at the start.
        most: at most; None for no bound.
        flags: as written.
    """

    least: int
    most: int | None
    flags: int


@dataclass(frozen=True, slots=True)
class Import:
    """What the binary wants from its host.

    Args:
        module: of whom.
        name: what.
        kind: 0 for a function, then table, memory, global.
        type: the type's number, of a function; -1 for anything else.
    """

    module: str
    name: str
    kind: int
    type: int = -1


@dataclass(frozen=True, slots=True)
class DataSegment:
    """Bytes that instantiation puts into the memory.

    Args:
        address: where.
        at: byte of the binary at which they start.
        size: how many.
    """

    address: int
    at: int
    size: int


@dataclass(frozen=True)
class Module:
    """A wasm binary with its sections found.

    Args:
        data: the whole of it.
        sections: in order.

    Attributes:
        by_id: the sections that are not custom, by kind.
    """

    data: memoryview
    sections: list[WasmSection]
    by_id: dict[int, WasmSection] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Module:
        """Find the sections.

        Raises:
            WasmError: the bytes are no wasm module, or sections are cut off, double or misplaced.
        """
        view = memoryview(data)
        if bytes(view[:8]) != MAGIC:
            raise WasmError(_no_module(bytes(view[:8])), 0)
        sections: list[WasmSection] = []
        by_id: dict[int, WasmSection] = {}
        reader = Reader(view, 8, len(view), "wasm module")
        last = -1
        while reader.at < reader.end:
            section = _read_section(reader)
            if len(sections) == SECTIONS_MAX:
                raise WasmError(f"more than {SECTIONS_MAX} sections", section.start)
            sections.append(section)
            if section.id != CUSTOM:
                if _ORDER[section.id] <= last:
                    raise WasmError(f"the {section} is double or out of order", section.start)
                last = _ORDER[section.id]
                by_id[section.id] = section
        return cls(view, sections, by_id)

    def reader(self, section: WasmSection) -> Reader:
        """A reader at the start of a section's content."""
        return Reader(self.data, section.body, section.end, str(section))

    def custom(self, name: str) -> WasmSection | None:
        """The first custom section called `name`."""
        return next((s for s in self.sections if s.id == CUSTOM and s.name == name), None)

    @cached_property
    def imports(self) -> list[Import]:
        """What the binary wants from its host, in order."""
        section = self.by_id.get(IMPORT)
        if section is None:
            return []
        reader = self.reader(section)
        return [_read_import(reader) for _ in range(reader.count(4))]

    @cached_property
    def imported_functions(self) -> int:
        """How many function indexes belong to imports."""
        return sum(1 for i in self.imports if i.kind == _FUNC)

    @cached_property
    def types(self) -> list[bytes]:
        """The function types, each as written, parameters and results.

        Raises:
            WasmError: there is one that is no plain function type.
        """
        section = self.by_id.get(TYPE)
        if section is None:
            return []
        reader = self.reader(section)
        types = []
        for _ in range(reader.count(3)):
            start = reader.at
            if reader.byte() != 0x60:
                raise reader.error(
                    "a type that is no function's: garbage-collected types are not supported"
                )
            for _ in range(2):
                reader.take(reader.count())
            types.append(bytes(self.data[start : reader.at]))
        return types

    @cached_property
    def function_types(self) -> list[int]:
        """Type index of each function that has a body."""
        section = self.by_id.get(FUNCTION)
        if section is None:
            return []
        reader = self.reader(section)
        n = reader.count()
        body = self.data[reader.at : section.end]
        if len(body) == n and not any(byte & 0x80 for byte in set(body)):
            return list(body)
        return [reader.u32() for _ in range(n)]

    @cached_property
    def memory(self) -> PageLimits | None:
        """The memory's limits in pages; None where the binary brings none.

        Raises:
            WasmError: more than one memory, or one of 64-bit addresses.
        """
        section = self.by_id.get(MEMORY)
        if section is None:
            return None
        reader = self.reader(section)
        if (n := reader.count(2)) != 1:
            raise reader.error(f"{n} memories, where one is supported")
        limits = read_limits(reader)
        if limits.flags > 1:
            raise reader.error(
                f"a memory with flags {limits.flags}: only plain 32-bit memories are supported"
            )
        if max(limits.least, limits.most or 0) > PAGES_MAX:
            raise reader.error(f"a memory of more than {PAGES_MAX} pages")
        return limits

    @cached_property
    def bodies(self) -> list[int]:
        """Where each function body starts, its size included; one more for the end.

        Raises:
            WasmError: bodies and function section disagree.
        """
        section = self.by_id.get(CODE)
        if section is None:
            raise WasmError("no code section: there is nothing to run")
        reader = self.reader(section)
        n = reader.count()
        if n != len(self.function_types):
            raise reader.error(f"{n} bodies for {len(self.function_types)} functions")
        data, at, end = self.data, reader.at, section.end
        starts = []
        for _ in range(n):
            starts.append(at)
            size = shift = 0
            while True:
                if at >= end or shift > 28:
                    raise WasmError(f"{section}: a body with no size", starts[-1])
                byte = data[at]
                at += 1
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            at += size
            if at > end:
                raise WasmError(f"{section}: a body that is larger than the section", starts[-1])
        if at != end:
            raise WasmError(f"{section}: bytes behind the last body", at)
        starts.append(at)
        return starts

    def segments(self) -> list[DataSegment]:
        """The data that is put into the memory at the start.

        Raises:
            WasmError: a segment is placed by something else than a constant.
        """
        section = self.by_id.get(DATA)
        if section is None:
            return []
        reader = self.reader(section)
        segments = []
        for _ in range(reader.count(2)):
            flags = reader.u32()
            if flags > 2:
                raise reader.error(f"a data segment with flags {flags}")
            if flags == 2:
                reader.u32()
            address = read_constant(reader) & 0xFFFF_FFFF if flags != 1 else -1
            size = reader.u32()
            at = reader.at
            if size > reader.end - at:
                raise reader.error(
                    f"a data segment of {size} bytes where {reader.end - at} are left"
                )
            reader.at = at + size
            if address >= 0:
                segments.append(DataSegment(address, at, size))
        return segments

    def exports(self) -> dict[str, tuple[int, int]]:
        """Name -> (kind, index)."""
        section = self.by_id.get(EXPORT)
        if section is None:
            return {}
        reader = self.reader(section)
        found = {}
        for _ in range(reader.count(3)):
            name = reader.name()
            kind = reader.byte()
            found[name] = (kind, reader.u32())
        return found

    def global_types(self) -> list[int]:
        """The value type of each global that the binary brings."""
        section = self.by_id.get(GLOBAL)
        if section is None:
            return []
        reader = self.reader(section)
        types = []
        for _ in range(reader.count(4)):
            types.append(reader.byte())
            reader.byte()
            read_constant(reader)
        return types


def read_limits(reader: Reader) -> PageLimits:
    """Limits of a memory or a table."""
    flags = reader.byte()
    if flags > 7:
        raise reader.error(f"limits with flags {flags}")
    least = reader.u32()
    return PageLimits(least, reader.u32() if flags & 1 else None, flags)


def read_constant(reader: Reader) -> int:
    """A constant expression of one integer; 0 for a float."""
    op = reader.byte()
    value = 0
    if op in (_I32_CONST, _I64_CONST):
        value = reader.i64()
    elif op in (0x43, 0x44):
        reader.take(4 if op == 0x43 else 8)
    elif op in (0x23, 0xD2):
        reader.u32()
    elif op == 0xD0:
        reader.byte()
    else:
        raise reader.error(f"a constant expression with opcode {op:#x}")
    if reader.byte() != _END:
        raise reader.error("a constant expression of more than one constant")
    return value


def _read_section(reader: Reader) -> WasmSection:
    start = reader.at
    kind = reader.byte()
    if kind not in _NAMES:
        raise WasmError(
            f"no section kind {kind}: the binary is damaged or of a newer format", start
        )
    size = reader.u32()
    body, end = reader.at, reader.at + size
    if end > reader.end:
        raise WasmError(
            f"the {_NAMES[kind]} section has {size} bytes where {reader.end - body} are left: "
            "the file is cut off or damaged",
            start,
        )
    name = ""
    if kind == CUSTOM:
        inner = Reader(reader.data, body, end, "custom section")
        name = inner.name()
        body = inner.at
    reader.at = end
    return WasmSection(kind, start, body, end, name)


def _read_import(reader: Reader) -> Import:
    module, name, kind = reader.name(), reader.name(), reader.byte()
    if kind == _FUNC:
        return Import(module, name, kind, reader.u32())
    if kind == _TABLE:
        reader.byte()
        read_limits(reader)
    elif kind == _MEMORY:
        read_limits(reader)
    elif kind == _GLOBAL:
        reader.take(2)
    else:
        raise reader.error(f"an import of kind {kind}")
    return Import(module, name, kind)


def _no_module(head: bytes) -> str:
    if head[:4] == MAGIC[:4]:
        if len(head) == 8 and head[6:8] == b"\x01\0":
            return "a wasm component, not a module: give the core module that it holds"
        return f"wasm version {head[4:8].hex()}: only version 1 is known"
    if head[:4] == b"\x7fELF" or head[:2] == b"MZ":
        return "a native program, not wasm: build it with GOOS=js or GOOS=wasip1, GOARCH=wasm"
    if head[:2] == b"\x1f\x8b":
        return "a gzip file: decompress it first"
    return "no wasm binary: it does not begin with 00 61 73 6d 01 00 00 00"
