"""What browsers cost the service: the measurement itself."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_without_the_page_browsers_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Starlette comes with an extra."""
    monkeypatch.setattr(serve, "CLIENTS", (1,))
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    assert [row.name.partition(":")[0] for row in serve.run(quick=True)] == ["1 client"] * 5
    assert "pip install 'gorun-mem[web]'" in capsys.readouterr().err
