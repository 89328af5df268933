"""The host's memory, and sizes that wrap, in scenarios: found, with owner and call."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem import KiB, M, World, scenario
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.machine.config import Host
from gorun_mem.runtime.errors import IllegalUse, Throw
from gorun_mem.runtime.ledger import Ledger
from tests.scenarios.scenario_runs import HOSTS, logged

PAGE = 64 * KiB
NEW = ("go1.24.11", "go1.25", "go1.26", "go1.27")
OLD = ("go1.21", "go1.22", "go1.23")


@scenario(ms=1, platform="wasip1/wasm")
async def midway(world: World, *, check: bool = True, size: int = 4096 * KiB) -> None:
    """Alloc, growth by the host, alloc."""
    m = world.main
    await m.sys_alloc_os(2_000_000)
    before = await world.host_grow(2)
    p = await m.sys_alloc_os(size)
    host = before * PAGE
    world.result("overlap", p < host + 2 * PAGE and host < p + size)
    if check:
        world.check()


@scenario(ms=1, platform="wasip1/wasm")
async def behind_its_back(world: World) -> None:
    """The same, by somebody who reaches into the memory."""
    await world.main.sys_alloc_os(2_000_000)
    world.runtime.memory.grow(2)  # type: ignore[attr-defined]
    await world.main.sys_alloc_os(4096 * KiB)
    world.check()


def failure(done: Any) -> Throw:
    error = done.run.outcome.error
    assert isinstance(error, Throw), error
    return error


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("release", [*OLD, *NEW])
def test_handing_out_the_hosts_pages_fails_the_run(host: Host, check: bool, release: str) -> None:
    """From 1.24 on it is found, whether or not the scenario checks; to 1.23 nothing happens."""
    done = logged(midway, host, {"release": release}, check=check)
    if release in OLD:
        assert (done.exit_code, done.results["overlap"]) == (0, False)
        return
    assert (done.exit_code, done.results["overlap"]) == (1, True)
    error = failure(done)
    assert error.message == "gorun_mem: the host's memory is handed out"
    assert (
        "is owned by the host, which got it in call 2 (memory.grow by the host)" in error.printed[0]
    )
    assert "sysAllocOS took [0x" in error.printed[0]
    assert "for M0 in call 3" in error.printed[0]
    told = done.named("mem.check")[0]
    assert (told.level, told.ok) == ("error", False)
    assert told.violation.startswith(error.message)
    assert told.seq < done.named("mem.return")[-1].seq


def test_who_reaches_into_the_memory_is_the_host_too() -> None:
    """Pages that no call of Go's asked for are somebody else's."""
    assert logged(behind_its_back, config={"release": "go1.23"}).exit_code == 0
    error = failure(logged(behind_its_back))
    assert "is owned by the host, which got it in call 2" in error.printed[0]


def test_a_faithful_world_answers_as_go_and_finds_nothing() -> None:
    """There is no ledger then; the answer is the same."""
    done = logged(midway, config={"faithful": True})
    assert (done.exit_code, done.results["overlap"]) == (0, True)


def test_the_hosts_growth_is_in_the_log_and_no_growth_of_gos() -> None:
    """A mem.grow whose site is the host; run.end, the analysis and the pages agree on it."""
    done = logged(midway, config={"release": "go1.23"}, check=False)
    grown = done.named("mem.grow")
    ours, hosts = ([e for e in grown if (e.site == "host") == host] for host in (False, True))
    assert len(ours) == done.named("run.end")[0].grows == 2
    assert [(e.delta_pages, e.pages_after - e.pages_before) for e in hosts] == [(2, 2)]
    found = LogAnalysis.of(done.events).memory
    assert found.growths_seen == 2
    assert found.end.host == 2 * PAGE
    assert found.end.lost == 0
    assert found.end.pages == done.run.world.snapshot().pages


def test_what_the_host_gets_is_bounded() -> None:
    """The limit holds for the host too; a negative size and Plan 9 are refused."""
    answers: list[int] = []

    @scenario(ms=1, platform="js/wasm")
    async def greedy(world: World) -> None:
        answers.extend([await world.host_grow(n) for n in (3, 1, 0)])
        with pytest.raises(IllegalUse, match="at least 0"):
            await world.host_grow(-1)

    logged(greedy, config={"initial_pages": 37, "max_pages": 40})
    assert answers == [37, -1, 40]
    done = logged(greedy, config={"platform": "plan9/amd64"})
    assert "only wasm memory has a host" in str(done.run.outcome.error)


def test_where_calls_are_taken_apart_the_host_is_known_too() -> None:
    """With every access a step, a page of the host's is found in the same way."""
    pytest.importorskip("greenlet")

    @scenario(ms=1, platform="js/wasm", mutex="none", granularity="access")
    async def apart(world: World, *, size: int = 64 * KiB) -> None:
        await world.main.sys_alloc_os(64 * KiB)
        await world.host_grow(2)
        await world.main.sys_alloc_os(size)

    assert logged(apart).exit_code == 0
    error = failure(logged(apart, size=4096 * KiB))
    assert "is owned by the host, which got it in call 2" in error.printed[0]


