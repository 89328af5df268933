"""The verdict of a search; the one place that decides it and the one that words it.

    exhausted     every schedule was run, or every one within a bound that is named
    survived      the drawn schedules that were asked for were run and none failed; no proof, so
                  the verdict says how many were different and of about how many
    failed        one failed
    inconclusive  a bound was reached, or something was out of control, before the answer

A search through a tree of schedules that ran out of budget or time has no answer, nor has one that
did not find its canary. "Passed" is no verdict: no search can say it.

A verdict holds in a world: what the memory may do, when timers fire, which faults the schedules
choose among, how far runs go. `Facts.world` has it field by field, and the verdict's sentence says
it, whoever shows the sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gorun_mem._notebook import facts, table
from gorun_mem.explore.failure import Failure
from gorun_mem.explore.telling import as_json, plain_account_of
from gorun_mem.explore.words import count

Verdict = Literal["exhausted", "survived", "failed", "inconclusive"]

_EXIT: Final[dict[str, int]] = {"exhausted": 0, "survived": 0, "failed": 1, "inconclusive": 5}
INTERRUPTED_EXIT: Final = 130

MEMORY: Final = {"sc": "sequentially consistent", "tso": "total store order"}
"""What `Config.memory` is called. The one: every load sees the latest store; runs are
interleavings, no store is late or out of order. The other: a store may be late, as from the store
buffers of x86, and so be out of order with later loads of its M."""
TIMERS: Final = "at their virtual time"
"""A sleep ends when its time has come and nobody else is due before; never earlier or later."""

EARLY_TIMERS: Final = "at any moment"
HISTORIES_MAX: Final = 3
"""Objects with a model that a sentence names."""


_FAULTS: Final = {
    "grow": "memory may be refused to grow",
    "spurious": "a sleep on a futex may end by itself",
    "timeout": "a timer may fire at any moment before its time",
    "cancel": "a scope or an M may be cancelled at any moment, once in a run",
}
"""What the faults of `Config` are, in a sentence."""


@dataclass(slots=True)
class Statistics:
    """What a search has counted.

    Args:
        schedules: runs that came to their end, or to a failure.
        walks: random walks before the search, which tell it what the program is like; those that
            are a part of it are counted as schedules instead.
        distinct: how many of these had different decisions.
        states: how many states of the program were seen; 0 where none are told apart.
        redundant: runs that an exhaustive search broke off, for they showed nothing new.
        steps: accesses made.
        seconds: of real time.
        space: about how many schedules there are, from random walks; None where not estimated.
        decisions: the most decisions in one run.
        handovers: kinds of pairs of racing steps that were seen, in sampled runs.
        unfair: runs that reached the bound of steps and ended when chance took over.
        timed: Ms slept for a time: their wakings came at that time only.
        by_strategy: schedules by strategy.
        bypasses: by lock, how often others got it at most while an M waited for it, in those runs
            of `auto` that were looked at for it.
    """

    schedules: int = 0
    walks: int = 0
    distinct: int = 0
    states: int = 0
    redundant: int = 0
    steps: int = 0
    seconds: float = 0.0
    space: float | None = None
    decisions: int = 0
    handovers: int = 0
    unfair: int = 0
    timed: bool = False
    by_strategy: dict[str, int] = field(default_factory=dict)
    bypasses: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Facts:
    """What the verdict is decided by.

    Args:
        tree: the search went through a tree of schedules, rather than drawing them.
        complete: nothing of the tree was left.
        bound: departures from run-to-block up to which the tree was complete; None: no such bound.
        rested: the tree leaves out that an M yields for ever while others could go.
        keeps_time: a timer was set in some schedule of a tree whose steps are taken to commute.
        budget: schedules asked for; None: as many as the time allows.
        time_s: seconds asked for; None: no limit.
        steps_max: bound of steps of a run.
        granularity: "sync" or "access", as in `Config`.
        faults: what may go wrong at the schedule's choice, as in `Config`.
        memory: "sc" or "tso", as in `Config`.
        out_of_budget: the budget was used up.
        out_of_time: the time was.
        out_of_steps: a run of a tree was cut at its bound of steps.
        interrupted: Ctrl-C.
        canary_found: the search found the bug that is planted for it; None: it was not asked.
        uncontrolled: where Ms awaited what no schedule controls, as "file:line", and after ": "
            what to do instead.
        walked_into: a random walk before the search failed, and nothing in the search itself.
        stands_on: what has to hold of the real lock where locks go to any M; "" where they are
            real ones. See `Target.stands_on`.
        histories: the objects whose operations were held against a model.
        by_states: states were visited, in place of schedules: what a detector makes of the way to a
            state it was asked on some ways only.
        by_counts: what the program goes by of what is counted, which is a part of its states then;
            "" where it does not.
        incomparable: why nobody can say which of the program's states are the same; "" where one
            can.
        out_of_states: there are more states than may be kept.
    """

    tree: bool = False
    complete: bool = False
    bound: int | None = None
    rested: bool = False
    keeps_time: bool = False
    budget: int | None = None
    time_s: float | None = None
    steps_max: int = 0
    granularity: str = "sync"
    faults: tuple[str, ...] = ()
    memory: str = "sc"
    out_of_budget: bool = False
    out_of_time: bool = False
    out_of_steps: bool = False
    interrupted: bool = False
    canary_found: bool | None = None
    uncontrolled: tuple[str, ...] = ()
    walked_into: bool = False
    stands_on: str = ""
    histories: tuple[str, ...] = ()
    by_states: bool = False
    by_counts: str = ""
    incomparable: str = ""
    out_of_states: bool = False

    def world(self) -> dict[str, Any]:
        """In what world the verdict holds, as JSON.

        `departures_max` is the number of departures from run-to-block up to which every schedule
        was run, null where there is no such bound; `yields_give_way` says that an M that yields
        lets another go before it goes on; `stands_on` is a command whose verdict has to be good,
        null where nothing was put in another's place.
        """
        bounded = self.bound is not None and self.bound >= 0
        return {
            "memory_model": MEMORY[self.memory],
            "timers": EARLY_TIMERS if "timeout" in self.faults else TIMERS,
            "faults": list(self.faults),
            "granularity": self.granularity,
            "steps_max": self.steps_max,
            "departures_max": self.bound if bounded else None,
            "yields_give_way": self.rested,
            "budget": self.budget,
            "time_s": self.time_s,
            "stands_on": self.stands_on or None,
            "histories": list(self.histories),
            "counts_in_states": self.by_counts or None,
        }

    def in_words(self, unfair: int) -> str:
        """The same as the end of a sentence; budget and bound are said with what was run.

        Args:
            unfair: runs that went on by chance beyond the bound of steps.
        """
        parts = [f"memory is {MEMORY[self.memory]}"]
        parts += [] if "timeout" in self.faults else [f"timers fire {TIMERS}"]
        parts += [_FAULTS.get(fault, f"{fault} may happen") for fault in self.faults]
        if not self.faults:
            parts.append("no fault is injected")
        if self.granularity == "access":
            parts.append("every access of the allocator is a step")
        if self.rested:
            parts.append("an M that yields lets another go")
        if self.by_states:
            parts.append("races and orders of locks are looked for on the ways that were run")
        if self.by_counts:
            parts.append(
                f"counts and times are a part of a state, for the program reads {self.by_counts}"
            )
        if self.stands_on:
            parts.append(
                "a lock goes to any M that waits for it, which stands on what "
                f"`{self.stands_on}` finds of the lock in its place"
            )
        if self.histories:
            shown = ", ".join(self.histories[:HISTORIES_MAX])
            more = len(self.histories) - HISTORIES_MAX
            also = f" and {more:,} more" if more > 0 else ""
            parts.append(f"the operations of {shown}{also} are held against a model")
        on = f" (and as many again in {count(unfair, 'run')}, by chance)" if unfair else ""
        parts.append(f"a run has at most {count(self.steps_max, 'step')}{on}")
        return f"where {_and(parts)}"


@dataclass(frozen=True, slots=True)
class Exploration:
    """A search that has ended.

    Args:
        name: of what was explored.
        strategy: as asked for.
        seed: of everything that was drawn.
        verdict: see the module.
        reason: the verdict in a sentence.
        statistics: what was counted.
        failures: what was found, the first first; one for each signature.
        interrupted: Ctrl-C ended it.
        about: the program and its settings, as in a token.
        world: in what world the verdict holds; see `Facts.world`.
    """

    name: str
    strategy: str
    seed: int
    verdict: Verdict
    reason: str
    statistics: Statistics
    failures: tuple[Failure, ...] = ()
    interrupted: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    world: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """Verdict, reason and world: what is shown of a search, wherever that is."""
        return f"{self.verdict}: {self.reason}"

    @property
    def outcome(self) -> Verdict:
        """The verdict."""
        return self.verdict

    @property
    def ok(self) -> bool:
        """Whether nothing was found and the search answers the question."""
        return self.verdict in ("exhausted", "survived")

    @property
    def failure(self) -> Failure | None:
        """The first failure."""
        return self.failures[0] if self.failures else None

    @property
    def exit_code(self) -> int:
        """What the command line exits with."""
        return INTERRUPTED_EXIT if self.interrupted else _EXIT[self.verdict]

    def _repr_html_(self) -> str:
        """A notebook's view: the verdict, what was counted, each failure."""
        counted = self.statistics
        told = facts(
            f"explore {self.name}",
            [
                ("verdict", self.sentence),
                ("strategy", self.strategy),
                ("seed", str(self.seed)),
                ("schedules", counted.schedules),
                ("different", counted.distinct),
                ("steps", counted.steps),
                ("seconds", counted.seconds),
            ],
        )
        rows = [(str(one.signature), one.text, one.command) for one in self.failures]
        return told + (table("failures", ("what", "how", "replay"), rows) if rows else "")

    def document(self) -> dict[str, Any]:
        """The whole as JSON."""
        counted = self.statistics
        space = counted.space
        return {
            "explore": self.name,
            "verdict": self.verdict,
            "reason": self.reason,
            "world": dict(self.world),
            "strategy": self.strategy,
            "seed": self.seed,
            "interrupted": self.interrupted,
            "about": dict(self.about),
            "schedules": counted.schedules,
            "walks": counted.walks,
            "distinct": counted.distinct,
            "states": counted.states or None,
            "redundant": counted.redundant,
            "steps": counted.steps,
            "seconds": round(counted.seconds, 3),
            "space": None if space is None or space == float("inf") else space,
            "decisions": counted.decisions,
            "handovers": counted.handovers,
            "unfair": counted.unfair,
            "timed": counted.timed,
            "by_strategy": dict(counted.by_strategy),
            "bypasses": dict(counted.bypasses),
            "failures": [as_json(plain_account_of(failure)) for failure in self.failures],
        }


