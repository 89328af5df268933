"""Linear memory against a plain bytearray; growth, laziness and faults."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gorun_mem.runtime.errors import Fault
from gorun_mem.runtime.linear_memory import FRAME, LinearMemory
from gorun_mem.runtime.memory import Plan9Segment, WasmMemory

PAGE = 65536
SIZE = 5 * FRAME
edges = st.sampled_from([0, 1, 7, 8, 9, FRAME - 9, FRAME - 8, FRAME - 1, FRAME])
places = st.builds(lambda f, e: f * FRAME + e, st.integers(0, 5), edges) | st.integers(0, SIZE)
lengths = edges | st.sampled_from([2 * FRAME, 3 * FRAME + 5]) | st.integers(0, SIZE)
writes = st.tuples(
    st.sampled_from(["store", "fill", "clear", "wipe", "put_word", "put_header"]),
    places,
    lengths,
    st.integers(0, 1 << 64) | st.integers(0, 3),
)


def end_of(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Fault as fault:
        return "fault", fault.address


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from([4, 8]), st.lists(writes, max_size=12), st.data())
def test_reads_what_a_bytearray_would(word: int, acts: list[Any], data: st.DataObject) -> None:
    """After any writes, over frame boundaries and up to the end, every way to read agrees with a
    plain bytearray; a write that reaches outside faults at the first byte and writes nothing."""
    memory, plain = LinearMemory(SIZE, word), bytearray(SIZE)
    for kind, at, n, value in acts:
        width = 2 * word if kind == "put_header" else word
        if kind in ("put_word", "put_header", "store"):
            n = width
        outside = at + n > SIZE or (at == 0 and kind in ("store", "fill", "put_word", "put_header"))
        if kind in ("wipe", "put_word", "put_header") and outside:
            continue  # these are the caller's to check
        call = {
            "store": lambda a=at, v=value: memory.store_word(a, v),
            "fill": lambda a=at, m=n, v=value: memory.fill(a, m, v & 255),
            "clear": lambda a=at, m=n: memory.clear(a, m),
            "wipe": lambda a=at, m=n: memory.wipe(a, m),
            "put_word": lambda a=at, v=value: memory.put_word(a, v % (1 << 8 * word)),
            "put_header": lambda a=at, v=value: memory.put_header(
                a, v % (1 << 8 * word), (v >> 3) % (1 << 8 * word)
            ),
        }[kind]
        got = end_of(call)  # type: ignore[arg-type]
        if n and outside:
            assert got == ("fault", 0 if at == 0 else max(at, SIZE)), (kind, at, n)
            continue
        assert got is None
        if kind in ("store", "put_word"):
            plain[at : at + n] = (value % (1 << 8 * word)).to_bytes(word, "little")
        elif kind == "put_header":
            plain[at : at + word] = (value % (1 << 8 * word)).to_bytes(word, "little")
            size = (value >> 3) % (1 << 8 * word)
            plain[at + word : at + 2 * word] = size.to_bytes(word, "little")
        else:
            plain[at : at + n] = bytes([value & 255 if kind == "fill" else 0]) * n
    assert memory.read(1, SIZE - 1) == plain[1:]
    at, n = data.draw(places), data.draw(lengths)
    check_reads(memory, plain, word, at, n)


def check_reads(memory: LinearMemory, plain: bytearray, word: int, at: int, n: int) -> None:
    part = plain[at : at + n]
    inside = at + n <= SIZE
    fault = ("fault", 0 if at == 0 else max(at, SIZE))
    if n:
        wanted: Any = bytes(part) if at and inside else fault
        assert end_of(lambda: memory.read(at, n)) == wanted
        wanted = sum(byte != 0 for byte in part) if at and inside else fault
        assert end_of(lambda: memory.count_nonzero(at, n)) == wanted
    dirty = next((at + i for i, byte in enumerate(part) if byte), None)
    got = end_of(lambda: memory.first_nonzero(at, n))
    assert got == (dirty if dirty is not None or inside or not n else ("fault", max(at, SIZE)))
    got = end_of(lambda: memory.load_word(at))
    cut = plain[at : at + word]
    whole = at and len(cut) == word
    assert got == (int.from_bytes(cut, "little") if whole else fault)
    got = end_of(lambda: memory.load_header(at))
    cut = plain[at : at + 2 * word]
    halves = int.from_bytes(cut[:word], "little"), int.from_bytes(cut[word:], "little")
    assert got == (halves if at and len(cut) == 2 * word else fault)
    for base, frame in memory.written(SIZE):
        assert frame == plain[base : base + FRAME]


def test_frames_are_kept_for_what_is_written_only() -> None:
    """Nothing is committed at first, nor by reading or by writing zeros; a byte commits one frame
    of 4 KiB, and clearing the frame gives it back."""
    memory = WasmMemory(100)
    memory.read(1, 50 * PAGE)
    memory.fill(8, 99 * PAGE, 0)
    memory.put_word(PAGE, 0)
    memory.put_header(PAGE, 0, 0)
    assert memory.committed_bytes == 0
    memory.fill(PAGE + 5, 1, 1)
    memory.store_word(3 * PAGE - 4, 1 << 40 | 1)
    assert memory.committed_bytes == 3 * FRAME
    memory.clear(PAGE, 2 * PAGE)
    assert memory.committed_bytes == FRAME
    memory.wipe(3 * PAGE, FRAME)
    assert memory.committed_bytes == 0
    assert repr(memory) == "<WasmMemory 0x640000 bytes, 0x0 written to>"


def test_words_cross_frames() -> None:
    """A word over a frame boundary is one word, in both widths."""
    for width in (4, 8):
        memory = LinearMemory(4 * FRAME, width)
        value = (1 << 8 * width) - 2
        for at in range(FRAME - width, FRAME + 2):
            memory.store_word(at, value)
            assert memory.load_word(at) == value
            memory.put_header(at, 3, value)
            assert memory.load_header(at) == (3, value)
            memory.wipe(at, 2 * width)
            assert memory.load_header(at) == (0, 0)


def test_store_is_modulo_the_word() -> None:
    """A value wider than the word loses its upper bits, also a negative one."""
    memory = LinearMemory(FRAME, 4)
    memory.store_word(8, (5 << 32) + 7)
    memory.store_word(12, -1)
    assert memory.load_header(8) == (7, 0xFFFF_FFFF)


def test_guard_sees_users_writes_and_no_others() -> None:
    """guard is told of store_word, fill and clear before they write, with the range; not of the
    free list's own writes, of reads, of empty ranges, nor of what faults."""
    memory = LinearMemory(2 * FRAME)
    seen: list[tuple[int, int, bytes]] = []
    memory.guard = lambda addr, n: seen.append((addr, n, memory.read(16, 1)))
    memory.store_word(16, 1)
    memory.fill(16, 3, 2)
    memory.clear(8, 64)
    memory.fill(16, 0, 2)
    memory.clear(16, 0)
    memory.put_word(16, 5)
    memory.put_header(16, 5, 5)
    memory.wipe(8, 64)
    memory.load_word(16)
    calls: tuple[Callable[[], object], ...] = (
        lambda: memory.store_word(2 * FRAME, 1),
        lambda: memory.fill(FRAME, 2 * FRAME, 1),
        lambda: memory.clear(FRAME, 2 * FRAME),
    )
    for call in calls:
        with pytest.raises(Fault):
            call()
    assert seen == [(16, 8, b"\0"), (16, 3, b"\1"), (8, 64, b"\2")]


