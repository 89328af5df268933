"""One load under several settings, over many seeds: what differs, by how much, and is it chance?

    found = compare("memlock_storm", vary={"mutex": ["sema", "spinbit"]}, seeds=20)
    found.contrast("lock_wait_ns.p99", "spinbit").differs

One seed is one load, whatever lock it meets, so by default every side runs the same seeds and what
is tested are the pairs, by Wilcoxon's signed ranks. Where two sides are the same settings the same
seed would be the same run: then, or with `apart`, each side has seeds of its own, as many from
where those of the side before end, and Mann and Whitney's test compares them.

Each side is compared with the first. A difference is one where p, adjusted by Holm's procedure for
all comparisons of the table, is below `alpha`: of 100 tables in which nothing differs one says that
something does. The change is that of the medians, as benchstat has it (golang.org/x/perf), with an
interval by the bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any, Final

from gorun_mem._notebook import table
from gorun_mem.analysis.failon import ChangeExpression
from gorun_mem.analysis.metrics import Expression, ExpressionError, Metric, unknown_metric
from gorun_mem.machine.config import Config, ConfigError
from gorun_mem.machine.library import find
from gorun_mem.machine.scenario import Scenario
from gorun_mem.sweep.runs import Measured, RunJob, measure, measure_of
from gorun_mem.sweep.samples import (
    Interval,
    holm,
    interval,
    least_p,
    median,
    rank_sum,
    signed_rank,
)
from gorun_mem.sweep.spread import Spread, here, over_processes

ALPHA: Final = 0.01
"""How often a table may find a difference where there is none. benchstat has 0.05 for each line of
its own; a comparison that fails a build is made too often for that."""
SEEDS: Final = 20
SIDES_MAX: Final = 64
METRICS_SHOWN: Final = ("time_ns", "lock_wait_ns", "lock_wait_ns.p99", "final_pages")
"""Where no metric is asked for."""
_SETTINGS: Final = frozenset(field.name for field in fields(Config)) - {"seed", "schedule"}


@dataclass(frozen=True, slots=True)
class Side:
    """Settings that are compared with others.

    Args:
        name: what tells it from the other sides.
        settings: fields of `Config` that differ from the scenario's.
        options: the scenario's options.
    """

    name: str
    settings: Mapping[str, Any]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SideRuns:
    """What the runs of a side came to, by seed.

    Args:
        side: its settings.
        seeds: of the runs.
        runs: one a seed.
    """

    side: Side
    seeds: tuple[int, ...]
    runs: tuple[Measured, ...]

    def values(self, metric: str) -> list[Metric]:
        """The metric in each run that ended well."""
        return [run.metrics[metric] for run in self.runs if run.ok]


@dataclass(frozen=True, slots=True)
class Middle:
    """A metric of one side.

    Args:
        values: in the runs that ended well, by seed.
        median: None where no run did.
        within: the median's interval.
    """

    values: tuple[Metric, ...]
    median: Metric | None
    within: Interval | None


@dataclass(frozen=True, slots=True)
class Contrast:
    """A metric of one side beside that of the first.

    Args:
        metric: its name.
        side: the side's name.
        place: of the side among all, from 1.
        change: of the medians, as a fraction of the first side's; None where that is 0.
        within: its interval.
        p: of the test by itself; 1 where no run of a side ended well.
        p_adjusted: among all of the table.
        same: all values are alike, run by run.
        differs: the difference is one.
    """

    metric: str
    side: str
    place: int
    change: float | None
    within: Interval | None
    p: float
    p_adjusted: float
    same: bool
    differs: bool


@dataclass(frozen=True, slots=True)
class ComparedSides:
    """What a comparison found.

    Args:
        scenario: its name.
        sides: their runs; the first is what the others are compared with.
        paired: a seed is the same load on each side, and pairs are what is tested.
        middles: by metric, of each side.
        contrasts: by metric, then by side.
        alpha: below which p is said to be no chance.
    """

    scenario: str
    sides: tuple[SideRuns, ...]
    paired: bool
    middles: Mapping[str, tuple[Middle, ...]]
    contrasts: tuple[Contrast, ...]
    alpha: float

    def _repr_html_(self) -> str:
        """A notebook's view: a table for each metric."""
        head = ("side", "median", "least likely", "most likely", "change %", "p", "differs")
        tables = []
        for metric, middles in self.middles.items():
            rows = []
            for place, (side, middle) in enumerate(zip(self.sides, middles, strict=True)):
                low, high = middle.within or (None, None)
                row: list[object] = [side.side.name, middle.median, low, high]
                if place:
                    of = self.contrast(metric, side.side.name)
                    row += [of.change and round(100 * of.change, 2), of.p_adjusted, of.differs]
                rows.append(row)
            tables.append(table(f"{self.scenario}: {metric}", head, rows))
        return "".join(tables)

    def contrast(self, metric: str, side: str) -> Contrast:
        """One of them.

        Raises:
            KeyError: there is none; the message says which there are.
        """
        for each in self.contrasts:
            if each.metric == metric and each.side == side:
                return each
        there = ", ".join(sorted({f"{each.metric} of {each.side}" for each in self.contrasts}))
        raise KeyError(f"no contrast of {metric} of {side}; there are {there}")

    @property
    def failed_runs(self) -> list[tuple[SideRuns, int, Measured]]:
        """(side, seed, run) of those that did not end well; they are in no figure."""
        return [
            (side, seed, run)
            for side in self.sides
            for seed, run in zip(side.seeds, side.runs, strict=True)
            if not run.ok
        ]

    @property
    def can_tell(self) -> bool:
        """Whether there are enough runs for any difference to count as one."""
        return min(sum(run.ok for run in side.runs) for side in self.sides) >= self.runs_needed

    @property
    def runs_needed(self) -> int:
        """With how many runs on each side a difference that is in all of them counts as one."""
        count, comparisons = 1, max(1, len(self.contrasts))
        while least_p(count, paired=self.paired) * comparisons >= self.alpha:
            count += 1
        return count

    def medians(self, place: int) -> dict[str, Metric]:
        """The medians of a side, by metric."""
        found = {name: middles[place].median for name, middles in self.middles.items()}
        return {name: value for name, value in found.items() if value is not None}

    def holds(self, expression: Expression | ChangeExpression) -> list[str]:
        """The sides but for the first for which an expression of `--fail-on` is true.

        `NAME OP +N%` is of the change of medians, and true only where the difference is one;
        `NAME OP NUMBER` is of the side's median.

        Raises:
            ExpressionError: there is no such metric.
        """
        found = []
        first = self.medians(0)
        for place, side in enumerate(self.sides[1:], 1):
            medians = self.medians(place)
            if not (medians and first):
                continue
            if isinstance(expression, Expression):
                true = expression.holds(medians)
            else:
                true = expression.holds(first, medians) and any(
                    one.differs
                    for one in self.contrasts
                    if one.place == place and one.metric == expression.name
                )
            if true:
                found.append(side.side.name)
        return found


