"""The figures of the memory layer."""

from __future__ import annotations

import pytest

from gorun_mem.bench import memory
from gorun_mem.runtime.linear_memory import LinearMemory


@pytest.mark.parametrize("pages", memory.PLATFORMS)
@pytest.mark.parametrize("pattern", memory.PATTERNS)
def test_patterns_leave_the_list_as_it_was(
    pages: str, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pattern does what it says, through the list and through the calls, and puts the free
    list back, so that every round measures the same."""
    cleared: list[int] = []
    wipe = LinearMemory.wipe
    monkeypatch.setattr(
        LinearMemory,
        "wipe",
        lambda self, addr, n: cleared.append(n) or wipe(self, addr, n),  # type: ignore[func-returns-value]
    )
    for use_index in (True, False):
        subject = memory._Subject(pages, 5, use_index=use_index)
        page = subject.page
        before, bloc = subject.os.freelist.blocks(), subject.os.bloc
        assert before == [(subject.base + (2 * i + 1) * page, page) for i in range(5)]
        for way in memory.WAYS:
            cleared.clear()
            assert subject.measure(pattern, way, 7) > 0
            assert subject.os.freelist.blocks() == before, way
            assert sum(cleared) == {"head": 7, "miss": 14, "random": 21}[pattern] * page
        assert subject.os.bloc == bloc


def test_first_fit_does_not_get_slower() -> None:
    """With 1,000 free blocks a miss costs some of what it costs with 4, where a walk costs a
    hundredfold: at most 10 times, on whatever machine runs this."""
    few, many = (memory._Subject("4 KiB", n, use_index=True) for n in (4, 1_000))
    walked = memory._Subject("4 KiB", 1_000, use_index=False)
    costs = [
        min(subject.measure("miss", "list", 50) for _ in range(5))
        for subject in (few, many, walked)
    ]
    assert costs[1] < 10 * costs[0]
    assert costs[2] > 5 * costs[1]
