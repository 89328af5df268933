"""What `bench contention` says that it counts is what it counts."""

from __future__ import annotations

from functools import wraps
from typing import Any

import pytest
import simpy

from gorun_mem import M
from gorun_mem.bench import contention
from gorun_mem.bench.contention import ALGORITHMS, Case, contend, simpy_events
from gorun_mem.runtime.mutex.futex import FutexLock, FutexUnlock
from gorun_mem.runtime.mutex.machine import states_of
from gorun_mem.runtime.mutex.queue import QueueLock, QueueUnlock
from gorun_mem.runtime.mutex.sema import SemaLock, SemaUnlock
from gorun_mem.runtime.mutex.spinbit import SampledUnlock, SpinbitLock, SpinbitUnlock

OPS = {
    "spinbit": (SpinbitLock, SpinbitUnlock, SampledUnlock),
    "sema": (SemaLock, SemaUnlock),
    "futex": (FutexLock, FutexUnlock),
    "queue": (QueueLock, QueueUnlock),
}


@pytest.mark.parametrize("mutex", ALGORITHMS)
@pytest.mark.parametrize("ms", [1, 4, 16])
def test_lock_steps_are_those_of_the_state_machine(
    monkeypatch: pytest.MonkeyPatch, mutex: str, ms: Any
) -> None:
    """As many lock steps are counted as states of lock and unlock have been run."""
    made = []

    def counting(method: Any) -> Any:
        @wraps(method)
        def state(op: Any, m: M) -> Any:
            made.append(method.__name__)
            return method(op, m)

        return state

    for kind in OPS[mutex]:
        states = states_of(kind)
        for name, (pc, method, *access) in states.items():
            monkeypatch.setitem(states, name, (pc, counting(method), *access))
    steps = contend(Case(mutex, ms, 4), 160)
    assert steps.lock == len(made)
    assert steps.all > steps.lock >= 2 * 160


@pytest.mark.parametrize("ms", [1, 4, 64])
def test_simpy_events_are_those_it_processes(monkeypatch: pytest.MonkeyPatch, ms: Any) -> None:
    """SimPy has processed as many events as are said: all that its `step` does not find empty."""
    processed = []
    step = simpy.Environment.step

    def counted(env: Any) -> None:
        step(env)
        processed.append(env)

    monkeypatch.setattr(simpy.Environment, "step", counted)
    assert simpy_events(ms, 640) == len(processed)


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each case has both rates, and each algorithm says how a step's cost grows."""
    monkeypatch.setattr(contention, "ROUNDS", 4 * 64)
    monkeypatch.setattr(contention, "MS", (2, 8))
    rows = contention.run(quick=True)
    assert len(rows) == 4 * 2 * 2 * 2 + 4 * 2
    for lock, every in zip(rows[0:-8:2], rows[1:-8:2], strict=True):
        assert 0 < lock.figure < every.figure
        assert every.peer_figure is not None
        assert every.ratio == pytest.approx(every.figure / every.peer_figure)
    assert all(row.unit == "times" and row.figure > 0 for row in rows[-8:])


def test_rows_without_simpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SimPy is not installed there are our figures, and no verdict on the ratio."""
    monkeypatch.setattr(contention, "ROUNDS", 4 * 8)
    monkeypatch.setattr(contention, "MS", (2, 4))
    monkeypatch.setattr(contention, "find_spec", lambda name: None)
    rows = contention.run(quick=True)
    assert [row.ok for row in rows[1:-8:2]] == [None] * 16
    assert all(row.figure > 0 for row in rows)
