"""What a sweep can be of: for each verb what it is about, what it takes, and how a cell is done.

A cell is a plain value and so is what comes of it, so both go to another process or machine, where
`do` is found by its name.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from gorun_mem._near import no_such
from gorun_mem._version import VERSION
from gorun_mem.analysis.metrics import Metrics
from gorun_mem.machine.config import Config, ConfigError, DoesNotFit
from gorun_mem.machine.library import find
from gorun_mem.machine.scenario import Scenario, ScenarioError
from gorun_mem.replay.recording import RecordingError
from gorun_mem.runtime.behaviour import UnknownRelease
from gorun_mem.runtime.mutex import UnknownMutex
from gorun_mem.step.costs import CostError, CostTable
from gorun_mem.step.strategies import UnknownStrategy
from gorun_mem.sweep.runs import RunJob, measure_of

IMPOSSIBLE: Final = (
    ConfigError, CostError, RecordingError, ScenarioError, UnknownMutex, UnknownRelease,
    UnknownStrategy,
)  # fmt: skip
"""What says that a cell cannot be."""
SET: Final = "set."
"""Before the name of an option that is the scenario's."""
_OTHER_NAMES: Final = {"init_pages": "initial_pages", "end": "data_end", "time": "time_s"}
_SETTINGS: Final = {one.name for one in fields(Config)} - {"schedule", "costs"}
_OF_SEARCH: Final = ("budget", "time_s", "bound", "failures_max", "canary", "shrink")

_BOUNDS: Final = frozenset(
    {
        "release", "ms", "pairs", "cpus", "low_latency", "profile", "try_locks", "spurious",
        "timeouts", "live", "states_max",
    }
)  # fmt: skip


class SweepError(ValueError):
    """A sweep that cannot be; the message says where and why."""


@dataclass(frozen=True, slots=True)
class SweepCell:
    """One point of a grid.

    Args:
        verb: what is done.
        subject: what it is done to: a scenario, a recording, a lock.
        options: by name, those of the scenario behind `SET`.
        seed: None where the verb has no seed.
    """

    verb: str
    subject: str
    options: Mapping[str, Any]
    seed: int | None = None

    @property
    def name(self) -> str:
        """Which cell of which grid this is, whatever it is about today."""
        return _sha256((self.verb, self.subject, sorted(self.options.items()), self.seed))

    def __str__(self) -> str:
        parts = [f"{name}={value}" for name, value in self.options.items()]
        if self.seed is not None:
            parts.append(f"seed={self.seed}")
        return " ".join([self.subject, *parts])


@dataclass(slots=True)
class CellDone:
    """What came of a cell.

    Args:
        outcome: of the run, the verdict of a search, "refused" where it cannot be.
        exit_code: what the verb would have exited with.
        metrics: figures by name.
        facts: words by name, such as a token.
        error: what went wrong, "" where nothing did.
        wall_s: seconds of real time.
    """

    outcome: str
    exit_code: int
    metrics: Metrics = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    error: str = ""
    wall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SweepVerb:
    """A verb as a sweep has it.

    Args:
        about: what its subject is called in a file.
        seeds: whether it has seeds.
        takes: the options, those of scenarios left out.
        do: does a cell.
        inputs: what a cell depends on that its options do not say.
    """

    about: str
    seeds: bool
    takes: frozenset[str]
    do: Callable[[SweepCell], CellDone]
    inputs: Callable[[SweepCell], object]


