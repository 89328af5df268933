"""What `bench compiled` leaves out, and what it says where it cannot measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from gorun_mem.bench import compiled


def test_each_module_is_left_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for the whole and one a module: what is without it over what is with it, by the load
    that gains most; the builds and measurements are given."""
    modules = ["gorun_mem/step/a.py", "gorun_mem/step/b.py", "gorun_mem/explore/c.py"]
    built: list[list[str]] = []

    def build(folder: Path, wanted: list[str]) -> Path | str:
        built.append(wanted)
        return folder if "gorun_mem/step/b.py" in wanted else "b is a base"

    def measure(folder: Path) -> dict[str, float]:
        slow = {"pure": 4.0, "whole": 1.0, "without": 1.2}[folder.name]
        return {"x": slow, "y": 1.0}

    monkeypatch.setattr(compiled, "_modules", lambda: modules)
    monkeypatch.setattr(compiled, "_copy", lambda folder: folder)
    monkeypatch.setattr(compiled, "_build", build)
    monkeypatch.setattr(compiled, "_measure", measure)
    whole, a, b, c = compiled.run()
    assert built == [modules, [modules[1], modules[2]], [modules[0], modules[2]], modules[:2]]
    assert (whole.ratio, whole.ok, whole.unit) == (4.0, True, "s, x")
    assert (a.ratio, a.ok, c.ratio, c.ok) == (1.2, False, 1.2, False)
    assert (b.name, b.ok, b.peer) == ("gorun_mem/step/b.py", None, "not measured: b is a base")
    assert [row.name for row in compiled.run(quick=True)][1:] == [
        "gorun_mem/step/ (2)", "gorun_mem/explore/ (1)",
    ]  # fmt: skip


def test_without_the_source_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was installed from a wheel has nothing to build."""
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    (row,) = compiled.run()
    assert row.ok is None
    assert "run it in a checkout" in row.peer


@pytest.mark.parametrize("load", compiled.LOADS)
def test_each_load_runs(load: str) -> None:
    """They run in a Python of their own; here in this one."""
    compiled.LOADS[load]()
