"""The break of each generation: what moves, what grows, and what a refusal leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.brk import Break, align_up, make_break
from gorun_mem.runtime.call import Call
from gorun_mem.runtime.linear_memory import LinearMemory
from gorun_mem.runtime.memory import Plan9Segment, WasmMemory

PAGE = 65536
P9 = 4096


def wasm(release_name: str, pages: int = 4, max_pages: int = 20, end: int = 70_000) -> Any:
    known = release(release_name)
    brk = make_break(known, known.platform("js/wasm"), WasmMemory(pages, max_pages))
    brk.phys_page_size = PAGE
    brk.init_bloc(end)
    return brk


def plan9(release_name: str = "go1.27", platform: str = "plan9/amd64", top: int = 20) -> Any:
    known = release(release_name)
    where = known.platform(platform)
    segment = Plan9Segment(5000, top * P9, where.word_size)
    brk = make_break(known, where, segment)
    brk.phys_page_size = P9
    brk.init_bloc(5000)
    return brk


def test_align_up() -> None:
    """Rounding up is modulo the word, and by 0 gives 0."""
    mask = (1 << 64) - 1
    assert [align_up(n, 8, mask) for n in (0, 1, 8, 9)] == [0, 8, 8, 16]
    assert align_up(mask, 8, mask) == 0
    assert align_up(0xFFFF_FFFF, 4096, 0xFFFF_FFFF) == 0
    assert align_up(0xFFFF_FFFF, 4096, mask) == 1 << 32
    assert align_up(12345, 0, mask) == 0


def test_init_bloc_rounds_the_end() -> None:
    """Break and its mark start at the page above the end of data; memory does not grow."""
    for brk, at in ((wasm("go1.27"), 2 * PAGE), (wasm("go1.22"), 2 * PAGE), (plan9(), 2 * P9)):
        assert (brk.bloc, brk.bloc_max, brk.memory.grows) == (at, at, 0)
    assert wasm("go1.27", end=PAGE).bloc == PAGE


@pytest.mark.parametrize("name", ["dac514ea", "go1.21", "go1.23"])
def test_grow_always(name: str) -> None:
    """To 1.23 sbrk grows by what is asked, rounded, and answers the old end of memory; bloc and
    blocMax never move, and what lies below the old end is never handed out."""
    brk = wasm(name)
    call = Call("sysAllocOS", 0, 0)
    assert brk.sbrk(1, call) == 4 * PAGE
    assert brk.sbrk(PAGE + 1, call) == 5 * PAGE
    assert brk.sbrk(0, call) == 7 * PAGE
    assert brk.pages == 7
    assert (brk.bloc, brk.bloc_max) == (2 * PAGE, 2 * PAGE)
    assert (brk.memory.grows, brk.memory.data_view_resets) == (3, 3)
    assert brk.sbrk(14 * PAGE, call) == 0
    assert (brk.pages, brk.memory.fails, brk.memory.data_view_resets) == (7, 1, 3)
    assert call.grown_pages == 3


def test_grow_always_wraps_like_an_int32() -> None:
    """A page count beyond 32 bits loses its upper bits: 2**48 bytes ask for no page, and succeed;
    a size that wraps when rounded asks for none too."""
    brk = wasm("go1.21")
    assert brk.sbrk(1 << 48) == 4 * PAGE
    assert brk.pages == 4
    assert brk.sbrk((1 << 48) + PAGE) == 4 * PAGE
    assert brk.pages == 5
    assert brk.sbrk((1 << 64) - 1) == 5 * PAGE
    assert brk.sbrk(1 << 47) == 0  # 2**31 pages, read unsigned


def test_slack_is_handed_out_first() -> None:
    """From 1.24 memory between bloc and blocMax is handed out without growth, and growth is by
    what is missing only."""
    brk = wasm("go1.24")
    brk.bloc_max = 4 * PAGE
    call = Call("sysAllocOS", 0, 0)
    assert brk.sbrk(2 * PAGE, call) == 2 * PAGE
    assert (brk.memory.grows, brk.bloc, brk.bloc_max) == (0, 4 * PAGE, 4 * PAGE)
    brk.lower(PAGE)
    assert brk.sbrk(3 * PAGE - 5, call) == 3 * PAGE
    assert (brk.bloc, brk.bloc_max, brk.pages) == (6 * PAGE, 6 * PAGE, 6)
    assert (brk.memory.grows, brk.memory.data_view_resets, call.grown_pages) == (1, 1, 2)


def test_refused_growth_changes_nothing() -> None:
    """A refusal answers nil and leaves bloc, blocMax and memory; a smaller request still works."""
    for brk, unit in ((wasm("go1.27", pages=4, max_pages=5), PAGE), (plan9(top=5), P9)):
        brk.bloc_max = brk.memory.size
        before = (brk.bloc, brk.bloc_max, brk.memory.size)
        assert brk.sbrk(50 * unit) == 0
        assert (brk.bloc, brk.bloc_max, brk.memory.size) == before
        assert (brk.memory.grows, brk.memory.fails) == (1, 1)
        assert brk.sbrk(unit) == before[0]
        assert brk.bloc == before[0] + unit


def test_bloc_max_growth_truncates() -> None:
    """From 1.24 the page count is cut to 32 bits too: with blocMax at bloc, 2**48 bytes ask for 0
    pages and succeed, so that blocMax lies far beyond memory."""
    brk = wasm("go1.24")
    brk.bloc_max = brk.bloc
    assert brk.sbrk(1 << 48) == 2 * PAGE
    assert (brk.pages, brk.bloc, brk.bloc_max) == (4, 2 * PAGE + (1 << 48), 2 * PAGE + (1 << 48))


def test_sbrk_that_wraps_lowers_the_break() -> None:
    """A size that carries bloc round the word does not pass blocMax: nothing is asked of the
    system and bloc ends up lower."""
    brk = plan9(platform="plan9/386")
    assert brk.sbrk(0xFFFF_F000) == 2 * P9
    assert (brk.bloc, brk.bloc_max, brk.memory.grows) == (P9, 2 * P9, 0)


def test_plan9_tracks_bloc_and_asks_brk() -> None:
    """On Plan 9 sbrk raises the system's break past blocMax only, in every release."""
    for name in ("go1.19", "dac514ea", "go1.27"):
        brk = plan9(name)
        call = Call("sysAllocOS", 0, 0)
        assert brk.sbrk(3 * P9, call) == 2 * P9
        assert (brk.bloc, brk.bloc_max, brk.memory.size) == (5 * P9, 5 * P9, 5 * P9)
        brk.lower(2 * P9)
        assert brk.sbrk(P9 + 1, call) == 3 * P9
        assert (brk.bloc, brk.bloc_max, brk.memory.grows, brk.pages) == (5 * P9, 5 * P9, 1, 0)
        assert brk.sbrk(P9, call) == 5 * P9
        assert (brk.memory.grows, call.grown_pages) == (2, 4)


