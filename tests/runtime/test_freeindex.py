"""The index against a plain sorted list."""

from __future__ import annotations

import random

import pytest

from gorun_mem.runtime.fnv import OFFSET as FNV_OFFSET
from gorun_mem.runtime.fnv import fnv1a
from gorun_mem.runtime.freeindex import LOAD, FreeIndex

UNIT = 16


def check(index: FreeIndex, blocks: list[tuple[int, int]]) -> None:
    """Everything the index can be asked, compared with a list of its blocks."""
    assert list(index) == blocks
    assert index.count == len(blocks)
    assert index.total_bytes == sum(n for _, n in blocks)
    assert index.largest == max((n for _, n in blocks), default=0)


def check_finding(index: FreeIndex, blocks: list[tuple[int, int]], rng: random.Random) -> None:
    for n in {1, *(rng.choice(blocks)[1] + rng.choice((-1, 0, 1)) for _ in range(4) if blocks)}:
        fits = [i for i, (_, size) in enumerate(blocks) if size >= n]
        place = index.first_fit(n)
        if not fits:
            assert place is None
            continue
        assert place is not None
        assert index.at(place) == blocks[fits[0]]
        assert index.rank(place) == fits[0]
    top = blocks[-1][0] + 2 * UNIT if blocks else 10 * UNIT
    for addr in (1, top, *(rng.randrange(top) for _ in range(3))):
        below = [i for i, (at, _) in enumerate(blocks) if at <= addr]
        place = index.locate(addr)
        before, before_size, behind, behind_size, left, right = index.around(addr)
        if below:
            i = below[-1]
            assert place is not None
            assert left == place
            assert index.at(place) == blocks[i] == (before, before_size)
            assert index.rank(place) == i
            links = (blocks[i - 1][0] if i else 0, blocks[i + 1][0] if blocks[i + 1 :] else 0)
            assert index.links(place) == links
        else:
            i = -1
            assert (place, left, before, before_size) == (None, None, 0, 0)
        if i + 1 < len(blocks):
            assert right is not None
            assert index.at(right) == blocks[i + 1] == (behind, behind_size)
        else:
            assert (right, behind, behind_size) == (None, 0, 0)


def change(
    index: FreeIndex, blocks: list[tuple[int, int]], rng: random.Random, grow: float
) -> None:
    """One random change to both."""
    if not blocks or rng.random() < grow:
        addr = rng.randrange(1, 1 << 16) * UNIT
        place = index.locate(addr)
        if place is not None and index.at(place)[0] == addr:
            return
        size = rng.choice((1, 2, 3, 50, 400)) * UNIT
        index.insert_after(place, addr, size)
        blocks.append((addr, size))
        blocks.sort()
        return
    i = rng.choice((0, len(blocks) - 1, rng.randrange(len(blocks))))
    addr, size = blocks[i]
    place = index.locate(addr)
    assert place is not None
    how = rng.random()
    if how < 0.5:
        index.remove(place)
        del blocks[i]
    elif how < 0.75:
        size = rng.choice((1, 2, 51, 401)) * UNIT
        index.resize(place, size)
        blocks[i] = addr, size
    else:
        low = blocks[i - 1][0] + 1 if i else 1
        index.move(place, max(low, addr - 3), size + 3)
        blocks[i] = max(low, addr - 3), size + 3


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_a_sorted_list(seed: int) -> None:
    """Grown to several chunks and shrunk to nothing twice over, the index answers as a sorted list
    would: contents, counts, largest, first fit, neighbours and ranks."""
    rng = random.Random(seed)
    index = FreeIndex()
    blocks: list[tuple[int, int]] = []
    check(index, blocks)
    for grow in (0.95, 0.45, 0.05, 0.8):
        for step in range(500):
            change(index, blocks, rng, grow)
            if step % 3 == 0:
                check_finding(index, blocks, rng)
            if step % 60 == 0:
                check(index, blocks)
                hashed = fnv1a(FNV_OFFSET, *(word for block in blocks for word in block))
                assert index.fnv() == hashed
                assert index.fnv() == hashed
        check(index, blocks)
    while blocks:
        change(index, blocks, rng, 0)
        check_finding(index, blocks, rng)
    check(index, blocks)


@pytest.mark.parametrize("seed", range(3))
def test_hash_after_every_change(seed: int) -> None:
    """The hash, which is kept up from the first change on, is that of the blocks after each one."""
    rng = random.Random(seed)
    blocks = [(i * 10 * UNIT, UNIT) for i in range(1, 2 * LOAD)]
    index = FreeIndex(blocks)
    for step in range(500):
        change(index, blocks, rng, 0.5)
        if step % (1 + seed) == 0:
            words = [word for block in blocks for word in block]
            assert index.fnv() == fnv1a(FNV_OFFSET, *words)


def test_hash_of_whole_pages() -> None:
    """Addresses and sizes that are whole 64 KiB, as on wasm, hash as any others do: below and above
    4 GiB, and mixed with ones that are not whole."""
    rng = random.Random(5)
    for top in (1 << 8, 1 << 16, 1 << 20):
        addrs = sorted(rng.sample(range(1, top), 200))
        blocks = [
            (a * 65536 + rng.choice((0, 0, 0, 1, 4096)), rng.randrange(top) * 65536 + odd)
            for a, odd in zip(addrs, (0, 0, 0, 255, 32768) * 40, strict=True)
        ]
        words = [word for block in blocks for word in block]
        assert FreeIndex(blocks).fnv() == fnv1a(FNV_OFFSET, *words)


