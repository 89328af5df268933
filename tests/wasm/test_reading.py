"""Reading wasm binaries: numbers, sections, names, and what is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gorun_mem.wasm.binary import Binary
from gorun_mem.wasm.errors import WasmError
from gorun_mem.wasm.golang import FUNCTION_BASE, ModuleData, find_module_data
from gorun_mem.wasm.image import Image
from gorun_mem.wasm.leb import Reader, sleb, uleb
from gorun_mem.wasm.module import MAGIC, DataSegment, Module, PageLimits
from gorun_mem.wasm.names import function_names, producers


def section(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + uleb(len(body)) + body


def name(text: str) -> bytes:
    return uleb(len(text)) + text.encode()


def custom(title: str, body: bytes) -> bytes:
    return section(0, name(title) + body)


def reader(data: bytes) -> Reader:
    return Reader(memoryview(data), 0, len(data), "test")


@given(st.integers(0, (1 << 32) - 1))
def test_unsigned_numbers_come_back(n: int) -> None:
    """What uleb writes u32 reads."""
    assert reader(uleb(n)).u32() == n


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_signed_numbers_come_back(n: int) -> None:
    """What sleb writes i64 reads."""
    assert reader(sleb(n)).i64() == n


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\xff\xff\xff\xff\x1f", b"\x80\x80\x80\x80\x80\x01"]
)
def test_a_number_that_is_cut_or_too_large_is_an_error(data: bytes) -> None:
    """Neither the end of the section nor 32 bits are passed."""
    with pytest.raises(WasmError):
        reader(data).u32()


def test_a_count_that_lies_costs_nothing() -> None:
    """More entries than bytes are refused before anything is made of them."""
    with pytest.raises(WasmError, match="4294967295 entries in 1 bytes"):
        reader(uleb(0xFFFF_FFFF) + b"\0").count()


def test_sections_are_found_in_order() -> None:
    """Kinds, names and places of sections are read; the memory's limits with them."""
    data = MAGIC + custom("first", b"abc") + section(5, b"\x01\x01\x02\x05") + custom("last", b"")
    module = Module.parse(data)
    assert [(s.id, s.name) for s in module.sections] == [(0, "first"), (5, ""), (0, "last")]
    assert module.memory == PageLimits(2, 5, 1)
    assert bytes(module.data[module.sections[0].body : module.sections[0].end]) == b"abc"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no wasm binary"),
        (b"\x7fELF\x02\x01\x01\0", "a native program"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip"),
        (b"\0asm\x0d\0\x01\0", "component"),
        (b"\0asm\x02\0\0\0", "version"),
        (MAGIC + section(5, b"\0") + section(1, b"\0"), "out of order"),
        (MAGIC + section(1, b"\0") + section(1, b"\0"), "double"),
        (MAGIC + b"\x01\x7f\0", "cut off or damaged"),
        (MAGIC + section(77, b""), "no section kind 77"),
        (MAGIC + custom("x", b"") * 1001, "more than 1000 sections"),
    ],
)
def test_what_is_no_module_is_told(data: bytes, says: str) -> None:
    """Each kind of wrong input has a message of its own."""
    with pytest.raises(WasmError, match=says):
        Module.parse(data)


@pytest.mark.parametrize(
    ("memory", "says"),
    [
        (b"\x02\0\x01\0\x01", "2 memories"),
        (b"\x01\x04\x01", "flags 4"),
        (b"\x01\0\x81\x80\x04", "more than 65536 pages"),
    ],
)
def test_memories_that_are_not_supported_are_told(memory: bytes, says: str) -> None:
    """Two memories, 64-bit ones and ones of more than 4 GiB are refused."""
    with pytest.raises(WasmError, match=says):
        Module.parse(MAGIC + section(5, memory)).memory  # noqa: B018


def test_the_image_is_the_memory_after_instantiation() -> None:
    """Segments are put where they say; what lies between is zero."""
    segments = b"\x02" + b"\0\x41" + sleb(4) + b"\x0b\x02ab" + b"\0\x41" + sleb(9) + b"\x0b\x01c"
    module = Module.parse(MAGIC + section(5, b"\x01\0\x01") + section(11, segments))
    assert bytes(Image.of(module).bytes) == b"\0\0\0\0ab\0\0\0c"


