"""The `name` section and the `producers` section: what a toolchain says of its output.

Both are for people and may lie or be missing; Go's own table of functions (`pclntab`) may not, for
the program needs it, so that is what a recording goes by.
"""

from __future__ import annotations

from typing import Final

from gorun_mem.wasm.errors import WasmError
from gorun_mem.wasm.leb import Reader
from gorun_mem.wasm.module import Module

_FUNCTIONS: Final = 1
FUNCTIONS_MAX: Final = 1 << 20


def function_names(module: Module) -> dict[int, str]:
    """Function index -> name, as the `name` section has it; empty where there is none.

    Raises:
        WasmError: the section is damaged.
    """
    section = module.custom("name")
    if section is None:
        return {}
    reader = module.reader(section)
    while reader.at < reader.end:
        kind, size = reader.byte(), reader.u32()
        start = reader.at
        reader.take(size)
        if kind == _FUNCTIONS:
            inner = Reader(module.data, start, reader.at, "function names")
            n = inner.count(2)
            if n > FUNCTIONS_MAX:
                raise inner.error(f"{n} names, where {FUNCTIONS_MAX} are supported")
            return {inner.u32(): inner.name() for _ in range(n)}
    return {}


def producers(module: Module) -> dict[str, list[str]]:
    """What made the binary: "language", "processed-by" and "sdk"; empty where it does not say."""
    section = module.custom("producers")
    if section is None:
        return {}
    reader = module.reader(section)
    found: dict[str, list[str]] = {}
    try:
        for _ in range(reader.count(2)):
            field = reader.name()
            n = reader.count(2)
            found[field] = [f"{reader.name()} {reader.name()}".strip() for _ in range(n)]
    except WasmError:
        return found
    return found
