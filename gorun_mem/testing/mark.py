"""What `@pytest.mark.explore` does: one test, every schedule that the search comes to.

    @pytest.mark.explore(budget=2000, strategy="pos")
    async def test_two_ms_in_any_order(world):
        async with world.open_ms() as ms: ...

The body is the program of a search: it runs on a new World each time, driven by the search itself
and not by trio, so pytest-trio is not needed and not in the way. A test that takes no `world` is
one of trio's alone; where a test awaits trio, with a World or without, trio's tasks are under the
schedule too (`gorun_mem.explore.controlled`), and `autojump_clock` is the run's own clock. Its
other fixtures are made once, so what they hold must not change from run to run. A failure is the
search's: its report is the test's, and its command replays that one schedule with
`--explore-token`. The line that it prints beside, `@pytest.mark.explore(replay="TOKEN")` over the
test, keeps it: that schedule is run before every search from then on.

A search that gives no answer fails the test, for a pass would say what nobody knows. One that does
says it in the properties of JUnit's report and, with -rP, on the terminal: "exhausted" or
"survived", how many schedules, and in what world. The plugin imports this when the first such test
runs.
"""

from __future__ import annotations

import inspect
import warnings
from bdb import BdbQuit
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import pytest

from gorun_mem._near import no_such
from gorun_mem.explore import Execution, Schedule, Target, explore, replay
from gorun_mem.explore.breaking import NoSuchStep, break_at, stop_at
from gorun_mem.explore.detectors.load import made_by_name
from gorun_mem.explore.report import drawn
from gorun_mem.explore.rerun import failure_of
from gorun_mem.explore.telling import account_of
from gorun_mem.machine.config import Config, ConfigError
from gorun_mem.step.schedule import ScheduleError, load
from gorun_mem.testing import OutdatedReplay

if TYPE_CHECKING:
    from gorun_mem.explore.failure import Detector, Failure
    from gorun_mem.explore.verdict import Exploration
    from gorun_mem.machine.world import World

SETTINGS: Final = (
    "budget", "strategy", "seed", "time_s", "bound", "steps_max", "detectors", "shrink", "watch_s",
    "faults", "memory", "replay",
)  # fmt: skip
"""What the marker takes; see `gorun_mem.explore.explore`, and the module for `replay`."""
OF_THE_WORLD: Final[tuple[str, ...]] = ("faults", "memory")
"""Those of them that are settings of the World, as in `Config`."""
TOKEN_MAX: Final = 600
"""Characters of a token that a test is to have over it; a longer one goes without its steps."""


CHAIR: Final = "gorun-mem-chair"
"""What the plugin is called by which the page takes a test (`gorun_mem.web.of_tests`)."""


def runner(item: Any, token: str, explored: int) -> Callable[..., None]:
    """The function that runs in place of an async test.

    Args:
        item: the test.
        token: the schedule to follow, "" to search.
        explored: how many tests of this run are marked so.
    """
    function = item.obj

    def run(**arguments: Any) -> None:
        __tracebackhide__ = True
        settings = _settings(item)
        try:
            world: dict[str, Any] = {
                name: settings.pop(name) for name in OF_THE_WORLD if name in settings
            }
            test = _Test(item, function, arguments, world, settings.pop("detectors", ()))
        except (ConfigError, TypeError) as error:
            _fail(f"@pytest.mark.explore: {error}")
        chair = item.config.pluginmanager.get_plugin(CHAIR)
        if chair is not None:
            test.sit(chair)
        elif token:
            test.replay(load(token), alone=explored == 1)
        else:
            test.follow(settings.pop("replay"))
            test.search(settings)

    run._trio_test_runner_wrapped = True  # type: ignore[attr-defined]  # pytest-trio's own mark
    return run


