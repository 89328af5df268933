"""Who goes next: one file a strategy, and `STRATEGIES`, the one list of them.

A strategy for runs is made with a seed and used once. One for searches is used for one run after
another (`searching.Searching`); it draws each schedule anew, or counts off the tree of them. `auto`
is no strategy but what `gorun_mem.explore` makes of several, and `replay` needs a schedule besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from gorun_mem._near import no_such

if TYPE_CHECKING:
    from gorun_mem.step.engine import Strategy
    from gorun_mem.step.strategies.searching import Searching


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyEntry:
    """A strategy as it is asked for by name.

    Args:
        name: what it is asked for by.
        about: what it does, in half a sentence, for help texts.
        source: the paper that it follows, "" for none.
        run: "module:Class" of the one that a run takes, in this package; "" where it has none.
        search: the same of the one that a search takes.
        tree: it counts off all schedules, in place of drawing some.
    """

    name: str
    about: str
    source: str
    run: str
    search: str
    tree: bool

    def __post_init__(self) -> None:
        """Refuse an entry that leads nowhere.

        Raises:
            ValueError: neither a run nor a search can have it.
        """
        if not self.run and not self.search:
            raise ValueError(f"strategy {self.name} has no class: name one for runs or searches")


_PCT: Final = "S. Burckhardt et al., ASPLOS 2010"
_POS: Final = "X. Yuan, J. Yang, R. Gu, CAV 2018"
_SURW: Final = "H. Zhao et al., ASPLOS 2025"
_DFS: Final = "M. Musuvathi, S. Qadeer, PLDI 2007"
_DPOR: Final = "P. Abdulla et al., POPL 2014"
_STATES: Final = "P. Godefroid, LNCS 1032, 1996"

STRATEGIES: Final[dict[str, StrategyEntry]] = {
    entry.name: entry
    for entry in (
        StrategyEntry(
            name="round_robin", about="the enabled Ms in turn", source="",
            run="round_robin:RoundRobin", search="", tree=False,
        ),
        StrategyEntry(
            name="random", about="any enabled M, each as likely", source="",
            run="random:RandomWalk", search="random_walk:SearchingWalk", tree=False,
        ),
        StrategyEntry(
            name="run_to_block", about="the same M until it can go no further", source="",
            run="run_to_block:RunToBlock", search="", tree=False,
        ),
        StrategyEntry(
            name="timing", about="the M whose virtual clock is least", source="",
            run="timing:Timing", search="", tree=False,
        ),
        StrategyEntry(
            name="pct", about="random priorities that change at few steps", source=_PCT,
            run="", search="pct:Pct", tree=False,
        ),
        StrategyEntry(
            name="pos", about="a random priority for every operation", source=_POS,
            run="", search="pos:Pos", tree=False,
        ),
        StrategyEntry(
            name="urw", about="every interleaving about as likely", source=_SURW,
            run="", search="urw:Urw", tree=False,
        ),
        StrategyEntry(
            name="surw", about="every order of the steps on one object about as likely",
            source=_SURW, run="", search="surw:Surw", tree=False,
        ),
        StrategyEntry(
            name="dfs", about="all schedules, by how often an M is preempted", source=_DFS,
            run="", search="dfs:BoundedDfs", tree=True,
        ),
        StrategyEntry(
            name="exhaustive", about="all schedules that differ (DPOR)", source=_DPOR,
            run="", search="exhaustive:Exhaustive", tree=True,
        ),
        StrategyEntry(
            name="states", about="every state of the program, each once", source=_STATES,
            run="", search="states:States", tree=True,
        ),
    )
}  # fmt: skip
"""Every strategy, by name."""
RUNNING: Final = tuple(entry.name for entry in STRATEGIES.values() if entry.run)
"""What a run takes by name."""
DRAWING: Final = tuple(e.name for e in STRATEGIES.values() if e.search and not e.tree)
"""What a search draws schedules by."""
TREES: Final = tuple(entry.name for entry in STRATEGIES.values() if entry.tree)
"""What a search counts schedules off by."""
SEARCHING: Final = ("auto", *DRAWING, *TREES)
"""What a search takes by name."""
REPLAY: Final = "replay"


class UnknownStrategy(ValueError):
    """No strategy of that name; the message lists what there is."""


def make_strategy(name: str, seed: int, schedule: str = "") -> Strategy:
    """The strategy for a run that is called `name`, its choices drawn from `seed`.

    Args:
        name: one of RUNNING, or REPLAY.
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
    if name not in RUNNING:
        raise UnknownStrategy(_unknown(name))
    strategy: Strategy = _class(STRATEGIES[name].run)(seed)
    return strategy


def searching_class(name: str) -> type[Searching]:
    """The class of the strategy for searches that is called `name`, one of DRAWING or TREES."""
    return _class(STRATEGIES[name].search)


def _class(where: str) -> type:
    module, _, name = where.partition(":")
    found: type = getattr(import_module(f"{__name__}.{module}"), name)
    return found


ALIASES: Final = {"dpor": "exhaustive", "all": "exhaustive", "bfs": "dfs"}
"""What somebody may call a strategy for searches -> its name."""


def _unknown(name: str) -> str:
    meant = ALIASES.get(name, name)
    searches = f"it searches schedules: gorun-mem explore SCENARIO --strategy {meant};"
    hint = searches if meant in SEARCHING else ""
    return no_such("strategy", name, RUNNING, cutoff=0.3, hint=hint, there="those of a run are")