def judge(facts: Facts, statistics: Statistics, failures: int) -> tuple[Verdict, str]:
    """The verdict, and in a sentence why and in what world."""
    verdict, why = _judge(facts, statistics, failures)
    return verdict, f"{why}, {facts.in_words(statistics.unfair)}"


def _judge(facts: Facts, statistics: Statistics, failures: int) -> tuple[Verdict, str]:
    ran = count(statistics.schedules, "schedule")
    if failures and facts.walked_into:
        walks = count(statistics.walks, "random walk")
        rest = f", none in its {ran}" if statistics.schedules else ""
        return "failed", f"{count(failures, 'failure')} in {walks} before the search{rest}"
    if failures:
        return "failed", f"{count(failures, 'failure')} in {ran}{_of(statistics)}"
    doubt = _doubt(facts, ran)
    if doubt:
        return "inconclusive", doubt
    if facts.tree:
        if facts.complete:
            return "exhausted", _complete(facts, statistics, ran)
        return "inconclusive", _unfinished(facts, statistics, ran)
    if facts.out_of_time and facts.budget is not None:
        of = f"{ran} of {facts.budget:,}, {_different(statistics)}"
        return "inconclusive", f"the time was up after {of}; none failed"
    if not statistics.schedules:
        until = " before the time was up" if facts.out_of_time else ""
        return "inconclusive", f"no schedule was run to its end{until}"
    return "survived", _survived(facts, statistics, ran)