def test_writing_the_hosts_page_is_a_finding() -> None:
    """A store names the owner and the call that made it so; beside it, none of this is said."""

    @scenario(ms=1, platform="js/wasm")
    async def stray(world: World, *, own: bool = False) -> None:
        p = await world.main.sys_alloc_os(PAGE)
        host = PAGE * await world.host_grow(1)
        await world.main.store(p if own else host, 1)

    assert logged(stray, own=True).exit_code == 0
    done = logged(stray, own=False)
    assert done.exit_code == 1
    assert "store at 0x250000 by M0: a stray access" in str(done.run.outcome.error)
    assert "is owned by the host, which got it in call 2 (memory.grow by the host)" in str(
        done.run.outcome.error
    )


def test_a_hosts_pattern_is_found_where_go_takes_it_for_zero() -> None:
    """Two findings then: whose the page is, and that it is not zero. 1.27 crashed on that."""

    @scenario(ms=1, platform="js/wasm")
    async def pattern(world: World) -> None:
        host = PAGE * await world.host_grow(2)
        world.runtime.memory.fill(host + 5, 3, 0xAB)
        await world.main.sys_alloc_os(4096 * KiB)

    error = failure(logged(pattern))
    assert len(error.printed) == 2
    assert error.printed[1].endswith("in call 2, and the byte at 0x250005 is 0xab")


def test_the_host_grows_between_steps_of_several_ms() -> None:
    """It is one step: whatever the schedule, no M's critical section is cut by it."""

    @scenario(ms=3, platform="js/wasm")
    async def crowd(world: World) -> None:
        async def worker(m: M) -> None:
            for _ in range(4):
                await m.sys_free_os(await m.sys_alloc_os(PAGE), PAGE)

        async def host(m: M) -> None:
            await world.host_grow(1)

        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(worker)
            ms.start_soon(host)

    for seed in range(10):
        done = logged(crowd, config={"seed": seed, "strategy": "random", "release": "go1.23"})
        assert done.exit_code == 0, done.run.outcome.error


# Sizes that wrap.


@scenario(ms=1, platform="js/wasm")
async def wrapped(world: World, *, check: bool = True) -> None:
    """One M asks for 2**63 bytes twice, then for 2**64-1."""
    for size in (1 << 63, 1 << 63, (1 << 64) - 1, (1 << 64) - 1):
        world.result(f"{len(world.results)}", await world.main.sys_alloc_os(size))
    if check:
        world.check()


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("release", ["go1.20", "go1.22", "go1.24.11", "go1.27"])
def test_less_than_was_asked_for_fails_the_run(release: str, check: bool) -> None:
    """The answers are Go's, as a faithful run has them; the run says that they are short."""
    done = logged(wrapped, config={"release": release}, check=check)
    assert done.results == logged(wrapped, config={"release": release, "faithful": True}).results
    assert done.exit_code == 1
    error = failure(done)
    assert error.message == "gorun_mem: an allocation is shorter than was asked for"
    assert "sysAllocOS was asked for" in error.printed[0]
    there = "and has 0 at 0x" if release != "go1.20" else "and has 16711680 at 0x160000"
    assert f"by M0 in call 1 {there}" in error.printed[0]  # 1.20 has the rest of its memory


@pytest.mark.parametrize("faithful", [True, False])
@pytest.mark.parametrize("release", ["go1.20", "go1.22", "go1.24.11", "go1.27"])
def test_nothing_adds_what_is_not_there(release: str, faithful: bool) -> None:
    """Live bytes, peaks and parts stay within the memory, in the run and in what is read of it."""
    done = logged(wrapped, config={"release": release, "faithful": faithful}, check=False)
    assert not any(e.ok for e in done.named("mem.return"))
    assert done.named("run.end")[0].peak_live_bytes == 0
    owned = sum(size for _, size, _ in done.run.world.snapshot().live)
    assert owned == (16711680 if release == "go1.20" and not faithful else 0)
    found = LogAnalysis.of(done.events)
    assert found.memory.peak_live == found.memory.end.live == 0
    assert 0 <= found.memory.end.slack < 1 << 32
    assert found.memory.end.held_bytes == 0


def test_what_is_there_of_a_wrapped_size_is_owned() -> None:
    """2**48 + 1 page on 1.22 grows by one page: that is the caller's, and no more."""

    @scenario(ms=1, platform="js/wasm", release="go1.22")
    async def part(world: World, *, beyond: int = 0) -> None:
        p = await world.main.sys_alloc_os((1 << 48) + PAGE)
        await world.main.store(p + PAGE - 8 + beyond, 1)

    done = logged(part)
    assert "and has 65536 at" in failure(done).printed[0]
    assert done.named("mem.return")[0].size == PAGE
    assert isinstance(logged(part, beyond=8).run.outcome.error, IllegalUse)


def test_findings_are_bounded() -> None:
    """A program that makes thousands keeps the first hundred."""
    ledger = Ledger()
    assert [ledger.find("x", "", 0, 0) for _ in range(150)] == [True] * 100 + [False] * 50
    assert len(ledger.findings) == 100
