"""A search: verdicts, budgets, what it finds, and that it is the same again."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import time
from fractions import Fraction
from typing import Any

import pytest

from gorun_mem.explore import explore, replay
from gorun_mem.explore.space import profile_of
from gorun_mem.explore.target import Target
from gorun_mem.explore.verdict import Exploration, Facts, Statistics, judge
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config, ConfigError
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies import drawing, for_searches
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.sync import Lock
from tests.explore import explore_programs as programs

EVERY = for_searches()


@pytest.mark.parametrize("strategy", EVERY)
@pytest.mark.parametrize("seed", range(3))
def test_every_strategy_finds_a_lost_update_and_a_deadlock(strategy: str, seed: int) -> None:
    """Whatever goes through the schedules, and whatever the seed, a shallow bug is found."""
    lost = explore(programs.lost_update, strategy=strategy, seed=seed)
    assert (lost.outcome, lost.exit_code) == ("failed", 1)
    assert lost.failure is not None
    assert lost.failure.signature.kind == "AssertionError"
    assert lost.failure.preemptions == 1
    stuck = explore(programs.crossed, strategy=strategy, seed=seed)
    assert stuck.failure is not None
    assert stuck.failure.signature.kind == "deadlock"
    assert len(stuck.failure.stuck) == 2


@pytest.mark.parametrize("strategy", sorted(drawing()))
def test_a_drawing_strategy_finds_it_by_itself(strategy: str) -> None:
    """Without the first runs' help; and what is drawn depends on the seed alone."""
    tapes = []
    for _ in range(2):
        worker = Worker(Target.of(programs.rare, Config(ms=3)), seed=7, steps_max=1000)
        worker.profile = profile_of([worker.run(SearchingWalk(), transcribe=True)])
        batch = worker.draw(strategy, 0, 3000)
        assert [found.signature.kind for found in batch.found] == ["AssertionError"]
        tapes.append((batch.found[0].run, batch.found[0].tape))
    assert tapes[0] == tapes[1]


@pytest.mark.parametrize("strategy", EVERY)
def test_a_program_without_the_bug_survives(strategy: str) -> None:
    """Nothing is found where nothing is; a tree says that it saw all, and auto does too."""
    found = explore(programs.kept_update, strategy=strategy, budget=300)
    assert found.failure is None
    assert found.exit_code == 0
    whole = strategy in ("auto", "dfs", "exhaustive", "states")
    assert found.outcome == ("exhausted" if whole else "survived")
    if strategy == "states":
        assert found.statistics.schedules <= 2
    elif whole:
        assert found.statistics.schedules == (12 if strategy == "dfs" else 2)
    else:
        assert found.statistics.schedules == 300
        assert f"{found.statistics.distinct:,} of them different" in found.reason
        assert found.statistics.distinct <= 12


@pytest.mark.parametrize("strategy", ["auto", "pos"])
@pytest.mark.parametrize("budget", [1, 7, 8, 9, 100, 257])
def test_the_budget_is_honoured_to_the_schedule(strategy: str, budget: int) -> None:
    """Not one schedule more than asked for, and not one less."""
    found = explore(programs.many, config=Config(ms=4), strategy=strategy, budget=budget)
    assert found.statistics.schedules == budget
    assert found.outcome == "survived"


@pytest.mark.parametrize("strategy", ["auto", "random", "dfs"])
def test_the_time_is_honoured(strategy: str) -> None:
    """A search ends within a run of when its time is up; without a budget that is no failure."""
    start = time.monotonic()
    found = explore(programs.many, config=Config(ms=4), strategy=strategy, time_s=0.4)
    assert 0.3 < time.monotonic() - start < 1.5
    assert found.outcome == ("inconclusive" if strategy == "dfs" else "survived")
    both = explore(programs.slow, strategy="random", time_s=0.2, budget=1000)
    assert both.outcome == "inconclusive"
    assert both.exit_code == 5
    assert "the time was up after" in both.reason
    assert re.search(
        r" of 1,000, 1?\d of them different, of about \d+; none failed, where ", both.reason
    )


