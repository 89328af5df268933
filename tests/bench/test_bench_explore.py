"""The benchmark of the search: what it runs is what it says."""

from __future__ import annotations

from gorun_mem.bench import run_bench
from gorun_mem.bench.explore import SHAPES, _drive_bare, atomic_target
from gorun_mem.bench.peers import VERSIONS
from gorun_mem.explore.worker import Worker
from gorun_mem.step.strategies import drawing


def test_each_shape_is_measured_with_random_and_pos() -> None:
    """Two rows a shape, each with its ratio and whether that is enough, and the other peers."""
    rows = run_bench("explore", quick=True)
    bare = [row for row in rows if row.peer == "bare coroutines"]
    assert len(bare) == 2 * len(SHAPES)
    for row in bare:
        assert row.peer_figure is not None
        assert row.ratio is not None
        assert abs(row.ratio - row.figure / row.peer_figure) < 1e-6
        assert row.ok is not None
        assert row.figure > 100
    for peer in VERSIONS:
        assert any(peer in f"{row.peer} {row.name}".replace(":", "").split() for row in rows)


def test_the_program_makes_the_operations_that_are_counted() -> None:
    """Ms x operations steps, and one for each start and the join."""
    for ms, ops, _ in SHAPES[:2]:
        batch = Worker(atomic_target(ms, ops), steps_max=10_000).draw("random", 0, 10)
        assert batch.schedules == 10
        assert batch.steps == 10 * (ms * ops + ms + 1)
    for seeded in (False, True):
        _drive_bare(2, 5, 3, seeded=seeded)


def test_what_detectors_and_many_ms_cost_has_rows() -> None:
    """Three programs with all detectors beside none, and a step with 64 Ms beside one with 2."""
    rows = run_bench("explore", quick=True)
    looking = [row for row in rows if row.peer == "no detector"]
    assert len(looking) == 3
    many = {row.name.rpartition(" ")[2]: row for row in rows if row.name.startswith("a step with")}
    assert set(many) == {"auto", *drawing()}
    for row in (*looking, many["auto"]):
        assert row.ratio is not None
        assert row.target
        assert 0.1 < row.ratio < 10
