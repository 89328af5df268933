"""memFree's and memAlloc's cases, memCheck's throws, and every short sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gorun_mem.runtime.call import Call
from gorun_mem.runtime.errors import Fault, Hang, Throw
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.memory import Plan9Segment

# memFree. A block is written (first page, pages).


def test_free_into_an_empty_list(bench: Any) -> None:
    """The first block becomes the list, with next 0 and its own size in its header."""
    bench.free(3, 2)
    assert (bench.list.head, bench.header(3)) == (3 * bench.page, (0, 2 * bench.page))


@pytest.mark.parametrize(
    ("before", "freed", "after"),
    [
        ([(5, 1)], (3, 1), [(3, 1), (5, 1)]),
        ([(5, 1)], (4, 1), [(4, 2)]),
        ([(3, 1), (9, 1)], (5, 2), [(3, 1), (5, 2), (9, 1)]),
        ([(3, 1), (9, 1)], (4, 2), [(3, 3), (9, 1)]),
        ([(3, 1), (9, 1)], (7, 2), [(3, 1), (7, 3)]),
        ([(3, 1), (9, 1)], (4, 5), [(3, 7)]),
        ([(3, 1), (9, 1), (12, 1)], (4, 5), [(3, 7), (12, 1)]),
        ([(3, 1), (9, 1)], (12, 1), [(3, 1), (9, 1), (12, 1)]),
        ([(3, 1), (9, 1)], (10, 2), [(3, 1), (9, 3)]),
    ],
    ids=["head", "head-next", "neither", "prev", "next", "both", "both-behind", "end", "end-prev"],
)
def test_every_place_and_merge(bench: Any, before: Any, freed: Any, after: Any) -> None:
    """A block goes in address order and merges with the neighbours it touches; headers that were
    absorbed are zero, so all free memory but the headers is."""
    for block in before:
        bench.free(*block)
    bench.memory.fill(freed[0] * bench.page, freed[1] * bench.page, 0xAB)
    bench.free(*freed)
    assert bench.pages() == after
    for (first, pages), next_ in zip(after, [*(a for a, _ in after[1:]), 0], strict=True):
        assert bench.header(first) == (next_ * bench.page, pages * bench.page)
        addr, size = first * bench.page, pages * bench.page
        rest = bench.memory.count_nonzero(addr + 2 * bench.word, size - 2 * bench.word)
        assert rest == 0
    assert bench.list.count == len(after)
    assert bench.list.largest == max(n for _, n in after) * bench.page


def test_free_rounds_up(bench: Any) -> None:
    """A size goes into the header rounded up to pages, and as much is cleared."""
    bench.memory.fill(2 * bench.page, 2 * bench.page, 1)
    call = Call("sysFreeOS", 2 * bench.page, 1)
    bench.list.mem_free(2 * bench.page, 1, call=call)
    assert bench.pages() == [(2, 1)]
    assert bench.memory.count_nonzero(2 * bench.page + 16, bench.page - 16) == 0
    assert bench.memory.count_nonzero(3 * bench.page, bench.page) == bench.page
    assert call.cleared_bytes == bench.page


def test_free_of_nothing(bench: Any) -> None:
    """free(v, 0) puts a block of no bytes into the list, whose header lies in used memory; it
    absorbs a block that is freed right at its place and is absorbed by one in front."""
    page = bench.page
    bench.list.mem_free(4 * page, 0)
    assert bench.list.blocks() == [(4 * page, 0)]
    bench.free(2)
    bench.free(3)
    assert bench.list.blocks() == [(2 * page, 2 * page)]
    assert bench.header(4) == (0, 0)


def test_double_free_hangs_later(bench: Any) -> None:
    """Freeing the only block again links it to itself: the next walk past it never ends, a search
    that it satisfies does."""
    bench.free(3)
    bench.free(3)
    assert bench.header(3) == (3 * bench.page, bench.page)
    for function, walk in (
        ("memFreelist", bench.list.blocks),
        ("memFreelist", bench.list.fnv),
        ("state", lambda: bench.list.blocks("state")),
        ("state", lambda: bench.list.fnv("state")),
        ("memAllocNoGrow", lambda: bench.alloc(2)),
        ("memFree", lambda: bench.free(5)),
    ):
        with pytest.raises(Hang) as caught:
            walk()
        assert (caught.value.function, caught.value.address) == (function, 3 * bench.page)
        assert str(caught.value) == f"hang {function}"


def test_search_hangs_under_its_old_name() -> None:
    """Where the list is told that memAlloc searches, as before 1.24, that is who hangs."""
    memory = Plan9Segment(5 * 4096, 5 * 4096)
    old = FreeList(memory, lambda n: -(-n // 4096) * 4096, search_function="memAlloc")
    for _ in range(2):
        old.mem_free(4096, 4096)
    with pytest.raises(Hang, match=r"^hang memAlloc$"):
        old.mem_alloc_no_grow(8192)


def test_double_free_of_another_block(bench: Any) -> None:
    """Freed again, a block in the middle links to itself, and what came behind it is lost."""
    for page in (3, 5, 7):
        bench.free(page)
    bench.free(5)
    assert bench.header(3) == (5 * bench.page, bench.page)
    assert bench.header(5) == (5 * bench.page, bench.page)
    with pytest.raises(Hang, match="memFree"):
        bench.free(9)


def test_free_outside_memory_faults_at_its_end(bench: Any) -> None:
    """A free that reaches beyond memory faults at the first byte it cannot reach."""
    with pytest.raises(Fault) as caught:
        bench.free(15, 2)
    assert caught.value.address == 16 * bench.page
    assert caught.value.detail.startswith("clear of [")
    with pytest.raises(Fault) as caught:
        bench.list.mem_free(16 * bench.page, 0)
    assert caught.value.address == 16 * bench.page + bench.word
    assert caught.value.detail.startswith("write of [")
    assert bench.list.count == 0


def test_size_that_wraps_is_no_size(bench: Any) -> None:
    """A size within a page of the word's end rounds to 0: a free adds a block of no bytes, an
    alloc is an alloc of 0."""
    bench.list.mem_free(4 * bench.page, bench.platform.word_mask)
    assert bench.list.blocks() == [(4 * bench.page, 0)]
    assert bench.list.mem_alloc_no_grow(bench.platform.word_mask) == 4 * bench.page
    assert bench.list.blocks() == []


def test_free_through_nil(bench: Any) -> None:
    """free(nil, n) clears the n bytes and faults on the header."""
    bench.memory.fill(8, 100, 7)
    with pytest.raises(Fault, match=r"^fault 0$") as caught:
        bench.free(0)
    assert caught.value.detail == "write of a free-list header through a nil pointer"
    assert bench.memory.count_nonzero(8, 200) == 0


# memAllocNoGrow.


def test_alloc_of_an_exact_block(bench: Any) -> None:
    """A block of exactly the size leaves the list: the head, one in the middle, the last."""
    for first, pages in ((2, 1), (4, 2), (8, 1), (10, 3)):
        bench.free(first, pages)
    assert bench.alloc(2) == 4
    assert bench.pages() == [(2, 1), (8, 1), (10, 3)]
    assert bench.header(2) == (8 * bench.page, bench.page)
    assert bench.alloc(1) == 2
    assert bench.alloc(3) == 10
    assert bench.pages() == [(8, 1)]
    assert bench.header(8) == (0, bench.page)
    assert bench.alloc(1) == 8
    assert (bench.list.head, bench.pages()) == (0, [])
    assert bench.alloc(1) == 0


def test_alloc_splits_off_the_tail(bench: Any) -> None:
    """A larger block keeps its head and gives its tail, and only a header is cleared there."""
    bench.free(2)
    bench.free(4, 4)
    tail = 6 * bench.page
    bench.memory.fill(tail, 64, 9)  # a user writes where it must not
    assert bench.alloc(2) == 6
    assert bench.pages() == [(2, 1), (4, 2)]
    assert bench.memory.read(tail, 2 * bench.word) == bytes(2 * bench.word)
    assert bench.memory.read(tail + 2 * bench.word, 8) == b"\x09" * 8


def test_first_fit_is_lowest_not_best(bench: Any) -> None:
    """The lowest block that is large enough is taken, though a later one fits exactly."""
    for first, pages in ((2, 1), (4, 3), (8, 2)):
        bench.free(first, pages)
    assert bench.alloc(2) == 5
    assert bench.pages() == [(2, 1), (4, 1), (8, 2)]


def test_alloc_zero_returns_the_first_blocks_end(bench: Any) -> None:
    """alloc(0) with a non-empty list answers the end of the first block and clears the size of a
    header there, which is not its own; the list stays."""
    bench.free(2, 2)
    bench.memory.fill(4 * bench.page, 100, 1)
    assert bench.list.mem_alloc_no_grow(0) == 4 * bench.page
    assert bench.pages() == [(2, 2)]
    assert bench.memory.count_nonzero(4 * bench.page, 100) == 100 - 2 * bench.word


def test_alloc_zero_spoils_the_next_header(bench: Any) -> None:
    """alloc(0) clears whatever lies behind the first block, be it a user's bytes or nothing at
    all: at the end of memory it faults."""
    bench.free(14, 2)
    with pytest.raises(Fault) as caught:
        bench.list.mem_alloc_no_grow(0)
    assert caught.value.address == 16 * bench.page
    assert caught.value.detail.startswith("write of [")


def test_alloc_takes_what_a_smaller_size_left(make_bench: Callable[..., Any]) -> None:
    """A block whose size is a page and 8 bytes, split for a page, has its own size cleared by the
    header of the tail: Go's sizes then say 0, and so do ours, also where the index is current."""
    for use_index in (True, False):
        bench = make_bench("plan9/amd64", use_index=use_index)
        bench.free(2)
        bench.memory.store_word(2 * bench.page + 8, bench.page + 8)
        assert bench.alloc(3) == 0  # looks at the header again
        assert bench.list.indexed is use_index
        assert bench.list.mem_alloc_no_grow(bench.page) == 2 * bench.page + 8
        assert bench.list.blocks() == [(2 * bench.page, 0)]