def do(cell: SweepCell) -> CellDone:
    """Do one cell; one that cannot be is refused, with the reason.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    start = time.perf_counter()
    try:
        done = VERBS[cell.verb].do(cell)
    except DoesNotFit as error:
        done = CellDone("not_instantiable", 2, error=str(error))
    except IMPOSSIBLE as error:
        done = CellDone("refused", 2, error=str(error))
    done.wall_s = round(time.perf_counter() - start, 6)
    return done


def inputs_of(cell: SweepCell) -> str:
    """A hash of all that decides what comes of a cell: options, sources, files, our version."""
    try:
        found = VERBS[cell.verb].inputs(cell)
    except IMPOSSIBLE as error:
        found = str(error)
    return _sha256((VERSION, cell.name, found))


def option_of(verb: SweepVerb, name: str) -> str:
    """An option by the name that `verb` has for it.

    Raises:
        SweepError: there is none; the message has the nearest.
    """
    plain = name.removeprefix("--").replace("-", "_")
    plain = _OTHER_NAMES.get(plain, plain)
    if plain in verb.takes:
        return plain
    said = no_such("option", plain, sorted(verb.takes))
    raise SweepError(f"{said}; those of the scenario are written as {SET}NAME")


def _sha256(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:32]


# Runs and searches.


@lru_cache(maxsize=8)
def _scenario(reference: str) -> Scenario:
    return find(reference)


def _settings(cell: SweepCell) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of the World, and the scenario's options.

    Raises:
        ConfigError: a setting is of the wrong type.
        CostError: the cost table cannot be used.
    """
    settings: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in cell.options.items():
        if name.startswith(SET):
            options[name.removeprefix(SET)] = value
        elif name == "costs":
            settings["costs"] = CostTable.find(str(value))
        elif name in _SETTINGS:
            settings[name] = _typed(name, value)
    if cell.seed is not None:
        settings["seed"] = cell.seed
    return settings, options


def _typed(name: str, value: Any) -> Any:
    usual = getattr(Config(), name)
    if isinstance(usual, tuple):
        value = tuple(value.split(",")) if isinstance(value, str) else tuple(value)
    wanted = str if usual is None else type(usual)
    if type(value) is not wanted:
        raise ConfigError(f"{name} = {value!r}: is no {wanted.__name__}")
    return value


def _run(cell: SweepCell) -> CellDone:
    scenario = _scenario(cell.subject)
    settings, options = _settings(cell)
    found = measure_of(scenario, RunJob(cell.subject, settings, options))
    return CellDone(found.outcome, found.exit_code, found.metrics, error=found.error)


def _explore(cell: SweepCell) -> CellDone:
    from gorun_mem.explore import explore
    from gorun_mem.explore.detectors import DEFAULT_DETECTORS

    scenario = _scenario(cell.subject)
    settings, options = _settings(cell)
    strategy = settings.pop("strategy", "auto")
    how = {name: cell.options[name] for name in _OF_SEARCH if name in cell.options}
    found = explore(
        scenario, config=scenario.config(**settings), options=options, strategy=strategy,
        seed=cell.seed or 0, detectors=DEFAULT_DETECTORS, **how,
    )  # fmt: skip
    if found.interrupted:
        raise KeyboardInterrupt
    counted = asdict(found.statistics)
    metrics: Metrics = {
        name: int(value) if isinstance(value, bool) else value
        for name, value in counted.items()
        if isinstance(value, int | float) and name != "seconds" and value != float("inf")
    }
    metrics["failures"] = len(found.failures)
    facts = {"reason": found.reason}
    failure = found.failure
    if failure is not None:
        signature = failure.signature
        facts |= {"failure": str(signature), "failure_kind": signature.kind}
        facts |= {"token": failure.token if failure.steps else ""}
        metrics["failure_run"] = failure.run
    text = failure.text if failure is not None else ""
    return CellDone(found.verdict, found.exit_code, metrics, facts, text)


def _inputs_of_scenario(cell: SweepCell) -> object:
    """The sources, options, settings and files that it would be run with."""
    scenario = _scenario(cell.subject)
    settings, options = _settings(cell)
    settings.pop("strategy", None)  # of a search, one of its own; the options have it
    config = scenario.config(**settings)
    complete = scenario.check(options)
    config = scenario.configured(config, complete)
    plain = {one.name: getattr(config, one.name) for one in fields(Config) if one.name != "costs"}
    files = [value for value in (*complete.values(), *plain.values()) if _is_file(value)]
    return (
        scenario.sha256, config.costs.sha256, sorted(plain.items(), key=str),
        sorted((name, str(value)) for name, value in complete.items()), _content_of(files),
    )  # fmt: skip


