"""The simulation beside the measurement: on a few loads, and that the yardstick measures."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gorun_mem.calibration.judge import BOUNDS, Compared, distances, orders, worst
from gorun_mem.calibration.load import simulate
from gorun_mem.calibration.measured import (
    FIGURES,
    SHIPPED,
    MeasuredError,
    Measurement,
    channel_ns,
    read,
)
from gorun_mem.cli.bench import command
from gorun_mem.step.costs import CostTable

POINTS = [point for point in read() if point.ms > 1 and not point.chan and not point.pinned]


def some(hold: int, think: int, *ms: int) -> list[Measurement]:
    """Points of every mutex."""
    return [p for p in POINTS if (p.hold, p.think) == (hold, think) and p.ms in ms]


def compare(points: list[Measurement], acquisitions: int = 3000, **costs: Any) -> list[Compared]:
    table = CostTable(**costs)
    return [Compared(p, simulate(p, table, acquisitions=acquisitions)) for p in points]


def mean(compared: list[Compared], figure: str) -> float:
    """The worst of the mutexes."""
    return max(d.factor for d in distances(compared) if d.figure == figure)


class TestDistance:
    """Loads that end soon; the whole is `gorun-mem bench calibration`."""

    @pytest.fixture(scope="class")
    @staticmethod
    def compared() -> list[Compared]:
        """Of each mutex six loads."""
        return compare([*some(100, 1000, 2, 4, 16), *some(20, 5000, 8, 16), *some(2000, 5000, 4)])

    @pytest.mark.parametrize("figure", FIGURES)
    def test_within_its_bound(self, compared: list[Compared], figure: str) -> None:
        """Every mutex; with few acquisitions of few loads the bounds are as much again."""
        assert mean(compared, figure) < BOUNDS[figure] ** 1.5

    def test_orders_agree(self, compared: list[Compared]) -> None:
        """Which of two mutexes is faster, and which waits longer, in 9 of 10 pairs."""
        for each in orders(compared):
            assert each.pairs > 3
            assert each.agree >= 0.9 * each.pairs - 1
            assert len(each.wrong) == each.pairs - each.agree

    def test_channels(self) -> None:
        """What a send takes with 1, 2 and 8 Ms, each mutex within half as much again."""
        points = [p for p in read() if p.chan and p.ms in (1, 2, 8)]
        for distance in distances(compare(points, 4000)):
            assert distance.points == 3
            assert distance.factor < 1.5


class TestMechanisms:
    """What the model is worth without one of its mechanisms, by loads that show it."""

    def test_without_migrate_and_keep_nobody_catches_a_lock(self) -> None:
        """Whoever unlocks and locks at once always wins: runs are many times too long."""
        points = some(100, 0, 2)
        real = compare(points)
        assert mean(real, "run") < 2.5
        without = compare(points, without=("migrate", "keep"))
        assert mean(without, "run") > 2 * mean(real, "run")

    def test_without_keep_a_line_is_a_perfect_queue(self) -> None:
        """16 Ms find a lock free that really is fought for: several times the throughput."""
        points = [p for p in some(0, 100, 16) if p.mutex in ("sema", "futex")]
        for each in compare(points):
            assert each.factor("throughput") < 1.7
        for each in compare(points, without=("keep",)):
            assert each.ratio("throughput") > 2

    def test_without_interrupts_two_ms_keep_a_lock_for_ever(self) -> None:
        """With 8 Ms, holds of 2 us and pauses of 1: the others sleep, p99 is a hold."""
        points = [p for p in some(2000, 1000, 8) if p.mutex == "futex"]
        (alone,) = compare(points, 8000, without=("interrupts",))
        (real,) = compare(points, 8000)
        assert real.simulated["p99"] > 3 * alone.simulated["p99"]

    def test_a_futexsleep_that_looks_at_once_ends_awake_ms(self) -> None:
        """Without the way into the kernel more Ms fall asleep, and stay so: on a channel a few of
        16 go on sending to each other, faster than all 16 do."""
        points = [p for p in read() if p.chan and p.mutex == "futex" and p.ms == 16]
        (real,) = compare(points, 8000)
        (without,) = compare(points, 8000, ns={"futex.look": 0})
        assert real.factor("throughput") < 1.7
        assert without.ratio("throughput") > 1.5 * real.ratio("throughput")

    def test_bound_threads_leave_cpus_idle(self) -> None:
        """spinbit, 8 Ms bound to 4 CPUs: the one that may spin waits behind the owner, who is
        alone; where Ms take any CPU that is free, they are two."""
        (point,) = (
            p for p in read()
            if p.pinned and p.mutex == "spinbit" and (p.hold, p.think, p.ms) == (0, 0, 8)
        )  # fmt: skip
        bound = simulate(point, acquisitions=4000)
        assert point.measured["p99"] < 60
        assert bound["p99"] < 60
        (free,) = (p for p in some(0, 0, 8) if p.release == point.release)
        assert simulate(free, acquisitions=2000)["p99"] > 1000


def test_the_same_seed_is_the_same_figures() -> None:
    """And another seed another run of the same load."""
    (point,) = (p for p in some(20, 100, 4) if p.mutex == "sema")
    runs = [simulate(point, acquisitions=500, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


class TestJudge:
    """Factors by hand."""

    def test_a_factor_is_the_same_either_way(self) -> None:
        """Half and double are both 2 off; their mean is 2, and the ratio's is 1."""
        points = some(20, 100, 2)[:1] * 2
        ours = [
            Compared(points[0], {f: v * k for f, v in points[0].measured.items()}) for k in (0.5, 2)
        ]
        for distance in distances(ours):
            assert distance.factor == pytest.approx(2)
            assert distance.ratio == pytest.approx(1)
            assert distance.points == 2
            assert not distance.ok
        assert worst([*ours, Compared(points[0], points[0].measured)], "p99", 2) == ours

    def test_bound_threads_are_rows_of_their_own(self) -> None:
        """So that they do not hide in, or spoil, the others."""
        points = [p for p in read() if p.mutex == "sema" and p.hold in (0, 500) and p.ms == 8]
        found = distances([Compared(p, p.measured) for p in points])
        assert {d.mutex for d in found} == {"sema go1.23.9", "sema go1.23.9, bound"}
        assert {(d.factor, d.ok) for d in found} == {(1.0, True)}

    def test_a_wrong_order_is_counted(self) -> None:
        """Of three mutexes under one load, one whose throughput is turned round."""
        points = [p for p in some(0, 0, 16) if p.release != "go1.24.11"]
        right = [Compared(p, p.measured) for p in points]
        assert [(o.agree, o.pairs) for o in orders(right)] == [(3, 3), (3, 3)]
        turned = [{**p.measured, "throughput": 1 / p.measured["throughput"]} for p in points]
        wrong = [Compared(p, figures) for p, figures in zip(points, turned, strict=True)]
        assert [(o.agree, o.pairs) for o in orders(wrong)] == [(0, 3), (3, 3)]