def test_fault_says_what_where() -> None:
    """A fault names the first byte that cannot be reached, what was tried and where memory ends."""
    memory = WasmMemory(1)
    with pytest.raises(Fault) as caught:
        memory.load_word(PAGE - 4)
    assert str(caught.value) == "fault 65536"
    assert caught.value.detail == "read of [0xfffc, 0x10004): memory ends at 0x10000"
    with pytest.raises(Fault) as caught:
        memory.fill(PAGE + 100, 5, 1)
    assert caught.value.address == PAGE + 100
    with pytest.raises(Fault) as caught:
        memory.store_word(0, 1)
    assert caught.value.address == 0
    assert "nil pointer" in caught.value.detail


# Growth.


def test_grow_returns_the_old_size() -> None:
    """grow answers the size before in pages; the new memory is zero and can be reached."""
    memory = WasmMemory(2, 10)
    assert memory.grow(3) == 2
    assert (memory.pages, memory.size) == (5, 5 * PAGE)
    assert memory.count_nonzero(PAGE, 4 * PAGE) == 0
    memory.fill(5 * PAGE - 1, 1, 1)
    assert (memory.grows, memory.fails) == (1, 0)


def test_grow_to_the_maximum_and_not_beyond() -> None:
    """Growth up to the maximum succeeds, by one page more it is refused and changes nothing;
    growing by nothing always succeeds."""
    memory = WasmMemory(2, 10)
    assert memory.grow(9) == -1
    assert memory.grow(8) == 2
    assert memory.grow(1) == -1
    assert memory.grow(0) == 10
    assert (memory.pages, memory.grows, memory.fails) == (10, 4, 2)
    memory.limit(3)
    assert memory.grow(0) == 10
    assert memory.grow(1) == -1
    memory.limit(11)
    assert memory.grow(1) == 10