def test_a_search_without_its_canary_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy that explores nothing finds no planted bug, and so never reports a pass."""

    def first(self: Any, runnable: Any, current: Any) -> Any:
        return min(runnable, key=lambda task: task.id)

    monkeypatch.setattr("gorun_mem.step.strategies.pos.Pos.next_task", first)
    found = explore(programs.kept_update, strategy="pos", budget=50)
    assert found.outcome == "inconclusive"
    assert "did not find the bug that is planted" in found.reason
    assert explore(programs.kept_update, strategy="random", budget=50).outcome == "survived"


@pytest.mark.parametrize("strategy", ["auto", "pos", "exhaustive"])
def test_a_program_that_is_not_deterministic_is_a_finding(strategy: str) -> None:
    """It cannot be searched, and is told so with the step that differed."""
    found = explore(programs.by_chance, strategy=strategy)
    assert found.outcome == "failed"
    assert found.failure is not None
    assert found.failure.signature.kind == "nondeterminism"
    assert "does not do the same under the same schedule: " in found.failure.text


def test_uncontrolled_awaits_are_inconclusive() -> None:
    """What no schedule controls is named by its line, and by what helps."""
    found = explore(programs.foreign)
    assert found.outcome == "inconclusive"
    assert "explore_programs.py:" in found.reason
    assert "asyncio cannot be searched, trio can" in found.reason


def test_a_spin_loop_without_end_is_no_progress() -> None:
    """A run that goes on under a fair schedule for as long again as the bound does not end."""
    found = explore(programs.spins, strategy="random", steps_max=200, budget=5)
    assert found.failure is not None
    assert found.failure.signature.kind == "no_progress"
    assert len(found.failure.steps) == 400


def test_several_failures_are_told_apart() -> None:
    """Two places, two signatures, each once; each token leads to its own."""
    found = explore(programs.two_bugs, failures_max=5, strategy="random", budget=500)
    texts = sorted(failure.text.rpartition(": ")[2] for failure in found.failures)
    assert texts == ["saw a", "saw both"]
    for failure in found.failures:
        again = replay(Target.of(programs.two_bugs), failure.schedule)
        assert again.signature == failure.signature
        assert not again.divergence


@pytest.mark.parametrize("strategy", ["auto", "pos", "exhaustive", "dfs"])
def test_two_processes_find_what_one_finds(strategy: str) -> None:
    """The same failure in the same schedule, and for a sound program the same verdict."""
    config = Config(ms=3)
    one, two = (
        explore(programs.rare, config=config, strategy=strategy, jobs=jobs, seed=3, budget=4000)
        for jobs in (1, 2)
    )
    assert one.failure is not None
    assert two.failure is not None
    assert one.failure.token == two.failure.token
    sound = explore(programs.kept_update, strategy=strategy, jobs=2, budget=300)
    assert sound.outcome == ("survived" if strategy == "pos" else "exhausted")
    assert sound.statistics.schedules == {"pos": 300, "dfs": 12}.get(strategy, 2)


@pytest.mark.parametrize("strategy", ["exhaustive", "auto", "pct"])
def test_figures_are_the_same_in_any_number_of_processes(strategy: str) -> None:
    """Every figure of the verdict, where the budget ends a search in the middle."""
    one, three = (
        explore(programs.many, config=Config(ms=4), strategy=strategy, jobs=jobs, budget=1_777)
        for jobs in (1, 3)
    )
    assert one.statistics.schedules + one.statistics.redundant == 1_777
    assert _without_time(one) == _without_time(three)


def _without_time(found: Exploration) -> dict[str, Any]:
    return {name: value for name, value in found.document().items() if name != "seconds"}


@pytest.mark.parametrize(("bound", "budget"), [(1, None), (2, 5000), (None, 100), (3, 333)])
def test_depth_first_is_the_same_in_any_number_of_processes(
    bound: int | None, budget: int | None
) -> None:
    """The same schedules, steps and words, whether the bound ends it or the budget."""
    one, three = (
        explore(
            programs.many, config=Config(ms=4), strategy="dfs", jobs=jobs, bound=bound,
            budget=budget, canary=False,
        )
        for jobs in (1, 3)
    )  # fmt: skip
    assert one.outcome in ("exhausted", "inconclusive")
    assert one.reason == three.reason
    assert one.statistics.steps == three.statistics.steps
    assert one.statistics.schedules == three.statistics.schedules


@pytest.mark.parametrize("strategy", [name for name in EVERY if name not in ("auto", "random")])
def test_the_strategy_that_is_named_is_the_one_that_searches(strategy: str) -> None:
    """From the first schedule on; what walks before it have found is not put in its place."""
    sound = explore(programs.many, config=Config(ms=4), strategy=strategy, budget=20)
    counted = sound.statistics
    assert counted.by_strategy == {strategy: counted.schedules}
    assert (counted.schedules + counted.redundant, counted.walks) == (20, 8)
    found = explore(programs.lost_update, strategy=strategy)
    assert found.failure is not None
    assert found.failure.strategy == strategy


def test_a_failure_before_the_search_is_not_passed_over() -> None:
    """A walk lost the update, which no schedule without a forced switch does."""
    found = explore(programs.lost_update, strategy="dfs", bound=0)
    assert found.outcome == "failed"
    ran = found.statistics.schedules
    said = f"1 failure in 8 random walks before the search, none in its {ran} schedules"
    assert found.reason.startswith(f"{said}, where memory is ")
    assert found.failure is not None
    assert found.failure.strategy == "random"


def test_other_processes_must_find_the_program() -> None:
    """A function inside another has no name to find it by."""

    async def inner(world: World) -> None:
        await programs.many(world)

    with pytest.raises(ConfigError, match="cannot import inner; put it at the top of a module"):
        explore(inner, strategy="random", jobs=2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"strategy": "pso"}, "no strategy 'pso': a search has auto, pct, pos"),
        ({"budget": 0}, "budget = 0: must be at least 1"),
        ({"time_s": 0.0}, "time_s = 0.0: must be above 0 seconds"),
        ({"jobs": 0}, "jobs = 0: must be from 1 to 256"),
        ({"bound": 1}, "bound = 1: only strategy dfs has a bound, not auto"),
        ({"strategy": "dfs", "bound": -1}, "bound = -1: must be at least 0"),
        ({"options": {"a": 1}}, "options are for scenarios"),
    ],
)
def test_what_cannot_be_searched(settings: dict[str, Any], said: str) -> None:
    """A wrong setting is named with its value, before anything runs."""
    with pytest.raises(ConfigError, match=said):
        explore(programs.kept_update, **settings)


def test_a_single_schedule_is_said_in_the_singular() -> None:
    """One that survived, and none before the time was up."""
    one = explore(programs.many, config=Config(ms=4), budget=1)
    assert one.reason.startswith("the one schedule that was run did not fail, of about ")
    none = explore(programs.slow, strategy="pos", time_s=1e-6)
    assert none.reason.startswith("no schedule was run to its end before the time was up, where ")
    assert none.exit_code == 5


def test_an_interrupted_search_keeps_what_it_has() -> None:
    """Ctrl-C: exit 130, the schedules so far counted, no verdict on the rest."""
    runs = 0

    def progress(count: int) -> None:
        nonlocal runs
        runs += count
        if runs >= 50:
            raise KeyboardInterrupt

    found = explore(programs.many, config=Config(ms=4), strategy="pos", progress=progress)
    assert found.exit_code == 130
    assert found.outcome == "inconclusive"
    assert found.reason.startswith("interrupted after ")


async def frees_twice(world: World) -> None:
    """mem.go's rules refuse the second, three calls below."""

    async def work(m: M) -> None:
        p = await m.sys_alloc(8192)
        await m.sys_free(p, 8192)
        await m.sys_free(p, 8192)

    async with world.open_ms() as ms:
        ms.start_soon(work)


