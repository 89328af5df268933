"""What the docstring of each scenario says, read off the events; and the twin that is silent."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem.machine.config import Host
from tests.scenarios.scenario_runs import HOSTS, Logged, logged

on_both_hosts = pytest.mark.parametrize("host", HOSTS)


def ok(done: Logged) -> Logged:
    assert done.exit_code == 0, done.run.outcome
    assert done.named("run.end")[0].outcome == "ok"
    return done


@on_both_hosts
class TestArenaAtBreak:
    def test_metadata_makes_every_hint_miss(self, host: Host) -> None:
        """Each arena behind metadata misses its up and its down hint, and skips to alignment."""
        done = ok(logged("arena_at_break", host))
        start = done.named("arena.reserve")[2].seq  # the first arena after the start
        misses = done.after(start, "arena.hint_miss")
        assert [miss.down for miss in misses] == [False, True] * 7
        assert all(miss.gap_bytes > 0 for miss in misses)
        aligned = [e for e in done.after(start, "arena.reserve") if e.via == "aligned"]
        skips = [e for e in done.after(start, "freelist.put") if e.cause == "align_skip"]
        assert len(aligned) == len(skips) == 7
        assert sum(e.size for e in skips) == done.results["skipped bytes"] == 7 * (192 << 10)

    def test_without_metadata_every_hint_hits(self, host: Host) -> None:
        """The fixed twin: after the start there is no miss, no skip and no aligned arena."""
        done = ok(logged("arena_at_break", host, metadata=0, arenas=400))
        start = done.named("arena.reserve")[2].seq
        assert not done.after(start, "arena.hint_miss")
        assert not [e for e in done.after(start, "freelist.put") if e.cause == "align_skip"]
        assert {e.via for e in done.after(start, "arena.reserve")} == {"hint"}
        assert done.results["hint hits"] == 400

    def test_only_the_second_arena_misses_at_the_start(self, host: Host) -> None:
        """The start's own metadata costs the second arena both hints, and nothing else."""
        done = ok(logged("arena_at_break", host, metadata=0))
        second = done.named("arena.reserve")[1].seq
        assert len(done.named("arena.hint_miss")) == 2
        assert all(miss.seq < second for miss in done.named("arena.hint_miss"))

    def test_small_metadata_fits_into_what_was_skipped(self, host: Host) -> None:
        """With 64 KiB one miss pays for seven hits: the skipped 448 KiB serve seven times."""
        done = ok(logged("arena_at_break", host, metadata=65536, arenas=16))
        assert done.results["hint hits"] == 14
        assert done.results["hint misses"] == 4

    def test_larger_arenas_miss_less(self, host: Host) -> None:
        """In go1.25 an arena has 4 MiB, and what one miss skips serves all that follow."""
        done = ok(logged("arena_at_break", host, {"release": "go1.25"}))
        sizes = {release: run_start(release, host).heap_arena_bytes for release in RELEASES}
        assert sizes["go1.25"] == 8 * sizes["go1.26"]
        assert done.results["hint misses"] == 2
        assert done.results["hint hits"] == 7


RELEASES = ("go1.25", "go1.26")


def run_start(release: str, host: Host) -> Any:
    return logged("arena_at_break", host, {"release": release}, arenas=1).named("run.start")[0]


@on_both_hosts
class TestFreelistFallback:
    def test_exact_fit_tail_split_and_no_growth(self, host: Host) -> None:
        """Exact, tail, exact; after the row the memory does not grow."""
        done = ok(logged("freelist_fallback", host))
        puts, takes = done.named("freelist.put"), done.named("freelist.take")
        assert [put.cause for put in puts] == ["mid_free", "mid_free"]
        assert [take.exact for take in takes] == [True, False, True]
        split = takes[1]
        assert split.addr == split.block_addr + split.block_size - split.size
        assert not done.after(puts[0].seq, "mem.grow")
        last = [e for e in done.named("mem.return") if e.fn == "sysAllocOS"][-3:]
        assert [e.path for e in last] == ["freelist"] * 3
        assert done.results["of these served from the holes"] == 3

    def test_before_the_seed_commit_nothing_is_reused(self, host: Host) -> None:
        """In go1.20 all three allocations come from the break."""
        done = ok(logged("freelist_fallback", host, {"release": "go1.20"}))
        assert not done.named("freelist.take")
        assert done.results["of these served from the holes"] == 0


