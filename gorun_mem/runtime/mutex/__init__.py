"""The runtime mutexes, by name and by Go release.

Which of them a platform has: js/wasm and wasip1/wasm a flag (single.py); Plan 9 a list of sleeping
Ms behind semaphores (sema.py) up to 1.23 and the spinbit mutex (spinbit.py) from 1.24. Linux has
the futex mutex (futex.py) up to 1.23; here it is for comparison. `queue` and `none` are in no
release; nor is ChoiceMutex (choice.py), which searches of schedules use and `make` does not know.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Final

from gorun_mem.runtime.behaviour import Release
from gorun_mem.runtime.behaviour import release as find_release
from gorun_mem.runtime.mutex.base import Holder, LockOp, Mutex, UnlockOp, Waiter
from gorun_mem.runtime.mutex.machine import MutexOp
from gorun_mem.runtime.mutex.rank import LEAF, RankChecks, RankMode, check_rank_name
from gorun_mem.runtime.mutex.statistics import BusyPeriod, Distribution, LockStatistics, Share

if TYPE_CHECKING:
    from gorun_mem.runtime.sink import Sink

__all__ = [
    "LEAF",
    "MUTEXES",
    "BusyPeriod",
    "Distribution",
    "Holder",
    "LockOp",
    "LockStatistics",
    "Mutex",
    "MutexOp",
    "RankMode",
    "Share",
    "UnknownMutex",
    "UnlockOp",
    "Waiter",
    "default_mutex",
    "make",
]

_FACTORIES: Final = {
    "js": ("single", "JsMutex"),
    "wasip1": ("single", "Wasip1Mutex"),
    "sema": ("sema", "SemaMutex"),
    "futex": ("futex", "FutexMutex"),
    "spinbit": ("spinbit", "SpinbitMutex"),
    "queue": ("queue", "QueueMutex"),
    "none": ("none", "NoMutex"),
}

MUTEXES: Final = tuple(_FACTORIES)
"""Every mutex that `make` knows."""


class UnknownMutex(ValueError):
    """No mutex of that name; the message lists what there is."""


def default_mutex(release: str | Release, platform: str, ms: int = 1) -> str:
    """The mutex that `release` has on `platform`.

    More than one M on wasm is a what-if: then what Plan 9 has in that release.

    Args:
        release: such as "go1.24.3".
        platform: such as "js/wasm".
        ms: how many Ms there are.

    Raises:
        UnknownRelease: there is no such release, or no such platform in it.
    """
    known = find_release(release) if isinstance(release, str) else release
    goos = known.platform(platform).goos
    if goos in ("js", "wasip1") and ms <= 1:
        return goos
    return known.behaviour.mutex


def make(
    name: str,
    release: str | Release,
    *,
    lock_name: str = "memlock",
    rank: str = LEAF,
    sink: Sink | None = None,
    rank_checks: RankMode = "off",
    profile_rate: int = 0,
    spurious: bool = False,
) -> Mutex:
    """A mutex.

    Args:
        name: one of MUTEXES.
        release: whose version of it; also in releases that do not have this mutex.
        lock_name: the lock's name in the log.
        rank: the lock's rank by the name that lockrank.go gives it; LEAF for one without.
        sink: where events go.
        rank_checks: "off" as in an ordinary build of Go, "report" to log a violation, "throw" as
            a build with GOEXPERIMENT=staticlockranking does.
        profile_rate: 1 in how many unlocks is sampled for the mutex profile, 0 for none, which is
            Go's default (runtime.SetMutexProfileFraction); changes spinbit's unlock from 1.25.
        spurious: a sleep on a futex may end at once, as the kernel is free to do.

    Raises:
        UnknownMutex: there is no mutex called `name`.
        UnknownRank: there is no rank called `rank`.
        UnknownRelease: there is no such release.
    """
    if name not in _FACTORIES:
        near = difflib.get_close_matches(name, MUTEXES, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UnknownMutex(f"no mutex {name!r}: {hint}the mutexes are {', '.join(MUTEXES)}")
    known = find_release(release) if isinstance(release, str) else release
    check_rank_name(rank)
    ranks = None if rank_checks == "off" else RankChecks(rank_checks, known.behaviour.lock_ranks)
    module, factory = _FACTORIES[name]
    cls: type[Mutex] = getattr(import_module(f"{__name__}.{module}"), factory)
    mutex = cls(lock_name, rank, sink, locks_delta=known.behaviour.locks_delta, ranks=ranks)
    mutex.configure(known.behaviour, profile_rate=profile_rate, spurious=spurious)
    return mutex
