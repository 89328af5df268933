"""`gorun-mem compare`: one load under several settings, over many seeds."""

from __future__ import annotations

import contextlib
import copy
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from gorun_mem.cli._ci import check_junit, ci_options, tell, wanted
from gorun_mem.cli._common import (
    BadInput,
    ExitCode,
    Number,
    json_option,
    progress,
    worst,
    write_json,
)
from gorun_mem.cli._compared import headline, legend, show_compared
from gorun_mem.cli._output import show
from gorun_mem.cli._run_options import run_options
from gorun_mem.cli._written import check_output, write_page
from gorun_mem.cli.run import Prepared, prepare

if TYPE_CHECKING:
    from gorun_mem.analysis.failon import ChangeExpression
    from gorun_mem.analysis.metrics import Expression
    from gorun_mem.machine.config import Config
    from gorun_mem.sweep.compare import ComparedSides, Side

FAILED_SHOWN: Final = 5
"""Runs that did not end well that are listed."""
_NAMES: Final = frozenset({"mutex", "release", "platform", "strategy"})
"""Options whose values have no comma."""
_ONE_ONLY: Final = frozenset({"host", "seed", "settings", "mem_debug"})
"""Options of `run` that are not compared by; `--set` is, by its keys."""


def _repeatable(function: Any) -> Any:
    """The options of `run`; those that say what is run may be given again."""
    function = run_options(function)
    params = function.__click_params__
    for place, param in enumerate(params):
        if param.name not in _ONE_ONLY and isinstance(param, click.Option) and not param.is_flag:
            param = params[place] = copy.copy(param)
            param.multiple = True
            param.default = None
    params[:] = [param for param in params if param.name != "host"]
    return function


@click.command("compare")
@click.argument("scenario")
@click.option(
    "--seeds", type=Number(1, 100_000), default=20, show_default=True, metavar="N",
    help="Run each side with so many seeds, counted from --seed.",
)  # fmt: skip
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME",
    help="Compare this metric of `run --json`, such as lock.memlock.wait_ns.p99; may be given "
    "again.  [default: time_ns, lock_wait_ns, lock_wait_ns.p99 and final_pages]",
)  # fmt: skip
@click.option(
    "--apart",
    is_flag=True,
    help="Give each side seeds of its own in place of the same ones; so it is in any case where "
    "two sides are the same.",
)
@click.option(
    "--fail-on", "fail_on", multiple=True, metavar="EXPR",
    help="Exit with 1 where this holds of a side but the first: 'time_ns>+5%' of the change of "
    "medians, if the difference is one, or 'time_ns>500000' of the median; may be given again.",
)  # fmt: skip
@click.option(
    "--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.01,
    show_default=True, metavar="P",
    help="Let a table find a difference where there is none so often.",
)  # fmt: skip
@click.option(
    "--jobs", type=Number(1, 256), default=1, show_default=True, metavar="N",
    help="Run in so many processes at once.",
)  # fmt: skip
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write the table and the plots as one offline page.  [default: none is written]",
)  # fmt: skip
@ci_options
@_repeatable
@json_option()
def command(
    scenario: str,
    seeds: int,
    metrics: tuple[str, ...],
    apart: bool,
    fail_on: tuple[str, ...],
    alpha: float,
    jobs: int,
    html: Path | None,
    as_json: bool,
    **given: Any,
) -> int:
    """Run SCENARIO under several settings and many seeds, and say what differs.

    Give an option of `run` twice or more, or --set with two values of a key: each combination is a
    side, and the others are compared with the first. One seed is one load, whatever lock it meets,
    so the sides run the same seeds and pairs are tested (Wilcoxon); with --apart, samples (Mann and
    Whitney). A difference is one where p, adjusted for all comparisons of the table (Holm), is
    below --alpha; "~" says that it is none.

    \b
    Examples:
      gorun-mem compare memlock_storm --mutex sema --mutex spinbit
      gorun-mem compare memlock_storm --ms 4 --ms 16 --metric lock.memlock.wait_ns.p99
      gorun-mem compare checkerboard --release go1.23 --release go1.27 --metric final_pages
      gorun-mem compare memlock_storm --mutex sema --mutex spinbit --fail-on 'time_ns>+5%'

    Exit codes: 0 whatever differs; 1 a --fail-on holds, or a run failed; 2 usage; 3 a run ended in
    deadlock or without progress; 130 interrupted.
    """
    from gorun_mem.analysis.metrics import ExpressionError
    from gorun_mem.machine.config import ConfigError
    from gorun_mem.machine.scenario import ScenarioError

    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        try:
            expressions = _expressions(fail_on)
            check_junit()
            check_output("--html", html)
            names = _metrics(metrics, expressions)
            sides = _sides(scenario, given)
            how = _How(given["seed"] or 0, seeds, apart, alpha, jobs)
            found = _compare(sides, names, how)
            held = {one.text: found.holds(one) for one in expressions}
        except (ConfigError, ExpressionError, ScenarioError) as error:
            raise BadInput(str(error)) from None
    commands = {of.side.name: side.words for of, side in zip(found.sides, sides, strict=True)}
    codes = [run.exit_code for _, _, run in found.failed_runs]
    exit_code = worst([*codes, *(ExitCode.FAILED for sides in held.values() if sides)])
    document = _document(found, commands, held, exit_code)
    if wanted():
        from gorun_mem.report.checked import cases_of_comparison

        tell(cases_of_comparison(document))
    if as_json:
        write_json(document)
    else:
        show_compared(found)
    if html is not None:
        from gorun_mem.report.comparison import document as shown

        write_page(shown(document, [headline(found), *legend(found).splitlines()]), html)
    _remark(found, commands)
    for text, which in held.items():
        for side in which:
            show(f"--fail-on {text!r} holds of {side}", err=True)
    return exit_code