def test_rounding_before_the_page_size_is_known() -> None:
    """With physPageSize 0, memRound gives 0, except where it rounds by a constant (to 1.20)."""
    for name, rounded in (("go1.20", 2 * P9), ("dac514ea", 0), ("go1.27", 0)):
        known = release(name)
        brk = make_break(known, known.platform("plan9/amd64"), Plan9Segment(5000, 20 * P9))
        assert brk.mem_round(5000) == rounded


def test_no_sbrk_before_the_seed_commit() -> None:
    """Wasm to 1.20 has no sbrk, and asking for one says so."""
    known = release("go1.20")
    with pytest.raises(ValueError, match=r"go1\.20 on js/wasm has no sbrk"):
        make_break(known, known.platform("js/wasm"), WasmMemory(4))


def test_nothing_is_known_before_osinit() -> None:
    """Before osinit the break is 0, and so is physPageSize."""
    for name, platform, memory in (
        ("go1.27", "js/wasm", WasmMemory(4)),
        ("go1.22", "js/wasm", WasmMemory(4)),
        ("go1.27", "plan9/386", Plan9Segment(5000, 20 * P9, 4)),
    ):
        known = release(name)
        brk = make_break(known, known.platform(platform), memory)
        assert (brk.bloc, brk.bloc_max, brk.phys_page_size) == (0, 0, 0)


def test_growth_from_nothing_succeeds() -> None:
    """growMemory that answers 0, the size of a memory of no pages, has succeeded: only a negative
    answer is a refusal."""
    brk = wasm("go1.27", pages=0, end=0)
    call = Call("sysAllocOS", 0, 0)
    assert told_by(brk, lambda b: b.sbrk(2 * PAGE, call)) == [
        ("grow", 2 * PAGE, 0, 2 * PAGE, True, 20 * PAGE, 1),
        ("brk", 0, 2 * PAGE, 2 * PAGE, "sbrk"),
    ]
    assert (brk.bloc, call.grown_pages, brk.memory.data_view_resets) == (2 * PAGE, 2, 1)
    old = wasm("go1.22", pages=0, end=0)
    call = Call("sysAllocOS", 0, 0)
    assert old.sbrk(PAGE, call) == 0
    assert (old.pages, call.grown_pages, old.memory.data_view_resets) == (1, 1, 1)


