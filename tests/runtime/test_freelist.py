"""memFree's and memAlloc's cases, memCheck's throws, and every short sequence."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from gorun_mem.runtime.call import Call
from gorun_mem.runtime.errors import Fault, Hang, Throw
from gorun_mem.runtime.freeindex import FreeIndex
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.memory import Plan9Segment
from tests.runtime.naive import Naive
from tests.runtime.twins import outcome

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


# Small spaces, whole.


class Pair:
    """The list by index and the naive one, on 386, whose pages and words are small."""

    def __init__(self, pages: int) -> None:
        self.page = 4096
        size = pages * 4096
        self.memory = Plan9Segment(size, size, 4)
        self.list = FreeList(self.memory, self.round)
        self.naive = Naive(
            "go1.27", "plan9/386", end=size, initial_pages=0, max_pages=0, brk_max=size
        )
        self.naive.walk_max = 30

    def round(self, n: int) -> int:
        return (n + 4095) & 0xFFFF_F000

    def apply(self, op: tuple[str, int, int]) -> str:
        """How both ended: "ok", or the program is dead."""
        name, a, b = op
        page = self.page
        if name == "free":
            got = outcome(lambda: self.list.mem_free(a * page, b * page))
            wanted = outcome(lambda: self.naive.take_back(a * page, b * page))
        else:
            got = outcome(lambda: self.list.mem_alloc_no_grow(b * page))
            wanted = outcome(lambda: self.naive.no_grow(b * page))
        assert got == wanted, op
        return got[0]

    def run(self, sequence: tuple[tuple[str, int, int], ...]) -> str:
        for op in sequence:
            ended = self.apply(op)
            if ended != "ok":
                return ended
        got, wanted = self.state()
        assert got == wanted, sequence
        ours, theirs = self.image()
        assert ours == theirs, sequence
        return "ok"

    def state(self) -> Any:
        return outcome(self.list.blocks), outcome(self.naive.free_list)

    def image(self) -> tuple[bytes, bytes]:
        return self.memory.read(1, self.memory.size - 1), bytes(self.naive.mem[1:])


WIDE = [
    *(("free", first, pages) for first in range(1, 4) for pages in range(5 - first)),
    *(("alloc", 0, pages) for pages in range(4)),
]
"""Every run of three pages, empty ones too, and every size."""
NARROW = [*(("free", first, 1) for first in range(1, 5)), ("free", 2, 2), ("alloc", 0, 1)]
NARROW += [("alloc", 0, 0), ("alloc", 0, 2)]


@pytest.mark.parametrize(("operations", "depth", "pages"), [(WIDE, 4, 4), (NARROW, 5, 5)])
def test_every_short_sequence(operations: Any, depth: int, pages: int) -> None:
    """Every sequence of so many calls over a few pages, double frees and overlapping ones included,
    answers and ends as the naive list does, byte for byte."""
    ends = {"ok": 0, "fault": 0, "hang": 0}
    for sequence in product(operations, repeat=depth):
        pair = Pair(pages)
        ends[pair.run(sequence)] += 1
    assert sum(ends.values()) == len(operations) ** depth
    assert all(ends.values()), ends


def test_odd_lists() -> None:
    """Lists planted in memory with sizes that no call leaves (0, 8, a page and 8 bytes, too much)
    are worked on as the naive list works on them, by index where the headers allow it."""
    rng = random.Random(11)
    indexed = 0
    for _ in range(1500):
        pair = Pair(12)
        at = 0
        blocks: list[Any] = []
        for _ in range(rng.randint(1, 4)):
            at += rng.choice((8, 12, 4096, 4096, 8192, 4096 + 8, 64)) if blocks else 4096
            size = rng.choice((0, 4, 8, 12, 4096, 4096 + 4, 4096 + 8, 8192, 12284, 4088))
            if at + 8 > pair.memory.size:
                break
            blocks.append((at, size))
            at += size if rng.random() < 0.9 else size // 2
        for i, (at, size) in enumerate(blocks):
            behind = blocks[i + 1][0] if i + 1 < len(blocks) else 0
            for store in (pair.memory.store_word, pair.naive.put):
                store(at, behind)
                store(at + 4, size)
        pair.list.head = pair.naive.head = blocks[0][0]
        pair.list.note_write(0, pair.memory.size)
        pair.list._index = None
        alive = True
        for _ in range(12):
            if rng.random() < 0.5:
                op = ("alloc", 0, rng.choice((0, 1, 1, 2, 9)))
            else:
                op = ("free", rng.randrange(1, 12), rng.randrange(3))
            alive = pair.apply(op) == "ok"
            if not alive:
                break
            indexed += pair.list.indexed
            assert pair.state()[0] == pair.state()[1]
        if alive:
            assert pair.image()[0] == pair.image()[1]
    assert indexed > 1000


@pytest.mark.parametrize("seed", [1, 2])
def test_many_blocks(seed: int) -> None:
    """Over hundreds of blocks, several chunks of the index, legal frees and allocs of every kind
    leave the naive list's blocks and headers, also after headers were overwritten and put back."""
    rng = random.Random(seed)
    pages = 1500
    pair = Pair(pages)
    pair.naive.walk_max = 2 * pages
    used = set(range(1, pages - 1))
    most = 0
    for step in range(1600):
        if used and (not step % 3 or step < 700):
            first = rng.choice(tuple(used))
            n = 1
            while n < rng.choice((1, 1, 1, 3)) and first + n in used:
                n += 1
            assert pair.apply(("free", first, n)) == "ok"
            used -= set(range(first, first + n))
        else:
            n = rng.choice((1, 1, 2, 4))
            before = pair.naive.free_list()
            if any(size >= n * 4096 for _, size in before):
                at = pair.naive.no_grow(n * 4096)
                assert pair.list.mem_alloc_no_grow(n * 4096) == at
                used |= set(range(at // 4096, at // 4096 + n))
        if step % 100 == 99:
            at, size = rng.choice(pair.naive.free_list())
            for memory_store in (pair.memory.store_word, pair.naive.put):
                memory_store(at + 4, size ^ 4096)
                memory_store(at + 4, size)
            assert not pair.list.indexed
            assert pair.list.mem_alloc_no_grow(pages * 4096) == 0
            assert pair.list.indexed
        if step % 20 == 0:
            got, wanted = pair.state()
            assert got == wanted, step
            most = max(most, len(got[1]))
    ours, theirs = pair.image()
    assert ours == theirs
    assert pair.list.fnv() == FreeIndex(pair.naive.free_list()).fnv()
    assert most > 300


# When it walks.


class Counting(FreeList):
    """A list that counts how often it walked as Go does."""

    __slots__ = ("walks",)
    walks: int

    def _alloc_walking(self, n: int, call: Call | None) -> int:
        self.walks += 1
        return super()._alloc_walking(n, call)

    def _free_walking(self, ap: int, n: int, cause: str) -> None:
        self.walks += 1
        super()._free_walking(ap, n, cause)


def counting(unit: int, word: int = 8) -> Counting:
    """A list that rounds to `unit` bytes, on 16 pages."""
    memory = Plan9Segment(16 * 4096, 16 * 4096, word)
    counted = Counting(memory, lambda n: -(-n // unit) * unit)
    counted.walks = 0
    return counted


def test_legal_calls_never_walk() -> None:
    """Frees with every merge, exact allocs, splits and misses go by the index, up to the end of
    memory; alloc(0) and frees that overlap a free block or its header walk."""
    counted = counting(4096)
    page = 4096
    for first, pages in ((3, 1), (9, 1), (6, 1), (5, 1), (7, 2), (4, 1), (1, 1), (2, 1), (12, 4)):
        counted.mem_free(first * page, pages * page)
    assert counted.blocks() == [(page, 9 * page), (12 * page, 4 * page)]
    for pages in (9, 1, 20, 3):
        counted.mem_alloc_no_grow(pages * page)
    assert (counted.walks, counted.blocks()) == (0, [])
    for walks, (at, n) in enumerate(
        [(3 * page, page), (8 * page, 0), (2 * page, 2 * page), (15 * page + 8, 8)], 1
    ):
        fresh = counting(4096)
        fresh.mem_free(3 * page, page)
        fresh.mem_free(14 * page, page)
        assert fresh.walks == 0
        fresh.mem_free(at, n) if walks < 4 else fresh.mem_alloc_no_grow(0)
        assert fresh.walks == 1, (at, n)


@pytest.mark.parametrize("word", [4, 8])
def test_blocks_of_a_header_are_no_exception(word: int) -> None:
    """A block as small as a header, where sizes round to that, goes by the index like any other:
    freed, left by a split, taken, and with another one right behind it."""
    least = 2 * word
    counted = counting(least, word)
    counted.mem_free(4096, least)
    assert counted.mem_alloc_no_grow(least) == 4096
    counted.mem_free(4096, 4 * least)
    assert counted.mem_alloc_no_grow(3 * least) == 4096 + least
    assert counted.blocks() == [(4096, least)]
    counted.mem_free(4096 + 2 * least, least)
    counted.mem_free(4096 + least, least)
    assert counted.blocks() == [(4096, 3 * least)]
    assert counted.walks == 0


def test_index_is_taken_up_wherever_headers_allow() -> None:
    """Blocks side by side, and one that ends where memory ends, are in order; one byte more is
    not, nor are two headers that overlap."""
    page = 4096
    for second, size, indexed in (
        (4 * page, 12 * page, True),
        (4 * page, 12 * page + 1, False),
        (3 * page + 16, page, True),
        (3 * page + 15, page, False),
    ):
        counted = counting(page)
        counted.mem_free(3 * page, page)
        memory = counted._memory
        first_size = min(page, second - 3 * page) if second > 3 * page + 15 else 8
        for at, word in ((3 * page, second), (3 * page + 8, first_size)):
            memory.store_word(at, word)
        if second >= 3 * page + 16:
            memory.store_word(second, 0)
            memory.store_word(second + 8, size)
        else:
            memory.put_header(second, 0, size)
            memory.put_word(3 * page, second)
        assert counted.mem_alloc_no_grow(20 * page) == 0
        assert counted.indexed is indexed, hex(second)


def test_fresh_list() -> None:
    """A new list is empty, has searched nothing, and does not check itself."""
    fresh = counting(4096)
    assert (fresh.head, fresh.count) == (0, 0)
    assert (fresh.mem_debug, fresh.indexed, fresh.sink) == (False, True, None)


def test_puts_are_told_alike(make_bench: Callable[..., Any]) -> None:
    """A put into an empty list, before the head and merged with it, behind the last and merged on
    both sides is told in the same words whether the list walks or not."""
    for use_index in (True, False):
        bench = make_bench("plan9/386", use_index=use_index)
        told: list[Any] = []

        class Told:
            def freelist_put(self, *what: Any, to: list[Any] = told) -> None:
                to.append(what)

        bench.list.sink = Told()
        for first, pages in ((8, 1), (5, 1), (4, 1), (12, 1), (6, 2)):
            bench.free(first, pages)
        p = bench.page
        assert told == [
            (8 * p, p, False, False, 8 * p, p, "mid_free"),
            (5 * p, p, False, False, 5 * p, p, "mid_free"),
            (4 * p, p, False, True, 4 * p, 2 * p, "mid_free"),
            (12 * p, p, False, False, 12 * p, p, "mid_free"),
            (6 * p, 2 * p, True, True, 4 * p, 5 * p, "mid_free"),
        ]


def test_cause_is_told_of_an_overlapping_free_too() -> None:
    """The cause of a put reaches the log also where the list walks."""
    told = []

    class Told:
        def freelist_put(self, *what: Any) -> None:
            told.append(what)

    counted = counting(4096)
    counted.mem_free(3 * 4096, 4096)
    counted.sink = Told()  # type: ignore[assignment]
    counted.mem_free(2 * 4096, 2 * 4096, "align_skip")
    assert counted.walks == 1
    assert [what[0] for what in told] == [2 * 4096]
    assert told[0][-1] == "align_skip"
