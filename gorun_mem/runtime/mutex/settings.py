"""What a mutex is made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gorun_mem.runtime.behaviour import NEWEST_BEHAVIOUR, Behaviour
from gorun_mem.runtime.mutex.rank import LEAF

if TYPE_CHECKING:
    from gorun_mem.runtime.mutex.rank import RankChecks
    from gorun_mem.runtime.sink import Sink


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSettings:
    """What a mutex is made with, its name aside.

    Args:
        behaviour: of the Go release; the newest's where not given.
        rank: its rank's name in `rank.py`; LEAF is what Go gives a lock that has none.
        ranks: checks the order of locks, None for no check as in an ordinary build of Go.
        sink: where events go, None for nowhere.
        profile_rate: 1 in how many unlocks is sampled for the mutex profile, 0 for none.
        spurious: a sleep on a futex may end at once.
    """

    behaviour: Behaviour = NEWEST_BEHAVIOUR
    rank: str = LEAF
    ranks: RankChecks | None = None
    sink: Sink | None = None
    profile_rate: int = 0
    spurious: bool = False


USUAL: Final = LockSettings()
