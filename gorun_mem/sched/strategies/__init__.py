"""Who goes next: one file a strategy.

STRATEGIES need a seed only. "replay" needs a schedule as well. SEARCHING draw or count off one run
after another, and so belong to `gorun_mem.explore`, which makes them.
"""

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
}
STRATEGIES: Final = tuple(_FACTORIES)
"""What a run takes by name."""
REPLAY: Final = "replay"
SEARCHING: Final = ("random", "pct", "pos", "urw", "surw", "dfs", "exhaustive")
"""What a search takes by name."""


class UnknownStrategy(ValueError):
    """No strategy of that name; the message lists what there is."""


def make_strategy(name: str, seed: int, schedule: str = "") -> Strategy:
    """The strategy called `name`, its choices drawn from `seed`.

    Args:
        name: one of STRATEGIES, or REPLAY.
        seed: of its choices.
        schedule: the token that "replay" follows.

    Raises:
        UnknownStrategy: there is none of that name.
        ScheduleError: the token cannot be used.
    """
    if name == REPLAY:
        from gorun_mem.sched.schedule import load
        from gorun_mem.sched.strategies.replay import Replay

        return Replay(load(schedule))
    if name not in _FACTORIES:
        raise UnknownStrategy(f"no strategy {name!r}: {_hint(name)}")
    module = import_module(f"{__name__}.{name}")
    factory = getattr(module, _FACTORIES[name])
    strategy: Strategy = factory(seed)
    return strategy


def _hint(name: str) -> str:
    if name in SEARCHING:
        return f"it searches schedules: gorun-mem explore SCENARIO --strategy {name}"
    near = difflib.get_close_matches(name, STRATEGIES, n=1, cutoff=0.3)
    did_you = f"did you mean {near[0]}? " if near else ""
    return f"{did_you}the strategies are {', '.join(STRATEGIES)}"