# The index.


def test_repr_tells_head_and_way(make_bench: Callable[..., Any]) -> None:
    """The repr says where the list begins and whether it goes by the index."""
    for use_index, how in ((True, "indexed"), (False, "walked")):
        bench = make_bench("plan9/386", use_index=use_index)
        assert repr(bench.list) == f"<FreeList head=0x0 {how}>"
        bench.free(3)
        assert repr(bench.list) == f"<FreeList head=0x3000 {how}>"


def test_index_is_given_up_and_taken_up(make_bench: Callable[..., Any]) -> None:
    """A user's write over a header drops the index; when the headers are in order again the next
    call takes it up, with what they then say. A write beside a header does not drop it."""
    bench = make_bench("plan9/amd64")
    page = bench.page
    bench.free(3)
    bench.free(6, 2)
    bench.memory.store_word(3 * page + 16, 1)
    bench.memory.store_word(3 * page - 8, 1)
    bench.memory.store_word(6 * page + 16, 1)
    assert bench.list.indexed
    for addr in (3 * page, 6 * page + 8, 3 * page - 7, 3 * page + 15):
        old = bench.memory.load_word(addr)
        bench.memory.store_word(addr, old)
        assert not bench.list.indexed, hex(addr)
        assert bench.alloc(5) == 0
        assert bench.list.indexed
    bench.memory.store_word(6 * page + 8, page)
    assert bench.alloc(2) == 0
    assert bench.pages() == [(3, 1), (6, 1)]
    bench.memory.store_word(3 * page, 2 * page)  # backwards
    assert bench.alloc(5) == 0
    assert not bench.list.indexed
    assert bench.list.blocks() == [(3 * page, page), (2 * page, 0)]
    bench.memory.store_word(3 * page, 6 * page)
    assert bench.alloc(5) == 0
    assert bench.list.indexed
    assert (bench.list.count, bench.list.total_bytes, bench.list.largest) == (2, 2 * page, page)


