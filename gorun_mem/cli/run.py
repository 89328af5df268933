"""`gorun-mem run`: one run of a scenario, its log and its summary."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from gorun_mem.cli._ci import check_junit, ci_options, script_of, tell, wanted
from gorun_mem.cli._common import (
    LEVELS_HELP,
    BadInput,
    ExitCode,
    json_option,
    log_level_option,
    log_option,
    watchdog_option,
    worst,
    write_json,
)
from gorun_mem.cli._exit import internal_fault, say
from gorun_mem.cli._output import show
from gorun_mem.cli._run_options import assert_option, metrics_option, run_options
from gorun_mem.cli._run_progress import RunProgress
from gorun_mem.cli._written import check_output

if TYPE_CHECKING:
    from gorun_mem.analysis.metrics import Expression, Metrics
    from gorun_mem.analysis.summary import Summary
    from gorun_mem.events.log import EventLogger
    from gorun_mem.events.methods import LogLevel
    from gorun_mem.machine.config import Config, Host
    from gorun_mem.machine.run import Run
    from gorun_mem.machine.scenario import Scenario

CONSOLE: Final = "-"
"""The log's name that stands for the console."""

DEFAULT: Final = "memlock_storm"
"""The scenario that runs where none is named."""


@click.command("run")
@click.argument("scenario", default=DEFAULT, metavar="[SCENARIO]")
@run_options
@log_option()
@log_level_option(LEVELS_HELP)
@assert_option
@metrics_option
@watchdog_option()
@ci_options
@json_option()
def command(
    scenario: str,
    log: str | None,
    log_level: LogLevel,
    asserts: tuple[str, ...],
    watch_s: float,
    host: Host,
    as_json: bool,
    **given: Any,
) -> int:
    """Run SCENARIO, a name (see `gorun-mem scenarios`) or the path of a .py file.

    Without SCENARIO memlock_storm runs. What happens goes to the log, what it came to is printed at
    the end.

    \b
    Examples:
      gorun-mem run memlock_storm --ms 8 --mutex sema --seed 7
      gorun-mem run my_scenario.py --set rounds=200 --log run.jsonl.zst
      gorun-mem run memlock_storm --assert 'lock.memlock.wait_ns.p99 <= 100000'

    Exit codes: 0 clean; 1 a throw, a fault, out of memory, another failure or an assertion that
    does not hold; 2 usage, or more pages at the start than --max-pages; 3 deadlock or no progress;
    4 internal fault; 130 interrupted.
    """
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        expressions = expressions_of(asserts)
        prepared = prepare(scenario, given)
        check_junit(prepared.reads())
        path = _log_path(log, prepared)
        done, summary = _run(prepared, host, path, log_level, watch_s)
        failed = _check(expressions, summary.metrics())
        command_again = shlex.join(_again(scenario, prepared))
        least = _least_limit(done, prepared)
    if as_json or wanted():
        document = _document(done, summary, path, expressions, failed, command_again)
    if wanted():
        from gorun_mem.report.checked import cases_of_run

        tell(cases_of_run(document, *script_of(prepared.scenario)))
    if as_json:
        write_json({**document, "smallest_limit": least})
    else:
        _show(summary, path, log, expressions, failed, command_again)
        if least is not None:
            show(f"limit   {least:,} pages of 64 KiB are the least with which it lives")
    if done.outcome.verdict == "internal" and done.outcome.error is not None:
        say(internal_fault(done.outcome.error, "gorun-mem", ["run", scenario]))
    return worst([done.outcome.exit_code, *(ExitCode.FAILED for _ in failed)])


# What is to be run.


class Prepared:
    """What to run, checked as far as it can be before it runs.

    Args:
        scenario: the scenario.
        config: its settings.
        options: its options, complete.
    """

    def __init__(self, scenario: Scenario, config: Config, options: dict[str, Any]) -> None:
        self.scenario = scenario
        self.config = config
        self.options = options

    def reads(self) -> tuple[object, ...]:
        """Files that it reads, among what names none."""
        return (self.scenario.file, *self.options.values())


