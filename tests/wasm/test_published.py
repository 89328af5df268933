"""Binaries of other toolchains as they were published: each is refused by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gorun_mem.wasm.binary import Binary
from gorun_mem.wasm.leb import uleb
from gorun_mem.wasm.module import MAGIC
from tests.wasm.test_reading import custom, name, section

FOLDER = Path(__file__).parent / "published"
MADE_BY = {
    "assemblyscript": "AssemblyScript",
    "assemblyscript-runtime": "AssemblyScript",
    "c-shared": "C or C++ (a shared library)",
    "dotnet": ".NET",
    "emscripten": "Emscripten (C or C++)",
    "rust-1.66": "Rust",
    "rust-wasm-bindgen": "Rust",
    "tinygo-0.40.1": "TinyGo",
    "tinygo-0.42.0": "TinyGo",
    "webcil": ".NET",
    "zig-0.11": "Zig",
}


@pytest.mark.parametrize("published", sorted(MADE_BY))
def test_it_is_refused_by_name(published: str) -> None:
    """By what is left of the real binary."""
    binary = Binary.parse((FOLDER / f"{published}.wasm").read_bytes())
    assert binary.toolchain == MADE_BY[published]
    assert f"made by {MADE_BY[published]}: " in binary.refusal()


def test_none_is_left_out() -> None:
    """Every file of the folder is looked at."""
    others = {"go1.19", "short-names"}
    assert {path.stem for path in FOLDER.glob("*.wasm")} == set(MADE_BY) | others


def test_an_old_go_and_one_that_says_nothing() -> None:
    """Go before 1.21 is told with its release; of short names no guess is made."""
    old = Binary.parse((FOLDER / "go1.19.wasm").read_bytes())
    assert "(go1.19.12): build it with a newer Go" in old.refusal()
    short = Binary.parse((FOLDER / "short-names.wasm").read_bytes())
    assert (short.toolchain, "not made by Go's toolchain" in short.refusal()) == ("", True)


def _module(imported: str, type_: bytes, exported: str, made: str = "") -> bytes:
    data = MAGIC + section(1, b"\x01" + type_)
    data += section(2, b"\x01" + name("env") + name(imported) + b"\0\0")
    data += section(7, b"\x01" + name(exported) + b"\0\0")
    if made:
        entry = b"\x01" + name("processed-by") + b"\x01" + name(made) + name("go1.24.3")
        data += custom("producers", entry)
    return data


@pytest.mark.parametrize(
    ("imported", "parameters", "exported", "found"),
    [
        ("abort", 4, "f", "AssemblyScript"),
        ("abort", 0, "f", ""),  # Emscripten's own, and others'
        ("f", 0, "__newlocale", ""),
        ("f", 0, "__new", "AssemblyScript"),
        ("emscripten_date_now", 0, "f", "Emscripten (C or C++)"),
        ("mono_wasm_anything", 0, "f", ".NET"),
    ],
)
def test_a_name_is_no_other_that_begins_alike(
    imported: str, parameters: int, exported: str, found: str
) -> None:
    """And an abort without a message and a place is nobody's."""
    type_ = b"\x60" + uleb(parameters) + b"\x7f" * parameters + b"\0"
    data = _module(imported, type_, exported)
    assert Binary.parse(data).toolchain == found


def test_gos_own_word_counts_before_what_a_program_exports() -> None:
    """A Go program may import and export what it likes."""
    data = _module("emscripten_x", b"\x60\0\0", "__new", "Go cmd/compile")
    assert Binary.parse(data).toolchain == "Go"
