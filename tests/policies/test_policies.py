"""Every policy keeps what any allocator must; Go's own answers as the emulated free list does."""

from __future__ import annotations

import random
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import gorun_mem.policies as package
from gorun_mem.policies import (
    POLICIES,
    AddressOrdered,
    Policy,
    PolicyError,
    PolicyFreeList,
    UnknownPolicy,
    load_policy,
    policy_parts,
    spread_policies,
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


def layer_of(policy: Policy | None, name: str = "go1.27.3", platform: str = "js/wasm") -> OSLayer:
    """An OS layer over a policy, or Go's own."""
    go = release(name)
    options = BootOptions(faithful=True, max_pages=4096)
    lock = make("none", go)
    there = go.platform(platform)
    if policy is None:
        return boot(go, there, options, memlock=lock).os
    go = replace(go, behaviour=policy.behaviour(go.behaviour))
    return boot(go, there, options, memlock=lock, parts=policy_parts(policy)).os


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
    while policy.blocks():
        size = policy.blocks()[0][1]
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
    for name in ("first_fit", "grow"):
        os, m = layer_of(load_policy(name)()), SoloM()
        while solo(os.sys_alloc_os(PAGE), m):
            pass
        grown[name] = os.memory.grows, os.pages
    assert grown["first_fit"][1] == grown["grow"][1] == 4096
    assert grown["grow"][0] < grown["first_fit"][0] / 10


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


class Outside(AddressOrdered):
    """Broken: answers one page below a block."""

    def choose(self, size: int) -> int:
        """The first."""
        return 0 if self.starts else -1

    def take(self, size: int) -> int:
        """A page too low."""
        at = super().take(size)
        return at - PAGE if at else 0


class Crooked(AddressOrdered):
    """Broken: aligned memory is not."""

    def choose(self, size: int) -> int:
        """The first."""
        return 0 if self.starts else -1

    def take_aligned(self, size: int, align: int) -> int:
        """As any other."""
        return self.take(size)


class Raises(AddressOrdered):
    """Broken: fails in its own way."""

    def choose(self, size: int) -> int:
        """There is no such place."""
        return self.sizes[1]


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        (Twice, r"Twice lists \[.*which is not free"),
        (Loses, "Loses lists 0 free bytes of 65,536"),
        (Outside, "Outside answered .* which are not free"),
        (Raises, r"Raises raised KeyError: 1, test_policies.py, line \d+"),
    ],
)
def test_broken_policies_are_caught(policy: type[Policy], what: str) -> None:
    """At the call at which it can first be seen."""
    os, m = layer_of(policy()), SoloM()

    def calls() -> None:
        for _ in range(2):
            at = solo(os.sys_alloc_os(PAGE), m)
            solo(os.sys_alloc_os(PAGE), m)
            solo(os.sys_free_os(at, PAGE), m)

    with pytest.raises(PolicyError, match=what):
        calls()


def test_aligned_memory_is() -> None:
    """An answer that is no multiple of the alignment is refused."""
    os, m = layer_of(Crooked()), SoloM()
    at = solo(os.sys_alloc_os(9 * PAGE), m)
    solo(os.sys_alloc_os(PAGE), m)
    solo(os.sys_free_os(at + PAGE, 8 * PAGE), m)
    with pytest.raises(PolicyError, match="no multiple of 16,777,216"):
        solo(os.sys_reserve_aligned_sbrk(PAGE, 256 * PAGE), m)


def test_aligned_without_skipping() -> None:
    """Out of a block that the aligned range just fits into; Go asks for twice as much."""
    reused = {}
    for name in ("first_fit", "align_tight"):
        os, m = layer_of(load_policy(name)()), SoloM()
        first, _ = solo(os.sys_reserve_aligned_sbrk(16 * PAGE, 16 * PAGE), m)
        solo(os.sys_alloc_os(17 * PAGE), m)  # what was skipped is too small for it
        solo(os.sys_free_os(first, 16 * PAGE), m)
        again, _ = solo(os.sys_reserve_aligned_sbrk(16 * PAGE, 16 * PAGE), m)
        assert again % (16 * PAGE) == 0
        reused[name] = again == first
    assert reused == {"first_fit": False, "align_tight": True}


def test_aligned_from_within_the_last_block() -> None:
    """A free block at the break is where the aligned range begins."""
    tops = {}
    for name in ("first_fit", "align_tight"):
        os, m = layer_of(load_policy(name)()), SoloM()
        a = solo(os.sys_alloc_os(20 * PAGE), m)
        b = solo(os.sys_alloc_os(PAGE), m)
        solo(os.sys_free_os(a, 20 * PAGE), m)  # not at the end, so it is a block
        solo(os.sys_free_os(b, PAGE), m)  # at the end: the block now ends at the break
        got, _ = solo(os.sys_reserve_aligned_sbrk(20 * PAGE, 16 * PAGE), m)
        assert got % (16 * PAGE) == 0
        assert os.memory.first_nonzero(got, 20 * PAGE) is None
        assert isinstance(os.freelist, PolicyFreeList)
        os.freelist.audit()
        tops[name] = os.bloc
    assert tops["align_tight"] < tops["first_fit"]


