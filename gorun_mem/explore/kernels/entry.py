"""What a kernel's file says of each of its kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gorun_mem.explore.target import Main, Target
from gorun_mem.machine.config import Config

_TWO_MS: Final = Config(ms=2)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel.

    Args:
        number: from 1 on, without gaps; several of one idea share it.
        name: what it is asked for by.
        program: with the bug.
        fixed: the twin.
        shows: what goes wrong.
        look_for: what to look for in the failing schedule.
        source: where the bug is known from.
        kind: of the failure's signature.
        sees: name of the detector without which nothing fails, "" for none.
        config: settings of the program.
        fixed_config: settings of the twin, where they differ.
        lesson: the name of its lesson, where that is not its own with "_" for "-".
    """

    number: int
    name: str
    program: Main
    fixed: Main
    shows: str
    look_for: str
    source: str
    kind: str
    sees: str = ""
    config: Config = _TWO_MS
    fixed_config: Config | None = None
    lesson: str = ""

    def target(self) -> Target:
        """The program, to be explored."""
        return Target.of(self.program, self.config)

    def twin(self) -> Target:
        """The program without the bug."""
        return Target.of(self.fixed, self.fixed_config or self.config)