async def calls_the_library(world: World) -> None:
    """The error is raised in a file of the standard library."""
    Fraction("x")


async def gives_back(world: World) -> None:
    """The step itself fails, in which no line of the program is."""

    async def work(m: M) -> None:
        await Lock("L").release()

    async with world.open_ms() as ms:
        ms.start_soon(work, name="worker 7")


@pytest.mark.parametrize(
    ("program", "line", "site"),
    [
        (frees_twice, 6, "test_search.py"),
        (calls_the_library, 2, "test_search.py"),
        (gives_back, 0, "worker #"),
    ],
)
def test_a_failure_is_placed_where_the_program_is(program: Any, line: int, site: str) -> None:
    """At its own innermost line, not at the runtime's or a library's; else by the M's name."""
    found = explore(program, config=Config(ms=1), canary=False)
    assert found.failure is not None
    if line:
        site = f"{site}:{program.__code__.co_firstlineno + line}"
    assert found.failure.signature.site == site


class Sees:
    """A detector that finds something in every run in which M 2 is first."""

    name = "sees"

    def begin(self, world: World) -> None:
        self.ms: list[int] = []

    def step(self, task: Any, op: Any, kind: str, obj: str, reads: bool, result: object) -> None:
        self.ms.append(task.id)

    def end(self, world: World) -> Any:
        from gorun_mem.explore import Finding

        return (Finding("order", "M2", text="M2 was first"),) if self.ms[0] == 2 else ()


