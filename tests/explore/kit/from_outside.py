"""A program of the kit that other processes find, and which classes of it are run, for a file."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from gorun_mem.machine.world import World
from tests.explore.brute_force import Notes
from tests.explore.kit.classes import BufferedToo, DrawnToo
from tests.explore.kit.programs import Program, drawn, main_of
from tests.explore.kit.test_kit_programs import CLASSES

PROGRAM: Final = "GORUN_MEM_KIT_PROGRAM"
"""The file that says which: the name of its class and its seed, as "several:17"."""
SEEN: Final = "GORUN_MEM_KIT_SEEN"
"""The file that a line goes into for each run."""


@cache
def program_of(said: str) -> Program:
    """The program that is meant."""
    name, _, seed = said.rpartition(":")
    _, kinds, times, _ = CLASSES[name]
    return drawn(int(seed), kinds, times, 3)


def _said() -> str:
    return Path(os.environ[PROGRAM]).read_text()


async def the_program(world: World) -> None:
    """What the file says now."""
    await main_of(program_of(_said()))(world)


class ToFile:
    """A detector that writes the class of each run of an exhaustive search into a file."""

    name = "to.file"
    flushes = True

    def begin(self, world: World) -> None:
        """Not of walks that are drawn before the search."""
        engine: Any = world.engine
        self._searches = getattr(engine.strategy, "exhaustive", False)
        is_tso = world.config.memory == "tso"
        self._notes: Notes = (BufferedToo if is_tso else DrawnToo)(Counter(), set())
        self._notes.begin(world)

    def step(self, *step: Any) -> None:
        """See `Notes`."""
        self._notes.step(*step)

    def end(self, world: World) -> tuple[()]:
        """One line."""
        self._notes.end(world)
        if self._searches:
            with Path(os.environ[SEEN]).open("a") as file:
                file.write(f"{named(self._notes)[0]}\n")
        return ()


def named(notes: Notes) -> list[str]:
    """Short names of classes."""
    return [sha256(repr(one).encode()).hexdigest()[:20] for one in notes.classes]
