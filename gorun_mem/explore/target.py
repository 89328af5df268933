"""What is explored: a program with the settings of its World, and how a token names it."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from gorun_mem.machine.config import Config, ConfigError, Resolved, resolve
from gorun_mem.machine.scenario import Scenario
from gorun_mem.machine.world import World
from gorun_mem.runtime.mutex import default_mutex
from gorun_mem.runtime.mutex.any_ import ANY
from gorun_mem.scripts import is_file
from gorun_mem.step.costs import CostTable

Main = Callable[[World], Coroutine[Any, Any, Any]]
"""A program: an async function of a World."""
Alone = Callable[[], Coroutine[Any, Any, Any]]
"""A program of trio's, which takes no World."""

VERIFIED_MS_MAX: Final = 4
"""Ms of whose lock every state can be visited."""
_UNNAMED: Final = frozenset({"strategy", "costs", "schedule"})
"""Settings that a token does not name: the tape stands for the strategy."""


MS_MAX: Final = 100_000
"""The most Ms that a token may ask for."""


class Target:
    """A program with its settings, from which any number of Worlds can be made.

    Args:
        program: makes the coroutine that runs on a World.
        config: settings of the Worlds.
        about: names program and settings in a token; see `from_about`.
        name: for people.

    Attributes:
        host: what runs it in a search: "trio" where it awaits trio, "" otherwise.
        alone: it is a program of trio's, without a World.
        sha256: of the source that it is in, "" where that is not known.
        detectors: what makes those that look at its schedules beside the usual ones, where a mark
            names them, or the schedule of a failure that they found.
    """

    def __init__(self, program: Main, config: Config, about: Mapping[str, Any], name: str) -> None:
        self.program = program
        self.settings: Resolved = resolve(config)
        self.config = config
        self.costs = config.costs.table()
        self.about = dict(about)
        self.name = name
        self.host = ""
        self.alone = False
        self.sha256 = ""
        self.detectors: tuple[Callable[[], Any], ...] = ()
        if "cancel" in config.faults:  # whatever awaits trio or not: its scopes do the cancelling
            self.control_trio()

    def __repr__(self) -> str:
        return f"<Target {self.name}>"

    @staticmethod
    def of(
        program: Scenario | Main | Alone,
        config: Config | None = None,
        options: Mapping[str, Any] | None = None,
        memory: str | None = None,
    ) -> Target:
        """A target for a scenario, for an async function of a World, or for any of trio's.

        Args:
            program: what to explore.
            config: settings; those of the scenario, or the defaults for two Ms, if None.
            options: a scenario's options.
            memory: "sc" or "tso", in place of what `config` says.

        Raises:
            ScenarioError, ConfigError and their like: options or settings are wrong.
        """
        if isinstance(program, Scenario):
            config = (config or program.config()).but(memory=memory)
            return _of_scenario(program, config, options or {})
        if options:
            raise ConfigError("options are for scenarios; this is a function")
        config = (config or Config(ms=2)).but(memory=memory)
        name = getattr(program, "__name__", "main")
        where = f"{getattr(program, '__module__', '')}:{getattr(program, '__qualname__', name)}"
        about: dict[str, Any] = {"function": where, "config": _changes(config, Config())}
        if _takes_world(program):
            target = Target(cast(Main, program), config, about, name)
            target.sha256 = _source_sha256(program)
            return target
        alone = cast(Alone, program)
        target = Target(lambda world: alone(), config, about, name)
        target.sha256 = _source_sha256(program)
        target.alone = True
        target.control_trio()
        return target

    @staticmethod
    def from_about(about: Mapping[str, Any]) -> Target:
        """The target that a token names.

        Raises:
            ScenarioError, ConfigError and their like: there is no such program any more, or what
                the token says does not fit it.
        """
        config = about.get("config", {})
        options = about.get("options", {})
        if not isinstance(config, dict) or not isinstance(options, dict):
            raise ConfigError("the schedule's settings cannot be read")
        if isinstance(about.get("scenario"), str):
            from gorun_mem.machine.library import find

            program: Scenario | Main = find(about["scenario"])
        elif isinstance(about.get("function"), str):
            program = _import(about["function"])
        elif isinstance(about.get("test"), str):
            raise ConfigError(
                f"the schedule is one of a test: pytest {about['test']} --explore-token TOKEN"
            )
        else:
            raise ConfigError("the schedule does not say what to run; give the scenario")
        base = program.config() if isinstance(program, Scenario) else Config()
        target = Target.of(program, _changed(base, config), options)
        if about.get("host") == "trio":
            target.control_trio()
        return target

    def with_memory(self, memory: str) -> Target:
        """The same program with another memory.

        Raises:
            ConfigError: there is no such memory, or the program cannot have it.
        """
        config = self.config.but(memory=memory)
        about = {**self.about, "config": {**self.about.get("config", {}), "memory": memory}}
        target = Target(self.program, config, about, self.name)
        target.alone, target.detectors = self.alone, self.detectors
        if self.host == "trio" and not target.host:
            target.control_trio()
        return target

    def control_trio(self) -> None:
        """The program awaits trio: its tasks are to be under the schedule too.

        Raises:
            ConfigError: this trio is not known.
        """
        if self.config.memory == "tso":
            raise ConfigError(
                f"memory tso: {self.name} awaits trio, whose tasks run in one thread and have no "
                "store buffers; explore it with memory sc, or write it with Ms"
            )
        import_module("gorun_mem.explore.controlled.versions").check_version()
        self.host = self.about["host"] = "trio"

    def world(self, engine: Any = None, recorder: Any = None, kind: type[World] = World) -> World:
        """A new World for one run, of the class `kind`."""
        return kind(self.settings, engine=engine, recorder=recorder, name=self.name)

    def start(self, world: World) -> Coroutine[Any, Any, Any]:
        """The program's coroutine on `world`."""
        return self.program(world)

    @property
    def stands_on(self) -> str:
        """The command that has to find nothing wrong for a search over `any` to hold of the lock
        that the release has there; "" where the locks are real ones.

        Of more Ms than VERIFIED_MS_MAX nothing is verified: then of so many.
        """
        found = self.settings
        if found.mutex != ANY:
            return ""
        config = found.config
        real = default_mutex(found.release, found.platform.name, config.ms)
        ms = min(config.ms, VERIFIED_MS_MAX)
        return (
            f"gorun-mem verify {real} --release {found.release.name} --ms {ms} --cpus {config.cpus}"
        )

    @property
    def importable(self) -> bool:
        """Whether another process can find the program by its name."""
        if "<" in self.config.mutex_name + self.config.policy_name:
            return False
        where = self.about.get("function")
        return where is None or ("<" not in where and not where.startswith(("__main__:", ":")))


