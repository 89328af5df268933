"""The registry of benchmarks, its command, and the figures of the event log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from gorun_mem.bench import BENCHES, Row, as_document, best_of, run_bench
from gorun_mem.bench.events import RATIO_MIN
from gorun_mem.cli.bench import command

MET = Row(name="a", figure=1.0, unit="us", target="at most 2 us", ok=True)
MISSED = Row(
    name="b", figure=3.0, unit="us", peer="p", peer_figure=6.0, ratio=2.0, target="x", ok=False
)
JUST_SAID = Row(name="c", figure=3.0, unit="us")


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_is_there(name: str) -> None:
    """Each registered name has a module with a `run`."""
    import importlib

    assert callable(importlib.import_module(BENCHES[name][0]).run)


def test_events_beat_stock_structlog() -> None:
    """A typed event into the sink is several times cheaper than stock structlog's JSON.

    The target is 4 times, and the figure is 8 to 9; a quick run on a busy machine must show 3.
    """
    rows = {(row.name, row.peer): row for row in run_bench("events", quick=True)}
    row = rows["lock.acquire into the sink", "stock structlog JSON"]
    assert row.ratio is not None
    assert row.peer_figure is not None
    assert row.ratio == pytest.approx(row.peer_figure / row.figure)
    assert row.ratio > RATIO_MIN * 3 / 4


@pytest.mark.parametrize(
    ("rows", "code"), [([MET, JUST_SAID], 0), ([MET, MISSED], 1), ([JUST_SAID], 0)]
)
def test_exit_code_says_whether_targets_are_met(
    monkeypatch: pytest.MonkeyPatch, rows: Any, code: Any
) -> None:
    """A missed target is exit 1; a figure without a target cannot miss."""
    monkeypatch.setattr("gorun_mem.cli.bench.run_bench", lambda name, quick: rows)
    result = CliRunner().invoke(command, ["events", "--json"])
    assert result.exit_code == code
    document = json.loads(result.stdout)
    assert document == as_document({"events": rows})
    assert document["ok"] is (code == 0)
    assert document["benches"]["events"][0]["name"] == rows[0].name


def test_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table shows figure, peer, ratio and verdict, in full where there is no terminal; below
    stand words to look up."""
    monkeypatch.setattr("gorun_mem.cli.bench.run_bench", lambda name, quick: [MET, MISSED])
    result = CliRunner().invoke(command, ["events"])
    assert [line.split() for line in result.stdout.splitlines()[2:-1]] == [
        ["a", "1", "us", "at", "most", "2", "us", "met"],
        ["b", "3", "us", "6", "2.00x", "p", "x", "missed"],
    ]


def test_unknown_bench() -> None:
    """A name that does not exist is a usage error that lists those that do."""
    result = CliRunner().invoke(command, ["evnets"])
    assert result.exit_code == 2
    assert "no benchmark 'evnets': did you mean events?" in result.stderr


def test_help_has_an_example() -> None:
    """The help names the benchmarks and shows a command."""
    text = CliRunner().invoke(command, ["--help"]).stdout
    assert "gorun-mem bench events" in text
    for name, (_, what) in BENCHES.items():
        assert name in text
        assert what in text


def test_best_of_takes_turns() -> None:
    """Candidates take turns, each gets the count, and the least time of each is kept."""
    clock = iter([0, 8, 0, 6, 0, 2, 0, 10])
    calls = []
    times = best_of(
        2, 4, lambda n: calls.append(("a", n)), lambda n: calls.append(("b", n)),
        clock=lambda: next(clock),
    )  # fmt: skip
    assert calls == [("a", 4), ("b", 4)] * 2
    assert times == [0.5, 1.5]
