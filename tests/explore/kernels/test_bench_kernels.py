"""`bench kernels`: its figures are of searches that ran, and it tells a bad one from a good one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gorun_mem.bench import kernels as bench
from gorun_mem.explore.kernels import KERNELS


def test_score() -> None:
    """A kernel that most schedules fail is found in a few by every seed."""
    one = bench.score("lost-update", "auto", 3, 200)
    assert one.found == 3
    assert one.median <= 20
    assert one.wrong == ()


def test_missed() -> None:
    """A seed that finds nothing counts as the budget, and the row says missed."""
    one = bench.score("long-way-20", "random", 3, 50)
    assert one.found == 0
    assert one.median == 50
    row = bench._row(replace(one, strategy="auto"), one)
    assert row.ok is False


def test_the_same_again() -> None:
    """The same seeds give the same figures."""
    assert bench.score("ab-ba", "pct", 3, 200) == bench.score("ab-ba", "pct", 3, 200)


def test_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twin has none; a twin that is no better than the kernel has some, and misses the target."""
    assert bench.alarms("wrong-lock", 100) == (100, [])
    broken = replace(KERNELS["wrong-lock"], fixed=KERNELS["wrong-lock"].program)
    monkeypatch.setitem(KERNELS, "wrong-lock", broken)
    _, found = bench.alarms("wrong-lock", 100)
    assert found
    assert bench._twin_row("wrong-lock", 100).ok is False
