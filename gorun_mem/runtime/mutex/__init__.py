"""The runtime mutexes: one file a lock, and `MUTEXES`, which has those that are there.

Which of them a platform has, its class says; which one a release has where there are several Ms,
that release's `Behaviour.mutex`. What the author of a lock calls is in base.py, with an example.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from gorun_mem._near import no_such
from gorun_mem.runtime.behaviour import NEWEST_BEHAVIOUR, Behaviour, Release
from gorun_mem.runtime.behaviour import release as find_release
from gorun_mem.runtime.by_file import ByFile
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, MutexOp, TryLockOp, UnlockOp
from gorun_mem.runtime.mutex.rank import LEAF, RankChecks, RankMode, check_rank_name
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.mutex.statistics import (
    BusySpan,
    Distribution,
    Holder,
    LockStatistics,
    Share,
    Waiter,
)

if TYPE_CHECKING:
    from gorun_mem.runtime.mutex.note import Note
    from gorun_mem.runtime.sink import Sink

__all__ = [
    "LEAF",
    "MUTEXES",
    "NOTES",
    "BusySpan",
    "Distribution",
    "Holder",
    "LockOp",
    "LockSettings",
    "LockStatistics",
    "MutexOp",
    "RankMode",
    "Share",
    "StateMutex",
    "TryLockOp",
    "UnknownMutex",
    "UnlockOp",
    "Waiter",
    "class_of",
    "default_mutex",
    "make",
    "make_note",
]


def _lock_in(name: str, module: ModuleType) -> type[StateMutex] | None:
    """The lock that is called as the module that it is in; None where the module only helps.

    Raises:
        ValueError: it is half of Go's.
    """
    for found in vars(module).values():
        if isinstance(found, type) and issubclass(found, StateMutex) and found.algorithm == name:
            if bool(found.source) is not bool(found.platforms):
                raise ValueError(
                    f"mutex {name}: say both the file of Go's and the platforms, or neither"
                )
            return found
    return None


MUTEXES: Final = ByFile(__name__, _lock_in, lambda name: r'^    algorithm\b[^=\n]*= (?!"")')
"""Every mutex, by name: the class that its file has."""


NOTES: Final = {
    "js": "note:JsNote",
    "wasip1": "note:Wasip1Note",
    "sema": "note_sema:SemaNote",
    "futex": "note_futex:FutexNote",
}
"""The flavours of notes -> "module:Class" in this package; Plan 9 has "sema"."""


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


def class_of(name: str) -> type[StateMutex]:
    """The class of one of MUTEXES.

    Raises:
        UnknownMutex: there is no mutex called `name`.
    """
    if name not in MUTEXES:
        said = no_such("mutex", name, MUTEXES, cutoff=0.3, there="the mutexes are")
        raise UnknownMutex(f"{said}, and FILE.py:Class is one of your own")
    return MUTEXES[name]


def _imported(where: str) -> Any:
    """What "module:Class" of this package names."""
    module, _, cls = where.partition(":")
    return getattr(import_module(f"{__name__}.{module}"), cls)


def make(
    mutex: str | type[StateMutex],
    release: str | Release,
    *,
    lock_name: str = "memlock",
    rank: str = LEAF,
    sink: Sink | None = None,
    rank_checks: RankMode = "off",
    profile_rate: int = 0,
    spurious: bool = False,
) -> StateMutex:
    """A mutex.

    Args:
        mutex: one of MUTEXES, or the class of one.
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
        UnknownMutex: there is no mutex of that name.
        UnknownRank: there is no rank called `rank`.
        UnknownRelease: there is no such release.
    """
    made = class_of(mutex) if isinstance(mutex, str) else mutex
    known = find_release(release) if isinstance(release, str) else release
    check_rank_name(rank)
    ranks = None if rank_checks == "off" else RankChecks(rank_checks, known.behaviour.lock_ranks)
    return made(
        lock_name,
        LockSettings(
            behaviour=known.behaviour,
            rank=rank,
            ranks=ranks,
            sink=sink,
            profile_rate=profile_rate,
            spurious=spurious,
        ),
    )


def make_note(flavour: str, name: str = "note", behaviour: Behaviour = NEWEST_BEHAVIOUR) -> Note:
    """A cleared note.

    Args:
        flavour: one of NOTES.
        name: its name in the log.
        behaviour: of the Go release; the newest's where not given.

    Raises:
        ValueError: there is no such flavour.
    """
    if flavour not in NOTES:
        raise ValueError(no_such("note flavour", flavour, NOTES, cutoff=0.3))
    made: type[Note] = _imported(NOTES[flavour])
    return made(name, behaviour)
