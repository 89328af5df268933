"""A scenario run by a schedule, as `run` would run it: with a log, on either host."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from gorun_mem.cli._common import BadInput, ExitCode
from gorun_mem.cli._output import show

if TYPE_CHECKING:
    from gorun_mem.events.methods import LogLevel
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.run import Run
    from gorun_mem.machine.scenario import Scenario
    from gorun_mem.step.schedule import Schedule


def load_schedule(reference: str) -> Schedule:
    """The schedule of `last`, a file or a token.

    Raises:
        BadInput: there is none.
    """
    from gorun_mem.explore.saved import load
    from gorun_mem.step.schedule import ScheduleError

    try:
        return load(reference)
    except ScheduleError as error:
        raise BadInput(str(error)) from None


def run_again(
    target: Target, schedule: Schedule, host: str, log: str | None, watch_s: float, as_json: bool
) -> tuple[int, dict[str, Any]]:
    """The schedule as `run` would run it: with a log, on either host.

    Raises:
        BadInput: it is of no scenario.
    """
    from gorun_mem.explore.words import count
    from gorun_mem.machine.outcome import in_words

    if "scenario" not in target.about:
        raise BadInput("--host trio and --log are for scenarios; this schedule is of a function")
    outcome = run_schedule(target, schedule, host, log, watch_s=watch_s).outcome
    text = in_words(outcome.error) if outcome.error is not None else "ended well"
    if not as_json:
        steps = count(outcome.steps, "step")
        show(f"{target.name}: {text} ({outcome.verdict}, {steps})")
        if log is not None:
            show(f"report  gorun-mem report {shlex.quote(log)}")
    return (ExitCode.CLEAN if outcome.ok else ExitCode.FAILED), {
        "replay": target.name,
        "outcome": outcome.verdict,
        "text": text,
        "steps": outcome.steps,
        "log": log,
    }


def check_host(target: Target, host: str) -> None:
    """Refuse to run a schedule on a host that has no store buffers.

    Raises:
        BadInput: it has none, and the schedule says when they are emptied.
    """
    if target.config.memory == "tso" and host == "trio":
        raise BadInput(
            "--host trio runs the schedule where every store is in memory at once, and with memory "
            "tso it says when stores get there: leave it out; --log is written without it"
        )


def run_schedule(
    target: Target,
    schedule: Schedule,
    host: str,
    log: str | None,
    level: LogLevel = "debug",
    *,
    watch_s: float,
) -> Run:
    """Run a scenario by a schedule, as `run` would.

    Args:
        target: of a scenario.
        schedule: what to follow.
        host: "trio" or "trampoline".
        log: file of the event log; None for none.
        level: how much goes to the log.
        watch_s: how long an M may run without an await, in seconds of real time; 0 for ever.

    Raises:
        LogError: the log cannot be written.
        BadInput: there are store buffers, as `check_host` says.
    """
    from gorun_mem.events.log import open_log
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.machine.library import find

    check_host(target, host)
    recorder = Recorder(open_log(log), level=level) if log is not None else None
    try:
        scenario = find(target.about["scenario"])
        return follow(scenario, target, schedule, host, recorder, watch_s=watch_s)
    finally:
        if recorder is not None:
            recorder.close()


def follow(
    scenario: Scenario,
    target: Target,
    schedule: Schedule,
    host: str,
    recorder: Recorder | None,
    *,
    watch_s: float,
) -> Run:
    """Run a scenario by a schedule.

    Args:
        scenario: what to run.
        target: its settings and options.
        schedule: what to follow.
        host: "trio" or "trampoline".
        recorder: who is told of what happens; nobody if None.
        watch_s: how long an M may run without an await, in seconds of real time; 0 for ever.
    """
    from gorun_mem.explore.search import steps_bound
    from gorun_mem.machine.run import run, run_on_trampoline

    config = target.config.but(
        strategy="replay", schedule=schedule.token(), steps_max=2 * steps_bound(target)
    )
    if config.memory == "tso":
        from gorun_mem.explore.buffers import engine_for, host_for
        from gorun_mem.explore.taped import Supervision
        from gorun_mem.step.strategies.replay import Replay

        return run_on_trampoline(
            scenario, config, target.about["options"], recorder=recorder, watch_s=watch_s,
            engine=engine_for(Replay(schedule), Supervision(target, config.steps_max)),
            host=host_for,
        )  # fmt: skip
    return run(
        scenario, config, target.about["options"],
        host="trio" if host == "trio" else "trampoline", recorder=recorder, watch_s=watch_s,
    )  # fmt: skip
