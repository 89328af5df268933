"""What a schedule alone tells of the failure that it leads to: of a log, of a file, of a token.

A search has its failures at hand; whoever opens a log or a schedule later has the schedule, which
names the program. It is followed once more under the usual detectors and those that it names, and
what is said then is what the search said (`telling.account_of`), but for how it was found. Where
that is not to be had, it is said why, and what to do.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.detectors.load import recorded
from gorun_mem.explore.drive import Execution, replay
from gorun_mem.explore.naming import code_of
from gorun_mem.explore.rerun import failure_of
from gorun_mem.explore.target import Target
from gorun_mem.explore.telling import account_of, as_json
from gorun_mem.explore.watched import Watched
from gorun_mem.machine.config import ConfigError
from gorun_mem.machine.scenario import ScenarioError
from gorun_mem.machine.watchdog import LIMIT_S, Watchdog
from gorun_mem.runtime.behaviour import UnknownRelease
from gorun_mem.runtime.mutex import UnknownMutex
from gorun_mem.step.costs import CostError
from gorun_mem.step.schedule import Schedule, ScheduleError
from gorun_mem.step.strategies.replay import OnDivergence

if TYPE_CHECKING:
    from gorun_mem.events.types import RunEnd, RunStart
    from gorun_mem.explore.account import FailureAccount
    from gorun_mem.explore.failure import Detector

_UNFIT: Final = (
    ConfigError, CostError, ScenarioError, ScheduleError, UnknownMutex, UnknownRelease,
)  # fmt: skip
_CUT: Final = ("ok", "cancelled", "interrupted")
"""Outcomes of which there is nothing to explain."""
SERVICE: Final = "serve"
"""What the log of `gorun-mem serve` calls its scenario: its clients decide what happens."""


@dataclass(frozen=True, slots=True)
class Retold:
    """What is said of a failure, or why nothing is.

    Args:
        account: all of it; None where there is none.
        why: in a sentence, with what to do; "" where there is an account, or nothing to explain.
        remark: what else is to be known, such as that the program has changed since.
    """

    account: FailureAccount | None = None
    why: str = ""
    remark: str = ""

    @property
    def notes(self) -> list[str]:
        """What is said beside the account, or in its place."""
        return [line for line in (self.why, self.remark) if line]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        account = as_json(self.account) if self.account is not None else None
        return {"failure": account, "no_failure": self.notes}


def trusted(schedule: Schedule, allowed: Sequence[str], command: str) -> Target:
    """The program of a schedule, where it is the library's or may run.

    Args:
        schedule: which names it.
        allowed: code that may run, as the schedule names it.
        command: what was said, to which the options that let the code run are put.

    Raises:
        ScheduleError: there is no such program any more, or it may not run.
    """
    refuse_code(code_of(schedule.about), allowed, command)
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a program that is named as module:function
    try:
        target = Target.from_about(schedule.about)
        target.detectors = recorded(schedule.about)
        return target
    except _UNFIT as error:
        raise ScheduleError(str(error)) from None
    except (TypeError, ValueError, OverflowError, AttributeError, LookupError) as error:
        # A checksum proves nothing of what is said: whatever it is, it cannot be meant.
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ScheduleError(f"what the schedule says cannot be run: {what}") from None


def refuse_code(named: Sequence[str], allowed: Sequence[str], command: str) -> None:
    """Refuse to run what may not.

    Args:
        named: by a schedule.
        allowed: what may run.
        command: see `trusted`.

    Raises:
        ScheduleError: one of those named may not.
    """
    for code in named:
        if code not in allowed:
            options = shlex.join(word for one in named for word in ("--code", one))
            raise ScheduleError(
                f"the schedule would run code, {code!r:.200}: if you trust it, say {command} "
                f"{options}"
            )


def followed(
    target: Target,
    schedule: Schedule,
    detectors: Sequence[Detector],
    *,
    on_divergence: OnDivergence = "stop",
    watch_s: float = LIMIT_S,
) -> Execution:
    """Follow a schedule; an M that goes on and on without an await is found out.

    Args:
        target: the program.
        schedule: what to follow.
        detectors: look at the run.
        on_divergence: what to do where the program departs from it.
        watch_s: how long an M may run without an await, in seconds of real time; 0 for ever.
    """
    from gorun_mem.explore.search import steps_bound

    watched = Watched()
    with Watchdog(watched, watch_s) as watchdog:
        done = replay(
            target, schedule, detectors=detectors, on_divergence=on_divergence,
            steps_max=steps_bound(target), on_world=watched.watch,
        )  # fmt: skip
    watchdog.explain(done.world.driver)
    return done


def retell(schedule: Schedule, allowed: Sequence[str], command: str, sha256: str = "") -> Retold:
    """What there is to say of the failure that a schedule leads to.

    Args:
        schedule: which.
        allowed: code that may run, as the schedule names it.
        command: what was said, to which the options that let the code run are put.
        sha256: of the program's source when the schedule was made, in full or its beginning; "" for
            what the schedule says itself.
    """
    try:
        target = trusted(schedule, allowed, command)
    except ScheduleError as error:
        return Retold(why=str(error))
    was = sha256 or str(schedule.about.get("sha256", ""))
    changed = bool(was and target.sha256) and not target.sha256.startswith(was)
    remark = f"{target.name} has changed since the schedule was made" if changed else ""
    makers: Sequence[Callable[[], Detector]] = (*DEFAULT_DETECTORS, *target.detectors)
    done = followed(target, schedule, [make() for make in makers])
    again = f"look for a schedule of what it is now: {_explore(schedule)}"
    if done.divergence:
        text = f"the program is not the one of the schedule any more, {done.divergence}; {again}"
        return Retold(why=text, remark=remark)
    if done.foreign:
        return Retold(why=f"an M awaits what no schedule controls, at {done.foreign}")
    if done.signature is None:
        more = f"; {again}" if changed else ""
        text = f"the schedule ends well, and no detector finds anything in it{more}"
        return Retold(why=text, remark=remark)
    return Retold(account_of(failure_of(done, target), target), remark=remark)


def retell_log(
    start: RunStart | None, end: RunEnd | None, allowed: Sequence[str], command: str
) -> Retold:
    """What there is to say of the failure that a log ends with.

    Args:
        start: the log's first event, None where that is lost.
        end: its last, None where that is lost.
        allowed: code that may run, as the schedule names it.
        command: see `retell`.
    """
    if start is None:
        return Retold()
    ended = end.token if end is not None and end.token is not UNSET else ""
    token = start.schedule if start.schedule is not UNSET else ended
    if not token or ":" in token:  # such as timing:0
        return Retold(why=_unkept(start, end))
    try:
        schedule = Schedule.from_token(token)
    except ScheduleError as error:
        return Retold(why=f"the log's schedule cannot be read: {error}")
    sha256 = start.scenario_sha256 if start.scenario_sha256 is not UNSET else ""
    return retell(schedule, allowed, command, sha256)


def _unkept(start: RunStart, end: RunEnd | None) -> str:
    if end is None or end.outcome in _CUT or end.uncontrolled or start.scenario == SERVICE:
        return ""
    words = ["gorun-mem", "explore", start.scenario, "--ms", str(start.ms)]
    words += ["--release", start.release, "--platform", start.platform, "--mutex", start.mutex]
    words += [
        word for name, value in start.options.items() for word in ("--set", f"{name}={value}")
    ]
    return (
        f"a run under {start.strategy} keeps no schedule, so nothing is said of which steps "
        f"mattered; look for one that fails so: {shlex.join(words)}"
    )


def _explore(schedule: Schedule) -> str:
    about = schedule.about
    name = about.get("scenario") or about.get("function") or "SCENARIO"
    return shlex.join(["gorun-mem", "explore", str(name)])
