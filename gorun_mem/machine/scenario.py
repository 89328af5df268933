"""Scenarios: an async function over a World, with options that the command line shows and checks.

    @scenario(ms=4)
    async def memlock_storm(
        world: World, *, rounds: Annotated[int, "rounds that each M makes"] = 50
    ) -> None:
        '''Every M allocates, writes and frees under one memlock.'''

The options are the keyword-only parameters: their type, default and description are what the
command line offers as `--set rounds=50`. The decorated name is a `Scenario`; it can be awaited with
a World, run from synchronous code, and used as a script.

Where the settings of the World follow from the options, as with a recording that names its release,
`@scenario(configure=function)` gives a function that adapts them before the World is made.
"""

from __future__ import annotations

import hashlib
import inspect
import runpy
import sys
import typing
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from gorun_mem._near import no_such
from gorun_mem.machine.config import Config
from gorun_mem.machine.unhosted import drive_in_trio

if TYPE_CHECKING:
    from gorun_mem.machine.world import World


class ScenarioError(ValueError):
    """A scenario that cannot be used as it is asked to; the message says why."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a scenario.

    Args:
        name: the parameter's name.
        type: int, float, str, bool, Path, or a Literal.
        default: what it is when nobody says.
        help: one line.
        low: least value allowed, or None.
        high: greatest value allowed, or None.
    """

    name: str
    type: Any
    default: Any
    help: str
    low: float | None = None
    high: float | None = None

    @property
    def type_name(self) -> str:
        """The type in words."""
        if get_origin(self.type) is Literal:
            return "|".join(str(value) for value in get_args(self.type))
        return getattr(self.type, "__name__", str(self.type)).lower()

    def convert(self, value: Any) -> Any:
        """`value`, which may be text from a command line, as the option's type.

        Raises:
            ScenarioError: it is not one, or out of range.
        """
        return self._within(self._parse(value) if isinstance(value, str) else self._typed(value))

    def admit(self, value: Any) -> Any:
        """`value`, which is of the option's type already.

        Raises:
            ScenarioError: it is not, or out of range.
        """
        return self._within(self._typed(value))

    def _within(self, value: Any) -> Any:
        # Asked so that a NaN, which compares with nothing, is within no bounds.
        if self.low is not None and not value >= self.low:
            raise ScenarioError(f"{self.name} = {value}: must be at least {self.low:g}")
        if self.high is not None and not value <= self.high:
            raise ScenarioError(f"{self.name} = {value}: must be at most {self.high:g}")
        return value

    def _parse(self, text: str) -> Any:
        try:
            if get_origin(self.type) is Literal:
                return _one_of(text, get_args(self.type))
            if self.type is bool:
                return _truth(text)
            if self.type is int:
                return int(text, 0)
            return self.type(text)
        except ValueError as error:
            detail = str(error) if isinstance(error, _NotOneOf) else self._is_no()
            raise ScenarioError(f"{self.name} = {text}: {detail}") from None

    def _typed(self, value: Any) -> Any:
        if get_origin(self.type) is Literal:
            if value not in get_args(self.type):
                raise ScenarioError(f"{self.name} = {value!r}: must be one of {self.type_name}")
            return value
        if self.type is float and type(value) is int:
            return float(value)
        if type(value) is not self.type and not (self.type is Path and isinstance(value, Path)):
            raise ScenarioError(f"{self.name} = {value!r}: {self._is_no()}")
        return value

    def _is_no(self) -> str:
        """What it takes, for who gave something else."""
        return ", ".join([f"is no {self.type_name}", *filter(None, [self.bounds])])

    @property
    def bounds(self) -> str:
        """The least and the greatest value in words, "" where there is neither."""
        words = (("at least", self.low), ("at most", self.high))
        return " and ".join(f"{word} {bound:g}" for word, bound in words if bound is not None)


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds for an option, in its annotation: `Annotated[int, "rounds", Range(1)]`."""

    low: float | None = None
    high: float | None = None


Configure = Callable[[Config, Mapping[str, Any]], Config]
"""Settings and complete options to the settings that the World is made with."""


class Scenario:
    """A scenario: what to run, with which options, under which settings by default.

    Args:
        function: the async function.
        defaults: settings of `Config` that the scenario asks for.
        configure: adapts the settings to the options of a run; None leaves them.

    Attributes:
        name: the function's name.
        options: its options by name.
        label: what the log and a command line call it: the name, or the path it was loaded from.
        file: the script's file.
    """

    def __init__(
        self,
        function: Callable[..., Coroutine[Any, Any, None]],
        defaults: Config,
        configure: Configure | None = None,
    ) -> None:
        if not inspect.iscoroutinefunction(function):
            raise ScenarioError(
                f"scenario {getattr(function, '__name__', function)!r} is no async function: "
                "write `async def`"
            )
        self.function = function
        self.name = function.__name__
        self.label = self.name
        self.file = function.__code__.co_filename
        self.defaults = defaults
        self._configure = configure
        self.options = _options_of(function)
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__name__ = self.name

    def __repr__(self) -> str:
        return f"<Scenario {self.name}>"

    def __call__(self, world: World, **options: Any) -> Coroutine[Any, Any, None]:
        """The scenario's coroutine on `world`, to be awaited.

        By an M of a run it is a part of that run. By other code that trio runs, such as a test, the
        World is driven meanwhile, and what ends it badly is raised.

        Raises:
            ScenarioError: an option is wrong, or the World was made with other settings than the
                options want.
        """
        complete = self.check(options)
        self._check_settings(world.config, complete)
        return self._awaited(world, complete)

    async def _awaited(self, world: World, options: dict[str, Any]) -> None:
        if world.driver.hosted:
            await self.program(world, **options)
        else:
            await drive_in_trio(world.driver, self.program(world, **options))

    def program(self, world: World, **options: Any) -> Coroutine[Any, Any, None]:
        """The function itself; `options` are complete and checked."""
        return self.function(world, **options)

    @property
    def summary(self) -> str:
        """The first sentence of the description."""
        text = " ".join((self.__doc__ or "").split("\n\n")[0].split())
        return text.partition(". ")[0].rstrip(".") + "." if text else ""

    @property
    def sha256(self) -> str:
        """Of the scenario's source."""
        try:
            source = inspect.getsource(self.function)
        except (OSError, TypeError):
            return ""
        return hashlib.sha256(source.encode()).hexdigest()

    def config(self, **changes: Any) -> Config:
        """The settings it runs with; a change of None changes nothing."""
        return self.defaults.but(**changes)

    def configured(self, config: Config, options: Mapping[str, Any]) -> Config:
        """`config` as these options, which are complete, want it.

        Raises:
            ScenarioError: the two do not go together.
        """
        return config if self._configure is None else self._configure(config, options)

    def _check_settings(self, config: Config, options: Mapping[str, Any]) -> None:
        """Refuse a World that was made with other settings than these options want."""
        wanted = self.configured(config, options)
        differ = [
            f"{field.name}={getattr(wanted, field.name)!r}"
            for field in fields(Config)
            if getattr(wanted, field.name) != getattr(config, field.name)
        ]
        if differ:
            raise ScenarioError(
                f"{self.name} with these options needs a World whose Config has {', '.join(differ)}"
            )

    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """`options` converted, with defaults for those not given.

        Raises:
            ScenarioError: there is no such option, or a value is not what it takes.
        """
        for name in options:
            if name not in self.options:
                raise ScenarioError(self._unknown(name))
        return {
            name: option.convert(options[name]) if name in options else option.default
            for name, option in self.options.items()
        }

    def _unknown(self, name: str) -> str:
        if name in inspect.signature(self.function).parameters:
            return f"{self.name} takes {name!r} by position: options stand behind a * of their own"
        if not self.options:
            return f"{self.name} has no options, and so no {name!r}"
        return no_such("option", name, self.options, of=self.name)

    def trace_sha256(self, options: Mapping[str, Any]) -> str:
        """Of the recording that the option `trace` names, "" where there is none."""
        trace = options.get("trace")
        if not trace or not Path(trace).is_file():
            return ""
        with open(trace, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def main(self) -> None:
        """Run it as a script: `gorun-mem run` with this scenario and the command line's options."""
        path = inspect.getsourcefile(self.function) or self.name
        sys.argv[1:] = ["run", path, *sys.argv[1:]]
        runpy.run_module("gorun_mem", run_name="__main__", alter_sys=True)


def scenario(
    *wrong: object, configure: Configure | None = None, **settings: Any
) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Scenario]:
    """Make an async function a scenario.

    Args:
        wrong: nothing; `@scenario` without its brackets would give the function here.
        configure: called with the settings of a run and its complete options before the World is
            made; what it returns are the settings.
        settings: fields of `Config` that it asks for, such as ms=4 or release="go1.24.3".

    Raises:
        ConfigError: there is no such setting.
        ScenarioError: the function cannot be a scenario; the message says why.
    """
    if wrong:
        raise ScenarioError("@scenario is called, and takes settings by name: write @scenario()")
    defaults = Config().but(**settings)

    def decorate(function: Callable[..., Coroutine[Any, Any, None]]) -> Scenario:
        return Scenario(function, defaults, configure)

    return decorate