@on_both_hosts
class TestEndOfMemory:
    def test_frees_in_reverse_lower_bloc(self, host: Host) -> None:
        """Every free is at the end; bloc comes back, blocMax stays above, the list stays empty."""
        done = ok(logged("end_of_memory", host, act="lifo"))
        frees = [e for e in done.named("mem.return") if e.fn == "sysFreeOS"]
        assert [e.path for e in frees] == ["end_of_memory"] * 16
        assert frees[-1].bloc < frees[0].bloc
        assert len({e.bloc_max for e in frees}) == 1
        assert [e.cause for e in done.named("brk.move")[-16:]] == ["free"] * 16
        assert done.results["lifo: bloc moved up by"] == 0
        assert done.results["lifo: blocMax moved up by"] > 0
        assert not done.named("freelist.put")

    def test_shuffled_frees_leave_blocks_beside_bloc(self, host: Host) -> None:
        """With nothing in use, all that bloc did not give back lies on the list right below it."""
        done = ok(logged("end_of_memory", host, act="shuffled"))
        left = done.results["shuffled: left on the list"]
        assert left == done.results["shuffled: bloc moved up by"] > 0
        snapshot = done.run.world.snapshot()
        assert not snapshot.live
        assert snapshot.free[-1][0] + snapshot.free[-1][1] == snapshot.bloc

    @pytest.mark.parametrize("blocks", [2, 16])
    def test_unrounded_sizes_never_lower_bloc(self, host: Host, blocks: int) -> None:
        """8192 and 98304 bytes go to the list even when freed from the end."""
        done = ok(logged("end_of_memory", host, act="unrounded", blocks=blocks))
        frees = [e for e in done.named("mem.return") if e.fn == "sysFreeOS"]
        assert {e.n for e in frees} == {8192, 98304}
        assert {e.path for e in frees} == {"memfree"}
        assert done.results["unrounded: left on the list"] == blocks // 2 * (64 + 128) * 1024
        assert done.run.world.snapshot().bloc == sum(done.run.world.snapshot().free[-1])

    def test_on_plan9_they_are_whole_pages(self, host: Host) -> None:
        """With pages of 4 KiB the same sizes lower bloc."""
        done = ok(logged("end_of_memory", host, {"platform": "plan9/amd64"}, act="unrounded"))
        assert done.results["unrounded: left on the list"] == 0

    def test_each_act_begins_with_an_empty_list(self, host: Host) -> None:
        """All acts in one run find what each finds alone."""
        done = ok(logged("end_of_memory", host))
        for act in ("lifo", "shuffled", "unrounded"):
            alone = ok(logged("end_of_memory", host, act=act)).results
            key = f"{act}: left on the list"
            if act != "shuffled":  # its order is drawn from the seed, by then elsewhere
                assert done.results[key] == alone[key]


@on_both_hosts
class TestMemlockStorm:
    def test_four_ms_contend(self, host: Host) -> None:
        """There are contended acquisitions that spun, slept and were overtaken."""
        done = ok(logged("memlock_storm", host, rounds=20))
        assert done.run.world.settings.platform.name == "plan9/amd64"
        contended = [e for e in done.named("lock.acquire") if e.lock == "memlock" and e.contended]
        assert len(contended) == done.results["contended"] > 10
        assert all(e.wait_ns > 0 for e in contended)
        assert any(e.spins for e in contended)
        assert any(e.sleeps for e in contended)
        assert max(e.bypassed for e in contended) == done.results["overtaken at most"] > 0

    def test_one_m_does_not(self, host: Host) -> None:
        """The quiet twin: alone nobody waits."""
        done = ok(logged("memlock_storm", host, {"ms": 1}, rounds=20))
        assert done.results["contended"] == 0
        assert not done.named("lock.wait")

    def test_without_work_few_wait_but_very_long(self, host: Host) -> None:
        """Whoever gave the lock back is faster than the M that it woke."""
        busy = ok(logged("memlock_storm", host))
        storm = ok(logged("memlock_storm", host, work_ns=0))
        assert storm.results["contended"] < busy.results["contended"] / 2
        assert storm.results["overtaken at most"] > busy.results["overtaken at most"]

    def test_everything_comes_back(self, host: Host) -> None:
        """At the end nothing is handed out."""
        done = ok(logged("memlock_storm", host, rounds=20))
        assert done.run.statistics.memory.live_bytes == 0


