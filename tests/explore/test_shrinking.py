"""Shrinking keeps the failure and loses the rest; tokens are short and replay on both hosts."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.events import capture_events
from gorun_mem.explore import explore, replay
from gorun_mem.explore.drive import run_once
from gorun_mem.explore.kernels import KERNELS
from gorun_mem.explore.shrink import Shrinker
from gorun_mem.explore.taped import STEPS_MAX
from gorun_mem.explore.target import Target
from gorun_mem.machine.library import find
from gorun_mem.machine.run import run
from gorun_mem.step.schedule import Schedule
from gorun_mem.step.strategies.random import RandomWalk
from gorun_mem.step.strategies.replay import Replay
from tests.explore import explore_programs as programs

SCENARIO = '''
from gorun_mem import scenario
from gorun_mem.sync import Cell


@scenario(ms=3)
async def lost(world, *, rounds: int = 3):
    """Loses an update between calls of the memory layer."""
    cell = Cell("bloc")

    async def add(m):
        for _ in range(rounds):
            p = await m.sys_alloc(8192)
            value = await cell.load()
            await cell.store(value + 1)
            await m.sys_free(p, 8192)

    async with world.open_ms() as ms:
        for _ in range(2):
            ms.start_soon(add)
    assert cell.value == 2 * rounds, "an addition was lost"
'''


def failing(target: Target, seeds: range = range(400)) -> Any:
    """A random walk that fails."""
    for seed in seeds:
        done = run_once(target, RandomWalk(seed), transcribe=True)
        if done.signature is not None:
            return done
    raise AssertionError("no walk fails")


@pytest.mark.parametrize(
    ("program", "preemptions", "departures"),
    [(programs.lost_update, 1, 1), (programs.crossed, 1, 1), (programs.rare, 2, 2)],
)
@pytest.mark.parametrize("seed", [0, 100, 200])
def test_what_is_left_is_what_the_bug_needs(
    program: Any, preemptions: int, departures: int, seed: int
) -> None:
    """From whatever run: as few forced switches as the bug has, with the same signature."""
    target = Target.of(program)
    found = failing(target, range(seed, seed + 2000))
    schedule = Shrinker(target, found.signature, steps_max=STEPS_MAX).shrink(found)
    assert schedule is not None
    again = replay(target, schedule)
    assert again.signature == found.signature
    assert not again.divergence
    assert sum(step.preempts for step in again.named_steps) == preemptions
    assert schedule.departures <= departures + 1
    assert len(schedule.token()) < 200


SHRUNK = {name: kernel.target for name, kernel in KERNELS.items()} | {
    program.__name__: (lambda program=program: Target.of(program))
    for program in (programs.lost_update, programs.crossed, programs.rare, programs.gives_up)
}


@pytest.mark.parametrize("name", sorted(SHRUNK))
def test_no_failure_gets_longer_by_more_than_a_fifth(name: str) -> None:
    """Whatever run it comes from; and never are there more switches than before."""
    target = SHRUNK[name]()
    tried = 0
    for seed in range(300):
        found = run_once(target, RandomWalk(seed), transcribe=True)
        if found.signature is None:
            continue
        schedule = Shrinker(target, found.signature, steps_max=STEPS_MAX).shrink(found)
        assert schedule is not None
        before, after = found.named_steps, replay(target, schedule).named_steps
        assert len(after) * 5 <= len(before) * 6
        assert switches(after) <= switches(before)
        tried += 1
        if tried == 8:
            return
    assert tried or name in ("long-way-20", "rank-inversion")  # which no such walk finds


def switches(steps: Any) -> int:
    return sum(a.m != b.m for a, b in pairwise(steps))


def test_spinning_is_no_way_to_save_a_switch() -> None:
    """One M polls 20 times if it is let: 60 steps with no forced switch, where 8 with one do."""
    target = Target.of(programs.gives_up)
    spun = run_once(target, Replay(Schedule()), transcribe=True)
    assert spun.signature is not None
    assert len(spun.named_steps) > 60
    for seed in range(40):
        found = run_once(target, RandomWalk(seed), transcribe=True)
        if found.signature is not None and len(found.named_steps) < 30:
            assert found.signature == spun.signature
            schedule = Shrinker(target, found.signature, steps_max=STEPS_MAX).shrink(found)
            assert schedule is not None
            assert len(replay(target, schedule).named_steps) <= 8
    shrunk = Shrinker(target, spun.signature, steps_max=STEPS_MAX).shrink(spun)
    assert shrunk is not None
    assert len(replay(target, shrunk).named_steps) <= 8


def test_the_oracle_is_the_signature() -> None:
    """A smaller schedule that fails elsewhere is another failure, and is not taken."""
    target = Target.of(programs.two_bugs)
    signatures: dict[Any, Any] = {}
    for seed in range(300):
        done = run_once(target, RandomWalk(seed), transcribe=True)
        if done.signature is not None:
            signatures.setdefault(done.signature, done)
    assert len(signatures) == 2
    for signature, done in signatures.items():
        schedule = Shrinker(target, signature, steps_max=STEPS_MAX).shrink(done)
        assert schedule is not None
        assert replay(target, schedule).signature == signature


def test_a_failure_that_does_not_come_again_is_not_shrunk() -> None:
    """Nothing is made up: None."""
    target = Target.of(programs.lost_update)
    found = failing(target)
    shrinker = Shrinker(target, failing(Target.of(programs.crossed)).signature, steps_max=STEPS_MAX)
    assert shrinker.shrink(found) is None


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_kernels_have_short_tokens_that_replay(name: str) -> None:
    """A kernel's bug is found, and its token is under 150 characters.

    The token leads to the same failure again, step by step.
    """
    kernel = KERNELS[name]
    from gorun_mem.explore.detectors import DEFAULT_DETECTORS

    found = explore(kernel.target(), detectors=DEFAULT_DETECTORS, budget=3000, seed=1)
    assert found.failure is not None, found.reason
    failure = found.failure
    assert len(failure.token) < 150
    schedule = Schedule.from_token(failure.token)
    again = replay(
        Target.from_about(schedule.about), schedule, detectors=[d() for d in DEFAULT_DETECTORS]
    )
    assert again.signature == failure.signature
    assert not again.divergence


def test_a_token_replays_to_the_same_log_on_both_hosts(tmp_path: Path) -> None:
    """Found by the search's own loop; the trampoline and trio make the same events of it."""
    path = tmp_path / "lost.py"
    path.write_text(SCENARIO)
    scenario = find(str(path))
    found = explore(scenario, seed=2)
    assert found.failure is not None
    token = found.failure.token
    schedule = Schedule.from_token(token)
    target = Target.from_about(schedule.about)
    assert replay(target, schedule).named_steps == found.failure.steps
    logs = []
    for host in ("trampoline", "trio"):
        with capture_events() as events:
            done = run(
                scenario, target.config.but(strategy="replay", schedule=token), host=host,
                recorder=events.recorder,
            )  # fmt: skip
        assert done.outcome.verdict == "failed"
        assert "an addition was lost" in str(done.outcome.error)
        assert done.outcome.steps == len(found.failure.steps)
        logs.append([event.__dict__ if hasattr(event, "__dict__") else event for event in events])
    assert len(logs[0]) > 30
    assert logs[0] == logs[1]


def test_a_changed_program_is_told_where_it_departs(tmp_path: Path) -> None:
    """The step, what was expected, and what came."""
    path = tmp_path / "lost.py"
    path.write_text(SCENARIO)
    found = explore(find(str(path)))
    assert found.failure is not None
    schedule = Schedule.from_token(found.failure.token)
    path.write_text(SCENARIO.replace('Cell("bloc")', 'Cell("blocMax")'))
    target = Target.from_about(schedule.about)
    stopped = replay(target, schedule)
    assert stopped.divergence.startswith("step ")
    assert "expected load bloc, got load blocMax" in stopped.divergence
    assert stopped.signature is not None
    assert stopped.signature.kind == "Diverged"
    for mode in ("seeded", "default"):
        went_on = replay(target, schedule, on_divergence=mode)
        assert went_on.divergence == stopped.divergence
        assert went_on.signature is None or went_on.signature.kind == "AssertionError"


def test_replay_is_a_strategy_of_its_own() -> None:
    """Past its tape nobody is preempted."""
    done = run_once(Target.of(programs.lost_update), Replay(Schedule()), transcribe=True)
    assert [step.m for step in done.named_steps] == [1, 1, 1, 2, 2, 2, 0]
    assert done.signature is None
