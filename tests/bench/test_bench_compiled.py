"""What `bench compiled` leaves out, and what it says where it cannot measure."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from gorun_mem.bench import compiled

A, B, C, D = (f"gorun_mem/{name}.py" for name in ("step/a", "step/b", "explore/c", "explore/d"))
MODULES = [A, B, C, D]
CALLS = {
    "x": {"gorun_mem.step.a": 900, "gorun_mem.step.b": 100, "gorun_mem.explore.c": 1},
    "y": {"gorun_mem.explore.c": 500, "gorun_mem.explore.d": 500, "gorun_mem.step.b": 1},
    "z": {"gorun_mem.explore.d": 100},
}
"""What loads call: x runs a and b, y runs c and d, z runs d; one call of thousands is none."""


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was left out of each build; builds and measurements are given. B cannot be left out;
    without A the load x takes three times as long, without C and D they are as they were."""
    out: list[list[str]] = []

    def build(folder: Path, wanted: Sequence[str]) -> Path:
        out.append([one for one in MODULES if one not in wanted])
        if B in out[-1]:
            raise compiled.CannotBuild("b is a base")
        return folder

    def loads(folder: Path, *wanted: str) -> dict[str, object]:
        if wanted == ("--touches",):
            return dict(CALLS)
        slow = folder.name == "pure" or (folder.name == "without" and A in out[-1])
        return {load: (3.0 if slow and load == "x" else 1.0) for load in wanted}

    monkeypatch.setattr(compiled, "LOADS", dict.fromkeys(CALLS))
    monkeypatch.setattr(compiled, "_modules", lambda: MODULES)
    monkeypatch.setattr(compiled, "_bases", lambda modules: {B} & set(modules))
    monkeypatch.setattr(compiled, "_copy", lambda folder: folder)
    monkeypatch.setattr(compiled, "_build", build)
    monkeypatch.setattr(compiled, "_loads", loads)
    return out


def test_each_module_is_left_out_once(
    built: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A row for the whole and one a module: what is without it over what is with it, by the load
    that gains most, told at once. A build leaves out modules of which no load runs two, and a base
    of others alone; that it cannot be left out is its row."""
    rows = {row.name: row for row in compiled.run()}
    whole = rows["all 4 modules"]
    assert (whole.ratio, whole.ok, whole.unit) == (3.0, True, "s, x")
    assert (rows[A].ratio, rows[A].ok, rows[A].unit) == (3.0, True, "s, x")
    assert (rows[C].ratio, rows[C].ok, rows[C].unit) == (1.0, False, "s, y")
    assert (rows[D].ratio, rows[D].ok) == (1.0, False)
    assert (rows[B].ok, rows[B].peer) == (None, "not measured: cannot be left out: b is a base")
    assert built == [[], [A, D], [C], [B]]
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == list(rows)


def test_folders_are_left_out(built: list[list[str]]) -> None:
    """`--quick` leaves out what lies in one folder."""
    rows = compiled.run(quick=True)
    assert {row.name for row in rows[1:]} == {"gorun_mem/step/ (2)", "gorun_mem/explore/ (2)"}
    assert built == [[], [C, D], [A, B]]


def test_a_build_that_fails_is_tried_in_halves(
    built: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that nobody knew to be a base costs the others of its build nothing."""
    monkeypatch.setattr(compiled, "_bases", lambda modules: set())
    rows = {row.name: row for row in compiled.run()}
    assert built == [[], [A, D], [B, C], [B], [C]]
    assert [rows[name].ok for name in MODULES] == [True, None, False, False]


def test_bases_are_seen() -> None:
    """A class of one module that derives from a class of another makes that one a base."""
    lock, base, book = (f"gorun_mem/runtime/mutex/{one}.py" for one in ("sema", "base", "book"))
    assert compiled._bases([lock, base, book]) == {base}
    assert compiled._bases([lock, book]) == set()


def test_a_load_that_fails_costs_no_other_row(
    built: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a build answers wrongly is a row that says so."""
    loads = compiled._loads

    def fails(folder: Path, *wanted: str) -> dict[str, object]:
        if folder.name == "without" and A not in built[-1]:
            raise subprocess.CalledProcessError(1, "python", stderr="Traceback\nTypeError: no\n")
        return loads(folder, *wanted)

    monkeypatch.setattr(compiled, "_loads", fails)
    rows = {row.name: row for row in compiled.run()}
    assert (rows[A].ok, rows[C].peer) == (True, "not measured: TypeError: no")


def test_without_the_source_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was installed from a wheel has nothing to build."""
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    (row,) = compiled.run()
    assert row.ok is None
    assert "run it in a checkout" in row.peer
