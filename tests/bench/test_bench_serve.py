"""What browsers cost the service: the measurement itself."""

from __future__ import annotations

from pathlib import Path

from gorun_mem.bench import serve


def test_the_row_of_browsers_is_measured(tmp_path: Path) -> None:
    """32 pages' streams are open and read while 64 clients call; nobody is refused."""
    calls, cpu = serve._browsers(tmp_path, 1, 0.3)
    assert calls.figure > 0
    assert calls.peer_figure is not None
    assert calls.ratio == calls.figure / calls.peer_figure
    assert cpu.peer_figure is not None
    assert cpu.ratio == cpu.peer_figure / cpu.figure
    for row in (calls, cpu):
        assert row.target == "at least 0.9 of those without browsers"
