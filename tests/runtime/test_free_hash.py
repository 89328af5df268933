"""The hash of the free list, whose short way for whole 64 KiB must not show."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gorun_mem.runtime.fnv import OFFSET as FNV_OFFSET
from gorun_mem.runtime.fnv import fnv1a
from gorun_mem.runtime.freeindex import FreeIndex

WORDS = st.one_of(
    st.integers(0, 0xFFFF).map(lambda n: n << 16),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**20).map(lambda n: n << 12),
)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=20, unique_by=lambda block: block[0]))
def test_the_hash_is_fnv1a_of_the_words(blocks: list[tuple[int, int]]) -> None:
    """Blocks of 64 KiB, of 4 KiB and of anything hash as their words do byte by byte."""
    blocks.sort()
    words = [word for block in blocks for word in block]
    assert FreeIndex(blocks).fnv() == fnv1a(FNV_OFFSET, *words)
