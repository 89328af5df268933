"""The scheduler's chair: a schedule made by hand, and what everything looks like at each step.

There is no state between two requests: a schedule is the list of its choices, and to go on, back or
elsewhere is to run another list. A run of some hundred steps takes a few milliseconds. Choices are
those of `ExploringEngine.tape`: the id of an M wherever two or more may go, the value wherever one
is drawn; where one M only can go it goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.detectors.load import recorded
from gorun_mem.explore.drive import Execution, replay, run_once
from gorun_mem.explore.failure import replay_command
from gorun_mem.explore.matters import what_matters
from gorun_mem.explore.naming import code_of, named
from gorun_mem.explore.rerun import failure_of
from gorun_mem.explore.retold import trusted
from gorun_mem.explore.sights import Sights
from gorun_mem.explore.telling import neighbours_of, passing_schedule
from gorun_mem.machine.config import ConfigError
from gorun_mem.machine.scenario import ScenarioError
from gorun_mem.runtime.behaviour import UnknownRelease
from gorun_mem.runtime.mutex import UnknownMutex
from gorun_mem.step.costs import CostError
from gorun_mem.step.schedule import Schedule, ScheduleError
from gorun_mem.step.strategies import for_runs, make_strategy, searching_class
from gorun_mem.step.strategies.searching import Profile, Redundant
from gorun_mem.web.catalogue import PLAYING, lesson_of, target_of
from gorun_mem.web.chair_view import Spy, steps_of, view_of
from gorun_mem.web.documents import HandMadeSchedule, RunSettings
from gorun_mem.web.guard import Refused
from gorun_mem.web.of_tests import CODE, TARGETS

if TYPE_CHECKING:
    from gorun_mem.explore.failure import Failure
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.world import World
    from gorun_mem.step.task import Task

STEPS_MAX: Final = 100_000
STEPS_SHOWN: Final = 3000
"""Steps that are listed; of longer runs those around the step that is looked at."""
FIND_S: Final = 10.0
_NOTHING: Final[dict[str, Any]] = {"matters": [], "opens_at": 0}
_BAD: Final = (
    ConfigError, CostError, ScenarioError, ScheduleError, UnknownMutex, UnknownRelease,
)  # fmt: skip


class Chair:
    """Follows choices; then another strategy, or nobody: there the run is looked at.

    Args:
        choices: see the module.
        spy: looks at the run when it is reached.
        stop: look after so many steps; None: where the choices end.
        then: who decides behind the choices; None for nobody.
        most: steps that `then` decides at most.

    Attributes:
        at: choices used so far.
        marks: for each step, how many choices were used before it.
        open: what is to be decided where the run was looked at.
    """

    name = "chair"
    every_step = True

    def __init__(
        self,
        choices: Sequence[int],
        spy: Spy,
        stop: int | None = None,
        then: Any = None,
        most: int = STEPS_MAX,
    ) -> None:
        self._choices = choices
        self._spy = spy
        self._stop = stop
        self._then = then
        self._most = most
        self.at = 0
        self.marks: list[int] = []
        self.open: dict[str, Any] | None = None
        self.executed = getattr(then, "executed", None)
        self.follows: bool = getattr(then, "follows", False)

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the choices name.

        Raises:
            Redundant: the state that was asked for is reached.
            Refused: a choice names an M that cannot go.
        """
        if len(self.marks) == self._stop:
            able = sorted(other.id for other in runnable)
            self._look({"kind": "m", "options": able} if len(able) > 1 else None)
        task = runnable[0] if len(runnable) == 1 else self._chosen(runnable, current)
        if len(runnable) == 1 and self._then is not None and self.at >= len(self._choices):
            self._then.next_task(runnable, current)
        self.marks.append(self.at)
        if len(runnable) > 1:
            self.at += 1
        return task

    def _chosen(self, runnable: Sequence[Task], current: Task | None) -> Task:
        able = sorted(task.id for task in runnable)
        if self.at < len(self._choices):
            wanted = self._choices[self.at]
            for task in runnable:
                if task.id == wanted:
                    return task
            can = ", ".join(f"M{m}" for m in able)
            raise Refused(400, f"choice {self.at + 1}: M{wanted} cannot go, {can} can", "undo it")
        if self._then is None or self.at - len(self._choices) >= self._most:
            self._look({"kind": "m", "options": able})
        chosen: Task = self._then.next_task(runnable, current)
        return chosen

    def choice(self, n: int) -> int:
        """The value that the choices name.

        Raises:
            Redundant: there is none.
            Refused: it is none of those that there are.
        """
        if self.at < len(self._choices):
            value = self._choices[self.at]
            if value >= n:
                raise Refused(400, f"choice {self.at + 1}: one of {n} values, not {value}")
        elif self._then is None:
            self._look({"kind": "value", "options": list(range(n))})
            raise AssertionError
        else:
            value = int(self._then.choice(n))
        self.at += 1
        return value

    def _look(self, open: dict[str, Any] | None) -> None:
        self.open = open
        self._spy.look()
        raise Redundant  # what breaks off a run, and is none of the program's doing


