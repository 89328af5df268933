"""The summary of a run: from events alone, the same as what the locks counted, bounded."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from gorun_mem.analysis import metrics, values
from gorun_mem.analysis.locksummary import SLOWEST
from gorun_mem.analysis.metrics import ExpressionError, check_name, parse_expression
from gorun_mem.analysis.summary import Summary
from gorun_mem.analysis.values import Values
from gorun_mem.events import Recorder, capture_events
from gorun_mem.events.methods import passes
from gorun_mem.machine.library import find
from gorun_mem.machine.run import run
from gorun_mem.report.terminal import render
from gorun_mem.report.units import count, ns, share, size
from gorun_mem.runtime.mutex.book import QueueFigures
from gorun_mem.runtime.mutex.statistics import Distribution
from gorun_mem.runtime.sink import Waited
from tests.cli.run_scripts import STORM, write


def test_percentiles_are_those_of_the_lock_statistics() -> None:
    """One definition, nearest rank: up to the bound the figures are exactly Distribution's."""
    draw = random.Random(1)
    numbers = [int(draw.expovariate(1e-4)) for _ in range(5000)]
    found = Values()
    for number in numbers:
        found.add(number)
    exact = Distribution.of(Counter(numbers))
    assert found.exact
    assert found.distribution() == exact
    assert found.figures() == {
        "p50": sorted(numbers)[2499], "p90": sorted(numbers)[4499],
        "p99": sorted(numbers)[4949], "max": max(numbers),
    }  # fmt: skip
    assert (found.count, found.total) == (5000, sum(numbers))


def test_too_many_distinct_values_are_rounded_and_said_to_be() -> None:
    """Memory is bounded; count, sum and greatest stay exact and percentiles within 0.05 %."""
    draw = random.Random(2)
    numbers = [draw.randrange(1, 1 << 40) for _ in range(20_000)]
    found = Values(distinct_max=1000)
    for number in numbers:
        found.add(number)
    assert not found.exact
    assert len(found.distribution().values) < 15 * (1 << (values.BITS - 1))
    assert (found.count, found.total, found.max) == (20_000, sum(numbers), max(numbers))
    for percent in (50, 90, 99):
        true = sorted(numbers)[20_000 * percent // 100 - 1]
        assert 0.9995 * true <= found.distribution().percentile(percent) <= true


@pytest.mark.parametrize("mutex", ["sema", "spinbit", "futex", "queue"])
@pytest.mark.parametrize("strategy", ["timing", "random"])
def test_the_log_tells_what_the_lock_counted(tmp_path: Path, mutex: str, strategy: str) -> None:
    """From the events come the very figures that the mutex itself kept.

    Of lock.release alone too, but for the Ms that begin to wait while the lock is free.
    """
    scenario = find(write(tmp_path, STORM))
    with capture_events() as events:
        config = scenario.config(mutex=mutex, strategy=strategy, seed=3, ms=6)
        done = run(scenario, config, {"rounds": 40}, recorder=Recorder())
    counted = done.statistics.lock("memlock")
    convoy, busy = counted.convoy_longest, counted.busy_longest
    queue = QueueFigures(
        counted.bypasses_max, counted.queue_depth_max, counted.convoys, convoy.length_ns,
        convoy.acquisitions, counted.busy_periods, busy.length_ns, busy.acquisitions,
    )  # fmt: skip
    whole = Summary.of(events).locks["memlock"]
    canonical = Summary.of(event for event in events if passes(event, "canonical"))
    released = canonical.locks["memlock"]
    for lock in (whole, released):
        assert lock.contended > 10  # or the rest would say little
        assert (lock.acquisitions, lock.contended) == (counted.acquisitions, counted.contended)
        assert (lock.spins, lock.sleeps) <= (counted.spins, counted.sleeps)
        assert lock.waits.distribution() == counted.wait_ns
        assert lock.holds.distribution() == counted.hold_ns
        assert lock.fairness == pytest.approx(counted.fairness_acquisitions)
        assert lock.fairness_waits == pytest.approx(counted.fairness_waits)
        for m, had in counted.by_m.items():
            ours = lock.shares[m]
            assert (ours.acquisitions, ours.contended) == (had.acquisitions, had.contended)
            assert (ours.waits.total, ours.hold_ns) == (had.wait_ns, had.hold_ns)
    assert whole.queue == queue
    if mutex in ("spinbit", "futex"):  # nobody begins to wait while the lock is free
        assert released.queue == queue
    else:
        found = released.queue
        assert found.bypasses_max <= queue.bypasses_max <= found.bypasses_max + 6
        assert found.queue_depth_max <= queue.queue_depth_max <= found.queue_depth_max + 1
        assert found.convoy_longest_ns <= queue.convoy_longest_ns
        assert found.busy_longest_ns <= queue.busy_longest_ns
    assert max(map(whole.bypasses_max, range(7))) == queue.bypasses_max


def test_levels_debug_and_canonical_differ_in_queues_only(tmp_path: Path) -> None:
    """What is not canonical says more of who waits, and changes nothing else."""
    scenario = find(write(tmp_path, STORM))
    with capture_events() as events:
        run(scenario, scenario.config(seed=1), recorder=Recorder())
    whole, canonical = Summary(), Summary()
    for event in events:
        whole.feed(event)
        if passes(event, "canonical"):
            canonical.feed(event)
    queues = {f"lock.memlock.{name}" for name in QueueFigures._fields}
    differ = dict(whole.metrics().items() ^ canonical.metrics().items())
    assert differ.keys() <= queues
    assert whole.metrics().keys() == canonical.metrics().keys() >= queues


def test_the_slowest_waits_are_the_slowest() -> None:
    """Of many waits the five longest are named, longest first, the earlier of equal ones first."""
    summary = Summary()
    draw = random.Random(5)
    waits = [draw.randrange(1, 40) for _ in range(200)]
    with capture_events() as events:
        recorder = events.recorder
        clock = 0
        for number, wait in enumerate(waits):
            clock += 100
            recorder.now = lambda clock=clock: clock  # type: ignore[misc]
            recorder.m = number % 7 + 1
            recorder.lock_release(
                "memlock",
                "runtime.sbrk",
                10,
                Waited(True, wait, 0, 0),
                0,
                (),
                0,
            )
    for event in events:
        summary.feed(event)
    order = sorted(range(200), key=lambda i: (-waits[i], 100 * (i + 1) - 10 - waits[i]))
    assert [(w.wait_ns, w.since_ns) for w in summary.slowest] == [
        (waits[i], 100 * (i + 1) - 10 - waits[i]) for i in order[:SLOWEST]
    ]


def test_a_second_run_behind_the_first_is_left_alone(tmp_path: Path) -> None:
    """Logs put together do not add up to nonsense: the first counts and the rest is said."""
    scenario = find(write(tmp_path, STORM))
    with capture_events() as events:
        run(scenario, scenario.config(), recorder=Recorder())
        first = len(events)
        run(scenario, scenario.config(ms=7), recorder=Recorder())
    summary = Summary.of(events)
    assert summary.runs == 2
    assert summary.metrics() == Summary.of(events[:first]).metrics()
    assert "the log holds 2 runs: this is the first" in render(summary)


def test_every_metric_has_a_meaning(tmp_path: Path) -> None:
    """The table of metrics and what a run gives are the same names."""
    scenario = find(write(tmp_path, STORM))
    with capture_events() as events:
        run(scenario, scenario.config(), recorder=Recorder())
    found = Summary.of(events).metrics()
    assert found["result.rounds in all"] == 80
    for name in found:
        check_name(name)
    percentiles = [f"lock_wait_ns.{p}" for p in metrics.PERCENTILES]
    lock = [f"lock.memlock.{suffix}" for suffix in metrics.lock_suffixes()]
    assert set(found) >= {*metrics.METRICS, *percentiles, *lock}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("final_pages<=700", ("final_pages", "<=", 700)),
        (" lock.memlock.wait_ns.p99 > 1e3 ", ("lock.memlock.wait_ns.p99", ">", 1000.0)),
        ("bloc == 0x10000", ("bloc", "==", 65536)),
        ("result.pages before != -2", ("result.pages before", "!=", -2)),
        ("steps>=0.5", ("steps", ">=", 0.5)),
    ],
)
def test_expressions_are_read(text: str, parts: tuple[str, str, float]) -> None:
    """NAME OP NUMBER, with or without spaces."""
    found = parse_expression(text)
    assert (found.name, found.op, found.bound) == parts