@pytest.mark.parametrize("write", ["clear", "fill", "fill0"])
def test_ranges_over_a_header_drop_the_index(make_bench: Callable[..., Any], write: str) -> None:
    """Clearing or filling a range over a header is seen by the list."""
    bench = make_bench("js/wasm")
    bench.free(3)
    bench.free(5)
    if write == "clear":
        bench.memory.clear(4 * bench.page, bench.page + 1)
    else:
        bench.memory.fill(4 * bench.page, bench.page + 1, 0 if write == "fill0" else 255)
    assert not bench.list.indexed


def test_fnv_is_the_published_hash(bench: Any) -> None:
    """The list's hash is FNV-1a 64 over the little-endian words of its blocks, in any state."""
    assert bench.list.fnv() == 0xCBF29CE484222325
    bench.free(3)
    bench.free(6, 2)
    state = 0xCBF29CE484222325
    for address, size in bench.list.blocks():
        for byte in address.to_bytes(8, "little") + size.to_bytes(8, "little"):
            state = ((state ^ byte) * 0x100000001B3) % (1 << 64)
    assert bench.list.fnv() == state
    bench.free(1)
    assert bench.list.fnv() != state


def test_free_bytes_wrap_as_a_word_does(bench: Any) -> None:
    """Sizes that a corrupt list adds up to more than a word are added up modulo a word."""
    bench.free(3)
    bench.free(5)
    bench.memory.store_word(3 * bench.page + bench.word, bench.platform.word_mask)
    assert bench.list.total_bytes == bench.page - 1
    assert bench.list.largest == bench.platform.word_mask


# memCheck.