def test_no_memory_beyond_4_gib() -> None:
    """Whatever the maximum says, 65,536 pages are the most there is."""
    memory = WasmMemory(65535, 1 << 20)
    assert memory.grow(2) == -1
    assert memory.grow(1) == 65535
    assert memory.size == 1 << 32


def test_grow_reads_32_bits_unsigned() -> None:
    """A negative page count asks for some four billion pages; 2**32 asks for none."""
    memory = WasmMemory(2, 10)
    assert memory.grow(-1) == -1
    assert memory.grow(-(1 << 31)) == -1
    assert memory.grow(1 << 32) == 2
    assert memory.grow((1 << 32) + 1) == 2
    assert memory.pages == 3


@pytest.mark.parametrize("memory", [WasmMemory(2, 10), Plan9Segment(2 * FRAME, 10 * FRAME)])
def test_fail_next(memory: Any) -> None:
    """The next n growths fail whatever is asked, also for nothing; a later fail_next replaces what
    is left of an earlier one."""
    before = memory.size

    def grow() -> bool:
        if isinstance(memory, WasmMemory):
            return memory.grow(0) >= 0
        return bool(memory.brk(memory.size) == 0)

    memory.fail_next(5)
    assert not grow()
    memory.fail_next(2)
    assert [grow() for _ in range(4)] == [False, False, True, True]
    assert (memory.grows, memory.fails, memory.size) == (5, 3, before)


def test_brk_moves_up_only() -> None:
    """brk raises the end of the segment, to a page; below the end it succeeds and changes nothing,
    above the limit it fails and changes nothing."""
    memory = Plan9Segment(5000, 20 * FRAME)
    assert memory.size == 2 * FRAME
    assert memory.brk(3 * FRAME + 1) == 0
    assert memory.size == 4 * FRAME
    assert memory.brk(FRAME) == 0
    assert memory.size == 4 * FRAME
    assert memory.brk(20 * FRAME + 1) == -1
    assert memory.brk(20 * FRAME) == 0
    assert memory.size == 20 * FRAME
    memory.limit(1)
    assert memory.brk(20 * FRAME) == -1
    assert (memory.grows, memory.fails) == (5, 2)


def test_probe_sees_each_growth() -> None:
    """The probe gets what was asked, the answer and the size before, refused growths too."""
    seen = []

    class Probe:
        def grew(self, pages: int, result: int, pages_before: int) -> None:
            seen.append((pages, result, pages_before))

    memory = WasmMemory(2, 4)
    memory.probe = Probe()
    memory.grow(1)
    memory.grow(7)
    segment = Plan9Segment(FRAME, 3 * FRAME)
    segment.probe = Probe()
    segment.brk(2 * FRAME)
    segment.brk(9 * FRAME)
    assert seen == [(1, 2, 2), (7, -1, 3), (2 * FRAME, 0, 1), (9 * FRAME, -1, 2)]


# Cost.


def test_clearing_4_gib_is_quick() -> None:
    """Clearing all of a 4 GiB memory takes no time worth speaking of, empty or with 10,000 frames
    written: its cost is what is kept, not what is cleared."""
    memory = WasmMemory(65536)
    for i in range(10_000):
        memory.store_word(PAGE + i * 400_000, 1)
    start = time.perf_counter()
    for _ in range(3):
        memory.clear(0, 1 << 32)
        assert memory.first_nonzero(1, (1 << 32) - 1) is None
        assert memory.count_nonzero(1, (1 << 32) - 1) == 0
    assert time.perf_counter() - start < 2  # a walk over 1,048,576 frames takes longer
    assert memory.committed_bytes == 0


FRAGMENTED = """
from gorun_mem.runtime.boot import boot
from gorun_mem.runtime.mutex import make
from gorun_mem.step.solo import SoloM, solo
from gorun_mem.runtime.behaviour import release
r = release("go1.27")
rt = boot(r, r.platform("js/wasm"), memlock=make("js", r))
m, os = SoloM(), rt.os
base = solo(os.sys_alloc_os(65000 * 65536), m)
for i in range(30000):
    solo(os.sys_free_os(base + 2 * i * 65536, 65536), m)
assert (os.freelist.count, os.pages > 65000) == (30000, True)
try:
    with open("/proc/self/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
except OSError:  # not Linux, where getrusage would tell of the parent too
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(os.memory.committed_bytes, int(peak) * 1024)
"""


def test_4_gib_with_30000_free_blocks_stays_small() -> None:
    """4 GiB with 30,000 free blocks in it keep one frame a header, and the process stays below
    400 MiB resident at its peak."""
    done = subprocess.run(
        [sys.executable, "-c", FRAGMENTED], capture_output=True, text=True, check=True
    )
    committed, peak = map(int, done.stdout.split())
    assert committed <= 30_000 * FRAME
    assert 30_000 * FRAME < peak < 400 << 20
