"""What a search finds: findings, failures and their signatures."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from shlex import join, quote
from typing import TYPE_CHECKING, Any, Final, Protocol

from gorun_mem.explore.history import NotLinearizable
from gorun_mem.explore.naming import code_of
from gorun_mem.machine.outcome import (
    DeadlockFound,
    NeverAwaited,
    NoProgress,
    Stuck,
    in_words,
)
from gorun_mem.machine.places import place_of
from gorun_mem.machine.watchdog import LoopWithoutAwait
from gorun_mem.policies import PolicyError
from gorun_mem.runtime.errors import Deadlock, Fault, Hang, IllegalUse, Throw, said
from gorun_mem.step.schedule import Schedule, Step

if TYPE_CHECKING:
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.op import Op
    from gorun_mem.step.task import Task

_NUMBERS: Final = re.compile(r"0x[0-9a-fA-F]+|\d[\d,_.]*")


@dataclass(frozen=True, slots=True)
class Signature:
    """What makes two failures the same one, whatever the schedule, the Ms and the addresses.

    Args:
        kind: "deadlock", "throw", "fault", "no_progress", "illegal_use", the name of an exception,
            or a detector's word such as "race".
        obj: what it is about: Go's throw text, a lock, a variable.
        site: where: "file:line" of the program, a Go function, or the name of the M's program.
    """

    kind: str
    obj: str = ""
    site: str = ""

    def __str__(self) -> str:
        text = f"{self.kind}: {self.obj}" if self.obj else self.kind
        return f"{text} at {self.site}" if self.site else text


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector has found in one run.

    Args:
        kind: a word, such as "race".
        obj: what it is about.
        site: where, "" where that is not known.
        text: for people: the fact and the values.
        ms: ids of the Ms concerned.
        step: number of the step that showed it, from 1; 0 where it was the run as a whole.
        by: who found it, as a command line names it; "" for a detector that is usual.
    """

    kind: str
    obj: str
    site: str = ""
    text: str = ""
    ms: tuple[int, ...] = ()
    step: int = 0
    by: str = ""