def test_growth_is_asked_as_an_int32() -> None:
    """growMemory gets its page count as an int32: 2**31 pages are asked for as -2**31, one less as
    2**31 - 1, and 2**32 + 3 as 3."""
    seen = []

    class Probe:
        def grew(self, pages: int, result: int, pages_before: int) -> None:
            seen.append(pages)

    brk = wasm("go1.22")
    brk.memory.probe = Probe()
    for pages in (1 << 31, (1 << 31) - 1, (1 << 32) - 1, (1 << 32) + 3):
        brk.sbrk(pages * PAGE)
    assert seen == [-(1 << 31), (1 << 31) - 1, -1, 3]


def test_base_is_abstract() -> None:
    """The base has neither memory nor a way to grow."""
    base = Break(release("go1.27").platform("js/wasm"))
    base.phys_page_size = PAGE
    assert base.pages == 0
    for call in (lambda: base.memory, lambda: base.sbrk(1)):
        with pytest.raises(NotImplementedError):
            call()


def test_probe_sees_every_sbrk() -> None:
    """The probe is told each sbrk's argument, unrounded, and answer, nil too."""
    seen = []

    class Probe:
        def sbrked(self, n: int, p: int) -> None:
            seen.append((n, p))

    for brk in (wasm("go1.22"), wasm("go1.27"), plan9()):
        brk.probe = Probe()
        brk.sbrk(5)
        brk.memory.fail_next(9)
        brk.sbrk(12 * PAGE)
    assert seen == [(5, 4 * PAGE), (12 * PAGE, 0), (5, 2 * PAGE), (12 * PAGE, 0), (5, 2 * P9),
                    (12 * PAGE, 0)]  # fmt: skip


class Told:
    """A sink that keeps what the break tells."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def brk_move(self, *what: Any) -> None:
        self.told.append(("brk", *what))

    def mem_grow(self, *what: Any) -> None:
        self.told.append(("grow", *what))


def told_by(brk: Any, calls: Callable[[Any], None]) -> list[tuple[Any, ...]]:
    brk.sink = sink = Told()
    calls(brk)
    return sink.told


def test_what_the_log_is_told() -> None:
    """Growth is told in bytes with the size before and after, refused or not, and its ordinal;
    then the move of the break with its cause. A break that stays is not told to move."""

    def calls(brk: Any) -> None:
        unit = brk.phys_page_size
        brk.sbrk(3 * unit)
        brk.lower(unit)
        brk.sbrk(50 * unit)

    assert told_by(wasm("go1.27", pages=2, max_pages=9), calls) == [
        ("grow", 3 * PAGE, 2 * PAGE, 5 * PAGE, True, 9 * PAGE, 1),
        ("brk", 2 * PAGE, 5 * PAGE, 5 * PAGE, "sbrk"),
        ("brk", 5 * PAGE, 4 * PAGE, 5 * PAGE, "free"),
        ("grow", 49 * PAGE, 5 * PAGE, 5 * PAGE, False, 9 * PAGE, 2),
    ]
    segment = plan9()
    segment.memory.brk_max = 9 * P9 + 100
    told = told_by(segment, calls)
    assert all(isinstance(field, int | str) for entry in told for field in entry)
    assert told == [
        ("grow", 3 * P9, 2 * P9, 5 * P9, True, 9 * P9 + 100, 1),
        ("brk", 2 * P9, 5 * P9, 5 * P9, "sbrk"),
        ("brk", 5 * P9, 4 * P9, 5 * P9, "free"),
        ("grow", 49 * P9, 5 * P9, 5 * P9, False, 9 * P9 + 100, 2),
    ]
    brk = wasm("go1.22", pages=2, max_pages=9)
    assert told_by(brk, lambda b: (b.sbrk(3 * PAGE), b.sbrk(1 << 46))) == [  # type: ignore[arg-type]
        ("grow", 3 * PAGE, 2 * PAGE, 5 * PAGE, True, 9 * PAGE, 1),
        ("grow", (1 << 30) * PAGE, 5 * PAGE, 5 * PAGE, False, 9 * PAGE, 2),
    ]


def test_repr_tells_the_break() -> None:
    """The repr has both addresses."""
    assert repr(wasm("go1.27")) == "<WasmBlocMaxBreak bloc=0x20000 bloc_max=0x20000>"
    assert isinstance(plan9().memory, LinearMemory)
