"""The states of a whole program, searched: `--strategy states`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final, NoReturn

from gorun_mem.explore.states.program import ProgramContents
from gorun_mem.explore.states.unseen import Counts, UncountedWorld
from gorun_mem.explore.states.values import Unreadable
from gorun_mem.machine.world import World
from gorun_mem.runtime.op import LOOKED_AT
from gorun_mem.step.strategies.searching import Incomparable
from gorun_mem.step.strategies.states import States

STATES_MAX: Final = 1_000_000
"""States that are kept; each takes some 300 bytes."""


class ProgramStates(States):
    """Visits every state of a program of a World's.

    Args:
        by_counts: what the program goes by of what is counted; "" where it does not. Then all that
            is counted is a part of each state.
        states_max: a bound of states.
        contents: the class of what writes the states.
        spins_whole: see `States`; not where the program goes by what is counted.

    Attributes:
        world_class: what the Worlds of the runs are.
    """

    def __init__(
        self,
        by_counts: str = "",
        states_max: int = STATES_MAX,
        contents: type[ProgramContents] = ProgramContents,
        spins_whole: bool = True,
    ) -> None:
        super().__init__(states_max, spins_whole and not by_counts)
        self.by_counts = by_counts
        self.world_class: type[World] = World if by_counts else UncountedWorld
        self._contents = contents(self._tell)
        self._contents.counts = bool(by_counts)
        self._said = ""
        self.source = self._state

    def meet(self, world: World, coros: Mapping[int, Any]) -> None:
        """A run is to begin on `world`; `coros` will be the coroutines of its Ms, by number."""
        self._said = ""
        if isinstance(world, UncountedWorld):
            world.tell = self._tell
            LOOKED_AT.append(self._looked_at)
        self._contents.watch(world, coros)

    def leave(self) -> None:
        """The Ms make no more steps."""
        LOOKED_AT.clear()

    def _state(self) -> Hashable:
        if self._said:  # and the program has caught it
            raise Counts(self._said)
        try:
            return self._contents.state()
        except Unreadable as error:
            raise Incomparable(str(error)) from error

    def _tell(self, what: str) -> NoReturn:
        self._said = self._said or what
        raise Counts(what)

    def _looked_at(self, what: object) -> None:
        self._tell(f"the statistics of {what!r}")