def prepare(reference: str, given: dict[str, Any]) -> Prepared:
    """What a command line asks to be run.

    Args:
        reference: the scenario's name or path.
        given: the values of `run_options`, None for those not given.

    Raises:
        BadInput: something of it cannot be.
    """
    from gorun_mem.machine.config import ConfigError, resolve
    from gorun_mem.machine.library import find
    from gorun_mem.machine.scenario import ScenarioError
    from gorun_mem.runtime.behaviour import UnknownRelease
    from gorun_mem.runtime.mutex import UnknownMutex
    from gorun_mem.step.costs import CostError, CostTable
    from gorun_mem.step.strategies import UnknownStrategy, make_strategy

    settings = dict(given)
    if settings["strategy"] == "replay":
        raise BadInput("--strategy replay follows a schedule: gorun-mem replay-schedule TOKEN")
    costs = settings.pop("costs")
    try:
        scenario = find(reference)
        options = scenario.check(_pairs(scenario, settings.pop("settings")))
        table = CostTable.find(costs) if costs else None
        config = scenario.config(**settings, costs=table)
        resolved = resolve(scenario.configured(config, options))
        make_strategy(resolved.config.strategy, resolved.config.seed)
    except (
        ConfigError, CostError, ScenarioError, UnknownMutex, UnknownRelease, UnknownStrategy
    ) as error:  # fmt: skip
        raise BadInput(str(error)) from None
    return Prepared(scenario, config, options)


def _pairs(scenario: Scenario, texts: tuple[str, ...]) -> dict[str, str]:
    """The options that `--set` gives; the last of one name counts."""
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            example = next(iter(scenario.options), "rounds")
            raise BadInput(f"--set {text}: write KEY=VALUE, as in {example}=50")
        pairs[name.strip().replace("-", "_")] = value
    return pairs


def expressions_of(texts: tuple[str, ...]) -> list[Expression]:
    """What `--assert` asks for, as far as it can be known to be possible.

    Raises:
        BadInput: an expression cannot be read, or no run has such a metric.
    """
    if not texts:
        return []
    from gorun_mem.analysis.metrics import ExpressionError, check_name, parse_expression

    try:
        expressions = [parse_expression(text) for text in texts]
        for expression in expressions:
            check_name(expression.name)
    except ExpressionError as error:
        raise BadInput(f"--assert: {error}") from None
    return expressions


def _log_path(log: str | None, prepared: Prepared) -> str:
    """The log's file, "-" for the console."""
    from gorun_mem.events.home import new_log_path

    if log is None:
        return os.fspath(new_log_path(prepared.scenario.name, say=say))
    check_output("--log", log, prepared.reads())
    return log


# The run.


def _run(
    prepared: Prepared, host: Host, path: str, level: LogLevel, watch_s: float
) -> tuple[Run, Summary]:
    """Run it and sum up its events.

    Raises:
        LogError: the log could not be written.
        BadInput: the settings turn out not to go together.
    """
    from gorun_mem.analysis.summary import Summary
    from gorun_mem.events.log import open_log
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.machine.run import run

    logger = open_log(path)
    summary = Summary(whole=True)
    recorder = Recorder(logger, level=level)
    recorder.subscribe(summary.feed, "debug" if level == "debug" else "canonical")
    try:
        with _log_failure_first(logger), RunProgress() as progress:
            done = run(
                prepared.scenario,
                prepared.config,
                prepared.options,
                host=host,
                recorder=recorder,
                watch_s=watch_s,
                on_breath=progress.show if progress.wanted else None,
            )
    finally:
        recorder.close()
        if not recorder.seq and path != CONSOLE and os.path.isfile(path):
            os.unlink(path)  # nothing ran: `last` must not mean a log without a line
    return done, summary