def _options_of(function: Callable[..., Any]) -> dict[str, Option]:
    of = f"scenario {function.__name__!r}"
    try:
        hints = typing.get_type_hints(function, include_extras=True, localns=_names())
    except NameError as error:
        raise ScenarioError(f"{of}: its annotations cannot be read: {error}; import it") from None
    world, options = 0, {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            world += parameter.default is parameter.empty
            continue
        if parameter.kind is not parameter.KEYWORD_ONLY:
            shown = str(parameter.replace(annotation=parameter.empty))
            raise ScenarioError(f"{of}: {shown} cannot be an option; name each")
        if parameter.default is parameter.empty:
            raise ScenarioError(f"{of}: option {name!r} has no default; give it one")
        hint = hints.get(name, type(parameter.default))
        try:
            options[name] = _option(name, hint, parameter.default)
        except ScenarioError as error:
            raise ScenarioError(f"{of}: {error}") from None
    if world != 1:
        raise ScenarioError(
            f"{of} takes {world} arguments by position: it takes one, the World, and its options "
            "behind a *"
        )
    return options


def _option(name: str, hint: Any, default: Any) -> Option:
    extras: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        extras = tuple(rest)
    text = next((extra for extra in extras if isinstance(extra, str)), "")
    bounds = next((extra for extra in extras if isinstance(extra, Range)), Range())
    if hint not in (int, float, str, bool, Path) and get_origin(hint) is not Literal:
        raise ScenarioError(
            f"option {name!r} has type {hint}: options are int, float, str, bool, Path or Literal"
        )
    option = Option(name, hint, default, text, bounds.low, bounds.high)
    return replace(option, default=option.admit(default))


def _names() -> dict[str, Any]:
    """Names that a scenario's annotations may use though it imports them for checking only."""
    from gorun_mem.machine.m import M
    from gorun_mem.machine.world import World

    return {"World": World, "M": M}


class _NotOneOf(ValueError):
    pass


def _one_of(text: str, values: tuple[Any, ...]) -> Any:
    for value in values:
        if str(value) == text:
            return value
    raise _NotOneOf(f"must be one of {', '.join(map(str, values))}")


def _truth(text: str) -> bool:
    lowered = text.lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise _NotOneOf("must be true or false")