@on_both_hosts
class TestOutOfMemory:
    @pytest.mark.parametrize("ms", [1, 4])
    def test_refused_nil_and_recovered(self, host: Host, ms: int) -> None:
        """Growth is refused, each M gets nil, and one free later a block from the list."""
        done = ok(logged("out_of_memory", host, {"ms": ms}))
        refused = [e for e in done.named("mem.grow") if not e.ok]
        assert len(refused) == ms
        assert all(e.level == "error" for e in refused)
        nil = [e for e in done.named("mem.return") if e.fn == "sysAllocOS" and e.p == 0]
        assert [e.path for e in nil] == ["fail"] * ms
        assert done.results["nil answers"] == done.results["recovered after a free"] == ms
        assert len(done.after(nil[-1].seq, "freelist.take")) == ms
        assert not done.after(nil[-1].seq, "mem.grow")

    def test_the_refusal_changes_nothing(self, host: Host) -> None:
        """bloc, blocMax and pages are after the nil answer what they were before it."""
        done = ok(logged("out_of_memory", host))
        returns = done.named("mem.return")
        at = next(i for i, e in enumerate(returns) if not e.ok)
        before, after = returns[at - 1], returns[at]
        assert (before.bloc, before.bloc_max, before.pages) == (
            after.bloc, after.bloc_max, after.pages
        )  # fmt: skip

    def test_before_the_seed_commit_nothing_recovers(self, host: Host) -> None:
        """In go1.20 whoever frees and asks again gets nil again."""
        done = ok(logged("out_of_memory", host, {"release": "go1.20"}))
        assert done.results["recovered after a free"] == 0
        assert done.results["growths refused"] == 2


@on_both_hosts
class TestCheckerboard:
    def test_half_is_free_and_the_memory_grows(self, host: Host) -> None:
        """A request of two blocks finds 32 holes of one block, 2 MiB together, and grows."""
        done = ok(logged("checkerboard", host))
        ask = done.named("mem.return")[-1]
        assert ask.path == "sbrk"
        assert ask.free_bytes == 32 * 65536 > 8 * ask.n
        assert ask.free_largest == 65536 < ask.n
        assert ask.search_steps == 32
        assert done.named("mem.grow")[-1].op == ask.op
        assert done.results["pages grown"] == 2

    def test_side_by_side_they_serve(self, host: Host) -> None:
        """The fixed twin: as many bytes freed in one piece serve the request without growth."""
        done = ok(logged("checkerboard", host, pattern="half"))
        ask = done.named("mem.return")[-1]
        assert ask.path == "freelist"
        assert done.results["free bytes"] == done.results["largest hole"] == 32 * 65536
        assert done.results["pages grown"] == 0


@on_both_hosts
class TestBootOrder:
    def test_the_heap_lies_over_the_data(self, host: Host) -> None:
        """bloc starts at 0, the first answer is 0, the next are program data; the check throws."""
        done = logged("boot_order", host)
        assert done.exit_code == 1
        assert "program data is handed out" in str(done.run.outcome.error)
        assert done.named("run.start")[0].wrong_order is True
        assert done.named("brk.move")[0].bloc_before == 0
        addrs = [e.p for e in done.named("mem.return")]
        assert addrs == [0, 0x10000, 0x20000, 0x30000]
        assert done.results == {
            "bloc at the start": 0,
            "answers of 0": 1,
            "blocks over the data": 4,
        }

    @pytest.mark.parametrize("platform", ["plan9/amd64", "plan9/386", "js/wasm"])
    def test_in_the_right_order_all_is_well(self, host: Host, platform: str) -> None:
        """The fixed twin: bloc starts behind the data, and no answer is below it."""
        done = ok(logged("boot_order", host, {"platform": platform}, order="right"))
        assert done.results["bloc at the start"] >= done.run.world.runtime.data_end
        assert done.results["blocks over the data"] == 0

    def test_a_constant_forgives_the_wrong_order(self, host: Host) -> None:
        """Up to 1.20 memRound did not ask for physPageSize, so its order did no harm."""
        done = ok(logged("boot_order", host, {"release": "go1.20"}))
        assert done.results["blocks over the data"] == 0