def compare(
    scenario: Scenario | str,
    *,
    vary: Mapping[str, Sequence[Any]],
    fixed: Mapping[str, Any] | None = None,
    metrics: Sequence[str] = (),
    seeds: int = SEEDS,
    seed: int = 0,
    apart: bool = False,
    alpha: float = ALPHA,
    jobs: int = 1,
) -> ComparedSides:
    """Run one load under several settings and say what differs.

    Args:
        scenario: what to run; a name or a path of one.
        vary: by setting of `Config` or option of the scenario, its values; every combination is a
            side, and the others are compared with the first.
        fixed: settings and options that all sides have.
        metrics: names as in `run --json`; METRICS_SHOWN if empty.
        seeds: runs on each side.
        seed: the first of them.
        apart: give each side seeds of its own, and test it as samples without pairs.
        alpha: how often a table may find a difference where there is none.
        jobs: processes to run in; in more than one the scenario is found by its name.

    Raises:
        ConfigError, ScenarioError and their like: settings or options are wrong.
        ExpressionError: there is no such metric.
    """
    found = find(scenario) if isinstance(scenario, str) else scenario
    choices = [[(f"{name}={value}", name, value) for value in vary[name]] for name in vary]
    if len(choices) == 1:
        choices = [[(str(value), name, value) for _, name, value in choices[0]]]
    given = fixed or {}
    sides = [
        Side(
            ", ".join(label for label, _, _ in chosen),
            _of(given, chosen, settings=True),
            _of(given, chosen, settings=False),
        )
        for chosen in product(*choices)
    ]
    return compare_sides(found, sides, metrics=metrics, seeds=seeds, seed=seed, apart=apart,
                         alpha=alpha, spread=_spread_for(found, jobs))  # fmt: skip


def _of(
    given: Mapping[str, Any], chosen: Sequence[tuple[str, str, Any]], *, settings: bool
) -> dict[str, Any]:
    """Of all that a side is made with, the settings or the scenario's options."""
    whole = {**given, **{name: value for _, name, value in chosen}}
    return {name: value for name, value in whole.items() if (name in _SETTINGS) is settings}


def _spread_for(scenario: Scenario, jobs: int) -> Spread | None:
    """Where runs are made; None for here, with the very scenario that was given.

    Raises:
        ConfigError: other processes would find another scenario, or none.
    """
    if jobs <= 1:
        return None
    try:
        again = find(scenario.label)
    except ValueError as error:
        raise ConfigError(f"jobs = {jobs}: other processes look for it by name: {error}") from None
    if again.sha256 != scenario.sha256:
        raise ConfigError(
            f"jobs = {jobs}: the scenario {scenario.label} that other processes find is another "
            "one; put it into a file of its own, or take one job"
        )
    return over_processes(jobs)


