"""`report --from --to`, and runs that hang or are cut, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run_scripts import Command, write

HANG = '''
from gorun_mem import M, World, scenario


@scenario(ms=3, mutex="queue", platform="plan9/amd64")
async def hang(world: World, *, rounds: int = 4) -> None:
    """After some rounds an M keeps the lock for ever."""
    lock = world.mutex("L")

    async def worker(m: M) -> None:
        for turn in range(rounds):
            await m.lock(lock)
            await m.compute(10_000)
            while turn == 3:
                await m.compute(100_000)
            await m.unlock(lock)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
'''


@pytest.fixture
def hang(gorun_mem: Command, home: Path) -> tuple[Command, str]:
    return gorun_mem, str(write(home, HANG))


@pytest.mark.parametrize("level", ["debug", "canonical"])
def test_a_hang_fails_an_assertion_over_its_waits(hang: tuple[Command, str], level: str) -> None:
    """The run's own figures and the report of its log agree, and `--assert` holds them to it."""
    gorun_mem, script = hang
    run = ["run", script, "--steps-max", "5000", "--log", "h.jsonl", "--log-level", level]
    ran = gorun_mem(*run, "--json")
    assert ran.code == 3
    told = gorun_mem("report", "h.jsonl", "--json").document
    assert ran.document["metrics"] == told["metrics"]
    assert ran.document["at_least"] == told["at_least"]
    assert "lock.L.wait_ns.max" in told["at_least"]
    assert told["metrics"]["lock.L.waiting"] == 2
    asserts = ["--assert", "lock.L.waiting == 0", "--assert", "lock.L.wait_ns.max > 1"]
    asserted = gorun_mem(*run, *asserts)
    assert "assert  lock.L.waiting = 2 == 0: does not hold" in asserted.out
    assert "assert  lock.L.wait_ns.max >= " in asserted.out
    if level == "debug":
        longest = told["metrics"]["lock.L.wait_ns.max"]
        assert longest > 100_000_000
        assert not told["slowest_waits"][0]["ended"]
        assert told["slowest_waits"][0]["wait_ns"] == longest


def test_a_window_is_cut_in_every_report(hang: tuple[Command, str]) -> None:
    """One screen, sections, JSON and the page are of the window that is asked for."""
    gorun_mem, script = hang
    gorun_mem("run", script, "--set", "rounds=3", "--log", "w.jsonl")
    window = ["report", "w.jsonl", "--from", "20us", "--to", "0.05ms"]
    said = gorun_mem(*window)
    assert (said.code, said.err) == (0, "")
    assert "window from 20.000 us to 50.000 us" in said.out
    document = gorun_mem(*window, "--json").document
    assert document["window"] == {"from_ns": 20_000, "to_ns": 50_000}
    assert document["metrics"]["time_ns"] == 50_000
    assert 0 < document["metrics"]["lock.L.hold_ns"] <= 30_000
    assert 0 < document["metrics"]["lock.L.wait_ns"] <= 3 * 30_000
    assert gorun_mem("report", "w.jsonl", "--json").document["window"] is None
    for section in ("holds", "blame", "convoys", "path", "memory"):
        said = gorun_mem(*window, "--section", section)
        assert (said.code, "window from 20.000 us" in said.out) == (0, True), section
    assert gorun_mem(*window, "--html", "w.html").code == 0
    assert "from 20.000 us to 50.000 us" in Path("w.html").read_text()


def test_windows_side_by_side_sum_to_the_whole(hang: tuple[Command, str]) -> None:
    """What is waited up to a moment and from it on is all that is waited."""
    gorun_mem, script = hang
    gorun_mem("run", script, "--set", "rounds=3", "--log", "w.jsonl")
    whole, *parts = (
        gorun_mem("report", "w.jsonl", "--json", *args).document["metrics"]
        for args in ([], ["--to", "33333"], ["--from", "33333", "--to", "44us"], ["--from", "44us"])
    )
    for name in ("lock.L.wait_ns", "lock.L.hold_ns", "lock_wait_ns"):
        assert sum(part[name] for part in parts) == whole[name] > 0


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--from", "2us", "--to", "2000"], "--to 2000 ns is not after --from 2000 ns"),
        (["--from", "5 minutes"], "is no time: write it as in 1500, 10us or 2.5ms"),
        (["--from", "-3"], "is no time"),
        (["--from", "1s"], "the log ends at "),
        (["--from", "1s", "--section", "holds"], "the log ends at "),
    ],
)
def test_what_is_no_window_is_refused(
    hang: tuple[Command, str], args: list[str], sentence: str
) -> None:
    """Exit 2, with the reason, nothing on stdout."""
    gorun_mem, script = hang
    gorun_mem("run", script, "--set", "rounds=3", "--log", "w.jsonl")
    said = gorun_mem("report", "w.jsonl", *args)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err


def test_a_difference_marks_lower_bounds(hang: tuple[Command, str]) -> None:
    """Beside a run that ended, what a run that hangs waits is shown as a lower bound."""
    gorun_mem, script = hang
    gorun_mem("run", script, "--set", "rounds=3", "--log", "a.jsonl")
    gorun_mem("run", script, "--steps-max", "5000", "--log", "b.jsonl")
    said = gorun_mem("diff", "a.jsonl", "b.jsonl", "--fail-on", "lock.L.wait_ns.max>+1000%")
    assert said.code == 1
    assert ">= " in said.out
    document = gorun_mem("diff", "a.jsonl", "b.jsonl", "--json").document
    row = next(row for row in document["rows"] if row["name"] == "L: wait")
    assert row["at_least"] == {"a": False, "b": True}
    assert (document["a"]["at_least"], bool(document["b"]["at_least"])) == ([], True)