def planted(bench: Any, what: str) -> None:
    """Two free blocks, (3, 2) and (7, 2), and one thing wrong in the first."""
    page, word = bench.page, bench.word
    at = 3 * page
    if what == "mem: infinite loop":
        bench.memory.store_word(at, at)
    elif what == "mem: unordered list":
        bench.memory.store_word(at, 2 * page)
    elif what == "mem: overlapping blocks":
        bench.memory.store_word(at + word, 5 * page)
    elif what == "mem: uninitialised memory":
        bench.memory.fill(at + 2 * page - 1, 1, 1)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("mem: infinite loop", "runtime: {a:#x} == {a:#x}"),
        ("mem: unordered list", "runtime: {a:#x} > {low:#x}"),
        ("mem: overlapping blocks", "runtime: {a:#x}+{five} > {b:#x}"),
        (
            "mem: uninitialised memory",
            "runtime: value at addr {dirty:#x} with offset {off} in block {a:#x} "
            "of size {two} is not zero",
        ),
    ],
)
def test_mem_check_throws(
    make_bench: Callable[..., Any], platform: str, use_index: bool, what: str, line: str
) -> None:
    """Each corruption is thrown with Go's text, and the line that Go prints before; without it,
    and without memDebug, memCheck is silent."""
    bench = make_bench(platform, use_index=use_index, mem_debug=True)
    bench.free(3, 2)
    bench.free(7, 2)
    bench.list.mem_check()
    planted(bench, what)
    page = bench.page
    values = {
        "a": 3 * page, "b": 7 * page, "low": 2 * page, "five": 5 * page, "two": 2 * page,
        "dirty": 5 * page - 1, "off": 2 * page - 1,
    }  # fmt: skip
    with pytest.raises(Throw) as caught:
        bench.list.mem_check()
    assert (caught.value.message, caught.value.printed) == (what, (line.format(**values),))
    context: dict[str, Any] = {"addr": 3 * page}
    if "overlap" in what:
        context["size"] = 5 * page
    elif "uninit" in what:
        context = {"addr": 5 * page - 1, "block": 3 * page, "size": 2 * page}
    assert caught.value.context == context
    bench.list.mem_debug = False
    bench.list.mem_check()


def test_mem_check_looks_at_every_block(make_bench: Callable[..., Any]) -> None:
    """A corruption behind blocks that are in order is found, and the log is told of each check:
    that all was well, or what was not and where."""

    class Told:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def mem_check(self, *what: Any) -> None:
            self.told.append(what)

    bench = make_bench("plan9/amd64", mem_debug=True)
    bench.list.sink = told = Told()
    bench.list.mem_check()
    bench.list.sink = None
    for page in (2, 4, 6, 8):
        bench.free(page)
    bench.list.sink = told
    bench.list.mem_check()
    bench.memory.fill(6 * bench.page + 20, 1, 1)
    with pytest.raises(Throw):
        bench.list.mem_check()
    dirty = 6 * bench.page + 20
    assert told.told == [(True, "", 0), (True, "", 0), (False, "mem: uninitialised memory", dirty)]


def test_header_at_nil_faults(bench: Any) -> None:
    """A size that reaches round the word to 0 makes alloc(0) write its header through nil."""
    bench.free(3)
    bench.memory.store_word(3 * bench.page + bench.word, -3 * bench.page)
    with pytest.raises(Fault) as caught:
        bench.list.mem_alloc_no_grow(0)
    assert caught.value.address == 0
    assert caught.value.detail == "write of a free-list header through a nil pointer"


def test_mem_check_first_byte_behind_the_header(make_bench: Callable[..., Any]) -> None:
    """The first byte behind the header is looked at, on 8-byte and 4-byte words."""
    for platform, header in (("plan9/amd64", 16), ("plan9/386", 8)):
        bench = make_bench(platform, mem_debug=True)
        bench.free(3)
        bench.free(5)
        bench.memory.fill(3 * bench.page + header, 1, 1)
        with pytest.raises(Throw, match="uninitialised"):
            bench.list.mem_check()


def test_mem_check_lets_the_last_block_be(bench: Any) -> None:
    """The last block's contents, and its size, are not looked at."""
    bench.free(3)
    bench.free(7, 2)
    bench.memory.fill(7 * bench.page + bench.word, bench.page, 0xFF)
    bench.list.check()
    assert bench.list.mem_debug is False


def test_mem_check_with_a_size_that_wraps(make_bench: Callable[..., Any]) -> None:
    """A size that reaches round the word to below the block passes, as it does in Go: the sum is
    not beyond the next block, and no byte lies between the header and it."""
    bench = make_bench("plan9/amd64")
    bench.free(3)
    bench.free(5)
    bench.memory.store_word(3 * bench.page + 8, (1 << 64) - bench.page)
    bench.list.check()


def test_mem_check_of_a_header_cut_by_the_end(make_bench: Callable[..., Any]) -> None:
    """Of the last block only next is read: 8 bytes before the end of memory it can stand."""
    bench = make_bench("plan9/amd64")
    bench.free(3)
    bench.memory.store_word(3 * bench.page, 16 * bench.page - 8)
    bench.list.check()