class _Test:
    """One test as the program of a search.

    Args:
        item: the test.
        function: its function, and `arguments` what that takes.
        settings: of OF_THE_WORLD, those that are to be other than the World says.
        detectors: that look at its schedules, as `explore` takes them.
    """

    def __init__(
        self,
        item: Any,
        function: Any,
        arguments: Mapping[str, Any],
        settings: Mapping[str, Any],
        detectors: Sequence[Callable[[], Detector] | str],
    ) -> None:
        self._item = item
        self._function = function
        self._arguments = dict(arguments)
        self._left: list[BaseException] = []
        _check(function, arguments)
        alone = "world" not in arguments
        config: Config = Config() if alone else arguments["world"].config
        config = config.but(
            **{k: tuple(v) if k == "faults" else v for k, v in settings.items() if v}
        )
        about = {"test": item.nodeid, "config": _changes(config)}
        self._target = Target(self._program, config, about, item.name)
        self._target.alone, self._target.detectors = alone, made_by_name(detectors)
        if alone:
            self._target.control_trio()

    async def _program(self, world: World) -> None:
        arguments, engine = dict(self._arguments), cast("Any", world.engine)
        if not self._target.alone:
            arguments["world"] = world
        for name, value in self._arguments.items():
            if type(value).__name__ == "MockClock":  # trio's: a run has a clock of its own
                clock = arguments[name] = engine.host.clock
                clock.autojump_threshold = value.autojump_threshold
        try:
            await self._function(**arguments)
        except (pytest.skip.Exception, pytest.xfail.Exception) as left:
            self._left.append(left)
            raise

    def sit(self, chair: Any) -> None:
        """Leave the schedules to whoever sits in the scheduler's chair."""
        chair.sit(self._item.nodeid, self._target)

    def search(self, settings: Mapping[str, Any]) -> None:
        """Search; fail with the report of what is found, or without an answer."""
        __tracebackhide__ = True
        try:
            found = explore(self._target, detectors=self._target.detectors, **settings)
        except (ConfigError, TypeError) as error:
            _fail(f"@pytest.mark.explore: {error}")
        if self._left:
            raise self._left[0]
        if found.interrupted:
            raise KeyboardInterrupt
        self._item.user_properties += _properties(found)
        if found.failure is not None:
            report = self._report(found.failure)
            _fail(f"{report}\n{_keep(found.failure)}\n{found.sentence}")
        if not found.ok:
            is_short = "no schedule controls" not in found.reason
            help_ = "; give it more budget, or another strategy" if is_short else ""
            _fail(f"{found.sentence}{help_}")
        self._item.add_report_section("call", "explore", found.sentence)

    def follow(self, tokens: Sequence[str]) -> None:
        """Run the schedules that the marks keep; fail where one still does."""
        __tracebackhide__ = True
        for token in tokens:
            try:
                schedule = load(token)
            except ScheduleError as error:
                _fail(f"@pytest.mark.explore(replay=...): {error}")
            if _of_other_parameters(str(schedule.about.get("test")), self._item.nodeid):
                continue
            failure, outdated = self._run_again(schedule)
            if outdated:
                said = (
                    f"{self._item.nodeid}: the schedule that replay= keeps does not fit this test "
                    f"any more ({outdated}): take that line away, or put the token of a new "
                    f"failure there; it is replay={_beginning(token)!r}"
                )
                warnings.warn(OutdatedReplay(said), stacklevel=2)
            elif failure is not None:
                self._item.user_properties += _properties_of_one(failure)
                _fail(f"{self._report(failure)}\nIt is a schedule that replay= keeps.")

    def replay(self, schedule: Schedule, *, alone: bool) -> None:
        """Follow one schedule; it may be of this test under another name if no other is there."""
        __tracebackhide__ = True
        of = schedule.about.get("test")
        if of != self._item.nodeid and not alone:
            pytest.skip(f"the schedule is one of {of or 'no test'}")
        failure, outdated = self._run_again(
            schedule, self._item.config.getoption("explore_break_at")
        )
        if outdated:
            _fail(f"the schedule does not fit this test any more: {outdated}")
        if failure is not None:
            self._item.user_properties += _properties_of_one(failure)
            _fail(self._report(failure))

    def _run_again(self, schedule: Schedule, step: int | None = None) -> tuple[Failure | None, str]:
        """How a schedule fails now, None where it does not; and why it does not fit any more.

        Args:
            schedule: what to follow.
            step: at which to open the debugger; None: at none.
        """
        __tracebackhide__ = True
        if step is None:
            looking = [make() for make in self._target.detectors]
            done = replay(self._target, schedule, detectors=looking)
        else:
            done = self._broken(schedule, step)
        if self._left:
            raise self._left[0]
        if done.divergence:
            return None, done.divergence
        if done.foreign:
            _fail(f"an M awaits what no schedule controls, at {done.foreign}")
        if done.signature is None:
            return None, ""
        return failure_of(done, self._target), ""

    def _broken(self, schedule: Schedule, step: int) -> Execution:
        """Follow a schedule with the debugger opened at a step."""
        __tracebackhide__ = True
        try:
            stop = stop_at(self._target, schedule, step)
        except NoSuchStep as error:
            _fail(f"--explore-break-at {step}: {error}")
        self._left.clear()
        self._item.add_report_section("call", "explore", str(stop))
        looking = [make() for make in self._target.detectors]
        done = break_at(self._target, schedule, stop, detectors=looking)
        if isinstance(done.world.failure, BdbQuit):
            pytest.exit("the debugger was left")
        return done

    def _report(self, failure: Failure) -> str:
        return drawn(account_of(failure, self._target))


