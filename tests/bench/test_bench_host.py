"""The bench of the hosts."""

from __future__ import annotations

from gorun_mem.bench import run_bench


def test_it_measures_what_it_says() -> None:
    """A switch, logging off and start-up are measured beside their peers."""
    rows = run_bench("host", quick=True)
    assert [row.name for row in rows] == [
        "switch between Ms, trio host",
        "switch between Ms, trampoline",
        "a call with logging off",
        "gorun-mem --help",
    ]
    assert all(row.figure > 0 and row.peer_figure for row in rows)
