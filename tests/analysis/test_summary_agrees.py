"""The summary of a run and the full pass over its log: counted apart, and the same."""

from __future__ import annotations

import io

import pytest

from gorun_mem.analysis.summary import Summary
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.events import read_events
from gorun_mem.events.methods import LogLevel
from gorun_mem.report.terminal import render
from tests.analysis.make_logs import toy_log


@pytest.mark.parametrize("level", ["debug", "canonical"])
@pytest.mark.parametrize("seed", range(6))
def test_the_analysis_says_the_same(seed: int, level: LogLevel) -> None:
    """What comes of the full pass over a log are the very metrics of the summary, and its waits."""
    log = toy_log(seed, level, steps=1500)
    found, summary = LogAnalysis.read(io.BytesIO(log)), Summary.of(read_events(io.BytesIO(log)))
    assert found.metrics == summary.metrics()
    assert list(found.summary.slowest) == list(summary.slowest)
    assert render(found.summary) == render(summary)
    for name, lock in found.contention.locks.items():
        if lock.detail == "full":
            queue = summary.locks[name].queue
            assert lock.queue.max == queue.queue_depth_max
            assert (lock.bypasses_max, lock.convoys) == (queue.bypasses_max, queue.convoys)
            assert lock.busy_periods == queue.busy_periods
            for longest, figures in (
                (lock.convoys_longest, queue[3:5]), (lock.busy_longest, queue[6:]),
            ):  # fmt: skip
                found_longest = [(one.length_ns, one.acquisitions) for one in longest[:1]]
                assert found_longest == [figures] * (figures != (0, 0))