def _of_other_parameters(of: str, nodeid: str) -> bool:
    """Whether a schedule is one of the same function with other parameters."""
    return of != nodeid and "[" in of and of.partition("[")[0] == nodeid.partition("[")[0]


def _keep(failure: Failure) -> str:
    """What to write to have a failure's schedule run from now on."""
    token = failure.token
    if len(token) > TOKEN_MAX:
        token = Schedule(failure.schedule.tape, (), failure.schedule.about).token()
    return (
        "Keep it: with this line over the test it is run before every search, also when it is "
        f'mended:\n@pytest.mark.explore(replay="{token}")'
    )


def _beginning(token: str) -> str:
    return token if len(token) <= 20 else f"{token[:17]}..."


_COUNTED: Final = ("verdict", "schedules", "distinct", "space", "strategy", "seed")


def _properties(found: Exploration) -> list[tuple[str, str]]:
    """What JUnit's report has of a search: the sentence, then its fields one by one."""
    document = found.document()
    facts = {name: document[name] for name in _COUNTED} | document["world"]
    facts["token"] = found.failure.token if found.failure is not None else None
    fields = [(f"explore.{name}", _plain(value)) for name, value in facts.items()]
    return [("explore", found.sentence), *fields]


def _properties_of_one(failure: Failure) -> list[tuple[str, str]]:
    """The same of one schedule that was run again and fails."""
    facts = {"verdict": "failed", "schedules": "1", "strategy": "replay", "token": failure.token}
    sentence = ("explore", f"failed: {failure.signature}, by the schedule that was given")
    return [sentence, *((f"explore.{name}", value) for name, value in facts.items())]


def _plain(value: Any) -> str:
    """A value of JSON as text: "" for none, words for a list."""
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value)


def _settings(item: Any) -> dict[str, Any]:
    """What the marks say, each setting from the nearest that has it; the command line before all.

    `replay` is a list of all that they keep.
    """
    __tracebackhide__ = True
    from gorun_mem.testing.defaults import user_defaults

    usual = user_defaults(item.config)
    settings: dict[str, Any] = {
        name: usual[name] for name in ("budget", "time_s", "watch_s") if name in usual
    }
    kept: list[str] = []
    for marker in reversed(list(item.iter_markers("explore"))):
        if marker.args:
            _fail("@pytest.mark.explore takes settings by name, as in budget=2000")
        settings |= marker.kwargs
        replays = marker.kwargs.get("replay", ())
        given = replays if isinstance(replays, list | tuple) else [replays]
        if not all(isinstance(one, str) for one in given):
            _fail(
                f"@pytest.mark.explore(replay={replays!r:.80}): it is a schedule, as a file or a "
                "token, or a list of them"
            )
        kept += given
    for name in settings:
        if name not in SETTINGS:
            _fail(no_such("setting", name, SETTINGS, of="@pytest.mark.explore"))
    budget, time_s = (item.config.getoption(name) for name in ("explore_budget", "explore_time"))
    if budget is not None or time_s is not None:
        settings["budget"], settings["time_s"] = budget, time_s
    return settings | {"replay": kept}


def _check(function: Any, arguments: Mapping[str, Any]) -> None:
    """Whether the test can be explored."""
    __tracebackhide__ = True
    if hasattr(function, "hypothesis"):
        _fail("@pytest.mark.explore and @given do not go together: explore draws the schedules")
    if not inspect.iscoroutinefunction(function):
        _fail("@pytest.mark.explore is for async tests: write `async def`")
    for name, value in arguments.items():
        if type(value).__name__ == "TrioFixture" or inspect.iscoroutine(value):
            _fail(
                f"fixture {name!r} is async, and every schedule needs one of its own: make it "
                "plain, or open what it has in the test"
            )


def _changes(config: Config) -> dict[str, Any]:
    """The World's settings, for whoever reads the token; the test itself has them."""
    plain = Config()
    return {
        field.name: getattr(config, field.name)
        for field in fields(Config)
        if field.name not in ("costs", "schedule", "strategy")
        and getattr(config, field.name) != getattr(plain, field.name)
    }


def _fail(text: str) -> NoReturn:
    __tracebackhide__ = True
    pytest.fail(text, pytrace=False)