def _is_file(value: object) -> bool:
    path = str(value).partition(".py:")
    name = path[0] + path[1].rstrip(":")
    return isinstance(value, str | Path) and len(name) > 1 and Path(name).is_file()


def _content_of(files: list[Any]) -> list[str]:
    found = []
    for value in files:
        name, python, _ = str(value).partition(".py:")
        path = Path(name + python.rstrip(":"))
        found.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return found


# Predictions.


def _predict(cell: SweepCell) -> CellDone:
    from gorun_mem.predict.estimate import predict
    from gorun_mem.runtime.behaviour import release

    program = _program(cell.subject)
    to = release(str(cell.options.get("release", program.header.go)))
    to.platform(program.header.platform_name)
    limit = cell.options.get("max_pages")
    if limit is not None and type(limit) is not int:
        raise ConfigError(f"max_pages = {limit!r}: is no int")
    found = predict([program], to, limit)
    metrics: Metrics = {
        "pages": found.pages, "low": found.low, "high": found.high,
        "initial_pages": found.initial_pages,
    }  # fmt: skip
    if found.typical is not None:
        typical = found.typical
        metrics |= {
            "grows": typical.grows, "peak_live_bytes": typical.peak_live,
            "collections": typical.collections, "runaway_marks": len(typical.marks),
        }  # fmt: skip
    if found.fits is not None:
        metrics["smallest_limit"] = found.fits
    return CellDone(found.outcome, 0 if found.outcome == "ok" else 1, metrics)


@lru_cache(maxsize=4)
def _program(reference: str) -> Any:
    from gorun_mem.predict.program import load
    from gorun_mem.replay.shipped import resolve

    path = resolve(reference)
    if not path.is_file():
        raise ScenarioError(f"no recording {reference}: `gorun-mem predict --list` lists some")
    return load(path)


def _inputs_of_recording(cell: SweepCell) -> object:
    from gorun_mem.replay.shipped import resolve

    path = resolve(cell.subject)
    if not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


# States of locks.


def _verify(cell: SweepCell) -> CellDone:
    from gorun_mem.explore.states.bounds import VerifyError
    from gorun_mem.explore.states.verification import verify

    try:
        found = verify(cell.subject, **cell.options)
    except VerifyError as error:
        raise ConfigError(str(error)) from None
    except TypeError:
        raise ConfigError(f"{cell}: a bound is of the wrong type") from None
    metrics: Metrics = {"states": found.states, "steps": found.steps}
    if found.bypasses is not None:
        metrics["bypasses"] = found.bypasses
    facts = {"reason": found.sentence}
    if found.trace:
        facts["token"] = found.token
    return CellDone(found.verdict, found.exit_code, metrics, facts, found.wrong)


def _inputs_of_lock(cell: SweepCell) -> object:
    return _content_of([cell.subject] if _is_file(cell.subject) else [])


VERBS: Final[dict[str, SweepVerb]] = {
    "run": SweepVerb(
        "scenario", True, frozenset(_SETTINGS - {"seed"} | {"costs"}), _run, _inputs_of_scenario
    ),
    "explore": SweepVerb(
        "scenario",
        True,
        frozenset(_SETTINGS - {"seed"} | {"costs", *_OF_SEARCH}),
        _explore,
        _inputs_of_scenario,
    ),
    "predict": SweepVerb(
        "recording", False, frozenset({"release", "max_pages"}), _predict, _inputs_of_recording
    ),
    "verify": SweepVerb("mutex", False, _BOUNDS, _verify, _inputs_of_lock),
}
"""By name."""
