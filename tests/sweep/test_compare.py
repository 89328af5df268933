"""Comparisons of settings over seeds."""

from __future__ import annotations

import pytest

from gorun_mem import M, World, compare, scenario
from gorun_mem.analysis.failon import parse_fail_on
from gorun_mem.analysis.metrics import ExpressionError
from gorun_mem.machine.config import ConfigError
from gorun_mem.machine.scenario import ScenarioError
from gorun_mem.sweep.compare import SideRuns, judge_sides
from gorun_mem.sweep.runs import Measured

P99 = "lock.memlock.wait_ns.p99"


@scenario(ms=3)
async def short(world: World, *, rounds: int = 6, slow: int = 0) -> None:
    """A few rounds of alloc and free."""

    async def worker(m: M) -> None:
        for _ in range(rounds):
            size = m.choice(64, 128, 192) * 1024
            addr = await m.sys_alloc(size)
            await m.compute(slow)
            await m.sys_free(addr, size)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)


@scenario(ms=2)
async def fails_at_odd_seeds(world: World) -> None:
    """It does."""
    await world.main.pause()
    assert world.config.seed % 2 == 0


def test_sema_and_spinbit_differ_in_waits() -> None:
    """On memlock_storm in p99, by pairs, with 8 Ms on 8 CPUs."""
    found = compare(
        "memlock_storm", vary={"mutex": ["sema", "spinbit"]}, fixed={"ms": 8, "cpus": 8},
        metrics=[P99],
    )  # fmt: skip
    one = found.contrast(P99, "spinbit")
    assert found.paired
    assert one.differs
    assert one.p_adjusted < 0.01
    assert one.change is not None
    assert one.within is not None
    assert one.within.low <= one.change <= one.within.high
    assert one.change > 0.2


def test_a_lock_does_not_differ_from_itself() -> None:
    """In 95 of 100 tries or more, in no metric of the table.

    The same seed would be the same run, so of each try the first side has seeds that no other side
    of any try has: 20 n to 20 n + 9 and 20 n + 10 to 20 n + 19. At alpha 0.01 one table of 100 is
    expected to be wrong, and more than 5 in 1 of 2,000 such hundreds.
    """
    none = 0
    for number in range(100):
        found = compare(short, vary={"mutex": ["spinbit"] * 2}, seeds=10, seed=20 * number)
        assert not found.paired
        assert found.sides[1].seeds[0] == 20 * number + 10
        assert found.sides[0].side.name != found.sides[1].side.name
        none += not any(one.differs for one in found.contrasts)
    assert none >= 95


def test_one_seed_is_one_load() -> None:
    """What the Ms ask for is the same on each side, so the calls are, run by run."""
    found = compare(short, vary={"mutex": ["sema", "queue"]}, seeds=8, metrics=["calls", "time_ns"])
    assert found.contrast("calls", "queue").same
    assert not found.contrast("calls", "queue").differs
    assert not found.contrast("time_ns", "queue").same


def test_every_combination_is_a_side() -> None:
    """Settings and options alike, each beside the first."""
    found = compare(
        short, vary={"cpus": [1, 2], "rounds": [2, 4]}, fixed={"slow": 5}, seeds=2,
        metrics=["time_ns"],
    )  # fmt: skip
    assert [side.side.name for side in found.sides] == [
        "cpus=1, rounds=2", "cpus=1, rounds=4", "cpus=2, rounds=2", "cpus=2, rounds=4",
    ]  # fmt: skip
    assert found.sides[3].side.options == {"slow": 5, "rounds": 4}
    assert found.sides[3].side.settings == {"cpus": 2}
    assert [one.place for one in found.contrasts] == [1, 2, 3]


def test_processes_find_the_same() -> None:
    """Two processes, the same figures; what they cannot find by its name is refused."""
    asked = {"vary": {"mutex": ["sema", "spinbit"]}, "fixed": {"rounds": 5}, "seeds": 4}
    alone = compare("memlock_storm", **asked)  # type: ignore[arg-type]
    spread = compare("memlock_storm", **asked, jobs=2)  # type: ignore[arg-type]
    assert spread.middles == alone.middles
    assert spread.contrasts == alone.contrasts
    with pytest.raises(ConfigError, match="other processes look for it by name"):
        compare(short, **asked, jobs=2)  # type: ignore[arg-type]


def test_runs_that_fail_are_told_and_are_in_no_figure() -> None:
    """Nor is the other run of their pair."""
    found = compare(fails_at_odd_seeds, vary={"mutex": ["sema", "queue"]}, seeds=6)
    assert [(side.side.name, seed) for side, seed, _ in found.failed_runs] == [
        ("sema", 1), ("sema", 3), ("sema", 5), ("queue", 1), ("queue", 3), ("queue", 5),
    ]  # fmt: skip
    assert all(run.outcome == "failed" and run.exit_code == 1 for _, _, run in found.failed_runs)
    assert len(found.middles["time_ns"][0].values) == 3
    assert not found.can_tell