class Seat:
    """One run of a program by choices.

    Args:
        target: the program.
        choices: see the module.
        stop: look after so many steps.

    Attributes:
        done: how it ended; None where it was looked at before.
    """

    def __init__(self, target: Target, choices: Sequence[int], stop: int | None = None) -> None:
        self.target = target
        self.sights = Sights()
        self._spy = Spy(target)
        self.chair = Chair(choices, self._spy, stop)
        self.done: Execution | None = None
        makers = (*DEFAULT_DETECTORS, *target.detectors)
        detectors = [*(make() for make in makers), self.sights]
        try:
            self.done = run_once(
                target, self.chair, detectors=detectors, transcribe=True, steps_max=STEPS_MAX,
                on_world=self._spy.begin,
            )  # fmt: skip
        except Redundant:
            pass

    @property
    def world(self) -> World:
        """As the run left it."""
        return self._spy.world

    def failure(self) -> Failure | None:
        """What went wrong; None where nothing did, or the run has not ended."""
        done = self.done
        if done is None or done.signature is None or done.transcriber is None:
            return None
        return failure_of(done, self.target)

    def document(self) -> dict[str, Any]:
        """All that there is to see."""
        strategy: Any = self.world.engine.strategy
        steps = strategy.steps
        made = len(steps)
        first = max(0, made - STEPS_SHOWN)
        failure = self.failure()
        token = strategy.schedule(self.target.about).token()
        return {
            "step": made,
            "choices": list(self.world.engine.tape),  # type: ignore[attr-defined]
            "decision": self.chair.open,
            "ended": self._ending(failure),
            "first_step": first,
            "steps": steps_of(steps[first:], self.chair.marks[first:], self.sights.values[first:]),
            "token": token,
            "replay": replay_command(self.target.about, token),
            **view_of(self._spy),
        }

    def _ending(self, failure: Failure | None) -> dict[str, Any] | None:
        if self.done is None:
            return None
        if self.done.foreign:
            text = f"an M awaits what no schedule controls, at {self.done.foreign}"
            return {"failed": True, "signature": "uncontrolled", "text": text, **_NOTHING}
        if failure is None:
            return {"failed": False, "signature": "", "text": "it ended well", **_NOTHING}
        matters = what_matters(failure, self.sights)
        return {
            "failed": True,
            "signature": str(failure.signature),
            "text": failure.text,
            "matters": [
                {"text": matter.text, "step": matter.steps[0] if matter.steps else 0}
                for matter in matters
            ],
            "opens_at": next((matter.steps[0] for matter in matters if matter.steps), 0),
        }


def answer(facts: dict[str, Any]) -> dict[str, Any]:
    """The answer to a schedule made by hand."""
    wanted = msgspec.convert(facts, HandMadeSchedule)
    if wanted.token:
        _, target, _ = _of_token(wanted.token)
    else:
        target = target_of(wanted.scenario, wanted.options, wanted.settings, wanted.fixed)
    choices: Sequence[int] = wanted.choices
    found: dict[str, Any] | None = None
    if wanted.find is not None:
        found, choices = _find(target, wanted)
    elif wanted.then is not None:
        then = wanted.then
        choices = _played(target, choices, _strategy(then.strategy, then.seed), then.steps)
    document = _seen(target, choices, wanted.step)
    document["found"] = found
    if wanted.beside:
        document["nearest"] = _nearest(target, choices)
    return document