def test_what_a_detector_finds_is_a_failure() -> None:
    """A run that ends well fails by a finding, and is shrunk and replayed with the detector."""
    found = explore(programs.kept_update, detectors=[Sees], strategy="dfs")
    assert found.failure is not None
    assert str(found.failure.signature) == "order: M2"
    assert found.failure.text == "M2 was first"
    assert found.failure.steps[0].m == 2
    assert found.failure.schedule.departures == 1


def test_no_verdict_in_doubt() -> None:
    """Whatever else holds: no canary, something uncontrolled or Ctrl-C, and it is inconclusive."""
    counted = Statistics(schedules=10, distinct=10)
    for tree in (False, True):
        for complete in (False, True):
            sound = Facts(tree=tree, complete=complete, canary_found=True, budget=10)
            wanted = ("exhausted" if complete else "inconclusive") if tree else "survived"
            assert judge(sound, counted, 0)[0] == wanted
            assert judge(sound, counted, 1)[0] == "failed"
            for doubt in (
                {"canary_found": False}, {"uncontrolled": ("a.py:1",)}, {"interrupted": True}
            ):  # fmt: skip
                facts = Facts(**{"tree": tree, "complete": complete, "budget": 10, **doubt})  # type: ignore[arg-type]
                assert judge(facts, counted, 0)[0] == "inconclusive"
    assert judge(Facts(budget=20, out_of_time=True), counted, 0)[0] == "inconclusive"
    assert judge(Facts(), Statistics(), 0)[0] == "inconclusive"


def test_a_process_that_is_killed_has_its_work_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By another that takes its place: every figure is that of one process."""
    monkeypatch.setattr("gorun_mem.explore.work.PIECE_RUNS", (16, 16))
    how: dict[str, Any] = {"config": Config(ms=4), "strategy": "exhaustive", "budget": 3_000}
    killed: list[int] = []

    def progress(runs: int) -> None:
        children = multiprocessing.active_children()
        if len(killed) < 2 and children:
            pid = children[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    two = explore(programs.many, jobs=2, progress=progress, **how)
    assert len(killed) == 2
    assert _without_time(two) == _without_time(explore(programs.many, **how))


def test_processes_that_die_of_the_program_are_said_to() -> None:
    """And not begun for ever."""
    with pytest.raises(ConfigError, match=r"processes died .* search with one job"):
        explore(programs.exits_in_a_child, jobs=2, strategy="pos", budget=100, canary=False)