@pytest.mark.parametrize("platform", ["js/wasm", "plan9/amd64", "plan9/386"])
@pytest.mark.parametrize("name", POLICIES)
def test_on_every_platform(name: str, platform: str) -> None:
    """The same must hold where there is a break in place of a growing memory."""
    make_it = load_policy(name)
    shake(layer_of(make_it(), platform=platform), 3)


def test_a_host_that_grows() -> None:
    """Go's own hands out the host's pages; who asks for the size does not, and loses nothing."""
    for name, survives in (("first_fit", False), ("ask_size", True)):
        os, m = layer_of(load_policy(name)()), SoloM()
        solo(os.sys_alloc_os(PAGE), m)
        left = os.bloc_max - os.bloc
        before = os.host_grow(10)
        host = range(before * PAGE, (before + 10) * PAGE)
        taken = [solo(os.sys_alloc_os(2 * PAGE), m) for _ in range(40)]
        assert any(at in host or at + PAGE in host for at in taken) is not survives, name
        assert isinstance(os.freelist, PolicyFreeList)
        os.freelist.audit()
        if survives:
            assert os.freelist.total_bytes < 2 * PAGE  # of what was left nearly all is handed out
            assert left > 2 * PAGE


def test_a_host_that_grows_is_survived_as_before_124() -> None:
    """Before 1.24 every policy survives it, for there sbrk always asked."""
    for name in ("first_fit", "ask_size"):
        os, m = layer_of(load_policy(name)(), "go1.23.9"), SoloM()
        before = os.host_grow(10)
        taken = [solo(os.sys_alloc_os(2 * PAGE), m) for _ in range(40)]
        assert min(taken) >= (before + 10) * PAGE, name


@pytest.mark.parametrize(
    ("reference", "what"),
    [
        ("arena:3KiB", "a power of two from 64KiB to 64MiB"),
        ("arena:128MiB", "a power of two from 64KiB to 64MiB"),
        ("arena:100000", "a power of two"),
        ("arena:much", "'much' is no size: write arena:512KiB"),
        ("arena:", "'' is no size"),
        ("grow:1KiB", "a multiple of 64 KiB"),
        ("grow:0", "a multiple of 64 KiB"),
        ("buddy:1MiB", "buddy has no size: write buddy"),
        ("arena_512k", "did you mean arena"),
    ],
)
def test_sizes_that_are_none(reference: str, what: str) -> None:
    """Said with what would do."""
    with pytest.raises(UnknownPolicy, match=re.escape(what)):
        load_policy(reference)


def test_sizes_in_a_row() -> None:
    """Each twice as large as the one before; what is none is said."""
    assert spread_policies("arena:256KiB..2MiB") == [
        "arena:256KiB", "arena:512KiB", "arena:1MiB", "arena:2MiB",
    ]  # fmt: skip
    assert len(spread_policies("arena:64KiB..64MiB")) == 11
    assert spread_policies("mine.py:Class") == ["mine.py:Class"]
    for wrong in ("arena:2MiB..1MiB", "arena:0..1MiB", "arena:x..1MiB", "grow:1..1GiB"):
        with pytest.raises(UnknownPolicy):
            [load_policy(one) for one in spread_policies(wrong)]


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


HELPING = {"base", "layer", "load"}
"""Files of the folder that have no policy."""


def test_every_file_has_a_policy_or_is_known_to_help() -> None:
    """A file whose class is called otherwise has one that nobody can ask for."""
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")} - {"__init__"}
    assert files - HELPING == set(POLICIES)
    assert all(issubclass(found, Policy) for found in POLICIES.values())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("class WorstFit(AddressOrdered):\n    pass\n", "WorstFit has no choose"),
        ("class WorstFit:\n    pass\n", "derive it from"),
    ],
)
def test_a_policy_that_is_not_complete_cannot_be_had(
    body: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laid into the folder, a file is found by its name, and refused where it lacks a method."""
    text = f"from gorun_mem.policies.base import AddressOrdered\n\n\n{body}"
    (tmp_path / "worst_fit.py").write_text(text)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(POLICIES, "_found", {})
    try:
        with pytest.raises(UnknownPolicy, match=says):
            load_policy("worst_fit")
    finally:
        sys.modules.pop(f"{package.__name__}.worst_fit", None)