def answer_token(facts: dict[str, Any]) -> dict[str, Any]:
    """The state of a token's schedule after a number of steps."""
    schedule, target, about = _of_token(facts["token"])
    done = replay(target, schedule, on_divergence="stop", steps_max=STEPS_MAX // 2)
    if done.divergence:
        raise Refused(409, f"the program is not the one of the schedule: {done.divergence}")
    seen = _seen(target, done.tape, facts["step"])
    nearest = _nearest(target, done.tape)
    title = "" if about["scenario"] else named(schedule.about)
    return {**seen, "program": about, "title": title, "found": None, "nearest": nearest}


def _of_token(token: str) -> tuple[Schedule, Target, dict[str, Any]]:
    """A schedule and its program: one of the library's, code that may run, or a test that is open.

    Raises:
        Refused: it is damaged, or names something else.
    """
    try:
        schedule = Schedule.from_token(token)
    except ScheduleError as error:
        raise Refused(400, str(error), "copy the whole token") from None
    about: dict[str, Any] = dict(schedule.about)
    if "test" not in about and code_of(about):
        return schedule, _trusted(schedule), _by_token(token)
    name, fixed = str(about.get("scenario") or ""), False
    if not name:
        name, fixed = lesson_of(str(about.get("function", "")))
    if not name and "test" in about:
        test = str(about["test"])[:400]
        open_test = TARGETS.get(test)
        if open_test is None:
            hint = f"gorun-mem view TOKEN --code {test}"
            raise Refused(400, f"the token is of the test {test}, which is not open here", hint)
        return schedule, open_test, _by_token(token)
    if not name:
        raise Refused(
            400, "the token's program is none of the library's", "see gorun-mem scenarios"
        )
    options = about.get("options", {})
    if not isinstance(options, dict):
        raise Refused(400, "the token's options cannot be read")
    target_of(name, options, RunSettings())
    options = dict(options)
    fixed = options.pop("fixed", "") == "True" or fixed
    from gorun_mem.explore.target import Target

    try:
        target = Target.from_about(about)
        target.detectors = recorded(about)
    except _BAD as error:
        raise Refused(400, str(error), "the token is of another version") from None
    program = {"scenario": name, "options": options, "fixed": fixed, "token": token}
    return schedule, target, program


def _by_token(token: str) -> dict[str, Any]:
    """A program that only its token names."""
    return {"scenario": "", "options": {}, "fixed": False, "token": token}


def _trusted(schedule: Schedule) -> Target:
    """The program of a schedule that names code.

    Raises:
        Refused: it may not run here, or is not there.
    """
    try:
        return trusted(schedule, CODE, "gorun-mem view TOKEN")
    except ScheduleError as error:
        raise Refused(400, str(error), "the page runs only what its command line allows") from None


def _seen(target: Target, choices: Sequence[int], stop: int | None) -> dict[str, Any]:
    """The state at a step; with the whole schedule where that goes further."""
    try:
        whole = Seat(target, choices)
        document = whole.document()
        if stop is None or stop >= document["step"]:
            return {**document, "whole": None}
        there = Seat(target, choices, stop).document()
    except _BAD as error:
        raise Refused(400, str(error)) from None
    keys = ("step", "choices", "decision", "ended", "first_step", "steps", "token", "replay")
    return {**there, "whole": {key: document[key] for key in keys}}


def _strategy(name: str, seed: int) -> Any:
    """A strategy that plays on.

    Raises:
        Refused: there is none of that name.
    """
    if name in for_runs() and name in PLAYING:
        return make_strategy(name, seed)
    if name in PLAYING:
        strategy = searching_class(name)()
        strategy.begin(Random(seed), Profile(decisions=100))
        return strategy
    raise Refused(400, f"no strategy {name!r} plays on", f"one of {', '.join(PLAYING)}")


def _played(target: Target, choices: Sequence[int], strategy: Any, most: int) -> list[int]:
    """The choices, and what a strategy chooses behind them."""
    spy = Spy(target)
    chair = Chair(choices, spy, then=strategy, most=most)
    try:
        done = run_once(target, chair, steps_max=STEPS_MAX, on_world=spy.begin)
    except Redundant:
        return list(spy.world.engine.tape)  # type: ignore[attr-defined]
    return done.tape


def _find(target: Target, wanted: HandMadeSchedule) -> tuple[dict[str, Any], Sequence[int]]:
    """What a search comes to: its verdict, and the choices of what failed, or none."""
    from gorun_mem.explore.search import explore
    from gorun_mem.step.strategies import for_searches

    find = wanted.find
    assert find is not None
    if find.strategy not in for_searches():
        raise Refused(400, f"no search {find.strategy!r}", f"one of {', '.join(for_searches())}")
    try:
        result = explore(
            target, strategy=find.strategy, budget=find.budget, time_s=FIND_S, seed=find.seed,
            detectors=DEFAULT_DETECTORS,
        )  # fmt: skip
    except _BAD as error:
        raise Refused(400, str(error)) from None
    found: dict[str, Any] = {
        "outcome": result.outcome,
        "sentence": result.sentence,
        "nearest": None,
    }
    if result.failure is None:
        return found, wanted.choices
    choices = replay(target, result.failure.schedule, steps_max=STEPS_MAX // 2).tape
    found["nearest"] = _nearest(target, choices)
    return found, choices


def _nearest(target: Target, choices: Sequence[int]) -> dict[str, Any] | None:
    """The nearest schedule that passes, as `PassingSchedule` has it; None where none was found, or
    the choices do not lead to a failure."""
    failure = Seat(target, choices).failure()
    looked = neighbours_of(target, failure) if failure is not None else None
    found = passing_schedule(failure, looked) if failure is not None and looked else None
    return msgspec.to_builtins(found) if found is not None else None
