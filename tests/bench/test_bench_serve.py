"""What browsers cost the service: the measurement itself."""

from __future__ import annotations

from pathlib import Path

from gorun_mem.bench import serve


def test_the_row_of_browsers_is_measured(tmp_path: Path) -> None:
    """32 pages' streams are open and read while 64 clients call; nobody is refused."""
    row = serve._browsers(tmp_path, 1, 0.3)
    assert row.figure > 0
    assert row.peer_figure is not None
    assert row.ratio == row.figure / row.peer_figure
    assert row.target == "at least 0.9 of those without browsers"
