"""What the report of a failed test shows: the user's lines, the World, the command to run it again.

Frames of this package and of what drives its Ms say nothing about a test, so the traceback goes
without them; `--full-trace` has them all. trio's nurseries wrap an error in groups of one, which
are left out too, as pytest's own last line does.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from gorun_mem import Run, World
    from gorun_mem.events.recorder import Recorder

TAIL: Final = 8
"""Events that the report shows."""
COLUMNS: Final = 100
_OURS: Final = ("gorun_mem", "outcome", "pytest_trio", "trio")
"""Packages whose frames are left out."""
_LIBRARY: Final = "scenarios"
"""In a wheel the folder of the package whose frames are a program's."""
_NOT_SHOWN: Final = frozenset({"event", "level", "seq", "t_ns", "m"})


class WatchedWorld:
    """A World of a test, with what happened in it last."""

    def __init__(self) -> None:
        from gorun_mem.events.recorder import Recorder

        self.recorder: Recorder = Recorder()
        self.world: World | None = None
        self.run: Run | None = None
        self.given: dict[str, Any] = {}
        """What `run_scenario` was given of the scenario's options."""
        self._tail: deque[Any] = deque(maxlen=TAIL)
        self.recorder.subscribe(self._tail.append)

    def properties(self) -> list[tuple[str, str]]:
        """What JUnit's report has of it: how it ended, by which schedule, from which seed."""
        world = self.world
        if world is None:
            return []
        facts = {
            "verdict": self.run.outcome.verdict if self.run is not None else _verdict(world),
            "settings": _settings(world),
            "token": world.config.schedule or f"{world.config.strategy}:{world.config.seed}",
            "seed": str(world.config.seed),
        }
        return [(f"world.{name}", value) for name, value in facts.items()]

    def lines(self) -> Iterator[str]:
        """Settings, how it ended, the last events, and the command that runs it again."""
        import msgspec

        if self.world is None:
            return
        yield _settings(self.world)
        if self.run is not None:
            yield _cut(f"ended: {self.run.outcome.verdict}{_because(self.run.outcome.error)}")
        if self._tail:
            yield f"the last {len(self._tail)} of {self.recorder.seq} events:"
        for event in self._tail:
            yield _line(msgspec.to_builtins(event))
        if self.run is not None:
            yield f"again: {shlex.join(self._again(self.run))}"

    def _again(self, run: Run) -> list[str]:
        """The words of the command line that run it so."""
        settings, config = run.world.settings, run.world.config
        words = [
            "gorun-mem", "run", run.scenario.label, "--release", settings.release.name,
            "--platform", settings.platform.name, "--mutex", settings.mutex, "--ms",
            str(config.ms), "--cpus", str(config.cpus), "--strategy", config.strategy,
            "--seed", str(config.seed),
        ]  # fmt: skip
        if config.policy_name:
            words += ["--policy", config.policy_name]
        for name, value in self.given.items():
            words += ["--set", f"{name}={value}"]
        return words


def _settings(world: World) -> str:
    settings, config = world.settings, world.config
    policy = f" policy {config.policy_name}" if config.policy_name else ""
    return (
        f"{settings.release.name} {settings.platform.name} mutex {settings.mutex}{policy}, "
        f"{config.ms} Ms on {config.cpus} CPUs, strategy {config.strategy}, seed {config.seed}"
    )


def _verdict(world: World) -> str:
    """How a World stands that the test itself has driven."""
    failure = world.failure
    if failure is None:
        return "ok"
    return str(getattr(failure, "error_type", "") or type(failure).__name__)


def _because(error: BaseException | None) -> str:
    return f", {' '.join(str(error).split())}" if error is not None and str(error) else ""


def _line(event: dict[str, Any]) -> str:
    """An event for people: when, who, what, and its fields that say something."""
    said = " ".join(
        f"{name}={value}"
        for name, value in event.items()
        if name not in _NOT_SHOWN and value not in (0, "", None, False, ())
    )
    who = f"M{event['m']}" if event.get("m") else "--"
    return _cut(f"{event['t_ns']:>10,} ns  {who:4}{event['event']:17} {said}".rstrip())


def _cut(text: str) -> str:
    return text if len(text) <= COLUMNS else f"{text[: COLUMNS - 3]}..."


# The traceback.


def shorten(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Show a failure by the user's lines alone.

    Args:
        item: the test.
        call: what was raised.
        report: what is shown of it, which is changed.
    """
    excinfo = call.excinfo
    if excinfo is None or item.config.getoption("fulltrace", False):
        return
    if isinstance(excinfo.value, pytest.fail.Exception | pytest.skip.Exception):
        return
    error = excinfo.value
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        inner = error.exceptions[0]
        inner_has, outer_has = (_users(one.__traceback__) for one in (inner, error))
        if outer_has and not inner_has:
            inner.__traceback__ = error.__traceback__
        error = inner
    with _without_our_frames(error):
        report.longrepr = item.repr_failure(pytest.ExceptionInfo.from_exception(error))


@contextmanager
def _without_our_frames(error: BaseException) -> Generator[None]:
    """For a while an error, what it holds and what it came of have the user's frames alone."""
    kept: list[tuple[BaseException, TracebackType | None]] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or any(one is known for known, _ in kept):
            continue
        kept.append((one, one.__traceback__))
        users = _users(one.__traceback__)
        if users:
            one.__traceback__ = _joined(users)
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
    try:
        yield
    finally:
        for one, traceback in kept:
            one.__traceback__ = traceback


def _users(traceback: TracebackType | None) -> list[TracebackType]:
    """The entries that are neither ours nor of what drives Ms."""
    found = []
    while traceback is not None:
        if not _is_ours(traceback.tb_frame.f_code.co_filename):
            found.append(traceback)
        traceback = traceback.tb_next
    return found


def _joined(entries: list[TracebackType]) -> TracebackType:
    """A traceback of these entries alone."""
    joined: TracebackType | None = None
    for entry in reversed(entries):
        joined = TracebackType(joined, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    assert joined is not None
    return joined


def _is_ours(filename: str) -> bool:
    return any(
        filename.startswith(folder) and not filename.startswith(folder + _LIBRARY + os.sep)
        for folder in _folders()
    ) or filename.startswith("<frozen")


def _folders() -> list[str]:
    """Where the packages lie whose frames are left out, of those that are loaded."""
    files = (getattr(sys.modules.get(name), "__file__", None) for name in _OURS)
    return [os.path.dirname(file) + os.sep for file in files if file]