@pytest.mark.parametrize(
    ("text", "true"),
    [("ms < 4", False), ("ms <= 4", True), ("ms > 3", True), ("ms >= 5", False), ("ms == 4", True),
     ("ms != 4", False)],
)  # fmt: skip
def test_each_operator_means_what_it_says(text: str, true: bool) -> None:
    """Six operators, each tried where it makes a difference."""
    assert parse_expression(text).holds({"ms": 4}) is true


@pytest.mark.parametrize(
    "text", ["", "ms", "ms <", "< 3", "ms = 3", "ms < x", "ms =< 3", "ms < nan"]
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    """The refusal shows one that would do."""
    with pytest.raises(ExpressionError, match="write NAME OP NUMBER"):
        parse_expression(text)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("final_page", "final_pages"),
        ("lock.memlock.bypass_max", "lock.memlock.bypasses_max"),
        ("lock_wait_ns.p95", "lock_wait_ns.p9"),
    ],
)
def test_an_impossible_name_has_a_nearest(name: str, nearest: str) -> None:
    """A misspelt metric is met with what was probably meant."""
    with pytest.raises(ExpressionError, match=f"did you mean {nearest}"):
        check_name(name)


def test_figures_for_people() -> None:
    """Times, sizes, counts and shares as they are printed."""
    assert [ns(n) for n in (0, 7, 1500, 2_000_000, 61_000_000_000)] == [
        "0", "7 ns", "1.500 us", "2.000 ms", "61.000 s",
    ]  # fmt: skip
    assert [size(n) for n in (0, 1023, 65536, 100_000, 4 << 30)] == [
        "0 B", "1023 B", "64 KiB", "97.7 KiB", "4 GiB",
    ]  # fmt: skip
    assert (count(1, "M"), count(1200, "M")) == ("1 M", "1,200 Ms")
    assert (share(1, 8), share(0, 0)) == ("12.5 %", "0 %")
