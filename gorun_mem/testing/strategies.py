"""Hypothesis strategies: legal calls for the OS layer, options for a scenario, settings.

    from hypothesis import given
    from gorun_mem.testing.strategies import calls, play, scenario_options

    @given(calls(), calls())
    def test_two_ms(one, two):
        async def main(world):
            async with world.open_ms() as ms:
                ms.start_soon(play, one)
                ms.start_soon(play, two)
            world.check()
        assert explore(main, budget=50).ok

A call says what to do in terms of what its M has then ("free the second block that is live"), so it
is legal wherever it stands, whatever the addresses are, and stays so while Hypothesis shrinks the
list. `play` makes the calls, by an M or on a layer alone.

In each list whole kinds of call are left out at random, which reaches states that an even mixture
does not: a list that only grows, one that is never allocated from.

This module alone imports Hypothesis, which the package does not ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, get_args, get_origin

try:
    from hypothesis import strategies as st
except ImportError as error:
    needs = "gorun_mem.testing.strategies needs Hypothesis: pip install hypothesis"
    raise ImportError(needs) from error

from gorun_mem.locks import load_mutex
from gorun_mem.machine.config import Config
from gorun_mem.machine.scenario import Option, Scenario
from gorun_mem.runtime.behaviour import KNOWN, NEWEST, PLATFORMS, KiB
from gorun_mem.runtime.behaviour import release as find_release
from gorun_mem.runtime.mutex import MUTEXES

Kind = Literal["alloc", "reserve", "reserve_hint", "reserve_aligned", "free", "free_part"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
PAGE: Final = 64 * KiB
"""Sizes of parts are multiples of it, for every platform's page divides it."""
_ALIGNS: Final = (64 * KiB, 256 * KiB, 1024 * KiB)


@dataclass(frozen=True, slots=True)
class DrawnCall:
    """One call.

    Args:
        kind: "alloc": sysAllocOS; "reserve": sysReserveOS anywhere; "reserve_hint": sysReserveOS at
            the break; "reserve_aligned": sysReserveAlignedSbrk; "free": sysFreeOS of a whole block;
            "free_part": of whole pages at one end of it.
        n: bytes, of those that take memory.
        align: of reserve_aligned, a power of two.
        which: of those that free, which live block, counted round from the oldest; -1 the newest.
        head: of free_part: the pages at the block's start, else those at its end.
        pages: of free_part: how many pages of 64 KiB, at most what the block has.
    """

    kind: Kind
    n: int = 0
    align: int = 0
    which: int = 0
    head: bool = True
    pages: int = 0

    def __repr__(self) -> str:
        if self.kind == "free":
            return f"DrawnCall('free', which={self.which})"
        if self.kind == "free_part":
            return (
                f"DrawnCall('free_part', which={self.which}, head={self.head}, pages={self.pages})"
            )
        align = f", align={self.align}" if self.align else ""
        return f"DrawnCall({self.kind!r}, n={self.n}{align})"


class Callee(Protocol):
    """Whom `play` calls: an M, or an OS layer."""

    async def sys_alloc_os(self, n: int, purpose: str = "") -> int:
        """Memory, or 0."""

    async def sys_free_os(self, addr: int, n: int, purpose: str = "", /) -> None:
        """Give it back."""

    async def sys_reserve_os(self, addr: int, n: int, purpose: str = "", /) -> int:
        """Address space, or 0."""

    async def sys_reserve_aligned_sbrk(self, size: int, align: int) -> tuple[int, int]:
        """Aligned address space, or (0, 0)."""


@st.composite
def calls(
    draw: st.DrawFn,
    *,
    release: str = NEWEST,
    platform: str = "plan9/amd64",
    size_max: int = 512 * KiB,
    max_calls: int = 20,
    kinds: Iterable[Kind] | None = None,
) -> list[DrawnCall]:
    """Lists of legal calls.

    Args:
        release: whose calls: reserve_aligned is of go1.24 and later. It is left out where the
            release returns from it with memlock held (go1.24 to go1.24.4), unless asked for.
        platform: where.
        size_max: bytes of the largest block.
        max_calls: the longest list.
        kinds: of KINDS, if not all are wanted.
    """
    behaviour = find_release(release).behaviour
    find_release(release).platform(platform)
    if kinds is None:
        aligned = behaviour.is_sbrk_platform and not behaviour.leaks_memlock
        known = [kind for kind in KINDS if aligned or kind != "reserve_aligned"]
    else:
        known = [kind for kind in KINDS if kind in set(kinds)]
    taking = [kind for kind in known if not kind.startswith("free")]
    used = [kind for kind in known if draw(st.booleans())]
    if taking and not set(used) & set(taking):
        used.append(draw(st.sampled_from(taking)))  # else there would be nothing to free
    return draw(st.lists(_call(used, size_max), max_size=max_calls)) if used else []


