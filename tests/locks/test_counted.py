"""What is counted of a lock of one's own is what its events come to, figure by figure."""

from __future__ import annotations

import itertools

import pytest

from gorun_mem.machine.config import Config
from tests import ROOT
from tests.analysis.test_statistics_from_events import compare, traced

FOLDER = ROOT / "tests" / "locks"


@pytest.mark.parametrize(
    "name",
    ["ticket.py:TicketLock", "mcs.py:MCSLock", "clh.py:CLHLock", "drepper.py:DrepperLock"],
)
@pytest.mark.parametrize("strategy", ["timing", "random"])
def test_every_figure_equals_the_recomputed_one(
    name: str, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits, holds, shares, bypasses, depths, convoys, handoffs of two locks, one in the other."""
    contended = 0
    for seed, (ms, cpus) in enumerate(itertools.product((2, 5), (1, 4))):
        config = Config(mutex=f"{FOLDER}/{name}", strategy=strategy, seed=seed, ms=ms, cpus=cpus)
        done, trace = traced(monkeypatch, config)
        assert done.outcome.ok, done.outcome.error
        for book in compare(done, trace).values():
            assert not book.waiting
            contended += len(book.contended)
    assert contended > 50


def test_a_run_that_is_cut_off_is_counted_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holds and waits under way count up to the end."""
    waiting = 0
    for seed in range(6):
        config = Config(
            mutex=f"{FOLDER}/drepper.py:DrepperLock", seed=seed, ms=6, cpus=1 + seed % 4
        )
        done, trace = traced(monkeypatch, config, stop_at=10 + 9 * seed)
        assert done.outcome.verdict == "failed"
        for book in compare(done, trace).values():
            waiting += len(book.waiting)
    assert waiting > 2
