"""The reader of operation scripts."""

from __future__ import annotations

import contextlib
import gzip
import io
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gorun_mem.replay.opscript import (
    OPERANDS,
    Operation,
    Script,
    ScriptError,
    parse_operation,
)


def script(data: bytes | str, source: str = "s.txt") -> Script:
    raw = data.encode() if isinstance(data, str) else data
    return Script(io.BufferedReader(io.BytesIO(raw)), source)


def read(data: bytes | str) -> list[str]:
    with script(data) as opened:
        return [str(operation) for operation in opened]


@pytest.mark.parametrize("name", OPERANDS)
def test_every_operation_is_read(name: str) -> None:
    """Each operation with its operands, decimal or hexadecimal, comes out as it was written."""
    count = len(OPERANDS[name])
    decimal = parse_operation(" ".join([name, *["17"] * count]))
    hexadecimal = parse_operation(" ".join([name, *["0X1f"] * count]) + "\r\n")
    assert decimal == Operation(name, (17,) * count, 1)
    assert hexadecimal == Operation(name, (31,) * count, 1)


def test_recorded_answers_are_kept_word_for_word() -> None:
    """What stands behind => is the answer, spaces and arrows in it included."""
    operation = parse_operation('  dump full  =>  {"a": [1, 2]} => x \n', line=7)
    assert operation == Operation("dump full", (), 7, '{"a": [1, 2]} => x')
    assert parse_operation("alloc 1") == Operation("alloc", (1,), 1, None)


@pytest.mark.parametrize("text", ["", "   ", "\t\r\n", "#", "# alloc 1", "  #x => y"])
def test_blank_lines_and_comments_are_skipped(text: str) -> None:
    """Neither is an operation nor an error."""
    assert parse_operation(text) is None


BIG = 1 << 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aloc 5", "no operation 'aloc': did you mean alloc? there are info, alloc"),
        ("ALLOC 5", "no operation 'ALLOC': did you mean alloc?"),
        ("reserve_alinged 5 5", "did you mean reserve_aligned?"),
        ("xyzzy", "no operation 'xyzzy': there are info, alloc"),
        ("x" * 100, "no operation 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'"),
        ("alloc", "alloc lacks N: write alloc N"),
        ("fill 5", "fill lacks N and BYTE: write fill V N BYTE"),
        ("state 5", "state has 1 operands and takes 0: write state"),
        ("free 1 2 3", "free has 3 operands and takes 2: write free V N"),
        ("dump whole", "dump takes nothing or 'full', not 'whole'"),
        ("dump full full", "dump takes nothing or 'full'"),
        ("alloc five", "N 'five' of alloc is not a number: write it decimal or 0x"),
        ("alloc 0x", "N '0x' of alloc is not a number"),
        ("alloc 0x-5", "N '0x-5' of alloc is not a number"),
        ("alloc 1_000", "is not a number"),
        ("alloc +5", "is not a number"),
        ("alloc ٣", "is not a number"),
        ("alloc 5=> 6", "alloc has 2 operands"),
        ("free 5 -4096", "N '-4096' of free is negative"),
        (f"alloc {BIG}", f"N {BIG} of alloc is wider than 64 bits"),
        (f"word {hex(BIG)}", "V 0x10000000000000000 of word is wider than 64 bits"),
        ("alloc " + "9" * 5000, "of alloc has 5000 digits and fits no word"),
        ("fill 1 2 256", "BYTE 256 of fill is more than 255"),
        ("alloc 5 =>", "no answer after =>"),
        (" => 5", "=>"),
    ],
)
def test_what_is_no_operation_is_named(text: str, said: str) -> None:
    """Every mistake is one sentence with the script's name, the line and the next step."""
    with pytest.raises(ScriptError) as caught:
        parse_operation(text, source="a.txt", line=12)
    message = str(caught.value)
    assert message.startswith("a.txt:12: ")
    assert said in message
    assert len(message) < 250


def test_words_are_as_wide_as_the_platform_says() -> None:
    """2**32 is an operand on a 64-bit platform only."""
    assert parse_operation("alloc 4294967296") is not None
    assert parse_operation("alloc 4294967295", word_mask=(1 << 32) - 1) is not None
    with pytest.raises(ScriptError, match="wider than 32 bits"):
        parse_operation("alloc 4294967296", word_mask=(1 << 32) - 1)


def test_lines_before_a_bad_one_are_read() -> None:
    """A script is read as it is iterated over, so a mistake costs nothing before it."""
    operations = iter(script("alloc 1\n\nalloc 2\nfoo\nalloc 3\n"))
    assert [next(operations).line, next(operations).line] == [1, 3]
    with pytest.raises(ScriptError, match=r"^s\.txt:4: "):
        next(operations)


