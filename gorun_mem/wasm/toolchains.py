"""Other toolchains, by what they leave behind in a binary.

Where a toolchain says its name, in the producers section or in debug data, that counts; else what
it imports, exports or calls its sections. A binary whose names were all made short by an optimizer
says nothing, and no guess is made of it. Tried on binaries that were published; the tests have what
counts of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gorun_mem.wasm.errors import WasmError
from gorun_mem.wasm.module import Module

_DEBUG_MAX: Final = 4 << 20
"""Bytes of debug data that are searched."""
_ABORT: Final = bytes((0x60, 4, 0x7F, 0x7F, 0x7F, 0x7F, 0))
"""The type of AssemblyScript's abort: a message, a file, a line and a column."""


@dataclass(frozen=True, slots=True)
class _Marks:
    """What tells a toolchain. A name that ends in "_" or "." is how names begin.

    Args:
        name: what it is called.
        said: in its producers entry, in lower case.
        debug: in its debug data.
        imports: module and name that it imports, with a dot between.
        exports: names that it exports.
        sections: custom sections of its own.
    """

    name: str
    said: tuple[str, ...] = ()
    debug: tuple[bytes, ...] = ()
    imports: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()


# The first that fits counts: TinyGo and Rust build by clang's backend, .NET by Emscripten.
_OTHERS: Final = (
    _Marks(
        "TinyGo",
        ("tinygo",),
        (b"tinygo-",),
        ("gojs.runtime.ticks", "env.runtime.ticks"),
        ("go_scheduler", "tinygo_"),
    ),
    _Marks("Rust", ("rustc", "wasm-bindgen"), (b"rustc version",), ("wbg.",), ("__wbindgen_",)),
    _Marks(
        ".NET",
        imports=("env.mono_", "webcil."),
        exports=("mono_wasm_", "webcilVersion"),
    ),
    _Marks("AssemblyScript", ("assemblyscript",), exports=("__pin", "__new", "__rtti_base")),
    _Marks("Swift", ("swift",), (b"Swift version",), sections=(".swift1_autolink_entries",)),
    _Marks("Zig", ("zig",), (b"\0zig 0.", b"\0zig 1.")),
    _Marks("Kotlin", ("kotlin",), imports=("js_code.kotlin.",)),
    _Marks(
        "Emscripten (C or C++)",
        ("emscripten",),
        imports=("env.emscripten_", "env._emscripten_", "env.__syscall_"),
        exports=("emscripten_", "_emscripten_"),
    ),
    _Marks("C or C++ (clang)", ("clang",), (b"clang version",)),
    _Marks("C or C++ (a shared library)", sections=("dylink", "dylink.0")),
)


def other_toolchain(module: Module, said: str) -> str:
    """The toolchain that made a binary, unless it is Go's; "" where it cannot be told.

    Args:
        module: the binary.
        said: its producers entries, in lower case.

    Raises:
        WasmError: its imports or exports are damaged.
    """
    imports = [f"{one.module}.{one.name}" for one in module.imports]
    exports = list(module.exports())
    debug = _debug_text(module)
    for marks in _OTHERS:
        if (
            any(mark in said for mark in marks.said)
            or any(mark in debug for mark in marks.debug)
            or _among(marks.imports, imports)
            or _among(marks.exports, exports)
            or any(module.custom(name) is not None for name in marks.sections)
        ):
            return marks.name
        if marks.name == "AssemblyScript" and _aborts_with_a_place(module):
            return marks.name
    return ""


def _among(wanted: tuple[str, ...], names: list[str]) -> bool:
    begins = tuple(one for one in wanted if one.endswith(("_", ".")))
    return any(name in wanted or name.startswith(begins) for name in names)


def _debug_text(module: Module) -> bytes:
    """The texts of the debug data, where it has some: who made it is among them."""
    section = module.custom(".debug_str")
    if section is None:
        return b""
    return bytes(module.data[section.body : min(section.end, section.body + _DEBUG_MAX)])


def _aborts_with_a_place(module: Module) -> bool:
    """Whether it imports env.abort as AssemblyScript has it; Emscripten's has no parameters."""
    try:
        return any(
            one.module == "env" and one.name == "abort" and module.types[one.type] == _ABORT
            for one in module.imports
            if one.type >= 0
        )
    except (WasmError, IndexError):
        return False