def test_built_from_blocks() -> None:
    """An index built from a list has its blocks, for sizes around the chunks' load."""
    for n in (0, 1, LOAD // 2, LOAD // 2 + 1, LOAD, LOAD + 1, 5 * LOAD):
        blocks = [(i * 100 + 100, 1 + i % 7) for i in range(n)]
        index = FreeIndex(iter(blocks))
        check(index, blocks)
        check_finding(index, blocks, random.Random(n))
        assert repr(index) == f"<FreeIndex {n} blocks, {sum(s for _, s in blocks)} bytes>"


def test_chunks_stay_bounded() -> None:
    """Ten thousand insertions at one end leave no chunk above its load, which bounds the scan."""
    index = FreeIndex()
    for i in range(10_000, 0, -1):
        index.insert_after(None, i * UNIT, UNIT)
    assert max(len(chunk.addrs) for chunk in index._chunks) <= LOAD
    assert len(index._chunks) >= 10_000 // LOAD
    assert index.count == 10_000


def test_full_chunk_splits_in_halves() -> None:
    """A chunk above its load becomes two of equal size, so that neither splits again soon."""
    index = FreeIndex()
    for i in range(LOAD + 1, 0, -1):
        index.insert_after(None, i * UNIT, i)
    left, right = (len(chunk.addrs) for chunk in index._chunks)
    assert (left + right, abs(left - right)) == (LOAD + 1, 1)
    assert [chunk.largest for chunk in index._chunks] == [left, LOAD + 1]


def test_chunk_splits_above_its_load_only() -> None:
    """A chunk takes LOAD blocks before it splits; chunks built from a list are half full, so that
    there is room in each."""
    index = FreeIndex()
    for i in range(LOAD, 0, -1):
        index.insert_after(None, i * UNIT, i)
    assert [len(chunk.addrs) for chunk in index._chunks] == [LOAD]
    built = FreeIndex((i * UNIT, i) for i in range(1, LOAD + 1))
    assert [len(chunk.addrs) for chunk in built._chunks] == [LOAD // 2, LOAD // 2]


def test_tree_is_no_larger_than_it_must_be() -> None:
    """The tree has two nodes for each of the least power of two of leaves that holds the chunks."""
    for chunks, leaves in ((0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (8, 8), (9, 16)):
        blocks = [(i * UNIT, i) for i in range(1, chunks * (LOAD // 2) + 1)]
        index = FreeIndex(blocks)
        assert len(index._chunks) == chunks
        assert (index._leaves, len(index._tree)) == (leaves, 2 * leaves)


def test_blocks_of_no_bytes() -> None:
    """Blocks of size 0 count and are found by a search for 0, and the largest of them is 0."""
    index = FreeIndex((i * UNIT, 0) for i in range(1, 4))
    assert (index.count, index.total_bytes, index.largest) == (3, 0, 0)
    assert index.first_fit(0) == (0, 0)
    index.remove((0, 1))
    assert (index.count, index.largest, index.first_fit(1)) == (2, 0, None)
    index.insert_after((0, 1), 9 * UNIT, 0)
    assert (index.count, index.largest) == (3, 0)


def test_tree_out_of_step_is_said() -> None:
    """A tree that promises a block that no chunk has is a fault of ours, and says so."""
    index = FreeIndex([(UNIT, 1)])
    index._tree[1] = 50
    with pytest.raises(
        AssertionError, match=r"^the tournament tree is out of step with the chunks$"
    ):
        index.first_fit(10)


def test_hash_is_not_computed_again() -> None:
    """What comes before the first changed block is taken from the last time: a hash that is planted
    there is gone on from."""
    blocks = [(i * 10 * UNIT, UNIT) for i in range(1, 2 * LOAD)]
    index = FreeIndex(blocks)
    index.fnv()
    index._chunks[-1].hashes[-1] = 12345
    assert index.fnv() == 12345
    assert len(index._chunks[0].hashes) == len(index._chunks[0].addrs)
    place = index.locate(blocks[-1][0])
    assert place is not None
    index._chunks[-1].hashes[-2] = 777
    index.resize(place, 5)
    assert index.fnv() == fnv1a(777, blocks[-1][0], 5)


def test_fnv1a_vectors() -> None:
    """fnv1a is FNV-1a 64: the published value of eight zero bytes, and chaining."""
    assert fnv1a(FNV_OFFSET) == 0xCBF29CE484222325
    state = FNV_OFFSET
    for byte in b"chongo w":
        state = (state ^ byte) * 0x100000001B3 % (1 << 64)
    assert fnv1a(FNV_OFFSET, int.from_bytes(b"chongo w", "little")) == state
    assert fnv1a(fnv1a(FNV_OFFSET, 1), 2) == fnv1a(FNV_OFFSET, 1, 2) != fnv1a(FNV_OFFSET, 2, 1)
