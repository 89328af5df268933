"""Measuring this machine's primitives, and the cost table that is made of them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gorun_mem.bench import machine, run_bench
from gorun_mem.bench.machine import SHOWN, as_costs, as_toml
from gorun_mem.cli.bench import command
from gorun_mem.step.costs import DEFAULT_NS, CostTable

HAS_COMPILER = sys.platform == "linux" and any(map(shutil.which, ("cc", "gcc", "clang")))


@pytest.mark.skipif(not HAS_COMPILER, reason="the C program needs Linux and a compiler")
def test_the_program_measures_and_the_table_can_be_used(tmp_path: Path) -> None:
    """What one CPU can show is there, plausible, and in a file that `--costs` takes."""
    path = tmp_path / "mine.toml"
    done = CliRunner().invoke(command, ["machine", "--json", "-o", str(path)])
    assert done.exit_code == 0
    rows = {row["name"]: row for row in json.loads(done.stdout)["benches"]["machine"]}
    assert list(rows) == list(SHOWN)
    table = CostTable.find(str(path))
    for kind in ("atomic.cas", "atomic.xchg", "procyield", "osyield", "futex.look", "page.touch"):
        assert rows[kind]["peer"] == "server-16"
        assert rows[kind]["peer_figure"] == DEFAULT_NS[kind]
        assert table.ns[kind] == rows[kind]["figure"]
    assert 0.5 < table.ns["atomic.cas"] < 1000
    assert 50 < table.ns["futex.look"] < 100_000


def test_without_a_compiler_python_measures_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each row says what was not measured, and why."""
    monkeypatch.setattr(machine, "_compiler", lambda: "")
    rows = {row.name: row for row in run_bench("machine")}
    assert rows["page.touch"].peer == "server-16"
    assert 10 < rows["page.touch"].figure < 1e6
    assert rows["atomic.cas"].figure == DEFAULT_NS["atomic.cas"]
    assert "not measured (by Python; it needs" in rows["atomic.cas"].peer


def test_a_program_that_fails_is_no_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A compiler that cannot compile it: Python measures what it can, and says so."""
    if sys.platform != "linux":
        pytest.skip("the program is tried on Linux only")
    monkeypatch.setattr(machine, "_compiler", lambda: "false")
    raw, how = machine.measure()
    assert "page.touch" in raw
    assert "the C program failed" in how


def test_what_server_16_measured_comes_to_its_table() -> None:
    """Its primitives, as the program would print them, give about the figures of the table."""
    found = as_costs(
        {
            "line.fetch": 73.0, "additions.in.a.row": 2.06, "atomic.add": 7.3, "wake.p10": 4675.0,
            "wake.p50": 4919.0, "wake.p90": 6045.0, "wake.call.p50": 1400.0, "futexwakeup": 170.0,
            "clear.mib": 24_100.0,
        }
    )  # fmt: skip
    for kind in ("line.fetch", "line.keep", "wake", "wake.least", "wake.call", "clear"):
        assert found[kind] == pytest.approx(DEFAULT_NS[kind], rel=0.05)
    assert "line.keep" not in as_costs({"additions.in.a.row": 1e5, "atomic.add": 7.0})
    assert CostTable(found).ns == found
    assert '"line.fetch" = 83.95' in as_toml(found, "by hand")


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    """With the name."""
    done = CliRunner().invoke(command, ["machine", "-o", str(tmp_path / "no" / "mine.toml")])
    assert done.exit_code == 2
    assert "mine.toml" in done.stderr
