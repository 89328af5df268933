"""What the docstrings of the contention scenarios say, with the twins that show none of it."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import CostTable, Run, ScenarioError, run
from gorun_mem.events import CapturedEvents, Recorder, capture_events
from gorun_mem.machine.library import find
from gorun_mem.step.costs import MECHANISMS
from tests import ROOT


def run_it(name: str, config: dict[str, Any] | None = None, **options: Any) -> Run:
    scenario = find(name)
    done = run(scenario, scenario.config(**(config or {})), options)
    assert done.outcome.ok, done.outcome
    return done


def events_of(
    name: str, config: dict[str, Any] | None = None, **options: Any
) -> tuple[Run, CapturedEvents]:
    recorder = Recorder()
    scenario = find(name)
    with capture_events(recorder) as events:
        done = run(scenario, scenario.config(**(config or {})), options, recorder=recorder)
    assert done.outcome.ok, done.outcome
    return done, events


class TestShootout:
    """The docstring of mutex_shootout."""

    @pytest.fixture(scope="class")
    @staticmethod
    def rates() -> dict[str, dict[tuple[int, int], float]]:
        """Acquisitions in a us by mutex, of the default load, by (CPUs, Ms)."""
        return read_table(run_it("mutex_shootout", processors="1,4,20").results)

    def test_queue_pays_a_wakeup_for_every_acquisition(self, rates: Any) -> None:
        """Once two Ms fight on two CPUs the FIFO queue is more than five times slower."""
        for (cpus, ms), rate in rates["queue"].items():
            others = [rates[name][cpus, ms] for name in rates if name != "queue"]
            if min(cpus, ms) > 1:
                assert rate * 5 < min(others)
            else:
                assert rate == pytest.approx(min(others), rel=0.03)

    def test_sema_and_futex_slow_down_and_spinbit_does_not(self, rates: Any) -> None:
        """On 20 CPUs each step from 2 to 16 Ms costs sema and futex throughput; spinbit stays."""
        for name in ("sema", "futex"):
            line = [rates[name][20, ms] for ms in (2, 4, 8, 16)]
            assert all(after < before * 0.9 for before, after in itertools.pairwise(line))
        spinbit = [rates["spinbit go1.27"][20, ms] for ms in (2, 4, 8, 16, 32)]
        assert max(spinbit) < min(spinbit) * 1.2
        assert min(spinbit) > 1.8 * rates["futex"][20, 32]

    def test_with_long_holds_spinbit_is_the_slower(self) -> None:
        """Where a hold takes 1 us, those that let many spin take the lock up sooner."""
        found = run_it(
            "mutex_shootout", processors="20", threads="8,32", hold_ns=1000, think_ns=2000
        ).results
        rates = read_table(found)
        for ms in (8, 32):
            assert rates["spinbit go1.27"][20, ms] < 0.93 * rates["futex"][20, ms]
            assert rates["spinbit go1.27"][20, ms] < 0.93 * rates["sema"][20, ms]

    def test_on_one_cpu_all_are_alike(self) -> None:
        """Nobody has to wait where one M empties the pool within its slice; where nothing varies
        it makes no difference at all how many there are."""
        costs = CostTable(without=tuple(MECHANISMS))
        rates = read_table(
            run_it("mutex_shootout", {"costs": costs}, processors="1", threads="1,2,8").results
        )
        lines = [{rate for (cpus, _), rate in rates[name].items() if cpus == 1} for name in rates]
        assert all(len(line) == 1 for line in lines)
        assert max(map(max, lines)) < min(map(min, lines)) * 1.04

    def test_releases_of_spinbit_are_equal(self) -> None:
        """go1.24 and go1.27 give the same figures while nothing is profiled."""
        found = run_it(
            "mutex_shootout", mutexes="spinbit", spinbit="go1.24,go1.27", threads="1,8",
            processors="8", ops=300,
        ).results  # fmt: skip
        one, other = read_table(found).values()
        assert one == other

    def test_no_lock_beats_what_costs_nothing(self, rates: Any) -> None:
        """No throughput is above what hold and think time leave."""
        for line in rates.values():
            for (cpus, ms), rate in line.items():
                assert rate <= min(1000 / 50, min(cpus, ms) * 1000 / 150) * 1.02

    def test_measured_loads_are_beside_it(self) -> None:
        """Of three mutexes with 2 to 16 Ms; each throughput within 1.8 times."""
        found: Any = run_it("mutex_shootout", threads="1", processors="1", ops=2000).results
        (name,) = (name for name in found if name.startswith("hold 100, think 1000 ns on 16 CPUs"))
        head, *lines = found[name].splitlines()
        assert head.split()[2:] == [
            w for m in ("sema", "futex", "spinbit") for w in (m, "sim", m, "real")
        ]
        assert len(lines) == 8
        for line in lines:
            _, figure, *cells = line.split()
            for simulated, measured in zip(cells[::2], cells[1::2], strict=True):
                if figure == "throughput":
                    assert 1 / 1.8 < float(simulated) / float(measured) < 1.8

    def test_the_log_is_of_the_run_itself(self) -> None:
        """Only the load of the settings is in the log: its mutex, its Ms, its acquisitions."""
        _, events = events_of(
            "mutex_shootout", {"ms": 3, "mutex": "queue"}, ops=30, threads="1,2", processors="2"
        )
        assert len(events.named("lock.acquire")) == 30
        assert {event.m for event in events.named("m.start")} == {1, 2, 3}
        assert events.named("run.start")[0].mutex == "queue"

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"mutexes": "queue,nosuch"}, "no mutex 'nosuch'"),
            ({"mutexes": "js"}, "keeps no two Ms apart"),
            ({"spinbit": "go9"}, "go9"),
            ({"threads": "1,x"}, "threads = 1,x: must be numbers from 1 to 256"),
            ({"processors": "0"}, "processors = 0: must be numbers from 1 to 256"),
        ],
    )
    def test_bad_options_are_refused_before_anything_runs(self, options: Any, words: Any) -> None:
        """Each mistake names the option and what it takes."""
        scenario = find("mutex_shootout")
        with pytest.raises(ValueError, match=words):
            run(scenario, scenario.config(), options)


def read_table(results: Any) -> dict[str, dict[tuple[int, int], float]]:
    """The table of mutex_shootout: mutex -> (CPUs, Ms) -> acquisitions in a us."""
    head, *lines = results["acquisitions in a us"].splitlines()
    names = [name.strip() for name in head.split("  ") if name.strip()][2:]
    found: dict[str, dict[tuple[int, int], float]] = {name: {} for name in names}
    for line in lines:
        cpus, ms, *cells = line.split()
        for name, cell in zip(names, cells, strict=True):
            found[name][int(cpus), int(ms)] = float(cell)
    return found


class TestLifo:
    """The docstring of lifo_starvation."""

    @pytest.mark.parametrize("seed", range(3))
    def test_sema_starves_for_as_long_as_the_load_lasts(self, seed: int) -> None:
        """Bypasses and the longest wait grow with the load; few Ms get nearly everything."""
        short: Any = run_it("lifo_starvation", {"seed": seed}, ops=500).results
        long: Any = run_it("lifo_starvation", {"seed": seed}, ops=2000).results
        for results, ops in ((short, 500), (long, 2000)):
            assert results["this run: bypasses of one M"] > 0.95 * ops
            assert results["this run: longest over median"] > 0.8 * ops
            assert results["this run: fairness"] < 0.3

    @pytest.mark.parametrize("seed", range(3))
    def test_queue_bypasses_nobody(self, seed: int) -> None:
        """The twin: no bypass, and nobody waits much longer than all do."""
        results: Any = run_it("lifo_starvation", {"seed": seed}, ops=500).results
        assert results["queue: bypasses of one M"] == 0
        assert results["queue: longest over median"] < 1.4
        assert results["queue: fairness"] > 0.99

    @pytest.mark.parametrize("seed", range(3))
    def test_spinbit_bounds_the_wait(self, seed: int) -> None:
        """Waking the bottom now and then ends every wait: four times the load, no longer waits."""
        results: Any = run_it(
            "lifo_starvation", {"seed": seed, "mutex": "spinbit"}, ops=4000
        ).results
        assert 20 < results["this run: bypasses of one M"] < 600
        assert results["this run: fairness"] > 0.9

    def test_an_idle_lock_starves_nobody(self) -> None:
        """With pauses of 1 ms the stack runs empty: sema is as fair as the queue."""
        results: Any = run_it("lifo_starvation", think_ns=1_000_000, ops=500).results
        assert results["this run: bypasses of one M"] <= 15
        assert results["this run: fairness"] > 0.98

    def test_the_log_shows_the_stack(self) -> None:
        """The first waiters stay the same; each release wakes the one that came last but one."""
        _, events = events_of("lifo_starvation", ops=400)
        releases = [e for e in events.named("lock.release") if len(e.waiters) == 11][100:]
        assert len(releases) > 100
        assert len({e.waiters[:9] for e in releases}) == 1
        assert all(e.next_m == e.waiters[-1] for e in releases)


class TestPreempted:
    """The docstring of preempted_holder."""

    @pytest.mark.parametrize("mutex", ["sema", "futex", "spinbit", "queue"])
    def test_waits_cover_whole_slices(self, mutex: str) -> None:
        """Every hold is cut by one slice of each computing M, and Ms wait for whole slices."""
        done, events = events_of("preempted_holder", {"mutex": mutex})
        results: Any = done.results
        assert results["holds cut by a slice of others or more"] == results["holds"] == 40
        assert 3 <= results["longest hold beyond what a hold takes, in slices"] < 3.3
        assert results["longest wait beyond what a hold takes, in slices"] >= 1.9
        assert all(e.hold_ns >= 4_200_000 + 3 * 2_800_000 for e in events.named("lock.release"))
        if mutex == "queue":
            assert results["longest wait beyond what a hold takes, in slices"] >= 5

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("mutex", ["sema", "spinbit", "queue"])
    def test_the_twins_show_none_of_it(self, mutex: str, seed: int) -> None:
        """Holds shorter than a slice, and CPUs for all: no hold is cut, no wait exceeds a hold."""
        short = run_it("preempted_holder", {"mutex": mutex, "seed": seed}, hold_ns=1_000_000)
        enough = run_it("preempted_holder", {"mutex": mutex, "seed": seed, "cpus": 8})
        results: Any
        for results in (short.results, enough.results):
            assert results["holds cut by a slice of others or more"] == 0
            assert results["longest hold beyond what a hold takes, in slices"] <= 0.1
            assert results["longest wait beyond what a hold takes, in slices"] <= 0.1
        assert enough.statistics.lock("shared").contended > 5  # they did meet

    def test_it_ends_where_others_get_no_turn(self) -> None:
        """A schedule that never leaves a computing M comes to its end all the same."""
        run_it("preempted_holder", {"strategy": "run_to_block"}, rounds=2)


class TestChanContended:
    """The docstring of chan_contended: the direction of what was published."""

    @pytest.fixture(scope="class", params=range(2))
    @staticmethod
    def lines(request: Any) -> dict[str, dict[int, float]]:
        """ns of a send, by mutex and Ms."""
        results: Any = run_it("chan_contended", {"seed": request.param}).results
        rows = results["ns of a send or receive, how many times slower than alone"].splitlines()[1:]
        cells = [row.split() for row in rows]
        return {
            "futex": {int(row[0]): float(row[1]) for row in cells},
            "spinbit": {int(row[0]): float(row[6]) for row in cells},
        }

    def test_futex_slows_down_with_every_m(self, lines: Any) -> None:
        """Up to 8 each number of Ms is slower than the one before; more are slower than one by at
        least six times (measured on server-16: 8 with 8 Ms, 9.9 with 16)."""
        futex = [lines["futex"][ms] for ms in (1, 2, 3, 4, 8)]
        assert futex == sorted(futex)
        assert min(lines["futex"][ms] for ms in (12, 16, 20)) > 6 * futex[0]

    def test_spinbit_falls_and_then_holds(self, lines: Any) -> None:
        """It is slower than alone, and from 3 to 20 Ms no slower than that."""
        spinbit = lines["spinbit"]
        held = [spinbit[ms] for ms in (3, 4, 8, 12, 16, 20)]
        assert min(held) > 1.15 * spinbit[1]
        assert max(held) < 1.3 * min(held)

    def test_futex_is_as_fast_at_first_and_three_times_slower_at_last(self, lines: Any) -> None:
        """With 2 Ms they are alike; with 20 futex is over three times slower."""
        assert lines["spinbit"][2] == pytest.approx(lines["futex"][2], rel=0.1)
        assert lines["futex"][20] > 3 * lines["spinbit"][20]
        assert lines["futex"][3] > lines["spinbit"][3]  # where they meet, and not at 8

    def test_without_cache_lines_the_collapse_is_gone(self) -> None:
        """The twin: where a line costs nothing to fetch, futex with 20 Ms is as fast as with 4."""
        free = {"line.fetch": 0, "line.spread": 0, "line.share": 0, "line.invalidate": 0}
        results: Any = run_it(
            "chan_contended", {"costs": CostTable(free)}, threads="1,4,20"
        ).results
        assert results["futex times slower than with 1"] < 1.6

    def test_what_was_published_is_beside_it(self) -> None:
        """The table has the published factors where there are some, and says what does not fit."""
        results: Any = run_it("chan_contended", iterations=1, threads="1,2,8,20").results
        table = results["ns of a send or receive, how many times slower than alone"]
        rows = {row.split()[0]: row.split() for row in table.splitlines()[1:]}
        assert rows["8"][4] == rows["8"][9] == "4.0"
        assert (rows["20"][4], rows["20"][9]) == ("12.0", "4.0")
        assert (rows["2"][5], rows["2"][10]) == ("2.1", "2.8")
        assert (rows["8"][3], rows["8"][8]) == ("8.0", "2.2")
        assert (rows["20"][3], rows["2"][8]) == ("-", "2.0")
        assert "12 and 4 with 20" in results["what does not fit"]

    def test_the_log_is_of_the_run_itself(self) -> None:
        """An iteration is 100 sends and 100 receives; the captured lock shows in prev_owner_m."""
        _, events = events_of("chan_contended", {"ms": 1}, iterations=3, threads="1")
        sites = [event.site for event in events.named("lock.acquire")]
        assert sites == (["runtime.chansend"] * 100 + ["runtime.chanrecv"] * 100) * 3
        _, events = events_of("chan_contended", iterations=3, threads="1")
        acquired = events.named("lock.acquire")
        assert sum(event.prev_owner_m == event.m for event in acquired) > 0.9 * len(acquired)
        assert max(event.bypassed for event in acquired) > 100

    @pytest.mark.parametrize("threads", ["", "2,1", "1,1", "0", "1,300", "one"])
    def test_bad_threads_are_refused(self, threads: int) -> None:
        """What is no ascending list of numbers is refused with an example."""
        scenario = find("chan_contended")
        with pytest.raises(ScenarioError, match="as 1,4,20"):
            run(scenario, scenario.config(), {"threads": threads})


@pytest.mark.parametrize("name", ["mutex_shootout", "chan_contended"])
def test_the_command_says_the_same_bytes_twice(name: str, tmp_path: Path) -> None:
    """Output and log of two processes are the same, and show table and plot."""
    said = []
    for _ in range(2):
        log = tmp_path / "run.jsonl"
        done = subprocess.run(
            [
                sys.executable, "-m", "gorun_mem", "run", name, "--log", str(log), "--seed", "5",
                "--set", "threads=1,4",
            ],
            cwd=ROOT, capture_output=True, check=True,
        )  # fmt: skip
        said.append((done.stdout, hashlib.sha256(log.read_bytes()).hexdigest()))
    assert said[0] == said[1]
    lines = log.read_text().splitlines()
    results = json.loads(lines[-1])["results"]
    blocks = [value for value in results.values() if isinstance(value, str) and "\n" in value]
    shown = said[0][0].decode()
    assert len(blocks) >= 2
    for block in blocks:
        assert all(line.rstrip() in shown for line in block.splitlines())


@pytest.mark.parametrize("host", ["trampoline", "trio"])
def test_a_comparison_can_be_interrupted_between_two_simulations(host: str) -> None:
    """The host gets its breath after each of the 8 simulations aside, short as they are."""
    breaths: list[object] = []
    scenario = find("mutex_shootout")
    options = {"ops": 10, "threads": "1,2", "processors": "1"}
    run(scenario, scenario.config(), options, host=host, on_breath=breaths.append)  # type: ignore[arg-type]
    assert len(breaths) >= 8
