"""Who goes next: one file a strategy."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gorun_mem.sched.engine import Strategy

_FACTORIES: Final = {
    "round_robin": "RoundRobin",
    "random": "RandomWalk",
    "run_to_block": "RunToBlock",
    "timing": "Timing",
    "replay": "Replay",
}
STRATEGIES: Final = tuple(_FACTORIES)


class UnknownStrategy(ValueError):
    """No strategy of that name; the message lists what there is."""


def make_strategy(name: str, seed: int, schedule: str = "") -> Strategy:
    """The strategy called `name`, its choices drawn from `seed`.

    Args:
        name: one of STRATEGIES.
        seed: of its choices.
        schedule: the token that "replay" follows.

    Raises:
        UnknownStrategy: there is none of that name.
        ScheduleError: the token cannot be used.
    """
    if name not in _FACTORIES:
        near = difflib.get_close_matches(name, STRATEGIES, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UnknownStrategy(
            f"no strategy {name!r}: {hint}the strategies are {', '.join(STRATEGIES)}"
        )
    if name == "replay":
        from gorun_mem.sched.schedule import load
        from gorun_mem.sched.strategies.replay import Replay

        return Replay(load(schedule))
    module = import_module(f"{__name__}.{name}")
    factory = getattr(module, _FACTORIES[name])
    strategy: Strategy = factory(seed)
    return strategy
