"""`gorun-mem explore`: search the schedules of a scenario."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from gorun_mem.cli._ci import check_junit, ci_options, script_of, tell, wanted
from gorun_mem.cli._common import (
    LEVELS_HELP,
    BadInput,
    ExitCode,
    Number,
    OneOf,
    detector_option,
    host_option,
    json_option,
    log_level_option,
    progress,
    watchdog_option,
    write_json,
)  # fmt: skip
from gorun_mem.cli._explored import accounts_of, document_of, show_found, show_kept
from gorun_mem.cli._output import show
from gorun_mem.cli._run_options import assert_option, metrics_option, run_options
from gorun_mem.cli._written import check_output, write_page
from gorun_mem.cli.run import (  # fmt: skip
    Prepared,
    expressions_of,
    prepare,
)
from gorun_mem.step.strategies import ALIASES, for_searches

if TYPE_CHECKING:
    from gorun_mem.analysis.metrics import Expression
    from gorun_mem.events.methods import LogLevel
    from gorun_mem.explore.failure import Detector
    from gorun_mem.explore.target import Target
    from gorun_mem.explore.verdict import Exploration

_INT63: Final = (1 << 63) - 1
_NOT_OURS: Final = frozenset({"host", "strategy"})
"""Options of `run` of whose names a search has one of its own."""


def _search_run_options(function: Any) -> Any:
    """The options of `run` that say what is run."""
    function = run_options(function)
    params = function.__click_params__
    params[:] = [param for param in params if param.name not in _NOT_OURS]
    return function


@click.command("explore")
@click.argument("scenario")
@click.option(
    "--strategy",
    type=OneOf(for_searches(), ALIASES),
    default="auto",
    show_default=True,
    help="Find schedules by this strategy; auto goes through all of them where they are few and "
    "draws by several strategies in turn where not.",
)
@click.option(
    "--budget", type=Number(1, _INT63), metavar="N",
    help="Run at most so many schedules.  [default: 2000, or no limit with --time]",
)  # fmt: skip
@click.option(
    "--time", "time_s", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
    help="Search for at most so many seconds of real time.  [default: no limit]",
)  # fmt: skip
@click.option(
    "--jobs",
    type=Number(1, 256),
    default=1,
    show_default=True,
    metavar="N",
    help="Search in so many processes at once.",
)
@click.option(
    "--cluster", default="", metavar="ADDRESS",
    help="Search by the workers of the Dask scheduler at tcp://HOST:PORT (extra `cluster`). Name "
    "your own: what it answers is unpickled, which can run code here.  "
    "[default: in processes here]",
)  # fmt: skip
@click.option(
    "--resume", metavar="FILE",
    help="Keep the search in this file, each minute and at its end, and go on from where it is "
    "there.  [default: it is kept in no file]",
)  # fmt: skip
@click.option(
    "--bound", type=Number(0, _INT63), metavar="N",
    help="Try at most so many departures in --strategy dfs, such as forced switches, from "
    "running each M until it blocks.  [default: no limit]",
)  # fmt: skip
@click.option(
    "--faults", metavar="NAMES",
    help="Let these go wrong wherever the schedule chooses, with commas between them: grow (memory "
    "refuses to grow), spurious (a sleeper wakes for nothing), timeout (a timer fires before its "
    "time), cancel (a scope or an M is cancelled, once in a run).  [default: none]",
)  # fmt: skip
@click.option(
    "--memory", type=click.Choice(["sc", "tso"]),
    help="Let memory be sc, where every load sees the latest store, or tso, where each M has a "
    "store buffer as on x86, and when a store reaches memory is the schedule's choice.  "
    "[default: the scenario's, else sc]",
)  # fmt: skip
@click.option(
    "--fair-bound", type=Number(0, _INT63), metavar="N",
    help="Count it as a failure that others get a lock more than N times while an M waits for it.  "
    "[default: only say how often it was at most]",
)  # fmt: skip
@click.option(
    "--failures", "failures_max", type=Number(1, 1000), default=1, show_default=True, metavar="N",
    help="Stop after so many failures of different kinds.",
)  # fmt: skip
@click.option(
    "--no-shrink",
    is_flag=True,
    help="Report the failing schedule as it was found, and do not make it small.",
)
@click.option(
    "--no-detectors",
    is_flag=True,
    help="See only how runs end, and do not look for races, leaks or locks out of order, but for "
    "what --detector names.",
)
@detector_option()
@click.option(
    "--check-operations", "checks", is_flag=True,
    help="Check first that the program's operations touch only what they say, on which a search "
    "of all schedules rests.",
)  # fmt: skip
@click.option(
    "--save",
    metavar="FILE",
    help="Write the failing schedule to this file.  [default: the folder that `last` looks into]",
)
@host_option(
    "trampoline",
    "Run the failing schedule once more on this host; the search has a loop of its own.",
)
@click.option(
    "--log",
    metavar="FILE",
    help="Write the event log of the failing schedule to this file.  [default: none is written]",
)
@log_level_option(LEVELS_HELP)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was found into this file for a browser: the failing lanes, what matters, the "
    "nearest schedule that passes.  [default: none is written]",
)
@assert_option
@metrics_option
@watchdog_option()
@_search_run_options
@ci_options
@json_option()
def command(
    scenario: str,
    save: str | None,
    host: str,
    log: str | None,
    log_level: LogLevel,
    html: Path | None,
    watch_s: float,
    as_json: bool,
    **given: Any,
) -> int:
    """Search the schedules of SCENARIO, a name or the path of a .py file, for one that breaks it.

    A failure is shrunk and shown with a token that replays it.

    \b
    Examples:
      gorun-mem explore leaked_lock --ms 2
      gorun-mem explore my_scenario.py --strategy pos --budget 20000 --jobs 2
      gorun-mem explore my_scenario.py --strategy dfs --bound 2 --time 60
      gorun-mem explore my_scenario.py --strategy exhaustive --time 3600 --resume long.search
      gorun-mem explore memlock_storm --ms 2 --faults grow
      gorun-mem explore lessons/store_buffering --memory tso
      gorun-mem explore leaked_lock --host trio --log deadlock.jsonl
      gorun-mem explore leaked_lock --ms 2 --html leaked.html
      gorun-mem explore memlock_storm --assert 'lock.memlock.bypasses_max<=8'
      gorun-mem explore my_scenario.py --detector my_detectors.py:NeverBelowZero

    The verdict is one sentence: exhausted (every schedule that differs was run), survived (the
    drawn ones that were asked for were, so many different of about so many), failed or
    inconclusive; and in what world: memory, timers, faults, bounds.

    Exit codes: 0 exhausted or survived; 1 a failure, a deadlock too; 2 usage; 4 internal fault;
    5 inconclusive; 130 interrupted.
    """
    from gorun_mem.analysis.metrics import ExpressionError
    from gorun_mem.cli._by_schedule import check_host
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.config import ConfigError
    from gorun_mem.step.schedule import ScheduleError

    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        asked = _Asked(**{name: given.pop(name) for name in _Asked._fields})
        expressions = expressions_of(asked.asserts)
        files = {"--save": save, "--log": log, "--html": html, "--resume": asked.resume}
        prepared = _prepared(scenario, given, asked, files)
        try:
            target = Target.of(prepared.scenario, prepared.config, prepared.options)
            check_host(target, host)
            detectors = _detectors(target, asked, expressions)
            found = _search(target, asked, prepared.config.seed, detectors, watch_s)
            saved = _save(found, Path(save) if save is not None else None)
            logged = _run_again(found, target, host, log, log_level, watch_s)
        except (ConfigError, ScheduleError) as error:
            raise BadInput(str(error)) from None
        except ExpressionError as error:
            raise BadInput(f"--assert: {error}") from None
        found, accounts = accounts_of(found, target, detectors)
    _tell_ci(found, prepared)
    document = document_of(found, accounts, saved, logged)
    if as_json:
        write_json(document)
    else:
        show_found(found, accounts, saved, logged)
        show_kept(found, asked.resume)
    if html is not None:
        _write_html(document, html, as_json)
    return ExitCode(found.exit_code)


def _write_html(document: dict[str, Any], target: Path, as_json: bool) -> None:
    from gorun_mem.report.exploration import document as shown

    write_page(shown(document), target)
    if not as_json:
        show(f"html      {click.format_filename(target)}")


def _tell_ci(found: Exploration, prepared: Prepared) -> None:
    if wanted():
        from gorun_mem.report.checked import cases_of_search

        tell(cases_of_search(found.document(), *script_of(prepared.scenario)))


def _prepared(
    scenario: str, given: dict[str, Any], asked: _Asked, files: dict[str, str | Path | None]
) -> Prepared:
    """What is to be searched; no file that is written to is one that it reads."""
    given |= {"strategy": None, "faults": _names(asked.faults), "memory": asked.memory}
    prepared = prepare(scenario, given)
    for option, file in files.items():
        check_output(option, file, prepared.reads())
    check_junit(prepared.reads())
    return prepared


class _Asked(NamedTuple):
    """The options that say how to search, by their names in click."""

    strategy: str
    budget: int | None
    time_s: float | None
    jobs: int
    cluster: str
    resume: str | None
    bound: int | None
    faults: str | None
    memory: str | None
    fair_bound: int | None
    failures_max: int
    no_shrink: bool
    no_detectors: bool
    detectors: tuple[str, ...]
    checks: bool
    asserts: tuple[str, ...]


def _search(
    target: Target,
    asked: _Asked,
    seed: int,
    detectors: tuple[Callable[[], Detector], ...],
    watch_s: float,
) -> Exploration:
    """Search, with a bar that shows how far it is."""
    from gorun_mem.explore.search import BUDGET, explore

    if asked.checks:
        _check_operations(target)
    total = asked.budget
    if total is None and asked.time_s is None and asked.strategy != "states":
        total = BUDGET
    with progress(f"exploring {target.name}", total) as advance:
        return explore(
            target,
            strategy=asked.strategy,
            budget=asked.budget,
            time_s=asked.time_s,
            seed=seed,
            jobs=asked.jobs,
            cluster=asked.cluster,
            resume=None if asked.resume is None else Path(asked.resume),
            bound=asked.bound,
            failures_max=asked.failures_max,
            shrink=not asked.no_shrink,
            watch_s=watch_s,
            detectors=detectors,
            progress=advance,
        )


def _names(text: str | None) -> tuple[str, ...] | None:
    """The names in a list with commas; None where no list was given."""
    if text is None:
        return None
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _check_operations(target: Target) -> None:
    """Whether operations touch what they say, on which a search of all schedules rests.

    Raises:
        BadInput: one does not.
    """
    from gorun_mem.explore.checking import check_operations

    checked = check_operations(target)
    if checked.lies:
        found = "; ".join(map(str, checked.lies))
        raise BadInput(
            f"{target.name}: {found}; let obj name all that it touches, and reads_only be True "
            "only where it changes nothing, or no schedule that is left out can be trusted"
        )
    show(
        f"operations touch what they say, as far as {checked.pairs:,} pairs of steps in "
        f"{checked.runs} runs show",
        err=True,
    )


def _detectors(
    target: Target, asked: _Asked, expressions: list[Expression]
) -> tuple[Callable[[], Detector], ...]:
    """What looks at the runs: the usual detectors, those that are named, a bound, assertions."""
    from gorun_mem.explore.detectors.load import looking

    bound = [] if asked.fair_bound is None else [f"bypasses:{asked.fair_bound}"]
    usual = looking([*asked.detectors, *bound], usual=not asked.no_detectors)
    if not expressions:
        return usual
    from gorun_mem.cli._asserted import Asserted

    return (*usual, partial(Asserted, target.about, tuple(expressions)))


def _save(found: Exploration, to: Path | None) -> str | None:
    """Keep the first failure's schedule; the file's name."""
    from gorun_mem.explore.saved import save
    from gorun_mem.step.schedule import ScheduleError

    if found.failure is None or not found.failure.steps:
        return None
    if to is not None:
        return str(save(found.failure, found.name, to))
    try:
        return str(save(found.failure, found.name))
    except ScheduleError:
        return None  # a home that cannot be written to: the token is there all the same


def _run_again(
    found: Exploration, target: Target, host: str, log: str | None, level: LogLevel, watch_s: float
) -> str | None:
    """Run the first failure's schedule on `host` and with a log, if asked for; the log's name.

    Raises:
        RuntimeError: it does not end there as the search saw it end, which is a fault of ours.
    """
    from gorun_mem.cli._by_schedule import run_schedule
    from gorun_mem.explore.failure import signature_of

    failure = found.failure
    if failure is None or not failure.steps or (host == "trampoline" and log is None):
        return None
    done = run_schedule(target, failure.schedule, host, log, level, watch_s=watch_s)
    ended = signature_of(done.world, ())
    if ended != failure.signature and not (ended is None and failure.findings):
        raise RuntimeError(
            f"{failure.signature} in the search, and {ended or 'a good end'} on the {host} host; "
            f"the schedule is {failure.token}"
        )
    return log