def test_a_side_that_never_ends_well_differs_in_nothing() -> None:
    """There is no figure to compare."""
    found = compare(
        "leaked_lock", vary={"release": ["go1.24.3", "go1.24.5"]}, seeds=2, metrics=["time_ns"]
    )
    assert found.middles["time_ns"][0].median is None
    assert not found.contrast("time_ns", "go1.24.5").differs
    assert found.holds(parse_fail_on("time_ns>+5%")) == []


@scenario(ms=2)
async def fails_with_sema(world: World) -> None:
    """At seeds that 3 divides, and with sema only."""
    await world.main.pause()
    assert world.config.mutex != "sema" or world.config.seed % 3


def test_a_pair_of_which_one_failed_is_none() -> None:
    """The other run is in its side's figures, and in no pair."""
    found = compare(fails_with_sema, vary={"mutex": ["sema", "queue"]}, seeds=6)
    assert len(found.middles["time_ns"][0].values) == 4
    assert len(found.middles["time_ns"][1].values) == 6
    assert len(found.failed_runs) == 2
    assert found.contrast("time_ns", "queue").p == 1.0


def made(values: list[list[float]], *, paired: bool = True) -> list[SideRuns]:
    from gorun_mem.sweep.compare import Side

    return [
        SideRuns(
            Side("abcd"[place], {}, {}),
            tuple(range(len(side))),
            tuple(Measured("ok", 0, {"time_ns": value}) for value in side),
        )
        for place, side in enumerate(values)
    ]


def test_pairs_see_what_samples_do_not() -> None:
    """Loads that differ by far, and 1 % on each: paired it is one, apart it is none."""
    a = [10.0**n for n in range(10)]
    b = [1.01 * value for value in a]
    paired = judge_sides("x", made([a, b]), ["time_ns"], paired=True)
    apart = judge_sides("x", made([a, b]), ["time_ns"], paired=False)
    assert paired.contrasts[0].differs
    assert not apart.contrasts[0].differs
    assert paired.contrasts[0].change == pytest.approx(0.01)


def test_many_comparisons_are_counted_in() -> None:
    """What is a difference by itself is none among eight; each p is at least as large."""
    a = [float(n) for n in range(8)]
    b = [value + 1 for value in a]  # p is 2 / 2 ** 8, below 0.01
    alone = judge_sides("x", made([a, b]), ["time_ns"], paired=True)
    assert alone.contrasts[0].differs
    several = judge_sides("x", made([a, b, a, a]), ["time_ns"], paired=True)
    assert several.contrasts[0].p == alone.contrasts[0].p
    assert several.contrasts[0].p_adjusted == pytest.approx(3 * alone.contrasts[0].p)
    assert not several.contrasts[0].differs


def test_a_change_fails_only_where_it_is_one() -> None:
    """`NAME OP +N%` needs a difference; `NAME OP NUMBER` is of the median."""
    noise = judge_sides("x", made([[1, 9, 5, 7], [9, 2, 8, 6]]), ["time_ns"], paired=False)
    assert noise.contrasts[0].change == pytest.approx(7 / 6 - 1)
    assert noise.holds(parse_fail_on("time_ns>+5%")) == []
    assert noise.holds(parse_fail_on("time_ns>6")) == ["b"]
    real = judge_sides(
        "x", made([[n + 100 for n in range(9)], [n + 120 for n in range(9)]]), ["time_ns"],
        paired=True,
    )  # fmt: skip
    assert real.holds(parse_fail_on("time_ns>+5%")) == ["b"]
    assert real.holds(parse_fail_on("time_ns>+25%")) == []
    assert real.holds(parse_fail_on("time_ns<+25%")) == ["b"]


def test_from_nothing() -> None:
    """Where the first side's median is 0 there is no percentage, and the difference is one."""
    found = judge_sides("x", made([[0] * 8, [5, 6, 7, 8, 9, 10, 11, 12]]), ["time_ns"], paired=True)
    assert found.contrasts[0].change is None
    assert found.contrasts[0].differs
    alike = judge_sides("x", made([[0] * 8, [0] * 8]), ["time_ns"], paired=True)
    assert alike.contrasts[0].same
    assert not alike.contrasts[0].differs


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"vary": {"mutex": ["sema"]}}, ConfigError, "nothing to compare"),
        ({"vary": {"mutex": ["sema", "spinbit"]}, "metrics": ["tyme"]}, ExpressionError, "time_ns"),
        ({"vary": {"mutexx": ["sema", "spinbit"]}}, ScenarioError, "no option"),
        ({"vary": {"cpus": list(range(1, 70))}}, ConfigError, "at most 64"),
        ({"vary": {"cpus": [1, 2]}, "seeds": 0}, ConfigError, "at least 1"),
        ({"vary": {"mutex": ["sema", "semaa"]}}, ValueError, "did you mean"),
    ],
)
def test_mistakes(arguments: dict[str, object], error: type[Exception], said: str) -> None:
    """Are told before or as soon as anything runs."""
    with pytest.raises(error, match=said):
        compare(short, **({"seeds": 2} | arguments))  # type: ignore[arg-type]
