"""mem.go: states of regions, statistics, aligned reservations."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gorun_mem.runtime.behaviour import KiB, MiB, release
from gorun_mem.runtime.boot import BootOptions, Runtime, boot
from gorun_mem.runtime.errors import IllegalUse, Throw
from gorun_mem.runtime.mem import Mem, RegionState
from gorun_mem.runtime.mstats import SysMemStat
from gorun_mem.runtime.mutex import make
from gorun_mem.step.solo import SoloM, solo

PAGE = 64 * KiB
READY, RESERVED = RegionState.READY, RegionState.RESERVED
PREPARED, NONE = RegionState.PREPARED, RegionState.NONE


def start(name: str = "go1.27", platform: str = "js/wasm", **options: Any) -> Runtime:
    known = release(name)
    return boot(known, known.platform(platform), BootOptions(**options), memlock=make("js", known))


def do(coro: Coroutine[Any, Any, Any]) -> Any:
    return solo(coro, SoloM())


def in_state(mem: Mem, state: RegionState, n: int = 4 * PAGE) -> int:
    """A range of `n` bytes brought into `state`."""
    stat = mem.stats.other_sys
    if state is NONE:
        p: int = do(mem.sys_alloc(n, stat))
        do(mem.sys_free(p, n, stat))
    elif state is READY:
        p = do(mem.sys_alloc(n, stat))
    else:
        p = do(mem.sys_reserve(0, n))
    if state is PREPARED:
        mem.sys_map(p, n, stat)
    return p


def free_blocks(mem: Mem) -> list[tuple[int, int]]:
    assert mem.os.freelist is not None
    return mem.os.freelist.blocks()


def picture(mem: Mem) -> object:
    assert mem.regions is not None
    return list(mem.regions), mem.statistics(), mem.os.bloc, free_blocks(mem)


CALLS: dict[str, tuple[tuple[RegionState, ...], Callable[[Mem, int, int], Any]]] = {
    "sysFree": ((READY,), lambda mem, p, n: do(mem.sys_free(p, n, mem.stats.other_sys))),
    "sysUnreserve": ((RESERVED,), lambda mem, p, n: do(mem.sys_unreserve(p, n))),
    "sysMap": ((RESERVED,), lambda mem, p, n: mem.sys_map(p, n, mem.stats.other_sys)),
    "sysUsed": (
        (PREPARED, READY),
        lambda mem, p, n: mem.sys_used(p, n, mem.statistics().prepared_bytes),
    ),
    "sysUnused": ((READY,), lambda mem, p, n: mem.sys_unused(p, n)),
    "sysFault": ((READY,), lambda mem, p, n: mem.sys_fault(p, n)),
    "sysFreeOS": (
        (RESERVED, PREPARED, READY),
        lambda mem, p, n: do(mem.sys_free_os(p, n)),
    ),
}


@pytest.mark.parametrize("state", list(RegionState))
@pytest.mark.parametrize("call", list(CALLS))
def test_each_call_works_from_its_states_alone(call: str, state: RegionState) -> None:
    """From a state that mem.go allows a call goes through; from any other it is refused, with the
    range, the state and the call that made it so, and nothing changes."""
    mem = start().mem
    p = in_state(mem, state)
    allowed, run = CALLS[call]
    if state in allowed:
        run(mem, p, 4 * PAGE)
        return
    before = picture(mem)
    with pytest.raises(IllegalUse) as refused:
        run(mem, p, 4 * PAGE)
    assert f"[{p:#x}, {p + 4 * PAGE:#x}) is {state.value} since sys" in str(refused.value)
    assert picture(mem) == before


def test_a_faithful_layer_does_what_go_does_with_the_same_mistake() -> None:
    """The free of a part that was freed before: refused by a strict layer, and in the free list of
    a faithful one as a second block over the first."""
    strict, faithful = start().mem, start(faithful=True).mem
    for mem in (strict, faithful):
        p = in_state(mem, READY)
        do(mem.sys_alloc(PAGE, mem.stats.other_sys))
        do(mem.sys_free(p, 4 * PAGE, mem.stats.other_sys))
    with pytest.raises(IllegalUse, match="is None since sysFree"):
        do(strict.sys_free_os(p + PAGE, PAGE))
    assert free_blocks(strict) == [(p, 4 * PAGE)]
    do(faithful.sys_free_os(p + PAGE, PAGE))
    assert free_blocks(faithful) != [(p, 4 * PAGE)]


@pytest.mark.parametrize(("name", "refused"), [("go1.26.2", False), ("go1.26.3", True)])
def test_only_whole_regions_from_1_26_3(name: str, refused: bool) -> None:
    """sysFree of a part of an allocation is right to 1.26.2, against the contract from 1.26.3."""
    mem = start(name).mem
    p = in_state(mem, READY)
    if not refused:
        do(mem.sys_free(p, PAGE, mem.stats.other_sys))
        return
    before = picture(mem)
    with pytest.raises(IllegalUse, match=r"has 262144 bytes, and from go1\.26\.3 only a whole"):
        do(mem.sys_free(p, PAGE, mem.stats.other_sys))
    assert picture(mem) == before


@pytest.mark.parametrize(("name", "refused"), [("go1.26", False), ("go1.27", True)])
def test_sys_free_of_a_reservation(name: str, refused: bool) -> None:
    """sysFree takes any state to 1.26 and Ready alone from 1.27."""
    mem = start(name).mem
    mem.stats.other_sys.add(4 * PAGE)
    p = in_state(mem, RESERVED)
    if not refused:
        do(mem.sys_free(p, 4 * PAGE, mem.stats.other_sys))
        return
    with pytest.raises(IllegalUse, match=r"is Reserved since sysReserve, and sysFree needs Ready"):
        do(mem.sys_free(p, 4 * PAGE, mem.stats.other_sys))


def test_a_refusal_of_the_os_layer_is_undone_here_too() -> None:
    """Where the ledger refuses a free that the states allow, states and statistics go back."""
    mem = start().mem
    p = in_state(mem, READY)
    assert mem.os.ledger is not None
    mem.os.ledger.freed(p, PAGE, "test", 1)
    before = picture(mem)
    with pytest.raises(IllegalUse, match="free each range once"):
        do(mem.sys_free(p, 4 * PAGE, mem.stats.other_sys))
    assert picture(mem) == before


def test_sys_used_wants_the_prepared_bytes_exactly() -> None:
    """sysUsed over Ready and Prepared together is right with the Prepared bytes, wrong with any
    other number."""
    mem = start().mem
    p = in_state(mem, READY)
    mem.sys_unused(p + PAGE, PAGE)
    with pytest.raises(IllegalUse, match="65536 bytes of the range are Prepared"):
        mem.sys_used(p, 4 * PAGE, 4 * PAGE)
    mem.sys_used(p, 4 * PAGE, PAGE)
    assert mem.statistics().ready_bytes == 4 * PAGE


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["alloc", "free", "reserve", "map", "use", "unuse", "fault", "unreserve"]),
        st.integers(0, 9),
        st.integers(1, 5),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_mapped_ready_counts_the_ready_bytes(steps: list[tuple[str, int, int]]) -> None:
    """After any legal calls mappedReady is the bytes in state Ready, and the statistic is what is
    Ready or Prepared, as gcController checks it."""
    mem = start(max_pages=4096).mem
    stat = mem.stats.gc_misc_sys
    blocks: list[list[Any]] = []
    calls: dict[str, tuple[RegionState, Callable[[Any], object], RegionState | None]] = {
        "free": (READY, lambda b: do(mem.sys_free(b[0], b[1], stat)), None),
        "unreserve": (RESERVED, lambda b: do(mem.sys_unreserve(b[0], b[1])), None),
        "map": (RESERVED, lambda b: mem.sys_map(b[0], b[1], stat), PREPARED),
        "use": (PREPARED, lambda b: mem.sys_used(b[0], b[1], b[1]), READY),
        "unuse": (READY, lambda b: mem.sys_unused(b[0], b[1]), PREPARED),
    }
    for name, which, pages in steps:
        n = pages * PAGE
        if name == "alloc":
            blocks.append([do(mem.sys_alloc(n, stat)), n, READY])
        elif name == "reserve":
            blocks.append([do(mem.sys_reserve(0, n)), n, RESERVED])
        elif name in calls and blocks:
            block = blocks[which % len(blocks)]
            needs, run, becomes = calls[name]
            if block[2] is needs:
                run(block)
                block[2] = becomes
                blocks = [b for b in blocks if b[2] is not None]
    figures = mem.statistics()
    assert figures.mapped_ready == figures.ready_bytes
    assert figures.gc_misc_sys == figures.ready_bytes + figures.prepared_bytes
    assert figures.ready_bytes == sum(n for _, n, state in blocks if state is READY)


def test_the_statistic_overflows_with_gos_line() -> None:
    """A statistic below 0 or beyond 2**63 - 1 throws, printing the value it has already taken."""
    below = SysMemStat("other_sys")
    with pytest.raises(Throw, match="sysMemStat overflow") as thrown:
        below.add(-5)
    assert thrown.value.printed == (f"runtime: val={2**64 - 5} n=-5",)
    above = SysMemStat("other_sys")
    above.add(2**63 - 1)
    with pytest.raises(Throw) as thrown:
        above.add(1)
    assert thrown.value.printed == (f"runtime: val={2**63} n=1",)


def test_an_allocation_that_fails_is_accounted_for_all_the_same() -> None:
    """Go adds before it asks: nil comes back and the statistic keeps the bytes."""
    mem = start(max_pages=40).mem
    assert do(mem.sys_alloc(64 * MiB, mem.stats.stacks_sys)) == 0
    assert mem.statistics().stacks_sys == 64 * MiB
    assert mem.statistics().mapped_ready == 64 * MiB
    assert mem.statistics().ready_bytes == 0


def test_aligned_reservation_keeps_all_that_happens_to_be_aligned() -> None:
    """Before 1.24 a reservation of size+align at a multiple of align is kept whole: 1.23 with
    memory that ends at 8 MiB."""
    mem = start("go1.23", initial_pages=128).mem
    assert do(mem.sys_reserve_aligned(0, 4 * MiB, 4 * MiB)) == (8 * MiB, 8 * MiB)
    assert free_blocks(mem) == []


def test_aligned_reservation_trims_both_ends_otherwise() -> None:
    """The same one page further: both ends go to the free list, and what was passed over is
    align bytes."""
    mem = start("go1.23", initial_pages=129).mem
    p, size, skipped = do(mem.reserve_aligned_skipping(0, 4 * MiB, 4 * MiB))
    assert (p, size, skipped) == (12 * MiB, 4 * MiB, 4 * MiB)
    assert free_blocks(mem) == [(8 * MiB + PAGE, 4 * MiB - PAGE), (16 * MiB, PAGE)]
    assert mem.statistics().reserved_bytes == 4 * MiB


def test_a_hint_on_an_sbrk_platform_throws() -> None:
    """From 1.24 sysReserveAligned takes no hint; without one the free list may serve."""
    mem = start("go1.24").mem
    with pytest.raises(Throw, match="unexpected heap arena hint on sbrk platform"):
        do(mem.sys_reserve_aligned(4 * MiB, 4 * MiB, 4 * MiB))
    assert do(mem.sys_reserve_aligned(0, 4 * MiB, 4 * MiB)) == (4 * MiB, 4 * MiB)


@pytest.mark.parametrize(("name", "exists"), [("go1.20", False), ("go1.21", True)])
def test_hooks_that_came_with_1_21(name: str, exists: bool) -> None:
    """sysNoHugePage and sysHugePageCollapse exist from 1.21 and then change nothing."""
    mem = start(name).mem
    mem.sys_huge_page(PAGE, PAGE)
    for call in (mem.sys_no_huge_page, mem.sys_huge_page_collapse):
        if exists:
            call(PAGE, PAGE)
        else:
            with pytest.raises(IllegalUse, match=r"it came with go1\.21"):
                call(PAGE, PAGE)


def test_a_range_past_the_last_address_is_refused() -> None:
    """A size that makes the range wrap is named as such on a 32-bit platform."""
    mem = start("go1.27", "plan9/386").mem
    p = in_state(mem, READY, PAGE)
    with pytest.raises(IllegalUse, match="passes the end of the address space"):
        do(mem.sys_free(p, 0xFFFF_F000, mem.stats.other_sys))
