"""Rewriting a binary so that its host is told when chosen functions are entered and left.

No instruction of the program is decoded or moved. The body of each chosen function is copied to the
end of the code section and gets a new index; at the old index stands a wrapper:

    param is 0, so a fresh call?    hook(id, 0, SP, CTXT)
    r = the body(param)
    hook(id, 1 + r, SP, CTXT)       r is 0 where the function returned, 1 where it unwound
    r

Every other function keeps its index, so calls, tables and Go's PCs stay as they are. The hook is
called through a new slot at the end of the table, which the host fills; an import would have moved
every index. Sections touched: type, function, table, export, code, and memory where a limit is set.
Unchanged bytes are copied in a few large pieces and never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gorun_mem.wasm.errors import WasmError
from gorun_mem.wasm.leb import sleb, uleb
from gorun_mem.wasm.module import (
    CODE,
    EXPORT,
    FUNCTION,
    MEMORY,
    TABLE,
    TYPE,
    Module,
    PageLimits,
    read_limits,
)

TABLE_EXPORT: Final = "gorun_mem_table"
MEMORY_EXPORT: Final = "gorun_mem_memory"
ENTERED, RETURNED, UNWOUND = range(3)
"""Phases that the hook is called with."""

_I32: Final = 0x7F
_I64: Final = 0x7E
_GO_TYPE: Final = bytes((0x60, 1, _I32, 1, _I32))
_HOOK_TYPE: Final = bytes((0x60, 4, _I32, _I32, _I32, _I32, 0))
_FUNCREF: Final = 0x70
_SP, _CTXT = 0, 1
"""Go's globals: the stack pointer, 32 bits, and the closure's context, 64 bits."""

_IF, _END, _CALL, _CALL_INDIRECT, _WRAP = 0x04, 0x0B, 0x10, 0x11, 0xA7
_GET, _SET, _GET_GLOBAL, _CONST, _EQZ, _ADD = 0x20, 0x21, 0x23, 0x41, 0x45, 0x6A
_EMPTY_BLOCK: Final = 0x40


@dataclass(frozen=True, slots=True)
class Wrap:
    """A function to be watched.

    Args:
        number: its place among the functions with bodies.
        id: what the hook is told.
        leaves: also tell when it is left.
    """

    number: int
    id: int
    leaves: bool = True


@dataclass(frozen=True, slots=True)
class Instrumented:
    """A rewritten binary.

    Args:
        pieces: it, in order; joined only when it is written.
        slot: the place in the table that the host fills with a function of four i32.
    """

    pieces: list[bytes | memoryview]
    slot: int


def instrument(module: Module, wraps: Sequence[Wrap], max_pages: int | None = None) -> Instrumented:
    """Put a wrapper around each of `wraps`.

    Args:
        module: a Go binary.
        wraps: the functions, in any order, each once.
        max_pages: the memory's new maximum in pages; None leaves it.

    Raises:
        WasmError: the binary is not laid out as Go's linker does it, or was rewritten already.
    """
    _check(module)
    wraps = sorted(wraps, key=lambda w: w.number)
    table = _table(module)
    types = [uleb(_type_of(module, w)) for w in wraps]
    replaced: dict[int, list[bytes | memoryview]] = {
        TYPE: _appended(module, TYPE, [_HOOK_TYPE]),
        FUNCTION: _appended(module, FUNCTION, types),
        TABLE: [_new_table(table)],
        EXPORT: _appended(module, EXPORT, _exports()),
        CODE: _code(module, wraps, len(module.types), table.least),
    }
    if max_pages is not None:
        assert module.memory is not None
        replaced[MEMORY] = [b"\x01\x01" + uleb(module.memory.least) + uleb(max_pages)]
    pieces: list[bytes | memoryview] = [module.data[:8]]
    for section in module.sections:
        content = replaced.get(section.id)
        if content is None:
            pieces.append(module.data[section.start : section.end])
            continue
        size = sum(len(piece) for piece in content)
        pieces.append(bytes((section.id,)) + uleb(size))
        pieces += content
    return Instrumented(pieces, table.least)


def _check(module: Module) -> None:
    for section in (TYPE, FUNCTION, TABLE, MEMORY, EXPORT, CODE):
        if section not in module.by_id:
            raise WasmError("a section is missing that every Go binary has: it cannot be recorded")
    if module.global_types()[:2] != [_I32, _I64]:
        raise WasmError("the first globals are not Go's SP and CTXT: it cannot be recorded")
    if TABLE_EXPORT in module.exports():
        raise WasmError("this binary is instrumented already: give the one that the build made")


def _table(module: Module) -> PageLimits:
    reader = module.reader(module.by_id[TABLE])
    n = reader.count(3)
    kind = reader.byte()
    limits = read_limits(reader)
    if n != 1 or kind != _FUNCREF or limits.flags > 1:
        raise WasmError("there is not exactly one table of functions: it cannot be recorded")
    return limits


def _new_table(table: PageLimits) -> bytes:
    most = b"" if table.most is None else uleb(max(table.most, table.least + 1))
    return bytes((1, _FUNCREF, table.flags)) + uleb(table.least + 1) + most


def _exports() -> list[bytes]:
    def export(name: str, kind: int) -> bytes:
        return uleb(len(name)) + name.encode() + bytes((kind, 0))

    return [export(TABLE_EXPORT, 1), export(MEMORY_EXPORT, 2)]


def _appended(module: Module, kind: int, entries: Iterable[bytes]) -> list[bytes | memoryview]:
    """A vector with more entries at its end."""
    section = module.by_id[kind]
    reader = module.reader(section)
    n = reader.u32()
    added = list(entries)
    return [uleb(n + len(added)), module.data[reader.at : section.end], *added]


def _code(
    module: Module, wraps: Sequence[Wrap], hook_type: int, slot: int
) -> list[bytes | memoryview]:
    starts = module.bodies
    n = len(starts) - 1
    first_new = module.imported_functions + n
    pieces: list[bytes | memoryview] = [uleb(n + len(wraps))]
    moved: list[bytes | memoryview] = []
    at = starts[0]
    for i, wrap in enumerate(wraps):
        begin, end = starts[wrap.number], starts[wrap.number + 1]
        if begin < at:
            raise WasmError(f"function {wrap.number} is to be watched twice")
        pieces.append(module.data[at:begin])
        pieces.append(_wrapper(wrap, first_new + i, hook_type, slot))
        moved.append(module.data[begin:end])
        at = end
    return [*pieces, module.data[at : starts[n]], *moved]


def _type_of(module: Module, wrap: Wrap) -> int:
    """Index of the function's type, which must be that of all Go functions."""
    functions, types = module.function_types, module.types
    if not 0 <= wrap.number < len(functions):
        raise WasmError(f"Go's table has function {wrap.number} of {len(functions)}")
    kind = functions[wrap.number]
    if kind >= len(types) or types[kind] != _GO_TYPE:
        raise WasmError(f"function {wrap.number} is not one of Go's: it cannot be watched")
    return kind


def _wrapper(wrap: Wrap, body: int, hook_type: int, slot: int) -> bytes:
    def const(n: int) -> bytes:
        return bytes((_CONST,)) + sleb(n)

    def hook(phase: bytes) -> bytes:
        arguments = const(wrap.id) + phase + bytes((_GET_GLOBAL, _SP, _GET_GLOBAL, _CTXT, _WRAP))
        call = bytes((_CALL_INDIRECT,)) + uleb(hook_type) + b"\0"
        return arguments + const(slot) + call

    code = bytes((_GET, 0, _EQZ, _IF, _EMPTY_BLOCK)) + hook(const(ENTERED))
    code += bytes((_END, _GET, 0, _CALL)) + uleb(body)
    if wrap.leaves:
        phase = bytes((_GET, 1)) + const(1) + bytes((_ADD,))
        code += bytes((_SET, 1)) + hook(phase) + bytes((_GET, 1))
    locals_ = bytes((1, 1, _I32))
    content = locals_ + code + bytes((_END,))
    return uleb(len(content)) + content
