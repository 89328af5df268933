"""Every policy keeps what any allocator must; Go's own answers as the emulated free list does."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from gorun_mem.policies import (
    POLICIES,
    AddressOrdered,
    Policy,
    PolicyError,
    PolicyFreeList,
    UnknownPolicy,
    load_policy,
    policy_parts,
)
from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.boot import BootOptions, boot
from gorun_mem.runtime.call import Call
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.memory import WasmMemory
from gorun_mem.runtime.mutex import make
from gorun_mem.runtime.oslayer import OSLayer
from gorun_mem.step.solo import SoloM, solo

PAGE = 1 << 16


def layer_of(policy: Policy | None, name: str = "go1.27.3") -> OSLayer:
    """An OS layer over a policy, or Go's own."""
    go = release(name)
    options = BootOptions(faithful=True, max_pages=4096)
    lock = make("none", go)
    platform = go.platform("js/wasm")
    if policy is None:
        return boot(go, platform, options, memlock=lock).os
    go = replace(go, behaviour=policy.behaviour(go.behaviour))
    return boot(go, platform, options, memlock=lock, parts=policy_parts(policy)).os


def shake(os: OSLayer, seed: int, calls: int = 150) -> list[tuple[int, int, int]]:
    """Random calls; what each answered and the state after it. No two answers overlap."""
    rng = random.Random(seed)
    m = SoloM()
    live: dict[int, int] = {}
    seen = []
    for _ in range(calls):
        if live and rng.random() < 0.5:
            at = rng.choice(sorted(live))
            n = live.pop(at)
            part = rng.randrange(1, n // PAGE + 1) * PAGE
            if part < n:
                live[at + part] = n - part
            solo(os.sys_free_os(at, part), m)
            got = 0
        elif os.release.behaviour.is_sbrk_platform and rng.random() < 0.2:
            n, align = rng.randrange(1, 9) * PAGE, PAGE << rng.randrange(5)
            got, _ = solo(os.sys_reserve_aligned_sbrk(n, align), m)
            assert got % align == 0
        else:
            n = rng.randrange(1, 20) * PAGE // rng.choice((1, 3))
            n += -n % PAGE
            got = solo(os.sys_alloc_os(n), m)
        if got:
            assert got % PAGE == 0
            assert all(got + n <= lo or got >= lo + size for lo, size in live.items())
            assert got + n <= os.memory.size
            assert os.memory.first_nonzero(got, n) is None
            os.memory.fill(got, n, 1)
            live[got] = n
        assert os.freelist is not None
        free = os.freelist.blocks()
        assert sum(size for _, size in free) == os.freelist.total_bytes
        assert all(lo + size <= at or lo >= at + n for lo, size in free for at, n in live.items())
        seen.append((got, os.bloc, os.freelist.total_bytes))
    return seen


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("go", ["go1.21.13", "go1.27.3"])
@pytest.mark.parametrize("seed", range(3))
def test_what_any_allocator_must_keep(name: str, go: str, seed: int) -> None:
    """No overlap, pages, zeroes, every byte accounted for, and all that is free is handed out."""
    policy = load_policy(name)()
    os = layer_of(policy, go)
    shake(os, seed)
    freelist = os.freelist
    assert isinstance(freelist, PolicyFreeList)
    freelist.audit()
    before, pages = freelist.total_bytes, os.pages
    taken = 0
    while freelist.count:
        size = freelist.blocks()[0][1]
        assert solo(os.sys_alloc_os(size), SoloM())
        taken += size
    assert taken == before
    assert os.pages == pages


@pytest.mark.parametrize("go", ["go1.21.13", "go1.24.11", "go1.27.3"])
@pytest.mark.parametrize("seed", range(5))
def test_first_fit_is_gos(go: str, seed: int) -> None:
    """Address by address, and the break and the free bytes after each call."""
    assert shake(layer_of(load_policy("first_fit")(), go), seed) == shake(layer_of(None, go), seed)


def test_first_fit_looks_at_as_many_blocks() -> None:
    """Search steps are those of the walk over headers."""
    memory = WasmMemory(400, 400)
    walked = FreeList(memory, lambda n: -(-n // PAGE) * PAGE, use_index=False)
    policy = load_policy("first_fit")()
    rng = random.Random(1)
    for i in rng.sample(range(1, 180), 60):
        walked.mem_free(2 * i * PAGE, PAGE * rng.randrange(1, 2))
        policy.put(2 * i * PAGE, PAGE)
    for _ in range(60):
        call = Call("sysAllocOS", 0, PAGE)
        n = PAGE * rng.choice((1, 1, 2))
        before = policy.steps
        assert walked.mem_alloc_no_grow(n, call) == policy.take(n)
        assert call.search_steps == policy.steps - before


def placed(name: str, *sizes: int) -> tuple[int, int]:
    """Where the last request lands, and the steps; 4, 2 and 8 are free at 16, 32 and 48."""
    policy = load_policy(name)()
    for at, size in ((16, 4), (32, 2), (48, 8)):
        policy.put(at, size)
    for size in sizes[:-1]:
        policy.take(size)
    return policy.take(sizes[-1]), policy.steps


def test_each_searches_as_its_name_says() -> None:
    """By hand: lowest, smallest, roving, highest, by class, by powers of two."""
    assert placed("first_fit", 2) == (18, 1)
    assert placed("best_fit", 2) == (32, 2)
    assert placed("last_fit", 2) == (54, 1)
    assert placed("next_fit", 6, 1) == (49, 4)  # 3 to the block of 8, then there
    assert placed("segregated", 2) == (32, 1)
    assert placed("buddy", 3)[0] == 16  # of 4; the fourth stays free
    assert placed("buddy", 3, 1)[0] == 19


def test_merging_with_the_break() -> None:
    """What is free below a freed end goes back to the break, so the next growth is shorter."""
    tops = {}
    for name in ("first_fit", "merge_break"):
        os, m = layer_of(load_policy(name)()), SoloM()
        a, b = (solo(os.sys_alloc_os(16 * PAGE), m) for _ in range(2))
        solo(os.sys_free_os(a, 16 * PAGE), m)
        solo(os.sys_free_os(b, 16 * PAGE), m)
        solo(os.sys_alloc_os(32 * PAGE), m)
        tops[name] = os.bloc
    assert tops["first_fit"] - tops["merge_break"] == 16 * PAGE


def test_growing_by_steps() -> None:
    """Growths are fewer, and where the limit forbids the step the exact one is tried."""
    grown = {}
    for name in ("first_fit", "grow_mib"):
        os, m = layer_of(load_policy(name)()), SoloM()
        while solo(os.sys_alloc_os(PAGE), m):
            pass
        grown[name] = os.memory.grows, os.pages
    assert grown["first_fit"][1] == grown["grow_mib"][1] == 4096
    assert grown["grow_mib"][0] < grown["first_fit"][0] / 10


class Twice(AddressOrdered):
    """Broken: hands out a block and keeps it."""

    def choose(self, size: int) -> int:
        """The first."""
        return 0 if self.starts else -1

    def take(self, size: int) -> int:
        """Without taking it out."""
        at = self.choose(size)
        return self.starts[at] if at >= 0 and self.sizes[self.starts[at]] >= size else 0


class Loses(AddressOrdered):
    """Broken: forgets every block of one page."""

    def choose(self, size: int) -> int:
        """None."""
        return -1

    def put(self, addr: int, size: int) -> None:
        """Only larger ones."""
        if size > PAGE:
            super().put(addr, size)


def test_broken_policies_are_caught() -> None:
    """One hands out memory twice, one loses memory."""
    os, m = layer_of(Twice()), SoloM()
    at = solo(os.sys_alloc_os(4 * PAGE), m)
    solo(os.sys_alloc_os(PAGE), m)
    solo(os.sys_free_os(at, 4 * PAGE), m)
    assert solo(os.sys_alloc_os(PAGE), m) == at
    with pytest.raises(PolicyError, match="Twice answered"):
        solo(os.sys_alloc_os(PAGE), m)
    os, m = layer_of(Loses()), SoloM()
    at = solo(os.sys_alloc_os(PAGE), m)
    solo(os.sys_alloc_os(PAGE), m)
    solo(os.sys_free_os(at, PAGE), m)
    assert isinstance(os.freelist, PolicyFreeList)
    with pytest.raises(PolicyError, match="lists 0 free bytes of 65,536"):
        os.freelist.audit()


def test_a_policy_of_ones_own(tmp_path: Path) -> None:
    """By file and class; what is wrong with one is said."""
    file = tmp_path / "mine.py"
    file.write_text(
        "from gorun_mem.policies import AddressOrdered\n\n\n"
        "class Largest(AddressOrdered):\n"
        "    def choose(self, size):\n"
        "        fits = [i for i, at in enumerate(self.starts) if self.sizes[at] >= size]\n"
        "        self.steps += len(self.starts)\n"
        "        return max(fits, key=lambda i: self.sizes[self.starts[i]], default=-1)\n\n\n"
        "class Half(AddressOrdered):\n    pass\n"
    )
    shake(layer_of(load_policy(f"{file}:Largest")()), 1)
    with pytest.raises(UnknownPolicy, match="Half has no choose"):
        load_policy(f"{file}:Half")
    with pytest.raises(UnknownPolicy, match="did you mean best_fit"):
        load_policy("best_fitt")