def _source_sha256(program: Any) -> str:
    """Of the file that a function is in."""
    try:
        source = inspect.getsourcefile(inspect.unwrap(program))
        return hashlib.sha256(Path(source or "").read_bytes()).hexdigest()
    except (OSError, TypeError, ValueError):
        return ""


def _takes_world(program: Any) -> bool:
    """Whether it is a program of a World, and not of trio alone."""
    try:
        return bool(inspect.signature(program).parameters)
    except (TypeError, ValueError):
        return True


def _of_scenario(scenario: Scenario, config: Config, options: Mapping[str, Any]) -> Target:
    complete = scenario.check(options)
    config = scenario.configured(config, complete)
    about: dict[str, Any] = {
        "scenario": scenario.label,
        "options": {k: str(v) for k, v in complete.items() if v != scenario.options[k].default},
        "config": _changes(config, scenario.defaults),
    }
    if is_file(scenario.label):
        about["sha256"] = scenario.sha256[:16]  # what it was when this was said of it

    def program(world: World) -> Coroutine[Any, Any, Any]:
        return scenario.program(world, **complete)

    target = Target(program, config, about, scenario.name)
    target.sha256 = scenario.sha256
    return target


def _changes(config: Config, base: Config) -> dict[str, Any]:
    """The settings in which `config` differs, as JSON."""
    changes: dict[str, Any] = {}
    for one in fields(Config):
        value = getattr(config, one.name)
        if one.name not in _UNNAMED and value != getattr(base, one.name):
            changes[one.name] = list(value) if isinstance(value, tuple) else value
    if config.costs != base.costs:
        changes["costs"] = [config.costs.ns, config.costs.time_slice_ns]
    return changes


def _changed(base: Config, changes: Mapping[str, Any]) -> Config:
    known = {one.name: one for one in fields(Config)}
    values: dict[str, Any] = {}
    for name, value in changes.items():
        too_many = name == "ms" and isinstance(value, int) and value > MS_MAX
        if not _is_small(value) or too_many:
            raise ConfigError(f"the schedule's setting {name!r:.60} is out of all bounds")
        if name not in known or name in ("strategy", "schedule"):
            raise ConfigError(f"the schedule's setting {name!r} is unknown")
        if name == "costs":
            values[name] = _costs(value)
            continue
        values[name] = tuple(value) if isinstance(value, list) else value
        before = getattr(Config(), name)
        if before is not None and type(values[name]) is not type(before):
            raise ConfigError(f"the schedule's setting {name} = {value!r} is of the wrong type")
        if before is None and not isinstance(value, str):
            raise ConfigError(f"the schedule's setting {name} = {value!r} is no name")
    return base.but(**values)


def _is_small(value: Any) -> bool:
    """Whether a value of a token is one that a setting may have."""
    if isinstance(value, int):
        return abs(value) < 1 << 63
    if isinstance(value, str):
        return len(value) < 4096
    if isinstance(value, list | tuple):
        return len(value) < 64 and all(map(_is_small, value))
    if isinstance(value, dict):
        return len(value) < 256 and all(_is_small(one) for one in (*value, *value.values()))
    return value is None or isinstance(value, float)


def _costs(value: Any) -> CostTable:
    try:
        ns, slice_ns = value
        return CostTable({str(k): float(v) for k, v in ns.items()}, int(slice_ns))
    except (TypeError, ValueError, AttributeError):
        raise ConfigError("the schedule's cost table cannot be read") from None


def _import(where: str) -> Main:
    """The function that "module:name" names."""
    module, _, name = where.partition(":")
    try:
        found: Any = sys.modules.get(module) or import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"no program {where}: {error}") from error
    if not callable(found):
        raise ConfigError(f"{where} is no async function of a World")
    return found  # type: ignore[no-any-return]