def compare_sides(
    scenario: Scenario,
    sides: Sequence[Side],
    *,
    metrics: Sequence[str] = (),
    seeds: int = SEEDS,
    seed: int = 0,
    apart: bool = False,
    alpha: float = ALPHA,
    spread: Spread | None = None,
    progress: Callable[[int], None] | None = None,
) -> ComparedSides:
    """Compare sides that are made already; arguments as those of `compare`.

    Args:
        spread: does the runs, which are found by the scenario's label; None: here, one by one.
        progress: called with the number of runs made since the last call.
    """
    if len(sides) < 2:
        raise ConfigError("one side is nothing to compare: give two or more, as two mutexes")
    if len(sides) > SIDES_MAX:
        raise ConfigError(f"{len(sides)} sides: at most {SIDES_MAX} can be compared")
    if seeds < 1:
        raise ConfigError(f"seeds = {seeds}: must be at least 1")
    for side in sides:
        scenario.configured(
            scenario.config(**side.settings), scenario.check(side.options)
        ).check()  # fmt: skip
    made_of = [(dict(side.settings), dict(side.options)) for side in sides]
    apart = apart or any(one in made_of[:place] for place, one in enumerate(made_of))
    sides = _told_apart(sides)
    first = [seed + (place * seeds if apart else 0) for place in range(len(sides))]
    jobs = [
        RunJob(scenario.label, {**side.settings, "seed": first[place] + at}, side.options)
        for place, side in enumerate(sides)
        for at in range(seeds)
    ]
    made: dict[int, Measured] = {}
    for place, run in _made(scenario, jobs, spread):
        made[place] = run
        if progress is not None:
            progress(1)
    runs = tuple(
        SideRuns(
            side,
            tuple(range(first[place], first[place] + seeds)),
            tuple(made[place * seeds + at] for at in range(seeds)),
        )
        for place, side in enumerate(sides)
    )
    return judge_sides(
        scenario.label, runs, metrics or METRICS_SHOWN, paired=not apart, alpha=alpha
    )


def _told_apart(sides: Sequence[Side]) -> list[Side]:
    """With a number behind names that another side has already."""
    found: list[Side] = []
    for side in sides:
        before = sum(other.name == side.name for other in sides[: len(found)])
        name = f"{side.name} ({before + 1})" if before else side.name
        found.append(Side(name, side.settings, side.options))
    return found


def _made(
    scenario: Scenario, jobs: Sequence[RunJob], spread: Spread | None
) -> Iterator[tuple[int, Measured]]:
    if spread is None:
        return here(lambda job: measure_of(scenario, job), jobs)
    return spread(measure, jobs)


def judge_sides(
    name: str,
    sides: Sequence[SideRuns],
    metrics: Sequence[str],
    *,
    paired: bool,
    alpha: float = ALPHA,
) -> ComparedSides:
    """What runs that were made say; arguments as in `ComparedSides`.

    Raises:
        ExpressionError: a run that ended well does not have one of the metrics.
    """
    for side in sides:
        for run in side.runs:
            for metric in metrics:
                if run.ok and metric not in run.metrics:
                    raise ExpressionError(unknown_metric(metric, run.metrics))
    middles = {metric: tuple(_middle(side, metric) for side in sides) for metric in metrics}
    untold = [
        _contrast(metric, sides, place, paired=paired)
        for metric in metrics
        for place in range(1, len(sides))
    ]
    adjusted = holm(each.p for each in untold)
    contrasts = tuple(
        replace(each, p_adjusted=p, differs=p < alpha)
        for each, p in zip(untold, adjusted, strict=True)
    )
    return ComparedSides(name, tuple(sides), paired, middles, contrasts, alpha)


def _middle(side: SideRuns, metric: str) -> Middle:
    values = side.values(metric)
    if not values:
        return Middle((), None, None)
    name = f"{metric} {side.side.name}"
    return Middle(tuple(values), median(values), interval([values], lambda at: at[0], name=name))


def _contrast(
    metric: str, sides: Sequence[SideRuns], place: int, *, paired: bool
) -> Contrast:  # fmt: skip
    """One, with p as it is by itself, and not yet judged."""
    before, after = sides[0], sides[place]
    if paired:
        pairs = [
            (a.metrics[metric], b.metrics[metric])
            for a, b in zip(before.runs, after.runs, strict=True)
            if a.ok and b.ok
        ]
        ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
        p = signed_rank([b - a for a, b in pairs])
    else:
        ours, theirs = before.values(metric), after.values(metric)
        p = rank_sum(ours, theirs)
    change, within = None, None
    if ours and theirs:
        change = _change((median(ours), median(theirs)))
        name = f"{metric} {place}"
        within = interval([ours, theirs], _change, paired=paired, name=name)
    same = bool(ours) and (ours == theirs if paired else len({*ours, *theirs}) == 1)
    return Contrast(metric, after.side.name, place, change, within, p, p, same, False)


def _change(medians: Sequence[float]) -> float | None:
    """Of the second over the first; None where the first is 0 and the second is not."""
    before, after = medians
    if before == after:
        return 0.0
    return (after - before) / abs(before) if before else None
