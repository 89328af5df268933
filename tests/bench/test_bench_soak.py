"""A soak of seconds: the same as the one of ten minutes, which `bench soak` is."""

from __future__ import annotations

import os

import pytest

from gorun_mem.bench import BENCHES, names_of
from gorun_mem.bench.soak import STANDSTILL_MAX_S, growth_percent, soak

SECONDS = float(os.environ.get("GORUN_MEM_SOAK_S", "8"))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_a_short_soak() -> None:
    """64 clients that come and go and watchers that stall: no wrong answer, a sound log, exit 0;
    never does all stand still; over a minute or more the server grows no more."""
    one, sizes, code, damage = soak(SECONDS)
    assert one.wrong == []
    assert one.counts["wrong"] == 0
    assert one.counts["requests"] > 500
    assert one.counts["watched"] >= 4
    assert code == 0
    assert damage == ""
    assert one.standstill_s <= STANDSTILL_MAX_S
    if SECONDS >= 60:
        assert growth_percent(sizes) <= 5


def test_growth_is_seen() -> None:
    """Of a server that leaks, and not of one that only warms up."""
    assert growth_percent([10, 20, 100, 100, 100, 100, 100, 101]) < 5
    assert growth_percent([100, 100, 100, 102, 110, 120, 130, 140]) > 20


def test_a_soak_is_run_where_it_is_named() -> None:
    """`bench` alone does not take ten minutes more."""
    assert "soak" in BENCHES
    assert "soak" not in names_of(())
    assert names_of(("soak",)) == ["soak"]
