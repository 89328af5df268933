"""Lessons: the smallest programs with the bugs that concurrent allocators and locks have.

Each is a scenario of its own, with the bug, or without it by `--set fixed=true`:

    gorun-mem scenarios --lessons
    gorun-mem explore lessons/lost_wakeup
    gorun-mem explore lessons/lost_wakeup --set fixed=true

The programs are in gorun_mem/explore/kernels, some dozen lines each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gorun_mem import World
from gorun_mem.explore.kernels import KERNELS, Kernel
from gorun_mem.machine.config import Config
from gorun_mem.machine.scenario import Scenario


def _lesson(name: str, kernel: Kernel) -> Scenario:
    def configure(config: Config, options: Mapping[str, Any]) -> Config:
        twin = kernel.fixed_config
        if twin is None or not options["fixed"]:
            return config
        return config.but(release=twin.release)

    async def lesson(world: World, *, fixed: bool = False) -> None:
        await (kernel.fixed if fixed else kernel.program)(world)

    lesson.__name__ = lesson.__qualname__ = name
    lesson.__doc__ = (
        f"{kernel.shows[0].upper()}{kernel.shows[1:]}.\n\n"
        f"In the failing schedule, look for {kernel.look_for}.\n\nKnown from: {kernel.source}."
    )
    return Scenario(lesson, kernel.config, configure)


_names = {kernel.lesson or name.replace("-", "_"): kernel for name, kernel in KERNELS.items()}
globals().update({name: _lesson(name, kernel) for name, kernel in _names.items()})
