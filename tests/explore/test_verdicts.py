"""What a verdict says: the same sentence everywhere, and in it the world that it holds in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import cli
from gorun_mem.explore import explore
from gorun_mem.explore.verdict import Facts, Statistics, judge
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Word
from tests.explore import explore_programs as programs
from tests.readme import section

WORLD = "where memory is sequentially consistent, timers fire at their virtual time"
SEEN: set[tuple[int, int]] = set()


async def store_buffering(world: World) -> None:
    """Each M stores its own word, then loads the other's."""
    x, y = Word("x"), Word("y")
    got: dict[int, int] = {}

    async def one(m: M, mine: Word, other: Word) -> None:
        await mine.store(1)
        got[m.id] = await other.load()

    async with world.open_ms() as ms:
        ms.start_soon(one, x, y)
        ms.start_soon(one, y, x)
    SEEN.add((got[1], got[2]))


def test_what_no_interleaving_shows_is_not_denied() -> None:
    """Real memory lets both Ms load 0; here no schedule does, and the verdict says why."""
    SEEN.clear()
    found = explore(store_buffering)
    assert {(0, 1), (1, 0), (1, 1)} == SEEN
    assert found.outcome == "exhausted"
    assert found.sentence == (
        f"exhausted: 3 schedules: every one that is different, {WORLD}, "
        "no fault is injected and a run has at most 20,000 steps"
    )


@pytest.mark.parametrize(
    ("program", "settings", "said"),
    [
        (programs.kept_update, {}, "exhausted: 2 schedules: every one that is different, "),
        (
            programs.many,
            {"strategy": "pos", "budget": 40},
            "survived: none of 40 schedules failed, 40 of them different, of about ",
        ),
        (programs.lost_update, {}, "failed: 1 failure in "),
        (programs.foreign, {}, "inconclusive: an M awaits what no schedule controls at "),
        (
            programs.many,
            {"strategy": "exhaustive", "budget": 30},
            "inconclusive: the budget was used up after ",
        ),
    ],
)
def test_every_verdict_says_its_world(program: Any, settings: dict[str, Any], said: str) -> None:
    """Whichever it is: memory, timers, faults, bound of steps, in the sentence and as fields."""
    found = explore(program, config=Config(ms=4), steps_max=700, **settings)
    assert found.sentence.startswith(said)
    assert found.sentence.endswith(f"{WORLD}, no fault is injected and a run has at most 700 steps")
    document = found.document()
    assert document["reason"] == found.reason
    assert document["world"] == {
        "memory_model": "sequentially consistent",
        "timers": "at their virtual time",
        "faults": [],
        "granularity": "sync",
        "steps_max": 700,
        "departures_max": None,
        "yields_give_way": False,
        "budget": settings.get("budget", 2000),
        "time_s": None,
        "stands_on": None,
        "histories": [],
        "counts_in_states": None,
    }


def test_faults_and_bounds_are_named() -> None:
    """What schedules may let go wrong, and how far they may depart; none is left to guess."""
    config = Config(ms=2, faults=("grow", "spurious"))
    found = explore(programs.kept_update, config=config, strategy="dfs", bound=1)
    assert ": every one with at most 1 departure from run-to-block, where " in found.reason
    words = "memory may be refused to grow, a sleep on a futex may end by itself and a run has"
    assert words in found.reason
    assert found.world["faults"] == ["grow", "spurious"]
    assert found.world["departures_max"] == 1


async def polls(world: World) -> None:
    """One M looks again and again, and yields between, for what the other will do."""
    cell = Word("x")

    async def wait(m: M) -> None:
        while not await cell.load():
            await m.pause()

    async def work(m: M) -> None:
        await cell.store(1)

    async with world.open_ms() as ms:
        ms.start_soon(wait)
        ms.start_soon(work)


def test_what_a_tree_leaves_out_of_yields_is_said() -> None:
    """A tree that lets nobody yield for ever says that an M that yields lets another go."""
    found = explore(polls, strategy="exhaustive")
    assert found.outcome == "exhausted"
    assert "an M that yields lets another go" in found.reason
    assert found.world["yields_give_way"] is True


def test_time_that_was_asked_for_is_used_up() -> None:
    """Seconds are a budget too: none failed in them is survived, and they are named."""
    found = explore(programs.many, config=Config(ms=4), strategy="pos", time_s=0.2)
    assert found.outcome == "survived"
    assert ", in the 0.2 s asked for, where " in found.reason


def test_runs_that_chance_went_on_with_are_named() -> None:
    """The bound of steps is not said to have held where it did not."""
    facts = Facts(budget=9, steps_max=50)
    _, reason = judge(facts, Statistics(schedules=9, distinct=9, unfair=2), 0)
    assert reason.endswith("a run has at most 50 steps (and as many again in 2 runs, by chance)")


SCENARIO = '''
from gorun_mem import scenario
from gorun_mem.sync import Word
from tests.readme import section


@scenario(ms=2)
async def added(world):
    """Adds in one step."""
    cell = Word("x")

    async def add(m):
        await m.sys_alloc(8192)
        await cell.add(1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
'''


@pytest.mark.parametrize("strategy", ["auto", "pos"])
def test_the_command_says_the_same_sentence(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """On the terminal and in the document; `--faults` is in both."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "home"))
    path = tmp_path / "added.py"
    path.write_text(SCENARIO)
    args = ["explore", str(path), "--strategy", strategy, "--budget", "300", "--mutex", "queue"]
    args += ["--faults", "grow"]
    assert cli.main(args) == 0
    shown = capsys.readouterr().out.splitlines()[0]
    assert cli.main([*args, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    verdict = "survived" if strategy == "pos" else "exhausted"
    assert document["verdict"] == verdict
    assert shown == f"verdict   {verdict}: {document['reason']}"
    assert "memory may be refused to grow" in shown
    assert document["world"]["faults"] == ["grow"]
    assert cli.main([*args, "--faults", "flood"]) == 2
    assert "no fault 'flood': the faults are grow, spurious" in capsys.readouterr().err


def test_nothing_is_called_passed() -> None:
    """No search says so, nor do its help and the README."""
    said = section("Every schedule")
    assert "survived" in said
    assert "passed" not in said
    for facts in (Facts(tree=tree, complete=done) for tree in (0, 1) for done in (0, 1)):  # type: ignore[arg-type]
        for schedules in (0, 1, 7):
            verdict, reason = judge(facts, Statistics(schedules=schedules), 0)
            assert "pass" not in verdict + reason