def test_a_segment_beyond_the_memory_is_refused() -> None:
    """It costs no memory to say that data lies at 4 GiB."""
    segments = b"\x01" + b"\0\x41" + sleb(0x7FFF0000) + b"\x0b\x01a"
    module = Module.parse(MAGIC + section(5, b"\x01\0\x01") + section(11, segments))
    with pytest.raises(WasmError, match="beyond the initial memory"):
        Image.of(module)
    module = Module.parse(MAGIC + section(5, b"\x01\0\x80\x80\x04") + section(11, segments))
    with pytest.raises(WasmError, match="where 268435456 are supported"):
        Image.of(module)


def test_names_and_producers_are_read() -> None:
    """The name section's functions and the producers section's entries."""
    functions = b"\x02" + b"\x03" + name("runtime.sbrk") + b"\x05" + name("main.main")
    data = MAGIC + custom("name", b"\x01" + uleb(len(functions)) + functions)
    data += custom(
        "producers", b"\x01" + name("language") + b"\x01" + name("Go") + name("go1.24.3")
    )
    module = Module.parse(data)
    assert function_names(module) == {3: "runtime.sbrk", 5: "main.main"}
    assert producers(module) == {"language": ["Go go1.24.3"]}


@pytest.mark.parametrize(
    ("language", "exports", "says"),
    [
        ("TinyGo", [], "made by TinyGo"),
        ("", ["go_scheduler"], "made by TinyGo"),
        ("rustc", [], "made by Rust"),
        ("clang", [], r"made by C or C\+\+"),
        ("", ["__pin", "__new"], "made by AssemblyScript"),
        ("", [], "not made by Go's toolchain"),
        ("Go cmd/compile", [], "no function table of Go 1.21 or later"),
    ],
)
def test_other_languages_are_refused_by_name(language: str, exports: list[str], says: str) -> None:
    """What cannot be recorded says what it is, not that it is damaged."""
    entries = b"".join(name(e) + b"\0\0" for e in exports)
    data = MAGIC + section(5, b"\x01\0\x01") + section(7, uleb(len(exports)) + entries)
    if language:
        data += custom(
            "producers", b"\x01" + name("processed-by") + b"\x01" + name(language) + b"\0"
        )
    with pytest.raises(WasmError, match=says):
        Binary.parse(data).check()


def test_a_function_table_at_a_round_address_is_found() -> None:
    """Its address as a word stands in hundreds of other places, none of them at a word's: go1.27
    put it at 0x10000 in a small stripped program."""
    header, table, end = 0x10000, 0x18000, 0x20000
    image = bytearray(end)
    image[header : header + 8] = bytes.fromhex("f1ffffff0000") + b"\x01\x08"
    for at in range(0x100, 0x8000, 24):
        image[at + 2 : at + 10] = struct.pack("<Q", header)
    words = [0] * 35
    words[0], words[16] = header, 0x4000
    words[20], words[21] = FUNCTION_BASE << 16, (FUNCTION_BASE + 9) << 16
    words[24:32], words[34] = range(0x1000, 0x9000, 0x1000), end
    image[table : table + 8 * 35] = struct.pack("<35Q", *words)
    found = find_module_data(Image([DataSegment(0, 0, end)], memoryview(bytes(image))))
    assert found is not None
    assert found.end == end


@pytest.mark.parametrize(
    ("table", "block", "size"),
    [
        (b"\x02\x05\x40\x0a\x00", 0, 0),  # 0 up to pc 5, then 32 up to 15
        (b"\x02\x05\x40\x0a\x00", 5, 32),
        (b"\x02\x05\x40\x0a\x3f\x0a\x00", 20, 0),  # and 32 less again
        (b"\x02\x05\x40\x0a\x00", 15, -1),
        (b"\x02\x05\x40", 5, -1),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", 0, -1),
    ],
)
def test_frame_sizes(table: bytes, block: int, size: int) -> None:
    """pcsp is pairs of a change and of a length; what is cut, over or no number is not known."""
    image = bytearray(0x200) + b"\0" + table
    image[0x100 + 16 : 0x100 + 20] = (1).to_bytes(4, "little")
    words = [0] * 35
    words[10], words[11] = 0x200, 1 + len(table)
    data = ModuleData(Image([DataSegment(0, 0, len(image))], memoryview(bytes(image))), (*words,))
    data.__dict__["records"] = {7: 0x100}
    assert data.frame_size(7, block) == size
    assert data.frame_size(8, block) == -1
