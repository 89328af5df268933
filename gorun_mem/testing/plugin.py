"""The pytest plugin: fixtures `world` and `run_scenario`, and `@pytest.mark.explore`.

    async def test_no_m_starves(world):                  # pytest-trio runs it
        await memlock_storm(world, rounds=200)
        assert world.statistics().lock("memlock").bypasses_max <= 8

    @pytest.mark.world(ms=8, mutex="queue")              # settings of that World
    async def test_fifo(world): ...

    def test_the_tail(run_scenario):                     # no trio needed
        run = run_scenario("memlock_storm", ms=8, mutex="sema", rounds=100)
        assert run.statistics.lock("memlock").wait_ns.p99 < 1_000_000

    @pytest.mark.explore(budget=2000)                    # in every order that the search comes to
    async def test_two_ms_in_any_order(world): ...       # see mark.py

When a test that used them fails, its report has the test's own lines, the World's settings, the
last events and the command that runs it again (see shown.py).

It is loaded into every pytest run where the package is installed, so it imports nothing of the
package before a test asks for a fixture, and needs no other plugin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from gorun_mem import Run, Scenario, World
    from gorun_mem.testing.shown import WatchedWorld

_explored: Final = pytest.StashKey[int]()
_worlds: Final = pytest.StashKey["list[WatchedWorld]"]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; read the user's defaults; check the token.

    Raises:
        UsageError: a default, or the token, is none.
    """
    from gorun_mem.testing.defaults import read

    read(config)
    config.addinivalue_line(
        "markers", "world(**settings): settings of gorun_mem.Config for the `world` fixture"
    )
    config.addinivalue_line(
        "markers",
        "explore(budget, strategy, seed, time_s, replay, ...): run the async test under many "
        "schedules of the Ms of its `world`; the settings are those of gorun_mem.explore.explore, "
        "and replay is a schedule, or a list, to run before",
    )
    token = config.getoption("explore_token")
    if token:
        from gorun_mem.step.schedule import ScheduleError, load

        try:
            load(token)
        except ScheduleError as error:
            raise pytest.UsageError(f"--explore-token: {error}") from None
    elif config.getoption("explore_break_at") is not None:
        raise pytest.UsageError("--explore-break-at goes with --explore-token TOKEN")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Which defaults of the user's own hold, and where they come from."""
    from gorun_mem.testing.defaults import header

    return header(config)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that replay one schedule, and say how many are to be searched."""
    group = parser.getgroup("gorun_mem")
    group.addoption(
        "--explore-token",
        default="",
        metavar="TOKEN",
        help="Run the test marked explore under this schedule only, as its failure said.",
    )
    group.addoption(
        "--explore-break-at",
        type=_at_least(int, 1),
        metavar="N",
        help="With --explore-token: open the debugger (what breakpoint() opens) in the test's own "
        "line at step N.",
    )
    group.addoption(
        "--explore-budget",
        type=_at_least(int, 1),
        metavar="N",
        help="Search so many schedules of each test marked explore, whatever its mark says.",
    )
    group.addoption(
        "--explore-time",
        type=_at_least(float, 0),
        metavar="SECONDS",
        help="Search each test marked explore for so many seconds of real time, whatever its mark "
        "says; with --explore-budget too, until either is used up.",
    )


def _at_least(kind: Callable[[str], float], least: float) -> Callable[[str], float]:
    """A number of an option, as argparse wants it made."""

    def convert(text: str) -> float:
        from argparse import ArgumentTypeError

        try:
            number = kind(text)
        except ValueError:
            number = least - 1
        if not least <= number < float("inf"):
            raise ArgumentTypeError(f"{text!r} is no number of at least {least}")
        return number

    return convert


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Count the tests that are explored: a token with no other to mean is for the only one."""
    config.stash[_explored] = sum(1 for item in items if item.get_closest_marker("explore"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Put the search in the place of a test that is marked so."""
    if item.get_closest_marker("explore") is None or not isinstance(item, pytest.Function):
        is_trios = "world" in getattr(item, "fixturenames", ()) and item.get_closest_marker("trio")
        with _run_by_pytest_alone(item) if is_trios else nullcontext():
            result = yield
        _fail_if_forgotten(item)
        return result
    from gorun_mem.testing.mark import runner

    config, function = item.config, item.obj
    item.obj = runner(item, config.getoption("explore_token"), config.stash.get(_explored, 1))
    try:
        with _run_by_pytest_alone(item):
            return (yield)
    finally:
        item.obj = function


@contextmanager
def _run_by_pytest_alone(item: pytest.Item) -> Generator[None]:
    """For a while a test is run as pytest runs a plain one.

    pytest-asyncio makes items of its own, which would give to its loop what is none of its.
    """
    item.runtest = MethodType(pytest.Function.runtest, item)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del item.runtest


def _fail_if_forgotten(item: pytest.Item) -> None:
    """Fail a test that has made operations on its World and never awaited them."""
    for watched in item.stash.get(_worlds, []):
        failure = watched.world.failure if watched.world is not None else None
        if getattr(failure, "error_type", "") == "never_awaited" and watched.run is None:
            pytest.fail(str(failure), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Say what is missing of an async test with a World that no plugin has taken to run."""
    try:
        return (yield)
    except pytest.fail.Exception as refused:
        if "world" not in pyfuncitem.fixturenames or _NOT_RUN not in str(refused):
            raise
    pytest.fail(
        f"{pyfuncitem.name} is async and nothing runs it: mark it @pytest.mark.trio or say "
        "trio_mode = true in pytest's configuration (both need pytest-trio), or mark it "
        "@pytest.mark.explore, which runs every schedule and needs none",
        pytrace=False,
    )


_NOT_RUN: Final = "not natively supported"
"""Of what pytest says of an async test that no plugin runs."""


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Generator[World, None, None]:
    """A World to run scenarios or Ms of your own in, from an async test under pytest-trio.

    The marker `world` gives its settings; where several are given, the nearest counts. What none
    gives is the user's own default (`gorun-mem --show-config`), or what is built in.
    """
    from gorun_mem import Config, World
    from gorun_mem.machine.config import ConfigError
    from gorun_mem.machine.forgotten import Listener
    from gorun_mem.testing.defaults import of_worlds

    settings = of_worlds(request.config)
    for marker in reversed(list(request.node.iter_markers("world"))):
        if marker.args:
            raise pytest.UsageError("@pytest.mark.world takes settings by name, as in ms=8")
        settings |= marker.kwargs
    try:
        config = Config().but(**settings)
    except (TypeError, ConfigError) as error:
        pytest.fail(f"@pytest.mark.world: {error}", pytrace=False)
    if request.node.get_closest_marker("explore") is not None:
        yield World(config, name=request.node.name)  # its runs have Worlds of their own
        return
    watched = _watch(request.node)
    watched.world = World(config, recorder=watched.recorder, name=request.node.name)
    with Listener(watched.world.driver):
        yield watched.world


@pytest.fixture
def run_scenario(request: pytest.FixtureRequest) -> Callable[..., Run]:
    """A function that runs a scenario and returns its Run.

    `run_scenario(scenario, host="trampoline", **settings)`: `scenario` is a Scenario, or a name or
    path as `gorun-mem run` takes it; settings are the scenario's options and fields of Config. What
    is not given is the user's own default (`gorun-mem --show-config`), or the scenario's.
    """

    def run_it(scenario: Scenario | str, *, host: Any = None, **settings: Any) -> Run:
        from gorun_mem import Config, run
        from gorun_mem._near import no_such
        from gorun_mem.machine.library import find
        from gorun_mem.machine.scenario import Scenario, ScenarioError
        from gorun_mem.testing.defaults import of_worlds, user_defaults

        found = scenario if isinstance(scenario, Scenario) else find(scenario)
        options = {name: settings.pop(name) for name in found.options if name in settings}
        unknown = [name for name in settings if name not in Config.__dataclass_fields__]
        if unknown:
            raise ScenarioError(
                no_such(
                    "option or setting",
                    unknown[0],
                    [*found.options, *Config.__dataclass_fields__],
                    of=found.name,
                    lists=f"its options are {', '.join(found.options) or 'none'}; see "
                    "gorun_mem.Config for the settings",
                )
            )
        watched = _watch(request.node)
        watched.given = dict(options)
        usual = user_defaults(request.config)
        limit = {"watch_s": usual["watch_s"]} if "watch_s" in usual else {}
        watched.run = run(
            found,
            found.config(**of_worlds(request.config) | settings),
            options,
            host=host or usual.get("host", "trampoline"),
            recorder=watched.recorder,
            **limit,
        )
        watched.world = watched.run.world
        return watched.run

    return run_it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show of a failed test its own lines, and what its Worlds did last."""
    watched = item.stash.get(_worlds, [])
    if call.when == "call":
        for one in watched:
            item.user_properties += one.properties()
    report = yield
    if report.failed and (watched or "run_scenario" in getattr(item, "fixturenames", ())):
        from gorun_mem.testing.shown import shorten

        shorten(item, call, report)
    if report.failed and call.when == "call":
        for one in watched:
            report.sections.append(("gorun_mem world", "\n".join(one.lines())))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was explored."""
    said = [
        dict(report.user_properties)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call" and isinstance(report, pytest.TestReport)
    ]
    searched = [facts for facts in said if "explore.verdict" in facts]
    if searched:
        terminalreporter.write_line(f"explored {', '.join(_explored_in_words(searched))}")


def _explored_in_words(searched: list[dict[str, object]]) -> Iterator[str]:
    schedules = sum(int(str(facts["explore.schedules"])) for facts in searched)
    yield f"{len(searched):,} test{'s' if len(searched) > 1 else ''}"
    yield f"{schedules:,} schedule{'s' if schedules != 1 else ''}"
    verdicts = Counter(str(facts["explore.verdict"]) for facts in searched)
    for verdict in ("exhausted", "survived", "failed", "inconclusive"):
        if verdicts[verdict]:
            yield f"{verdicts[verdict]:,} {verdict}"


def _watch(item: pytest.Item) -> WatchedWorld:
    from gorun_mem.testing.shown import WatchedWorld

    watched = WatchedWorld()
    item.stash.setdefault(_worlds, []).append(watched)
    return watched
