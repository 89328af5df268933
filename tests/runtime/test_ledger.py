"""What is refused, in what words, and that a refusal changes nothing."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.ledger import Ledger

P9 = 4096
PAGE = 65536


def setting(start: Any, name: str, platform: str) -> tuple[Any, int, int, int]:
    """Three blocks of two pages side by side and something behind; the middle one is freed."""
    calls = start(name, platform, end=100, initial_pages=2)
    page = calls.page
    a, b, c = (calls.alloc(2 * page) for _ in range(3))
    calls.alloc(page)
    calls.os.memory.fill(a, 2 * page, 0xA)
    calls.os.memory.fill(c, 2 * page, 0xC)
    calls.free(b, 2 * page)
    return calls, a, b, c


def everything(calls: Any) -> Any:
    """All the state that a refused call must leave."""
    os = calls.os
    stats = os.memlock.statistics()
    return (
        os.memory.read(1, os.memory.size - 1),
        os.freelist.blocks() if os.freelist is not None else None,
        (os.bloc, os.bloc_max, os.pages, os.memory.grows, os.memory.fails),
        os.ledger.live_ranges(),
        (os.ledger.calls, os.ledger.live_bytes, os.ledger.live_bytes_max),
        (os.memlock.holder, calls.m.locks, stats.contended),
    )


ILLEGAL: dict[str, tuple[Callable[..., tuple[int, int]], str]] = {
    "double free": (
        lambda p, a, b, c: (b, 2 * p),
        r"free of \[{b:#x}, {c:#x}\) refused: \[{b:#x}, {c:#x}\) was freed by M1 in call 5 "
        r"\(sysFreeOS\); free each range once",
    ),
    "double free of a part": (
        lambda p, a, b, c: (b + p, p),
        r"\[{bp:#x}, {c:#x}\) was freed by M1 in call 5 \(sysFreeOS\)",
    ),
    "over what is free, from the left": (
        lambda p, a, b, c: (a + p, 2 * p),
        r"free of \[{ap:#x}, {bp:#x}\) refused: \[{b:#x}, {bp:#x}\) was freed by M1 in call 5",
    ),
    "over what is free, to the right": (
        lambda p, a, b, c: (b + p, 2 * p),
        r"\[{bp:#x}, {c:#x}\) was freed by M1 in call 5",
    ),
    "never handed out": (
        lambda p, a, b, c: (a - 2 * p, p) if a > 2 * p else (p // 2, p // 4),
        r"was never handed out; free what an allocation returned, or a part of it",
    ),
    "partly beyond what was handed out": (
        lambda p, a, b, c: (c + 2 * p, 4 * p),
        r"was never handed out; the part before is owned by M1, which got it in call 4 "
        r"\(sysAllocOS\)",
    ),
    "far outside memory": (
        lambda p, a, b, c: (1 << 40, p),
        r"free of \[0x10000000000, 0x.*never handed out",
    ),
    "rounded up over a neighbour": (
        lambda p, a, b, c: (a + p, p + 1),
        r"\[{b:#x}, .* was freed by M1 in call 5",
    ),
}


@pytest.mark.parametrize(
    ("name", "platform"),
    [("go1.19", "js/wasm"), ("go1.22", "js/wasm"), ("go1.27", "js/wasm"), ("go1.19", "plan9/amd64"),
     ("go1.27", "plan9/amd64"), ("go1.27", "plan9/386")],
)  # fmt: skip
@pytest.mark.parametrize("what", ILLEGAL)
def test_illegal_free_is_refused_and_changes_nothing(
    start: Any, name: str, platform: str, what: str
) -> None:
    """Each illegal free is refused with the range, who owns or freed what of it and since which
    call; memory, list, break and ledger stay as they were and memlock is free again."""
    calls, a, b, c = setting(start, name, platform)
    arguments, pattern = ILLEGAL[what]
    v, n = arguments(calls.page, a, b, c)
    before = everything(calls)
    at = {"a": a, "b": b, "c": c, "ap": a + calls.page, "bp": b + calls.page}
    with pytest.raises(IllegalUse, match=pattern.format(**at)):
        calls.free(v, n)
    assert everything(calls) == before
    calls.free(a, 2 * calls.page)  # goes on as if nothing had been
    calls.free(c, 2 * calls.page)


@pytest.mark.parametrize("platform", ["js/wasm", "plan9/amd64", "plan9/386"])
@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [((0, 5), "freeing nil faults in every release before go1.27 .this is go1.26"),
     ((-1, 0), r"header of (8|16) bytes into memory that stays in use; free at least one byte")],
    ids=["nil", "nothing"],
)  # fmt: skip
def test_nil_and_empty_frees(start: Any, platform: str, arguments: Any, pattern: str) -> None:
    """Freeing nil before 1.27, or no bytes, is refused with what Go would do; nothing changes."""
    calls, a, _, _ = setting(start, "go1.26", platform)
    v, n = (a, 0) if arguments[0] else arguments
    before = everything(calls)
    with pytest.raises(IllegalUse, match=pattern):
        calls.free(v, n)
    assert everything(calls) == before


def test_nil_free_from_127_changes_nothing(start: Any) -> None:
    """From 1.27 freeing nil is legal and does nothing."""
    calls, *_ = setting(start, "go1.27", "plan9/amd64")
    before = everything(calls)
    calls.free(0, 5 * P9)
    assert everything(calls) == before


def test_legal_frees_are_not_refused(start: Any) -> None:
    """Parts, runs over several allocations, unrounded sizes and the end of memory may be freed; an
    owner that is not the one who asked, too."""
    calls = start("go1.27", "plan9/amd64", end=100)
    p = calls.alloc(8 * P9)
    q = calls.alloc(P9)
    calls.os.whoami = lambda: 7
    calls.free(p + P9, 2 * P9)
    calls.free(p + 4 * P9, 3 * P9 + 1)  # rounded: to the end of p
    calls.free(p + 3 * P9, P9)
    calls.free(p, P9)
    calls.free(q, P9)
    assert calls.os.ledger.live_ranges() == []
    assert (calls.os.ledger.live_bytes, calls.os.ledger.live_bytes_max) == (0, 9 * P9)
    assert calls.os.ledger.ownership(p + P9).m == 7
    both = calls.alloc(8 * P9), calls.reserve(calls.os.bloc, P9)
    calls.free(both[0], 4 * P9)


def test_across_two_allocations(start: Any) -> None:
    """A range over two neighbouring allocations is one free."""
    calls = start("go1.23", "js/wasm", end=100, initial_pages=2)
    p, q = calls.alloc(PAGE), calls.alloc(2 * PAGE)
    assert q == p + PAGE
    calls.free(p, 3 * PAGE)
    assert calls.os.freelist.blocks() == [(p, 3 * PAGE)]


def test_failed_calls_hand_out_nothing(start: Any) -> None:
    """A call that answers nil leaves the ledger alone."""
    calls = start("go1.27", "plan9/amd64", end=100, brk_max=4 * P9)
    calls.alloc(90 * P9)
    calls.reserve(8, P9)
    calls.aligned(90 * P9, P9)
    assert (calls.os.ledger.calls, calls.os.ledger.live_bytes) == (0, 0)


def test_aligned_reservations_are_owned_exactly(start: Any) -> None:
    """An aligned reservation owns its size, not what was trimmed or skipped."""
    calls = start("go1.27", "plan9/amd64", end=100)
    p, size = calls.aligned(2 * P9, 4 * P9)
    assert [r[:2] for r in calls.os.ledger.live_ranges()] == [(p, p + size)]
    with pytest.raises(IllegalUse, match="never handed out"):
        calls.free(p - P9, P9)


def test_memory_that_is_handed_out_again_has_its_new_owner(start: Any) -> None:
    """A freed range that is allocated again may be freed again, and its owner is the last."""
    calls = start("go1.27", "plan9/amd64", end=100)
    p = calls.alloc(2 * P9)
    calls.alloc(P9)
    for i in range(3):
        calls.free(p, 2 * P9)
        calls.os.whoami = lambda i=i: 10 + i
        assert calls.alloc(2 * P9) == p
        assert calls.os.ledger.ownership(p).m == 10 + i
    owner = calls.os.ledger.ownership(p + P9)
    assert str(owner) == "owned by M12, which got it in call 8 (sysAllocOS)"
    assert calls.os.ledger.ownership(1 << 40) is None


def test_refusal_is_told_as_a_failed_return(start: Any) -> None:
    """The log has a refused free as a return that is not ok, and no change of the list."""
    told: list[tuple[str, Any]] = []

    class Told:
        def __getattr__(self, name: str) -> Any:
            return lambda *args: told.append((name, args))

    calls, _, b, _ = setting(start, "go1.27", "plan9/amd64")
    calls.os.sink = Told()
    with pytest.raises(IllegalUse):
        calls.free(b, P9)
    assert [name for name, _ in told] == ["mem_call", "mem_return"]
    call = told[-1][1][0]
    assert (call.fn, call.v, call.ok, call.path) == ("sysFreeOS", b, False, "fail")


def test_ledger_by_itself() -> None:
    """Counts calls, bytes live and their peak; an empty range is a call that changes nothing."""
    ledger = Ledger()
    ledger.handed_out(P9, 2 * P9, "sysAllocOS", 1)
    ledger.handed_out(5 * P9, P9, "sysReserveOS", 2)
    ledger.freed(P9, P9, "sysFreeOS", 2)
    ledger.handed_out(P9, 0, "sysAllocOS", 1)
    ledger.freed(P9, 0, "sysFreeOS", 1)
    assert (ledger.calls, ledger.live_bytes, ledger.live_bytes_max) == (5, 2 * P9, 3 * P9)
    assert [(lo, hi, t.m, t.call) for lo, hi, t in ledger.live_ranges()] == [
        (2 * P9, 3 * P9, 1, 1), (5 * P9, 6 * P9, 2, 2),
    ]  # fmt: skip
    assert ledger.refusal(2 * P9, P9, "free") is None
    hole = ledger.refusal(2 * P9, 4 * P9, "touch of x")
    assert str(hole) == (
        f"touch of x refused: [{3 * P9:#x}, {5 * P9:#x}) was never handed out; the part before is "
        "owned by M1, which got it in call 1 (sysAllocOS); free what an allocation returned, or a "
        "part of it"
    )
    assert repr(ledger) == f"<Ledger {2 * P9} bytes live after 5 calls>"


def test_the_collector_does_not_look_at_ranges() -> None:
    """A full collection beside a hundred thousand ranges took 80 ms, in which a service is deaf."""
    ledger = Ledger()
    for number in range(50):
        ledger.handed_out(number * 4096, 4096, "sysAlloc", 1)
    gc.collect()
    for entry in ledger._ranges._ends.values():
        assert not gc.is_tracked(entry)
