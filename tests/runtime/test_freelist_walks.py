"""The free list against the naive one in whole small spaces, and when it walks."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from gorun_mem.runtime.call import Call
from gorun_mem.runtime.freeindex import FreeIndex
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.memory import Plan9Segment
from tests.runtime.naive import Naive
from tests.runtime.twins import outcome

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