def _survived(facts: Facts, statistics: Statistics, ran: str) -> str:
    if statistics.schedules == 1:
        text = f"the one schedule that was run did not fail{_of(statistics)}"
    else:
        text = f"none of {ran} failed, {_different(statistics)}"
    if facts.budget is None and facts.time_s is not None:
        text += f", in the {facts.time_s:g} s asked for"
    return text


def _doubt(facts: Facts, ran: str) -> str:
    """Why no answer can be given whatever was run; "" where one can."""
    if facts.uncontrolled:
        where, _, instead = facts.uncontrolled[0].partition(": ")
        where = ", ".join([where, *(p.partition(": ")[0] for p in facts.uncontrolled[1:])])
        instead = instead or "explore only operations of the World, or run it with --host trio"
        return f"an M awaits what no schedule controls at {where}: {instead}"
    if facts.incomparable:
        return (
            f"the program's states cannot be compared: {facts.incomparable}; search its schedules "
            "with --strategy exhaustive"
        )
    if facts.keeps_time:
        return (
            f"an M waits for a time in some of {ran}, and how long each step takes decides when "
            "that is up: run every order with --strategy dfs, or let the time be up at any moment "
            "with --faults timeout"
        )
    if facts.canary_found is False:
        return "the search did not find the bug that is planted for it, so its silence says nothing"
    if facts.interrupted:
        return f"interrupted after {ran}; none failed"
    return ""


def _complete(facts: Facts, statistics: Statistics, ran: str) -> str:
    if statistics.states:
        states = count(statistics.states, "state")
        return f"{states}: every one that can be reached, and from each the program can end"
    if facts.bound is not None:
        return f"{ran}: every one with at most {count(facts.bound, 'departure')} from run-to-block"
    return f"{ran}: every one that is different"


def _unfinished(facts: Facts, statistics: Statistics, ran: str) -> str:
    if statistics.states:
        ran = f"{count(statistics.states, 'state')} and {ran}"
    if facts.out_of_steps:
        why = "a run reached its bound of steps"
    elif facts.out_of_states:
        why = "there are more states than are kept:"
    elif facts.out_of_time:
        why = "the time was up"
    else:
        why = "the budget was used up"
    within = ""
    if facts.bound is not None and facts.bound >= 0:
        within = f"; every one with at most {count(facts.bound, 'departure')} was run"
    if statistics.redundant:
        ran += f" and {count(statistics.redundant, 'run')} that showed nothing new"
    return f"{why} after {ran}{_of(statistics)}, with others left{within}; none failed"


def _different(statistics: Statistics) -> str:
    return f"{statistics.distinct:,} of them different{_of(statistics)}"


def _of(statistics: Statistics) -> str:
    space = statistics.space
    if space is None:
        return ""
    if space == float("inf"):
        return ", of more than 1e300"
    return f", of about {space:,.0f}" if space < 1e6 else f", of about {space:.0e}"


def _and(parts: Sequence[str]) -> str:
    """Parts of a sentence, put together."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