class TestFile:
    """Reading a measurement."""

    def test_the_shipped_one(self) -> None:
        """Every load of four mutexes, and what is derived from the loops without a lock."""
        points = read()
        assert len([p for p in points if p.chan]) == 15
        assert len([p for p in points if p.pinned]) == 20
        assert len(POINTS) == 256
        assert {p.cpus for p in POINTS} == {16}
        for p in POINTS:
            assert 3 < p.loop_ns < 15
            assert 20 < p.ticks_ns < 40
            assert p.every == (8 if p.hold <= 100 and p.think <= 100 else 1)
            assert p.hold * 0.5 - 10 <= p.hold_ns <= p.hold * 1.5 + 10
            assert p.think * 0.6 <= p.think_ns <= p.think * 1.5 + 50
        assert channel_ns("sema")[16] == pytest.approx(637, abs=1)

    def test_threads_that_starve_do_not_add_to_the_throughput(self) -> None:
        """Where per_us adds up moments, count over the common time is taken; elsewhere per_us."""
        lines = gzip.decompress(SHIPPED.read_bytes()).decode().splitlines()
        records = [r for r in map(json.loads, lines) if r["kind"] == "lock" and not r.get("nolock")]
        locks = [p for p in read() if not p.chan]
        off = 0
        for record, point in zip(records, locks, strict=True):
            ratio = record["per_us"] / point.measured["throughput"]
            off += not 0.97 < ratio < 1.03
            if record["jain"] > 0.99:
                assert 0.95 < ratio < 1.05
        assert 0 < off < 25

    def test_a_file_of_ones_own(self, tmp_path: Path) -> None:
        """Plain text will do; without loops that have no lock the nominal lengths are taken."""
        record = {
            "kind": "lock", "variant": "go1.23.9-sema", "n": 2, "h": 50, "t": 10, "count": 1000,
            "wall": 0.001, "per_us": 1.0, "jain": 1, "p50": 30, "p99": 300, "run_mean": 2,
        }  # fmt: skip
        path = tmp_path / "mine.jsonl"
        path.write_text(json.dumps(record) + "\n")
        (point,) = read(path)
        assert (point.hold_ns, point.think_ns, point.cpus) == (50, 10, 2)
        assert point.measured["throughput"] == pytest.approx(1)
        said = ["calibration", "--json", "--data", str(path), "--costs", "server-16"]
        done = CliRunner().invoke(command, said)
        assert done.exit_code == 1  # it is not what sema does
        rows = json.loads(done.stdout)["benches"]["calibration"]
        assert rows[0]["name"] == "sema go1.23.9: throughput, 1 loads"
        assert rows[0]["figure"] > 1.2
        assert rows[0]["ok"] is False

    @pytest.mark.parametrize(
        ("text", "words"),
        [("", "no record"), ("{", "not what it should be"), ('{"kind": "lock"}', "lacks 'variant'"),
         ("[]", "not what it should be"), ('{"n": 1}', "lacks 'kind'")],
    )  # fmt: skip
    def test_a_bad_file_is_refused(self, tmp_path: Path, text: str, words: str) -> None:
        """With the reason, by the function and by the command."""
        path = tmp_path / "bad.jsonl"
        path.write_text(text)
        with pytest.raises(MeasuredError, match=words):
            read(path)
        done = CliRunner().invoke(command, ["calibration", "--data", str(path)])
        assert done.exit_code == 2
        assert str(path) in done.stderr

    def test_options_of_other_benchmarks_are_refused(self) -> None:
        """`--data` is for one benchmark, whose command line is said; a table must be there."""
        done = CliRunner().invoke(command, ["events", "--data", "x"])
        assert done.exit_code == 2
        assert "gorun-mem bench calibration" in done.stderr
        done = CliRunner().invoke(command, ["calibration", "--costs", "nosuch"])
        assert done.exit_code == 2
        assert "those that come along are" in done.stderr