def _call(kinds: list[Kind], size_max: int) -> st.SearchStrategy[DrawnCall]:
    # Few sizes, so that what one call frees fits another: exact fits, splits, neighbours.
    sizes = st.one_of(
        st.sampled_from([n for n in (4 * KiB, PAGE, 2 * PAGE, 3 * PAGE) if n <= size_max] or [1]),
        st.integers(1, size_max),
    )
    which = st.integers(-1, 5)
    by_kind: dict[Kind, st.SearchStrategy[DrawnCall]] = {
        "alloc": st.builds(DrawnCall, st.just("alloc"), n=sizes),
        "reserve": st.builds(DrawnCall, st.just("reserve"), n=sizes),
        "reserve_hint": st.builds(DrawnCall, st.just("reserve_hint"), n=sizes),
        "reserve_aligned": st.builds(
            DrawnCall,
            st.just("reserve_aligned"),
            n=st.integers(1, max(size_max // PAGE, 1)).map(lambda pages: pages * PAGE),
            align=st.sampled_from(_ALIGNS),
        ),
        "free": st.builds(DrawnCall, st.just("free"), which=which),
        "free_part": st.builds(
            DrawnCall,
            st.just("free_part"),
            which=which,
            head=st.booleans(),
            pages=st.integers(1, 4),
        ),
    }
    return st.one_of([by_kind[kind] for kind in kinds])


async def play(callee: Callee, sequence: Iterable[DrawnCall]) -> list[tuple[int, int]]:
    """Make the calls, one after the other.

    Args:
        callee: an M, or an OS layer, which a lone M drives with `gorun_mem.runtime.op.solo`.
        sequence: of `calls`.

    Returns:
        (address, bytes) of each block that is live in the end, the oldest first. What could not be
        had is not among them.
    """
    live: list[tuple[int, int]] = []
    for call in sequence:
        if call.kind.startswith("free"):
            if live:
                await _free(callee, live, call)
            continue
        p, n = await _take(callee, call)
        if p:
            live.append((p, n))
    return live


async def _take(callee: Callee, call: DrawnCall) -> tuple[int, int]:
    if call.kind == "alloc":
        return await callee.sys_alloc_os(call.n), call.n
    if call.kind == "reserve_aligned":
        return await callee.sys_reserve_aligned_sbrk(call.n, call.align)
    hint = _bloc(callee) if call.kind == "reserve_hint" else 0
    return await callee.sys_reserve_os(hint, call.n), call.n


async def _free(callee: Callee, live: list[tuple[int, int]], call: DrawnCall) -> None:
    index = call.which % len(live) if call.which >= 0 else len(live) - 1
    p, n = live[index]
    part = min(call.pages * PAGE, n) if call.kind == "free_part" else n
    if part == n:
        del live[index]
        await callee.sys_free_os(p, n)
    elif call.head:
        live[index] = (p + part, n - part)
        await callee.sys_free_os(p, part)
    else:
        # The end of a block need not be that of a page: what goes is all behind a page's start.
        kept = (n - part) // PAGE * PAGE
        if kept:
            live[index] = (p, kept)
        else:
            del live[index]
        await callee.sys_free_os(p + kept, n - kept)


def _bloc(callee: Any) -> int:
    """The break, as the runtime has it now."""
    world = getattr(callee, "world", None)
    bloc: int = callee.bloc if world is None else world.runtime.os.bloc
    return bloc


def scenario_options(
    scenario: Scenario, **given: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """Complete options of a scenario, by its own table of types and bounds.

    Numbers without bounds stay near their default. Texts and paths are their default, for no table
    says what they may be.

    Args:
        scenario: whose.
        given: strategies for single options, by name, in place of what the table says.

    Raises:
        ScenarioError: the scenario has no option of a given name.
    """
    for name in given:
        if name not in scenario.options:
            scenario.check({name: None})  # says what there is
    drawn: Mapping[str, st.SearchStrategy[Any]] = {
        name: given.get(name, _option(option)) for name, option in scenario.options.items()
    }
    return st.fixed_dictionaries(dict(drawn))


def _option(option: Option) -> st.SearchStrategy[Any]:
    if get_origin(option.type) is Literal:
        return st.sampled_from(get_args(option.type))
    if option.type is bool:
        return st.booleans()
    if option.type is int:
        low = int(option.low) if option.low is not None else min(option.default, 1)
        high = max(2 * option.default, option.default + 8, low)
        return st.integers(low, min(high, int(option.high)) if option.high is not None else high)
    if option.type is float:
        low_f = option.low if option.low is not None else min(option.default, 0.0)
        high_f = option.high if option.high is not None else max(2 * option.default, low_f + 1.0)
        return st.floats(low_f, high_f, allow_nan=False, allow_infinity=False)
    return st.just(option.default)


@st.composite
def configs(
    draw: st.DrawFn,
    *,
    ms_max: int = 4,
    releases: Iterable[str] | None = None,
    mutexes: Iterable[str] = tuple(name for name, lock in MUTEXES.items() if lock.excludes),
) -> Config:
    """Settings that a World can be made with: release, platform, Ms, CPUs, mutex, seed, memDebug.

    Args:
        ms_max: the most Ms.
        releases: names to draw from, all if None.
        mutexes: names to draw from; none is left out, for without a lock nothing is promised. Those
            that know one M go with one M.
    """
    name = draw(st.sampled_from(list(releases or KNOWN)))
    has_wasip1 = find_release(name).behaviour.has_wasip1
    platform = draw(st.sampled_from([p for p in PLATFORMS if has_wasip1 or "wasip1" not in p]))
    ms = draw(st.integers(1, ms_max))
    fitting = [mutex for mutex in mutexes if ms == 1 or load_mutex(mutex).several_ms]
    return Config(
        release=name,
        platform=platform,
        mutex=draw(st.sampled_from(fitting)),
        ms=ms,
        cpus=draw(st.integers(1, 4)),
        seed=draw(st.integers(0, 1 << 32)),
        mem_debug=draw(st.booleans()),
    ).check()