class Detector(Protocol):
    """Looks at each run of a search for what does not end the run by itself.

    One object is made for a search (for each process of it) and sees its runs one after another.
    What it finds makes the run a failure. Make it cheap: `step` is called for every access. A
    search of all schedules that differ runs one of those that differ in the order of independent
    steps only, so let what is found not hang on that order.

    One of a user's derives from this class, and writes `end` and what else it needs; a command line
    names it as `--detector FILE.py:Class`.

    It may have attributes more. `usual = N` says that a search looks with it unless it is told
    otherwise, the lowest N first; what ends a program comes first. `looks = False` says that its
    `step` does nothing and need not be called. `flushes = True` says that it is told also where an
    M's store buffer makes a step (`Config.memory`), whose `task` is no M. `screened = True` says
    that it finds nothing in a run that `screen.Screen` does not suspect and that ends well: the
    search then shows it those runs only that are not so. And `screened = "made"`, that it finds
    something in runs only that are made for it. `midway = True` says that what it has found it has
    found, however the run goes on, so that `end` may be asked where a run is broken off.
    """

    name: str

    def begin(self, world: World) -> None:
        """A run begins; forget the one before."""

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """An access was made.

        Args:
            task: the M that made it.
            op: the operation, as the access has left it: `op.kind` and `op.obj` name the next one.
            kind: the access that was made, such as "acquire".
            obj: what it was made to.
            reads: whether it changed nothing that another M can see.
            result: what `op.step` returned: MORE, PARKED (the M sleeps now) or the operation's
                result.
        """

    @abstractmethod
    def end(self, world: World) -> Sequence[Finding]:
        """The run has ended, `world.failure` says how; what was found, if anything."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that did not end as it should.

    Args:
        signature: names the failure.
        text: for people, what went wrong.
        schedule: leads to it again: `schedule.token()`.
        steps: what happened, with full names.
        strategy: which strategy came upon it.
        run: the number of that run, from 0.
        stuck: who waited or held what when the run ended.
        findings: of the detectors.
        shrunk_from: steps and switches of the schedule before it was shrunk; None if it was not.
        ms: names of the Ms by id.
        settings: release, platform, mutex and the like, for the report.
        history: the lines that explain why an object's history is not linearizable.
    """

    signature: Signature
    text: str
    schedule: Schedule
    steps: tuple[Step, ...]
    strategy: str = ""
    run: int = 0
    stuck: tuple[Stuck, ...] = ()
    findings: tuple[Finding, ...] = ()
    shrunk_from: tuple[int, int] | None = None
    ms: dict[int, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    history: tuple[str, ...] = ()

    @property
    def token(self) -> str:
        """The schedule as text."""
        return self.schedule.token()

    @property
    def command(self) -> str:
        """What to paste into a shell to see it again."""
        return self.command_for(self.token)

    def command_for(self, token: str) -> str:
        """The same with another token that leads there."""
        return replay_command(self.schedule.about, token)

    @property
    def command_to_view(self) -> str:
        """What opens the page on it."""
        test = self.schedule.about.get("test")
        of_test = ["--code", test] if isinstance(test, str) else []
        return join(["gorun-mem", "view", self.token, *of_test, *self.code_options])

    @property
    def code_options(self) -> list[str]:
        """The options by which code that is not the library's may run."""
        return _code_options(self.schedule.about)

    @property
    def switches(self) -> int:
        """How often another M went on than before."""
        return sum(a.m != b.m for a, b in pairwise(self.steps))

    @property
    def preemptions(self) -> int:
        """How many of these took an M that could have gone on."""
        return sum(step.preempts for step in self.steps)


def replay_command(about: Mapping[str, Any], token: str) -> str:
    """What to paste into a shell to see a schedule again.

    Args:
        about: what the schedule says of its program.
        token: the schedule.
    """
    test = about.get("test")
    if isinstance(test, str):
        return f"pytest {quote(test)} --explore-token {token}"
    return join(["gorun-mem", "replay-schedule", token, *_code_options(about)])


def _code_options(about: Mapping[str, Any]) -> list[str]:
    return [word for code in code_of(about) for word in ("--code", code)]


def signature_of(world: World, findings: Sequence[Finding]) -> Signature | None:
    """The signature of how a run ended; None where all is well."""
    error = world.failure
    if error is None:
        if not findings:
            return None
        first = findings[0]
        return Signature(first.kind, first.obj, first.site)
    if isinstance(error, DeadlockFound | Deadlock):
        return _deadlock(world)
    if isinstance(error, NoProgress | Hang | LoopWithoutAwait):
        return Signature("no_progress", getattr(error, "function", ""))
    if isinstance(error, NeverAwaited):
        return Signature("never_awaited", without_numbers(error.what), error.place)
    if isinstance(error, NotLinearizable):
        return Signature("not_linearizable", error.obj, error.called.name)
    if isinstance(error, Throw):
        return Signature(
            "throw", error.message, without_numbers(str(error.context.get("site", "")))
        )
    current: Any = world.engine.current
    op = current.op if current is not None else None
    site = getattr(op, "site", "")
    if isinstance(error, Fault):
        return Signature("fault", without_numbers(error.detail), site)
    place = place_of(error) or site or without_numbers(getattr(current, "name", ""))
    if isinstance(error, PolicyError):
        return Signature("policy", without_numbers(error.what), place)
    if isinstance(error, IllegalUse):
        return Signature("illegal_use", without_numbers(said(error)).split(":")[0], place)
    return Signature(type(error).__name__, "", place)


def _deadlock(world: World) -> Signature:
    """By what is waited for and by the sites of the holders, not by who waits or since when."""
    waits = set()
    for stuck in world.driver.stuck_at_end:
        site = stuck.held_by.site if stuck.held_by is not None else ""
        wanted = re.sub(r"\bm\d+\.", "m.", stuck.waits_for)
        waits.add(f"{wanted} held in {site}" if site else wanted)
    return Signature("deadlock", "; ".join(sorted(waits)))


def without_numbers(text: str) -> str:
    """`text` with every number replaced: two runs differ in addresses and ids."""
    return _NUMBERS.sub("#", text)


def history_of(world: World) -> tuple[str, ...]:
    """The timeline of an object whose history is not linearizable; nothing if none is so."""
    error = world.failure
    return error.timeline if isinstance(error, NotLinearizable) else ()


def words_of(world: World, findings: Sequence[Finding]) -> str:
    """What went wrong, for people."""
    error = world.failure
    lines = [finding.text or f"{finding.kind}: {finding.obj}" for finding in findings]
    if error is not None:
        failed_m = world.driver.failed_m
        lines.insert(0, f"M{failed_m}: {in_words(error)}" if failed_m else in_words(error))
    return "\n".join(lines)