@pytest.mark.parametrize("packed", [False, True])
def test_header_and_operations(packed: bool) -> None:
    """A header is the first line with anything on it; plain and gzip read alike."""
    data = b'\n# {"release": "go1.24.3", "end": 7}\ninfo => x\n# {"not": "a header"}\nstate'
    with script(gzip.compress(data) if packed else data) as opened:
        assert opened.header() == {"release": "go1.24.3", "end": 7}
        assert [(o.line, o.name) for o in opened] == [(3, "info"), (5, "state")]


@pytest.mark.parametrize("data", ["", "\n\n", "alloc 1\n", "# a comment\nalloc 1\n"])
def test_no_header_loses_nothing(data: str) -> None:
    """Looking for a header that is not there leaves every operation to be read, line for line."""
    with script(data) as opened:
        assert opened.header() is None
        assert [(o.line, str(o)) for o in opened] == [(o.line, str(o)) for o in script(data)]


@pytest.mark.parametrize("line", ["# {", "# {1}", '# {"a": }', "# {} {}", "#" + '{"a":' * 9999])
def test_bad_header(line: str) -> None:
    """A header that is no JSON object is an error with its line."""
    with (
        script(line + "\nalloc 1\n") as opened,
        pytest.raises(ScriptError, match=r"s\.txt:1: the header"),
    ):
        opened.header()


def test_a_byte_order_mark_is_no_operation() -> None:
    """Editors that write one do not spoil the first line."""
    assert read("\ufeffalloc 1\n") == ["alloc 1"]


@pytest.mark.parametrize("data", [b"alloc 1\n\xff\xfe\n", "alloc 1\nalloc 2é\n".encode("latin-1")])
def test_what_is_not_utf8(data: bytes) -> None:
    """Bytes that are no text are named by line and column."""
    with pytest.raises(ScriptError, match=r"s\.txt:2: byte 0x.. at column \d+ is not UTF-8"):
        read(data)


def test_damaged_gzip() -> None:
    """A gzip that is cut, corrupted, or none at all behind its magic is told apart from text."""
    whole = gzip.compress("".join(f"alloc {i}\n" for i in range(5000)).encode())
    with pytest.raises(ScriptError, match="the gzip data is cut off here"):
        read(whole[:-20])
    flipped = bytearray(whole)
    flipped[-6] ^= 0xFF
    with pytest.raises(ScriptError, match="the gzip data is damaged"):
        read(bytes(flipped))
    with pytest.raises(ScriptError, match="the gzip data is damaged"):
        read(b"\x1f\x8bnot really gzip at all")


def test_a_file_is_closed_and_stdin_is_not(tmp_path: Path) -> None:
    """Whoever opened a stream closes it."""
    path = tmp_path / "s.txt"
    path.write_text("state\n")
    with Script.open(str(path)) as opened:
        assert [str(o) for o in opened] == ["state"]
        assert opened.position == 6
    stream = io.BytesIO(b"state\n")
    with Script(stream, "<stdin>", close=False):
        pass
    assert not stream.closed


@given(st.text(max_size=60))
def test_any_text_is_an_operation_or_a_script_error(text: str) -> None:
    """Nothing that can stand on a line raises anything else, and what is read reads back."""
    try:
        operation = parse_operation(text)
    except ScriptError:
        return
    if operation is not None:
        again = parse_operation(str(operation))
        assert again is not None
        assert (again.name, again.operands) == (operation.name, operation.operands)


@given(st.binary(max_size=200), st.booleans(), st.integers(0, 60))
def test_any_bytes_are_a_script_or_a_script_error(data: bytes, packed: bool, cut: int) -> None:
    """Nothing that can stand in a file raises anything else."""
    if packed:
        data = gzip.compress(data)[: -cut or None]
    with contextlib.suppress(ScriptError), script(data) as opened:
        opened.header()
        list(opened)


words = st.integers(0, (1 << 64) - 1)


@given(st.sampled_from(sorted(OPERANDS)), st.data())
def test_operations_read_back(name: str, data: st.DataObject) -> None:
    """What is written is read, in both bases."""
    bounds = [st.integers(0, 255) if o == "BYTE" else words for o in OPERANDS[name]]
    operands = data.draw(st.tuples(*bounds))
    for form in (str, hex):
        line = " ".join([name, *map(form, operands)])
        assert parse_operation(line) == Operation(name, operands, 1)


def test_reading_is_quick() -> None:
    """64,000 lines take well under half a second; measured 0.15 s, bounded for a busy machine."""
    data = "".join(f"free {i * 65536} 65536 => ok\n" for i in range(64_000))
    start = time.process_time()
    assert sum(1 for _ in script(data)) == 64_000
    assert time.process_time() - start < 0.5
