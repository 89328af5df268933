"""osinit: the order of its two steps, release by release, and what the wrong one does."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from gorun_mem.runtime.behaviour import KNOWN, release
from gorun_mem.runtime.boot import (
    BRK_MAX,
    DATA_END,
    BootOptions,
    assemble,
    brk_limit,
    initial_wasm_pages,
)
from gorun_mem.runtime.mutex import make
from tests.runtime.test_naive import swarm
from tests.runtime.twins import KINDS, Twins

PAGE = 65536
P9 = 4096
SBRK_ON_WASM = [name for name in KNOWN if name not in ("go1.19", "go1.20")]


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("platform", ["plan9/amd64", "plan9/386"])
def test_plan9_starts_at_the_page_above_the_data(start: Any, name: str, platform: str) -> None:
    """On Plan 9 bloc and blocMax start at the page above the end of data, in every release: up to
    1.20 initBloc comes before physPageSize is known, and rounds right by its constant."""
    os = start(name, platform, end=5 * P9 + 1).os
    assert (os.bloc, os.bloc_max, os.pages, os.memory.size) == (6 * P9, 6 * P9, 0, 6 * P9)
    assert start(name, platform, end=5 * P9).os.bloc == 5 * P9


@pytest.mark.parametrize("name", SBRK_ON_WASM)
def test_wasm_raises_bloc_max_from_124(start: Any, name: str) -> None:
    """On wasm blocMax starts at the end of memory from 1.24 and at bloc before."""
    os = start(name, "js/wasm", end=PAGE + 1, initial_pages=9).os
    late = name in KNOWN[KNOWN.index("go1.24") :]
    assert (os.bloc, os.bloc_max, os.pages) == (2 * PAGE, 9 * PAGE if late else 2 * PAGE, 9)
    assert os.memory.grows == 0


@pytest.mark.parametrize("name", ["go1.19", "go1.20"])
def test_reserve_end_starts_with_the_first_call(start: Any, name: str) -> None:
    """Up to 1.20 reserveEnd is 0 until the first call, which starts it above the data."""
    calls = start(name, "js/wasm", end=PAGE + 1, initial_pages=9)
    assert (calls.os.bloc, calls.os.bloc_max) == (0, 9 * PAGE)
    assert calls.alloc(1) == 2 * PAGE
    assert calls.os.bloc == 3 * PAGE


def test_page_size_is_read(start: Any) -> None:
    """After osinit physPageSize is known, to runtime and break; before it is 0."""
    known = release("go1.27")
    before = assemble(known, known.platform("plan9/386"), memlock=make("js", known))
    assert (before.phys_page_size, before.os.brk.phys_page_size) == (0, 0)  # type: ignore[attr-defined]
    for platform, page in (("js/wasm", PAGE), ("plan9/386", P9)):
        runtime = start("go1.27", platform).runtime
        assert (runtime.phys_page_size, runtime.os.brk.phys_page_size) == (page, page)
        assert runtime.memory is runtime.os.memory


def test_initial_pages() -> None:
    """The linker leaves 1 MiB of room from 1.24 (37 pages for the usual end, as recorded) and
    16 MiB before."""
    assert initial_wasm_pages(release("go1.27"), 1441448) == 37
    assert initial_wasm_pages(release("go1.24"), PAGE - 1) == 16
    assert initial_wasm_pages(release("go1.24"), PAGE) == 17
    for name in ("go1.19", "dac514ea", "go1.23"):
        assert initial_wasm_pages(release(name), 3 * PAGE) == 259


def test_defaults(start: Any) -> None:
    """Without options: the usual end of data, the linker's pages, and all that there can be to grow
    into: 4 GiB of linear memory, and on Plan 9 the address space."""
    os = start("go1.27", "wasip1/wasm").os
    assert (os.pages, os.memory.max_pages, os.bloc) == (37, 65536, -(-DATA_END // PAGE) * PAGE)
    for platform, most in (("plan9/386", (1 << 32) - P9), ("plan9/amd64", 1 << 62)):
        calls = start("go1.27", platform, end=P9)
        assert calls.alloc(most - P9) == P9
        assert calls.os.bloc == most
    assert (brk_limit(65536), brk_limit(65535)) == (BRK_MAX, 65535 * PAGE)


def test_after_init_bloc_is_called_in_between() -> None:
    """The hook sees bloc set and blocMax not raised yet; up to 1.20 on wasm there is no initBloc
    and no call."""
    for name, seen_wanted in (("go1.27", [(2 * PAGE, 2 * PAGE)]), ("go1.19", [])):
        known = release(name)
        runtime = assemble(
            known, known.platform("js/wasm"), BootOptions(end=PAGE + 1), memlock=make("js", known)
        )
        seen: list[tuple[int, int]] = []
        runtime.after_init_bloc = lambda os=runtime.os, to=seen: to.append((os.bloc, os.bloc_max))
        runtime.osinit()
        assert seen == seen_wanted


# The wrong order.


@pytest.mark.parametrize("name", ["dac514ea", "go1.22", "go1.27"])
@pytest.mark.parametrize("platform", ["plan9/amd64", "plan9/386"])
def test_wrong_order_puts_the_heap_over_the_data(start: Any, name: str, platform: str) -> None:
    """initBloc before physPageSize, with a memRound that needs it: bloc is 0. The first alloc moves
    the break and answers nil, the next ones hand out the program's own data. The right order, the
    same calls, starts above it."""
    end = 20 * P9
    calls = start(name, platform, end=end, wrong_order=True)
    assert (calls.os.bloc, calls.os.bloc_max) == (0, 0)
    calls.os.memory.fill(P9 + 8, 8, 0x55)  # the program's data
    assert calls.alloc(P9) == 0
    assert calls.os.bloc == P9
    assert calls.alloc(P9) == P9
    assert calls.os.memory.count_nonzero(P9, P9) == 8  # handed out as zero, and is not
    right = start(name, platform, end=end)
    assert [right.alloc(P9), right.alloc(P9)] == [end, end + P9]


@pytest.mark.parametrize("name", ["go1.19", "go1.20"])
def test_old_order_is_right_with_a_constant(start: Any, name: str) -> None:
    """Up to 1.20 Plan 9 has that order, and starts where the right order starts: memRound does not
    ask physPageSize there."""
    usual, wrong = (start(name, "plan9/amd64", end=5000, wrong_order=w).os for w in (False, True))
    assert (usual.bloc, usual.bloc_max) == (wrong.bloc, wrong.bloc_max) == (2 * P9, 2 * P9)


def test_wrong_order_on_wasm(start: Any) -> None:
    """On wasm from 1.24 the first alloc is lost as on Plan 9, but from 1.21 to 1.23, where sbrk
    does not go by bloc, nothing is."""
    new = start("go1.27", "js/wasm", end=PAGE + 1, initial_pages=9, wrong_order=True)
    assert (new.os.bloc, new.os.bloc_max) == (0, 9 * PAGE)
    assert [new.alloc(1), new.alloc(1)] == [0, PAGE]
    old = start("go1.22", "js/wasm", end=PAGE + 1, initial_pages=9, wrong_order=True)
    assert old.os.bloc == 0
    assert old.alloc(1) == 9 * PAGE


def test_nil_reserve_in_the_wrong_order_moves_twice(start: Any) -> None:
    """With bloc at 0, reserve(nil, n) first extends at nil, takes the answer 0 for a failure and
    allocates again."""
    calls = start("go1.27", "plan9/amd64", end=20 * P9, wrong_order=True)
    assert calls.reserve(0, P9) == P9
    assert calls.os.bloc == 2 * P9


@pytest.mark.parametrize("generation", [("dac514ea", "plan9/386"), ("go1.24", "js/wasm")])
def test_wrong_order_agrees_with_the_naive_model(generation: tuple[str, str]) -> None:
    """Whatever is called after the wrong start, the naive model answers the same."""
    rng = random.Random(str(generation))
    for _ in range(30):
        t = Twins(*generation, end=30_000, wrong_order=True)
        for act in swarm(rng, KINDS, 25):
            t.act(act)


def test_faithful_and_index_reach_the_layer(start: Callable[..., Any]) -> None:
    """The options of boot arrive: ledger or none, index or walk, memDebug."""
    plain = start("go1.27", "js/wasm").os
    assert plain.ledger is not None
    assert (plain.freelist.indexed, plain.freelist.mem_debug) == (True, False)
    bare = start("go1.27", "js/wasm", faithful=True, use_index=False, mem_debug=True).os
    assert bare.ledger is None
    assert (bare.freelist.indexed, bare.freelist.mem_debug) == (False, True)
    assert start("go1.19", "js/wasm").os.ledger is not None
    assert start("go1.19", "js/wasm", faithful=True).os.ledger is None