# What is to be compared.


class _Prepared(NamedTuple):
    """A side: its name, what was prepared of it, and the words that run it."""

    name: str
    prepared: Prepared
    words: list[str]


class _How(NamedTuple):
    """How to compare, as `compare_sides` takes it."""

    seed: int
    seeds: int
    apart: bool
    alpha: float
    jobs: int


def _expressions(texts: Sequence[str]) -> list[Expression | ChangeExpression]:
    from gorun_mem.analysis.failon import parse_fail_on

    return [parse_fail_on(text) for text in texts]


def _metrics(
    asked: Sequence[str], expressions: Sequence[Expression | ChangeExpression]
) -> list[str]:
    """What is to be compared, each once, with what expressions ask of."""
    from gorun_mem.analysis.metrics import check_name
    from gorun_mem.sweep.compare import METRICS_SHOWN

    for name in asked:
        check_name(name)
    return list(dict.fromkeys([*(asked or METRICS_SHOWN), *(one.name for one in expressions)]))


def _sides(scenario: str, given: Mapping[str, Any]) -> list[_Prepared]:
    """Every combination of what was given more than once, in the order of the options."""
    from gorun_mem.sweep.compare import SIDES_MAX

    for name, values in given.items():
        for value in values if isinstance(values, tuple) and name in _NAMES else ():
            if "," in value:
                one = f"--{name} "
                spelt = one + f" {one}".join(part.strip() for part in value.split(","))
                raise BadInput(f"{one}{value}: each is given by itself: did you mean {spelt}?")
    choices: list[list[tuple[str, str, Any]]] = []
    for param in click.get_current_context().command.params:
        name = param.name or ""
        if isinstance(param, click.Option) and param.multiple and name in given:
            if name == "settings":
                choices += _choices_of_options(given[name])
            elif given[name]:
                choices.append([(param.opts[0], name, value) for value in given[name]])
    sides = []
    varied = [place for place, values in enumerate(choices) if len(values) > 1]
    total = 1
    for values in choices:
        total *= len(values)
    if total > SIDES_MAX:
        raise BadInput(f"{total} combinations of settings: at most {SIDES_MAX} can be compared")
    for chosen in product(*choices):
        labels = [_label(*chosen[place], alone=len(varied) == 1) for place in varied]
        settings = {
            name: None if isinstance(value, tuple) else value for name, value in given.items()
        }
        settings |= {name: value for flag, name, value in chosen if flag != "--set"}
        pairs = tuple(value for flag, _, value in chosen if flag == "--set")
        words = [word for flag, _, value in chosen for word in (flag, str(value))]
        if given["mem_debug"]:
            words.append("--mem-debug")
        prepared = prepare(scenario, {**settings, "settings": pairs})
        sides.append(_Prepared(", ".join(labels), prepared, words))
    if len(sides) < 2:
        raise BadInput(
            "one setting is nothing to compare: give an option twice, as --mutex sema --mutex "
            "spinbit, or --set with two values of a key"
        )
    return sides


def _choices_of_options(texts: Sequence[str]) -> list[list[tuple[str, str, Any]]]:
    """What `--set` gives, by key."""
    by_key: dict[str, list[tuple[str, str, Any]]] = {}
    for text in texts:
        key = text.partition("=")[0].strip().replace("-", "_")
        by_key.setdefault(key, []).append(("--set", key, text))
    return list(by_key.values())