@contextlib.contextmanager
def _log_failure_first(logger: EventLogger) -> Iterator[None]:
    """A log that cannot be written is the reason, whatever came of it in the run."""
    try:
        yield
    except BaseException:
        logger.flush()  # raises what went wrong with the log
        raise
    logger.flush()


# What is said at the end.


def _check(expressions: list[Expression], metrics: Metrics) -> list[Expression]:
    """The assertions that do not hold."""
    if not expressions:
        return []
    from gorun_mem.analysis.metrics import ExpressionError

    try:
        return [expression for expression in expressions if not expression.holds(metrics)]
    except ExpressionError as error:
        raise BadInput(f"--assert: {error}") from None


def _again(reference: str, prepared: Prepared) -> list[str]:
    """The words that run exactly this again: what was given, and the seed."""
    ctx = click.get_current_context()
    words = ["gorun-mem", "run", reference]
    seed = False
    for param in ctx.command.params:
        name = param.name or ""
        if name in _NOT_OF_THE_RUN or not _was_given(ctx, name):
            continue
        seed |= name == "seed"
        value = ctx.params[name]
        flag = param.opts[0]
        if value is True:
            words.append(flag)
        elif isinstance(value, tuple):
            words += [word for one in value for word in (flag, one)]
        else:
            words += [flag, str(value)]
    if not seed:
        words += ["--seed", str(prepared.config.seed)]
    return words


_NOT_OF_THE_RUN: Final = frozenset(
    {"scenario", "log", "log_level", "asserts", "as_json", "help", "github", "junit", "color"}
)
"""Parameters that change nothing of how the run goes."""


def _was_given(ctx: click.Context, name: str) -> bool:
    source = click.core.ParameterSource
    return ctx.get_parameter_source(name) in (source.COMMANDLINE, source.DEFAULT_MAP)


def _least_limit(done: Run, prepared: Prepared) -> int | None:
    """The least --max-pages that would do, found by running it again; None where it did."""
    if done.outcome.verdict != "out_of_memory":
        return None
    from gorun_mem.machine.limits import smallest_limit

    return smallest_limit(prepared.scenario, prepared.config, prepared.options)


def _show(
    summary: Summary,
    path: str,
    log: str | None,
    expressions: list[Expression],
    failed: list[Expression],
    command_again: str,
) -> None:
    from gorun_mem.report.terminal import render
    from gorun_mem.report.worth import look_up_line, of_run

    show(render(summary))
    show("")
    metrics, bounds = summary.metrics(), summary.at_least()
    for expression in expressions:
        verdict = "does not hold" if expression in failed else "holds"
        sign = ">=" if expression.name in bounds else "="
        show(
            f"assert  {expression.name} {sign} {metrics[expression.name]:,} "
            f"{expression.op} {expression.bound:,}: {verdict}"
        )
    if path == CONSOLE:
        show("log     none: its events were shown; --log FILE keeps them")
    else:
        show(f"log     {click.format_filename(path)}")
        show(f"report  gorun-mem report {'last' if log is None else shlex.quote(path)}")
    show(f"again   {command_again}", look_up_line(of_run(summary)))


def _document(
    done: Run,
    summary: Summary,
    path: str,
    expressions: list[Expression],
    failed: list[Expression],
    command_again: str,
) -> dict[str, Any]:
    from gorun_mem.report.document import document

    metrics = summary.metrics()
    return {
        **document(summary),
        "log": None if path == CONSOLE else click.format_filename(path),
        "again": command_again,
        "asserts": [
            {
                "text": expression.text,
                "metric": expression.name,
                "value": metrics[expression.name],
                "op": expression.op,
                "bound": expression.bound,
                "holds": expression not in failed,
            }
            for expression in expressions
        ],
        "exit": worst([done.outcome.exit_code, *(ExitCode.FAILED for _ in failed)]),
    }
