"""Who goes next: one file a strategy, called as it is asked for, and `STRATEGIES`, which has them.

A strategy for runs is made with a seed and used once. One for searches is used for one run after
another (`searching.Searching`); it draws each schedule anew, or counts off the tree of them. `auto`
is no strategy but what `gorun_mem.explore` makes of several, and `replay` needs a schedule besides.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Final

from gorun_mem._near import no_such
from gorun_mem.runtime.by_file import ByFile
from gorun_mem.step.strategies.entry import Said, read

if TYPE_CHECKING:
    from gorun_mem.step.engine import Strategy
    from gorun_mem.step.strategies.entry import StrategyEntry
    from gorun_mem.step.strategies.searching import Searching


def _entry_in(name: str, module: ModuleType) -> StrategyEntry | None:
    """What a module says of its strategy; None where the module only helps."""
    found: StrategyEntry | None = getattr(module, "STRATEGY", None)
    return found


STRATEGIES: Final = ByFile(__name__, _entry_in, lambda name: r"^STRATEGY\b")
"""Every strategy, by name: what its file says of it."""


@cache
def _said() -> dict[str, Said]:
    """Name -> what a file says of its strategy, read where it stands: imported, they cost 80 ms."""
    found: dict[str, Said] = {}
    for name, text in STRATEGIES.texts():
        said = read(text) if text is not None else None
        if said is not None:
            found[name] = said
        elif name in STRATEGIES:
            found[name] = Said.of(STRATEGIES[name])
    return found


@cache
def for_runs() -> tuple[str, ...]:
    """What a run takes by name."""
    return tuple(name for name, said in _said().items() if said.run)


@cache
def drawing() -> tuple[str, ...]:
    """What a search draws schedules by."""
    return tuple(name for name, said in _said().items() if said.search and not said.tree)


@cache
def trees() -> tuple[str, ...]:
    """What a search counts schedules off by."""
    return tuple(name for name, said in _said().items() if said.tree)


def for_searches() -> tuple[str, ...]:
    """What a search takes by name."""
    return ("auto", *drawing(), *trees())


def is_tree(name: str) -> bool:
    """Whether the strategy called `name` counts off all schedules."""
    return name in STRATEGIES and STRATEGIES[name].tree


REPLAY: Final = "replay"


class UnknownStrategy(ValueError):
    """No strategy of that name; the message lists what there is."""


def make_strategy(name: str, seed: int, schedule: str = "") -> Strategy:
    """The strategy for a run that is called `name`, its choices drawn from `seed`.

    Args:
        name: one of `for_runs()`, or REPLAY.
        seed: of its choices.
        schedule: the token that "replay" follows.

    Raises:
        UnknownStrategy: there is none of that name.
        ScheduleError: the token cannot be used.
    """
    if name == REPLAY:
        from gorun_mem.step.schedule import load
        from gorun_mem.step.strategies.replay import Replay

        return Replay(load(schedule))
    make = STRATEGIES[name].run if name in STRATEGIES else None
    if make is None:
        raise UnknownStrategy(_unknown(name))
    return make(seed)


def searching_class(name: str) -> type[Searching]:
    """The class of the strategy for searches that is called `name`; it has one."""
    found = STRATEGIES[name].search
    assert found is not None
    return found


ALIASES: Final = {"dpor": "exhaustive", "all": "exhaustive", "bfs": "dfs"}
"""What somebody may call a strategy for searches -> its name."""


def _unknown(name: str) -> str:
    meant = ALIASES.get(name, name)
    searches = f"it searches schedules: gorun-mem explore SCENARIO --strategy {meant};"
    hint = searches if meant in for_searches() else ""
    return no_such("strategy", name, for_runs(), cutoff=0.3, hint=hint, there="those of a run are")
