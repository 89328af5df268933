"""`gorun-mem scenarios`: what there is to run, and the options of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gorun_mem.cli._common import BadInput, ExitCode, json_option, write_json
from gorun_mem.cli._output import show

if TYPE_CHECKING:
    from gorun_mem.machine.scenario import Option, Scenario


@click.command("scenarios")
@click.argument("name", required=False)
@click.option("--lessons", is_flag=True, help="List the lessons: programs with one bug each.")
@json_option()
def command(name: str | None, lessons: bool, as_json: bool) -> int:
    """List the scenarios, or show one: what it does, and its options.

    NAME is one of the list or the path of a .py file.

    \b
    Examples:
      gorun-mem scenarios
      gorun-mem scenarios memlock_storm
      gorun-mem scenarios --lessons
      gorun-mem scenarios lessons/lost_wakeup

    Exit codes: 0 clean; 2 no such scenario, or a script that does not run.
    """
    from gorun_mem.machine.library import find
    from gorun_mem.machine.scenario import ScenarioError

    if name is None:
        return _list(as_json, lessons)
    if lessons:
        raise BadInput("--lessons lists them; a NAME shows one, as in scenarios lessons/ab_ba")
    try:
        scenario = find(name)
    except ScenarioError as error:
        raise BadInput(str(error)) from None
    if as_json:
        write_json(_document(scenario))
    else:
        _show(scenario)
    return ExitCode.CLEAN


def _list(as_json: bool, only_lessons: bool) -> int:
    from gorun_mem.machine.library import find, lessons, names
    from gorun_mem.machine.scenario import ScenarioError
    from gorun_mem.report.width import folded

    found: list[Scenario] = []
    broken: list[str] = []
    for name in lessons() if only_lessons else names():
        try:
            found.append(find(name))
        except ScenarioError as error:
            broken.append(str(error))
    if as_json:
        write_json([_document(scenario) for scenario in found])
    else:
        width = max((len(scenario.label) for scenario in found), default=0)
        for scenario in found:
            ms = f"{scenario.defaults.ms} M" + ("s" if scenario.defaults.ms != 1 else " ")
            line = f"{scenario.label:{width}}  {ms:>5}  {scenario.summary}"
            show("\n".join(folded(line, width + 9)))
    for message in broken:
        show(message, err=True)
    return ExitCode.USAGE if broken else ExitCode.CLEAN


def _show(scenario: Scenario) -> None:
    import inspect

    show(f"{click.style(scenario.label, bold=True)}, {_settings(scenario)}")
    show("")
    show(inspect.cleandoc(scenario.__doc__ or "It has no description."))
    show("")
    if not scenario.options:
        show("It has no options.")
        return
    show("Options, each by --set NAME=VALUE:")
    from gorun_mem.report.width import table_lines

    rows = [(o.name, o.type_name, f"{o.default}", _help(o)) for o in scenario.options.values()]
    show("\n".join(table_lines(rows, "<<<<")))


def _settings(scenario: Scenario) -> str:
    """What the scenario asks for where the command line does not say."""
    config = scenario.defaults
    ms = f"{config.ms} M" + ("s" if config.ms != 1 else "")
    asked = [config.release or "", config.platform or "", config.mutex_name, config.policy_name]
    return ", ".join([ms, *(word for word in asked if word)])


def _help(option: Option) -> str:
    if not option.bounds:
        return option.help
    return f"{option.help} ({option.bounds})" if option.help else option.bounds


def _document(scenario: Scenario) -> dict[str, Any]:
    config = scenario.defaults
    return {
        "name": scenario.label,
        "summary": scenario.summary,
        "description": scenario.__doc__ or "",
        "file": scenario.file,
        "ms": config.ms,
        "release": config.release,
        "platform": config.platform,
        "mutex": config.mutex_name or None,
        "policy": config.policy_name or None,
        "options": [
            {
                "name": option.name,
                "type": option.type_name,
                "default": option.default
                if isinstance(option.default, bool | int | float | str | None)
                else str(option.default),
                "help": option.help,
                "low": option.low,
                "high": option.high,
            }
            for option in scenario.options.values()
        ],
    }