def _label(flag: str, name: str, value: Any, *, alone: bool) -> str:
    """What to call a value: by itself where only one option varies."""
    if flag == "--set":
        return str(value)
    text = str(value)
    if flag == "--costs":
        text = Path(value).stem
    elif ".py:" in text:
        text = Path(text).name  # a lock of one's own; the folder tells nothing apart
    return text if alone and not isinstance(value, int) else f"{name.replace('_', '-')} {text}"


def _compare(sides: Sequence[_Prepared], metrics: Sequence[str], how: _How) -> ComparedSides:
    from gorun_mem.sweep.compare import compare_sides
    from gorun_mem.sweep.spread import over_processes

    scenario = sides[0].prepared.scenario
    spread = over_processes(how.jobs) if how.jobs > 1 else None
    with progress("comparing", how.seeds * len(sides)) as advance:
        return compare_sides(
            scenario,
            [_side(side) for side in sides],
            metrics=metrics,
            seeds=how.seeds,
            seed=how.seed,
            apart=how.apart,
            alpha=how.alpha,
            spread=spread,
            progress=advance,
        )


def _side(side: _Prepared) -> Side:
    from gorun_mem.sweep.compare import Side

    prepared = side.prepared
    config, usual = prepared.config, prepared.scenario.defaults
    return Side(side.name, _changes(config, usual), prepared.options)


def _changes(config: Config, usual: Config) -> dict[str, Any]:
    """The settings that are not the scenario's own; the seeds are the comparison's."""
    found = {field.name: getattr(config, field.name) for field in fields(config)}
    return {
        name: value
        for name, value in found.items()
        if name != "seed" and value != getattr(usual, name)
    }


# What is said of it.


def _document(
    found: ComparedSides,
    commands: Mapping[str, list[str]],
    held: Mapping[str, list[str]],
    exit_code: int,
) -> dict[str, Any]:
    from gorun_mem.sweep.samples import LEVEL

    return {
        "compare": found.scenario,
        "paired": found.paired,
        "test": "Wilcoxon signed-rank" if found.paired else "Mann-Whitney",
        "alpha": found.alpha,
        "adjusted": "Holm",
        "comparisons": len(found.contrasts),
        "can_tell": found.can_tell,
        "runs_needed": found.runs_needed,
        "interval": {"level": LEVEL, "by": "bootstrap"},
        "sides": [
            {
                "name": side.side.name,
                "run": shlex.join(_words(found.scenario, commands[side.side.name])),
                "seeds": list(side.seeds),
                "outcomes": [run.outcome for run in side.runs],
            }
            for side in found.sides
        ],
        "metrics": {
            name: [
                {
                    "side": side.side.name,
                    "median": middle.median,
                    "interval": middle.within,
                    "values": list(middle.values),
                    **_change_document(found, name, place),
                }
                for place, (side, middle) in enumerate(zip(found.sides, middles, strict=True))
            ]
            for name, middles in found.middles.items()
        },
        "fail_on": dict(held),
        "exit": exit_code,
    }


def _change_document(found: ComparedSides, metric: str, place: int) -> dict[str, Any]:
    for one in found.contrasts:
        if one.metric == metric and one.place == place:
            return {
                "change": one.change,
                "change_interval": one.within,
                "p": one.p,
                "p_adjusted": one.p_adjusted,
                "differs": one.differs,
            }
    return {}


def _words(scenario: str, words: Sequence[str]) -> list[str]:
    return ["gorun-mem", "run", scenario, *words]


def _remark(found: ComparedSides, commands: Mapping[str, list[str]]) -> None:
    """On stderr: runs that failed, and a table that could not tell."""
    failed = found.failed_runs
    for side, seed, run in failed[:FAILED_SHOWN]:
        words = [*_words(found.scenario, commands[side.side.name]), "--seed", str(seed)]
        said = " ".join(run.error.split())
        show(
            f"{side.side.name}, seed {seed}: {run.outcome}{': ' + said if said else ''}; "
            f"{shlex.join(words)}",
            err=True,
        )
    if failed:
        more = len(failed) - FAILED_SHOWN
        also = f"and {more:,} more; " if more > 0 else ""
        show(f"{also}runs that did not end well are in no figure", err=True)
    if not found.can_tell:
        show(
            f"so few runs cannot show a difference, whatever it is: it takes {found.runs_needed} "
            f"on each side that end well (--seeds {found.runs_needed})",
            err=True,
        )