@on_both_hosts
class TestLeakedLock:
    @pytest.mark.parametrize("ms", [2, 3, 5])
    def test_the_next_m_hangs(self, host: Host, ms: int) -> None:
        """Every M ends up waiting, and each is told who holds memlock, where and since when."""
        done = logged("leaked_lock", host, {"ms": ms})
        assert done.exit_code == 3
        leak = done.named("mem.return")[-1]
        assert (leak.fn, leak.path) == ("sysReserveAlignedSbrk", "aligned_freelist")
        assert not [e for e in done.after(leak.seq, "lock.release") if e.lock == "memlock"]
        taken = [e for e in done.named("lock.acquire") if e.m == leak.m][-1]
        held_by = f"held by M{leak.m} in runtime.sysReserveAlignedSbrk since {taken.t_ns:,} ns"
        found = done.named("deadlock.found")[0]
        assert len(found.who) == ms
        assert all(held_by in who for who in found.who)
        assert [str(stuck) for stuck in done.run.outcome.stuck] == list(found.who)

    @pytest.mark.parametrize("release", ["go1.23", "go1.24.5", "go1.27"])
    def test_other_releases_do_not_leak(self, host: Host, release: str) -> None:
        """The fixed twin: where the unlock is, nothing hangs."""
        done = ok(logged("leaked_lock", host, {"release": release}))
        assert not done.named("deadlock.found")

    def test_alone_on_wasm_it_throws(self, host: Host) -> None:
        """With the one-M mutex the next lock throws."""
        done = logged("leaked_lock", host, {"ms": 1, "platform": "js/wasm"})
        assert done.exit_code == 1
        assert done.run.outcome.error is not None
        assert "self deadlock" in str(done.run.outcome.error)
        assert done.named("lock.throw")[0].owner_site == "runtime.sysReserveAlignedSbrk"


@on_both_hosts
class TestReuseBeforeAfter:
    def test_reuse_saves_pages(self, host: Host) -> None:
        """The seed commit takes a tenth of go1.20's pages, and grows in the first round only."""
        done = ok(logged("reuse_before_after", host))
        assert done.results["dac514ea: pages"] * 10 < done.results["go1.20: pages"]
        grown = [e for e in done.named("mem.grow") if e.delta_pages]
        assert grown[-1].seq < done.named("freelist.put")[4].seq
        assert done.named("freelist.take")

    def test_the_log_is_of_the_later_release_alone(self, host: Host) -> None:
        """run.start names it, and no event of the other runtime is in between."""
        done = ok(logged("reuse_before_after", host, rounds=3))
        start, end = done.named("run.start")[0], done.named("run.end")[0]
        assert start.release == "dac514ea"
        assert end.final_pages == done.results["dac514ea: pages"]
        assert len([e for e in done.named("mem.return") if e.fn == "sysAllocOS"]) == 3 * 4

    def test_the_other_side_is_a_run_like_any_other(self, host: Host) -> None:
        """The figures from aside are those of a run with that release."""
        other = ok(logged("reuse_before_after", host, {"ms": 2}, after="go1.20", rounds=30))
        done = ok(logged("reuse_before_after", host, {"ms": 2}, rounds=30))
        assert done.results["go1.20: pages"] == other.results["go1.20: pages"]
        assert other.named("run.end")[0].final_pages == done.results["go1.20: pages"]

    def test_one_round_was_cheaper_before(self, host: Host) -> None:
        """dac514ea does not hand out the memory that was there at the start; go1.24 does."""
        worse = ok(logged("reuse_before_after", host, rounds=1)).results
        assert worse["dac514ea: pages"] > worse["go1.20: pages"]
        mended = logged("reuse_before_after", host, rounds=1, before="go1.23", after="go1.24")
        assert mended.results["go1.24: pages"] < mended.results["go1.23: pages"]
