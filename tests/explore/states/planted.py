"""What a test gives to the search of states, and what it compares with."""

from __future__ import annotations

from typing import Any

from gorun_mem.explore.states.examine import Examination, Examined, Reductions
from gorun_mem.explore.states.locks import LockModel
from gorun_mem.explore.states.values import Place
from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.mutex.spinbit import LOW_LATENCY

NONE = Reductions(local=False, dead=False, symmetry=False)
"""No state is taken for another."""


def lock_model(
    cls: type[StateMutex],
    ms: int,
    *,
    cpus: int = 4,
    minor: int = 24,
    low_latency: bool = False,
    **config: Any,
) -> LockModel:
    """A model of a lock.

    Args:
        cls: its class.
        ms: how many Ms.
        cpus: 1 turns spinning off.
        minor: the Go release, 24 for 1.24.
        low_latency: as `sched.lock` is.
        config: other settings of a lock.
    """
    settings = LockSettings(behaviour=release(f"go1.{minor}").behaviour, **config)
    name = LOW_LATENCY if low_latency else "memlock"
    return LockModel(cls, settings, ms=ms, cpus=cpus, lock_name=name)


def exhaust(
    cls: type[StateMutex],
    ms: int,
    pairs: int,
    *,
    reductions: Reductions | None = None,
    collect: bool = False,
    **config: Any,
) -> Examined:
    """Search a lock's states.

    Args:
        cls: the lock's class.
        ms: how many Ms.
        pairs: how often each locks and unlocks.
        reductions: which are used; all if None.
        collect: note all that is wrong.
        config: as `lock_model` takes it.
    """
    model = lock_model(cls, ms, **config)
    return Examination(model, pairs, reductions=reductions, collect=collect).run()


def ends_of(found: Examined) -> set[tuple[object, ...]]:
    """What is shared in the states that nothing follows, in every numbering of the Ms, written as
    the plain search of `tests.runtime.mutex.mutex_explorer` writes it."""
    search = found.search
    assert search is not None
    space = search.space
    ends = set()
    for end in found.ends:
        for turn in space.turns:
            common = space.of_shared(end, turn)
            key, *sleepers = common.words
            holder = common.monitor[0]
            assert all(isinstance(one, Place) for one in sleepers)
            ends.add(
                (
                    key,
                    holder.at + 1 if holder else 0,
                    tuple([one.at for one in sleepers]),
                    *[(m.parked, m.nextwaitm, m.waitsema, m.asleep) for m in common.ms],
                )
            )
    return ends
