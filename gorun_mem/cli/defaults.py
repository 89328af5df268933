"""Defaults of one's own (`gorun_mem.files.defaults`), given to the verbs and to tests.

The command line comes before the environment, that before the file, and all before what is built
in, a scenario's own settings too. A value goes through the option that it is a default of, so that
it is read and refused as there; click knows where it came from, and what a run says of how to run
it again has it written out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import click

from gorun_mem.cli._exit import BadInput
from gorun_mem.files.defaults import DefaultsError, UserDefault, load

META: Final = "gorun_mem.defaults"


@dataclass(frozen=True, slots=True)
class SettingKey:
    """What may have a default.

    Args:
        param: the parameter's name in the verbs.
        verbs: the only verbs that have it so; all, if none is named.
        check: reads, or refuses, a value that click takes for a text.
    """

    param: str
    verbs: tuple[str, ...] = ()
    check: Callable[[str], object] | None = None


def _check_mutex(text: str) -> object:
    from gorun_mem.locks import load_mutex

    load_mutex(text)
    return text


def _check_costs(text: str) -> object:
    from gorun_mem.step.costs import CostTable

    return CostTable.find(text)


KEYS: Final = {
    "budget": SettingKey("budget", ("explore",)),
    "color": SettingKey("color"),
    "costs": SettingKey("costs", check=_check_costs),
    "cpus": SettingKey("cpus"),
    "host": SettingKey("host", ("run",)),
    "jobs": SettingKey("jobs"),
    "log_level": SettingKey("log_level"),
    "max_pages": SettingKey("max_pages"),
    "ms": SettingKey("ms"),
    "mutex": SettingKey("mutex", ("run", "compare", "explore", "serve"), _check_mutex),
    "platform": SettingKey("platform"),
    "release": SettingKey("release"),
    "seed": SettingKey("seed"),
    "seeds": SettingKey("seeds", ("compare",)),
    "time": SettingKey("time_s", ("explore",)),
    "watchdog": SettingKey("watch_s"),
    "width": SettingKey("width"),
}


def _loaded() -> dict[str, UserDefault]:
    try:
        return load()
    except DefaultsError as error:
        raise BadInput(str(error)) from None


# To tests.


def settings(program: click.Group) -> dict[str, Any]:
    """Each default that is set, as its option reads it; by the names of `Config` and of `explore`.

    Args:
        program: whose verbs have the options.

    Raises:
        ValueError: one is none, or has a value that cannot be.
    """
    ctx = click.Context(program)
    found = {}
    try:
        for key, default in load().items():
            if key in _OF_TESTS:
                found[KEYS[key].param] = _value(ctx, KEYS[key], default)
    except click.ClickException as error:
        raise ValueError(error.message) from None
    return found


_OF_TESTS: Final = frozenset(
    {"budget", "costs", "cpus", "host", "max_pages", "ms", "mutex", "platform", "release", "seed",
     "time", "watchdog"}
)  # fmt: skip
"""Those that tests have a use for."""


# To the verbs.


def give(ctx: click.Context, verb: str, command: click.Command) -> None:
    """Let a verb have the defaults that are set.

    Raises:
        BadInput: one is none, or has a value that cannot be.
    """
    found = _loaded()
    by_param = {}
    for key, default in found.items():
        of = KEYS[key]
        param = next((p for p in command.params if p.name == of.param), None)
        if param is not None and (not of.verbs or verb in of.verbs):
            by_param[of.param] = default
            if of.check is not None:
                _checked(of.check, default)
    multiple = {p.name for p in command.params if isinstance(p, click.Option) and p.multiple}
    ctx.default_map = {
        verb: {
            name: [default.value] if name in multiple else default.value
            for name, default in by_param.items()
        }
    }
    ctx.meta[META] = by_param
    if "width" in found:
        os.environ["COLUMNS"] = str(_width(found["width"]))


def _checked(check: Callable[[str], object], default: UserDefault) -> object:
    try:
        return check(default.value)
    except ValueError as error:  # of a lock or a cost table that there is not
        raise BadInput(f"{default}: {error}") from None


def _width(default: UserDefault) -> int:
    from gorun_mem.cli._kinds import Number

    try:
        return Number(20, 10_000).convert(default.value, None, None)
    except click.BadParameter as error:
        raise BadInput(f"{default}: {error.message}") from None


def named(error: click.BadParameter) -> click.ClickException:
    """The same error, with where the value came from if that was no command line."""
    ctx, param = error.ctx, error.param
    defaults: Mapping[str, UserDefault] = ctx.meta.get(META, {}) if ctx is not None else {}
    if ctx is None or param is None or param.name not in defaults:
        return error
    if ctx.get_parameter_source(param.name) is click.core.ParameterSource.COMMANDLINE:
        return error
    return BadInput(f"{defaults[param.name]}: {error.message}")


# Shown.


def rows(ctx: click.Context) -> Iterator[tuple[str, str, str, str]]:
    """(key, value, origin, where) of each, checked; where nobody set it what is built in.

    Args:
        ctx: of the program, whose verbs have the options.

    Raises:
        BadInput: a value cannot be.
    """
    found = _loaded()
    for key, of in KEYS.items():
        default = found.get(key)
        if default is None:
            yield key, _built_in(ctx, key, of), "built in", ""
            continue
        _value(ctx, of, default)
        yield key, default.value, default.origin, default.where


def _value(ctx: click.Context, of: SettingKey, default: UserDefault) -> Any:
    """What its option makes of it.

    Raises:
        BadInput: it cannot be.
    """
    if default.key == "width":
        return _width(default)
    if of.check is not None:
        return _checked(of.check, default)
    param = _option(ctx, of)
    try:
        return param.type.convert(default.value, param, click.Context(click.Command("x")))
    except click.BadParameter as error:
        raise BadInput(f"{default}: {error.message}") from None


def _option(ctx: click.Context, of: SettingKey) -> click.Option:
    """An option that it is a default of."""
    group = ctx.command
    assert isinstance(group, click.Group)
    for verb in of.verbs or ("run", "explore", *group.list_commands(ctx)):
        command = group.get_command(ctx, verb)
        for param in command.params if command is not None else ():
            if isinstance(param, click.Option) and param.name == of.param:
                return param
    raise KeyError(of.param)


def _built_in(ctx: click.Context, key: str, of: SettingKey) -> str:
    """What the option's help says of its default."""
    if key == "width":
        return "the terminal's"
    record = _option(ctx, of).get_help_record(click.Context(click.Command("x")))
    text = " ".join(record[1].split()) if record is not None else ""
    return text.rpartition("[default: ")[2].partition("]")[0].partition(";")[0]
